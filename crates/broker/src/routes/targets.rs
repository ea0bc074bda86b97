//! The targets of one filter: none, one in place, or many in a list of their own.
//!
//! Long lists have an index from receiver to position, so that thousands of sessions can leave one filter one after
//! another in constant time each. Removal moves the last target into the gap: the order means nothing and changes.

use hashbrown::HashTable;

use super::target::{Receiver, Target};
use crate::address::HashKey;
use crate::slab::Slab;

/// Lists longer than this have an index; shorter ones are searched.
const SEARCHED_MAX: usize = 32;

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
    /// Positions in `targets` by receiver; empty while the list is short.
    positions: HashTable<u32>,
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
        List { targets: vec![first, second], positions: HashTable::new(), durable }
    }

    fn position(&self, key: &HashKey, receiver: Receiver) -> Option<usize> {
        if self.targets.len() <= SEARCHED_MAX {
            return self.targets.iter().position(|target| target.receiver() == receiver);
        }
        let is_it = |position: &u32| self.targets[*position as usize].receiver() == receiver;
        self.positions.find(hash(key, receiver), is_it).map(|position| *position as usize)
    }

    fn put(&mut self, key: &HashKey, target: Target) -> Option<Target> {
        self.durable += u32::from(target.is_durable());
        if let Some(position) = self.position(key, target.receiver()) {
            let replaced = std::mem::replace(&mut self.targets[position], target);
            self.durable -= u32::from(replaced.is_durable());
            return Some(replaced);
        }
        self.targets.push(target);
        if self.targets.len() == SEARCHED_MAX + 1 {
            for position in 0..self.targets.len() {
                self.index(key, position);
            }
        } else if self.targets.len() > SEARCHED_MAX {
            self.index(key, self.targets.len() - 1);
        }
        None
    }

    fn remove(&mut self, key: &HashKey, receiver: Receiver) -> Option<Target> {
        let position = self.position(key, receiver)?;
        let last = self.targets.len() - 1;
        if last > SEARCHED_MAX {
            self.unindex(key, receiver, position);
            if position != last {
                self.unindex(key, self.targets[last].receiver(), last);
            }
        } else {
            self.positions = HashTable::new();
        }
        let removed = self.targets.swap_remove(position);
        if last > SEARCHED_MAX && position != last {
            self.index(key, position);
        }
        self.durable -= u32::from(removed.is_durable());
        self.shrink(key);
        Some(removed)
    }

    /// Adds the target at `position` to the index.
    fn index(&mut self, key: &HashKey, position: usize) {
        let targets = &self.targets;
        let hash_of = |position: &u32| hash(key, targets[*position as usize].receiver());
        let position = position as u32;
        self.positions.insert_unique(hash_of(&position), position, hash_of);
    }

    /// Removes `receiver`, which is at `position`, from the index.
    fn unindex(&mut self, key: &HashKey, receiver: Receiver, position: usize) {
        let is_it = |found: &u32| *found as usize == position;
        if let Ok(entry) = self.positions.find_entry(hash(key, receiver), is_it) {
            entry.remove();
        }
    }

    /// Gives memory back once most of it is unused.
    fn shrink(&mut self, key: &HashKey) {
        let List { targets, positions, .. } = self;
        if targets.len() < targets.capacity() / 4 {
            targets.shrink_to(targets.len() * 2);
            positions
                .shrink_to(positions.len() * 2, |position| hash(key, targets[*position as usize].receiver()));
        }
    }
}

fn hash(key: &HashKey, receiver: Receiver) -> u64 {
    let (kind, slot, generation, shard) = match receiver {
        Receiver::Session(session) => (0_u64, session.slot, session.generation, session.shard),
        Receiver::Group(group) => (1_u64, group.slot, group.generation, group.shard),
    };
    let address = u64::from(slot) | u64::from(generation) << 32 | u64::from(shard) << 48;
    key.hash(&(u128::from(address) | u128::from(kind) << 64).to_le_bytes()[..9])
}
