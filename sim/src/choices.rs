//! Where a history's decisions come from: random numbers from a seed, the same ones for ever, or the bytes of a fuzz
//! input, one for each choice.

/// A source of small numbers.
pub(crate) enum Choices<'a> {
    /// A generator (SplitMix64), which never ends.
    Seed(u64),
    /// Bytes, which do.
    Bytes(&'a [u8]),
}

impl Choices<'_> {
    /// A number below `end`, which is at most 256. What comes after the last byte is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        match self {
            Choices::Seed(state) => (mixed(state) % end as u64) as usize,
            Choices::Bytes(bytes) => {
                let Some((&first, rest)) = bytes.split_first() else { return 0 };
                *bytes = rest;
                usize::from(first) % end
            }
        }
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Nothing is left to choose by.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Choices::Bytes([]))
    }
}

fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
