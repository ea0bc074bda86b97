//! Events become log lines: who, what, why, and what to do. Lines of one cause and address are bounded per second and
//! then counted, so that a flood of bad clients cannot fill a disk.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use longwire_broker::event::{Event, Why};
use tracing::{debug, info, warn};

/// Lines of one cause and address in one second; the rest is counted.
const LINES_PER_SECOND: u32 = 10;

/// Causes and addresses counted at a time; beyond, all others share one count.
const COUNTED_MAX: usize = 4_096;

/// Writes log lines for one worker.
#[derive(Debug, Default)]
pub(crate) struct Report {
    second: u32,
    lines: HashMap<(&'static str, Option<IpAddr>), u32>,
}

impl Report {
    /// Tells of an event. `address` is where the client comes from, if it is connected; `tick` is the present second.
    pub(crate) fn tell(&mut self, event: &Event, address: Option<SocketAddr>, tick: u32) {
        if !self.may_tell(cause(event), address.map(|address| address.ip()), tick) {
            return;
        }
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        match event {
            Event::Connected { client, version, session_present, keep_alive_secs, .. } => {
                debug!(%client, address, ?version, session_present, keep_alive_secs, "connected");
            }
            Event::Refused { client, reason, why, remedy, .. } => {
                warn!(%client, address, reason = %reason, why, remedy, "connection refused");
            }
            Event::Disconnected { client, reason, why, .. } => disconnected(client, &address, *reason, why),
            Event::PacketRefused { client, topic, reason, why, .. } => {
                warn!(%client, address, %topic, reason = %reason, why, "packet refused");
            }
            Event::Slow { client, .. } => {
                let remedy = "the client or its network reads too slowly; QoS 0 is dropped, QoS 1 and 2 wait";
                warn!(%client, address, remedy, "slow client");
            }
            Event::Dropped { client, topic, why } => warn!(%client, %topic, why, "message dropped"),
            Event::SessionExpired { client } => info!(%client, "session expired"),
            Event::WillPublished { client, topic } => info!(%client, %topic, "will published"),
        }
    }

    /// Tells of a connection that ended before it was a client's.
    pub(crate) fn tell_stranger(
        &mut self,
        address: SocketAddr,
        statement: &'static str,
        why: &'static str,
        remedy: &'static str,
        tick: u32,
    ) {
        if self.may_tell(why, Some(address.ip()), tick) {
            warn!(%address, statement, why, remedy, "connection refused");
        }
    }

    /// Counts a line; false if there were enough of its kind in this second.
    fn may_tell(&mut self, cause: &'static str, address: Option<IpAddr>, tick: u32) -> bool {
        if tick != self.second {
            self.second = tick;
            for ((cause, address), lines) in self.lines.drain() {
                if lines > LINES_PER_SECOND {
                    let address = address.map(|address| address.to_string()).unwrap_or_default();
                    let more = lines - LINES_PER_SECOND;
                    warn!(cause, address, more, "more of the same in one second");
                }
            }
        }
        let is_known = self.lines.contains_key(&(cause, address));
        let key =
            if is_known || self.lines.len() < COUNTED_MAX { (cause, address) } else { ("others", None) };
        let lines = self.lines.entry(key).or_default();
        *lines += 1;
        *lines <= LINES_PER_SECOND
    }
}

fn disconnected(client: &str, address: &str, reason: longwire_proto::ReasonCode, why: &Why) {
    match why {
        Why::ClientLeft => debug!(client, address, "disconnected"),
        Why::ClientLeftWithWill => info!(client, address, reason = %reason, "disconnected, with its will"),
        Why::Stopping => debug!(client, address, "disconnected, since the broker stops"),
        Why::TakenOver => {
            let remedy = "if this repeats, two clients share one id: give each its own";
            info!(client, address, remedy, "connection replaced by a newer one of the same client");
        }
        Why::NetworkLost => info!(client, address, "connection lost"),
        Why::KeepAlive => {
            let remedy = "the client or its network is gone, or its keep-alive is shorter than its pauses";
            info!(client, address, remedy, "nothing heard for 1.5 times the keep-alive");
        }
        Why::PacketTimeout => {
            let remedy = "a slow network may need a longer packet_timeout_secs";
            warn!(client, address, remedy, "a packet was begun and not finished in time");
        }
        Why::BrokeRule(statement, what) => {
            let remedy = "mend the client; the statement number leads to the rule";
            warn!(client, address, reason = %reason, statement, why = what, remedy, "protocol error");
        }
        Why::Bound(what) => warn!(client, address, reason = %reason, why = what, "closed at a limit"),
    }
}

/// What an event has in common with others of its kind.
fn cause(event: &Event) -> &'static str {
    match event {
        Event::Connected { .. } => "connected",
        Event::Refused { why, .. } | Event::PacketRefused { why, .. } | Event::Dropped { why, .. } => why,
        Event::Disconnected { why: Why::BrokeRule(_, what) | Why::Bound(what), .. } => what,
        Event::Disconnected { .. } => "disconnected",
        Event::Slow { .. } => "slow client",
        Event::SessionExpired { .. } => "session expired",
        Event::WillPublished { .. } => "will published",
    }
}
