//! `cargo xtask test`: installs what the tests need, runs every test, and adds them up.
//!
//! The last line of its output is the summary: `N passed, N failed`, and `, N skipped` when something was left out.

use std::process::ExitCode;

use crate::command::{cargo, search_path, stream};
use crate::fuzz;
use crate::needs::{self, Missing};
use crate::sim;
use crate::tally::Tally;

/// Runs the tests. A package that cannot be installed counts as a failure, unless `--allow-missing` is given.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode, String> {
    let mut allow_missing = false;
    for argument in arguments {
        match argument.as_str() {
            "--allow-missing" => allow_missing = true,
            other => return Err(format!("test takes no {other:?}, only --allow-missing")),
        }
    }
    let missing = needs::install();
    name_missing(&missing);
    let mut tally = Tally::default();
    run_cargo_test(&["--workspace"], &missing, &mut tally)?;
    run_cargo_test(&["--release", fuzz::MANIFEST], &missing, &mut tally)?;
    sim::run_all(&mut tally)?;
    fuzz::drive_all(&mut tally)?;
    if !allow_missing {
        tally.failed += missing.len();
    }
    println!();
    name_missing(&missing);
    if !missing.is_empty() && !allow_missing {
        println!("Each counts as a failure; --allow-missing accepts that their tests are skipped.");
    }
    println!("{tally}");
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn name_missing(missing: &[Missing]) {
    for Missing { package, why, .. } in missing {
        println!("Not installed: {package}: {why}");
    }
}

/// Unit, integration and documentation tests, those included that need other people's programs.
fn run_cargo_test(packages: &[&str], missing: &[Missing], tally: &mut Tally) -> Result<(), String> {
    let mut command = cargo(&["test", "--no-fail-fast"]);
    command.args(packages).args(["--", "--include-ignored"]);
    for part in missing.iter().flat_map(|need| need.tests) {
        command.args(["--skip", part]);
    }
    let failed_before = tally.failed;
    let succeeded = stream(command.env("PATH", search_path()), |line| tally.add_line(line))?;
    if !succeeded && tally.failed == failed_before {
        // A test program that does not build, or dies without a result, fails as a whole.
        tally.failed += 1;
    }
    Ok(())
}
