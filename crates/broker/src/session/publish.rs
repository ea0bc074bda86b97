//! A client publishes: what the packet may be, who receives it, what has to be kept before it is acknowledged.

use std::sync::Arc;

use longwire_proto::encode::AckKind;
use longwire_proto::packet::{Ack, Publish};
use longwire_proto::topic;
use longwire_proto::{PacketId, QoS, ReasonCode, Version};

use crate::effect::Ticket;
use crate::event::{Event, Why};
use crate::input::LinkId;
use crate::link::{Answer, forwarded};
use crate::message::{Message, MessageView, NEVER};
use crate::parcel::Recipient;
use crate::record::Record;
use crate::routes::Receiver;
use crate::shard::{Deferred, Shard, Turn};
use crate::tables::RetainedMessages;
use crate::teeth::{Tooth, bites};

/// The topic of a PUBLISH.
enum TopicName<'a> {
    /// As it stands in the packet.
    Sent(&'a str),
    /// From the alias table.
    Remembered(Arc<str>),
}

impl TopicName<'_> {
    fn as_str(&self) -> &str {
        match self {
            TopicName::Sent(topic) => topic,
            TopicName::Remembered(topic) => topic,
        }
    }
}

impl Shard {
    /// PUBLISH from a client.
    pub(crate) fn publish(&mut self, link_id: LinkId, publish: &Publish<'_>, turn: &mut Turn<'_, '_>) {
        self.counters.publishes_received += 1;
        self.counters.publish_bytes_received += publish.payload.len() as u64;
        if let Some(missing) = self.limits.missing_for_message(publish.qos, publish.retain) {
            return self.close_link(link_id, Some(missing.reason), Why::Bound(missing.why), turn);
        }
        let Some(topic_name) = self.topic_of(link_id, publish, turn) else { return };
        let topic_name = topic_name.as_str();
        match publish.packet_id {
            Some(packet_id) => self.publish_acknowledged(link_id, publish, packet_id, topic_name, turn),
            None => match self.may_publish(topic_name) {
                Ok(()) => _ = self.accept(link_id, publish, topic_name, 0, turn),
                Err((reason, why)) => self.refused(link_id, topic_name, reason, why, turn),
            },
        }
    }

    /// The topic of a PUBLISH, whose alias is resolved or remembered; `None` if the link was closed over it.
    fn topic_of<'a>(
        &mut self,
        link_id: LinkId,
        publish: &Publish<'a>,
        turn: &mut Turn<'_, '_>,
    ) -> Option<TopicName<'a>> {
        let sent = TopicName::Sent(publish.topic);
        if publish.properties.is_empty() {
            return Some(sent);
        }
        let Some(alias) = publish.properties.topic_alias() else { return Some(sent) };
        let link = self.links.at_mut(link_id)?;
        if alias == 0 || alias > self.limits.topic_alias_max {
            let why = Why::BrokeRule("MQTT-3.2.2-17", "topic alias 0, or above the maximum we announced");
            self.close_link(link_id, Some(ReasonCode::TopicAliasInvalid), why, turn);
            return None;
        }
        if !publish.topic.is_empty() {
            link.set_alias_in(alias, publish.topic);
            return Some(sent);
        }
        if let Some(topic) = link.alias_in(alias) {
            return Some(TopicName::Remembered(topic));
        }
        let why =
            Why::BrokeRule("U5-23", "an empty topic with an alias that was never set on this connection");
        self.close_link(link_id, Some(ReasonCode::ProtocolError), why, turn);
        None
    }

    /// QoS 1 is answered with PUBACK, QoS 2 with PUBREC `[MQTT-3.3.4-1]` `[MQTT-3.3.4-1 of 3.1.1]`, a publication that
    /// is refused too `[MQTT-3.3.5-2 of 3.1.1]`. A QoS 1 id is not remembered: the next PUBLISH under it is a new one,
    /// whatever its DUP says `[MQTT-4.3.2-5]` `[MQTT-4.3.2-2 of 3.1.1]`. Nor is the QoS 2 id of a publication that was
    /// refused `[MQTT-4.3.3-9]`.
    fn publish_acknowledged(
        &mut self,
        link_id: LinkId,
        publish: &Publish<'_>,
        packet_id: PacketId,
        topic_name: &str,
        turn: &mut Turn<'_, '_>,
    ) {
        let Some(slot) = self.session_of(link_id) else { return };
        let Some(session) = self.sessions.by_slot(slot) else { return };
        let is_exactly_once = publish.qos == QoS::ExactlyOnce;
        let kind = if is_exactly_once { AckKind::PubRec } else { AckKind::PubAck };
        if session.extra().is_some_and(|extra| extra.incoming.contains(packet_id)) {
            if is_exactly_once {
                // A repeat before PUBREL is answered, not delivered [MQTT-4.3.3-10]
                // [MQTT-4.3.3-2 of 3.1.1].
                let answer = Answer::Received(kind, packet_id, ReasonCode::Success);
                return self.owe(link_id, None, answer, turn);
            }
            return self.id_in_use(link_id, packet_id, topic_name, turn);
        }
        if !self.has_receive_quota(link_id) {
            let why =
                Why::BrokeRule("MQTT-3.3.4-7", "more QoS 1 and 2 packets open than our Receive Maximum");
            return self.close_link(link_id, Some(ReasonCode::ReceiveMaximumExceeded), why, turn);
        }
        if let Err((reason, why)) = self.may_publish(topic_name) {
            self.refused(link_id, topic_name, reason, why, turn);
            return self.owe(link_id, None, Answer::Received(kind, packet_id, reason), turn);
        }
        if !self.may_retain(link_id, publish, topic_name, turn) {
            let reason = ReasonCode::QuotaExceeded;
            self.refused(link_id, topic_name, reason, NO_ROOM_TO_RETAIN, turn);
            return self.owe(link_id, None, Answer::Received(kind, packet_id, reason), turn);
        }
        let ticket = self.next_ticket();
        let kept_before = turn.effects.keeps.len();
        let Some(reason) = self.accept(link_id, publish, topic_name, ticket, turn) else {
            return self.no_room(link_id, kind, packet_id, topic_name, turn);
        };
        if is_exactly_once {
            self.remember_inbound(link_id, slot, packet_id, ticket, turn);
        }
        let is_waiting = turn.effects.keeps_since(kept_before, ticket)
            || self.deferred.last().is_some_and(|deferred| deferred.ticket == ticket);
        let is_waiting = is_waiting && !bites(Tooth::AcknowledgedBeforeKept);
        self.owe(link_id, is_waiting.then_some(ticket), Answer::Received(kind, packet_id, reason), turn);
    }

    /// Remembers a QoS 2 id until PUBREL; durable sessions remember it beyond a restart, in one ticket with the
    /// message `[MQTT-4.3.3-10]`.
    fn remember_inbound(
        &mut self,
        link_id: LinkId,
        slot: u32,
        packet_id: PacketId,
        ticket: Ticket,
        turn: &mut Turn<'_, '_>,
    ) {
        let address = self.address(slot);
        if let Some(link) = self.links.at_mut(link_id) {
            link.extra_mut().inbound_open += 1;
        }
        let Some(session) = self.sessions.by_slot_mut(slot) else { return };
        session.extra_mut().incoming.receive(packet_id);
        if session.durable {
            turn.effects.keeps.push((ticket, Record::InboundReceived { session: address, packet_id }));
        }
    }

    /// A QoS 1 PUBLISH uses the id of an open QoS 2 one (A09).
    fn id_in_use(&mut self, link_id: LinkId, packet_id: PacketId, topic: &str, turn: &mut Turn<'_, '_>) {
        let why = "the packet id belongs to an open QoS 2 message";
        if self.version(link_id) == Some(Version::V5) {
            self.refused(link_id, topic, ReasonCode::PacketIdentifierInUse, why, turn);
            let answer = Answer::Received(AckKind::PubAck, packet_id, ReasonCode::PacketIdentifierInUse);
            self.owe(link_id, None, answer, turn);
        } else {
            let why = Why::BrokeRule("MQTT-2.3.1-2 of 3.1.1", why);
            self.close_link(link_id, Some(ReasonCode::ProtocolError), why, turn);
        }
    }

    /// The message needs the journal, which is full (J05): 0x97; before 5.0, where an acknowledgement cannot say no,
    /// the connection is closed so that the message stays with its publisher.
    fn no_room(
        &mut self,
        link_id: LinkId,
        kind: AckKind,
        packet_id: PacketId,
        topic: &str,
        turn: &mut Turn<'_, '_>,
    ) {
        let why = "the journal is full; remove absent sessions or raise journal_bytes_max";
        if self.version(link_id) == Some(Version::V5) {
            self.refused(link_id, topic, ReasonCode::QuotaExceeded, why, turn);
            self.owe(link_id, None, Answer::Received(kind, packet_id, ReasonCode::QuotaExceeded), turn);
        } else {
            self.close_link(link_id, Some(ReasonCode::QuotaExceeded), Why::Bound(why), turn);
        }
    }

    /// False if a 5.0 client has more QoS 1 and 2 packets open than we allow. Older clients cannot know our limit:
    /// they are not read while we owe them too much.
    fn has_receive_quota(&self, link_id: LinkId) -> bool {
        let Some(link) = self.links.at(link_id) else { return false };
        let Some(extra) = link.extra() else { return true };
        link.version < Version::V5
            || u32::from(extra.inbound_open) + u32::from(extra.unanswered_qos1)
                < u32::from(self.limits.receive_max)
    }

    /// Whether clients may publish to this topic at all.
    pub(crate) fn may_publish(&self, topic_name: &str) -> Result<(), (ReasonCode, &'static str)> {
        let is_ours = |root: &str| {
            topic_name.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if topic_name.starts_with('$') && ["$share", "$queue", "$SYS"].into_iter().any(is_ours) {
            return Err((
                ReasonCode::TopicNameInvalid,
                "$share, $queue and $SYS are not for clients to publish to",
            ));
        }
        if has_too_many_levels(topic_name, self.limits.topic_levels_max) {
            return Err((ReasonCode::TopicNameInvalid, "more topic levels than topic_levels_max"));
        }
        Ok(())
    }

    /// False if there is no room to retain the message and its publisher can be told so: one before 5.0 has it
    /// delivered, but not retained.
    fn may_retain(
        &self,
        link_id: LinkId,
        publish: &Publish<'_>,
        topic_name: &str,
        turn: &Turn<'_, '_>,
    ) -> bool {
        if !publish.retain || publish.payload.is_empty() || self.version(link_id) != Some(Version::V5) {
            return true;
        }
        let client_id = self.client_id(link_id).unwrap_or_default();
        let bytes =
            client_id.len() + topic_name.len() + publish.properties.as_bytes().len() + publish.payload.len();
        turn.tables.retained().read().has_room(topic_name, bytes, &self.limits)
    }

    /// Tells of a publication that is refused while the connection stays.
    fn refused(
        &mut self,
        link_id: LinkId,
        topic: &str,
        reason: ReasonCode,
        why: &'static str,
        turn: &mut Turn<'_, '_>,
    ) {
        self.counters.publishes_dropped += 1;
        let client = self.client_id(link_id).unwrap_or_default().into();
        turn.effects.events.push(Event::PacketRefused {
            link: link_id,
            client,
            topic: topic.into(),
            reason,
            why,
        });
    }

    /// Takes the message over: delivers it to live receivers and asks to keep it for the others, so that no session with
    /// a matching subscription is left out `[MQTT-4.5.0-1]` `[MQTT-4.5.0-1 of 3.1.1]`. The reason code for the
    /// publisher, or `None` if it has to be kept and the journal is full.
    fn accept(
        &mut self,
        link_id: LinkId,
        publish: &Publish<'_>,
        topic_name: &str,
        ticket: Ticket,
        turn: &mut Turn<'_, '_>,
    ) -> Option<ReasonCode> {
        let slot = self.session_of(link_id)?;
        let publisher = self.address(slot);
        // The id is lent out of the session for the time of the call, so that the view can borrow it.
        let publisher_id = std::mem::take(&mut self.sessions.by_slot_mut(slot)?.client_id);
        let mut scratch = std::mem::take(&mut self.scratch);
        let expires_at = match publish.properties.message_expiry_interval() {
            Some(secs) => turn.now + u64::from(secs) * 1_000,
            None => NEVER,
        };
        let view = MessageView {
            publisher,
            publisher_id: &publisher_id,
            qos: publish.qos,
            retain: publish.retain,
            expires_at,
            topic: topic_name,
            properties: forwarded(publish.properties, &mut scratch),
            payload: publish.payload,
        };
        let reason = self.publish_view(&view, ticket, turn);
        self.scratch = scratch;
        if let Some(session) = self.sessions.by_slot_mut(slot) {
            session.client_id = publisher_id;
        }
        reason
    }

    /// Publishes a message now, or at the end of the turn if its order among shards matters: retained ones must
    /// reach live and late subscribers in one order (E09), and what follows them may not overtake them.
    pub(crate) fn publish_view(
        &mut self,
        view: &MessageView<'_>,
        ticket: Ticket,
        turn: &mut Turn<'_, '_>,
    ) -> Option<ReasonCode> {
        if view.retain || !self.deferred.is_empty() {
            if view.qos > QoS::AtMostOnce && self.journal_full {
                return None;
            }
            self.deferred.push(Deferred { message: view.to_message(), ticket });
            if bites(Tooth::RetainedAtOnce) {
                self.matcher.find(turn.tables.routes(), view);
                self.dispatch(view, turn);
            }
            return Some(ReasonCode::Success);
        }
        self.matcher.find(turn.tables.routes(), view);
        if bites(Tooth::LiveInsteadOfLog) {
            self.matcher.live.append(&mut self.matcher.kept);
        }
        let is_wanted_later = !self.matcher.kept.is_empty();
        if is_wanted_later {
            if self.journal_full {
                return None;
            }
            turn.effects.keeps.push((ticket, self.record_of(view.to_message())));
        }
        let is_matched = is_wanted_later || !self.matcher.live.is_empty();
        self.dispatch(view, turn);
        Some(if is_matched { ReasonCode::Success } else { ReasonCode::NoMatchingSubscribers })
    }

    /// Gives the deferred publications their place. The caller holds the lock that orders them among all shards, so
    /// that everybody, this shard included, gets them by mail in that order.
    pub(crate) fn publish_deferred(&mut self, turn: &mut Turn<'_, '_>) {
        for Deferred { message, ticket } in std::mem::take(&mut self.deferred) {
            let view = message.view();
            // Without RETAIN what is retained stays [MQTT-3.3.1-8] [MQTT-3.3.1-12 of 3.1.1].
            if view.retain {
                self.retain(&message, turn);
            }
            self.matcher.find(turn.tables.routes(), &view);
            if !self.matcher.kept.is_empty() || (view.retain && self.keeps_retained(&view)) {
                turn.effects.keeps.push((ticket, self.record_of(Arc::clone(&message))));
            } else {
                // Nothing to keep after all, but an answer may wait: have its ticket confirmed in its order.
                turn.effects.confirm = turn.effects.confirm.max(ticket);
            }
            if bites(Tooth::RetainedAtOnce) {
                continue;
            }
            self.mailed_to_self += 1;
            self.dispatch(&view, turn);
            self.mailed_to_self -= 1;
        }
    }

    /// Retained messages are kept, at QoS 0 too as long as there is room; nobody waits for those.
    fn keeps_retained(&self, view: &MessageView<'_>) -> bool {
        view.qos > QoS::AtMostOnce || view.payload.is_empty() || !self.journal_full
    }

    /// The record of the message that was just matched.
    fn record_of(&self, message: Arc<Message>) -> Record {
        let group = |recipient: &Recipient| match recipient.receiver {
            Receiver::Group(group) => Some(group),
            Receiver::Session(_) => None,
        };
        Record::Message { message, groups: self.matcher.kept.iter().filter_map(group).collect() }
    }

    /// Replaces the retained message of a topic `[MQTT-3.3.1-5]` `[MQTT-3.3.1-5 of 3.1.1]`, at QoS 0 too
    /// `[MQTT-3.3.1-7 of 3.1.1]`. An empty one removes it `[MQTT-3.3.1-6]` `[MQTT-3.3.1-10 of 3.1.1]` and is not stored
    /// itself `[MQTT-3.3.1-7]` `[MQTT-3.3.1-11 of 3.1.1]`.
    fn retain(&mut self, message: &Arc<Message>, turn: &mut Turn<'_, '_>) {
        let view = message.view();
        let mut retained = turn.tables.retained().write();
        let has_room = retained.has_room(view.topic, message.len(), &self.limits);
        let RetainedMessages { topics, bytes } = &mut *retained;
        if view.payload.is_empty() {
            if let Some(old) = topics.remove(view.topic) {
                *bytes -= old.len();
            }
            return;
        }
        if !has_room {
            drop(retained);
            self.counters.publishes_dropped += 1;
            turn.effects.events.push(Event::Dropped {
                client: view.publisher_id.into(),
                topic: view.topic.into(),
                why: NO_ROOM_TO_RETAIN,
            });
            return;
        }
        *bytes += message.len();
        if let Some(old) = topics.set(view.topic, Arc::clone(message)) {
            *bytes -= old.len();
        }
    }

    /// Delivers the message to the live recipients of this shard and mails it to the others.
    fn dispatch(&mut self, view: &MessageView<'_>, turn: &mut Turn<'_, '_>) {
        let mut recipients = std::mem::take(&mut self.matcher.live);
        let identifiers = std::mem::take(&mut self.matcher.identifiers);
        if self.shards > 1 && recipients.iter().any(|recipient| recipient.receiver.shard() != self.number) {
            recipients.sort_by_key(|recipient| recipient.receiver.shard());
        }
        for same_shard in recipients.chunk_by(|one, other| one.receiver.shard() == other.receiver.shard()) {
            let shard = same_shard[0].receiver.shard();
            if shard == self.number {
                self.deliver_here(view, same_shard, &identifiers, turn);
            } else {
                turn.effects.post_message(shard, view, same_shard, &identifiers);
            }
        }
        self.matcher.live = recipients;
        self.matcher.identifiers = identifiers;
    }

    /// PUBREL from a publisher `[MQTT-4.3.3-11]`, whose message may have expired meanwhile `[MQTT-4.3.3-13]`.
    pub(crate) fn pubrel(&mut self, link_id: LinkId, ack: &Ack<'_>, turn: &mut Turn<'_, '_>) {
        let Some(slot) = self.session_of(link_id) else { return };
        let address = self.address(slot);
        let Some(session) = self.sessions.by_slot_mut(slot) else { return };
        let was_known = session.extra_if().is_some_and(|extra| extra.incoming.release(ack.packet_id));
        let is_durable = session.durable;
        if was_known && let Some(link) = self.links.at_mut(link_id) {
            let extra = link.extra_mut();
            extra.inbound_open = extra.inbound_open.saturating_sub(1);
        }
        let reason = if was_known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        let ticket = (was_known && is_durable).then(|| {
            let ticket = self.next_ticket();
            let record = Record::InboundReleased { session: address, packet_id: ack.packet_id };
            turn.effects.keeps.push((ticket, record));
            ticket
        });
        self.owe(link_id, ticket, Answer::Ack(AckKind::PubComp, ack.packet_id, reason), turn);
    }
}

/// Why a message is not retained.
const NO_ROOM_TO_RETAIN: &str =
    "not retained: retained_max or retained_bytes_max is reached; clear topics or raise the limit";

/// More levels than `max`? Counts bytes, since `/` is never part of another character.
pub(crate) fn has_too_many_levels(text: &str, max: u16) -> bool {
    text.len() > usize::from(max) && topic::levels(text).count() > usize::from(max)
}
