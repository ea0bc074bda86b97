//! Where to listen: a URL `mqtt://host:port`, or `host:port` for short. Invariant: what counts as loopback never
//! depends on a name server, so that a broker is not exposed because somebody else changed an answer.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// Address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress(Host);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Address(SocketAddr),
    Name(String, u16),
}

impl ListenAddress {
    /// Plain TCP on this address; port 0 lets the system pick a free one.
    pub fn new(address: IpAddr, port: u16) -> Self {
        ListenAddress(Host::Address(SocketAddr::new(address, port)))
    }

    /// The port, 0 if the system is to pick one.
    pub fn port(&self) -> u16 {
        match &self.0 {
            Host::Address(address) => address.port(),
            Host::Name(_, port) => *port,
        }
    }

    /// Whether only this machine can reach it. A name other than `localhost` counts as reachable from outside.
    pub fn is_loopback(&self) -> bool {
        match &self.0 {
            Host::Address(address) => address.ip().to_canonical().is_loopback(),
            Host::Name(name, _) => is_localhost(name),
        }
    }

    /// The addresses to bind: one for a literal address, both loopback addresses for `localhost`, and whatever the
    /// system knows for any other name, at least one.
    ///
    /// # Errors
    /// If the system does not know the name.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.0 {
            Host::Address(address) => Ok(vec![*address]),
            Host::Name(name, port) if is_localhost(name) => Ok(vec![
                SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), *port),
                SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), *port),
            ]),
            Host::Name(name, port) => {
                let addresses: Vec<SocketAddr> = (name.as_str(), *port).to_socket_addrs()?.collect();
                if addresses.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
                }
                Ok(addresses)
            }
        }
    }
}

fn is_localhost(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Host::Address(address) => write!(out, "mqtt://{address}"),
            Host::Name(name, port) => write!(out, "mqtt://{name}:{port}"),
        }
    }
}

impl FromStr for ListenAddress {
    /// What is wrong, as a sentence.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let host_port = match text.split_once("://") {
            None => text,
            Some(("mqtt", rest)) => rest,
            Some((scheme @ ("mqtts" | "ws" | "wss"), _)) => {
                return Err(format!(
                    "{scheme}:// is not available in this version, only mqtt://host:port is"
                ));
            }
            Some((scheme, _)) => {
                return Err(format!("{scheme}:// is not a way to listen, only mqtt://host:port is"));
            }
        };
        if let Ok(address) = host_port.parse() {
            return Ok(ListenAddress(Host::Address(address)));
        }
        named(host_port).map(ListenAddress).ok_or_else(|| {
            format!("{text:?} is not mqtt://host:port, such as mqtt://127.0.0.1:1883 or [::1]:1883")
        })
    }
}

fn named(host_port: &str) -> Option<Host> {
    let (name, port) = host_port.rsplit_once(':')?;
    let is_name = (1..=253).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        // Digits and dots only is an address gone wrong.
        && name.bytes().any(|byte| byte.is_ascii_alphabetic());
    let digits_only = port.bytes().all(|byte| byte.is_ascii_digit());
    (is_name && digits_only).then(|| port.parse().ok().map(|port| Host::Name(name.to_owned(), port)))?
}
