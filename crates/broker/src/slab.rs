//! A paged slab: entries keep their slot for life, and addresses carry a generation so that stale ones miss.
//!
//! Pages of 1,024 entries are allocated one by one and never moved, so growth copies nothing. New entries take the
//! lowest page with room, in it the slot that was freed last; a page without entries goes back to the allocator
//! (one is kept, so that an entry coming and going at the edge of a page costs no allocation).
//!
//! Invariant: a stale address misses for the next 65,535 inserts into its page. The counter behind this belongs
//! to the page and outlives its memory.

use std::collections::BTreeSet;

/// Entries of one page.
const PAGE_ENTRIES: usize = 1_024;

/// End of a page's list of free slots.
const NO_SLOT: u16 = u16::MAX;

/// Entries of one type, found by slot and generation.
#[derive(Debug)]
pub struct Slab<T> {
    pages: Vec<Page<T>>,
    /// Pages with room, those given back included.
    open: BTreeSet<u32>,
    /// The one page that has memory but no entries.
    spare: Option<u32>,
    len: usize,
}

#[derive(Debug)]
struct Page<T> {
    /// Slots used so far; never longer than [`PAGE_ENTRIES`], without memory while the page is given back.
    entries: Vec<Entry<T>>,
    used: u16,
    /// First of the free slots among `entries`.
    free: u16,
    next_generation: u16,
}

#[derive(Debug)]
enum Entry<T> {
    Used { generation: u16, value: T },
    Free { next: u16 },
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab::new()
    }
}

impl<T> Slab<T> {
    /// Bytes of memory behind one entry.
    pub const ENTRY_BYTES: usize = size_of::<Entry<T>>();

    /// An empty slab, which holds no memory.
    pub const fn new() -> Self {
        Slab { pages: Vec::new(), open: BTreeSet::new(), spare: None, len: 0 }
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an entry and returns its slot and generation.
    pub fn insert(&mut self, value: T) -> (u32, u16) {
        let number = self.open.first().copied().unwrap_or_else(|| self.add_page());
        if self.spare == Some(number) {
            self.spare = None;
        }
        let page = &mut self.pages[number as usize];
        let (offset, generation) = page.insert(value);
        if page.is_full() {
            self.open.remove(&number);
        }
        self.len += 1;
        (number * PAGE_ENTRIES as u32 + offset as u32, generation)
    }

    /// Adds an entry at an address that it had in an earlier slab; false, and without effect, if the slot is taken.
    pub fn insert_at(&mut self, slot: u32, generation: u16, value: T) -> bool {
        let number = slot / PAGE_ENTRIES as u32;
        while self.pages.len() <= number as usize {
            self.add_page();
        }
        let page = &mut self.pages[number as usize];
        if !page.insert_at(slot as usize % PAGE_ENTRIES, generation, value) {
            return false;
        }
        if page.is_full() {
            self.open.remove(&number);
        }
        if self.spare == Some(number) {
            self.spare = None;
        }
        self.len += 1;
        true
    }

    /// Takes the entry out; `None` if the address is stale.
    pub fn remove(&mut self, slot: u32, generation: u16) -> Option<T> {
        self.at(slot, generation)?;
        self.remove_by_slot(slot)
    }

    /// The entry; `None` if the address is stale.
    pub fn at(&self, slot: u32, generation: u16) -> Option<&T> {
        match self.entry(slot)? {
            Entry::Used { generation: found, value } if *found == generation => Some(value),
            _ => None,
        }
    }

    /// The entry, to change it; `None` if the address is stale.
    pub fn at_mut(&mut self, slot: u32, generation: u16) -> Option<&mut T> {
        match self.entry_mut(slot)? {
            Entry::Used { generation: found, value } if *found == generation => Some(value),
            _ => None,
        }
    }

    /// Whatever lives in the slot now.
    pub fn by_slot(&self, slot: u32) -> Option<&T> {
        match self.entry(slot)? {
            Entry::Used { value, .. } => Some(value),
            Entry::Free { .. } => None,
        }
    }

    /// Whatever lives in the slot now, to change it.
    pub fn by_slot_mut(&mut self, slot: u32) -> Option<&mut T> {
        match self.entry_mut(slot)? {
            Entry::Used { value, .. } => Some(value),
            Entry::Free { .. } => None,
        }
    }

    /// Generation of the entry that lives in the slot now.
    pub fn generation(&self, slot: u32) -> Option<u16> {
        match self.entry(slot)? {
            Entry::Used { generation, .. } => Some(*generation),
            Entry::Free { .. } => None,
        }
    }

    /// Every entry with its slot and generation, by rising slot.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u16, &T)> {
        self.pages.iter().enumerate().flat_map(|(number, page)| {
            page.entries.iter().enumerate().filter_map(move |(offset, entry)| match entry {
                Entry::Used { generation, value } => {
                    Some(((number * PAGE_ENTRIES + offset) as u32, *generation, value))
                }
                Entry::Free { .. } => None,
            })
        })
    }

    /// Takes out whatever lives in the slot now, for owners whose slots cannot be stale.
    /// Takes out what is in `slot`, of whatever generation.
    pub fn remove_by_slot(&mut self, slot: u32) -> Option<T> {
        let number = slot / PAGE_ENTRIES as u32;
        let page = self.pages.get_mut(number as usize)?;
        let value = page.remove(slot as usize % PAGE_ENTRIES)?;
        let emptied = page.used == 0;
        self.open.insert(number);
        self.len -= 1;
        if emptied {
            self.keep_one_spare(number);
        }
        Some(value)
    }

    /// Bytes behind the entries.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        let entries = self.pages.iter().map(|page| page.entries.capacity()).sum::<usize>();
        entries * Self::ENTRY_BYTES + self.pages.capacity() * size_of::<Page<T>>()
    }

    fn add_page(&mut self) -> u32 {
        let number = self.pages.len() as u32;
        assert!(number < u32::MAX / PAGE_ENTRIES as u32, "a slab holds fewer than 2^32 entries");
        self.pages.push(Page { entries: Vec::new(), used: 0, free: NO_SLOT, next_generation: 0 });
        self.open.insert(number);
        number
    }

    /// The page `emptied` has no entries any more: of all such pages only the lowest keeps its memory.
    fn keep_one_spare(&mut self, emptied: u32) {
        let kept = self.spare.map_or(emptied, |spare| spare.min(emptied));
        let given_back = self.spare.map(|spare| spare.max(emptied));
        self.spare = Some(kept);
        self.pages[kept as usize].clear();
        if let Some(number) = given_back {
            self.pages[number as usize].give_back();
        }
    }

    fn entry(&self, slot: u32) -> Option<&Entry<T>> {
        self.pages.get(slot as usize / PAGE_ENTRIES)?.entries.get(slot as usize % PAGE_ENTRIES)
    }

    fn entry_mut(&mut self, slot: u32) -> Option<&mut Entry<T>> {
        self.pages.get_mut(slot as usize / PAGE_ENTRIES)?.entries.get_mut(slot as usize % PAGE_ENTRIES)
    }
}

impl<T> Page<T> {
    fn is_full(&self) -> bool {
        usize::from(self.used) == PAGE_ENTRIES
    }

    /// Adds an entry to a page that is not full; returns its place in the page and its generation.
    fn insert(&mut self, value: T) -> (usize, u16) {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        self.used += 1;
        let entry = Entry::Used { generation, value };
        let offset = usize::from(self.free);
        if let Some(Entry::Free { next }) = self.entries.get(offset) {
            self.free = *next;
            self.entries[offset] = entry;
            return (offset, generation);
        }
        if self.entries.capacity() == 0 {
            self.entries.reserve_exact(PAGE_ENTRIES);
        }
        self.entries.push(entry);
        (self.entries.len() - 1, generation)
    }

    /// Adds an entry at this place, with this generation; later ones follow it. False if the place is taken.
    fn insert_at(&mut self, offset: usize, generation: u16, value: T) -> bool {
        if self.entries.capacity() == 0 {
            self.entries.reserve_exact(PAGE_ENTRIES);
        }
        while self.entries.len() <= offset {
            self.entries.push(Entry::Free { next: self.free });
            self.free = (self.entries.len() - 1) as u16;
        }
        let Entry::Free { next } = self.entries[offset] else { return false };
        self.unlink(offset as u16, next);
        self.entries[offset] = Entry::Used { generation, value };
        self.used += 1;
        if generation.wrapping_sub(self.next_generation) < u16::MAX / 2 {
            self.next_generation = generation.wrapping_add(1);
        }
        true
    }

    /// Takes a place, which `next` follows, out of the list of free ones.
    fn unlink(&mut self, place: u16, next: u16) {
        if self.free == place {
            self.free = next;
            return;
        }
        let mut at = self.free;
        while let Some(Entry::Free { next: following }) = self.entries.get_mut(usize::from(at)) {
            if *following == place {
                *following = next;
                return;
            }
            at = *following;
        }
    }

    fn remove(&mut self, offset: usize) -> Option<T> {
        let entry = self.entries.get_mut(offset)?;
        if matches!(entry, Entry::Free { .. }) {
            return None;
        }
        let removed = std::mem::replace(entry, Entry::Free { next: self.free });
        self.free = offset as u16;
        self.used -= 1;
        match removed {
            Entry::Used { value, .. } => Some(value),
            Entry::Free { .. } => None,
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.free = NO_SLOT;
    }

    fn give_back(&mut self) {
        self.entries = Vec::new();
        self.free = NO_SLOT;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Pages that hold memory.
    fn pages_held<T>(slab: &Slab<T>) -> usize {
        slab.pages.iter().filter(|page| page.entries.capacity() > 0).count()
    }

    #[test]
    fn entries_return_to_their_addresses_in_any_order() {
        let mut slab = Slab::new();
        let addresses = [(1_500, 7), (3, 9), (0, 2), (1_023, 1), (4, 4)];
        for (slot, generation) in addresses {
            assert!(slab.insert_at(slot, generation, slot));
            assert!(!slab.insert_at(slot, generation, 0), "the slot is taken");
        }
        for (slot, generation) in addresses {
            assert_eq!(slab.at(slot, generation), Some(&slot));
        }
        let new: HashSet<(u32, u16)> = (0..3_000).map(|value| slab.insert(value)).collect();
        assert_eq!((new.len(), slab.len()), (3_000, 3_005), "no address is given out twice");
        assert!(new.iter().all(|(slot, generation)| *slot >= 1_024 || *generation > 9));
        assert!(addresses.iter().all(|address| !new.contains(address)));
    }

    #[derive(Clone, Debug)]
    enum Change {
        Insert {
            count: usize,
        },
        /// Removes `count` entries: the `start`-th of those that live and every `stride`-th after it.
        Remove {
            start: usize,
            stride: usize,
            count: usize,
        },
        /// Uses addresses of entries that were removed before.
        UseStale {
            start: usize,
            count: usize,
        },
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (1..3_000_usize).prop_map(|count| Change::Insert { count }),
            (any::<usize>(), 1..3_usize, 1..6_000_usize).prop_map(|(start, stride, count)| Change::Remove {
                start,
                stride,
                count
            }),
            (any::<usize>(), 1..100_usize).prop_map(|(start, count)| Change::UseStale { start, count }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_slab_is_a_map_whose_addresses_never_come_back(changes in vec(change(), 1..30)) {
            let mut slab = Slab::new();
            let (mut model, mut stale) = (BTreeMap::new(), Vec::new());
            let mut next = 0_u32;
            for change in changes {
                match change {
                    Change::Insert { count } => {
                        for _ in 0..count {
                            let address = slab.insert(next);
                            prop_assert_eq!(model.insert(address, next), None);
                            next += 1;
                        }
                    }
                    Change::Remove { start, stride, count } => {
                        let living: Vec<(u32, u16)> = model.keys().copied().collect();
                        let first = start % living.len().max(1);
                        for address in living.into_iter().skip(first).step_by(stride).take(count) {
                            prop_assert_eq!(slab.remove(address.0, address.1), model.remove(&address));
                            stale.push(address);
                        }
                    }
                    Change::UseStale { start, count } => {
                        for (slot, generation) in stale.iter().cycle().skip(start % stale.len().max(1)).take(count) {
                            prop_assert_eq!(slab.at(*slot, *generation), None);
                            prop_assert_eq!(slab.at_mut(*slot, *generation), None);
                            prop_assert_eq!(slab.remove(*slot, *generation), None);
                        }
                    }
                }
                check_against(&mut slab, &model)?;
            }
        }
    }

    fn check_against(slab: &mut Slab<u32>, model: &BTreeMap<(u32, u16), u32>) -> Result<(), TestCaseError> {
        prop_assert_eq!(slab.len(), model.len());
        prop_assert_eq!(slab.is_empty(), model.is_empty());
        prop_assert!(
            slab.iter()
                .map(|(slot, generation, value)| ((slot, generation), value))
                .eq(model.iter().map(|(address, value)| (*address, value)))
        );
        for ((slot, generation), value) in model {
            prop_assert_eq!(slab.at(*slot, *generation), Some(value));
            prop_assert_eq!(slab.by_slot(*slot), Some(value));
            prop_assert_eq!(slab.at_mut(*slot, *generation).copied(), Some(*value));
            prop_assert_eq!(slab.by_slot_mut(*slot).copied(), Some(*value));
            prop_assert_eq!(slab.generation(*slot), Some(*generation));
        }
        let pages_used =
            model.keys().map(|(slot, _)| slot / PAGE_ENTRIES as u32).collect::<HashSet<_>>().len();
        prop_assert!(pages_held(slab) <= pages_used + 1, "{} for {pages_used}", pages_held(slab));
        Ok(())
    }

    #[test]
    fn a_slot_that_was_freed_last_is_used_first() {
        let mut slab = Slab::new();
        let addresses: Vec<(u32, u16)> = (0..5).map(|number| slab.insert(number)).collect();
        for index in [1, 3] {
            slab.remove(addresses[index].0, addresses[index].1);
        }
        assert_eq!([slab.insert(5).0, slab.insert(6).0, slab.insert(7).0], [3, 1, 5]);
    }

    #[test]
    fn memory_comes_back_after_a_storm_wherever_the_survivors_live() {
        let mut slab = Slab::new();
        let addresses: Vec<(u32, u16)> = (0..100_000).map(|number| slab.insert(number)).collect();
        for (slot, generation) in addresses.into_iter().filter(|(slot, _)| *slot != 99_999) {
            slab.remove(slot, generation);
        }
        assert_eq!(slab.len(), 1);
        assert_eq!(pages_held(&slab), 2);
        assert_eq!(slab.insert(1).0, 0, "the lowest page is used first");
    }

    #[test]
    fn entries_at_the_edge_of_a_page_come_and_go_without_allocations() {
        let mut slab = Slab::new();
        for number in 0..PAGE_ENTRIES {
            slab.insert(number);
        }
        let (slot, generation) = slab.insert(0);
        slab.remove(slot, generation);
        assert_eq!(pages_held(&slab), 2);
        assert_eq!(slab.insert(0).0, slot);
    }

    #[test]
    fn a_stale_address_misses_for_65_535_further_inserts() {
        let mut slab = Slab::new();
        let (slot, generation) = slab.insert(0);
        slab.remove(slot, generation);
        for number in 0..65_535 {
            let (slot_now, generation_now) = slab.insert(number);
            assert_eq!(slab.at(slot, generation), None);
            slab.remove(slot_now, generation_now);
        }
    }

    #[test]
    fn an_entry_costs_at_most_eight_bytes_beside_its_value() {
        assert_eq!(Slab::<[u64; 8]>::ENTRY_BYTES, 64 + 8);
        assert_eq!(Slab::<[u32; 16]>::ENTRY_BYTES, 64 + 4);
        assert_eq!(Slab::<(Box<u8>, u64)>::ENTRY_BYTES, 16 + 8);
    }
}
