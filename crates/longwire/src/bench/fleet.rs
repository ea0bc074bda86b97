//! Many connections of MQTT clients on one thread: dialling, greeting, keep-alive, acknowledging, reading and writing.
//!
//! What the clients are there for is decided by a [`Script`], which sees decoded packets and appends to the bytes that
//! leave at the end of the turn, with one write per connection. A client that fails is closed and counted, and the rest
//! goes on.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::mem;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use longwire_net::descriptors::raise_descriptor_limit;
use longwire_net::poll::{Poll, Ready};
use longwire_net::stream::Stream;
use longwire_net::wheel::Wheel;
use longwire_proto::decode::{self, Decoded, Receiver, Rules};
use longwire_proto::encode::{self, AckKind};
use longwire_proto::packet::{Ack, ConnAck, Connect, Disconnect, Publish, SubAck};
use longwire_proto::property::Properties;
use longwire_proto::{Packet, PacketId, ReasonCode};
use serde_json::{Value, json};

use super::failed;
use super::progress::Progress;
use super::sources::Sources;
use super::stamp::now_nanos;
use super::target::Target;
use crate::complain;

/// Bytes asked of a socket at a time.
const READ_BYTES: usize = 128 * 1024;
/// Acknowledgements that may wait for one socket.
const OUT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Connections that may be under way at a time while a fleet is brought up.
const DIALLING_MAX: u32 = 512;
/// No new connection stood for this long: the broker does not let us in.
const STUCK: Duration = Duration::from_secs(20);
/// Kinds of faults told apart; the rest is counted together.
const FAULT_KINDS_MAX: usize = 16;
/// Write buffers kept for the next turn, so that idle clients hold none.
const SPARE_BUFFERS_MAX: usize = 1024;

/// What the clients of a fleet are there for.
pub(super) trait Script {
    /// The broker has let `client` in. Appends its SUBSCRIBE packets to `out` and tells how many.
    fn greeted(&mut self, client: u32, connack: &ConnAck<'_>, out: &mut Vec<u8>) -> io::Result<u32>;
    /// A message came for `client`. Acknowledging it is not the script's business.
    fn received(&mut self, client: u32, publish: &Publish<'_>, now_nanos: u64);
    /// A QoS 1 or 2 message that `client` published has come to its end.
    fn acknowledged(&mut self, client: u32);
}

/// The connections.
pub(super) struct Fleet {
    poll: Poll,
    ready: Vec<Ready>,
    address: SocketAddr,
    sources: Sources,
    credentials: (Option<String>, Option<Vec<u8>>),
    client_prefix: String,
    keep_alive_secs: u16,
    connect_rate: u32,
    rules: Rules,
    clients: Vec<Client>,
    /// Clients that have been let in, and whose subscriptions stand.
    up: u32,
    /// Clients with bytes to write whose sockets have room.
    dirty: Vec<u32>,
    spare: Vec<Vec<u8>>,
    buffer: Box<[u8]>,
    started: Instant,
    pings: Wheel,
    due: Vec<u32>,
    faults: Faults,
    progress: Progress,
    /// Time spent in waiting for sockets.
    idle: Duration,
}

struct Client {
    stream: Option<Stream>,
    phase: Phase,
    /// The socket has room.
    writable: bool,
    dirty: bool,
    /// The beginning of a packet whose rest has not arrived.
    rest: Vec<u8>,
    out: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// CONNECT is on its way.
    Greeting,
    /// This many SUBACKs are missing.
    Subscribing(u32),
    Up,
}

impl Fleet {
    /// A fleet without connections; packets of up to `packet_size_max` bytes are expected.
    pub(super) fn new(target: &Target, packet_size_max: usize) -> io::Result<Fleet> {
        // A limit that cannot be raised shows when connections fail.
        let _ = raise_descriptor_limit();
        let address = target.address()?;
        Ok(Fleet {
            poll: Poll::new()?,
            ready: Vec::new(),
            address,
            sources: target.sources(address),
            credentials: target.credentials(),
            client_prefix: target.client_prefix.clone(),
            keep_alive_secs: target.keep_alive,
            connect_rate: target.connect_rate,
            rules: Rules {
                version: target.mqtt_version,
                receiver: Receiver::Client,
                packet_size_max: packet_size_max as u32,
                strict_text: false,
            },
            clients: Vec::new(),
            up: 0,
            dirty: Vec::new(),
            spare: Vec::new(),
            buffer: vec![0; packet_size_max + READ_BYTES].into(),
            started: Instant::now(),
            pings: Wheel::new(0),
            due: Vec::new(),
            faults: Faults::default(),
            progress: Progress::new(),
            idle: Duration::ZERO,
        })
    }

    /// Connects clients until there are `count`, at the rate of the target, and waits until all are let in and
    /// subscribed.
    pub(super) fn bring_up(&mut self, count: u32, script: &mut impl Script) -> io::Result<()> {
        let (start, dialled_before) = (Instant::now(), self.clients.len() as u32);
        let mut progress = (self.up, start);
        while self.up < count {
            let allowed = start.elapsed().as_secs_f64() * f64::from(self.connect_rate);
            while (self.clients.len() as u32) < count.min(self.up + DIALLING_MAX)
                && f64::from(self.clients.len() as u32 - dialled_before) <= allowed
            {
                self.dial()?;
            }
            self.turn(Duration::from_millis(1), script)?;
            let up = self.up;
            self.progress.show(|_| format!("{up} of {count} clients are connected"));
            if self.up > progress.0 {
                progress = (self.up, Instant::now());
            }
            if !self.faults.is_empty() || progress.1.elapsed() > STUCK {
                let why = self.faults.first().unwrap_or("the broker does not answer");
                self.progress.clear();
                let (up, address) = (self.up, self.address);
                return Err(failed(format!(
                    "{up} of {count} clients are connected to {address}, then: {why}; is a broker running there, and does it \
                     let as many in?"
                )));
            }
        }
        Ok(())
    }

    fn dial(&mut self) -> io::Result<()> {
        let number = self.clients.len() as u32;
        let mut stream = self.sources.connect(number, self.address)?;
        self.poll.register(&mut stream, number as usize)?;
        let connect = Connect {
            version: self.rules.version,
            bridge: false,
            clean_start: true,
            keep_alive_secs: self.keep_alive_secs,
            client_id: &format!("{}-{}-{number}", self.client_prefix, std::process::id()),
            will: None,
            user_name: self.credentials.0.as_deref(),
            password: self.credentials.1.as_deref(),
            properties: Properties::EMPTY,
        };
        let mut out = Vec::new();
        encode::packet(&Packet::Connect(connect), self.rules.version, &mut out).map_err(io::Error::other)?;
        let (phase, rest) = (Phase::Greeting, Vec::new());
        self.clients.push(Client { stream: Some(stream), phase, writable: false, dirty: false, rest, out });
        if self.keep_alive_secs > 0 {
            self.ping_later(number);
        }
        Ok(())
    }

    /// Waits for at most `timeout`, handles what has arrived, and writes what has been appended.
    pub(super) fn turn(&mut self, timeout: Duration, script: &mut impl Script) -> io::Result<()> {
        let mut ready = mem::take(&mut self.ready);
        let waiting = Instant::now();
        self.poll.wait(Some(timeout), &mut ready)?;
        self.idle += waiting.elapsed();
        self.handle_ready(ready, script)
    }

    /// The same with a timeout that is kept to the microsecond.
    pub(super) fn turn_finely(&mut self, timeout: Duration, script: &mut impl Script) -> io::Result<()> {
        let mut ready = mem::take(&mut self.ready);
        let waiting = Instant::now();
        self.poll.wait_finely(timeout, &mut ready)?;
        self.idle += waiting.elapsed();
        self.handle_ready(ready, script)
    }

    fn handle_ready(&mut self, ready: Vec<Ready>, script: &mut impl Script) -> io::Result<()> {
        for event in &ready {
            let number = event.token as u32;
            if event.writable {
                self.clients[number as usize].writable = true;
                if !self.clients[number as usize].out.is_empty() {
                    self.mark(number);
                }
            }
            if event.readable {
                self.read(number, event.closed, script)?;
            }
        }
        self.ready = ready;
        self.ping();
        self.flush();
        Ok(())
    }

    /// Where bytes for `client` can be appended; they leave with the next [`Fleet::flush`] or turn. `None` while
    /// earlier bytes still wait for the socket, and when the client is gone.
    pub(super) fn writer(&mut self, client: u32) -> Option<&mut Vec<u8>> {
        let entry = &self.clients[client as usize];
        if entry.stream.is_none() || (!entry.out.is_empty() && !entry.dirty) || !entry.writable {
            return None;
        }
        self.mark(client);
        Some(self.out(client))
    }

    /// Writes what has been appended.
    pub(super) fn flush(&mut self) {
        while let Some(number) = self.dirty.pop() {
            self.clients[number as usize].dirty = false;
            if let Err(error) = self.write(number) {
                self.close(number, &error.to_string());
            }
        }
    }

    /// Says goodbye for all clients.
    pub(super) fn disconnect(&mut self) {
        let disconnect = Disconnect { reason: ReasonCode::Success, properties: Properties::EMPTY };
        for client in &mut self.clients {
            let Some(stream) = &mut client.stream else { continue };
            let mut out = mem::take(&mut client.out);
            if encode::packet(&Packet::Disconnect(disconnect), self.rules.version, &mut out).is_ok() {
                // Whoever does not take it is left by the end of the connection.
                let _ = stream.write(&out);
            }
            client.stream = None;
        }
    }

    /// Time spent in waiting for sockets: what is left the clients were at work.
    pub(super) fn idle(&self) -> Duration {
        self.idle
    }

    /// The line that shows how it goes.
    pub(super) fn progress(&mut self) -> &mut Progress {
        &mut self.progress
    }

    /// Says something on a line that stays.
    pub(super) fn tell(&mut self, what: impl Display) {
        self.progress.clear();
        complain(what);
    }

    /// What went wrong with connections: each kind with its count.
    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Reads until there is no more, and handles every whole packet.
    fn read(&mut self, number: u32, to_the_end: bool, script: &mut impl Script) -> io::Result<()> {
        loop {
            let client = &mut self.clients[number as usize];
            let Some(stream) = &mut client.stream else { return Ok(()) };
            let before = client.rest.len();
            self.buffer[..before].copy_from_slice(&client.rest);
            let fresh = match stream.read(&mut self.buffer[before..before + READ_BYTES]) {
                Ok(0) => {
                    self.close(number, "the broker closed the connection");
                    return Ok(());
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    self.close(number, &error.to_string());
                    return Ok(());
                }
            };
            client.rest.clear();
            let buffer = mem::take(&mut self.buffer);
            let result = self.handle(number, &buffer[..before + fresh], script);
            self.buffer = buffer;
            result?;
            if fresh < READ_BYTES && !to_the_end {
                return Ok(());
            }
        }
    }

    /// Handles the whole packets in `bytes` and keeps the rest for later.
    fn handle(&mut self, number: u32, mut bytes: &[u8], script: &mut impl Script) -> io::Result<()> {
        let now_nanos = now_nanos();
        while !bytes.is_empty() {
            match decode::packet(bytes, &self.rules) {
                Ok(Decoded::Packet(packet, len)) => {
                    self.handle_packet(number, &packet, now_nanos, script)?;
                    bytes = &bytes[len..];
                }
                Ok(Decoded::Incomplete { .. }) => break,
                Err(error) => {
                    self.close(number, &format!("the broker sent a broken packet: {error}"));
                    return Ok(());
                }
            }
        }
        let client = &mut self.clients[number as usize];
        client.rest.extend_from_slice(bytes);
        if client.out.len() > OUT_BYTES_MAX {
            self.close(number, "the broker sends but does not read");
        }
        Ok(())
    }

    fn handle_packet(
        &mut self,
        number: u32,
        packet: &Packet<'_>,
        now_nanos: u64,
        script: &mut impl Script,
    ) -> io::Result<()> {
        match packet {
            Packet::Publish(publish) => {
                script.received(number, publish, now_nanos);
                match (publish.qos as u8, publish.packet_id) {
                    (1, Some(id)) => self.answer(number, AckKind::PubAck, id),
                    (2, Some(id)) => self.answer(number, AckKind::PubRec, id),
                    _ => {}
                }
            }
            Packet::PubAck(ack) | Packet::PubComp(ack) => {
                self.note_refusal(ack.reason);
                script.acknowledged(number);
            }
            Packet::PubRec(ack) if ack.reason.is_error() => {
                self.note_refusal(ack.reason);
                script.acknowledged(number);
            }
            Packet::PubRec(ack) => self.answer(number, AckKind::PubRel, ack.packet_id),
            Packet::PubRel(ack) => self.answer(number, AckKind::PubComp, ack.packet_id),
            Packet::ConnAck(connack) => self.greet(number, connack, script)?,
            Packet::SubAck(suback) => self.subscribed(number, suback),
            Packet::Disconnect(disconnect) => {
                self.close(number, &format!("the broker disconnected: {}", disconnect.reason));
            }
            _ => {}
        }
        Ok(())
    }

    fn note_refusal(&mut self, reason: ReasonCode) {
        if reason.is_error() {
            self.note_fault(&format!("the broker refused a message: {reason}"));
        }
    }

    fn answer(&mut self, number: u32, kind: AckKind, id: PacketId) {
        let version = self.rules.version;
        self.mark(number);
        encode::ack(kind, &Ack::new(id, ReasonCode::Success), version, self.out(number));
    }

    fn greet(&mut self, number: u32, connack: &ConnAck<'_>, script: &mut impl Script) -> io::Result<()> {
        if connack.reason.is_error() {
            self.close(number, &format!("the broker refused the connection: {}", connack.reason));
            return Ok(());
        }
        let subscribes = script.greeted(number, connack, self.out(number))?;
        self.mark(number);
        self.enter(number, subscribes);
        Ok(())
    }

    fn subscribed(&mut self, number: u32, suback: &SubAck<'_>) {
        if let Some(code) = suback.codes().find(|code| code.is_error()) {
            self.note_fault(&format!("the broker refused a subscription: {code}"));
        }
        if let Phase::Subscribing(missing) = self.clients[number as usize].phase {
            self.enter(number, missing - 1);
        }
    }

    /// Goes on to wait for `missing` SUBACKs, or is up.
    fn enter(&mut self, number: u32, missing: u32) {
        self.clients[number as usize].phase = match missing {
            0 => {
                self.up += 1;
                Phase::Up
            }
            _ => Phase::Subscribing(missing),
        };
    }

    /// The bytes of a client that wait to be written.
    fn out(&mut self, number: u32) -> &mut Vec<u8> {
        let out = &mut self.clients[number as usize].out;
        if out.capacity() == 0 {
            *out = self.spare.pop().unwrap_or_default();
        }
        out
    }

    /// Puts a client with bytes to write on the list, if its socket has room.
    fn mark(&mut self, number: u32) {
        let client = &mut self.clients[number as usize];
        if client.writable && !client.dirty {
            client.dirty = true;
            self.dirty.push(number);
        }
    }

    fn write(&mut self, number: u32) -> io::Result<()> {
        let client = &mut self.clients[number as usize];
        let (Some(stream), false) = (&mut client.stream, client.out.is_empty()) else { return Ok(()) };
        let written = match stream.write(&client.out) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            result => result?,
        };
        if written < client.out.len() {
            client.writable = false;
            client.out.drain(..written);
            return Ok(());
        }
        client.out.clear();
        if self.spare.len() < SPARE_BUFFERS_MAX {
            self.spare.push(mem::take(&mut client.out));
        }
        Ok(())
    }

    /// Keeps the connections of silent clients alive.
    fn ping(&mut self) {
        let seconds = self.started.elapsed().as_secs() as u32;
        let mut due = mem::take(&mut self.due);
        self.pings.advance(seconds, |number| due.push(number));
        for number in due.drain(..) {
            if self.clients[number as usize].stream.is_some() {
                let version = self.rules.version;
                self.mark(number);
                // PINGREQ has one form, in every version.
                let _ = encode::packet(&Packet::PingReq, version, self.out(number));
                self.ping_later(number);
            }
        }
        self.due = due;
    }

    fn ping_later(&mut self, number: u32) {
        let seconds = self.started.elapsed().as_secs() as u32;
        self.pings.set(number, seconds + u32::from(self.keep_alive_secs / 2).max(1));
    }

    fn close(&mut self, number: u32, why: &str) {
        let client = &mut self.clients[number as usize];
        if client.stream.take().is_some() {
            client.rest = Vec::new();
            client.out = Vec::new();
            self.note_fault(why);
        }
    }

    fn note_fault(&mut self, what: &str) {
        if self.faults.note(what) {
            self.tell(what);
        }
    }
}

/// What went wrong, by kind.
#[derive(Debug, Default)]
pub(super) struct Faults(BTreeMap<String, u64>);

impl Faults {
    /// Counts one; tells whether it is the first of its kind.
    fn note(&mut self, what: &str) -> bool {
        let known = self.0.len() < FAULT_KINDS_MAX || self.0.contains_key(what);
        let what = if known { what } else { "other faults" };
        let count = self.0.entry(what.into()).or_default();
        *count += 1;
        *count == 1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn first(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }

    /// Each kind with its count.
    pub(super) fn figures(&self) -> Value {
        json!(self.0)
    }
}
