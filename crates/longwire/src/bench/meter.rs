//! What a stretch of a run cost: time, CPU and memory, of this process and of the broker's if its pid is known.

use std::io;
use std::time::{Duration, Instant};

use longwire_net::process::{cpu_time, own_cpu_time, resident_bytes};
use serde_json::{Map, Value, json};

use super::failed;

/// Readings at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    at: Instant,
    own_cpu: Duration,
    broker_cpu: Option<Duration>,
}

impl Reading {
    /// Reads now.
    pub(super) fn take(pid: Option<u32>) -> io::Result<Reading> {
        let broker_cpu = pid.map(|pid| cpu_time(pid).map_err(|error| unreadable(pid, &error))).transpose()?;
        Ok(Reading { at: Instant::now(), own_cpu: own_cpu_time(), broker_cpu })
    }

    /// Seconds since `before`.
    pub(super) fn seconds_since(&self, before: &Reading) -> f64 {
        (self.at - before.at).as_secs_f64()
    }

    /// Seconds and CPU time since `before`, in all and for each of `count` things called `unit`.
    pub(super) fn figures_since(&self, before: &Reading, count: u64, unit: &str) -> Map<String, Value> {
        let mut figures = Map::new();
        let mut put = |name: String, value: f64| drop(figures.insert(name, json!(rounded(value))));
        let seconds = self.seconds_since(before);
        let per_thing = |spent: Duration| spent.as_secs_f64() * 1e6 / count.max(1) as f64;
        put("seconds".into(), seconds);
        put(format!("{unit}s_per_second"), count as f64 / seconds);
        put(format!("own_cpu_us_per_{unit}"), per_thing(self.own_cpu.saturating_sub(before.own_cpu)));
        put("own_cpu_share".into(), self.own_cpu.saturating_sub(before.own_cpu).as_secs_f64() / seconds);
        if let (Some(now), Some(then)) = (self.broker_cpu, before.broker_cpu) {
            put(format!("broker_cpu_us_per_{unit}"), per_thing(now.saturating_sub(then)));
            put("broker_cpu_share".into(), now.saturating_sub(then).as_secs_f64() / seconds);
        }
        figures
    }
}

/// Memory of the broker that is in RAM, in bytes, if its pid is known.
pub(super) fn broker_memory(pid: Option<u32>) -> io::Result<Option<u64>> {
    pid.map(|pid| resident_bytes(pid).map_err(|error| unreadable(pid, &error))).transpose()
}

/// As many digits as a measurement deserves.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn unreadable(pid: u32, error: &io::Error) -> io::Error {
    failed(format!(
        "the account of process {pid} cannot be read ({error}); is it the broker's pid, and yours?"
    ))
}
