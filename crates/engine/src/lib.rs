//! The ground a node stands on, as two small traits: [`Lane`], an ordered log with one writer, and [`Table`], the
//! last value of each key. Nothing here knows MQTT; `store` is written once above these traits, and what a node
//! stands on (memory, files, a replicated log) can change without touching a rule of the protocol or of recovery.
//!
//! The traits are completion-based: work is submitted, and what has become durable is asked for later. A thread over
//! files, which blocks in `commit`, and a client of a remote log, which is told much later, then look alike. An
//! implementation that completes later is handed a wake-up when it is opened, not through these traits.
//!
//! Opening a lane or a table claims it. There is one writer at a time: whoever opens it again takes over what was
//! durable, and from then on every change through the older handle fails with `Fenced`. What an opened lane holds is
//! durable, all of it: recovery never builds on a block that another crash could take away.
//!
//! [`contract`] holds the promises as tests that every implementation runs; [`memory`] is the implementation that
//! forgets when the process ends, [`local`] the one on the files of this machine, all of which it reaches through
//! [`disk`].

pub mod contract;
pub mod disk;
pub mod local;
pub mod memory;

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Place of a record in a lane: its number, counted from 1 over all records ever appended. 0 is "before the first".
pub type Position = u64;

/// Number of a write to a table. Later writes have higher numbers, and no number is given twice in one table, so a
/// value deleted and put again is never mistaken for the old one.
pub type Revision = u64;

/// An ordered log of blocks with a single writer. A block is opaque bytes that hold one record or more; it is
/// appended, read and trimmed as a whole.
pub trait Lane: Send {
    /// Appends one block that holds `count` records and returns the position of the first of them, which is what
    /// [`next`](Lane::next) was. The block can be read at once, and is durable when [`durable`](Lane::durable)
    /// has reached its last record.
    ///
    /// # Errors
    /// [`LaneError`]; the lane is then as it was before the call.
    ///
    /// # Panics
    /// If `count` is 0: a block without records has no position.
    fn append(&mut self, block: &[u8], count: u32) -> Result<Position, LaneError>;

    /// Asks for everything appended so far to become durable. Implementations over files sync before they return;
    /// others complete later. Either way, [`durable`](Lane::durable) tells how far it is.
    ///
    /// # Errors
    /// [`LaneError`]; what was appended stays appended, [`durable`](Lane::durable) tells what is safe, and
    /// committing again is allowed.
    fn commit(&mut self) -> Result<(), LaneError>;

    /// The highest position such that it and everything before it are durable; 0 if nothing is. Never moves back.
    fn durable(&self) -> Position;

    /// The block that holds `position`; `None` if it was trimmed or not appended yet.
    ///
    /// # Errors
    /// [`LaneError::Damaged`] if the block was there and is lost, [`LaneError::Io`] if it cannot be read now.
    fn read(&self, position: Position) -> Result<Option<Block>, LaneError>;

    /// Lets go of whole blocks whose records all lie below `before`. Blocks that are not durable yet stay. How soon
    /// blocks go is up to the implementation, which may free larger units; [`first`](Lane::first) tells.
    ///
    /// # Errors
    /// [`LaneError`]; nothing that should stay is lost.
    fn trim(&mut self, before: Position) -> Result<(), LaneError>;

    /// Position of the oldest record held; equal to [`next`](Lane::next) if none is.
    fn first(&self) -> Position;

    /// Position that the next appended record will get.
    fn next(&self) -> Position;

    /// Bytes that the blocks held now take, the implementation's own bookkeeping for each of them included.
    fn bytes(&self) -> u64;
}

/// A block as it was appended. The bytes are shared, so that what was read can be sent on without another copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Position of the first record in the block.
    pub first: Position,
    /// Number of records in the block, at least 1.
    pub count: u32,
    /// The bytes that were appended.
    pub bytes: Arc<[u8]>,
}

impl Block {
    /// Position of the last record in the block.
    pub fn last(&self) -> Position {
        self.first + u64::from(self.count) - 1
    }
}

/// The last value of each key, in key order, with a single writer. What was written can be read back at once; it is
/// durable, all of it together, after the next [`commit`](Table::commit).
pub trait Table: Send {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`TableError::Io`] if it cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TableError>;

    /// Sets `key` to `value` if it is as `expected`, and returns the revision of this write.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if it is not as expected, or another [`TableError`]; the table is then unchanged.
    fn put(&mut self, key: &[u8], value: &[u8], expected: Expected) -> Result<Revision, TableError>;

    /// Removes `key` if it is as `expected`, and tells whether there was anything to remove.
    ///
    /// # Errors
    /// As [`put`](Table::put).
    fn delete(&mut self, key: &[u8], expected: Expected) -> Result<bool, TableError>;

    /// One page of the rows whose keys begin with `prefix`, in key order: at most `rows_max` of those that come
    /// after `after`. The last key of a page is the `after` of the next one.
    ///
    /// # Errors
    /// [`TableError::Io`] if the rows cannot be read.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, rows_max: usize) -> Result<Page, TableError>;

    /// Makes everything written since the last commit durable: after a crash, all of it is there or none of it.
    ///
    /// # Errors
    /// [`TableError`]; nothing has become durable, and committing again is allowed.
    fn commit(&mut self) -> Result<(), TableError>;

    /// Sets aside a copy of what was committed, which an opening falls back to should the table be damaged. The two
    /// newest copies are kept. Where nothing can be damaged, or something else takes care of it, this does nothing.
    ///
    /// # Errors
    /// [`TableError`]; the table itself is as it was.
    fn keep_copy(&mut self) -> Result<(), TableError> {
        Ok(())
    }
}

/// What a write to a table expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Anything or nothing: the write always happens.
    Anything,
    /// No value.
    Nothing,
    /// The value that was written with this revision.
    Revision(Revision),
}

/// A value in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// What was put.
    pub bytes: Arc<[u8]>,
    /// The write that put it.
    pub revision: Revision,
}

/// Some rows of a table, in key order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys and their values.
    pub rows: Vec<(Box<[u8]>, Value)>,
    /// Whether rows follow after the last one.
    pub more: bool,
}

/// Why a lane refused, sorted by who must act.
#[derive(Debug)]
pub enum LaneError {
    /// The operator, or time: there is no room for the block. Reading and trimming go on, and appending works again
    /// once something was trimmed or the bound was raised.
    Full {
        /// Bytes the block would take.
        needed_bytes: u64,
        /// Bytes that are free.
        free_bytes: u64,
    },
    /// This node: another writer has opened the lane. Nothing submitted through this handle will become durable any
    /// more; the node must stop answering for it.
    Fenced,
    /// The operator: these records were appended and cannot be read, because what they are stored in is damaged. A
    /// reader goes on after the last of them.
    Damaged {
        /// First record that is lost.
        first: Position,
        /// Last record that is lost.
        last: Position,
    },
    /// The operator: the ground itself fails.
    Io(io::Error),
}

impl fmt::Display for LaneError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LaneError::Full { needed_bytes, free_bytes } => {
                write!(out, "the log is full: a block needs {needed_bytes} bytes, {free_bytes} are free")
            }
            LaneError::Fenced => out.write_str("another writer has taken over the log"),
            LaneError::Damaged { first, last } => {
                write!(out, "records {first} to {last} are lost: the log is damaged there")
            }
            LaneError::Io(cause) => write!(out, "the log cannot be read or written: {cause}"),
        }
    }
}

impl Error for LaneError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            LaneError::Io(cause) => Some(cause),
            LaneError::Full { .. } | LaneError::Fenced | LaneError::Damaged { .. } => None,
        }
    }
}

impl From<io::Error> for LaneError {
    fn from(cause: io::Error) -> Self {
        LaneError::Io(cause)
    }
}

/// Why a table refused, sorted by who must act.
#[derive(Debug)]
pub enum TableError {
    /// The caller: the key is not as expected. Read again and decide.
    Conflict {
        /// Revision of the value that is there, if one is.
        found: Option<Revision>,
    },
    /// The operator: there is no room for the value. Deleting goes on.
    Full,
    /// This node: another writer has opened the table.
    Fenced,
    /// The operator: the ground itself fails.
    Io(io::Error),
}

impl fmt::Display for TableError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableError::Conflict { found: Some(revision) } => {
                write!(out, "the key holds revision {revision}, which is not what was expected")
            }
            TableError::Conflict { found: None } => {
                out.write_str("the key holds nothing, which is not what was expected")
            }
            TableError::Full => out.write_str("the table is full"),
            TableError::Fenced => out.write_str("another writer has taken over the table"),
            TableError::Io(cause) => write!(out, "the table cannot be read or written: {cause}"),
        }
    }
}

impl Error for TableError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TableError::Io(cause) => Some(cause),
            TableError::Conflict { .. } | TableError::Full | TableError::Fenced => None,
        }
    }
}

impl From<io::Error> for TableError {
    fn from(cause: io::Error) -> Self {
        TableError::Io(cause)
    }
}
