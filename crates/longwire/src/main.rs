//! The command line of longwire: arguments in, exit code out. Each subcommand is a module; what they share is here:
//! the one line on standard error that says what went wrong and what to do, and the [`exit`] codes.

mod bench;
mod completions;
mod config;
mod connection;
mod defaults;
mod exit;
mod manual;
mod output;
mod probe;
mod property;
mod publish;
mod request;
mod serve;
mod server;
mod source;
mod subscribe;
mod top;

use std::env;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

/// MQTT broker and command-line tools in one program.
#[derive(Parser)]
#[command(name = "longwire", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a broker.
    Serve(serve::Args),
    /// Publish messages.
    #[command(name = "pub")]
    Publish(publish::Args),
    /// Subscribe, and print what arrives.
    #[command(name = "sub")]
    Subscribe(subscribe::Args),
    /// Publish a request, and print the response.
    #[command(name = "rr")]
    Request(request::Args),
    /// Find out what a broker offers, and its limits.
    Probe(probe::Args),
    /// Watch a broker live: connections, rates, queues.
    Top(top::Args),
    /// Put load on an MQTT broker and report what became of it.
    Bench(bench::Args),
    /// Check, show and explain settings.
    #[command(subcommand)]
    Config(config::Command),
    /// Print what a shell needs to complete commands and options.
    Completions(completions::Args),
    /// Print or write manual pages.
    Man(manual::Args),
}

const EXAMPLES: &str = "\
Examples:
  longwire serve                                 a broker for this machine, on port 1883
  longwire serve --listen mqtt://127.0.0.1:1884  the same on another port
  longwire sub -t 'temperature/#' -v             print messages with their topics
  longwire pub -t temperature/kitchen -m 21      publish one message
  longwire probe mqtt://broker.example           what a broker offers
  longwire top                                   the broker on this machine, live
  longwire config show                           every setting and where it came from

`longwire COMMAND --help` explains a command.";

fn main() -> ExitCode {
    let arguments = match defaults::add(CommandLine::command, env::args_os().collect()) {
        Ok(arguments) => arguments,
        Err(error) => {
            complain(error);
            return ExitCode::from(exit::USAGE);
        }
    };
    match CommandLine::try_parse_from(arguments.all) {
        Ok(line) => line.run(),
        Err(error) => refuse(&error, arguments.file.as_deref()),
    }
}

impl CommandLine {
    fn run(self) -> ExitCode {
        match self.command {
            Command::Serve(args) => serve::run(&args),
            Command::Publish(args) => publish::run(&args),
            Command::Subscribe(args) => subscribe::run(&args),
            Command::Request(args) => request::run(args),
            Command::Probe(args) => probe::run(&args),
            Command::Top(args) => top::run(&args),
            Command::Bench(args) => bench::run(&args),
            Command::Config(command) => config::run(&command),
            Command::Completions(args) => completions::run(&args),
            Command::Man(args) => manual::run(&args),
        }
    }
}

/// Prints help and version as they are, and a mistake in the arguments, to which a file may have added some, as one line.
fn refuse(error: &clap::Error, defaults: Option<&Path>) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => say(&error.render().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = write!(io::stderr(), "{}", error.render());
            ExitCode::from(exit::USAGE)
        }
        _ => {
            let mistake = one_line(&error.render().to_string());
            match defaults {
                Some(file) => {
                    complain(format_args!("{mistake}; defaults were taken from {}", file.display()));
                }
                None => complain(mistake),
            }
            ExitCode::from(exit::USAGE)
        }
    }
}

/// The cause and the tips of a rendered error, joined to one line; the usage is left to `--help`.
fn one_line(rendered: &str) -> String {
    let told = rendered
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .map(|line| line.strip_prefix("error: ").unwrap_or(line));
    let told: Vec<&str> = told.collect();
    format!("{}; --help shows what is allowed", told.join("; ").replace(":; ", ": "))
}

/// Writes to standard output. A reader that went away, such as `head`, is no failure.
pub(crate) fn say(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
            complain(format_args!("cannot write to standard output: {cause}"));
            ExitCode::from(exit::FAILURE)
        }
        _ => ExitCode::from(exit::SUCCESS),
    }
}

/// Tells the operator, on standard error, what went wrong and what to do. Nobody may be listening.
pub(crate) fn complain(message: impl Display) {
    let _ = writeln!(io::stderr(), "longwire: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_mistake_becomes_one_line_with_its_tips() {
        let rendered = "error: unexpected argument '--lisen' found\n\n  tip: a similar argument exists: '--listen'\n\n\
                        Usage: longwire serve --listen <URL>\n\nFor more information, try '--help'.\n";
        assert_eq!(
            one_line(rendered),
            "unexpected argument '--lisen' found; tip: a similar argument exists: '--listen'; --help shows what is \
             allowed"
        );
    }

    #[test]
    fn what_is_missing_stands_in_the_line() {
        let rendered = "error: the following required arguments were not provided:\n  --topic <TOPIC>\n\n\
                        Usage: longwire sub --topic <TOPIC>\n";
        assert_eq!(
            one_line(rendered),
            "the following required arguments were not provided: --topic <TOPIC>; --help shows what is allowed"
        );
    }
}
