//! One file of the log: a header in two copies, frames from byte 4096 on, and, once nothing more is written to it, a
//! sparse index of them. `log` writes segments, `chores` prepares and seals them, `recovery` reads them.
//!
//! A file has one life after the other. Each begins with a new epoch or a new salt, which seed the checksums of its
//! frames, so nothing has to be erased. Invariant: of both copies of the header the one with the higher revision that
//! validates counts, and each change writes both.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{self, Frame, Seed};
use crate::Position;
use crate::disk::{self, DiskFile};

/// Where frames begin.
pub(crate) const FRAMES_OFFSET: u64 = 4096;

/// Distance of the entries in an index, at least.
pub(crate) const INDEX_EVERY_BYTES: u64 = 64 << 10;

/// Version of all formats below `log/`.
pub(crate) const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"LWSEGMNT";
const INDEX_MAGIC: &[u8; 8] = b"LWINDEX1";
const HEADER_BYTES: usize = 128;
const COPY_OFFSETS: [u64; 2] = [0, 2048];
const INDEX_HEAD_BYTES: usize = 40;
const ENTRY_BYTES: usize = 16;

/// What a file is in its present life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ready to be used; holds nothing.
    Spare,
    /// Written to, or was when the process ended.
    Active,
    /// Closed, with an index at `index_offset`.
    Sealed { index_offset: u64 },
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// Its number, which is also its name.
    pub(crate) number: u64,
    /// Counts the changes of this header.
    pub(crate) revision: u64,
    /// The opening of the folder in which this life began.
    pub(crate) epoch: u64,
    pub(crate) salt: u64,
    /// Bytes of the file.
    pub(crate) size: u64,
    /// Counts the segments in the order in which they were taken into use.
    pub(crate) sequence: u64,
    /// Position that its first record has, or would have.
    pub(crate) first: Position,
    /// Number that its first commit has, or would have.
    pub(crate) first_commit: u64,
    /// Newest commit that was known to be synced when it was taken into use.
    pub(crate) synced: u64,
    /// Records below this are let go.
    pub(crate) floor: Position,
    /// Another segment was taken into use after it.
    pub(crate) is_continued: bool,
}

/// A place in the file at which a frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) first: Position,
    pub(crate) offset: u64,
}

/// What an index holds beside its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) entries: Vec<Entry>,
    /// Where its last frame ends.
    pub(crate) end: u64,
    /// Position after its last record, lost ones included.
    pub(crate) next: Position,
    /// Its last commit.
    pub(crate) last_commit: u64,
    /// Parts that were found damaged: offset, bytes, first and last record lost.
    pub(crate) holes: Vec<Hole>,
}

/// A part of a segment that does not validate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) first: Position,
    pub(crate) last: Position,
}

/// The frames from one entry of an index to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) offsets: Range<u64>,
    pub(crate) positions: Range<Position>,
}

/// A segment with everything that is needed to read it.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) header: Header,
    pub(crate) index: Index,
    /// It was told that another one follows.
    pub(crate) is_closed: bool,
}

/// Why a header could not be read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// Neither copy validates.
    Damaged,
    /// A later version wrote it.
    Newer(u32),
    Io(io::Error),
}

impl Header {
    pub(crate) fn seed(&self) -> Seed {
        Seed::new(self.epoch, self.salt)
    }

    /// Bytes up to which frames may reach, so that the index has room behind them.
    pub(crate) fn capacity_end(&self) -> u64 {
        self.size.saturating_sub(index_room_bytes(self.size))
    }

    /// Both copies and the space around them: everything in front of the frames.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut page = vec![0; FRAMES_OFFSET as usize];
        let copy = self.encode_copy();
        for offset in COPY_OFFSETS {
            page[offset as usize..offset as usize + HEADER_BYTES].copy_from_slice(&copy);
        }
        page
    }

    fn encode_copy(&self) -> [u8; HEADER_BYTES] {
        let (kind, index_offset) = match self.kind {
            Kind::Spare => (1_u32, 0),
            Kind::Active => (2, 0),
            Kind::Sealed { index_offset } => (3, index_offset),
        };
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&kind.to_le_bytes());
        let fields = [
            self.number,
            self.revision,
            self.epoch,
            self.salt,
            self.size,
            self.sequence,
            self.first,
            self.first_commit,
            self.synced,
            self.floor,
            index_offset,
            u64::from(self.is_continued),
        ];
        for field in fields {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.resize(HEADER_BYTES - 4, 0);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        let mut copy = [0; HEADER_BYTES];
        copy.copy_from_slice(&bytes);
        copy
    }

    fn decode(bytes: &[u8]) -> Result<Header, Unreadable> {
        let damaged = Unreadable::Damaged;
        let Some((content, crc)) = bytes.split_last_chunk::<4>() else { return Err(damaged) };
        if !content.starts_with(MAGIC) || crc32c::crc32c(content) != u32::from_le_bytes(*crc) {
            return Err(damaged);
        }
        let mut fields = Fields(&content[8..]);
        let version = fields.four();
        if version > VERSION {
            return Err(Unreadable::Newer(version));
        }
        let kind = fields.four();
        let [number, revision, epoch, salt, size, sequence] = std::array::from_fn(|_| fields.eight());
        let [first, first_commit, synced, floor, index_offset, continued] =
            std::array::from_fn(|_| fields.eight());
        let kind = match kind {
            1 => Kind::Spare,
            2 => Kind::Active,
            3 => Kind::Sealed { index_offset },
            _ => return Err(damaged),
        };
        let is_continued = continued != 0;
        Ok(Header {
            kind,
            number,
            revision,
            epoch,
            salt,
            size,
            sequence,
            first,
            first_commit,
            synced,
            floor,
            is_continued,
        })
    }
}

/// Reads a header, and tells whether one of its copies is damaged.
pub(crate) fn read_header(file: &dyn DiskFile) -> Result<(Header, bool), Unreadable> {
    let mut newest: Option<Header> = None;
    let mut is_damaged = false;
    for offset in COPY_OFFSETS {
        let mut copy = [0; HEADER_BYTES];
        let read = disk::read_up_to(file, offset, &mut copy).map_err(Unreadable::Io)?;
        match Header::decode(&copy[..read]) {
            Ok(header) if newest.is_none_or(|newest| header.revision > newest.revision) => {
                newest = Some(header);
            }
            Ok(_) => {}
            Err(Unreadable::Damaged) => is_damaged = true,
            Err(cause) => return Err(cause),
        }
    }
    newest.map(|header| (header, is_damaged)).ok_or(Unreadable::Damaged)
}

/// Writes both copies of a header. Whoever needs them to survive a crash syncs.
pub(crate) fn write_header(file: &dyn DiskFile, header: &Header) -> io::Result<()> {
    let copy = header.encode_copy();
    COPY_OFFSETS.into_iter().try_for_each(|offset| disk::write_all(file, offset, &copy))
}

impl Index {
    /// The index of a segment in which nothing was written.
    pub(crate) fn empty(first: Position, first_commit: u64) -> Self {
        let last_commit = first_commit - 1;
        Index { entries: Vec::new(), end: FRAMES_OFFSET, next: first, last_commit, holes: Vec::new() }
    }

    /// Notes a frame that was written or found at `offset`.
    pub(crate) fn push(&mut self, frame: &Frame, offset: u64) {
        if self.entries.last().is_none_or(|last| offset - last.offset >= INDEX_EVERY_BYTES) {
            self.entries.push(Entry { first: frame.first, offset });
        }
        self.next = frame.end();
        self.last_commit = frame.commit;
        self.end = offset + frame.size_bytes();
    }

    /// The part of the file in which `position` is, if it is there at all.
    pub(crate) fn part_with(&self, position: Position, first: Position) -> Part {
        let after = self.entries.partition_point(|entry| entry.first <= position);
        let start =
            after.checked_sub(1).map_or(Entry { first, offset: FRAMES_OFFSET }, |at| self.entries[at]);
        let end = self.entries.get(after).copied().unwrap_or(Entry { first: self.next, offset: self.end });
        Part { offsets: start.offset..end.offset, positions: start.first..end.first }
    }

    pub(crate) fn encode(&self, seed: Seed) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(INDEX_HEAD_BYTES + self.entries.len() * ENTRY_BYTES + 4);
        bytes.extend_from_slice(INDEX_MAGIC);
        bytes.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.holes.len() as u32).to_le_bytes());
        let mut put = |field: u64| bytes.extend_from_slice(&field.to_le_bytes());
        [self.end, self.next, self.last_commit].into_iter().for_each(&mut put);
        for entry in &self.entries {
            [entry.first, entry.offset].into_iter().for_each(&mut put);
        }
        for hole in &self.holes {
            [hole.offset, hole.bytes, hole.first, hole.last].into_iter().for_each(&mut put);
        }
        bytes.extend_from_slice(&seed.checksum(&bytes).to_le_bytes());
        bytes
    }

    /// Reads an index; `None` if it does not validate.
    pub(crate) fn decode(seed: Seed, bytes: &[u8]) -> Option<Index> {
        let mut head = Fields(bytes.strip_prefix(INDEX_MAGIC)?.get(..INDEX_HEAD_BYTES - 8)?);
        let (entry_count, hole_count) = (head.four() as usize, head.four() as usize);
        let length = INDEX_HEAD_BYTES + entry_count * ENTRY_BYTES + hole_count * 2 * ENTRY_BYTES;
        let (content, crc) = bytes.get(..length + 4)?.split_last_chunk::<4>()?;
        if seed.checksum(content) != u32::from_le_bytes(*crc) {
            return None;
        }
        let [end, next, last_commit] = std::array::from_fn(|_| head.eight());
        let mut fields = Fields(&content[INDEX_HEAD_BYTES..]);
        let entries =
            (0..entry_count).map(|_| Entry { first: fields.eight(), offset: fields.eight() }).collect();
        let holes = (0..hole_count)
            .map(|_| Hole {
                offset: fields.eight(),
                bytes: fields.eight(),
                first: fields.eight(),
                last: fields.eight(),
            })
            .collect();
        Some(Index { entries, end, next, last_commit, holes })
    }
}

impl Segment {
    /// True if a frame of that size fits behind what is written.
    pub(crate) fn has_room(&self, frame_bytes: u64) -> bool {
        self.index.end + frame_bytes <= self.header.capacity_end()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.index.end == FRAMES_OFFSET
    }

    /// Bytes that are in use.
    pub(crate) fn used_bytes(&self) -> u64 {
        if self.is_empty() { 0 } else { self.index.end }
    }
}

/// Writes the index behind the frames, syncs it, and then says so in the header, which is synced too.
pub(crate) fn seal(file: &dyn DiskFile, header: &mut Header, index: &Index) -> io::Result<()> {
    let offset = frame::aligned(index.end);
    let bytes = index.encode(header.seed());
    disk::write_all(file, offset, &bytes)?;
    file.sync()?;
    header.kind = Kind::Sealed { index_offset: offset };
    header.revision += 1;
    write_header(file, header)?;
    file.sync()
}

/// Where the file may end once it is sealed.
pub(crate) fn index_end(header: &Header, index: &Index) -> u64 {
    frame::aligned(index.end) + index.encode(header.seed()).len() as u64
}

/// Reads the index of a sealed segment; `None` if it does not validate.
pub(crate) fn read_index(file: &dyn DiskFile, header: &Header, offset: u64) -> io::Result<Option<Index>> {
    // The index is the last thing in the file, except in one that was recycled and is larger: read what there is.
    let room = file.len()?.saturating_sub(offset).min(index_room_bytes(header.size).max(1 << 20));
    let mut bytes = vec![0; room as usize];
    let read = disk::read_up_to(file, offset, &mut bytes)?;
    let index = Index::decode(header.seed(), &bytes[..read]);
    Ok(index.filter(|index| index.end <= offset))
}

/// Room that the index of a segment of that size may need.
pub(crate) fn index_room_bytes(size: u64) -> u64 {
    let entries = size / INDEX_EVERY_BYTES + 2;
    frame::aligned((INDEX_HEAD_BYTES + 4) as u64 + entries * ENTRY_BYTES as u64)
}

/// Size of a file in which a frame of so many bytes fits.
pub(crate) fn size_for(frame_bytes: u64) -> u64 {
    let needed = FRAMES_OFFSET + frame_bytes;
    (needed + index_room_bytes(needed + needed / 1024) + 64).next_multiple_of(4096)
}

/// Name of a segment.
pub(crate) fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016}.log"))
}

/// Number in the name of a segment.
pub(crate) fn number_in(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    if digits.len() == 16 { digits.parse().ok() } else { None }
}

/// Reads numbers one after the other from bytes that are known to be long enough.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn four(&mut self) -> u32 {
        let (field, rest) = self.0.split_first_chunk().expect("the caller has checked the length");
        self.0 = rest;
        u32::from_le_bytes(*field)
    }

    fn eight(&mut self) -> u64 {
        let (field, rest) = self.0.split_first_chunk().expect("the caller has checked the length");
        self.0 = rest;
        u64::from_le_bytes(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, SimDisk};

    fn header() -> Header {
        Header {
            kind: Kind::Sealed { index_offset: 8192 },
            number: 3,
            revision: 4,
            epoch: 5,
            salt: 6,
            size: 65536,
            sequence: 7,
            first: 8,
            first_commit: 9,
            synced: 10,
            floor: 11,
            is_continued: true,
        }
    }

    #[test]
    fn either_copy_of_a_header_is_enough_and_the_newer_one_counts() {
        let path = Path::new("/log/segment");
        let disk = SimDisk::new(1);
        let file = disk.create(path).unwrap();
        disk::write_all(&*file, 0, &header().encode()).unwrap();
        assert_eq!(read_header(&*file).unwrap(), (header(), false));
        for offset in [0, 2048] {
            disk.flip(path, offset + 20, 1);
            assert_eq!(read_header(&*file).unwrap(), (header(), true));
            disk.flip(path, offset + 20, 1);
        }
        let newer = Header { revision: 5, floor: 12, ..header() };
        disk::write_all(&*file, 2048, &newer.encode_copy()).unwrap();
        assert_eq!(read_header(&*file).unwrap(), (newer, false));
    }

    #[test]
    fn an_index_reads_back_and_validates_as_a_whole() {
        let index = Index {
            entries: vec![Entry { first: 1, offset: 4096 }, Entry { first: 9, offset: 80_000 }],
            end: 90_000,
            next: 20,
            last_commit: 6,
            holes: vec![Hole { offset: 5000, bytes: 64, first: 3, last: 4 }],
        };
        let seed = header().seed();
        let mut bytes = index.encode(seed);
        assert_eq!(Index::decode(seed, &bytes), Some(index));
        for at in 0..bytes.len() {
            bytes[at] ^= 0x80;
            assert_eq!(Index::decode(seed, &bytes), None, "byte {at}");
            bytes[at] ^= 0x80;
        }
    }
}
