//! What holds for one connection only: the server's limits, the aliases, the window and the keep-alive clocks.
//!
//! A link begins with an accepted CONNACK and is thrown away with its transport; nothing in it may outlive
//! that. Times are milliseconds of the caller's clock.

use std::collections::BTreeSet;

use super::alias::{AliasesIn, AliasesOut};
use super::event::Limits;
use super::settings::Settings;
use crate::packet::PacketId;

/// The state of an accepted connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) limits: Limits,
    pub(super) aliases_in: AliasesIn,
    pub(super) aliases_out: AliasesOut,
    /// QoS 1 and 2 messages the server has open, counted from the beginning of this connection.
    pub(super) receiving: u16,
    /// QoS 2 messages that came again before the owner took them; their PUBREC is owed.
    pub(super) repeated: BTreeSet<PacketId>,
    pub(super) dialogue: Dialogue,
    pub(super) keep_alive: KeepAlive,
}

impl Link {
    pub(super) fn new(settings: &Settings, limits: Limits, keep_alive: KeepAlive) -> Self {
        let aliases = limits.topic_alias_maximum.min(settings.topic_aliases_used_max);
        Link {
            limits,
            aliases_in: AliasesIn::default(),
            aliases_out: AliasesOut::new(aliases),
            receiving: 0,
            repeated: BTreeSet::new(),
            dialogue: Dialogue::None,
            keep_alive,
        }
    }
}

/// Where a re-authentication stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialogue {
    None,
    /// The server is to speak.
    Asked,
    /// The client is to answer.
    Challenged,
}

/// When to speak up, and when to give the server up.
#[derive(Debug)]
pub(super) struct KeepAlive {
    /// Longest silence before a PINGREQ; `None` switches both directions off.
    idle_ms: Option<u64>,
    timeout_ms: u64,
    sent_ms: u64,
    received_ms: u64,
    /// When the PINGREQ went out that waits for its answer.
    ping_ms: Option<u64>,
    /// The owner does not read; silence proves nothing.
    held: bool,
}

/// What the keep-alive asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Send a PINGREQ `[MQTT-3.1.2-20]` `[MQTT-3.1.2-23 of 3.1.1]`.
    Ping,
    /// The server is dead.
    Dead,
}

impl KeepAlive {
    /// Clocks of a connection on which a packet was just received. The PINGREQ leaves after three quarters of
    /// the interval, so that neither a slow timer nor the network makes it late.
    pub(super) fn new(interval_secs: u16, timeout_ms: u64, now_ms: u64) -> Self {
        let idle_ms = (interval_secs > 0).then(|| u64::from(interval_secs) * 750);
        KeepAlive { idle_ms, timeout_ms, sent_ms: now_ms, received_ms: now_ms, ping_ms: None, held: false }
    }

    pub(super) fn sent(&mut self, now_ms: u64) {
        self.sent_ms = now_ms;
    }

    pub(super) fn pinged(&mut self, now_ms: u64) {
        self.sent_ms = now_ms;
        self.ping_ms.get_or_insert(now_ms);
    }

    /// Bytes came in: the server lives.
    pub(super) fn received(&mut self, now_ms: u64) {
        self.received_ms = now_ms;
    }

    /// PINGRESP came in.
    pub(super) fn answered(&mut self) {
        self.ping_ms = None;
    }

    /// The owner stops (or begins again) to read. What the server may have sent meanwhile counts as a sign of
    /// life, so the wait for it starts afresh.
    pub(super) fn hold(&mut self, held: bool, now_ms: u64) {
        if self.held && !held {
            self.received_ms = now_ms;
        }
        self.held = held;
    }

    pub(super) fn due(&self, now_ms: u64) -> Due {
        if self.dead_ms().is_some_and(|at| at <= now_ms) {
            Due::Dead
        } else if self.ping_due_ms().is_some_and(|at| at <= now_ms) {
            Due::Ping
        } else {
            Due::Nothing
        }
    }

    /// The next moment at which [`KeepAlive::due`] changes.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        [self.dead_ms(), self.ping_due_ms()].into_iter().flatten().min()
    }

    /// A PINGREQ is due when this side was silent, and also when the server was: a client that only ever sends
    /// would not notice otherwise.
    fn ping_due_ms(&self) -> Option<u64> {
        let idle_ms = self.idle_ms?;
        let ours = self.sent_ms.saturating_add(idle_ms);
        if self.held || self.ping_ms.is_some() {
            return Some(ours);
        }
        Some(ours.min(self.received_ms.saturating_add(idle_ms)))
    }

    /// Anything received counts, not only PINGRESP, which may be queued behind a large message.
    fn dead_ms(&self) -> Option<u64> {
        let ping_ms = self.ping_ms.filter(|_| !self.held)?;
        Some(ping_ms.max(self.received_ms).saturating_add(self.timeout_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[MQTT-3.1.2-20]`, `[MQTT-3.1.2-23 of 3.1.1]`.
    #[test]
    fn an_idle_client_pings_within_the_interval() {
        let clocks = KeepAlive::new(10, 5_000, 0);
        assert_eq!(clocks.due(7_499), Due::Nothing);
        assert_eq!(clocks.due(7_500), Due::Ping);
        assert_eq!(clocks.deadline_ms(), Some(7_500));
    }

    #[test]
    fn a_client_that_only_sends_pings_too() {
        let mut clocks = KeepAlive::new(10, 5_000, 0);
        clocks.sent(7_000);
        assert_eq!(clocks.due(7_500), Due::Ping);
    }

    #[test]
    fn a_client_that_only_receives_pings_too() {
        let mut clocks = KeepAlive::new(10, 5_000, 0);
        clocks.received(7_000);
        assert_eq!(clocks.due(7_500), Due::Ping);
    }

    #[test]
    fn an_unanswered_ping_means_a_dead_server() {
        let mut clocks = KeepAlive::new(10, 5_000, 0);
        clocks.pinged(8_000);
        assert_eq!(clocks.due(12_999), Due::Nothing);
        assert_eq!(clocks.due(13_000), Due::Dead);
    }

    #[test]
    fn any_byte_from_the_server_extends_the_wait() {
        let mut clocks = KeepAlive::new(10, 5_000, 0);
        clocks.pinged(8_000);
        clocks.received(10_000);
        assert_eq!(clocks.due(14_999), Due::Nothing);
        assert_eq!(clocks.due(15_000), Due::Dead);
    }

    #[test]
    fn an_answered_ping_starts_the_next_round() {
        let mut clocks = KeepAlive::new(10, 5_000, 0);
        clocks.pinged(8_000);
        clocks.received(8_001);
        clocks.answered();
        assert_eq!(clocks.deadline_ms(), Some(15_500));
    }

    #[test]
    fn silence_while_nobody_reads_proves_nothing() {
        let mut clocks = KeepAlive::new(10, 5_000, 0);
        clocks.pinged(8_000);
        clocks.hold(true, 8_000);
        assert_eq!(clocks.due(15_000), Due::Nothing);
        assert_eq!(clocks.due(15_500), Due::Ping);
        clocks.hold(false, 100_000);
        assert_eq!(clocks.due(100_000), Due::Ping);
        clocks.pinged(100_000);
        assert_eq!(clocks.due(104_999), Due::Nothing);
        assert_eq!(clocks.due(105_000), Due::Dead);
    }

    #[test]
    fn interval_zero_is_off() {
        let clocks = KeepAlive::new(0, 5_000, 0);
        assert_eq!(clocks.deadline_ms(), None);
        assert_eq!(clocks.due(u64::MAX), Due::Nothing);
    }
}
