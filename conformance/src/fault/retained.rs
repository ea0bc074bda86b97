//! Faults with RETAIN and retained messages.

use longwire_proto::packet::PacketType;

use super::delivery::forward;
use super::{Fault, down, swallow, up};
use crate::message::Message;
use crate::proxy::{Side, Turn, publish};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "retained-not-stored",
        says: "a PUBLISH with RETAIN 1 is not stored",
        v311: "3.3.1-5",
        v5: "3.3.1-5",
        touches: &[up(PacketType::Publish)],
        act: |turn| turn.edit_message(|message| message.retain &= message.payload.is_empty()),
    },
    Fault {
        name: "qos-0-not-stored",
        says: "a QoS 0 PUBLISH with RETAIN 1 leaves what was retained before",
        v311: "3.3.1-7",
        v5: "3.3.1-5",
        touches: &[up(PacketType::Publish)],
        act: |turn| {
            turn.edit_message(|message| message.retain &= message.qos > 0 || message.payload.is_empty());
        },
    },
    Fault {
        name: "plain-publish-stored",
        says: "a PUBLISH with RETAIN 0 is stored",
        v311: "3.3.1-12",
        v5: "3.3.1-8",
        touches: &[up(PacketType::Publish)],
        act: |turn| turn.edit_message(|message| message.retain = true),
    },
    Fault {
        name: "clearing-forgotten",
        says: "a PUBLISH with RETAIN 1 and no payload clears nothing",
        v311: "3.3.1-10",
        v5: "3.3.1-6",
        touches: &[up(PacketType::Publish)],
        act: |turn| turn.edit_message(|message| message.retain &= !message.payload.is_empty()),
    },
    Fault {
        name: "clearing-not-forwarded",
        says: "a PUBLISH with RETAIN 1 and no payload clears, and reaches no subscriber",
        v311: "3.3.1-10",
        v5: "3.3.1-6",
        touches: &[up(PacketType::Publish), down(PacketType::Publish)],
        act: |turn| {
            let Some(message) = turn.message().filter(|message| message.payload.is_empty()) else { return };
            if turn.from == Side::Client && message.retain {
                turn.broker.remember(&message.topic, []);
            } else if turn.from == Side::Broker && turn.broker.knows(&message.topic) {
                swallow(turn);
            }
        },
    },
    Fault {
        name: "clearing-stored",
        says: "a PUBLISH with RETAIN 1 and no payload is itself stored and replayed",
        v311: "3.3.1-11",
        v5: "3.3.1-7",
        touches: &[up(PacketType::Publish), up(PacketType::Subscribe), down(PacketType::SubAck)],
        act: replay_clearing,
    },
    Fault {
        name: "retain-lost",
        says: "no delivery has RETAIN 1",
        v311: "3.3.1-8",
        v5: "3.3.1-13",
        touches: &[down(PacketType::Publish)],
        act: |turn| turn.bytes[0] &= !0x01,
    },
    Fault {
        name: "retain-travels",
        says: "live deliveries have the RETAIN of their publisher, though nobody asked for that",
        v311: "3.3.1-9",
        v5: "3.3.1-12",
        touches: &[up(PacketType::Publish), down(PacketType::Publish)],
        act: |turn| forward(turn, |message| message.retain, |message| message.retain = true),
    },
    Fault {
        name: "replay-lost",
        says: "a new subscription gets no retained messages",
        v311: "3.3.1-6",
        v5: "3.3.1-9",
        touches: &[down(PacketType::Publish)],
        act: |turn| {
            if turn.message().is_some_and(|message| message.retain) {
                swallow(turn);
            }
        },
    },
];

/// Notes topics that were cleared, and sends an empty retained message behind the SUBACK of such a topic.
fn replay_clearing(turn: &mut Turn<'_>) {
    let id = turn.id().unwrap_or_default().to_be_bytes();
    match turn.packet_type() {
        Some(PacketType::Publish) => {
            let Some(message) = turn.message().filter(|message| message.retain) else { return };
            if message.payload.is_empty() {
                turn.broker.remember(&message.topic, []);
            } else {
                turn.broker.forget(&message.topic);
            }
        }
        Some(PacketType::Subscribe) => {
            let cleared = turn.filters().into_iter().find(|(filter, _)| turn.broker.knows(filter));
            if let Some((topic, _)) = cleared {
                turn.connection.remember(id, topic);
            }
        }
        _ => {
            let Some(topic) = turn.connection.recall(id) else { return };
            let empty = Message::new(String::from_utf8_lossy(&topic), "").retain();
            let empty = publish(&empty, turn.version);
            turn.bytes.extend(empty);
        }
    }
}
