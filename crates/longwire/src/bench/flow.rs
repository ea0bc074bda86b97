//! `bench flow`: publishers and subscribers of one process, so that every message is accounted for.

use std::io;
use std::ops::Range;
use std::time::Duration;

use longwire_proto::QoS;
use serde_json::json;

use super::load::{self, Plan};
use super::target::{Target, parse_qos};
use super::{Summary, failed};

/// Largest number of clients of one kind.
const CLIENTS_MAX: u32 = 1_000_000;

/// Options of `bench flow`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  longwire bench flow -n 10 -q 2 -s 1024
  longwire bench flow --pattern fan-in -n 200 --rate 50
  longwire bench flow --pattern shared -n 20 --members 5 -q 1")]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// Who sends to whom.
    #[arg(long, value_enum, default_value_t = Pattern::Pair)]
    pattern: Pattern,
    /// Pairs, subscribers of a fan-out, or publishers of a fan-in or towards a group.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100, value_parser = clients())]
    clients: u32,
    /// Members of the group of `--pattern shared`.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clients())]
    members: u32,
    /// QoS of publishing and subscribing.
    #[arg(long, short = 'q', value_name = "0|1|2", default_value = "0", value_parser = parse_qos)]
    qos: QoS,
    /// Bytes of a payload, the stamp of 24 bytes included.
    #[arg(long, short = 's', value_name = "BYTES", default_value_t = 64)]
    payload: u32,
    /// Messages of one publisher under way at a time.
    #[arg(long, short = 'w', value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..60_000))]
    window: u32,
    /// Messages per second and publisher, sent at planned times whatever the broker does, with latencies from those times;
    /// without it, as many as the window lets through.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Beginning of topics.
    #[arg(long, value_name = "TOPIC", default_value = "bench")]
    topic_prefix: String,
    /// Seconds before measuring begins.
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    warm_up: u32,
    /// Seconds of measuring.
    #[arg(long, short = 'd', value_name = "SECONDS", default_value_t = 5)]
    duration: u32,
}

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Pattern {
    /// Each publisher to a subscriber of its own.
    Pair,
    /// One publisher to all subscribers.
    FanOut,
    /// All publishers to one subscriber.
    FanIn,
    /// All publishers to a group of subscribers, each message to one of them.
    Shared,
}

/// The range that `--clients` is held to, here and in the other scenarios.
pub(super) fn clients() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(CLIENTS_MAX))
}

/// The largest payload that can be asked for.
pub(super) fn payload_bytes(bytes: u32) -> io::Result<usize> {
    const PAYLOAD_BYTES_MAX: u32 = 16 << 20;
    if bytes > PAYLOAD_BYTES_MAX {
        return Err(failed(format!("a payload may have at most {PAYLOAD_BYTES_MAX} bytes here")));
    }
    Ok(bytes as usize)
}

/// Runs it.
pub(super) fn run(args: &Args) -> io::Result<Summary> {
    let (topics, filters, heard) = lay_out(args);
    let plan = Plan {
        qos: args.qos,
        payload_bytes: payload_bytes(args.payload)?,
        window: args.window,
        rate: args.rate,
        first_publisher: 0,
        topics,
        filters,
        heard: Some(heard),
        warm_up: Duration::from_secs(args.warm_up.into()),
        duration: Duration::from_secs(args.duration.into()),
    };
    let mut summary = load::run(&args.target, plan)?;
    let pattern = clap::ValueEnum::to_possible_value(&args.pattern).map(|value| value.get_name().to_owned());
    summary.figures.insert("scenario".into(), json!("flow"));
    summary.figures.insert("pattern".into(), json!(pattern));
    Ok(summary)
}

/// Topics of the publishers, filters of the subscribers, and whom each subscriber hears.
fn lay_out(args: &Args) -> (Vec<String>, Vec<String>, Vec<Range<u32>>) {
    let topic = |number: u32| format!("{}/{number}/telemetry", args.topic_prefix);
    let one = vec![topic(0)];
    let many: Vec<String> = (0..args.clients).map(topic).collect();
    match args.pattern {
        Pattern::Pair => (many.clone(), many, (0..args.clients).map(|number| number..number + 1).collect()),
        Pattern::FanOut => {
            (one.clone(), vec![topic(0); args.clients as usize], vec![0..1; args.clients as usize])
        }
        Pattern::FanIn => {
            (vec![topic(0); args.clients as usize], one, std::iter::once(0..args.clients).collect())
        }
        Pattern::Shared => {
            let filter = format!("$share/bench/{}/+/telemetry", args.topic_prefix);
            let members = args.members as usize;
            (many, vec![filter; members], vec![0..args.clients; members])
        }
    }
}
