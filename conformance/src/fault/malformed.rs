//! Faults of a server that is too kind: malformed packets are repaired on their way in.
//!
//! Packets are mended as bytes here, because no decoder takes them.

use longwire_proto::Version;
use longwire_proto::packet::PacketType;

use super::{Fault, swallow, up};
use crate::craft;
use crate::proxy::Turn;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "padded-lengths-taken",
        says: "a remaining length may have more bytes than it needs",
        v311: "",
        v5: "1.5.5-1",
        touches: &[up(PacketType::PingReq), up(PacketType::Publish)],
        act: |turn| mend(turn, |_, _| {}),
    },
    Fault {
        name: "flags-of-acknowledgements-taken",
        says: "the reserved bits in the first byte of PUBACK, PUBREC and PUBCOMP are not looked at",
        v311: "2.2.2-1",
        v5: "2.1.3-1",
        touches: &[up(PacketType::PubAck), up(PacketType::PubRec), up(PacketType::PubComp)],
        act: |turn| turn.bytes[0] &= 0xF0,
    },
    Fault {
        name: "flags-of-pubrel-taken",
        says: "the reserved bits in the first byte of PUBREL are not looked at",
        v311: "3.6.1-1",
        v5: "3.6.1-1",
        touches: &[up(PacketType::PubRel)],
        act: |turn| turn.bytes[0] = turn.bytes[0] & 0xF0 | 2,
    },
    Fault {
        name: "flags-of-subscribe-taken",
        says: "the reserved bits in the first byte of SUBSCRIBE are not looked at",
        v311: "3.8.1-1",
        v5: "3.8.1-1",
        touches: &[up(PacketType::Subscribe)],
        act: |turn| turn.bytes[0] = turn.bytes[0] & 0xF0 | 2,
    },
    Fault {
        name: "flags-of-unsubscribe-taken",
        says: "the reserved bits in the first byte of UNSUBSCRIBE are not looked at",
        v311: "3.10.1-1",
        v5: "3.10.1-1",
        touches: &[up(PacketType::Unsubscribe)],
        act: |turn| turn.bytes[0] = turn.bytes[0] & 0xF0 | 2,
    },
    Fault {
        name: "flags-of-pingreq-taken",
        says: "the reserved bits in the first byte of PINGREQ are not looked at",
        v311: "2.2.2-2",
        v5: "2.1.3-1",
        touches: &[up(PacketType::PingReq)],
        act: |turn| turn.bytes[0] &= 0xF0,
    },
    Fault {
        name: "flags-of-disconnect-taken",
        says: "the reserved bits in the first byte of DISCONNECT are not looked at",
        v311: "3.14.1-1",
        v5: "3.14.1-1",
        touches: &[up(PacketType::Disconnect)],
        act: |turn| turn.bytes[0] &= 0xF0,
    },
    Fault {
        name: "protocol-name-not-checked",
        says: "CONNECT may name any protocol",
        v311: "3.1.2-1",
        v5: "3.1.2-1",
        touches: &[up(PacketType::Connect)],
        act: |turn| {
            mend(turn, |_, body| {
                let end = field_end(body, 0).min(body.len());
                body.splice(..end, craft::field("MQTT"));
            });
        },
    },
    Fault {
        name: "reserved-connect-flag-taken",
        says: "the reserved flag of CONNECT is not looked at",
        v311: "3.1.2-3",
        v5: "3.1.2-3",
        touches: &[up(PacketType::Connect)],
        act: |turn| {
            mend(turn, |_, body| {
                // Behind the protocol name and its level.
                let flags = field_end(body, 0) + 1;
                if let Some(flags) = body.get_mut(flags) {
                    *flags &= !0x01;
                }
            });
        },
    },
    Fault {
        name: "qos-3-taken",
        says: "a PUBLISH of QoS 3 counts as QoS 1",
        v311: "3.3.1-4",
        v5: "3.3.1-4",
        touches: &[up(PacketType::Publish)],
        act: |turn| {
            if turn.bytes[0] & 0x06 == 0x06 {
                turn.bytes[0] &= !0x04;
            }
        },
    },
    Fault {
        name: "qos-0-with-dup-taken",
        says: "DUP of a QoS 0 PUBLISH is not looked at",
        v311: "3.3.1-2",
        v5: "3.3.1-2",
        touches: &[up(PacketType::Publish)],
        act: |turn| {
            if turn.bytes[0] & 0x06 == 0 {
                turn.bytes[0] &= !0x08;
            }
        },
    },
    Fault {
        name: "id-zero-taken",
        says: "a QoS 1 or 2 PUBLISH with id 0 is delivered",
        v311: "2.3.1-1",
        v5: "2.2.1-3",
        touches: &[up(PacketType::Publish)],
        act: |turn| {
            mend(turn, |first, body| {
                let topic_end = field_end(body, 0);
                if first & 0x06 != 0 && body.get(topic_end..topic_end + 2) == Some(&[0, 0]) {
                    body[topic_end] = 0xFF;
                }
            });
        },
    },
    Fault {
        name: "bad-text-taken",
        says: "bytes of a topic that are not UTF-8 are replaced",
        v311: "1.5.3-1 3.3.2-1",
        v5: "1.5.4-1 3.3.2-1",
        touches: &[up(PacketType::Publish)],
        act: |turn| mend(turn, |_, body| mend_text(body, 0, |text| text)),
    },
    Fault {
        name: "bad-text-in-filters-taken",
        says: "bytes of a filter in SUBSCRIBE that are not UTF-8 are replaced",
        v311: "3.8.3-1",
        v5: "3.8.3-1",
        touches: &[up(PacketType::Subscribe)],
        act: mend_filter,
    },
    Fault {
        name: "bad-text-in-unsubscribe-taken",
        says: "bytes of a filter in UNSUBSCRIBE that are not UTF-8 are replaced",
        v311: "3.10.3-1",
        v5: "3.10.3-1",
        touches: &[up(PacketType::Unsubscribe)],
        act: mend_filter,
    },
    Fault {
        name: "zero-character-taken",
        says: "U+0000 in a topic is replaced",
        v311: "1.5.3-2 4.7.3-2",
        v5: "1.5.4-2 4.7.3-2",
        touches: &[up(PacketType::Publish)],
        act: |turn| mend(turn, |_, body| mend_text(body, 0, |text| text.replace('\0', "?"))),
    },
    Fault {
        name: "wildcards-in-topics-taken",
        says: "wildcards in the topic of a PUBLISH are ordinary letters",
        v311: "3.3.2-2 4.7.1-1",
        v5: "3.3.2-2 4.7.0-1",
        touches: &[up(PacketType::Publish)],
        act: |turn| mend(turn, |_, body| mend_text(body, 0, |text| text.replace(['+', '#'], "*"))),
    },
    Fault {
        name: "reserved-options-taken",
        says: "reserved bits of subscription options are not looked at",
        v311: "3.8.3-4",
        v5: "3.8.3-5",
        touches: &[up(PacketType::Subscribe)],
        act: |turn| {
            // Scenes put the bits into the options of the last filter, which end the packet.
            let mask = if turn.version == Version::V5 { 0x3F } else { 0x03 };
            if let Some(options) = turn.bytes.last_mut() {
                *options &= mask;
            }
        },
    },
    Fault {
        name: "requests-without-filters-taken",
        says: "SUBSCRIBE and UNSUBSCRIBE without a filter are passed over",
        v311: "3.8.3-3 3.10.3-2",
        v5: "3.8.3-2 3.10.3-2",
        touches: &[up(PacketType::Subscribe), up(PacketType::Unsubscribe)],
        act: |turn| {
            // An id, and in 5.0 the length of no properties.
            if turn.bytes[1] <= 3 {
                swallow(turn);
            }
        },
    },
];

/// Changes the body of a packet, which then gets the shortest length.
fn mend(turn: &mut Turn<'_>, change: impl FnOnce(u8, &mut Vec<u8>)) {
    let length_bytes = turn.bytes.iter().skip(1).take_while(|byte| **byte >= 0x80).count() + 1;
    let mut body = turn.bytes.split_off(1 + length_bytes);
    change(turn.bytes[0], &mut body);
    turn.bytes = craft::frame(turn.bytes[0], &body);
}

/// Replaces what is not UTF-8 in the first filter of a request.
fn mend_filter(turn: &mut Turn<'_>) {
    let is_v5 = turn.version == Version::V5;
    mend(turn, |_, body| {
        // Behind the id, and in 5.0 behind the properties with their length of one byte.
        let properties = if is_v5 { 1 + usize::from(body.get(2).copied().unwrap_or(0)) } else { 0 };
        mend_text(body, 2 + properties, |text| text);
    });
}

/// Changes the text that begins here, after what is not UTF-8 in it has been replaced.
fn mend_text(body: &mut Vec<u8>, start: usize, change: impl FnOnce(String) -> String) {
    let end = field_end(body, start);
    if let Some(text) = body.get(start + 2..end) {
        let text = change(String::from_utf8_lossy(text).into_owned());
        body.splice(start..end, craft::field(text));
    }
}

/// Where the counted field ends that begins here.
fn field_end(body: &[u8], start: usize) -> usize {
    match body.get(start..start + 2) {
        Some(&[high, low]) => start + 2 + usize::from(u16::from_be_bytes([high, low])),
        _ => body.len(),
    }
}
