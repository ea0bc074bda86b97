//! `bench sub`: subscribers alone, which count and check what `bench pub` sends.
//!
//! It cannot know how much was sent: messages missing at the very end are not noticed.

use std::io;
use std::time::Duration;

use longwire_proto::QoS;
use serde_json::json;

use super::Summary;
use super::flow::{clients, payload_bytes};
use super::load::{self, Plan};
use super::target::{Target, parse_qos};

/// Options of `bench sub`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  longwire bench sub -n 5                        each of the five gets everything that `bench pub` sends
  longwire bench sub -n 5 -t '$share/crew/bench/#'   each message goes to one of the five")]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// Subscribers.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1, value_parser = clients())]
    clients: u32,
    /// QoS of the subscriptions.
    #[arg(long, short = 'q', value_name = "0|1|2", default_value = "0", value_parser = parse_qos)]
    qos: QoS,
    /// Largest payload that is expected, in bytes.
    #[arg(long, short = 's', value_name = "BYTES", default_value_t = 64 * 1024)]
    payload: u32,
    /// Topic filter; `%` stands for the number of the subscriber.
    #[arg(long, short = 't', value_name = "FILTER", default_value = "bench/#")]
    topic: String,
    /// Seconds of counting.
    #[arg(long, short = 'd', value_name = "SECONDS", default_value_t = 10)]
    duration: u32,
}

/// Runs it.
pub(super) fn run(args: &Args) -> io::Result<Summary> {
    let plan = Plan {
        qos: args.qos,
        payload_bytes: payload_bytes(args.payload)?,
        window: 1,
        rate: None,
        first_publisher: 0,
        topics: Vec::new(),
        filters: (0..args.clients).map(|number| args.topic.replace('%', &number.to_string())).collect(),
        heard: None,
        warm_up: Duration::ZERO,
        duration: Duration::from_secs(args.duration.into()),
    };
    let mut summary = load::run(&args.target, plan)?;
    summary.figures.insert("scenario".into(), json!("sub"));
    Ok(summary)
}
