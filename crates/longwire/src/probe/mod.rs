//! `longwire probe`: what a broker offers and where its limits are, found out by asking and by trying.
//!
//! - [`knock`]: connections in every version, with and without credentials, to see which doors are open.
//! - [`trial`]: one connection on which every feature is tried, on topics that nobody else has.
//! - [`finding`]: what was found, as a table or as JSON.
//!
//! A probe leaves nothing behind: what it retains it removes, and its session ends with it.

mod finding;
mod knock;
mod trial;

use std::process::ExitCode;
use std::time::Duration;

use crate::connection;
use crate::server::ServerArgs;
use crate::{complain, exit, say};
use finding::Findings;

/// Arguments of `longwire probe`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Seconds to wait for each answer of the broker.
    #[arg(short = 'W', value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Form of the result on standard output.
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Form::Text)]
    output: Form,
}

/// The form of the result on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A table for people.
    Text,
    /// One JSON object.
    Json,
}

const EXAMPLES: &str = "\
Examples:
  longwire probe                                    the broker on this machine, port 1883
  longwire probe mqtt://broker.example:1884
  longwire probe -u me -P secret broker.example --output json | jq .receive_maximum

What it does:
  It connects a few times, in versions 3.1, 3.1.1 and 5.0. On one connection it publishes, retains and subscribes below
  longwire-probe/, on topics nobody else has, and removes what it retained.

Exit codes:
  0  the broker let the probe in; the result is on standard output
  1  it cannot be reached, or does not speak MQTT
  2  the arguments were not understood
  1 to 5, 128 to 162  the broker refused every version: the code of the last CONNACK";

/// Probes, and returns the exit code.
pub(crate) fn run(args: &Args) -> ExitCode {
    let patience = Duration::from_secs(args.timeout);
    if let Err(error) = args.server.options(patience) {
        complain(error);
        return ExitCode::from(exit::USAGE);
    }
    connection::run(async {
        let mut findings = Findings::new(args.server.place());
        let code = match knock::knock(&args.server, patience, &mut findings).await {
            Ok(knock::Door::Open(version)) => {
                match trial::run(&args.server, patience, version, &mut findings).await {
                    Ok(()) => exit::SUCCESS,
                    Err(why) => {
                        complain(why);
                        exit::FAILURE
                    }
                }
            }
            Ok(knock::Door::Shut(code)) => {
                complain(format_args!(
                    "the broker at {} refuses every version; -u and -P say who you are",
                    args.server.place()
                ));
                code
            }
            Err(why) => {
                complain(why);
                return ExitCode::from(exit::FAILURE);
            }
        };
        let told = say(&match args.output {
            Form::Text => findings.table(),
            Form::Json => findings.json(),
        });
        if code == exit::SUCCESS { told } else { ExitCode::from(code) }
    })
}
