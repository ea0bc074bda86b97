//! What scenes send and what arrives, as owned data with public fields, so that a scene can be read aloud.
//!
//! [`Message`] is a PUBLISH in either direction; [`Arrival`] is anything a broker can show: a packet, the end of
//! the connection, or nothing. Codes are plain bytes here, because scenes compare them with the numbers of the
//! specification.

use std::fmt;

use longwire_proto::ReasonCode;
use longwire_proto::packet::{self, Packet};
use longwire_proto::property::{Properties, PropertiesBuf, Property};

/// A PUBLISH to send, or one that came.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Message {
    /// Topic name.
    pub(crate) topic: String,
    /// Payload.
    pub(crate) payload: Vec<u8>,
    /// 0, 1 or 2.
    pub(crate) qos: u8,
    /// RETAIN.
    pub(crate) retain: bool,
    /// DUP.
    pub(crate) dup: bool,
    /// Packet id; 0 where there is none, or where the peer shall choose one.
    pub(crate) id: u16,
    /// 5.0 properties; left out on older connections.
    pub(crate) properties: PropertiesBuf,
}

impl Message {
    /// A QoS 0 message.
    pub(crate) fn new(topic: impl Into<String>, payload: impl AsRef<[u8]>) -> Self {
        Message { topic: topic.into(), payload: payload.as_ref().to_vec(), ..Message::default() }
    }

    /// With this QoS.
    pub(crate) fn qos(mut self, qos: u8) -> Self {
        self.qos = qos;
        self
    }

    /// With this packet id.
    pub(crate) fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    /// With RETAIN 1.
    pub(crate) fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// With DUP 1.
    pub(crate) fn dup(mut self) -> Self {
        self.dup = true;
        self
    }

    /// With one more 5.0 property.
    pub(crate) fn with(mut self, property: Property<'_>) -> Self {
        self.properties.push(property);
        self
    }

    /// The payload as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// The payload as a decimal number; `u64::MAX` if it is none.
    pub(crate) fn number(&self) -> u64 {
        self.text().parse().unwrap_or(u64::MAX)
    }

    /// The properties, to be looked into.
    pub(crate) fn props(&self) -> Properties<'_> {
        self.properties.as_properties()
    }

    /// Subscription identifiers, in ascending order.
    pub(crate) fn identifiers(&self) -> Vec<u32> {
        let mut identifiers: Vec<u32> = self.props().subscription_identifiers().collect();
        identifiers.sort_unstable();
        identifiers
    }
}

impl From<&packet::Publish<'_>> for Message {
    fn from(publish: &packet::Publish<'_>) -> Self {
        Message {
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos as u8,
            retain: publish.retain,
            dup: publish.dup,
            id: publish.packet_id.map_or(0, u16::from),
            properties: owned(publish.properties),
        }
    }
}

/// CONNACK.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ConnAck {
    /// Session Present.
    pub(crate) session_present: bool,
    /// The code as it stood on the wire: 0 to 5 before 5.0.
    pub(crate) code: u8,
    /// 5.0 properties.
    pub(crate) properties: PropertiesBuf,
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ack {
    /// Packet id.
    pub(crate) id: u16,
    /// Reason code, 0 before 5.0.
    pub(crate) code: u8,
    /// 5.0 properties.
    pub(crate) properties: PropertiesBuf,
}

/// SUBACK or UNSUBACK.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grants {
    /// Packet id.
    pub(crate) id: u16,
    /// One code per filter; none in an UNSUBACK before 5.0.
    pub(crate) codes: Vec<u8>,
    /// 5.0 properties.
    pub(crate) properties: PropertiesBuf,
}

/// DISCONNECT or AUTH.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reason {
    /// Reason code.
    pub(crate) code: u8,
    /// 5.0 properties.
    pub(crate) properties: PropertiesBuf,
}

/// What a broker shows next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Arrival {
    ConnAck(ConnAck),
    Publish(Message),
    PubAck(Ack),
    PubRec(Ack),
    PubRel(Ack),
    PubComp(Ack),
    SubAck(Grants),
    UnsubAck(Grants),
    PingResp,
    Disconnect(Reason),
    Auth(Reason),
    /// A packet that only a client may send.
    Wrong(String),
    /// End of the stream, or a reset.
    Closed,
    /// Nothing in the time given.
    Silence,
}

impl Arrival {
    /// The arrival of a decoded packet; `bytes` are its wire form.
    pub(crate) fn from_packet(packet: &Packet<'_>, bytes: &[u8]) -> Self {
        match packet {
            Packet::ConnAck(connack) => Arrival::ConnAck(ConnAck {
                session_present: connack.session_present,
                code: connack_code(connack.reason, bytes),
                properties: owned(connack.properties),
            }),
            Packet::Publish(publish) => Arrival::Publish(publish.into()),
            Packet::PubAck(ack) => Arrival::PubAck(ack.into()),
            Packet::PubRec(ack) => Arrival::PubRec(ack.into()),
            Packet::PubRel(ack) => Arrival::PubRel(ack.into()),
            Packet::PubComp(ack) => Arrival::PubComp(ack.into()),
            Packet::SubAck(grants) => Arrival::SubAck(grants.into()),
            Packet::UnsubAck(grants) => Arrival::UnsubAck(grants.into()),
            Packet::PingResp => Arrival::PingResp,
            Packet::Disconnect(disconnect) => Arrival::Disconnect(Reason {
                code: disconnect.reason as u8,
                properties: owned(disconnect.properties),
            }),
            Packet::Auth(auth) => {
                Arrival::Auth(Reason { code: auth.reason as u8, properties: owned(auth.properties) })
            }
            other => Arrival::Wrong(describe(other)),
        }
    }
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arrival::ConnAck(connack) => write!(
                f,
                "CONNACK code 0x{:02X} session present {}{}",
                connack.code,
                u8::from(connack.session_present),
                list(connack.properties.as_properties())
            ),
            Arrival::Publish(message) => write!(f, "{message}"),
            Arrival::PubAck(ack) => write!(f, "PUBACK {ack}"),
            Arrival::PubRec(ack) => write!(f, "PUBREC {ack}"),
            Arrival::PubRel(ack) => write!(f, "PUBREL {ack}"),
            Arrival::PubComp(ack) => write!(f, "PUBCOMP {ack}"),
            Arrival::SubAck(grants) => write!(f, "SUBACK {grants}"),
            Arrival::UnsubAck(grants) => write!(f, "UNSUBACK {grants}"),
            Arrival::PingResp => f.write_str("PINGRESP"),
            Arrival::Disconnect(reason) => write!(f, "DISCONNECT {reason}"),
            Arrival::Auth(reason) => write!(f, "AUTH {reason}"),
            Arrival::Wrong(packet) => write!(f, "{packet}, which no server may send"),
            Arrival::Closed => f.write_str("the connection was closed"),
            Arrival::Silence => f.write_str("nothing"),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PUBLISH QoS {}", self.qos)?;
        if self.qos > 0 {
            write!(f, " id {}", self.id)?;
        }
        if self.dup {
            f.write_str(" DUP")?;
        }
        if self.retain {
            f.write_str(" RETAIN")?;
        }
        let payload = String::from_utf8_lossy(&self.payload[..self.payload.len().min(40)]).into_owned();
        let topic: String = self.topic.chars().take(80).collect();
        write!(f, " topic {topic} payload {payload:?} ({} bytes){}", self.payload.len(), list(self.props()))
    }
}

impl fmt::Display for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "id {} code 0x{:02X}{}", self.id, self.code, list(self.properties.as_properties()))
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes: Vec<String> = self.codes.iter().take(20).map(|code| format!("{code:02X}")).collect();
        let more = if self.codes.len() > codes.len() { " …" } else { "" };
        write!(f, "id {} codes [{}{more}]{}", self.id, codes.join(" "), list(self.properties.as_properties()))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code 0x{:02X}{}", self.code, list(self.properties.as_properties()))
    }
}

impl From<&packet::Ack<'_>> for Ack {
    fn from(ack: &packet::Ack<'_>) -> Self {
        Ack { id: ack.packet_id.get(), code: ack.reason as u8, properties: owned(ack.properties) }
    }
}

impl From<&packet::SubAck<'_>> for Grants {
    fn from(grants: &packet::SubAck<'_>) -> Self {
        Grants {
            id: grants.packet_id.get(),
            codes: grants.raw_codes.to_vec(),
            properties: owned(grants.properties),
        }
    }
}

/// A packet of ours in one line, for the transcript.
pub(crate) fn describe(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Connect(connect) => format!(
            "CONNECT {:?} id {:?} clean {} keep-alive {}{}{}",
            connect.version,
            connect.client_id.chars().take(40).collect::<String>(),
            u8::from(connect.clean_start),
            connect.keep_alive_secs,
            connect.will.map_or(String::new(), |will| format!(
                " will QoS {} RETAIN {} topic {} payload {:?}{}",
                will.qos as u8,
                u8::from(will.retain),
                will.topic,
                String::from_utf8_lossy(will.payload),
                list(will.properties)
            )),
            list(connect.properties)
        ),
        Packet::Subscribe(subscribe) => {
            let filters: Vec<String> = subscribe
                .filters
                .iter()
                .take(8)
                .map(|(filter, options)| {
                    format!("{}:{:02X}", filter.chars().take(80).collect::<String>(), options.to_bits())
                })
                .collect();
            format!(
                "SUBSCRIBE id {} [{}]{}",
                subscribe.packet_id,
                filters.join(" "),
                list(subscribe.properties)
            )
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters: Vec<&str> = unsubscribe.filters.iter().take(8).collect();
            format!("UNSUBSCRIBE id {} [{}]", unsubscribe.packet_id, filters.join(" "))
        }
        Packet::PingReq => "PINGREQ".to_owned(),
        other => Arrival::from_packet(other, &[]).to_string(),
    }
}

/// Bytes in hex, cut where they get long.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().take(48).map(|byte| format!("{byte:02x}")).collect();
    let shown = digits.concat();
    if bytes.len() > 48 { format!("{shown}… ({} bytes)", bytes.len()) } else { shown }
}

/// A copy of a property set.
pub(crate) fn owned(properties: Properties<'_>) -> PropertiesBuf {
    let mut copy = PropertiesBuf::new();
    copy.extend_raw(properties);
    copy
}

fn list(properties: Properties<'_>) -> String {
    if properties.is_empty() {
        return String::new();
    }
    let items: Vec<String> = properties.iter().map(|property| format!("{property:?}")).collect();
    format!(" {{{}}}", items.join(", "))
}

/// Before 5.0 the code is the last of the four bytes of the packet; the decoder has turned it into 5.0 terms.
fn connack_code(reason: ReasonCode, bytes: &[u8]) -> u8 {
    match bytes {
        [0x20, 2, _, code] => *code,
        _ => reason as u8,
    }
}
