//! Every task of the project as a subcommand of `cargo xtask`, so that nothing has to be installed to build it.
//!
//! One file is one task; `command` and `needs` are what they share. A task that fails says why on one line.

mod bench;
mod check;
mod command;
mod conform;
mod crash;
mod fuzz;
mod needs;
mod sim;
mod tally;
mod test;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask TASK

  check                   formatting, lints, documentation and the tables of the specification
  test [--allow-missing]  install what the tests need, run every test, end with a summary line
  sim [OPTION]…           tell random histories of a whole broker; --teeth: find every fault built in
  fuzz TARGET [OPTION]…   look for crashes with libFuzzer until stopped
  conform [ID…]           play every scene, write docs/conformance.md; or tell all about these statements
  crash [--rounds N]      kill the broker at random moments, N times (200), and miss nothing it acknowledged
  bench [OPTION]…         measure, compare with other brokers, and show the figures
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((task, rest)) = arguments.split_first() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let outcome = match task.as_str() {
        "check" => check::run(rest).map(|()| ExitCode::SUCCESS),
        "test" => test::run(rest),
        "sim" => sim::run(rest).map(|()| ExitCode::SUCCESS),
        "fuzz" => fuzz::run(rest).map(|()| ExitCode::SUCCESS),
        "conform" => conform::run(rest),
        "crash" => crash::run(rest).map(|()| ExitCode::SUCCESS),
        "bench" => bench::run(rest).map(|()| ExitCode::SUCCESS),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        other => Err(format!("there is no task {other:?}\n\n{USAGE}")),
    };
    outcome.unwrap_or_else(|why| {
        eprintln!("xtask: {why}");
        ExitCode::FAILURE
    })
}
