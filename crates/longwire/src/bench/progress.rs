//! The line that shows on a terminal how a run goes; anywhere else it is not shown.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line changes.
const PERIOD: Duration = Duration::from_millis(500);

/// The line on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    is_shown: bool,
    drawn: Option<Instant>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Progress { is_shown: io::stderr().is_terminal(), drawn: None }
    }

    /// Shows this text, if there is a terminal and the last one is old enough; gets the time since then.
    pub(super) fn show(&mut self, text: impl FnOnce(Duration) -> String) {
        let since = self.drawn.map_or(PERIOD, |drawn| drawn.elapsed());
        if self.is_shown && since >= PERIOD {
            self.drawn = Some(Instant::now());
            // Whoever closed standard error does not want to see it.
            let _ = write!(io::stderr(), "\r\x1b[K{}", text(since));
        }
    }

    /// Makes room for a line that stays.
    pub(super) fn clear(&mut self) {
        if self.is_shown && self.drawn.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
