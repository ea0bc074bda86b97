//! What happened in one scene, in order, shared by all its connections: the last lines are shown when it fails.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

/// Lines kept; a scene that sends thousands of packets shows its end.
const LINES_MAX: usize = 40;

/// A log of packets that all connections of a scene write into.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transcript(Arc<Mutex<VecDeque<String>>>);

impl Transcript {
    /// A packet of ours.
    pub(crate) fn sent(&self, who: &str, what: impl Display) {
        self.push(format!("{who} -> {what}"));
    }

    /// Something the broker did.
    pub(crate) fn came(&self, who: &str, what: impl Display) {
        self.push(format!("{who} <- {what}"));
    }

    /// Something we did that is not a packet.
    pub(crate) fn note(&self, who: &str, what: &str) {
        self.push(format!("{who} {what}"));
    }

    /// The last lines, oldest first.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}
