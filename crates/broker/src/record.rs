//! What must survive, as versioned data. A shard asks for records to be kept; the journal writes them in blocks and
//! applies them in log order. Each record is a kind byte, then its fields, big-endian; texts carry their length.
//!
//! Sessions are named by their [`SessionRef`], which a [`Record::SessionBegun`] ties to a client id.

use std::sync::Arc;

use longwire_proto::{PacketId, QoS};

use crate::address::{GroupRef, SessionRef};
use crate::message::{Head, Message, MessageView, Millis};
use crate::routes::TargetOptions;

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
    /// A session that outlives its connection began, or changed its expiry interval (seconds).
    SessionBegun { session: SessionRef, client_id: Box<str>, expiry_secs: u32 },
    /// It ended.
    SessionEnded { session: SessionRef },
    /// It lost its connection; its expiry interval runs from this moment.
    SessionLeft { session: SessionRef, at: Millis },
    /// It subscribed, or changed a subscription. The filter is whole, `$share/name/` included.
    Subscribed {
        session: SessionRef,
        filter: Box<str>,
        options: TargetOptions,
        identifier: u32,
        /// Address of the shared group, which is of this run only and not written.
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
    /// A kept message was sent to it under this id.
    Delivered { session: SessionRef, packet_id: PacketId, position: Position, qos: QoS },
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

impl Record {
    /// Appends the record's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Record::Message { message, groups } => encode_message(&message.view(), groups, out),
            Record::SessionBegun { session, client_id, expiry_secs } => {
                put_session(out, SESSION_BEGUN, *session);
                out.extend_from_slice(&expiry_secs.to_be_bytes());
                put_text(out, client_id);
            }
            Record::SessionEnded { session } => put_session(out, SESSION_ENDED, *session),
            Record::GroupEnded { group, joins } => {
                out.push(GROUP_ENDED);
                put_group(out, *group);
                out.extend_from_slice(&joins.to_be_bytes());
            }
            Record::SessionLeft { session, at } => {
                put_session(out, SESSION_LEFT, *session);
                out.extend_from_slice(&at.to_be_bytes());
            }
            Record::Subscribed { session, filter, options, identifier, group: _ } => {
                put_session(out, SUBSCRIBED, *session);
                out.push(options.to_bits());
                out.extend_from_slice(&identifier.to_be_bytes());
                put_text(out, filter);
            }
            Record::Unsubscribed { session, filter } => {
                put_session(out, UNSUBSCRIBED, *session);
                put_text(out, filter);
            }
            Record::InboundReceived { session, packet_id } => {
                put_id(out, INBOUND_RECEIVED, *session, *packet_id);
            }
            Record::InboundReleased { session, packet_id } => {
                put_id(out, INBOUND_RELEASED, *session, *packet_id);
            }
            Record::Delivered { session, packet_id, position, qos } => {
                put_id(out, DELIVERED, *session, *packet_id);
                out.extend_from_slice(&position.to_be_bytes());
                out.push(*qos as u8);
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
        let mut reader = Reader { rest: bytes };
        let record = reader.record().ok_or(DamagedRecord)?;
        Ok((record, reader.rest))
    }

    /// Bytes this record will take, roughly: what back-pressure counts before it is encoded.
    pub fn size_hint(&self) -> usize {
        match self {
            Record::Message { message, groups } => message.len() + 40 + 8 * groups.len(),
            Record::SessionBegun { client_id, .. } => client_id.len() + 32,
            Record::Subscribed { filter, .. } | Record::Unsubscribed { filter, .. } => filter.len() + 32,
            _ => 32,
        }
    }
}

fn encode_message(view: &MessageView<'_>, groups: &[GroupRef], out: &mut Vec<u8>) {
    put_session(out, MESSAGE, view.publisher);
    out.extend_from_slice(&(groups.len() as u32).to_be_bytes());
    for group in groups {
        put_group(out, *group);
    }
    out.push(view.qos as u8 | u8::from(view.retain) << 2);
    out.extend_from_slice(&view.expires_at.to_be_bytes());
    out.extend_from_slice(&(view.publisher_id.len() as u16).to_be_bytes());
    out.extend_from_slice(&(view.topic.len() as u16).to_be_bytes());
    out.extend_from_slice(&(view.properties.as_bytes().len() as u32).to_be_bytes());
    out.extend_from_slice(&(view.len() as u32).to_be_bytes());
    view.write_content(out);
}

fn put_session(out: &mut Vec<u8>, kind: u8, session: SessionRef) {
    out.push(kind);
    out.extend_from_slice(&session.slot.to_be_bytes());
    out.extend_from_slice(&session.generation.to_be_bytes());
    out.extend_from_slice(&session.shard.to_be_bytes());
}

fn put_group(out: &mut Vec<u8>, group: GroupRef) {
    out.extend_from_slice(&group.slot.to_be_bytes());
    out.extend_from_slice(&group.generation.to_be_bytes());
    out.extend_from_slice(&group.shard.to_be_bytes());
}

fn put_id(out: &mut Vec<u8>, kind: u8, session: SessionRef, packet_id: PacketId) {
    put_session(out, kind, session);
    out.extend_from_slice(&packet_id.get().to_be_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn record(&mut self) -> Option<Record> {
        let kind = self.u8()?;
        let session = SessionRef { slot: self.u32()?, generation: self.u16()?, shard: self.u16()? };
        Some(match kind {
            MESSAGE => {
                let groups = self.groups()?;
                Record::Message { message: self.message(session)?, groups }
            }
            GROUP_ENDED => {
                let SessionRef { slot, generation, shard } = session;
                Record::GroupEnded { group: GroupRef { slot, generation, shard }, joins: self.u32()? }
            }
            SESSION_BEGUN => {
                let expiry_secs = self.u32()?;
                Record::SessionBegun { session, client_id: self.text()?.into(), expiry_secs }
            }
            SESSION_ENDED => Record::SessionEnded { session },
            SESSION_LEFT => Record::SessionLeft { session, at: self.u64()? },
            SUBSCRIBED => {
                let options = TargetOptions::from_bits(self.u8()?)?;
                let identifier = self.u32()?;
                Record::Subscribed { session, filter: self.text()?.into(), options, identifier, group: None }
            }
            UNSUBSCRIBED => Record::Unsubscribed { session, filter: self.text()?.into() },
            INBOUND_RECEIVED => Record::InboundReceived { session, packet_id: self.packet_id()? },
            INBOUND_RELEASED => Record::InboundReleased { session, packet_id: self.packet_id()? },
            DELIVERED => Record::Delivered {
                session,
                packet_id: self.packet_id()?,
                position: self.u64()?,
                qos: QoS::from_bits(self.u8()?)?,
            },
            RECEIVED => Record::Received { session, packet_id: self.packet_id()? },
            SETTLED => Record::Settled { session, packet_id: self.packet_id()? },
            _ => return None,
        })
    }

    fn groups(&mut self) -> Option<Box<[GroupRef]>> {
        let count = self.u32()?;
        (0..count)
            .map(|_| Some(GroupRef { slot: self.u32()?, generation: self.u16()?, shard: self.u16()? }))
            .collect()
    }

    fn message(&mut self, publisher: SessionRef) -> Option<Arc<Message>> {
        let flags = self.u8()?;
        let head = Head {
            publisher,
            qos: QoS::from_bits(flags & 3)?,
            retain: flags & 4 != 0,
            expires_at: self.u64()?,
            publisher_id_bytes: self.u16()?,
            topic_bytes: self.u16()?,
            property_bytes: self.u32()?,
        };
        let len = self.u32()? as usize;
        let content = self.bytes(len)?;
        Message::from_parts(head, content).map(Arc::new)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.bytes(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = usize::from(self.u16()?);
        std::str::from_utf8(self.bytes(len)?).ok()
    }

    fn packet_id(&mut self) -> Option<PacketId> {
        PacketId::new(self.u16()?)
    }
}

#[cfg(test)]
mod tests {
    use longwire_proto::property::{PropertiesBuf, Property};

    use super::*;
    use crate::message::NEVER;

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
        let options = TargetOptions::from_bits(0b101).unwrap();
        vec![
            Record::Message {
                message,
                groups: [
                    GroupRef { slot: 2, generation: 1, shard: 0 },
                    GroupRef { slot: 5, generation: 6, shard: 7 },
                ]
                .into(),
            },
            Record::GroupEnded { group: GroupRef { slot: 2, generation: 1, shard: 3 }, joins: 2 },
            Record::SessionBegun { session: SESSION, client_id: "c".into(), expiry_secs: 60 },
            Record::SessionEnded { session: SESSION },
            Record::SessionLeft { session: SESSION, at: 5 },
            Record::Subscribed {
                session: SESSION,
                filter: "a/#".into(),
                options,
                identifier: 4,
                group: None,
            },
            Record::Unsubscribed { session: SESSION, filter: "a/#".into() },
            Record::InboundReceived { session: SESSION, packet_id: id },
            Record::InboundReleased { session: SESSION, packet_id: id },
            Record::Delivered { session: SESSION, packet_id: id, position: 8, qos: QoS::AtLeastOnce },
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
