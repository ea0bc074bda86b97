//! The first bytes of every payload: who sent it, as which of its messages, and when.

use std::time::SystemTime;

/// Bytes of a stamp, and so the smallest payload.
pub(super) const STAMP_BYTES: usize = 24;

/// Who sent a message, as which of its messages, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Tells messages of this run from those of others.
    pub(super) run: u32,
    pub(super) publisher: u32,
    /// From 0, without gaps, per publisher.
    pub(super) number: u64,
    /// As [`now_nanos`] said.
    pub(super) sent_nanos: u64,
}

impl Stamp {
    /// The stamp of a payload, if it is long enough to have one.
    pub(super) fn read(payload: &[u8]) -> Option<Stamp> {
        let (words, _) = payload.first_chunk::<STAMP_BYTES>()?.as_chunks::<8>();
        let [who, number, sent_nanos] = [words[0], words[1], words[2]].map(u64::from_be_bytes);
        Some(Stamp { run: (who >> 32) as u32, publisher: who as u32, number, sent_nanos })
    }

    /// Puts the stamp at the start of `payload`, which is at least [`STAMP_BYTES`] long.
    pub(super) fn write(self, payload: &mut [u8]) {
        let who = u64::from(self.run) << 32 | u64::from(self.publisher);
        for (place, word) in
            payload.as_chunks_mut::<8>().0.iter_mut().zip([who, self.number, self.sent_nanos])
        {
            *place = word.to_be_bytes();
        }
    }
}

/// Nanoseconds since 1970, so that two processes of one machine agree.
pub(super) fn now_nanos() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp { run: 1, publisher: u32::MAX, number: 1 << 40, sent_nanos: now_nanos() };
        let mut payload = [9; STAMP_BYTES + 3];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(payload[STAMP_BYTES..], [9; 3]);
    }

    #[test]
    fn a_short_payload_has_no_stamp() {
        assert_eq!(Stamp::read(&[0; STAMP_BYTES - 1]), None);
    }
}
