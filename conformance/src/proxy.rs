//! A proxy in front of a broker that adds one fault, or none, so that scenes can be asked whether they see it.
//!
//! Every connection has a thread per direction, which cuts its stream into packets ([`cut`]) and lets the fault act
//! where it wants to ([`turn`]). Everything else passes on byte by byte, half-closes too; a reset passes on as an end in
//! both directions. A direction that cannot be written to any more is read to its end, so that nobody waits for it. The
//! greeting before the scenes is let through, because nothing would be played without it.

mod cut;
mod turn;

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use longwire_proto::packet::{Packet, PacketType};
use longwire_proto::{Version, decode};

use crate::fault::{Fault, Touch};
use crate::greeting;
use cut::{Cutter, Piece};
pub(crate) use turn::{Notes, Side, Turn, encoded, publish};

/// Bytes that a direction reads at a time.
const CHUNK_BYTES: usize = 16 * 1024;
/// Answers that wait for the end of a packet; more are lost, which is one more fault.
const WAITING_BYTES_MAX: usize = 64 * 1024;
/// How long a packet that is late waits for another one that is.
const LATE_MAX: Duration = Duration::from_millis(50);
/// Client ids whose notes are kept before all are forgotten.
const SESSIONS_MAX: usize = 10_000;

/// A proxy on the loopback; it ends with this value, and so do its connections.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// What all connections share.
struct Shared {
    broker: SocketAddr,
    fault: Option<&'static Fault>,
    ends: AtomicBool,
    notes: Mutex<SharedNotes>,
    open: Mutex<Vec<Weak<Connection>>>,
}

#[derive(Default)]
struct SharedNotes {
    sessions: HashMap<String, Notes>,
    broker: Notes,
}

impl Proxy {
    /// Starts a proxy in front of this broker, with this fault.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn start(broker: SocketAddr, fault: Option<&'static Fault>) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (ends, notes, open) = Default::default();
        let shared = Arc::new(Shared { broker, fault, ends, notes, open });
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Proxy { address, shared, accepting: Some(accepting) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts; without a connection it would wait for ever, and so would this.
        if TcpStream::connect(self.address).is_ok()
            && let Some(accepting) = self.accepting.take()
        {
            let _ = accepting.join();
        }
    }
}

/// Accepts until the proxy ends, then ends the connections too.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while let Ok((client, _)) = listener.accept() {
        if shared.ends.load(Ordering::Relaxed) {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        let shared = Arc::clone(shared);
        threads.push(thread::spawn(move || connect(client, &shared)));
    }
    for connection in locked(&shared.open).iter().filter_map(Weak::upgrade) {
        connection.cut();
    }
    for thread in threads {
        // A panic there has told its story already.
        let _ = thread.join();
    }
}

/// Connects to the broker and runs both directions to their ends. A broker that is gone is a close.
fn connect(client: TcpStream, shared: &Arc<Shared>) {
    let Ok(broker) = TcpStream::connect(shared.broker) else { return };
    let connection = Arc::new(Connection {
        client: End::new(client),
        broker: End::new(broker),
        state: Mutex::default(),
        shared: Arc::clone(shared),
    });
    let mut open = locked(&shared.open);
    open.retain(|connection| connection.strong_count() > 0);
    open.push(Arc::downgrade(&connection));
    drop(open);
    if shared.ends.load(Ordering::Relaxed) {
        return;
    }
    thread::scope(|scope| {
        scope.spawn(|| connection.run(Side::Broker));
        connection.run(Side::Client);
    });
}

/// One connection: its two ends, and what is known about it.
struct Connection {
    client: End,
    broker: End,
    state: Mutex<State>,
    shared: Arc<Shared>,
}

/// What CONNECT told, and the notes of the fault.
struct State {
    version: Version,
    client_id: String,
    notes: Notes,
}

impl Default for State {
    fn default() -> Self {
        State { version: Version::V5, client_id: String::new(), notes: Notes::default() }
    }
}

/// What a fault makes of a packet.
struct Outcome {
    on: Vec<u8>,
    answer: Vec<u8>,
    is_late: bool,
    is_cut: bool,
    stays_open: bool,
}

impl Connection {
    /// Passes on everything that comes from this side.
    fn run(&self, from: Side) {
        let mut cutter = Cutter::default();
        let mut late = Vec::new();
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            match self.end(from).read(&mut chunk, !late.is_empty()) {
                Ok(0) => return self.pass_end(from, &late, Shutdown::Write),
                Ok(read) => cutter.push(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if cutter.is_between_packets() {
                        self.end(from.other()).write(&std::mem::take(&mut late), true);
                    }
                    continue;
                }
                Err(_) => return self.pass_end(from, &late, Shutdown::Both),
            }
            while let Some(piece) = cutter.next(|first| self.touches(from, first)) {
                self.pass(from, piece, &mut late);
            }
        }
    }

    /// Passes on a piece, or what the fault makes of it, and what is late behind that.
    fn pass(&self, from: Side, piece: Piece, late: &mut Vec<u8>) {
        let to = self.end(from.other());
        let (bytes, passed) = match piece {
            Piece::Part(bytes) => return to.write(&bytes, false),
            Piece::Packet { bytes, passed } => (bytes, passed),
        };
        self.learn(&bytes);
        if !self.touches(from, bytes[0]) {
            return to.write(&bytes[passed..], true);
        }
        let outcome = self.act(from, false, bytes);
        if outcome.is_late && late.is_empty() {
            *late = outcome.on;
        } else {
            to.write(&outcome.on, true);
            if outcome.is_late {
                to.write(&std::mem::take(late), true);
            }
        }
        self.end(from).answer(&outcome.answer);
        if outcome.is_cut {
            self.cut();
        }
    }

    /// Passes on the end of a direction, behind what is late.
    fn pass_end(&self, from: Side, late: &[u8], how: Shutdown) {
        let to = self.end(from.other());
        to.write(late, true);
        if self.fault().is_some_and(|fault| fault.touches.contains(&Touch::End(from))) {
            let outcome = self.act(from, true, Vec::new());
            to.write(&outcome.on, true);
            if outcome.stays_open {
                return;
            }
        }
        let _ = to.socket.shutdown(how);
    }

    /// Whether the fault wants packets from this side that begin with this byte.
    fn touches(&self, from: Side, first: u8) -> bool {
        let Some(fault) = self.fault() else { return false };
        PacketType::from_first_byte(first)
            .is_some_and(|packet_type| fault.touches.contains(&Touch::Packet(from, packet_type)))
    }

    /// The fault that this connection has.
    fn fault(&self) -> Option<&'static Fault> {
        self.shared.fault.filter(|_| !self.state().client_id.ends_with(greeting::NAME))
    }

    /// Notes what a CONNECT says about its connection.
    fn learn(&self, bytes: &[u8]) {
        if PacketType::from_first_byte(bytes[0]) != Some(PacketType::Connect) {
            return;
        }
        let mut state = self.state();
        if let Some(Packet::Connect(connect)) = turn::decoded(bytes, state.version, Side::Client) {
            state.version = connect.version;
            connect.client_id.clone_into(&mut state.client_id);
        } else if decode::connect_level(bytes).is_some_and(|level| level & 0x7F < Version::V5 as u8) {
            state.version = Version::V311;
        }
    }

    /// Lets the fault act.
    fn act(&self, from: Side, is_end: bool, bytes: Vec<u8>) -> Outcome {
        let mut state = self.state();
        let mut shared = locked(&self.shared.notes);
        let SharedNotes { sessions, broker } = &mut *shared;
        if sessions.len() >= SESSIONS_MAX {
            sessions.clear();
        }
        let State { version, client_id, notes } = &mut *state;
        let mut turn = Turn {
            from,
            is_end,
            version: *version,
            bytes,
            answer: Vec::new(),
            is_late: false,
            is_cut: false,
            stays_open: false,
            connection: notes,
            session: sessions.entry(client_id.clone()).or_default(),
            broker,
        };
        if let Some(fault) = self.shared.fault {
            (fault.act)(&mut turn);
        }
        let Turn { bytes: on, answer, is_late, is_cut, stays_open, .. } = turn;
        Outcome { on, answer, is_late, is_cut, stays_open }
    }

    fn cut(&self) {
        let _ = self.client.socket.shutdown(Shutdown::Both);
        let _ = self.broker.socket.shutdown(Shutdown::Both);
    }

    fn end(&self, side: Side) -> &End {
        if side == Side::Client { &self.client } else { &self.broker }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

/// One end of a connection, which both directions may write to, but never inside a packet of the other.
struct End {
    socket: TcpStream,
    outlet: Mutex<Outlet>,
}

#[derive(Default)]
struct Outlet {
    /// A packet has begun and goes on.
    inside: bool,
    /// What waits for its end.
    waiting: Vec<u8>,
}

impl End {
    fn new(socket: TcpStream) -> Self {
        // Without it everything is only slower.
        let _ = socket.set_nodelay(true);
        End { socket, outlet: Mutex::default() }
    }

    /// Reads once; if something is late, not for long.
    fn read(&self, chunk: &mut [u8], is_late: bool) -> io::Result<usize> {
        self.socket.set_read_timeout(is_late.then_some(LATE_MAX))?;
        (&self.socket).read(chunk)
    }

    /// Writes what comes from across: part of a packet, or packets to their end.
    fn write(&self, bytes: &[u8], whole: bool) {
        if bytes.is_empty() {
            return;
        }
        let mut outlet = locked(&self.outlet);
        // An end that is gone is noticed where it is read.
        let _ = (&self.socket).write_all(bytes);
        outlet.inside = !whole;
        if whole {
            let _ = (&self.socket).write_all(&std::mem::take(&mut outlet.waiting));
        }
    }

    /// Writes packets that do not come from across, now or between two packets that do.
    fn answer(&self, bytes: &[u8]) {
        let mut outlet = locked(&self.outlet);
        if !outlet.inside {
            let _ = (&self.socket).write_all(bytes);
        } else if outlet.waiting.len() < WAITING_BYTES_MAX {
            outlet.waiting.extend_from_slice(bytes);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a test waits for what must come.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// A proxy, and both ends of a connection through it.
    fn connected() -> (Proxy, TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let broker = listener.local_addr().expect("it is bound");
        let proxy = Proxy::start(broker, None).expect("there is a free port");
        let client = TcpStream::connect(proxy.address()).expect("the proxy listens");
        let (broker, _) = listener.accept().expect("the proxy connects");
        for socket in [&client, &broker] {
            socket.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
        }
        (proxy, client, broker)
    }

    fn rest(mut socket: &TcpStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).expect("the stream ends");
        bytes
    }

    #[test]
    fn bytes_that_are_no_packets_pass_as_they_are() {
        let (_proxy, mut client, broker) = connected();
        let garbage = b"\x30\xFF\xFF\xFF\xFF\xFF no packet \xC0\x80\x80\x00 at all";
        client.write_all(garbage).expect("the proxy reads");
        client.shutdown(Shutdown::Write).expect("it is connected");
        assert_eq!(rest(&broker), garbage);
    }

    #[test]
    fn half_a_packet_passes_before_the_rest_of_it_comes() {
        let (_proxy, mut client, mut broker) = connected();
        client.write_all(&[0x30, 100, 0]).expect("the proxy reads");
        let mut came = [0; 3];
        broker.read_exact(&mut came).expect("half a packet comes");
        assert_eq!(came, [0x30, 100, 0]);
    }

    #[test]
    fn one_direction_ends_and_the_other_goes_on() {
        let (_proxy, client, mut broker) = connected();
        client.shutdown(Shutdown::Write).expect("it is connected");
        assert!(rest(&broker).is_empty());
        broker.write_all(&[0xD0, 0]).expect("the proxy reads");
        broker.shutdown(Shutdown::Write).expect("it is connected");
        assert_eq!(rest(&client), [0xD0, 0]);
    }

    #[test]
    fn connections_end_with_their_proxy() {
        let (proxy, client, broker) = connected();
        drop(proxy);
        assert!(rest(&client).is_empty());
        assert!(rest(&broker).is_empty());
    }
}
