//! The command itself, given targets that are no proper broker: what it says, and with which code it ends.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;

/// One scene, which plays in both versions.
const FEW_SCENES: &str = "each_qos_is_acknowledged_its_own_way";

fn judge(target: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longwire-conformance"));
    command.args(["--target", target, "--only", FEW_SCENES]).args(more);
    command.output().expect("the command was built with its tests")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A listener that answers each connection by this, on a thread that ends with the test program.
fn target(mut answer: impl FnMut(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            answer(stream);
        }
    });
    address
}

/// Reads the CONNECT of a client and tells its protocol level.
fn level(stream: &mut TcpStream) -> u8 {
    let mut connect = [0; 512];
    let read = stream.read(&mut connect).expect("the runner sends CONNECT");
    assert!(read > 8, "CONNECT has a level");
    connect[8]
}

#[test]
fn an_unreachable_target_is_named_with_a_remedy() {
    let output = judge("127.0.0.1:1", &[]);
    assert_eq!(output.status.code(), Some(2));
    let talk = text(&output.stderr);
    assert!(talk.contains("127.0.0.1:1: it cannot be reached"), "{talk}");
    assert!(talk.contains("is the broker running"), "{talk}");
}

#[test]
fn a_target_that_wants_credentials_is_told_apart_from_one_that_fails() {
    let address = target(|mut stream| {
        level(&mut stream);
        let _ = stream.write_all(&[0x20, 2, 0, 5]);
    });
    let output = judge(&address.to_string(), &["--version", "3.1.1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("refuses clients without credentials (CONNACK code 0x05)"));
}

#[test]
fn a_target_that_is_no_broker_is_told_apart_from_one_that_fails() {
    let address = target(|mut stream| {
        level(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let output = judge(&address.to_string(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("is this the port for plain MQTT"));
}

/// 5.0 is refused as 3.1.1 servers do; its scenes do not apply, and those of 3.1.1 are played (and failed) all the same.
#[test]
fn a_target_without_5_is_judged_in_3_1_1_only() {
    let address = target(|mut stream| {
        let answer = if level(&mut stream) == 5 { [0x20, 2, 0, 1] } else { [0x20, 2, 0, 0] };
        let _ = stream.write_all(&answer);
        let _ = stream.shutdown(Shutdown::Write);
    });
    let output = judge(&address.to_string(), &["--verbose"]);
    let report = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert!(report.contains("does not speak MQTT 5.0: it answers CONNECT with code 0x01"), "{report}");
    assert!(report.contains("2 scenes: 0 passed, 1 failed, 1 not applicable"), "{report}");

    let output = judge(&address.to_string(), &["--version", "5.0"]);
    assert_eq!(output.status.code(), Some(2), "nothing could be played");
}

/// The target greets and is gone: the scenes say so one by one, and the code tells this from a failure.
#[test]
fn a_target_that_goes_away_is_told_apart_from_one_that_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    let greeter = thread::spawn(move || {
        for answer in [&[0x20, 2, 0, 0][..], &[0x20, 3, 0, 0, 0]] {
            let (mut stream, _) = listener.accept().expect("the runner asks once for each version");
            level(&mut stream);
            stream.write_all(answer).expect("the runner waits for CONNACK");
        }
    });
    let output = judge(&address.to_string(), &[]);
    greeter.join().expect("the runner greets in both versions");
    let report = text(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{report}");
    assert!(report.contains("2 could not be played"), "{report}");
}
