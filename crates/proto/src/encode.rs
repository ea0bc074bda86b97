//! Packets to bytes, appended to a buffer that the caller owns.
//!
//! What an older version has no field for falls away: properties, reason codes. What it cannot mean is an error.
//! Whether topics, filters and properties are valid is the caller's to know; [`crate::decode`] tells.

use std::fmt;

use crate::integer::{VARIABLE_BYTE_INTEGER_MAX, put_variable_byte_integer};
use crate::packet::{
    Ack, ConnAck, Connect, Disconnect, Packet, PacketId, PacketType, Publish, QoS, SubAck, Subscribe,
    SubscribeOptions, Version, Will,
};
use crate::property::Properties;
use crate::reason::ReasonCode;

/// The most bytes that may follow the fixed header.
const REMAINING_LENGTH_MAX: usize = VARIABLE_BYTE_INTEGER_MAX as usize;

/// Which of the four acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AckKind {
    /// PUBACK.
    PubAck,
    /// PUBREC.
    PubRec,
    /// PUBREL.
    PubRel,
    /// PUBCOMP.
    PubComp,
}

/// Why a packet has no wire form. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// More than 268,435,455 bytes after the fixed header.
    PacketTooLarge,
    /// A string or binary field of more than 65,535 bytes.
    FieldTooLong,
    /// A packet id where QoS is 0, or none where it is not `[MQTT-2.2.1-2]` `[MQTT-2.3.1-5 of 3.1.1]`.
    PacketId,
    /// The older version cannot say this.
    NeedsVersion5,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            EncodeError::PacketTooLarge => "the packet is larger than MQTT allows",
            EncodeError::FieldTooLong => "a string or binary field is longer than 65,535 bytes",
            EncodeError::PacketId => "a packet id is there exactly when QoS is 1 or 2",
            EncodeError::NeedsVersion5 => "only MQTT 5.0 can say this",
        })
    }
}

impl std::error::Error for EncodeError {}

/// Appends a packet to `out`, with the flags of its type `[MQTT-2.2.2-1 of 3.1.1]`. A CONNECT is encoded for the version
/// it names itself.
///
/// # Errors
/// The packet has no wire form in this version; `out` is as it was.
pub fn packet(packet: &Packet<'_>, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match packet {
        Packet::Publish(message) => publish(message, version, out).map(|_| ()),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            put_ack(packet.packet_type(), ack, version, out)
        }
        _ => frame(packet.packet_type(), out, |out| put_body(packet, version, out)),
    }
}

/// Appends a PUBLISH to `out` and tells where in `out` its packet id is, if it has one, so that one frame can be
/// patched for many receivers.
///
/// # Errors
/// The packet has no wire form in this version; `out` is as it was.
#[inline]
pub fn publish(
    publish: &Publish<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<Option<usize>, EncodeError> {
    let with_id = publish.qos != QoS::AtMostOnce;
    if publish.packet_id.is_some() != with_id {
        return Err(EncodeError::PacketId);
    }
    let topic_len = u16::try_from(publish.topic.len()).map_err(|_| EncodeError::FieldTooLong)?;
    let remaining_len = 2
        + publish.topic.len()
        + 2 * usize::from(with_id)
        + properties_len(publish.properties, version)
        + publish.payload.len();
    if remaining_len > REMAINING_LENGTH_MAX {
        return Err(EncodeError::PacketTooLarge);
    }
    out.reserve(FIXED_HEADER_MAX + remaining_len);
    put_fixed_header(publish_first_byte(publish), remaining_len, out);
    out.extend_from_slice(&topic_len.to_be_bytes());
    out.extend_from_slice(publish.topic.as_bytes());
    let packet_id_at = publish.packet_id.map(|packet_id| {
        put_packet_id(packet_id, out);
        out.len() - 2
    });
    put_properties(publish.properties, version, out);
    out.extend_from_slice(publish.payload);
    Ok(packet_id_at)
}

/// Appends an acknowledgement to `out`. Properties that would make it larger than MQTT allows are left out.
#[inline]
pub fn ack(kind: AckKind, ack: &Ack<'_>, version: Version, out: &mut Vec<u8>) {
    let packet_type = kind.packet_type();
    if put_ack(packet_type, ack, version, out).is_err() {
        put_short_ack(packet_type, ack, version, out);
    }
}

impl AckKind {
    /// As a type of packet.
    pub fn packet_type(self) -> PacketType {
        match self {
            AckKind::PubAck => PacketType::PubAck,
            AckKind::PubRec => PacketType::PubRec,
            AckKind::PubRel => PacketType::PubRel,
            AckKind::PubComp => PacketType::PubComp,
        }
    }
}

#[inline]
fn put_ack(
    packet_type: PacketType,
    ack: &Ack<'_>,
    version: Version,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if version < Version::V5 || ack.properties.is_empty() {
        put_short_ack(packet_type, ack, version, out);
        return Ok(());
    }
    frame(packet_type, out, |out| {
        put_packet_id(ack.packet_id, out);
        out.push(ack.reason as u8);
        put_properties(ack.properties, version, out);
        Ok(())
    })
}

/// An acknowledgement without properties `[U5-31]`.
#[inline]
fn put_short_ack(packet_type: PacketType, ack: &Ack<'_>, version: Version, out: &mut Vec<u8>) {
    let first_byte = first_byte(packet_type);
    let [high, low] = ack.packet_id.get().to_be_bytes();
    if version < Version::V5 || ack.reason == ReasonCode::Success {
        out.extend_from_slice(&[first_byte, 2, high, low]);
    } else {
        out.extend_from_slice(&[first_byte, 3, high, low, ack.reason as u8]);
    }
}

/// Everything behind the fixed header, of the packets that are not sent for every message.
fn put_body(packet: &Packet<'_>, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match packet {
        Packet::Connect(connect) => put_connect(connect, out)?,
        Packet::ConnAck(connack) => put_connack(connack, version, out),
        Packet::Subscribe(subscribe) => put_subscribe(subscribe, version, out)?,
        Packet::SubAck(suback) => put_suback(suback, version, out),
        Packet::Unsubscribe(unsubscribe) => {
            put_packet_id(unsubscribe.packet_id, out);
            put_properties(unsubscribe.properties, version, out);
            out.extend_from_slice(unsubscribe.filters.raw);
        }
        Packet::UnsubAck(unsuback) => put_unsuback(unsuback, version, out),
        Packet::Disconnect(disconnect) => put_disconnect(disconnect, version, out),
        Packet::Auth(_) if version < Version::V5 => return Err(EncodeError::NeedsVersion5),
        Packet::Auth(auth) => {
            out.push(auth.reason as u8);
            put_properties(auth.properties, version, out);
        }
        // PINGREQ and PINGRESP have no body; the others have functions of their own.
        _ => {}
    }
    Ok(())
}

/// CONNECT, with the fields of its payload in the order of the standard `[MQTT-3.1.3-1]` `[MQTT-3.1.3-1 of 3.1.1]`:
/// first the client id, empty or not `[MQTT-3.1.3-3]` `[MQTT-3.1.3-3 of 3.1.1]`, then those that are there.
fn put_connect(connect: &Connect<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let version = connect.version;
    if version < Version::V5 && connect.password.is_some() && connect.user_name.is_none() {
        return Err(EncodeError::NeedsVersion5);
    }
    let name = if version == Version::V31 { "MQIsdp" } else { "MQTT" };
    put_counted(name.as_bytes(), out)?;
    let bridge = connect.bridge && version < Version::V5;
    out.push(version as u8 | u8::from(bridge) << 7);
    out.push(connect_flags(connect));
    out.extend_from_slice(&connect.keep_alive_secs.to_be_bytes());
    put_properties(connect.properties, version, out);
    put_counted(connect.client_id.as_bytes(), out)?;
    if let Some(will) = &connect.will {
        put_properties(will.properties, version, out);
        put_counted(will.topic.as_bytes(), out)?;
        put_counted(will.payload, out)?;
    }
    connect.user_name.map_or(Ok(()), |user_name| put_counted(user_name.as_bytes(), out))?;
    connect.password.map_or(Ok(()), |password| put_counted(password, out))
}

/// Each flag is set exactly when its field is there: the will `[MQTT-3.1.2-9]` `[MQTT-3.1.2-9 of 3.1.1]`, without which
/// its QoS and RETAIN are 0 `[MQTT-3.1.2-11]` `[MQTT-3.1.2-13]` `[MQTT-3.1.2-11 of 3.1.1]` `[MQTT-3.1.2-13 of 3.1.1]`
/// `[MQTT-3.1.2-15 of 3.1.1]`, the user name `[MQTT-3.1.2-16]` `[MQTT-3.1.2-17]` `[MQTT-3.1.2-18 of 3.1.1]`
/// `[MQTT-3.1.2-19 of 3.1.1]`, and the password `[MQTT-3.1.2-18]` `[MQTT-3.1.2-19]` `[MQTT-3.1.2-20 of 3.1.1]`
/// `[MQTT-3.1.2-21 of 3.1.1]`.
fn connect_flags(connect: &Connect<'_>) -> u8 {
    let will_flags = |will: &Will<'_>| 1 << 2 | (will.qos as u8) << 3 | u8::from(will.retain) << 5;
    u8::from(connect.clean_start) << 1
        | connect.will.as_ref().map_or(0, will_flags)
        | u8::from(connect.password.is_some()) << 6
        | u8::from(connect.user_name.is_some()) << 7
}

fn put_connack(connack: &ConnAck<'_>, version: Version, out: &mut Vec<u8>) {
    // 3.1 has no Session Present: its byte is reserved.
    out.push(u8::from(connack.session_present && version > Version::V31));
    out.push(if version < Version::V5 { connack.reason.to_v3_connack() } else { connack.reason as u8 });
    put_properties(connack.properties, version, out);
}

fn put_subscribe(subscribe: &Subscribe<'_>, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let plain = |options: SubscribeOptions| options == SubscribeOptions::with_qos(options.qos);
    if version < Version::V5 && !subscribe.filters.iter().all(|(_, options)| plain(options)) {
        return Err(EncodeError::NeedsVersion5);
    }
    put_packet_id(subscribe.packet_id, out);
    put_properties(subscribe.properties, version, out);
    out.extend_from_slice(subscribe.filters.raw);
    Ok(())
}

fn put_suback(suback: &SubAck<'_>, version: Version, out: &mut Vec<u8>) {
    put_packet_id(suback.packet_id, out);
    put_properties(suback.properties, version, out);
    if version < Version::V5 {
        // The only failure before 5.0 is 0x80 [MQTT-3.9.3-2].
        out.extend(suback.raw_codes.iter().map(|&code| code.min(0x80)));
    } else {
        out.extend_from_slice(suback.raw_codes);
    }
}

fn put_unsuback(unsuback: &SubAck<'_>, version: Version, out: &mut Vec<u8>) {
    put_packet_id(unsuback.packet_id, out);
    put_properties(unsuback.properties, version, out);
    if version == Version::V5 {
        out.extend_from_slice(unsuback.raw_codes);
    }
}

/// DISCONNECT, as short as can be `[U5-38]`.
fn put_disconnect(disconnect: &Disconnect<'_>, version: Version, out: &mut Vec<u8>) {
    if version < Version::V5 {
        return;
    }
    if !disconnect.properties.is_empty() {
        out.push(disconnect.reason as u8);
        put_properties(disconnect.properties, version, out);
    } else if disconnect.reason != ReasonCode::Success {
        out.push(disconnect.reason as u8);
    }
}

/// The most bytes of a fixed header.
const FIXED_HEADER_MAX: usize = 5;

/// Appends a whole packet of which `body` writes what follows the fixed header.
fn frame(
    packet_type: PacketType,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    // Room for a length of one byte, which nearly always is enough.
    out.extend_from_slice(&[first_byte(packet_type), 0]);
    let body_at = out.len();
    let written = body(out).and_then(|()| {
        let remaining_len = out.len() - body_at;
        if remaining_len > REMAINING_LENGTH_MAX {
            Err(EncodeError::PacketTooLarge)
        } else {
            Ok(remaining_len)
        }
    });
    match written {
        Ok(remaining_len) => {
            let mut header = Vec::with_capacity(FIXED_HEADER_MAX);
            put_fixed_header(first_byte(packet_type), remaining_len, &mut header);
            out.splice(start..body_at, header);
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

/// First byte of every packet other than PUBLISH `[MQTT-2.1.3-1]`: its flags are 0 `[MQTT-3.14.1-1]` `[MQTT-3.15.1-1]`,
/// or 2 in PUBREL `[MQTT-3.6.1-1]` `[MQTT-3.6.1-1 of 3.1.1]`, SUBSCRIBE `[MQTT-3.8.1-1]` `[MQTT-3.8.1-1 of 3.1.1]` and
/// UNSUBSCRIBE `[MQTT-3.10.1-1]` `[MQTT-3.10.1-1 of 3.1.1]`.
fn first_byte(packet_type: PacketType) -> u8 {
    let flags = match packet_type {
        PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => 2,
        _ => 0,
    };
    (packet_type as u8) << 4 | flags
}

/// DUP is never set at QoS 0 `[MQTT-3.3.1-2]` `[MQTT-3.3.1-2 of 3.1.1]`.
fn publish_first_byte(publish: &Publish<'_>) -> u8 {
    let dup = publish.dup && publish.qos != QoS::AtMostOnce;
    (PacketType::Publish as u8) << 4
        | u8::from(dup) << 3
        | (publish.qos as u8) << 1
        | u8::from(publish.retain)
}

/// First byte and remaining length; most packets are short.
#[inline]
fn put_fixed_header(first_byte: u8, remaining_len: usize, out: &mut Vec<u8>) {
    if remaining_len < 0x80 {
        out.extend_from_slice(&[first_byte, remaining_len as u8]);
    } else {
        out.push(first_byte);
        put_variable_byte_integer(out, remaining_len as u32);
    }
}

fn put_packet_id(packet_id: PacketId, out: &mut Vec<u8>) {
    out.extend_from_slice(&packet_id.get().to_be_bytes());
}

fn put_counted(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let len = u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldTooLong)?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// Bytes that a set of properties takes with its length.
fn properties_len(properties: Properties<'_>, version: Version) -> usize {
    let len = properties.as_bytes().len();
    match version {
        Version::V31 | Version::V311 => 0,
        Version::V5 if len < 1 << 7 => len + 1,
        Version::V5 if len < 1 << 14 => len + 2,
        Version::V5 if len < 1 << 21 => len + 3,
        Version::V5 => len + 4,
    }
}

/// A set of properties with its length, which stands also for none `[MQTT-2.2.2-1]`; nothing before 5.0. A set too long
/// for MQTT makes its packet too long.
#[inline]
fn put_properties(properties: Properties<'_>, version: Version, out: &mut Vec<u8>) {
    match properties.as_bytes() {
        _ if version < Version::V5 => {}
        [] => out.push(0),
        raw => {
            put_variable_byte_integer(out, raw.len().min(REMAINING_LENGTH_MAX) as u32);
            out.extend_from_slice(raw);
        }
    }
}
