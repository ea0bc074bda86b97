//! Plain TCP to a host by name or address.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::dial_error::DialFault;

/// Tries the addresses of a host in turn, each for its share of the time, so that a first one that swallows packets leaves
/// some for the second.
pub(super) async fn open(host: &str, port: u16, limit: Duration) -> Result<TcpStream, DialFault> {
    let looked_up = lookup_host((host, port)).await;
    let addresses: Vec<SocketAddr> =
        looked_up.map_err(|error| DialFault::Lookup { host: host.to_owned(), error })?.collect();
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(1);
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(DialFault::Network)?;
                return Ok(stream);
            }
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(DialFault::Network(failed))
}
