//! One publisher: its packet, written over for each message, and how many messages it may send.

use longwire_proto::packet::Publish;
use longwire_proto::property::Properties;
use longwire_proto::{PacketId, QoS, Version, encode};

use super::Plan;
use crate::bench::stamp::{STAMP_BYTES, Stamp};

/// Messages of one publisher that are sent at a time when it has fallen behind its rate.
const BURST_MAX: u64 = 256;

/// A publisher and what became of its messages.
pub(super) struct Publisher {
    /// A whole PUBLISH packet; identifier and stamp are written over for each message.
    frame: Vec<u8>,
    id_at: Option<usize>,
    window: u64,
    /// Messages that its rate has asked for; only with one.
    pub(super) due: u64,
    pub(super) sent: u64,
    pub(super) acknowledged: u64,
    /// Receipts of all receivers together.
    pub(super) received: u64,
    receivers: u64,
    pub(super) woken: bool,
}

impl Publisher {
    /// A publisher on `topic` that `receivers` in this process hear.
    pub(super) fn new(
        plan: &Plan,
        version: Version,
        topic: &str,
        receivers: u64,
    ) -> Result<Self, encode::EncodeError> {
        let publish = Publish {
            dup: false,
            qos: plan.qos,
            retain: false,
            topic,
            packet_id: (plan.qos != QoS::AtMostOnce).then_some(PacketId::MIN),
            properties: Properties::EMPTY,
            payload: &vec![b'.'; plan.payload_bytes],
        };
        let mut frame = Vec::new();
        let id_at = encode::publish(&publish, version, &mut frame)?;
        let window = u64::from(plan.window);
        let (due, sent, acknowledged, received) = (0, 0, 0, 0);
        Ok(Publisher { frame, id_at, window, due, sent, acknowledged, received, receivers, woken: false })
    }

    /// The broker takes no more than this many unacknowledged messages.
    pub(super) fn limit_window(&mut self, receive_maximum: u16) {
        self.window = self.window.min(u64::from(receive_maximum));
    }

    /// Messages that are not done. At QoS 0 without a receiver that is none: the socket alone holds the publisher back.
    pub(super) fn in_flight(&self) -> u64 {
        match self.receivers {
            0 => self.unacknowledged(),
            receivers => self.unacknowledged().max(self.sent - (self.received / receivers).min(self.sent)),
        }
    }

    fn unacknowledged(&self) -> u64 {
        if self.id_at.is_some() { self.sent - self.acknowledged.min(self.sent) } else { 0 }
    }

    /// How many messages may be sent in a closed loop; `None` while less than half of the window is free.
    pub(super) fn room(&self) -> Option<u64> {
        let room = self.window.saturating_sub(self.in_flight());
        (room >= self.window.div_ceil(2)).then_some(room)
    }

    /// How many messages may be sent at a rate: those that are due, whatever became of the ones before, but never more
    /// than the broker takes unacknowledged. `None` if none is.
    pub(super) fn due_now(&self) -> Option<u64> {
        let room =
            if self.id_at.is_some() { self.window.saturating_sub(self.unacknowledged()) } else { u64::MAX };
        let count = (self.due - self.sent).min(room).min(BURST_MAX);
        (count > 0).then_some(count)
    }

    /// Appends the next `count` messages to `out`; `sent_nanos` tells the time that stands in the stamp of a number.
    pub(super) fn send(
        &mut self,
        count: u64,
        stamp: Stamp,
        payload_bytes: usize,
        out: &mut Vec<u8>,
        sent_nanos: impl Fn(u64) -> u64,
    ) {
        for _ in 0..count {
            let start = out.len();
            out.extend_from_slice(&self.frame);
            let frame = &mut out[start..];
            if let Some(at) = self.id_at {
                // 1 to 65,535, over and over: a window never holds that many.
                let id = (self.sent % 65_535 + 1) as u16;
                frame[at..at + 2].copy_from_slice(&id.to_be_bytes());
            }
            let payload = frame.len() - payload_bytes;
            let stamp = Stamp { number: self.sent, sent_nanos: sent_nanos(self.sent), ..stamp };
            stamp.write(&mut frame[payload..payload + STAMP_BYTES]);
            self.sent += 1;
        }
    }

    /// The packet as it was made.
    #[cfg(test)]
    pub(super) fn frame(&self) -> &[u8] {
        &self.frame
    }
}
