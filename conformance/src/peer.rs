//! One connection to the broker, with the verbs that scenes are written in.
//!
//! Sending never fails: a broker may close while we write, and what counts is what comes back. Everything that
//! is sent or comes goes into the scene's transcript. A PUBLISH that arrives while a scene waits for an
//! acknowledgement is put aside and is the next thing read, because brokers may send it at any moment.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use longwire_proto::decode::{self, Decoded, Receiver, Rules};
use longwire_proto::packet::{
    Ack as AckPacket, Disconnect, Packet, Publish, Subscribe, SubscribeFiltersBuf, SubscribeOptions,
    Unsubscribe, UnsubscribeFiltersBuf,
};
use longwire_proto::property::{Properties, PropertiesBuf, Property};
use longwire_proto::{PacketId, QoS, ReasonCode, Version, encode};

use crate::failure::{Check, Failure, ensure, same};
use crate::message::{Ack, Arrival, ConnAck, Grants, Message, describe, hex};
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

    // Sending.

    /// Sends a well-formed packet.
    pub(crate) fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        encode::packet(packet, self.version, &mut bytes).expect("scenes send encodable packets through this");
        self.transcript.sent(&self.name, describe(packet));
        self.write(&bytes);
    }

    /// Sends bytes that were made by hand; `what` describes them in the transcript.
    pub(crate) fn raw(&mut self, what: &str, bytes: &[u8]) {
        self.transcript.sent(&self.name, format!("{what}: {}", hex(bytes)));
        self.write(bytes);
    }

    /// Sends a PUBLISH and waits for nothing.
    pub(crate) fn publish(&mut self, message: &Message) {
        let bytes = self.encoded(message);
        self.transcript.sent(&self.name, message);
        self.write(&bytes);
    }

    /// Sends many PUBLISHes in one write.
    pub(crate) fn publish_all<'a>(&mut self, messages: impl IntoIterator<Item = &'a Message>) {
        let mut bytes = Vec::new();
        for message in messages {
            bytes.extend(self.encoded(message));
            self.transcript.sent(&self.name, message);
        }
        self.write(&bytes);
    }

    /// Publishes a message under a fresh id and completes its hand-shake.
    pub(crate) fn deliver(&mut self, message: &Message) -> Check {
        let id = if message.id == 0 { self.fresh_id() } else { message.id };
        self.publish(&message.clone().id(id));
        match message.qos {
            0 => Ok(()),
            1 => self.expect_puback(id),
            _ => {
                self.expect_pubrec(id)?;
                self.pubrel(id);
                self.expect_pubcomp(id)
            }
        }
    }

    /// Publishes many QoS 1 messages, at most 100 of them unacknowledged at any time.
    pub(crate) fn deliver_all(&mut self, messages: &[Message]) -> Check {
        for window in messages.chunks(100) {
            let window: Vec<Message> = window.iter().map(|m| m.clone().qos(1).id(self.fresh_id())).collect();
            self.publish_all(&window);
            for message in &window {
                self.expect_puback(message.id)?;
            }
        }
        Ok(())
    }

    /// Sends PUBACK.
    pub(crate) fn puback(&mut self, id: u16) {
        self.puback_code(id, ReasonCode::Success);
    }

    /// Sends PUBACK with a code.
    pub(crate) fn puback_code(&mut self, id: u16, code: ReasonCode) {
        self.send(&Packet::PubAck(AckPacket::new(nonzero(id), code)));
    }

    /// Sends PUBREC.
    pub(crate) fn pubrec(&mut self, id: u16) {
        self.pubrec_code(id, ReasonCode::Success);
    }

    /// Sends PUBREC with a code.
    pub(crate) fn pubrec_code(&mut self, id: u16, code: ReasonCode) {
        self.send(&Packet::PubRec(AckPacket::new(nonzero(id), code)));
    }

    /// Sends PUBREL.
    pub(crate) fn pubrel(&mut self, id: u16) {
        self.send(&Packet::PubRel(AckPacket::new(nonzero(id), ReasonCode::Success)));
    }

    /// Sends PUBCOMP.
    pub(crate) fn pubcomp(&mut self, id: u16) {
        self.send(&Packet::PubComp(AckPacket::new(nonzero(id), ReasonCode::Success)));
    }

    /// Completes the hand-shake of a message that came.
    pub(crate) fn acknowledge(&mut self, message: &Message) -> Check {
        match message.qos {
            0 => {}
            1 => self.puback(message.id),
            _ => {
                self.pubrec(message.id);
                self.expect_pubrel(message.id)?;
                self.pubcomp(message.id);
            }
        }
        Ok(())
    }

    /// Subscribes to one filter and expects exactly this QoS to be granted.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) -> Check {
        self.subscribe_one(filter, options(qos), &[]).map(drop)
    }

    /// Subscribes to one filter with these options and properties and expects its QoS to be granted.
    pub(crate) fn subscribe_one(
        &mut self,
        filter: &str,
        options: SubscribeOptions,
        properties: &[Property<'_>],
    ) -> Check<Grants> {
        let grants = self.subscribe_to(&[(filter, options)], properties)?;
        same("SUBACK with the code", &grants.codes, &vec![options.qos as u8])?;
        Ok(grants)
    }

    /// Subscribes and returns the SUBACK, whatever it grants.
    pub(crate) fn subscribe_to(
        &mut self,
        filters: &[(&str, SubscribeOptions)],
        properties: &[Property<'_>],
    ) -> Check<Grants> {
        let id = self.fresh_id();
        self.ask_to_subscribe(id, filters, properties);
        let grants = self.wait(format_args!("SUBACK id {id}"), |arrival| match arrival {
            Arrival::SubAck(grants) if grants.id == id => Some(grants.clone()),
            _ => None,
        })?;
        same("number of codes in SUBACK", &grants.codes.len(), &filters.len())?;
        Ok(grants)
    }

    /// Sends SUBSCRIBE and waits for nothing.
    pub(crate) fn ask_to_subscribe(
        &mut self,
        id: u16,
        filters: &[(&str, SubscribeOptions)],
        properties: &[Property<'_>],
    ) {
        let mut list = SubscribeFiltersBuf::default();
        for (filter, options) in filters {
            list.push(filter, *options);
        }
        let properties = self.own_properties(properties);
        self.send(&Packet::Subscribe(Subscribe {
            packet_id: nonzero(id),
            properties: properties.as_properties(),
            filters: list.as_filters(),
        }));
    }

    /// Unsubscribes and returns the UNSUBACK, whose codes are empty before 5.0.
    pub(crate) fn unsubscribe_from(&mut self, filters: &[&str]) -> Check<Grants> {
        let mut list = UnsubscribeFiltersBuf::default();
        for filter in filters {
            list.push(filter);
        }
        let id = self.fresh_id();
        self.send(&Packet::Unsubscribe(Unsubscribe {
            packet_id: nonzero(id),
            properties: Properties::EMPTY,
            filters: list.as_filters(),
        }));
        let expected = if self.v5() { filters.len() } else { 0 };
        let grants = self.wait(format_args!("UNSUBACK id {id}"), |arrival| match arrival {
            Arrival::UnsubAck(grants) if grants.id == id => Some(grants.clone()),
            _ => None,
        })?;
        same("number of codes in UNSUBACK", &grants.codes.len(), &expected)?;
        Ok(grants)
    }

    /// Unsubscribes from one filter that exists.
    pub(crate) fn unsubscribe(&mut self, filter: &str) -> Check {
        let grants = self.unsubscribe_from(&[filter])?;
        ensure(grants.codes.iter().all(|&code| code == 0), "UNSUBACK with code 0x00", grants)
    }

    /// PINGREQ, answered by PINGRESP.
    pub(crate) fn ping(&mut self) -> Check {
        self.send(&Packet::PingReq);
        self.wait("PINGRESP", |arrival| (*arrival == Arrival::PingResp).then_some(()))
    }

    /// Says goodbye properly and waits for the broker to close.
    pub(crate) fn disconnect(self) {
        self.leave(ReasonCode::Success, &[]);
    }

    /// DISCONNECT with a code and properties (5.0), then waits for the broker to close.
    pub(crate) fn leave(mut self, code: ReasonCode, properties: &[Property<'_>]) {
        let properties = self.own_properties(properties);
        self.send(&Packet::Disconnect(Disconnect { reason: code, properties: properties.as_properties() }));
        self.drain();
    }

    /// Cuts the connection without DISCONNECT; everything sent before has reached the broker when this returns.
    pub(crate) fn cut(mut self) {
        self.transcript.note(&self.name, "cuts the connection");
        self.drain();
    }

    /// Stops sending, but keeps the socket open.
    pub(crate) fn stop_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    // Receiving.

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

    /// CONNACK with success.
    pub(crate) fn expect_connack(&mut self) -> Check {
        let connack = self.expect("CONNACK with code 0x00", |arrival| match arrival {
            Arrival::ConnAck(connack) if connack.code == 0 => Some(connack.clone()),
            _ => None,
        })?;
        self.connack = connack;
        Ok(())
    }

    /// PUBACK of success; 0x10 (no subscribers) counts as one.
    pub(crate) fn expect_puback(&mut self, id: u16) -> Check {
        self.wait(format_args!("PUBACK id {id} of success"), |arrival| match arrival {
            Arrival::PubAck(ack) => accepted(ack, id),
            _ => None,
        })
    }

    /// PUBREC of success; 0x10 (no subscribers) counts as one.
    pub(crate) fn expect_pubrec(&mut self, id: u16) -> Check {
        self.wait(format_args!("PUBREC id {id} of success"), |arrival| match arrival {
            Arrival::PubRec(ack) => accepted(ack, id),
            _ => None,
        })
    }

    /// PUBREL with code 0x00.
    pub(crate) fn expect_pubrel(&mut self, id: u16) -> Check {
        self.wait(format_args!("PUBREL id {id} code 0x00"), |arrival| match arrival {
            Arrival::PubRel(ack) if ack.id == id && ack.code == 0 => Some(()),
            _ => None,
        })
    }

    /// PUBCOMP with code 0x00.
    pub(crate) fn expect_pubcomp(&mut self, id: u16) -> Check {
        self.expect_pubcomp_code(id, 0, &[])
    }

    /// PUBCOMP with one of these codes.
    pub(crate) fn expect_pubcomp_code_of(&mut self, id: u16, codes: &[u8]) -> Check {
        self.wait(format_args!("PUBCOMP id {id} with one of {codes:02X?}"), |arrival| match arrival {
            Arrival::PubComp(ack) if ack.id == id && codes.contains(&ack.code) => Some(()),
            _ => None,
        })
    }

    /// PUBCOMP with this code (always 0x00 before 5.0); `also` is accepted from lenient targets.
    pub(crate) fn expect_pubcomp_code(&mut self, id: u16, code: u8, also: &[u8]) -> Check {
        let code = if self.v5() { code } else { 0 };
        let lenient = self.lenient;
        self.wait(format_args!("PUBCOMP id {id} code 0x{code:02X}"), |arrival| match arrival {
            Arrival::PubComp(ack) if ack.id == id => {
                (ack.code == code || lenient && also.contains(&ack.code)).then_some(())
            }
            _ => None,
        })
    }

    /// A PUBLISH, not acknowledged.
    pub(crate) fn message(&mut self) -> Check<Message> {
        self.expect("a PUBLISH", |arrival| match arrival {
            Arrival::Publish(message) => Some(message.clone()),
            _ => None,
        })
    }

    /// A PUBLISH with this payload, not acknowledged.
    pub(crate) fn message_of(&mut self, payload: impl AsRef<[u8]>) -> Check<Message> {
        let payload = payload.as_ref();
        let text = String::from_utf8_lossy(payload).into_owned();
        self.expect(format_args!("a PUBLISH with payload {text:?}"), |arrival| match arrival {
            Arrival::Publish(message) if message.payload == payload => Some(message.clone()),
            _ => None,
        })
    }

    /// A PUBLISH, its hand-shake completed.
    pub(crate) fn take(&mut self) -> Check<Message> {
        let message = self.message()?;
        self.acknowledge(&message)?;
        Ok(message)
    }

    /// A PUBLISH with this payload, its hand-shake completed.
    pub(crate) fn take_of(&mut self, payload: impl AsRef<[u8]>) -> Check<Message> {
        let message = self.message_of(payload)?;
        self.acknowledge(&message)?;
        Ok(message)
    }

    /// So many messages, and all that come after them until it is quiet, hand-shakes completed.
    pub(crate) fn take_all(&mut self, at_least: usize) -> Check<Vec<Message>> {
        let mut messages = Vec::new();
        loop {
            let wait = if messages.len() < at_least { self.patience } else { SILENCE };
            match self.next_within(wait)? {
                Arrival::Publish(message) => {
                    self.acknowledge(&message)?;
                    messages.push(message);
                }
                Arrival::Silence => return Ok(messages),
                other => return Err(self.differs("PUBLISHes, then nothing", &other)),
            }
        }
    }

    /// Nothing more comes, and the link still answers.
    pub(crate) fn quiet(&mut self) -> Check {
        self.quiet_for(SILENCE)?;
        self.ping()?;
        match self.aside.pop_front() {
            None => Ok(()),
            Some(arrival) => Err(self.differs("nothing", &arrival)),
        }
    }

    /// Nothing comes for this long.
    pub(crate) fn quiet_for(&mut self, time: Duration) -> Check {
        match self.next_within(time)? {
            Arrival::Silence => Ok(()),
            other => Err(self.differs(format_args!("nothing for {} ms", time.as_millis()), &other)),
        }
    }

    /// 5.0: DISCONNECT with this code, then the end; before 5.0: the end.
    ///
    /// From a lenient target a code of `also` or a bare close is accepted too.
    pub(crate) fn expect_close(&mut self, code: u8, also: &[u8]) -> Check {
        let arrival = self.next()?;
        match &arrival {
            Arrival::Closed if !self.v5() || self.lenient => Ok(()),
            Arrival::Disconnect(reason)
                if self.v5() && (reason.code == code || self.lenient && also.contains(&reason.code)) =>
            {
                self.expect_end()
            }
            _ if self.v5() => {
                Err(self.differs(format_args!("DISCONNECT code 0x{code:02X} and a close"), &arrival))
            }
            _ => Err(self.differs("a close", &arrival)),
        }
    }

    /// The end of the connection and no packet before it.
    pub(crate) fn expect_end(&mut self) -> Check {
        self.expect("a close", |arrival| (*arrival == Arrival::Closed).then_some(()))
    }

    /// The refusal of a CONNECT: CONNACK with the code of this version and a close.
    ///
    /// `None` for 3.1.1 means that no code fits and the broker just closes. From a lenient target a bare close or
    /// a 5.0 code of `also` is accepted too.
    pub(crate) fn expect_refusal(&mut self, code_v5: u8, also: &[u8], code_v311: Option<u8>) -> Check {
        let code = if self.v5() { Some(code_v5) } else { code_v311 };
        let arrival = self.next()?;
        match (&arrival, code) {
            (Arrival::Closed, None) => Ok(()),
            (Arrival::Closed, _) if self.lenient => Ok(()),
            (Arrival::ConnAck(connack), None) if self.lenient && connack.code != 0 => self.expect_end(),
            (Arrival::ConnAck(connack), Some(code))
                if connack.code == code || self.lenient && also.contains(&connack.code) =>
            {
                ensure(!connack.session_present, "session present 0 in a refusal", &arrival)?;
                self.expect_end()
            }
            (_, Some(code)) => {
                Err(self.differs(format_args!("CONNACK code 0x{code:02X} and a close"), &arrival))
            }
            (_, None) => Err(self.differs("a close without CONNACK", &arrival)),
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

    /// Waits for the end of the connection, whatever code explains it, and returns how long it took.
    pub(crate) fn closes_within(&mut self, longest: Duration) -> Check<Duration> {
        let start = Instant::now();
        loop {
            match self.next_within(longest.saturating_sub(start.elapsed()))? {
                Arrival::Closed => return Ok(start.elapsed()),
                Arrival::Disconnect(_) | Arrival::Publish(_) => {}
                other => return Err(self.differs(format_args!("a close within {longest:?}"), &other)),
            }
        }
    }

    /// The failure of this peer, which waited for something else.
    pub(crate) fn differs(&self, expected: impl Display, came: impl Display) -> Failure {
        Failure::Differs { expected: format!("{}: {expected}", self.name), came: came.to_string() }
    }

    // Below the verbs.

    /// The next id that this peer has not used lately.
    pub(crate) fn fresh_id(&mut self) -> u16 {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.next_id
    }

    /// Remembers that a topic holds a retained message now, where hand-made bytes put it there.
    pub(crate) fn leaves_retained(&self, topic: &str) {
        self.leftovers.retained(topic);
    }

    /// The wire form of a message on this connection.
    pub(crate) fn encoded(&self, message: &Message) -> Vec<u8> {
        let properties = if self.v5() { message.props() } else { Properties::EMPTY };
        if message.retain && !message.payload.is_empty() {
            self.leftovers.retained(&message.topic);
        }
        let publish = Publish {
            dup: message.dup,
            qos: QoS::from_bits(message.qos).expect("scenes name QoS 0, 1 or 2"),
            retain: message.retain,
            topic: &message.topic,
            packet_id: (message.qos > 0).then(|| nonzero(message.id)),
            properties,
            payload: &message.payload,
        };
        let mut bytes = Vec::new();
        encode::publish(&publish, self.version, &mut bytes)
            .expect("scenes send encodable messages through this");
        bytes
    }

    fn own_properties(&self, properties: &[Property<'_>]) -> PropertiesBuf {
        let mut own = PropertiesBuf::new();
        if self.v5() {
            own.extend(properties.iter().copied());
        }
        own
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

fn nonzero(id: u16) -> PacketId {
    PacketId::new(id).expect("scenes give packets an id above 0; id 0 is written by hand")
}

fn accepted(ack: &Ack, id: u16) -> Option<()> {
    (ack.id == id && matches!(ack.code, 0 | 0x10)).then_some(())
}
