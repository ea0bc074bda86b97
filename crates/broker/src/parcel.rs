//! What shards and the journal mail to each other. Everything between two of them arrives in the order it was sent.

use std::ops::Range;
use std::sync::Arc;

use longwire_proto::QoS;
use smallvec::SmallVec;

use crate::address::{GroupRef, SessionRef};
use crate::message::{Head, Message, MessageView};
use crate::record::Position;
use crate::routes::Receiver;

/// Mail from shard to shard.
#[derive(Debug)]
pub enum Parcel {
    /// Messages for sessions and groups of the addressee.
    Messages(Batch),
    /// Word between a shared group and a member's shard.
    Group(GroupMail),
}

impl Parcel {
    /// Bytes of messages in it that are not delivered yet.
    pub fn bytes(&self) -> usize {
        match self {
            Parcel::Messages(batch) => batch.bytes(),
            Parcel::Group(_) => 0,
        }
    }
}

/// Who receives one copy of a message, and how: the outcome of all of its subscriptions that matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Session or group.
    pub receiver: Receiver,
    /// Highest granted QoS of the matching subscriptions `[MQTT-3.3.4-2]`.
    pub qos: QoS,
    /// Forward RETAIN as published; true if any matching subscription wants it (F03).
    pub retain_as_published: bool,
    /// Which of the identifiers beside the recipients are its own: first and count `[MQTT-3.3.4-4]`.
    pub identifiers: (u32, u16),
}

impl Recipient {
    /// Its identifiers among `all`.
    pub fn identifiers_in<'a>(&self, all: &'a [u32]) -> &'a [u32] {
        let first = self.identifiers.0 as usize;
        all.get(first..first + usize::from(self.identifiers.1)).unwrap_or(&[])
    }
}

/// Many messages with their recipients, in a few allocations for all of them.
#[derive(Debug)]
pub struct Batch {
    /// The shard that sent it.
    pub(crate) from: u16,
    items: Vec<Item>,
    content: Vec<u8>,
    recipients: Vec<Recipient>,
    identifiers: Vec<u32>,
}

#[derive(Debug)]
struct Item {
    head: Head,
    content: Range<usize>,
    recipients: Range<usize>,
    identifiers: Range<usize>,
}

impl Batch {
    /// An empty batch of shard `from`.
    pub(crate) fn from_shard(from: u16) -> Self {
        Batch {
            from,
            items: Vec::new(),
            content: Vec::new(),
            recipients: Vec::new(),
            identifiers: Vec::new(),
        }
    }

    /// Adds a message. The recipients' identifier ranges refer to `identifiers`.
    pub(crate) fn push(&mut self, view: &MessageView<'_>, recipients: &[Recipient], identifiers: &[u32]) {
        let content_start = self.content.len();
        let head = view.write_content(&mut self.content);
        let recipients_start = self.recipients.len();
        self.recipients.extend_from_slice(recipients);
        let identifiers_start = self.identifiers.len();
        self.identifiers.extend_from_slice(identifiers);
        self.items.push(Item {
            head,
            content: content_start..self.content.len(),
            recipients: recipients_start..self.recipients.len(),
            identifiers: identifiers_start..self.identifiers.len(),
        });
    }

    /// Each message with its recipients and their identifiers, in the order they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (MessageView<'_>, &[Recipient], &[u32])> {
        self.items.iter().map(|item| {
            (
                item.head.view(&self.content[item.content.clone()]),
                &self.recipients[item.recipients.clone()],
                &self.identifiers[item.identifiers.clone()],
            )
        })
    }

    /// Bytes it holds: content, recipients and their identifiers.
    pub fn bytes(&self) -> usize {
        self.content.len() + size_of_val(&self.recipients[..]) + size_of_val(&self.identifiers[..])
    }
}

/// What a member of a shared group agreed to.
#[derive(Clone, Debug)]
pub struct MemberTerms {
    /// Granted QoS `[MQTT-4.8.2-3]`.
    pub qos: QoS,
    /// Forward RETAIN as published.
    pub retain_as_published: bool,
    /// Subscription identifier; 0 if none.
    pub identifier: u32,
}

/// A message of a group while a member holds it.
#[derive(Clone, Debug)]
pub struct Lent {
    /// The group it belongs to.
    pub group: GroupRef,
    /// The message.
    pub message: Arc<Message>,
    /// Its place in the log, if it is kept there for the group.
    pub position: Option<Position>,
}

impl Lent {
    /// Bytes it takes where it waits.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Lent>() + size_of::<Message>() + self.message.len()
    }
}

/// Word between a shared group and a member's shard.
#[allow(missing_docs)] // The fields are the nouns of each sentence.
#[derive(Debug)]
pub enum GroupMail {
    /// To the group: a session subscribed, or changed its terms.
    Join { group: GroupRef, member: SessionRef, terms: MemberTerms },
    /// To the group: it unsubscribed or ended.
    Leave { group: GroupRef, member: SessionRef },
    /// To the group: the member is connected and has room for this many messages more than it holds.
    Open { group: GroupRef, member: SessionRef, credits: u16, packet_size_max: u32 },
    /// To the group: the member lost its connection.
    Gone { group: GroupRef, member: SessionRef },
    /// To the group: the member finished this message.
    Finished { group: GroupRef, member: SessionRef, position: Option<Position> },
    /// To the group: the member could not begin this message; another shall have it. `full` says that it has no room.
    Returned { member: SessionRef, lent: Lent, full: bool },
    /// To the member: deliver this.
    HandOut { member: SessionRef, lent: Lent, terms: MemberTerms },
}

/// A kept message for live receivers, from the journal, in log order.
#[derive(Debug)]
pub struct LogDelivery {
    /// Its place in the log.
    pub position: Position,
    /// The message.
    pub message: Arc<Message>,
    /// Receivers that live on the addressed shard.
    pub recipients: Vec<Recipient>,
    /// The identifiers they refer to.
    pub identifiers: Vec<u32>,
    /// Groups that take it like a live message: they were to be served from the log, but it has no place for them at
    /// this position.
    pub live_groups: Vec<GroupRef>,
    /// The publisher, if its subscriptions match but it does not want its own messages: it has read past this one.
    pub passed: Option<SessionRef>,
}

/// What one receiver reads to catch up.
#[derive(Debug)]
pub struct Page {
    /// Who asked.
    pub receiver: Receiver,
    /// Messages meant for it, in log order.
    pub entries: Vec<PageEntry>,
    /// Everything up to here is in this page or not meant for the receiver.
    pub through: Position,
    /// It answers [`Ask::ReadAgain`]: the entries were delivered before.
    pub is_resend: bool,
    /// The page reached the end of the log as it was when it was read. What came later follows as [`LogDelivery`].
    pub at_tip: bool,
}

/// One message of a [`Page`].
#[derive(Debug)]
pub struct PageEntry {
    /// Its place in the log.
    pub position: Position,
    /// The message.
    pub message: Arc<Message>,
    /// Highest granted QoS of the matching subscriptions.
    pub qos: QoS,
    /// Forward RETAIN as published.
    pub retain_as_published: bool,
    /// Identifiers of the matching subscriptions.
    pub identifiers: SmallVec<[u32; 2]>,
}

/// Mail from the journal to a shard.
#[derive(Debug)]
pub enum FromJournal {
    /// Every ticket up to this one is kept.
    Kept(u64),
    /// Kept messages for receivers on this shard.
    Deliveries(Vec<LogDelivery>),
    /// An answer to [`Ask::Read`].
    Page(Page),
    /// The log is full (`true`) or has room again: QoS 1 and 2 that need it are refused meanwhile.
    Full(bool),
}

/// What a shard asks of the journal without a ticket.
#[allow(missing_docs)] // The fields are the nouns of each sentence.
#[derive(Debug)]
pub enum Ask {
    /// Messages for this receiver after this position, at most so many.
    Read { receiver: Receiver, after: Position, messages_max: usize },
    /// Exactly the messages at these positions, to send them again.
    ReadAgain { receiver: Receiver, positions: Vec<Position> },
    /// The receiver will never need anything up to this position again.
    Settled { receiver: Receiver, through: Position },
}
