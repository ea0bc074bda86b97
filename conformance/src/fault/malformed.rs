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
        name: "protocol-level-not-checked",
        says: "CONNECT of an unknown level is served as the nearest one",
        v311: "3.1.2-2",
        v5: "3.1.2-2",
        touches: &[up(PacketType::Connect)],
        act: |turn| {
            let is_v5 = turn.version == Version::V5;
            mend_connect(turn, |level, _| *level = if is_v5 { 5 } else { 4 });
        },
    },
    Fault {
        name: "will-flags-without-will-taken",
        says: "Will QoS and Will Retain are not looked at where Will Flag is 0",
        v311: "3.1.2-13",
        v5: "3.1.2-11",
        touches: &[up(PacketType::Connect)],
        act: |turn| {
            mend_connect(turn, |_, flags| {
                if *flags & 0x04 == 0 {
                    *flags &= !0x38;
                }
            });
        },
    },
    Fault {
        name: "will-qos-3-taken",
        says: "Will QoS 3 counts as 1",
        v311: "3.1.2-14",
        v5: "3.1.2-12",
        touches: &[up(PacketType::Connect)],
        act: |turn| {
            mend_connect(turn, |_, flags| {
                if *flags & 0x1C == 0x1C {
                    *flags &= !0x10;
                }
            });
        },
    },
    Fault {
        name: "reserved-connect-flag-taken",
        says: "the reserved flag of CONNECT is not looked at",
        v311: "3.1.2-3",
        v5: "3.1.2-3",
        touches: &[up(PacketType::Connect)],
        act: |turn| mend_connect(turn, |_, flags| *flags &= !0x01),
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
            let mask = if turn.version == Version::V5 { 0x3F } else { 0x03 };
            mend_options(turn, |_, options| *options &= mask);
        },
    },
    Fault {
        name: "no-local-on-a-shared-filter-taken",
        says: "No Local on a shared subscription is passed over",
        v311: "",
        v5: "3.8.3-4",
        touches: &[up(PacketType::Subscribe)],
        act: |turn| {
            mend_options(turn, |filter, options| {
                if filter.starts_with(b"$share/") {
                    *options &= !0x04;
                }
            });
        },
    },
    Fault {
        name: "empty-topic-taken",
        says: "a PUBLISH without a topic is taken for one to a topic of the server",
        v311: "4.7.3-1",
        v5: "4.7.3-1 U5-22",
        touches: &[up(PacketType::Publish)],
        act: |turn| {
            mend(turn, |_, body| {
                mend_text(body, 0, |text| if text.is_empty() { "nameless".to_owned() } else { text });
            });
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
            if turn.bytes.len() <= 5 {
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

/// Changes the protocol level and the flags of a CONNECT.
fn mend_connect(turn: &mut Turn<'_>, change: impl FnOnce(&mut u8, &mut u8)) {
    mend(turn, |_, body| {
        let level = field_end(body, 0);
        if let Some([level, flags, ..]) = body.get_mut(level..) {
            change(level, flags);
        }
    });
}

/// Replaces what is not UTF-8 in the first filter of a request.
fn mend_filter(turn: &mut Turn<'_>) {
    let version = turn.version;
    mend(turn, |_, body| mend_text(body, first_filter(body, version), |text| text));
}

/// Changes the options of each filter of a SUBSCRIBE.
fn mend_options(turn: &mut Turn<'_>, change: impl Fn(&[u8], &mut u8)) {
    let version = turn.version;
    mend(turn, |_, body| {
        let mut start = first_filter(body, version);
        while start < body.len() {
            let end = field_end(body, start);
            let (before, after) = body.split_at_mut_checked(end).unwrap_or_default();
            if let (Some(filter), Some(options)) = (before.get(start + 2..), after.first_mut()) {
                change(filter, options);
            }
            start = end + 1;
        }
    });
}

/// Where the filters of a request begin: behind its id, and in 5.0 behind properties with a length of one byte.
fn first_filter(body: &[u8], version: Version) -> usize {
    match body.get(2) {
        Some(&properties) if version == Version::V5 => 3 + usize::from(properties),
        _ => 2,
    }
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
