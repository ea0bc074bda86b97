//! Shared groups: which exist, how many members each has, and where its queue lives.

use super::filters::FilterId;
use super::numbers::Numbers;
use crate::address::{GroupRef, HashKey};
use crate::slab::Slab;

/// All shared groups, by `$share/name/filter` or by address.
#[derive(Debug)]
pub(super) struct Groups {
    key: HashKey,
    entries: Slab<Group>,
    names: Numbers,
}

/// One shared group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) text: Box<str>,
    /// The filter behind the group's name, which has the group among its targets.
    pub(super) filter: FilterId,
    pub(super) shard: u16,
    pub(super) members: u32,
    /// How often a durable member joined, or joined again: from the first time on its messages are kept, until the
    /// group ends. Each is a record on its way to the log.
    pub(super) durable_joins: u32,
}

impl Group {
    /// Its messages are kept.
    pub(super) fn is_durable(&self) -> bool {
        self.durable_joins > 0
    }
}

impl Groups {
    pub(super) fn new(key: HashKey) -> Self {
        Groups { key, entries: Slab::new(), names: Numbers::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn find(&self, text: &str) -> Option<GroupRef> {
        let is_it = |number| &*group(&self.entries, number).text == text;
        let slot = self.names.find(self.key.hash(text.as_bytes()), is_it)?;
        let generation = self.entries.generation(slot)?;
        Some(GroupRef { slot, generation, shard: group(&self.entries, slot).shard })
    }

    pub(super) fn at(&self, address: GroupRef) -> Option<&Group> {
        self.entries.at(address.slot, address.generation)
    }

    pub(super) fn at_mut(&mut self, address: GroupRef) -> Option<&mut Group> {
        self.entries.at_mut(address.slot, address.generation)
    }

    /// Adds a group that is not there yet.
    pub(super) fn insert(&mut self, group: Group) -> GroupRef {
        let (shard, hash) = (group.shard, self.key.hash(group.text.as_bytes()));
        let (slot, generation) = self.entries.insert(group);
        let Groups { key, entries, names } = self;
        names.insert(hash, slot, |number| hash_of(key, entries, number));
        GroupRef { slot, generation, shard }
    }

    /// Adds a group at the address that it had before; false if another one has it.
    pub(super) fn insert_at(&mut self, address: GroupRef, group: Group) -> bool {
        let hash = self.key.hash(group.text.as_bytes());
        let is_free = self.entries.insert_at(address.slot, address.generation, group);
        if is_free {
            let Groups { key, entries, names } = self;
            names.insert(hash, address.slot, |number| hash_of(key, entries, number));
        }
        is_free
    }

    pub(super) fn remove(&mut self, address: GroupRef) {
        if self.at(address).is_none() {
            return;
        }
        let Groups { key, entries, names } = self;
        let hash_of = |number| hash_of(key, entries, number);
        names.remove(hash_of(address.slot), address.slot, hash_of);
        entries.remove_by_slot(address.slot);
    }
}

fn group(entries: &Slab<Group>, number: u32) -> &Group {
    entries.by_slot(number).expect("the name table names living groups")
}

fn hash_of(key: &HashKey, entries: &Slab<Group>, number: u32) -> u64 {
    key.hash(group(entries, number).text.as_bytes())
}
