//! `cargo xtask conform`: what is proven about every statement of both standards, by which scene and which test, and
//! which code obeys it.
//!
//! Plays all scenes against our broker and Debian's Mosquitto, runs the tests of the client's side, and writes
//! `docs/conformance.md`. Fails when a statement is missing, unknown or proven by nothing, or when our broker or client
//! fails a proof. With ids behind it, it plays nothing and tells where these statements are proven and obeyed.

mod coverage;
mod page;
mod sources;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use longwire_conformance::{Outcome, Performance, Report, Settings, Target, own, run as play, version_name};

use self::coverage::Coverage;
use self::sources::Sources;
use crate::command::{cargo, find, root, run as run_command, stream};

const PAGE: &str = "docs/conformance.md";

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode, String> {
    let coverage = Coverage::new(&Sources::read(root())?)?;
    if !arguments.is_empty() {
        return tell(&coverage, arguments);
    }
    for problem in coverage.problems() {
        println!("{problem}");
    }
    run_command(&mut cargo(&["build", "--package", "longwire"]))?;
    let ours = judge_ours()?;
    let theirs = judge_mosquitto()?;
    let tests = client_tests()?;
    let page = page::write(&coverage, &page::Results { ours: &ours, theirs: theirs.as_ref(), tests: &tests });
    let path = root().join(PAGE);
    std::fs::write(&path, page).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    let failed_tests: Vec<&String> =
        tests.iter().filter(|(_, passed)| !**passed).map(|(name, _)| name).collect();
    for name in &failed_tests {
        println!("failed: {name}");
    }
    println!("\nlongwire: {ours}");
    println!("client: {} tests, {} failed", tests.len(), failed_tests.len());
    if let Some(theirs) = &theirs {
        println!("mosquitto: {theirs}");
    }
    println!("{}\nwritten to {PAGE}", coverage.summary());
    let is_proven = coverage.problems().is_empty() && failed_tests.is_empty() && all_passed(&ours);
    Ok(if is_proven { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything known about these statements.
fn tell(coverage: &Coverage, ids: &[String]) -> Result<ExitCode, String> {
    for id in ids {
        let told = coverage.tell(id);
        if told.is_empty() {
            return Err(format!("{id} is no statement; ids look like MQTT-3.3.1-5, U5-31 or A07"));
        }
        print!("{told}");
    }
    Ok(ExitCode::SUCCESS)
}

fn judge_ours() -> Result<Report, String> {
    println!("\n# every scene against longwire");
    let (report, log) = own::judge(&program(), &show)?;
    if !all_passed(&report) {
        println!("last lines of the broker:\n{log}");
    }
    Ok(report)
}

/// `None` if it is not installed; a page without it says so.
fn judge_mosquitto() -> Result<Option<Report>, String> {
    let Some(program) = find("mosquitto") else { return Ok(None) };
    println!("\n# every scene against mosquitto");
    let broker = Target::mosquitto(&program)?;
    let settings = Settings { lenient: true, ..Settings::new(broker.address()) };
    play(&settings, &|_| {}).map(Some)
}

/// Name and outcome of every test of the client's side.
fn client_tests() -> Result<HashMap<String, bool>, String> {
    let mut outcomes = HashMap::new();
    let mut command = cargo(&["test", "--no-fail-fast"]);
    for package in sources::CLIENT_PACKAGES {
        command.args(["--package", package]);
    }
    let succeeded = stream(&mut command, |line| {
        let Some((name, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        else {
            return;
        };
        if outcome == "ok" || outcome == "FAILED" {
            outcomes.insert(name.to_owned(), outcome == "ok");
        }
    })?;
    if !succeeded && outcomes.values().all(|passed| *passed) {
        return Err("the tests of the client do not build, or ended without a result".into());
    }
    Ok(outcomes)
}

fn all_passed(report: &Report) -> bool {
    report.performances.iter().all(|performance| performance.outcome == Outcome::Passed)
}

fn show(performance: &Performance) {
    if !matches!(performance.outcome, Outcome::Passed | Outcome::NotApplicable { .. }) {
        println!("{performance}");
    }
}

/// The program as Cargo has just built it.
fn program() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root().join(target).join("debug").join(format!("longwire{}", std::env::consts::EXE_SUFFIX))
}

/// A scene as a page and a terminal name it.
fn scene_name(name: &str, version: longwire_conformance::Version) -> String {
    format!("{name} ({})", version_name(version))
}
