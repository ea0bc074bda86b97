//! What outlives a connection: the client's half of the session, in memory.
//!
//! This is the seam for a session on disk: all that such a one has to write down, and nothing that belongs to a connection
//! (that is in `link`). Neighbours: `inbound` and `outbound` change it packet by packet.

use std::collections::BTreeMap;

use super::event::RequestId;
use super::queue::{Held, Queue};
use super::request::{Requests, Subscriptions};
use crate::packet::PacketId;
use crate::transfer::{Incoming, Outgoing};

/// What outlives a connection `[MQTT-3.1.2-23]` `[MQTT-4.1.0-1 of 3.1.1]`; all of it is there as long as one is open
/// `[MQTT-4.1.0-1]` `[MQTT-4.1.0-2 of 3.1.1]`.
#[derive(Debug)]
pub(super) struct Session {
    /// An earlier connection of this client made or resumed it.
    pub(super) exists: bool,
    pub(super) outgoing: Outgoing<Box<Held>>,
    /// QoS 2 publications whose content the server took; PUBCOMP ends them.
    pub(super) released: BTreeMap<PacketId, RequestId>,
    pub(super) incoming: Incoming,
    /// QoS 2 messages given to the owner and not yet acknowledged by it, with the serials of their receipts.
    pub(super) untaken: BTreeMap<PacketId, u64>,
    pub(super) queue: Queue,
    pub(super) requests: Requests,
    pub(super) subscriptions: Subscriptions,
    /// Where the search for a request's packet id goes on.
    packet_id_tried: PacketId,
}

impl Session {
    /// One that no server knows of yet.
    pub(super) fn new() -> Self {
        Session {
            exists: false,
            outgoing: Outgoing::new(),
            released: BTreeMap::new(),
            incoming: Incoming::new(),
            untaken: BTreeMap::new(),
            queue: Queue::default(),
            requests: Requests::default(),
            subscriptions: Subscriptions::default(),
            packet_id_tried: PacketId::MAX,
        }
    }

    /// The server has lost its half: ids and half-received messages mean nothing any more. What it has not taken yet is
    /// published again as new, first; what it had taken is returned.
    pub(super) fn lose(&mut self) -> impl Iterator<Item = RequestId> + use<> {
        self.incoming = Incoming::new();
        self.untaken.clear();
        for held in std::mem::take(&mut self.outgoing).into_contents().rev() {
            self.queue.push_front(held);
        }
        std::mem::take(&mut self.released).into_values()
    }

    /// A packet id that neither a message nor another request uses `[MQTT-2.2.1-3]` `[MQTT-2.3.1-2 of 3.1.1]`.
    pub(super) fn free_packet_id(&mut self) -> Option<PacketId> {
        for _ in 0..u16::MAX {
            self.packet_id_tried = self.packet_id_tried.checked_add(1).unwrap_or(PacketId::MIN);
            let packet_id = self.packet_id_tried;
            if !self.outgoing.contains(packet_id) && !self.requests.uses(packet_id) {
                return Some(packet_id);
            }
        }
        None
    }
}
