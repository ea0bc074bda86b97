//! Why a call was turned down. Each error leaves the client as it was.

use std::fmt;

use crate::reason::ReasonCode;

/// Why a publication was not accepted. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// The queue is at its bound: wait for an [`Event::Published`](super::Event::Published).
    QueueFull,
    /// Not a topic name: empty, too long, or with a wildcard `[MQTT-3.3.2-2]` or a control character `[U3-10]`.
    TopicName,
    /// Properties need MQTT 5.0.
    NeedsVersion5,
    /// A property that is none of a message's `[MQTT-3.3.4-6]`, or is there twice `[U5-06]`, or has a value that it
    /// cannot have `[MQTT-3.3.2-14]`; or one that this client sets itself (Topic Alias).
    Property,
    /// The payload is not UTF-8 although Payload Format Indicator says so `[U5-15]`.
    PayloadFormat,
    /// The packet is larger than the server (or MQTT) takes `[MQTT-3.2.2-15]`.
    TooLarge,
    /// The server takes no such QoS `[MQTT-3.2.2-11]`.
    QoSNotSupported,
    /// The server keeps no retained messages `[MQTT-3.2.2-14]`.
    RetainNotSupported,
}

/// Why a SUBSCRIBE or UNSUBSCRIBE was not accepted. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeError {
    /// Too many requests wait for their answers.
    TooManyRequests,
    /// A request needs at least one filter: SUBSCRIBE `[MQTT-3.8.3-2]` `[MQTT-3.8.3-3 of 3.1.1]`, UNSUBSCRIBE
    /// `[MQTT-3.10.3-2]` `[MQTT-3.10.3-2 of 3.1.1]`.
    NoFilter,
    /// The filter at this place of the list is not a topic filter, or has a control character `[U3-10]`.
    TopicFilter(usize),
    /// No Local makes no sense on a shared subscription `[MQTT-3.8.3-4]`.
    NoLocalShared(usize),
    /// Options and properties need MQTT 5.0.
    NeedsVersion5,
    /// A property this packet cannot carry.
    Property,
    /// The packet is larger than the server (or MQTT) takes `[MQTT-3.2.2-15]`.
    TooLarge,
    /// The server announced that it lacks what a filter asks for.
    NotSupported(ReasonCode),
}

/// Why an AUTH could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticateError {
    /// The settings name no authentication method `[MQTT-4.12.0-7]`.
    NoMethod,
    /// Not now: no connection, or another re-authentication is under way.
    NotNow,
    /// The data is longer than 65,535 bytes, or the packet than the server takes.
    TooLarge,
}

impl PublishError {
    /// The code a server would answer such a message with.
    pub(super) fn reason(self) -> ReasonCode {
        match self {
            PublishError::QueueFull => ReasonCode::QuotaExceeded,
            PublishError::TopicName => ReasonCode::TopicNameInvalid,
            PublishError::NeedsVersion5 | PublishError::Property => ReasonCode::ProtocolError,
            PublishError::PayloadFormat => ReasonCode::PayloadFormatInvalid,
            PublishError::TooLarge => ReasonCode::PacketTooLarge,
            PublishError::QoSNotSupported => ReasonCode::QoSNotSupported,
            PublishError::RetainNotSupported => ReasonCode::RetainNotSupported,
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PublishError::QueueFull => "the queue is full: wait until messages are acknowledged",
            PublishError::TopicName => {
                "not a topic name: it must have 1 to 65,535 bytes and neither '+' nor '#' nor control characters"
            }
            PublishError::NeedsVersion5 => "message properties need MQTT 5.0: choose version 5",
            PublishError::Property => {
                "a message cannot carry one of these properties (topic aliases are chosen by the client itself)"
            }
            PublishError::PayloadFormat => {
                "the payload is marked as text and is not UTF-8: take the mark away, or send text"
            }
            PublishError::TooLarge => "the message is larger than the server takes: send it in parts",
            PublishError::QoSNotSupported => "the server takes no messages of this QoS: choose a lower one",
            PublishError::RetainNotSupported => "the server keeps no retained messages: clear the flag",
        })
    }
}

impl std::error::Error for PublishError {}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubscribeError::TooManyRequests => {
                f.write_str("too many requests wait for the server: wait for their answers")
            }
            SubscribeError::NoFilter => f.write_str("a request needs at least one topic filter"),
            SubscribeError::TopicFilter(place) => write!(
                f,
                "filter {} is not a topic filter: '+' must be a whole level, '#' the last one, a shared one \
                 reads $share/group/filter, and control characters are in none",
                place + 1
            ),
            SubscribeError::NoLocalShared(place) => {
                write!(f, "filter {} is shared, which excludes No Local", place + 1)
            }
            SubscribeError::NeedsVersion5 => {
                f.write_str("subscription options and properties need MQTT 5.0: choose version 5")
            }
            SubscribeError::Property => f.write_str("this request cannot carry one of these properties"),
            SubscribeError::TooLarge => {
                f.write_str("the request is larger than the server takes: ask for fewer filters at a time")
            }
            SubscribeError::NotSupported(reason) => write!(f, "the server announced: {}", reason.name()),
        }
    }
}

impl std::error::Error for SubscribeError {}

impl fmt::Display for AuthenticateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuthenticateError::NoMethod => "the settings name no authentication method",
            AuthenticateError::NotNow => "nothing is to be authenticated now",
            AuthenticateError::TooLarge => "the authentication data is too large",
        })
    }
}

impl std::error::Error for AuthenticateError {}
