//! Faults in what answers say: reason codes outside the table of their packet, and explanations that do not fit.

use longwire_proto::ReasonCode;
use longwire_proto::packet::{Packet, PacketType};
use longwire_proto::property::Property;

use super::{Fault, down};
use crate::proxy::Turn;

/// Codes of other packets.
pub(super) const CODES: &[Fault] = &[
    Fault {
        name: "connack-with-another-code",
        says: "CONNACK of success says 0x10",
        v311: "",
        v5: "3.2.2-8 3.1.4-5",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| {
            if let [_, _, _, code @ 0, ..] = &mut turn.bytes[..] {
                *code = 0x10;
            }
        },
    },
    Fault {
        name: "suback-with-another-code",
        says: "SUBACK says 0x03 for each filter that is granted",
        v311: "3.9.3-2",
        v5: "3.9.3-2",
        touches: &[down(PacketType::SubAck)],
        act: |turn| {
            turn.edit_codes(|codes| codes.iter_mut().filter(|code| **code < 3).for_each(|code| *code = 3));
        },
    },
    Fault {
        name: "unsuback-with-another-code",
        says: "UNSUBACK says 0x02 for each filter that is gone",
        v311: "",
        v5: "3.11.3-2",
        touches: &[down(PacketType::UnsubAck)],
        act: |turn| {
            turn.edit_codes(|codes| codes.iter_mut().filter(|code| **code == 0).for_each(|code| *code = 2));
        },
    },
    Fault {
        name: "puback-with-another-code",
        says: "PUBACK says 0x92",
        v311: "",
        v5: "3.4.2-1",
        touches: &[down(PacketType::PubAck)],
        act: |turn| say(turn, ReasonCode::PacketIdentifierNotFound),
    },
    Fault {
        name: "pubrec-with-another-code",
        says: "PUBREC says 0x92",
        v311: "",
        v5: "3.5.2-1",
        touches: &[down(PacketType::PubRec)],
        act: |turn| say(turn, ReasonCode::PacketIdentifierNotFound),
    },
    Fault {
        name: "pubrel-with-another-code",
        says: "PUBREL says 0x80",
        v311: "",
        v5: "3.6.2-1",
        touches: &[down(PacketType::PubRel)],
        act: |turn| say(turn, ReasonCode::UnspecifiedError),
    },
    Fault {
        name: "pubcomp-with-another-code",
        says: "PUBCOMP says 0x80",
        v311: "",
        v5: "3.7.2-1",
        touches: &[down(PacketType::PubComp)],
        act: |turn| say(turn, ReasonCode::UnspecifiedError),
    },
    Fault {
        name: "disconnect-with-another-code",
        says: "DISCONNECT of the server says 0x04, which only a client may",
        v311: "",
        v5: "3.14.2-1",
        touches: &[down(PacketType::Disconnect)],
        act: |turn| say(turn, ReasonCode::DisconnectWithWill),
    },
    Fault {
        name: "connack-without-property-length",
        says: "CONNACK without properties has no property length either",
        v311: "",
        v5: "2.2.2-1",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| {
            if let [_, _, flags, code, ..] = turn.bytes[..] {
                turn.bytes = vec![0x20, 2, flags, code];
            }
        },
    },
];

/// Explanations beyond the client's Maximum Packet Size.
pub(super) const EXPLANATIONS: &[Fault] = &[
    too_long(
        "puback-with-a-long-reason",
        "PUBACK has a Reason String beyond the client's Maximum Packet Size",
        "3.4.2-2",
        &[down(PacketType::PubAck)],
    ),
    too_long(
        "pubrec-with-a-long-reason",
        "PUBREC has a Reason String beyond the client's Maximum Packet Size",
        "3.5.2-2",
        &[down(PacketType::PubRec)],
    ),
    too_long(
        "pubrel-with-a-long-reason",
        "PUBREL has a Reason String beyond the client's Maximum Packet Size",
        "3.6.2-2",
        &[down(PacketType::PubRel)],
    ),
    too_long(
        "pubcomp-with-a-long-reason",
        "PUBCOMP has a Reason String beyond the client's Maximum Packet Size",
        "3.7.2-2",
        &[down(PacketType::PubComp)],
    ),
    too_long(
        "suback-with-a-long-reason",
        "SUBACK has a Reason String beyond the client's Maximum Packet Size",
        "3.9.2-1",
        &[down(PacketType::SubAck)],
    ),
    too_long(
        "unsuback-with-a-long-reason",
        "UNSUBACK has a Reason String beyond the client's Maximum Packet Size",
        "3.11.2-1",
        &[down(PacketType::UnsubAck)],
    ),
    too_long(
        "disconnect-with-a-long-reason",
        "DISCONNECT has a Reason String beyond the client's Maximum Packet Size",
        "3.14.2-3",
        &[down(PacketType::Disconnect)],
    ),
    too_long(
        "connack-with-a-long-reason",
        "CONNACK has a Reason String beyond the client's Maximum Packet Size",
        "3.2.2-19",
        &[down(PacketType::ConnAck)],
    ),
];

const fn too_long(
    name: &'static str,
    says: &'static str,
    v5: &'static str,
    touches: &'static [super::Touch],
) -> Fault {
    Fault { name, says, v311: "", v5, touches, act: explain_at_length }
}

fn explain_at_length(turn: &mut Turn<'_>) {
    turn.lose_properties(|property| matches!(property, Property::ReasonString(_)));
    turn.add_property(Property::ReasonString("nobody reads an explanation as long as this one is"));
}

fn say(turn: &mut Turn<'_>, reason: ReasonCode) {
    turn.edit(|packet| match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            ack.reason = reason;
        }
        Packet::Disconnect(disconnect) => disconnect.reason = reason,
        _ => {}
    });
}
