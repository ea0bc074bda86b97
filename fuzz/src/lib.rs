//! Fuzz targets: one plain function each, which takes bytes and panics when something is wrong.
//!
//! The same functions run under libFuzzer (`RUSTC_BOOTSTRAP=1 cargo fuzz run decode --features libfuzzer`) and
//! under this crate's own driver on stable Rust (`cargo run --release -- decode --seconds 60`).
//!
//! To add a target: write a module with its function and its seeds, name both in [`TARGETS`], add a file of three
//! lines to `fuzz_targets/` and its `[[bin]]` to Cargo.toml, and run `cargo run -- seed NAME`.

#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]

mod client;
mod decode;
mod mutate;
mod round_trip;
mod shard;
mod topic;
mod vectors;

pub use client::client;
pub use decode::decode;
pub use mutate::Mutator;
pub use round_trip::round_trip;
pub use shard::shard;
pub use topic::topic;

/// What a run looked like from outside, as a number. The driver keeps inputs that show it a new one.
pub type Outcome = u64;

/// A target, as the driver knows it.
pub struct Target {
    /// Its name, also that of its folder in `corpus/`.
    pub name: &'static str,
    /// Panics when something is wrong.
    pub run: fn(&[u8]) -> Outcome,
    /// Named inputs to begin with.
    pub seeds: fn() -> Vec<(String, Vec<u8>)>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "client", run: client, seeds: client::seeds },
    Target { name: "decode", run: decode, seeds: vectors::packets },
    Target { name: "round_trip", run: round_trip, seeds: vectors::packets },
    Target { name: "shard", run: shard, seeds: shard::seeds },
    Target { name: "topic", run: topic, seeds: topic::seeds },
];
