//! Everything worth telling an operator: who, what and why. The log, and later metrics, read this one list.

use longwire_proto::{ReasonCode, Version};

use crate::input::LinkId;

/// Something happened.
#[allow(missing_docs)] // The fields are the nouns of each sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client was accepted.
    Connected {
        link: LinkId,
        client: Box<str>,
        version: Version,
        session_present: bool,
        keep_alive_secs: u16,
    },
    /// A CONNECT was refused.
    Refused { link: LinkId, client: Box<str>, reason: ReasonCode, why: &'static str, remedy: &'static str },
    /// A connection ended.
    Disconnected { link: LinkId, client: Box<str>, reason: ReasonCode, why: Why },
    /// One packet was refused while its connection stays.
    PacketRefused { link: LinkId, client: Box<str>, topic: Box<str>, reason: ReasonCode, why: &'static str },
    /// Deliveries to a client are held back or dropped because its socket takes nothing.
    Slow { link: LinkId, client: Box<str> },
    /// A message was dropped.
    Dropped { client: Box<str>, topic: Box<str>, why: &'static str },
    /// An offline session reached its expiry `[MQTT-4.1.0-2]`.
    SessionExpired { client: Box<str> },
    /// A will was published.
    WillPublished { client: Box<str>, topic: Box<str> },
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The client said goodbye.
    ClientLeft,
    /// The client left and asked for its will.
    ClientLeftWithWill,
    /// The network connection ended without a word.
    NetworkLost,
    /// Nothing came in 1.5 times the keep-alive.
    KeepAlive,
    /// A packet was begun and not finished in time.
    PacketTimeout,
    /// Another connection took the session.
    TakenOver,
    /// The broker stops.
    Stopping,
    /// The client broke a rule: statement and explanation.
    BrokeRule(&'static str, &'static str),
    /// A bound was reached: explanation.
    Bound(&'static str),
}
