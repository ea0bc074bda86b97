//! The targets of one filter: none, one in place, or many in a list of their own.
//!
//! Long lists have an index from receiver to position, so that thousands of sessions can leave one filter one after
//! another in constant time each. Removal moves the last target into the gap: the order means nothing and changes.

use super::numbers::Numbers;
use super::target::{Receiver, Target};
use crate::address::HashKey;
use crate::slab::Slab;

/// Lists longer than this have an index; shorter ones are searched, in about a quarter of a microsecond.
const SEARCHED_MAX: usize = 512;

/// Targets of one filter. As small as one target.
#[derive(Debug)]
pub(super) enum Targets {
    None,
    One(Target),
    /// Number of a list among [`Lists`].
    Many(u32),
}

/// The lists of all filters that have more than one target.
#[derive(Debug)]
pub(super) struct Lists {
    key: HashKey,
    lists: Slab<List>,
}

#[derive(Debug)]
struct List {
    targets: Vec<Target>,
    /// Positions in `targets` by receiver, while the list is long.
    positions: Option<Numbers>,
    durable: u32,
}

impl Lists {
    pub(super) fn new(key: HashKey) -> Self {
        Lists { key, lists: Slab::new() }
    }

    /// All targets.
    pub(super) fn all<'a>(&'a self, targets: &'a Targets) -> &'a [Target] {
        match targets {
            Targets::None => &[],
            Targets::One(target) => std::slice::from_ref(target),
            Targets::Many(number) => &self.list(*number).targets,
        }
    }

    /// The target of `receiver`.
    pub(super) fn find<'a>(&'a self, targets: &'a Targets, receiver: Receiver) -> Option<&'a Target> {
        match targets {
            Targets::None => None,
            Targets::One(target) => (target.receiver() == receiver).then_some(target),
            Targets::Many(number) => {
                let list = self.list(*number);
                list.position(&self.key, receiver).map(|position| &list.targets[position])
            }
        }
    }

    pub(super) fn has_durable(&self, targets: &Targets) -> bool {
        match targets {
            Targets::None => false,
            Targets::One(target) => target.is_durable(),
            Targets::Many(number) => self.list(*number).durable > 0,
        }
    }

    /// Adds a target, or replaces the one of the same receiver and returns it.
    pub(super) fn put(&mut self, targets: &mut Targets, target: Target) -> Option<Target> {
        match targets {
            Targets::None => {
                *targets = Targets::One(target);
                None
            }
            Targets::One(one) if one.receiver() == target.receiver() => Some(std::mem::replace(one, target)),
            Targets::One(one) => {
                let list = List::of_two(*one, target);
                *targets = Targets::Many(self.lists.insert(list).0);
                None
            }
            Targets::Many(number) => list_mut(&mut self.lists, *number).put(&self.key, target),
        }
    }

    /// Removes the target of `receiver` and returns it.
    pub(super) fn remove(&mut self, targets: &mut Targets, receiver: Receiver) -> Option<Target> {
        match targets {
            Targets::None => None,
            Targets::One(one) => {
                let removed = (one.receiver() == receiver).then_some(*one)?;
                *targets = Targets::None;
                Some(removed)
            }
            Targets::Many(number) => {
                let number = *number;
                let list = list_mut(&mut self.lists, number);
                let removed = list.remove(&self.key, receiver)?;
                if let [last] = list.targets[..] {
                    *targets = Targets::One(last);
                    self.lists.remove_by_slot(number);
                }
                Some(removed)
            }
        }
    }

    fn list(&self, number: u32) -> &List {
        self.lists.by_slot(number).expect("a filter's list lives as long as the filter names it")
    }
}

fn list_mut(lists: &mut Slab<List>, number: u32) -> &mut List {
    lists.by_slot_mut(number).expect("a filter's list lives as long as the filter names it")
}

impl List {
    fn of_two(first: Target, second: Target) -> Self {
        let durable = u32::from(first.is_durable()) + u32::from(second.is_durable());
        List { targets: vec![first, second], positions: None, durable }
    }

    fn position(&self, key: &HashKey, receiver: Receiver) -> Option<usize> {
        let Some(positions) = &self.positions else {
            return self.targets.iter().position(|target| target.receiver() == receiver);
        };
        let is_it = |position: u32| self.targets[position as usize].receiver() == receiver;
        positions.find(hash(key, receiver), is_it).map(|position| position as usize)
    }

    fn put(&mut self, key: &HashKey, target: Target) -> Option<Target> {
        self.durable += u32::from(target.is_durable());
        if let Some(position) = self.position(key, target.receiver()) {
            let replaced = std::mem::replace(&mut self.targets[position], target);
            self.durable -= u32::from(replaced.is_durable());
            return Some(replaced);
        }
        self.targets.push(target);
        if self.positions.is_some() {
            self.index(key, self.targets.len() - 1);
        } else if self.targets.len() > SEARCHED_MAX {
            self.positions = Some(Numbers::new());
            (0..self.targets.len()).for_each(|position| self.index(key, position));
        }
        None
    }

    fn remove(&mut self, key: &HashKey, receiver: Receiver) -> Option<Target> {
        let position = self.position(key, receiver)?;
        let last = self.targets.len() - 1;
        self.unindex(key, position);
        if position != last {
            self.unindex(key, last);
        }
        let removed = self.targets.swap_remove(position);
        if position != last {
            self.index(key, position);
        }
        self.durable -= u32::from(removed.is_durable());
        self.give_memory_back();
        Some(removed)
    }

    /// Adds the target at `position` to the index, if there is one.
    fn index(&mut self, key: &HashKey, position: usize) {
        let List { targets, positions: Some(positions), .. } = self else { return };
        let hash_at = |position| hash_at(key, targets, position);
        positions.insert(hash_at(position as u32), position as u32, hash_at);
    }

    /// Removes the target at `position` from the index, if there is one.
    fn unindex(&mut self, key: &HashKey, position: usize) {
        let List { targets, positions: Some(positions), .. } = self else { return };
        let hash_at = |position| hash_at(key, targets, position);
        positions.remove(hash_at(position as u32), position as u32, hash_at);
    }

    /// Drops the index once the list is short, and shrinks the list once most of it is unused.
    fn give_memory_back(&mut self) {
        if self.targets.len() <= SEARCHED_MAX / 2 {
            self.positions = None;
        }
        if self.targets.len() < self.targets.capacity() / 4 {
            self.targets.shrink_to(self.targets.len() * 2);
        }
    }
}

fn hash_at(key: &HashKey, targets: &[Target], position: u32) -> u64 {
    hash(key, targets[position as usize].receiver())
}

fn hash(key: &HashKey, receiver: Receiver) -> u64 {
    let (kind, slot, generation, shard) = match receiver {
        Receiver::Session(session) => (0_u64, session.slot, session.generation, session.shard),
        Receiver::Group(group) => (1_u64, group.slot, group.generation, group.shard),
    };
    let address = u64::from(slot) | u64::from(generation) << 32 | u64::from(shard) << 48;
    key.hash(&(u128::from(address) | u128::from(kind) << 64).to_le_bytes()[..9])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::address::SessionRef;
    use crate::routes::TargetOptions;

    fn receiver(number: u32) -> Receiver {
        Receiver::Session(SessionRef { slot: number, generation: 1, shard: 2 })
    }

    fn target(number: u32, identifier: u32) -> Target {
        let is_durable = identifier % 2 == 1;
        let options = TargetOptions::from_bits(if is_durable { 1 << 4 } else { 0 }).unwrap();
        Target::new(receiver(number), options, identifier)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn lists_of_any_length_hold_exactly_the_targets_that_did_not_leave(
            changes in vec((any::<bool>(), 0..2_000_u32, 1..1_500_u32, any::<u8>()), 1..10),
        ) {
            let mut lists = Lists::new(HashKey(1, 2));
            let (mut targets, mut model) = (Targets::None, BTreeMap::new());
            for (joins, start, count, identifier) in changes {
                for number in (start..start + count).map(|number| number * 7 % 2_000) {
                    if joins {
                        let target = target(number, u32::from(identifier));
                        prop_assert_eq!(lists.put(&mut targets, target), model.insert(receiver(number), target));
                    } else {
                        let receiver = receiver(number);
                        prop_assert_eq!(lists.remove(&mut targets, receiver), model.remove(&receiver));
                    }
                }
                let mut found = lists.all(&targets).to_vec();
                found.sort_unstable_by_key(Target::receiver);
                prop_assert!(found.iter().eq(model.values()));
                prop_assert_eq!(lists.has_durable(&targets), model.values().any(Target::is_durable));
                for number in 0..2_000 {
                    prop_assert_eq!(lists.find(&targets, receiver(number)), model.get(&receiver(number)));
                }
            }
        }
    }

    #[test]
    fn a_list_gives_its_memory_back_when_a_crowd_leaves() {
        let mut lists = Lists::new(HashKey(1, 2));
        let mut targets = Targets::None;
        for number in 0..15_000 {
            lists.put(&mut targets, target(number, 0));
        }
        for number in 2..15_000 {
            lists.remove(&mut targets, receiver(number));
        }
        let Targets::Many(number) = targets else { panic!("two targets are left") };
        let list = lists.list(number);
        assert!(list.targets.capacity() <= 16, "{}", list.targets.capacity());
        assert!(list.positions.is_none());
        lists.remove(&mut targets, receiver(0));
        assert!(lists.lists.is_empty());
    }
}
