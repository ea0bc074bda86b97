//! Lane and table in memory: the ground of a node that forgets when it ends, and of tests. A [`MemoryLog`] or
//! [`MemoryMap`] stands for the disk; opening it gives the handle that is written through, and opening it again is a
//! crash followed by a restart: what was not durable is gone, and the older handle is fenced.
//!
//! A test can hold completions back ([`MemoryLog::hold`]) and let them come one by one ([`MemoryLog::release`]).
//! Invariant: blocks are contiguous, in order, and none is durable before all blocks in front of it are.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Block, Expected, Lane, LaneError, Page, Position, Revision, Table, TableError, Value};

/// What a lane in memory is stored in. Clones are the same log.
#[derive(Clone)]
pub struct MemoryLog(Arc<Mutex<Log>>);

/// The writer's handle to a [`MemoryLog`].
pub struct MemoryLane {
    log: Arc<Mutex<Log>>,
    epoch: u64,
}

struct Log {
    /// Number of times the log was opened; the handle with this number is the writer.
    epoch: u64,
    bytes_max: u64,
    bytes: u64,
    blocks: VecDeque<Stored>,
    next: Position,
    /// Last position that the writer has asked to make durable.
    committed: Position,
    durable: Position,
    /// Completions wait for the test.
    held: bool,
}

/// A block; its count is the distance to the next one.
struct Stored {
    first: Position,
    bytes: Arc<[u8]>,
}

/// Bytes a block takes beside its content: the entry, and the two counters in front of shared bytes.
const BLOCK_OVERHEAD_BYTES: u64 = (mem::size_of::<Stored>() + 2 * mem::size_of::<usize>()) as u64;

impl MemoryLog {
    /// An empty log that holds at most `bytes_max` bytes, each block counted with its bookkeeping. Beyond:
    /// [`LaneError::Full`].
    pub fn new(bytes_max: u64) -> Self {
        MemoryLog(Arc::new(Mutex::new(Log {
            epoch: 0,
            bytes_max,
            bytes: 0,
            blocks: VecDeque::new(),
            next: 1,
            committed: 0,
            durable: 0,
            held: false,
        })))
    }

    /// Opens the log: drops what is not durable, as a crash does, and fences the handle opened before.
    pub fn open(&self) -> MemoryLane {
        let mut log = lock(&self.0);
        log.epoch += 1;
        log.drop_undurable();
        MemoryLane { epoch: log.epoch, log: Arc::clone(&self.0) }
    }

    /// Holds completions back from now on: commits are noted, but nothing becomes durable until it is released.
    pub fn hold(&self) {
        lock(&self.0).held = true;
    }

    /// Completes what was committed, up to and including `position`, block by block; `Position::MAX` completes all
    /// of it. Later commits are held back again.
    pub fn release(&self, position: Position) {
        let mut log = lock(&self.0);
        let reached = position.min(log.committed);
        log.durable = log.durable.max(log.last_whole_block(reached));
    }
}

impl Log {
    fn append(&mut self, block: &[u8], count: u32) -> Result<Position, LaneError> {
        let needed_bytes = block.len() as u64 + BLOCK_OVERHEAD_BYTES;
        let free_bytes = self.bytes_max - self.bytes;
        if needed_bytes > free_bytes {
            return Err(LaneError::Full { needed_bytes, free_bytes });
        }
        let first = self.next;
        self.blocks.push_back(Stored { first, bytes: Arc::from(block) });
        self.bytes += needed_bytes;
        self.next += u64::from(count);
        Ok(first)
    }

    fn commit(&mut self) {
        self.committed = self.next - 1;
        if !self.held {
            self.durable = self.committed;
        }
    }

    fn read(&self, position: Position) -> Option<Block> {
        let index = self.index_of(position)?;
        let stored = &self.blocks[index];
        let count = (self.end_of(index) - stored.first) as u32;
        Some(Block { first: stored.first, count, bytes: Arc::clone(&stored.bytes) })
    }

    fn trim(&mut self, before: Position) {
        let before = before.min(self.durable + 1);
        while !self.blocks.is_empty() && self.end_of(0) <= before {
            self.blocks.pop_front().inspect(|stored| self.bytes -= stored.size_bytes());
        }
        self.give_back();
    }

    fn drop_undurable(&mut self) {
        while self.blocks.back().is_some_and(|stored| stored.first > self.durable) {
            self.blocks.pop_back().inspect(|stored| self.bytes -= stored.size_bytes());
        }
        self.next = self.durable + 1;
        self.committed = self.durable;
        self.give_back();
    }

    /// Returns the room of entries to the allocator once three quarters of it are unused.
    fn give_back(&mut self) {
        if self.blocks.capacity() > 64 && self.blocks.len() < self.blocks.capacity() / 4 {
            self.blocks.shrink_to(self.blocks.len() * 2);
        }
    }

    fn first(&self) -> Position {
        self.blocks.front().map_or(self.next, |stored| stored.first)
    }

    /// Index of the block that holds `position`.
    fn index_of(&self, position: Position) -> Option<usize> {
        if position >= self.next {
            return None;
        }
        self.blocks.partition_point(|stored| stored.first <= position).checked_sub(1)
    }

    /// Position after the last record of a block.
    fn end_of(&self, index: usize) -> Position {
        self.blocks.get(index + 1).map_or(self.next, |following| following.first)
    }

    /// Last position of the last block that lies wholly at or below `position`.
    fn last_whole_block(&self, position: Position) -> Position {
        match self.index_of(position) {
            Some(index) if self.end_of(index) > position + 1 => self.blocks[index].first - 1,
            _ => position,
        }
    }
}

impl Stored {
    fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64 + BLOCK_OVERHEAD_BYTES
    }
}

impl MemoryLane {
    /// The log, if this handle is still its writer.
    fn writable(&self) -> Result<MutexGuard<'_, Log>, LaneError> {
        let log = lock(&self.log);
        if log.epoch == self.epoch { Ok(log) } else { Err(LaneError::Fenced) }
    }
}

impl Lane for MemoryLane {
    fn append(&mut self, block: &[u8], count: u32) -> Result<Position, LaneError> {
        assert!(count > 0, "a block holds at least one record");
        self.writable()?.append(block, count)
    }

    fn commit(&mut self) -> Result<(), LaneError> {
        self.writable()?.commit();
        Ok(())
    }

    fn durable(&self) -> Position {
        lock(&self.log).durable
    }

    fn read(&self, position: Position) -> Result<Option<Block>, LaneError> {
        Ok(lock(&self.log).read(position))
    }

    fn trim(&mut self, before: Position) -> Result<(), LaneError> {
        self.writable()?.trim(before);
        Ok(())
    }

    fn first(&self) -> Position {
        lock(&self.log).first()
    }

    fn next(&self) -> Position {
        lock(&self.log).next
    }

    fn bytes(&self) -> u64 {
        lock(&self.log).bytes
    }
}

/// What a table in memory is stored in. Clones are the same map.
#[derive(Clone, Default)]
pub struct MemoryMap(Arc<Mutex<Map>>);

/// The writer's handle to a [`MemoryMap`].
pub struct MemoryTable {
    map: Arc<Mutex<Map>>,
    epoch: u64,
}

#[derive(Default)]
struct Map {
    epoch: u64,
    revision: Revision,
    rows: BTreeMap<Box<[u8]>, Value>,
    /// What the rows written since the last commit were before, so that a crash can undo them.
    undo: BTreeMap<Box<[u8]>, Option<Value>>,
}

impl MemoryMap {
    /// An empty map.
    pub fn new() -> Self {
        MemoryMap::default()
    }

    /// Opens the map: undoes what was not committed, as a crash does, and fences the handle opened before.
    pub fn open(&self) -> MemoryTable {
        let mut map = lock(&self.0);
        map.epoch += 1;
        for (key, before) in mem::take(&mut map.undo) {
            map.restore(key, before);
        }
        MemoryTable { epoch: map.epoch, map: Arc::clone(&self.0) }
    }
}

impl Map {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Revision {
        self.revision += 1;
        let value = Value { bytes: Arc::from(value), revision: self.revision };
        let before = self.rows.insert(key.into(), value);
        self.undo.entry(key.into()).or_insert(before);
        self.revision
    }

    fn delete(&mut self, key: &[u8]) -> bool {
        let before = self.rows.remove(key);
        let existed = before.is_some();
        if existed {
            self.undo.entry(key.into()).or_insert(before);
        }
        existed
    }

    fn restore(&mut self, key: Box<[u8]>, before: Option<Value>) {
        match before {
            Some(value) => self.rows.insert(key, value),
            None => self.rows.remove(&key),
        };
    }

    fn check(&self, key: &[u8], expected: Expected) -> Result<(), TableError> {
        let found = self.rows.get(key).map(|value| value.revision);
        let as_expected = match expected {
            Expected::Anything => true,
            Expected::Nothing => found.is_none(),
            Expected::Revision(revision) => found == Some(revision),
        };
        if as_expected { Ok(()) } else { Err(TableError::Conflict { found }) }
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, rows_max: usize) -> Page {
        let start = match after {
            Some(key) if key >= prefix => Bound::Excluded(key),
            _ => Bound::Included(prefix),
        };
        let mut rest = self
            .rows
            .range::<[u8], _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()));
        Page { rows: rest.by_ref().take(rows_max).collect(), more: rest.next().is_some() }
    }
}

impl MemoryTable {
    /// The map, if this handle is still its writer.
    fn writable(&self) -> Result<MutexGuard<'_, Map>, TableError> {
        let map = lock(&self.map);
        if map.epoch == self.epoch { Ok(map) } else { Err(TableError::Fenced) }
    }
}

impl Table for MemoryTable {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TableError> {
        Ok(lock(&self.map).rows.get(key).cloned())
    }

    fn put(&mut self, key: &[u8], value: &[u8], expected: Expected) -> Result<Revision, TableError> {
        let mut map = self.writable()?;
        map.check(key, expected)?;
        Ok(map.put(key, value))
    }

    fn delete(&mut self, key: &[u8], expected: Expected) -> Result<bool, TableError> {
        let mut map = self.writable()?;
        map.check(key, expected)?;
        Ok(map.delete(key))
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, rows_max: usize) -> Result<Page, TableError> {
        Ok(lock(&self.map).scan(prefix, after, rows_max))
    }

    fn commit(&mut self) -> Result<(), TableError> {
        self.writable()?.undo.clear();
        Ok(())
    }
}

/// Locks. No code here panics while it holds a lock with the data half changed, so poison is no reason to stop.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    const PLENTY: u64 = 1 << 20;

    #[test]
    fn the_lane_keeps_the_contract() {
        contract::check_lane(&mut || {
            let log = MemoryLog::new(PLENTY);
            Box::new(move || Box::new(log.open()))
        });
    }

    #[test]
    fn the_table_keeps_the_contract() {
        contract::check_table(&mut || {
            let map = MemoryMap::new();
            Box::new(move || Box::new(map.open()))
        });
    }

    #[test]
    fn a_full_lane_refuses_the_block_and_takes_it_after_a_trim() {
        let log = MemoryLog::new(100 + BLOCK_OVERHEAD_BYTES);
        let mut lane = log.open();
        lane.append(&[1; 100], 1).unwrap();
        lane.commit().unwrap();
        let refused = lane.append(&[2; 100], 1).unwrap_err();
        assert!(matches!(refused, LaneError::Full { free_bytes: 0, .. }), "{refused:?}");
        assert_eq!(lane.next(), 2);
        lane.trim(2).unwrap();
        assert_eq!(lane.append(&[2; 100], 1).unwrap(), 2);
    }

    #[test]
    fn held_completions_come_when_released_and_by_whole_blocks() {
        let log = MemoryLog::new(PLENTY);
        let mut lane = log.open();
        log.hold();
        lane.append(b"one", 1).unwrap();
        lane.append(b"two and three", 2).unwrap();
        lane.commit().unwrap();
        assert_eq!(lane.durable(), 0);
        log.release(2);
        assert_eq!(lane.durable(), 1);
        log.release(Position::MAX);
        assert_eq!(lane.durable(), 3);
    }

    #[test]
    fn what_was_not_committed_is_not_released() {
        let log = MemoryLog::new(PLENTY);
        let mut lane = log.open();
        log.hold();
        lane.append(b"one", 1).unwrap();
        lane.commit().unwrap();
        lane.append(b"two", 1).unwrap();
        log.release(Position::MAX);
        assert_eq!(lane.durable(), 1);
    }

    #[test]
    fn a_crash_loses_what_was_held_back() {
        let log = MemoryLog::new(PLENTY);
        let mut lane = log.open();
        lane.append(b"kept", 1).unwrap();
        lane.commit().unwrap();
        log.hold();
        lane.append(b"lost", 3).unwrap();
        lane.commit().unwrap();
        let lane = log.open();
        log.release(Position::MAX);
        assert_eq!((lane.next(), lane.durable()), (2, 1));
        assert_eq!(lane.read(2).unwrap(), None);
    }

    #[test]
    fn trimming_gives_the_room_of_entries_back() {
        let log = MemoryLog::new(PLENTY);
        let mut lane = log.open();
        for _ in 0..10_000 {
            lane.append(b"x", 1).unwrap();
        }
        lane.commit().unwrap();
        lane.trim(9_991).unwrap();
        assert_eq!(lane.bytes(), 10 * (1 + BLOCK_OVERHEAD_BYTES));
        assert!(lock(&log.0).blocks.capacity() <= 64);
    }
}
