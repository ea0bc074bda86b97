//! `bench conn`: connections with subscriptions, held idle; what they cost the broker in time and memory.

use std::io;
use std::time::{Duration, Instant};

use longwire_proto::packet::{ConnAck, Publish, Subscribe, SubscribeFiltersBuf, SubscribeOptions};
use longwire_proto::property::Properties;
use longwire_proto::{Packet, PacketId, QoS, Version, encode};
use serde_json::json;

use super::Summary;
use super::fleet::{Fleet, Script};
use super::flow::clients;
use super::meter::{Reading, broker_memory};
use super::target::{Target, parse_qos, version_name};

/// Filters in one SUBSCRIBE packet.
const FILTERS_PER_PACKET: u32 = 100;
/// Largest packet expected: a SUBACK, or a message that somebody sends to our topics.
const PACKET_BYTES_MAX: usize = 64 * 1024;

/// Options of `bench conn`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  longwire bench conn -n 50000 --connect-rate 2000 -d 60
  longwire bench conn -n 1000 --subscriptions 100 --pid 4711")]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// Connections.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1000, value_parser = clients())]
    clients: u32,
    /// Subscriptions of each connection, to filters of 33 characters that nobody else has.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    subscriptions: u32,
    /// QoS of the subscriptions.
    #[arg(long, short = 'q', value_name = "0|1|2", default_value = "0", value_parser = parse_qos)]
    qos: QoS,
    /// Seconds to hold them.
    #[arg(long, short = 'd', value_name = "SECONDS", default_value_t = 3)]
    duration: u32,
}

/// Runs it.
pub(super) fn run(args: &Args) -> io::Result<Summary> {
    let target = &args.target;
    target.pin()?;
    let mut fleet = Fleet::new(target, PACKET_BYTES_MAX)?;
    let mut idle =
        Idle { version: target.mqtt_version, subscriptions: args.subscriptions, qos: args.qos, foreign: 0 };

    let (memory_before, before) = (broker_memory(target.pid)?, Reading::take(target.pid)?);
    fleet.bring_up(args.clients, &mut idle)?;
    let after = Reading::take(target.pid)?;
    fleet.tell(format_args!("{} clients are connected", args.clients));
    let end = Instant::now() + Duration::from_secs(args.duration.into());
    while Instant::now() < end {
        fleet.turn(Duration::from_millis(100), &mut idle)?;
        let left = end.saturating_duration_since(Instant::now()).as_secs();
        fleet.progress().show(|_| format!("{left} s left: the connections are held"));
    }
    fleet.progress().clear();
    let memory_after = broker_memory(target.pid)?;
    fleet.disconnect();

    let subscriptions = u64::from(args.clients) * u64::from(args.subscriptions);
    let mut figures = after.figures_since(&before, args.clients.into(), "connection");
    figures.insert("scenario".into(), json!("conn"));
    figures.insert("version".into(), json!(version_name(target.mqtt_version)));
    figures.insert("connections".into(), json!(args.clients));
    figures.insert("subscriptions".into(), json!(subscriptions));
    figures.insert("foreign".into(), json!(idle.foreign));
    figures.insert("faults".into(), fleet.faults().figures());
    if let (Some(before), Some(after)) = (memory_before, memory_after) {
        let each = |count: u64| json!(after.saturating_sub(before) / count.max(1));
        figures.insert("broker_resident_bytes_before".into(), json!(before));
        figures.insert("broker_resident_bytes".into(), json!(after));
        figures.insert("broker_bytes_per_connection".into(), each(args.clients.into()));
        figures.insert("broker_bytes_per_subscription".into(), each(subscriptions));
    }
    Ok(Summary { clean: fleet.faults().is_empty(), figures })
}

/// Clients that subscribe and then do nothing.
struct Idle {
    version: Version,
    subscriptions: u32,
    qos: QoS,
    foreign: u64,
}

impl Script for Idle {
    fn greeted(&mut self, client: u32, _: &ConnAck<'_>, out: &mut Vec<u8>) -> io::Result<u32> {
        let packets = self.subscriptions.div_ceil(FILTERS_PER_PACKET);
        for packet in 0..packets {
            let mut filters = SubscribeFiltersBuf::default();
            let first = packet * FILTERS_PER_PACKET;
            for number in first..self.subscriptions.min(first + FILTERS_PER_PACKET) {
                let filter = format!("bench/{client:08}/telemetry-{number:08}");
                filters.push(&filter, SubscribeOptions::with_qos(self.qos));
            }
            let subscribe = Subscribe {
                packet_id: PacketId::MIN.saturating_add(packet as u16),
                properties: Properties::EMPTY,
                filters: filters.as_filters(),
            };
            encode::packet(&Packet::Subscribe(subscribe), self.version, out).map_err(io::Error::other)?;
        }
        Ok(packets)
    }

    fn received(&mut self, _: u32, _: &Publish<'_>, _: u64) {
        self.foreign += 1;
    }

    fn acknowledged(&mut self, _: u32) {}
}
