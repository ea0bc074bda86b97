//! `cargo xtask bench`: what the broker costs, beside the null relay and Debian's Mosquitto, on two processors.
//!
//! Each scenario runs against each peer in turn, and everything is repeated, so that whatever the machine does
//! meanwhile strikes all of them; the medians are compared. A full run writes `docs/performance.md`, a partial one only
//! shows its figures.

mod machine;
mod micro;
mod peer;
mod report;
mod scenario;

use std::env;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::bench::peer::{Peer, Running};
use crate::bench::scenario::{SCENARIOS, Scenario};
use crate::command::{cargo, root, run as run_command};

const USAGE: &str = "\
Usage: cargo xtask bench [OPTION]…

  --repeats N       repetitions of everything, of which the median counts [default: 3]
  --seconds N       seconds of measuring in each load [default: 3]
  --only TEXT       only scenarios with TEXT in their names
  --peers LIST      only these of longwire,relay,mosquitto
  --no-micro        leave the benches of single functions out

The last three only show the figures; without them docs/performance.md is written.
";

/// Runs the task. Fails when the broker lost, duplicated or reordered anything; a missed aim is only shown.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{USAGE}");
        return Ok(());
    }
    let options = Options::parse(arguments)?;
    let processors = machine::processors()?;
    let [broker, load, ..] = processors[..] else {
        return Err("two processors are needed: one for the broker, one for the load".into());
    };
    build(&options)?;
    let machine = machine::describe();
    let micro = if options.micro { micro::run()? } else { Vec::new() };
    let results = measure(&options, broker, load)?;
    let text = report::write(&options, &machine, (broker, load), &results, &micro);
    if options.is_full() {
        let path = root().join("docs/performance.md");
        std::fs::write(&path, &text)
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        println!("\nwritten to docs/performance.md");
    } else {
        println!("\n{text}");
    }
    match results.iter().find(|result| result.peer == Peer::Longwire && !result.clean) {
        Some(result) => Err(format!("not every message arrived once and in order: {}", result.scenario.name)),
        None => Ok(()),
    }
}

struct Options {
    repeats: u32,
    seconds: u32,
    only: Option<String>,
    peers: Vec<Peer>,
    micro: bool,
    /// As they were given.
    arguments: Vec<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options {
            repeats: 3,
            seconds: 3,
            only: None,
            peers: peer::available(),
            micro: true,
            arguments: arguments.to_vec(),
        };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            if name == "--no-micro" {
                options.micro = false;
                continue;
            }
            let value =
                rest.next().ok_or_else(|| format!("{name} is unknown or needs a value\n\n{USAGE}"))?;
            match name.as_str() {
                "--repeats" => options.repeats = positive(name, value)?,
                "--seconds" => options.seconds = positive(name, value)?,
                "--only" => options.only = Some(value.clone()),
                "--peers" => options.peers = value.split(',').map(Peer::named).collect::<Result<_, _>>()?,
                _ => return Err(format!("there is no option {name}\n\n{USAGE}")),
            }
        }
        Ok(options)
    }

    fn is_full(&self) -> bool {
        self.only.is_none() && self.micro && self.peers == peer::available()
    }

    fn wants(&self, scenario: &Scenario) -> bool {
        self.only.as_ref().is_none_or(|text| scenario.name.contains(text.as_str()))
    }
}

fn positive(name: &str, value: &str) -> Result<u32, String> {
    value.parse().ok().filter(|&number| number > 0).ok_or_else(|| format!("{name} needs a positive number"))
}

fn build(options: &Options) -> Result<(), String> {
    run_command(&mut cargo(&["build", "--release", "--package", "longwire"]))?;
    if options.peers.contains(&Peer::Relay) {
        run_command(&mut cargo(&["build", "--release", "--package", "longwire-net", "--example", "relay"]))?;
    }
    Ok(())
}

/// Where Cargo puts release builds.
fn release_folder() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root().join(target).join("release")
}

/// What one load told about one peer.
struct Outcome {
    scenario: &'static Scenario,
    peer: Peer,
    /// The summary, an object.
    figures: Value,
    clean: bool,
}

impl Outcome {
    fn figure(&self, key: &str) -> Option<f64> {
        self.figures.pointer(&format!("/{key}")).and_then(Value::as_f64)
    }
}

fn measure(options: &Options, broker: usize, load: usize) -> Result<Vec<Outcome>, String> {
    let mut results = Vec::new();
    for repeat in 1..=options.repeats {
        for scenario in SCENARIOS.iter().filter(|scenario| options.wants(scenario)) {
            for &peer in &options.peers {
                println!("{repeat}/{}  {:<44} {}", options.repeats, scenario.name, peer.name());
                results.push(measure_one(scenario, peer, options, broker, load)?);
            }
        }
    }
    Ok(results)
}

/// Starts the peer anew, puts the load on it and reads the summary.
fn measure_one(
    scenario: &'static Scenario,
    peer: Peer,
    options: &Options,
    broker: usize,
    load: usize,
) -> Result<Outcome, String> {
    let running = Running::start(peer, broker)?;
    let mut command = Command::new(release_folder().join("longwire"));
    command.arg("bench").args(scenario.load);
    command.args(["--duration", &options.seconds.to_string(), "--address", &running.address()]);
    command.args(["--pid", &running.pid().to_string(), "--cpu", &load.to_string()]);
    let output = command.output().map_err(|error| format!("the load does not start: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Ok(figures @ Value::Object(_)) = serde_json::from_str(&text) else {
        let talk = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("{} on {} failed: {talk}", scenario.name, peer.name()));
    };
    Ok(Outcome { scenario, peer, figures, clean: output.status.success() })
}
