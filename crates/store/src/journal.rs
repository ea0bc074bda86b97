//! The one place where order is decided for everything that is kept: records of all shards are gathered, appended to
//! the lane as one block, and applied in log order once they are durable.
//!
//! Sans-IO: mail in, calls on a [`Lane`], mail out. The thread around it is the server's, or the simulator's.
//!
//! The journal has an index of its own, of what durable sessions subscribed to, changed only by records in log
//! order. So the durable receivers of a message are those of its place in the log, whatever happened to the shared
//! index since it was published.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use longwire_broker::address::{GroupRef, HashKey, SessionRef};
use longwire_broker::effect::Ticket;
use longwire_broker::limits::{Limits, PAGE_BYTES};
use longwire_broker::matching::Matcher;
use longwire_broker::message::Message;
use longwire_broker::parcel::{Ask, FromJournal, LogDelivery, Page, PageEntry};
use longwire_broker::record::{Position, Record};
use longwire_broker::routes::{FilterId, Receiver, Routes, Target, TargetOptions};
use longwire_broker::teeth::{Tooth, bites};
use longwire_engine::{Lane, LaneError};
use longwire_proto::{QoS, topic};

use crate::block;
use crate::checkpoint::{Applied, HandOver};
use crate::ledger::{Content, GroupState, SessionState};
use crate::postings::{self, Posting, PostingChange};
use crate::recover::{self, RecoverError};
use crate::rows::{Moves, TableRows};

/// Bytes appended between two sweeps for what nobody needs any more; an eighth of the log if that is less, or a small
/// log would be full before anybody looks.
const SWEEP_EVERY_BYTES: u64 = 8 << 20;

/// A group gets everything; a member's own options are applied when the group hands a message to it.
const GROUP_OPTIONS: TargetOptions =
    TargetOptions { qos: QoS::ExactlyOnce, no_local: false, retain_as_published: false, durable: true };

/// What one shard asked for in one turn. Its records are kept together or not at all.
#[derive(Debug)]
pub struct Mail {
    /// The shard.
    pub from: u16,
    /// Records to keep, in order, each with its ticket (0: nobody waits).
    pub keeps: Vec<(Ticket, Record)>,
    /// Confirm every ticket up to this one in its order.
    pub confirm: Ticket,
    /// Other requests.
    pub asks: Vec<Ask>,
}

/// Mail for each shard, by its number.
pub type Answers = Vec<Vec<FromJournal>>;

/// Keeps, orders and hands out what must survive.
pub struct Journal {
    lane: Box<dyn Lane>,
    gathered: Gathered,
    /// Appended, not yet durable; oldest first.
    appended: VecDeque<Appended>,
    routes: Routes,
    subscribers: HashMap<Receiver, Subscriber>,
    /// Groups that have ended, and how many records of members who joined them before are still to come, from
    /// different shards.
    ended_groups: HashMap<GroupRef, u32>,
    postings: HashMap<FilterId, Posting>,
    matcher: Matcher,
    /// Numbers given to postings.
    postings_made: u64,
    /// Postings that changed since the last hand-over.
    changed: HashSet<FilterId>,
    /// Postings that are gone since, and stood in rows.
    removed: Vec<PostingChange>,
    /// What was applied, for the checkpointer; `None` if there is none.
    for_checkpoint: Option<Vec<Applied>>,
    /// What is not in a checkpoint yet stays in the log.
    checkpointed: Position,
    /// Addresses that moved, by the position below which messages name the old ones; ascending.
    moves: Vec<(Position, Moves)>,
    /// Everything up to here was applied.
    applied: Position,
    last_read: Option<(Position, Vec<Record>)>,
    bytes_max: u64,
    /// The lane had no room for the last block, whatever its size is.
    is_refused: bool,
    is_full: bool,
    sweep_every: u64,
    next_sweep: u64,
    appended_bytes: u64,
}

/// Entries of a journal that come and go. After all durable sessions have ended and a sweep, every number is 0.
#[allow(missing_docs)] // The fields are the nouns of the sentence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    pub bytes: u64,
    pub subscribers: usize,
    pub filters: usize,
    pub postings: usize,
    pub ended_groups: usize,
}

/// Records on their way into the next block.
#[derive(Default)]
struct Gathered {
    records: Vec<Record>,
    tickets: HashMap<u16, Ticket>,
}

/// A block that is not yet durable.
struct Appended {
    first: Position,
    last: Position,
    gathered: Gathered,
}

/// A durable session, or a group with durable members.
#[derive(Default)]
struct Subscriber {
    /// Filters, each with the place where the subscription began.
    filters: hashbrown::HashMap<FilterId, Position>,
    /// Found when it last read. Looking for one message among many filters costs as much as looking for many.
    ahead: Option<Box<Ahead>>,
    /// Of a group: how often durable members have joined it.
    joins: u32,
    /// Nothing up to here is needed again.
    settled: Position,
    /// First and last message of subscriptions that are gone which may still be open, and have to be sent again then.
    left_open: Option<(Position, Position)>,
}

/// What a subscriber will read next: every position after `after` up to the last of these.
struct Ahead {
    after: Position,
    positions: Vec<Position>,
}

impl Journal {
    /// A journal on `lane`, which must be empty; `key` seeds its hash tables.
    pub fn new(lane: Box<dyn Lane>, key: HashKey, limits: &Limits) -> Self {
        let bytes_max = limits.journal_bytes_max as u64;
        let sweep_every = SWEEP_EVERY_BYTES.min(bytes_max / 8);
        Journal {
            lane,
            gathered: Gathered::default(),
            appended: VecDeque::new(),
            routes: Routes::new(key),
            subscribers: HashMap::new(),
            ended_groups: HashMap::new(),
            postings: HashMap::new(),
            matcher: Matcher::default(),
            postings_made: 0,
            changed: HashSet::new(),
            removed: Vec::new(),
            for_checkpoint: None,
            checkpointed: Position::MAX,
            moves: Vec::new(),
            applied: 0,
            last_read: None,
            bytes_max,
            is_refused: false,
            is_full: false,
            sweep_every,
            next_sweep: sweep_every,
            appended_bytes: 0,
        }
    }

    /// Takes a shard's records into the next block. Its other requests are carried out by [`Journal::ask`].
    pub fn gather(&mut self, from: u16, keeps: Vec<(Ticket, Record)>, confirm: Ticket) {
        let mut newest = confirm;
        for (ticket, record) in keeps {
            newest = newest.max(ticket);
            if bites(Tooth::TicketInTwoBlocks) {
                // Whatever becomes of this block, the simulator looks at those that are there.
                let _ = self.append();
            }
            self.gathered.records.push(record);
        }
        if newest > 0 {
            let ticket = self.gathered.tickets.entry(from).or_default();
            *ticket = newest.max(*ticket);
        }
    }

    /// Appends what was gathered and applies what has become durable. Call again later while [`Journal::is_idle`] is
    /// false: an error, or a slow lane, leaves work over.
    ///
    /// # Errors
    /// [`LaneError`] if the block could not be appended or synced; nothing of it was acknowledged, and the next call
    /// tries again.
    pub fn commit(&mut self, answers: &mut Answers) -> Result<(), LaneError> {
        let result = self.append();
        self.apply_durable(answers);
        self.sweep_if_due();
        self.tell_if_full(answers);
        result
    }

    /// True if nothing waits to be appended or to become durable, and there is room: a full log has to be looked after,
    /// since publishers who are refused send nothing that would lead here.
    pub fn is_idle(&self) -> bool {
        !self.is_full
            && self.gathered.records.is_empty()
            && self.gathered.tickets.is_empty()
            && self.appended.is_empty()
    }

    /// Bytes the log holds.
    pub fn bytes(&self) -> u64 {
        self.lane.bytes()
    }

    /// What it holds, for whoever looks for leaks from outside.
    pub fn holdings(&self) -> Holdings {
        Holdings {
            bytes: self.lane.bytes(),
            subscribers: self.subscribers.len(),
            filters: self.routes.len(),
            postings: self.postings.len(),
            ended_groups: self.ended_groups.len(),
        }
    }

    fn append(&mut self) -> Result<(), LaneError> {
        if !self.gathered.records.is_empty() {
            let block = block::encode(&self.gathered.records);
            let count = self.gathered.records.len() as u32;
            let appended = self.lane.append(&block, count);
            self.is_refused = matches!(appended, Err(LaneError::Full { .. }));
            let first = appended?;
            self.appended_bytes += block.len() as u64;
            let gathered = std::mem::take(&mut self.gathered);
            self.appended.push_back(Appended { first, last: first + u64::from(count) - 1, gathered });
            self.lane.commit()?;
        } else if !self.gathered.tickets.is_empty() {
            // Nothing to keep, but a place in the order: behind everything appended so far.
            let last = self.lane.next() - 1;
            let gathered = std::mem::take(&mut self.gathered);
            self.appended.push_back(Appended { first: last + 1, last, gathered });
        }
        Ok(())
    }

    fn apply_durable(&mut self, answers: &mut Answers) {
        let durable = self.lane.durable();
        while self.appended.front().is_some_and(|appended| appended.last <= durable) {
            let Some(Appended { first, last, gathered }) = self.appended.pop_front() else { break };
            let mut deliveries: Vec<Vec<LogDelivery>> = answers.iter().map(|_| Vec::new()).collect();
            for (position, record) in (first..).zip(&gathered.records) {
                self.apply(position, record, &mut deliveries);
            }
            if let Some(applied) = &mut self.for_checkpoint {
                applied.push(Applied { first, records: gathered.records });
            }
            self.applied = self.applied.max(last);
            for (shard, deliveries) in deliveries.into_iter().enumerate() {
                if !deliveries.is_empty() {
                    answers[shard].push(FromJournal::Deliveries(deliveries));
                }
            }
            for (shard, ticket) in gathered.tickets {
                answers[usize::from(shard)].push(FromJournal::Kept(ticket));
            }
        }
    }

    fn apply(&mut self, position: Position, record: &Record, deliveries: &mut [Vec<LogDelivery>]) {
        match record {
            Record::Message { message, groups } => {
                self.apply_message(position, message, groups, deliveries);
            }
            Record::GroupEnded { group, joins } => self.end_group(*group, *joins),
            Record::SessionBegun { session, .. } => {
                self.subscribers.entry(Receiver::Session(*session)).or_default();
            }
            Record::SessionEnded { session } => self.forget(Receiver::Session(*session)),
            Record::Subscribed { session, filter, options, identifier, group } => match group {
                Some(group) => self.join(filter, *group, *options, position),
                None => {
                    self.subscribe(Receiver::Session(*session), filter, *options, *identifier, position);
                }
            },
            Record::Unsubscribed { session, filter } => self.unsubscribe(*session, filter),
            // What only recovery needs.
            Record::SessionLeft { .. }
            | Record::WillSet { .. }
            | Record::WillPublished { .. }
            | Record::RetainedDelivered { .. }
            | Record::InboundReceived { .. }
            | Record::InboundReleased { .. }
            | Record::Delivered { .. }
            | Record::Received { .. }
            | Record::Settled { .. } => {}
        }
    }

    /// Posts the message and hands it to its receivers' shards.
    fn apply_message(
        &mut self,
        position: Position,
        message: &Arc<Message>,
        groups: &[GroupRef],
        deliveries: &mut [Vec<LogDelivery>],
    ) {
        if message.view().qos == QoS::AtMostOnce {
            // Here because it is retained; its receivers have it.
            return;
        }
        self.post(position, message);
        let kept = &mut self.matcher.kept;
        kept.retain(|recipient| is_meant_for(recipient.receiver, groups));
        for (shard, deliveries) in deliveries.iter_mut().enumerate() {
            let is_here = |receiver: &Receiver| usize::from(receiver.shard()) == shard;
            let recipients: Vec<_> =
                kept.iter().filter(|recipient| is_here(&recipient.receiver)).copied().collect();
            let has_place = |group| kept.iter().any(|recipient| recipient.receiver == Receiver::Group(group));
            let live_groups: Vec<_> = groups
                .iter()
                .copied()
                .filter(|&group| is_here(&Receiver::Group(group)) && !has_place(group))
                .collect();
            let passed = self.matcher.passed.filter(|&session| is_here(&Receiver::Session(session)));
            if recipients.is_empty() && live_groups.is_empty() && passed.is_none() {
                continue;
            }
            let identifiers = self.matcher.identifiers.clone();
            let message = Arc::clone(message);
            deliveries.push(LogDelivery { position, message, recipients, identifiers, live_groups, passed });
        }
    }

    /// Matches a message and posts it once for each durable filter.
    fn post(&mut self, position: Position, message: &Message) {
        self.matcher.find(&self.routes, &message.view());
        let filters_max = if bites(Tooth::PostedOnce) { 1 } else { usize::MAX };
        for &filter in self.matcher.filters().iter().take(filters_max) {
            if self.routes.has_durable(filter) {
                let made = &mut self.postings_made;
                let posting = self.postings.entry(filter).or_insert_with(|| {
                    *made += 1;
                    Posting::new(*made)
                });
                posting.push(position);
                self.changed.insert(filter);
            }
        }
    }

    // --- subscriptions, in log order

    fn subscribe(
        &mut self,
        receiver: Receiver,
        filter: &str,
        options: TargetOptions,
        identifier: u32,
        position: Position,
    ) {
        let target = Target::new(receiver, options, identifier);
        let before = self.routes.find(filter).and_then(|filter| self.routes.target(filter, receiver));
        let was_durable = before.is_some_and(Target::is_durable);
        let (filter, is_new) = self.routes.subscribe(filter, target);
        let subscriber = self.subscribers.entry(receiver).or_default();
        subscriber.ahead = None;
        if is_new {
            let position = if bites(Tooth::BegunTooEarly) { 0 } else { position };
            subscriber.filters.insert(filter, position);
        } else if options.durable && !was_durable {
            // Until here it was served live.
            subscriber.begin_again(filter, position);
        } else if !options.durable {
            subscriber.leave_open(filter, self.postings.get(&filter));
        }
        self.drop_posting_if_unused(filter);
    }

    /// A durable session joins a shared group: from here on the group is served from the log, until it ends.
    fn join(&mut self, filter: &str, group: GroupRef, options: TargetOptions, position: Position) {
        let receiver = Receiver::Group(group);
        let Some(shared) = topic::shared(filter) else { return };
        if !options.durable || self.is_late(group) {
            return;
        }
        if let Some(subscriber) = self.subscribers.get_mut(&receiver) {
            subscriber.joins += 1;
            return;
        }
        self.subscribe(receiver, shared.filter, GROUP_OPTIONS, 0, position);
        self.subscribers.entry(receiver).or_default().joins = 1;
    }

    /// True if the group has ended before one of its members came to the log, who is counted.
    fn is_late(&mut self, group: GroupRef) -> bool {
        let Entry::Occupied(mut to_come) = self.ended_groups.entry(group) else { return false };
        *to_come.get_mut() -= 1;
        if *to_come.get() == 0 {
            to_come.remove();
        }
        true
    }

    fn end_group(&mut self, group: GroupRef, joins: u32) {
        let receiver = Receiver::Group(group);
        let seen = self.subscribers.get(&receiver).map_or(0, |subscriber| subscriber.joins);
        self.forget(receiver);
        if joins > seen {
            self.ended_groups.insert(group, joins - seen);
        }
    }

    fn unsubscribe(&mut self, session: SessionRef, filter: &str) {
        let receiver = Receiver::Session(session);
        let Some(subscriber) = self.subscribers.get_mut(&receiver) else { return };
        let Some(filter) = self.routes.find(filter) else { return };
        subscriber.leave_open(filter, self.postings.get(&filter));
        subscriber.filters.remove(&filter);
        subscriber.ahead = None;
        self.routes.unsubscribe(filter, receiver);
        self.drop_posting_if_unused(filter);
    }

    fn forget(&mut self, receiver: Receiver) {
        let Some(subscriber) = self.subscribers.remove(&receiver) else { return };
        for filter in subscriber.filters.into_keys() {
            self.routes.unsubscribe(filter, receiver);
            self.drop_posting_if_unused(filter);
        }
    }

    fn drop_posting_if_unused(&mut self, filter: FilterId) {
        if !self.routes.has_durable(filter)
            && let Some(posting) = self.postings.remove(&filter)
        {
            self.changed.remove(&filter);
            self.removed.extend(posting.into_removal());
        }
    }

    // --- reading

    /// Carries out one request of the shard `from`.
    pub fn ask(&mut self, from: u16, ask: Ask, answers: &mut Answers) {
        let page = match ask {
            Ask::Settled { receiver, through } => {
                if let Some(subscriber) = self.subscribers.get_mut(&receiver) {
                    subscriber.settled = subscriber.settled.max(through);
                }
                return;
            }
            Ask::Read { receiver, after, messages_max } => self.read(receiver, after, messages_max),
            Ask::ReadAgain { receiver, positions } => self.read_again(receiver, &positions),
        };
        answers[usize::from(from)].push(FromJournal::Page(page));
    }

    /// The next messages for a receiver that is behind, with the tip of the log as it is now.
    fn read(&mut self, receiver: Receiver, after: Position, messages_max: usize) -> Page {
        let positions = self.positions_after(receiver, after, messages_max.max(1));
        let is_all = positions.len() < messages_max.max(1);
        let mut page =
            Page { receiver, entries: Vec::new(), through: after, is_resend: false, at_tip: false };
        let mut bytes = 0;
        for position in positions {
            if bytes >= PAGE_BYTES {
                return page;
            }
            page.through = position;
            if let Some(entry) = self.entry(receiver, position) {
                bytes += entry.message.len();
                page.entries.push(entry);
            }
        }
        if is_all || bites(Tooth::PageWithoutTip) {
            page.through = self.applied;
            page.at_tip = true;
        }
        page
    }

    fn read_again(&mut self, receiver: Receiver, positions: &[Position]) -> Page {
        let mut entries = Vec::new();
        for &position in positions {
            let entry = self.entry(receiver, position).or_else(|| {
                // The subscription is gone, the delivery that was begun is not [MQTT-3.10.4-3].
                let message = Arc::clone(self.message_at(position)?.0);
                Some(PageEntry {
                    position,
                    message,
                    qos: QoS::ExactlyOnce,
                    retain_as_published: false,
                    identifiers: <_>::default(),
                })
            });
            entries.extend(entry);
        }
        Page { receiver, entries, through: 0, is_resend: true, at_tip: false }
    }

    /// Positions above `after` that any of the receiver's filters matched since it subscribed to it, ascending.
    fn positions_after(&mut self, receiver: Receiver, after: Position, count_max: usize) -> Vec<Position> {
        let Some(subscriber) = self.subscribers.get_mut(&receiver) else { return Vec::new() };
        let is_ahead = |ahead: &Ahead| ahead.after <= after && ahead.count_after(after) >= count_max;
        let ahead = subscriber.ahead.take().filter(|ahead| is_ahead(ahead)).unwrap_or_else(|| {
            let filters = &subscriber.filters;
            let postings = filters
                .iter()
                .filter_map(|(filter, begun)| Some(self.postings.get(filter)?.after(after.max(*begun))));
            let positions = postings::merged(postings, count_max.max(filters.len()));
            Box::new(Ahead { after, positions })
        });
        let first = ahead.positions.len() - ahead.count_after(after);
        let positions: Vec<_> = ahead.positions.iter().skip(first).take(count_max).copied().collect();
        if ahead.count_after(after) > count_max {
            subscriber.ahead = Some(ahead);
        }
        positions
    }

    /// The message at `position` as this receiver's present subscriptions want it; `None` if they do not.
    fn entry(&mut self, receiver: Receiver, position: Position) -> Option<PageEntry> {
        let (message, groups) = self.message_at(position)?;
        if !is_meant_for(receiver, groups) {
            return None;
        }
        let message = Arc::clone(message);
        let subscriber = self.subscribers.get(&receiver)?;
        let held = |filter| subscriber.filters.get(&filter).is_some_and(|begun| *begun <= position);
        self.matcher.find_for(&self.routes, &message.view(), receiver, held);
        let recipient = self.matcher.kept.first()?;
        Some(PageEntry {
            position,
            qos: recipient.qos,
            retain_as_published: recipient.retain_as_published,
            identifiers: recipient.identifiers_in(&self.matcher.identifiers).into(),
            message,
        })
    }

    /// A kept message. The block it came in stays decoded until another one is read, since readers go in order.
    fn message_at(&mut self, position: Position) -> Option<(&Arc<Message>, &[GroupRef])> {
        let is_at_hand = self
            .last_read
            .as_ref()
            .is_some_and(|(first, records)| (*first..*first + records.len() as u64).contains(&position));
        if !is_at_hand {
            let block = self.lane.read(position).ok()??;
            let mut records = block::decode(&block.bytes).ok()?;
            if let Some((_, moves)) = self.moves.iter().find(|(below, _)| block.first < *below) {
                for record in &mut records {
                    moves.translate(record);
                }
            }
            self.last_read = Some((block.first, records));
        }
        let (first, records) = self.last_read.as_ref()?;
        match records.get((position - first) as usize)? {
            Record::Message { message, groups } => Some((message, groups)),
            _ => None,
        }
    }

    // --- letting go

    fn sweep_if_due(&mut self) {
        if self.appended_bytes >= self.next_sweep || (self.is_full && self.lane.bytes() > self.bytes_max / 2)
        {
            self.sweep();
            // A log that stays large is swept less often, so that sweeping costs no more than appending does.
            self.next_sweep = self.appended_bytes + self.sweep_every.max(self.lane.bytes() / 4);
        }
    }

    /// Lets go of everything below the lowest position that any receiver still needs. Done now and then by
    /// [`Journal::commit`]; here for whoever cannot wait.
    pub fn sweep(&mut self) {
        let mut floor = self.applied.min(self.checkpointed) + 1;
        let Journal { postings, routes, subscribers, changed, .. } = self;
        for subscriber in subscribers.values_mut() {
            floor = floor.min(subscriber.still_open().unwrap_or(floor));
        }
        for (filter, posting) in postings.iter_mut() {
            let settled = routes
                .targets(*filter)
                .iter()
                .filter(|target| target.is_durable())
                .filter_map(|target| subscribers.get(&target.receiver()))
                .map(|subscriber| subscriber.settled.max(subscriber.begun(*filter)))
                .min()
                .unwrap_or(Position::MAX);
            if posting.trim(settled) {
                changed.insert(*filter);
            }
            if let Some(first) = posting.first_after(settled) {
                floor = floor.min(first);
            }
        }
        if self.lane.trim(floor).is_ok() {
            self.last_read = None;
        }
    }

    // --- checkpoints

    /// A journal on a lane that holds something; its subscribers and postings follow.
    pub(crate) fn recovered(
        lane: Box<dyn Lane>,
        key: HashKey,
        limits: &Limits,
        moves: Vec<(Position, Moves)>,
    ) -> Self {
        let applied = lane.next() - 1;
        Journal { moves, applied, ..Journal::new(lane, key, limits) }
    }

    /// A session is known again.
    pub(crate) fn restore_session(&mut self, session: SessionRef, state: &SessionState) {
        let receiver = Receiver::Session(session);
        let mut subscriber = Subscriber::default();
        for subscription in state.subscriptions.iter().filter(|subscription| subscription.group.is_none()) {
            let target = Target::new(receiver, subscription.options, subscription.identifier);
            let (filter, _) = self.routes.subscribe(&subscription.filter, target);
            subscriber.filters.insert(filter, subscription.begun);
        }
        let open = || {
            state.outbound.iter().filter_map(|delivery| match delivery.content {
                Content::Logged { position, group: None, .. } => Some(position),
                _ => None,
            })
        };
        subscriber.settled = open().min().map_or(state.read_through, |position| position - 1);
        subscriber.left_open = open().min().zip(open().max());
        self.subscribers.insert(receiver, subscriber);
    }

    /// A group is known again.
    pub(crate) fn restore_group(&mut self, group: GroupRef, state: &GroupState) {
        let Some(shared) = topic::shared(&state.filter) else { return };
        let receiver = Receiver::Group(group);
        let (filter, _) = self.routes.subscribe(shared.filter, Target::new(receiver, GROUP_OPTIONS, 0));
        let mut subscriber =
            Subscriber { settled: state.settled, joins: state.joins, ..Subscriber::default() };
        subscriber.filters.insert(filter, state.begun);
        self.subscribers.insert(receiver, subscriber);
    }

    /// The postings of the last checkpoint, and what the log holds from `begin` on, which is in none.
    pub(crate) fn restore_postings(
        &mut self,
        rows: &TableRows<'_>,
        begin: Position,
    ) -> Result<(), RecoverError> {
        let mut saved: HashMap<u64, (Option<FilterId>, Posting)> = HashMap::new();
        rows.each_filter(&mut |number, text| {
            let filter = self.routes.find(text).filter(|filter| self.routes.has_durable(*filter));
            saved.insert(number, (filter, Posting::saved(number)));
        })?;
        rows.each_chunk(&mut |number, chunk| {
            if let Some((_, posting)) = saved.get_mut(&number) {
                posting.restore(chunk);
            }
        })?;
        for (number, (filter, posting)) in saved {
            self.postings_made = self.postings_made.max(number);
            match filter {
                Some(filter) => _ = self.postings.insert(filter, posting),
                None => self.removed.extend(posting.into_removal()),
            }
        }
        let mut unposted = Vec::new();
        recover::each_record(&*self.lane, begin, |position, record| {
            if let Record::Message { message, .. } = record
                && message.view().qos > QoS::AtMostOnce
            {
                unposted.push((position, Arc::clone(message)));
            }
            Ok(())
        })?;
        for (position, message) in unposted {
            self.post(position, &message);
        }
        Ok(())
    }

    /// The message at a position, for one who holds on to it.
    pub(crate) fn message_copy(&mut self, position: Position) -> Option<Arc<Message>> {
        self.message_at(position).map(|(message, _)| Arc::clone(message))
    }

    /// From now on what is applied is set aside for a checkpointer, and the log keeps what is in no checkpoint yet.
    pub(crate) fn begin_checkpoints(&mut self, through: Position) {
        self.for_checkpoint = Some(Vec::new());
        self.checkpointed = through;
    }

    /// What was applied since this was last asked.
    pub fn take_applied(&mut self) -> Vec<Applied> {
        self.for_checkpoint.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Bytes appended since the journal began: what decides when a checkpoint is due.
    pub fn appended_bytes(&self) -> u64 {
        self.appended_bytes
    }

    /// What a checkpoint of everything applied so far needs beside the records.
    pub fn hand_over(&mut self) -> HandOver {
        let Journal { changed, postings, routes, .. } = self;
        let changes = changed
            .drain()
            .filter_map(|filter| Some(postings.get_mut(&filter)?.take_change(routes.text(filter)?)));
        let mut changes: Vec<PostingChange> = changes.collect();
        changes.append(&mut self.removed);
        let settled = self.subscribers.iter().filter_map(|(receiver, subscriber)| match receiver {
            Receiver::Group(group) => Some((*group, subscriber.settled)),
            Receiver::Session(_) => None,
        });
        HandOver { through: self.applied, settled: settled.collect(), postings: changes }
    }

    /// A checkpoint reaches up to here.
    pub fn checkpointed(&mut self, through: Position) {
        self.checkpointed = through;
        self.next_sweep = self.next_sweep.min(self.appended_bytes);
    }

    fn has_no_room(&self) -> bool {
        self.is_refused || self.lane.bytes() > self.bytes_max
    }

    fn tell_if_full(&mut self, answers: &mut Answers) {
        if self.has_no_room() && !self.is_full {
            // Perhaps it is only that nobody has looked for a while.
            self.sweep();
        }
        let is_full = self.has_no_room();
        if is_full != self.is_full {
            self.is_full = is_full;
            for answer in answers.iter_mut() {
                answer.push(FromJournal::Full(is_full));
            }
        }
    }
}

impl Ahead {
    /// How many of the positions are above `after`.
    fn count_after(&self, after: Position) -> usize {
        self.positions.len() - self.positions.partition_point(|&position| position <= after)
    }
}

impl Subscriber {
    /// Where its subscription to the filter began.
    fn begun(&self, filter: FilterId) -> Position {
        self.filters.get(&filter).copied().unwrap_or(0)
    }

    /// What came before is not to be read from the log.
    fn begin_again(&mut self, filter: FilterId, position: Position) {
        if let Some(begun) = self.filters.get_mut(&filter) {
            *begun = position;
        }
    }

    /// The subscription ends; deliveries that were begun for it do not `[MQTT-3.10.4-3]` `[MQTT-3.10.4-3 of 3.1.1]`.
    fn leave_open(&mut self, filter: FilterId, posting: Option<&Posting>) {
        let settled = self.settled.max(self.begun(filter));
        let Some(first) = posting.and_then(|posting| posting.first_after(settled)) else { return };
        let Some(last) = posting.and_then(Posting::last) else { return };
        let (first_before, last_before) = self.left_open.unwrap_or((first, last));
        self.left_open = Some((first.min(first_before), last.max(last_before)));
    }

    /// The first message of ended subscriptions that may have to be sent again.
    fn still_open(&mut self) -> Option<Position> {
        self.left_open = self.left_open.filter(|(_, last)| *last > self.settled);
        self.left_open.map(|(first, _)| first.max(self.settled + 1))
    }
}

/// Sessions get every message that their subscriptions match; groups those that they were not served live.
fn is_meant_for(receiver: Receiver, groups: &[GroupRef]) -> bool {
    match receiver {
        Receiver::Session(_) => true,
        Receiver::Group(group) => groups.contains(&group),
    }
}

impl Mail {
    /// Bytes its records will take, roughly.
    pub fn bytes(&self) -> usize {
        self.keeps.iter().map(|(_, record)| record.size_hint()).sum()
    }
}
