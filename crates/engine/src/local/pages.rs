//! Blocks read from segments, a part between two entries of an index at a time, since readers go in order. The parts
//! read last stay, up to a bound.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::segment::{Part, Segment};
use super::walk::Walk;
use crate::{Block, Position};

/// A part of the log as it was read.
#[derive(Debug)]
pub(crate) struct LoadedPart {
    positions: Range<Position>,
    blocks: Vec<Block>,
    bytes: u64,
}

/// Parts that were read last, newest at the end.
#[derive(Debug)]
pub(crate) struct Pages {
    parts: VecDeque<Arc<LoadedPart>>,
    bytes: u64,
    bytes_max: u64,
}

impl LoadedPart {
    /// Reads a part; what does not validate is left out.
    pub(crate) fn read(segment: &Segment, part: Part) -> io::Result<Self> {
        let mut walk = Walk::new(segment, part.offsets.start, part.offsets.end)?;
        let mut blocks = Vec::new();
        while let Some((_, frame)) = walk.next() {
            if part.positions.contains(&frame.first) && !frame.is_mark() {
                blocks.extend(walk.blocks(&frame).into_iter().flatten());
            }
        }
        if !walk.unreadable.is_empty() {
            return Err(io::Error::other("the disk cannot read a part of it"));
        }
        let bytes = part.offsets.end - part.offsets.start;
        Ok(LoadedPart { positions: part.positions, blocks, bytes })
    }

    /// The block with `position`, or first and last record of the hole that is there.
    pub(crate) fn find(&self, position: Position) -> Result<Block, (Position, Position)> {
        let after = self.blocks.partition_point(|block| block.first <= position);
        let before = after.checked_sub(1).map(|index| &self.blocks[index]);
        if let Some(block) = before.filter(|block| position <= block.last()) {
            return Ok(block.clone());
        }
        let first = before.map_or(self.positions.start, |block| block.last() + 1);
        let last = self.blocks.get(after).map_or(self.positions.end, |block| block.first) - 1;
        Err((first, last))
    }
}

impl Pages {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Pages { parts: VecDeque::new(), bytes: 0, bytes_max }
    }

    pub(crate) fn find(&self, position: Position) -> Option<Arc<LoadedPart>> {
        self.parts.iter().rev().find(|part| part.positions.contains(&position)).cloned()
    }

    /// Keeps a part, and lets go of those that were read before it as far as needed.
    pub(crate) fn keep(&mut self, part: Arc<LoadedPart>) {
        self.bytes += part.bytes;
        self.parts.push_back(part);
        while self.bytes > self.bytes_max
            && self.parts.len() > 1
            && let Some(oldest) = self.parts.pop_front()
        {
            self.bytes -= oldest.bytes;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.parts.clear();
        self.bytes = 0;
    }
}
