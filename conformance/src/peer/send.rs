//! What a peer sends: packets, whole hand-shakes, and its goodbye. Sending never fails, see [`super`].

use std::net::Shutdown;

use longwire_proto::packet::{
    Ack as AckPacket, Disconnect, Packet, Publish, Subscribe, SubscribeFiltersBuf, SubscribeOptions,
    Unsubscribe, UnsubscribeFiltersBuf,
};
use longwire_proto::property::{Properties, PropertiesBuf, Property};
use longwire_proto::{PacketId, QoS, ReasonCode, encode};

use super::{Peer, options};
use crate::failure::{Check, ensure, same};
use crate::message::{Arrival, Grants, Message, describe, hex};

impl Peer {
    /// Sends a well-formed packet.
    pub(crate) fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        encode::packet(packet, self.version, &mut bytes).expect("scenes send encodable packets through this");
        self.transcript.sent(&self.name, describe(packet));
        self.write(&bytes);
    }

    /// Sends bytes that were made by hand; `what` describes them in the transcript.
    pub(crate) fn raw(&mut self, what: &str, bytes: &[u8]) {
        self.transcript.sent(&self.name, format!("{what}: {}", hex(bytes)));
        self.write(bytes);
    }

    /// Sends a PUBLISH and waits for nothing.
    pub(crate) fn publish(&mut self, message: &Message) {
        let bytes = self.encoded(message);
        self.transcript.sent(&self.name, message);
        self.write(&bytes);
    }

    /// Sends many PUBLISHes in one write.
    pub(crate) fn publish_all<'a>(&mut self, messages: impl IntoIterator<Item = &'a Message>) {
        let mut bytes = Vec::new();
        for message in messages {
            bytes.extend(self.encoded(message));
            self.transcript.sent(&self.name, message);
        }
        self.write(&bytes);
    }

    /// Publishes a message under a fresh id and completes its hand-shake.
    pub(crate) fn deliver(&mut self, message: &Message) -> Check {
        let id = if message.id == 0 { self.fresh_id() } else { message.id };
        self.publish(&message.clone().id(id));
        match message.qos {
            0 => Ok(()),
            1 => self.expect_puback(id),
            _ => {
                self.expect_pubrec(id)?;
                self.pubrel(id);
                self.expect_pubcomp(id)
            }
        }
    }

    /// Publishes many QoS 1 messages, at most 100 of them unacknowledged at any time.
    pub(crate) fn deliver_all(&mut self, messages: &[Message]) -> Check {
        for window in messages.chunks(100) {
            let window: Vec<Message> = window.iter().map(|m| m.clone().qos(1).id(self.fresh_id())).collect();
            self.publish_all(&window);
            for message in &window {
                self.expect_puback(message.id)?;
            }
        }
        Ok(())
    }

    /// Sends PUBACK.
    pub(crate) fn puback(&mut self, id: u16) {
        self.puback_code(id, ReasonCode::Success);
    }

    /// Sends PUBACK with a code.
    pub(crate) fn puback_code(&mut self, id: u16, code: ReasonCode) {
        self.send(&Packet::PubAck(AckPacket::new(nonzero(id), code)));
    }

    /// Sends PUBREC.
    pub(crate) fn pubrec(&mut self, id: u16) {
        self.pubrec_code(id, ReasonCode::Success);
    }

    /// Sends PUBREC with a code.
    pub(crate) fn pubrec_code(&mut self, id: u16, code: ReasonCode) {
        self.send(&Packet::PubRec(AckPacket::new(nonzero(id), code)));
    }

    /// Sends PUBREL.
    pub(crate) fn pubrel(&mut self, id: u16) {
        self.send(&Packet::PubRel(AckPacket::new(nonzero(id), ReasonCode::Success)));
    }

    /// Sends PUBCOMP.
    pub(crate) fn pubcomp(&mut self, id: u16) {
        self.send(&Packet::PubComp(AckPacket::new(nonzero(id), ReasonCode::Success)));
    }

    /// Completes the hand-shake of a message that came.
    pub(crate) fn acknowledge(&mut self, message: &Message) -> Check {
        match message.qos {
            0 => {}
            1 => self.puback(message.id),
            _ => {
                self.pubrec(message.id);
                self.expect_pubrel(message.id)?;
                self.pubcomp(message.id);
            }
        }
        Ok(())
    }

    /// Subscribes to one filter and expects exactly this QoS to be granted.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) -> Check {
        self.subscribe_one(filter, options(qos), &[]).map(drop)
    }

    /// Subscribes to one filter with these options and properties and expects its QoS to be granted.
    pub(crate) fn subscribe_one(
        &mut self,
        filter: &str,
        options: SubscribeOptions,
        properties: &[Property<'_>],
    ) -> Check<Grants> {
        let grants = self.subscribe_to(&[(filter, options)], properties)?;
        same("SUBACK with the code", &grants.codes, &vec![options.qos as u8])?;
        Ok(grants)
    }

    /// Subscribes and returns the SUBACK, whatever it grants.
    pub(crate) fn subscribe_to(
        &mut self,
        filters: &[(&str, SubscribeOptions)],
        properties: &[Property<'_>],
    ) -> Check<Grants> {
        let id = self.fresh_id();
        self.ask_to_subscribe(id, filters, properties);
        let grants = self.wait(format_args!("SUBACK id {id}"), |arrival| match arrival {
            Arrival::SubAck(grants) if grants.id == id => Some(grants.clone()),
            _ => None,
        })?;
        same("number of codes in SUBACK", &grants.codes.len(), &filters.len())?;
        Ok(grants)
    }

    /// Sends SUBSCRIBE and waits for nothing.
    pub(crate) fn ask_to_subscribe(
        &mut self,
        id: u16,
        filters: &[(&str, SubscribeOptions)],
        properties: &[Property<'_>],
    ) {
        let mut list = SubscribeFiltersBuf::default();
        for (filter, options) in filters {
            list.push(filter, *options);
        }
        let properties = self.own_properties(properties);
        self.send(&Packet::Subscribe(Subscribe {
            packet_id: nonzero(id),
            properties: properties.as_properties(),
            filters: list.as_filters(),
        }));
    }

    /// Unsubscribes and returns the UNSUBACK, whose codes are empty before 5.0.
    pub(crate) fn unsubscribe_from(&mut self, filters: &[&str]) -> Check<Grants> {
        let mut list = UnsubscribeFiltersBuf::default();
        for filter in filters {
            list.push(filter);
        }
        let id = self.fresh_id();
        self.send(&Packet::Unsubscribe(Unsubscribe {
            packet_id: nonzero(id),
            properties: Properties::EMPTY,
            filters: list.as_filters(),
        }));
        let expected = if self.v5() { filters.len() } else { 0 };
        let grants = self.wait(format_args!("UNSUBACK id {id}"), |arrival| match arrival {
            Arrival::UnsubAck(grants) if grants.id == id => Some(grants.clone()),
            _ => None,
        })?;
        same("number of codes in UNSUBACK", &grants.codes.len(), &expected)?;
        Ok(grants)
    }

    /// Unsubscribes from one filter that exists.
    pub(crate) fn unsubscribe(&mut self, filter: &str) -> Check {
        let grants = self.unsubscribe_from(&[filter])?;
        ensure(grants.codes.iter().all(|&code| code == 0), "UNSUBACK with code 0x00", grants)
    }

    /// PINGREQ, answered by PINGRESP.
    pub(crate) fn ping(&mut self) -> Check {
        self.send(&Packet::PingReq);
        self.wait("PINGRESP", |arrival| (*arrival == Arrival::PingResp).then_some(()))
    }

    /// Says goodbye properly and waits for the broker to close.
    pub(crate) fn disconnect(self) {
        self.leave(ReasonCode::Success, &[]);
    }

    /// DISCONNECT with a code and properties (5.0), then waits for the broker to close.
    pub(crate) fn leave(mut self, code: ReasonCode, properties: &[Property<'_>]) {
        let properties = self.own_properties(properties);
        self.send(&Packet::Disconnect(Disconnect { reason: code, properties: properties.as_properties() }));
        self.drain();
    }

    /// Cuts the connection without DISCONNECT; everything sent before has reached the broker when this returns.
    pub(crate) fn cut(mut self) {
        self.transcript.note(&self.name, "cuts the connection");
        self.drain();
    }

    /// Stops sending, but keeps the socket open.
    pub(crate) fn stop_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next id that this peer has not used lately.
    pub(crate) fn fresh_id(&mut self) -> u16 {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.next_id
    }

    /// Remembers that a topic holds a retained message now, where hand-made bytes put it there.
    pub(crate) fn leaves_retained(&self, topic: &str) {
        self.leftovers.retained(topic);
    }

    /// The wire form of a message on this connection.
    pub(crate) fn encoded(&self, message: &Message) -> Vec<u8> {
        let properties = if self.v5() { message.props() } else { Properties::EMPTY };
        if message.retain && !message.payload.is_empty() {
            self.leftovers.retained(&message.topic);
        }
        let publish = Publish {
            dup: message.dup,
            qos: QoS::from_bits(message.qos).expect("scenes name QoS 0, 1 or 2"),
            retain: message.retain,
            topic: &message.topic,
            packet_id: (message.qos > 0).then(|| nonzero(message.id)),
            properties,
            payload: &message.payload,
        };
        let mut bytes = Vec::new();
        encode::publish(&publish, self.version, &mut bytes)
            .expect("scenes send encodable messages through this");
        bytes
    }

    fn own_properties(&self, properties: &[Property<'_>]) -> PropertiesBuf {
        let mut own = PropertiesBuf::new();
        if self.v5() {
            own.extend(properties.iter().copied());
        }
        own
    }
}

fn nonzero(id: u16) -> PacketId {
    PacketId::new(id).expect("scenes give packets an id above 0; id 0 is written by hand")
}
