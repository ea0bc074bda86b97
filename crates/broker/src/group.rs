//! Shared subscriptions: one queue per group, on the group's home shard. Members lend it credits for their windows;
//! a message goes to the connected member that holds the fewest, and waits in the group while nobody has room.
//!
//! A group with a durable member is served from the log, like a durable session; one with only fleeting members from
//! a queue in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use longwire_proto::QoS;

use crate::address::{GroupRef, SessionRef};
use crate::event::Event;
use crate::limits::PAGE_MESSAGES;
use crate::parcel::{Ask, GroupMail, Lent, MemberTerms, Page, Parcel};
use crate::record::{Position, Record};
use crate::routes::Receiver;
use crate::session::GROUP_CREDITS_MAX;
use crate::shard::{Shard, Turn};

/// One shared group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    members: BTreeMap<SessionRef, Member>,
    queue: VecDeque<Lent>,
    queue_bytes: usize,
    log: GroupLog,
    /// The member served last, so that equals take turns.
    last_served: Option<SessionRef>,
}

#[derive(Debug)]
struct Member {
    terms: MemberTerms,
    is_connected: bool,
    credits: u16,
    holds: u32,
    packet_size_max: u32,
}

/// How far a durable group has read the log.
#[derive(Debug, Default)]
struct GroupLog {
    read_through: Position,
    behind: bool,
    reading: bool,
    settled: Position,
    /// Positions handed out or queued, and not finished.
    open: BTreeSet<Position>,
}

impl GroupMail {
    /// The shard this is for.
    fn addressee(&self) -> u16 {
        match self {
            GroupMail::Join { group, .. }
            | GroupMail::Leave { group, .. }
            | GroupMail::Open { group, .. }
            | GroupMail::Gone { group, .. }
            | GroupMail::Finished { group, .. } => group.shard,
            GroupMail::Returned { lent, .. } => lent.group.shard,
            GroupMail::HandOut { member, .. } => member.shard,
        }
    }
}

/// Word to a shared group. It goes by mail even on its own shard, so that a group and its members never call each
/// other in circles.
pub(crate) fn post_to_group(mail: GroupMail, turn: &mut Turn<'_, '_>) {
    turn.effects.post(mail.addressee(), Parcel::Group(mail));
}

/// A session is a member no longer. With the last one ends a group's place in the log.
pub(crate) fn leave_group(group: GroupRef, member: SessionRef, turn: &mut Turn<'_, '_>) {
    if turn.tables.routes_mut().leave(group) {
        turn.effects.keeps.push((0, Record::GroupEnded { group }));
    }
    post_to_group(GroupMail::Leave { group, member }, turn);
}

impl Group {
    /// The connected member with room that holds the fewest; among equals the one after the last served. QoS 0 needs
    /// no room. `bytes` is about what the packet takes (U5-54).
    fn choose(&self, is_qos0: bool, bytes: usize) -> Option<SessionRef> {
        let fits = |member: &Member| {
            member.is_connected
                && (is_qos0 || member.terms.qos == QoS::AtMostOnce || member.credits > 0)
                && bytes <= member.packet_size_max as usize
        };
        let after_last = |session: &SessionRef| self.last_served.is_none_or(|last| *session > last);
        self.members
            .iter()
            .filter(|(_, member)| fits(member))
            .min_by_key(|(session, member)| (member.holds, !after_last(session), **session))
            .map(|(session, _)| *session)
    }

    fn push(&mut self, lent: Lent, is_returned: bool) {
        self.queue_bytes += lent.bytes();
        if is_returned {
            self.queue.push_front(lent);
        } else {
            self.queue.push_back(lent);
        }
    }

    fn pop(&mut self) -> Option<Lent> {
        let lent = self.queue.pop_front()?;
        self.queue_bytes -= lent.bytes();
        Some(lent)
    }

    fn settled_through(&self) -> Position {
        self.log.open.first().map_or(self.log.read_through, |position| position - 1)
    }
}

impl Shard {
    /// A live message for a group.
    pub(crate) fn offer(&mut self, lent: Lent, turn: &mut Turn<'_, '_>) {
        let group_ref = lent.group;
        let Some(group) = self.groups.get_mut(&group_ref) else { return };
        let view = lent.message.view();
        if group.queue_bytes + lent.bytes() > self.limits.queue_bytes_max {
            self.counters.publishes_dropped += 1;
            turn.effects.events.push(Event::Dropped {
                client: "".into(),
                topic: view.topic.into(),
                why: "a shared group with only fleeting members has queue_bytes_max waiting; add members",
            });
            return;
        }
        let is_qos0 = view.qos == QoS::AtMostOnce;
        if is_qos0 && group.choose(true, 0).is_none() {
            return self.counters.publishes_dropped += 1;
        }
        group.push(lent, false);
        self.serve(group_ref, turn);
    }

    /// A kept message for a durable group, in log order.
    pub(crate) fn offer_kept(&mut self, lent: Lent, turn: &mut Turn<'_, '_>) {
        let group_ref = lent.group;
        let Some(group) = self.groups.get_mut(&group_ref) else { return };
        let Some(position) = lent.position.filter(|&position| position > group.log.read_through) else {
            return;
        };
        let has_taker = group.choose(false, lent.message.len()).is_some();
        if group.log.behind || group.log.reading || !group.queue.is_empty() || !has_taker {
            group.log.behind = true;
            return;
        }
        group.log.read_through = position;
        group.log.open.insert(position);
        group.push(lent, false);
        self.serve(group_ref, turn);
    }

    /// Hands out what waits, and asks the log for more when nothing does.
    fn serve(&mut self, group_ref: GroupRef, turn: &mut Turn<'_, '_>) {
        loop {
            let Some(group) = self.groups.get_mut(&group_ref) else { return };
            let Some(next) = group.queue.front() else { break };
            let view = next.message.view();
            let is_qos0 = view.qos == QoS::AtMostOnce;
            let expired = view.is_expired(turn.now);
            let chosen = group.choose(is_qos0, view.len());
            if chosen.is_none() && !expired {
                break;
            }
            let Some(lent) = group.pop() else { break };
            let (Some(session), false) = (chosen, expired) else {
                self.counters.publishes_dropped += 1;
                self.group_settled(group_ref, lent.position, turn);
                continue;
            };
            self.hand_out(group_ref, session, lent, turn);
        }
        self.group_read_on(group_ref, turn);
    }

    fn hand_out(&mut self, group_ref: GroupRef, session: SessionRef, lent: Lent, turn: &mut Turn<'_, '_>) {
        let Some(group) = self.groups.get_mut(&group_ref) else { return };
        let Some(member) = group.members.get_mut(&session) else { return };
        let qos = lent.message.view().qos.min(member.terms.qos);
        if qos > QoS::AtMostOnce {
            member.credits = member.credits.saturating_sub(1);
        }
        member.holds += 1;
        group.last_served = Some(session);
        let terms = member.terms.clone();
        if session.shard == self.number {
            self.receive_hand_out(session, lent, &terms, turn);
        } else {
            turn.effects
                .post(session.shard, Parcel::Group(GroupMail::HandOut { member: session, lent, terms }));
        }
    }

    fn group_read_on(&mut self, group_ref: GroupRef, turn: &mut Turn<'_, '_>) {
        let Some(group) = self.groups.get_mut(&group_ref) else { return };
        if group.log.behind
            && !group.log.reading
            && group.queue.is_empty()
            && group.choose(false, 0).is_some()
        {
            group.log.reading = true;
            turn.effects.asks.push(Ask::Read {
                receiver: Receiver::Group(group_ref),
                after: group.log.read_through,
                messages_max: PAGE_MESSAGES,
            });
        }
    }

    /// What a durable group reads to catch up.
    pub(crate) fn group_page(&mut self, group_ref: GroupRef, page: Page, turn: &mut Turn<'_, '_>) {
        let Some(group) = self.groups.get_mut(&group_ref) else { return };
        group.log.reading = false;
        for entry in page.entries {
            if entry.position > group.log.read_through {
                group.log.open.insert(entry.position);
                let lent = Lent { group: group_ref, message: entry.message, position: Some(entry.position) };
                group.push(lent, false);
            }
        }
        group.log.read_through = group.log.read_through.max(page.through);
        if page.at_tip {
            group.log.behind = false;
        }
        self.serve(group_ref, turn);
        self.group_settled(group_ref, None, turn);
    }

    /// Word for a group or a member of this shard.
    pub(crate) fn group_mail(&mut self, mail: GroupMail, turn: &mut Turn<'_, '_>) {
        match mail {
            GroupMail::Join { group, member, terms } => self.member_joined(group, member, terms),
            GroupMail::Leave { group, member } => self.member_left(group, member, turn),
            GroupMail::Open { group, member, credits, packet_size_max } => {
                if let Some(found) = self.member(group, member) {
                    found.is_connected = true;
                    found.credits = credits;
                    found.packet_size_max = packet_size_max;
                }
                self.serve(group, turn);
            }
            GroupMail::Gone { group, member } => {
                if let Some(found) = self.member(group, member) {
                    found.is_connected = false;
                    found.credits = 0;
                }
            }
            GroupMail::Finished { group, member, position } => {
                if let Some(found) = self.member(group, member) {
                    found.holds = found.holds.saturating_sub(1);
                    found.credits = (found.credits + 1).min(GROUP_CREDITS_MAX);
                }
                self.group_settled(group, position, turn);
                self.serve(group, turn);
            }
            GroupMail::Returned { member, lent, full } => self.hand_out_returned(member, lent, full, turn),
            GroupMail::HandOut { member, lent, terms } => self.receive_hand_out(member, lent, &terms, turn),
        }
    }

    fn member(&mut self, group: GroupRef, member: SessionRef) -> Option<&mut Member> {
        self.groups.get_mut(&group)?.members.get_mut(&member)
    }

    fn member_joined(&mut self, group: GroupRef, session: SessionRef, terms: MemberTerms) {
        let group = self.groups.entry(group).or_default();
        if let Some(member) = group.members.get_mut(&session) {
            member.terms = terms;
            return;
        }
        let member = Member { terms, is_connected: false, credits: 0, holds: 0, packet_size_max: u32::MAX };
        group.members.insert(session, member);
    }

    fn member_left(&mut self, group_ref: GroupRef, session: SessionRef, turn: &mut Turn<'_, '_>) {
        let Some(group) = self.groups.get_mut(&group_ref) else { return };
        group.members.remove(&session);
        if group.members.is_empty() {
            // Nobody is left: what was not delivered goes with the group (U5-53).
            self.groups.remove(&group_ref);
            return;
        }
        self.serve(group_ref, turn);
    }

    /// A member could not begin what it was handed: it goes to the front again.
    fn hand_out_returned(&mut self, session: SessionRef, lent: Lent, full: bool, turn: &mut Turn<'_, '_>) {
        let group_ref = lent.group;
        if let Some(member) = self.member(group_ref, session) {
            member.holds = member.holds.saturating_sub(1);
            if full {
                member.credits = 0;
            }
        }
        let Some(group) = self.groups.get_mut(&group_ref) else { return };
        group.push(lent, true);
        self.serve(group_ref, turn);
    }

    /// A position is finished; tells the journal if the group needs less of the log than before.
    fn group_settled(&mut self, group_ref: GroupRef, position: Option<Position>, turn: &mut Turn<'_, '_>) {
        let Some(group) = self.groups.get_mut(&group_ref) else { return };
        if let Some(position) = position {
            group.log.open.remove(&position);
        }
        let through = group.settled_through();
        if through > group.log.settled {
            group.log.settled = through;
            turn.effects.asks.push(Ask::Settled { receiver: Receiver::Group(group_ref), through });
        }
    }
}
