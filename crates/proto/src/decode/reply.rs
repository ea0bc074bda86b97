//! CONNACK, SUBACK, UNSUBACK, DISCONNECT and AUTH: packets that are mostly a reason.

use super::properties::properties;
use super::reader::Reader;
use super::{DecodeError, Receiver, fault};
use crate::packet::{Auth, ConnAck, Disconnect, PacketType, SubAck, Version};
use crate::property::Properties;
use crate::property::table::Holder;
use crate::reason::ReasonCode;

pub(super) fn connack<'a>(body: &mut Reader<'a>) -> Result<ConnAck<'a>, DecodeError> {
    let flags = body.byte(&fault::CUT)?;
    // The whole byte is reserved in 3.1.
    if flags > 1 && body.version() > Version::V31 {
        return Err(body.error(&fault::CONNACK_FLAGS));
    }
    let session_present = flags == 1 && body.version() > Version::V31;
    let reason = if body.version() == Version::V5 {
        body.reason(PacketType::ConnAck)?
    } else {
        let code = body.byte(&fault::CUT)?;
        ReasonCode::from_v3_connack(code).ok_or_else(|| body.error(&fault::CONNACK_CODE))?
    };
    if session_present && reason != ReasonCode::Success {
        return Err(body.error(&fault::SESSION_OF_REFUSAL));
    }
    let properties = properties(body, Holder::ConnAck)?;
    body.end()?;
    Ok(ConnAck { session_present, reason, properties })
}

/// SUBACK or UNSUBACK, as `packet_type` says.
pub(super) fn suback<'a>(packet_type: PacketType, body: &mut Reader<'a>) -> Result<SubAck<'a>, DecodeError> {
    let packet_id = body.packet_id()?;
    let properties = properties(body, Holder::SubAck)?;
    if packet_type == PacketType::UnsubAck && body.version() < Version::V5 {
        body.end()?;
    } else if body.rest.is_empty() {
        return Err(body.error(&fault::CUT));
    }
    for &code in body.rest {
        let reason = body.reason_of(code, packet_type)?;
        if reason as u8 > 0x80 && body.version() < Version::V5 {
            return Err(body.error(&fault::SUBACK_CODE));
        }
    }
    Ok(SubAck { packet_id, properties, raw_codes: body.rest })
}

/// DISCONNECT, which may be cut short behind the code or before it `[U5-38]`.
pub(super) fn disconnect<'a>(body: &mut Reader<'a>) -> Result<Disconnect<'a>, DecodeError> {
    let mut disconnect = Disconnect { reason: ReasonCode::Success, properties: Properties::EMPTY };
    if body.version() == Version::V5 && !body.rest.is_empty() {
        disconnect.reason = body.reason(PacketType::Disconnect)?;
        if !body.rest.is_empty() {
            let holder = match body.rules.receiver {
                Receiver::Server => Holder::ClientDisconnect,
                Receiver::Client => Holder::ServerDisconnect,
            };
            disconnect.properties = properties(body, holder)?;
        }
    }
    body.end()?;
    Ok(disconnect)
}

/// AUTH. Its short form has no Authentication Method, without which it means nothing `[U5-43]`.
pub(super) fn auth<'a>(body: &mut Reader<'a>) -> Result<Auth<'a>, DecodeError> {
    if body.rest.is_empty() {
        return Err(body.error(&fault::AUTH_METHOD));
    }
    let reason = body.reason(PacketType::Auth)?;
    let properties = properties(body, Holder::Auth)?;
    if properties.authentication_method().is_none() {
        return Err(body.error(&fault::AUTH_METHOD));
    }
    body.end()?;
    Ok(Auth { reason, properties })
}
