//! The subscribers: what each has seen of every publisher, and what is missing.
//!
//! Subscribers with the same shared filter hear with one *ear*: each message comes to one of them, so that only all of
//! them together know what is missing, while order is kept per member. Everybody else has an ear of its own.

use std::collections::HashMap;
use std::ops::Range;

use crate::bench::track::{Arrival, Track};

/// Publishers that one ear keeps a track of, when they are not known beforehand.
const PUBLISHERS_MAX: u32 = 1 << 20;

/// All subscribers.
pub(super) struct Audience {
    members: Vec<Member>,
    ears: Vec<Ear>,
    /// Which publishers there are is known.
    is_closed: bool,
    pub(super) missing: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
}

struct Member {
    ear: usize,
    /// The number after the highest that came of each publisher; in shared groups only.
    nexts: Vec<u64>,
}

struct Ear {
    /// Number of the publisher that the first track is of.
    first: u32,
    tracks: Vec<Track>,
    is_shared: bool,
}

impl Audience {
    /// Subscribers with these filters. `heard` are the publishers that each hears, `None` if they are in another process.
    pub(super) fn new(filters: &[String], heard: Option<&[Range<u32>]>, first_publisher: u32) -> Self {
        let mut groups = HashMap::new();
        let mut ears: Vec<Ear> = Vec::new();
        let mut members = Vec::new();
        for (number, filter) in filters.iter().enumerate() {
            let is_shared = filter.starts_with("$share/");
            let new = ears.len();
            let ear = if is_shared { *groups.entry(filter).or_insert(new) } else { new };
            if ear == new {
                let range = heard.map_or(0..0, |heard| heard[number].clone());
                let first = if heard.is_some() { first_publisher + range.start } else { 0 };
                ears.push(Ear { first, tracks: range.map(|_| Track::default()).collect(), is_shared });
            }
            members.push(Member { ear, nexts: Vec::new() });
        }
        let is_closed = heard.is_some();
        Audience { members, ears, is_closed, missing: 0, duplicated: 0, reordered: 0 }
    }

    /// Number of subscribers.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Notes that message `number` of `publisher` came to `subscriber`, and returns how many messages that settles: one,
    /// or with those that it overtook more. `None` if nobody here listens to that publisher.
    pub(super) fn note(&mut self, subscriber: u32, publisher: u32, number: u64) -> Option<u64> {
        let member = &mut self.members[subscriber as usize];
        let ear = &mut self.ears[member.ear];
        let position = publisher.checked_sub(ear.first)? as usize;
        if !self.is_closed && position >= ear.tracks.len() && publisher < PUBLISHERS_MAX {
            ear.tracks.resize_with(position + 1, || Track::joining_at(u64::MAX));
        }
        let track = ear.tracks.get_mut(position)?;
        if track.next() == u64::MAX {
            *track = Track::joining_at(number);
        }
        let arrival = track.note(number);
        match arrival {
            Arrival::New { skipped } => self.missing += skipped,
            Arrival::Late => self.missing -= 1,
            Arrival::Again => self.duplicated += 1,
        }
        if !ear.is_shared {
            self.reordered += u64::from(arrival == Arrival::Late);
            return Some(match arrival {
                Arrival::New { skipped } => skipped + 1,
                Arrival::Late | Arrival::Again => 0,
            });
        }
        if position >= member.nexts.len() {
            member.nexts.resize(position + 1, 0);
        }
        let next = &mut member.nexts[position];
        self.reordered += u64::from(number < *next && arrival != Arrival::Again);
        *next = (*next).max(number + 1);
        Some(u64::from(arrival != Arrival::Again))
    }

    /// Numbers skipped, and those never heard of at the end. `sent` tells how many each publisher has sent.
    pub(super) fn lost(&self, sent: impl Fn(u32) -> u64) -> u64 {
        let unheard = |ear: &Ear| -> u64 {
            let tracks = (ear.first..).zip(&ear.tracks);
            tracks.map(|(publisher, track)| sent(publisher).saturating_sub(track.next())).sum()
        };
        let unheard = if self.is_closed { self.ears.iter().map(unheard).sum() } else { 0 };
        self.missing + unheard
    }

    /// Ears that hear `publisher`, a position among those of this process.
    pub(super) fn hearing(&self, publisher: u32, first_publisher: u32) -> u64 {
        let hears = |ear: &&Ear| {
            let position = (first_publisher + publisher).checked_sub(ear.first);
            position.is_some_and(|position| (position as usize) < ear.tracks.len())
        };
        self.ears.iter().filter(hears).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(members: usize) -> Audience {
        let (filters, heard) = (vec!["$share/g/a".to_owned(); members], vec![0..1; members]);
        Audience::new(&filters, Some(&heard), 0)
    }

    #[test]
    fn a_group_misses_only_what_no_member_has() {
        let mut audience = group(2);
        assert_eq!(audience.hearing(0, 0), 1);
        for (subscriber, number) in [(0, 0), (1, 3), (0, 1), (0, 4)] {
            assert_eq!(audience.note(subscriber, 0, number), Some(1));
        }
        assert_eq!(audience.lost(|_| 6), 2, "2 was skipped, 5 never came");
        assert_eq!((audience.reordered, audience.duplicated), (0, 0));
    }

    #[test]
    fn a_message_to_two_members_is_doubled_and_order_is_that_of_a_member() {
        let mut audience = group(2);
        audience.note(0, 0, 2);
        audience.note(1, 0, 2);
        audience.note(1, 0, 1);
        assert_eq!((audience.reordered, audience.duplicated), (1, 1));
    }

    #[test]
    fn publishers_elsewhere_are_joined_where_they_are() {
        let mut audience = Audience::new(&["a".to_owned()], None, 0);
        audience.note(0, 7, 100);
        audience.note(0, 7, 102);
        assert_eq!(audience.lost(|_| 0), 1);
        assert_eq!(audience.note(0, PUBLISHERS_MAX, 0), None);
    }
}
