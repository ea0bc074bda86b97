//! What a shard holds, and whether it keeps its bounds: for whoever looks for leaks from outside.
//!
//! Looks at everything, and therefore takes its time; nothing on the way of a message calls it.

use longwire_proto::Version;
use longwire_proto::transfer::Stage;

use crate::link::LinkState;
use crate::session::{Held, REPLAYED_AT_ONCE};
use crate::shard::Shard;

/// Entries of a shard that come and go. After all clients have ended their sessions, every number is 0.
#[allow(missing_docs)] // The fields are the nouns of the sentence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    pub links: usize,
    /// Bytes that wait for sockets, answers that are owed included.
    pub waiting_bytes: usize,
    pub sessions: usize,
    pub subscriptions: usize,
    pub memberships: usize,
    /// Deliveries that are open.
    pub open_deliveries: usize,
    /// Bytes of messages that wait in sessions and groups.
    pub queue_bytes: usize,
    /// Shared groups at home here, and their members.
    pub groups: usize,
    pub members: usize,
    pub timers: usize,
    /// Answers that wait for the journal.
    pub owed_answers: usize,
    /// Messages that wait for the end of a turn, for mail to oneself, or behind a wide fan-out.
    pub messages_under_way: usize,
    /// Sessions that are noted for later in some list.
    pub noted_sessions: usize,
}

impl Shard {
    /// What it holds between two turns.
    pub fn holdings(&self) -> Holdings {
        let mut held = Holdings {
            links: self.links.slots_in_use(),
            waiting_bytes: self.links.waiting_bytes(),
            sessions: self.sessions.len(),
            groups: self.groups.len(),
            timers: self.timers.len(),
            owed_answers: self.answers_waiting(),
            messages_under_way: self.deferred.len() + self.mailed_to_self + self.wide.len(),
            noted_sessions: self.settling.len() + self.unfinished.len() + self.overfull.len(),
            ..Holdings::default()
        };
        for (_, _, session) in self.sessions.iter() {
            held.subscriptions += session.subscriptions.len();
            if let Some(extra) = session.extra() {
                held.memberships += extra.memberships.len();
                held.open_deliveries += extra.outgoing.len();
                held.queue_bytes += extra.queue_bytes;
            }
        }
        for group in self.groups.values() {
            held.queue_bytes += group.queue_bytes();
            held.members += group.len();
        }
        held
    }

    /// The name of a bound of [`crate::limits`] that is exceeded between two turns, which must never happen.
    pub fn exceeded_bound(&self) -> Option<&'static str> {
        self.exceeded_by_sessions().or_else(|| self.exceeded_by_links())
    }

    fn exceeded_by_sessions(&self) -> Option<&'static str> {
        for (_, _, session) in self.sessions.iter() {
            let Some(extra) = session.extra() else { continue };
            if extra.queue_bytes > self.limits.queue_bytes_max {
                return Some("queue_bytes_max of a session");
            }
            let is_held = |stage: &Stage<&Held>| matches!(stage, Stage::Publish(_));
            let held = extra.outgoing.iter().filter(|(_, stage)| is_held(stage)).count();
            if held > usize::from(self.limits.inflight_max) {
                return Some("inflight_max");
            }
            if session.subscriptions.len() + extra.memberships.len()
                > self.limits.subscriptions_per_session_max
            {
                return Some("subscriptions_per_session_max");
            }
        }
        None
    }

    fn exceeded_by_links(&self) -> Option<&'static str> {
        for id in self.links.ids() {
            let Some(link) = self.links.at(id) else { continue };
            // What is begun may be finished: a page of retained messages, and one packet more.
            let begun = (REPLAYED_AT_ONCE + 1) * self.limits.packet_size_max as usize;
            if link.waiting_bytes() > self.limits.outbox_bytes_max + begun {
                return Some("outbox_bytes_max");
            }
            let Some(extra) = link.extra() else { continue };
            let unanswered = u32::from(extra.inbound_open) + u32::from(extra.unanswered_qos1);
            if link.version == Version::V5
                && link.state == LinkState::Open
                && unanswered > u32::from(self.limits.receive_max)
            {
                return Some("receive_max");
            }
        }
        None
    }
}
