//! The broker without sockets, threads or clocks: shards, journal and log in one deterministic world.
//!
//! [`world`] drives them as the server does, in whatever order a test or a seed says; [`client`] speaks MQTT to them.

pub mod client;
pub mod world;
