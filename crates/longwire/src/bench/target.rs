//! Options that all scenarios share: which broker, and how to speak to it.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use longwire_net::process::pin_to_processor;
use longwire_proto::{QoS, Version};

use super::failed;
use super::sources::Sources;

/// Which broker, and how to speak to it.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// Where the broker listens.
    #[arg(long, short = 'a', value_name = "HOST:PORT", default_value = "127.0.0.1:1883")]
    address: String,
    /// Protocol version.
    #[arg(long, short = 'V', value_name = "VERSION", default_value = "311", value_parser = parse_version)]
    pub(super) mqtt_version: Version,
    /// New connections per second.
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) connect_rate: u32,
    /// Keep-alive of every connection, in seconds.
    #[arg(long, short = 'k', value_name = "SECONDS", default_value_t = 300)]
    pub(super) keep_alive: u16,
    /// Beginning of client identifiers.
    #[arg(long, value_name = "TEXT", default_value = "bench")]
    pub(super) client_prefix: String,
    /// User name of every client.
    #[arg(long, short = 'u', value_name = "NAME")]
    username: Option<String>,
    /// Password of every client.
    #[arg(long = "pw", short = 'P', value_name = "PASSWORD", allow_hyphen_values = true)]
    password: Option<String>,
    /// Address of this machine to connect from; given often, they take turns. Towards a broker at 127.x.x.x more than one
    /// is used when ports run short.
    #[arg(long, value_name = "ADDRESS")]
    local_address: Vec<IpAddr>,
    /// Also report CPU time and memory of this process on this machine: the broker's.
    #[arg(long, value_name = "PID")]
    pub(super) pid: Option<u32>,
    /// Run on this processor only.
    #[arg(long, value_name = "NUMBER")]
    cpu: Option<usize>,
}

impl Target {
    /// The first address that the name stands for.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        let addresses = self.address.to_socket_addrs().map_err(|error| {
            failed(format!(
                "`{}` is not an address ({error}); say HOST:PORT, such as 127.0.0.1:1883",
                self.address
            ))
        })?;
        addresses.into_iter().next().ok_or_else(|| failed(format!("`{}` has no address", self.address)))
    }

    /// Where the connections to `address` come from.
    pub(super) fn sources(&self, address: SocketAddr) -> Sources {
        Sources::new(&self.local_address, address)
    }

    /// User name and password.
    pub(super) fn credentials(&self) -> (Option<String>, Option<Vec<u8>>) {
        (self.username.clone(), self.password.clone().map(String::into_bytes))
    }

    /// Moves this thread to the processor it was given.
    pub(super) fn pin(&self) -> io::Result<()> {
        let Some(number) = self.cpu else { return Ok(()) };
        pin_to_processor(number)
            .map_err(|error| failed(format!("processor {number} cannot be used: {error}")))
    }
}

fn parse_version(text: &str) -> Result<Version, String> {
    match text.trim_start_matches("mqttv").replace('.', "").as_str() {
        "31" | "3" => Ok(Version::V31),
        "311" | "4" => Ok(Version::V311),
        "5" | "50" => Ok(Version::V5),
        _ => Err("one of 31, 311 and 5 is needed".into()),
    }
}

/// For `--qos`.
pub(super) fn parse_qos(text: &str) -> Result<QoS, String> {
    let qos = text.parse().ok().and_then(QoS::from_bits);
    qos.ok_or_else(|| "one of 0, 1 and 2 is needed".into())
}

/// What version 3.1, 3.1.1 or 5.0 is called in a summary.
pub(super) fn version_name(version: Version) -> &'static str {
    match version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5.0",
    }
}
