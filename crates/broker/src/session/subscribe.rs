//! A client subscribes or unsubscribes: what is granted, who is told, which retained messages follow.

use longwire_proto::packet::{RetainHandling, SubAck, Subscribe, SubscribeOptions, Unsubscribe};
use longwire_proto::property::Properties;
use longwire_proto::{Packet, QoS, ReasonCode, Version, encode, topic};

use super::Session;
use super::publish::has_too_many_levels;
use crate::address::{GroupRef, SessionRef, shard_of};
use crate::capability::Missing;
use crate::event::{Event, Why};
use crate::group::{leave_group, post_to_group};
use crate::input::LinkId;
use crate::link::Answer;
use crate::parcel::{GroupMail, MemberTerms};
use crate::record::Record;
use crate::routes::{Receiver, Target, TargetOptions};
use crate::shard::{Shard, Turn};
use crate::teeth::{Tooth, bites};

/// Retained messages a subscription asked for, and how far they are sent.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) filter: Box<str>,
    /// The last topic visited.
    pub(crate) after: Option<String>,
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) identifier: u32,
}

/// One filter of a SUBSCRIBE on its way in.
struct Wish<'a> {
    filter: &'a str,
    options: SubscribeOptions,
    identifier: u32,
    ticket: u64,
}

/// What came of it: the code for SUBACK, and retained messages to send after it.
struct Grant {
    code: ReasonCode,
    replay: Option<Replay>,
}

impl Shard {
    /// SUBSCRIBE: each filter in turn `[MQTT-3.8.4-5]` `[MQTT-3.8.4-4 of 3.1.1]`, one SUBACK for all `[MQTT-3.8.4-1]`
    /// `[MQTT-3.8.4-1 of 3.1.1]` with its id `[MQTT-3.8.4-2]` `[MQTT-3.8.4-2 of 3.1.1]` `[MQTT-2.3.1-7 of 3.1.1]` and a
    /// code for each `[MQTT-3.8.4-5 of 3.1.1]` in their order `[MQTT-3.9.3-1]` `[MQTT-3.9.3-1 of 3.1.1]`. It explains
    /// nothing that could make it too large `[MQTT-3.9.2-1]` `[MQTT-3.9.2-2]`.
    pub(crate) fn subscribe(&mut self, link_id: LinkId, subscribe: &Subscribe<'_>, turn: &mut Turn<'_, '_>) {
        let Some(slot) = self.session_of(link_id) else { return };
        let identifier = subscribe.properties.subscription_identifiers().next().unwrap_or(0);
        if let Some(missing) = self.missing_for_subscribe(link_id, subscribe, identifier) {
            return self.close_link(link_id, Some(missing.reason), Why::Bound(missing.why), turn);
        }
        let ticket = self.next_ticket();
        let kept_before = turn.effects.keeps.len();
        let mut codes = Vec::new();
        let mut replays = Vec::new();
        for (filter, options) in subscribe.filters.iter() {
            let options = SubscribeOptions { qos: options.qos.min(self.limits.highest_qos()), ..options };
            let wish = Wish { filter, options, identifier, ticket };
            let grant = self.grant(slot, &wish, turn);
            if grant.code.is_error() {
                self.refused_filter(link_id, filter, grant.code, turn);
            }
            codes.push(grant.code as u8);
            replays.extend(grant.replay);
        }
        let suback =
            SubAck { packet_id: subscribe.packet_id, properties: Properties::EMPTY, raw_codes: &codes };
        let is_waiting = turn.effects.keeps_since(kept_before, ticket) && !bites(Tooth::SubAckBeforeKept);
        let answer = |bytes| Answer::SubAck(bytes, replays);
        self.owe_packet(link_id, is_waiting.then_some(ticket), &Packet::SubAck(suback), answer, turn);
    }

    /// What a 5.0 client was told that it cannot have, and asks for all the same; nothing of its SUBSCRIBE is granted
    /// then. An older client was told nothing: it has single filters refused.
    fn missing_for_subscribe(
        &self,
        link_id: LinkId,
        subscribe: &Subscribe<'_>,
        identifier: u32,
    ) -> Option<Missing> {
        if self.version(link_id) != Some(Version::V5) {
            return None;
        }
        let limits = &self.limits;
        let mut filters = subscribe.filters.iter();
        limits
            .missing_for_identifier(identifier)
            .or_else(|| filters.find_map(|(filter, _)| limits.missing_for_filter(filter)))
    }

    /// One filter of a SUBSCRIBE. The filter is well formed, or the packet would have been malformed.
    fn grant(&mut self, slot: u32, wish: &Wish<'_>, turn: &mut Turn<'_, '_>) -> Grant {
        let refusal = |code| Grant { code, replay: None };
        if has_too_many_levels(wish.filter, self.limits.topic_levels_max) {
            return refusal(ReasonCode::TopicFilterInvalid);
        }
        if let Some(missing) = self.limits.missing_for_filter(wish.filter) {
            return refusal(missing.reason);
        }
        let Some(session) = self.sessions.by_slot(slot) else { return refusal(ReasonCode::UnspecifiedError) };
        let memberships = session.extra().map_or(0, |extra| extra.memberships.len());
        let is_full = session.subscriptions.len() + memberships >= self.limits.subscriptions_per_session_max
            || turn.tables.routes().subscriptions() >= self.limits.subscriptions_max;
        if is_full && !self.is_subscribed(slot, wish.filter, turn) {
            return refusal(ReasonCode::QuotaExceeded);
        }
        match topic::shared(wish.filter) {
            Some(shared) => self.join(slot, wish, shared.filter, turn),
            None => self.add_subscription(slot, wish, turn),
        }
    }

    /// True if the session has a subscription with this filter, a shared one included: it may always be replaced.
    fn is_subscribed(&self, slot: u32, filter: &str, turn: &mut Turn<'_, '_>) -> bool {
        let routes = turn.tables.routes();
        if topic::shared(filter).is_some() {
            let extra = self.sessions.by_slot(slot).and_then(|session| session.extra());
            let group = routes.find_group(filter);
            return extra.zip(group).is_some_and(|(extra, group)| extra.memberships.contains(&group));
        }
        let receiver = Receiver::Session(self.address(slot));
        routes.find(filter).is_some_and(|filter| routes.target(filter, receiver).is_some())
    }

    /// A subscription of the session's own; an equal filter is replaced `[MQTT-3.8.4-3]`
    /// `[MQTT-3.8.4-3 of 3.1.1]`.
    fn add_subscription(&mut self, slot: u32, wish: &Wish<'_>, turn: &mut Turn<'_, '_>) -> Grant {
        let address = self.address(slot);
        let Some(session) = self.sessions.by_slot_mut(slot) else {
            return Grant { code: ReasonCode::UnspecifiedError, replay: None };
        };
        let mut options = target_options(session, wish.options);
        let mut routes = turn.tables.routes_mut();
        let receiver = Receiver::Session(address);
        // What was served from the log stays there, also at QoS 0: replacing loses no message [MQTT-3.8.4-4].
        let held = routes.find(wish.filter).and_then(|filter| routes.target(filter, receiver));
        options.durable |= held.is_some_and(Target::is_durable);
        let (filter, is_new) = routes.subscribe(wish.filter, Target::new(receiver, options, wish.identifier));
        if bites(Tooth::NotShown) {
            routes.unsubscribe(filter, receiver);
        }
        drop(routes);
        if is_new {
            session.subscriptions.add(filter);
        }
        keep_subscription(session, address, wish, options, None, turn);
        let wants_retained = match wish.options.retain_handling {
            RetainHandling::AtSubscribe => true,
            RetainHandling::IfNew => is_new,
            RetainHandling::Never => false,
        };
        let replay = wants_retained.then(|| Replay {
            filter: wish.filter.into(),
            after: None,
            qos: options.qos,
            no_local: options.no_local,
            identifier: wish.identifier,
        });
        Grant { code: granted(options.qos), replay }
    }

    /// Membership in a shared group; retained messages are not for it (E05).
    fn join(&mut self, slot: u32, wish: &Wish<'_>, inner_filter: &str, turn: &mut Turn<'_, '_>) -> Grant {
        let address = self.address(slot);
        let home = shard_of(&self.key, wish.filter, usize::from(self.shards));
        let Some(session) = self.sessions.by_slot_mut(slot) else {
            return Grant { code: ReasonCode::UnspecifiedError, replay: None };
        };
        let options = target_options(session, wish.options);
        let terms = MemberTerms {
            qos: options.qos,
            retain_as_published: options.retain_as_published,
            identifier: wish.identifier,
        };
        let memberships = &mut session.extra_mut().memberships;
        let known = turn.tables.routes().find_group(wish.filter).filter(|group| memberships.contains(group));
        let group = known.unwrap_or_else(|| {
            turn.tables.routes_mut().join(wish.filter, inner_filter, home, options.durable)
        });
        let is_new = memberships.insert(group);
        if !is_new && options.durable {
            turn.tables.routes_mut().join_again(group);
        }
        keep_subscription(session, address, wish, options, Some(group), turn);
        post_to_group(GroupMail::Join { group, member: address, terms }, turn);
        self.open_memberships(slot, &[group], turn);
        Grant { code: granted(options.qos), replay: None }
    }

    fn refused_filter(&mut self, link_id: LinkId, filter: &str, reason: ReasonCode, turn: &mut Turn<'_, '_>) {
        let client = self.client_id(link_id).unwrap_or_default().into();
        let why = match reason {
            ReasonCode::TopicFilterInvalid => "more filter levels than topic_levels_max",
            ReasonCode::SharedSubscriptionsNotSupported | ReasonCode::WildcardSubscriptionsNotSupported => {
                self.limits.missing_for_filter(filter).map_or("", |missing| missing.why)
            }
            _ => "subscriptions_per_session_max or subscriptions_max is reached",
        };
        turn.effects.events.push(Event::PacketRefused {
            link: link_id,
            client,
            topic: filter.into(),
            reason,
            why,
        });
    }

    /// UNSUBSCRIBE: each filter in turn, one UNSUBACK for all `[MQTT-3.10.4-6]` `[MQTT-3.10.4-6 of 3.1.1]` with its id
    /// `[MQTT-3.10.4-4]` `[MQTT-3.10.4-4 of 3.1.1]`, also if nothing was deleted `[MQTT-3.10.4-5]`
    /// `[MQTT-3.10.4-5 of 3.1.1]`, and codes in their order `[MQTT-3.11.3-1]`. It explains nothing that could make it too
    /// large `[MQTT-3.11.2-1]` `[MQTT-3.11.2-2]`.
    pub(crate) fn unsubscribe(
        &mut self,
        link_id: LinkId,
        unsubscribe: &Unsubscribe<'_>,
        turn: &mut Turn<'_, '_>,
    ) {
        let Some(slot) = self.session_of(link_id) else { return };
        let ticket = self.next_ticket();
        let kept_before = turn.effects.keeps.len();
        let mut codes = Vec::new();
        for filter in unsubscribe.filters.iter() {
            let existed = if topic::shared(filter).is_some() {
                self.leave_group(slot, filter, turn)
            } else {
                self.remove_subscription(slot, filter, turn)
            };
            if existed {
                self.keep_unsubscription(slot, filter, ticket, turn);
            }
            let code = if existed { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted };
            codes.push(code as u8);
        }
        let unsuback =
            SubAck { packet_id: unsubscribe.packet_id, properties: Properties::EMPTY, raw_codes: &codes };
        let is_waiting = turn.effects.keeps_since(kept_before, ticket);
        let packet = Packet::UnsubAck(unsuback);
        self.owe_packet(link_id, is_waiting.then_some(ticket), &packet, Answer::Bytes, turn);
    }

    /// True if there was such a subscription; filters are compared byte by byte `[MQTT-3.10.4-1]`
    /// `[MQTT-3.10.4-1 of 3.1.1]`. What is published from now on does not match it `[MQTT-3.10.4-2 of 3.1.1]`.
    fn remove_subscription(&mut self, slot: u32, filter_text: &str, turn: &mut Turn<'_, '_>) -> bool {
        let receiver = Receiver::Session(self.address(slot));
        let mut routes = turn.tables.routes_mut();
        let Some(filter) = routes.find(filter_text) else { return false };
        if bites(Tooth::RouteLeft) {
            return routes.target(filter, receiver).is_some();
        }
        if routes.unsubscribe(filter, receiver).is_none() {
            return false;
        }
        drop(routes);
        let Some(session) = self.sessions.by_slot_mut(slot) else { return true };
        session.subscriptions.remove(filter);
        true
    }

    fn leave_group(&mut self, slot: u32, filter: &str, turn: &mut Turn<'_, '_>) -> bool {
        let member = self.address(slot);
        let Some(extra) = self.sessions.by_slot_mut(slot).and_then(|session| session.extra_if()) else {
            return false;
        };
        let Some(group) = turn.tables.routes().find_group(filter) else { return false };
        if !extra.memberships.remove(&group) {
            return false;
        }
        extra.starved.remove(&group);
        leave_group(group, member, turn);
        true
    }

    fn keep_unsubscription(&mut self, slot: u32, filter: &str, ticket: u64, turn: &mut Turn<'_, '_>) {
        let session = self.address(slot);
        if self.sessions.by_slot(slot).is_some_and(|session| session.durable) {
            turn.effects.keeps.push((ticket, Record::Unsubscribed { session, filter: filter.into() }));
        }
    }

    /// Owes an encoded packet; one that is larger than the peer takes is not sent `[MQTT-3.1.2-24]`.
    fn owe_packet(
        &mut self,
        link_id: LinkId,
        ticket: Option<u64>,
        packet: &Packet<'_>,
        answer: impl FnOnce(Box<[u8]>) -> Answer,
        turn: &mut Turn<'_, '_>,
    ) {
        let Some(link) = self.links.at(link_id) else { return };
        let mut bytes = Vec::new();
        if encode::packet(packet, link.version, &mut bytes).is_err() || bytes.len() > link.packet_size_max() {
            let why = Why::Bound(
                "an answer larger than the Maximum Packet Size of the client; it would wait for ever",
            );
            return self.close_link(link_id, Some(ReasonCode::PacketTooLarge), why, turn);
        }
        self.owe(link_id, ticket, answer(bytes.into_boxed_slice()), turn);
    }
}

fn target_options(session: &Session, options: SubscribeOptions) -> TargetOptions {
    TargetOptions {
        qos: options.qos,
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        // Nothing is kept for a QoS 0 subscription, so that it does not need the log.
        durable: session.durable && options.qos > QoS::AtMostOnce,
    }
}

fn keep_subscription(
    session: &Session,
    address: SessionRef,
    wish: &Wish<'_>,
    options: TargetOptions,
    group: Option<GroupRef>,
    turn: &mut Turn<'_, '_>,
) {
    if session.durable {
        let record = Record::Subscribed {
            session: address,
            filter: wish.filter.into(),
            options,
            identifier: wish.identifier,
            group,
        };
        turn.effects.keeps.push((wish.ticket, record));
    }
}

/// The code that says what was granted `[MQTT-3.8.4-7]`.
fn granted(qos: QoS) -> ReasonCode {
    match qos {
        QoS::AtMostOnce => ReasonCode::Success,
        QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
        QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
    }
}
