//! The command: arguments in, scenes played, exit code out.

use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;

use longwire_conformance::{Outcome, Performance, Report, Settings, Version, catalogue, run, version_name};

const HELP: &str = "\
longwire-conformance: does a broker do what MQTT 3.1.1 and 5.0 say?

longwire-conformance --target mqtt://127.0.0.1:1883 [options]

  --target URL                   the broker, mqtt://host:port or host:port
  --version 3.1.1|5.0|all        the versions to play (default all)
  --only WORDS                   only scenes that quote a whole id, or have a word in their name or ids
  --list                         list scenes and what they prove, play nothing
  --json FILE                    write the report as JSON too
  --lenient                      accept the reactions that other brokers are known for
  --connect-timeout-secs N       how long the broker waits for CONNECT (default 10)
  --packet-timeout-secs N        how long the broker waits for the rest of a packet (default 30)
  --threads N                    scenes that play at the same time (default 16)
  --verbose                      one line for each scene that passed, too

Exit code: 0 the broker passed all scenes, or announced that they do not apply; 1 it failed some;
2 nothing could be played; 3 it went away during the run, and some scenes could not be played.

Examples:
  longwire-conformance --target mqtt://127.0.0.1:1883
  longwire-conformance --target mqtt://127.0.0.1:1883 --version 5.0 --only MQTT-3.3.1-5 --verbose
  longwire-conformance --target mqtt://127.0.0.1:1884 --lenient --json mosquitto.json
";

struct Arguments {
    settings: Settings,
    target: bool,
    list: bool,
    verbose: bool,
    json: Option<String>,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => return cannot_run(&problem),
    };
    if arguments.list {
        list(&arguments.settings);
        return ExitCode::SUCCESS;
    }
    if !arguments.target {
        return cannot_run("no broker given; add --target mqtt://host:port");
    }
    let report = match run(&arguments.settings, &|performance| show(performance, arguments.verbose)) {
        Ok(report) => report,
        Err(problem) => return cannot_run(&problem),
    };
    if let Err(problem) = write_json(&report, arguments.json.as_deref()) {
        return cannot_run(&problem);
    }
    println!("{report}");
    ExitCode::from(verdict(&report))
}

fn verdict(report: &Report) -> u8 {
    if report.not_played().next().is_some() { 3 } else { u8::from(report.failures().next().is_some()) }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1883));
    let mut arguments = Arguments {
        settings: Settings::new(nowhere),
        target: false,
        list: false,
        verbose: false,
        json: None,
    };
    let settings = &mut arguments.settings;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value; --help shows the form"));
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--target" => {
                settings.address = resolve(&value()?)?;
                arguments.target = true;
            }
            "--version" => settings.versions = versions(&value()?)?,
            "--only" => settings.only = Some(value()?),
            "--list" => arguments.list = true,
            "--json" => arguments.json = Some(value()?),
            "--lenient" => settings.lenient = true,
            "--verbose" => arguments.verbose = true,
            "--connect-timeout-secs" => settings.connect_timeout_secs = number(&word, &value()?)?,
            "--packet-timeout-secs" => settings.packet_timeout_secs = number(&word, &value()?)?,
            "--threads" => settings.threads = number(&word, &value()?)?,
            other => return Err(format!("unknown option {other}; --help shows all of them")),
        }
    }
    Ok(Some(arguments))
}

fn resolve(target: &str) -> Result<SocketAddr, String> {
    let host = target.strip_prefix("mqtt://").unwrap_or(target).trim_end_matches('/');
    if host.contains("://") {
        return Err(format!("{target}: only mqtt:// (plain TCP) can be judged"));
    }
    let mut found = host.to_socket_addrs().map_err(|error| format!("{target}: {error}; give host:port"))?;
    found.next().ok_or_else(|| format!("{target}: no such host"))
}

fn versions(text: &str) -> Result<Vec<Version>, String> {
    match text {
        "all" => Ok(vec![Version::V311, Version::V5]),
        "3.1.1" => Ok(vec![Version::V311]),
        "5.0" | "5" => Ok(vec![Version::V5]),
        other => Err(format!("unknown version {other}; give 3.1.1, 5.0 or all")),
    }
}

fn number<N: std::str::FromStr>(option: &str, text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{option} {text}: not a number"))
}

fn list(settings: &Settings) {
    let scenes = catalogue(settings);
    for (name, version, proves) in &scenes {
        println!("{:5} {name} [{}]", version_name(*version), proves.join(" "));
    }
    println!("{} scenes", scenes.len());
}

fn show(performance: &Performance, verbose: bool) {
    let is_lost = matches!(performance.outcome, Outcome::NotPlayed { .. });
    if performance.failed() || is_lost || verbose {
        println!("{performance}");
    }
}

fn write_json(report: &Report, file: Option<&str>) -> Result<(), String> {
    let Some(file) = file else { return Ok(()) };
    std::fs::write(file, report.to_json()).map_err(|error| format!("cannot write {file}: {error}"))
}

fn cannot_run(problem: &str) -> ExitCode {
    eprintln!("longwire-conformance: {problem}");
    ExitCode::from(2)
}
