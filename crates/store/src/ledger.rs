//! The durable state as plain data: sessions, shared groups and retained messages, changed by records in log order.
//!
//! Checkpoints and recovery both work with it, so that what is written and what is read back cannot drift apart. It
//! holds only what was touched since it was last [`clear`](Ledger::clear)ed; whatever else a record refers to is loaded
//! from the rows of the last checkpoint.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use longwire_broker::address::{GroupRef, SessionRef};
use longwire_broker::message::{Message, Millis};
use longwire_broker::record::{Position, Record};
use longwire_broker::routes::TargetOptions;
use longwire_broker::will::Will;
use longwire_proto::{PacketId, QoS};

/// A durable session.
#[derive(Clone, Debug, Default)]
pub struct SessionState {
    /// Whose it is.
    pub client_id: Box<str>,
    /// Seconds it outlives its connection.
    pub expiry_secs: u32,
    /// When it lost its connection; `None` while it has one.
    pub left_at: Option<Millis>,
    /// Its will, while that is still to be published.
    pub will: Option<Box<Will>>,
    /// Its subscriptions, in the order in which they were made.
    pub subscriptions: Vec<SubscriptionState>,
    /// QoS 2 ids received and not released, ascending.
    pub inbound: BTreeSet<PacketId>,
    /// Sent and not finished, in the order of sending.
    pub outbound: Vec<Outbound>,
    /// Everything up to here was delivered to it or was not meant for it.
    pub read_through: Position,
}

/// One subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionState {
    /// The whole filter, `$share/name/` included.
    pub filter: Box<str>,
    /// Its options.
    pub options: TargetOptions,
    /// Its identifier, or 0.
    pub identifier: u32,
    /// The group of a shared one.
    pub group: Option<GroupRef>,
    /// Place of the record from which on it is served from the log.
    pub begun: Position,
}

/// One delivery that is not finished.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// Its id.
    pub packet_id: PacketId,
    /// Its QoS.
    pub qos: QoS,
    /// What may have to be sent again.
    pub content: Content,
}

/// What an unfinished delivery holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// The message at this position.
    Logged {
        /// Its place.
        position: Position,
        /// RETAIN as it was sent.
        retain: bool,
        /// The group it belongs to, if a shared subscription led to it.
        group: Option<GroupRef>,
        /// Identifier of that subscription, or 0.
        identifier: u32,
    },
    /// A retained message, which has no place in the log that is sure to stay.
    Retained {
        /// The message.
        message: Arc<Message>,
        /// Identifier of the subscription that asked for it, or 0.
        identifier: u32,
    },
    /// PUBREC came; only PUBREL and PUBCOMP are left.
    Released,
}

/// A shared group with a durable member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupState {
    /// `$share/name/filter`.
    pub filter: Box<str>,
    /// How often durable members joined it.
    pub joins: u32,
    /// Where its place in the log begins.
    pub begun: Position,
    /// Every message up to here is finished.
    pub settled: Position,
    /// Messages after `settled` that are finished.
    pub finished: BTreeSet<Position>,
}

/// Where the ledger finds what it does not hold.
pub trait Rows {
    /// Why they could not be read.
    type Error;

    /// The session as the last checkpoint has it.
    ///
    /// # Errors
    /// The row cannot be read.
    fn session(&self, session: SessionRef) -> Result<Option<SessionState>, Self::Error>;

    /// The group as the last checkpoint has it.
    ///
    /// # Errors
    /// The row cannot be read.
    fn group(&self, group: GroupRef) -> Result<Option<GroupState>, Self::Error>;
}

/// What has changed since the last checkpoint.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Touched sessions; `None` has ended.
    pub(crate) sessions: HashMap<SessionRef, Option<SessionState>>,
    /// Touched groups; `None` has ended.
    pub(crate) groups: HashMap<GroupRef, Option<GroupState>>,
    /// Touched topics; `None` has no retained message any more.
    pub(crate) retained: HashMap<Box<str>, Option<Arc<Message>>>,
    /// Groups that have ended, and how many records of members who joined them before are still to come, from
    /// different shards.
    ended_groups: HashMap<GroupRef, u32>,
}

impl Ledger {
    /// Forgets everything; the rows have it now.
    pub fn clear(&mut self) {
        self.sessions.clear();
        self.groups.clear();
        self.retained.clear();
    }

    /// Applies one record.
    ///
    /// # Errors
    /// A row could not be read; the ledger is of no use then.
    pub fn apply<R: Rows>(&mut self, position: Position, record: &Record, rows: &R) -> Result<(), R::Error> {
        match record {
            Record::Message { message, .. } => self.retain(message),
            Record::SessionBegun { session, client_id, expiry_secs } => {
                let state = self.session_or_new(*session, rows)?;
                state.client_id.clone_from(client_id);
                state.expiry_secs = *expiry_secs;
                state.left_at = None;
                state.will = None;
            }
            Record::SessionEnded { session } => self.end_session(*session, rows)?,
            Record::GroupEnded { group, joins } => {
                let seen = self.group(*group, rows)?.map_or(0, |state| state.joins);
                if *joins > seen {
                    self.ended_groups.insert(*group, joins - seen);
                }
                self.groups.insert(*group, None);
            }
            Record::Subscribed { session, filter, options, identifier, group } => {
                let subscription = SubscriptionState {
                    filter: filter.clone(),
                    options: *options,
                    identifier: *identifier,
                    group: *group,
                    begun: position,
                };
                if let Some(group) = group.filter(|_| options.durable) {
                    self.join_group(group, filter, position, rows)?;
                }
                if let Some(state) = self.session(*session, rows)? {
                    state.subscribe(subscription);
                }
            }
            Record::SessionLeft { session, .. }
            | Record::WillSet { session, .. }
            | Record::WillPublished { session }
            | Record::Unsubscribed { session, .. }
            | Record::InboundReceived { session, .. }
            | Record::InboundReleased { session, .. }
            | Record::Delivered { session, .. }
            | Record::RetainedDelivered { session, .. }
            | Record::Received { session, .. }
            | Record::Settled { session, .. } => {
                let Some(state) = self.session(*session, rows)? else { return Ok(()) };
                if let Some((group, position)) = state.change(record) {
                    self.finish(group, position, rows)?;
                }
            }
        }
        Ok(())
    }

    /// Every message of the group up to here is finished.
    ///
    /// # Errors
    /// The row of the group could not be read.
    pub fn settle_group<R: Rows>(
        &mut self,
        group: GroupRef,
        through: Position,
        rows: &R,
    ) -> Result<(), R::Error> {
        let Some(state) = self.group(group, rows)? else { return Ok(()) };
        if through > state.settled {
            state.settled = through;
            state.finished = state.finished.split_off(&(through + 1));
        }
        Ok(())
    }

    fn retain(&mut self, message: &Arc<Message>) {
        let view = message.view();
        if view.retain {
            let last = (!view.payload.is_empty()).then(|| Arc::clone(message));
            self.retained.insert(view.topic.into(), last);
        }
    }

    /// Its unfinished QoS 1 messages of shared groups go back to those; QoS 2 goes to nobody `[MQTT-4.8.2-5]`.
    fn end_session<R: Rows>(&mut self, session: SessionRef, rows: &R) -> Result<(), R::Error> {
        let Some(state) = self.session(session, rows)? else { return Ok(()) };
        let outbound = std::mem::take(&mut state.outbound);
        self.sessions.insert(session, None);
        for delivery in outbound.iter().filter(|delivery| delivery.qos == QoS::ExactlyOnce) {
            if let Some((group, position)) = delivery.content.lent() {
                self.finish(group, position, rows)?;
            }
        }
        Ok(())
    }

    /// A durable member joins: the first one begins the group, unless it has ended meanwhile.
    fn join_group<R: Rows>(
        &mut self,
        group: GroupRef,
        filter: &str,
        position: Position,
        rows: &R,
    ) -> Result<(), R::Error> {
        if let Some(to_come) = self.ended_groups.get_mut(&group) {
            *to_come -= 1;
            if *to_come == 0 {
                self.ended_groups.remove(&group);
            }
            return Ok(());
        }
        if let Some(state) = self.group(group, rows)? {
            state.joins += 1;
            return Ok(());
        }
        let state = GroupState {
            filter: filter.into(),
            joins: 1,
            begun: position,
            settled: position,
            finished: BTreeSet::new(),
        };
        self.groups.insert(group, Some(state));
        Ok(())
    }

    fn finish<R: Rows>(&mut self, group: GroupRef, position: Position, rows: &R) -> Result<(), R::Error> {
        if let Some(state) = self.group(group, rows)?
            && position > state.settled
        {
            state.finished.insert(position);
        }
        Ok(())
    }

    fn session_or_new<R: Rows>(
        &mut self,
        session: SessionRef,
        rows: &R,
    ) -> Result<&mut SessionState, R::Error> {
        let held = self.load_session(session, rows)?;
        Ok(held.get_or_insert_default())
    }

    fn session<R: Rows>(
        &mut self,
        session: SessionRef,
        rows: &R,
    ) -> Result<Option<&mut SessionState>, R::Error> {
        Ok(self.load_session(session, rows)?.as_mut())
    }

    fn load_session<R: Rows>(
        &mut self,
        session: SessionRef,
        rows: &R,
    ) -> Result<&mut Option<SessionState>, R::Error> {
        Ok(match self.sessions.entry(session) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(place) => place.insert(rows.session(session)?),
        })
    }

    fn group<R: Rows>(&mut self, group: GroupRef, rows: &R) -> Result<Option<&mut GroupState>, R::Error> {
        let held = match self.groups.entry(group) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(place) => place.insert(rows.group(group)?),
        };
        Ok(held.as_mut())
    }
}

impl SessionState {
    /// A record about this session alone. Gives the group and place of a shared message that is finished by it.
    fn change(&mut self, record: &Record) -> Option<(GroupRef, Position)> {
        match record {
            Record::SessionLeft { at, expiry_secs, has_will, .. } => {
                self.left_at = Some(*at);
                self.expiry_secs = *expiry_secs;
                self.will = self.will.take().filter(|_| *has_will);
            }
            Record::WillSet { will, .. } => self.will = Some(will.clone()),
            Record::WillPublished { .. } => self.will = None,
            Record::Unsubscribed { filter, .. } => {
                self.subscriptions.retain(|subscription| subscription.filter != *filter);
            }
            Record::InboundReceived { packet_id, .. } => _ = self.inbound.insert(*packet_id),
            Record::InboundReleased { packet_id, .. } => _ = self.inbound.remove(packet_id),
            Record::Delivered { packet_id, position, qos, retain, group, identifier, .. } => {
                if group.is_none() {
                    self.read_through = self.read_through.max(*position);
                }
                let (position, retain, group, identifier) = (*position, *retain, *group, *identifier);
                let content = Content::Logged { position, retain, group, identifier };
                self.open(Outbound { packet_id: *packet_id, qos: *qos, content });
            }
            Record::RetainedDelivered { packet_id, qos, identifier, message, .. } => {
                let content = Content::Retained { message: Arc::clone(message), identifier: *identifier };
                self.open(Outbound { packet_id: *packet_id, qos: *qos, content });
            }
            Record::Received { packet_id, .. } => {
                let delivery = self.outbound.iter_mut().find(|delivery| delivery.packet_id == *packet_id)?;
                return std::mem::replace(&mut delivery.content, Content::Released).lent();
            }
            Record::Settled { packet_id, .. } => {
                let place = self.outbound.iter().position(|delivery| delivery.packet_id == *packet_id)?;
                return self.outbound.remove(place).content.lent();
            }
            _ => {}
        }
        None
    }

    /// A delivery begins; an older one under the same id is over.
    fn open(&mut self, delivery: Outbound) {
        self.outbound.retain(|open| open.packet_id != delivery.packet_id);
        self.outbound.push(delivery);
    }

    /// Replacing keeps the beginning, unless the subscription was served live until now.
    fn subscribe(&mut self, mut new: SubscriptionState) {
        let Some(held) = self.subscriptions.iter_mut().find(|held| held.filter == new.filter) else {
            return self.subscriptions.push(new);
        };
        if held.options.durable || !new.options.durable {
            new.begun = held.begun;
        }
        *held = new;
    }
}

impl Content {
    /// Group and place of a message that a shared group lent.
    fn lent(&self) -> Option<(GroupRef, Position)> {
        match self {
            Content::Logged { position, group: Some(group), .. } => Some((*group, *position)),
            _ => None,
        }
    }
}
