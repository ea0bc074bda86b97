//! Packets as data: one model for 3.1, 3.1.1 and 5.0, in which the parts that only 5.0 has are empty before it.
//!
//! Everything borrows from the bytes it was decoded from, or from the caller who wants it encoded. Lists of
//! unknown length (filters, codes, properties) stay in their wire form, checked once, and are read by iterators.

use std::num::NonZeroU16;

use crate::property::Properties;
use crate::reason::ReasonCode;

/// A packet identifier, never zero `[MQTT-2.2.1-3]`.
pub type PacketId = NonZeroU16;

/// The protocol version of a connection, as its CONNECT named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 3.1: protocol name `MQIsdp`, level 3.
    V31 = 3,
    /// 3.1.1: protocol name `MQTT`, level 4.
    V311 = 4,
    /// 5.0: protocol name `MQTT`, level 5.
    V5 = 5,
}

/// Quality of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QoS {
    /// QoS 0: sent once, never acknowledged.
    AtMostOnce = 0,
    /// QoS 1: acknowledged by PUBACK, may arrive twice.
    AtLeastOnce = 1,
    /// QoS 2: four packets, arrives once.
    ExactlyOnce = 2,
}

impl QoS {
    /// The QoS of the two bits `bits`; `None` for 3, which is forbidden `[MQTT-3.3.1-4]`.
    pub fn from_bits(bits: u8) -> Option<QoS> {
        match bits {
            0 => Some(QoS::AtMostOnce),
            1 => Some(QoS::AtLeastOnce),
            2 => Some(QoS::ExactlyOnce),
            _ => None,
        }
    }
}

/// The type of a control packet, the upper half of its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names are the standard's own; section 2.1.2 of MQTT 5.0.
pub enum PacketType {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    /// 5.0 only.
    Auth = 15,
}

impl PacketType {
    /// The type in the upper half of a packet's first byte; `None` for 0, which is reserved.
    pub fn from_first_byte(byte: u8) -> Option<PacketType> {
        Some(match byte >> 4 {
            1 => PacketType::Connect,
            2 => PacketType::ConnAck,
            3 => PacketType::Publish,
            4 => PacketType::PubAck,
            5 => PacketType::PubRec,
            6 => PacketType::PubRel,
            7 => PacketType::PubComp,
            8 => PacketType::Subscribe,
            9 => PacketType::SubAck,
            10 => PacketType::Unsubscribe,
            11 => PacketType::UnsubAck,
            12 => PacketType::PingReq,
            13 => PacketType::PingResp,
            14 => PacketType::Disconnect,
            15 => PacketType::Auth,
            _ => return None,
        })
    }
}

/// Any control packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Packet<'a> {
    /// 1, client to server.
    Connect(Connect<'a>),
    /// 2, server to client.
    ConnAck(ConnAck<'a>),
    /// 3, both ways.
    Publish(Publish<'a>),
    /// 4, both ways.
    PubAck(Ack<'a>),
    /// 5, both ways.
    PubRec(Ack<'a>),
    /// 6, both ways.
    PubRel(Ack<'a>),
    /// 7, both ways.
    PubComp(Ack<'a>),
    /// 8, client to server.
    Subscribe(Subscribe<'a>),
    /// 9, server to client.
    SubAck(SubAck<'a>),
    /// 10, client to server.
    Unsubscribe(Unsubscribe<'a>),
    /// 11, server to client.
    UnsubAck(SubAck<'a>),
    /// 12, client to server.
    PingReq,
    /// 13, server to client.
    PingResp,
    /// 14, client to server; in 5.0 both ways.
    Disconnect(Disconnect<'a>),
    /// 15, 5.0 only, both ways.
    Auth(Auth<'a>),
}

impl Packet<'_> {
    /// Its type.
    pub fn packet_type(&self) -> PacketType {
        match self {
            Packet::Connect(_) => PacketType::Connect,
            Packet::ConnAck(_) => PacketType::ConnAck,
            Packet::Publish(_) => PacketType::Publish,
            Packet::PubAck(_) => PacketType::PubAck,
            Packet::PubRec(_) => PacketType::PubRec,
            Packet::PubRel(_) => PacketType::PubRel,
            Packet::PubComp(_) => PacketType::PubComp,
            Packet::Subscribe(_) => PacketType::Subscribe,
            Packet::SubAck(_) => PacketType::SubAck,
            Packet::Unsubscribe(_) => PacketType::Unsubscribe,
            Packet::UnsubAck(_) => PacketType::UnsubAck,
            Packet::PingReq => PacketType::PingReq,
            Packet::PingResp => PacketType::PingResp,
            Packet::Disconnect(_) => PacketType::Disconnect,
            Packet::Auth(_) => PacketType::Auth,
        }
    }
}

/// CONNECT.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Connect<'a> {
    /// Version of the connection.
    pub version: Version,
    /// The level had its high bit set: a Mosquitto-style bridge, which gets no echo and RETAIN as published.
    pub bridge: bool,
    /// Clean session (3.1, 3.1.1) or Clean Start (5.0).
    pub clean_start: bool,
    /// Seconds; 0 switches the keep-alive off.
    pub keep_alive_secs: u16,
    /// May be empty, which asks the server to assign one.
    pub client_id: &'a str,
    /// Published when the connection ends without a proper DISCONNECT.
    pub will: Option<Will<'a>>,
    /// User name.
    pub user_name: Option<&'a str>,
    /// Password: bytes, not text.
    pub password: Option<&'a [u8]>,
    /// 5.0 properties.
    pub properties: Properties<'a>,
}

/// The will inside CONNECT.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Will<'a> {
    /// QoS of its publication.
    pub qos: QoS,
    /// RETAIN of its publication.
    pub retain: bool,
    /// Topic name.
    pub topic: &'a str,
    /// Payload.
    pub payload: &'a [u8],
    /// 5.0 will properties, the delay among them.
    pub properties: Properties<'a>,
}

/// CONNACK.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConnAck<'a> {
    /// The server holds a session of this client. Always false in 3.1 and with a refusal.
    pub session_present: bool,
    /// In 5.0 terms; older versions are mapped by `ReasonCode::to_v3_connack` and back when decoded.
    pub reason: ReasonCode,
    /// 5.0 properties.
    pub properties: Properties<'a>,
}

/// PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Publish<'a> {
    /// Maybe sent before.
    pub dup: bool,
    /// QoS.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// Topic name; empty in 5.0 when an alias stands for it.
    pub topic: &'a str,
    /// There exactly when QoS is 1 or 2.
    pub packet_id: Option<PacketId>,
    /// 5.0 properties.
    pub properties: Properties<'a>,
    /// Payload.
    pub payload: &'a [u8],
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ack<'a> {
    /// The id of the PUBLISH it belongs to.
    pub packet_id: PacketId,
    /// Always success before 5.0.
    pub reason: ReasonCode,
    /// 5.0 properties.
    pub properties: Properties<'a>,
}

impl Ack<'static> {
    /// An acknowledgement without properties.
    pub fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Ack { packet_id, reason, properties: Properties::EMPTY }
    }
}

/// SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subscribe<'a> {
    /// Answered by SUBACK with the same id.
    pub packet_id: PacketId,
    /// 5.0 properties.
    pub properties: Properties<'a>,
    /// At least one filter with its options.
    pub filters: SubscribeFilters<'a>,
}

/// UNSUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unsubscribe<'a> {
    /// Answered by UNSUBACK with the same id.
    pub packet_id: PacketId,
    /// 5.0 properties.
    pub properties: Properties<'a>,
    /// At least one filter.
    pub filters: UnsubscribeFilters<'a>,
}

/// SUBACK, and UNSUBACK (whose list of codes is empty before 5.0).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubAck<'a> {
    /// The id of the request.
    pub packet_id: PacketId,
    /// 5.0 properties.
    pub properties: Properties<'a>,
    /// One code per filter, in order, as bytes; each a valid code of its packet (see [`SubAck::codes`]).
    pub raw_codes: &'a [u8],
}

impl<'a> SubAck<'a> {
    /// The codes, in the order of the filters.
    pub fn codes(&self) -> impl Iterator<Item = ReasonCode> + 'a {
        self.raw_codes.iter().filter_map(|&code| ReasonCode::from_u8(code))
    }
}

/// DISCONNECT.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disconnect<'a> {
    /// Normal disconnection before 5.0.
    pub reason: ReasonCode,
    /// 5.0 properties.
    pub properties: Properties<'a>,
}

/// AUTH.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Auth<'a> {
    /// Success, continue or re-authenticate.
    pub reason: ReasonCode,
    /// 5.0 properties; the method is always among them.
    pub properties: Properties<'a>,
}

/// The options byte of one filter in SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Maximum QoS of deliveries.
    pub qos: QoS,
    /// Do not send me what I published `[MQTT-3.8.3-3]`.
    pub no_local: bool,
    /// Forward RETAIN as the publisher set it `[MQTT-3.3.1-13]`.
    pub retain_as_published: bool,
    /// When to send retained messages.
    pub retain_handling: RetainHandling,
}

impl SubscribeOptions {
    /// Plain options with this QoS, as before 5.0.
    pub fn with_qos(qos: QoS) -> Self {
        SubscribeOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::AtSubscribe,
        }
    }

    /// The wire form.
    pub fn to_bits(self) -> u8 {
        self.qos as u8
            | u8::from(self.no_local) << 2
            | u8::from(self.retain_as_published) << 3
            | (self.retain_handling as u8) << 4
    }

    /// From the wire form; `None` if QoS or Retain Handling is 3 or a reserved bit is set.
    pub fn from_bits(bits: u8) -> Option<Self> {
        if bits & 0xC0 != 0 {
            return None;
        }
        Some(SubscribeOptions {
            qos: QoS::from_bits(bits & 3)?,
            no_local: bits & 4 != 0,
            retain_as_published: bits & 8 != 0,
            retain_handling: match bits >> 4 {
                0 => RetainHandling::AtSubscribe,
                1 => RetainHandling::IfNew,
                2 => RetainHandling::Never,
                _ => return None,
            },
        })
    }
}

/// When a SUBSCRIBE is answered with retained messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetainHandling {
    /// Every time `[MQTT-3.3.1-9]`.
    AtSubscribe = 0,
    /// Only if the subscription did not exist `[MQTT-3.3.1-10]`.
    IfNew = 1,
    /// Never `[MQTT-3.3.1-11]`.
    Never = 2,
}

/// Filters of a SUBSCRIBE in wire form, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeFilters<'a> {
    pub(crate) raw: &'a [u8],
}

impl<'a> SubscribeFilters<'a> {
    /// Each filter with its options, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, SubscribeOptions)> + Clone + 'a {
        let mut rest = self.raw;
        std::iter::from_fn(move || {
            let filter = take_string(&mut rest)?;
            let (&options, tail) = rest.split_first()?;
            rest = tail;
            Some((filter, SubscribeOptions::from_bits(options)?))
        })
    }
}

/// Filters of an UNSUBSCRIBE in wire form, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsubscribeFilters<'a> {
    pub(crate) raw: &'a [u8],
}

impl<'a> UnsubscribeFilters<'a> {
    /// Each filter, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + Clone + 'a {
        let mut rest = self.raw;
        std::iter::from_fn(move || take_string(&mut rest))
    }
}

/// Builds the filters of a SUBSCRIBE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeFiltersBuf(Vec<u8>);

impl SubscribeFiltersBuf {
    /// Adds one filter. The filter must be valid (see [`crate::topic`]) and at most 65,535 bytes.
    pub fn push(&mut self, filter: &str, options: SubscribeOptions) {
        put_string(&mut self.0, filter);
        self.0.push(options.to_bits());
    }

    /// As a packet takes them.
    pub fn as_filters(&self) -> SubscribeFilters<'_> {
        SubscribeFilters { raw: &self.0 }
    }
}

/// Builds the filters of an UNSUBSCRIBE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnsubscribeFiltersBuf(Vec<u8>);

impl UnsubscribeFiltersBuf {
    /// Adds one filter. The filter must be valid (see [`crate::topic`]) and at most 65,535 bytes.
    pub fn push(&mut self, filter: &str) {
        put_string(&mut self.0, filter);
    }

    /// As a packet takes them.
    pub fn as_filters(&self) -> UnsubscribeFilters<'_> {
        UnsubscribeFilters { raw: &self.0 }
    }
}

fn put_string(buffer: &mut Vec<u8>, text: &str) {
    let len =
        u16::try_from(text.len()).expect("a filter is at most 65,535 bytes, which its validation checked");
    buffer.extend_from_slice(&len.to_be_bytes());
    buffer.extend_from_slice(text.as_bytes());
}

/// The next length-prefixed string of bytes that decoding has already checked.
fn take_string<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (len, tail) = rest.split_first_chunk::<2>()?;
    let (text, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    *rest = tail;
    std::str::from_utf8(text).ok()
}
