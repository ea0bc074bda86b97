//! The null relay: the least that anything between MQTT clients must do, as the floor to compare a broker with.
//!
//! It finds the boundaries of frames, gives canned answers, and copies each PUBLISH unchanged to those who subscribed
//! to exactly its topic, with one write per receiver and turn. It checks nothing, keeps no session, knows no wildcard,
//! and passes packet identifiers through, so all clients must speak the same version. One thread, loopback only.
//!
//! `relay [PORT]` listens on 127.0.0.1 (port 0, the default, lets the system choose) and prints the address.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use longwire_net::descriptors::raise_descriptor_limit;
use longwire_net::listen::{Accepted, Listener, bind};
use longwire_net::poll::{Poll, Ready};
use longwire_net::stream::Stream;

const LISTENER: usize = usize::MAX - 1;
/// Bytes asked of a socket at a time.
const READ_BYTES: usize = 64 * 1024;
/// A peer with a longer frame is dropped.
const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// A receiver that is further behind is dropped.
const BACKLOG_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Write buffers kept for the next turn, and how large one of them may have grown.
const SPARE_BUFFERS_MAX: usize = 1024;
const SPARE_BYTES_MAX: usize = 256 * 1024;

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse()).map_err(io::Error::other)?;
    raise_descriptor_limit()?;
    let mut relay = Relay::new(SocketAddr::from(([127, 0, 0, 1], port)))?;
    println!("{}", relay.listener.local_address()?);
    let mut ready = Vec::new();
    loop {
        relay.poll.wait(None, &mut ready)?;
        relay.turn(&ready)?;
    }
}

struct Relay {
    poll: Poll,
    listener: Listener,
    connections: Vec<Option<Connection>>,
    /// Slots of `connections` that are empty.
    free: Vec<u32>,
    topics: HashMap<Box<[u8]>, Vec<u32>>,
    /// Connections with bytes that no write was tried for.
    dirty: Vec<u32>,
    /// Connections that ended in this turn; their slots are used again when nothing points to them.
    closed: Vec<u32>,
    spare: Vec<Vec<u8>>,
    buffer: Box<[u8]>,
}

struct Connection {
    stream: Stream,
    version_5: bool,
    dirty: bool,
    /// The beginning of a frame whose rest has not arrived.
    rest: Vec<u8>,
    out: Vec<u8>,
}

/// A connection that is to be dropped: it ended, broke the framing or fell too far behind.
struct Over;

impl Relay {
    fn new(address: SocketAddr) -> io::Result<Relay> {
        let mut listener = Listener::new(&bind(address, 4096)?)?;
        let poll = Poll::new()?;
        poll.register(&mut listener, LISTENER)?;
        Ok(Relay {
            poll,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            topics: HashMap::new(),
            dirty: Vec::new(),
            closed: Vec::new(),
            spare: Vec::new(),
            buffer: vec![0; FRAME_BYTES_MAX + READ_BYTES].into(),
        })
    }

    fn turn(&mut self, ready: &[Ready]) -> io::Result<()> {
        for event in ready {
            if event.token == LISTENER {
                self.accept()?;
                continue;
            }
            let slot = event.token as u32;
            if event.writable {
                self.mark(slot);
            }
            if event.readable && self.read(slot, event.closed).is_err() {
                self.close(slot);
            }
        }
        while let Some(slot) = self.dirty.pop() {
            if self.flush(slot).is_err() {
                self.close(slot);
            }
        }
        self.forget_closed();
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Accepted::Stream(mut stream, _) => {
                    let slot = self.free.pop().unwrap_or(self.connections.len() as u32);
                    self.poll.register(&mut stream, slot as usize)?;
                    let connection =
                        Connection { stream, version_5: false, dirty: false, rest: vec![], out: vec![] };
                    match self.connections.get_mut(slot as usize) {
                        Some(empty) => *empty = Some(connection),
                        None => self.connections.push(Some(connection)),
                    }
                }
                Accepted::Drained => return Ok(()),
                Accepted::OutOfDescriptors(error) | Accepted::Failed(error) => return Err(error),
            }
        }
    }

    /// Reads until there is no more, and handles every whole frame.
    fn read(&mut self, slot: u32, to_the_end: bool) -> Result<(), Over> {
        loop {
            let Some(connection) = &mut self.connections[slot as usize] else { return Ok(()) };
            let before = connection.rest.len();
            self.buffer[..before].copy_from_slice(&connection.rest);
            let fresh = match connection.stream.read(&mut self.buffer[before..before + READ_BYTES]) {
                Ok(0) => return Err(Over),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Over),
            };
            connection.rest = Vec::new();
            let buffer = std::mem::take(&mut self.buffer);
            let result = self.handle(slot, &buffer[..before + fresh]);
            self.buffer = buffer;
            result?;
            if fresh < READ_BYTES && !to_the_end {
                return Ok(());
            }
        }
    }

    /// Handles the whole frames in `bytes` and keeps the rest for later.
    fn handle(&mut self, slot: u32, mut bytes: &[u8]) -> Result<(), Over> {
        while let Some((header, len)) = frame_len(bytes)? {
            if bytes.len() < len {
                break;
            }
            let (frame, tail) = bytes.split_at(len);
            self.handle_frame(slot, frame, &frame[header..]).ok_or(Over)??;
            bytes = tail;
        }
        if let Some(connection) = &mut self.connections[slot as usize] {
            connection.rest.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// `None` when the frame is shorter than its kind must be.
    fn handle_frame(&mut self, slot: u32, frame: &[u8], body: &[u8]) -> Option<Result<(), Over>> {
        match frame[0] >> 4 {
            3 => self.forward(slot, frame, body)?,
            1 => self.greet(slot, body)?,
            5 => self.answer(slot, 0x62, body)?,
            6 => self.answer(slot, 0x70, body)?,
            8 => self.subscribe(slot, body)?,
            12 => self.send(slot, &[0xD0, 0]),
            14 => return Some(Err(Over)),
            _ => {}
        }
        Some(Ok(()))
    }

    fn greet(&mut self, slot: u32, body: &[u8]) -> Option<()> {
        let (_, after_name) = split_text(body)?;
        let version_5 = *after_name.first()? == 5;
        self.connections[slot as usize].as_mut()?.version_5 = version_5;
        self.send(slot, if version_5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] });
        Some(())
    }

    /// Copies a PUBLISH to its receivers and answers the publisher.
    fn forward(&mut self, slot: u32, frame: &[u8], body: &[u8]) -> Option<()> {
        let (topic, after_topic) = split_text(body)?;
        for &receiver in self.topics.get(topic).map_or(&[][..], Vec::as_slice) {
            append(&mut self.connections, &mut self.dirty, &mut self.spare, receiver, frame);
        }
        match frame[0] >> 1 & 3 {
            0 => Some(()),
            1 => self.answer(slot, 0x40, after_topic),
            _ => self.answer(slot, 0x50, after_topic),
        }
    }

    /// Sends the short acknowledgement whose first byte is `kind`, for the packet identifier at the start of `bytes`.
    fn answer(&mut self, slot: u32, kind: u8, bytes: &[u8]) -> Option<()> {
        let id = bytes.first_chunk::<2>()?;
        self.send(slot, &[kind, 2, id[0], id[1]]);
        Some(())
    }

    fn subscribe(&mut self, slot: u32, body: &[u8]) -> Option<()> {
        let version_5 = self.connections[slot as usize].as_ref()?.version_5;
        let (id, mut rest) = body.split_first_chunk::<2>()?;
        let mut answer = id.to_vec();
        if version_5 {
            let (len, properties) = varint(rest).ok()??;
            rest = rest.get(len + properties..)?;
            answer.push(0);
        }
        while !rest.is_empty() {
            let (topic, after_topic) = split_text(rest)?;
            let (options, tail) = after_topic.split_first()?;
            self.topics.entry(topic.into()).or_default().push(slot);
            answer.push(options & 3);
            rest = tail;
        }
        let mut len = answer.len();
        let mut header = vec![0x90];
        while len >= 128 {
            header.push(len as u8 | 128);
            len >>= 7;
        }
        header.push(len as u8);
        self.send(slot, &header);
        self.send(slot, &answer);
        Some(())
    }

    fn send(&mut self, slot: u32, bytes: &[u8]) {
        append(&mut self.connections, &mut self.dirty, &mut self.spare, slot, bytes);
    }

    /// Puts a connection that has something to write on the list.
    fn mark(&mut self, slot: u32) {
        if let Some(connection) = &mut self.connections[slot as usize]
            && !connection.dirty
            && !connection.out.is_empty()
        {
            connection.dirty = true;
            self.dirty.push(slot);
        }
    }

    /// One write; what did not fit waits until the socket is writable again.
    fn flush(&mut self, slot: u32) -> Result<(), Over> {
        let Some(connection) = &mut self.connections[slot as usize] else { return Ok(()) };
        connection.dirty = false;
        let written = match connection.stream.write(&connection.out) {
            Ok(written) => written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return Err(Over),
        };
        if written < connection.out.len() {
            connection.out.drain(..written);
            return if connection.out.len() > BACKLOG_BYTES_MAX { Err(Over) } else { Ok(()) };
        }
        let mut out = std::mem::take(&mut connection.out);
        if self.spare.len() < SPARE_BUFFERS_MAX && out.capacity() <= SPARE_BYTES_MAX {
            out.clear();
            self.spare.push(out);
        }
        Ok(())
    }

    fn close(&mut self, slot: u32) {
        if self.connections[slot as usize].take().is_some() {
            self.closed.push(slot);
        }
    }

    fn forget_closed(&mut self) {
        if self.closed.is_empty() {
            return;
        }
        self.closed.sort_unstable();
        self.topics.retain(|_, receivers| {
            receivers.retain(|receiver| self.closed.binary_search(receiver).is_err());
            !receivers.is_empty()
        });
        self.free.append(&mut self.closed);
    }
}

fn append(
    connections: &mut [Option<Connection>],
    dirty: &mut Vec<u32>,
    spare: &mut Vec<Vec<u8>>,
    slot: u32,
    bytes: &[u8],
) {
    let Some(connection) = &mut connections[slot as usize] else { return };
    if connection.out.capacity() == 0 {
        connection.out = spare.pop().unwrap_or_default();
    }
    // Bytes that are left from the last turn wait for the socket, which will tell when there is room.
    if !connection.dirty && (connection.out.is_empty() || connection.out.len() > BACKLOG_BYTES_MAX) {
        connection.dirty = true;
        dirty.push(slot);
    }
    connection.out.extend_from_slice(bytes);
}

/// Lengths of the header and of the whole frame at the start of `bytes`; `None` when too little has arrived.
fn frame_len(bytes: &[u8]) -> Result<Option<(usize, usize)>, Over> {
    let Some((len, body)) = varint(bytes.get(1..).unwrap_or_default())? else { return Ok(None) };
    let whole = 1 + len + body;
    if whole > FRAME_BYTES_MAX { Err(Over) } else { Ok(Some((1 + len, whole))) }
}

/// A variable byte integer: how many bytes it takes, and its value.
fn varint(bytes: &[u8]) -> Result<Option<(usize, usize)>, Over> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 127) << (7 * index);
        if byte & 128 == 0 {
            return Ok(Some((index + 1, value)));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(Over) }
}

/// A length-prefixed text, and what follows it.
fn split_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, tail) = bytes.split_first_chunk::<2>()?;
    tail.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}
