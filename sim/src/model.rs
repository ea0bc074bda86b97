//! What MQTT promises, as plain bookkeeping beside the broker: who subscribed since when, what was published and
//! acknowledged, what each session saw. Times are steps of the history; "seen" means by the client.
//!
//! The model never asks the broker what it did. Where the standard leaves room, or a client cannot know what has
//! reached the broker, it allows all outcomes; everything else is an error.

mod session;
mod subscription;

use longwire_broker::message::{Millis, NEVER};
use longwire_proto::{QoS, topic};

pub(crate) use session::{Moment, Session};
pub(crate) use subscription::Subscription;

use crate::world::WireId;

/// A step of the history.
pub(crate) type Step = usize;

/// Topics that are always published with RETAIN, each at a QoS of its own, so that they have one last value.
pub(crate) const RETAINED: [(&str, QoS); 3] =
    [("r/0", QoS::AtMostOnce), ("r/1", QoS::AtLeastOnce), ("r/2", QoS::ExactlyOnce)];

/// Topics that are published without RETAIN, some of it for a short time only.
pub(crate) const PLAIN: [&str; 3] = ["t/a", "t/b", "u/a"];

/// A topic that is always published with RETAIN and for a short time only.
pub(crate) const EXPIRING: &str = "x/0";

/// Each reaches one shared group and nothing else.
pub(crate) const SHARED: [(&str, &str); 2] = [("s/1", "$share/g/s/1"), ("s/2/x", "$share/h/s/2/#")];

/// Nothing but wills is published to these.
pub(crate) const WILL_TOPICS: [&str; 2] = ["w/0", "w/1"];

/// What clients subscribe to.
pub(crate) const FILTERS: [&str; 13] = [
    "t/a",
    "t/b",
    "t/+",
    "+/a",
    "u/#",
    "r/1",
    "r/#",
    "$share/g/s/1",
    "$share/h/s/2/#",
    "w/#",
    "w/0",
    "x/+",
    "t/#",
];

/// Every topic there is.
pub(crate) fn topics() -> impl Iterator<Item = &'static str> {
    let retained = RETAINED.into_iter().map(|(topic, _)| topic);
    let shared = SHARED.into_iter().map(|(topic, _)| topic);
    retained.chain(PLAIN).chain([EXPIRING]).chain(shared).chain(WILL_TOPICS)
}

/// True if the filter matches the topic, whether it is shared or not.
pub(crate) fn matches(filter: &str, name: &str) -> bool {
    topic::matches(topic::shared(filter).map_or(filter, |shared| shared.filter), name)
}

/// One publication, or the will of one connection.
pub(crate) struct Publication {
    pub(crate) publisher: usize,
    pub(crate) topic: &'static str,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) payload: String,
    pub(crate) expiry_secs: Option<u32>,
    /// First sent; for a will, its CONNECT.
    pub(crate) sent_at: Step,
    /// Who is subscribed since before, and stays so, has to get it. For a will: the loss of its connection.
    pub(crate) due_at: Step,
    /// The clock when it was first sent.
    pub(crate) sent_on: Millis,
    /// How often its publisher sent it.
    pub(crate) sends: usize,
    /// PUBACK or PUBREC said yes; a will has to be published.
    pub(crate) accepted: bool,
    /// When the first of them came.
    pub(crate) accepted_at: Option<Step>,
    /// From this moment on it has surely expired.
    pub(crate) expired_on: Millis,
    pub(crate) will: Option<Will>,
}

/// What has become of a will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Will {
    /// Its connection is there, as far as the client knows.
    Armed(WireId),
    /// The client took it back by a DISCONNECT on this connection.
    Withdrawn(WireId),
    /// It may be published at any time.
    Loose,
    /// The client came back in time.
    Cancelled,
}

impl Publication {
    /// What `publisher` is about to send.
    pub(crate) fn new(publisher: usize, topic: &'static str, qos: QoS, step: Step, now: Millis) -> Self {
        Publication {
            publisher,
            topic,
            qos,
            retain: false,
            payload: String::new(),
            expiry_secs: None,
            sent_at: step,
            due_at: step,
            sent_on: now,
            sends: 0,
            accepted: false,
            accepted_at: None,
            expired_on: NEVER,
            will: None,
        }
    }

    /// PUBACK or PUBREC said yes.
    pub(crate) fn accept(&mut self, step: Step, now: Millis) {
        self.accepted = true;
        self.accepted_at.get_or_insert(step);
        if let Some(secs) = self.expiry_secs {
            self.expired_on = now + u64::from(secs) * 1_000;
        }
    }

    /// It may have expired in the broker.
    fn may_have_expired(&self, now: Millis) -> bool {
        self.expiry_secs.is_some_and(|secs| self.sent_on + u64::from(secs) * 1_000 <= now)
    }

    /// It reaches a shared group and nothing else.
    pub(crate) fn is_shared(&self) -> bool {
        SHARED.iter().any(|(topic, _)| *topic == self.topic)
    }
}

/// Everything published.
#[derive(Default)]
pub(crate) struct Publications {
    pub(crate) all: Vec<Publication>,
    /// The journal may be full: one that was refused is taken when it is sent again, after those behind it, and a will
    /// may be dropped.
    pub(crate) may_be_refused: bool,
}

/// The number of the publication that a payload belongs to; deletions of retained messages have none.
pub(crate) fn number_of(payload: &str) -> Option<usize> {
    payload.split(':').next()?.parse().ok()
}
