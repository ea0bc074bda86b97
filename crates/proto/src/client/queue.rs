//! Publications that wait for a connection or for a place in the window: one FIFO with two bounds.
//!
//! One queue for all QoS keeps the order of the calls. What was in flight when a session got lost comes back
//! to the front; it was admitted once and is not refused again.

use std::collections::VecDeque;

use super::event::RequestId;
use crate::packet::{PacketId, Publish, QoS};
use crate::property::{Properties, PropertiesBuf};

/// A message to publish.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Publication<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Payload.
    pub payload: &'a [u8],
    /// QoS.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// Properties: those of a message. Aliases are chosen by the client itself. 5.0 only.
    pub properties: Properties<'a>,
}

impl<'a> Publication<'a> {
    /// The packet that carries this.
    pub(super) fn packet(&self, packet_id: Option<PacketId>, dup: bool) -> Publish<'a> {
        Publish {
            dup,
            qos: self.qos,
            retain: self.retain,
            topic: self.topic,
            packet_id,
            properties: self.properties,
            payload: self.payload,
        }
    }
}

/// A publication the client keeps until it is sent (QoS 0) or acknowledged.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) request: RequestId,
    topic: Box<str>,
    payload: Box<[u8]>,
    properties: PropertiesBuf,
    qos: QoS,
    retain: bool,
}

impl Held {
    pub(super) fn new(request: RequestId, publication: &Publication<'_>) -> Self {
        let mut properties = PropertiesBuf::new();
        properties.extend_raw(publication.properties);
        Held {
            request,
            topic: publication.topic.into(),
            payload: publication.payload.into(),
            properties,
            qos: publication.qos,
            retain: publication.retain,
        }
    }

    pub(super) fn publication(&self) -> Publication<'_> {
        Publication {
            topic: &self.topic,
            payload: &self.payload,
            qos: self.qos,
            retain: self.retain,
            properties: self.properties.as_properties(),
        }
    }

    fn bytes(&self) -> usize {
        bytes_of(&self.publication())
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Box<Held>>,
    bytes: usize,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether one more fits. A message larger than the bound on bytes fits when nothing else waits, or it could
    /// never be sent.
    pub(super) fn admits(
        &self,
        publication: &Publication<'_>,
        messages_max: usize,
        bytes_max: usize,
    ) -> bool {
        let bytes = self.bytes.saturating_add(bytes_of(publication));
        self.waiting.len() < messages_max && (self.waiting.is_empty() || bytes <= bytes_max)
    }

    pub(super) fn push_back(&mut self, held: Box<Held>) {
        self.bytes += held.bytes();
        self.waiting.push_back(held);
    }

    /// Puts back what was in flight, ahead of what has never been sent.
    pub(super) fn push_front(&mut self, held: Box<Held>) {
        self.bytes += held.bytes();
        self.waiting.push_front(held);
    }

    /// Takes the first, if it may go.
    pub(super) fn pop_front_if(&mut self, may_go: impl FnOnce(&Held) -> bool) -> Option<Box<Held>> {
        let held = self.waiting.pop_front_if(|held| may_go(held))?;
        self.bytes -= held.bytes();
        Some(held)
    }
}

fn bytes_of(publication: &Publication<'_>) -> usize {
    publication.topic.len() + publication.payload.len() + publication.properties.as_bytes().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(payload: &[u8]) -> Publication<'_> {
        Publication {
            topic: "t",
            payload,
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: Properties::EMPTY,
        }
    }

    fn put(queue: &mut Queue, number: u64, payload: &[u8]) {
        queue.push_back(Box::new(Held::new(RequestId(number), &publication(payload))));
    }

    #[test]
    fn the_bound_on_messages_holds() {
        let mut queue = Queue::default();
        put(&mut queue, 1, b"");
        assert!(queue.admits(&publication(b""), 2, 100));
        put(&mut queue, 2, b"");
        assert!(!queue.admits(&publication(b""), 2, 100));
    }

    #[test]
    fn the_bound_on_bytes_holds_and_frees_with_each_message() {
        let mut queue = Queue::default();
        put(&mut queue, 1, b"123456789");
        assert!(!queue.admits(&publication(b"123456789"), 10, 19));
        assert!(queue.admits(&publication(b"123456789"), 10, 20));
        queue.pop_front_if(|_| true);
        assert!(queue.admits(&publication(b"123456789"), 10, 19));
    }

    #[test]
    fn a_message_above_the_bound_on_bytes_fits_an_empty_queue() {
        assert!(Queue::default().admits(&publication(b"123456789"), 10, 5));
    }

    #[test]
    fn what_was_in_flight_goes_first() {
        let mut queue = Queue::default();
        put(&mut queue, 2, b"");
        queue.push_front(Box::new(Held::new(RequestId(1), &publication(b""))));
        assert_eq!(queue.pop_front_if(|_| true).map(|held| held.request), Some(RequestId(1)));
    }
}
