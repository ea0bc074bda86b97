//! Every scene against our own broker: the real program on a free port, judged strictly.
//!
//! Cargo tells a test nothing about programs of other packages, so the program is looked for beside this test's own
//! folder; `cargo xtask test` builds it first.

mod support;

use longwire_conformance::{Outcome, Settings, Target, own, run};

#[test]
fn our_broker_passes_every_scene() {
    let (report, log) = own::judge(&support::program(), &|_| {}).unwrap_or_else(|why| panic!("{why}"));
    let others = report.performances.iter().filter(|scene| scene.outcome != Outcome::Passed);
    let told: Vec<String> = others.map(ToString::to_string).collect();
    assert!(told.is_empty(), "{}\n{report}\nlast lines of the broker:\n{log}", told.join("\n"));
}

#[test]
fn our_broker_without_qos_1_and_2_still_grants_subscriptions() {
    let broker =
        Target::longwire(&support::program(), &["limits.qos_max=0"]).unwrap_or_else(|why| panic!("{why}"));
    let only = Some("the_maximum_qos".to_owned());
    let settings = Settings { only, ..Settings::new(broker.address()) };
    let report = run(&settings, &|_| {}).unwrap_or_else(|why| panic!("{why}"));
    let passed = report.performances.iter().filter(|scene| scene.outcome == Outcome::Passed);
    assert_eq!(passed.count(), 6, "{report}\nlast lines of the broker:\n{}", broker.last_lines());
}
