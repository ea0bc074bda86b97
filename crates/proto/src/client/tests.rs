//! Scenes between a client and a server that exists only as the packets it sends; one file per part of a client's
//! life. Each scene that proves a numbered statement of the standard names it.

mod aliases;
mod authenticating;
mod bounds;
mod connecting;
mod ending;
mod keep_alive;
mod owner;
mod publishing;
mod receiving;
mod refusals;
mod rude_server;
mod sessions;
mod subscribing;
mod wire;

use super::*;
use crate::decode::Decoded;
use crate::encode;
use crate::packet::{Ack, ConnAck, Disconnect, QoS, SubAck};
use crate::property::Property;

/// A client, a clock, and the server's view of what the client wrote.
struct Scene {
    client: Client,
    now_ms: u64,
    /// Bytes from the client that were not looked at yet.
    wire: Vec<u8>,
}

/// A packet from the client, as the server reads it, reduced to what scenes ask about.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Connect { clean_start: bool, client_id: String },
    Publish { topic: String, payload: String, qos: u8, id: u16, dup: bool, alias: Option<u16> },
    PubAck(u16),
    PubRec(u16),
    PubRel(u16, ReasonCode),
    PubComp(u16, ReasonCode),
    Subscribe(u16, Vec<String>),
    Unsubscribe(u16, Vec<String>),
    Ping,
    Disconnect(ReasonCode),
    Auth(ReasonCode, String, Vec<u8>),
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("scenes use valid ids")
}

fn publication(topic: &'static str, payload: &'static str, qos: QoS) -> Publication<'static> {
    let properties = Properties::EMPTY;
    Publication { topic, payload: payload.as_bytes(), qos, retain: false, properties }
}

fn seen_publish(payload: &str, qos: QoS, id: u16, dup: bool) -> Seen {
    Seen::Publish { topic: "t".into(), payload: payload.into(), qos: qos as u8, id, dup, alias: None }
}

fn connack(properties: &PropertiesBuf) -> Packet<'_> {
    let properties = properties.as_properties();
    Packet::ConnAck(ConnAck { session_present: false, reason: ReasonCode::Success, properties })
}

impl Scene {
    fn new(settings: Settings) -> Self {
        let client = Client::new(settings).expect("scenes use valid settings");
        Scene { client, now_ms: 1_000, wire: Vec::new() }
    }

    /// A client of the defaults, except that it uses no aliases, on an accepted connection.
    fn online() -> Self {
        Scene::online_with(Settings::default(), &[])
    }

    fn online_with(settings: Settings, properties: &[Property<'_>]) -> Self {
        let mut scene = Scene::new(settings);
        scene.accept(false, properties);
        scene.seen();
        scene.events();
        scene
    }

    /// Opens a connection, which the server accepts.
    fn accept(&mut self, session_present: bool, properties: &[Property<'_>]) {
        self.client.connect(self.now_ms);
        let properties: PropertiesBuf = properties.iter().copied().collect();
        let reason = ReasonCode::Success;
        let properties = properties.as_properties();
        self.server(&Packet::ConnAck(ConnAck { session_present, reason, properties }));
    }

    /// The connection breaks, and the next one is accepted.
    fn reconnect(&mut self, session_present: bool, properties: &[Property<'_>]) {
        self.client.transport_closed();
        self.wire.clear();
        self.accept(session_present, properties);
    }

    /// The server sends a packet. Tells the topic and payload of a message that came out.
    fn server(&mut self, packet: &Packet<'_>) -> Option<(String, String)> {
        let mut bytes = Vec::new();
        encode::packet(packet, self.client.settings.version, &mut bytes).expect("scenes send valid packets");
        self.bytes(&bytes)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Option<(String, String)> {
        let (text, receipt) = self.untaken(bytes)?;
        if let Some(receipt) = receipt {
            self.client.acknowledge(self.now_ms, receipt);
        }
        Some(text)
    }

    /// The server sends a message, which the owner does not acknowledge yet.
    fn untaken(&mut self, bytes: &[u8]) -> Option<((String, String), Option<Receipt>)> {
        match self.client.receive(self.now_ms, bytes) {
            Received::Message { consumed, message, receipt } => {
                assert_eq!(consumed, bytes.len());
                let payload = String::from_utf8_lossy(message.payload).into_owned();
                Some(((message.topic.to_owned(), payload), receipt))
            }
            _ => None,
        }
    }

    /// A message of this QoS as the server sends it.
    fn message_bytes(&self, qos: QoS, number: u16) -> Vec<u8> {
        let packet_id = (qos != QoS::AtMostOnce).then(|| id(number));
        let properties = Properties::EMPTY;
        let publish =
            Publish { dup: false, qos, retain: false, topic: "m", packet_id, properties, payload: b"hello" };
        let mut bytes = Vec::new();
        encode::publish(&publish, self.client.settings.version, &mut bytes)
            .expect("scenes send valid packets");
        bytes
    }

    fn message(&mut self, topic: &str, qos: QoS, number: u16) -> Option<(String, String)> {
        self.message_with(topic, qos, number, Properties::EMPTY)
    }

    fn message_with(
        &mut self,
        topic: &str,
        qos: QoS,
        number: u16,
        properties: Properties<'_>,
    ) -> Option<(String, String)> {
        let packet_id = (qos != QoS::AtMostOnce).then(|| id(number));
        let payload = b"hello";
        let publish = Publish { dup: false, qos, retain: false, topic, packet_id, properties, payload };
        self.server(&Packet::Publish(publish))
    }

    fn puback(&mut self, number: u16, reason: ReasonCode) {
        self.server(&Packet::PubAck(Ack::new(id(number), reason)));
    }

    fn pubrec(&mut self, number: u16, reason: ReasonCode) {
        self.server(&Packet::PubRec(Ack::new(id(number), reason)));
    }

    fn pubcomp(&mut self, number: u16) {
        self.server(&Packet::PubComp(Ack::new(id(number), ReasonCode::Success)));
    }

    fn suback(&mut self, number: u16, codes: &[u8]) {
        let properties = Properties::EMPTY;
        self.server(&Packet::SubAck(SubAck { packet_id: id(number), properties, raw_codes: codes }));
    }

    fn publish(&mut self, payload: &'static str, qos: QoS) -> RequestId {
        self.client.publish(self.now_ms, &publication("t", payload, qos)).expect("accepted")
    }

    fn subscribe(&mut self, filters: &[&str]) -> RequestId {
        let filters: Vec<_> =
            filters.iter().map(|filter| (*filter, SubscribeOptions::with_qos(QoS::AtLeastOnce))).collect();
        self.client.subscribe(self.now_ms, &filters, Properties::EMPTY).expect("accepted")
    }

    fn after(&mut self, millis: u64) {
        self.now_ms += millis;
        self.client.handle_timeout(self.now_ms);
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    /// The only event since the last look.
    fn event(&mut self) -> Event {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// The code of the DISCONNECT, and the number of the statement, with which the client left.
    fn violation(&mut self) -> (ReasonCode, &'static str) {
        let Some(Event::Closed(Cause::Violation { reason, statement, .. })) = self.events().pop() else {
            panic!("the client did not object");
        };
        assert_eq!(self.seen().pop(), Some(Seen::Disconnect(reason)));
        (reason, statement)
    }

    fn is_over(&self) -> bool {
        matches!(self.client.phase, Phase::Over)
    }

    /// What the client wrote since the last look.
    fn seen(&mut self) -> Vec<Seen> {
        let mut output = Vec::new();
        while !self.client.output().is_empty() {
            self.client.swap_output(self.now_ms, &mut output);
            self.wire.append(&mut output);
        }
        let wire = std::mem::take(&mut self.wire);
        let rules = Rules {
            version: self.client.settings.version,
            receiver: Receiver::Server,
            packet_size_max: u32::MAX,
            strict_text: true,
        };
        let mut rest = wire.as_slice();
        let mut seen = Vec::new();
        while !rest.is_empty() {
            match decode::packet(rest, &rules) {
                Ok(Decoded::Packet(packet, consumed)) => {
                    seen.push(Seen::from(&packet));
                    rest = &rest[consumed..];
                }
                other => panic!("the client wrote {rest:x?}, which is {other:?}"),
            }
        }
        seen
    }
}

impl From<&Packet<'_>> for Seen {
    fn from(packet: &Packet<'_>) -> Self {
        match packet {
            Packet::Connect(connect) => {
                Seen::Connect { clean_start: connect.clean_start, client_id: connect.client_id.into() }
            }
            Packet::Publish(publish) => Seen::Publish {
                topic: publish.topic.into(),
                payload: String::from_utf8_lossy(publish.payload).into_owned(),
                qos: publish.qos as u8,
                id: publish.packet_id.map_or(0, PacketId::get),
                dup: publish.dup,
                alias: publish.properties.topic_alias(),
            },
            Packet::PubAck(ack) => Seen::PubAck(ack.packet_id.get()),
            Packet::PubRec(ack) => Seen::PubRec(ack.packet_id.get()),
            Packet::PubRel(ack) => Seen::PubRel(ack.packet_id.get(), ack.reason),
            Packet::PubComp(ack) => Seen::PubComp(ack.packet_id.get(), ack.reason),
            Packet::Subscribe(subscribe) => Seen::Subscribe(
                subscribe.packet_id.get(),
                subscribe.filters.iter().map(|(filter, _)| filter.to_owned()).collect(),
            ),
            Packet::Unsubscribe(unsubscribe) => Seen::Unsubscribe(
                unsubscribe.packet_id.get(),
                unsubscribe.filters.iter().map(str::to_owned).collect(),
            ),
            Packet::PingReq => Seen::Ping,
            Packet::Disconnect(disconnect) => Seen::Disconnect(disconnect.reason),
            Packet::Auth(auth) => Seen::Auth(
                auth.reason,
                auth.properties.authentication_method().unwrap_or("").to_owned(),
                auth.properties.authentication_data().unwrap_or(&[]).to_vec(),
            ),
            other => panic!("a client does not send {other:?}"),
        }
    }
}

fn v311() -> Settings {
    Settings { version: Version::V311, client_id: "c".into(), ..Settings::default() }
}

fn durable() -> Settings {
    Settings { client_id: "c".into(), session_expiry_secs: 60, ..Settings::default() }
}

/// As [`durable`], before 5.0.
fn durable_v311() -> Settings {
    Settings { clean_start: false, ..v311() }
}

/// A client of each version, online, whose session ends with its connection.
fn fleeting() -> [Scene; 2] {
    [Scene::online(), Scene::online_with(v311(), &[])]
}

/// A client of each version, online, whose session outlives its connection.
fn lasting() -> [Scene; 2] {
    [durable(), durable_v311()].map(|settings| Scene::online_with(settings, &[]))
}

/// Bytes written in hexadecimal digits, with spaces wherever they help.
fn from_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16);
    digits.chunks(2).map(|pair| byte(pair).expect("scenes use hexadecimal digits")).collect()
}

fn acknowledged(request: RequestId) -> Event {
    Event::Published { request, outcome: Outcome::Acknowledged(ReasonCode::Success) }
}
