//! `$SYS` topics: what the workers have counted, published at intervals, only where it changed. The names are those
//! that tools for Mosquitto expect.

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

/// One worker's counts as of its last two ticks. A report takes all workers as of the tick before its own, whichever of
/// them have got further: mixed ticks would make the rates between two reports jump.
#[derive(Debug, Default)]
struct Counted {
    tick: u32,
    counters: Counters,
    before: Counters,
}

impl Counted {
    fn note(&mut self, tick: u32, counters: Counters) {
        self.before = std::mem::replace(&mut self.counters, counters);
        self.tick = tick;
    }

    fn before_tick(&self, tick: u32) -> Counters {
        if self.tick < tick { self.counters } else { self.before }
    }
}

/// What was published last.
#[derive(Debug, Default)]
struct Published {
    tick: u32,
    counters: Counters,
    clients_maximum: u64,
    loads: [[f64; AVERAGED_OVER_MINUTES.len()]; LOADS.len()],
    values: HashMap<String, String>,
}

/// Minutes over which loads are averaged.
const AVERAGED_OVER_MINUTES: [u32; 3] = [1, 5, 15];

/// A name below `load/` and the count whose rate it is.
type Load = (&'static str, fn(&Counters) -> u64);

const LOADS: [Load; 9] = [
    ("messages/received", |counters| counters.packets_received),
    ("messages/sent", |counters| counters.packets_sent),
    ("publish/received", |counters| counters.publishes_received),
    ("publish/sent", |counters| counters.publishes_sent),
    ("publish/dropped", |counters| counters.publishes_dropped),
    ("bytes/received", |counters| counters.bytes_received),
    ("bytes/sent", |counters| counters.bytes_sent),
    ("sockets", |counters| counters.connections_accepted),
    ("connections", |counters| counters.connections_accepted),
];

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

    /// Takes over a worker's counts, once a second. An idle worker has a turn a second, so that they are never old.
    pub(crate) fn update(&self, worker: u16, tick: u32, shard: &mut Shard) {
        let mut counted = self.counted[usize::from(worker)].lock();
        if counted.tick != tick {
            counted.note(tick, shard.count());
        }
    }

    /// Topics whose values changed since the last round, if a round is due.
    pub(crate) fn values_if_due(&self, tick: u32, tables: &Tables) -> Option<Vec<(String, String)>> {
        let mut published = self.published.lock();
        if self.interval_secs == 0 || tick < published.tick + self.interval_secs {
            return None;
        }
        let mut total = Counters::default();
        for counted in &self.counted {
            total += counted.lock().before_tick(tick);
        }
        published.average(&total, tick);
        let mut values = counts(&total, tick, published.clients_maximum, self.connections());
        values.extend(table_sizes(tables));
        values.extend(published.loads());
        values.retain(|(topic, value)| published.values.get(topic) != Some(value));
        published.values.extend(values.iter().cloned());
        Some(values.into_iter().map(|(topic, value)| (format!("$SYS/broker/{topic}"), value)).collect())
    }
}

impl Published {
    /// Carries the averages on: rates per minute, exponentially weighted.
    fn average(&mut self, total: &Counters, tick: u32) {
        let minutes = f64::from(tick - self.tick) / 60.0;
        for (averages, (_, count)) in self.loads.iter_mut().zip(LOADS) {
            let rate = count(total).saturating_sub(count(&self.counters)) as f64 / minutes;
            for (average, over) in averages.iter_mut().zip(AVERAGED_OVER_MINUTES) {
                let weight = 1.0 - (-minutes / f64::from(over)).exp();
                *average += weight * (rate - *average);
            }
        }
        self.tick = tick;
        self.counters = *total;
        self.clients_maximum = self.clients_maximum.max(total.connections);
    }

    fn loads(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.loads.iter().zip(LOADS).flat_map(|(averages, (name, _))| {
            averages
                .iter()
                .zip(AVERAGED_OVER_MINUTES)
                .map(move |(average, over)| (format!("load/{name}/{over}min"), format!("{average:.2}")))
        })
    }
}

fn counts(total: &Counters, tick: u32, clients_maximum: u64, sockets: usize) -> Vec<(String, String)> {
    let offline = total.sessions.saturating_sub(total.connections);
    let named = |(name, value): (&str, u64)| (name.to_owned(), value.to_string());
    let mut values = vec![
        ("version".to_owned(), concat!("longwire version ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("uptime".to_owned(), format!("{tick} seconds")),
    ];
    let counts = [
        ("clients/total", total.sessions),
        ("clients/connected", total.connections),
        ("clients/active", total.connections),
        ("clients/disconnected", offline),
        ("clients/inactive", offline),
        ("clients/maximum", clients_maximum),
        ("clients/expired", total.sessions_expired),
        ("connections/socket/count", sockets as u64),
        ("messages/received", total.packets_received),
        ("messages/sent", total.packets_sent),
        ("bytes/received", total.bytes_received),
        ("bytes/sent", total.bytes_sent),
        ("publish/messages/received", total.publishes_received),
        ("publish/messages/sent", total.publishes_sent),
        ("publish/messages/dropped", total.publishes_dropped),
        ("publish/bytes/received", total.publish_bytes_received),
        ("publish/bytes/sent", total.publish_bytes_sent),
    ];
    values.extend(counts.into_iter().map(named));
    values
}

fn table_sizes(tables: &Tables) -> [(String, String); 5] {
    let sizes = tables.sizes();
    [
        ("subscriptions/count", sizes.subscriptions),
        ("shared_subscriptions/count", sizes.groups),
        ("retained messages/count", sizes.retained),
        ("store/messages/count", sizes.retained),
        ("store/messages/bytes", sizes.retained_bytes),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_takes_all_workers_as_of_the_same_tick() {
        let counters = |publishes_received| Counters { publishes_received, ..Counters::default() };
        let [mut ahead, mut behind] = [Counted::default(), Counted::default()];
        for tick in 1..=5 {
            ahead.note(tick, counters(u64::from(tick)));
        }
        for tick in 1..=4 {
            behind.note(tick, counters(u64::from(tick)));
        }
        for counted in [ahead, behind] {
            assert_eq!(counted.before_tick(5).publishes_received, 4);
        }
    }

    #[test]
    fn a_steady_rate_becomes_the_average() {
        let mut published = Published::default();
        for tick in (10..=36_000).step_by(10) {
            let total = Counters { publishes_received: u64::from(tick) * 5, ..Counters::default() };
            published.average(&total, tick);
        }
        let received: Vec<_> =
            published.loads().filter(|(name, _)| name.starts_with("load/publish/received/")).collect();
        assert_eq!(received.len(), 3);
        for (name, value) in received {
            assert_eq!(value, "300.00", "{name}");
        }
    }
}
