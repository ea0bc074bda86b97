//! Proof that the simulator finds faults: each tooth has to be noticed within a few seeds.

use longwire_broker::teeth::{self, Tooth};

use crate::plan::Plan;
use crate::search;
use crate::shrink::shrink;
use crate::trial::{self, Failure};

/// Seeds within which each fault has to be found.
pub const SEEDS: u64 = 200;

/// The first seed whose history notices the fault.
pub fn noticed_at(tooth: Tooth) -> Option<u64> {
    search::first_failing(0..SEEDS, || teeth::let_bite(Some(tooth)))
}

/// The shortest history found in which this fault is noticed, beginning with that of the seed; how many decisions it
/// has, and what is said of it.
pub fn shortest(tooth: Tooth, seed: u64) -> Option<(usize, Failure)> {
    teeth::let_bite(Some(tooth));
    let plan = shrink(&Plan::from_seed(seed));
    let failure = trial::run(&plan, true).err();
    teeth::let_bite(None);
    Some((plan.len(), failure?))
}
