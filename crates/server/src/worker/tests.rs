//! A worker whose turns are taken by hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::AtomicUsize;

use longwire_broker::limits::Limits;
use longwire_net::listen;
use longwire_net::mail;

use super::accept::ACCEPTED_PER_TURN;
use super::*;

/// CONNECT of 3.1.1 with client id `c`.
const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c";

fn worker() -> (Worker, SocketAddr) {
    let limits = Limits::default();
    let key = HashKey(1, 2);
    let poll = Poll::new().unwrap();
    let (sender, inbox) = mail::mailbox(poll.waker());
    let (journal, _) = mail::blocking_mailbox();
    let shared = Shared {
        tables: Arc::new(Tables::new(key)),
        clock: Clock::start(),
        key,
        workers: vec![sender],
        journal,
        unkept: Arc::new(AtomicUsize::new(0)),
        undelivered: Arc::new(AtomicUsize::new(0)),
        sys: Arc::new(Sys::new(1, 0)),
    };
    let socket = listen::bind("127.0.0.1:0".parse().unwrap(), 4_096).unwrap();
    let address = socket.local_addr().unwrap();
    let listeners = vec![Listener::new(&socket).unwrap()];
    let mut worker = Worker::new(0, &limits, poll, inbox, listeners, shared);
    worker.register_listeners().unwrap();
    (worker, address)
}

#[test]
fn whoever_waits_beyond_one_turn_of_accepting_is_accepted_in_the_next() {
    let (mut worker, address) = worker();
    let clients: Vec<_> = (0..=ACCEPTED_PER_TURN).map(|_| TcpStream::connect(address).unwrap()).collect();
    worker.accept_all(0);
    assert_eq!(worker.connections.len(), ACCEPTED_PER_TURN);
    assert_eq!(worker.wait_max(), Duration::ZERO, "readiness does not tell of them again");
    worker.go_on();
    assert_eq!(worker.connections.len(), clients.len());
    assert!(worker.wait_max() > Duration::ZERO);
}

#[test]
fn nobody_is_read_while_too_much_is_undelivered() {
    let (mut worker, address) = worker();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.write_all(CONNECT).unwrap();
    worker.accept_all(0);
    worker.read_later(0);
    worker.shared.undelivered.store(UNDELIVERED_BYTES + 1, Ordering::Relaxed);
    worker.read_ready();
    worker.end_turn();
    assert_eq!(worker.shard.connections(), 0);
    assert_eq!(worker.wait_max(), WAIT_HELD_BACK);

    worker.shared.undelivered.store(0, Ordering::Relaxed);
    worker.read_ready();
    worker.end_turn();
    client.read_exact(&mut [0; 4]).unwrap();
}
