//! The lane on segment files. What is appended waits in memory; a commit writes all of it as one frame and syncs it. So
//! while one group is synced the next gathers, without a timer, and group k + 1 is written after group k is safe.
//!
//! A segment that fails is left where it is: the group that was not acknowledged is written again to the next one. If that
//! fails too, the log has failed, and acknowledges nothing any more.
//!
//! Invariant: with a spare segment, or room in the present one, for what waits, a commit needs no room on the disk. That is
//! why [`LaneError::Full`] comes from append, and what was accepted can always be committed.

mod trim;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use super::chores::{self, Chore, Chores, Spare};
use super::folder::{Claim, lock};
use super::frame;
use super::pages::{LoadedPart, Pages};
use super::recovery::{self, Recovered, Recovery};
use super::segment::{self, FRAMES_OFFSET, Header, Index, Kind, Segment};
use super::status::{Damage, Watch};
use super::{Durability, Options};
use crate::disk::{self, Disk};
use crate::{Block, Lane, LaneError, Position};

/// The largest block: frames hold lengths in four bytes.
const BLOCK_BYTES_MAX: usize = 1 << 30;

/// The writer's handle to the lane of a [`Folder`](super::Folder).
#[derive(Debug)]
pub struct LocalLane {
    log: Log,
    epoch: u64,
    claim: Arc<Mutex<Claim>>,
}

/// The log itself.
#[derive(Debug)]
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    options: Options,
    watch: Watch,
    epoch: u64,
    chores: Chores,
    /// In the order in which they were used.
    segments: VecDeque<Segment>,
    /// The last segment can be written to.
    has_active: bool,
    spare: Option<Spare>,
    is_spare_asked: bool,
    /// A file that the next spare can be made of.
    recycled: Option<PathBuf>,
    next_number: u64,
    next_sequence: u64,
    /// The newest blocks, those that are not written yet at the end.
    newest: VecDeque<Block>,
    newest_bytes: u64,
    waiting: Waiting,
    pages: Mutex<Pages>,
    next: Position,
    durable: Position,
    floor: Position,
    /// Number of the last commit that was written.
    commit: u64,
    /// Number of the last commit that is known to be synced.
    synced: u64,
    failure: Option<String>,
    buffer: Vec<u8>,
    recovery: Recovery,
}

/// What the next commit will write.
#[derive(Debug, Default)]
struct Waiting {
    blocks: usize,
    bytes: u64,
}

impl LocalLane {
    pub(crate) fn new(log: Log, epoch: u64, claim: Arc<Mutex<Claim>>) -> Self {
        LocalLane { log, epoch, claim }
    }

    /// What the opening found.
    pub fn recovery(&self) -> &Recovery {
        &self.log.recovery
    }

    /// Does `change` if this handle is still the writer, and keeps others from becoming it meanwhile.
    fn write<T>(&mut self, change: impl FnOnce(&mut Log) -> Result<T, LaneError>) -> Result<T, LaneError> {
        let claim = lock(&self.claim);
        if claim.epoch != self.epoch {
            return Err(LaneError::Fenced);
        }
        if let Some(failure) = &self.log.failure {
            return Err(LaneError::Io(io::Error::other(failure.clone())));
        }
        change(&mut self.log)
    }
}

impl Lane for LocalLane {
    fn append(&mut self, block: &[u8], count: u32) -> Result<Position, LaneError> {
        assert!(count > 0, "a block holds at least one record");
        self.write(|log| log.append(block, count))
    }

    fn commit(&mut self) -> Result<(), LaneError> {
        self.write(Log::commit)
    }

    fn durable(&self) -> Position {
        self.log.durable
    }

    fn read(&self, position: Position) -> Result<Option<Block>, LaneError> {
        let claim = lock(&self.claim);
        // The files of a fenced handle may be anything by now.
        if claim.epoch == self.epoch { self.log.read(position) } else { Err(LaneError::Fenced) }
    }

    fn trim(&mut self, before: Position) -> Result<(), LaneError> {
        self.write(|log| log.trim(before))
    }

    fn first(&self) -> Position {
        self.log.first()
    }

    fn next(&self) -> Position {
        self.log.next
    }

    fn bytes(&self) -> u64 {
        self.log.bytes()
    }
}

impl Log {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        data: PathBuf,
        options: Options,
        watch: Watch,
        epoch: u64,
        recovered: Recovered,
        chores: Chores,
    ) -> Self {
        let mut log = Log {
            disk,
            data,
            options,
            watch,
            epoch,
            chores,
            segments: recovered.segments,
            has_active: recovered.has_active,
            spare: recovered.spare,
            is_spare_asked: false,
            recycled: recovered.recycled,
            next_number: recovered.next_number,
            next_sequence: recovered.next_sequence,
            newest: VecDeque::new(),
            newest_bytes: 0,
            waiting: Waiting::default(),
            pages: Mutex::new(Pages::new(options.cache_bytes)),
            next: recovered.next,
            durable: recovered.next - 1,
            floor: recovered.floor,
            commit: recovered.commit,
            synced: recovered.commit,
            failure: None,
            buffer: Vec::new(),
            recovery: recovered.report,
        };
        log.ask_for_spare();
        if !log.has_active && log.spare.is_none() {
            // The first append would only wait instead. On a full disk it is told so.
            log.is_spare_asked = false;
            log.spare = log.chores.wait().ok();
        }
        log
    }

    // --- writing

    fn append(&mut self, block: &[u8], count: u32) -> Result<Position, LaneError> {
        if block.len() > BLOCK_BYTES_MAX {
            return Err(LaneError::Io(io::Error::new(io::ErrorKind::InvalidInput, "a block of over 1 GiB")));
        }
        if self.waiting.blocks > 0 && self.frame_bytes_with(block) > self.largest_frame_bytes() {
            // A group is one frame, and a frame lies in one segment.
            self.commit()?;
        }
        let frame_bytes = self.frame_bytes_with(block);
        let grown = self.used_bytes_of(frame_bytes) - self.used_bytes_of(self.waiting.frame_bytes());
        let free = self.options.bytes_max.saturating_sub(self.bytes());
        if grown > free {
            return Err(LaneError::Full { needed_bytes: grown, free_bytes: free });
        }
        self.make_room(frame_bytes)?;
        let first = self.next;
        self.newest.push_back(Block { first, count, bytes: block.into() });
        self.newest_bytes += block.len() as u64;
        self.waiting.blocks += 1;
        self.waiting.bytes += block.len() as u64;
        self.next += u64::from(count);
        Ok(first)
    }

    fn commit(&mut self) -> Result<(), LaneError> {
        if self.waiting.blocks == 0 {
            return Ok(());
        }
        let Err(cause) = self.write_group() else { return Ok(()) };
        self.leave_segment(&cause);
        let again = self.make_room(self.waiting.frame_bytes()).and_then(|()| Ok(self.write_group()?));
        again.map_err(|second| {
            let failure = format!("the log has failed: {cause}, and in the next segment: {second}");
            self.watch.fail(failure.clone());
            self.failure = Some(failure.clone());
            LaneError::Io(io::Error::other(failure))
        })
    }

    /// Writes what waits as one frame.
    fn write_group(&mut self) -> io::Result<()> {
        let frame_bytes = self.waiting.frame_bytes();
        let is_new = !self.active_has_room(frame_bytes);
        if is_new {
            self.take_spare()?;
        }
        let Some(segment) = self.segments.back() else { return Err(no_segment()) };
        let (offset, seed) = (segment.index.end, segment.header.seed());
        let waiting = self.newest.iter().skip(self.newest.len() - self.waiting.blocks);
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.clear();
        if is_new {
            bytes = segment.header.encode();
        }
        let start = bytes.len();
        let frame = frame::encode(seed, self.commit + 1, self.synced, waiting, &mut bytes);
        let written = disk::write_all(&*segment.file, offset - start as u64, &bytes);
        let written_bytes = bytes.len() as u64;
        if bytes.capacity() <= 1 << 20 {
            self.buffer = bytes;
        }
        written?;
        let mut syncs = 0;
        if self.options.durability == Durability::Fsync {
            segment.file.sync()?;
            syncs = 1;
        }
        let Some(segment) = self.segments.back_mut() else { return Err(no_segment()) };
        segment.index.push(&frame, offset);
        self.commit += 1;
        self.durable = self.next - 1;
        self.waiting = Waiting::default();
        if syncs > 0 {
            self.synced = self.commit;
            self.mark_synced();
        }
        self.watch.count(|counters| {
            counters.commits += 1;
            counters.syncs += syncs;
            counters.written_bytes += written_bytes;
        });
        self.forget_old();
        if is_new {
            self.close_before();
            self.ask_for_spare();
        }
        Ok(())
    }

    /// Notes behind the last frame that it is safe. A crash may lose the note, and the next frame takes its place; as long
    /// as it is there, damage to the last frame cannot be mistaken for one that never arrived.
    fn mark_synced(&self) {
        let Some(segment) = self.segments.back() else { return };
        if segment.index.end + frame::HEADER_BYTES as u64 <= segment.header.capacity_end() {
            let mark = frame::encode_mark(segment.header.seed(), self.commit, self.next);
            // Only a note: a disk that fails will say so at the next commit.
            let _ = disk::write_all(&*segment.file, segment.index.end, &mark);
        }
    }

    /// Begins a segment. Its header is written together with its first frame.
    fn take_spare(&mut self) -> io::Result<()> {
        let spare = self.spare.take().ok_or_else(no_segment)?;
        let header = Header {
            kind: Kind::Active,
            revision: spare.header.revision + 1,
            epoch: self.epoch,
            salt: self.disk.random()?,
            sequence: self.next_sequence,
            first: self.durable + 1,
            first_commit: self.commit + 1,
            synced: self.synced,
            floor: self.floor,
            ..spare.header
        };
        self.next_sequence += 1;
        let index = Index::empty(header.first, header.first_commit);
        self.segments.push_back(Segment {
            path: spare.path,
            file: spare.file,
            header,
            index,
            is_closed: false,
        });
        self.has_active = true;
        Ok(())
    }

    /// Has the segments in front of the present one sealed. That they are followed by another is only said when that one
    /// is safe, since otherwise a power cut would make it look lost.
    fn close_before(&mut self) {
        let is_safe = self.options.durability == Durability::Fsync;
        let last = self.segments.len() - 1;
        for segment in self.segments.iter_mut().take(last).rev() {
            if std::mem::replace(&mut segment.is_closed, true) {
                break;
            }
            if is_safe {
                segment.header.is_continued = true;
                segment.header.revision += 1;
            }
            self.chores.ask(Chore::Seal {
                path: segment.path.clone(),
                file: Arc::clone(&segment.file),
                header: segment.header,
                index: segment.index.clone(),
            });
        }
    }

    /// The segment failed: nothing is written to it any more.
    fn leave_segment(&mut self, cause: &io::Error) {
        self.has_active = false;
        if let Some(segment) = self.segments.back() {
            self.watch.damage(Damage {
                file: segment.path.clone(),
                offset: segment.index.end,
                bytes: self.waiting.frame_bytes(),
                lost: None,
                what: format!("it could not be written ({cause}); the log went on in another file"),
            });
        }
    }

    // --- room

    fn frame_bytes_with(&self, block: &[u8]) -> u64 {
        frame::size_bytes(self.waiting.blocks + 1, self.waiting.bytes + block.len() as u64)
    }

    fn largest_frame_bytes(&self) -> u64 {
        let size = self.options.segment_bytes;
        size - segment::index_room_bytes(size) - FRAMES_OFFSET
    }

    fn active_has_room(&self, frame_bytes: u64) -> bool {
        self.has_active && self.segments.back().is_some_and(|segment| segment.has_room(frame_bytes))
    }

    /// Makes sure that a frame of that size can be written without anything being made for it.
    fn make_room(&mut self, frame_bytes: u64) -> Result<(), LaneError> {
        if self.active_has_room(frame_bytes) || self.spare_has_room(frame_bytes) {
            return Ok(());
        }
        self.take_made();
        if self.spare_has_room(frame_bytes) {
            return Ok(());
        }
        self.watch.count(|counters| counters.waits_for_segment += 1);
        let made = if frame_bytes > self.largest_frame_bytes() {
            self.make_large_spare(frame_bytes)
        } else {
            self.ask_for_spare();
            self.is_spare_asked = false;
            self.chores.wait()
        };
        match made {
            Ok(spare) => {
                self.put_back_spare();
                self.spare = Some(spare);
                Ok(())
            }
            Err(cause) if cause.kind() == io::ErrorKind::StorageFull => Err(LaneError::Full {
                needed_bytes: self.options.segment_bytes.max(frame_bytes),
                free_bytes: 0,
            }),
            Err(cause) => Err(LaneError::Io(cause)),
        }
    }

    fn spare_has_room(&self, frame_bytes: u64) -> bool {
        let is_enough = |spare: &Spare| FRAMES_OFFSET + frame_bytes <= spare.header.capacity_end();
        self.spare.as_ref().is_some_and(is_enough)
    }

    /// A spare for a block that fits into no segment of the usual size.
    fn make_large_spare(&mut self, frame_bytes: u64) -> io::Result<Spare> {
        let number = self.take_number();
        let size = segment::size_for(frame_bytes);
        let folder = self.data.join("log");
        chores::make_spare(&*self.disk, &folder, number, size, None, &AtomicBool::new(false))
    }

    /// A spare that a larger one replaces is removed: there is one at a time.
    fn put_back_spare(&mut self) {
        if let Some(spare) = self.spare.take() {
            self.chores.ask(Chore::Remove(spare.path));
        }
    }

    fn ask_for_spare(&mut self) {
        if self.spare.is_none() && !self.is_spare_asked {
            self.is_spare_asked = true;
            let number = self.take_number();
            let from = self.recycled.take();
            self.chores.ask(Chore::Spare { number, size: self.options.segment_bytes, from });
        }
    }

    /// Looks whether the spare that was asked for is made. One that could not be made is asked for when it is needed.
    fn take_made(&mut self) {
        if let Some(made) = self.chores.made() {
            self.is_spare_asked = false;
            if self.spare.is_none() {
                self.spare = made.ok();
            }
        }
    }

    fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    // --- reading

    fn read(&self, position: Position) -> Result<Option<Block>, LaneError> {
        if position >= self.next || position < self.first() {
            return Ok(None);
        }
        let after = self.newest.partition_point(|block| block.first <= position);
        if let Some(before) = after.checked_sub(1) {
            return Ok(Some(self.newest[before].clone()));
        }
        let at = self.segments.partition_point(|segment| segment.header.first <= position);
        let segment = at.checked_sub(1).map(|at| &self.segments[at]);
        let Some(segment) = segment.filter(|segment| position < segment.index.next) else {
            // A whole segment is missing.
            let first = segment.map_or(self.floor, |before| before.index.next);
            let following =
                self.segments.get(at).map_or(self.durable + 1, |following| following.header.first);
            return Err(LaneError::Damaged { first, last: following - 1 });
        };
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let part = if let Some(part) = pages.find(position) {
            part
        } else {
            let part = segment.index.part_with(position, segment.header.first);
            let part = Arc::new(LoadedPart::read(segment, part)?);
            pages.keep(Arc::clone(&part));
            part
        };
        part.find(position).map(Some).map_err(|(first, last)| {
            self.tell_of_hole(segment, position, (first, last));
            LaneError::Damaged { first, last }
        })
    }

    /// Damage that was not there, or not looked for, when the log was opened.
    fn tell_of_hole(&self, segment: &Segment, position: Position, lost: (Position, Position)) {
        if segment.index.holes.iter().any(|hole| hole.first <= position && position <= hole.last) {
            return;
        }
        let offsets = segment.index.part_with(position, segment.header.first).offsets;
        let damage = Damage {
            file: segment.path.clone(),
            offset: offsets.start,
            bytes: offsets.end - offsets.start,
            lost: Some(lost),
            what: "within this part something is not what was written".into(),
        };
        recovery::quarantine(&*self.disk, &self.data, &damage);
        self.watch.damage(damage);
    }

    /// Lets go of blocks beyond the cache's bound that are written.
    fn forget_old(&mut self) {
        while self.newest_bytes > self.options.cache_bytes
            && self.newest.len() > self.waiting.blocks
            && let Some(block) = self.newest.pop_front()
        {
            self.newest_bytes -= block.bytes.len() as u64;
        }
    }

    /// Segments begin here, unless the oldest is missing.
    fn first(&self) -> Position {
        self.floor
    }

    fn bytes(&self) -> u64 {
        let waiting = self.used_bytes_of(self.waiting.frame_bytes());
        self.segments.iter().map(Segment::used_bytes).sum::<u64>() + waiting
    }

    /// What a frame adds to the bytes in use, with the header of the segment that it may begin.
    fn used_bytes_of(&self, frame_bytes: u64) -> u64 {
        let begins_segment =
            self.segments.back().is_none_or(Segment::is_empty) || !self.active_has_room(frame_bytes);
        if frame_bytes > 0 && begins_segment { frame_bytes + FRAMES_OFFSET } else { frame_bytes }
    }
}

impl Waiting {
    fn frame_bytes(&self) -> u64 {
        if self.blocks == 0 { 0 } else { frame::size_bytes(self.blocks, self.bytes) }
    }
}

fn no_segment() -> io::Error {
    io::Error::other("there is no segment to write to")
}
