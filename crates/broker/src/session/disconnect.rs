//! A connection ends, and perhaps the session with it: who is told what, what becomes of the will, and when.

use std::sync::atomic::Ordering;

use longwire_proto::packet::Disconnect;
use longwire_proto::property::Properties;
use longwire_proto::transfer::Stage;
use longwire_proto::{Packet, QoS, ReasonCode, Version};

use super::Held;
use crate::address::SessionRef;
use crate::effect::Ticket;
use crate::event::{Event, Why};
use crate::group::{leave_group, post_to_group};
use crate::input::{CloseCause, LinkId};
use crate::link::LinkState;
use crate::message::Millis;
use crate::parcel::GroupMail;
use crate::record::Record;
use crate::routes::Receiver;
use crate::shard::{Shard, Turn};
use crate::teeth::{Tooth, bites};

/// What becomes of the will when a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WillFate {
    /// The client took it back `[MQTT-3.14.4-3]` `[MQTT-3.14.4-3 of 3.1.1]`.
    Discarded,
    /// It is published, now or after its delay `[MQTT-3.1.2-8]`.
    Published,
}

impl Shard {
    /// DISCONNECT from a client.
    pub(crate) fn disconnect(
        &mut self,
        link_id: LinkId,
        disconnect: &Disconnect<'_>,
        turn: &mut Turn<'_, '_>,
    ) {
        let expiry_max = self.limits.session_expiry_secs_max;
        if let Some(expiry_secs) = disconnect.properties.session_expiry_interval()
            && let Some(session) = self.session_of(link_id).and_then(|slot| self.sessions.by_slot_mut(slot))
        {
            if session.expiry_secs == 0 && expiry_secs > 0 {
                let why = Why::BrokeRule("U5-39", "DISCONNECT may not raise the session expiry from 0");
                return self.close_link(link_id, Some(ReasonCode::ProtocolError), why, turn);
            }
            session.expiry_secs = expiry_secs.min(expiry_max);
        }
        let (why, fate) = if disconnect.reason == ReasonCode::Success {
            (Why::ClientLeft, WillFate::Discarded)
        } else {
            (Why::ClientLeftWithWill, WillFate::Published)
        };
        self.leave(link_id, disconnect.reason, why, fate, turn);
    }

    /// The caller saw the connection end, or decided that it has to.
    pub(crate) fn connection_lost(&mut self, link_id: LinkId, cause: CloseCause, turn: &mut Turn<'_, '_>) {
        let (reason, why) = match cause {
            CloseCause::Network => (None, Why::NetworkLost),
            CloseCause::KeepAlive => (Some(ReasonCode::KeepAliveTimeout), Why::KeepAlive),
            CloseCause::PacketTimeout => (Some(ReasonCode::UnspecifiedError), Why::PacketTimeout),
        };
        self.close_link(link_id, reason, why, turn);
    }

    /// Another connection takes the session of this one.
    pub(crate) fn taken_over(&mut self, link_id: LinkId, is_resumed: bool, turn: &mut Turn<'_, '_>) {
        self.say_goodbye(link_id, ReasonCode::SessionTakenOver, turn);
        let slot = self.session_of(link_id);
        self.report_end(link_id, ReasonCode::SessionTakenOver, Why::TakenOver, turn);
        self.links.close(link_id, turn.effects);
        if let Some(slot) = slot {
            self.go_offline(slot, turn);
            if is_resumed {
                // What is left of the will has no delay (D01); with one it was cancelled before (D02).
                self.publish_will(self.address(slot), turn);
            }
        }
    }

    /// Closes a connection from our side, whether or not the reason reaches the peer `[MQTT-4.13.2-1]` and without waiting
    /// for it `[MQTT-3.14.4-2]`; no other connection notices `[MQTT-4.8.0-1 of 3.1.1]` `[MQTT-4.8.0-2 of 3.1.1]`. A 5.0 client that has its CONNACK is told the reason `[MQTT-4.13.1-1]`; one
    /// that still waits for it gets a refusal; the others see the end only (I09).
    pub(crate) fn close_link(
        &mut self,
        link_id: LinkId,
        reason: Option<ReasonCode>,
        why: Why,
        turn: &mut Turn<'_, '_>,
    ) {
        let Some(link) = self.links.at(link_id) else { return };
        if link.state == LinkState::Authenticating {
            let (Why::BrokeRule(_, text) | Why::Bound(text)) = why else {
                return self.links.close(link_id, turn.effects);
            };
            let reason = reason.unwrap_or(ReasonCode::ProtocolError);
            return self.refuse_connect(link_id, "", reason, text, "mend the client", turn);
        }
        if let Some(reason) = reason {
            self.say_goodbye(link_id, reason, turn);
        }
        self.leave(link_id, reason.unwrap_or(ReasonCode::UnspecifiedError), why, WillFate::Published, turn);
    }

    /// DISCONNECT from us, where the version has it and CONNACK went before `[MQTT-3.14.0-1]`.
    fn say_goodbye(&mut self, link_id: LinkId, reason: ReasonCode, turn: &mut Turn<'_, '_>) {
        let Some(link) = self.links.at(link_id) else { return };
        if link.version == Version::V5 && link.state == LinkState::Open {
            let packet = Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY });
            self.links.send(link_id, &packet, turn.effects);
        }
    }

    fn report_end(&mut self, link_id: LinkId, reason: ReasonCode, why: Why, turn: &mut Turn<'_, '_>) {
        let client = self.client_id(link_id).unwrap_or_default().into();
        turn.effects.events.push(Event::Disconnected { link: link_id, client, reason, why });
    }

    fn leave(
        &mut self,
        link_id: LinkId,
        reason: ReasonCode,
        why: Why,
        fate: WillFate,
        turn: &mut Turn<'_, '_>,
    ) {
        let slot = self.session_of(link_id);
        self.report_end(link_id, reason, why, turn);
        self.links.close(link_id, turn.effects);
        let Some(slot) = slot else { return };
        let address = self.address(slot);
        self.go_offline(slot, turn);
        let Some(session) = self.sessions.by_slot_mut(slot) else { return };
        if fate == WillFate::Discarded
            && !bites(Tooth::WillAfterGoodbye)
            && let Some(extra) = session.extra_if()
        {
            extra.will = None;
        }
        // It lives at least as long as its connection [MQTT-4.1.0-1] [MQTT-4.1.0-2 of 3.1.1], and what it holds is kept
        // as long as it lives [MQTT-4.1.0-1 of 3.1.1] [MQTT-3.1.2-5 of 3.1.1].
        if session.outlives_connection() {
            self.wait_for_return(address, turn);
        } else {
            self.end_session(address, 0, turn);
        }
    }

    /// The session has no connection any more: its groups look for other members.
    fn go_offline(&mut self, slot: u32, turn: &mut Turn<'_, '_>) {
        let address = self.address(slot);
        let Some(session) = self.sessions.by_slot_mut(slot) else { return };
        session.set_link(None);
        let Some(extra) = session.extra_if() else { return };
        extra.log.reading = false;
        extra.resends.clear();
        extra.queue.clear();
        extra.queue_bytes = 0;
        extra.starved.clear();
        for &group in &extra.memberships {
            post_to_group(GroupMail::Gone { group, member: address }, turn);
        }
    }

    /// The session outlives its connection, which it loses now: its will and its end get their times.
    pub(super) fn wait_for_return(&mut self, address: SessionRef, turn: &mut Turn<'_, '_>) {
        let Some(session) = self.sessions.by_slot_mut(address.slot) else { return };
        let delay_secs = session.extra().and_then(|extra| extra.will.as_ref()).map(|will| will.delay_secs);
        if session.durable {
            let (expiry_secs, has_will) = (session.expiry_secs, delay_secs.is_some());
            let left = Record::SessionLeft { session: address, at: turn.now, expiry_secs, has_will };
            turn.effects.keeps.push((0, left));
        }
        if delay_secs == Some(0) {
            self.publish_will(address, turn);
        }
        self.set_timers(address, turn.now);
    }

    /// When the will and the end of a session are due that lost its connection at `left_at`.
    pub(super) fn set_timers(&mut self, address: SessionRef, left_at: Millis) {
        let Some(session) = self.sessions.by_slot_mut(address.slot) else { return };
        let after = |secs: u32| left_at + u64::from(secs) * 1_000;
        let expiry_due = (session.expiry_secs != u32::MAX).then(|| after(session.expiry_secs));
        let delay_secs = session.extra().and_then(|extra| extra.will.as_ref()).map(|will| will.delay_secs);
        // The session's end comes first if it is sooner (D05); it publishes the will itself.
        let will_due = delay_secs.map(after).filter(|&due| expiry_due.is_none_or(|expiry| due < expiry));
        if will_due.is_none() && expiry_due.is_none() {
            return;
        }
        let extra = session.extra_mut();
        extra.will_due = will_due;
        extra.expiry_due = expiry_due;
        self.timers.extend(will_due.into_iter().chain(expiry_due).map(|due| (due, address)));
    }

    /// The session is not waiting any more, or not for this.
    pub(crate) fn stop_timers(&mut self, address: SessionRef) {
        let Some(extra) = self.sessions.by_slot_mut(address.slot).and_then(|session| session.extra_if())
        else {
            return;
        };
        for due in extra.will_due.take().into_iter().chain(extra.expiry_due.take()) {
            self.timers.remove(&(due, address));
        }
    }

    /// Wills and sessions whose time has come.
    pub(crate) fn timers_due(&mut self, turn: &mut Turn<'_, '_>) {
        while let Some(&(due, address)) = self.timers.first() {
            if due > turn.now {
                break;
            }
            self.timers.pop_first();
            let Some(session) = self.sessions.at_mut(address.slot, address.generation) else { continue };
            let Some(extra) = session.extra_if() else { continue };
            if extra.expiry_due == Some(due) {
                extra.expiry_due = None;
                let client = session.client_id.clone();
                self.counters.sessions_expired += 1;
                turn.effects.events.push(Event::SessionExpired { client });
                self.end_session(address, 0, turn);
            } else {
                extra.will_due = None;
                self.publish_will(address, turn);
            }
        }
    }

    /// Publishes the will, once `[MQTT-3.1.2-10]` `[MQTT-3.1.2-10 of 3.1.1]`.
    pub(crate) fn publish_will(&mut self, address: SessionRef, turn: &mut Turn<'_, '_>) {
        let Some(session) = self.sessions.by_slot_mut(address.slot) else { return };
        let Some(will) = session.extra_if().and_then(|extra| extra.will.take()) else { return };
        let (client_id, is_durable) = (session.client_id.clone(), session.durable);
        let view = will.view(address, &client_id, turn.now);
        if let Err((_, why)) = self.may_publish(view.topic) {
            let dropped = Event::Dropped { client: client_id.clone(), topic: view.topic.into(), why };
            return turn.effects.events.push(dropped);
        }
        // A restart must find either the will or its publication [MQTT-3.1.2-10].
        let ticket = if is_durable { self.next_ticket() } else { 0 };
        if is_durable {
            turn.effects.keeps.push((ticket, Record::WillPublished { session: address }));
        }
        if self.publish_view(&view, ticket, turn).is_none() {
            let why = "a will the journal has no room for";
            let dropped = Event::Dropped { client: client_id.clone(), topic: view.topic.into(), why };
            return turn.effects.events.push(dropped);
        }
        turn.effects
            .events
            .push(Event::WillPublished { client: client_id.clone(), topic: view.topic.into() });
    }

    /// Ends a session: will, subscriptions, memberships, everything `[MQTT-4.1.0-2]`. What it had retained is not part of
    /// it and stays `[MQTT-3.1.2-7 of 3.1.1]`.
    pub(crate) fn end_session(&mut self, address: SessionRef, ticket: Ticket, turn: &mut Turn<'_, '_>) {
        self.publish_will(address, turn);
        self.stop_timers(address);
        let Some(mut session) = self.remove_session(address) else { return };
        turn.tables.sessions().fetch_sub(1, Ordering::Relaxed);
        if session.subscriptions.len() > 0 {
            let mut routes = turn.tables.routes_mut();
            for filter in session.subscriptions.iter().skip(usize::from(bites(Tooth::SubscriptionLeaked))) {
                routes.unsubscribe(filter, Receiver::Session(address));
            }
        }
        if session.durable {
            turn.effects.keeps.push((ticket, Record::SessionEnded { session: address }));
        }
        let Some(extra) = session.extra_if() else { return };
        let mut mail = Vec::new();
        // QoS 1 in flight goes back to its group (G03), QoS 2 to nobody [MQTT-4.8.2-5].
        for (_, stage) in extra.outgoing.iter().collect::<Vec<_>>().into_iter().rev() {
            if let Stage::Publish(Held::Lent { lent, qos, .. }) = stage {
                mail.push(if *qos == QoS::AtLeastOnce || bites(Tooth::GroupDeliversTwice) {
                    GroupMail::Returned { member: address, lent: (**lent).clone(), full: true }
                } else {
                    GroupMail::Finished { group: lent.group, member: address, position: lent.position }
                });
            }
        }
        for word in mail {
            post_to_group(word, turn);
        }
        for &group in &extra.memberships {
            leave_group(group, address, turn);
        }
    }
}
