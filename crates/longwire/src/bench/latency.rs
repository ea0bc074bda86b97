//! How long messages were under way, as percentiles.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Longer is counted as this much.
const NANOS_MAX: u64 = 60_000_000_000;

/// Times from one event to another.
#[derive(Debug)]
pub(super) struct Latency(Histogram<u64>);

impl Latency {
    pub(super) fn new() -> Latency {
        Latency(Histogram::new_with_bounds(1, NANOS_MAX, 2).expect("these bounds are in order"))
    }

    /// Counts one.
    pub(super) fn record(&mut self, from_nanos: u64, to_nanos: u64) {
        self.0.saturating_record(to_nanos.saturating_sub(from_nanos).max(1));
    }

    /// Forgets what was counted.
    pub(super) fn clear(&mut self) {
        self.0.reset();
    }

    /// For a line of progress.
    pub(super) fn in_short(&self) -> String {
        let millis = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e6;
        format!("p50 {:.2} ms, p99 {:.2} ms", millis(0.5), millis(0.99))
    }

    /// Percentiles in microseconds.
    pub(super) fn figures(&self) -> Value {
        let micros = |quantile| self.0.value_at_quantile(quantile) as f64 / 1000.0;
        json!({ "p50": micros(0.5), "p90": micros(0.9), "p99": micros(0.99), "p999": micros(0.999), "max": micros(1.0) })
    }
}
