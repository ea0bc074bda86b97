//! Cuts one direction of a connection into packets, whatever their bytes, and loses or changes none of them.
//!
//! Only the fixed header is understood. A packet that nobody wants to hold passes on as its bytes come, so that half a
//! packet arrives as half a packet; one that is held comes out whole. What cannot be cut passes on as it is.

/// Packets longer than this are never held.
const HELD_BYTES_MAX: usize = 1 << 20;

/// Some bytes of one direction, in their order.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    /// Bytes of a packet that is not held; more of it follows.
    Part(Vec<u8>),
    /// A whole packet, of which the first `passed` bytes have been parts before.
    Packet { bytes: Vec<u8>, passed: usize },
}

/// One direction of a connection.
#[derive(Default)]
pub(super) struct Cutter {
    /// From the start of the packet that is next.
    buffer: Vec<u8>,
    /// Bytes of the buffer that have come out already.
    passed: usize,
    /// Bytes of a long packet that come out without a look.
    unseen: usize,
    /// There are no packets any more: a length had no end.
    uncut: bool,
}

impl Cutter {
    /// Adds what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether all that came out were whole packets, and nothing of another is here.
    pub(super) fn is_between_packets(&self) -> bool {
        self.buffer.is_empty() && self.unseen == 0 && !self.uncut
    }

    /// The next piece; `holds` tells by the first byte of a packet whether it is held until it is whole.
    pub(super) fn next(&mut self, holds: impl Fn(u8) -> bool) -> Option<Piece> {
        if self.uncut {
            return self.part(self.buffer.len());
        }
        if self.unseen > 0 {
            let count = self.unseen.min(self.buffer.len());
            self.unseen -= count;
            return self.part(count);
        }
        let held = holds(*self.buffer.first()?);
        match packet_len(&self.buffer) {
            Len::Unknown if held => None,
            Len::Unknown => self.rest_so_far(),
            Len::Endless => {
                self.uncut = true;
                self.buffer.drain(..self.passed);
                self.passed = 0;
                self.part(self.buffer.len())
            }
            Len::Known(len) if len > HELD_BYTES_MAX => {
                self.buffer.drain(..self.passed);
                self.unseen = len - self.passed;
                self.passed = 0;
                self.next(holds)
            }
            Len::Known(len) if self.buffer.len() >= len => {
                let after = self.buffer.split_off(len);
                let bytes = std::mem::replace(&mut self.buffer, after);
                Some(Piece::Packet { bytes, passed: std::mem::take(&mut self.passed) })
            }
            Len::Known(_) if held => None,
            Len::Known(_) => self.rest_so_far(),
        }
    }

    /// What has come of a packet that is not held, and has not come out.
    fn rest_so_far(&mut self) -> Option<Piece> {
        let rest = self.buffer[self.passed..].to_vec();
        self.passed = self.buffer.len();
        (!rest.is_empty()).then_some(Piece::Part(rest))
    }

    /// So many bytes from the front, which are seen no more.
    fn part(&mut self, count: usize) -> Option<Piece> {
        (count > 0).then(|| Piece::Part(self.buffer.drain(..count).collect()))
    }
}

/// Length of a packet by its first bytes.
enum Len {
    Unknown,
    Known(usize),
    /// Four length bytes that all say that one more follows.
    Endless,
}

fn packet_len(bytes: &[u8]) -> Len {
    let mut len = 0;
    for (position, &byte) in bytes.iter().skip(1).take(4).enumerate() {
        len |= usize::from(byte & 0x7F) << (7 * position);
        if byte < 0x80 {
            return Len::Known(2 + position + len);
        }
    }
    if bytes.len() > 4 { Len::Endless } else { Len::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PINGREQ, a PUBLISH of 200 bytes, a padded PINGREQ, and a length without an end.
    fn stream() -> Vec<u8> {
        let mut bytes = vec![0xC0, 0, 0x30, 0xC8, 1];
        bytes.extend([b'x'; 200]);
        bytes.extend([0xC0, 0x80, 0, 0xC0, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3]);
        bytes
    }

    fn pieces(steps: usize, holds: impl Fn(u8) -> bool) -> Vec<Piece> {
        let mut cutter = Cutter::default();
        let mut pieces = Vec::new();
        for step in stream().chunks(steps) {
            cutter.push(step);
            while let Some(piece) = cutter.next(&holds) {
                pieces.push(piece);
            }
        }
        pieces
    }

    #[test]
    fn every_byte_comes_out_once_in_its_order() {
        for steps in 1..=stream().len() {
            for held in [false, true] {
                let mut out = Vec::new();
                for piece in pieces(steps, |_| held) {
                    match piece {
                        Piece::Part(bytes) => out.extend(bytes),
                        Piece::Packet { bytes, passed } => out.extend(&bytes[passed..]),
                    }
                }
                assert_eq!(out, stream(), "in steps of {steps}");
            }
        }
    }

    #[test]
    fn held_packets_come_out_whole() {
        let lens: Vec<usize> = pieces(1, |_| true)
            .iter()
            .filter_map(|piece| match piece {
                Piece::Packet { bytes, passed: 0 } => Some(bytes.len()),
                _ => None,
            })
            .collect();
        assert_eq!(lens, [2, 203, 3]);
    }

    #[test]
    fn packet_that_is_not_held_passes_as_it_comes() {
        let parts = pieces(1, |_| false).iter().filter(|piece| matches!(piece, Piece::Part(_))).count();
        assert!(parts > 200);
    }

    #[test]
    fn long_packet_is_never_held() {
        let mut cutter = Cutter::default();
        cutter.push(&[0x30, 0x80, 0x80, 0x80, 0x01, 7, 7]);
        assert_eq!(cutter.next(|_| true), Some(Piece::Part(vec![0x30, 0x80, 0x80, 0x80, 0x01, 7, 7])));
        assert!(!cutter.is_between_packets());
    }
}
