//! Bytes to packets: borrowed, without allocation, and complete or not at all.
//!
//! [`packet`] looks at the start of whatever has arrived. An incomplete packet is a value; everything that can be
//! wrong is refused as early as its bytes are there, with the statement that forbids it. What a packet means for
//! a connection (aliases, quotas, sessions) is not known here.
//!
//! Invariant: a decoded packet keeps every rule that can be seen in it alone, so that the iterators over its
//! lists and properties cannot fail.

mod connect;
mod fault;
mod properties;
mod publish;
mod reader;
mod reply;
mod subscribe;
mod text;

use std::fmt;

use crate::integer::{IntegerFault, variable_byte_integer};
use crate::packet::{Packet, PacketType, Version};
use crate::reason::{ReasonCode, Sender};

use reader::Reader;

pub use connect::connect_level;
pub(crate) use properties::check_to_send;

/// Who reads the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Receiver {
    /// A server, which reads what a client sent.
    Server,
    /// A client, which reads what a server sent.
    Client,
}

/// What the receiver knows about the connection before it reads a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Version of the connection. A CONNECT is decoded by the version it names itself.
    pub version: Version,
    /// Who reads.
    pub receiver: Receiver,
    /// Bytes of the largest packet taken in, fixed header included.
    pub packet_size_max: u32,
    /// Refuses control characters and non-characters in topics, filters, client ids and user names.
    pub strict_text: bool,
}

/// What the beginning of some bytes is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decoded<'a> {
    /// A whole packet, and how many bytes it took.
    Packet(Packet<'a>, usize),
    /// Not yet a whole packet.
    Incomplete {
        /// Length of the whole packet once that is known, otherwise at least one byte more than there are.
        needed: usize,
    },
}

/// Why bytes are not a packet. The connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The code for CONNACK or DISCONNECT.
    pub reason: ReasonCode,
    /// The statement that was broken, such as `MQTT-3.3.1-4`; empty where the standard has none.
    pub statement: &'static str,
    /// What is wrong, as half a sentence.
    pub what: &'static str,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.what)?;
        if self.statement.is_empty() { Ok(()) } else { write!(formatter, " [{}]", self.statement) }
    }
}

impl std::error::Error for DecodeError {}

/// Decodes the packet at the start of `bytes`.
///
/// # Errors
/// The bytes break a rule of the standard or of `rules`.
#[inline]
pub fn packet<'a>(bytes: &'a [u8], rules: &Rules) -> Result<Decoded<'a>, DecodeError> {
    let Some((&first_byte, rest)) = bytes.split_first() else {
        return Ok(Decoded::Incomplete { needed: 2 });
    };
    let packet_type = packet_type(first_byte, *rules)?;
    let (remaining_len, len_len) = match variable_byte_integer(rest) {
        Ok((len, len_len)) => (len as usize, len_len),
        Err(IntegerFault::Cut) => return Ok(Decoded::Incomplete { needed: bytes.len() + 1 }),
        Err(fault) => return Err(remaining_length_fault(fault, *rules)),
    };
    let packet_len = 1 + len_len + remaining_len;
    if packet_len > rules.packet_size_max as usize {
        return Err(too_large(*rules));
    }
    let Some(body) = bytes.get(1 + len_len..packet_len) else {
        return Ok(Decoded::Incomplete { needed: packet_len });
    };
    let packet = packet_body(packet_type, first_byte, &mut Reader::new(body, *rules))?;
    Ok(Decoded::Packet(packet, packet_len))
}

impl Receiver {
    /// The other side.
    fn sender(self) -> Sender {
        match self {
            Receiver::Server => Sender::Client,
            Receiver::Client => Sender::Server,
        }
    }
}

#[inline]
fn packet_body<'a>(
    packet_type: PacketType,
    first_byte: u8,
    body: &mut Reader<'a>,
) -> Result<Packet<'a>, DecodeError> {
    match packet_type {
        PacketType::Connect => connect::connect(body).map(Packet::Connect),
        PacketType::ConnAck => reply::connack(body).map(Packet::ConnAck),
        PacketType::Publish => publish::publish(first_byte, body).map(Packet::Publish),
        PacketType::PubAck => publish::ack(packet_type, body).map(Packet::PubAck),
        PacketType::PubRec => publish::ack(packet_type, body).map(Packet::PubRec),
        PacketType::PubRel => publish::ack(packet_type, body).map(Packet::PubRel),
        PacketType::PubComp => publish::ack(packet_type, body).map(Packet::PubComp),
        PacketType::Subscribe => subscribe::subscribe(body).map(Packet::Subscribe),
        PacketType::SubAck => reply::suback(packet_type, body).map(Packet::SubAck),
        PacketType::Unsubscribe => subscribe::unsubscribe(body).map(Packet::Unsubscribe),
        PacketType::UnsubAck => reply::suback(packet_type, body).map(Packet::UnsubAck),
        PacketType::PingReq => body.end().map(|()| Packet::PingReq),
        PacketType::PingResp => body.end().map(|()| Packet::PingResp),
        PacketType::Disconnect => reply::disconnect(body).map(Packet::Disconnect),
        PacketType::Auth => reply::auth(body).map(Packet::Auth),
    }
}

/// Type of the packet, when this version has it, its sender may send it, and its flags are right.
#[inline]
fn packet_type(first_byte: u8, rules: Rules) -> Result<PacketType, DecodeError> {
    let fail = |fault: &fault::Fault| Err(fault.at(rules.version));
    let Some(packet_type) = PacketType::from_first_byte(first_byte) else {
        return fail(&fault::RESERVED_TYPE);
    };
    let flags = first_byte & 0x0F;
    if packet_type == PacketType::Publish {
        return match flags {
            flags if flags & 0b0110 == 0b0110 => fail(&fault::PUBLISH_QOS),
            flags if flags & 0b1110 == 0b1000 => fail(&fault::PUBLISH_DUP),
            _ => Ok(packet_type),
        };
    }
    if packet_type == PacketType::Auth && rules.version < Version::V5 {
        return fail(&fault::RESERVED_TYPE);
    }
    if !comes_from_there(packet_type, rules) {
        return fail(&fault::DIRECTION);
    }
    let right = match packet_type {
        // 3.1 sends these as QoS 1 messages, which may have DUP set.
        PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => {
            flags == 2 || flags == 0xA && rules.version == Version::V31
        }
        _ => flags == 0,
    };
    if right { Ok(packet_type) } else { fail(fault::flags(packet_type)) }
}

/// Whether the other side may send packets of this type.
fn comes_from_there(packet_type: PacketType, rules: Rules) -> bool {
    use PacketType::*;
    match rules.receiver {
        Receiver::Server => !matches!(packet_type, ConnAck | SubAck | UnsubAck | PingResp),
        Receiver::Client => match packet_type {
            Connect | Subscribe | Unsubscribe | PingReq => false,
            Disconnect => rules.version == Version::V5,
            _ => true,
        },
    }
}

#[cold]
fn remaining_length_fault(fault: IntegerFault, rules: Rules) -> DecodeError {
    let fault = match fault {
        IntegerFault::Padded => fault::PADDED_INTEGER,
        IntegerFault::Cut | IntegerFault::TooLong => fault::LONG_INTEGER,
    };
    fault.at(rules.version)
}

#[cold]
fn too_large(rules: Rules) -> DecodeError {
    let fault = match rules.receiver {
        Receiver::Server => fault::TOO_LARGE_FOR_SERVER,
        Receiver::Client => fault::TOO_LARGE_FOR_CLIENT,
    };
    fault.at(rules.version)
}
