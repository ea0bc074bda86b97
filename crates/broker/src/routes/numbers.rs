//! A hash table of entry numbers: whoever owns the entries brings the hash and the comparison.
//!
//! It is cut into parts by the hash, because a single table of a million entries would rehash all of them at once,
//! under the write guard of the index. Parts that have become far too large shrink.

use hashbrown::HashTable;

/// Parts of the table. With 256 of them a million entries are rehashed 4,000 to 8,000 at a time.
const PARTS: usize = 256;

/// Capacity below which shrinking a part is not worth the work.
const SHRUNK_CAPACITY_MIN: usize = 14;

/// Numbers of entries, found by hash.
#[derive(Debug)]
pub(super) struct Numbers {
    parts: Box<[HashTable<u32>]>,
}

impl Numbers {
    pub(super) fn new() -> Self {
        Numbers { parts: (0..PARTS).map(|_| HashTable::new()).collect() }
    }

    /// The number with this hash for which `is_it` holds.
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.parts[part(hash)].find(hash, |number| is_it(*number)).copied()
    }

    /// Adds a number that is not there yet. `rehash` tells the hash of any number added before.
    pub(super) fn insert(&mut self, hash: u64, number: u32, rehash: impl Fn(u32) -> u64) {
        self.parts[part(hash)].insert_unique(hash, number, |number| rehash(*number));
    }

    /// Removes a number. `rehash` tells the hash of any other number.
    pub(super) fn remove(&mut self, hash: u64, number: u32, rehash: impl Fn(u32) -> u64) {
        let part = &mut self.parts[part(hash)];
        if let Ok(entry) = part.find_entry(hash, |found| *found == number) {
            entry.remove();
        }
        if part.len() < part.capacity() / 8 && part.capacity() > SHRUNK_CAPACITY_MIN {
            part.shrink_to(part.len() * 2, |number| rehash(*number));
        }
    }

    /// Bytes behind the table.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(|part| size_of_val(part) + part.allocation_size()).sum()
    }
}

/// Part for a hash: bits that hashbrown uses neither for the bucket nor for its tags.
fn part(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spreads numbers over all bits.
    fn hash(number: u32) -> u64 {
        u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    #[test]
    fn numbers_are_found_until_they_are_removed() {
        let mut numbers = Numbers::new();
        for number in 0..10_000 {
            numbers.insert(hash(number), number, hash);
        }
        for number in (0..10_000).step_by(3) {
            numbers.remove(hash(number), number, hash);
        }
        for number in 0..10_000 {
            let expected = (number % 3 != 0).then_some(number);
            assert_eq!(numbers.find(hash(number), |found| found == number), expected);
        }
    }

    #[test]
    fn memory_comes_back_when_numbers_go() {
        let mut numbers = Numbers::new();
        for number in 0..100_000 {
            numbers.insert(hash(number), number, hash);
        }
        let full = numbers.bytes();
        for number in 0..100_000 {
            numbers.remove(hash(number), number, hash);
        }
        assert!(numbers.bytes() * 8 < full, "{} of {full} bytes left", numbers.bytes());
    }
}
