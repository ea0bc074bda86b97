//! The open loop: when each message is to be sent, decided before the first one, whatever the broker does.
//!
//! Publishers take turns, so that their messages are spread evenly over time. A message that leaves late keeps its
//! planned time as its stamp: what a slow broker makes wait counts as latency.

use std::time::Duration;

/// The plan of all publishers together.
#[derive(Debug)]
pub(super) struct Schedule {
    /// When the first message is due, as `now_nanos` says.
    began_nanos: u64,
    /// Between two messages, of whichever publishers.
    step_nanos: f64,
    publishers: u64,
    /// The next message in the order of all.
    next: u64,
}

impl Schedule {
    /// `rate` messages per second of each of so many publishers, from `began_nanos` on.
    pub(super) fn new(began_nanos: u64, rate: u32, publishers: usize) -> Self {
        let publishers = publishers as u64;
        let step_nanos = 1e9 / (f64::from(rate) * publishers as f64);
        Schedule { began_nanos, step_nanos, publishers, next: 0 }
    }

    /// Tells the publisher of each message that has become due.
    pub(super) fn advance(&mut self, now_nanos: u64, mut due: impl FnMut(u32)) {
        while self.at(self.next) <= now_nanos {
            due((self.next % self.publishers) as u32);
            self.next += 1;
        }
    }

    /// When message `number` of `publisher` is due.
    pub(super) fn planned(&self, publisher: u32, number: u64) -> u64 {
        self.at(number * self.publishers + u64::from(publisher))
    }

    /// How long until the next message is due.
    pub(super) fn patience(&self, now_nanos: u64) -> Duration {
        Duration::from_nanos(self.at(self.next).saturating_sub(now_nanos))
    }

    fn at(&self, place: u64) -> u64 {
        self.began_nanos + (place as f64 * self.step_nanos) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishers_take_turns() {
        // Two publishers, 500 messages per second each: one message a millisecond.
        let mut schedule = Schedule::new(1_000, 500, 2);
        let mut due = Vec::new();
        schedule.advance(2_001_000, |publisher| due.push(publisher));
        assert_eq!(due, [0, 1, 0]);
        assert_eq!(schedule.patience(2_501_000), Duration::from_micros(500));
        assert_eq!(schedule.planned(1, 1), 3_001_000);
    }

    #[test]
    fn what_was_slept_through_is_due_at_once_with_its_own_times() {
        let mut schedule = Schedule::new(0, 1_000, 1);
        let mut count = 0;
        schedule.advance(10_000_000, |_| count += 1);
        assert_eq!(count, 11);
        assert_eq!(schedule.planned(0, 10), 10_000_000);
    }
}
