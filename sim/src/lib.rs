//! The broker without sockets, threads or clocks: shards, journal and log in one deterministic world, and random
//! histories that a model of MQTT judges.
