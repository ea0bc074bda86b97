//! What survived of sessions and shared groups: what a shard is given back when a broker starts again.
//!
//! Addresses survive too. A session returns to its slot and a group to its number, so that records and messages
//! written before mean the same afterwards.

use std::collections::BTreeSet;
use std::sync::Arc;

use longwire_proto::transfer::Stage;
use longwire_proto::{PacketId, QoS};

use crate::address::{GroupRef, SessionRef};
use crate::message::{Message, Millis};
use crate::record::Position;
use crate::routes::TargetOptions;
use crate::will::Will;

/// A session that outlived the broker.
#[derive(Clone, Debug)]
pub struct KeptSession {
    /// Where it lives.
    pub session: SessionRef,
    /// Whose it is.
    pub client_id: Box<str>,
    /// Seconds it outlives its connection; `u32::MAX` is for ever.
    pub expiry_secs: u32,
    /// When it lost its connection; `None` if the broker went first, which counts as losing it now.
    pub left_at: Option<Millis>,
    /// Its will, if that is still to be published.
    pub will: Option<Box<Will>>,
    /// Its subscriptions.
    pub subscriptions: Vec<KeptSubscription>,
    /// QoS 2 ids it sent and did not release.
    pub inbound: Vec<PacketId>,
    /// What was sent to it and not finished, in the order of sending.
    pub outbound: Vec<KeptDelivery>,
    /// Everything up to here was delivered to it or was not meant for it.
    pub read_through: Position,
}

/// One subscription of a session that survived.
#[derive(Clone, Debug)]
pub struct KeptSubscription {
    /// The whole filter, `$share/name/` included.
    pub filter: Box<str>,
    /// Its options.
    pub options: TargetOptions,
    /// Its identifier; 0 if it has none.
    pub identifier: u32,
    /// The group of a shared one.
    pub group: Option<GroupRef>,
}

/// A delivery that was under way.
#[derive(Clone, Debug)]
pub struct KeptDelivery {
    /// Its id.
    pub packet_id: PacketId,
    /// Its QoS.
    pub qos: QoS,
    /// How far it came.
    pub stage: Stage<KeptContent>,
}

/// What a delivery that was under way has to send again.
#[derive(Clone, Debug)]
pub enum KeptContent {
    /// The message at this position, with this RETAIN.
    Logged {
        /// Its place.
        position: Position,
        /// As it was sent.
        retain: bool,
    },
    /// A retained message.
    Retained {
        /// The message.
        message: Arc<Message>,
        /// Identifier of the subscription that asked for it, or 0.
        identifier: u32,
    },
    /// A message of a shared group.
    Lent {
        /// The group.
        group: GroupRef,
        /// Its place in the log.
        position: Position,
        /// As it was sent.
        retain: bool,
        /// Identifier of the membership, or 0.
        identifier: u32,
        /// The message at that place.
        message: Arc<Message>,
    },
}

/// A shared group with a durable member.
#[derive(Clone, Debug)]
pub struct KeptGroup {
    /// Where it lives.
    pub group: GroupRef,
    /// `$share/name/filter`.
    pub filter: Box<str>,
    /// How often durable members joined it.
    pub joins: u32,
    /// Every message up to here is finished.
    pub settled: Position,
    /// Messages after `settled` that are finished.
    pub finished: BTreeSet<Position>,
    /// Messages after `settled` that a member holds.
    pub lent: BTreeSet<Position>,
}
