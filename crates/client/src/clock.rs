//! Notices that the machine slept: the clock of the day went on, the one that timers run by did not.
//!
//! After a sleep no timer is late by its own clock, and a connection that the server has long given up looks alive. Where
//! timers run on during sleep they fire at once afterwards, and nothing needs to be noticed.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// How often to look.
pub(crate) const LOOK: Duration = Duration::from_secs(10);
/// How far one clock has to run ahead. A clock that is set while the machine is awake costs a PINGREQ, no more.
const JUMP: Duration = Duration::from_secs(5);

/// The last look at both clocks.
#[derive(Debug)]
pub(crate) struct SleepWatch {
    day: SystemTime,
    timers: Instant,
}

impl SleepWatch {
    pub(crate) fn new() -> Self {
        SleepWatch { day: SystemTime::now(), timers: Instant::now() }
    }

    /// Whether the machine slept since the last look.
    pub(crate) fn slept(&mut self) -> bool {
        self.slept_until(SystemTime::now(), Instant::now())
    }

    fn slept_until(&mut self, day: SystemTime, timers: Instant) -> bool {
        let by_day = day.duration_since(self.day).unwrap_or_default();
        let by_timers = timers.saturating_duration_since(self.timers);
        *self = SleepWatch { day, timers };
        by_day > by_timers + JUMP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_noticed_once() {
        let mut watch = SleepWatch::new();
        let (day, timers) = (watch.day, watch.timers);
        let secs = Duration::from_secs;
        assert!(!watch.slept_until(day + secs(10), timers + secs(10)), "awake");
        assert!(watch.slept_until(day + secs(3_600), timers + secs(20)), "asleep for an hour");
        assert!(!watch.slept_until(day + secs(3_610), timers + secs(30)), "awake again");
    }

    #[test]
    fn a_clock_that_is_set_back_or_corrected_is_no_sleep() {
        let mut watch = SleepWatch::new();
        let (day, timers) = (watch.day, watch.timers);
        let secs = Duration::from_secs;
        assert!(!watch.slept_until(day - secs(7_200), timers + secs(10)), "set back");
        assert!(!watch.slept_until(day - secs(7_188), timers + secs(20)), "corrected by two seconds");
    }
}
