//! New connections: accepted here, or arriving from the worker that accepted them.

use std::io;
use std::net::SocketAddr;

use longwire_broker::input::LinkId;
use longwire_net::listen::Accepted;
use longwire_net::stream::Stream;
use tracing::warn;

use super::{Arrival, FIRST_LISTENER, Worker};
use crate::connection::{Connection, Stage};

/// Connections accepted in one turn from one listener; the rest waits for the next turn.
pub(super) const ACCEPTED_PER_TURN: usize = 256;

/// Seconds without accepting after file descriptors ran out.
const PAUSE_SECS: u32 = 1;

impl Worker {
    pub(super) fn register_listeners(&mut self) -> io::Result<()> {
        for (number, listener) in self.listeners.iter_mut().enumerate() {
            self.poll.register(listener, FIRST_LISTENER - number)?;
        }
        Ok(())
    }

    /// Accepts what waits at one listener. When descriptors run out, accepting pauses; it never spins.
    pub(super) fn accept_all(&mut self, listener: usize) {
        if self.accept_paused_until > 0 {
            return;
        }
        for _ in 0..ACCEPTED_PER_TURN {
            let Some(listener) = self.listeners.get_mut(listener) else { return };
            match listener.accept() {
                Accepted::Stream(stream, address) => self.admit(stream, address, Vec::new()),
                Accepted::Drained => return,
                Accepted::OutOfDescriptors(cause) => {
                    let remedy = "raise the descriptor limit (ulimit -n) or lower connections_max";
                    warn!(%cause, remedy, "cannot accept connections; trying again in a second");
                    self.accept_paused_until = self.now.tick + PAUSE_SECS;
                    return;
                }
                Accepted::Failed(cause) => {
                    warn!(%cause, "cannot accept a connection; trying again in a second");
                    self.accept_paused_until = self.now.tick + PAUSE_SECS;
                    return;
                }
            }
        }
        self.accepts_more = true;
    }

    /// A connection that another worker accepted, with what it read.
    pub(super) fn arrive(&mut self, arrival: Arrival) {
        let Arrival { stream, address, bytes } = arrival;
        self.admit(stream, address, bytes);
    }

    fn admit(&mut self, stream: Stream, address: SocketAddr, bytes: Vec<u8>) {
        if self.stops {
            return;
        }
        if self.shared.sys.connections() >= self.connections_max {
            let (why, remedy) =
                ("connections_max is reached", "raise connections_max, or find out who connects so often");
            return self.report.tell_stranger(address, "U5-58", why, remedy, self.now.tick);
        }
        let has_bytes = !bytes.is_empty();
        let mut connection = Connection::new(stream, address, self.now.tick);
        connection.unread = has_bytes.then(|| Box::new(bytes));
        let (link, _) = self.connections.insert(connection);
        let Some(connection) = self.connections.by_slot_mut(link) else { return };
        if let Err(cause) = self.poll.register(&mut connection.stream, link as usize) {
            warn!(%cause, %address, "cannot watch a connection");
            return self.drop_connection(link);
        }
        self.shared.sys.opened();
        self.set_timer(link);
        if has_bytes {
            self.read_later(link);
        }
    }

    /// A connection whose client is at home with another worker: it travels there, once.
    pub(super) fn send_home(&mut self, link: LinkId, home: u16, bytes: &[u8]) {
        let Some(mut connection) = self.take_connection(link) else { return };
        if let Err(cause) = self.poll.deregister(&mut connection.stream) {
            return warn!(%cause, address = %connection.address(), "cannot hand a connection over");
        }
        let address = connection.address();
        let arrival = Arrival { stream: connection.stream, address, bytes: bytes.to_vec() };
        self.shared.workers[usize::from(home)].send(super::Mail::Arrival(Box::new(arrival)));
    }

    /// The broker stops: connections that are nobody's yet are dropped.
    pub(super) fn drop_strangers(&mut self) {
        let strangers: Vec<LinkId> = self
            .connections
            .iter()
            .filter(|(_, _, connection)| connection.stage == Stage::Greeting)
            .map(|(link, _, _)| link)
            .collect();
        for link in strangers {
            self.drop_connection(link);
        }
    }
}
