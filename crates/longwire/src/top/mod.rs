//! `longwire top`: a broker's own account of itself (`$SYS`), live on a terminal or once as text.
//!
//! - [`state`]: what the broker has said, and the rates that follow from it. No clock, no terminal, no socket.
//! - [`feed`]: the subscription that fills it.
//! - [`draw`]: the state as a screen; [`snapshot`]: as lines.
//! - [`screen`]: the terminal, from its take-over to its return.

mod draw;
mod feed;
mod screen;
mod snapshot;
mod state;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use crate::connection;
use crate::server::ServerArgs;
use crate::{complain, exit};

/// Arguments of `longwire top`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Print the values once, as text, and end.
    #[arg(long)]
    once: bool,
}

const EXAMPLES: &str = "\
Examples:
  longwire top                                   the broker on this machine, port 1883
  longwire top -u me -P secret mqtt://broker.example
  longwire top --once | grep connected

Keys:
  q, Esc or Ctrl-C ends it.

What it shows:
  What the broker publishes below $SYS/broker: longwire and Mosquitto do so every 10 seconds, unless their settings say
  otherwise (limits.sys_interval_secs, sys_interval). Rates are those between two reports.

Exit codes:
  0   it was ended by a key or a signal
  1   the broker cannot be reached, or publishes nothing below $SYS
  2   the arguments were not understood, or standard output is no terminal
  12  the broker does not let us read $SYS
  1 to 5, 128 to 162  the broker refused the connection: the code of its CONNACK";

/// Shows the values, and returns the exit code.
pub(crate) fn run(args: &Args) -> ExitCode {
    if !args.once && !io::stdout().is_terminal() {
        complain("standard output is no terminal: `longwire top --once` prints the values as text");
        return ExitCode::from(exit::USAGE);
    }
    connection::run_beside_output(async {
        let feed = match feed::Feed::open(&args.server).await {
            Ok(feed) => feed,
            Err(failure) => {
                complain(&failure.why);
                return ExitCode::from(failure.code);
            }
        };
        if args.once { snapshot::run(feed).await } else { screen::run(feed).await }
    })
}
