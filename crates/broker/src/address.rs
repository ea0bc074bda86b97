//! Where sessions and shared groups live, in eight bytes: shard, slot and generation.
//!
//! An address outlives what it names: the generation makes a stale one miss instead of naming the next tenant of the
//! slot. Homes and hash tables are computed with a keyed hash, since clients choose ids, topics and filters.

use std::fmt;

use siphasher::{sip, sip128};

/// Address of a session: its home shard, its slot there, and the generation of that slot.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub struct SessionRef {
    /// Slot in the slab of its shard.
    pub slot: u32,
    /// Generation of the slot when the session moved in.
    pub generation: u16,
    /// Home shard.
    pub shard: u16,
}

/// Address of a shared group: its home shard, its number in the index, and the generation of that number.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub struct GroupRef {
    /// Number of the group in the index.
    pub slot: u32,
    /// Generation of the number when the group was founded.
    pub generation: u16,
    /// Home shard, where the queue of the group lives.
    pub shard: u16,
}

/// Secret key of every hash over text that clients choose. Made once by whoever owns a source of randomness.
#[derive(Copy, Clone)]
pub struct HashKey(pub u64, pub u64);

impl HashKey {
    /// SipHash-1-3 of `bytes`: without the key, nobody can find texts that collide.
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        sip::SipHasher13::new_with_keys(self.0, self.1).hash(bytes)
    }

    /// 128 bits that stand for `bytes` themselves.
    pub(crate) fn fingerprint(&self, bytes: &[u8]) -> u128 {
        sip128::SipHasher13::new_with_keys(self.0, self.1).hash(bytes).as_u128()
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key in a log line would be no secret any more.
        formatter.write_str("HashKey(..)")
    }
}

/// Home of the session or group called `text` among `shards` shards; the same for everybody who holds `key`.
pub fn shard_of(key: &HashKey, text: &str, shards: usize) -> u16 {
    let hash = u128::from(key.hash(text.as_bytes()));
    ((hash * shards as u128) >> 64) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_fit_in_eight_bytes() {
        assert_eq!(size_of::<SessionRef>(), 8);
        assert_eq!(size_of::<GroupRef>(), 8);
    }

    #[test]
    fn homes_are_spread_evenly_over_all_shards() {
        let key = HashKey(1, 2);
        let mut homes = [0_u32; 3];
        for number in 0..30_000 {
            homes[usize::from(shard_of(&key, &format!("client-{number}"), 3))] += 1;
        }
        assert!(homes.iter().all(|count| (9_500..10_500).contains(count)), "{homes:?}");
    }

    #[test]
    fn the_key_decides_where_a_client_is_at_home() {
        let moved = (0..100).filter(|number| {
            let text = number.to_string();
            shard_of(&HashKey(1, 2), &text, 1_000) != shard_of(&HashKey(1, 3), &text, 1_000)
        });
        assert!(moved.count() > 90);
    }

    #[test]
    fn the_key_never_shows_in_debug_output() {
        assert_eq!(format!("{:?}", HashKey(7, 9)), "HashKey(..)");
    }
}
