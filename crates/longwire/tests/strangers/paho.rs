//! Paho's Python client (`paho-mqtt` of PyPI); the cases are the functions of `paho_client.py`.

use std::process::Command;

use crate::support::{Broker, Process};
use crate::{script, test_env};

mod v3_1_1 {
    cases!(super::run, "3.1.1";
        connect unsubscribe qos_pairs retained will wildcards shared takeover persistent_session large_payload);
}

mod v5_0 {
    cases!(super::run, "5.0";
        connect unsubscribe qos_pairs retained will wildcards shared takeover persistent_session large_payload
        properties topic_alias subscription_options);
}

fn run(version: &str, case: &str) {
    let broker = Broker::start();
    let mut python = Command::new(test_env().join("python/bin/python"));
    python.arg("-B").arg(script("paho_client.py")).args([&broker.port_text(), version, case]);
    Process::spawn(&mut python).finish();
}
