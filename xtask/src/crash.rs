//! `cargo xtask crash`: the crash test of the real broker, as it is released, for many rounds.

use std::time::Instant;

use crate::command::{cargo, run as run_command};

/// Kills, if nothing else is said.
const ROUNDS: u64 = 200;

/// Runs `crates/longwire/tests/crash.rs` and tells how it ended. `SEED` in the environment chooses another history.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let rounds = match arguments {
        [] => ROUNDS,
        [option, number] if option == "--rounds" => {
            let rounds = number.parse().ok().filter(|rounds| *rounds > 0);
            rounds.ok_or_else(|| format!("{number:?} is no number of rounds"))?
        }
        _ => return Err("crash takes --rounds N and nothing else".into()),
    };
    let begun = Instant::now();
    let mut test = cargo(&["test", "--release", "--package", "longwire", "--test", "crash"]);
    run_command(test.args(["--", "--nocapture"]).env("ROUNDS", rounds.to_string()))?;
    println!("{rounds} kills in {} s: nothing that was acknowledged is missing", begun.elapsed().as_secs());
    Ok(())
}
