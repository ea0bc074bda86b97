//! Every scene against our own broker: the real program on a free port, judged strictly.
//!
//! Cargo tells a test nothing about programs of other packages, so the program is looked for beside this test's own
//! folder; `cargo xtask test` builds it first.

mod support;

use longwire_conformance::{Outcome, own};

#[test]
fn our_broker_passes_every_scene() {
    let (report, log) = own::judge(&support::program(), &|_| {}).unwrap_or_else(|why| panic!("{why}"));
    let others = report.performances.iter().filter(|scene| scene.outcome != Outcome::Passed);
    let told: Vec<String> = others.map(ToString::to_string).collect();
    assert!(told.is_empty(), "{}\n{report}\nlast lines of the broker:\n{log}", told.join("\n"));
}
