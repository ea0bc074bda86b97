//! Every scene against our own broker: the real program on a free port, judged strictly.
//!
//! Cargo tells a test nothing about programs of other packages, so the program is looked for beside this test's own
//! folder; `cargo xtask test` builds it first.

use std::path::PathBuf;

use longwire_conformance::{Outcome, Settings, Target, run};

#[test]
fn our_broker_passes_every_scene() {
    let broker = Broker::start(&["limits.connect_timeout_secs=2", "limits.packet_timeout_secs=3"]);
    let mut settings = Settings::new(broker.0.address());
    settings.connect_timeout_secs = 2;
    settings.packet_timeout_secs = 3;
    broker.passes(&settings, 500);
}

#[test]
fn limits_that_an_operator_chose_are_announced_and_kept() {
    let broker = Broker::start(&[
        "limits.session_expiry_secs_max=2",
        "limits.receive_max=3",
        "limits.topic_alias_max=0",
        "limits.packet_size_max=300",
    ]);
    broker.passes_only("limits::session_expiry", 1);
    broker.passes_only("limits::open_publishes", 1);
    broker.passes_only("H20", 1);
    broker.passes_only("H15", 2);
    broker.passes_only("byte_on_the_way_in", 2);
    broker.passes_only("H10", 2);
}

#[test]
fn longest_keep_alive_that_an_operator_chose_is_announced_and_kept() {
    Broker::start(&["limits.keep_alive_secs_max=2"]).passes_only("limits::longer_keep_alive", 2);
}

#[test]
fn longest_client_id_that_an_operator_chose_is_kept() {
    Broker::start(&["limits.client_id_bytes_max=100"]).passes_only("limits::longer_client_id", 2);
}

/// A broker of ours that ends with this value.
struct Broker(Target);

impl Broker {
    /// Starts one on a free port with these settings (`key=value`).
    fn start(settings: &[&str]) -> Self {
        Broker(Target::longwire(&program(), settings).unwrap_or_else(|why| panic!("{why}")))
    }

    /// Plays the scenes whose name or ids contain `only`; none may fail, and at least so many must pass.
    fn passes_only(&self, only: &str, at_least: usize) {
        let only = Some(only.to_owned());
        self.passes(&Settings { only, ..Settings::new(self.0.address()) }, at_least);
    }

    /// Plays the scenes; none may fail, and at least so many must pass.
    fn passes(&self, settings: &Settings, at_least: usize) {
        let report = run(settings, &|_| {}).expect("the broker can be reached");
        let failures: Vec<String> = report.failures().map(ToString::to_string).collect();
        let tail = self.0.last_lines();
        assert!(failures.is_empty(), "{}\n{report}\nlast lines of the broker:\n{tail}", failures.join("\n"));
        let passed = report.performances.iter().filter(|scene| scene.outcome == Outcome::Passed).count();
        assert!(passed >= at_least, "only {passed} scenes passed, the rest did not apply: {report}");
    }
}

/// The program in the target folder that this test was built into.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.ancestors().nth(2).expect("tests are built into target/<profile>/deps");
    let program = folder.join(format!("longwire{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is missing: run `cargo build -p longwire` first", program.display());
    program
}
