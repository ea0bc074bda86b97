//! Letting go of what nobody needs any more, by whole segments.
//!
//! Invariant: what is let go is written down, and safe, before it goes. So a segment that is missing at the next opening,
//! and was not let go, is known to be lost.

use std::sync::PoisonError;

use super::Log;
use crate::local::Durability;
use crate::local::chores::Chore;
use crate::local::segment::{self, Header, Index};
use crate::{LaneError, Position};

impl Log {
    pub(super) fn trim(&mut self, before: Position) -> Result<(), LaneError> {
        let before = before.min(self.durable + 1);
        let Some(last) = self.segments.back() else { return Ok(()) };
        if self.has_active && !last.is_empty() && self.durable < before && self.waiting.blocks == 0 {
            return self.begin_anew();
        }
        let kept = self.segments.iter().take(self.segments.len() - 1);
        let count = kept.take_while(|segment| segment.index.next <= before).count();
        if count > 0 { self.let_go(count) } else { Ok(()) }
    }

    /// Gives the present segment another life, since nothing in it is needed, and lets all others go.
    fn begin_anew(&mut self) -> Result<(), LaneError> {
        let salt = self.disk.random()?;
        let Some(segment) = self.segments.back_mut() else { return Ok(()) };
        let header = Header {
            revision: segment.header.revision + 1,
            epoch: self.epoch,
            salt,
            first: self.next,
            first_commit: self.commit + 1,
            synced: self.synced,
            floor: self.next,
            ..segment.header
        };
        self.write_floor(header)?;
        if let Some(segment) = self.segments.back_mut() {
            segment.index = Index::empty(self.next, self.commit + 1);
        }
        self.drop_segments(self.segments.len() - 1);
        Ok(())
    }

    /// Lets the `count` oldest segments go.
    fn let_go(&mut self, count: usize) -> Result<(), LaneError> {
        let floor = self.segments[count].header.first;
        let Some(last) = self.segments.back() else { return Ok(()) };
        self.write_floor(Header { floor, revision: last.header.revision + 1, ..last.header })?;
        self.drop_segments(count);
        Ok(())
    }

    /// Keeps in the newest header what is let go, before it goes: a segment that is missing above this was lost. This
    /// writes over what is there, so a full disk cannot refuse it.
    fn write_floor(&mut self, header: Header) -> Result<(), LaneError> {
        let is_synced = self.options.durability == Durability::Fsync;
        let Some(segment) = self.segments.back_mut() else { return Ok(()) };
        let file = &segment.file;
        let written = segment::write_header(&**file, &header)
            .and_then(|()| if is_synced { file.sync() } else { Ok(()) });
        if let Err(cause) = written {
            // Which header is there now is not known, so no frame may follow it.
            self.has_active = false;
            return Err(LaneError::Io(cause));
        }
        self.watch.count(|counters| counters.syncs += u64::from(is_synced));
        segment.header = header;
        self.floor = header.floor;
        Ok(())
    }

    /// One of the files becomes the next spare, the others are removed.
    fn drop_segments(&mut self, count: usize) {
        for segment in self.segments.drain(..count) {
            if self.recycled.is_none() && segment.header.size == self.options.segment_bytes {
                self.recycled = Some(segment.path);
            } else {
                self.chores.ask(Chore::Remove(segment.path));
            }
        }
        let first = self.floor;
        while self.newest.front().is_some_and(|block| block.first < first)
            && let Some(block) = self.newest.pop_front()
        {
            self.newest_bytes -= block.bytes.len() as u64;
        }
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
