//! What an operator can ask of the log at any time: how it is, what was damaged, and how much it did. The log writes
//! it, the server reads it through a [`Watch`], and neither waits for the other longer than a copy takes.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Position;

/// Damages remembered one by one; what comes after these is counted.
const DAMAGES_MAX: usize = 1000;

/// How the ground is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    #[default]
    Healthy,
    /// It goes on, but something was damaged or a file could not be written: [`Status::damages`] tells what.
    Degraded,
    /// The disk failed twice for the same records. Nothing is acknowledged any more; what is there can be read.
    Failed(String),
}

/// A part of a file that is not as it was written, or that could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where the damage begins.
    pub offset: u64,
    /// How far it reaches.
    pub bytes: u64,
    /// First and last record that are lost, as far as is known. Where nobody can tell how many were there, numbers are
    /// left out so that no new record gets the number of a lost one, and they count as lost.
    pub lost: Option<(Position, Position)>,
    /// What happened, as a sentence without its file.
    pub what: String,
}

/// What the log did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Groups of blocks that became durable.
    pub commits: u64,
    /// Syncs that a commit or a trim waited for.
    pub syncs: u64,
    /// Bytes written to segments.
    pub written_bytes: u64,
    /// Times an append had to wait until a segment was made.
    pub waits_for_segment: u64,
    /// Damages found, those included that are too many to be listed.
    pub damages: u64,
}

/// Everything there is to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How it is.
    pub state: State,
    /// What was damaged; at most a thousand of them.
    pub damages: Vec<Damage>,
    /// What was done.
    pub counters: Counters,
}

/// A look at the status from any thread.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Mutex<Status>>);

impl Watch {
    /// The status now.
    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    /// Remembers a damage, once.
    pub(crate) fn damage(&self, damage: Damage) {
        let mut status = self.lock();
        if status.damages.contains(&damage) {
            return;
        }
        status.counters.damages += 1;
        if status.state == State::Healthy {
            status.state = State::Degraded;
        }
        if status.damages.len() < DAMAGES_MAX {
            status.damages.push(damage);
        }
    }

    pub(crate) fn fail(&self, why: String) {
        self.lock().state = State::Failed(why);
    }

    pub(crate) fn count(&self, add: impl FnOnce(&mut Counters)) {
        add(&mut self.lock().counters);
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}, bytes {} to {}: {}",
            self.file.display(),
            self.offset,
            self.offset + self.bytes,
            self.what
        )?;
        match self.lost {
            Some((first, last)) => write!(out, "; records {first} to {last} are lost"),
            None => out.write_str("; no record is known to be lost"),
        }
    }
}
