//! What must survive, as versioned data. A shard asks for records to be kept; the journal writes them in blocks and
//! applies them in log order. Each record is a kind byte, then its fields, big-endian; texts carry their length.
//!
//! Sessions are named by their [`SessionRef`], which a [`Record::SessionBegun`] ties to a client id.

use std::sync::Arc;

use longwire_proto::{PacketId, QoS};

use crate::address::{GroupRef, SessionRef};
use crate::field::{self, Reader};
use crate::message::{Message, Millis};
use crate::routes::TargetOptions;
use crate::will::Will;

/// Place of a record in the log.
pub type Position = u64;

/// One thing that must survive.
#[allow(missing_docs)] // The fields are the nouns of each sentence.
#[derive(Clone, Debug)]
pub enum Record {
    /// A publication that a durable session wants, or that is retained.
    Message {
        message: Arc<Message>,
        /// Shared groups that are to get it from the log. Others that it matches were served live, before they had a
        /// durable member.
        groups: Box<[GroupRef]>,
    },
    /// A session that outlives its connection began or was resumed: it is connected, its expiry interval (seconds) is
    /// this, and it has no will yet.
    SessionBegun { session: SessionRef, client_id: Box<str>, expiry_secs: u32 },
    /// It ended.
    SessionEnded { session: SessionRef },
    /// It lost its connection; its expiry interval runs from this moment. Its will waits for its delay, or is gone.
    SessionLeft { session: SessionRef, at: Millis, expiry_secs: u32, has_will: bool },
    /// Its present connection has a will `[MQTT-3.1.2-7]`.
    WillSet { session: SessionRef, will: Box<Will> },
    /// Its will was published; in one ticket with the message, so that it is never published twice.
    WillPublished { session: SessionRef },
    /// It subscribed, or changed a subscription. The filter is whole, `$share/name/` included; the group is that of a
    /// shared one.
    Subscribed {
        session: SessionRef,
        filter: Box<str>,
        options: TargetOptions,
        identifier: u32,
        group: Option<GroupRef>,
    },
    /// It unsubscribed.
    Unsubscribed { session: SessionRef, filter: Box<str> },
    /// A shared group with a durable member lost its last member. Durable members joined it so many times: each is a
    /// [`Record::Subscribed`], and some of them may come to the log after this one, from different shards.
    GroupEnded { group: GroupRef, joins: u32 },
    /// It sent a QoS 2 PUBLISH with this id `[MQTT-4.3.3-8]`.
    InboundReceived { session: SessionRef, packet_id: PacketId },
    /// It released that id `[MQTT-4.3.3-11]`.
    InboundReleased { session: SessionRef, packet_id: PacketId },
    /// A kept message was sent to it under this id, with this RETAIN; the group is that of a shared subscription, and
    /// the identifier (or 0) that of the membership.
    Delivered {
        session: SessionRef,
        packet_id: PacketId,
        position: Position,
        qos: QoS,
        retain: bool,
        group: Option<GroupRef>,
        identifier: u32,
    },
    /// A retained message was sent to it under this id and with this identifier (or 0), since it had subscribed.
    RetainedDelivered {
        session: SessionRef,
        packet_id: PacketId,
        qos: QoS,
        identifier: u32,
        message: Arc<Message>,
    },
    /// It sent PUBREC: the PUBLISH may never be sent again `[MQTT-4.3.3-6]`.
    Received { session: SessionRef, packet_id: PacketId },
    /// It finished the delivery of that id.
    Settled { session: SessionRef, packet_id: PacketId },
}

/// A record whose bytes do not make sense: the log was damaged or written by something else.
#[derive(Debug, PartialEq, Eq)]
pub struct DamagedRecord;

const MESSAGE: u8 = 1;
const SESSION_BEGUN: u8 = 2;
const SESSION_ENDED: u8 = 3;
const SESSION_LEFT: u8 = 4;
const SUBSCRIBED: u8 = 5;
const UNSUBSCRIBED: u8 = 6;
const INBOUND_RECEIVED: u8 = 7;
const INBOUND_RELEASED: u8 = 8;
const DELIVERED: u8 = 9;
const RECEIVED: u8 = 10;
const SETTLED: u8 = 11;
const GROUP_ENDED: u8 = 12;
const WILL_SET: u8 = 13;
const WILL_PUBLISHED: u8 = 14;
const RETAINED_DELIVERED: u8 = 15;

impl Record {
    /// Appends the record's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Record::Message { message, groups } => {
                out.push(MESSAGE);
                field::put_message(out, message);
                out.extend_from_slice(&(groups.len() as u32).to_be_bytes());
                groups.iter().for_each(|group| field::put_group(out, *group));
            }
            Record::SessionBegun { session, client_id, expiry_secs } => {
                put_head(out, SESSION_BEGUN, *session);
                out.extend_from_slice(&expiry_secs.to_be_bytes());
                field::put_text(out, client_id);
            }
            Record::SessionEnded { session } => put_head(out, SESSION_ENDED, *session),
            Record::GroupEnded { group, joins } => {
                out.push(GROUP_ENDED);
                field::put_group(out, *group);
                out.extend_from_slice(&joins.to_be_bytes());
            }
            Record::SessionLeft { session, at, expiry_secs, has_will } => {
                put_head(out, SESSION_LEFT, *session);
                out.extend_from_slice(&at.to_be_bytes());
                out.extend_from_slice(&expiry_secs.to_be_bytes());
                out.push(u8::from(*has_will));
            }
            Record::WillSet { session, will } => {
                put_head(out, WILL_SET, *session);
                field::put_will(out, will);
            }
            Record::WillPublished { session } => put_head(out, WILL_PUBLISHED, *session),
            Record::Subscribed { session, filter, options, identifier, group } => {
                put_head(out, SUBSCRIBED, *session);
                out.push(options.to_bits());
                out.extend_from_slice(&identifier.to_be_bytes());
                field::put_group_if(out, *group);
                field::put_text(out, filter);
            }
            Record::Unsubscribed { session, filter } => {
                put_head(out, UNSUBSCRIBED, *session);
                field::put_text(out, filter);
            }
            Record::InboundReceived { session, packet_id } => {
                put_id(out, INBOUND_RECEIVED, *session, *packet_id);
            }
            Record::InboundReleased { session, packet_id } => {
                put_id(out, INBOUND_RELEASED, *session, *packet_id);
            }
            Record::Delivered { session, packet_id, position, qos, retain, group, identifier } => {
                put_id(out, DELIVERED, *session, *packet_id);
                out.extend_from_slice(&position.to_be_bytes());
                field::put_qos(out, *qos, *retain);
                field::put_group_if(out, *group);
                out.extend_from_slice(&identifier.to_be_bytes());
            }
            Record::RetainedDelivered { session, packet_id, qos, identifier, message } => {
                put_id(out, RETAINED_DELIVERED, *session, *packet_id);
                field::put_qos(out, *qos, true);
                out.extend_from_slice(&identifier.to_be_bytes());
                field::put_message(out, message);
            }
            Record::Received { session, packet_id } => put_id(out, RECEIVED, *session, *packet_id),
            Record::Settled { session, packet_id } => put_id(out, SETTLED, *session, *packet_id),
        }
    }

    /// Reads the record at the start of `bytes`; the second value is what follows it.
    ///
    /// # Errors
    /// [`DamagedRecord`] if the bytes are cut short or no record.
    pub fn decode(bytes: &[u8]) -> Result<(Record, &[u8]), DamagedRecord> {
        let mut reader = Reader::new(bytes);
        let record = read(&mut reader).ok_or(DamagedRecord)?;
        Ok((record, reader.rest()))
    }

    /// Bytes this record will take, roughly: what back-pressure counts before it is encoded.
    pub fn size_hint(&self) -> usize {
        match self {
            Record::Message { message, groups } => message.len() + 40 + 8 * groups.len(),
            Record::SessionBegun { client_id, .. } => client_id.len() + 32,
            Record::Subscribed { filter, .. } | Record::Unsubscribed { filter, .. } => filter.len() + 32,
            Record::WillSet { will, .. } => will.len() + 48,
            Record::RetainedDelivered { message, .. } => message.len() + 48,
            _ => 32,
        }
    }
}

fn put_head(out: &mut Vec<u8>, kind: u8, session: SessionRef) {
    out.push(kind);
    field::put_session(out, session);
}

fn put_id(out: &mut Vec<u8>, kind: u8, session: SessionRef, packet_id: PacketId) {
    put_head(out, kind, session);
    out.extend_from_slice(&packet_id.get().to_be_bytes());
}

/// The record at the start of the bytes, or `None` if they are none.
fn read(reader: &mut Reader<'_>) -> Option<Record> {
    let kind = reader.u8()?;
    match kind {
        MESSAGE => {
            let message = reader.message()?;
            let count = reader.u32()?;
            let groups = (0..count).map(|_| reader.group()).collect::<Option<_>>()?;
            return Some(Record::Message { message, groups });
        }
        GROUP_ENDED => return Some(Record::GroupEnded { group: reader.group()?, joins: reader.u32()? }),
        _ => {}
    }
    let session = reader.session()?;
    Some(match kind {
        SESSION_BEGUN => {
            let expiry_secs = reader.u32()?;
            Record::SessionBegun { session, client_id: reader.text()?.into(), expiry_secs }
        }
        SESSION_ENDED => Record::SessionEnded { session },
        SESSION_LEFT => Record::SessionLeft {
            session,
            at: reader.u64()?,
            expiry_secs: reader.u32()?,
            has_will: reader.flag()?,
        },
        WILL_SET => Record::WillSet { session, will: Box::new(reader.will()?) },
        WILL_PUBLISHED => Record::WillPublished { session },
        SUBSCRIBED => {
            let options = TargetOptions::from_bits(reader.u8()?)?;
            let (identifier, group) = (reader.u32()?, reader.group_if()?);
            Record::Subscribed { session, filter: reader.text()?.into(), options, identifier, group }
        }
        UNSUBSCRIBED => Record::Unsubscribed { session, filter: reader.text()?.into() },
        INBOUND_RECEIVED => Record::InboundReceived { session, packet_id: reader.packet_id()? },
        INBOUND_RELEASED => Record::InboundReleased { session, packet_id: reader.packet_id()? },
        DELIVERED => {
            let (packet_id, position, (qos, retain)) = (reader.packet_id()?, reader.u64()?, reader.qos()?);
            let (group, identifier) = (reader.group_if()?, reader.u32()?);
            Record::Delivered { session, packet_id, position, qos, retain, group, identifier }
        }
        RETAINED_DELIVERED => {
            let (packet_id, (qos, _), identifier) = (reader.packet_id()?, reader.qos()?, reader.u32()?);
            Record::RetainedDelivered { session, packet_id, qos, identifier, message: reader.message()? }
        }
        RECEIVED => Record::Received { session, packet_id: reader.packet_id()? },
        SETTLED => Record::Settled { session, packet_id: reader.packet_id()? },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use longwire_proto::packet;
    use longwire_proto::property::{PropertiesBuf, Property};

    use super::*;
    use crate::message::{MessageView, NEVER};

    const SESSION: SessionRef = SessionRef { slot: 7, generation: 3, shard: 1 };

    fn all_kinds() -> Vec<Record> {
        let id = PacketId::new(9).unwrap();
        let mut properties = PropertiesBuf::new();
        properties.push(Property::UserProperty("k", "v"));
        let message = MessageView {
            publisher: SESSION,
            publisher_id: "p",
            qos: QoS::ExactlyOnce,
            retain: true,
            expires_at: NEVER,
            topic: "a/b",
            properties: properties.as_properties(),
            payload: b"25",
        }
        .to_message();
        let will = Will::new(&packet::Will {
            qos: QoS::AtLeastOnce,
            retain: true,
            topic: "a/will",
            payload: b"gone",
            properties: properties.as_properties(),
        });
        let options = TargetOptions::from_bits(0b101).unwrap();
        vec![
            Record::Message {
                message: Arc::clone(&message),
                groups: [
                    GroupRef { slot: 2, generation: 1, shard: 0 },
                    GroupRef { slot: 5, generation: 6, shard: 7 },
                ]
                .into(),
            },
            Record::GroupEnded { group: GroupRef { slot: 2, generation: 1, shard: 3 }, joins: 2 },
            Record::SessionBegun { session: SESSION, client_id: "c".into(), expiry_secs: 60 },
            Record::SessionEnded { session: SESSION },
            Record::SessionLeft { session: SESSION, at: 5, expiry_secs: 6, has_will: true },
            Record::WillSet { session: SESSION, will: Box::new(will) },
            Record::WillPublished { session: SESSION },
            Record::Subscribed {
                session: SESSION,
                filter: "a/#".into(),
                options,
                identifier: 4,
                group: Some(GroupRef { slot: 2, generation: 1, shard: 3 }),
            },
            Record::Unsubscribed { session: SESSION, filter: "a/#".into() },
            Record::InboundReceived { session: SESSION, packet_id: id },
            Record::InboundReleased { session: SESSION, packet_id: id },
            Record::Delivered {
                session: SESSION,
                packet_id: id,
                position: 8,
                qos: QoS::AtLeastOnce,
                retain: true,
                group: None,
                identifier: 7,
            },
            Record::RetainedDelivered {
                session: SESSION,
                packet_id: id,
                qos: QoS::ExactlyOnce,
                identifier: 8,
                message: Arc::clone(&message),
            },
            Record::Received { session: SESSION, packet_id: id },
            Record::Settled { session: SESSION, packet_id: id },
        ]
    }

    #[test]
    fn every_kind_of_record_survives_a_round_trip() {
        for record in all_kinds() {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            bytes.push(0xEE);
            let (decoded, rest) = Record::decode(&bytes).unwrap();
            assert_eq!(rest, [0xEE]);
            let mut again = Vec::new();
            decoded.encode(&mut again);
            assert_eq!(again, bytes[..bytes.len() - 1], "{record:?}");
        }
    }

    #[test]
    fn every_cut_of_a_record_is_reported_as_damage() {
        for record in all_kinds() {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            for len in 0..bytes.len() {
                assert!(Record::decode(&bytes[..len]).is_err(), "{record:?} cut to {len}");
            }
        }
    }
}
