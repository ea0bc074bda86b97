//! What a tool says on standard error while it runs: as much or as little as `--debug` and `--quiet` ask for.

use std::fmt::Display;

use longwire_client::protocol;
use longwire_client::{Cause, Connected, Event, Events};

use crate::complain;

/// What a run says on standard error.
#[derive(Clone, Copy)]
pub(crate) struct Talk {
    pub(super) quiet: bool,
    pub(super) debug: bool,
}

impl Talk {
    /// Something went wrong.
    pub(crate) fn error(self, message: impl Display) {
        if !self.quiet {
            complain(message);
        }
    }

    /// Something happened.
    pub(crate) fn debug(self, message: impl Display) {
        if self.debug {
            complain(message);
        }
    }

    /// Tells of lost connections and new attempts, until the client ends.
    pub(crate) async fn follow(self, mut events: Events) {
        while let Some(event) = events.recv().await {
            match event {
                Event::Connected(connected) => self.debug(connection(&connected)),
                Event::Disconnected(Cause::Ended(protocol::Cause::Requested)) => {}
                Event::Disconnected(cause) => self.error(cause),
                Event::Reconnecting { attempt, delay } => {
                    self.debug(format_args!("attempt {attempt} in {:.1} s", delay.as_secs_f64()));
                }
                Event::SubscriptionLost { filter, reason } => {
                    self.error(format_args!(
                        "the server did not renew the subscription to '{filter}': {reason}"
                    ));
                }
                _ => {}
            }
        }
    }
}

/// A line about an accepted connection.
fn connection(connected: &Connected) -> String {
    format!(
        "connected as '{}', session {}",
        connected.client_id,
        if connected.session_present { "resumed" } else { "new" }
    )
}
