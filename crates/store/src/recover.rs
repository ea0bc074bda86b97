//! How everything comes back: the rows of the last checkpoint, then what the log says beyond them.
//!
//! The replayed end of the log goes through the same [`Ledger`](crate::ledger::Ledger) that checkpoints are made of,
//! and ends in one more checkpoint, so that a second recovery finds what the first one found. Homes depend on the
//! number of shards; when that has changed, sessions and groups are given new addresses, and a list of the old ones is
//! kept as long as messages in the log name them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use longwire_broker::address::{GroupRef, HashKey, SessionRef, shard_of};
use longwire_broker::kept::{KeptContent, KeptDelivery, KeptGroup, KeptSession, KeptSubscription};
use longwire_broker::limits::Limits;
use longwire_broker::message::Message;
use longwire_broker::record::{Position, Record};
use longwire_engine::{Lane, LaneError, Table};
use longwire_proto::transfer::Stage;

use crate::block;
use crate::checkpoint::Checkpointer;
use crate::journal::Journal;
use crate::ledger::{Content, GroupState, SessionState};
use crate::rows::{Meta, Moves, RowsError, TableRows};

/// A broker's memory, come back.
pub struct Recovered {
    /// The journal, at the tip of its log.
    pub journal: Journal,
    /// The checkpointer, up to date.
    pub checkpointer: Checkpointer,
    /// Key of every hash.
    pub key: HashKey,
    /// Sessions, for the shards that they are at home on.
    pub sessions: Vec<KeptSession>,
    /// Shared groups, likewise.
    pub groups: Vec<KeptGroup>,
    /// Retained messages.
    pub retained: Vec<Arc<Message>>,
    /// Records that were in the log and in no checkpoint.
    pub replayed: u64,
}

/// Why nothing came back.
#[derive(Debug)]
pub enum RecoverError {
    /// The table cannot be read or written.
    Rows(RowsError),
    /// The log cannot be read.
    Lane(LaneError),
    /// A block of the log does not make sense, although its bytes are those that were written.
    Block {
        /// Position of its first record.
        first: Position,
    },
}

/// Brings a broker's memory back for `shards` shards. Where nothing was ever kept, it begins with `fresh_key`.
///
/// # Errors
/// [`RecoverError`]; nothing was lost by trying.
pub fn recover(
    lane: Box<dyn Lane>,
    table: Box<dyn Table>,
    limits: &Limits,
    fresh_key: HashKey,
    shards: u16,
) -> Result<Recovered, RecoverError> {
    let fresh = Meta { through: lane.first() - 1, key: fresh_key, shards };
    let meta = TableRows(&*table).meta()?.unwrap_or(fresh);
    let mut checkpointer = Checkpointer::new(table, meta);
    let begin = lane.first().max(meta.through + 1);
    let mut replayed = 0;
    each_record(&*lane, begin, |position, record| {
        replayed += 1;
        checkpointer.apply_one(position, record).map_err(RecoverError::Rows)
    })?;
    let mut state = State::gather(&checkpointer)?;
    let moves = state.re_home(&mut checkpointer, &*lane, shards)?;
    state.drop_empty_groups(&mut checkpointer);

    let mut journal = Journal::recovered(lane, meta.key, limits, moves);
    state.enter(&mut journal);
    journal.restore_postings(&checkpointer.rows(), begin)?;
    let through = checkpointer.commit(journal.hand_over())?;
    journal.begin_checkpoints(through);

    let mut retained = Vec::new();
    checkpointer.rows().each_retained(&mut |message| retained.push(message))?;
    let (sessions, groups) = state.into_kept(&mut journal);
    Ok(Recovered { journal, checkpointer, key: meta.key, sessions, groups, retained, replayed })
}

/// Hands every record from `position` on to `take`.
pub(crate) fn each_record(
    lane: &dyn Lane,
    mut position: Position,
    mut take: impl FnMut(Position, &Record) -> Result<(), RecoverError>,
) -> Result<(), RecoverError> {
    while position < lane.next() {
        let Some(block) = lane.read(position)? else {
            // The lane had to let go of a damaged part, and has said so.
            position += 1;
            continue;
        };
        let records = block::decode(&block.bytes).map_err(|_| RecoverError::Block { first: block.first })?;
        for (at, record) in (block.first..).zip(&records) {
            if at >= position {
                take(at, record)?;
            }
        }
        position = block.last() + 1;
    }
    Ok(())
}

/// All sessions and groups as of the end of the log.
struct State {
    sessions: BTreeMap<SessionRef, SessionState>,
    groups: BTreeMap<GroupRef, GroupState>,
}

impl State {
    /// The rows, with what the ledger knows better.
    fn gather(checkpointer: &Checkpointer) -> Result<State, RowsError> {
        let mut state = State { sessions: BTreeMap::new(), groups: BTreeMap::new() };
        let (rows, ledger) = (checkpointer.rows(), &checkpointer.ledger);
        rows.each_session(&mut |address, session| _ = state.sessions.insert(address, session))?;
        rows.each_group(&mut |address, group| _ = state.groups.insert(address, group))?;
        for (address, session) in &ledger.sessions {
            match session {
                Some(session) => _ = state.sessions.insert(*address, session.clone()),
                None => _ = state.sessions.remove(address),
            }
        }
        for (address, group) in &ledger.groups {
            match group {
                Some(group) => _ = state.groups.insert(*address, group.clone()),
                None => _ = state.groups.remove(address),
            }
        }
        Ok(state)
    }

    /// Gives everything an address on one of `shards` shards, if their number has changed. Returns the moves that
    /// messages in the log are read with.
    fn re_home(
        &mut self,
        checkpointer: &mut Checkpointer,
        lane: &dyn Lane,
        shards: u16,
    ) -> Result<Vec<(Position, Moves)>, RowsError> {
        let mut moves = Vec::new();
        let mut outdated = Vec::new();
        checkpointer.rows().each_move(&mut |below, older| {
            if below > lane.first() { moves.push((below, older)) } else { outdated.push((below, None)) }
        })?;
        checkpointer.moves.append(&mut outdated);
        if shards == checkpointer.meta.shards {
            return Ok(moves);
        }
        let new = self.moves_to(&checkpointer.meta.key, shards);
        for (_, older) in &mut moves {
            *older = older.then(&new);
        }
        self.apply_moves(&new, checkpointer);
        checkpointer.meta.shards = shards;
        moves.push((lane.next(), new));
        checkpointer.moves.extend(moves.iter().map(|(below, moves)| (*below, Some(moves.clone()))));
        Ok(moves)
    }

    fn moves_to(&self, key: &HashKey, shards: u16) -> Moves {
        let mut moves = Moves::default();
        let mut used: HashMap<u16, u32> = HashMap::new();
        let mut next_slot = |shard| {
            let slot = used.entry(shard).or_default();
            *slot += 1;
            *slot - 1
        };
        for (address, session) in &self.sessions {
            let shard = shard_of(key, &session.client_id, usize::from(shards));
            let slot = next_slot(shard);
            moves.sessions.insert(*address, SessionRef { slot, generation: 0, shard });
        }
        for (slot, (address, group)) in (0..).zip(&self.groups) {
            let shard = shard_of(key, &group.filter, usize::from(shards));
            moves.groups.insert(*address, GroupRef { slot, generation: 0, shard });
        }
        moves
    }

    /// Moves everything here and in what the next checkpoint writes.
    fn apply_moves(&mut self, moves: &Moves, checkpointer: &mut Checkpointer) {
        let group_of = |group: GroupRef| moves.groups.get(&group).copied();
        let mut sessions = BTreeMap::new();
        for (from, mut session) in std::mem::take(&mut self.sessions) {
            for subscription in &mut session.subscriptions {
                subscription.group = subscription.group.and_then(group_of);
            }
            for delivery in &mut session.outbound {
                if let Content::Logged { group, .. } = &mut delivery.content {
                    *group = group.and_then(group_of);
                }
            }
            checkpointer.ledger.sessions.insert(from, None);
            sessions.insert(moves.sessions[&from], session);
        }
        let mut groups = BTreeMap::new();
        for (from, group) in std::mem::take(&mut self.groups) {
            checkpointer.ledger.groups.insert(from, None);
            groups.insert(moves.groups[&from], group);
        }
        for (to, session) in &sessions {
            checkpointer.ledger.sessions.insert(*to, Some(session.clone()));
        }
        for (to, group) in &groups {
            checkpointer.ledger.groups.insert(*to, Some(group.clone()));
        }
        (self.sessions, self.groups) = (sessions, groups);
    }

    /// A group whose last member ended with the broker is over.
    fn drop_empty_groups(&mut self, checkpointer: &mut Checkpointer) {
        let subscriptions = self.sessions.values().flat_map(|session| &session.subscriptions);
        let joined: BTreeSet<GroupRef> =
            subscriptions.filter_map(|subscription| subscription.group).collect();
        self.groups.retain(|address, _| {
            let is_joined = joined.contains(address);
            if !is_joined {
                checkpointer.ledger.groups.insert(*address, None);
            }
            is_joined
        });
    }

    /// Makes the journal know all subscribers.
    fn enter(&self, journal: &mut Journal) {
        for (address, group) in &self.groups {
            journal.restore_group(*address, group);
        }
        for (address, session) in &self.sessions {
            journal.restore_session(*address, session);
        }
    }

    /// In the form that shards take.
    fn into_kept(self, journal: &mut Journal) -> (Vec<KeptSession>, Vec<KeptGroup>) {
        let mut lent: HashMap<GroupRef, BTreeSet<Position>> = HashMap::new();
        let mut sessions = Vec::new();
        for (address, session) in self.sessions {
            let mut outbound = Vec::new();
            for delivery in session.outbound {
                let content = match delivery.content {
                    Content::Logged { position, retain, group: Some(group), identifier } => {
                        let Some(message) = journal.message_copy(position) else { continue };
                        lent.entry(group).or_default().insert(position);
                        Stage::Publish(KeptContent::Lent { group, position, retain, identifier, message })
                    }
                    Content::Logged { position, retain, group: None, .. } => {
                        Stage::Publish(KeptContent::Logged { position, retain })
                    }
                    Content::Retained { message, identifier } => {
                        Stage::Publish(KeptContent::Retained { message, identifier })
                    }
                    Content::Released => Stage::Release,
                };
                let (packet_id, qos) = (delivery.packet_id, delivery.qos);
                outbound.push(KeptDelivery { packet_id, qos, stage: content });
            }
            let subscriptions = session.subscriptions.into_iter().map(|subscription| KeptSubscription {
                filter: subscription.filter,
                options: subscription.options,
                identifier: subscription.identifier,
                group: subscription.group,
            });
            sessions.push(KeptSession {
                session: address,
                client_id: session.client_id,
                expiry_secs: session.expiry_secs,
                left_at: session.left_at,
                will: session.will,
                subscriptions: subscriptions.collect(),
                inbound: session.inbound.into_iter().collect(),
                outbound,
                read_through: session.read_through,
            });
        }
        let groups = self.groups.into_iter().map(|(group, state)| KeptGroup {
            group,
            filter: state.filter,
            joins: state.joins,
            settled: state.settled,
            finished: state.finished,
            lent: lent.remove(&group).unwrap_or_default(),
        });
        (sessions, groups.collect())
    }
}

impl From<RowsError> for RecoverError {
    fn from(cause: RowsError) -> Self {
        RecoverError::Rows(cause)
    }
}

impl From<LaneError> for RecoverError {
    fn from(cause: LaneError) -> Self {
        RecoverError::Lane(cause)
    }
}

impl fmt::Display for RecoverError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecoverError::Rows(cause) => cause.fmt(out),
            RecoverError::Lane(cause) => cause.fmt(out),
            RecoverError::Block { first } => {
                write!(
                    out,
                    "the block at position {first} of the log is of no known form: a newer version wrote it"
                )
            }
        }
    }
}

impl std::error::Error for RecoverError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RecoverError::Rows(cause) => Some(cause),
            RecoverError::Lane(cause) => Some(cause),
            RecoverError::Block { .. } => None,
        }
    }
}
