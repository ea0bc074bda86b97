//! How long messages were under way, as percentiles.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Longer is counted as this much.
const NANOS_MAX: u64 = 60_000_000_000;

/// Times from stamp to receipt.
#[derive(Debug)]
pub(super) struct Latency(Histogram<u64>);

impl Latency {
    pub(super) fn new() -> Latency {
        Latency(Histogram::new_with_bounds(1, NANOS_MAX, 2).expect("these bounds are in order"))
    }

    /// Counts one message.
    pub(super) fn record(&mut self, sent_nanos: u64, received_nanos: u64) {
        self.0.saturating_record(received_nanos.saturating_sub(sent_nanos).max(1));
    }

    /// Forgets what was counted.
    pub(super) fn clear(&mut self) {
        self.0.reset();
    }

    /// Percentiles in microseconds.
    pub(super) fn figures(&self) -> Value {
        let micros = |quantile| self.0.value_at_quantile(quantile) as f64 / 1000.0;
        json!({ "p50": micros(0.5), "p90": micros(0.9), "p99": micros(0.99), "p999": micros(0.999), "max": micros(1.0) })
    }
}
