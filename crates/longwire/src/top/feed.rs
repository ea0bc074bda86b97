//! The subscription to `$SYS` that fills the state: values, and whether there is a connection.

use std::time::Duration;

use longwire_client::{
    Client, ConnectError, Event, Events, Message, Messages, QoS, Reconnect, SubscribeError, Version,
};

use crate::connection::{self, explained};
use crate::exit;
use crate::server::ServerArgs;

/// Everything that longwire and Mosquitto tell of themselves.
const FILTER: &str = "$SYS/broker/#";
/// How long the broker may take for each answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that hears `$SYS`.
pub(super) struct Feed {
    pub(super) place: String,
    client: Client,
    messages: Messages,
    events: Events,
}

/// Why there is no feed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) why: String,
    pub(super) code: u8,
}

/// Something new.
pub(super) enum News {
    Value(Message),
    Connected,
    /// Why there is no connection for now.
    Interrupted(String),
    /// There will be none any more.
    Ended,
}

impl Feed {
    /// Connects and subscribes.
    pub(super) async fn open(server: &ServerArgs) -> Result<Feed, Failure> {
        let place = server.place();
        let options = server.options(PATIENCE).map_err(|why| Failure { why, code: exit::USAGE })?;
        // Every broker takes 3.1.1, and nothing newer is needed.
        let options = options.version(Version::V311).reconnect(Reconnect::forever()).messages_max(256);
        let (client, messages) = Client::connect(options).await.map_err(|error| match error {
            ConnectError::Options(error) => Failure { why: error.to_string(), code: exit::USAGE },
            ConnectError::Failed(cause) => {
                let code = connection::refusal_code(&cause, Version::V311);
                Failure { why: explained(&place, &cause, "the URL chooses another place"), code }
            }
        })?;
        let events = client.events();
        client.subscribe((FILTER, QoS::AtMostOnce)).await.map_err(|error| match error {
            SubscribeError::Refused { filter, reason, .. } => {
                Failure { why: connection::denied(&filter, reason), code: exit::DENIED }
            }
            error => Failure { why: error.to_string(), code: exit::FAILURE },
        })?;
        Ok(Feed { place, client, messages, events })
    }

    /// Waits for something new.
    pub(super) async fn next(&mut self) -> News {
        loop {
            tokio::select! {
                message = self.messages.recv() => match message {
                    Some(message) => return News::Value(message),
                    None => return News::Ended,
                },
                Some(event) = self.events.recv() => match event {
                    Event::Connected(_) => return News::Connected,
                    Event::Disconnected(cause) => return News::Interrupted(cause.to_string()),
                    Event::Ended(_) => return News::Ended,
                    _ => {}
                },
            }
        }
    }

    /// A value that is there already.
    pub(super) fn next_at_hand(&mut self) -> Option<Message> {
        self.messages.try_recv()
    }

    /// Leaves in good order.
    pub(super) async fn close(self) {
        self.client.disconnect().await;
    }
}
