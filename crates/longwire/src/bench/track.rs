//! What one subscriber has seen of one publisher: which numbers came, and in what order.

use std::ops::Range;

/// Gaps remembered per track. Beyond, the oldest is given up for lost.
const GAPS_MAX: usize = 1024;

/// The numbers that have come, as the next one expected and the gaps before it.
#[derive(Debug, Default)]
pub(super) struct Track {
    next: u64,
    /// Ranges that were skipped, in ascending order; most tracks never have any.
    gaps: Vec<Range<u64>>,
}

/// How a number fits into what came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The one expected, or a later one after a gap.
    New {
        /// Numbers in the gap: missing for now.
        skipped: u64,
    },
    /// It fills a gap: it was overtaken.
    Late,
    /// It came before.
    Again,
}

impl Track {
    /// A track that joins a stream at `first`.
    pub(super) fn joining_at(first: u64) -> Track {
        Track { next: first, gaps: Vec::new() }
    }

    /// The number after the highest that came.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Notes that `number` came.
    pub(super) fn note(&mut self, number: u64) -> Arrival {
        if number < self.next {
            return self.note_old(number);
        }
        let skipped = number - self.next;
        if skipped > 0 {
            if self.gaps.len() == GAPS_MAX {
                self.gaps.remove(0);
            }
            self.gaps.push(self.next..number);
        }
        self.next = number.saturating_add(1);
        Arrival::New { skipped }
    }

    fn note_old(&mut self, number: u64) -> Arrival {
        let Some(place) = self.gaps.iter().rposition(|gap| gap.contains(&number)) else {
            return Arrival::Again;
        };
        let Range { start, end } = self.gaps.remove(place);
        for part in [number + 1..end, start..number] {
            if !part.is_empty() {
                self.gaps.insert(place, part);
            }
        }
        Arrival::Late
    }
}

#[cfg(test)]
mod tests {
    use super::Arrival::*;
    use super::*;

    fn arrivals(numbers: &[u64]) -> Vec<Arrival> {
        let mut track = Track::default();
        numbers.iter().map(|&number| track.note(number)).collect()
    }

    const NEXT: Arrival = New { skipped: 0 };

    #[test]
    fn numbers_in_order_are_new() {
        assert_eq!(arrivals(&[0, 1, 2]), [NEXT, NEXT, NEXT]);
    }

    #[test]
    fn a_repeated_number_came_again() {
        assert_eq!(arrivals(&[0, 1, 1, 0]), [NEXT, NEXT, Again, Again]);
    }

    #[test]
    fn an_overtaken_number_is_late_once() {
        assert_eq!(
            arrivals(&[0, 4, 2, 2, 1, 3, 3]),
            [NEXT, New { skipped: 3 }, Late, Again, Late, Late, Again]
        );
    }

    #[test]
    fn the_oldest_gap_is_given_up_first() {
        let mut track = Track::default();
        for gap in 0..=GAPS_MAX as u64 {
            track.note(gap * 2 + 1);
        }
        assert_eq!((track.note(0), track.note(2)), (Again, Late));
    }

    #[test]
    fn a_joining_track_misses_nothing_before_it() {
        assert_eq!(Track::joining_at(7).note(7), NEXT);
    }
}
