//! What a client tells its owner: events, the fate of each request, and why a connection ended.

use std::fmt;

use crate::packet::{ConnAck, QoS};
use crate::property::PropertiesBuf;
use crate::reason::ReasonCode;

/// Names one `publish`, `subscribe` or `unsubscribe` call until its answer; never used twice by one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

/// Something the owner of a client wants to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The server accepted the connection.
    Connected(Box<Connected>),
    /// What became of a publication. A QoS 0 one is done when it is written.
    Published {
        /// The call.
        request: RequestId,
        /// Its fate.
        outcome: Outcome,
    },
    /// SUBACK: one code per filter, in order; below 0x80 the granted QoS.
    Subscribed {
        /// The call.
        request: RequestId,
        /// Codes. If the server announced meanwhile that it lacks what a filter asks for, the code says so
        /// without it being asked.
        codes: Vec<ReasonCode>,
    },
    /// UNSUBACK: one code per filter, in order (always success before 5.0).
    Unsubscribed {
        /// The call.
        request: RequestId,
        /// Codes.
        codes: Vec<ReasonCode>,
    },
    /// The server lost the session and then refused to renew this subscription, or part of what it asks for.
    SubscriptionLost {
        /// The filter that no longer delivers.
        filter: String,
        /// Why.
        reason: ReasonCode,
    },
    /// AUTH 0x18: answer with `Client::authenticate`.
    Challenge {
        /// Authentication Data; empty if there was none.
        data: Vec<u8>,
    },
    /// AUTH 0x00: the re-authentication that `Client::re_authenticate` began succeeded.
    ReAuthenticated {
        /// The server's last Authentication Data; empty if there was none.
        data: Vec<u8>,
    },
    /// The connection is over: write what is left in the output, close the transport, and say so by
    /// `Client::transport_closed`.
    Closed(Cause),
}

/// What CONNACK said.
#[derive(Clone, Debug, PartialEq)]
pub struct Connected {
    /// The server still had the session.
    pub session_present: bool,
    /// The client id in force, assigned by the server if none was given `[MQTT-3.1.3-7]`.
    pub client_id: String,
    /// Seconds between packets, after Server Keep Alive; 0 is none.
    pub keep_alive_secs: u16,
    /// What the server can take.
    pub limits: Limits,
    /// All properties of CONNACK.
    pub properties: PropertiesBuf,
}

/// What a server can take, from its CONNACK; the defaults of the standard before 5.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// QoS 1 and 2 messages it takes at a time.
    pub receive_maximum: u16,
    /// Bytes of the largest packet it takes.
    pub packet_size_max: u32,
    /// Highest topic alias it takes.
    pub topic_alias_maximum: u16,
    /// Highest QoS it takes.
    pub qos_max: QoS,
    /// It keeps retained messages.
    pub retain_available: bool,
    /// It takes filters with wildcards.
    pub wildcards_available: bool,
    /// It takes subscription identifiers.
    pub subscription_identifiers_available: bool,
    /// It takes shared subscriptions.
    pub shared_available: bool,
    /// Seconds the session outlives the connection, if the server decided so.
    pub session_expiry_secs: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            receive_maximum: u16::MAX,
            packet_size_max: u32::MAX,
            topic_alias_maximum: 0,
            qos_max: QoS::ExactlyOnce,
            retain_available: true,
            wildcards_available: true,
            subscription_identifiers_available: true,
            shared_available: true,
            session_expiry_secs: None,
        }
    }
}

impl Limits {
    /// The limits a CONNACK announces.
    pub(super) fn of(connack: &ConnAck<'_>) -> Self {
        let properties = connack.properties;
        Limits {
            receive_maximum: properties.receive_maximum().unwrap_or(u16::MAX),
            packet_size_max: properties.maximum_packet_size().unwrap_or(u32::MAX),
            topic_alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
            qos_max: properties.maximum_qos().and_then(QoS::from_bits).unwrap_or(QoS::ExactlyOnce),
            retain_available: properties.retain_available().unwrap_or(true),
            wildcards_available: properties.wildcard_subscription_available().unwrap_or(true),
            subscription_identifiers_available: properties
                .subscription_identifier_available()
                .unwrap_or(true),
            shared_available: properties.shared_subscription_available().unwrap_or(true),
            session_expiry_secs: properties.session_expiry_interval(),
        }
    }
}

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// QoS 0: written. QoS 1 and 2: the server owns it; the code is below 0x80.
    Acknowledged(ReasonCode),
    /// The server answered with this code, 0x80 or above, and dropped it.
    Refused(ReasonCode),
    /// It was accepted while offline (or before a reconnect), and this server does not take such a message: QoS,
    /// RETAIN or size is beyond its limits. The code is the one the server would have used.
    Unsendable(ReasonCode),
    /// QoS 2: the server took the message, then lost the session before the hand-shake was over. It was
    /// probably delivered; nobody can tell.
    SessionLost,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// `Client::disconnect` was called.
    Requested,
    /// The server refused the connection.
    Refused(Refusal),
    /// The server sent DISCONNECT.
    ByServer(Refusal),
    /// No CONNACK came in time.
    ConnackTimeout,
    /// Neither PINGRESP nor anything else came in time.
    ServerSilent,
    /// The server broke a rule.
    Violation {
        /// The code of our DISCONNECT, in 5.0.
        reason: ReasonCode,
        /// Number of the statement that was broken, as in conformance/spec; empty where the standard has none.
        statement: &'static str,
        /// What was wrong.
        what: &'static str,
    },
}

/// What a server says when it turns a client away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Code, in 5.0 terms.
    pub reason: ReasonCode,
    /// The server's own words.
    pub text: Option<String>,
    /// Another server to use, with 0x9C and 0x9D.
    pub server_reference: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.reason.name(), self.reason as u8)?;
        if let Some(text) = &self.text {
            write!(f, ": {text}")?;
        }
        match &self.server_reference {
            Some(reference) => write!(f, "; use {reference}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Requested => f.write_str("disconnected as asked"),
            Cause::Refused(refusal) => write!(f, "the server refused the connection: {refusal}"),
            Cause::ByServer(refusal) => write!(f, "the server ended the connection: {refusal}"),
            Cause::ConnackTimeout => f.write_str("the server did not answer CONNECT in time"),
            Cause::ServerSilent => f.write_str("the server went silent: no answer to PINGREQ in time"),
            Cause::Violation { statement: "", what, .. } => {
                write!(f, "the server broke the protocol: {what}")
            }
            Cause::Violation { statement, what, .. } => {
                write!(f, "the server broke the protocol: {what} [{statement}]")
            }
        }
    }
}
