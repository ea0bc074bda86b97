//! The filters that have targets: text once, targets beside it, a number for everybody else.

use super::numbers::Numbers;
use super::target::{Receiver, Target};
use super::targets::{Lists, Targets};
use super::texts::{Text, Texts};
use crate::address::HashKey;
use crate::slab::Slab;

/// Names a filter that has targets. A stale one names nothing, never another filter.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub struct FilterId {
    index: u32,
    generation: u32,
}

impl FilterId {
    /// Number of the filter among those that exist now.
    pub(super) fn number(self) -> u32 {
        self.index
    }
}

/// All filters, found by text or by number.
#[derive(Debug)]
pub(super) struct Filters {
    key: HashKey,
    entries: Slab<Filter>,
    names: Numbers,
    texts: Texts,
    lists: Lists,
    /// Filters ever created: where generations come from.
    created: u32,
}

#[derive(Debug)]
struct Filter {
    targets: Targets,
    text: Text,
    generation: u32,
}

impl Filters {
    pub(super) fn new(key: HashKey) -> Self {
        Filters {
            key,
            entries: Slab::new(),
            names: Numbers::new(),
            texts: Texts::new(),
            lists: Lists::new(key),
            created: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn find(&self, text: &str) -> Option<FilterId> {
        let bytes = text.as_bytes();
        let is_it = |number| self.texts.bytes(self.filter(number).text) == bytes;
        self.names.find(self.key.hash(bytes), is_it).map(|number| self.id(number))
    }

    /// The id of the filter that has this number now.
    pub(super) fn id(&self, number: u32) -> FilterId {
        FilterId { index: number, generation: self.filter(number).generation }
    }

    pub(super) fn text(&self, id: FilterId) -> Option<&str> {
        self.at(id).map(|filter| self.texts.text(filter.text))
    }

    pub(super) fn target(&self, id: FilterId, receiver: Receiver) -> Option<&Target> {
        self.lists.find(&self.at(id)?.targets, receiver)
    }

    pub(super) fn targets(&self, id: FilterId) -> &[Target] {
        self.at(id).map_or(&[], |filter| self.lists.all(&filter.targets))
    }

    pub(super) fn has_durable(&self, id: FilterId) -> bool {
        self.at(id).is_some_and(|filter| self.lists.has_durable(&filter.targets))
    }

    /// Adds a filter that is not there yet, without targets.
    pub(super) fn insert(&mut self, text: &str) -> FilterId {
        let generation = self.created;
        self.created = generation.wrapping_add(1);
        let filter = Filter { targets: Targets::None, text: self.texts.insert(text), generation };
        let (index, _) = self.entries.insert(filter);
        let Filters { key, entries, names, texts, .. } = self;
        names.insert(key.hash(text.as_bytes()), index, |number| hash(key, entries, texts, number));
        FilterId { index, generation }
    }

    /// Adds a target to a filter, or replaces the one of the same receiver and returns it.
    pub(super) fn put(&mut self, id: FilterId, target: Target) -> Option<Target> {
        let filter =
            self.entries.by_slot_mut(id.index).filter(|filter| filter.generation == id.generation)?;
        self.lists.put(&mut filter.targets, target)
    }

    /// Removes the target of `receiver` and returns it. The filter stays, maybe without any target.
    pub(super) fn take(&mut self, id: FilterId, receiver: Receiver) -> Option<Target> {
        let filter =
            self.entries.by_slot_mut(id.index).filter(|filter| filter.generation == id.generation)?;
        self.lists.remove(&mut filter.targets, receiver)
    }

    /// Removes a filter that has no targets any more.
    pub(super) fn remove(&mut self, id: FilterId) {
        let Filters { key, entries, names, texts, .. } = self;
        let hash_of = |number| hash(key, entries, texts, number);
        names.remove(hash_of(id.index), id.index, hash_of);
        if let Some(filter) = entries.remove_by_slot(id.index) {
            texts.remove(filter.text);
        }
    }

    fn at(&self, id: FilterId) -> Option<&Filter> {
        self.entries.by_slot(id.index).filter(|filter| filter.generation == id.generation)
    }

    fn filter(&self, number: u32) -> &Filter {
        filter(&self.entries, number)
    }
}

fn filter(entries: &Slab<Filter>, number: u32) -> &Filter {
    entries.by_slot(number).expect("the name table and the trie name living filters")
}

fn hash(key: &HashKey, entries: &Slab<Filter>, texts: &Texts, number: u32) -> u64 {
    key.hash(texts.bytes(filter(entries, number).text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_with_one_target_takes_32_bytes_beside_its_text_and_name() {
        assert_eq!(size_of::<Targets>(), size_of::<Target>());
        assert_eq!(Slab::<Filter>::ENTRY_BYTES, 32);
    }
}
