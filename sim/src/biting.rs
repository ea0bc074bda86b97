//! Proof that the simulator finds faults: each tooth has to be noticed within a few seeds.

use longwire_broker::teeth::{self, Tooth};

use crate::plan::Plan;
use crate::search;
use crate::shrink::shrink;
use crate::trial::{self, Failure};

/// Seeds within which each fault has to be found.
pub const SEEDS: u64 = 200;

/// Decisions of a long history.
const LONG: usize = 1_000;

/// The first seed whose history notices the fault.
pub fn noticed_at(tooth: Tooth) -> Option<u64> {
    search::first_failing(0..SEEDS, || teeth::let_bite(Some(tooth)))
}

/// How many decisions the first long history has in which the fault is noticed, and how many of them are left of it
/// when it is shortened.
pub fn shortened(tooth: Tooth) -> (usize, usize) {
    let long = |plan: &Plan| plan.len() >= LONG;
    teeth::let_bite(Some(tooth));
    let mut plans = (0..SEEDS).map(Plan::from_seed).filter(long);
    let plan = plans.find(|plan| trial::run(plan, false).is_err()).unwrap_or_else(|| Plan::from_seed(0));
    let shortest = shrink(&plan);
    teeth::let_bite(None);
    (plan.len(), shortest.len())
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
