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
use crate::teeth::{Tooth, bites};

/// One shared group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    members: BTreeMap<SessionRef, Member>,
    /// Connected members; the first is the next to be served.
    standings: BTreeSet<Standing>,
    queue: VecDeque<Lent>,
    queue_bytes: usize,
    log: GroupLog,
    /// Messages handed out, so that equals take turns.
    handed_out: u64,
}

#[derive(Debug)]
struct Member {
    terms: MemberTerms,
    is_connected: bool,
    credits: u16,
    holds: u32,
    /// What the group had handed out when it was served last.
    served_at: u64,
    packet_size_max: u32,
}

/// Where a connected member stands among the others: those with room first, then those that hold the fewest, then
/// those that were not served for longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    is_full: bool,
    holds: u32,
    served_at: u64,
    session: SessionRef,
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
    /// Positions beyond `read_through` that need not be read again: finished, or held by a member, since before the
    /// broker was started.
    skipped: BTreeSet<Position>,
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
    if let Some(joins) = turn.tables.routes_mut().leave(group) {
        turn.effects.keeps.push((0, Record::GroupEnded { group, joins }));
    }
    post_to_group(GroupMail::Leave { group, member }, turn);
}

impl Member {
    fn standing(&self, session: SessionRef) -> Option<Standing> {
        let is_full = self.terms.qos > QoS::AtMostOnce && self.credits == 0;
        let Member { holds, served_at, .. } = *self;
        self.is_connected.then_some(Standing { is_full, holds, served_at, session })
    }
}

impl Group {
    /// The connected member that stands first and can take the message. QoS 0 needs no room. `bytes` is about what the
    /// packet takes (U5-54); what is too large for all of them goes to the first, which has it dropped, or everything
    /// behind it would wait for ever.
    fn choose(&self, is_qos0: bool, bytes: usize) -> Option<SessionRef> {
        let fits = |standing: &&Standing| {
            let member = self.members.get(&standing.session);
            member.is_some_and(|member| bytes <= member.packet_size_max as usize)
        };
        let mut with_room = self.standings.iter().take_while(|standing| is_qos0 || !standing.is_full);
        let first = with_room.clone().next();
        let chosen = with_room
            .find(fits)
            .or_else(|| first.filter(|_| !self.standings.iter().any(|standing| fits(&standing))));
        chosen.map(|standing| standing.session)
    }

    /// Changes a member, and its standing with it.
    fn change(&mut self, session: SessionRef, change: impl FnOnce(&mut Member)) {
        let Some(member) = self.members.get_mut(&session) else { return };
        if let Some(standing) = member.standing(session) {
            self.standings.remove(&standing);
        }
        change(member);
        self.standings.extend(member.standing(session));
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

    /// Members.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Bytes of the messages that wait.
    pub(crate) fn queue_bytes(&self) -> usize {
        self.queue_bytes
    }

    /// Takes up where it stood: everything up to `settled` is finished.
    pub(crate) fn restore(
        &mut self,
        settled: Position,
        mut finished: BTreeSet<Position>,
        lent: BTreeSet<Position>,
    ) {
        finished.extend(&lent);
        let skipped = finished;
        self.log =
            GroupLog { read_through: settled, behind: true, reading: false, settled, open: lent, skipped };
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
        let Some(terms) = group.members.get(&session).map(|member| member.terms.clone()) else { return };
        let qos = lent.message.view().qos.min(terms.qos);
        group.handed_out += 1;
        let served_at = group.handed_out;
        group.change(session, |member| {
            if qos > QoS::AtMostOnce {
                member.credits = member.credits.saturating_sub(1);
            }
            member.holds += 1;
            member.served_at = served_at;
        });
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
            if entry.position > group.log.read_through && !group.log.skipped.remove(&entry.position) {
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
                self.change_member(group, member, |member| {
                    member.is_connected = true;
                    member.credits = credits;
                    member.packet_size_max = packet_size_max;
                });
                self.serve(group, turn);
            }
            GroupMail::Gone { group, member } => {
                self.change_member(group, member, |member| {
                    member.is_connected = false;
                    member.credits = 0;
                });
                // It may have been the only one that what waits would fit.
                self.serve(group, turn);
            }
            GroupMail::Finished { group, member, position } => {
                self.change_member(group, member, |member| {
                    member.holds = member.holds.saturating_sub(1);
                    member.credits = (member.credits + 1).min(GROUP_CREDITS_MAX);
                });
                self.group_settled(group, position, turn);
                self.serve(group, turn);
            }
            GroupMail::Returned { member, lent, full } => self.hand_out_returned(member, lent, full, turn),
            GroupMail::HandOut { member, lent, terms } => self.receive_hand_out(member, lent, &terms, turn),
        }
    }

    fn change_member(&mut self, group: GroupRef, member: SessionRef, change: impl FnOnce(&mut Member)) {
        if let Some(group) = self.groups.get_mut(&group) {
            group.change(member, change);
        }
    }

    fn member_joined(&mut self, group: GroupRef, session: SessionRef, terms: MemberTerms) {
        let group = self.groups.entry(group).or_default();
        if group.members.contains_key(&session) {
            return group.change(session, |member| member.terms = terms);
        }
        let member = Member {
            terms,
            is_connected: false,
            credits: 0,
            holds: 0,
            served_at: 0,
            packet_size_max: u32::MAX,
        };
        group.members.insert(session, member);
    }

    fn member_left(&mut self, group_ref: GroupRef, session: SessionRef, turn: &mut Turn<'_, '_>) {
        let Some(group) = self.groups.get_mut(&group_ref) else { return };
        let member = group.members.remove(&session);
        if let Some(standing) = member.and_then(|member| member.standing(session)) {
            group.standings.remove(&standing);
        }
        if group.members.is_empty() && turn.tables.routes().group_text(group_ref).is_none() {
            // Nobody is left, and nobody on the way: what was not delivered goes with the group (U5-53).
            self.groups.remove(&group_ref);
            return;
        }
        self.serve(group_ref, turn);
    }

    /// A member could not begin what it was handed: it goes to the front again.
    fn hand_out_returned(&mut self, session: SessionRef, lent: Lent, full: bool, turn: &mut Turn<'_, '_>) {
        let group_ref = lent.group;
        self.change_member(group_ref, session, |member| {
            member.holds = member.holds.saturating_sub(1);
            if full {
                member.credits = 0;
            }
        });
        let Some(group) = self.groups.get_mut(&group_ref) else { return };
        if bites(Tooth::GroupHandsOutTwice) {
            group.push(lent.clone(), true);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn member(slot: u32) -> SessionRef {
        SessionRef { slot, generation: 0, shard: 0 }
    }

    /// A group of connected QoS 1 members with so many credits each.
    fn group(credits: &[u16]) -> Group {
        let mut group = Group::default();
        for (slot, &credits) in (0..).zip(credits) {
            let terms = MemberTerms { qos: QoS::AtLeastOnce, retain_as_published: false, identifier: 0 };
            let (is_connected, packet_size_max) = (false, 100);
            let fresh = Member { terms, is_connected, credits, holds: 0, served_at: 0, packet_size_max };
            group.members.insert(member(slot), fresh);
            group.change(member(slot), |member| member.is_connected = true);
        }
        group
    }

    #[test]
    fn who_holds_the_fewest_is_next_and_equals_take_turns() {
        let mut group = group(&[9, 9, 9]);
        group.change(member(0), |member| (member.holds, member.served_at) = (1, 1));
        group.change(member(1), |member| member.served_at = 2);
        assert_eq!(group.choose(false, 1), Some(member(2)));
        group.change(member(2), |member| member.served_at = 3);
        assert_eq!(group.choose(false, 1), Some(member(1)));
    }

    #[test]
    fn members_without_room_are_for_qos_0_only() {
        let group = group(&[0]);
        assert_eq!(group.choose(false, 1), None);
        assert_eq!(group.choose(true, 1), Some(member(0)));
    }

    #[test]
    fn a_message_too_large_for_the_next_goes_to_one_who_can_take_it() {
        let mut group = group(&[9, 9]);
        group.change(member(1), |member| (member.holds, member.packet_size_max) = (5, 1_000));
        assert_eq!(group.choose(false, 500), Some(member(1)));
        group.change(member(1), |member| member.credits = 0);
        assert_eq!(group.choose(false, 500), None);
    }

    #[test]
    fn a_message_too_large_for_all_goes_to_the_next_instead_of_waiting() {
        let mut group = group(&[9, 9]);
        assert_eq!(group.choose(false, 500), Some(member(0)));
        group.change(member(0), |member| member.credits = 0);
        assert_eq!(group.choose(false, 500), Some(member(1)));
        group.change(member(1), |member| member.credits = 0);
        assert_eq!(group.choose(false, 500), None);
    }

    #[test]
    fn who_is_gone_is_not_chosen() {
        let mut group = group(&[9]);
        group.change(member(0), |member| member.is_connected = false);
        assert_eq!(group.choose(true, 1), None);
        assert!(group.standings.is_empty());
    }
}
