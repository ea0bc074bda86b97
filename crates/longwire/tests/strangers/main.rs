//! Other people's clients against the broker, and our client library against other people's broker: our own tests share
//! our misreadings, theirs do not.
//!
//! One module for each stranger, one test for each behaviour and protocol version, a fresh broker for each test. They
//! need programs that `cargo xtask test` installs, so a plain `cargo test` leaves those out and says so.

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod support;

/// Makes one test of each case, named like it, that calls `$run($version, name of the case)`.
macro_rules! cases {
    ($run:path, $version:expr; $($case:ident)*) => {$(
        #[test]
        #[ignore = "needs programs that `cargo xtask test` installs"]
        fn $case() {
            $run($version, stringify!($case));
        }
    )*};
}

mod library;
mod mosquitto;
mod mqttjs;
mod paho;
mod rust;

use std::path::{Path, PathBuf};

/// The folder into which `cargo xtask test` puts what belongs to nobody else.
fn test_env() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.test-env")
}

/// A script that lies beside this file.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/strangers").join(name)
}
