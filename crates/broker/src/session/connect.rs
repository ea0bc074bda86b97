//! A client connects: which session it gets, what becomes of an older connection, what CONNACK says.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use longwire_proto::packet::{ConnAck, Connect};
use longwire_proto::property::{Properties, PropertiesBuf, Property};
use longwire_proto::transfer::{Incoming, Stage};
use longwire_proto::{Packet, ReasonCode, Version, encode};

use super::{Held, Session};
use crate::address::GroupRef;
use crate::authenticate::Proof;
use crate::capability::Missing;
use crate::event::{Event, Why};
use crate::group::post_to_group;
use crate::input::LinkId;
use crate::link::{Answer, Link, LinkState};
use crate::parcel::GroupMail;
use crate::record::Record;
use crate::shard::{Shard, Turn};
use crate::teeth::{Tooth, bites};
use crate::will::Will;

/// A CONNECT that may not be accepted, and what to tell its sender's operator.
struct Refusal {
    reason: ReasonCode,
    why: &'static str,
    remedy: &'static str,
}

impl Shard {
    /// The first packet of a connection.
    pub(crate) fn begin_connect(
        &mut self,
        link_id: LinkId,
        connect: &Connect<'_>,
        assigned_id: &str,
        turn: &mut Turn<'_, '_>,
    ) {
        let mut link = Link::new(connect.version);
        link.bridge = connect.bridge;
        link.problem_information = connect.properties.request_problem_information().unwrap_or(true);
        if let Some(max) = connect.properties.maximum_packet_size() {
            link.extra_mut().packet_size_max = max;
        }
        let aliases_max = connect.properties.topic_alias_maximum().unwrap_or(0);
        link.allow_aliases_out(aliases_max.min(self.limits.topic_alias_out_max));
        self.links.insert(link_id, link);
        if let Some(method) = connect.properties.authentication_method() {
            self.authenticate(link_id, connect, assigned_id, method, turn);
        } else {
            self.connect(link_id, connect, assigned_id, None, turn);
        }
    }

    /// CONNECT of a client whose identity is settled. Its client id finds its session `[MQTT-3.1.3-2]`
    /// `[MQTT-3.1.3-2 of 3.1.1]` or begins one `[MQTT-3.1.2-6]` `[MQTT-3.1.2-4 of 3.1.1]`; accepted, it is answered
    /// with code 0x00 `[MQTT-3.1.4-5]` `[MQTT-3.1.4-4 of 3.1.1]`.
    pub(crate) fn connect(
        &mut self,
        link_id: LinkId,
        connect: &Connect<'_>,
        assigned_id: &str,
        proof: Option<&Proof>,
        turn: &mut Turn<'_, '_>,
    ) {
        if let Err(refusal) = self.may_connect(connect, turn) {
            return self.refuse(link_id, connect.client_id, &refusal, turn);
        }
        let is_assigned = connect.client_id.is_empty();
        let client_id = if is_assigned { assigned_id } else { connect.client_id };
        let kept_before = turn.effects.keeps.len();
        let ticket = self.next_ticket();
        let resumed =
            self.find_session(client_id).and_then(|slot| self.take_over(slot, connect, ticket, turn));
        let session_present = resumed.is_some();
        let expiry_secs = self.expiry_of(connect);
        let slot = resumed.unwrap_or_else(|| {
            turn.tables.sessions().fetch_add(1, Ordering::Relaxed);
            self.insert_session(Session::new(client_id, expiry_secs > 0, expiry_secs)).slot
        });
        self.attach(slot, link_id, connect, expiry_secs, ticket, turn);
        let keep_alive_secs = self.keep_alive_of(connect);
        if keep_alive_secs > 0 {
            let closed_after_secs = (u32::from(keep_alive_secs) * 3).div_ceil(2);
            turn.effects.keep_alives.push((link_id, closed_after_secs));
        }
        let assigned = is_assigned.then_some(client_id);
        let Some(connack) = self.connack(link_id, connect, session_present, assigned, proof) else {
            let why = Why::Bound("CONNACK is larger than the Maximum Packet Size of the client");
            return self.close_link(link_id, None, why, turn);
        };
        self.counters.connections_accepted += 1;
        turn.effects.events.push(Event::Connected {
            link: link_id,
            client: client_id.into(),
            version: connect.version,
            session_present,
            keep_alive_secs,
        });
        let is_waiting = turn.effects.keeps_since(kept_before, ticket) && !bites(Tooth::ConnAckBeforeKept);
        self.owe(link_id, is_waiting.then_some(ticket), Answer::ConnAck(connack), turn);
    }

    /// What is checked beyond the form of the packet `[MQTT-3.1.4-2]`, the client id among it `[MQTT-3.1.3-8]`. Short ones always pass
    /// `[MQTT-3.1.3-5 of 3.1.1]`, and an empty one is replaced where the version lets it `[MQTT-3.1.3-6 of 3.1.1]`.
    fn may_connect(&self, connect: &Connect<'_>, turn: &Turn<'_, '_>) -> Result<(), Refusal> {
        let refusal = |reason, why, remedy| Err(Refusal { reason, why, remedy });
        let invalid = ReasonCode::ClientIdentifierNotValid;
        if connect.client_id.len() > usize::from(self.limits.client_id_bytes_max) {
            return refusal(invalid, "the client id is too long", "shorten it or raise client_id_bytes_max");
        }
        if connect.client_id.is_empty() {
            if connect.version == Version::V31 {
                return refusal(invalid, "3.1 needs a client id", "give the client an id");
            }
            if connect.version == Version::V311 && !connect.clean_start {
                // [MQTT-3.1.3-8 of 3.1.1]
                return refusal(
                    invalid,
                    "an empty client id needs clean session 1 in 3.1.1",
                    "give the client an id, or set clean session",
                );
            }
        }
        let max = self.limits.keep_alive_secs_max;
        let asked = connect.keep_alive_secs;
        if connect.version < Version::V5 && max > 0 && (asked == 0 || asked > max) {
            return refusal(
                invalid,
                "the keep-alive is longer than keep_alive_secs_max",
                "shorten it at the client, or raise keep_alive_secs_max",
            );
        }
        // [MQTT-3.2.2-12] [MQTT-3.2.2-13]
        let missing = connect.will.and_then(|will| self.limits.missing_for_message(will.qos, will.retain));
        if let Some(Missing { reason, why, remedy }) = missing {
            return refusal(reason, why, remedy);
        }
        let sessions = turn.tables.sessions().load(Ordering::Relaxed);
        if sessions >= self.limits.sessions_max && self.find_session(connect.client_id).is_none() {
            return refusal(
                ReasonCode::QuotaExceeded,
                "sessions_max is reached",
                "let old sessions expire, or raise sessions_max",
            );
        }
        Ok(())
    }

    /// Answers a CONNECT with a refusal `[MQTT-3.1.3-9 of 3.1.1]` and closes `[MQTT-3.2.2-7]` `[MQTT-3.2.2-5 of 3.1.1]`.
    /// Of what came behind it nothing is processed, since its link is not found any more `[MQTT-3.1.4-6]`
    /// `[MQTT-3.1.4-5 of 3.1.1]`.
    fn refuse(&mut self, link_id: LinkId, client_id: &str, refusal: &Refusal, turn: &mut Turn<'_, '_>) {
        self.refuse_connect(link_id, client_id, refusal.reason, refusal.why, refusal.remedy, turn);
    }

    /// As above, for the other files.
    pub(crate) fn refuse_connect(
        &mut self,
        link_id: LinkId,
        client_id: &str,
        reason: ReasonCode,
        why: &'static str,
        remedy: &'static str,
        turn: &mut Turn<'_, '_>,
    ) {
        let is_about_capability =
            matches!(reason, ReasonCode::QoSNotSupported | ReasonCode::RetainNotSupported);
        // No code before 5.0 says that; then the close has to do [MQTT-3.2.2-6 of 3.1.1].
        if !is_about_capability || self.version(link_id) == Some(Version::V5) {
            let connack = ConnAck { session_present: false, reason, properties: Properties::EMPTY };
            self.links.send(link_id, &Packet::ConnAck(connack), turn.effects);
        }
        turn.effects.events.push(Event::Refused {
            link: link_id,
            client: client_id.into(),
            reason,
            why,
            remedy,
        });
        self.links.close(link_id, turn.effects);
    }

    /// An older session of this client: closes its connection if it has one `[MQTT-3.1.4-3]` `[MQTT-3.1.4-2 of 3.1.1]`,
    /// settles its will, and gives its slot if it is resumed `[MQTT-3.1.2-5]`. Clean Start decides `[MQTT-3.1.4-4]`
    /// `[MQTT-3.1.4-3 of 3.1.1]`.
    fn take_over(
        &mut self,
        slot: u32,
        connect: &Connect<'_>,
        ticket: u64,
        turn: &mut Turn<'_, '_>,
    ) -> Option<u32> {
        let session = self.sessions.by_slot_mut(slot)?;
        let is_resumed = !connect.clean_start && session.outlives_connection();
        if is_resumed && let Some(extra) = session.extra_if() {
            // A delayed will is cancelled by coming back in time [MQTT-3.1.3-9] (D02, D06).
            if extra.will_due.is_some() || extra.will.as_ref().is_some_and(|will| will.delay_secs > 0) {
                extra.will = None;
            }
        }
        if let Some(old_link) = session.link() {
            self.taken_over(old_link, is_resumed, turn);
        }
        let address = self.address(slot);
        if !is_resumed {
            self.end_session(address, ticket, turn);
            return None;
        }
        self.stop_timers(address);
        Some(slot)
    }

    /// Ties session and link together, with what this CONNECT says about both.
    fn attach(
        &mut self,
        slot: u32,
        link_id: LinkId,
        connect: &Connect<'_>,
        expiry_secs: u32,
        ticket: u64,
        turn: &mut Turn<'_, '_>,
    ) {
        let address = self.address(slot);
        let quota = connect.properties.receive_maximum().unwrap_or(u16::MAX).min(self.limits.inflight_max);
        let quota = if bites(Tooth::WindowUnbounded) { u16::MAX } else { quota };
        let (Some(session), Some(link)) = (self.sessions.by_slot_mut(slot), self.links.at_mut(link_id))
        else {
            return;
        };
        session.set_link(Some(link_id));
        session.expiry_secs = expiry_secs;
        session.durable |= expiry_secs > 0;
        session.quota = quota;
        link.session = slot;
        link.state = LinkState::Accepted;
        // It belongs to the session [MQTT-3.1.2-7] [MQTT-3.1.2-8 of 3.1.1]; no will, no publication
        // [MQTT-3.1.2-12 of 3.1.1].
        if let Some(will) = &connect.will {
            session.extra_mut().will = Some(Box::new(Will::new(will)));
        } else if let Some(extra) = session.extra_if() {
            extra.will = None;
        }
        if let Some(extra) = session.extra_if() {
            extra.outgoing.start(quota);
            extra.log.reading = false;
            extra.resends = extra.outgoing.iter().map(|(packet_id, _)| packet_id).collect::<VecDeque<_>>();
            if bites(Tooth::ResentBackwards) {
                extra.resends.make_contiguous().reverse();
            }
            if bites(Tooth::InboundForgotten) {
                extra.incoming = Incoming::new();
            }
        }
        if session.durable {
            let client_id = session.client_id.clone();
            turn.effects
                .keeps
                .push((ticket, Record::SessionBegun { session: address, client_id, expiry_secs }));
            if let Some(will) = session.extra().and_then(|extra| extra.will.clone()) {
                turn.effects.keeps.push((ticket, Record::WillSet { session: address, will }));
            }
        }
    }

    /// Seconds the session shall outlive this connection `[MQTT-3.1.2-23]`, within our limit (C07). Before 5.0 it is
    /// kept for ever or ends with its connection `[MQTT-3.1.2-6 of 3.1.1]`.
    fn expiry_of(&self, connect: &Connect<'_>) -> u32 {
        let wanted = match connect.version {
            Version::V5 => connect.properties.session_expiry_interval().unwrap_or(0),
            _ if connect.clean_start => 0,
            _ => u32::MAX,
        };
        wanted.min(self.limits.session_expiry_secs_max)
    }

    /// The keep-alive in force, seconds; 0 is none. It is the client's own unless we announce another `[MQTT-3.2.2-22]`.
    fn keep_alive_of(&self, connect: &Connect<'_>) -> u16 {
        match (connect.keep_alive_secs, self.limits.keep_alive_secs_max) {
            (asked, 0) => asked,
            (0, max) => max,
            (asked, max) => asked.min(max),
        }
    }

    /// The encoded CONNACK, or `None` if the client takes none that large (H09). It has no Reason String
    /// `[MQTT-3.2.2-19]`, no User Property `[MQTT-3.2.2-20]` and no Response Information `[MQTT-3.1.2-28]`, and names a
    /// method only if CONNECT did `[MQTT-4.12.0-6]`.
    fn connack(
        &self,
        link_id: LinkId,
        connect: &Connect<'_>,
        session_present: bool,
        assigned_id: Option<&str>,
        proof: Option<&Proof>,
    ) -> Option<Box<[u8]>> {
        let mut properties = PropertiesBuf::new();
        if let Some(client_id) = assigned_id {
            // [MQTT-3.2.2-16]
            properties.push(Property::AssignedClientIdentifier(client_id));
        }
        let limits = &self.limits;
        let wanted_expiry = connect.properties.session_expiry_interval().unwrap_or(0);
        if self.expiry_of(connect) != wanted_expiry {
            properties.push(Property::SessionExpiryInterval(self.expiry_of(connect)));
        }
        if self.keep_alive_of(connect) != connect.keep_alive_secs {
            properties.push(Property::ServerKeepAlive(self.keep_alive_of(connect)));
        }
        if let Some(proof) = proof {
            properties.push(Property::AuthenticationMethod(&proof.method));
            if let Some(data) = &proof.data {
                properties.push(Property::AuthenticationData(data));
            }
        }
        properties.push(Property::ReceiveMaximum(limits.receive_max));
        properties.push(Property::MaximumPacketSize(limits.packet_size_max));
        if limits.topic_alias_max > 0 {
            properties.push(Property::TopicAliasMaximum(limits.topic_alias_max));
        }
        limits.announce_missing(&mut properties);
        let properties = if connect.version == Version::V5 { properties } else { PropertiesBuf::new() };
        let connack = ConnAck {
            // Only a resumed session is present [MQTT-3.2.2-2] [MQTT-3.2.2-3], in 3.1.1 too [MQTT-3.2.2-1 of 3.1.1]
            // [MQTT-3.2.2-2 of 3.1.1] [MQTT-3.2.2-3 of 3.1.1]. 3.1 has no such flag.
            session_present: session_present && connect.version > Version::V31,
            reason: ReasonCode::Success,
            properties: properties.as_properties(),
        };
        let mut out = Vec::new();
        encode::packet(&Packet::ConnAck(connack), connect.version, &mut out).ok()?;
        (out.len() <= self.links.at(link_id)?.packet_size_max()).then(|| out.into_boxed_slice())
    }

    /// CONNACK has left: everything that waited for the session may follow.
    pub(crate) fn begin_receiving(&mut self, link_id: LinkId, turn: &mut Turn<'_, '_>) {
        let Some(slot) = self.session_of(link_id) else { return };
        let extra = self.sessions.by_slot(slot).and_then(|session| session.extra());
        let groups: Vec<_> = extra.into_iter().flat_map(|extra| extra.memberships.iter().copied()).collect();
        self.open_memberships(slot, &groups, turn);
        self.pump(slot, turn);
    }

    /// Tells these groups of the session that it is here and how much room it has. If it has none, they hear again.
    pub(crate) fn open_memberships(&mut self, slot: u32, groups: &[GroupRef], turn: &mut Turn<'_, '_>) {
        if groups.is_empty() {
            return;
        }
        let address = self.address(slot);
        let Some(session) = self.sessions.by_slot_mut(slot) else { return };
        let Some(link) = session.link().and_then(|link| self.links.at(link)) else { return };
        let packet_size_max = u32::try_from(link.packet_size_max()).unwrap_or(u32::MAX);
        let quota = session.quota;
        let Some(extra) = session.extra_if() else { return };
        let is_lent = |stage: &Stage<&Held>| matches!(stage, Stage::Publish(Held::Lent { .. }));
        let lent = extra.outgoing.iter().filter(|(_, stage)| is_lent(stage)).count();
        let credits = quota.saturating_sub(lent as u16).min(super::GROUP_CREDITS_MAX);
        if credits == 0 {
            // All it holds may be of other groups, which alone hear when it is finished.
            extra.starved.extend(groups);
        }
        for &group in groups {
            post_to_group(GroupMail::Open { group, member: address, credits, packet_size_max }, turn);
        }
    }
}
