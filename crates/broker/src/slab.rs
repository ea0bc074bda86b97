//! A paged slab: entries keep their slot for life, and addresses carry a generation so that stale ones miss.
//!
//! Pages of 1,024 entries are allocated one by one and never moved, so growth copies nothing. New entries take the
//! lowest page with room, in it the slot that was freed last; a page without entries goes back to the allocator
//! (one is kept, so that an entry coming and going at the edge of a page costs no allocation).
//!
//! Invariant: a stale address misses until its page has seen 65,536 further inserts. The counter behind this belongs
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
    pub(crate) fn remove_by_slot(&mut self, slot: u32) -> Option<T> {
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
