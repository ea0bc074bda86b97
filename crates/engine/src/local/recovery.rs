//! From files to a log, at every opening. Segments are put in the order in which they were used; those that were sealed
//! are known by their index, the others are read frame by frame.
//!
//! What does not validate is *torn* or *damaged*. Each frame, mark and header names the newest commit that was known to
//! be synced when it was written. A hole at or below the newest of these numbers was durable, and is damage: it is copied
//! to `quarantine/`, named, and stepped over. A hole above it was never acknowledged: the log ends in front of it.
//!
//! Invariant: everything here can be cut off at any point and done again, with the same outcome. What it returns is
//! durable.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chores::Spare;
use super::folder::FolderError;
use super::segment::{self, FRAMES_OFFSET, Header, Hole, Index, Kind, Segment, Unreadable};
use super::status::{Damage, Watch};
use super::walk::Walk;
use crate::Position;
use crate::disk::{self, Disk};

/// Positions, and commits, that are left out where it is not known how many were lost, so that nothing gets the number
/// of something that was acknowledged.
const UNKNOWN_LOSS: u64 = 1 << 32;

/// What an opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments that hold records.
    pub segments: usize,
    /// First record held.
    pub first: Position,
    /// Last record held.
    pub last: Position,
    /// Bytes at the end of the log that were on their way to the disk and did not arrive whole. None of them was
    /// acknowledged.
    pub torn_bytes: u64,
    /// What was damaged.
    pub damages: Vec<Damage>,
}

/// Everything a log begins with.
pub(crate) struct Recovered {
    pub(crate) segments: VecDeque<Segment>,
    /// The last segment can be written to.
    pub(crate) has_active: bool,
    pub(crate) spare: Option<Spare>,
    pub(crate) recycled: Option<PathBuf>,
    pub(crate) next: Position,
    pub(crate) commit: u64,
    pub(crate) floor: Position,
    pub(crate) next_number: u64,
    pub(crate) next_sequence: u64,
    pub(crate) report: Recovery,
}

/// The work itself.
pub(crate) struct Recoverer<'a> {
    pub(crate) disk: &'a Arc<dyn Disk>,
    /// Folder of all data.
    pub(crate) data: &'a Path,
    pub(crate) epoch: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) watch: &'a Watch,
    pub(crate) damages: Vec<Damage>,
}

/// Files in `log/`, sorted by what they are.
#[derive(Default)]
struct Files {
    segments: Vec<Segment>,
    spares: Vec<Spare>,
    /// Numbers of those whose header does not validate.
    unknown: Vec<u64>,
    last_number: u64,
}

/// What reading a segment gave.
struct Reading {
    gaps: Vec<Gap>,
    synced: u64,
    torn_bytes: u64,
    /// Commits, and offsets, of frames that were not known to be synced when the last of them was written.
    unproven: VecDeque<(u64, u64)>,
}

/// Commits that should be there.
struct Gap {
    hole: Hole,
    commit: u64,
}

/// How the log ended, when it did not end with its last segment.
struct Cut {
    /// Segments in front of it.
    segments: usize,
    torn_bytes: u64,
}

impl Recoverer<'_> {
    pub(crate) fn recover(mut self) -> Result<Recovered, FolderError> {
        let mut files = self.read_headers()?;
        let floor = files.segments.iter().map(|segment| segment.header.floor).max().unwrap_or(1);
        Self::make_sure_of_floor(floor, &files).map_err(|cause| self.io(cause))?;
        let recycled = self.drop_below(floor, &mut files);
        files.segments.sort_by_key(|segment| segment.header.sequence);
        let next_sequence = files.segments.last().map_or(1, |segment| segment.header.sequence + 1);

        let mut readings = Vec::new();
        for at in 0..files.segments.len() {
            let limit = files.segments.get(at + 1).map_or(u64::MAX, |later| later.header.first_commit);
            readings.push(self.read_segment(&mut files.segments[at], limit).map_err(|cause| self.io(cause))?);
        }
        let synced = readings.iter().map(|reading| reading.synced).max().unwrap_or(0);
        let cut = self.judge(&mut files, &readings, synced, floor).map_err(|cause| self.io(cause))?;
        let mut torn_bytes = readings.last().map_or(0, |reading| reading.torn_bytes);
        if let Some(cut) = cut {
            let dropped = files.segments[cut.segments..].iter();
            torn_bytes = cut.torn_bytes + dropped.map(Segment::used_bytes).sum::<u64>();
            self.drop_after(cut.segments, &mut files).map_err(|cause| self.io(cause))?;
        }
        let (next, commit) = self.end_of(&files, floor);
        self.settle(&mut files.segments, &readings, synced).map_err(|cause| self.io(cause))?;
        let has_active =
            self.begin_again(&mut files.segments, next, commit, floor).map_err(|cause| self.io(cause))?;
        self.quarantine();

        let spare = self.one_spare(files.spares);
        let report = Recovery {
            segments: files.segments.iter().filter(|segment| !segment.is_empty()).count(),
            first: floor,
            last: next - 1,
            torn_bytes,
            damages: self.damages,
        };
        Ok(Recovered {
            segments: files.segments.into(),
            has_active,
            spare,
            recycled,
            next,
            commit,
            floor,
            next_number: files.last_number + 1,
            next_sequence,
            report,
        })
    }

    // --- which files there are

    fn read_headers(&mut self) -> Result<Files, FolderError> {
        let folder = self.log_folder();
        // A name that is there may be one that was never synced, and what is built on it would go with it.
        self.disk.sync_folder(&folder).map_err(|cause| self.io(cause))?;
        let mut files = Files::default();
        for name in self.disk.list(&folder).map_err(|cause| self.io(cause))? {
            let path = folder.join(&name);
            if path.extension().is_some_and(|extension| extension == "tmp") {
                // Something that was being made.
                drop(self.disk.remove(&path));
            }
            let Some(number) = segment::number_in(&name) else { continue };
            files.last_number = files.last_number.max(number);
            let file = self.disk.open(&path).map_err(|cause| self.io(cause))?;
            let header = match segment::read_header(&*file) {
                Ok((header, is_damaged)) => {
                    if is_damaged {
                        self.damage(
                            &path,
                            0,
                            FRAMES_OFFSET,
                            None,
                            "one of the two copies of its header is damaged",
                        );
                        let healed = segment::write_header(&*file, &header).and_then(|()| file.sync());
                        healed.map_err(|cause| self.io(cause))?;
                    }
                    header
                }
                Err(Unreadable::Damaged) => {
                    files.unknown.push(number);
                    continue;
                }
                Err(Unreadable::Newer(found)) => {
                    return Err(FolderError::Newer { file: path, found, known: segment::VERSION });
                }
                Err(Unreadable::Io(cause)) => return Err(self.io(cause)),
            };
            match header.kind {
                Kind::Spare if header.number == number => files.spares.push(Spare { path, file, header }),
                // It was being made out of one that is not needed any more.
                Kind::Spare => drop(self.disk.remove(&path)),
                Kind::Active | Kind::Sealed { .. } => {
                    let index = Index::empty(header.first, header.first_commit);
                    files.segments.push(Segment {
                        path,
                        file,
                        header,
                        index,
                        is_closed: header.is_continued,
                    });
                }
            }
        }
        Ok(files)
    }

    /// Writes the header with the floor again and syncs it, should that not have happened before: what goes because of it
    /// must not be missed after another crash.
    fn make_sure_of_floor(floor: Position, files: &Files) -> io::Result<()> {
        let is_moved = files.segments.iter().any(|segment| segment.header.first < floor);
        let Some(segment) = files.segments.iter().find(|segment| is_moved && segment.header.floor == floor)
        else {
            return Ok(());
        };
        segment::write_header(&*segment.file, &segment.header)?;
        segment.file.sync()
    }

    /// Lets segments go that were trimmed before; one of them can be used again.
    fn drop_below(&mut self, floor: Position, files: &mut Files) -> Option<PathBuf> {
        let is_needed = |segment: &Segment| segment.header.first >= floor;
        let (needed, mut trimmed): (Vec<_>, Vec<_>) = files.segments.drain(..).partition(is_needed);
        let first_needed = needed.iter().map(|segment| segment.header.number).min().unwrap_or(0);
        files.segments = needed;
        let folder = self.log_folder();
        files.unknown.retain(|&number| {
            let is_trimmed = number < first_needed && floor > 1;
            if is_trimmed {
                drop(self.disk.remove(&segment::path_of(&folder, number)));
            }
            !is_trimmed
        });
        let recycled = trimmed
            .iter()
            .position(|segment| segment.header.size == self.segment_bytes)
            .map(|at| trimmed.swap_remove(at).path);
        for segment in trimmed {
            drop(self.disk.remove(&segment.path));
        }
        recycled
    }

    fn one_spare(&self, mut spares: Vec<Spare>) -> Option<Spare> {
        let spare = spares
            .iter()
            .position(|spare| spare.header.size == self.segment_bytes)
            .map(|at| spares.swap_remove(at));
        for spare in spares {
            drop(self.disk.remove(&spare.path));
        }
        spare
    }

    // --- what they hold

    fn read_segment(&mut self, segment: &mut Segment, limit: u64) -> io::Result<Reading> {
        let header = segment.header;
        let length = segment.file.len()?;
        if length < header.size {
            let missing = header.size - length;
            self.damage(&segment.path, length, missing, None, "the file is shorter than it was made");
        }
        if let Kind::Sealed { index_offset } = header.kind {
            if let Some(index) = segment::read_index(&*segment.file, &header, index_offset)? {
                for hole in &index.holes {
                    self.hole(&segment.path, *hole);
                }
                segment.index = index;
                let synced = header.synced.max(segment.index.last_commit);
                return Ok(Reading { gaps: vec![], synced, torn_bytes: 0, unproven: VecDeque::new() });
            }
            let length = segment.file.len()?.saturating_sub(index_offset);
            self.damage(&segment.path, index_offset, length, None, "its index is damaged and was made again");
        }
        self.read_frames(segment, limit)
    }

    /// Reads frames up to commit `limit`, which a later segment begins with: a group that was written twice counts
    /// where it was written last.
    fn read_frames(&mut self, segment: &mut Segment, limit: u64) -> io::Result<Reading> {
        let mut index = Index::empty(segment.header.first, segment.header.first_commit);
        let mut reading = Reading {
            gaps: Vec::new(),
            synced: segment.header.synced,
            torn_bytes: 0,
            unproven: VecDeque::new(),
        };
        let mut walk = Walk::new(segment, FRAMES_OFFSET, u64::MAX)?;
        let mut ends_marked = false;
        while let Some((offset, frame)) = walk.next() {
            if frame.commit >= limit && !frame.is_mark() {
                break;
            }
            ends_marked = frame.is_mark();
            reading.synced = reading.synced.max(frame.synced);
            let expected = index.last_commit + 1;
            let lost_before =
                if frame.is_mark() { frame.commit >= expected } else { frame.commit > expected };
            if lost_before && frame.first >= index.next {
                let hole = Hole {
                    offset: index.end,
                    bytes: offset - index.end,
                    first: index.next,
                    last: frame.first.saturating_sub(1),
                };
                reading.gaps.push(Gap { hole, commit: expected });
                index.next = frame.first;
                index.last_commit = if frame.is_mark() { frame.commit } else { frame.commit - 1 };
                index.end = offset;
            }
            if !frame.is_mark() && frame.commit == index.last_commit + 1 && frame.first == index.next {
                index.push(&frame, offset);
                reading.unproven.push_back((frame.commit, offset));
            } else if frame.is_mark() {
                index.end = index.end.max(offset + frame.size_bytes());
            }
            while reading.unproven.front().is_some_and(|(commit, _)| *commit <= reading.synced) {
                reading.unproven.pop_front();
            }
        }
        reading.torn_bytes = walk.broken_bytes;
        let length = segment.file.len()?;
        let is_cut = length < segment.header.size;
        let unreadable = std::mem::take(&mut walk.unreadable);
        let is_known = !is_cut && unreadable.iter().all(|(offset, _)| *offset < index.end);
        if !is_known && !ends_marked && limit == u64::MAX {
            // Nobody can tell what was in a part that is not there.
            let bytes = segment.header.size.max(length) - index.end;
            let hole =
                Hole { offset: index.end, bytes, first: index.next, last: index.next + UNKNOWN_LOSS - 1 };
            self.hole(&segment.path, hole);
            index.holes.push(hole);
            index.next += UNKNOWN_LOSS;
            index.last_commit += UNKNOWN_LOSS;
        }
        for (offset, bytes) in unreadable {
            self.damage(&segment.path, offset, bytes, None, "the disk cannot read it");
        }
        segment.index = index;
        Ok(reading)
    }

    // --- torn or damaged

    /// Names every hole at or below the newest commit known to be synced. At the first one above it the log ends.
    fn judge(
        &mut self,
        files: &mut Files,
        readings: &[Reading],
        synced: u64,
        floor: Position,
    ) -> io::Result<Option<Cut>> {
        let mut next = floor;
        let mut commit = 0;
        for (at, reading) in readings.iter().enumerate() {
            let header = files.segments[at].header;
            if header.first > next && (at == 0 || header.first_commit > commit + 1) {
                if at > 0 && commit + 1 > synced {
                    return Ok(Some(Cut { segments: at, torn_bytes: 0 }));
                }
                let before = at.checked_sub(1).map(|before| files.segments[before].header.number);
                self.missing(files, before, next, header.first - 1);
            }
            for gap in &reading.gaps {
                if gap.commit > synced {
                    let segment = &mut files.segments[at];
                    let end = segment.index.end;
                    self.read_frames(segment, gap.commit)?;
                    let torn_bytes = end - segment.index.end;
                    return Ok(Some(Cut { segments: at + 1, torn_bytes }));
                }
                let path = files.segments[at].path.clone();
                self.hole(&path, gap.hole);
                files.segments[at].index.holes.push(gap.hole);
            }
            next = files.segments[at].index.next;
            commit = files.segments[at].index.last_commit;
        }
        Ok(None)
    }

    /// A whole file, or its header, is gone from the middle of the log.
    fn missing(&mut self, files: &Files, before: Option<u64>, first: Position, last: Position) {
        let folder = self.log_folder();
        let lost = Some((first, last));
        let is_after = |number: u64| before.is_none_or(|before| number > before);
        if let Some(&number) = files.unknown.iter().find(|number| is_after(**number)) {
            let path = segment::path_of(&folder, number);
            let bytes = self.disk.open(&path).and_then(|file| file.len()).unwrap_or(0);
            self.damage(&path, 0, bytes, lost, "both copies of its header are damaged");
        } else {
            let path = segment::path_of(&folder, before.unwrap_or(0) + 1);
            self.damage(&path, 0, 0, lost, "the file is missing");
        }
    }

    /// Position and commit with which the log goes on.
    fn end_of(&mut self, files: &Files, floor: Position) -> (Position, u64) {
        let last = files.segments.last();
        let (next, commit) = last.map_or((floor, 0), |last| (last.index.next, last.index.last_commit));
        let last_number = last.map_or(0, |last| last.header.number);
        let is_continued = last.is_some_and(|last| last.header.is_continued);
        let has_unknown = files.unknown.iter().any(|&number| number > last_number);
        if !is_continued && !has_unknown {
            return (next, commit);
        }
        self.missing(files, last.map(|_| last_number), next, next + UNKNOWN_LOSS - 1);
        (next + UNKNOWN_LOSS, commit + UNKNOWN_LOSS)
    }

    // --- leaving it in order

    /// Removes the segments behind the place where the log ends, the newest first, so that it ends there again should
    /// this be cut off.
    fn drop_after(&self, segments: usize, files: &mut Files) -> io::Result<()> {
        if let Some(last) = segments.checked_sub(1).map(|last| &mut files.segments[last])
            && last.header.is_continued
        {
            last.header.is_continued = false;
            last.header.revision += 1;
            segment::write_header(&*last.file, &last.header)?;
            last.file.sync()?;
        }
        for segment in files.segments.drain(segments..).rev() {
            self.disk.remove(&segment.path)?;
            self.disk.sync_folder(&self.log_folder())?;
        }
        Ok(())
    }

    /// Makes sure of everything that was found, and only then seals what was read frame by frame: no header may say that
    /// another segment follows before that one is safe.
    fn settle(&self, segments: &mut [Segment], readings: &[Reading], synced: u64) -> io::Result<()> {
        let count = segments.len();
        for (segment, reading) in segments.iter().zip(readings) {
            let is_known = matches!(segment.header.kind, Kind::Sealed { .. }) && reading.gaps.is_empty();
            if !is_known || segment.header.sequence == segments[count - 1].header.sequence {
                make_sure(segment, reading, synced)?;
            }
        }
        for (at, segment) in segments.iter_mut().enumerate() {
            let is_last = at + 1 == count;
            if segment.header.kind != Kind::Active || self.can_go_on(segment, is_last) {
                continue;
            }
            let mut header = segment.header;
            header.is_continued = !is_last;
            header.size = segment::index_end(&header, &segment.index);
            // Without it the segment is read frame by frame again, which is slower and no less right.
            if segment::seal(&*segment.file, &mut header, &segment.index).is_ok() {
                segment.file.set_len(header.size)?;
                segment.file.sync()?;
                segment.header = header;
            }
        }
        Ok(())
    }

    /// The last segment, if nothing is in it: it gets another life instead of another file.
    fn can_go_on(&self, segment: &Segment, is_last: bool) -> bool {
        is_last && segment.is_empty() && segment.header.size == self.segment_bytes
    }

    fn begin_again(
        &self,
        segments: &mut [Segment],
        next: Position,
        commit: u64,
        floor: Position,
    ) -> io::Result<bool> {
        let Some(segment) = segments.last_mut() else { return Ok(false) };
        if segment.header.kind != Kind::Active || !self.can_go_on(segment, true) {
            return Ok(false);
        }
        if segment.file.len()? < segment.header.size {
            segment.file.set_len(segment.header.size)?;
        }
        let header = Header {
            revision: segment.header.revision + 1,
            epoch: self.epoch,
            salt: self.disk.random()?,
            first: next,
            first_commit: commit + 1,
            synced: commit,
            floor,
            is_continued: false,
            ..segment.header
        };
        segment::write_header(&*segment.file, &header)?;
        segment.file.sync()?;
        segment.header = header;
        segment.index = Index::empty(next, commit + 1);
        Ok(true)
    }

    fn quarantine(&self) {
        for damage in &self.damages {
            self.watch.damage(damage.clone());
            quarantine(&**self.disk, self.data, damage);
        }
    }

    // --- words

    fn hole(&mut self, path: &Path, hole: Hole) {
        let lost = Some((hole.first, hole.last));
        self.damage(path, hole.offset, hole.bytes, lost, "it was synced, and is not what was written");
    }

    fn damage(
        &mut self,
        file: &Path,
        offset: u64,
        bytes: u64,
        lost: Option<(Position, Position)>,
        what: &str,
    ) {
        self.damages.push(Damage { file: file.to_owned(), offset, bytes, lost, what: what.to_owned() });
    }

    fn log_folder(&self) -> PathBuf {
        self.data.join("log")
    }

    fn io(&self, cause: io::Error) -> FolderError {
        FolderError::Io { path: self.log_folder(), cause }
    }
}

/// Makes what was read durable. What was not known to be synced is written again first: after a sync that failed, the
/// operating system may take for clean what never reached the disk.
fn make_sure(segment: &Segment, reading: &Reading, synced: u64) -> io::Result<()> {
    let unproven = reading.unproven.iter().find(|(commit, _)| *commit > synced);
    if let Some(&(_, offset)) = unproven.filter(|(_, offset)| *offset < segment.index.end) {
        let mut bytes = vec![0; (segment.index.end - offset) as usize];
        disk::read_up_to(&*segment.file, offset, &mut bytes)?;
        disk::write_all(&*segment.file, offset, &bytes)?;
    }
    segment.file.sync()
}

/// Copies a damaged part to `quarantine/`, unless it is there or the part holds nothing that could be copied. Damage is
/// reported whether or not that works.
pub(crate) fn quarantine(disk: &dyn Disk, data: &Path, damage: &Damage) {
    let folder = data.join("quarantine");
    let stem = damage.file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let copy = folder.join(format!("{stem}-{}-{}.part", damage.offset, damage.bytes));
    if damage.lost.is_none() || damage.bytes == 0 || disk.open(&copy).is_ok() {
        return;
    }
    let copied = || -> io::Result<()> {
        let file = disk.open(&damage.file)?;
        let mut bytes = vec![0; damage.bytes as usize];
        let read = disk::read_up_to(&*file, damage.offset, &mut bytes)?;
        disk.make_folder(&folder)?;
        disk::replace(disk, &copy, &bytes[..read])
    };
    let _ = copied();
}
