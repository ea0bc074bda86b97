//! Random histories, a few with every test run; `cargo xtask sim` tells many more of them.

use longwire_sim::plan::Plan;
use longwire_sim::{search, trial};

/// Histories of this test.
const SEEDS: u64 = 100;

#[test]
fn random_histories_keep_every_promise() {
    if let Some(seed) = search::first_failing(0..SEEDS, || {}) {
        let failure = trial::run(&Plan::from_seed(seed), false).expect_err("it failed a moment ago");
        panic!("seed {seed}: {failure}; `cargo xtask sim` shortens its history");
    }
}

#[test]
fn a_seed_always_tells_the_same_story() {
    let story = || trial::story(&Plan::from_seed(7));
    assert_eq!(story(), story());
    assert_ne!(story(), trial::story(&Plan::from_seed(8)));
}

#[test]
fn any_bytes_are_a_history() {
    for length in [0, 1, 40, 2_000] {
        let bytes: Vec<u8> = (0..length).map(|n: u32| (n * n + 7 * n) as u8).collect();
        assert_eq!(trial::run(&Plan::from_bytes(&bytes), false), Ok(()), "{length} bytes");
    }
}
