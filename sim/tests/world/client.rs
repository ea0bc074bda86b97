//! A client at the far end of a wire: packets out as bytes, bytes in as packets. It acknowledges nothing by itself.

use std::collections::HashMap;
use std::num::NonZeroU16;

use longwire_proto::decode::{self, Decoded, Receiver, Rules};
use longwire_proto::encode::{self, AckKind};
use longwire_proto::packet::{
    Ack, Connect, Disconnect, Publish, Subscribe, SubscribeFiltersBuf, SubscribeOptions, Unsubscribe,
    UnsubscribeFiltersBuf,
};
use longwire_proto::property::{Properties, PropertiesBuf, Property};
use longwire_proto::{Packet, QoS, ReasonCode, Version};

use crate::world::{WireId, World};

/// One client and its present connection.
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) version: Version,
    pub(crate) wire: Option<WireId>,
    aliases: HashMap<u16, String>,
}

/// What a CONNECT asks for.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) clean_start: bool,
    /// Before 5.0 only 0 and `u32::MAX` can be said, and only together with the right `clean_start`.
    pub(crate) expiry_secs: u32,
    pub(crate) receive_max: u16,
    pub(crate) alias_max: u16,
}

/// Resumes or begins a session that stays.
pub(crate) const DURABLE: Terms =
    Terms { clean_start: false, expiry_secs: u32::MAX, receive_max: 100, alias_max: 0 };

/// Begins a session that ends with its connection.
pub(crate) const FLEETING: Terms =
    Terms { clean_start: true, expiry_secs: 0, receive_max: 100, alias_max: 0 };

/// A packet as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    ConnAck { session_present: bool, reason: ReasonCode },
    Publish(Delivery),
    PubAck(u16, ReasonCode),
    PubRec(u16, ReasonCode),
    PubRel(u16),
    PubComp(u16),
    SubAck(u16, Vec<u8>),
    UnsubAck(u16),
    Disconnect(ReasonCode),
}

/// A PUBLISH as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) qos: QoS,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    /// 0 at QoS 0.
    pub(crate) packet_id: u16,
}

/// A PUBLISH to be sent.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    /// 0 at QoS 0.
    pub(crate) packet_id: u16,
}

impl Client {
    pub(crate) fn new(id: &str, version: Version) -> Self {
        Client { id: id.into(), version, wire: None, aliases: HashMap::new() }
    }

    /// Opens a connection and sends CONNECT. An older connection of this client is left as it is.
    pub(crate) fn connect(&mut self, world: &mut World, terms: Terms) {
        self.wire = Some(world.connect(&self.id));
        self.aliases.clear();
        let mut properties = PropertiesBuf::new();
        if self.version == Version::V5 {
            properties.push(Property::SessionExpiryInterval(terms.expiry_secs));
            properties.push(Property::ReceiveMaximum(terms.receive_max));
            properties.push(Property::TopicAliasMaximum(terms.alias_max));
        }
        let connect = Connect {
            version: self.version,
            bridge: false,
            clean_start: terms.clean_start,
            keep_alive_secs: 0,
            client_id: &self.id,
            will: None,
            user_name: None,
            password: None,
            properties: properties.as_properties(),
        };
        self.send(world, &Packet::Connect(connect));
    }

    pub(crate) fn publish(&self, world: &mut World, publish: Outgoing<'_>) {
        let packet = Packet::Publish(Publish {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            topic: publish.topic,
            packet_id: NonZeroU16::new(publish.packet_id),
            properties: Properties::EMPTY,
            payload: publish.payload.as_bytes(),
        });
        self.send(world, &packet);
    }

    pub(crate) fn subscribe(&self, world: &mut World, packet_id: u16, filter: &str, qos: QoS) {
        let mut filters = SubscribeFiltersBuf::default();
        filters.push(filter, SubscribeOptions::with_qos(qos));
        let packet = Packet::Subscribe(Subscribe {
            packet_id: id(packet_id),
            properties: Properties::EMPTY,
            filters: filters.as_filters(),
        });
        self.send(world, &packet);
    }

    pub(crate) fn unsubscribe(&self, world: &mut World, packet_id: u16, filter: &str) {
        let mut filters = UnsubscribeFiltersBuf::default();
        filters.push(filter);
        let packet = Packet::Unsubscribe(Unsubscribe {
            packet_id: id(packet_id),
            properties: Properties::EMPTY,
            filters: filters.as_filters(),
        });
        self.send(world, &packet);
    }

    pub(crate) fn ack(&self, world: &mut World, kind: AckKind, packet_id: u16) {
        let Some(wire) = self.wire else { return };
        let mut bytes = Vec::new();
        encode::ack(kind, &Ack::new(id(packet_id), ReasonCode::Success), self.version, &mut bytes);
        world.send(wire, &bytes);
    }

    /// DISCONNECT, and the end of the connection.
    pub(crate) fn disconnect(&mut self, world: &mut World) {
        let packet = Disconnect { reason: ReasonCode::Success, properties: Properties::EMPTY };
        self.send(world, &Packet::Disconnect(packet));
        self.crash(world, usize::MAX);
    }

    /// The connection ends without a word; of what the broker has not read, `kept_max` bytes still reach it.
    pub(crate) fn crash(&mut self, world: &mut World, kept_max: usize) {
        if let Some(wire) = self.wire.take() {
            world.hang_up(wire, kept_max);
        }
    }

    /// Everything that has arrived.
    pub(crate) fn received(&mut self, world: &mut World) -> Vec<Got> {
        std::iter::from_fn(|| self.receive_one(world)).collect()
    }

    /// The next packet that has arrived.
    pub(crate) fn receive_one(&mut self, world: &mut World) -> Option<Got> {
        let wire = self.wire?;
        let rules = Rules {
            version: self.version,
            receiver: Receiver::Client,
            packet_size_max: u32::MAX,
            strict_text: true,
        };
        let decoded = decode::packet(world.arrived(wire), &rules).expect("the broker sends packets");
        let Decoded::Packet(packet, used) = decoded else { return None };
        let got = self.got(&packet);
        world.take_arrived(wire, used);
        Some(got)
    }

    fn got(&mut self, packet: &Packet<'_>) -> Got {
        match packet {
            Packet::ConnAck(connack) => {
                Got::ConnAck { session_present: connack.session_present, reason: connack.reason }
            }
            Packet::Publish(publish) => Got::Publish(self.delivery(publish)),
            Packet::PubAck(ack) => Got::PubAck(ack.packet_id.get(), ack.reason),
            Packet::PubRec(ack) => Got::PubRec(ack.packet_id.get(), ack.reason),
            Packet::PubRel(ack) => Got::PubRel(ack.packet_id.get()),
            Packet::PubComp(ack) => Got::PubComp(ack.packet_id.get()),
            Packet::SubAck(ack) => Got::SubAck(ack.packet_id.get(), ack.raw_codes.to_vec()),
            Packet::UnsubAck(ack) => Got::UnsubAck(ack.packet_id.get()),
            Packet::Disconnect(disconnect) => Got::Disconnect(disconnect.reason),
            other => panic!("a broker does not send {other:?}"),
        }
    }

    fn delivery(&mut self, publish: &Publish<'_>) -> Delivery {
        let topic = match publish.properties.topic_alias() {
            Some(alias) if publish.topic.is_empty() => self.aliases[&alias].clone(),
            Some(alias) => {
                self.aliases.insert(alias, publish.topic.into());
                publish.topic.into()
            }
            None => publish.topic.into(),
        };
        Delivery {
            topic,
            payload: String::from_utf8(publish.payload.to_vec()).expect("payloads are text here"),
            qos: publish.qos,
            dup: publish.dup,
            retain: publish.retain,
            packet_id: publish.packet_id.map_or(0, NonZeroU16::get),
        }
    }

    fn send(&self, world: &mut World, packet: &Packet<'_>) {
        let Some(wire) = self.wire else { return };
        let mut bytes = Vec::new();
        encode::packet(packet, self.version, &mut bytes).expect("the packet fits its version");
        world.send(wire, &bytes);
    }
}

fn id(packet_id: u16) -> NonZeroU16 {
    NonZeroU16::new(packet_id).expect("packet ids are not 0")
}
