//! The packets of a client that carry a property set, each with one set and the rest as plain as it can be.

use longwire_proto::Version::V5;

use super::answer::{Answer, Reply, granted, replied, stays};
use crate::craft::{connect_named, field, frame, join, set};

/// A place for a property set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    Connect,
    Will,
    Publish,
    Subscribe,
    Unsubscribe,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Disconnect,
    Auth,
}

use Carrier::{
    Auth, Connect, Disconnect, PubAck, PubComp, PubRec, PubRel, Publish, Subscribe, Unsubscribe, Will,
};

/// All of them.
pub(super) const CARRIERS: [Carrier; 11] =
    [Connect, Will, Publish, Subscribe, Unsubscribe, PubAck, PubRec, PubRel, PubComp, Disconnect, Auth];

/// An id that no exchange uses.
const UNKNOWN_ID: [u8; 2] = [0, 9];

impl Carrier {
    /// How rows call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Connect => "connect",
            Will => "will",
            Publish => "publish",
            Subscribe => "subscribe",
            Unsubscribe => "unsubscribe",
            PubAck => "puback",
            PubRec => "pubrec",
            PubRel => "pubrel",
            PubComp => "pubcomp",
            Disconnect => "disconnect",
            Auth => "auth",
        }
    }

    /// The packet with this set, of which the length is given too and may be wrong.
    pub(super) fn packet(self, set: &[u8]) -> Vec<u8> {
        let ack = |first: u8| frame(first, &join(&[&UNKNOWN_ID, &[0], set]));
        match self {
            Connect => connect_named("MQTT", V5 as u8, 2, set, &field("")),
            Will => {
                connect_named("MQTT", V5 as u8, 6, &[0], &join(&[&field(""), set, &field("w"), &field("")]))
            }
            Publish => frame(0x30, &join(&[&field("a"), set, b"x"])),
            Subscribe => frame(0x82, &join(&[&[0, 1], set, &field("malformed/a"), &[0]])),
            Unsubscribe => frame(0xA2, &join(&[&[0, 1], set, &field("malformed/a")])),
            PubAck => ack(0x40),
            PubRec => ack(0x50),
            PubRel => ack(0x62),
            PubComp => ack(0x70),
            Disconnect => frame(0xE0, &join(&[&[0], set])),
            Auth => frame(0xF0, &join(&[&[0x18], set])),
        }
    }

    /// The packet with these properties; an AUTH has its method before them unless they begin with one.
    pub(super) fn with(self, raw: &[u8]) -> Vec<u8> {
        let method: &[u8] =
            if self == Auth && raw.first() != Some(&0x15) { &[0x15, 0, 1, b'X'] } else { &[] };
        self.packet(&set(&join(&[method, raw])))
    }

    /// What answers it when there is nothing wrong with it; an AUTH that nobody asked for is always wrong.
    pub(super) fn accepted(self) -> Option<Answer> {
        let [_, id] = UNKNOWN_ID.map(u16::from);
        Some(match self {
            Connect | Will => Answer::Accepted,
            Publish | PubAck | PubComp => stays(),
            Subscribe => granted(&[0]),
            Unsubscribe => replied(Reply::UnsubAck(1, vec![0x11])),
            PubRec => replied(Reply::PubRel(id, 0x92)),
            PubRel => replied(Reply::PubComp(id, 0x92)),
            Disconnect => Answer::Left,
            Auth => return None,
        })
    }

    /// What answers it when it is wrong: this code, in the packet that can carry it.
    pub(super) fn refused(self, code: u8) -> Answer {
        if self.is_connect() { Answer::Refused(code) } else { Answer::Closed(code) }
    }

    /// The statement of 5.0 that a fault in its properties breaks.
    pub(super) fn statement(self) -> &'static str {
        if self.is_connect() { "3.1.4-1" } else { "4.13.1-1" }
    }

    fn is_connect(self) -> bool {
        matches!(self, Connect | Will)
    }
}
