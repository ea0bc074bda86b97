//! The first story anybody tells of MQTT, with real processes and sockets: A subscribes to `temperature` and hears what
//! B publishes; B, who has not subscribed, hears nothing.

#[allow(dead_code, reason = "each test program uses its own part")]
mod support;

use std::process::Command;

use support::wire::{DISCONNECT, Hello, V5, V311};
use support::{Broker, Process, longwire};

#[test]
fn the_story_over_bare_connections_of_3_1_1() {
    bare_story(V311);
}

#[test]
fn the_story_over_bare_connections_of_5_0() {
    bare_story(V5);
}

#[test]
fn the_story_with_longwire_pub_and_sub() {
    told_story(|| longwire(&["pub"]), || longwire(&["sub"]));
}

#[test]
#[ignore = "needs programs that `cargo xtask test` installs"]
fn the_story_with_mosquitto_pub_and_sub() {
    told_story(|| Command::new("mosquitto_pub"), || Command::new("mosquitto_sub"));
}

/// Two connections, each of which could hear and speak.
fn bare_story(level: u8) {
    let broker = Broker::start();
    let (mut a, mut b) = (broker.dial(), broker.dial());
    a.connect(&Hello::new(level, "A"));
    b.connect(&Hello::new(level, "B"));
    a.subscribe("temperature", 0);
    b.publish("temperature", "25");
    assert_eq!(a.message(), temperature("25"));
    a.publish_unanswered("temperature", "20");
    // A's own subscription matches too; the acknowledgement may come before or after.
    let mut first_bytes = [a.packet()[0], a.packet()[0]];
    first_bytes.sort_unstable();
    assert_eq!(first_bytes, [0x30, 0x40]);
    b.expect_silence();
    b.publish("temperature", "38");
    assert_eq!(a.message(), temperature("38"));
    for mut client in [a, b] {
        client.send(&DISCONNECT);
        client.expect_end();
    }
}

/// The same with a program that publishes and a program that subscribes. B's program stays connected and shows whatever
/// it hears, which must be nothing.
fn told_story(publish: impl Fn() -> Command, subscribe: impl Fn() -> Command) {
    let broker = Broker::start();
    let port = broker.port_text();
    let place = ["-h", "127.0.0.1", "-p", &port];
    // The retained message arrives as soon as A has subscribed: nothing has to be guessed.
    Process::spawn(publish().args(place).args(["-t", "ready", "-m", "ready", "-r"])).finish();
    let mut a = Process::spawn(subscribe().args(place).args(["-t", "temperature", "-t", "ready", "-C", "4"]));
    assert_eq!(a.line(), "ready");
    let mut b = Process::spawn(publish().args(place).args(["-t", "temperature", "-l"]));
    b.say("25");
    assert_eq!(a.line(), "25");
    Process::spawn(publish().args(place).args(["-t", "temperature", "-m", "20"])).finish();
    assert_eq!(a.line(), "20");
    b.say("38");
    assert_eq!(a.line(), "38");
    assert_eq!(a.finish(), [""; 0]);
    assert_eq!(b.finish(), [""; 0]);
}

fn temperature(payload: &str) -> (String, String) {
    ("temperature".into(), payload.into())
}
