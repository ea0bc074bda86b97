//! Who goes silent is noticed, on both sides, and a stop is announced.
//!
//! Times are asserted downwards exactly (never too early) and upwards generously (a busy machine is not a fault).

#[allow(dead_code, reason = "each test program uses its own part")]
mod support;

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use support::wire::{Hello, PINGREQ, PINGRESP, V5, V311, connect, frame};
use support::{Broker, PATIENCE, Process, Wire, longwire};

/// An end that is due must come within this time after its moment.
const SOON: Duration = Duration::from_secs(10);

/// A connected client of `level` whose will goes to `will/<level>`.
fn mortal(broker: &Broker, level: u8, keep_alive_secs: u16) -> Wire {
    let mut client = broker.dial();
    let (client_id, topic) = (format!("mortal-{level}"), format!("will/{level}"));
    let hello = Hello { keep_alive_secs, will: Some((&topic, "gone")), ..Hello::new(level, &client_id) };
    client.connect(&hello);
    client
}

/// A client that sees the wills.
fn watcher(broker: &Broker, level: u8) -> Wire {
    let mut watcher = broker.dial();
    watcher.connect(&Hello::new(level, "watcher"));
    watcher.subscribe("will/+", 0);
    watcher
}

/// Asserts that what began at `start` took at least `at_least`, and not unreasonably more.
#[track_caller]
fn assert_due(start: Instant, at_least: Duration) {
    let took = start.elapsed();
    assert!(took >= at_least, "{took:?} is earlier than {at_least:?}");
    assert!(took < at_least + SOON, "{took:?} is far later than {at_least:?}");
}

#[test]
fn a_silent_client_is_closed_at_one_and_a_half_times_its_keep_alive_and_its_will_is_published() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker, V311);
    let start = Instant::now();
    let mut client = mortal(&broker, V311, 2);
    client.expect_end();
    assert_due(start, Duration::from_secs(3));
    assert_eq!(watcher.message(), ("will/4".into(), "gone".into()));
}

#[test]
fn a_silent_client_of_5_0_is_told_why() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker, V311);
    let start = Instant::now();
    let mut client = mortal(&broker, V5, 1);
    let farewell = client.packet();
    assert_eq!((farewell[0], farewell[2]), (0xE0, 0x8D), "DISCONNECT 0x8D {farewell:02x?}");
    client.expect_end();
    assert_due(start, Duration::from_millis(1500));
    assert_eq!(watcher.message(), ("will/5".into(), "gone".into()));
}

#[test]
fn pings_keep_a_quiet_client_connected() {
    let broker = Broker::start();
    let mut client = mortal(&broker, V311, 1);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        thread::sleep(Duration::from_millis(600));
        client.send(&PINGREQ);
        assert_eq!(client.packet(), PINGRESP);
    }
}

#[test]
fn what_a_client_receives_does_not_keep_it_alive() {
    let broker = Broker::start();
    let mut client = mortal(&broker, V311, 1);
    client.subscribe("flood", 0);
    let mut other = broker.dial();
    other.connect(&Hello::new(V311, "other"));
    let start = Instant::now();
    loop {
        other.publish("flood", "drop");
        match client.packet_or_end() {
            Some(packet) => assert_eq!(packet[0], 0x30),
            None => break,
        }
        assert!(start.elapsed() < PATIENCE, "a client that only listens is never closed");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_client_that_sends_half_a_packet_and_stops_is_closed_by_the_packet_timer() {
    let broker = Broker::with_settings(&["limits.packet_timeout_secs=1"]);
    let mut watcher = watcher(&broker, V311);
    let mut client = mortal(&broker, V311, 0);
    let start = Instant::now();
    let publish = frame(0x30, b"\x00\x01apayload");
    client.send(&publish[..6]);
    client.expect_end();
    assert_due(start, Duration::from_secs(1));
    assert_eq!(watcher.message(), ("will/4".into(), "gone".into()));
}

#[test]
fn a_client_that_never_sends_connect_is_closed() {
    let broker = Broker::with_settings(&["limits.connect_timeout_secs=1"]);
    let start = Instant::now();
    broker.dial().expect_end();
    assert_due(start, Duration::from_secs(1));
}

#[test]
fn a_client_that_sends_half_a_connect_is_closed() {
    let broker = Broker::with_settings(&["limits.connect_timeout_secs=1"]);
    let start = Instant::now();
    let mut client = broker.dial();
    client.send(&connect(&Hello::new(V5, "half"))[..9]);
    client.expect_end();
    assert_due(start, Duration::from_secs(1));
}

#[test]
fn a_stop_publishes_wills_tells_5_0_clients_and_ends_with_success() {
    let mut broker = Broker::start();
    let mut watcher = watcher(&broker, V5);
    let mut old = mortal(&broker, V311, 0);
    let mut new = mortal(&broker, V5, 0);
    broker.terminate();
    let mut wills = [watcher.message().0, watcher.message().0];
    wills.sort();
    assert_eq!(wills, ["will/4", "will/5"]);
    for client in [&mut watcher, &mut new] {
        let farewell = client.packet();
        assert_eq!((farewell[0], farewell[2]), (0xE0, 0x8B), "DISCONNECT 0x8B {farewell:02x?}");
        client.expect_end();
    }
    old.expect_end();
    assert_eq!(broker.wait().code(), Some(0));
}

/// A server that a test plays by hand.
struct FakeServer(TcpListener);

impl FakeServer {
    fn open() -> FakeServer {
        FakeServer(TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"))
    }

    /// `longwire sub` that connects here.
    fn subscriber(&self) -> Process {
        let port = self.0.local_addr().expect("a bound socket has an address").port().to_string();
        Process::spawn(&mut longwire(&[
            "sub",
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-V",
            "mqttv311",
            "-k",
            "1",
            "-t",
            "a",
        ]))
    }

    /// The next connection, up to its CONNECT.
    fn accept(&self) -> Wire {
        let mut wire = Wire::over(self.next_stream());
        let connect = wire.packet();
        assert_eq!(connect[0], 0x10, "CONNECT {connect:02x?}");
        wire
    }

    fn next_stream(&self) -> TcpStream {
        self.0.set_nonblocking(true).expect("a listener takes options");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok((stream, _)) = self.0.accept() {
                stream.set_nonblocking(false).expect("a socket takes options");
                return stream;
            }
            assert!(Instant::now() < deadline, "nobody connects");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_client_whose_server_goes_silent_notices_and_reconnects() {
    let server = FakeServer::open();
    let _subscriber = server.subscriber();
    let mut first = server.accept();
    first.send(&[0x20, 2, 0, 0]);
    let subscribe = first.packet();
    assert_eq!(subscribe[0], 0x82, "SUBSCRIBE {subscribe:02x?}");
    first.send(&[0x90, 3, subscribe[2], subscribe[3], 0]);
    assert_eq!(first.packet(), PINGREQ);
    // No answer: the client gives up on this connection and opens another one.
    while first.packet_or_end().is_some() {}
    server.accept();
}

#[test]
fn a_client_that_gets_no_connack_in_time_closes() {
    let server = FakeServer::open();
    let _subscriber = server.subscriber();
    server.accept().expect_end();
}
