//! Randomness for client ids and jitter: neither is a secret, so the keys of the standard library's hash maps, which
//! come from the operating system, are enough.

use std::hash::{BuildHasher, RandomState};

/// A number nobody expects.
pub(crate) fn number() -> u64 {
    RandomState::new().hash_one(0)
}

/// A client id of 23 characters, as many as every server takes `[MQTT-3.1.3-5]`.
pub(crate) fn client_id() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut id = String::from("longwire");
    let (mut bits, more) = (number(), number());
    for place in 0..15 {
        if place == 12 {
            bits = more;
        }
        id.push(char::from(LETTERS[(bits & 31) as usize]));
        bits >>= 5;
    }
    id
}

#[cfg(test)]
mod tests {
    #[test]
    fn client_ids_differ_and_fit_every_server() {
        let (one, other) = (super::client_id(), super::client_id());
        assert_ne!(one, other);
        assert_eq!(one.len(), 23);
        assert!(one.chars().all(|letter| letter.is_ascii_alphanumeric()));
    }
}
