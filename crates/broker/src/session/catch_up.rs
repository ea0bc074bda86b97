//! The one way back for whoever could not receive: slow, offline and taken-over sessions are all *behind*.
//!
//! [`Shard::pump`] is the only code that starts waiting deliveries, and always in this order: what an earlier
//! connection left open, retained messages that a subscription asked for, the queue, the log.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use longwire_proto::encode::AckKind;
use longwire_proto::transfer::Stage;
use longwire_proto::{PacketId, QoS, ReasonCode};

use super::deliver::KeptCopy;
use super::{Held, Replay, SessionExtra};
use crate::address::SessionRef;
use crate::input::LinkId;
use crate::limits::{PAGE_MESSAGES, RETAINED_VISITS_PER_PAGE};
use crate::link::{Answer, Copy, LinkState, Sent};
use crate::message::Message;
use crate::parcel::{Ask, Page, PageEntry};
use crate::record::{Position, Record};
use crate::retained;
use crate::routes::Receiver;
use crate::session::Queued;
use crate::shard::{Shard, Turn};
use crate::teeth::{Tooth, bites};

/// What one step of catching up came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Something was sent or skipped; there may be more.
    Again,
    /// Nothing can be done until something happens: an acknowledgement, a page, a drained socket.
    Wait,
    /// Retained topics were visited long enough for one turn.
    Later,
    /// This source is empty.
    Done,
}

/// Retained messages taken from the table at a time.
pub(crate) const REPLAYED_AT_ONCE: usize = 64;

impl Shard {
    /// Sends what waits, as far as window and socket allow.
    pub(crate) fn pump(&mut self, slot: u32, turn: &mut Turn<'_, '_>) {
        let steps = [Shard::resend, Shard::replay, Shard::send_queued, Shard::read_on];
        for step in steps {
            loop {
                let Some(link_id) = self.open_link(slot, turn) else { return };
                match step(self, slot, link_id, turn) {
                    Step::Again => {}
                    Step::Done => break,
                    Step::Wait => return,
                    Step::Later => return self.unfinished.push(self.address(slot)),
                }
            }
        }
        self.offer_room(slot, turn);
    }

    /// Goes on with what took too long for one turn.
    pub(crate) fn continue_unfinished(&mut self, turn: &mut Turn<'_, '_>) {
        for address in std::mem::take(&mut self.unfinished) {
            if self.sessions.at(address.slot, address.generation).is_some() {
                self.pump(address.slot, turn);
            }
        }
    }

    /// The session's link if it can take more.
    fn open_link(&mut self, slot: u32, turn: &mut Turn<'_, '_>) -> Option<LinkId> {
        let session = self.sessions.by_slot(slot)?;
        session.extra()?;
        let link_id = session.link()?;
        if self.links.at(link_id)?.state != LinkState::Open {
            return None;
        }
        if !self.links.has_room(link_id) {
            self.mark_slow(link_id, turn);
            return None;
        }
        Some(link_id)
    }

    /// What an earlier connection left open `[MQTT-4.4.0-1]` `[MQTT-4.4.0-1 of 3.1.1]`, in its original order
    /// `[MQTT-4.6.0-1 of 3.1.1]`, with DUP `[MQTT-3.3.1-1 of 3.1.1]`, and whatever its expiry says `[MQTT-4.3.3-7]`.
    fn resend(&mut self, slot: u32, link_id: LinkId, turn: &mut Turn<'_, '_>) -> Step {
        let address = self.address(slot);
        let Some(extra) = self.sessions.by_slot_mut(slot).and_then(|session| session.extra_if()) else {
            return Step::Wait;
        };
        let Some(&packet_id) = extra.resends.front() else { return Step::Done };
        let held = match extra.outgoing.stage(packet_id) {
            None => {
                extra.resends.pop_front();
                return Step::Again;
            }
            Some(Stage::Release) => {
                extra.resends.pop_front();
                extra.outgoing.resend();
                let answer = Answer::Ack(AckKind::PubRel, packet_id, ReasonCode::Success);
                self.owe(link_id, None, answer, turn);
                return Step::Again;
            }
            Some(Stage::Publish(held)) => held,
        };
        if extra.outgoing.resend_room() == 0 {
            return Step::Wait;
        }
        let (message, qos, retain, identifier) = match held {
            Held::Retained { message, qos, identifier } => (Arc::clone(message), *qos, true, *identifier),
            Held::Lent { lent, qos, retain, identifier } => {
                (Arc::clone(&lent.message), *qos, *retain, *identifier)
            }
            Held::Kept { .. } => {
                if !extra.log.reading {
                    extra.log.reading = true;
                    let positions = positions_to_resend(extra);
                    turn.effects
                        .asks
                        .push(Ask::ReadAgain { receiver: Receiver::Session(address), positions });
                }
                return Step::Wait;
            }
            // Live deliveries end with their session, so that none is ever left open.
            Held::Live => {
                extra.resends.pop_front();
                return Step::Again;
            }
        };
        let identifiers = if identifier == 0 { &[][..] } else { &[identifier][..] };
        self.send_again(address, packet_id, &message, qos, retain, identifiers, turn);
        Step::Again
    }

    #[expect(clippy::too_many_arguments, reason = "each is one field of the PUBLISH")]
    fn send_again(
        &mut self,
        address: SessionRef,
        packet_id: PacketId,
        message: &Arc<Message>,
        qos: QoS,
        retain: bool,
        identifiers: &[u32],
        turn: &mut Turn<'_, '_>,
    ) {
        let Some(session) = self.sessions.by_slot_mut(address.slot) else { return };
        let Some(link_id) = session.link() else { return };
        let extra = session.extra_mut();
        extra.resends.pop_front();
        extra.outgoing.resend();
        let view = message.view();
        self.links.begin_message();
        let copy = Copy {
            now: turn.now,
            view: &view,
            qos,
            retain,
            dup: true,
            packet_id: Some(packet_id),
            identifiers,
        };
        if self.links.publish(link_id, &copy, turn.effects) == Sent::TooLarge {
            self.give_up(address, packet_id, qos, turn);
        }
    }

    /// SUBACK has left: the retained messages it granted may follow.
    pub(crate) fn begin_replay(
        &mut self,
        link_id: LinkId,
        mut replays: Vec<Replay>,
        turn: &mut Turn<'_, '_>,
    ) {
        replays.retain(|replay| has_retained(&replay.filter, turn));
        if replays.is_empty() {
            return;
        }
        let Some(slot) = self.session_of(link_id) else { return };
        let Some(session) = self.sessions.by_slot_mut(slot) else { return };
        let waiting = &mut session.extra_mut().replays;
        waiting.extend(replays);
        if waiting.len() > 2 * self.limits.subscriptions_per_session_max {
            forget_repeated(waiting);
        }
        self.pump(slot, turn);
    }

    /// Some retained messages of a subscription that was made `[MQTT-3.3.1-6 of 3.1.1]`, with RETAIN 1
    /// `[MQTT-3.3.1-8 of 3.1.1]`, read as they are now: what was set meanwhile is seen, never something older than
    /// what was sent live.
    fn replay(&mut self, slot: u32, link_id: LinkId, turn: &mut Turn<'_, '_>) -> Step {
        let address = self.address(slot);
        let Some(session) = self.sessions.by_slot_mut(slot) else { return Step::Wait };
        let is_durable = session.durable;
        let Some(extra) = session.extra_if() else { return Step::Wait };
        let Some(mut replay) = extra.replays.pop_front() else { return Step::Done };
        let routes = turn.tables.routes();
        let receiver = Receiver::Session(address);
        if routes.find(&replay.filter).and_then(|filter| routes.target(filter, receiver)).is_none() {
            // It has unsubscribed meanwhile.
            return Step::Again;
        }
        let at_once = match replay.qos {
            QoS::AtMostOnce => REPLAYED_AT_ONCE,
            _ => REPLAYED_AT_ONCE.min(usize::from(extra.outgoing.room())),
        };
        if at_once == 0 {
            extra.replays.push_front(replay);
            return Step::Wait;
        }
        let mut found = Vec::new();
        let retained = turn.tables.retained().read();
        let page = retained.topics.page(
            &replay.filter,
            replay.after.as_deref(),
            RETAINED_VISITS_PER_PAGE,
            |_, message| {
                found.push(Arc::clone(message));
                found.len() < at_once
            },
        );
        drop(retained);
        let was_busy = found.len() == at_once;
        for message in &found {
            self.send_retained(slot, link_id, message, &replay, is_durable, turn);
        }
        let retained::Page::More { after } = page else { return Step::Again };
        replay.after = Some(after);
        if let Some(extra) = self.sessions.by_slot_mut(slot).and_then(|session| session.extra_if()) {
            extra.replays.push_front(replay);
        }
        if was_busy { Step::Again } else { Step::Later }
    }

    fn send_retained(
        &mut self,
        slot: u32,
        link_id: LinkId,
        message: &Arc<Message>,
        replay: &Replay,
        is_durable: bool,
        turn: &mut Turn<'_, '_>,
    ) {
        let view = message.view();
        let address = self.address(slot);
        let Some(session) = self.sessions.by_slot_mut(slot) else { return };
        if view.is_expired(turn.now) || (replay.no_local && *view.publisher_id == *session.client_id) {
            return;
        }
        let qos = view.qos.min(replay.qos);
        let identifier = replay.identifier;
        let held = if is_durable {
            Held::Retained { message: Arc::clone(message), qos, identifier }
        } else {
            Held::Live
        };
        let packet_id = match qos {
            QoS::AtMostOnce => None,
            _ => match session.extra_mut().outgoing.open(qos, held) {
                Some(packet_id) => Some(packet_id),
                None => return,
            },
        };
        let identifiers = if identifier == 0 { &[][..] } else { &[identifier][..] };
        self.links.begin_message();
        let copy = Copy { now: turn.now, view: &view, qos, retain: true, dup: false, packet_id, identifiers };
        if let Some(packet_id) = packet_id.filter(|_| is_durable) {
            let message = Arc::clone(message);
            let record = Record::RetainedDelivered {
                session: address,
                packet_id,
                qos,
                identifier: replay.identifier,
                message,
            };
            return self.send_recorded(address, link_id, &copy, record, turn);
        }
        let sent = self.links.publish(link_id, &copy, turn.effects);
        if let (Sent::TooLarge, Some(packet_id)) = (sent, packet_id) {
            self.give_up(address, packet_id, qos, turn);
        }
    }

    /// The next message of a fleeting session's queue.
    fn send_queued(&mut self, slot: u32, link_id: LinkId, turn: &mut Turn<'_, '_>) -> Step {
        let address = self.address(slot);
        let Some(extra) = self.sessions.by_slot_mut(slot).and_then(|session| session.extra_if()) else {
            return Step::Wait;
        };
        if extra.queue.is_empty() {
            return Step::Done;
        }
        if extra.outgoing.room() == 0 {
            return Step::Wait;
        }
        let Some(Queued { message, qos, retain, identifiers }) = extra.dequeue() else { return Step::Done };
        let view = message.view();
        if view.is_expired(turn.now) {
            self.counters.publishes_dropped += 1;
            return Step::Again;
        }
        let Some(packet_id) = extra.outgoing.open(qos, Held::Live) else { return Step::Wait };
        self.links.begin_message();
        let copy = Copy {
            now: turn.now,
            view: &view,
            qos,
            retain,
            dup: false,
            packet_id: Some(packet_id),
            identifiers: &identifiers,
        };
        if self.links.publish(link_id, &copy, turn.effects) == Sent::TooLarge {
            self.give_up(address, packet_id, qos, turn);
        }
        Step::Again
    }

    /// Asks the journal for the next page of a durable session that is behind.
    fn read_on(&mut self, slot: u32, _link: LinkId, turn: &mut Turn<'_, '_>) -> Step {
        let address = self.address(slot);
        let Some(extra) = self.sessions.by_slot_mut(slot).and_then(|session| session.extra_if()) else {
            return Step::Wait;
        };
        if !extra.log.behind {
            return Step::Done;
        }
        let room = usize::from(extra.outgoing.room());
        if extra.log.reading || room == 0 {
            return Step::Wait;
        }
        extra.log.reading = true;
        turn.effects.asks.push(Ask::Read {
            receiver: Receiver::Session(address),
            after: extra.log.read_through,
            messages_max: room.min(PAGE_MESSAGES),
        });
        Step::Wait
    }

    /// A page from the journal.
    pub(crate) fn page(&mut self, page: Page, turn: &mut Turn<'_, '_>) {
        let address = match page.receiver {
            Receiver::Session(address) => address,
            Receiver::Group(group) => return self.group_page(group, page, turn),
        };
        let Some(session) = self.sessions.at_mut(address.slot, address.generation) else { return };
        session.extra_mut().log.reading = bites(Tooth::NoWayBack);
        if page.is_resend {
            self.page_to_resend(address, &page.entries, turn);
        } else {
            self.page_to_catch_up(address, &page, turn);
        }
        self.pump(address.slot, turn);
    }

    fn page_to_catch_up(&mut self, address: SessionRef, page: &Page, turn: &mut Turn<'_, '_>) {
        for entry in &page.entries {
            let Some(extra) = self.sessions.by_slot(address.slot).and_then(|session| session.extra()) else {
                return;
            };
            if entry.position <= extra.log.read_through && !bites(Tooth::ReadPositionIgnored) {
                continue;
            }
            if !self.is_ready(address.slot) {
                return;
            }
            let view = entry.message.view();
            let copy = KeptCopy {
                position: entry.position,
                view: &view,
                qos: entry.qos,
                retain_as_published: entry.retain_as_published,
                identifiers: &entry.identifiers,
            };
            if view.is_expired(turn.now) && !bites(Tooth::ExpiredDelivered) {
                self.skip_kept(address, entry.position);
                continue;
            }
            self.links.begin_message();
            self.send_kept(address, &copy, turn);
        }
        let Some(session) = self.sessions.by_slot_mut(address.slot) else { return };
        let log = &mut session.extra_mut().log;
        log.read_through = log.read_through.max(page.through);
        if page.at_tip {
            // Whatever came while the page was on its way is in it: the journal mails in log order.
            log.behind = false;
        }
        self.note_settling(address);
    }

    /// The session has read past a message that expired while it waited `[MQTT-3.3.2-5]`.
    fn skip_kept(&mut self, address: SessionRef, position: Position) {
        self.counters.publishes_dropped += 1;
        if let Some(session) = self.sessions.by_slot_mut(address.slot) {
            session.extra_mut().log.read_through = position;
        }
    }

    /// Messages that were open when the last connection ended, again.
    fn page_to_resend(&mut self, address: SessionRef, entries: &[PageEntry], turn: &mut Turn<'_, '_>) {
        for entry in entries {
            let Some(session) = self.sessions.by_slot(address.slot) else { return };
            let Some(extra) = session.extra() else { return };
            let is_open = session
                .link()
                .and_then(|link_id| self.links.at(link_id))
                .is_some_and(|link| link.state == LinkState::Open);
            let Some(&packet_id) = extra.resends.front() else { return };
            let Some(Stage::Publish(&Held::Kept { position, qos, retain })) = extra.outgoing.stage(packet_id)
            else {
                return;
            };
            if !is_open || extra.outgoing.resend_room() == 0 {
                return;
            }
            if position == entry.position {
                self.send_again(address, packet_id, &entry.message, qos, retain, &entry.identifiers, turn);
            }
        }
    }

    /// Groups whose hand-out came back for want of room hear that there is some.
    fn offer_room(&mut self, slot: u32, turn: &mut Turn<'_, '_>) {
        let Some(extra) = self.sessions.by_slot_mut(slot).and_then(|session| session.extra_if()) else {
            return;
        };
        if extra.outgoing.room() == 0 {
            return;
        }
        let starved = std::mem::take(&mut extra.starved);
        self.open_memberships(slot, &starved.into_iter().collect::<Vec<_>>(), turn);
    }

    /// The session needs less of the log than before; the journal hears of it when the turn ends.
    pub(crate) fn note_settling(&mut self, address: SessionRef) {
        let Some(session) = self.sessions.by_slot_mut(address.slot) else { return };
        let log = &mut session.extra_mut().log;
        if !log.settling {
            log.settling = true;
            self.settling.push(address);
        }
    }

    /// Tells the journal what durable sessions do not need any more.
    pub(crate) fn tell_settled(&mut self, turn: &mut Turn<'_, '_>) {
        for address in std::mem::take(&mut self.settling) {
            let Some(session) = self.sessions.at_mut(address.slot, address.generation) else { continue };
            let Some(extra) = session.extra_if() else { continue };
            extra.log.settling = false;
            let through: Position = extra.settled_through();
            if through > extra.log.settled {
                extra.log.settled = through;
                turn.effects.asks.push(Ask::Settled { receiver: Receiver::Session(address), through });
            }
        }
    }
}

/// Keeps the newest of those that wait for one filter: whoever subscribes again and again while reading slowly is sent
/// the retained messages once.
fn forget_repeated(replays: &mut VecDeque<Replay>) {
    let mut seen = HashSet::new();
    let newest_first = std::mem::take(replays).into_iter().rev();
    let mut kept: VecDeque<Replay> =
        newest_first.filter(|replay| seen.insert(replay.filter.clone())).collect();
    kept.make_contiguous().reverse();
    *replays = kept;
}

/// False if no retained message matches the filter, so that most subscriptions need no block for their replay.
fn has_retained(filter: &str, turn: &Turn<'_, '_>) -> bool {
    let mut is_found = false;
    let retained = turn.tables.retained().read();
    let page = retained.topics.page(filter, None, RETAINED_VISITS_PER_PAGE, |_, _| {
        is_found = true;
        false
    });
    is_found || page != retained::Page::End
}

/// Positions of the kept messages at the front of the list to send again, as far as the window has room.
fn positions_to_resend(extra: &SessionExtra) -> Vec<Position> {
    let room = usize::from(extra.outgoing.resend_room()).min(PAGE_MESSAGES);
    extra
        .resends
        .iter()
        .filter_map(|&packet_id| match extra.outgoing.stage(packet_id) {
            Some(Stage::Publish(&Held::Kept { position, .. })) => Some(position),
            _ => None,
        })
        .take(room)
        .collect()
}
