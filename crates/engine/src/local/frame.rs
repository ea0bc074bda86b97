//! One commit group as bytes: a header of 48 bytes, then the blocks. Everything is covered by a CRC-32C that starts from
//! the [`Seed`] of the segment's present life, so that what an earlier life left in a recycled file never validates.
//!
//! A frame without blocks is a *mark*: the note, written after a sync, that everything up to its commit number is safe.
//! The next frame takes its place.

use crate::{Block, Position};

/// Length of a frame's header.
pub(crate) const HEADER_BYTES: usize = 48;

/// Frames begin at multiples of this.
pub(crate) const ALIGN_BYTES: u64 = 8;

/// Bytes in the table of a frame for each of its blocks: count and length.
const ENTRY_BYTES: usize = 8;

/// Where checksums of one life of a segment start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed(u32);

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Bytes after the header.
    pub(crate) length: u32,
    /// Number of the commit group. Of a mark: of the last group.
    pub(crate) commit: u64,
    /// Position of the first record. Of a mark: of the next one.
    pub(crate) first: Position,
    /// Newest commit that was known to be synced when this was written.
    pub(crate) synced: u64,
    /// Records in all blocks.
    pub(crate) count: u32,
    /// Blocks; 0 in a mark.
    pub(crate) blocks: u32,
    payload_crc: u32,
}

impl Seed {
    /// The seed of a life: `epoch` and `salt` are new in each of them.
    pub(crate) fn new(epoch: u64, salt: u64) -> Self {
        let crc = crc32c::crc32c(&epoch.to_le_bytes());
        Seed(crc32c::crc32c_append(crc, &salt.to_le_bytes()))
    }

    pub(crate) fn checksum(self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.0, bytes)
    }
}

impl Frame {
    /// Bytes of the frame up to the place where the next one may begin.
    pub(crate) fn size_bytes(&self) -> u64 {
        aligned(HEADER_BYTES as u64 + u64::from(self.length))
    }

    pub(crate) fn is_mark(&self) -> bool {
        self.blocks == 0
    }

    /// Position after its last record.
    pub(crate) fn end(&self) -> Position {
        self.first + u64::from(self.count)
    }

    /// Reads a header; `None` if these bytes are none of this life.
    pub(crate) fn decode(seed: Seed, bytes: &[u8]) -> Option<Frame> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let four = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let eight = |at: usize| u64::from(four(at)) | u64::from(four(at + 4)) << 32;
        if header_checksum(seed, bytes) != four(4) || four(44) != 0 {
            return None;
        }
        Some(Frame {
            length: four(0),
            commit: eight(8),
            first: eight(16),
            synced: eight(24),
            count: four(32),
            blocks: four(36),
            payload_crc: four(40),
        })
    }

    /// Whether these are the bytes that were written after the header.
    pub(crate) fn holds(&self, seed: Seed, payload: &[u8]) -> bool {
        payload.len() == self.length as usize && seed.checksum(payload) == self.payload_crc
    }

    /// The blocks in a payload that [`holds`](Frame::holds); `None` if whoever wrote it did so wrongly.
    pub(crate) fn split(&self, payload: &[u8]) -> Option<Vec<Block>> {
        let (table, mut rest) = payload.split_at_checked(self.blocks as usize * ENTRY_BYTES)?;
        let mut first = self.first;
        let mut blocks = Vec::with_capacity(self.blocks as usize);
        for entry in table.chunks_exact(ENTRY_BYTES) {
            let count = u32::from_le_bytes(entry[..4].try_into().ok()?);
            let length = u32::from_le_bytes(entry[4..].try_into().ok()?);
            let (bytes, tail) = rest.split_at_checked(length as usize)?;
            blocks.push(Block { first, count, bytes: bytes.into() });
            first += u64::from(count);
            rest = tail;
        }
        (first == self.end() && rest.is_empty()).then_some(blocks)
    }
}

/// Appends the frame of a group to `out`, padded to where the next one begins, and returns what it says of itself.
pub(crate) fn encode<'a>(
    seed: Seed,
    commit: u64,
    synced: u64,
    blocks: impl Iterator<Item = &'a Block> + Clone,
    out: &mut Vec<u8>,
) -> Frame {
    let start = out.len();
    out.resize(start + HEADER_BYTES, 0);
    let mut frame = Frame { length: 0, commit, first: 0, synced, count: 0, blocks: 0, payload_crc: 0 };
    for block in blocks.clone() {
        if frame.blocks == 0 {
            frame.first = block.first;
        }
        frame.blocks += 1;
        frame.count += block.count;
        out.extend_from_slice(&block.count.to_le_bytes());
        out.extend_from_slice(&(block.bytes.len() as u32).to_le_bytes());
    }
    for block in blocks {
        out.extend_from_slice(&block.bytes);
    }
    let payload = &out[start + HEADER_BYTES..];
    frame.length = payload.len() as u32;
    frame.payload_crc = seed.checksum(payload);
    out[start..start + HEADER_BYTES].copy_from_slice(&frame.header(seed));
    out.resize(start + frame.size_bytes() as usize, 0);
    frame
}

/// The mark that everything up to `commit`, which ended in front of `next`, is synced.
pub(crate) fn encode_mark(seed: Seed, commit: u64, next: Position) -> [u8; HEADER_BYTES] {
    let payload_crc = seed.checksum(&[]);
    Frame { length: 0, commit, first: next, synced: commit, count: 0, blocks: 0, payload_crc }.header(seed)
}

/// Bytes that a frame takes with so many blocks of so many bytes together.
pub(crate) fn size_bytes(blocks: usize, bytes: u64) -> u64 {
    aligned((HEADER_BYTES + blocks * ENTRY_BYTES) as u64 + bytes)
}

/// The next place where a frame may begin.
pub(crate) fn aligned(offset: u64) -> u64 {
    offset.next_multiple_of(ALIGN_BYTES)
}

impl Frame {
    fn header(&self, seed: Seed) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.commit.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.synced.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.count.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.blocks.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = header_checksum(seed, &bytes);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// Checksum of everything in a header but the checksum itself.
fn header_checksum(seed: Seed, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(seed.checksum(&bytes[..4]), &bytes[8..HEADER_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks() -> Vec<Block> {
        vec![
            Block { first: 7, count: 2, bytes: b"seven, eight"[..].into() },
            Block { first: 9, count: 1, bytes: b""[..].into() },
        ]
    }

    #[test]
    fn a_group_reads_back_as_it_was_written() {
        let seed = Seed::new(1, 2);
        let mut bytes = vec![];
        encode(seed, 5, 4, blocks().iter(), &mut bytes);
        let frame = Frame::decode(seed, &bytes).unwrap();
        assert_eq!((frame.commit, frame.synced, frame.first, frame.end()), (5, 4, 7, 10));
        assert_eq!(frame.size_bytes() as usize, bytes.len());
        assert_eq!(frame.size_bytes(), size_bytes(2, 12));
        let payload = &bytes[HEADER_BYTES..HEADER_BYTES + frame.length as usize];
        assert!(frame.holds(seed, payload));
        assert_eq!(frame.split(payload).unwrap(), blocks());
    }

    #[test]
    fn no_byte_can_change_unnoticed_and_no_other_life_validates() {
        let seed = Seed::new(1, 2);
        let mut bytes = vec![];
        encode(seed, 5, 4, blocks().iter(), &mut bytes);
        let is_valid = |seed: Seed, bytes: &[u8]| {
            Frame::decode(seed, bytes).is_some_and(|frame| {
                let payload = bytes.get(HEADER_BYTES..HEADER_BYTES + frame.length as usize);
                payload.is_some_and(|payload| frame.holds(seed, payload))
            })
        };
        assert!(is_valid(seed, &bytes));
        let written = HEADER_BYTES + Frame::decode(seed, &bytes).unwrap().length as usize;
        for at in 0..written {
            bytes[at] ^= 1;
            assert!(!is_valid(seed, &bytes), "byte {at}");
            bytes[at] ^= 1;
        }
        assert!(!is_valid(Seed::new(2, 2), &bytes));
        assert!(!is_valid(Seed::new(1, 3), &bytes));
    }
}
