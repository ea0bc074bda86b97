//! The way to a server: a place, perhaps a proxy before it, and the layers that lie on the bytes.
//!
//! One file below for each layer. A [`Transport`] is made once from the options and opens one [`Connection`] after
//! another; to the driver all of them are the same stream of bytes. Invariant: whatever fails says which layer it was.

mod proxy;
mod tcp;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(unix)]
mod unix;
#[cfg(feature = "websocket")]
pub(crate) mod websocket;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::dial_error::{DialError, DialFault, Step};
use crate::url::host_and_port;

pub use proxy::{Proxy, ProxyError};

/// An open connection: a stream of MQTT in both directions, ordered and without loss, as every transport below is
/// `[MQTT-4.2.0-1]` `[MQTT-7.1.2-1 of 3.1.1]`.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub(crate) type Connection = Box<dyn Stream>;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Host {
        host: String,
        port: u16,
    },
    /// The path of a socket.
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Host { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Host { host, port } => write!(f, "{host}:{port}"),
            Place::Unix(path) => path.display().fmt(f),
        }
    }
}

/// The way to one server.
#[derive(Clone)]
pub(crate) struct Transport {
    pub(crate) place: Place,
    /// That of servers named without one.
    pub(crate) default_port: u16,
    pub(crate) proxy: Option<Proxy>,
    /// The address of this machine that TCP comes from, if that matters.
    pub(crate) local_address: Option<IpAddr>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<tls::Connector>,
    #[cfg(feature = "websocket")]
    pub(crate) websocket: Option<websocket::WebSocket>,
    /// For all layers together.
    pub(crate) timeout: Duration,
}

impl Transport {
    /// Opens a connection, all layers of it.
    pub(crate) async fn open(&self) -> Result<Connection, DialError> {
        let mut step = Step::Connecting;
        let opened = match timeout(self.timeout, self.layers(&mut step)).await {
            Ok(opened) => opened,
            Err(_) => Err(DialFault::Timeout { limit: self.timeout, step }),
        };
        opened.map_err(|fault| DialError { place: self.place.to_string(), fault })
    }

    /// The same way to another server, as a Server Reference names it: `host` or `host:port`.
    pub(crate) fn to(&self, reference: &str) -> Option<Transport> {
        let (host, port) = host_and_port(reference).ok()?;
        let place = Place::Host { host, port: port.unwrap_or(self.default_port) };
        Some(Transport { place, ..self.clone() })
    }

    #[cfg_attr(not(any(feature = "tls", feature = "websocket")), allow(unused_variables, unused_mut))]
    async fn layers(&self, step: &mut Step) -> Result<Connection, DialFault> {
        let mut connection = self.bare(step).await?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            *step = Step::Tls;
            connection = Box::new(tls.open(&self.place, connection).await?);
        }
        #[cfg(feature = "websocket")]
        if let Some(websocket) = &self.websocket {
            *step = Step::WebSocket;
            connection = Box::new(websocket.open(&self.place, self.default_port, connection).await?);
        }
        Ok(connection)
    }

    /// The lowest layer, by a proxy or straight.
    async fn bare(&self, step: &mut Step) -> Result<Connection, DialFault> {
        match (&self.place, &self.proxy) {
            (Place::Host { host, port }, None) => {
                Ok(Box::new(tcp::open(host, *port, self.local_address, self.timeout).await?))
            }
            (Place::Host { host, port }, Some(proxy)) => {
                *step = Step::Proxy;
                Ok(Box::new(proxy.open(host, *port, self.local_address, self.timeout).await?))
            }
            #[cfg(unix)]
            (Place::Unix(path), _) => Ok(Box::new(unix::open(path).await?)),
            #[cfg(not(unix))]
            (Place::Unix(_), _) => Err(DialFault::Network(std::io::ErrorKind::Unsupported.into())),
        }
    }
}

/// An error of a connection, in words where its own say little.
pub(crate) fn explained(error: std::io::Error) -> std::io::Error {
    #[cfg(feature = "tls")]
    if let Some(fault) = tls::fault(&error) {
        return std::io::Error::new(error.kind(), fault);
    }
    error
}
