//! MQTT.js (`mqtt` of npm); the cases are the functions of `mqttjs_client.mjs`.

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
    let mut node = Command::new("node");
    node.arg(script("mqttjs_client.mjs")).arg(test_env().join("node"));
    node.args([&broker.port_text(), version, case]);
    Process::spawn(&mut node).finish();
}
