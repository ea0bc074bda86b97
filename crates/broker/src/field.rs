//! Fields of what is stored: how records and rows put them down, and how they are read again.
//!
//! Numbers are big-endian, texts carry their length. Bytes come from a disk, so that reading answers `None` where they
//! are cut or make no sense, and never panics.

use std::sync::Arc;

use longwire_proto::property::{Properties, PropertiesBuf};
use longwire_proto::{PacketId, QoS};

use crate::address::{GroupRef, SessionRef};
use crate::message::{Head, Message};
use crate::will::Will;

/// Beside a QoS in one byte.
const RETAIN: u8 = 1 << 2;

/// An address.
pub fn put_session(out: &mut Vec<u8>, session: SessionRef) {
    put_address(out, session.slot, session.generation, session.shard);
}

/// An address.
pub fn put_group(out: &mut Vec<u8>, group: GroupRef) {
    put_address(out, group.slot, group.generation, group.shard);
}

/// An address, or one byte that says that there is none.
pub fn put_group_if(out: &mut Vec<u8>, group: Option<GroupRef>) {
    out.push(u8::from(group.is_some()));
    if let Some(group) = group {
        put_group(out, group);
    }
}

/// At most 65,535 bytes of text, as MQTT has it.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// QoS and RETAIN in one byte.
pub fn put_qos(out: &mut Vec<u8>, qos: QoS, retain: bool) {
    out.push(qos as u8 | if retain { RETAIN } else { 0 });
}

/// A message.
pub fn put_message(out: &mut Vec<u8>, message: &Message) {
    let view = message.view();
    put_session(out, view.publisher);
    put_qos(out, view.qos, view.retain);
    out.extend_from_slice(&view.expires_at.to_be_bytes());
    out.extend_from_slice(&(view.publisher_id.len() as u16).to_be_bytes());
    out.extend_from_slice(&(view.topic.len() as u16).to_be_bytes());
    out.extend_from_slice(&(view.properties.as_bytes().len() as u32).to_be_bytes());
    out.extend_from_slice(&(view.len() as u32).to_be_bytes());
    view.write_content(out);
}

/// A will.
pub fn put_will(out: &mut Vec<u8>, will: &Will) {
    put_qos(out, will.qos, will.retain);
    out.extend_from_slice(&will.delay_secs.to_be_bytes());
    out.push(u8::from(will.expiry_secs.is_some()));
    out.extend_from_slice(&will.expiry_secs.unwrap_or(0).to_be_bytes());
    put_text(out, &will.topic);
    put_bytes(out, will.properties.as_properties().as_bytes());
    put_bytes(out, &will.payload);
}

/// Any number of bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn put_address(out: &mut Vec<u8>, slot: u32, generation: u16, shard: u16) {
    out.extend_from_slice(&slot.to_be_bytes());
    out.extend_from_slice(&generation.to_be_bytes());
    out.extend_from_slice(&shard.to_be_bytes());
}

/// Reads fields one after the other.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

#[allow(missing_docs)] // Each reads what its name says; `None` is bytes that make no sense.
impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn session(&mut self) -> Option<SessionRef> {
        Some(SessionRef { slot: self.u32()?, generation: self.u16()?, shard: self.u16()? })
    }

    pub fn group(&mut self) -> Option<GroupRef> {
        Some(GroupRef { slot: self.u32()?, generation: self.u16()?, shard: self.u16()? })
    }

    pub fn group_if(&mut self) -> Option<Option<GroupRef>> {
        if self.flag()? { self.group().map(Some) } else { Some(None) }
    }

    pub fn text(&mut self) -> Option<&'a str> {
        let len = usize::from(self.u16()?);
        std::str::from_utf8(self.take(len)?).ok()
    }

    pub fn qos(&mut self) -> Option<(QoS, bool)> {
        let byte = self.u8()?;
        let qos = QoS::from_bits(byte & !RETAIN)?;
        Some((qos, byte & RETAIN != 0))
    }

    pub fn message(&mut self) -> Option<Arc<Message>> {
        let publisher = self.session()?;
        let (qos, retain) = self.qos()?;
        let head = Head {
            publisher,
            qos,
            retain,
            expires_at: self.u64()?,
            publisher_id_bytes: self.u16()?,
            topic_bytes: self.u16()?,
            property_bytes: self.u32()?,
        };
        let content = self.bytes()?;
        Message::from_parts(head, content).map(Arc::new)
    }

    pub fn will(&mut self) -> Option<Will> {
        let (qos, retain) = self.qos()?;
        let delay_secs = self.u32()?;
        let (expires, expiry_secs) = (self.flag()?, self.u32()?);
        let topic = self.text()?.into();
        let mut properties = PropertiesBuf::new();
        properties.extend_raw(Properties::from_checked(self.bytes()?));
        let payload = self.bytes()?.into();
        let expiry_secs = expires.then_some(expiry_secs);
        Some(Will { qos, retain, delay_secs, expiry_secs, topic, properties, payload })
    }

    pub fn packet_id(&mut self) -> Option<PacketId> {
        PacketId::new(self.u16()?)
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    pub fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(bytes)
    }
}
