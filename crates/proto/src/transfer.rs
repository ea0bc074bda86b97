//! The QoS 1 and 2 hand-shakes.

use std::collections::VecDeque;

use crate::packet::{PacketId, QoS};

/// Messages sent and not yet settled.
#[derive(Clone, Debug)]
pub struct Outgoing<T> {
    entries: VecDeque<T>,
}

/// Where an outgoing message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage<T> {
    /// PUBLISH is open; its content is still needed.
    Publish(T),
    /// PUBREC came: PUBREL is owed, PUBCOMP awaited.
    Release,
}

/// Why an acknowledgement does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckFault {
    /// No message is open under this id.
    UnknownId,
    /// A message is open under this id, but this is not what it waits for.
    WrongStage,
}

impl<T> Default for Outgoing<T> {
    fn default() -> Self {
        Outgoing { entries: VecDeque::new() }
    }
}

impl<T> Outgoing<T> {
    /// Nothing in flight, no quota.
    pub fn new() -> Self {
        Self::default()
    }

    /// A connection begins: `quota` PUBLISHes may be open at once.
    pub fn start(&mut self, _quota: u16) {
        todo!()
    }

    /// PUBLISHes that may be opened now.
    pub fn room(&self) -> u16 {
        todo!()
    }

    /// Opens a message under the next free id.
    pub fn open(&mut self, _qos: QoS, _content: T) -> Option<PacketId> {
        todo!()
    }

    /// As [`Outgoing::open`], and skips the ids that are `taken` for something else.
    pub fn open_except(
        &mut self,
        _qos: QoS,
        _content: T,
        _taken: impl Fn(PacketId) -> bool,
    ) -> Option<PacketId> {
        todo!()
    }

    /// Opens a message under the id it had before, behind all others.
    pub fn restore(&mut self, _id: PacketId, _qos: QoS, _stage: Stage<T>) -> bool {
        todo!()
    }

    /// The next PUBLISH or PUBREL that is due again on this connection.
    pub fn resend(&mut self) -> Option<(PacketId, Stage<&T>)> {
        todo!()
    }

    /// PUBACK: the message is settled.
    ///
    /// # Errors
    /// It does not fit; nothing changed.
    pub fn puback(&mut self, _id: PacketId) -> Result<T, AckFault> {
        todo!()
    }

    /// PUBREC below 0x80.
    ///
    /// # Errors
    /// It does not fit; nothing changed.
    pub fn pubrec(&mut self, _id: PacketId) -> Result<T, AckFault> {
        todo!()
    }

    /// PUBREC of 0x80 or above: the message is settled.
    ///
    /// # Errors
    /// It does not fit; nothing changed.
    pub fn pubrec_refused(&mut self, _id: PacketId) -> Result<T, AckFault> {
        todo!()
    }

    /// PUBCOMP: the message is settled.
    ///
    /// # Errors
    /// It does not fit; nothing changed.
    pub fn pubcomp(&mut self, _id: PacketId) -> Result<(), AckFault> {
        todo!()
    }

    /// What is open under an id.
    pub fn stage(&self, _id: PacketId) -> Option<Stage<&T>> {
        todo!()
    }

    /// Whether something is open under an id.
    pub fn contains(&self, id: PacketId) -> bool {
        self.stage(id).is_some()
    }

    /// Everything open, in its original order.
    /// Contents of all that is still to be published, in order.
    pub fn into_contents(self) -> impl DoubleEndedIterator<Item = T> {
        self.entries.into_iter()
    }

    /// Everything open, in its original order.
    pub fn iter(&self) -> impl Iterator<Item = (PacketId, Stage<&T>)> {
        std::iter::empty()
    }

    /// How many messages are open.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Ids of QoS 2 messages received and not yet released.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incoming {
    ids: VecDeque<PacketId>,
}

impl Incoming {
    /// Nothing received.
    pub fn new() -> Self {
        Self::default()
    }

    /// A PUBLISH came; true if it is new.
    pub fn receive(&mut self, _id: PacketId) -> bool {
        todo!()
    }

    /// A PUBREL came; true if the id was known.
    pub fn release(&mut self, _id: PacketId) -> bool {
        todo!()
    }

    /// Whether the id is known.
    pub fn contains(&self, _id: PacketId) -> bool {
        todo!()
    }

    /// The ids, ascending.
    pub fn iter(&self) -> impl Iterator<Item = PacketId> {
        self.ids.iter().copied()
    }

    /// How many ids are known.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether no id is known.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}
