//! Benches of single functions, which the crates themselves hold, run briefly.

use std::process::Stdio;

use crate::command::{announce, cargo, root};

/// Crates with benches, if they have any.
const CRATES: [&str; 2] = ["proto", "broker"];

/// One bench: its name and what one round of it takes.
pub(super) struct Micro {
    pub(super) name: String,
    pub(super) nanoseconds: String,
}

/// Runs the benches of all crates that have some.
pub(super) fn run() -> Result<Vec<Micro>, String> {
    let mut results = Vec::new();
    for name in CRATES.into_iter().filter(|name| root().join("crates").join(name).join("benches").is_dir()) {
        results.append(&mut run_crate(name)?);
    }
    Ok(results)
}

fn run_crate(name: &str) -> Result<Vec<Micro>, String> {
    let package = format!("longwire-{name}");
    let brief =
        ["--warm-up-time", "0.5", "--measurement-time", "1", "--noplot", "--output-format", "bencher"];
    let mut command = cargo(&["bench", "--quiet", "--package", &package, "--bench", "*", "--"]);
    command.args(brief).stderr(Stdio::inherit());
    announce(&command);
    let output = command.output().map_err(|error| format!("cargo does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("the benches of {package} failed with {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(parse).collect())
}

/// A line such as `test group/name ... bench:          24 ns/iter (+/- 1)`.
fn parse(line: &str) -> Option<Micro> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... bench:")?;
    let (nanoseconds, _) = result.split_once(" ns/iter")?;
    Some(Micro { name: name.trim().to_owned(), nanoseconds: nanoseconds.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_bench_has_a_name_and_a_time() {
        let micro = parse("test decode/PUBLISH, QoS 0 ... bench:          24 ns/iter (+/- 1)").unwrap();
        assert_eq!((micro.name.as_str(), micro.nanoseconds.as_str()), ("decode/PUBLISH, QoS 0", "24"));
        assert!(parse("running 3 tests").is_none());
    }
}
