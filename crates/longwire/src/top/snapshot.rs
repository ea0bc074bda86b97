//! `top --once`: the values as lines.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::feed::{Feed, News};
use super::state::State;
use crate::{complain, exit, say};

/// What is retained comes at once.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why there may be nothing to show.
pub(super) const NOTHING: &str = "the broker publishes nothing below $SYS/broker: it may have started a few seconds ago, \
                                  its interval may be 0 (limits.sys_interval_secs, or sys_interval of Mosquitto), or \
                                  this user may not read it";

/// Prints the values that the broker retains.
pub(super) async fn run(mut feed: Feed) -> ExitCode {
    let began = Instant::now();
    let mut state = State::new(feed.place.clone());
    // Values come in one burst; after it nothing more is worth waiting for.
    while !state.settle(began.elapsed()) && began.elapsed() < PATIENCE {
        match timeout_at(Instant::now() + Duration::from_millis(50), feed.next()).await {
            Ok(News::Value(message)) => state.note(&message.topic, &message.text(), began.elapsed()),
            Ok(News::Interrupted(why)) => complain(why),
            Ok(News::Ended) => break,
            Ok(News::Connected) | Err(_) => {}
        }
    }
    feed.close().await;
    if !state.has_values() {
        complain(NOTHING);
        return ExitCode::from(exit::FAILURE);
    }
    let mut text = String::new();
    for (name, value) in state.sorted() {
        let _ = writeln!(text, "{name}: {value}");
    }
    say(&text)
}
