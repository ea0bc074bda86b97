//! `bench pub`: publishers alone; `bench sub`, here or on another machine, tells what arrived.

use std::io;
use std::time::Duration;

use longwire_proto::QoS;
use serde_json::json;

use super::Summary;
use super::flow::{clients, payload_bytes};
use super::load::{self, Plan};
use super::target::{Target, parse_qos};

/// Options of `bench pub`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  longwire bench pub -n 10 --rate 1000 -d 60
  longwire bench pub -n 100 -q 1 -t site/%/data -s 512")]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// Publishers.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100, value_parser = clients())]
    clients: u32,
    /// QoS of publishing.
    #[arg(long, short = 'q', value_name = "0|1|2", default_value = "0", value_parser = parse_qos)]
    qos: QoS,
    /// Bytes of a payload, the stamp of 24 bytes included.
    #[arg(long, short = 's', value_name = "BYTES", default_value_t = 64)]
    payload: u32,
    /// Messages of one publisher that may be unacknowledged, and that are written at a time.
    #[arg(long, short = 'w', value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..60_000))]
    window: u32,
    /// Messages per second and publisher, sent at planned times whatever the broker does; without it, as many as the broker
    /// takes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Topic; `%` stands for the number of the publisher.
    #[arg(long, short = 't', value_name = "TOPIC", default_value = "bench/%/telemetry")]
    topic: String,
    /// Number of the first publisher, so that several processes can share one `bench sub`.
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u32,
    /// Seconds of publishing.
    #[arg(long, short = 'd', value_name = "SECONDS", default_value_t = 5)]
    duration: u32,
}

/// Runs it.
pub(super) fn run(args: &Args) -> io::Result<Summary> {
    let topic =
        |number: u32| args.topic.replace('%', &(u64::from(args.first) + u64::from(number)).to_string());
    let plan = Plan {
        qos: args.qos,
        payload_bytes: payload_bytes(args.payload)?,
        window: args.window,
        rate: args.rate,
        first_publisher: args.first,
        topics: (0..args.clients).map(topic).collect(),
        filters: Vec::new(),
        heard: None,
        warm_up: Duration::ZERO,
        duration: Duration::from_secs(args.duration.into()),
    };
    let mut summary = load::run(&args.target, plan)?;
    summary.figures.insert("scenario".into(), json!("pub"));
    Ok(summary)
}
