//! PUBLISH, PUBACK, PUBREC, PUBREL and PUBCOMP.

use super::properties::properties;
use super::reader::Reader;
use super::{DecodeError, Receiver, fault, text};
use crate::packet::{Ack, PacketType, Publish, QoS, Version};
use crate::property::Properties;
use crate::property::table::Holder;
use crate::reason::ReasonCode;

/// PUBLISH, of which the first byte was checked before.
#[inline]
pub(super) fn publish<'a>(first_byte: u8, body: &mut Reader<'a>) -> Result<Publish<'a>, DecodeError> {
    let qos = QoS::from_bits(first_byte >> 1 & 3).ok_or_else(|| body.error(&fault::PUBLISH_QOS))?;
    let topic = body.counted(&fault::CUT)?;
    let packet_id = if qos == QoS::AtMostOnce { None } else { Some(body.packet_id()?) };
    let holder = match body.rules.receiver {
        Receiver::Server => Holder::ClientPublish,
        Receiver::Client => Holder::ServerPublish,
    };
    let properties = properties(body, holder)?;
    let topic = if topic.is_empty() && properties.topic_alias().is_some() {
        ""
    } else {
        text::topic_name(topic, &fault::PUBLISH_TOPIC, body.rules)?
    };
    Ok(Publish {
        dup: first_byte & 0b1000 != 0,
        qos,
        retain: first_byte & 1 != 0,
        topic,
        packet_id,
        properties,
        payload: body.rest,
    })
}

/// One of the four acknowledgements: from 5.0 on with a code, and properties if there is more `[U5-31]`.
pub(super) fn ack<'a>(packet_type: PacketType, body: &mut Reader<'a>) -> Result<Ack<'a>, DecodeError> {
    let mut ack =
        Ack { packet_id: body.packet_id()?, reason: ReasonCode::Success, properties: Properties::EMPTY };
    if body.version() == Version::V5 && !body.rest.is_empty() {
        ack.reason = body.reason(packet_type)?;
        if !body.rest.is_empty() {
            ack.properties = properties(body, Holder::Ack)?;
        }
    }
    body.end()?;
    Ok(ack)
}
