//! Plain TCP to a host by name or address.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;

use crate::dial_error::DialFault;

/// Connects, from the address `local` if there is one. Tries the addresses of a host in turn, each for its share of the time, so that a first one that swallows packets leaves
/// some for the second.
pub(super) async fn open(
    host: &str,
    port: u16,
    local: Option<IpAddr>,
    limit: Duration,
) -> Result<TcpStream, DialFault> {
    let looked_up = lookup_host((host, port)).await;
    let addresses: Vec<SocketAddr> =
        looked_up.map_err(|error| DialFault::Lookup { host: host.to_owned(), error })?.collect();
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(1);
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match timeout(share, connect(address, local)).await {
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

async fn connect(address: SocketAddr, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let Some(local) = local else { return TcpStream::connect(address).await };
    let socket = if local.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.bind(SocketAddr::new(local, 0)).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{local} is no address of this machine to connect from ({error})"),
        )
    })?;
    socket.connect(address).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn a_connection_comes_from_the_address_that_was_chosen() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let local = Some(IpAddr::from([127, 0, 0, 2]));
        let _stream = open("127.0.0.1", port, local, Duration::from_secs(10)).await.expect("a connection");
        assert_eq!(listener.accept().await.expect("a connection").1.ip(), IpAddr::from([127, 0, 0, 2]));
    }
}
