//! `longwire serve`: starts a broker with the settings that were asked for and keeps it until a signal ends it. The
//! broker itself is `longwire-server`; here are its log, its signals and its exit code.

use std::env;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::thread;

use longwire_server::settings::{LogFormat, LogLevel, Settings};
use longwire_server::{Running, StartError};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::info;
use tracing::level_filters::LevelFilter;

use crate::config::Chosen;
use crate::{complain, exit};

/// Arguments of `longwire serve`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    chosen: Chosen,
}

const EXAMPLES: &str = "\
Examples:
  longwire serve                                      this machine only, port 1883
  longwire serve --data ./longwire-data               the same, and nothing is lost at the end
  longwire serve --listen 127.0.0.1:1884 --set log=debug
  longwire serve --config longwire.toml
  longwire serve --listen 0.0.0.0:1883 --set allow_anonymous=true
                                                      everybody who can reach this machine

SIGTERM or SIGINT (Ctrl-C) stops the broker in good order; a second one ends it at once.
`longwire config reference` explains every setting.";

/// Runs a broker until it is told to stop.
pub(crate) fn run(args: &Args) -> ExitCode {
    let settings = match args.chosen.load() {
        Ok(settings) => settings,
        Err(error) => {
            complain(error);
            return ExitCode::from(exit::SETTINGS);
        }
    };
    // From here on a signal means a stop in good order, also while the broker is still starting.
    let signals = match Signals::new([SIGTERM, SIGINT]) {
        Ok(signals) => signals,
        Err(cause) => {
            complain(format_args!("cannot listen for signals: {cause}"));
            return ExitCode::from(exit::START);
        }
    };
    start_log(&settings);
    match start(&settings) {
        Ok(running) => {
            wait_for_stop(signals);
            running.stop();
            info!("stopped");
            ExitCode::from(exit::SUCCESS)
        }
        Err(error) => {
            complain(error);
            ExitCode::from(exit::START)
        }
    }
}

fn start(settings: &Settings) -> Result<Running, StartError> {
    info!(version = env!("CARGO_PKG_VERSION"), workers = settings.workers, "starting");
    let running = longwire_server::start(settings)?;
    for address in running.addresses() {
        info!(%address, "listening");
    }
    Ok(running)
}

/// Returns at the first signal, and from then on ends the process at the next one.
fn wait_for_stop(mut signals: Signals) {
    if let Some(signal) = signals.forever().next() {
        info!(signal, "stopping; a second signal ends the broker at once");
    }
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            signal_hook::low_level::exit(exit::SIGNAL + signal);
        }
    });
}

/// Sends log lines to standard error in the form that was chosen.
fn start_log(settings: &Settings) {
    let colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(level(settings.log))
        .with_target(false)
        .with_ansi(colours)
        // When standard error is gone, there is nowhere left to say so.
        .log_internal_errors(false);
    match settings.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => {
            log.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
        }
    }
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
