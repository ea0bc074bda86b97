//! Which kept messages a durable filter matched: an ascending list of positions, one to five bytes each, however many
//! sessions want them.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, VecDeque};

use longwire_broker::record::Position;

/// Positions in one chunk; the unit in which old ones are let go.
const CHUNK_POSITIONS_MAX: u32 = 256;

/// Positions of the messages that one filter matched.
#[derive(Debug, Default)]
pub(crate) struct Posting {
    chunks: VecDeque<Chunk>,
}

#[derive(Debug)]
struct Chunk {
    first: Position,
    last: Position,
    count: u32,
    /// Distances from one position to the next, as variable-length integers.
    distances: Vec<u8>,
}

impl Posting {
    /// Adds a position, which must be above all before it.
    pub(crate) fn push(&mut self, position: Position) {
        match self.chunks.back_mut() {
            Some(chunk) if chunk.count < CHUNK_POSITIONS_MAX => {
                assert!(position > chunk.last, "positions are posted in log order");
                put_varint(&mut chunk.distances, position - chunk.last);
                chunk.last = position;
                chunk.count += 1;
            }
            _ => self.chunks.push_back(Chunk {
                first: position,
                last: position,
                count: 1,
                distances: Vec::new(),
            }),
        }
    }

    /// Positions above `after`, ascending.
    pub(crate) fn after(&self, after: Position) -> impl Iterator<Item = Position> + '_ {
        let start = self.chunks.partition_point(|chunk| chunk.last <= after);
        self.chunks.range(start..).flat_map(Chunk::positions).skip_while(move |&position| position <= after)
    }

    /// The first position above `after`.
    pub(crate) fn first_after(&self, after: Position) -> Option<Position> {
        self.after(after).next()
    }

    /// The newest position.
    pub(crate) fn last(&self) -> Option<Position> {
        self.chunks.back().map(|chunk| chunk.last)
    }

    /// Lets go of whole chunks up to `through`.
    pub(crate) fn trim(&mut self, through: Position) {
        while self.chunks.front().is_some_and(|chunk| chunk.last <= through) {
            self.chunks.pop_front();
        }
        if self.chunks.capacity() > 4 * self.chunks.len().max(4) {
            self.chunks.shrink_to_fit();
        }
    }
}

/// The first positions of all these ascending lists, each once, ascending; at most `count_max`.
pub(crate) fn merged(
    lists: impl Iterator<Item = impl Iterator<Item = Position>>,
    count_max: usize,
) -> Vec<Position> {
    let mut lists: Vec<_> = lists.collect();
    let firsts = lists.iter_mut().enumerate().filter_map(|(list, rest)| Some(Reverse((rest.next()?, list))));
    let mut nexts: BinaryHeap<_> = firsts.collect();
    let mut found = Vec::new();
    while found.len() < count_max
        && let Some(mut next) = nexts.peek_mut()
    {
        let Reverse((position, list)) = *next;
        if let Some(following) = lists[list].next() {
            *next = Reverse((following, list));
        } else {
            PeekMut::pop(next);
        }
        if found.last() != Some(&position) {
            found.push(position);
        }
    }
    found
}

impl Chunk {
    fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        let mut position = self.first;
        let mut rest = &self.distances[..];
        std::iter::once(self.first).chain(std::iter::from_fn(move || {
            position += take_varint(&mut rest)?;
            Some(position)
        }))
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_come_back_as_they_were_posted() {
        let positions: Vec<Position> = (1..2_000).map(|n| n * n * 37).collect();
        let mut posting = Posting::default();
        for &position in &positions {
            posting.push(position);
        }
        assert_eq!(posting.after(0).collect::<Vec<_>>(), positions);
        for start in [0, 1, 255, 256, 257, 1_998] {
            let after = positions[start];
            assert_eq!(posting.after(after).collect::<Vec<_>>(), positions[start + 1..]);
        }
    }

    #[test]
    fn merged_lists_are_ascending_and_name_each_position_once() {
        let lists = || [vec![1, 4, 9], vec![], vec![4, 5], vec![2, 9]].map(Vec::into_iter).into_iter();
        assert_eq!(merged(lists(), 10), [1, 2, 4, 5, 9]);
        assert_eq!(merged(lists(), 3), [1, 2, 4]);
    }

    #[test]
    fn trimming_keeps_everything_above_the_mark() {
        let mut posting = Posting::default();
        for position in 1..=1_000 {
            posting.push(position * 3);
        }
        posting.trim(1_500);
        assert_eq!(posting.first_after(1_500), Some(1_503));
        assert_eq!(posting.after(1_500).count(), 500);
        assert!(posting.chunks.len() < 4, "old chunks are gone");
    }
}
