//! One packet on its way through a broken proxy: what it is, what has been noted before, and what becomes of it.
//!
//! A fault changes [`Turn::bytes`], or answers, holds up or cuts. Packets that do not decode stay as they are, so that
//! a fault in well-formed packets never repairs malformed ones by accident.

use std::collections::HashMap;

use longwire_proto::decode::{self, Decoded, Receiver, Rules};
use longwire_proto::packet::{
    Packet, PacketType, SubscribeFiltersBuf, SubscribeOptions, UnsubscribeFiltersBuf,
};
use longwire_proto::property::{Properties, PropertiesBuf, Property};
use longwire_proto::{PacketId, QoS, Version, encode};

use crate::message::Message;

/// Notes of one kind before all are forgotten; a fault may not show after that.
const NOTES_MAX: usize = 100_000;

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// A scene.
    Client,
    /// The broker that is judged.
    Broker,
}

impl Side {
    /// The side across.
    pub(crate) fn other(self) -> Side {
        if self == Side::Client { Side::Broker } else { Side::Client }
    }
}

/// What a fault remembers: values by keys, both in bytes of its own choice.
#[derive(Default)]
pub(crate) struct Notes(HashMap<Vec<u8>, Vec<u8>>);

impl Notes {
    /// Notes a value under a key.
    pub(crate) fn remember(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        if self.0.len() >= NOTES_MAX {
            self.0.clear();
        }
        self.0.insert(key.as_ref().to_vec(), value.as_ref().to_vec());
    }

    /// Notes that something has been seen, and tells whether it is new.
    pub(crate) fn note(&mut self, key: impl AsRef<[u8]>) -> bool {
        let new = !self.knows(&key);
        self.remember(key, []);
        new
    }

    /// The value under a key.
    pub(crate) fn recall(&self, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        self.0.get(key.as_ref()).cloned()
    }

    /// Whether there is a note under this key.
    pub(crate) fn knows(&self, key: impl AsRef<[u8]>) -> bool {
        self.0.contains_key(key.as_ref())
    }

    /// Removes all notes.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Removes a note.
    pub(crate) fn forget(&mut self, key: impl AsRef<[u8]>) {
        self.0.remove(key.as_ref());
    }

    /// The keys of all notes.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.0.keys().map(Vec::as_slice)
    }
}

/// One packet, or the end of one direction, where a fault may act.
pub(crate) struct Turn<'a> {
    /// Who sent it.
    pub(crate) from: Side,
    /// The direction ends; there is no packet.
    pub(crate) is_end: bool,
    /// Version of the connection.
    pub(crate) version: Version,
    /// What is passed on: the packet as it came, until a fault changes it.
    pub(crate) bytes: Vec<u8>,
    /// What is sent back to where the packet came from.
    pub(crate) answer: Vec<u8>,
    /// It is passed on behind the next packet that is late too, or when nothing has come for a moment.
    pub(crate) is_late: bool,
    /// Both sides are closed after this.
    pub(crate) is_cut: bool,
    /// The end is not passed on.
    pub(crate) stays_open: bool,
    /// Notes of this connection.
    pub(crate) connection: &'a mut Notes,
    /// Notes of all connections with this client id.
    pub(crate) session: &'a mut Notes,
    /// Notes of all connections.
    pub(crate) broker: &'a mut Notes,
}

impl Turn<'_> {
    /// The type in the first byte.
    pub(crate) fn packet_type(&self) -> Option<PacketType> {
        PacketType::from_first_byte(*self.bytes.first()?)
    }

    /// The packet, if it is one.
    pub(crate) fn packet(&self) -> Option<Packet<'_>> {
        decoded(&self.bytes, self.version, self.from)
    }

    /// Changes the packet in place.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Packet<'_>)) {
        let old = std::mem::take(&mut self.bytes);
        let Some(mut packet) = decoded(&old, self.version, self.from) else {
            self.bytes = old;
            return;
        };
        change(&mut packet);
        self.bytes = encoded(&packet, self.version);
    }

    /// The packet as a message, if it is a PUBLISH.
    pub(crate) fn message(&self) -> Option<Message> {
        match self.packet()? {
            Packet::Publish(publish) => Some(Message::from(&publish)),
            _ => None,
        }
    }

    /// Changes the PUBLISH in place, its topic and payload too.
    pub(crate) fn edit_message(&mut self, change: impl FnOnce(&mut Message)) {
        if let Some(mut message) = self.message() {
            change(&mut message);
            self.bytes = publish(&message, self.version);
        }
    }

    /// The packet id, of packets that have one.
    pub(crate) fn id(&self) -> Option<u16> {
        let id = match self.packet()? {
            Packet::Publish(publish) => publish.packet_id?,
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
                ack.packet_id
            }
            Packet::Subscribe(subscribe) => subscribe.packet_id,
            Packet::Unsubscribe(unsubscribe) => unsubscribe.packet_id,
            Packet::SubAck(grants) | Packet::UnsubAck(grants) => grants.packet_id,
            _ => return None,
        };
        Some(id.get())
    }

    /// Gives the packet another set of properties, made from the one it has.
    pub(crate) fn edit_properties(&mut self, change: impl FnOnce(Properties<'_>, &mut PropertiesBuf)) {
        self.exchange(change, |packet| match packet {
            Packet::Connect(connect) => Some(&mut connect.properties),
            Packet::ConnAck(connack) => Some(&mut connack.properties),
            Packet::Publish(publish) => Some(&mut publish.properties),
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
                Some(&mut ack.properties)
            }
            Packet::Subscribe(subscribe) => Some(&mut subscribe.properties),
            Packet::Unsubscribe(unsubscribe) => Some(&mut unsubscribe.properties),
            Packet::SubAck(grants) | Packet::UnsubAck(grants) => Some(&mut grants.properties),
            Packet::Disconnect(disconnect) => Some(&mut disconnect.properties),
            Packet::Auth(auth) => Some(&mut auth.properties),
            Packet::PingReq | Packet::PingResp => None,
        });
    }

    /// Gives the will of a CONNECT another set of properties.
    pub(crate) fn edit_will_properties(&mut self, change: impl FnOnce(Properties<'_>, &mut PropertiesBuf)) {
        self.exchange(change, |packet| match packet {
            Packet::Connect(connect) => connect.will.as_mut().map(|will| &mut will.properties),
            _ => None,
        });
    }

    /// Leaves out the properties that `lost` picks.
    pub(crate) fn lose_properties(&mut self, lost: impl Fn(&Property<'_>) -> bool) {
        self.edit_properties(|old, new| new.extend(old.iter().filter(|property| !lost(property))));
    }

    /// Adds a property.
    pub(crate) fn add_property(&mut self, property: Property<'_>) {
        self.edit_properties(|old, new| {
            new.extend_raw(old);
            new.push(property);
        });
    }

    /// Changes the filters of a SUBSCRIBE or UNSUBSCRIBE, and the options of a SUBSCRIBE.
    pub(crate) fn edit_filters(&mut self, mut change: impl FnMut(&mut String, &mut SubscribeOptions)) {
        let (mut subscribed, mut unsubscribed) = Default::default();
        let old = std::mem::take(&mut self.bytes);
        self.bytes = match decoded(&old, self.version, self.from) {
            Some(Packet::Subscribe(mut subscribe)) => {
                for (filter, mut options) in subscribe.filters.iter() {
                    let mut filter = filter.to_owned();
                    change(&mut filter, &mut options);
                    SubscribeFiltersBuf::push(&mut subscribed, &filter, options);
                }
                subscribe.filters = subscribed.as_filters();
                encoded(&Packet::Subscribe(subscribe), self.version)
            }
            Some(Packet::Unsubscribe(mut unsubscribe)) => {
                for filter in unsubscribe.filters.iter() {
                    let mut filter = filter.to_owned();
                    change(&mut filter, &mut SubscribeOptions::with_qos(QoS::AtMostOnce));
                    UnsubscribeFiltersBuf::push(&mut unsubscribed, &filter);
                }
                unsubscribe.filters = unsubscribed.as_filters();
                encoded(&Packet::Unsubscribe(unsubscribe), self.version)
            }
            _ => old,
        };
    }

    /// The filters of a SUBSCRIBE with their options, or those of an UNSUBSCRIBE.
    pub(crate) fn filters(&self) -> Vec<(String, SubscribeOptions)> {
        match self.packet() {
            Some(Packet::Subscribe(subscribe)) => {
                subscribe.filters.iter().map(|(filter, options)| (filter.to_owned(), options)).collect()
            }
            Some(Packet::Unsubscribe(unsubscribe)) => {
                let options = SubscribeOptions::with_qos(QoS::AtMostOnce);
                unsubscribe.filters.iter().map(|filter| (filter.to_owned(), options)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Changes the codes of a SUBACK or UNSUBACK.
    pub(crate) fn edit_codes(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        let old = std::mem::take(&mut self.bytes);
        let mut codes = Vec::new();
        self.bytes = match decoded(&old, self.version, self.from) {
            Some(mut packet @ (Packet::SubAck(grants) | Packet::UnsubAck(grants))) => {
                codes.extend_from_slice(grants.raw_codes);
                change(&mut codes);
                if let Packet::SubAck(grants) | Packet::UnsubAck(grants) = &mut packet {
                    grants.raw_codes = &codes;
                }
                encoded(&packet, self.version)
            }
            _ => old,
        };
    }

    /// Puts a changed set of properties in the place that `place` finds in the packet.
    fn exchange(
        &mut self,
        change: impl FnOnce(Properties<'_>, &mut PropertiesBuf),
        place: impl for<'p, 'b> FnOnce(&'p mut Packet<'b>) -> Option<&'p mut Properties<'b>>,
    ) {
        let old = std::mem::take(&mut self.bytes);
        let mut changed = PropertiesBuf::new();
        self.bytes = match decoded(&old, self.version, self.from) {
            Some(mut packet) => {
                if let Some(place) = place(&mut packet) {
                    change(*place, &mut changed);
                    *place = changed.as_properties();
                }
                encoded(&packet, self.version)
            }
            None => old,
        };
    }
}

/// The bytes of a PUBLISH.
pub(crate) fn publish(message: &Message, version: Version) -> Vec<u8> {
    let properties = if version == Version::V5 { message.props() } else { Properties::EMPTY };
    encoded(
        &Packet::Publish(longwire_proto::packet::Publish {
            dup: message.dup,
            qos: QoS::from_bits(message.qos).unwrap_or(QoS::AtMostOnce),
            retain: message.retain,
            topic: &message.topic,
            packet_id: PacketId::new(message.id).filter(|_| message.qos > 0),
            properties,
            payload: &message.payload,
        }),
        version,
    )
}

/// The bytes of a packet; none where it has no form in this version.
pub(crate) fn encoded(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    match encode::packet(packet, version, &mut bytes) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}

/// The packet that these bytes are, if they are one.
pub(super) fn decoded(bytes: &[u8], version: Version, from: Side) -> Option<Packet<'_>> {
    let receiver = if from == Side::Client { Receiver::Server } else { Receiver::Client };
    let rules = Rules { version, receiver, packet_size_max: u32::MAX, strict_text: false };
    match decode::packet(bytes, &rules) {
        Ok(Decoded::Packet(packet, len)) if len == bytes.len() => Some(packet),
        _ => None,
    }
}
