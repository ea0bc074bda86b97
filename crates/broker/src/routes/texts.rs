//! Texts of filters and levels, each stored once, in cells of their size.
//!
//! An allocation per text would cost up to 24 bytes more than the text (header, rounding, pointer); a cell costs at
//! most 11 more up to 61 bytes. Long texts, which are rare, are allocated one by one.

use std::fmt;

use crate::slab::Slab;

/// Largest text of each class of cells. Up to 61 each is a multiple of eight with the slab's three bytes beside it.
const CELL_BYTES: [usize; 14] = [5, 13, 21, 29, 37, 45, 53, 61, 77, 93, 109, 125, 189, 253];

/// Texts, found by what [`Texts::insert`] returned.
pub(super) struct Texts {
    classes: [Box<dyn Cells>; CELL_BYTES.len()],
    long: Slab<Box<[u8]>>,
}

/// Names a text among its [`Texts`].
#[derive(Copy, Clone, Debug)]
pub(super) struct Text {
    slot: u32,
    len: u32,
}

/// Cells of one size.
trait Cells: Send + Sync {
    fn insert(&mut self, text: &[u8]) -> u32;
    fn cell(&self, slot: u32) -> Option<&[u8]>;
    fn remove(&mut self, slot: u32);
}

impl Texts {
    pub(super) fn new() -> Self {
        let classes: [Box<dyn Cells>; CELL_BYTES.len()] = [
            Box::new(Slab::<[u8; CELL_BYTES[0]]>::new()),
            Box::new(Slab::<[u8; CELL_BYTES[1]]>::new()),
            Box::new(Slab::<[u8; CELL_BYTES[2]]>::new()),
            Box::new(Slab::<[u8; CELL_BYTES[3]]>::new()),
            Box::new(Slab::<[u8; CELL_BYTES[4]]>::new()),
            Box::new(Slab::<[u8; CELL_BYTES[5]]>::new()),
            Box::new(Slab::<[u8; CELL_BYTES[6]]>::new()),
            Box::new(Slab::<[u8; CELL_BYTES[7]]>::new()),
            Box::new(Slab::<[u8; CELL_BYTES[8]]>::new()),
            Box::new(Slab::<[u8; CELL_BYTES[9]]>::new()),
            Box::new(Slab::<[u8; CELL_BYTES[10]]>::new()),
            Box::new(Slab::<[u8; CELL_BYTES[11]]>::new()),
            Box::new(Slab::<[u8; CELL_BYTES[12]]>::new()),
            Box::new(Slab::<[u8; CELL_BYTES[13]]>::new()),
        ];
        Texts { classes, long: Slab::new() }
    }

    pub(super) fn insert(&mut self, text: &str) -> Text {
        let bytes = text.as_bytes();
        let slot = match self.classes.get_mut(class(bytes.len())) {
            Some(cells) => cells.insert(bytes),
            None => self.long.insert(bytes.into()).0,
        };
        Text { slot, len: bytes.len() as u32 }
    }

    /// The bytes of a text; empty if it was removed.
    pub(super) fn bytes(&self, text: Text) -> &[u8] {
        let len = text.len as usize;
        let cell = match self.classes.get(class(len)) {
            Some(cells) => cells.cell(text.slot),
            None => self.long.by_slot(text.slot).map(|long| &**long),
        };
        cell.and_then(|cell| cell.get(..len)).unwrap_or_default()
    }

    /// The text as text.
    pub(super) fn text(&self, text: Text) -> &str {
        std::str::from_utf8(self.bytes(text)).expect("only texts are stored")
    }

    pub(super) fn remove(&mut self, text: Text) {
        match self.classes.get_mut(class(text.len as usize)) {
            Some(cells) => cells.remove(text.slot),
            None => drop(self.long.remove_by_slot(text.slot)),
        }
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Texts").field("long", &self.long.len()).finish_non_exhaustive()
    }
}

/// Class of cells for a text of `len` bytes; one beyond the last for long texts.
fn class(len: usize) -> usize {
    CELL_BYTES.partition_point(|bytes| *bytes < len)
}

impl<const BYTES: usize> Cells for Slab<[u8; BYTES]> {
    fn insert(&mut self, text: &[u8]) -> u32 {
        let mut cell = [0; BYTES];
        cell[..text.len()].copy_from_slice(text);
        Slab::insert(self, cell).0
    }

    fn cell(&self, slot: u32) -> Option<&[u8]> {
        self.by_slot(slot).map(<[u8; BYTES]>::as_slice)
    }

    fn remove(&mut self, slot: u32) {
        self.remove_by_slot(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length_come_back_as_they_were() {
        let mut texts = Texts::new();
        let written: Vec<String> = (0..300).map(|len| "é/x".repeat(len)[..].to_owned()).collect();
        let stored: Vec<Text> = written.iter().map(|text| texts.insert(text)).collect();
        for (text, stored) in written.iter().zip(&stored) {
            assert_eq!(texts.text(*stored), text);
        }
    }

    #[test]
    fn the_cell_of_a_removed_text_is_used_again() {
        let mut texts = Texts::new();
        let first = texts.insert("sensor/1");
        texts.remove(first);
        assert!(texts.bytes(first).is_empty());
        assert_eq!(texts.insert("sensor/2").slot, first.slot);
    }

    #[test]
    fn a_cell_for_33_characters_takes_40_bytes() {
        assert_eq!(CELL_BYTES[class(33)], 37);
        assert_eq!(Slab::<[u8; 37]>::ENTRY_BYTES, 40);
    }
}
