//! What happened in one scene, in order, shared by all its connections: the last lines are shown when it fails.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Lines kept; a scene that sends thousands of packets shows its end.
const LINES_MAX: usize = 40;

/// A log of packets that all connections of a scene write into.
#[derive(Clone, Debug)]
pub(crate) struct Transcript {
    start: Instant,
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl Transcript {
    /// An empty one; its clock starts now.
    pub(crate) fn new() -> Self {
        Transcript { start: Instant::now(), lines: Arc::default() }
    }

    /// A packet of ours.
    pub(crate) fn sent(&self, who: &str, what: impl Display) {
        self.push(format_args!("{who} -> {what}"));
    }

    /// Something the broker did.
    pub(crate) fn came(&self, who: &str, what: impl Display) {
        self.push(format_args!("{who} <- {what}"));
    }

    /// Something we did that is not a packet.
    pub(crate) fn note(&self, who: &str, what: &str) {
        self.push(format_args!("{who} {what}"));
    }

    /// The last lines, oldest first.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Adds a line with its time in milliseconds.
    fn push(&self, line: impl Display) {
        let line = format!("{:5} {line}", self.start.elapsed().as_millis());
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}
