//! Fuzz targets in two ways: a short drive on stable Rust with every test run, and libFuzzer for as long as one likes.

use std::fs;

use crate::command::{cargo, command, root, run as run_command, succeeds};
use crate::tally::Tally;

/// How long the test run drives one target, and all of them together.
const DRIVE_SECS: u64 = 5;
const DRIVE_ALL_SECS: u64 = 60;

/// Selects the package of the fuzz targets, which is a workspace of its own.
pub(crate) const MANIFEST: &str = "--manifest-path=fuzz/Cargo.toml";

/// `cargo xtask fuzz TARGET [OPTION]…`: libFuzzer through cargo-fuzz, until stopped or a crash is found.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let known = targets()?;
    let list = known.join(", ");
    let Some((target, options)) = arguments.split_first() else {
        return Err(format!("say which target to fuzz: {list}"));
    };
    if !known.contains(target) {
        return Err(format!("there is no fuzz target {target:?}, only {list}"));
    }
    if !succeeds(&mut command("cargo", &["fuzz", "--version"])) {
        return Err("cargo-fuzz is not installed: cargo install cargo-fuzz".into());
    }
    // The variable lets stable Rust take the sanitizer's flags.
    let mut fuzz = command("cargo", &["+stable", "fuzz", "run", "--features", "libfuzzer", target, "--"]);
    run_command(fuzz.args(options).env("RUSTC_BOOTSTRAP", "1"))
}

/// Drives every target for a moment; each counts as one test.
pub(crate) fn drive_all(tally: &mut Tally) -> Result<(), String> {
    let targets = targets()?;
    let seconds = DRIVE_SECS.min(DRIVE_ALL_SECS / targets.len().max(1) as u64).to_string();
    for target in targets {
        let drive = ["run", "--release", "--quiet", MANIFEST, "--", &target, "--seconds", &seconds];
        let outcome = run_command(&mut cargo(&drive));
        if let Err(why) = &outcome {
            println!("fuzz target {target}: {why}");
        }
        tally.add(outcome.is_ok());
    }
    Ok(())
}

/// The names of the targets: the files of `fuzz/fuzz_targets/`.
fn targets() -> Result<Vec<String>, String> {
    let folder = root().join("fuzz/fuzz_targets");
    let fault = |error| format!("{} cannot be read: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}
