//! Which kept messages a durable filter matched: an ascending list of positions, one to five bytes each, however many
//! sessions want them. Chunks of it are rows of a checkpoint, so that a restart need not match every message again.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, VecDeque};

use longwire_broker::record::Position;

/// Positions in one chunk; the unit in which old ones are let go.
const CHUNK_POSITIONS_MAX: u32 = 256;

/// Positions of the messages that one filter matched.
#[derive(Debug)]
pub(crate) struct Posting {
    /// Its number among all postings there ever were: what its rows are found by.
    number: u64,
    chunks: VecDeque<Chunk>,
    /// Its filter stands in a row.
    is_saved: bool,
    /// First positions of chunks that stand in rows and are gone here.
    dropped: Vec<Position>,
}

#[derive(Debug)]
struct Chunk {
    first: Position,
    last: Position,
    count: u32,
    /// Distances from one position to the next, as variable-length integers.
    distances: Vec<u8>,
    saved: Saved,
}

/// How a chunk and its row compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saved {
    /// There is no row.
    Never,
    /// There is an older one.
    Older,
    /// They are equal.
    Equal,
}

/// One chunk as a row has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRow {
    pub(crate) first: Position,
    pub(crate) last: Position,
    pub(crate) count: u32,
    pub(crate) distances: Vec<u8>,
}

/// What a checkpoint has to write about one posting.
#[derive(Debug)]
pub(crate) struct PostingChange {
    pub(crate) number: u64,
    /// Its filter, if that has no row yet. It has none any more when the posting is gone.
    pub(crate) filter: FilterChange,
    pub(crate) chunks: Vec<ChunkRow>,
    /// First positions of chunks whose rows go.
    pub(crate) dropped: Vec<Position>,
}

/// What becomes of the row that names the filter of a posting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FilterChange {
    Stays,
    Added(Box<str>),
    Gone,
}

impl Posting {
    /// An empty one.
    pub(crate) fn new(number: u64) -> Self {
        Posting { number, chunks: VecDeque::new(), is_saved: false, dropped: Vec::new() }
    }

    /// One whose filter stands in a row; its chunks follow by [`Posting::restore`].
    pub(crate) fn saved(number: u64) -> Self {
        Posting { is_saved: true, ..Posting::new(number) }
    }

    /// Adds a chunk from its row, behind those before it.
    pub(crate) fn restore(&mut self, row: ChunkRow) {
        let ChunkRow { first, last, count, distances } = row;
        self.chunks.push_back(Chunk { first, last, count, distances, saved: Saved::Equal });
    }

    /// What changed since it was last asked; `filter` is its text.
    pub(crate) fn take_change(&mut self, filter: &str) -> PostingChange {
        let mut chunks = Vec::new();
        // Only the last chunks change.
        for chunk in self.chunks.iter_mut().rev().take_while(|chunk| chunk.saved != Saved::Equal) {
            chunk.saved = Saved::Equal;
            chunks.push(ChunkRow {
                first: chunk.first,
                last: chunk.last,
                count: chunk.count,
                distances: chunk.distances.clone(),
            });
        }
        let is_new = !std::mem::replace(&mut self.is_saved, true);
        let filter = if is_new { FilterChange::Added(filter.into()) } else { FilterChange::Stays };
        PostingChange { number: self.number, filter, chunks, dropped: std::mem::take(&mut self.dropped) }
    }

    /// What has to go with it; `None` if it stands in no row.
    pub(crate) fn into_removal(mut self) -> Option<PostingChange> {
        let saved = self.chunks.iter().filter(|chunk| chunk.saved != Saved::Never);
        self.dropped.extend(saved.map(|chunk| chunk.first));
        self.is_saved.then_some(PostingChange {
            number: self.number,
            filter: FilterChange::Gone,
            chunks: Vec::new(),
            dropped: self.dropped,
        })
    }

    /// Adds a position, which must be above all before it.
    pub(crate) fn push(&mut self, position: Position) {
        match self.chunks.back_mut() {
            Some(chunk) if chunk.count < CHUNK_POSITIONS_MAX => {
                assert!(position > chunk.last, "positions are posted in log order");
                put_varint(&mut chunk.distances, position - chunk.last);
                chunk.last = position;
                chunk.count += 1;
                if chunk.saved == Saved::Equal {
                    chunk.saved = Saved::Older;
                }
            }
            _ => self.chunks.push_back(Chunk {
                first: position,
                last: position,
                count: 1,
                distances: Vec::new(),
                saved: Saved::Never,
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

    /// Lets go of whole chunks up to `through`; true if rows have to go with them.
    pub(crate) fn trim(&mut self, through: Position) -> bool {
        while let Some(chunk) = self.chunks.pop_front_if(|chunk| chunk.last <= through) {
            if chunk.saved != Saved::Never {
                self.dropped.push(chunk.first);
            }
        }
        if self.chunks.capacity() > 4 * self.chunks.len().max(4) {
            self.chunks.shrink_to_fit();
        }
        !self.dropped.is_empty()
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
        let mut posting = Posting::new(1);
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
    fn changes_hold_what_changed_and_nothing_else() {
        let mut posting = Posting::new(7);
        (1..=300).for_each(|position| posting.push(position));
        let change = posting.take_change("a/#");
        assert_eq!((change.number, change.filter), (7, FilterChange::Added("a/#".into())));
        assert_eq!(change.chunks.len(), 2);
        let mut again = Posting::saved(7);
        change.chunks.into_iter().rev().for_each(|chunk| again.restore(chunk));
        assert_eq!(again.after(0).collect::<Vec<_>>(), posting.after(0).collect::<Vec<_>>());

        posting.push(301);
        posting.trim(256);
        let change = posting.take_change("a/#");
        assert_eq!((change.filter, change.chunks.len(), change.dropped), (FilterChange::Stays, 1, vec![1]));
        let removal = posting.into_removal().expect("it stands in rows");
        assert_eq!((removal.filter, removal.dropped), (FilterChange::Gone, vec![257]));
    }

    #[test]
    fn trimming_keeps_everything_above_the_mark() {
        let mut posting = Posting::new(1);
        for position in 1..=1_000 {
            posting.push(position * 3);
        }
        posting.trim(1_500);
        assert_eq!(posting.first_after(1_500), Some(1_503));
        assert_eq!(posting.after(1_500).count(), 500);
        assert!(posting.chunks.len() < 4, "old chunks are gone");
    }
}
