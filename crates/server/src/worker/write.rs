//! From outboxes to sockets, and the end of connections: last words are sent, our side is ended, the peer's end is
//! awaited for a while, so that it can read why.

use std::io;

use longwire_broker::input::{CloseCause, Input, LinkId};

use super::Worker;
use crate::connection::{Connection, Stage};

impl Worker {
    /// Sends what this turn wrote: one write per connection.
    pub(super) fn write_all(&mut self) {
        let writes = std::mem::take(&mut self.effects.writes);
        for &link in &writes {
            self.shard.begin_sending(link);
            self.flush(link);
        }
        if self.effects.writes.is_empty() {
            // The list keeps its space from turn to turn.
            self.effects.writes = writes;
            self.effects.writes.clear();
        }
    }

    /// Sends what waits for a connection, as far as its socket takes it.
    pub(super) fn flush(&mut self, link: LinkId) {
        let Some(connection) = self.connections.by_slot_mut(link) else { return };
        loop {
            let pending = self.shard.pending(link);
            if pending.is_empty() {
                break;
            }
            match connection.stream.write(pending) {
                Ok(count) => {
                    let is_short = count < pending.len();
                    if connection.is_unheard {
                        // We do not listen, but the peer reads: it is alive.
                        connection.heard_at = self.now.tick;
                    }
                    if self.shard.sent(link, count) {
                        self.drained.push(link);
                    }
                    if is_short {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.write_failed(link),
            }
        }
        let is_closing = connection.stage == Stage::Closing;
        if std::mem::take(&mut connection.is_unheard) {
            self.read_later(link);
        }
        if is_closing {
            self.end_our_side(link);
        }
    }

    fn write_failed(&mut self, link: LinkId) {
        let Some(connection) = self.connections.by_slot(link) else { return };
        if connection.stage == Stage::Live {
            self.input(Input::Closed { link, cause: CloseCause::Network });
        } else {
            self.drop_connection(link);
        }
    }

    /// Connections that the shard has closed.
    pub(super) fn close_all(&mut self) {
        for link in std::mem::take(&mut self.effects.closes) {
            self.begin_closing(link);
        }
    }

    /// The shard is done with a connection; its last words may still wait.
    pub(super) fn begin_closing(&mut self, link: LinkId) {
        let Some(connection) = self.connections.by_slot_mut(link) else { return };
        connection.stage = Stage::Closing;
        connection.unread = None;
        connection.heard_at = self.now.tick;
        self.set_timer(link);
        self.flush(link);
    }

    fn end_our_side(&mut self, link: LinkId) {
        let Some(connection) = self.connections.by_slot_mut(link) else { return };
        connection.stage = Stage::Draining;
        if connection.stream.shutdown_write().is_err() {
            return self.drop_connection(link);
        }
        // The peer may have ended its side before.
        self.read_later(link);
    }

    /// Forgets a connection; its socket closes.
    pub(super) fn drop_connection(&mut self, link: LinkId) {
        self.take_connection(link);
    }

    pub(super) fn take_connection(&mut self, link: LinkId) -> Option<Connection> {
        self.wheel.cancel(link);
        self.shard.forget(link);
        let connection = self.connections.remove_by_slot(link)?;
        self.shared.sys.closed();
        Some(connection)
    }
}
