//! Faults in the hand-shakes of QoS 1 and 2.

use longwire_proto::packet::{Ack, Packet, PacketType};
use longwire_proto::{PacketId, QoS, ReasonCode};

use super::{Fault, down, swallow, up};
use crate::message::Message;
use crate::proxy::{Turn, encoded, publish};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "puback-lost",
        says: "QoS 1 is never acknowledged",
        v311: "3.3.4-1",
        v5: "3.3.4-1",
        touches: &[down(PacketType::PubAck)],
        act: swallow,
    },
    Fault {
        name: "puback-for-qos-2",
        says: "QoS 2 is acknowledged by PUBACK",
        v311: "3.3.4-1 4.3.3-2",
        v5: "3.3.4-1 4.3.3-8",
        touches: &[down(PacketType::PubRec)],
        act: |turn| turn.bytes[0] = 0x40,
    },
    Fault {
        name: "acknowledgement-of-another-id",
        says: "PUBACK, PUBREC and PUBCOMP name the id after the right one",
        v311: "2.3.1-6",
        v5: "2.2.1-5 4.3.2-4",
        touches: &[down(PacketType::PubAck), down(PacketType::PubRec), down(PacketType::PubComp)],
        act: |turn| edit_ack(turn, |ack| ack.packet_id = next_id(ack.packet_id)),
    },
    Fault {
        name: "pubrel-of-another-id",
        says: "PUBREL names the id after the right one",
        v311: "4.3.3-1",
        v5: "4.3.3-4",
        touches: &[down(PacketType::PubRel)],
        act: |turn| edit_ack(turn, |ack| ack.packet_id = next_id(ack.packet_id)),
    },
    Fault {
        name: "pubcomp-lost",
        says: "PUBREL is never answered",
        v311: "4.3.3-2",
        v5: "4.3.3-11",
        touches: &[down(PacketType::PubComp)],
        act: swallow,
    },
    Fault {
        name: "unknown-pubrel-is-success",
        says: "PUBREL for an id that nobody opened is completed with 0x00",
        v311: "",
        v5: "A12",
        touches: &[down(PacketType::PubComp)],
        act: |turn| edit_ack(turn, |ack| ack.reason = ReasonCode::Success),
    },
    Fault {
        name: "unknown-pubrec-is-success",
        says: "PUBREC for an id that nobody opened is answered by PUBREL 0x00",
        v311: "",
        v5: "A13",
        touches: &[down(PacketType::PubRel)],
        act: |turn| edit_ack(turn, |ack| ack.reason = ReasonCode::Success),
    },
    Fault {
        name: "repetition-delivered-again",
        says: "a QoS 2 PUBLISH that is repeated before PUBREL is delivered again",
        v311: "4.3.3-2",
        v5: "4.3.3-10",
        touches: &[up(PacketType::Publish), up(PacketType::PubRel)],
        act: deliver_repetition,
    },
    Fault {
        name: "acknowledged-id-remembered",
        says: "a QoS 1 PUBLISH with DUP under an acknowledged id is taken for a repetition and dropped",
        v311: "4.3.2-2",
        v5: "4.3.2-5",
        touches: &[up(PacketType::Publish), down(PacketType::PubAck)],
        act: drop_under_acknowledged_id,
    },
    Fault {
        name: "completed-id-remembered",
        says: "a QoS 2 PUBLISH under an id that was completed is taken for a repetition and dropped",
        v311: "4.3.3-2",
        v5: "4.3.3-12",
        touches: &[up(PacketType::Publish), up(PacketType::PubRel), down(PacketType::PubComp)],
        act: drop_under_completed_id,
    },
    Fault {
        name: "refused-id-remembered",
        says: "a QoS 2 PUBLISH under an id that was refused is taken for a repetition and dropped",
        v311: "",
        v5: "4.3.3-9",
        touches: &[up(PacketType::Publish), up(PacketType::PubRel), down(PacketType::PubRec)],
        act: drop_under_completed_id,
    },
    Fault {
        name: "acknowledged-and-dropped",
        says: "a QoS 1 PUBLISH is acknowledged and reaches nobody",
        v311: "4.5.0-1 3.1.2-5",
        v5: "4.5.0-1 4.3.2-4",
        touches: &[up(PacketType::Publish)],
        act: |turn| {
            if turn.message().is_some_and(|message| message.qos == 1) {
                acknowledge_and_drop(turn, Packet::PubAck);
            }
        },
    },
    Fault {
        name: "refusal-not-noticed",
        says: "PUBACK and PUBREC of 0x80 and above end nothing",
        v311: "",
        v5: "4.4.0-2",
        touches: &[up(PacketType::PubAck), up(PacketType::PubRec)],
        act: |turn| {
            if let Some(Packet::PubAck(ack) | Packet::PubRec(ack)) = turn.packet()
                && ack.reason.is_error()
            {
                swallow(turn);
            }
        },
    },
    Fault {
        name: "publish-instead-of-pubrel",
        says: "a session that answered PUBREC gets PUBLISH again when it resumes, not PUBREL",
        v311: "4.3.3-1 4.4.0-1",
        v5: "4.3.3-6 4.4.0-1",
        touches: &[up(PacketType::PubRec), down(PacketType::Publish), down(PacketType::PubRel)],
        act: |turn| {
            if is_owed_pubrel(turn) {
                let id = turn.id().unwrap_or_default().to_be_bytes();
                turn.bytes = turn.session.recall(id).unwrap_or_default();
            }
        },
    },
    Fault {
        name: "pubrel-not-sent-again",
        says: "a session that answered PUBREC gets nothing when it resumes",
        v311: "4.3.3-1",
        v5: "4.3.3-5",
        touches: &[up(PacketType::PubRec), down(PacketType::Publish), down(PacketType::PubRel)],
        act: |turn| {
            if is_owed_pubrel(turn) {
                swallow(turn);
            }
        },
    },
    Fault {
        name: "publish-not-sent-again",
        says: "open deliveries are forgotten when a session resumes",
        v311: "4.3.2-1 4.4.0-1",
        v5: "4.3.2-3 4.3.3-3 4.4.0-1 4.8.2-4",
        touches: &[down(PacketType::Publish)],
        act: |turn| {
            if turn.message().is_some_and(|message| message.dup) {
                swallow(turn);
            }
        },
    },
    Fault {
        name: "begun-delivery-expires",
        says: "a PUBLISH that was sent is not sent again when it has an expiry",
        v311: "",
        v5: "4.3.3-7",
        touches: &[down(PacketType::Publish)],
        act: |turn| {
            let expires = |message: &Message| message.props().message_expiry_interval().is_some();
            if turn.message().is_some_and(|message| message.dup && expires(&message)) {
                swallow(turn);
            }
        },
    },
    Fault {
        name: "unsubscribe-ends-begun-deliveries",
        says: "open deliveries are forgotten with their subscription",
        v311: "3.10.4-3",
        v5: "3.10.4-3",
        touches: &[up(PacketType::Unsubscribe), down(PacketType::Publish)],
        act: |turn| match turn.message() {
            None => turn.session.remember("unsubscribed", []),
            Some(message) if message.dup && turn.session.knows("unsubscribed") => swallow(turn),
            Some(_) => {}
        },
    },
    Fault {
        name: "sent-again-on-a-live-link",
        says: "a QoS 1 or 2 PUBLISH is sent again before its acknowledgement can come",
        v311: "4.4.0-1",
        v5: "4.4.0-1",
        touches: &[down(PacketType::Publish)],
        act: |turn| {
            if let Some(message) = turn.message().filter(|message| message.qos > 0) {
                let again = publish(&message.dup(), turn.version);
                turn.bytes.extend(again);
            }
        },
    },
    Fault {
        name: "sent-again-out-of-order",
        says: "of two messages that are sent again, the second leaves first",
        v311: "4.6.0-1",
        v5: "4.6.0-1",
        touches: &[down(PacketType::Publish)],
        act: |turn| turn.is_late = turn.message().is_some_and(|message| message.dup),
    },
    Fault {
        name: "acknowledgements-out-of-order",
        says: "of two acknowledgements that are due, the second leaves first",
        v311: "4.6.0-2 4.6.0-3",
        v5: "4.6.0-2 4.6.0-3",
        touches: &[down(PacketType::PubAck), down(PacketType::PubRec)],
        act: |turn| turn.is_late = true,
    },
    Fault {
        name: "pubrels-out-of-order",
        says: "of two PUBRELs that are due, the second leaves first",
        v311: "4.6.0-4",
        v5: "4.6.0-4",
        touches: &[down(PacketType::PubRel)],
        act: |turn| turn.is_late = true,
    },
];

fn edit_ack(turn: &mut Turn<'_>, change: impl FnOnce(&mut Ack<'_>)) {
    turn.edit(|packet| {
        if let Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) = packet
        {
            change(ack);
        }
    });
}

fn next_id(id: PacketId) -> PacketId {
    id.checked_add(1).unwrap_or(PacketId::MIN)
}

/// Adds a copy of QoS 0 to a repetition, so that the broker delivers it once more.
fn deliver_repetition(turn: &mut Turn<'_>) {
    let Some(id) = turn.id().map(u16::to_be_bytes) else { return };
    let Some(message) = turn.message() else { return turn.session.forget(id) };
    if message.qos == 2 && !turn.session.note(id) && message.dup {
        let mut copy = message.qos(0);
        copy.dup = false;
        let copy = publish(&copy, turn.version);
        turn.bytes.extend(copy);
    }
}

fn drop_under_acknowledged_id(turn: &mut Turn<'_>) {
    let Some(id) = turn.id().map(u16::to_be_bytes) else { return };
    match turn.message() {
        None => turn.connection.remember(id, []),
        Some(message) if message.qos == 1 && message.dup && turn.connection.knows(id) => {
            acknowledge_and_drop(turn, Packet::PubAck);
        }
        Some(_) => {}
    }
}

/// Goes through the whole hand-shake of a QoS 2 message that is dropped.
fn drop_under_completed_id(turn: &mut Turn<'_>) {
    let Some(id) = turn.id().map(u16::to_be_bytes) else { return };
    let is_known = turn.connection.knows(id);
    match turn.packet() {
        Some(Packet::PubComp(_)) => turn.connection.remember(id, []),
        Some(Packet::PubRec(ack)) if ack.reason.is_error() => turn.connection.remember(id, []),
        Some(Packet::Publish(publish)) if publish.qos == QoS::ExactlyOnce && is_known => {
            turn.connection.remember(id, "dropped");
            acknowledge_and_drop(turn, Packet::PubRec);
        }
        Some(Packet::PubRel(_)) if turn.connection.recall(id).is_some_and(|note| !note.is_empty()) => {
            turn.connection.remember(id, []);
            acknowledge_and_drop(turn, Packet::PubComp);
        }
        _ => {}
    }
}

/// Answers a packet that goes no further.
fn acknowledge_and_drop(turn: &mut Turn<'_>, kind: fn(Ack<'static>) -> Packet<'static>) {
    if let Some(id) = turn.id().and_then(PacketId::new) {
        turn.answer = encoded(&kind(Ack::new(id, ReasonCode::Success)), turn.version);
        swallow(turn);
    }
}

/// Whether this is a PUBREL that no PUBREC of this connection asked for; notes what there is to know about that.
fn is_owed_pubrel(turn: &mut Turn<'_>) -> bool {
    let Some(id) = turn.id().map(u16::to_be_bytes) else { return false };
    match turn.packet_type() {
        Some(PacketType::PubRec) => turn.connection.remember(id, []),
        Some(PacketType::Publish) => {
            if let Some(message) = turn.message() {
                turn.session.remember(id, publish(&message.dup(), turn.version));
            }
        }
        _ => return !turn.connection.knows(id) && turn.session.knows(id),
    }
    false
}
