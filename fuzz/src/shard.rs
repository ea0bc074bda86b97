//! A whole broker and its clients: the input is a list of decisions, and a model of MQTT says who must get what.
//!
//! World, model and checks are those of the simulator; what differs is who chooses.

use longwire_sim::history::History;
use longwire_sim::plan::Plan;

use crate::Outcome;

/// Takes `data` for the decisions of a history and tells it.
pub fn shard(data: &[u8]) -> Outcome {
    let plan = Plan::from_bytes(data);
    let mut history = History::new(&plan, false);
    history.run();
    history.outcome()
}

/// Bytes of each length, as a generator gives them: nearly all of them mean something.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let lengths = [60, 125, 250, 500, 1_000];
    let seed =
        |(number, length): (u64, usize)| (format!("random-{length}"), random_bytes(number + 1, length));
    (0..).zip(lengths).map(seed).collect()
}

/// Bytes of a multiplicative generator.
fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}
