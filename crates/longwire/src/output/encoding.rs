//! Bytes as text that can be turned back: hexadecimal digits and base 64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Two digits of `digits` for each byte.
pub(super) fn hexadecimal(bytes: &[u8], digits: &[u8; 16]) -> String {
    let pair = |byte: &u8| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]].map(char::from);
    bytes.iter().flat_map(pair).collect()
}

/// RFC 4648, section 4: letters, digits, `+` and `/`, filled up with `=`.
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(hexadecimal(&[0, 0x0A, 0xFF], b"0123456789abcdef"), "000aff");
    }
}
