//! Everything that can happen to a shard.

use longwire_proto::ReasonCode;
use longwire_proto::decode::DecodeError;
use longwire_proto::packet::{Connect, Packet};

use crate::parcel::{FromJournal, Parcel};

/// A connection's number on its shard. The caller gives it out, and again only after the turn in which it closed.
pub type LinkId = u32;

/// One thing that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A connection sent its CONNECT; it was brought to this shard because the client id is at home here.
    Connect {
        /// Its number.
        link: LinkId,
        /// The packet.
        connect: &'a Connect<'a>,
        /// An unguessable id at home on this shard, used if the client sent none `[MQTT-3.1.3-6]`.
        assigned_id: &'a str,
    },
    /// A connection sent a packet after CONNECT.
    Packet {
        /// Its number.
        link: LinkId,
        /// The packet.
        packet: Packet<'a>,
    },
    /// A connection sent bytes that are no packet, or one that breaks a rule of its own.
    Broken {
        /// Its number.
        link: LinkId,
        /// What is wrong.
        error: DecodeError,
    },
    /// The connection is gone, or shall be.
    Closed {
        /// Its number.
        link: LinkId,
        /// Why.
        cause: CloseCause,
    },
    /// The socket took everything that waited, after deliveries were held back for its sake.
    Drained {
        /// The connection's number.
        link: LinkId,
    },
    /// A step of enhanced authentication was decided.
    Authenticated {
        /// The connection's number.
        link: LinkId,
        /// The decision.
        outcome: AuthenticationOutcome,
    },
    /// Mail from a shard.
    Parcel(Parcel),
    /// Mail from the journal.
    Journal(FromJournal),
    /// Retained publications of this turn may take their order now: the caller holds the lock that orders them among
    /// all shards until the mail of this turn is posted.
    PublishDeferred,
    /// The turn begins, and the one before left work over.
    Continue,
    /// The turn ends: time to say what is not needed any more.
    TurnEnds,
    /// Some moment of [`crate::shard::Shard::next_due`] has come.
    Due,
    /// Time for a round of `$SYS` topics; sent to one shard only.
    Sys {
        /// Topic and payload of each value that changed.
        values: &'a [(String, String)],
    },
    /// The broker will stop: publish the wills that are due then, while their receivers can still be reached.
    Prepare,
    /// The broker stops: say so to every client, and publish what has to be published.
    Stop,
}

/// Why a connection ended, as far as the caller knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// The peer closed or reset it, or it failed.
    Network,
    /// Nothing came for 1.5 times the keep-alive `[MQTT-3.1.2-22]` `[MQTT-3.1.2-24 of 3.1.1]`.
    KeepAlive,
    /// A packet was begun and not finished in time.
    PacketTimeout,
}

/// What became of a step of enhanced authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthenticationOutcome {
    /// The exchange goes on with this data `[MQTT-4.12.0-2]`.
    Continue(Option<Box<[u8]>>),
    /// The client is who it says; final data, if any.
    Accepted(Option<Box<[u8]>>),
    /// It is not `[MQTT-4.12.0-4]`.
    Refused(ReasonCode),
}
