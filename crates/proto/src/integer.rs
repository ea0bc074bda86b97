//! Variable byte integers: seven bits a byte, the lowest first, the high bit of each saying that more follow.
//!
//! They are read and written in their shortest form only `[MQTT-1.5.5-1]`, in every version.

/// The largest variable byte integer: four groups of seven bits.
pub(crate) const VARIABLE_BYTE_INTEGER_MAX: u32 = 268_435_455;

/// Why there is no variable byte integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntegerFault {
    /// The bytes end before it does.
    Cut,
    /// A fourth byte says that more follow.
    TooLong,
    /// It could be shorter.
    Padded,
}

/// The variable byte integer at the start of `bytes`, and how many bytes it takes.
#[inline]
pub(crate) fn variable_byte_integer(bytes: &[u8]) -> Result<(u32, usize), IntegerFault> {
    let mut value = 0;
    for (place, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            let padded = byte == 0 && place > 0;
            return if padded { Err(IntegerFault::Padded) } else { Ok((value, place + 1)) };
        }
    }
    Err(if bytes.len() < 4 { IntegerFault::Cut } else { IntegerFault::TooLong })
}

/// Appends `value`, which is at most [`VARIABLE_BYTE_INTEGER_MAX`], in its shortest form `[MQTT-1.5.5-1]`.
#[inline]
pub(crate) fn put_variable_byte_integer(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_byte_integers_have_the_sizes_of_the_standard() {
        for (value, len) in [
            (0, 1),
            (127, 1),
            (128, 2),
            (16_383, 2),
            (16_384, 3),
            (2_097_151, 3),
            (2_097_152, 4),
            (VARIABLE_BYTE_INTEGER_MAX, 4),
        ] {
            let mut bytes = Vec::new();
            put_variable_byte_integer(&mut bytes, value);
            assert_eq!(bytes.len(), len, "{value}");
            assert_eq!(variable_byte_integer(&bytes), Ok((value, len)));
            assert_eq!(variable_byte_integer(&bytes[..len - 1]), Err(IntegerFault::Cut));
        }
    }

    #[test]
    fn padded_and_endless_variable_byte_integers_are_refused() {
        assert_eq!(variable_byte_integer(&[0x80, 0]), Err(IntegerFault::Padded));
        assert_eq!(variable_byte_integer(&[0x81, 0x80, 0]), Err(IntegerFault::Padded));
        assert_eq!(variable_byte_integer(&[0xFF; 3]), Err(IntegerFault::Cut));
        assert_eq!(variable_byte_integer(&[0xFF; 4]), Err(IntegerFault::TooLong));
    }
}
