//! A client for MQTT 5.0, 3.1.1 and 3.1 that keeps its word over lost connections.
//!
//! Publications are accepted into a bounded session and leave in order; each returns a token that resolves when the
//! server has acknowledged it. A lost connection is dialled again with growing delays; the session is taken up where
//! it stood, or, if the server lost it, subscriptions are renewed and unacknowledged messages published again. A
//! server that goes silent is noticed, and so is one that never answers. Every queue has a bound.
//!
//! # Subscribe and publish
//!
//! ```no_run
//! use longwire_client::{Client, Options, Publication, QoS};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (client, mut messages) = Client::connect(Options::new("localhost")).await?;
//! client.subscribe(("temperature", QoS::AtLeastOnce)).await?;
//!
//! let accepted = client.publish(Publication::new("temperature", "25").qos(QoS::AtLeastOnce)).await?;
//! accepted.acknowledged().await?;
//!
//! let message = messages.recv().await.expect("the client is connected");
//! println!("{} is {}", message.topic, message.text());
//! client.disconnect().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Without async
//!
//! ```no_run
//! use longwire_client::{Options, Publication, QoS, blocking};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (client, _messages) = blocking::Client::connect(Options::new("localhost"))?;
//! client.publish(Publication::new("temperature", "25").qos(QoS::AtLeastOnce))?.acknowledged()?;
//! client.disconnect();
//! # Ok(())
//! # }
//! ```
//!
//! # What happens when
//!
//! | when | then |
//! |---|---|
//! | the connection breaks | [`Event::Disconnected`], then attempts as [`Reconnect`] says, each with [`Event::Reconnecting`] |
//! | the server answers neither CONNECT nor PINGREQ in time | the same |
//! | the server kept the session | what is in flight is sent again, marked as a repeat; nothing is lost, QoS 2 nothing doubled |
//! | the server lost the session | subscriptions are renewed, unacknowledged messages published anew |
//! | the machine slept | the server is asked at once whether it is there |
//! | the server sends the client elsewhere | [`Event::Redirected`], and the other server is dialled |
//! | the server refuses for good (credentials, id taken over) | [`Event::Ended`]; every waiting call returns the cause |
//! | publications come faster than they leave | [`Client::publish`] waits; [`Client::try_publish`] says so |
//! | messages come faster than they are taken | the client stops reading; the server holds them back |
//! | the server breaks a rule | 5.0: DISCONNECT with the reason; the connection is closed, and dialled again |
//!
//! It travels over TCP, TLS, WebSocket or a Unix socket, through a proxy if need be. The protocol itself is `longwire_proto::client`, a state machine without I/O.

mod acknowledge;
mod authenticate;
pub mod blocking;
mod clock;
mod dial_error;
mod driver;
mod error;
mod event;
mod handle;
mod itinerary;
mod message;
mod options;
mod prepare;
mod random;
mod reconnect;
mod request;
mod route;
mod shared;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod url;

pub use acknowledge::Acknowledgement;
pub use authenticate::{Authenticator, BoxError, Credentials};
pub use dial_error::{DialError, DialFault, Step};
pub use error::{AcknowledgeError, Cause, ConnectError, PublishError, SubscribeError};
pub use event::{Event, Events};
pub use handle::{Client, Messages, Publishing};
pub use longwire_proto::client::{Connected, Limits, SettingsError, Will};
pub use longwire_proto::packet::{RetainHandling, SubscribeOptions};
pub use longwire_proto::property::{Properties, PropertiesBuf, Property};
pub use longwire_proto::{QoS, ReasonCode, Version};
pub use message::{Message, Publication, Subscription};
pub use options::{Options, OptionsError};
pub use prepare::Prepared;
pub use reconnect::Reconnect;
pub use request::RequestError;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError, TlsFault};
#[cfg(feature = "websocket")]
pub use transport::websocket::{WebSocket, WebSocketError};
pub use transport::{Proxy, ProxyError};
pub use url::{Scheme, Url, UrlError};

/// The examples of the guide and of the read-me, compiled with those of the library.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/client.md")]
#[doc = include_str!("../README.md")]
struct Guide;

/// What the state machine says about calls it turns down and connections that end.
pub mod protocol {
    pub use longwire_proto::client::{AuthenticateError, Cause, PublishError, Refusal, SubscribeError};
}
