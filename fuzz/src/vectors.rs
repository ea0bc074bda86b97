//! The byte vectors of the conformance tables, as seeds for everything that reads packets.

const VECTORS: &str = include_str!("../../conformance/spec/vectors.tsv");

/// Good and bad packets with their names.
pub(crate) fn packets() -> Vec<(String, Vec<u8>)> {
    VECTORS.lines().skip(1).filter_map(packet_of_line).collect()
}

fn packet_of_line(line: &str) -> Option<(String, Vec<u8>)> {
    let mut fields = line.split('\t');
    let (name, hex) = (fields.next()?, fields.nth(2)?);
    Some((name.to_owned(), bytes_of(hex)?))
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vector_is_a_seed() {
        assert_eq!(packets().len(), VECTORS.lines().count() - 1);
    }
}
