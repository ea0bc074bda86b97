//! Every scene against our own broker: the real program on a free port, judged strictly.
//!
//! Cargo tells a test nothing about programs of other packages, so the program is looked for beside this test's own
//! folder; `cargo xtask test` builds it first.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};

use longwire_conformance::{Outcome, Settings, run};

/// Log lines shown when something failed.
const LOG_LINES: usize = 30;

#[test]
fn our_broker_passes_every_scene() {
    let broker = Broker::start(&["limits.connect_timeout_secs=2", "limits.packet_timeout_secs=3"]);
    let mut settings = Settings::new(broker.address);
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
struct Broker {
    process: Child,
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Broker {
    /// Starts one on a free port with these settings (`key=value`).
    fn start(settings: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.args(["serve", "--listen", "mqtt://127.0.0.1:0"]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the broker that was built can be started");
        let mut log = BufReader::new(process.stderr.take().expect("its standard error is piped"));
        let address = listening_address(&mut log);
        let lines = Arc::default();
        keep_reading(log, Arc::clone(&lines));
        Broker { process, address, log: lines }
    }

    /// Plays the scenes whose name or ids contain `only`; none may fail, and at least so many must pass.
    fn passes_only(&self, only: &str, at_least: usize) {
        let only = Some(only.to_owned());
        self.passes(&Settings { only, ..Settings::new(self.address) }, at_least);
    }

    /// Plays the scenes; none may fail, and at least so many must pass.
    fn passes(&self, settings: &Settings, at_least: usize) {
        let report = run(settings, &|_| {}).expect("the broker can be reached");
        let failures: Vec<String> = report.failures().map(ToString::to_string).collect();
        let log = self.log.lock().expect("the reader of the log does not panic");
        let tail = log[log.len().saturating_sub(LOG_LINES)..].join("\n");
        assert!(failures.is_empty(), "{}\n{report}\nlast lines of the broker:\n{tail}", failures.join("\n"));
        let passed = report.performances.iter().filter(|scene| scene.outcome == Outcome::Passed).count();
        assert!(passed >= at_least, "only {passed} scenes passed, the rest did not apply: {report}");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
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

/// The address in the log line that says where the broker listens.
fn listening_address(log: &mut BufReader<ChildStderr>) -> SocketAddr {
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        let read = log.read_line(&mut line).expect("the log of the broker is text");
        assert!(read > 0, "the broker ended before it listened; it said:\n{seen}");
        let address = line.split("address=").nth(1).filter(|_| line.contains("listening"));
        if let Some(address) = address.and_then(|rest| rest.split_whitespace().next()?.parse().ok()) {
            return address;
        }
        seen.push_str(&line);
    }
}

/// Reads on, so that the broker never waits for its log, and keeps the lines.
fn keep_reading(log: BufReader<ChildStderr>, lines: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            lines.lock().expect("nobody panics while it holds this").push(line);
        }
    });
}
