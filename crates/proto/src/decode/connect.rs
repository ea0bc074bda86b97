//! CONNECT, which is decoded by the version that it names itself.

use super::fault::{self, Fault};
use super::properties::properties;
use super::reader::Reader;
use super::{DecodeError, text};
use crate::integer::variable_byte_integer;
use crate::packet::{Connect, QoS, Version, Will};
use crate::property::table::Holder;

/// High bit of the protocol level: a bridge speaks.
const BRIDGE: u8 = 0x80;

const USER_NAME: u8 = 1 << 7;
const PASSWORD: u8 = 1 << 6;
const WILL_RETAIN: u8 = 1 << 5;
const WILL_QOS_SHIFT: u8 = 3;
const WILL: u8 = 1 << 2;
const CLEAN_START: u8 = 1 << 1;
const RESERVED: u8 = 1;

/// The protocol level that a CONNECT names, even if it is malformed or not complete: it decides in which form a
/// refusal is understood.
pub fn connect_level(bytes: &[u8]) -> Option<u8> {
    let (&first_byte, rest) = bytes.split_first()?;
    if first_byte >> 4 != 1 {
        return None;
    }
    let (_, len_len) = variable_byte_integer(rest).ok()?;
    let (name_len, rest) = rest[len_len..].split_first_chunk()?;
    rest.get(usize::from(u16::from_be_bytes(*name_len))).copied()
}

/// The fields in their order `[MQTT-3.1.3-1]` `[MQTT-3.1.3-1 of 3.1.1]`, those that the flags announce and no others:
/// will `[MQTT-3.1.2-11 of 3.1.1]`, user name `[MQTT-3.1.2-16]` `[MQTT-3.1.2-18 of 3.1.1]`, password `[MQTT-3.1.2-18]`
/// `[MQTT-3.1.2-20 of 3.1.1]`.
pub(super) fn connect<'a>(body: &mut Reader<'a>) -> Result<Connect<'a>, DecodeError> {
    let (version, bridge) = protocol(body)?;
    body.rules.version = version;
    let flags = body.byte(&fault::CONNECT_CUT)?;
    if let Some(fault) = flags_fault(flags, version) {
        return Err(body.error(fault));
    }
    let keep_alive_secs = body.two_bytes(&fault::CONNECT_CUT)?;
    let properties = properties(body, Holder::Connect)?;
    let client_id = body.counted(&fault::CLIENT_ID_MISSING)?;
    let connect = Connect {
        version,
        bridge,
        clean_start: flags & CLEAN_START != 0,
        keep_alive_secs,
        client_id: text::name_of_client(client_id, &fault::CLIENT_ID_ILL_FORMED, body.rules)?,
        will: if flags & WILL != 0 { Some(will(flags, body)?) } else { None },
        user_name: match credential(flags & USER_NAME, body, &fault::USER_NAME_MISSING)? {
            Some(name) => Some(text::name_of_client(name, &fault::USER_NAME_ILL_FORMED, body.rules)?),
            None => None,
        },
        password: credential(flags & PASSWORD, body, &fault::PASSWORD_MISSING)?,
        properties,
    };
    if !body.rest.is_empty() {
        return Err(body.error(&fault::CONNECT_LEFT_OVER));
    }
    Ok(connect)
}

/// Protocol name and level `[MQTT-3.1.2-1]` `[MQTT-3.1.2-2]`.
fn protocol(body: &mut Reader<'_>) -> Result<(Version, bool), DecodeError> {
    let name = body.counted(&fault::CONNECT_CUT)?;
    let level = body.byte(&fault::CONNECT_CUT)?;
    let bridge = level & BRIDGE != 0;
    match (name, level & !BRIDGE) {
        (b"MQTT", 4) => Ok((Version::V311, bridge)),
        (b"MQTT", 5) if !bridge => Ok((Version::V5, false)),
        (b"MQIsdp", 3) => Ok((Version::V31, bridge)),
        (b"MQTT", _) => Err(body.error(&fault::PROTOCOL_LEVEL)),
        _ => Err(body.error(&fault::PROTOCOL_NAME)),
    }
}

fn flags_fault(flags: u8, version: Version) -> Option<&'static Fault> {
    let will_qos = flags >> WILL_QOS_SHIFT & 3;
    if flags & RESERVED != 0 {
        Some(&fault::CONNECT_RESERVED)
    } else if flags & WILL == 0 && will_qos != 0 {
        Some(&fault::WILL_QOS_WITHOUT_WILL)
    } else if flags & WILL == 0 && flags & WILL_RETAIN != 0 {
        Some(&fault::WILL_RETAIN_WITHOUT_WILL)
    } else if will_qos == 3 {
        Some(&fault::WILL_QOS)
    } else if flags & (USER_NAME | PASSWORD) == PASSWORD && version < Version::V5 {
        Some(&fault::PASSWORD_ALONE)
    } else {
        None
    }
}

fn will<'a>(flags: u8, body: &mut Reader<'a>) -> Result<Will<'a>, DecodeError> {
    let qos = QoS::from_bits(flags >> WILL_QOS_SHIFT & 3).ok_or_else(|| body.error(&fault::WILL_QOS))?;
    let properties = properties(body, Holder::Will)?;
    let topic = body.counted(&fault::WILL_MISSING)?;
    Ok(Will {
        qos,
        retain: flags & WILL_RETAIN != 0,
        topic: text::topic_name(topic, &fault::WILL_TOPIC, body.rules)?,
        payload: body.counted(&fault::WILL_MISSING)?,
        properties,
    })
}

/// User name or password, when its flag is set. In 3.1 the payload may end before it nevertheless.
fn credential<'a>(flag: u8, body: &mut Reader<'a>, missing: &Fault) -> Result<Option<&'a [u8]>, DecodeError> {
    if flag == 0 || body.version() == Version::V31 && body.rest.is_empty() {
        return Ok(None);
    }
    body.counted(missing).map(Some)
}
