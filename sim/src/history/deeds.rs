//! What clients do.

use std::num::NonZeroU16;

use longwire_proto::encode::AckKind;
use longwire_proto::packet::{RetainHandling, SubscribeOptions};
use longwire_proto::transfer::Stage;
use longwire_proto::{QoS, ReasonCode, Version};

use super::History;
use super::player::{Reply, Request};
use crate::client::{self, LastWill, Terms};
use crate::model::{
    EXPIRING, FILTERS, PLAIN, Publication, RETAINED, SHARED, Subscription, WILL_TOPICS, Will, matches,
};
use crate::plan::{Connecting, Deed};

/// Numbers below this one choose the favourite.
const FAVOURED: u8 = 180;

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

impl History<'_> {
    pub(super) fn act(&mut self, number: usize, deed: Deed, connecting: Connecting) {
        let player = &mut self.players[number];
        if player.client.wire.is_none() {
            return self.connect(number, connecting);
        }
        if !player.is_greeted {
            let may_leave = !player.asked.clean_start && player.asked.expiry_secs == u32::MAX;
            if may_leave && matches!(deed, Deed::Crash { .. }) {
                player.may_exist = true;
                // Nothing unread arrives, or this CONNECT could come after the next one.
                self.crash(number, 0);
            }
            return;
        }
        match deed {
            Deed::Publish { kind, topic, qos, padding, clears, extras } => {
                let (topic, qos, retain) = topic_of(self.plan.setup.favourite, kind, topic, qos);
                self.publish(number, topic, qos, retain, padding, clears, extras);
            }
            Deed::Subscribe { filter, qos, options } => self.subscribe(number, filter, qos, options),
            Deed::Unsubscribe { filter } => {
                self.unsubscribe(number, filter_of(self.plan.setup.favourite, filter));
            }
            Deed::ToggleLazy => player.is_lazy = !player.is_lazy,
            Deed::ChangeRoom { which } => self.change_room(number, which),
            Deed::Crash { kept } => self.crash(number, picked(&[0, 50, usize::MAX], kept)),
            Deed::Disconnect { with_will } => self.disconnect(number, with_will),
            Deed::TakeOver => self.connect(number, connecting),
            Deed::Nothing => {}
        }
    }

    fn connect(&mut self, number: usize, connecting: Connecting) {
        if let Some(wire) = self.players[number].client.wire {
            self.abandoned.push(wire);
            self.lost_connection(number);
        }
        let player = &self.players[number];
        let mut terms = player.terms;
        let can_choose = player.client.version == Version::V5;
        if terms.expiry_secs > 0 && connecting.clean {
            terms.clean_start = true;
            if !can_choose {
                terms.expiry_secs = 0;
            }
        } else if connecting.ends && can_choose {
            terms.expiry_secs = 0;
        }
        let will = connecting.will.map(|will| self.new_will(number, will));
        self.begin_connection(number, terms, will);
    }

    /// Sends CONNECT, on a connection of its own.
    pub(super) fn begin_connection(&mut self, number: usize, terms: Terms, will: Option<(usize, u32)>) {
        let player = &mut self.players[number];
        player.asked = terms;
        player.connected_on = self.world.now;
        player.is_replacing |= terms.clean_start;
        let last_will = will.map(|(index, delay_secs)| {
            let Publication { topic, qos, retain, ref payload, .. } = self.publications.all[index];
            LastWill { topic, payload, qos, retain, delay_secs }
        });
        player.client.connect_with_will(&mut self.world, terms, last_will);
        player.will = will.map(|(index, _)| index);
        player.will_delay_secs = will.map_or(0, |(_, delay_secs)| delay_secs);
        if let (Some((index, _)), Some(wire)) = (will, player.client.wire) {
            self.publications.all[index].will = Some(Will::Armed(wire));
        }
        if let Some(session) = player.session {
            // It may have arrived, whether CONNACK does or not.
            let session = &mut self.sessions[session];
            session.expiry_secs = session.expiry_secs.min(terms.expiry_secs);
        }
        let what = if terms.clean_start { ", clean" } else { "" };
        self.tell(number, format_args!("CONNECT{what}, expiry {} s, will {will:?}", terms.expiry_secs));
    }

    /// A will, and its delay in seconds.
    fn new_will(&mut self, number: usize, which: u8) -> (usize, u32) {
        let index = self.publications.all.len();
        let (topic, qos) = (picked(&WILL_TOPICS, which), picked(&LEVELS, which / 2));
        let mut will = Publication::new(number, topic, qos, self.step, self.world.now);
        will.payload = format!("{index}:will");
        will.retain = which.is_multiple_of(5);
        will.sends = 1;
        self.publications.all.push(will);
        let is_delayed = self.players[number].client.version == Version::V5 && which.is_multiple_of(3);
        (index, if is_delayed { picked(&[1, 40, 150], which / 3) } else { 0 })
    }

    fn crash(&mut self, number: usize, kept_max: usize) {
        self.tell(number, format_args!("crash, {kept_max} bytes arrive"));
        self.players[number].client.crash(&mut self.world, kept_max);
        self.lost_connection(number);
    }

    fn disconnect(&mut self, number: usize, with_will: bool) {
        let player = &mut self.players[number];
        let with_will = with_will && player.client.version == Version::V5;
        let wire = player.client.wire;
        let will = player.will;
        let reason = if with_will { ReasonCode::DisconnectWithWill } else { ReasonCode::Success };
        player.client.disconnect_because(&mut self.world, reason);
        if let (false, Some(wire), Some(will)) = (with_will, wire, will) {
            self.publications.all[will].will = Some(Will::Withdrawn(wire));
            player.will = None;
        }
        self.tell(number, format_args!("DISCONNECT, {reason:?}"));
        self.lost_connection(number);
    }

    /// The present connection is of no more use to the client. Its will is let loose.
    pub(super) fn lost_connection(&mut self, number: usize) {
        let (step, now) = (self.step, self.world.now);
        let player = &mut self.players[number];
        if let Some(index) = player.will.take() {
            let will = &mut self.publications.all[index];
            // If it was the broker who ended it, nobody knows when.
            let is_ended = matches!(will.will, Some(Will::Armed(wire)) if self.world.is_ended(wire));
            let lost_on = if is_ended { player.connected_on } else { now };
            will.will = Some(Will::Loose);
            let delay_secs = player.will_delay_secs;
            if player.is_greeted && delay_secs == 0 {
                will.due_at = step;
                will.accepted = !self.publications.may_be_refused;
            } else if player.is_greeted {
                player.delayed_will = Some((index, lost_on + u64::from(delay_secs) * 1_000));
            }
        }
        player.forget_connection();
        if let Some(session) = player.session {
            let session = &mut self.sessions[session];
            session.offline_since.get_or_insert(now);
            session.is_over |= session.expiry_secs == 0;
            session.subscriptions.iter_mut().for_each(Subscription::lose_connection);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is one choice")]
    fn publish(
        &mut self,
        number: usize,
        topic: &'static str,
        qos: QoS,
        retain: bool,
        padding: u8,
        clears: bool,
        extras: u8,
    ) {
        let index = self.publications.all.len();
        let player = &mut self.players[number];
        let mut packet_id = 0;
        if qos > QoS::AtMostOnce {
            if player.outgoing.room() == 0 {
                return;
            }
            packet_id = player.outgoing.open(qos, index).map_or(0, NonZeroU16::get);
        }
        let mut publication = Publication::new(number, topic, qos, self.step, self.world.now);
        publication.retain = retain;
        if player.client.version == Version::V5 && (topic == EXPIRING || (extras < 40 && !retain)) {
            publication.expiry_secs = Some(picked(&[1, 60], extras));
        }
        if !(retain && clears) {
            publication.payload = format!("{index}:{}", "x".repeat(picked(&[0, 10, 200], padding)));
        }
        self.publications.all.push(publication);
        self.send_publication(number, index, packet_id, false, extras % 4 == 1);
    }

    fn send_publication(&mut self, number: usize, index: usize, packet_id: u16, dup: bool, aliased: bool) {
        let publication = &mut self.publications.all[index];
        publication.sends += 1;
        let Publication { topic, qos, retain, ref payload, expiry_secs, .. } = *publication;
        let player = &mut self.players[number];
        let aliased = aliased && player.client.version == Version::V5;
        let outgoing = client::Outgoing { topic, payload, qos, retain, dup, packet_id };
        player.client.publish_with(&mut self.world, outgoing, expiry_secs, aliased);
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => player.answers.push_back((Reply::PubAck, packet_id)),
            QoS::ExactlyOnce => player.answers.push_back((Reply::PubRec, packet_id)),
        }
        self.tell(
            number,
            format_args!(
                "PUBLISH {index} id {packet_id} to {topic} {qos:?} dup {dup} retain {retain} expiry {expiry_secs:?}"
            ),
        );
    }

    fn subscribe(&mut self, number: usize, filter: u8, qos: u8, options: u8) {
        let filter = filter_of(self.plan.setup.favourite, filter);
        let player = &mut self.players[number];
        let Some(session) = player.session else { return };
        let is_shared = filter.starts_with('$');
        if is_shared && player.terms.packet_size_max > 0 {
            // What no member can take waits in the group, and what comes after it.
            return;
        }
        // Members of shared groups take QoS 1 at least, so that nothing handed to them may be lost.
        let levels = if is_shared { &LEVELS[1..] } else { &LEVELS };
        let mut wanted = SubscribeOptions::with_qos(picked(levels, qos));
        let mut identifier = 0;
        if player.client.version == Version::V5 {
            let number = usize::from(options);
            wanted.no_local = number % 5 == 0 && !is_shared;
            wanted.retain_as_published = number % 3 == 0;
            let handling = [RetainHandling::AtSubscribe, RetainHandling::IfNew, RetainHandling::Never];
            wanted.retain_handling = picked(&handling, options / 16);
            identifier = if number % 2 == 0 { 1 + u32::from(options) * 100 } else { 0 };
        }
        let subscription = self.sessions[session].subscribe(filter, wanted, identifier, self.step);
        let packet_id = player.request(Request::Subscribe(subscription));
        player.client.subscribe_with(&mut self.world, packet_id, filter, wanted, identifier);
        self.tell(number, format_args!("SUBSCRIBE {packet_id} {filter} {wanted:?} identifier {identifier}"));
    }

    fn unsubscribe(&mut self, number: usize, filter: &'static str) {
        let Some(session) = self.players[number].session else { return };
        let mut ended = Vec::new();
        for (index, held) in self.sessions[session].subscriptions.iter_mut().enumerate() {
            if held.filter == filter && held.gone_at.is_none() {
                held.unsubscribed_at.get_or_insert(self.step);
                ended.push(index);
            }
        }
        let packet_id = self.players[number].request(Request::Unsubscribe(ended));
        self.players[number].client.unsubscribe(&mut self.world, packet_id, filter);
        self.tell(number, format_args!("UNSUBSCRIBE {packet_id} {filter}"));
    }

    /// The client's side of the socket takes nothing for a while, or everything again.
    fn change_room(&mut self, number: usize, which: u8) {
        let room = picked(&[0, 300, usize::MAX, usize::MAX], which);
        if let Some(wire) = self.players[number].client.wire {
            self.tell(number, format_args!("has room for {room} bytes"));
            self.world.set_room(wire, room);
        }
    }

    pub(super) fn acknowledge(&mut self, number: usize, count: usize) {
        for _ in 0..count {
            let Some((kind, packet_id)) = self.players[number].acks.pop_front() else { return };
            self.send_ack(number, kind, packet_id);
        }
    }

    fn send_ack(&mut self, number: usize, kind: AckKind, packet_id: u16) {
        let player = &mut self.players[number];
        player.client.ack(&mut self.world, kind, packet_id);
        match kind {
            AckKind::PubRel => player.answers.push_back((Reply::PubComp, packet_id)),
            AckKind::PubAck | AckKind::PubComp => _ = player.open.remove(&packet_id),
            AckKind::PubRec => {}
        }
        self.tell(number, format_args!("{kind:?} {packet_id}"));
    }

    /// What the last connection left open, again and in order.
    pub(super) fn resend(&mut self, number: usize) {
        self.players[number].outgoing.start(20);
        while let Some((id, stage)) = self.players[number].outgoing.resend() {
            match stage {
                Stage::Publish(&index) => self.send_publication(number, index, id.get(), true, false),
                Stage::Release => self.send_ack(number, AckKind::PubRel, id.get()),
            }
        }
    }
}

/// One of them, by any number.
fn picked<T: Copy>(choices: &[T], number: u8) -> T {
    choices[usize::from(number) % choices.len()]
}

/// What a publication is about: topic, QoS, RETAIN.
fn topic_of(favourite: Option<&'static str>, kind: u8, topic: u8, qos: u8) -> (&'static str, QoS, bool) {
    let topic = match (favourite, kind % 10) {
        (Some(favourite), _) if kind < FAVOURED => favourite,
        (_, 0..2) => picked(&RETAINED, topic).0,
        (_, 2) => EXPIRING,
        (_, 3..5) => picked(&SHARED, topic).0,
        _ => picked(&PLAIN, topic),
    };
    match RETAINED.iter().find(|(retained, _)| *retained == topic) {
        Some(&(topic, qos)) => (topic, qos, true),
        None => (topic, picked(&LEVELS, qos), topic == EXPIRING),
    }
}

/// A filter, most often one that matches the favourite.
fn filter_of(favourite: Option<&'static str>, number: u8) -> &'static str {
    let Some(favourite) = favourite.filter(|_| number < FAVOURED) else { return picked(&FILTERS, number) };
    let matching: Vec<_> = FILTERS.into_iter().filter(|filter| matches(filter, favourite)).collect();
    if matching.is_empty() { picked(&FILTERS, number) } else { picked(&matching, number) }
}
