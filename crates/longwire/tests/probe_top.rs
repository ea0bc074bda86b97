//! `longwire probe` and `longwire top` as programs: what they find out about a broker, and what they say when there is
//! none.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use support::{Broker, Process, longwire};

fn url(broker: &Broker) -> String {
    format!("mqtt://127.0.0.1:{}", broker.port())
}

/// The exit code of a command that ends by itself, and the line it said why.
fn failed(command: &mut Command) -> (Option<i32>, String) {
    let mut process = Process::spawn(command);
    let code = process.wait().code();
    (code, process.log_line("longwire: "))
}

/// A server that says `greeting` to everybody after their first bytes, and then waits for their end.
fn answering(greeting: fn(&[u8]) -> &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            thread::spawn(move || {
                let mut bytes = [0; 512];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    if stream.write_all(greeting(&bytes[..count])).is_err() {
                        break;
                    }
                }
            });
        }
    });
    format!("127.0.0.1:{port}")
}

#[test]
fn a_probe_finds_out_everything_and_leaves_nothing() {
    let broker = Broker::with_settings(&["limits.receive_max=17", "limits.sys_interval_secs=1"]);
    let mut reader = Process::spawn(&mut longwire(&[
        "sub",
        "-L",
        &format!("{}/$SYS/broker/version", url(&broker)),
        "-C",
        "1",
    ]));
    reader.line();
    let printed =
        Process::spawn(&mut longwire(&["probe", &url(&broker), "--output", "json"])).finish().concat();
    let found: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(found["versions"], serde_json::json!({ "3.1": true, "3.1.1": true, "5.0": true }));
    assert_eq!(found["broker"], concat!("longwire version ", env!("CARGO_PKG_VERSION")));
    assert_eq!((&found["receive_maximum"], &found["qos"]), (&17.into(), &serde_json::json!([0, 1, 2])));
    for feature in
        ["anonymous", "sys", "retain", "wildcards", "shared_subscriptions", "subscription_identifiers"]
    {
        assert_eq!(found[feature], true, "{feature}: {printed}");
    }
    let table = Process::spawn(&mut longwire(&["probe", &url(&broker)])).finish();
    assert!(table.contains(&"versions                          3.1, 3.1.1, 5.0".to_owned()), "{table:?}");

    // Nothing retained stands in front of this.
    let place = ["-h", "127.0.0.1", "-p", &broker.port_text()];
    Process::spawn(longwire(&["pub", "-t", "z", "-m", "last", "-r"]).args(place)).finish();
    let left = longwire(&["sub", "-t", "longwire-probe/#", "-t", "z", "-C", "1"]).args(place).output();
    assert_eq!(left.expect("the program runs").stdout, b"last\n");
}

#[test]
fn a_probe_tells_the_doors_that_are_shut() {
    // 3.1 and 3.1.1 are refused by code 5, 5.0 by 0x87; the level stands in the tenth byte or the one before.
    let shut = |connect: &[u8]| -> &'static [u8] {
        if connect.get(8) == Some(&5) { &[0x20, 3, 0, 0x87, 0] } else { &[0x20, 2, 0, 5] }
    };
    let place = answering(shut);
    let mut probe = Process::spawn(&mut longwire(&["probe", &place]));
    assert_eq!(probe.line(), place);
    assert_eq!(probe.line(), "");
    let versions = probe.line();
    assert!(versions.contains("not 5.0 (not authorized (0x87))"), "{versions}");
    assert!(probe.log_line("refuses every version").contains("-u and -P"));
    assert_eq!(probe.wait().code(), Some(135));
}

#[test]
fn a_server_that_is_no_broker_is_told() {
    let place = answering(|_| b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let (code, why) = failed(&mut longwire(&["probe", &place]));
    assert_eq!(code, Some(1));
    assert!(why.contains(&place) && why.contains("is it a broker"), "{why}");
}

#[test]
fn nobody_there_is_told_with_a_remedy() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let place = listener.local_addr().expect("a bound socket has an address").to_string();
    drop(listener);
    for command in [&["probe"][..], &["top", "--once"]] {
        let (code, why) = failed(longwire(command).arg(&place));
        assert_eq!(code, Some(1), "{why}");
        assert!(why.contains(&format!("cannot reach {place}")) && why.contains("the URL"), "{why}");
    }
    let (code, why) = failed(&mut longwire(&["probe", "mqtt://me:secret@host:x"]));
    assert_eq!(code, Some(2), "{why}");
    assert!(!why.contains("secret"), "{why}");
}

#[test]
fn top_prints_what_the_broker_says_once() {
    let broker = Broker::with_settings(&["limits.sys_interval_secs=1"]);
    let mut reader = Process::spawn(&mut longwire(&[
        "sub",
        "-L",
        &format!("{}/$SYS/broker/uptime", url(&broker)),
        "-C",
        "1",
    ]));
    reader.line();
    let printed = Process::spawn(&mut longwire(&["top", "--once", &url(&broker)])).finish();
    assert!(
        printed.contains(&concat!("version: longwire version ", env!("CARGO_PKG_VERSION")).to_owned()),
        "{printed:?}"
    );
    assert!(printed.iter().any(|line| line.starts_with("clients/connected: ")), "{printed:?}");
}

#[test]
fn top_says_why_it_has_nothing_to_show() {
    let broker = Broker::with_settings(&["limits.sys_interval_secs=0"]);
    let (code, why) = failed(&mut longwire(&["top", "--once", &url(&broker)]));
    assert_eq!(code, Some(1));
    assert!(why.contains("limits.sys_interval_secs"), "{why}");

    let (code, why) = failed(&mut longwire(&["top", &url(&broker)]));
    assert_eq!(code, Some(2));
    assert!(why.contains("no terminal") && why.contains("--once"), "{why}");

    let denying =
        answering(|packet| if packet[0] == 0x10 { &[0x20, 2, 0, 0] } else { &[0x90, 3, 0, 1, 0x80] });
    let (code, why) = failed(&mut longwire(&["top", "--once", &denying]));
    assert_eq!(code, Some(12));
    assert!(why.contains("refused '$SYS/broker/#'"), "{why}");
}
