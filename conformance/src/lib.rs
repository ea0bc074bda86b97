//! Conformance of an MQTT broker, judged from outside: scenes over real sockets, each quoting what it proves.
//!
//! [`run`] plays every scene that [`Settings`] select against one broker and returns a [`Report`]. The scenes
//! are in `scenes/`, one file per area; `peer` and `stage` are the language they are written in; `craft` writes
//! what no codec would. Ids are those of `conformance/spec`: `A07` is a hard case, `U5-31` an unnumbered rule,
//! `MQTT-4.3.2-5` a numbered statement of the version that the scene plays in.

mod craft;
mod failure;
mod fault;
mod greeting;
mod message;
pub mod own;
mod peer;
mod proxy;
mod report;
mod runner;
mod scenes;
pub mod spec;
mod stage;
mod target;
mod transcript;

use std::net::SocketAddr;

pub use fault::{Fault, faults};
pub use longwire_proto::Version;
pub use proxy::Proxy;
pub use report::{Outcome, Performance, Report, version_name};
pub use runner::{catalogue, run};
pub use target::Target;

/// What to play, where, and how strictly.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The broker.
    pub address: SocketAddr,
    /// Versions to play, 3.1.1 and 5.0 by default.
    pub versions: Vec<Version>,
    /// Plays only scenes that one of these words selects: a whole id those that quote it, anything else those with
    /// the word in their name or in one of their ids.
    pub only: Option<String>,
    /// Accepts reactions that the specification folder calls "also seen", bare closes among them.
    pub lenient: bool,
    /// How long the broker waits for CONNECT, seconds.
    pub connect_timeout_secs: u64,
    /// How long the broker waits for the rest of a packet, seconds.
    pub packet_timeout_secs: u64,
    /// Scenes that play at the same time.
    pub threads: usize,
}

impl Settings {
    /// The default settings for this broker.
    pub fn new(address: SocketAddr) -> Self {
        Settings {
            address,
            versions: vec![Version::V311, Version::V5],
            only: None,
            lenient: false,
            connect_timeout_secs: 10,
            packet_timeout_secs: 30,
            threads: 16,
        }
    }
}
