//! Drives fuzz targets on stable Rust: changes kept inputs, runs the target, and keeps what shows something new.
//!
//! `drive TARGET [--seconds N] [--seed S] [--keep]` fuzzes and fails with the input in `artifacts/` when the target
//! panics; `--keep` writes new finds into `corpus/`. `drive replay TARGET FILE…` runs inputs once.
//! `drive seed TARGET` writes the target's seeds into `corpus/`.

#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use longwire_fuzz::{Mutator, Outcome, TARGETS, Target};

/// Inputs kept in memory at most.
const CORPUS_INPUTS_MAX: usize = 20_000;

/// Runs between two looks at the clock.
const RUNS_PER_LOOK: u64 = 256;

const USAGE: &str = "\
usage: drive TARGET [--seconds N] [--seed S] [--keep]
       drive replay TARGET FILE...
       drive seed TARGET";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["replay", name, files @ ..] => target(name).and_then(|target| replay(target, files)),
        ["seed", name] => {
            target(name).and_then(|target| write_seeds(target).map_err(|error| error.to_string()))
        }
        [name, options @ ..] => target(name).and_then(|target| fuzz(target, &Options::parse(options)?)),
        [] => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn target(name: &str) -> Result<&'static Target, String> {
    let names = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    let found = TARGETS.iter().find(|target| target.name == name);
    found.ok_or_else(|| format!("no target {name}; there are {}\n{USAGE}", names()))
}

struct Options {
    seconds: u64,
    seed: u64,
    keep: bool,
}

impl Options {
    fn parse(mut words: &[&str]) -> Result<Self, String> {
        let mut options = Options { seconds: 60, seed: 1, keep: false };
        loop {
            words = match words {
                [] => return Ok(options),
                ["--seconds", value, rest @ ..] => {
                    options.seconds =
                        value.parse().map_err(|_| format!("--seconds {value}: not a number"))?;
                    rest
                }
                ["--seed", value, rest @ ..] => {
                    options.seed = value.parse().map_err(|_| format!("--seed {value}: not a number"))?;
                    rest
                }
                ["--keep", rest @ ..] => {
                    options.keep = true;
                    rest
                }
                [other, ..] => return Err(format!("{other}: unknown\n{USAGE}")),
            }
        }
    }
}

fn fuzz(target: &Target, options: &Options) -> Result<(), String> {
    let mut corpus = load_corpus(target).map_err(|error| format!("corpus of {}: {error}", target.name))?;
    let mut seen = HashSet::new();
    for input in &corpus {
        seen.insert(run(target, input)?);
    }
    let mut mutator = Mutator::new(options.seed);
    let mut input = Vec::new();
    let (begin, mut runs) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(options.seconds) {
        for _ in 0..RUNS_PER_LOOK {
            mutator.next_input(&corpus, &mut input);
            let is_new = seen.insert(run(target, &input)?);
            if is_new && corpus.len() < CORPUS_INPUTS_MAX {
                if options.keep {
                    save(&folder("corpus", target), &input).map_err(|error| error.to_string())?;
                }
                corpus.push(input.clone());
            }
        }
        runs += RUNS_PER_LOOK;
    }
    let per_second = runs as f64 / begin.elapsed().as_secs_f64();
    println!(
        "{}: {runs} runs, {per_second:.0} a second, {} inputs kept, no panic",
        target.name,
        corpus.len()
    );
    Ok(())
}

/// Runs the target once; if it panics, saves the input.
fn run(target: &Target, input: &[u8]) -> Result<Outcome, String> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|_| {
        match save(&folder("artifacts", target), input) {
            Ok(path) => format!("{} panicked on {}", target.name, path.display()),
            Err(error) => format!("{} panicked on {input:02x?}, which cannot be saved: {error}", target.name),
        }
    })
}

fn replay(target: &Target, files: &[&str]) -> Result<(), String> {
    for file in files {
        let input = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
        run(target, &input)?;
    }
    println!("{}: {} inputs, no panic", target.name, files.len());
    Ok(())
}

fn write_seeds(target: &Target) -> io::Result<()> {
    let folder = folder("corpus", target);
    fs::create_dir_all(&folder)?;
    for (name, input) in (target.seeds)() {
        fs::write(folder.join(name), input)?;
    }
    Ok(())
}

/// The kept inputs in the order of their names, or the seeds where none are kept.
fn load_corpus(target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let folder = folder("corpus", target);
    if !folder.is_dir() {
        return Ok((target.seeds)().into_iter().map(|(_, input)| input).collect());
    }
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    paths.iter().map(fs::read).collect()
}

fn folder(kind: &str, target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target.name)
}

/// Writes the input under a name made of its bytes.
fn save(folder: &Path, input: &[u8]) -> io::Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let path = folder.join(format!("{:016x}", hasher.finish()));
    fs::create_dir_all(folder)?;
    fs::write(&path, input)?;
    Ok(path)
}
