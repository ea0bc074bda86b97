//! What the tests of the program share: processes read line by line, a broker among them, and a bare MQTT connection.
//!
//! Nothing here sleeps and hopes: every wait is for a line, a packet or an end, and gives up after [`PATIENCE`].
//! Nothing here ends a process that it did not start.

pub(crate) mod broker;
pub(crate) mod process;
pub(crate) mod wire;

use std::time::Duration;

pub(crate) use broker::Broker;
pub(crate) use process::{Process, longwire};
pub(crate) use wire::Wire;

/// How long a test waits for what must come: ample on a busy machine, and spent only when a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
