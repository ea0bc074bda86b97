//! `cargo xtask check`: everything that can be said about the code without running it.

use crate::command::{cargo, command, root, run as run_command};
use crate::fuzz::MANIFEST;

/// Runs all checks, the quickest first, and stops at the first that fails.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if let Some(unknown) = arguments.first() {
        return Err(format!("check takes no {unknown:?}"));
    }
    formatting()?;
    specification()?;
    lints()?;
    documentation()
}

fn formatting() -> Result<(), String> {
    for package in [&["--all"][..], &[MANIFEST]] {
        run_command(cargo(&["fmt"]).args(package).arg("--check"))
            .map_err(|why| format!("{why}: `cargo fmt --all` (or `cargo fmt {MANIFEST}`) puts it right"))?;
    }
    Ok(())
}

/// The tables of the specification check themselves: counts, unique ids, framing of the vectors.
fn specification() -> Result<(), String> {
    let folder = root().join("conformance/spec");
    run_command(command("python3", &["check.py"]).current_dir(folder))
}

fn lints() -> Result<(), String> {
    let with_teeth = &["--package=longwire-sim", "--features=teeth"];
    for packages in [&["--workspace"][..], with_teeth, &[MANIFEST]] {
        let mut clippy = cargo(&["clippy", "--all-targets"]);
        run_command(clippy.args(packages).args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

fn documentation() -> Result<(), String> {
    run_command(cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}
