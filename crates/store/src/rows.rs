//! The rows of the table that a checkpoint writes: their keys and the form of their values.
//!
//! | key | value |
//! |---|---|
//! | `M` | the checkpoint itself: `Meta` |
//! | `S` address | a session: [`SessionState`] |
//! | `G` address | a shared group: [`GroupState`] |
//! | `R` topic | a retained message |
//! | `F` number | the filter of a posting |
//! | `P` number, first position | one chunk of it: `ChunkRow` |
//! | `V` position | addresses that moved when the number of shards changed: `Moves` |
//!
//! Every value begins with the version of its form.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use longwire_broker::address::{GroupRef, HashKey, SessionRef};
use longwire_broker::field::{self, Reader};
use longwire_broker::message::Message;
use longwire_broker::record::{Position, Record};
use longwire_broker::routes::TargetOptions;
use longwire_engine::{Expected, Table, TableError};

use crate::ledger::{Content, GroupState, Outbound, Rows, SessionState, SubscriptionState};
use crate::postings::ChunkRow;

/// Version of the form of all values.
const VERSION: u8 = 1;

const META: &[u8] = b"M";
const SESSION: u8 = b'S';
const GROUP: u8 = b'G';
const RETAINED: u8 = b'R';
const FILTER: u8 = b'F';
const CHUNK: u8 = b'P';
const MOVES: u8 = b'V';

const LOGGED: u8 = 0;
const HELD_RETAINED: u8 = 1;
const RELEASED: u8 = 2;

/// Rows read at a time.
const PAGE_ROWS: usize = 1_000;

/// What a checkpoint says about itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    /// Every record up to here is in the rows.
    pub(crate) through: Position,
    /// Key of every hash, so that homes stay where they were.
    pub(crate) key: HashKey,
    /// Number of shards that the addresses are of.
    pub(crate) shards: u16,
}

/// Where sessions and groups went when the number of shards changed, for messages that name their old addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    pub(crate) sessions: HashMap<SessionRef, SessionRef>,
    pub(crate) groups: HashMap<GroupRef, GroupRef>,
}

/// Nobody: the publisher of a message whose session is gone.
const NOBODY: SessionRef = SessionRef { slot: u32::MAX, generation: u16::MAX, shard: u16::MAX };

impl Moves {
    /// Puts the new addresses into a record that was written before the move. Sessions and groups that have not moved
    /// had ended.
    pub(crate) fn translate(&self, record: &mut Record) {
        if let Record::Message { message, groups } = record {
            let publisher = self.sessions.get(&message.view().publisher).copied().unwrap_or(NOBODY);
            *message = Arc::new(message.with_publisher(publisher));
            *groups = groups.iter().filter_map(|group| self.groups.get(group).copied()).collect();
        }
    }

    /// The moves that lead where these led and then those.
    pub(crate) fn then(&self, next: &Moves) -> Moves {
        let sessions = self.sessions.iter();
        let groups = self.groups.iter();
        Moves {
            sessions: sessions.filter_map(|(from, to)| Some((*from, *next.sessions.get(to)?))).collect(),
            groups: groups.filter_map(|(from, to)| Some((*from, *next.groups.get(to)?))).collect(),
        }
    }
}

/// Why rows could not be read or written.
#[derive(Debug)]
pub enum RowsError {
    /// The table refused.
    Table(TableError),
    /// A row does not make sense: the table was damaged, or written by a newer version.
    Damaged {
        /// The key of the row.
        key: Box<[u8]>,
    },
}

impl From<TableError> for RowsError {
    fn from(cause: TableError) -> Self {
        RowsError::Table(cause)
    }
}

impl fmt::Display for RowsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RowsError::Table(cause) => cause.fmt(out),
            RowsError::Damaged { key } => {
                write!(out, "the row {} of the state table is damaged", key.escape_ascii())
            }
        }
    }
}

impl std::error::Error for RowsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RowsError::Table(cause) => Some(cause),
            RowsError::Damaged { .. } => None,
        }
    }
}

/// The rows of a table.
pub(crate) struct TableRows<'a>(pub(crate) &'a dyn Table);

impl Rows for TableRows<'_> {
    type Error = RowsError;

    fn session(&self, session: SessionRef) -> Result<Option<SessionState>, RowsError> {
        self.one(&session_key(session), read_session)
    }

    fn group(&self, group: GroupRef) -> Result<Option<GroupState>, RowsError> {
        self.one(&group_key(group), read_group)
    }
}

impl TableRows<'_> {
    pub(crate) fn meta(&self) -> Result<Option<Meta>, RowsError> {
        self.one(META, |reader| {
            let (through, shards) = (reader.u64()?, reader.u16()?);
            Some(Meta { through, shards, key: HashKey(reader.u64()?, reader.u64()?) })
        })
    }

    pub(crate) fn each_session(
        &self,
        take: &mut dyn FnMut(SessionRef, SessionState),
    ) -> Result<(), RowsError> {
        self.each(SESSION, &mut |key, reader| {
            take(key.session()?, read_session(reader)?);
            Some(())
        })
    }

    pub(crate) fn each_group(&self, take: &mut dyn FnMut(GroupRef, GroupState)) -> Result<(), RowsError> {
        self.each(GROUP, &mut |key, reader| {
            take(key.group()?, read_group(reader)?);
            Some(())
        })
    }

    pub(crate) fn each_retained(&self, take: &mut dyn FnMut(Arc<Message>)) -> Result<(), RowsError> {
        self.each(RETAINED, &mut |_, reader| {
            take(reader.message()?);
            Some(())
        })
    }

    pub(crate) fn each_filter(&self, take: &mut dyn FnMut(u64, &str)) -> Result<(), RowsError> {
        self.each(FILTER, &mut |key, reader| {
            take(key.u64()?, reader.text()?);
            Some(())
        })
    }

    pub(crate) fn each_chunk(&self, take: &mut dyn FnMut(u64, ChunkRow)) -> Result<(), RowsError> {
        self.each(CHUNK, &mut |key, reader| {
            let (number, first) = (key.u64()?, key.u64()?);
            let (last, count) = (reader.u64()?, reader.u32()?);
            take(number, ChunkRow { first, last, count, distances: reader.bytes()?.to_vec() });
            Some(())
        })
    }

    pub(crate) fn each_move(&self, take: &mut dyn FnMut(Position, Moves)) -> Result<(), RowsError> {
        self.each(MOVES, &mut |key, reader| {
            take(key.u64()?, read_moves(reader)?);
            Some(())
        })
    }

    fn one<T>(
        &self,
        key: &[u8],
        read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
    ) -> Result<Option<T>, RowsError> {
        let Some(value) = self.0.get(key)? else { return Ok(None) };
        let mut reader = Reader::new(&value.bytes);
        let found = (reader.u8() == Some(VERSION)).then(|| read(&mut reader)).flatten();
        let found = found.filter(|_| reader.rest().is_empty());
        found.map(Some).ok_or_else(|| RowsError::Damaged { key: key.into() })
    }

    /// Every row of a kind, in the order of their keys.
    fn each(
        &self,
        kind: u8,
        take: &mut dyn FnMut(&mut Reader<'_>, &mut Reader<'_>) -> Option<()>,
    ) -> Result<(), RowsError> {
        let mut after: Option<Box<[u8]>> = None;
        loop {
            let page = self.0.scan(&[kind], after.as_deref(), PAGE_ROWS)?;
            for (key, value) in &page.rows {
                let mut reader = Reader::new(&value.bytes);
                let is_known = reader.u8() == Some(VERSION);
                if !is_known || take(&mut Reader::new(&key[1..]), &mut reader).is_none() {
                    return Err(RowsError::Damaged { key: key.clone() });
                }
            }
            match page.rows.last() {
                Some((key, _)) if page.more => after = Some(key.clone()),
                _ => return Ok(()),
            }
        }
    }
}

/// Writes rows; they are durable with the table's next commit.
pub(crate) struct RowsMut<'a>(pub(crate) &'a mut dyn Table);

impl RowsMut<'_> {
    pub(crate) fn put_meta(&mut self, meta: Meta) -> Result<(), RowsError> {
        self.put(META, |out| {
            out.extend_from_slice(&meta.through.to_be_bytes());
            out.extend_from_slice(&meta.shards.to_be_bytes());
            out.extend_from_slice(&meta.key.0.to_be_bytes());
            out.extend_from_slice(&meta.key.1.to_be_bytes());
        })
    }

    pub(crate) fn put_session(
        &mut self,
        session: SessionRef,
        state: Option<&SessionState>,
    ) -> Result<(), RowsError> {
        let key = session_key(session);
        match state {
            Some(state) => self.put(&key, |out| write_session(state, out)),
            None => self.delete(&key),
        }
    }

    pub(crate) fn put_group(&mut self, group: GroupRef, state: Option<&GroupState>) -> Result<(), RowsError> {
        let key = group_key(group);
        match state {
            Some(state) => self.put(&key, |out| write_group(state, out)),
            None => self.delete(&key),
        }
    }

    pub(crate) fn put_retained(&mut self, topic: &str, message: Option<&Message>) -> Result<(), RowsError> {
        let key = [&[RETAINED], topic.as_bytes()].concat();
        match message {
            Some(message) => self.put(&key, |out| field::put_message(out, message)),
            None => self.delete(&key),
        }
    }

    pub(crate) fn put_filter(&mut self, number: u64, text: Option<&str>) -> Result<(), RowsError> {
        let key = numbered_key(FILTER, &[number]);
        match text {
            Some(text) => self.put(&key, |out| field::put_text(out, text)),
            None => self.delete(&key),
        }
    }

    pub(crate) fn put_chunk(&mut self, number: u64, chunk: &ChunkRow) -> Result<(), RowsError> {
        self.put(&numbered_key(CHUNK, &[number, chunk.first]), |out| {
            out.extend_from_slice(&chunk.last.to_be_bytes());
            out.extend_from_slice(&chunk.count.to_be_bytes());
            field::put_bytes(out, &chunk.distances);
        })
    }

    pub(crate) fn delete_chunk(&mut self, number: u64, first: Position) -> Result<(), RowsError> {
        self.delete(&numbered_key(CHUNK, &[number, first]))
    }

    pub(crate) fn put_moves(&mut self, below: Position, moves: Option<&Moves>) -> Result<(), RowsError> {
        let key = numbered_key(MOVES, &[below]);
        match moves {
            Some(moves) => self.put(&key, |out| write_moves(moves, out)),
            None => self.delete(&key),
        }
    }

    fn put(&mut self, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) -> Result<(), RowsError> {
        let mut value = vec![VERSION];
        write(&mut value);
        self.0.put(key, &value, Expected::Anything)?;
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), RowsError> {
        self.0.delete(key, Expected::Anything)?;
        Ok(())
    }
}

fn session_key(session: SessionRef) -> Vec<u8> {
    let mut key = vec![SESSION];
    field::put_session(&mut key, session);
    key
}

fn group_key(group: GroupRef) -> Vec<u8> {
    let mut key = vec![GROUP];
    field::put_group(&mut key, group);
    key
}

fn numbered_key(kind: u8, numbers: &[u64]) -> Vec<u8> {
    let mut key = vec![kind];
    for number in numbers {
        key.extend_from_slice(&number.to_be_bytes());
    }
    key
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u32).to_be_bytes());
}

/// So many items, each read in turn.
fn items<'a, T, C: FromIterator<T>>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Option<T>,
) -> Option<C> {
    let count = reader.u32()?;
    (0..count).map(|_| read(reader)).collect()
}

fn write_session(state: &SessionState, out: &mut Vec<u8>) {
    field::put_text(out, &state.client_id);
    out.extend_from_slice(&state.expiry_secs.to_be_bytes());
    out.push(u8::from(state.left_at.is_some()));
    out.extend_from_slice(&state.left_at.unwrap_or(0).to_be_bytes());
    out.extend_from_slice(&state.read_through.to_be_bytes());
    out.push(u8::from(state.will.is_some()));
    if let Some(will) = &state.will {
        field::put_will(out, will);
    }
    put_count(out, state.subscriptions.len());
    for subscription in &state.subscriptions {
        field::put_text(out, &subscription.filter);
        out.push(subscription.options.to_bits());
        out.extend_from_slice(&subscription.identifier.to_be_bytes());
        field::put_group_if(out, subscription.group);
        out.extend_from_slice(&subscription.begun.to_be_bytes());
    }
    put_count(out, state.inbound.len());
    for packet_id in &state.inbound {
        out.extend_from_slice(&packet_id.get().to_be_bytes());
    }
    put_count(out, state.outbound.len());
    for delivery in &state.outbound {
        write_outbound(delivery, out);
    }
}

fn read_session(reader: &mut Reader<'_>) -> Option<SessionState> {
    let client_id = reader.text()?.into();
    let expiry_secs = reader.u32()?;
    let (has_left, left_at) = (reader.flag()?, reader.u64()?);
    let read_through = reader.u64()?;
    let will = if reader.flag()? { Some(Box::new(reader.will()?)) } else { None };
    Some(SessionState {
        client_id,
        expiry_secs,
        left_at: has_left.then_some(left_at),
        will,
        subscriptions: items(reader, |reader| {
            Some(SubscriptionState {
                filter: reader.text()?.into(),
                options: TargetOptions::from_bits(reader.u8()?)?,
                identifier: reader.u32()?,
                group: reader.group_if()?,
                begun: reader.u64()?,
            })
        })?,
        inbound: items(reader, Reader::packet_id)?,
        outbound: items(reader, read_outbound)?,
        read_through,
    })
}

fn write_outbound(delivery: &Outbound, out: &mut Vec<u8>) {
    out.extend_from_slice(&delivery.packet_id.get().to_be_bytes());
    match &delivery.content {
        Content::Logged { position, retain, group, identifier } => {
            field::put_qos(out, delivery.qos, *retain);
            out.push(LOGGED);
            out.extend_from_slice(&position.to_be_bytes());
            field::put_group_if(out, *group);
            out.extend_from_slice(&identifier.to_be_bytes());
        }
        Content::Retained { message, identifier } => {
            field::put_qos(out, delivery.qos, true);
            out.push(HELD_RETAINED);
            out.extend_from_slice(&identifier.to_be_bytes());
            field::put_message(out, message);
        }
        Content::Released => {
            field::put_qos(out, delivery.qos, false);
            out.push(RELEASED);
        }
    }
}

fn read_outbound(reader: &mut Reader<'_>) -> Option<Outbound> {
    let (packet_id, (qos, retain)) = (reader.packet_id()?, reader.qos()?);
    let content = match reader.u8()? {
        LOGGED => Content::Logged {
            position: reader.u64()?,
            retain,
            group: reader.group_if()?,
            identifier: reader.u32()?,
        },
        HELD_RETAINED => Content::Retained { identifier: reader.u32()?, message: reader.message()? },
        RELEASED => Content::Released,
        _ => return None,
    };
    Some(Outbound { packet_id, qos, content })
}

fn write_group(state: &GroupState, out: &mut Vec<u8>) {
    field::put_text(out, &state.filter);
    out.extend_from_slice(&state.joins.to_be_bytes());
    out.extend_from_slice(&state.begun.to_be_bytes());
    out.extend_from_slice(&state.settled.to_be_bytes());
    put_count(out, state.finished.len());
    for position in &state.finished {
        out.extend_from_slice(&position.to_be_bytes());
    }
}

fn read_group(reader: &mut Reader<'_>) -> Option<GroupState> {
    Some(GroupState {
        filter: reader.text()?.into(),
        joins: reader.u32()?,
        begun: reader.u64()?,
        settled: reader.u64()?,
        finished: items(reader, Reader::u64)?,
    })
}

fn write_moves(moves: &Moves, out: &mut Vec<u8>) {
    put_count(out, moves.sessions.len());
    for (from, to) in &moves.sessions {
        field::put_session(out, *from);
        field::put_session(out, *to);
    }
    put_count(out, moves.groups.len());
    for (from, to) in &moves.groups {
        field::put_group(out, *from);
        field::put_group(out, *to);
    }
}

fn read_moves(reader: &mut Reader<'_>) -> Option<Moves> {
    Some(Moves {
        sessions: items(reader, |reader| Some((reader.session()?, reader.session()?)))?,
        groups: items(reader, |reader| Some((reader.group()?, reader.group()?)))?,
    })
}
