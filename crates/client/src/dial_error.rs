//! Why a connection could not be made: the place, the layer that failed, and what to do about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::transport::ProxyError;

/// A connection that could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub struct DialError {
    /// The server, as `host:port` or as the path of a socket.
    pub place: String,
    /// What stood in the way.
    pub fault: DialFault,
}

/// What stood in the way of a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum DialFault {
    /// The host's name was not found.
    #[non_exhaustive]
    Lookup {
        /// The name.
        host: String,
        /// Why.
        error: io::Error,
    },
    /// The network or the server refused the connection.
    Network(io::Error),
    /// Not done in time.
    #[non_exhaustive]
    Timeout {
        /// The time, `Options::dial_timeout`.
        limit: Duration,
        /// What was being done when it was up.
        step: Step,
    },
    /// The proxy gave no connection.
    #[non_exhaustive]
    Proxy {
        /// The proxy, as `host:port`.
        proxy: String,
        /// Why.
        error: ProxyError,
    },
    /// No TLS: the certificate, for instance.
    #[cfg(feature = "tls")]
    Tls(crate::tls::TlsFault),
    /// No WebSocket.
    #[cfg(feature = "websocket")]
    WebSocket(crate::WebSocketError),
    /// The function given to `Options::credentials_with` failed.
    Credentials(Box<dyn Error + Send + Sync>),
    /// The thread of a blocking client could not be started.
    Thread(io::Error),
}

/// A step on the way to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Looking up the name and opening TCP.
    Connecting,
    /// The same to a proxy, and talking to it.
    Proxy,
    /// The hand-shake of TLS.
    Tls,
    /// The request for a WebSocket.
    WebSocket,
}

impl DialError {
    /// The kind of the input or output error behind it, as far as there is one.
    pub fn kind(&self) -> io::ErrorKind {
        match &self.fault {
            DialFault::Lookup { error, .. } | DialFault::Network(error) | DialFault::Thread(error) => {
                error.kind()
            }
            DialFault::Timeout { .. } => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::Other,
        }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot reach {}: {}", self.place, self.fault)
    }
}

impl fmt::Display for DialFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialFault::Lookup { host, error } => {
                write!(f, "the name '{host}' was not found: {error}; is it spelled right?")
            }
            DialFault::Network(error) => {
                error.fmt(f)?;
                f.write_str(remedy(error.kind()))
            }
            DialFault::Timeout { limit, step } => {
                let step = match step {
                    Step::Connecting => "the network: a firewall may drop the packets",
                    Step::Proxy => "the proxy",
                    Step::Tls => "TLS: does this port speak it?",
                    Step::WebSocket => "the WebSocket: does this port speak HTTP?",
                };
                write!(f, "no answer within {limit:?} from {step}")
            }
            DialFault::Proxy { proxy, error } => write!(f, "the proxy {proxy} gives no connection: {error}"),
            #[cfg(feature = "tls")]
            DialFault::Tls(fault) => fault.fmt(f),
            #[cfg(feature = "websocket")]
            DialFault::WebSocket(error) => error.fmt(f),
            DialFault::Credentials(error) => write!(f, "there are no credentials: {error}"),
            DialFault::Thread(error) => write!(f, "the client's thread does not start: {error}"),
        }
    }
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::ConnectionRefused => "; is a broker running there, and is this its port?",
        io::ErrorKind::NotFound => "; is a broker listening on this socket?",
        io::ErrorKind::PermissionDenied => "; may this user reach it?",
        io::ErrorKind::TimedOut => "; a firewall may drop the packets",
        _ => "",
    }
}

impl Error for DialError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.fault)
    }
}

impl Error for DialFault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            DialFault::Lookup { error, .. } | DialFault::Network(error) | DialFault::Thread(error) => {
                Some(error)
            }
            DialFault::Proxy { error, .. } => Some(error),
            DialFault::Credentials(error) => Some(error.as_ref()),
            _ => None,
        }
    }
}
