//! `longwire bench`: load for an MQTT broker, and what became of it.
//!
//! One thread drives all clients over [`longwire_net`] and the codec of [`longwire_proto`], without the client library,
//! so that the load costs as little as possible beside the broker that is measured. Every payload carries a stamp with
//! its publisher, number and time, from which receivers tell lost, duplicated and reordered messages and latencies.
//!
//! - [`flow`]: publishers and subscribers together, so that every message is accounted for.
//! - [`publish`] and [`subscribe`]: either half alone, for two machines.
//! - [`conn`]: connections and subscriptions that stay idle.
//!
//! Below them, [`load`] plays the clients of the first three, on the connections of a [`fleet`]. The summary is JSON on
//! stdout, talk goes to stderr, and so does a line of progress if it is a terminal.

mod conn;
mod fleet;
mod flow;
mod latency;
mod load;
mod meter;
mod progress;
mod publish;
mod sources;
mod stamp;
mod subscribe;
mod target;
mod track;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use serde_json::{Map, Value};

use crate::{complain, exit, say};

/// Put load on an MQTT broker and report what became of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  longwire bench flow                                 100 pairs at QoS 0 against 127.0.0.1:1883
  longwire bench flow --pattern fan-out -n 500 -q 1
  longwire bench flow --rate 100                      100 messages per second and publisher, whatever the broker does
  longwire bench conn -n 15000 --pid 4711             memory per idle connection of process 4711
  longwire bench sub -t 'bench/#' & longwire bench pub --rate 1000

Closed and open loop:
  Without --rate, a publisher sends as the broker keeps up: this measures throughput. With it, messages are sent at
  planned times, and latencies count from those, so that a slow broker cannot hide what it makes wait.

Exit codes:
  0  every message arrived once and in order
  1  messages were lost, doubled or out of order, or the run could not be made
  2  the arguments were not understood")]
pub(crate) struct Args {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, clap::Subcommand)]
enum Scenario {
    /// Open connections and subscriptions, and hold them idle.
    Conn(conn::Args),
    /// Publish.
    Pub(publish::Args),
    /// Subscribe, and count what comes.
    Sub(subscribe::Args),
    /// Publish and subscribe, and account for every message.
    Flow(flow::Args),
}

/// Runs a scenario to its end and prints its summary.
pub(crate) fn run(args: &Args) -> ExitCode {
    let result = match &args.scenario {
        Scenario::Conn(args) => conn::run(args),
        Scenario::Pub(args) => publish::run(args),
        Scenario::Sub(args) => subscribe::run(args),
        Scenario::Flow(args) => flow::run(args),
    };
    match result {
        Ok(Summary { figures, clean }) => {
            let figures = Value::Object(figures);
            let told = if io::stdout().is_terminal() {
                say(&format!("{figures:#}\n"))
            } else {
                say(&format!("{figures}\n"))
            };
            if clean { told } else { ExitCode::from(exit::FAILURE) }
        }
        Err(error) => {
            complain(error);
            ExitCode::from(exit::FAILURE)
        }
    }
}

/// What a scenario has to say.
struct Summary {
    figures: Map<String, Value>,
    /// Nothing was lost, came twice or out of order, and no connection failed.
    clean: bool,
}

/// An error of our own making: arguments that cannot be followed, or a broker that does not let us in.
fn failed(what: impl Into<String>) -> io::Error {
    io::Error::other(what.into())
}
