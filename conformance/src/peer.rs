//! One connection to the broker, with the verbs that scenes are written in: [`send`] what a peer does, [`expect`] what
//! it waits for. Here are the socket and the order in which things are read.
//!
//! Sending never fails: a broker may close while we write, and what counts is what comes back. Everything that
//! is sent or comes goes into the scene's transcript. A PUBLISH that arrives while a scene waits for an
//! acknowledgement is put aside and is the next thing read, because brokers may send it at any moment.

mod expect;
mod send;

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use longwire_proto::decode::{self, Decoded, Receiver, Rules};
use longwire_proto::packet::SubscribeOptions;
use longwire_proto::{QoS, Version};

use crate::failure::{Check, Failure, ensure};
use crate::message::{Arrival, ConnAck, hex};
use crate::stage::Leftovers;
use crate::transcript::Transcript;

/// How long a scene listens to be sure that nothing comes.
const SILENCE: Duration = Duration::from_millis(300);
/// How long a broker may take to close after we stopped sending.
const CLOSING_MAX: Duration = Duration::from_secs(2);
/// The largest packet there is.
const PACKET_SIZE_MAX: u32 = 268_435_460;

/// One connection to the broker.
pub(crate) struct Peer {
    name: String,
    /// The version this connection speaks.
    pub(crate) version: Version,
    /// The CONNACK that accepted it; empty before.
    pub(crate) connack: ConnAck,
    stream: TcpStream,
    input: Vec<u8>,
    consumed: usize,
    largest: usize,
    aside: VecDeque<Arrival>,
    next_id: u16,
    patience: Duration,
    lenient: bool,
    transcript: Transcript,
    leftovers: Leftovers,
}

impl Peer {
    /// A peer on a connected socket that has said nothing yet.
    pub(crate) fn new(
        name: &str,
        version: Version,
        stream: TcpStream,
        patience: Duration,
        lenient: bool,
        transcript: Transcript,
        leftovers: Leftovers,
    ) -> Self {
        Peer {
            name: name.to_owned(),
            version,
            connack: ConnAck::default(),
            stream,
            input: Vec::new(),
            consumed: 0,
            largest: 0,
            aside: VecDeque::new(),
            next_id: 0,
            patience,
            lenient,
            transcript,
            leftovers,
        }
    }

    /// Whether this connection speaks 5.0.
    pub(crate) fn v5(&self) -> bool {
        self.version == Version::V5
    }

    /// Whether the broker may react as others are known to.
    pub(crate) fn is_lenient(&self) -> bool {
        self.lenient
    }

    /// What comes next, within the scene's patience.
    pub(crate) fn next(&mut self) -> Check<Arrival> {
        self.next_within(self.patience)
    }

    /// What comes next, within this time.
    pub(crate) fn next_within(&mut self, wait: Duration) -> Check<Arrival> {
        if let Some(arrival) = self.aside.pop_front() {
            return Ok(arrival);
        }
        self.read_within(wait)
    }

    /// Expects one thing next, and nothing else before it.
    pub(crate) fn expect<T>(
        &mut self,
        expected: impl Display,
        pick: impl FnOnce(&Arrival) -> Option<T>,
    ) -> Check<T> {
        let arrival = self.next()?;
        pick(&arrival).ok_or_else(|| self.differs(expected, &arrival))
    }

    /// Expects one thing; PUBLISHes that come before it are put aside.
    pub(crate) fn wait<T>(
        &mut self,
        expected: impl Display,
        pick: impl Fn(&Arrival) -> Option<T>,
    ) -> Check<T> {
        let deadline = Instant::now() + self.patience;
        loop {
            let arrival = self.read_within(deadline.saturating_duration_since(Instant::now()))?;
            if let Some(found) = pick(&arrival) {
                return Ok(found);
            }
            if !matches!(arrival, Arrival::Publish(_)) {
                return Err(self.differs(expected, &arrival));
            }
            self.aside.push_back(arrival);
        }
    }

    /// Exactly these bytes next.
    pub(crate) fn expect_bytes(&mut self, expected: &[u8]) -> Check {
        let deadline = Instant::now() + self.patience;
        while self.input.len() - self.consumed < expected.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.fill(left)? {
                break;
            }
        }
        let came = &self.input[self.consumed..];
        let came = came[..came.len().min(expected.len())].to_vec();
        self.transcript.came(&self.name, hex(&came));
        self.consumed += came.len();
        ensure(came == expected, format_args!("the bytes {}", hex(expected)), hex(&came))
    }

    /// The size of the largest packet that came, bytes.
    pub(crate) fn largest_packet(&self) -> usize {
        self.largest
    }

    /// The failure of this peer, which waited for something else.
    pub(crate) fn differs(&self, expected: impl Display, came: impl Display) -> Failure {
        Failure::Differs { expected: format!("{}: {expected}", self.name), came: came.to_string() }
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes) {
            self.transcript.note(&self.name, &format!("could not send: {error}"));
        }
    }

    /// Stops sending and reads to the end, so that the broker has seen everything.
    fn drain(&mut self) {
        self.stop_sending();
        let deadline = Instant::now() + CLOSING_MAX;
        while let Ok(arrival) = self.read_within(deadline.saturating_duration_since(Instant::now())) {
            if matches!(arrival, Arrival::Closed | Arrival::Silence) {
                return;
            }
        }
    }

    fn read_within(&mut self, wait: Duration) -> Check<Arrival> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(arrival) = self.decoded()? {
                self.transcript.came(&self.name, &arrival);
                return Ok(arrival);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Arrival::Silence);
            }
            if !self.fill(left)? {
                self.transcript.came(&self.name, &Arrival::Closed);
                return Ok(Arrival::Closed);
            }
        }
    }

    /// Reads once; false at the end of the stream.
    fn fill(&mut self, wait: Duration) -> Check<bool> {
        if self.consumed > 0 && self.consumed * 2 >= self.input.len() {
            self.input.drain(..self.consumed);
            self.consumed = 0;
        }
        let wait = wait.max(Duration::from_millis(1));
        let set = self.stream.set_read_timeout(Some(wait));
        set.map_err(|error| self.differs("a usable socket", error))?;
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(read) => {
                self.input.extend_from_slice(&chunk[..read]);
                Ok(true)
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(true),
                _ => Ok(false),
            },
        }
    }

    fn decoded(&mut self) -> Check<Option<Arrival>> {
        let bytes = &self.input[self.consumed..];
        if bytes.is_empty() {
            return Ok(None);
        }
        let rules = Rules {
            version: self.version,
            receiver: Receiver::Client,
            packet_size_max: PACKET_SIZE_MAX,
            strict_text: false,
        };
        match decode::packet(bytes, &rules) {
            Ok(Decoded::Incomplete { .. }) => Ok(None),
            Ok(Decoded::Packet(packet, len)) => {
                let arrival = Arrival::from_packet(&packet, &bytes[..len]);
                self.consumed += len;
                self.largest = self.largest.max(len);
                Ok(Some(arrival))
            }
            Err(error) => Err(self.differs(
                format_args!("a packet a client may accept ({})", error.statement),
                format_args!("{}: {}", error.what, hex(bytes)),
            )),
        }
    }
}

/// Plain subscription options with this QoS.
pub(crate) fn options(qos: u8) -> SubscribeOptions {
    SubscribeOptions::with_qos(QoS::from_bits(qos).expect("scenes name QoS 0, 1 or 2"))
}
