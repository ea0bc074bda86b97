//! A lane that lets the checks see what the journal has made durable, before it is let go.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use longwire_engine::memory::MemoryLane;
use longwire_engine::{Block, Lane, LaneError, Position};

/// A lane in memory with a second pair of eyes.
pub(crate) struct Tapped {
    lane: MemoryLane,
    tap: Tap,
}

/// Blocks that were appended and not yet seen.
#[derive(Clone, Default)]
pub(crate) struct Tap(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    appended: VecDeque<Block>,
    durable: Position,
}

impl Tap {
    /// The lane, tapped.
    pub(crate) fn on(&self, lane: MemoryLane) -> Tapped {
        Tapped { lane, tap: self.clone() }
    }

    /// The next block that the journal knows to be durable.
    pub(crate) fn next_durable(&self) -> Option<Block> {
        self.with(|seen| {
            let durable = seen.durable;
            seen.appended.pop_front_if(|block| block.last() <= durable)
        })
    }

    fn with<R>(&self, look: impl FnOnce(&mut Seen) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Lane for Tapped {
    fn append(&mut self, block: &[u8], count: u32) -> Result<Position, LaneError> {
        let first = self.lane.append(block, count)?;
        self.tap.with(|seen| seen.appended.push_back(Block { first, count, bytes: Arc::from(block) }));
        Ok(first)
    }

    fn commit(&mut self) -> Result<(), LaneError> {
        self.lane.commit()
    }

    fn durable(&self) -> Position {
        let durable = self.lane.durable();
        self.tap.with(|seen| seen.durable = durable);
        durable
    }

    fn read(&self, position: Position) -> Result<Option<Block>, LaneError> {
        self.lane.read(position)
    }

    fn trim(&mut self, before: Position) -> Result<(), LaneError> {
        self.lane.trim(before)
    }

    fn first(&self) -> Position {
        self.lane.first()
    }

    fn next(&self) -> Position {
        self.lane.next()
    }

    fn bytes(&self) -> u64 {
        self.lane.bytes()
    }
}
