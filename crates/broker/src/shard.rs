//! One worker's slice of the broker, and its one entrance: [`Shard::handle`] takes an input and says by
//! [`Effects`] what is to be done. There is no socket, clock, thread or file in here.
//!
//! A client id is at home on exactly one shard, so takeover, resume and duplicate ids need no lock and no registry.
//! What each kind of input does is in the files of `session/`, one per verb.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use hashbrown::HashTable;
use longwire_proto::property::{Properties, PropertiesBuf};
use longwire_proto::{Packet, QoS, ReasonCode, Version};

use crate::address::{GroupRef, HashKey, SessionRef};
pub use crate::audit::Holdings;
use crate::effect::{Effects, Ticket};
use crate::event::Why;
use crate::group::Group;
use crate::input::{Input, LinkId};
use crate::limits::Limits;
use crate::link::{Afterwards, Answer, LinkState, Links};
use crate::matching::Matcher;
use crate::message::{Message, MessageView, Millis, NEVER};
use crate::parcel::{FromJournal, Parcel, Recipient};
use crate::session::Session;
use crate::slab::Slab;
use crate::tables::TablesInTurn;

/// One worker's slice of the broker.
#[derive(Debug)]
pub struct Shard {
    pub(crate) number: u16,
    pub(crate) shards: u16,
    pub(crate) limits: Limits,
    pub(crate) key: HashKey,
    pub(crate) links: Links,
    pub(crate) sessions: Slab<Session>,
    by_client_id: HashTable<u32>,
    /// Groups at home here.
    pub(crate) groups: HashMap<GroupRef, Group>,
    /// When a session's will or end is due.
    pub(crate) timers: BTreeSet<(Millis, SessionRef)>,
    last_ticket: Ticket,
    kept: Ticket,
    /// Links that are owed an answer, by ticket.
    waiting: VecDeque<(Ticket, LinkId)>,
    /// Durable sessions whose settled position has to be told.
    pub(crate) settling: Vec<SessionRef>,
    /// Publications that take their place when the turn ends: retained ones, and those behind them.
    pub(crate) deferred: Vec<Deferred>,
    /// Messages this shard has mailed to itself and not delivered yet. While there are any, others follow them.
    pub(crate) mailed_to_self: usize,
    /// Fan-outs too wide for one turn. While there are any, others follow them.
    pub(crate) wide: VecDeque<Wide>,
    /// Sum of [`Wide::bytes`] of those.
    pub(crate) wide_bytes: usize,
    /// Sessions whose retained messages took too long for one turn.
    pub(crate) unfinished: Vec<SessionRef>,
    /// Links whose sessions reached `queue_bytes_max` while something else was under way; the input ends with them.
    pub(crate) overfull: Vec<LinkId>,
    /// The journal takes no more messages.
    pub(crate) journal_full: bool,
    pub(crate) matcher: Matcher,
    pub(crate) scratch: PropertiesBuf,
    /// What this shard has counted.
    pub counters: Counters,
}

/// A message on its way to more receivers than one turn serves.
#[derive(Debug)]
pub(crate) struct Wide {
    pub(crate) message: Arc<Message>,
    pub(crate) recipients: Box<[Recipient]>,
    pub(crate) identifiers: Box<[u32]>,
    /// How many recipients were served.
    pub(crate) done: usize,
}

impl Wide {
    /// Bytes it holds until its last recipient is served.
    pub(crate) fn bytes(&self) -> usize {
        self.message.len() + size_of_val(&self.recipients[..]) + size_of_val(&self.identifiers[..])
    }
}

/// A publication that takes its place when the turn ends.
#[derive(Debug)]
pub(crate) struct Deferred {
    pub(crate) message: Arc<Message>,
    /// Answer that waits for it; 0 if nobody does.
    pub(crate) ticket: Ticket,
}

/// What a shard has counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets received, CONNECT included.
    pub packets_received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// PUBLISH packets received.
    pub publishes_received: u64,
    /// PUBLISH packets sent.
    pub publishes_sent: u64,
    /// Publications and copies dropped, whatever the reason.
    pub publishes_dropped: u64,
    /// Payload bytes received in PUBLISH.
    pub publish_bytes_received: u64,
    /// Payload bytes sent in PUBLISH.
    pub publish_bytes_sent: u64,
    /// Bytes received; counted by the caller, who reads them.
    pub bytes_received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Connections accepted by CONNACK.
    pub connections_accepted: u64,
    /// Connections now.
    pub connections: u64,
    /// Sessions now, offline ones included.
    pub sessions: u64,
    /// Sessions that reached their expiry.
    pub sessions_expired: u64,
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Counters) {
        self.packets_received += other.packets_received;
        self.packets_sent += other.packets_sent;
        self.publishes_received += other.publishes_received;
        self.publishes_sent += other.publishes_sent;
        self.publishes_dropped += other.publishes_dropped;
        self.publish_bytes_received += other.publish_bytes_received;
        self.publish_bytes_sent += other.publish_bytes_sent;
        self.bytes_received += other.bytes_received;
        self.bytes_sent += other.bytes_sent;
        self.connections_accepted += other.connections_accepted;
        self.connections += other.connections;
        self.sessions += other.sessions;
        self.sessions_expired += other.sessions_expired;
    }
}

/// What every step of a turn needs beside the shard.
#[derive(Debug)]
pub(crate) struct Turn<'a, 't> {
    pub(crate) now: Millis,
    pub(crate) tables: &'a mut TablesInTurn<'t>,
    pub(crate) effects: &'a mut Effects,
}

impl Shard {
    /// A shard with number `number` of `shards`; all shards of a broker share `key`.
    pub fn new(number: u16, shards: u16, key: HashKey, limits: Limits) -> Self {
        Shard {
            number,
            shards,
            links: Links::new(&limits),
            limits,
            key,
            sessions: Slab::new(),
            by_client_id: HashTable::new(),
            groups: HashMap::new(),
            timers: BTreeSet::new(),
            last_ticket: 0,
            kept: 0,
            waiting: VecDeque::new(),
            settling: Vec::new(),
            deferred: Vec::new(),
            mailed_to_self: 0,
            wide: VecDeque::new(),
            wide_bytes: 0,
            unfinished: Vec::new(),
            overfull: Vec::new(),
            journal_full: false,
            matcher: Matcher::default(),
            scratch: PropertiesBuf::new(),
            counters: Counters::default(),
        }
    }

    /// The one entrance: something happened; `effects` says afterwards what is to be done.
    pub fn handle(
        &mut self,
        now: Millis,
        input: Input<'_>,
        tables: &mut TablesInTurn<'_>,
        effects: &mut Effects,
    ) {
        let turn = &mut Turn { now, tables, effects };
        match input {
            Input::Packet { link, packet } => self.packet(link, &packet, turn),
            Input::Connect { link, connect, assigned_id } => {
                self.counters.packets_received += 1;
                self.begin_connect(link, connect, assigned_id, turn);
            }
            Input::Broken { link, error } => {
                self.close_link(link, Some(error.reason), Why::BrokeRule(error.statement, error.what), turn);
            }
            Input::Closed { link, cause } => self.connection_lost(link, cause, turn),
            Input::Drained { link } => self.drained(link, turn),
            Input::Authenticated { link, outcome } => self.authenticated(link, outcome, turn),
            Input::Parcel(Parcel::Messages(batch)) => self.deliver_batch(&batch, turn),
            Input::Parcel(Parcel::Group(mail)) => self.group_mail(mail, turn),
            Input::Journal(mail) => self.journal_mail(mail, turn),
            Input::PublishDeferred => self.publish_deferred(turn),
            Input::Due => self.timers_due(turn),
            Input::Continue => {
                self.continue_wide(turn);
                self.continue_unfinished(turn);
            }
            Input::TurnEnds => self.tell_settled(turn),
            Input::Sys { values } => self.publish_sys(values, turn),
            Input::Prepare => self.prepare_to_stop(turn),
            Input::Stop => self.stop(turn),
        }
        while let Some(link) = self.overfull.pop() {
            let why =
                Why::Bound("the client does not acknowledge: queue_bytes_max of unsent messages is reached");
            self.close_link(link, Some(ReasonCode::QuotaExceeded), why, turn);
        }
    }

    fn packet(&mut self, link_id: LinkId, packet: &Packet<'_>, turn: &mut Turn<'_, '_>) {
        let Some(link) = self.links.at(link_id) else { return };
        self.counters.packets_received += 1;
        if link.state == LinkState::Authenticating
            && !matches!(packet, Packet::Auth(_) | Packet::Disconnect(_))
        {
            let why = Why::BrokeRule("MQTT-3.1.2-30", "only AUTH or DISCONNECT may follow until CONNACK");
            return self.close_link(link_id, Some(ReasonCode::ProtocolError), why, turn);
        }
        match packet {
            Packet::Publish(publish) => self.publish(link_id, publish, turn),
            Packet::PubAck(ack) => self.puback(link_id, ack, turn),
            Packet::PubRec(ack) => self.pubrec(link_id, ack, turn),
            Packet::PubRel(ack) => self.pubrel(link_id, ack, turn),
            Packet::PubComp(ack) => self.pubcomp(link_id, ack, turn),
            Packet::Subscribe(subscribe) => self.subscribe(link_id, subscribe, turn),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(link_id, unsubscribe, turn),
            Packet::PingReq => self.ping(link_id, turn),
            Packet::Disconnect(disconnect) => self.disconnect(link_id, disconnect, turn),
            Packet::Auth(auth) => self.auth(link_id, auth, turn),
            Packet::Connect(_) => {
                let statement = match link.version {
                    Version::V5 => "MQTT-3.1.0-2",
                    _ => "MQTT-3.1.0-2 of 3.1.1",
                };
                let why = Why::BrokeRule(statement, "a second CONNECT on one connection");
                self.close_link(link_id, Some(ReasonCode::ProtocolError), why, turn);
            }
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                let why = Why::BrokeRule("U5-63", "a packet that only a server may send");
                self.close_link(link_id, Some(ReasonCode::ProtocolError), why, turn);
            }
        }
    }

    /// PINGREQ `[MQTT-3.12.4-1]` `[MQTT-3.12.4-1 of 3.1.1]`.
    fn ping(&mut self, link_id: LinkId, turn: &mut Turn<'_, '_>) {
        let Some(link) = self.links.at(link_id) else { return };
        if link.state == LinkState::Open {
            self.links.send(link_id, &Packet::PingResp, turn.effects);
        } else {
            // CONNACK comes first [MQTT-3.2.0-1] [MQTT-3.2.0-1 of 3.1.1].
            let bytes = Box::new([0xD0, 0x00]);
            self.owe(link_id, None, Answer::Bytes(bytes), turn);
        }
    }

    /// The version of a link, and whether it is still open: what the caller needs to go on decoding.
    pub fn version(&self, link: LinkId) -> Option<Version> {
        self.links.at(link).map(|link| link.version)
    }

    /// True while the link is not to be read from.
    pub fn is_paused(&self, link: LinkId) -> bool {
        self.links.at(link).is_some_and(|link| link.paused)
    }

    /// Client id of a link's session, for the log.
    pub fn client_id(&self, link: LinkId) -> Option<&str> {
        let link = self.links.at(link)?;
        self.sessions.by_slot(link.session).map(|session| &*session.client_id)
    }

    /// False while more waits for a link than `outbox_bytes_max`: its answers would pile up if it were read from.
    pub fn has_room(&self, link: LinkId) -> bool {
        self.links.at(link).is_none() || self.links.has_room(link)
    }

    /// The turn begins to send what waits for a link.
    pub fn begin_sending(&mut self, link: LinkId) {
        self.links.begin_sending(link);
    }

    /// Bytes the link's socket has to take, also after the shard closed it.
    pub fn pending(&self, link: LinkId) -> &[u8] {
        self.links.pending(link)
    }

    /// The socket took `count` bytes. True if [`Input::Drained`] is due.
    pub fn sent(&mut self, link: LinkId, count: usize) -> bool {
        self.counters.bytes_sent += count as u64;
        self.links.sent(link, count)
    }

    /// The socket of a closed link is gone; its number may be used again.
    pub fn forget(&mut self, link: LinkId) {
        self.links.forget(link);
    }

    /// Connections now.
    pub fn connections(&self) -> usize {
        self.links.len()
    }

    /// Numbers of all open connections.
    pub fn links(&self) -> impl Iterator<Item = LinkId> + '_ {
        self.links.ids()
    }

    /// True if retained publications wait for their order; the turn must end with [`Input::PublishDeferred`].
    pub fn has_deferred(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// True if work waits for the next turn: [`Input::Continue`] is due, and nothing new should be read before.
    pub fn has_unfinished(&self) -> bool {
        !self.wide.is_empty() || !self.unfinished.is_empty()
    }

    /// Bytes of messages that wait for their turn among wide fan-outs.
    pub fn wide_bytes(&self) -> usize {
        self.wide_bytes
    }

    /// When [`Input::Due`] is due, or [`NEVER`].
    pub fn next_due(&self) -> Millis {
        self.timers.first().map_or(NEVER, |(due, _)| *due)
    }

    /// Answers that wait for a ticket.
    pub(crate) fn answers_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What the shard has counted, brought up to date.
    pub fn count(&mut self) -> Counters {
        self.counters.packets_sent = self.links.packets_sent;
        self.counters.publishes_sent = self.links.publishes_sent;
        self.counters.publish_bytes_sent = self.links.publish_bytes_sent;
        self.counters.connections = self.links.len() as u64;
        self.counters.sessions = self.sessions.len() as u64;
        self.counters
    }

    // --- tickets

    /// A ticket for an input whose records have to be kept.
    pub(crate) fn next_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        self.last_ticket
    }

    /// Answers when `ticket` is kept, and in order with what is owed already.
    pub(crate) fn owe(
        &mut self,
        link_id: LinkId,
        ticket: Option<Ticket>,
        answer: Answer,
        turn: &mut Turn<'_, '_>,
    ) {
        if let Some(ticket) = ticket {
            self.waiting.push_back((ticket, link_id));
        }
        let afterwards = self.links.answer(link_id, ticket, answer, turn.effects);
        self.follow(link_id, afterwards, turn);
    }

    fn follow(
        &mut self,
        link_id: LinkId,
        afterwards: impl IntoIterator<Item = Afterwards>,
        turn: &mut Turn<'_, '_>,
    ) {
        for then in afterwards {
            match then {
                Afterwards::Begin => self.begin_receiving(link_id, turn),
                Afterwards::Replay(replays) => self.begin_replay(link_id, replays, turn),
            }
        }
    }

    fn journal_mail(&mut self, mail: FromJournal, turn: &mut Turn<'_, '_>) {
        match mail {
            FromJournal::Kept(ticket) => {
                self.kept = self.kept.max(ticket);
                while let Some(&(ticket, link_id)) = self.waiting.front() {
                    if ticket > self.kept {
                        break;
                    }
                    self.waiting.pop_front();
                    let afterwards = self.links.release(link_id, self.kept, turn.effects);
                    self.follow(link_id, afterwards, turn);
                }
            }
            FromJournal::Deliveries(deliveries) => {
                for delivery in &deliveries {
                    self.deliver_kept(delivery, turn);
                }
            }
            FromJournal::Page(page) => self.page(page, turn),
            FromJournal::Full(full) => self.journal_full = full,
        }
    }

    // --- sessions

    /// Address of the session in `slot`.
    pub(crate) fn address(&self, slot: u32) -> SessionRef {
        let generation = self.sessions.generation(slot).unwrap_or_default();
        SessionRef { slot, generation, shard: self.number }
    }

    /// Slot of a client's session.
    pub(crate) fn find_session(&self, client_id: &str) -> Option<u32> {
        let hash = self.key.hash(client_id.as_bytes());
        self.by_client_id
            .find(hash, |&slot| self.sessions.by_slot(slot).is_some_and(|held| *held.client_id == *client_id))
            .copied()
    }

    /// Stores a new session.
    pub(crate) fn insert_session(&mut self, session: Session) -> SessionRef {
        let hash = self.key.hash(session.client_id.as_bytes());
        let (slot, generation) = self.sessions.insert(session);
        self.name_session(hash, slot);
        SessionRef { slot, generation, shard: self.number }
    }

    /// Stores a session at the address that it had before; false if another one lives there.
    pub(crate) fn insert_session_at(&mut self, address: SessionRef, session: Session) -> bool {
        let hash = self.key.hash(session.client_id.as_bytes());
        let is_free = self.sessions.insert_at(address.slot, address.generation, session);
        if is_free {
            self.name_session(hash, address.slot);
        }
        is_free
    }

    fn name_session(&mut self, hash: u64, slot: u32) {
        let (sessions, key) = (&self.sessions, &self.key);
        self.by_client_id.insert_unique(hash, slot, |&slot| {
            sessions.by_slot(slot).map_or(0, |session| key.hash(session.client_id.as_bytes()))
        });
    }

    /// Takes a session out; its routes and memberships are the caller's to end.
    pub(crate) fn remove_session(&mut self, address: SessionRef) -> Option<Session> {
        let session = self.sessions.remove(address.slot, address.generation)?;
        let hash = self.key.hash(session.client_id.as_bytes());
        if let Ok(entry) = self.by_client_id.find_entry(hash, |&slot| slot == address.slot) {
            entry.remove();
        }
        let len = self.by_client_id.len();
        if self.by_client_id.capacity() > 4 * len.max(256) {
            let (sessions, key) = (&self.sessions, &self.key);
            self.by_client_id.shrink_to(2 * len, |&slot| {
                sessions.by_slot(slot).map_or(0, |session| key.hash(session.client_id.as_bytes()))
            });
        }
        Some(session)
    }

    /// The session behind an open link: its slot.
    pub(crate) fn session_of(&self, link_id: LinkId) -> Option<u32> {
        let link = self.links.at(link_id)?;
        (link.state != LinkState::Authenticating).then_some(link.session)
    }

    /// `$SYS` topics: retained, so that whoever subscribes later sees the newest values.
    fn publish_sys(&mut self, values: &[(String, String)], turn: &mut Turn<'_, '_>) {
        for (topic, payload) in values {
            let view = MessageView {
                publisher: SessionRef { slot: u32::MAX, generation: 0, shard: self.number },
                publisher_id: "",
                qos: QoS::AtMostOnce,
                retain: true,
                expires_at: NEVER,
                topic,
                properties: Properties::EMPTY,
                payload: payload.as_bytes(),
            };
            self.publish_view(&view, 0, turn);
        }
    }

    /// Publishes the wills of all clients that are connected: the stop will end their connections (U5-40). Those
    /// with a delay belong to sessions that go on.
    fn prepare_to_stop(&mut self, turn: &mut Turn<'_, '_>) {
        let links: Vec<LinkId> = self.links.ids().collect();
        for link_id in links {
            let Some(slot) = self.session_of(link_id) else { continue };
            let Some(session) = self.sessions.by_slot(slot) else { continue };
            let delay_secs =
                session.extra().and_then(|extra| extra.will.as_ref()).map(|will| will.delay_secs);
            if delay_secs == Some(0) || !session.outlives_connection() {
                self.publish_will(self.address(slot), turn);
            }
        }
    }

    /// Says goodbye to every client `[MQTT-3.14.2-1]`.
    fn stop(&mut self, turn: &mut Turn<'_, '_>) {
        let links: Vec<LinkId> = self.links.ids().collect();
        for link_id in links {
            self.close_link(link_id, Some(ReasonCode::ServerShuttingDown), Why::Stopping, turn);
        }
    }
}
