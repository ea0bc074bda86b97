//! Many seeds, on all cores, until one fails.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::plan::Plan;
use crate::trial;

/// The lowest of these seeds whose history fails. `begin` is called first on every thread.
pub fn first_failing(seeds: Range<u64>, begin: impl Fn() + Sync) -> Option<u64> {
    let next = AtomicU64::new(seeds.start);
    let lowest = AtomicU64::new(seeds.end);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(|| {
                begin();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= lowest.load(Ordering::Relaxed) {
                        return;
                    }
                    if trial::run(&Plan::from_seed(seed), false).is_err() {
                        lowest.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let lowest = lowest.into_inner();
    (lowest < seeds.end).then_some(lowest)
}
