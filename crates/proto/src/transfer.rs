//! The QoS 1 and 2 hand-shakes, as client and server both keep them: [`Outgoing`] for what one side sends,
//! [`Incoming`] for what it receives.
//!
//! ```text
//!         open          puback, pubrec_refused                open
//! QoS 1: ------> Publish ------------------> settled  QoS 2: ------> Publish --------> settled
//!                                                                       |   pubrec_refused
//!                                                                pubrec v
//!                                                                    Release --------> settled
//!                                                                             pubcomp
//! ```
//!
//! Invariant: every message has a place in one endless row of numbers, of which the packet id is the remainder.
//! The entries stand in the order of those numbers, which is the order of opening, and are found by them.

use std::collections::VecDeque;

use crate::packet::{PacketId, QoS};

/// How many packet ids there are.
const IDS: u64 = 65_535;

/// Settled entries beyond as many open ones, after which the row is closed up.
const SETTLED_SPARE: usize = 32;

/// Entries for which memory is kept when nothing is open.
const KEPT_CAPACITY: usize = 64;

/// Messages sent and not yet settled, in order, with the peer's quota. An empty one owns no memory at first. It is the
/// sender of `[MQTT-4.3.2-1 of 3.1.1]` and `[MQTT-4.3.3-1 of 3.1.1]`.
#[derive(Clone, Debug)]
pub struct Outgoing<T> {
    /// The first and the last are never settled.
    entries: VecDeque<Entry<T>>,
    /// Number of the next message, unless its id is still open.
    next: u64,
    /// Entries from here up to `resend_end` are to be sent again.
    resend_from: u64,
    resend_end: u64,
    /// Entries that are not settled.
    open: u32,
    /// Entries that take a place of the quota.
    held: u32,
    /// Those of them that wait to be sent again.
    unsent: u32,
    quota: u16,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    number: u64,
    state: State<T>,
}

#[derive(Clone, Debug)]
enum State<T> {
    /// QoS 1, waits for PUBACK.
    PublishOnce(T),
    /// QoS 2, waits for PUBREC.
    PublishTwice(T),
    /// QoS 2, waits for PUBCOMP.
    Release {
        /// Takes a place of the quota: its PUBLISH went out on this connection.
        held: bool,
    },
    Settled,
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
    /// A message is open under this id, but this is not what it waits for. See [`Outgoing::stage`]: a PUBREC for
    /// one in [`Stage::Release`] is a repeat.
    WrongStage,
}

impl<T> Default for Outgoing<T> {
    fn default() -> Self {
        Outgoing {
            entries: VecDeque::new(),
            next: 0,
            resend_from: 0,
            resend_end: 0,
            open: 0,
            held: 0,
            unsent: 0,
            quota: 0,
        }
    }
}

impl<T> Outgoing<T> {
    /// Nothing in flight, no quota.
    pub fn new() -> Self {
        Self::default()
    }

    /// A connection begins: the peer takes `quota` PUBLISHes at once `[MQTT-4.9.0-1]`. Those in flight count from
    /// now on, even before [`Outgoing::resend`] gave them out; PUBRELs do not.
    pub fn start(&mut self, quota: u16) {
        let mut publishes = 0;
        for entry in &mut self.entries {
            match &mut entry.state {
                State::PublishOnce(_) | State::PublishTwice(_) => publishes += 1,
                State::Release { held } => *held = false,
                State::Settled => {}
            }
        }
        self.quota = quota;
        self.held = publishes;
        self.unsent = publishes;
        self.resend_from = 0;
        self.resend_end = self.next;
    }

    /// New PUBLISHes that the peer takes now `[MQTT-4.9.0-2]`.
    pub fn room(&self) -> u16 {
        u32::from(self.quota).saturating_sub(self.held) as u16
    }

    /// PUBLISHes of an earlier connection that the peer takes again now.
    pub fn resend_room(&self) -> u16 {
        u32::from(self.quota).saturating_sub(self.held - self.unsent) as u16
    }

    /// What an earlier connection left open, one at a time in its original order `[MQTT-4.6.0-1]`: the PUBLISH to
    /// be sent again with DUP, or the PUBREL `[MQTT-4.4.0-1]`. `None` when all were given out since
    /// [`Outgoing::start`], or while the quota has no place for the next PUBLISH.
    pub fn resend(&mut self) -> Option<(PacketId, Stage<&T>)> {
        let first = self.entries.partition_point(|entry| entry.number < self.resend_from);
        let entry = self.entries.range(first..).find(|entry| !entry.is_settled())?;
        if entry.number >= self.resend_end {
            return None;
        }
        let stage = entry.stage()?;
        if matches!(stage, Stage::Publish(_)) {
            if self.resend_room() == 0 {
                return None;
            }
            self.unsent -= 1;
        }
        self.resend_from = entry.number + 1;
        Some((id_of(entry.number), stage))
    }

    /// Opens a message under the next id that is free, never 0 `[MQTT-2.2.1-4]`
    /// `[MQTT-2.3.1-4 of 3.1.1]` `[MQTT-4.3.2-1]` `[MQTT-4.3.3-1]`; `None` when all are in use, or for
    /// QoS 0, which has no id. Does not look at the quota: ask [`Outgoing::room`] first.
    pub fn open(&mut self, qos: QoS, content: T) -> Option<PacketId> {
        self.open_except(qos, content, |_| false)
    }

    /// As [`Outgoing::open`], and skips the ids that are `taken` by SUBSCRIBE and UNSUBSCRIBE, which share a
    /// client's ids `[MQTT-2.2.1-3]`.
    pub fn open_except(
        &mut self,
        qos: QoS,
        content: T,
        taken: impl Fn(PacketId) -> bool,
    ) -> Option<PacketId> {
        let state = publish_state(qos, content)?;
        let lap = self.next..self.next + IDS;
        let number = lap.into_iter().find(|&number| {
            let id = id_of(number);
            !self.contains(id) && !taken(id)
        })?;
        self.push(Entry { number, state });
        Some(id_of(number))
    }

    /// Puts a message that was open before a restart behind all others, under its old id. It counts from the next
    /// [`Outgoing::start`] on. False, and without effect, if the id is in use or QoS is 0.
    pub fn restore(&mut self, id: PacketId, qos: QoS, stage: Stage<T>) -> bool {
        let state = match stage {
            Stage::Publish(content) => publish_state(qos, content),
            Stage::Release => (qos == QoS::ExactlyOnce).then_some(State::Release { held: false }),
        };
        let Some(state) = state.filter(|_| !self.contains(id)) else { return false };
        let ahead = (u64::from(id.get()) - 1 + IDS - self.next % IDS) % IDS;
        self.push(Entry { number: self.next + ahead, state });
        true
    }

    /// PUBACK: the message is settled.
    ///
    /// # Errors
    /// It does not fit; nothing changed.
    pub fn puback(&mut self, id: PacketId) -> Result<T, AckFault> {
        let place = self.place_of(id)?;
        match std::mem::replace(&mut self.entries[place].state, State::Settled) {
            State::PublishOnce(content) => {
                self.count_publish_out(place);
                self.held = self.held.saturating_sub(1);
                self.settled();
                Ok(content)
            }
            state => self.put_back(place, state),
        }
    }

    /// PUBREC below 0x80: the content is the peer's now, PUBREL is owed `[MQTT-4.3.3-4]`.
    ///
    /// # Errors
    /// It does not fit; nothing changed.
    pub fn pubrec(&mut self, id: PacketId) -> Result<T, AckFault> {
        let place = self.place_of(id)?;
        match std::mem::replace(&mut self.entries[place].state, State::Release { held: true }) {
            State::PublishTwice(content) => {
                self.count_publish_out(place);
                Ok(content)
            }
            state => self.put_back(place, state),
        }
    }

    /// PUBREC of 0x80 or above: the message is settled `[MQTT-4.4.0-2]`.
    ///
    /// # Errors
    /// It does not fit; nothing changed.
    pub fn pubrec_refused(&mut self, id: PacketId) -> Result<T, AckFault> {
        let place = self.place_of(id)?;
        match std::mem::replace(&mut self.entries[place].state, State::Settled) {
            State::PublishTwice(content) => {
                self.count_publish_out(place);
                self.held = self.held.saturating_sub(1);
                self.settled();
                Ok(content)
            }
            state => self.put_back(place, state),
        }
    }

    /// PUBCOMP: the message is settled `[MQTT-4.3.3-12]`.
    ///
    /// # Errors
    /// It does not fit; nothing changed.
    pub fn pubcomp(&mut self, id: PacketId) -> Result<(), AckFault> {
        let place = self.place_of(id)?;
        let State::Release { held } = self.entries[place].state else { return Err(AckFault::WrongStage) };
        self.entries[place].state = State::Settled;
        self.held = self.held.saturating_sub(u32::from(held));
        self.settled();
        Ok(())
    }

    /// What is open under an id.
    pub fn stage(&self, id: PacketId) -> Option<Stage<&T>> {
        self.entries[self.place_of(id).ok()?].stage()
    }

    /// Whether something is open under an id.
    pub fn contains(&self, id: PacketId) -> bool {
        self.place_of(id).is_ok()
    }

    /// Everything open, in its original order.
    pub fn iter(&self) -> impl Iterator<Item = (PacketId, Stage<&T>)> {
        self.entries.iter().filter_map(|entry| Some((id_of(entry.number), entry.stage()?)))
    }

    /// Contents of all that is still to be published, in their original order.
    pub fn into_contents(self) -> impl DoubleEndedIterator<Item = T> {
        self.entries.into_iter().filter_map(|entry| match entry.state {
            State::PublishOnce(content) | State::PublishTwice(content) => Some(content),
            State::Release { .. } | State::Settled => None,
        })
    }

    /// How many messages are open.
    pub fn len(&self) -> usize {
        self.open as usize
    }

    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.open == 0
    }

    fn push(&mut self, entry: Entry<T>) {
        self.next = entry.number + 1;
        self.open += 1;
        self.held += u32::from(!matches!(entry.state, State::Release { .. }));
        self.entries.push_back(entry);
    }

    /// The entry at `place` was a PUBLISH until now, so that it does not wait to be sent again.
    fn count_publish_out(&mut self, place: usize) {
        if (self.resend_from..self.resend_end).contains(&self.entries[place].number) {
            self.unsent -= 1;
        }
    }

    fn put_back<R>(&mut self, place: usize, state: State<T>) -> Result<R, AckFault> {
        self.entries[place].state = state;
        Err(AckFault::WrongStage)
    }

    /// One more entry is settled: drops those at both ends, and closes the row up when most of it is settled.
    fn settled(&mut self) {
        self.open -= 1;
        while self.entries.pop_front_if(|entry| entry.is_settled()).is_some() {}
        while self.entries.pop_back_if(|entry| entry.is_settled()).is_some() {}
        if self.entries.len() > 2 * self.len() + SETTLED_SPARE {
            self.entries.retain(|entry| !entry.is_settled());
        }
        if self.entries.is_empty() && self.entries.capacity() > KEPT_CAPACITY {
            self.entries = VecDeque::new();
        }
    }

    /// Where the open entry with this id stands.
    ///
    /// The id leaves open on which lap through the ids it was given out, so that one place per lap comes into
    /// question, mostly one in all; after very many laps around a stuck message it is quicker to look at all.
    fn place_of(&self, id: PacketId) -> Result<usize, AckFault> {
        let (Some(first), Some(last)) = (self.entries.front(), self.entries.back()) else {
            return Err(AckFault::UnknownId);
        };
        if (last.number - first.number) / IDS > self.entries.len() as u64 {
            let mut entries = self.entries.iter();
            let found = entries.position(|entry| id_of(entry.number) == id && !entry.is_settled());
            return found.ok_or(AckFault::UnknownId);
        }
        let back = (last.number % IDS + IDS - (u64::from(id.get()) - 1)) % IDS;
        let mut number = last.number.checked_sub(back).ok_or(AckFault::UnknownId)?;
        while number >= first.number {
            if let Some(place) = self.place_of_number(number, first.number) {
                return Ok(place);
            }
            number = number.checked_sub(IDS).ok_or(AckFault::UnknownId)?;
        }
        Err(AckFault::UnknownId)
    }

    /// Without gaps in the row, the place follows from the number.
    fn place_of_number(&self, number: u64, first: u64) -> Option<usize> {
        let guess = (number - first) as usize;
        let place = match self.entries.get(guess) {
            Some(entry) if entry.number == number => guess,
            _ => self.entries.binary_search_by_key(&number, |entry| entry.number).ok()?,
        };
        (!self.entries[place].is_settled()).then_some(place)
    }
}

impl<T> Entry<T> {
    fn stage(&self) -> Option<Stage<&T>> {
        match &self.state {
            State::PublishOnce(content) | State::PublishTwice(content) => Some(Stage::Publish(content)),
            State::Release { .. } => Some(Stage::Release),
            State::Settled => None,
        }
    }

    fn is_settled(&self) -> bool {
        matches!(self.state, State::Settled)
    }
}

fn publish_state<T>(qos: QoS, content: T) -> Option<State<T>> {
    match qos {
        QoS::AtMostOnce => None,
        QoS::AtLeastOnce => Some(State::PublishOnce(content)),
        QoS::ExactlyOnce => Some(State::PublishTwice(content)),
    }
}

fn id_of(number: u64) -> PacketId {
    PacketId::MIN.saturating_add((number % IDS) as u16)
}

/// Ids of QoS 2 messages received and not yet released `[MQTT-4.3.3-10]`. An empty one owns no memory at first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incoming {
    /// Ascending. Ids that come and go in order are added and taken at the ends.
    ids: VecDeque<PacketId>,
}

impl Incoming {
    /// Nothing received.
    pub fn new() -> Self {
        Self::default()
    }

    /// A PUBLISH came; true if it is new, false if it repeats one that is not released.
    pub fn receive(&mut self, id: PacketId) -> bool {
        let place = self.ids.binary_search(&id);
        if let Err(place) = place {
            self.ids.insert(place, id);
        }
        place.is_err()
    }

    /// A PUBREL came; true if the id was known. It is free now.
    pub fn release(&mut self, id: PacketId) -> bool {
        let place = self.ids.binary_search(&id);
        if let Ok(place) = place {
            self.ids.remove(place);
        }
        if self.ids.is_empty() && self.ids.capacity() > KEPT_CAPACITY {
            self.ids = VecDeque::new();
        }
        place.is_ok()
    }

    /// Whether the id is known.
    pub fn contains(&self, id: PacketId) -> bool {
        self.ids.binary_search(&id).is_ok()
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

#[cfg(test)]
mod tests;
