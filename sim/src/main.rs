//! The simulator: tells the histories of many seeds and, of the first that fails, the shortest form it can find.

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use longwire_sim::plan::Plan;
use longwire_sim::{search, shrink, trial};

const USAGE: &str = "\
usage: longwire-sim [--seeds N] [--from N]   tell the histories of N seeds, from N on
       longwire-sim --seed N                 tell one, in words";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match Wish::parse(&words) {
        Ok(wish) if wish.carry_out() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// What the command line asks for.
#[derive(Clone, Copy)]
enum Wish {
    Many { from: u64, seeds: u64 },
    One(u64),
}

impl Wish {
    fn parse(mut words: &[&str]) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text}: not a number"));
        let (mut from, mut seeds) = (0, 2_000);
        loop {
            words = match words {
                [] => return Ok(Wish::Many { from, seeds }),
                ["--seed", seed] => return Ok(Wish::One(number(seed)?)),
                ["--seeds", count, rest @ ..] => {
                    seeds = number(count)?;
                    rest
                }
                ["--from", first, rest @ ..] => {
                    from = number(first)?;
                    rest
                }
                [other, ..] => return Err(format!("{other}: unknown")),
            }
        }
    }

    /// False if something is wrong.
    fn carry_out(self) -> bool {
        match self {
            Wish::Many { from, seeds } => tell_many(from, seeds),
            Wish::One(seed) => {
                let plan = Plan::from_seed(seed);
                println!("{}", trial::story(&plan).join("\n"));
                trial::run(&plan, false).is_ok()
            }
        }
    }
}

fn tell_many(from: u64, seeds: u64) -> bool {
    let begun = Instant::now();
    let Some(seed) = search::first_failing(from..from.saturating_add(seeds), || {}) else {
        println!("{seeds} histories in {:.1} s, every promise kept", begun.elapsed().as_secs_f64());
        return true;
    };
    tell_failure(seed);
    false
}

/// The shortest history that fails like that of the seed.
fn tell_failure(seed: u64) {
    let plan = Plan::from_seed(seed);
    let shortest = shrink::shrink(&plan);
    if let Err(failure) = trial::run(&shortest, true) {
        println!("{failure}");
    }
    println!("Seed {seed}, shortened from {} to {} decisions.", plan.len(), shortest.len());
    println!("`cargo xtask sim --seed {seed}` tells the whole history.");
}
