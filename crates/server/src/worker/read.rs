//! From readable sockets to inputs: bytes are read into the worker's one buffer, packets are decoded where they lie.

use std::io;
use std::sync::Arc;

use longwire_broker::input::{CloseCause, Input, LinkId};
use longwire_broker::tables::TablesInTurn;
use longwire_proto::Version;
use longwire_proto::decode::{self, Decoded, Receiver, Rules};

use super::{READ_BUFFER_BYTES, Worker};
use crate::connection::Stage;
use crate::greet::{self, Greeting};

/// Reads of one socket in one turn; what is left waits for the next, so that others have theirs.
const READS_PER_TURN: usize = 4;

/// First byte of a PUBLISH, without its flags.
const PUBLISH: u8 = 0x30;

/// How much of a piece of input was used, and whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Used {
    /// Everything that makes whole packets.
    Whole,
    /// Nothing more is read from anybody for now; what is left waits.
    HeldBack,
    /// The connection is paused, closed or gone; what is left is kept only if it is paused.
    Stopped,
}

impl Worker {
    /// Puts a connection on the list of those to be read, once.
    pub(super) fn read_later(&mut self, link: LinkId) {
        if let Some(connection) = self.connections.by_slot_mut(link)
            && !std::mem::replace(&mut connection.is_queued, true)
        {
            self.readable.push_back(link);
        }
    }

    /// Reads from every connection that has something.
    pub(super) fn read_ready(&mut self) {
        if self.is_held_back() {
            return;
        }
        for _ in 0..self.readable.len() {
            let Some(link) = self.readable.pop_front() else { return };
            self.read(link);
        }
    }

    fn read(&mut self, link: LinkId) {
        let Some(connection) = self.connections.by_slot_mut(link) else { return };
        connection.is_queued = false;
        if matches!(connection.stage, Stage::Closing | Stage::Draining) {
            return self.discard(link);
        }
        if self.shard.is_paused(link) {
            return;
        }
        if !self.shard.has_room(link) {
            // Answers to a peer that does not read them would pile up: it is heard again when it has read them.
            connection.is_unheard = true;
            return;
        }
        if connection.unread.is_some() && !self.use_unread(link) {
            return;
        }
        for _ in 0..READS_PER_TURN {
            match self.read_once(link) {
                Ok(true) if self.shard.has_room(link) => {}
                Ok(true) => break,
                Ok(false) => return,
                Err(_) => return self.lost(link),
            }
        }
        self.read_later(link);
    }

    /// Packets among the bytes that waited while reading was paused, or that travelled here with the connection.
    /// False if reading has to stop again.
    fn use_unread(&mut self, link: LinkId) -> bool {
        let Some(unread) = self.connections.by_slot_mut(link).and_then(|connection| connection.unread.take())
        else {
            return true;
        };
        let (used, outcome) = self.use_bytes(link, &unread);
        self.keep_rest(link, &unread[used..], outcome);
        matches!(outcome, Used::Whole)
    }

    /// One read. True if there may be more to read.
    fn read_once(&mut self, link: LinkId) -> io::Result<bool> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.read_into(link, &mut buffer);
        self.buffer = buffer;
        result
    }

    fn read_into(&mut self, link: LinkId, buffer: &mut [u8]) -> io::Result<bool> {
        let Some(connection) = self.connections.by_slot_mut(link) else { return Ok(false) };
        let mut unread = connection.unread.take();
        if let Some(large) = unread.as_mut().filter(|unread| unread.len() >= READ_BUFFER_BYTES / 2) {
            // A large packet grows where it lies, with what arrives and never with the length it claims.
            let read = read_some(&mut connection.stream, buffer)?;
            let Some(count) = read else {
                connection.unread = unread;
                return Ok(false);
            };
            large.extend_from_slice(&buffer[..count]);
            let large = std::mem::take(&mut **large);
            let (used, outcome) = self.use_bytes(link, &large);
            if used == 0 {
                self.keep_whole(link, large, outcome);
            } else {
                self.keep_rest(link, &large[used..], outcome);
            }
            return Ok(self.may_go_on(link, count == buffer.len(), outcome));
        }
        let before = unread.as_ref().map_or(0, |unread| unread.len());
        if let Some(unread) = &unread {
            buffer[..before].copy_from_slice(unread);
        }
        let room = buffer.len() - before;
        let Some(count) = read_some(&mut connection.stream, &mut buffer[before..])? else {
            connection.unread = unread;
            return Ok(false);
        };
        let len = before + count;
        let (used, outcome) = self.use_bytes(link, &buffer[..len]);
        self.keep_rest(link, &buffer[used..len], outcome);
        Ok(self.may_go_on(link, count == room, outcome))
    }

    /// A short read means drained, unless the peer's end is still to be read.
    fn may_go_on(&self, link: LinkId, was_filled: bool, outcome: Used) -> bool {
        let has_end = self.connections.by_slot(link).is_some_and(|connection| connection.peer_ended);
        (was_filled || has_end) && outcome == Used::Whole
    }

    /// Keeps the bytes of a packet that is not whole yet.
    fn keep_rest(&mut self, link: LinkId, rest: &[u8], outcome: Used) {
        if rest.is_empty() {
            if let Some(connection) = self.connections.by_slot_mut(link) {
                connection.packet_since = 0;
            }
            return;
        }
        self.keep_whole(link, rest.to_vec(), outcome);
    }

    fn keep_whole(&mut self, link: LinkId, rest: Vec<u8>, outcome: Used) {
        let tick = self.now.tick;
        let is_paused = self.shard.is_paused(link);
        let Some(connection) = self.connections.by_slot_mut(link) else { return };
        if outcome == Used::Stopped && !is_paused {
            return;
        }
        if rest[0] & 0xF0 == PUBLISH {
            connection.heard_at = tick;
        }
        connection.unread = Some(Box::new(rest));
        if outcome == Used::Whole && connection.packet_since == 0 && connection.stage == Stage::Live {
            connection.packet_since = tick.max(1);
            self.set_timer(link);
        }
    }

    /// Decodes and hands over every whole packet; says how many bytes that were.
    fn use_bytes(&mut self, link: LinkId, bytes: &[u8]) -> (usize, Used) {
        let (used, outcome) = self.decode_bytes(link, bytes);
        self.shard.counters.bytes_received += used as u64;
        (used, outcome)
    }

    fn decode_bytes(&mut self, link: LinkId, bytes: &[u8]) -> (usize, Used) {
        let mut used = 0;
        if self.connections.by_slot(link).is_some_and(|connection| connection.stage == Stage::Greeting) {
            match self.use_greeting(link, bytes) {
                Some(len) if len > 0 => used = len,
                Some(_) => return (0, Used::Whole),
                None => return (bytes.len(), Used::Stopped),
            }
        }
        let Some(version) = self.shard.version(link) else { return (bytes.len(), Used::Stopped) };
        let (more, outcome) = self.use_packets(link, version, &bytes[used..]);
        if more > 0
            && let Some(connection) = self.connections.by_slot_mut(link)
        {
            connection.heard_at = self.now.tick;
            connection.packet_since = 0;
        }
        (used + more, outcome)
    }

    /// Packets after CONNECT. The read guard of the index is kept for all of them, and given up at the end.
    fn use_packets(&mut self, link: LinkId, version: Version, bytes: &[u8]) -> (usize, Used) {
        let rules = Rules {
            version,
            receiver: Receiver::Server,
            packet_size_max: self.packet_size_max,
            strict_text: self.strict_text,
        };
        let shared_tables = Arc::clone(&self.shared.tables);
        let mut tables = TablesInTurn::new(&shared_tables);
        let mut used = 0;
        while !self.shard.is_paused(link) {
            if self.is_held_back() {
                self.read_later(link);
                return (used, Used::HeldBack);
            }
            let input = match decode::packet(&bytes[used..], &rules) {
                Ok(Decoded::Packet(packet, len)) => {
                    used += len;
                    Input::Packet { link, packet }
                }
                Ok(Decoded::Incomplete { .. }) => return (used, Used::Whole),
                Err(error) => Input::Broken { link, error },
            };
            self.shard.handle(self.now.millis, input, &mut tables, &mut self.effects);
            if self.shard.version(link).is_none() {
                return (bytes.len(), Used::Stopped);
            }
        }
        (used, Used::Stopped)
    }

    /// The first packet. `Some(0)` if it is not whole, its length if it was handed over, `None` if the connection is
    /// not this worker's any more.
    fn use_greeting(&mut self, link: LinkId, bytes: &[u8]) -> Option<usize> {
        match greet::greet(bytes, self.packet_size_max, self.strict_text) {
            Greeting::Incomplete => Some(0),
            Greeting::Connect(connect, len) => {
                let shards = self.shared.workers.len() as u16;
                let home = greet::home(&self.shared.key, connect.client_id, self.number, shards);
                if home != self.number {
                    self.send_home(link, home, bytes);
                    return None;
                }
                let assigned_id = if connect.client_id.is_empty() {
                    greet::assigned_id(&self.shared.key, self.number, shards).ok()?
                } else {
                    String::new()
                };
                let connection = self.connections.by_slot_mut(link)?;
                connection.stage = Stage::Live;
                connection.heard_at = self.now.tick;
                self.wheel.cancel(link);
                self.input(Input::Connect { link, connect: &connect, assigned_id: &assigned_id });
                // Before the packets behind it are looked at: they count only if the client is who it says.
                self.answer_authentications();
                Some(len)
            }
            Greeting::Refused(error, answer) => {
                let connection = self.connections.by_slot_mut(link)?;
                let remedy = "connect with an MQTT client, and mend it if it is one";
                let (address, tick) = (connection.address(), self.now.tick);
                self.report.tell_stranger(address, error.statement, error.what, remedy, tick);
                if let Some(answer) = answer {
                    // A few bytes into an empty socket; a peer that cannot take them learns of the end alone.
                    let _ = connection.stream.write(&answer);
                }
                self.begin_closing(link);
                None
            }
        }
    }

    /// A connection that we have closed: what still comes is thrown away until the peer has ended its side too.
    fn discard(&mut self, link: LinkId) {
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connections.by_slot_mut(link) else { return };
            match connection.stream.read(&mut self.buffer) {
                Ok(0) => return self.drop_connection(link),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.drop_connection(link),
            }
        }
        self.read_later(link);
    }

    /// The network connection has ended.
    fn lost(&mut self, link: LinkId) {
        let Some(connection) = self.connections.by_slot(link) else { return };
        if connection.stage == Stage::Live {
            self.input(Input::Closed { link, cause: CloseCause::Network });
        } else {
            self.drop_connection(link);
        }
    }
}

/// Bytes read, or `None` if there are none at present.
fn read_some(stream: &mut longwire_net::stream::Stream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match stream.read(buffer) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
