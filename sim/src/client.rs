//! A client at the far end of a wire: packets out as bytes, bytes in as packets. It acknowledges nothing by itself.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU16;

use longwire_proto::decode::{self, Decoded, Receiver, Rules};
use longwire_proto::encode::{self, AckKind};
use longwire_proto::packet::{
    Ack, Connect, Disconnect, Publish, Subscribe, SubscribeFiltersBuf, SubscribeOptions, Unsubscribe,
    UnsubscribeFiltersBuf, Will,
};
use longwire_proto::property::{Properties, PropertiesBuf, Property};
use longwire_proto::{Packet, QoS, ReasonCode, Version};

use crate::world::{WireId, World};

/// One client and its present connection.
#[allow(missing_docs)] // The fields are the nouns of the sentence.
pub struct Client {
    pub id: String,
    pub version: Version,
    pub wire: Option<WireId>,
    /// Bytes of the largest packet it takes, as its last CONNECT said.
    packet_size_max: u32,
    /// Topics by the aliases that the broker has set.
    aliases_in: HashMap<u16, String>,
    /// Aliases it has set itself.
    aliases_out: HashMap<String, u16>,
}

/// What a CONNECT asks for.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // The fields are those of the packet.
pub struct Terms {
    pub clean_start: bool,
    /// Before 5.0 only 0 and `u32::MAX` can be said, and only together with the right `clean_start`.
    pub expiry_secs: u32,
    pub receive_max: u16,
    pub alias_max: u16,
    /// 0 is no limit.
    pub packet_size_max: u32,
}

/// Resumes or begins a session that stays.
pub const DURABLE: Terms =
    Terms { clean_start: false, expiry_secs: u32::MAX, receive_max: 100, alias_max: 0, packet_size_max: 0 };

/// Begins a session that ends with its connection.
pub const FLEETING: Terms = Terms { clean_start: true, expiry_secs: 0, ..DURABLE };

/// A will to be sent in CONNECT.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // The fields are those of the packet.
pub struct LastWill<'a> {
    pub topic: &'a str,
    pub payload: &'a str,
    pub qos: QoS,
    pub retain: bool,
    /// 0 before 5.0.
    pub delay_secs: u32,
}

/// A packet as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The variants are the packets.
pub enum Got {
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
#[allow(missing_docs)] // The fields are those of the packet.
pub struct Delivery {
    pub topic: String,
    pub payload: String,
    pub qos: QoS,
    pub dup: bool,
    pub retain: bool,
    /// 0 at QoS 0.
    pub packet_id: u16,
    /// Subscription identifiers.
    pub identifiers: Vec<u32>,
    /// Seconds it is still good for.
    pub expiry_secs: Option<u32>,
}

/// As a story tells it.
impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Delivery { topic, payload, qos, dup, retain, packet_id, identifiers, expiry_secs } = self;
        let name = payload.split(':').next().unwrap_or_default();
        let bytes = payload.len();
        write!(
            f,
            "PUBLISH {name} ({bytes} bytes) id {packet_id} to {topic} {qos:?} dup {dup} retain {retain}"
        )?;
        write!(f, " identifiers {identifiers:?} expiry {expiry_secs:?}")
    }
}

/// As a story tells it.
impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Got::Publish(delivery) => delivery.fmt(f),
            other => write!(f, "{other:?}"),
        }
    }
}

/// A PUBLISH to be sent.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // The fields are those of the packet.
pub struct Outgoing<'a> {
    pub topic: &'a str,
    pub payload: &'a str,
    pub qos: QoS,
    pub retain: bool,
    pub dup: bool,
    /// 0 at QoS 0.
    pub packet_id: u16,
}

/// Topic aliases a client sets on one connection, fewer than the broker allows.
const ALIASES_MAX: usize = 4;

impl Client {
    /// A client without a connection.
    pub fn new(id: &str, version: Version) -> Self {
        Client {
            id: id.into(),
            version,
            wire: None,
            packet_size_max: 0,
            aliases_in: HashMap::new(),
            aliases_out: HashMap::new(),
        }
    }

    /// Opens a connection and sends CONNECT. An older connection of this client is left as it is.
    pub fn connect(&mut self, world: &mut World, terms: Terms) {
        self.connect_with_will(world, terms, None);
    }

    /// As above, with a will.
    pub fn connect_with_will(&mut self, world: &mut World, terms: Terms, will: Option<LastWill<'_>>) {
        self.wire = Some(world.connect(&self.id));
        self.packet_size_max = terms.packet_size_max;
        self.aliases_in.clear();
        self.aliases_out.clear();
        let mut properties = PropertiesBuf::new();
        let mut will_properties = PropertiesBuf::new();
        if self.version == Version::V5 {
            properties.push(Property::SessionExpiryInterval(terms.expiry_secs));
            properties.push(Property::ReceiveMaximum(terms.receive_max));
            properties.push(Property::TopicAliasMaximum(terms.alias_max));
            if terms.packet_size_max > 0 {
                properties.push(Property::MaximumPacketSize(terms.packet_size_max));
            }
            if let Some(will) = will {
                will_properties.push(Property::WillDelayInterval(will.delay_secs));
            }
        }
        let will = will.map(|will| Will {
            qos: will.qos,
            retain: will.retain,
            topic: will.topic,
            payload: will.payload.as_bytes(),
            properties: will_properties.as_properties(),
        });
        let connect = Connect {
            version: self.version,
            bridge: false,
            clean_start: terms.clean_start,
            keep_alive_secs: 0,
            client_id: &self.id,
            will,
            user_name: None,
            password: None,
            properties: properties.as_properties(),
        };
        self.send(world, &Packet::Connect(connect));
    }

    /// Sends PUBLISH.
    pub fn publish(&self, world: &mut World, publish: Outgoing<'_>) {
        self.send_publish(world, publish, publish.topic, Properties::EMPTY);
    }

    /// As above, good for so many seconds, and by a topic alias if `aliased` says so and there is one left.
    pub fn publish_with(
        &mut self,
        world: &mut World,
        publish: Outgoing<'_>,
        expiry_secs: Option<u32>,
        aliased: bool,
    ) {
        let mut properties = PropertiesBuf::new();
        let mut topic = publish.topic;
        if let Some(secs) = expiry_secs {
            properties.push(Property::MessageExpiryInterval(secs));
        }
        if aliased {
            if let Some(&alias) = self.aliases_out.get(topic) {
                properties.push(Property::TopicAlias(alias));
                topic = "";
            } else if self.aliases_out.len() < ALIASES_MAX {
                let alias = self.aliases_out.len() as u16 + 1;
                properties.push(Property::TopicAlias(alias));
                self.aliases_out.insert(topic.into(), alias);
            }
        }
        self.send_publish(world, publish, topic, properties.as_properties());
    }

    fn send_publish(
        &self,
        world: &mut World,
        publish: Outgoing<'_>,
        topic: &str,
        properties: Properties<'_>,
    ) {
        let packet = Packet::Publish(Publish {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            topic,
            packet_id: NonZeroU16::new(publish.packet_id),
            properties,
            payload: publish.payload.as_bytes(),
        });
        self.send(world, &packet);
    }

    /// Sends SUBSCRIBE with plain options.
    pub fn subscribe(&self, world: &mut World, packet_id: u16, filter: &str, qos: QoS) {
        self.subscribe_with(world, packet_id, filter, SubscribeOptions::with_qos(qos), 0);
    }

    /// Sends SUBSCRIBE; `identifier` 0 is none.
    pub fn subscribe_with(
        &self,
        world: &mut World,
        packet_id: u16,
        filter: &str,
        options: SubscribeOptions,
        identifier: u32,
    ) {
        let mut filters = SubscribeFiltersBuf::default();
        filters.push(filter, options);
        let mut properties = PropertiesBuf::new();
        if identifier > 0 {
            properties.push(Property::SubscriptionIdentifier(identifier));
        }
        let packet = Packet::Subscribe(Subscribe {
            packet_id: id(packet_id),
            properties: properties.as_properties(),
            filters: filters.as_filters(),
        });
        self.send(world, &packet);
    }

    /// Sends UNSUBSCRIBE.
    pub fn unsubscribe(&self, world: &mut World, packet_id: u16, filter: &str) {
        let mut filters = UnsubscribeFiltersBuf::default();
        filters.push(filter);
        let packet = Packet::Unsubscribe(Unsubscribe {
            packet_id: id(packet_id),
            properties: Properties::EMPTY,
            filters: filters.as_filters(),
        });
        self.send(world, &packet);
    }

    /// Sends an acknowledgement.
    pub fn ack(&self, world: &mut World, kind: AckKind, packet_id: u16) {
        let Some(wire) = self.wire else { return };
        let mut bytes = Vec::new();
        encode::ack(kind, &Ack::new(id(packet_id), ReasonCode::Success), self.version, &mut bytes);
        world.send(wire, &bytes);
    }

    /// DISCONNECT, and the end of the connection.
    pub fn disconnect(&mut self, world: &mut World) {
        self.disconnect_because(world, ReasonCode::Success);
    }

    /// As above, with this reason; before 5.0 there is only one.
    pub fn disconnect_because(&mut self, world: &mut World, reason: ReasonCode) {
        let packet = Disconnect { reason, properties: Properties::EMPTY };
        self.send(world, &Packet::Disconnect(packet));
        self.crash(world, usize::MAX);
    }

    /// The connection ends without a word; of what the broker has not read, `kept_max` bytes still reach it.
    pub fn crash(&mut self, world: &mut World, kept_max: usize) {
        if let Some(wire) = self.wire.take() {
            world.hang_up(wire, kept_max);
        }
    }

    /// Everything that has arrived.
    pub fn received(&mut self, world: &mut World) -> Vec<Got> {
        std::iter::from_fn(|| self.receive_one(world)).collect()
    }

    /// The next packet that has arrived.
    pub fn receive_one(&mut self, world: &mut World) -> Option<Got> {
        let wire = self.wire?;
        let rules = Rules {
            version: self.version,
            receiver: Receiver::Client,
            packet_size_max: u32::MAX,
            strict_text: true,
        };
        let decoded = decode::packet(world.arrived(wire), &rules).expect("the broker sends packets");
        let Decoded::Packet(packet, used) = decoded else { return None };
        let is_within = self.packet_size_max == 0 || used <= self.packet_size_max as usize;
        assert!(
            is_within,
            "{used} bytes for {}, who takes {} [MQTT-3.1.2-24]",
            self.id, self.packet_size_max
        );
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
            Some(alias) if publish.topic.is_empty() => self.aliases_in[&alias].clone(),
            Some(alias) => {
                self.aliases_in.insert(alias, publish.topic.into());
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
            identifiers: publish.properties.subscription_identifiers().collect(),
            expiry_secs: publish.properties.message_expiry_interval(),
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
