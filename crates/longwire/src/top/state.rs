//! What a broker has said about itself, and the rates that follow from two of its reports.
//!
//! A report is a burst of messages that begins with the uptime, which changes every time; what did not change is not
//! repeated. So a report is complete when nothing more has come for a moment, and the seconds between two of them are the
//! difference of their uptimes, on the broker's own clock.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Nothing came for this long: the report is complete.
const QUIET: Duration = Duration::from_millis(150);
/// Rates remembered of each count, more than the widest terminal shows.
const HISTORY_MAX: usize = 512;
/// Values remembered; a broker has about sixty.
const VALUES_MAX: usize = 1024;
/// Beginning of the topics.
const PREFIX: &str = "$SYS/broker/";

/// The counts that rates are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    MessagesIn,
    MessagesOut,
    BytesIn,
    BytesOut,
    Dropped,
}

impl Flow {
    pub(super) const ALL: [Flow; 5] =
        [Flow::MessagesIn, Flow::MessagesOut, Flow::BytesIn, Flow::BytesOut, Flow::Dropped];

    fn topic(self) -> &'static str {
        match self {
            Flow::MessagesIn => "publish/messages/received",
            Flow::MessagesOut => "publish/messages/sent",
            Flow::BytesIn => "bytes/received",
            Flow::BytesOut => "bytes/sent",
            Flow::Dropped => "publish/messages/dropped",
        }
    }
}

/// Whether there is a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Up,
    /// Why not.
    Down(String),
}

/// Everything that is shown. Times are since the start of the program.
#[derive(Debug)]
pub(super) struct State {
    pub(super) place: String,
    pub(super) link: Link,
    values: HashMap<String, String>,
    /// When the last value came, while its report is not complete.
    open: Option<Duration>,
    /// The last complete report.
    report: Option<Report>,
    /// Seconds between the last two.
    interval_secs: Option<u64>,
    histories: [VecDeque<f64>; Flow::ALL.len()],
}

#[derive(Debug)]
struct Report {
    uptime_secs: u64,
    completed: Duration,
    counts: [Option<u64>; Flow::ALL.len()],
}

impl State {
    pub(super) fn new(place: String) -> Self {
        State {
            place,
            link: Link::Up,
            values: HashMap::new(),
            open: None,
            report: None,
            interval_secs: None,
            histories: Default::default(),
        }
    }

    /// Takes a value of `$SYS` over.
    pub(super) fn note(&mut self, topic: &str, payload: &str, now: Duration) {
        let Some(name) = topic.strip_prefix(PREFIX) else { return };
        if self.values.len() < VALUES_MAX || self.values.contains_key(name) {
            self.values.insert(name.to_owned(), payload.to_owned());
            self.open = Some(now);
        }
    }

    /// Closes a report that is complete; tells whether it was one.
    pub(super) fn settle(&mut self, now: Duration) -> bool {
        if self.open.is_none_or(|last| now < last + QUIET) {
            return false;
        }
        self.open = None;
        let Some(uptime_secs) = self.uptime_secs() else { return true };
        let counts = Flow::ALL.map(|flow| self.number(flow.topic()));
        let report = Report { uptime_secs, completed: now, counts };
        match &self.report {
            // The same report once more, after a reconnect.
            Some(before) if before.uptime_secs == uptime_secs => return true,
            Some(before) if before.uptime_secs < uptime_secs => {
                let seconds = uptime_secs - before.uptime_secs;
                self.interval_secs = Some(seconds);
                for ((history, before), after) in self.histories.iter_mut().zip(before.counts).zip(counts) {
                    let (Some(before), Some(after)) = (before, after) else { continue };
                    if history.len() == HISTORY_MAX {
                        history.pop_front();
                    }
                    history.push_back(after.saturating_sub(before) as f64 / seconds as f64);
                }
            }
            // The broker has started anew, or this is the first.
            _ => self.interval_secs = None,
        }
        self.report = Some(report);
        true
    }

    /// Whether the broker has said anything.
    pub(super) fn has_values(&self) -> bool {
        !self.values.is_empty()
    }

    /// A value as it came.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// A value that is a whole number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.trim().parse().ok()
    }

    /// How long the broker runs.
    pub(super) fn uptime_secs(&self) -> Option<u64> {
        self.text("uptime")?.split_whitespace().next()?.parse().ok()
    }

    /// Seconds since the last report, and between the last two.
    pub(super) fn age_and_interval(&self, now: Duration) -> Option<(u64, Option<u64>)> {
        let report = self.report.as_ref()?;
        Some((now.saturating_sub(report.completed).as_secs(), self.interval_secs))
    }

    /// Rates per second, the newest last.
    pub(super) fn history(&self, flow: Flow) -> &VecDeque<f64> {
        &self.histories[flow as usize]
    }

    /// The newest rate.
    pub(super) fn rate(&self, flow: Flow) -> Option<f64> {
        self.history(flow).back().copied()
    }

    /// All values in order.
    pub(super) fn sorted(&self) -> Vec<(&str, &str)> {
        let mut values: Vec<_> =
            self.values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        values.sort_unstable();
        values
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A broker that has reported twice, 10 s apart.
    pub(in super::super) fn reported() -> State {
        let mut state = State::new("mqtt://localhost".to_owned());
        for (uptime, received, sent) in [(10_u64, 0_u64, 0_u64), (20, 50_000, 100_000)] {
            let now = at(uptime * 1000);
            for (name, value) in [
                ("uptime", format!("{uptime} seconds")),
                ("version", "longwire version 0.1.0".to_owned()),
                ("clients/connected", "1234".to_owned()),
                ("clients/total", "2000".to_owned()),
                ("clients/maximum", "1500".to_owned()),
                ("subscriptions/count", "4321".to_owned()),
                ("retained messages/count", "77".to_owned()),
                ("store/messages/count", "88".to_owned()),
                ("store/messages/bytes", "2048".to_owned()),
                ("publish/messages/received", received.to_string()),
                ("publish/messages/sent", sent.to_string()),
                ("publish/messages/dropped", "0".to_owned()),
                ("bytes/received", (received * 100).to_string()),
                ("bytes/sent", (sent * 100).to_string()),
            ] {
                state.note(&format!("$SYS/broker/{name}"), &value, now);
            }
            assert!(!state.settle(now + at(100)), "more may come");
            assert!(state.settle(now + at(200)));
        }
        state
    }

    #[test]
    fn rates_are_differences_over_the_brokers_own_seconds() {
        let state = reported();
        assert_eq!(state.rate(Flow::MessagesIn), Some(5_000.0));
        assert_eq!(state.rate(Flow::BytesOut), Some(1_000_000.0));
        assert_eq!(state.rate(Flow::Dropped), Some(0.0));
        assert_eq!(state.history(Flow::MessagesOut), &[10_000.0]);
        assert_eq!(state.age_and_interval(at(23_200)), Some((3, Some(10))));
    }

    #[test]
    fn what_is_not_repeated_has_not_changed() {
        let mut state = reported();
        state.note("$SYS/broker/uptime", "30 seconds", at(30_000));
        state.settle(at(31_000));
        assert_eq!(state.history(Flow::MessagesIn), &[5_000.0, 0.0]);
    }

    #[test]
    fn a_report_that_comes_again_is_no_new_one() {
        let mut state = reported();
        state.note("$SYS/broker/uptime", "20 seconds", at(25_000));
        state.settle(at(26_000));
        assert_eq!(state.history(Flow::MessagesIn), &[5_000.0]);
    }

    #[test]
    fn a_broker_that_has_started_anew_makes_no_rates_of_its_past() {
        let mut state = reported();
        state.note("$SYS/broker/uptime", "2 seconds", at(25_000));
        state.note("$SYS/broker/publish/messages/received", "7", at(25_000));
        state.settle(at(26_000));
        assert_eq!(state.history(Flow::MessagesIn), &[5_000.0]);
        state.note("$SYS/broker/uptime", "4 seconds", at(27_000));
        state.note("$SYS/broker/publish/messages/received", "17", at(27_000));
        state.settle(at(28_000));
        assert_eq!(state.rate(Flow::MessagesIn), Some(5.0));
    }

    #[test]
    fn values_and_rates_are_bounded() {
        let mut state = State::new("h".to_owned());
        for number in 0..2 * VALUES_MAX as u64 {
            state.note(&format!("$SYS/broker/{number}"), "1", at(0));
        }
        assert_eq!(state.sorted().len(), VALUES_MAX);
        let mut state = reported();
        for number in 0..2 * HISTORY_MAX as u64 {
            state.note("$SYS/broker/uptime", &format!("{} seconds", 30 + number), at(0));
            state.settle(at(1_000));
        }
        assert_eq!(state.history(Flow::MessagesIn).len(), HISTORY_MAX);
    }

    #[test]
    fn other_topics_are_passed_over() {
        let mut state = State::new("h".to_owned());
        state.note("a/b", "1", at(0));
        assert!(!state.has_values());
    }
}
