//! What the server sends, in the right moment or not.

use longwire_proto::encode::{self, AckKind};
use longwire_proto::packet::{Ack, Auth, ConnAck, Disconnect, Packet, PacketId, Publish, QoS, SubAck};
use longwire_proto::property::{Properties, PropertiesBuf, Property};
use longwire_proto::reason::ReasonCode;

use super::run::Run;
use super::server::Answer;
use super::{METHOD, REASONS, TOPICS};

impl Run {
    pub(super) fn accept(&mut self, bits: u8, more: u8) {
        let session_present = bits & 1 != 0;
        let mut buffer = PropertiesBuf::new();
        if self.is_v5() {
            let packet_size = [u32::MAX, 40, 12, 4][usize::from(more & 3)];
            let may = [
                (bits & 2 != 0, Property::ReceiveMaximum(u16::from(bits >> 6) + 1)),
                (bits & 4 != 0, Property::MaximumQoS(bits >> 7)),
                (bits & 8 != 0, Property::RetainAvailable(false)),
                (bits & 16 != 0, Property::ServerKeepAlive(5)),
                (more & 3 != 0, Property::MaximumPacketSize(packet_size)),
                (more & 4 != 0, Property::WildcardSubscriptionAvailable(false)),
                (more & 8 != 0, Property::SubscriptionIdentifierAvailable(false)),
                (more & 16 != 0, Property::SharedSubscriptionAvailable(false)),
                (more & 32 != 0, Property::AssignedClientIdentifier("assigned")),
                (more & 0xC0 != 0, Property::TopicAliasMaximum(u16::from(more >> 6))),
                (self.server.settings.authentication.is_some(), Property::AuthenticationMethod(METHOD)),
            ];
            buffer.extend(may.iter().filter(|(is_there, _)| *is_there).map(|(_, item)| *item));
        }
        let properties = buffer.as_properties();
        self.send(&Packet::ConnAck(ConnAck { session_present, reason: ReasonCode::Success, properties }));
    }

    pub(super) fn refuse(&mut self, choice: u8) {
        let reason = [ReasonCode::NotAuthorized, ReasonCode::ServerUnavailable][usize::from(choice & 1)];
        self.send(&Packet::ConnAck(ConnAck {
            session_present: false,
            reason,
            properties: Properties::EMPTY,
        }));
    }

    /// The answer that the server owes to one of the client's packets.
    pub(super) fn answer(&mut self, choice: u8) {
        self.write();
        let answers = self.server.answers();
        if let Some(answer) = answers.get(usize::from(choice) % answers.len().max(1)) {
            self.send_answer(answer);
        }
    }

    pub(super) fn send_answer(&mut self, answer: &Answer) {
        let properties = Properties::EMPTY;
        match answer {
            Answer::Ack(kind, packet_id) => {
                self.send(&ack(*kind, *packet_id, ReasonCode::Success));
            }
            Answer::SubAck(packet_id, filters) => {
                let raw_codes = &vec![1; *filters];
                self.send(&Packet::SubAck(SubAck { packet_id: *packet_id, properties, raw_codes }));
            }
            Answer::UnsubAck(packet_id, filters) => {
                let raw_codes = &vec![0; *filters];
                self.send(&Packet::UnsubAck(SubAck { packet_id: *packet_id, properties, raw_codes }));
            }
            Answer::PingResp => self.send(&Packet::PingResp),
        }
    }

    pub(super) fn message(&mut self, bits: u8, alias: u8) {
        self.sent += 1;
        let qos = QoS::from_bits(bits & 3).unwrap_or(QoS::AtMostOnce);
        let packet_id = PacketId::new(u16::from(bits >> 2 & 7) + 1).filter(|_| qos != QoS::AtMostOnce);
        let alias = (alias & 3 != 0).then_some((u16::from(alias & 3), alias & 4 != 0));
        let properties: PropertiesBuf =
            alias.map(|(alias, _)| Property::TopicAlias(alias)).into_iter().collect();
        let is_short = self.is_v5() && alias.is_some_and(|(_, is_short)| is_short);
        self.send(&Packet::Publish(Publish {
            dup: qos != QoS::AtMostOnce && bits & 0x20 != 0,
            qos,
            retain: bits & 0x40 != 0,
            topic: if is_short { "" } else { TOPICS[usize::from(bits >> 7)] },
            packet_id,
            properties: properties.as_properties(),
            payload: &self.sent.to_be_bytes(),
        }));
    }

    pub(super) fn any_ack(&mut self, kind: u8, id: u8, reason: u8) {
        let kind =
            [AckKind::PubAck, AckKind::PubRec, AckKind::PubRel, AckKind::PubComp][usize::from(kind & 3)];
        let reason = if self.is_v5() { REASONS[usize::from(reason & 3)] } else { ReasonCode::Success };
        if let Some(packet_id) = PacketId::new(u16::from(id % 8)) {
            self.send(&ack(kind, packet_id, reason));
        }
    }

    pub(super) fn any_answer(&mut self, kind: u8, id: u8, codes: u8) {
        let Some(packet_id) = PacketId::new(u16::from(id % 8)) else { return };
        let raw_codes = &vec![if kind & 2 != 0 { 0x87 } else { 0 }; usize::from(codes % 4)];
        let raw_codes =
            if self.is_v5() { raw_codes } else { &raw_codes.iter().map(|code| code & 0x80).collect() };
        let ack = SubAck { packet_id, properties: Properties::EMPTY, raw_codes };
        self.send(&if kind & 1 == 0 { Packet::SubAck(ack) } else { Packet::UnsubAck(ack) });
    }

    pub(super) fn other(&mut self, choice: u8) {
        let method = if choice & 0x80 != 0 { "N" } else { METHOD };
        let buffer = PropertiesBuf::from_iter([Property::AuthenticationMethod(method)]);
        let auth = |reason| Packet::Auth(Auth { reason, properties: buffer.as_properties() });
        let packet = match choice % 5 {
            0 => Packet::PingResp,
            1 => Packet::Disconnect(Disconnect {
                reason: ReasonCode::ServerBusy,
                properties: Properties::EMPTY,
            }),
            2 => Packet::PingReq,
            3 => auth(ReasonCode::ContinueAuthentication),
            _ => auth(ReasonCode::Success),
        };
        self.send(&packet);
    }

    pub(super) fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        // What this version cannot say is not sent.
        if encode::packet(packet, self.server.settings.version, &mut bytes).is_ok() {
            self.feed(&bytes);
        }
    }
}

fn ack(kind: AckKind, packet_id: PacketId, reason: ReasonCode) -> Packet<'static> {
    let ack = Ack::new(packet_id, reason);
    match kind {
        AckKind::PubAck => Packet::PubAck(ack),
        AckKind::PubRec => Packet::PubRec(ack),
        AckKind::PubRel => Packet::PubRel(ack),
        AckKind::PubComp => Packet::PubComp(ack),
    }
}
