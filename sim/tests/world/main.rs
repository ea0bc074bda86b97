//! The broker without sockets, threads or clocks: shards, journal and log in one deterministic world.
//!
//! [`world`] drives them as the server does, in whatever order a test or a seed says; [`client`] speaks MQTT to them.
//! [`walks`] are the three stories every change should be checked against, [`histories`] many random ones, which
//! [`model`] judges.

mod client;
mod fan_out;
mod histories;
mod journal_full;
mod letting_go;
mod model;
mod random;
mod walks;
mod world;
