//! The filters that have targets: found by text, then known by their ids.

use super::entries::{Entries, Filter};
use super::numbers::Numbers;
use super::target::{Receiver, Target};
use super::targets::{Lists, Targets};
use crate::address::HashKey;

/// Names a filter that has targets. A stale one names nothing, never another filter.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub struct FilterId {
    number: u32,
    generation: u32,
}

impl FilterId {
    /// Number of the filter among those that exist now.
    pub(super) fn number(self) -> u32 {
        self.number
    }
}

/// All filters, found by text or by number.
#[derive(Debug)]
pub(super) struct Filters {
    key: HashKey,
    entries: Entries,
    names: Numbers,
    lists: Lists,
    /// Filters ever created: where generations come from.
    created: u32,
}

impl Filters {
    pub(super) fn new(key: HashKey) -> Self {
        Filters { key, entries: Entries::new(), names: Numbers::new(), lists: Lists::new(key), created: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn find(&self, text: &str) -> Option<FilterId> {
        let bytes = text.as_bytes();
        let mut generation = 0;
        let number = self.names.find(self.key.hash(bytes), |number| {
            let (filter, found) = named(&self.entries, number);
            generation = filter.generation;
            found == bytes
        })?;
        Some(FilterId { number, generation })
    }

    /// The id of the filter that has this number now.
    pub(super) fn id(&self, number: u32) -> FilterId {
        FilterId { number, generation: named(&self.entries, number).0.generation }
    }

    pub(super) fn text(&self, id: FilterId) -> Option<&str> {
        let (_, text) = self.entry(id)?;
        Some(std::str::from_utf8(text).expect("entries hold texts"))
    }

    pub(super) fn target(&self, id: FilterId, receiver: Receiver) -> Option<&Target> {
        self.lists.find(&self.entry(id)?.0.targets, receiver)
    }

    pub(super) fn targets(&self, id: FilterId) -> &[Target] {
        self.entry(id).map_or(&[], |(filter, _)| self.lists.all(&filter.targets))
    }

    pub(super) fn has_durable(&self, id: FilterId) -> bool {
        self.entry(id).is_some_and(|(filter, _)| self.lists.has_durable(&filter.targets))
    }

    /// Adds a filter that is not there yet, without targets.
    pub(super) fn insert(&mut self, text: &str) -> FilterId {
        let generation = self.created;
        self.created = generation.wrapping_add(1);
        let number = self.entries.insert(Filter { targets: Targets::None, generation }, text);
        let Filters { key, entries, names, .. } = self;
        names.insert(key.hash(text.as_bytes()), number, |number| hash(key, entries, number));
        FilterId { number, generation }
    }

    /// Adds a target to a filter, or replaces the one of the same receiver and returns it.
    pub(super) fn put(&mut self, id: FilterId, target: Target) -> Option<Target> {
        let filter = living(&mut self.entries, id)?;
        self.lists.put(&mut filter.targets, target)
    }

    /// Removes the target of `receiver` and returns it. The filter stays, maybe without any target.
    pub(super) fn take(&mut self, id: FilterId, receiver: Receiver) -> Option<Target> {
        let filter = living(&mut self.entries, id)?;
        self.lists.remove(&mut filter.targets, receiver)
    }

    /// Removes a filter that has no targets any more.
    pub(super) fn remove(&mut self, id: FilterId) {
        let Filters { key, entries, names, .. } = self;
        let hash_of = |number| hash(key, entries, number);
        names.remove(hash_of(id.number), id.number, hash_of);
        entries.remove(id.number);
    }

    /// Bytes behind filters that have at most one target.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.entries.bytes() + self.names.bytes()
    }

    fn entry(&self, id: FilterId) -> Option<(&Filter, &[u8])> {
        self.entries.entry(id.number).filter(|(filter, _)| filter.generation == id.generation)
    }
}

fn living(entries: &mut Entries, id: FilterId) -> Option<&mut Filter> {
    entries.filter_mut(id.number).filter(|filter| filter.generation == id.generation)
}

fn named(entries: &Entries, number: u32) -> (&Filter, &[u8]) {
    entries.entry(number).expect("the name table and the trie name living filters")
}

fn hash(key: &HashKey, entries: &Entries, number: u32) -> u64 {
    key.hash(named(entries, number).1)
}
