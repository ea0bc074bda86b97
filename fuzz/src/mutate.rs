//! Small changes to inputs, from a seed: the same seed makes the same inputs.

/// Longest input made, in bytes.
const INPUT_BYTES_MAX: usize = 1_024;

/// Bytes that mean something somewhere: limits of lengths, wildcards, flags, ids of properties.
const TELLING_BYTES: &[u8] = b"\x00\x01\x02\x03\x04\x0B\x10\x20\x7F\x80\x81\x82\xC2\xFF$+#/\n";

/// A source of changes.
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// Begins at `seed`.
    pub fn new(seed: u64) -> Self {
        Mutator { state: seed }
    }

    /// A number below `bound`, or 0 if there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ mixed >> 31) % bound.max(1) as u64) as usize
    }

    /// Makes `input` a changed copy of one of `corpus`.
    pub fn next_input(&mut self, corpus: &[Vec<u8>], input: &mut Vec<u8>) {
        input.clear();
        let Some(origin) = corpus.get(self.below(corpus.len())) else { return };
        input.extend_from_slice(origin);
        for _ in 0..=self.below(6) {
            self.change(corpus, input);
        }
        input.truncate(INPUT_BYTES_MAX);
    }

    fn change(&mut self, corpus: &[Vec<u8>], input: &mut Vec<u8>) {
        let at = self.below(input.len());
        match self.below(9) {
            0 => self.set(input, at, |byte, random| byte ^ 1 << (random % 8)),
            1 => self.set(input, at, |_, random| random as u8),
            2 => self.set(input, at, |_, random| TELLING_BYTES[random % TELLING_BYTES.len()]),
            3 => self.set(input, at, |byte, random| byte.wrapping_add((random % 5) as u8).wrapping_sub(2)),
            4 => {
                let byte = TELLING_BYTES[self.below(TELLING_BYTES.len())];
                input.insert(at, byte);
            }
            5 => {
                let end = (at + 1 + self.below(8)).min(input.len());
                input.drain(at..end.max(at));
            }
            6 => {
                let end = (at + self.below(16)).min(input.len());
                let piece = input[at..end.max(at)].to_vec();
                input.splice(at..at, piece);
            }
            7 => {
                if let Some(other) = corpus.get(self.below(corpus.len())) {
                    let from = self.below(other.len());
                    let end = (from + self.below(24)).min(other.len());
                    input.splice(at..at, other[from..end].iter().copied());
                }
            }
            _ => self.count_rest(input),
        }
    }

    fn set(&mut self, input: &mut [u8], at: usize, change: impl Fn(u8, usize) -> u8) {
        let random = self.below(usize::MAX);
        if let Some(byte) = input.get_mut(at) {
            *byte = change(*byte, random);
        }
    }

    /// Makes a byte near the start the number of bytes behind it, which repairs many a length.
    fn count_rest(&mut self, input: &mut [u8]) {
        let at = if self.below(2) == 0 { 1 } else { self.below(input.len()) };
        let rest = input.len().saturating_sub(at + 1);
        if let Some(byte) = input.get_mut(at) {
            *byte = rest as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(seed: u64) -> Vec<Vec<u8>> {
        let corpus = [b"abc".to_vec(), vec![], vec![0; 3_000]];
        let mut mutator = Mutator::new(seed);
        let mut next = || {
            let mut input = Vec::new();
            mutator.next_input(&corpus, &mut input);
            input
        };
        (0..1_000).map(|_| next()).collect()
    }

    #[test]
    fn a_seed_makes_the_same_inputs_again() {
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
    }

    #[test]
    fn inputs_are_bounded() {
        assert!(inputs(3).iter().all(|input| input.len() <= INPUT_BYTES_MAX));
    }
}
