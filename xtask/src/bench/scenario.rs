//! The loads, what is read from their summaries, and what we aim at.

use crate::bench::peer::Peer;

/// One load on one peer, and the rows of the table that it fills.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// Arguments of `longwire bench`.
    pub(super) load: &'static [&'static str],
    pub(super) rows: &'static [Row],
}

/// One line of the table.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Where it stands in the summary; `/` leads into an object.
    pub(super) key: &'static str,
    pub(super) aims: &'static [Aim],
}

/// What a figure should be at most.
pub(super) enum Aim {
    /// This much.
    AtMost(f64),
    /// This many times what a peer needs in the same run.
    Times(f64, Peer),
}

use Aim::{AtMost, Times};
use Peer::{Mosquitto, Relay};

const MESSAGE: &str = "broker_cpu_us_per_message";

/// Windows are chosen so that the relay's writes carry about as many messages as on a busy broker; see the report.
pub(super) static SCENARIOS: [Scenario; 9] = [
    Scenario {
        name: "15,000 idle connections",
        load: &["conn", "--clients", "15000", "--subscriptions", "1"],
        rows: &[
            Row {
                name: "idle connection with one subscription, user-space bytes",
                key: "broker_bytes_per_connection",
                aims: &[AtMost(400.0)],
            },
            Row {
                name: "connect and subscribe, CPU us per connection",
                key: "broker_cpu_us_per_connection",
                aims: &[Times(1.0, Mosquitto)],
            },
        ],
    },
    Scenario {
        name: "200,000 subscriptions of 100 clients",
        load: &["conn", "--clients", "100", "--subscriptions", "2000"],
        rows: &[Row {
            name: "subscription to a filter of 33 characters, bytes",
            key: "broker_bytes_per_subscription",
            aims: &[AtMost(120.0)],
        }],
    },
    Scenario {
        name: "100 pairs, QoS 0",
        load: &["flow", "--pattern", "pair", "--clients", "100", "--qos", "0", "--window", "48"],
        rows: &[Row {
            name: "100 pairs, QoS 0, CPU us per message",
            key: MESSAGE,
            aims: &[Times(3.0, Relay), Times(0.15, Mosquitto)],
        }],
    },
    Scenario {
        name: "100 pairs, QoS 1",
        load: &["flow", "--pattern", "pair", "--clients", "100", "--qos", "1", "--window", "48"],
        rows: &[Row {
            name: "100 pairs, QoS 1, CPU us per message",
            key: MESSAGE,
            aims: &[Times(0.15, Mosquitto)],
        }],
    },
    Scenario {
        name: "100 pairs, QoS 2",
        load: &["flow", "--pattern", "pair", "--clients", "100", "--qos", "2", "--window", "48"],
        rows: &[Row { name: "100 pairs, QoS 2, CPU us per message", key: MESSAGE, aims: &[] }],
    },
    Scenario {
        name: "fan-out 1 to 500, QoS 0",
        load: &["flow", "--pattern", "fan-out", "--clients", "500", "--qos", "0", "--window", "24"],
        rows: &[Row {
            name: "fan-out 1 to 500, QoS 0, CPU us per delivery",
            key: MESSAGE,
            aims: &[Times(1.5, Relay)],
        }],
    },
    Scenario {
        name: "fan-in 100 to 1, QoS 0",
        load: &["flow", "--pattern", "fan-in", "--clients", "100", "--qos", "0", "--window", "32"],
        rows: &[Row { name: "fan-in 100 to 1, QoS 0, CPU us per message", key: MESSAGE, aims: &[] }],
    },
    Scenario {
        name: "20 pairs of 16 KiB, QoS 0",
        load: &[
            "flow",
            "--pattern",
            "pair",
            "--clients",
            "20",
            "--qos",
            "0",
            "--window",
            "8",
            "--payload",
            "16384",
        ],
        rows: &[Row { name: "20 pairs of 16 KiB, QoS 0, CPU us per message", key: MESSAGE, aims: &[] }],
    },
    Scenario {
        name: "one pair, one message at a time",
        load: &["flow", "--pattern", "pair", "--clients", "1", "--qos", "0", "--window", "1"],
        rows: &[
            Row { name: "one pair, one message at a time, CPU us per message", key: MESSAGE, aims: &[] },
            Row {
                name: "the same: median time from publisher to subscriber, us",
                key: "latency_us/p50",
                aims: &[],
            },
        ],
    },
];
