//! `longwire bench` as a program: every scenario against a broker of its own, small and short, judged by its summary.
//! Nothing here is about speed.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod support;

use std::net::TcpListener;
use std::process::Command;

use serde_json::{Value, json};
use support::{Broker, Process, longwire};

/// `longwire bench` for this broker.
fn bench(broker: &Broker, arguments: &[&str]) -> Command {
    let mut command = longwire(&["bench"]);
    command.args(arguments).args(["-a", &format!("127.0.0.1:{}", broker.port())]);
    command
}

/// The summary of a run that must be clean.
fn summary(broker: &Broker, arguments: &[&str]) -> Value {
    let lines = Process::spawn(&mut bench(broker, arguments)).finish();
    let [line] = lines.as_slice() else { panic!("{arguments:?}: {lines:?}") };
    serde_json::from_str(line).expect("the summary is JSON")
}

#[test]
fn every_pattern_accounts_for_every_message() {
    let broker = Broker::start();
    for (pattern, publishers, subscribers, copies) in
        [("pair", 3, 3, 1), ("fan-out", 1, 3, 3), ("fan-in", 3, 1, 1), ("shared", 3, 2, 1)]
    {
        for qos in ["0", "1", "2"] {
            let arguments = ["flow", "--pattern", pattern, "-n", "3", "--members", "2", "-q", qos];
            let short = ["-d", "1", "--warm-up", "0", "--rate", "50"];
            let found = summary(&broker, &[&arguments[..], &short].concat());
            let published = found["published"].as_u64().expect("a count");
            assert!(published > 0, "{found}");
            assert_eq!(found["received"], published * copies, "{pattern}, QoS {qos}: {found}");
            assert_eq!(
                (&found["publishers"], &found["subscribers"]),
                (&json!(publishers), &json!(subscribers))
            );
            for fault in ["lost", "duplicated", "reordered", "foreign", "unacknowledged"] {
                assert_eq!(found[fault], 0, "{pattern}, QoS {qos}: {found}");
            }
        }
    }
}

#[test]
fn an_open_loop_sends_what_was_planned_and_a_closed_one_has_no_plan() {
    let broker = Broker::start();
    let open = summary(&broker, &["flow", "-n", "2", "-d", "1", "--warm-up", "0", "--rate", "50"]);
    assert_eq!((&open["loop"], &open["rate_per_publisher"]), (&json!("open"), &json!(50)));
    let planned = open["published"].as_u64().expect("a count") + open["unsent"].as_u64().expect("a count");
    assert!((100..=120).contains(&planned), "two publishers, one second, 50 a second: {open}");
    assert!(open["send_delay_us"]["p99"].is_number() && open["latency_us"]["p999"].is_number(), "{open}");

    let closed = summary(&broker, &["flow", "-n", "2", "-d", "1", "--warm-up", "0", "-w", "2"]);
    assert_eq!((&closed["loop"], &closed["unsent"]), (&json!("closed"), &Value::Null));
}

#[test]
fn either_half_works_alone() {
    let broker = Broker::start();
    let mut subscribers = Process::spawn(&mut bench(
        &broker,
        &["sub", "-n", "2", "-d", "3", "-t", "$share/crew/bench/#", "-q", "1"],
    ));
    subscribers.log_line("2 clients are connected");
    let sent = summary(&broker, &["pub", "-n", "2", "-d", "1", "--rate", "20", "-q", "1"]);
    let line = subscribers.line();
    let heard: Value = serde_json::from_str(&line).expect("the summary is JSON");
    assert_eq!(heard["received"], sent["published"], "{heard}");
    assert_eq!(
        (&heard["lost"], &heard["duplicated"], &heard["reordered"]),
        (&json!(0), &json!(0), &json!(0))
    );
    subscribers.finish();
}

#[test]
fn connections_come_from_the_addresses_that_were_given() {
    let broker = Broker::start();
    let arguments = ["conn", "-n", "10", "--subscriptions", "3", "-d", "0"];
    let sources = ["--local-address", "127.0.0.2", "--local-address", "127.0.0.3"];
    let found = summary(&broker, &[&arguments[..], &sources].concat());
    assert_eq!((&found["connections"], &found["subscriptions"]), (&json!(10), &json!(30)));

    let mut elsewhere =
        Process::spawn(&mut bench(&broker, &["conn", "-n", "1", "--local-address", "192.0.2.1"]));
    elsewhere.log_line("no connection can be made from 192.0.2.1");
    assert_eq!(elsewhere.wait().code(), Some(1));
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let place = listener.local_addr().expect("a bound socket has an address").to_string();
    drop(listener);
    let mut run = Process::spawn(&mut longwire(&["bench", "flow", "-n", "1", "-a", &place]));
    let why = run.log_line("clients are connected to");
    assert!(why.contains(&place) && why.contains("refused") && why.contains("is a broker running"), "{why}");
    assert_eq!(run.wait().code(), Some(1));
}

#[test]
fn standard_error_has_no_line_of_progress_unless_it_is_a_terminal() {
    let broker = Broker::start();
    let output = bench(&broker, &["flow", "-n", "1", "-d", "1", "--warm-up", "0", "--rate", "10"]).output();
    let told = String::from_utf8(output.expect("the program runs").stderr).expect("text");
    assert_eq!(told, "longwire: 2 clients are connected\n");
}
