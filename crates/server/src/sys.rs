//! `$SYS` topics: what the workers have counted, published at intervals, only where it changed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use longwire_broker::shard::{Counters, Shard};
use longwire_broker::tables::Tables;
use parking_lot::Mutex;

/// Counts of all workers.
#[derive(Debug)]
pub(crate) struct Sys {
    interval_secs: u32,
    connections: AtomicUsize,
    counted: Vec<Mutex<Counted>>,
    published: Mutex<Published>,
}

/// One worker's counts as of some tick.
#[derive(Debug, Default)]
struct Counted {
    tick: u32,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Published {
    next_tick: u32,
    clients_maximum: u64,
    values: HashMap<&'static str, String>,
}

impl Sys {
    /// For `workers` workers; `interval_secs` of 0 publishes nothing.
    pub(crate) fn new(workers: usize, interval_secs: u16) -> Self {
        Sys {
            interval_secs: u32::from(interval_secs),
            connections: AtomicUsize::new(0),
            counted: (0..workers).map(|_| Mutex::default()).collect(),
            published: Mutex::default(),
        }
    }

    /// Connections of all workers, those without CONNECT included.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes over a worker's counts, once a second.
    pub(crate) fn update(&self, worker: u16, tick: u32, shard: &mut Shard) {
        let mut counted = self.counted[usize::from(worker)].lock();
        if counted.tick != tick {
            counted.tick = tick;
            counted.counters = shard.count();
        }
    }

    /// Topics whose values changed since the last round, if a round is due.
    pub(crate) fn values_if_due(&self, tick: u32, tables: &Tables) -> Option<Vec<(String, String)>> {
        let mut published = self.published.lock();
        if self.interval_secs == 0 || tick < published.next_tick {
            return None;
        }
        published.next_tick = tick + self.interval_secs;
        let total = self.total();
        published.clients_maximum = published.clients_maximum.max(total.connections);
        let values = values(&total, tick, published.clients_maximum, tables);
        let changed = values
            .into_iter()
            .filter(|(topic, value)| published.values.get(topic) != Some(value))
            .collect::<Vec<_>>();
        published.values.extend(changed.iter().cloned());
        Some(changed.into_iter().map(|(topic, value)| (format!("$SYS/broker/{topic}"), value)).collect())
    }

    fn total(&self) -> Counters {
        let mut total = Counters::default();
        for counted in &self.counted {
            total += counted.lock().counters;
        }
        total
    }
}

/// Names and values as tools for Mosquitto expect them.
fn values(total: &Counters, tick: u32, clients_maximum: u64, tables: &Tables) -> Vec<(&'static str, String)> {
    let retained = tables.retained.read();
    let offline = total.sessions.saturating_sub(total.connections);
    vec![
        ("version", concat!("longwire version ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("uptime", format!("{tick} seconds")),
        ("clients/total", total.sessions.to_string()),
        ("clients/connected", total.connections.to_string()),
        ("clients/active", total.connections.to_string()),
        ("clients/disconnected", offline.to_string()),
        ("clients/inactive", offline.to_string()),
        ("clients/maximum", clients_maximum.to_string()),
        ("clients/expired", total.sessions_expired.to_string()),
        ("messages/received", total.packets_received.to_string()),
        ("messages/sent", total.packets_sent.to_string()),
        ("publish/messages/received", total.publishes_received.to_string()),
        ("publish/messages/sent", total.publishes_sent.to_string()),
        ("publish/messages/dropped", total.publishes_dropped.to_string()),
        ("publish/bytes/received", total.publish_bytes_received.to_string()),
        ("publish/bytes/sent", total.publish_bytes_sent.to_string()),
        ("subscriptions/count", tables.subscriptions().to_string()),
        ("retained messages/count", retained.topics.len().to_string()),
        ("store/messages/bytes", retained.bytes.to_string()),
    ]
}
