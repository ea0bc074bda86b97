//! Where filters live: each with its text in one entry, so that finding a filter costs one visit to memory.
//!
//! Entries come in classes by the length of the text. A number names class and slot; it is dense enough to be a
//! filter's name in the hash table and in the trie, and means nothing once the filter is removed.

use std::fmt;

use super::targets::Targets;
use crate::slab::Slab;

/// Longest text of each class that has it in place. Entry sizes are then multiples of four without gaps.
const TEXT_BYTES: [usize; 15] = [11, 19, 27, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 251];

/// Bits of a number that name the slot; the others name the class.
const SLOT_BITS: u32 = 28;

/// A filter, its text apart.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) targets: Targets,
    pub(super) generation: u32,
}

/// All filters by number.
pub(super) struct Entries {
    /// One class for each of [`TEXT_BYTES`] and one for longer texts.
    classes: [Box<dyn Class>; TEXT_BYTES.len() + 1],
    len: usize,
}

/// Filters with texts of about the same length.
trait Class: Send + Sync {
    fn insert(&mut self, filter: Filter, text: &[u8]) -> u32;
    fn entry(&self, slot: u32) -> Option<(&Filter, &[u8])>;
    fn filter_mut(&mut self, slot: u32) -> Option<&mut Filter>;
    fn remove(&mut self, slot: u32) -> bool;
    #[cfg(test)]
    fn bytes(&self) -> usize;
}

struct InPlace<const BYTES: usize> {
    filter: Filter,
    len: u8,
    text: [u8; BYTES],
}

struct Apart {
    filter: Filter,
    text: Box<[u8]>,
}

impl Entries {
    pub(super) fn new() -> Self {
        Entries {
            classes: [
                Box::new(Slab::<InPlace<{ TEXT_BYTES[0] }>>::new()),
                Box::new(Slab::<InPlace<{ TEXT_BYTES[1] }>>::new()),
                Box::new(Slab::<InPlace<{ TEXT_BYTES[2] }>>::new()),
                Box::new(Slab::<InPlace<{ TEXT_BYTES[3] }>>::new()),
                Box::new(Slab::<InPlace<{ TEXT_BYTES[4] }>>::new()),
                Box::new(Slab::<InPlace<{ TEXT_BYTES[5] }>>::new()),
                Box::new(Slab::<InPlace<{ TEXT_BYTES[6] }>>::new()),
                Box::new(Slab::<InPlace<{ TEXT_BYTES[7] }>>::new()),
                Box::new(Slab::<InPlace<{ TEXT_BYTES[8] }>>::new()),
                Box::new(Slab::<InPlace<{ TEXT_BYTES[9] }>>::new()),
                Box::new(Slab::<InPlace<{ TEXT_BYTES[10] }>>::new()),
                Box::new(Slab::<InPlace<{ TEXT_BYTES[11] }>>::new()),
                Box::new(Slab::<InPlace<{ TEXT_BYTES[12] }>>::new()),
                Box::new(Slab::<InPlace<{ TEXT_BYTES[13] }>>::new()),
                Box::new(Slab::<InPlace<{ TEXT_BYTES[14] }>>::new()),
                Box::new(Slab::<Apart>::new()),
            ],
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a filter and returns its number.
    pub(super) fn insert(&mut self, filter: Filter, text: &str) -> u32 {
        let class = TEXT_BYTES.partition_point(|bytes| *bytes < text.len());
        let slot = self.classes[class].insert(filter, text.as_bytes());
        assert!(slot < (1 << SLOT_BITS) - 1, "a class of filters is full");
        self.len += 1;
        (class as u32) << SLOT_BITS | slot
    }

    /// The filter with this number now, and its text.
    pub(super) fn entry(&self, number: u32) -> Option<(&Filter, &[u8])> {
        let (class, slot) = class_and_slot(number);
        self.classes[class].entry(slot)
    }

    pub(super) fn filter_mut(&mut self, number: u32) -> Option<&mut Filter> {
        let (class, slot) = class_and_slot(number);
        self.classes[class].filter_mut(slot)
    }

    pub(super) fn remove(&mut self, number: u32) {
        let (class, slot) = class_and_slot(number);
        self.len -= usize::from(self.classes[class].remove(slot));
    }

    /// Bytes behind all entries.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.classes.iter().map(|class| class.bytes()).sum()
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Entries").field("len", &self.len).finish_non_exhaustive()
    }
}

fn class_and_slot(number: u32) -> (usize, u32) {
    ((number >> SLOT_BITS) as usize, number & ((1 << SLOT_BITS) - 1))
}

impl<const BYTES: usize> Class for Slab<InPlace<BYTES>> {
    fn insert(&mut self, filter: Filter, text: &[u8]) -> u32 {
        let mut entry = InPlace { filter, len: text.len() as u8, text: [0; BYTES] };
        entry.text[..text.len()].copy_from_slice(text);
        Slab::insert(self, entry).0
    }

    fn entry(&self, slot: u32) -> Option<(&Filter, &[u8])> {
        let entry = self.by_slot(slot)?;
        Some((&entry.filter, &entry.text[..usize::from(entry.len)]))
    }

    fn filter_mut(&mut self, slot: u32) -> Option<&mut Filter> {
        Some(&mut self.by_slot_mut(slot)?.filter)
    }

    fn remove(&mut self, slot: u32) -> bool {
        self.remove_by_slot(slot).is_some()
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        Slab::bytes(self)
    }
}

impl Class for Slab<Apart> {
    fn insert(&mut self, filter: Filter, text: &[u8]) -> u32 {
        Slab::insert(self, Apart { filter, text: text.into() }).0
    }

    fn entry(&self, slot: u32) -> Option<(&Filter, &[u8])> {
        let entry = self.by_slot(slot)?;
        Some((&entry.filter, &entry.text))
    }

    fn filter_mut(&mut self, slot: u32) -> Option<&mut Filter> {
        Some(&mut self.by_slot_mut(slot)?.filter)
    }

    fn remove(&mut self, slot: u32) -> bool {
        self.remove_by_slot(slot).is_some()
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        Slab::bytes(self) + self.iter().map(|(_, _, entry)| entry.text.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(generation: u32) -> Filter {
        Filter { targets: Targets::None, generation }
    }

    #[test]
    fn filters_of_every_length_come_back_as_they_were() {
        let mut entries = Entries::new();
        let texts: Vec<String> = (0..400).map(|len| "é".repeat(len / 2) + &"/".repeat(len % 2)).collect();
        let numbers: Vec<u32> = texts
            .iter()
            .zip(0..)
            .map(|(text, generation)| entries.insert(filter(generation), text))
            .collect();
        for ((text, number), generation) in texts.iter().zip(&numbers).zip(0..) {
            let (filter, found) = entries.entry(*number).unwrap();
            assert_eq!((found, filter.generation), (text.as_bytes(), generation));
        }
        assert_eq!(entries.len(), 400);
    }

    #[test]
    fn a_text_lives_in_the_smallest_class_that_holds_it() {
        let mut entries = Entries::new();
        for (class, bytes) in TEXT_BYTES.into_iter().enumerate() {
            let number = entries.insert(filter(0), &"x".repeat(bytes));
            let one_more = entries.insert(filter(0), &"x".repeat(bytes + 1));
            assert_eq!((class_and_slot(number).0, class_and_slot(one_more).0), (class, class + 1));
        }
    }

    #[test]
    fn the_place_of_a_removed_filter_is_used_again() {
        let mut entries = Entries::new();
        let first = entries.insert(filter(0), "sensor/1");
        entries.remove(first);
        assert!(entries.entry(first).is_none());
        assert_eq!(entries.insert(filter(1), "sensor/2"), first);
        assert_eq!(entries.len(), 1);
    }

    #[test]
    fn a_filter_of_33_characters_with_its_first_target_takes_60_bytes() {
        assert_eq!(Slab::<InPlace<35>>::ENTRY_BYTES, 60);
    }

    #[test]
    fn entries_have_no_gaps() {
        assert_eq!(size_of::<InPlace<11>>(), size_of::<Filter>() + 1 + 11);
        assert_eq!(size_of::<InPlace<251>>(), size_of::<Filter>() + 1 + 251);
    }
}
