//! The broker's clock: wall time that never goes back. It is read once a turn.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use longwire_broker::message::Millis;

/// A clock that all threads of one broker share by copying it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    started_at: Millis,
}

/// One reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Milliseconds since 1970: wall time at the start, carried on by the monotonic clock, so that a step of the
    /// system's clock neither expires nor revives anything.
    pub(crate) millis: Millis,
    /// Whole seconds since the start, for timers.
    pub(crate) tick: u32,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { started: Instant::now(), started_at: since_1970.as_millis() as Millis }
    }

    pub(crate) fn read(&self) -> Now {
        let elapsed = self.started.elapsed();
        Now { millis: self.started_at + elapsed.as_millis() as Millis, tick: elapsed.as_secs() as u32 }
    }

    /// Milliseconds from `now` to the beginning of `tick`.
    pub(crate) fn millis_to_tick(&self, now: Now, tick: u32) -> u64 {
        (self.started_at + u64::from(tick) * 1_000).saturating_sub(now.millis)
    }
}
