//! From one valid frame to the next, over whatever lies between. `recovery` and `pages` read segments with it.
//!
//! Invariant: a frame is only given out if its header and all its bytes validate under the segment's seed.

use std::io;

use super::frame::{ALIGN_BYTES, Frame, HEADER_BYTES};
use super::segment::Segment;
use crate::Block;
use crate::disk::{self, DiskFile};

/// Bytes read at once.
const WINDOW_BYTES: u64 = 1 << 20;

/// The unit in which a part that cannot be read is stepped over.
const UNREADABLE_BYTES: usize = 4096;

/// A reader that stops at each valid frame of a segment.
pub(crate) struct Walk<'a> {
    segment: &'a Segment,
    offset: u64,
    end: u64,
    window: Vec<u8>,
    window_start: u64,
    /// Where the payload of the frame given last lies in the window.
    payload: std::ops::Range<usize>,
    /// Bytes since the last valid frame of which a valid header tells that more was written there.
    pub(crate) broken_bytes: u64,
    /// Parts that the disk refused to read: offset and bytes.
    pub(crate) unreadable: Vec<(u64, u64)>,
}

impl<'a> Walk<'a> {
    /// Walks from `start`, which is a place where a frame may begin, up to `end` or the end of the file.
    pub(crate) fn new(segment: &'a Segment, start: u64, end: u64) -> io::Result<Self> {
        let end = end.min(segment.file.len()?);
        Ok(Walk {
            segment,
            offset: start,
            end,
            window: Vec::new(),
            window_start: start,
            payload: 0..0,
            broken_bytes: 0,
            unreadable: Vec::new(),
        })
    }

    /// The next valid frame and where it begins.
    pub(crate) fn next(&mut self) -> Option<(u64, Frame)> {
        let seed = self.segment.header.seed();
        self.broken_bytes = 0;
        while self.offset + HEADER_BYTES as u64 <= self.end {
            let offset = self.offset;
            let start = self.load(offset, HEADER_BYTES);
            let header = &self.window[start..start + HEADER_BYTES];
            if header[..ALIGN_BYTES as usize] == [0; ALIGN_BYTES as usize] {
                self.offset += ALIGN_BYTES;
                continue;
            }
            let Some(frame) = Frame::decode(seed, header) else {
                self.offset += ALIGN_BYTES;
                continue;
            };
            let length = frame.length as usize;
            let is_inside = offset + (HEADER_BYTES + length) as u64 <= self.end;
            self.offset += frame.size_bytes();
            if is_inside {
                let start = self.load(offset, HEADER_BYTES + length) + HEADER_BYTES;
                if frame.holds(seed, &self.window[start..start + length]) {
                    self.payload = start..start + length;
                    return Some((offset, frame));
                }
            }
            self.broken_bytes += frame.size_bytes();
        }
        None
    }

    /// The blocks of the frame given last.
    pub(crate) fn blocks(&self, frame: &Frame) -> Option<Vec<Block>> {
        frame.split(&self.window[self.payload.clone()])
    }

    /// Makes sure that the window holds `length` bytes from `offset` and returns where they begin in it.
    fn load(&mut self, offset: u64, length: usize) -> usize {
        let start = (offset - self.window_start) as usize;
        if start + length <= self.window.len() {
            return start;
        }
        let wanted = (length as u64).max(WINDOW_BYTES).min(self.end - offset);
        self.window.clear();
        self.window.resize(wanted as usize, 0);
        self.window_start = offset;
        let file = &*self.segment.file;
        if read_twice(file, offset, &mut self.window).is_err() {
            let mut at = offset;
            for piece in self.window.chunks_mut(UNREADABLE_BYTES) {
                if read_twice(file, at, piece).is_err() {
                    piece.fill(0);
                    self.unreadable.push((at, piece.len() as u64));
                }
                at += piece.len() as u64;
            }
        }
        0
    }
}

/// Reads, and once more if that fails: an error may be a passing one.
fn read_twice(file: &dyn DiskFile, offset: u64, room: &mut [u8]) -> io::Result<()> {
    disk::read_up_to(file, offset, room).or_else(|_| disk::read_up_to(file, offset, room)).map(drop)
}
