//! What happens to a client besides messages.

use std::sync::Arc;
use std::time::Duration;

use longwire_proto::ReasonCode;
use longwire_proto::client::Connected;
use tokio::sync::broadcast;

use crate::error::Cause;

/// Something that happened to the connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The server accepted a connection.
    Connected(Arc<Connected>),
    /// A connection ended, or could not be made.
    Disconnected(Cause),
    /// The client waits before it dials again.
    Reconnecting {
        /// Number of the coming attempt, from 1.
        attempt: u32,
        /// How long it waits.
        delay: Duration,
    },
    /// The server sent the client to another one, which is dialled next.
    Redirected {
        /// The other server, as `host:port`.
        place: String,
    },
    /// After a reconnect the server refused to renew a subscription: it delivers no more.
    SubscriptionLost {
        /// The filter.
        filter: String,
        /// Why.
        reason: ReasonCode,
    },
    /// The re-authentication that `Client::re_authenticate` began succeeded.
    ReAuthenticated,
    /// There will be no further connection. The last event.
    Ended(Cause),
}

/// The events of a client, in order. A reader that falls 256 behind misses the oldest; the client never waits for it.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
    ended: bool,
}

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>, ended: bool) -> Self {
        Events { receiver, ended }
    }

    /// The next event; `None` after [`Event::Ended`].
    pub async fn recv(&mut self) -> Option<Event> {
        while !self.ended {
            match self.receiver.recv().await {
                Ok(event) => {
                    self.ended = matches!(event, Event::Ended(_));
                    return Some(event);
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => self.ended = true,
            }
        }
        None
    }
}
