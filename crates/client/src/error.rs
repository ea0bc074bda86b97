//! What can go wrong, sorted by the call it happens in; every text names the cause, and the remedy where there is one.

use std::fmt;
use std::io;
use std::sync::Arc;

use longwire_proto::client as machine;
use longwire_proto::{QoS, ReasonCode};

use crate::dial_error::DialError;
use crate::options::OptionsError;

/// Why there is no connection (any more).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The server could not be reached.
    Unreachable(Arc<DialError>),
    /// The connection broke, or the server closed it without a word.
    Lost(Arc<io::Error>),
    /// The protocol came to an end: asked for, refused, silent, or a rule was broken.
    Ended(machine::Cause),
    /// The client's side of enhanced authentication gave up, and why.
    AuthenticationGivenUp(Arc<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Unreachable(error) => error.fmt(f),
            Cause::Lost(error) => write!(f, "the connection was lost: {error}"),
            Cause::Ended(cause) => cause.fmt(f),
            Cause::AuthenticationGivenUp(error) => write!(f, "the authentication was given up: {error}"),
        }
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Cause::Unreachable(error) => Some(error.as_ref()),
            Cause::Lost(error) => Some(error.as_ref()),
            Cause::AuthenticationGivenUp(error) => Some(error.as_ref()),
            Cause::Ended(_) => None,
        }
    }
}

/// Why `Client::connect` gave no client.
#[derive(Clone, Debug)]
pub enum ConnectError {
    /// No client can be made of the options.
    Options(Arc<OptionsError>),
    /// The first connection failed.
    Failed(Cause),
}

impl From<OptionsError> for ConnectError {
    fn from(error: OptionsError) -> Self {
        ConnectError::Options(Arc::new(error))
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Options(error) => error.fmt(f),
            ConnectError::Failed(cause) => cause.fmt(f),
        }
    }
}

impl std::error::Error for ConnectError {}

/// Why a publication was not accepted.
#[derive(Clone, Debug)]
pub enum PublishError {
    /// It cannot be sent as it is.
    Rejected(machine::PublishError),
    /// The client has come to its end.
    Closed(Cause),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::Rejected(error) => error.fmt(f),
            PublishError::Closed(cause) => cause.fmt(f),
        }
    }
}

impl std::error::Error for PublishError {}

/// Why a publication that was accepted did not arrive, or may not have.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AcknowledgeError {
    /// The server refused it with this code.
    Refused(ReasonCode),
    /// It was accepted while offline, and the server takes no such message; the code it would have used.
    Unsendable(ReasonCode),
    /// QoS 2: the server took it and then lost the session. It was probably delivered; nobody can tell.
    SessionLost,
    /// The client came to its end first. It may have arrived.
    Closed(Cause),
}

impl fmt::Display for AcknowledgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcknowledgeError::Refused(reason) => {
                write!(f, "the server refused the message: {} (0x{:02X})", reason.name(), *reason as u8)
            }
            AcknowledgeError::Unsendable(reason) => {
                write!(f, "the server takes no such message: {} (0x{:02X})", reason.name(), *reason as u8)
            }
            AcknowledgeError::SessionLost => {
                f.write_str("the server took the message, then lost the session: it was probably delivered")
            }
            AcknowledgeError::Closed(cause) => write!(f, "not acknowledged: {cause}"),
        }
    }
}

impl std::error::Error for AcknowledgeError {}

/// Why a subscription (or its end) was not granted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SubscribeError {
    /// It cannot be asked for as it is.
    Rejected(machine::SubscribeError),
    /// The server refused this filter; the others of the request stay granted as listed.
    Refused {
        /// The first filter that was refused.
        filter: String,
        /// Why.
        reason: ReasonCode,
        /// The answer to every filter, in order.
        answers: Vec<Result<QoS, ReasonCode>>,
    },
    /// The client has come to its end.
    Closed(Cause),
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubscribeError::Rejected(error) => error.fmt(f),
            SubscribeError::Refused { filter, reason, .. } => {
                write!(f, "the server refused '{filter}': {} (0x{:02X})", reason.name(), *reason as u8)
            }
            SubscribeError::Closed(cause) => cause.fmt(f),
        }
    }
}

impl std::error::Error for SubscribeError {}
