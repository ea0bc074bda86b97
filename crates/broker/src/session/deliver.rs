//! Messages on their way to subscribers, and the acknowledgements that come back.
//!
//! Live messages come from a publisher's shard; kept ones from the journal, in log order. What cannot be sent at once
//! waits: in the queue of a fleeting session, in the log for a durable one.

use std::sync::Arc;

use longwire_proto::encode::AckKind;
use longwire_proto::packet::Ack;
use longwire_proto::transfer::{AckFault, Stage};
use longwire_proto::{PacketId, QoS, ReasonCode};

use super::{Held, Queued, Session};
use crate::address::SessionRef;
use crate::event::{Event, Why};
use crate::group::post_to_group;
use crate::input::LinkId;
use crate::limits::FAN_OUT_PER_TURN;
use crate::link::{Answer, Copy, LinkState, Sent};
use crate::message::{Message, MessageView};
use crate::parcel::{Batch, GroupMail, Lent, LogDelivery, MemberTerms, Recipient};
use crate::record::{Position, Record};
use crate::routes::Receiver;
use crate::shard::{Shard, Turn, Wide};
use crate::teeth::{Tooth, bites};

/// A kept message for one session.
pub(super) struct KeptCopy<'a> {
    pub(super) position: Position,
    pub(super) view: &'a MessageView<'a>,
    pub(super) qos: QoS,
    pub(super) retain_as_published: bool,
    pub(super) identifiers: &'a [u32],
}

impl Shard {
    /// Messages mailed by a shard.
    pub(crate) fn deliver_batch(&mut self, batch: &Batch, turn: &mut Turn<'_, '_>) {
        for (view, recipients, identifiers) in batch.iter() {
            if batch.from == self.number {
                self.mailed_to_self -= 1;
            }
            self.deliver_in_order(&view, recipients, identifiers, turn);
        }
    }

    /// A message of a publisher on this shard. It queues behind what the shard has mailed to itself, so that every topic
    /// is ordered `[MQTT-4.6.0-6]` `[MQTT-4.6.0-5 of 3.1.1]`.
    pub(crate) fn deliver_here(
        &mut self,
        view: &MessageView<'_>,
        recipients: &[Recipient],
        identifiers: &[u32],
        turn: &mut Turn<'_, '_>,
    ) {
        if self.mailed_to_self > 0 {
            self.mailed_to_self += 1;
            turn.effects.post_message(self.number, view, recipients, identifiers);
        } else {
            self.deliver_in_order(view, recipients, identifiers, turn);
        }
    }

    /// Delivers now, or behind a wide fan-out that is still under way: messages leave as they came `[MQTT-4.6.0-5]`
    /// `[MQTT-4.6.0-6 of 3.1.1]`.
    fn deliver_in_order(
        &mut self,
        view: &MessageView<'_>,
        recipients: &[Recipient],
        identifiers: &[u32],
        turn: &mut Turn<'_, '_>,
    ) {
        let now_count = if self.wide.is_empty() { recipients.len().min(FAN_OUT_PER_TURN) } else { 0 };
        let (at_once, later) = recipients.split_at(now_count);
        if !at_once.is_empty() {
            self.deliver_live(view, None, at_once, identifiers, turn);
        }
        if !later.is_empty() {
            let wide = Wide {
                message: view.to_message(),
                recipients: later.into(),
                identifiers: identifiers.into(),
                done: 0,
            };
            self.wide_bytes += wide.bytes();
            self.wide.push_back(wide);
        }
    }

    /// Goes on with wide fan-outs, at most [`FAN_OUT_PER_TURN`] targets.
    pub(crate) fn continue_wide(&mut self, turn: &mut Turn<'_, '_>) {
        let mut left = FAN_OUT_PER_TURN;
        while left > 0
            && let Some(mut wide) = self.wide.pop_front()
        {
            let end = wide.recipients.len().min(wide.done + left);
            left -= end - wide.done;
            let message = Arc::clone(&wide.message);
            let chunk = &wide.recipients[wide.done..end];
            self.deliver_live(&message.view(), Some(&message), chunk, &wide.identifiers, turn);
            wide.done = end;
            if wide.done < wide.recipients.len() {
                self.wide.push_front(wide);
            } else {
                self.wide_bytes -= wide.bytes();
            }
        }
    }

    /// `shared` is the owned form of the message, if there is one already.
    fn deliver_live(
        &mut self,
        view: &MessageView<'_>,
        shared: Option<&Arc<Message>>,
        recipients: &[Recipient],
        identifiers: &[u32],
        turn: &mut Turn<'_, '_>,
    ) {
        let mut shared = shared.cloned();
        self.links.begin_message();
        for recipient in recipients {
            let identifiers = recipient.identifiers_in(identifiers);
            match recipient.receiver {
                Receiver::Session(address) => {
                    self.deliver_to_session(address, view, recipient, identifiers, &mut shared, turn);
                }
                Receiver::Group(group) => {
                    let message = shared.get_or_insert_with(|| view.to_message());
                    let lent = Lent { group, message: Arc::clone(message), position: None };
                    self.offer(lent, turn);
                    self.links.begin_message();
                }
            }
        }
    }

    /// One live copy for one session. Whatever its expiry says, it may go to those it can be sent to at once (H06). Its
    /// QoS is the lower of two `[MQTT-3.8.4-6 of 3.1.1]`, RETAIN falls away unless the subscription wants it
    /// `[MQTT-3.3.1-12]` `[MQTT-3.3.1-9 of 3.1.1]`, and DUP is 0 whatever the publisher's was `[MQTT-3.3.1-3]`
    /// `[MQTT-3.3.1-3 of 3.1.1]`.
    fn deliver_to_session(
        &mut self,
        address: SessionRef,
        view: &MessageView<'_>,
        recipient: &Recipient,
        identifiers: &[u32],
        shared: &mut Option<Arc<Message>>,
        turn: &mut Turn<'_, '_>,
    ) {
        let Some(session) = self.sessions.at_mut(address.slot, address.generation) else { return };
        let Some(link_id) = session.link() else { return };
        let Some(link) = self.links.at(link_id) else { return };
        let is_open = link.state == LinkState::Open;
        let qos = view.qos.min(recipient.qos);
        let retain = view.retain && (recipient.retain_as_published || link.bridge);
        let has_room = is_open && self.links.has_room(link_id);
        if qos == QoS::AtMostOnce {
            if !has_room {
                return self.drop_for_slow(link_id, turn);
            }
            let copy = Copy { now: turn.now, view, qos, retain, dup: false, packet_id: None, identifiers };
            self.count_sent(link_id, &copy, turn);
            return;
        }
        let extra = session.extra_mut();
        if has_room && extra.queue.is_empty() && extra.outgoing.room() > 0 {
            let Some(packet_id) = extra.outgoing.open(qos, Held::Live) else { return };
            let copy = Copy {
                now: turn.now,
                view,
                qos,
                retain,
                dup: false,
                packet_id: Some(packet_id),
                identifiers,
            };
            if self.links.publish(link_id, &copy, turn.effects) == Sent::TooLarge {
                self.give_up(address, packet_id, qos, turn);
            }
            return;
        }
        let message = shared.get_or_insert_with(|| view.to_message());
        let queued = Queued { message: Arc::clone(message), qos, retain, identifiers: identifiers.into() };
        extra.enqueue(queued);
        let is_over = extra.queue_bytes > self.limits.queue_bytes_max && !bites(Tooth::QueueUnbounded);
        if !has_room && is_open {
            self.mark_slow(link_id, turn);
        }
        if is_over {
            // Not now: this may be in the middle of what its own client publishes.
            self.overfull.push(link_id);
        }
    }

    fn count_sent(&mut self, link_id: LinkId, copy: &Copy<'_>, turn: &mut Turn<'_, '_>) {
        if self.links.publish(link_id, copy, turn.effects) == Sent::TooLarge {
            self.counters.publishes_dropped += 1;
        }
    }

    fn drop_for_slow(&mut self, link_id: LinkId, turn: &mut Turn<'_, '_>) {
        self.counters.publishes_dropped += 1;
        self.mark_slow(link_id, turn);
    }

    /// The socket does not keep up. Told once, until it has drained.
    pub(super) fn mark_slow(&mut self, link_id: LinkId, turn: &mut Turn<'_, '_>) {
        let Some(link) = self.links.at_mut(link_id) else { return };
        if !link.slow && link.state == LinkState::Open {
            link.slow = true;
            if link.outbox.len() < self.limits.outbox_bytes_max {
                // The journal is what it waits for.
                return;
            }
            let client = self.client_id(link_id).unwrap_or_default().into();
            turn.effects.events.push(Event::Slow { link: link_id, client });
        }
    }

    /// The socket has drained: what was held back may go on.
    pub(crate) fn drained(&mut self, link_id: LinkId, turn: &mut Turn<'_, '_>) {
        let Some(link) = self.links.at_mut(link_id) else { return };
        link.slow = false;
        if let Some(slot) = self.session_of(link_id) {
            self.pump(slot, turn);
        }
    }

    // --- from the log

    /// A kept message for receivers on this shard. Whoever is not ready for it reads it later.
    pub(crate) fn deliver_kept(&mut self, delivery: &LogDelivery, turn: &mut Turn<'_, '_>) {
        self.links.begin_message();
        let view = delivery.message.view();
        for &group in &delivery.live_groups {
            self.offer(Lent { group, message: Arc::clone(&delivery.message), position: None }, turn);
            self.links.begin_message();
        }
        if let Some(publisher) = delivery.passed {
            self.pass_by(publisher, delivery.position);
        }
        for recipient in &delivery.recipients {
            let identifiers = recipient.identifiers_in(&delivery.identifiers);
            match recipient.receiver {
                Receiver::Session(address) => {
                    let copy = KeptCopy {
                        position: delivery.position,
                        view: &view,
                        qos: recipient.qos,
                        retain_as_published: recipient.retain_as_published,
                        identifiers,
                    };
                    self.deliver_kept_to_session(address, &copy, turn);
                }
                Receiver::Group(group) => {
                    let lent = Lent {
                        group,
                        message: Arc::clone(&delivery.message),
                        position: Some(delivery.position),
                    };
                    self.offer_kept(lent, turn);
                    self.links.begin_message();
                }
            }
        }
    }

    /// A message that is not for this session, although the log counts it among what it may want: unless it has older
    /// ones to read, it has read past it.
    fn pass_by(&mut self, address: SessionRef, position: Position) {
        let Some(session) = self.sessions.at_mut(address.slot, address.generation) else { return };
        let log = &mut session.extra_mut().log;
        if !log.behind && !log.reading && position > log.read_through {
            log.read_through = position;
            self.note_settling(address);
        }
    }

    fn deliver_kept_to_session(&mut self, address: SessionRef, copy: &KeptCopy<'_>, turn: &mut Turn<'_, '_>) {
        let is_ready = self.is_ready(address.slot);
        let Some(session) = self.sessions.at_mut(address.slot, address.generation) else { return };
        let log = &mut session.extra_mut().log;
        if copy.position <= log.read_through {
            return;
        }
        let is_behind = (log.behind || log.reading) && !bites(Tooth::BacklogOvertaken);
        if !is_ready || is_behind {
            log.behind = !bites(Tooth::BehindForgotten);
            return self.hold_back(address.slot, turn);
        }
        self.send_kept(address, copy, turn);
    }

    /// A delivery was held back. If that is for want of room at its socket, it goes on when the socket has drained.
    fn hold_back(&mut self, slot: u32, turn: &mut Turn<'_, '_>) {
        if let Some(link_id) = self.sessions.by_slot(slot).and_then(Session::link)
            && !self.links.has_room(link_id)
        {
            self.mark_slow(link_id, turn);
        }
    }

    /// True if the session is connected and has its CONNACK.
    fn is_open(&self, slot: u32) -> bool {
        let link = self.sessions.by_slot(slot).and_then(Session::link).and_then(|link| self.links.at(link));
        link.is_some_and(|link| link.state == LinkState::Open)
    }

    /// True if the session is connected and nothing older waits for its window or its socket.
    pub(super) fn is_ready(&self, slot: u32) -> bool {
        let Some(session) = self.sessions.by_slot(slot) else { return false };
        self.is_open(slot)
            && session.link().is_some_and(|link_id| self.links.has_room(link_id))
            && session.extra().is_none_or(|extra| extra.resends.is_empty() && extra.outgoing.room() > 0)
    }

    /// Sends a kept message; the session is ready for it. Afterwards it has read up to it.
    pub(super) fn send_kept(&mut self, address: SessionRef, copy: &KeptCopy<'_>, turn: &mut Turn<'_, '_>) {
        let Some(session) = self.sessions.by_slot_mut(address.slot) else { return };
        let Some(link_id) = session.link() else { return };
        let qos = copy.view.qos.min(copy.qos);
        let is_bridge = self.links.at(link_id).is_some_and(|link| link.bridge);
        let retain = copy.view.retain && (copy.retain_as_published || is_bridge);
        let extra = session.extra_mut();
        extra.log.read_through = copy.position;
        let mut one = Copy {
            now: turn.now,
            view: copy.view,
            qos,
            retain,
            dup: false,
            packet_id: None,
            identifiers: copy.identifiers,
        };
        if qos == QoS::AtMostOnce {
            self.count_sent(link_id, &one, turn);
            return self.note_settling(address);
        }
        let held = Held::Kept { position: copy.position, qos, retain };
        let Some(packet_id) = extra.outgoing.open(qos, held) else { return };
        one.packet_id = Some(packet_id);
        let position = copy.position;
        let (session, group, identifier) = (address, None, 0);
        let record = Record::Delivered { session, packet_id, position, qos, retain, group, identifier };
        self.send_recorded(address, link_id, &one, record, turn);
    }

    /// Sends a PUBLISH whose packet id and message are kept as a pair. At QoS 2 they are kept first, or a restart could
    /// deliver the message a second time under a new id.
    pub(super) fn send_recorded(
        &mut self,
        session: SessionRef,
        link_id: LinkId,
        copy: &Copy<'_>,
        record: Record,
        turn: &mut Turn<'_, '_>,
    ) {
        let Some(packet_id) = copy.packet_id else { return };
        if copy.qos == QoS::ExactlyOnce {
            let Some(bytes) = self.links.encoded(link_id, copy) else {
                return self.give_up(session, packet_id, copy.qos, turn);
            };
            let ticket = self.next_ticket();
            turn.effects.keeps.push((ticket, record));
            self.owe(link_id, Some(ticket), Answer::Bytes(bytes), turn);
        } else if self.links.publish(link_id, copy, turn.effects) == Sent::TooLarge {
            self.give_up(session, packet_id, copy.qos, turn);
        } else {
            turn.effects.keeps.push((0, record));
        }
    }

    /// A message that the client cannot take counts as delivered `[MQTT-3.1.2-25]`.
    pub(super) fn give_up(
        &mut self,
        address: SessionRef,
        packet_id: PacketId,
        qos: QoS,
        turn: &mut Turn<'_, '_>,
    ) {
        self.counters.publishes_dropped += 1;
        let Some(session) = self.sessions.by_slot_mut(address.slot) else { return };
        let outgoing = &mut session.extra_mut().outgoing;
        let held = if qos == QoS::ExactlyOnce {
            outgoing.pubrec_refused(packet_id)
        } else {
            outgoing.puback(packet_id)
        };
        if let Ok(held) = held {
            self.content_settled(address, held, turn);
        }
    }

    // --- from a shared group

    /// A group hands a message to this member.
    pub(crate) fn receive_hand_out(
        &mut self,
        member: SessionRef,
        lent: Lent,
        terms: &MemberTerms,
        turn: &mut Turn<'_, '_>,
    ) {
        let (is_open, is_ready) = (self.is_open(member.slot), self.is_ready(member.slot));
        let is_member =
            |session: &Session| session.extra().is_some_and(|extra| extra.memberships.contains(&lent.group));
        let session = self.sessions.at_mut(member.slot, member.generation);
        // It may have unsubscribed while this was on its way, and have been told so (B08).
        let Some(session) = session.filter(|session| is_member(session)) else {
            return post_to_group(GroupMail::Returned { member, lent, full: true }, turn);
        };
        let view = lent.message.view();
        let qos = view.qos.min(terms.qos);
        let Some(link_id) = session.link().filter(|_| is_ready || (is_open && qos == QoS::AtMostOnce)) else {
            session.extra_mut().starved.insert(lent.group);
            self.hold_back(member.slot, turn);
            return post_to_group(GroupMail::Returned { member, lent, full: true }, turn);
        };
        let retain = view.retain && terms.retain_as_published;
        let identifier = terms.identifier;
        let identifiers = if identifier == 0 { &[][..] } else { &[identifier][..] };
        self.links.begin_message();
        let mut copy =
            Copy { now: turn.now, view: &view, qos, retain, dup: false, packet_id: None, identifiers };
        if qos == QoS::AtMostOnce || view.is_expired(turn.now) {
            if !view.is_expired(turn.now) && self.links.has_room(link_id) {
                self.count_sent(link_id, &copy, turn);
            } else {
                self.drop_for_slow(link_id, turn);
            }
            let finished = GroupMail::Finished { group: lent.group, member, position: lent.position };
            return post_to_group(finished, turn);
        }
        let held = Held::Lent { lent: Box::new(lent.clone()), qos, retain, identifier };
        let Some(packet_id) = session.extra_mut().outgoing.open(qos, held) else { return };
        copy.packet_id = Some(packet_id);
        if let Some(position) = lent.position {
            let group = Some(lent.group);
            let session = member;
            let record = Record::Delivered { session, packet_id, position, qos, retain, group, identifier };
            self.send_recorded(member, link_id, &copy, record, turn);
        } else if self.links.publish(link_id, &copy, turn.effects) == Sent::TooLarge {
            self.give_up(member, packet_id, qos, turn);
        }
    }

    // --- what comes back

    /// PUBACK from a subscriber.
    pub(crate) fn puback(&mut self, link_id: LinkId, ack: &Ack<'_>, turn: &mut Turn<'_, '_>) {
        let Some((slot, session)) = self.acknowledging(link_id) else { return };
        match session.extra_mut().outgoing.puback(ack.packet_id) {
            Ok(held) => self.finished(slot, ack.packet_id, Some(held), turn),
            Err(AckFault::UnknownId) => {}
            Err(AckFault::WrongStage) => self.wrong_ack(link_id, "PUBACK for a QoS 2 message", turn),
        }
    }

    /// PUBREC from a subscriber `[MQTT-4.3.3-4]`.
    pub(crate) fn pubrec(&mut self, link_id: LinkId, ack: &Ack<'_>, turn: &mut Turn<'_, '_>) {
        let Some((slot, session)) = self.acknowledging(link_id) else { return };
        let durable = session.durable;
        let outgoing = &mut session.extra_mut().outgoing;
        if ack.reason.is_error() {
            // The end of the flow: no PUBREL, no second try [MQTT-4.4.0-2], not by another member [MQTT-4.8.2-6].
            return match outgoing.pubrec_refused(ack.packet_id) {
                Ok(held) => self.finished(slot, ack.packet_id, Some(held), turn),
                Err(AckFault::UnknownId) => {}
                Err(AckFault::WrongStage) => self.wrong_ack(link_id, "PUBREC for a QoS 1 message", turn),
            };
        }
        if matches!(outgoing.stage(ack.packet_id), Some(Stage::Release)) {
            return self.owe_pubrel(link_id, ack.packet_id, ReasonCode::Success, None, turn);
        }
        match outgoing.pubrec(ack.packet_id) {
            Ok(held) => {
                let session = self.address(slot);
                let ticket = durable.then(|| self.next_ticket());
                if let Some(ticket) = ticket {
                    turn.effects.keeps.push((ticket, Record::Received { session, packet_id: ack.packet_id }));
                }
                self.content_settled(session, held, turn);
                let ticket = ticket.filter(|_| !bites(Tooth::PubRelBeforeKept));
                self.owe_pubrel(link_id, ack.packet_id, ReasonCode::Success, ticket, turn);
            }
            Err(AckFault::UnknownId) => {
                let reason = ReasonCode::PacketIdentifierNotFound;
                self.owe_pubrel(link_id, ack.packet_id, reason, None, turn);
            }
            Err(AckFault::WrongStage) => self.wrong_ack(link_id, "PUBREC for a QoS 1 message", turn),
        }
    }

    /// PUBRELs leave in the order of the PUBRECs `[MQTT-4.6.0-4 of 3.1.1]`.
    fn owe_pubrel(
        &mut self,
        link_id: LinkId,
        packet_id: PacketId,
        reason: ReasonCode,
        ticket: Option<u64>,
        turn: &mut Turn<'_, '_>,
    ) {
        self.owe(link_id, ticket, Answer::Ack(AckKind::PubRel, packet_id, reason), turn);
    }

    /// PUBCOMP from a subscriber. One that nobody waits for is ignored (A15).
    pub(crate) fn pubcomp(&mut self, link_id: LinkId, ack: &Ack<'_>, turn: &mut Turn<'_, '_>) {
        let Some((slot, session)) = self.acknowledging(link_id) else { return };
        if session.extra_mut().outgoing.pubcomp(ack.packet_id).is_ok() {
            self.finished(slot, ack.packet_id, None, turn);
        }
    }

    fn acknowledging(&mut self, link_id: LinkId) -> Option<(u32, &mut Session)> {
        let slot = self.session_of(link_id)?;
        Some((slot, self.sessions.by_slot_mut(slot)?))
    }

    /// An acknowledgement of the wrong kind: the message stays, the connection does not (A14).
    fn wrong_ack(&mut self, link_id: LinkId, what: &'static str, turn: &mut Turn<'_, '_>) {
        let why = Why::BrokeRule("MQTT-4.3.2-4", what);
        self.close_link(link_id, Some(ReasonCode::ProtocolError), why, turn);
    }

    /// A packet id is free again.
    fn finished(&mut self, slot: u32, packet_id: PacketId, held: Option<Held>, turn: &mut Turn<'_, '_>) {
        let address = self.address(slot);
        if self.sessions.by_slot(slot).is_some_and(|session| session.durable) {
            turn.effects.keeps.push((0, Record::Settled { session: address, packet_id }));
        }
        if let Some(held) = held {
            self.content_settled(address, held, turn);
        }
        self.pump(slot, turn);
    }

    /// The content of a delivery will not be needed again.
    fn content_settled(&mut self, address: SessionRef, held: Held, turn: &mut Turn<'_, '_>) {
        match held {
            Held::Live | Held::Retained { .. } => {}
            Held::Kept { .. } => self.note_settling(address),
            Held::Lent { lent, .. } => {
                let (group, position) = (lent.group, lent.position);
                post_to_group(GroupMail::Finished { group, member: address, position }, turn);
            }
        }
    }
}
