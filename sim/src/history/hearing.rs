//! What clients hear, and whether it may be so.

use std::num::NonZeroU16;

use longwire_proto::encode::AckKind;
use longwire_proto::transfer::{Incoming, Outgoing};
use longwire_proto::{QoS, ReasonCode, Version};

use super::History;
use super::player::{Reply, Request};
use crate::client::{Delivery, Got};
use crate::model::{Moment, Session, Will, number_of};

/// Publications a client has open at a time.
const OPEN_MAX: u16 = 20;

impl History<'_> {
    pub(super) fn hear(&mut self, number: usize, packets: usize, acks: usize) {
        for _ in 0..packets {
            if !self.receive_one(number) {
                break;
            }
        }
        if !self.players[number].is_lazy {
            self.acknowledge(number, acks);
        }
    }

    /// False if nothing has arrived.
    pub(super) fn receive_one(&mut self, number: usize) -> bool {
        let Some(wire) = self.players[number].client.wire else { return false };
        let Some(got) = self.players[number].client.receive_one(&mut self.world) else {
            if self.world.is_over(wire) {
                self.tell(number, format_args!("was closed"));
                self.players[number].client.wire = None;
                self.lost_connection(number);
            }
            return false;
        };
        self.tell(number, format_args!("gets {got}"));
        match got {
            Got::ConnAck { session_present, reason } => self.greeted(number, session_present, reason),
            Got::Publish(delivery) => self.delivered(number, &delivery),
            Got::PubAck(id, reason) => {
                self.players[number].take_answer(Reply::PubAck, id);
                let index = self.players[number].outgoing.puback(packet_id(id)).expect("PUBACK fits");
                if !reason.is_error() {
                    self.accepted(index);
                }
            }
            Got::PubRec(id, reason) => self.pubrec(number, id, reason),
            Got::PubComp(id) => {
                self.players[number].take_answer(Reply::PubComp, id);
                self.players[number].outgoing.pubcomp(packet_id(id)).expect("PUBCOMP fits");
            }
            Got::PubRel(id) => self.released(number, id),
            Got::SubAck(id, codes) => {
                assert!(codes.iter().all(|&code| code <= 2), "a subscription was refused");
                self.players[number].take_answer(Reply::SubAck, id);
                self.answered(number, id);
            }
            Got::UnsubAck(id) => {
                self.players[number].take_answer(Reply::UnsubAck, id);
                self.answered(number, id);
            }
            Got::Disconnect(reason) => assert_eq!(reason, ReasonCode::QuotaExceeded),
        }
        true
    }

    fn pubrec(&mut self, number: usize, id: u16, reason: ReasonCode) {
        let player = &mut self.players[number];
        player.take_answer(Reply::PubRec, id);
        let packet_id = packet_id(id);
        if reason.is_error() {
            player.outgoing.pubrec_refused(packet_id).expect("PUBREC fits");
            return;
        }
        let result = player.outgoing.pubrec(packet_id);
        player.acks.push_back((AckKind::PubRel, id));
        match result {
            Ok(index) => self.accepted(index),
            Err(_) => assert!(player.outgoing.contains(packet_id), "PUBREC for {id}, which is not open"),
        }
    }

    /// PUBACK or PUBREC says that a publication is the broker's now: then it is kept, if anybody needs that.
    fn accepted(&mut self, index: usize) {
        self.publications.all[index].accept(self.step, self.world.now);
        let publication = &self.publications.all[index];
        if publication.payload.is_empty() {
            return;
        }
        let is_needed = publication.retain
            || self.sessions.iter().any(|session| {
                session.is_durable
                    && session.must_exist(self.world.now)
                    && !self.players[session.player].is_replacing
                    && session.is_promised(publication)
            });
        let is_kept = self.kept.has_message(index);
        assert!(is_kept || !is_needed, "{index} was acknowledged before it was kept");
    }

    /// PUBREL.
    fn released(&mut self, number: usize, id: u16) {
        let player = &mut self.players[number];
        let is_first = player.incoming.release(packet_id(id));
        player.acks.push_back((AckKind::PubComp, id));
        let is_durable = player.session.is_some_and(|session| self.sessions[session].is_durable);
        if is_first && is_durable {
            player.releases += 1;
            let kept = self.kept.received(&player.client.id);
            assert!(kept >= player.releases, "PUBREL {id} came before PUBREC was kept");
        }
    }

    fn greeted(&mut self, number: usize, session_present: bool, reason: ReasonCode) {
        assert_eq!(reason, ReasonCode::Success);
        let player = &mut self.players[number];
        player.is_greeted = true;
        player.is_replacing = false;
        let known = player.session.filter(|&session| !self.sessions[session].is_over);
        if session_present {
            assert!(!player.asked.clean_start, "a clean start found a session");
            assert!(known.is_some() || player.may_exist, "a session came from nowhere");
        } else if !player.asked.clean_start
            && let Some(known) = known
        {
            let session = &self.sessions[known];
            assert!(!session.must_exist(self.world.now), "the session is lost");
        }
        player.may_exist = false;
        if let Some((will, due)) = player.delayed_will.take()
            && session_present
            && known.is_some()
            && self.world.now < due
        {
            self.publications.all[will].will = Some(Will::Cancelled);
        }
        let is_resumed = session_present && known.is_some();
        let is_durable = player.asked.expiry_secs > 0
            || known.is_some_and(|known| is_resumed && self.sessions[known].is_durable);
        if is_durable {
            player.greetings += 1;
            let kept = self.kept.begun(&player.client.id);
            assert!(kept >= player.greetings, "CONNACK came before the session was kept");
        }
        if let (true, Some(known)) = (session_present, known) {
            let session = &mut self.sessions[known];
            session.offline_since = None;
            session.expiry_secs = player.asked.expiry_secs;
            return self.resend(number);
        }
        if let Some(known) = known {
            self.sessions[known].is_over = true;
        }
        player.session = Some(self.sessions.len());
        player.outgoing = Outgoing::new();
        player.outgoing.start(OPEN_MAX);
        player.incoming = Incoming::new();
        self.sessions.push(Session::new(number, player.asked.expiry_secs, player.terms.packet_size_max));
    }

    fn delivered(&mut self, number: usize, delivery: &Delivery) {
        if let Some(index) = number_of(&delivery.payload) {
            self.let_loose_if_ended(index);
        }
        let player = &mut self.players[number];
        let is_new = match delivery.qos {
            QoS::AtMostOnce => true,
            QoS::AtLeastOnce => {
                player.acks.push_back((AckKind::PubAck, delivery.packet_id));
                true
            }
            QoS::ExactlyOnce => {
                player.acks.push_back((AckKind::PubRec, delivery.packet_id));
                player.incoming.receive(packet_id(delivery.packet_id))
            }
        };
        if delivery.qos > QoS::AtMostOnce {
            player.open.insert(delivery.packet_id);
            let max = usize::from(player.terms.receive_max);
            let is_within = player.client.version < Version::V5 || player.open.len() <= max;
            assert!(is_within, "more than {max} deliveries are open [MQTT-3.3.4-9]");
        }
        let moment = Moment {
            connected_on: player.connected_on,
            has_properties: player.client.version == Version::V5,
        };
        if is_new && let Some(session) = player.session {
            let result = self.sessions[session].deliver(delivery, &self.publications, moment);
            result.unwrap_or_else(|wrong| {
                panic!("{}: {wrong}: {delivery}", self.players[number].client.id);
            });
        }
    }

    /// The broker may have ended a connection before its client knows, or before it had read DISCONNECT: then it had
    /// to publish the will.
    fn let_loose_if_ended(&mut self, index: usize) {
        let publication = &mut self.publications.all[index];
        let is_ended = match publication.will {
            Some(Will::Armed(wire)) => self.world.is_ended(wire),
            Some(Will::Withdrawn(wire)) => self.world.was_left_unread(wire),
            _ => false,
        };
        if is_ended {
            publication.will = Some(Will::Loose);
        }
    }

    /// SUBACK or UNSUBACK.
    fn answered(&mut self, number: usize, id: u16) {
        let player = &mut self.players[number];
        let request = player.requests.remove(&id).expect("an answer belongs to a request");
        let Some(session) = player.session else { return };
        let session = &mut self.sessions[session];
        match request {
            Request::Subscribe(index) => {
                let held = &mut session.subscriptions[index];
                held.granted(self.step);
                if session.is_durable {
                    let grants = player.grants.entry(held.filter).or_default();
                    *grants += 1;
                    let kept = self.kept.subscribed(&player.client.id, held.filter);
                    assert!(kept >= *grants, "SUBACK for {} came before it was kept", held.filter);
                }
            }
            Request::Unsubscribe(indexes) => {
                for index in indexes {
                    session.subscriptions[index].gone_at.get_or_insert(self.step);
                }
            }
        }
    }
}

fn packet_id(id: u16) -> NonZeroU16 {
    NonZeroU16::new(id).expect("packet ids are not 0")
}
