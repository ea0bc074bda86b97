//! Frames to send: their heads, their masks, and whole ones.
//!
//! A sender that owns its payload writes the [`head`] and then the payload (a client masks that first, by [`mask`]); for
//! short ones [`append`] does both. The mask key of a client comes from the caller, who has a random source.

use crate::code;

/// A key by which a client masks one frame; it must not be predictable.
pub type Key = [u8; 4];

/// Bytes of the longest payload of a control frame.
pub const CONTROL_BYTES_MAX: usize = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of MQTT `[MQTT-6.0.0-1]` `[MQTT-6.0.0-1 of 3.1.1]`.
    Binary,
    /// The last frame in its direction.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

/// The head of a frame, 2 to 14 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    bytes: [u8; 14],
    len: u8,
}

impl AsRef<[u8]> for Head {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The head of an unfragmented frame with so many bytes of payload; a client's has a key.
pub fn head(kind: Kind, payload_len: usize, key: Option<Key>) -> Head {
    let opcode = match kind {
        Kind::Binary => 0x2,
        Kind::Close => 0x8,
        Kind::Ping => 0x9,
        Kind::Pong => 0xA,
    };
    let mut head = Head { bytes: [0; 14], len: 0 };
    head.push(&[0x80 | opcode]);
    let masked = if key.is_some() { 0x80 } else { 0 };
    match (u8::try_from(payload_len), u16::try_from(payload_len)) {
        (Ok(len @ ..=125), _) => head.push(&[masked | len]),
        (_, Ok(len)) => {
            head.push(&[masked | 0x7E]);
            head.push(&len.to_be_bytes());
        }
        _ => {
            head.push(&[masked | 0x7F]);
            head.push(&(payload_len as u64).to_be_bytes());
        }
    }
    head.push(&key.unwrap_or_default()[..if key.is_some() { 4 } else { 0 }]);
    head
}

impl Head {
    fn push(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }
}

/// Masks a payload, or takes the mask off again.
pub fn mask(payload: &mut [u8], key: Key) {
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// Appends a whole frame.
pub fn append(kind: Kind, payload: &[u8], key: Option<Key>, out: &mut Vec<u8>) {
    out.extend_from_slice(head(kind, payload.len(), key).as_ref());
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = key {
        mask(&mut out[start..], key);
    }
}

/// Appends a close frame: with a code, or, for 1005 and the like that must not be sent, without.
pub fn append_close(close: Option<u16>, key: Option<Key>, out: &mut Vec<u8>) {
    match close.filter(|close| is_sendable(*close)) {
        Some(close) => append(Kind::Close, &close.to_be_bytes(), key, out),
        None => append(Kind::Close, &[], key, out),
    }
}

/// Whether a close frame may carry this code: those of the standard, of its registry, of libraries and of applications.
pub(crate) fn is_sendable(close: u16) -> bool {
    matches!(close, code::NORMAL..=code::UNSUPPORTED_DATA | code::INVALID_DATA..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 6455, section 5.7.
    #[test]
    fn heads_are_those_of_the_standard() {
        assert_eq!(head(Kind::Binary, 256, None).as_ref(), [0x82, 0x7E, 0x01, 0x00]);
        let large = [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0];
        assert_eq!(head(Kind::Binary, 65_536, None).as_ref(), large);
        let mut pong = Vec::new();
        append(Kind::Pong, b"Hello", Some([0x37, 0xFA, 0x21, 0x3D]), &mut pong);
        assert_eq!(pong, [0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]);
    }

    #[test]
    fn lengths_are_written_in_the_shortest_form() {
        let lens = [0, 125, 126, 65_535, 65_536].map(|len| head(Kind::Binary, len, None).as_ref().len());
        assert_eq!(lens, [2, 2, 4, 4, 10]);
    }

    #[test]
    fn a_code_that_must_not_be_sent_is_left_out() {
        let mut bytes = Vec::new();
        append_close(Some(1005), None, &mut bytes);
        append_close(Some(1000), None, &mut bytes);
        assert_eq!(bytes, [0x88, 0, 0x88, 2, 0x03, 0xE8]);
    }
}
