//! One MQTT session: what it subscribed to, its transfers, and how far it has read.
//!
//! A *fleeting* session ends with its connection and is served at once, from shard to shard. A *durable* one
//! outlives it and is served from the log: it is either live, or *behind*, which is a position and nothing else.
//! The verbs are in the files below; each is an `impl Shard` for what one kind of input does.

mod catch_up;
mod connect;
mod deliver;
mod disconnect;
mod publish;
mod restore;
mod subscribe;
mod subscriptions;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use longwire_proto::transfer::{Incoming, Outgoing, Stage};
use longwire_proto::{PacketId, QoS};
use smallvec::SmallVec;

use crate::address::GroupRef;
use crate::input::LinkId;
use crate::message::{Message, Millis};
use crate::parcel::Lent;
use crate::record::Position;
use crate::teeth::{Tooth, bites};
use crate::will::Will;

pub(crate) use catch_up::REPLAYED_AT_ONCE;
pub(crate) use subscribe::Replay;
use subscriptions::Subscriptions;

/// Most messages a group lends to one member at a time.
pub(crate) const GROUP_CREDITS_MAX: u16 = 64;

/// No link: the session is offline.
const NO_LINK: LinkId = LinkId::MAX;

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client_id: Box<str>,
    pub(crate) subscriptions: Subscriptions,
    link: LinkId,
    /// QoS 1 and 2 deliveries its present connection may have open.
    pub(crate) quota: u16,
    /// Seconds it outlives its connection; `u32::MAX` is for ever.
    pub(crate) expiry_secs: u32,
    /// It is served from the log. Set when it begins; once set, it stays until the session ends, even if the expiry
    /// interval becomes 0, or a live message could overtake its backlog.
    pub(crate) durable: bool,
    extra: Option<Box<SessionExtra>>,
}

/// What an idle QoS 0 subscriber never needs.
#[derive(Debug, Default)]
pub(crate) struct SessionExtra {
    pub(crate) outgoing: Outgoing<Held>,
    pub(crate) incoming: Incoming,
    /// Messages that wait for the window or the socket.
    pub(crate) queue: VecDeque<Queued>,
    pub(crate) queue_bytes: usize,
    pub(crate) will: Option<Box<Will>>,
    /// When the will of an offline session is due.
    pub(crate) will_due: Option<Millis>,
    /// When the offline session ends.
    pub(crate) expiry_due: Option<Millis>,
    pub(crate) log: LogReader,
    /// Deliveries of an earlier connection that have to be sent again, in their order.
    pub(crate) resends: VecDeque<PacketId>,
    /// Retained messages still to be sent, filter by filter.
    pub(crate) replays: VecDeque<Replay>,
    /// Shared groups it is in.
    pub(crate) memberships: BTreeSet<GroupRef>,
    /// Groups whose hand-out came back for want of room; they must hear when there is some.
    pub(crate) starved: BTreeSet<GroupRef>,
}

/// How far a durable session has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogReader {
    /// Everything up to here was delivered to it or was not meant for it.
    pub(crate) read_through: Position,
    /// Messages after `read_through` may wait in the log.
    pub(crate) behind: bool,
    /// A page was asked for and has not come.
    pub(crate) reading: bool,
    /// What the journal was told last.
    pub(crate) settled: Position,
    /// It stands in the list of sessions whose settled position is to be told.
    pub(crate) settling: bool,
}

/// What a packet id that is in use stands for.
#[derive(Debug)]
pub(crate) enum Held {
    /// A live delivery: nothing is sent again, since the session ends with its connection.
    Live,
    /// A message in the log, with QoS and RETAIN as it was sent.
    Kept { position: Position, qos: QoS, retain: bool },
    /// A retained message sent to a durable session, with the identifier of the subscription; 0 is none.
    Retained { message: Arc<Message>, qos: QoS, identifier: u32 },
    /// A message of a shared group, with the identifier of the membership; 0 is none.
    Lent { lent: Box<Lent>, qos: QoS, retain: bool, identifier: u32 },
}

/// A message that waits for the window or the socket.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) message: Arc<Message>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) identifiers: SmallVec<[u32; 2]>,
}

impl Queued {
    /// Bytes it takes, with what a message takes beside its content: many small ones count too.
    fn bytes(&self) -> usize {
        size_of::<Queued>() + size_of::<Message>() + self.message.len()
    }
}

impl Session {
    pub(crate) fn new(client_id: &str, durable: bool, expiry_secs: u32) -> Self {
        Session {
            client_id: client_id.into(),
            subscriptions: Subscriptions::default(),
            link: NO_LINK,
            quota: u16::MAX,
            expiry_secs,
            durable,
            extra: None,
        }
    }

    /// Its connection, if it has one.
    pub(crate) fn link(&self) -> Option<LinkId> {
        (self.link != NO_LINK).then_some(self.link)
    }

    pub(crate) fn set_link(&mut self, link: Option<LinkId>) {
        self.link = link.unwrap_or(NO_LINK);
    }

    pub(crate) fn extra(&self) -> Option<&SessionExtra> {
        self.extra.as_deref()
    }

    /// The extra block, if it exists.
    pub(crate) fn extra_if(&mut self) -> Option<&mut SessionExtra> {
        self.extra.as_deref_mut()
    }

    pub(crate) fn extra_mut(&mut self) -> &mut SessionExtra {
        self.extra.get_or_insert_with(|| {
            let mut extra = Box::<SessionExtra>::default();
            extra.outgoing.start(self.quota);
            extra
        })
    }

    /// It outlives its connection.
    pub(crate) fn outlives_connection(&self) -> bool {
        self.expiry_secs > 0
    }
}

impl SessionExtra {
    /// Nothing up to here is needed again: the place before the oldest open delivery, or where reading stands.
    pub(crate) fn settled_through(&self) -> Position {
        let oldest_open = self
            .outgoing
            .iter()
            .filter_map(|(_, stage)| match stage {
                Stage::Publish(Held::Kept { position, .. }) => Some(*position),
                _ => None,
            })
            .min();
        let oldest_open = oldest_open.filter(|_| !bites(Tooth::SettledTooEarly));
        oldest_open.map_or(self.log.read_through, |position| position - 1)
    }

    pub(crate) fn enqueue(&mut self, queued: Queued) {
        self.queue_bytes += queued.bytes();
        self.queue.push_back(queued);
    }

    pub(crate) fn dequeue(&mut self) -> Option<Queued> {
        let queued = self.queue.pop_front()?;
        self.queue_bytes -= queued.bytes();
        if self.queue.is_empty() && self.queue.capacity() > 64 {
            self.queue = VecDeque::new();
        }
        Some(queued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_session_costs_a_few_words() {
        assert!(size_of::<Session>() <= 72, "{} bytes", size_of::<Session>());
    }
}
