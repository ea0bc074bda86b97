//! The simulator: tells the histories of many seeds and, of the first that fails, the shortest form it can find.

use std::env;
use std::process::ExitCode;
use std::time::Instant;

#[cfg(feature = "teeth")]
use longwire_broker::teeth::Tooth;
#[cfg(feature = "teeth")]
use longwire_sim::biting;
use longwire_sim::plan::Plan;
use longwire_sim::{search, shrink, trial};

const USAGE: &str = "\
usage: longwire-sim [--seeds N] [--from N]   tell the histories of N seeds, from N on
       longwire-sim --seed N                 tell one, in words
       longwire-sim --teeth                  find every fault that was built in
       longwire-sim --tooth NAME             find one, and tell its shortest history";

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
    Many {
        from: u64,
        seeds: u64,
    },
    One(u64),
    #[cfg(feature = "teeth")]
    AllTeeth,
    #[cfg(feature = "teeth")]
    OneTooth(Tooth),
}

impl Wish {
    fn parse(mut words: &[&str]) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text}: not a number"));
        let (mut from, mut seeds) = (0, 2_000);
        loop {
            words = match words {
                [] => return Ok(Wish::Many { from, seeds }),
                ["--seed", seed] => return Ok(Wish::One(number(seed)?)),
                ["--teeth" | "--tooth", ..] => return teeth(words),
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
            #[cfg(feature = "teeth")]
            Wish::AllTeeth => find_all_teeth(),
            #[cfg(feature = "teeth")]
            Wish::OneTooth(tooth) => tell_tooth(tooth),
        }
    }
}

#[cfg(not(feature = "teeth"))]
fn teeth(_: &[&str]) -> Result<Wish, String> {
    Err("no faults are built in: this needs the feature `teeth`".into())
}

#[cfg(feature = "teeth")]
fn teeth(words: &[&str]) -> Result<Wish, String> {
    let [_, name] = words else { return Ok(Wish::AllTeeth) };
    let tooth = Tooth::ALL.into_iter().find(|tooth| format!("{tooth:?}") == *name);
    tooth.map(Wish::OneTooth).ok_or_else(|| format!("{name}: no such tooth"))
}

/// Each is one test; the last line adds them up as Rust's test runner does.
#[cfg(feature = "teeth")]
fn find_all_teeth() -> bool {
    let (mut passed, mut failed) = (0, 0);
    let mut count = |is_right: bool| if is_right { passed += 1 } else { failed += 1 };
    for tooth in Tooth::ALL {
        let seed = biting::noticed_at(tooth);
        count(seed.is_some());
        let outcome = seed.map_or("NOT NOTICED".into(), |seed| format!("noticed at seed {seed}"));
        println!("tooth {tooth:?} ... {outcome}");
    }
    let (before, after) = biting::shortened(Tooth::BehindForgotten);
    count(after <= before / 4);
    println!("a history of {before} decisions ... shortened to {after}");
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out");
    failed == 0
}

/// False if the fault is not found.
#[cfg(feature = "teeth")]
fn tell_tooth(tooth: Tooth) -> bool {
    let Some(seed) = biting::noticed_at(tooth) else { return false };
    let Some((len, failure)) = biting::shortest(tooth, seed) else { return false };
    println!("{failure}\n{tooth:?} is noticed at seed {seed}; the shortest history has {len} decisions.");
    true
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
