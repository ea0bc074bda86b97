//! The addresses of this machine that connections come from: an address has some 28,000 ports towards one listener, so
//! that larger fleets need several.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use longwire_net::stream::Stream;

use super::failed;

/// Connections from one address of 127.0.0.0/8, below what the ports of a usual system are enough for.
const CLIENTS_PER_ADDRESS: u32 = 20_000;

/// Where the connections of a fleet come from.
#[derive(Debug)]
pub(super) enum Sources {
    /// From where the system likes.
    Any,
    /// From these in turn.
    Given(Vec<IpAddr>),
    /// From 127.0.0.1, and when its ports run short from 127.0.0.2 and so on.
    Loopback,
}

impl Sources {
    /// The addresses that were given, or else what fits a broker at `target`.
    pub(super) fn new(given: &[IpAddr], target: SocketAddr) -> Self {
        match target.ip() {
            _ if !given.is_empty() => Sources::Given(given.to_vec()),
            IpAddr::V4(address) if address.is_loopback() => Sources::Loopback,
            _ => Sources::Any,
        }
    }

    /// Begins the connection of a client.
    pub(super) fn connect(&self, client: u32, target: SocketAddr) -> io::Result<Stream> {
        let Some(source) = self.of(client) else {
            return Stream::connect(target).map_err(|error| short(&error));
        };
        Stream::connect_from(source, target)
            .map_err(|error| failed(format!("no connection can be made from {source}: {}", short(&error))))
    }

    /// The address of a client; `None` lets the system choose.
    fn of(&self, client: u32) -> Option<IpAddr> {
        match self {
            Sources::Any => None,
            Sources::Given(addresses) => addresses.get(client as usize % addresses.len()).copied(),
            Sources::Loopback if client < CLIENTS_PER_ADDRESS => None,
            Sources::Loopback => {
                let first = u32::from(Ipv4Addr::LOCALHOST);
                Some(Ipv4Addr::from(first + client / CLIENTS_PER_ADDRESS).into())
            }
        }
    }
}

/// Adds the remedy when ports have run short.
fn short(error: &io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable => failed(format!(
            "{error}; if its ports have run short, name more addresses of this machine with --local-address"
        )),
        _ => failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_as_many_addresses_as_needed() {
        let sources = Sources::new(&[], SocketAddr::from(([127, 0, 0, 1], 1883)));
        assert_eq!(sources.of(19_999), None);
        assert_eq!(sources.of(20_000), Some(IpAddr::from([127, 0, 0, 2])));
        assert_eq!(sources.of(999_999), Some(IpAddr::from([127, 0, 0, 50])));
    }

    #[test]
    fn given_addresses_take_turns() {
        let given = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        let sources = Sources::new(&given, SocketAddr::from(([127, 0, 0, 1], 1883)));
        assert_eq!(
            [0, 1, 2].map(|client| sources.of(client)),
            [Some(given[0]), Some(given[1]), Some(given[0])]
        );
        assert!(matches!(Sources::new(&[], SocketAddr::from(([10, 0, 0, 9], 1883))), Sources::Any));
    }
}
