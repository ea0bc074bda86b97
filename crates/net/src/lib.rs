//! Bytes and time for an event loop: what a worker thread of the broker and the load generator need from the
//! operating system, and nothing of MQTT.
//!
//! - [`poll`]: readiness of many sockets, for one thread.
//! - [`listen`], [`stream`]: where sockets come from, and what can be done with one.
//! - [`mail`]: batches and wake-ups between threads.
//! - [`wheel`]: one timer per slot, in whole ticks.
//! - [`descriptors`], [`process`]: limits and accounts of a process.
//!
//! There is no clock in here: callers say what time it is.

pub mod descriptors;
pub mod listen;
pub mod mail;
pub mod poll;
pub mod process;
pub mod stream;
pub mod wheel;
