//! Faults in how messages are sent to subscribers: flags, ids, order, windows, sizes, aliases, expiry.

use longwire_proto::packet::PacketType;
use longwire_proto::property::Property;

use super::{Fault, down, swallow, up};
use crate::message::Message;
use crate::proxy::Turn;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "dup-lost",
        says: "a PUBLISH that is sent again has DUP 0",
        v311: "3.3.1-1",
        v5: "3.3.1-1",
        touches: &[down(PacketType::Publish)],
        act: |turn| turn.bytes[0] &= !0x08,
    },
    Fault {
        name: "dup-at-first",
        says: "a PUBLISH has DUP 1 when it is sent for the first time",
        v311: "4.3.2-1 4.3.3-1",
        v5: "4.3.2-2 4.3.3-2",
        touches: &[down(PacketType::Publish)],
        act: |turn| turn.edit_message(|message| message.dup = message.qos > 0),
    },
    Fault {
        name: "dup-at-qos-0",
        says: "QoS 0 deliveries have DUP 1",
        v311: "4.3.1-1",
        v5: "4.3.1-1",
        touches: &[down(PacketType::Publish)],
        act: |turn| {
            if turn.bytes[0] & 0x06 == 0 {
                turn.bytes[0] |= 0x08;
            }
        },
    },
    Fault {
        name: "dup-travels",
        says: "DUP of the publisher is forwarded",
        v311: "3.3.1-3",
        v5: "3.3.1-3",
        touches: &[up(PacketType::Publish), down(PacketType::Publish)],
        act: |turn| forward(turn, |message| message.dup, |message| message.dup = message.qos > 0),
    },
    Fault {
        name: "one-id-for-all",
        says: "all deliveries have id 1",
        v311: "2.3.1-4",
        v5: "2.2.1-4 4.3.2-1 4.3.3-1",
        touches: &[down(PacketType::Publish)],
        act: |turn| turn.edit_message(|message| message.id = 1),
    },
    Fault {
        name: "qos-0-has-an-id",
        says: "a QoS 0 delivery carries a packet id",
        v311: "2.3.1-5",
        v5: "2.2.1-2",
        touches: &[down(PacketType::Publish)],
        act: |turn| {
            if turn.message().is_some_and(|message| message.qos == 0) {
                turn.edit_message(|message| *message = message.clone().qos(1).id(1));
                turn.bytes[0] &= !0x06;
            }
        },
    },
    Fault {
        name: "deliveries-out-of-order",
        says: "of two QoS 1 messages that are sent at once, the second leaves first",
        v311: "4.6.0-5 4.6.0-6",
        v5: "4.6.0-5 4.6.0-6",
        touches: &[down(PacketType::Publish)],
        act: |turn| turn.is_late = turn.message().is_some_and(|message| message.qos == 1),
    },
    Fault {
        name: "topic-changed",
        says: "a delivery names the level below its topic",
        v311: "3.3.2-3",
        v5: "3.3.2-3",
        touches: &[down(PacketType::Publish)],
        act: |turn| {
            turn.edit_message(|message| {
                if !message.topic.is_empty() {
                    message.topic.push_str("/below");
                }
            });
        },
    },
    Fault {
        name: "overlap-at-a-lower-qos",
        says: "a message that several subscriptions match is delivered below the highest QoS of theirs",
        v311: "",
        v5: "3.3.4-2",
        touches: &[down(PacketType::Publish)],
        act: |turn| {
            turn.edit_message(|message| {
                if message.identifiers().len() > 1 {
                    message.qos = message.qos.min(1);
                }
            });
        },
    },
    Fault {
        name: "full-window-holds-back-all",
        says: "PINGREQ is not answered while a delivery is open",
        v311: "",
        v5: "3.3.4-10 4.9.0-3",
        touches: &[down(PacketType::Publish), up(PacketType::PubAck), down(PacketType::PingResp)],
        act: |turn| match turn.packet_type() {
            Some(PacketType::Publish) => turn.connection.remember("open", []),
            Some(PacketType::PubAck) => turn.connection.forget("open"),
            _ if turn.connection.knows("open") => swallow(turn),
            _ => {}
        },
    },
    Fault {
        name: "long-topics-cut",
        says: "topics are cut after 60,000 bytes",
        v311: "4.7.3-3",
        v5: "4.7.3-3",
        touches: &[down(PacketType::Publish)],
        act: |turn| turn.edit_message(|message| message.topic = message.topic.chars().take(60_000).collect()),
    },
    Fault {
        name: "receive-maximum-ignored",
        says: "the client's Receive Maximum is not kept",
        v311: "",
        v5: "3.3.4-9 4.9.0-1 4.9.0-2",
        touches: &[up(PacketType::Connect)],
        act: |turn| turn.lose_properties(|property| matches!(property, Property::ReceiveMaximum(_))),
    },
    Fault {
        name: "packet-size-ignored",
        says: "the client's Maximum Packet Size is not kept",
        v311: "",
        v5: "3.1.2-24 3.1.2-25",
        touches: &[up(PacketType::Connect)],
        act: |turn| turn.lose_properties(|property| matches!(property, Property::MaximumPacketSize(_))),
    },
    Fault {
        name: "alias-above-the-maximum",
        says: "aliases go beyond the client's Topic Alias Maximum",
        v311: "",
        v5: "3.1.2-26 3.3.2-11",
        touches: &[up(PacketType::Connect)],
        act: |turn| {
            turn.edit_properties(|old, new| {
                new.extend(old.iter().map(|property| match property {
                    Property::TopicAliasMaximum(1..) => Property::TopicAliasMaximum(u16::MAX),
                    other => other,
                }));
            });
        },
    },
    Fault {
        name: "alias-without-permission",
        says: "aliases are used although the client allowed none",
        v311: "",
        v5: "3.1.2-27",
        touches: &[up(PacketType::Connect)],
        act: |turn| {
            turn.lose_properties(|property| matches!(property, Property::TopicAliasMaximum(_)));
            turn.add_property(Property::TopicAliasMaximum(10));
        },
    },
    Fault {
        name: "alias-travels",
        says: "the alias of the publisher is forwarded",
        v311: "",
        v5: "U5-60 3.1.2-27",
        touches: &[up(PacketType::Publish), down(PacketType::Publish)],
        act: forward_alias,
    },
    Fault {
        name: "alias-outlives-its-connection",
        says: "an alias still stands for its topic on the client's next connection",
        v311: "",
        v5: "3.3.2-7",
        touches: &[up(PacketType::Publish)],
        act: resolve_alias_of_the_session,
    },
    Fault {
        name: "announced-alias-refused",
        says: "CONNACK announces more aliases than are accepted",
        v311: "",
        v5: "3.3.2-12",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| {
            turn.edit_properties(|old, new| {
                new.extend(old.iter().map(|property| match property {
                    Property::TopicAliasMaximum(maximum) => {
                        Property::TopicAliasMaximum(maximum.saturating_add(1))
                    }
                    other => other,
                }));
            });
        },
    },
    Fault {
        name: "alias-beyond-the-announced-taken",
        says: "an alias above the announced maximum is passed over",
        v311: "",
        v5: "3.3.2-9 3.2.2-17",
        touches: &[up(PacketType::Publish)],
        act: |turn| turn.lose_properties(|property| matches!(property, Property::TopicAlias(33..))),
    },
    Fault {
        name: "alias-never-refused",
        says: "aliases work although CONNACK announces none",
        v311: "",
        v5: "3.2.2-18",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| turn.lose_properties(|property| matches!(property, Property::TopicAliasMaximum(_))),
    },
    Fault {
        name: "expiry-ignored",
        says: "messages never expire",
        v311: "",
        v5: "3.3.2-5",
        touches: &[up(PacketType::Publish)],
        act: |turn| {
            turn.lose_properties(|property| matches!(property, Property::MessageExpiryInterval(_)));
        },
    },
    Fault {
        name: "expiry-not-counted-down",
        says: "the Message Expiry Interval is forwarded as it came",
        v311: "",
        v5: "3.3.2-6",
        touches: &[up(PacketType::Publish), down(PacketType::Publish)],
        act: forward_expiry,
    },
];

/// Finds a message again among the deliveries: by its topic and payload.
pub(super) fn key(message: &Message) -> Vec<u8> {
    [message.topic.as_bytes(), &[0], &message.payload].concat()
}

/// Does `change` to the deliveries of those messages that were `marked` by their publisher.
pub(super) fn forward(
    turn: &mut Turn<'_>,
    marked: impl FnOnce(&Message) -> bool,
    change: impl FnOnce(&mut Message),
) {
    let Some(message) = turn.message() else { return };
    if turn.from == crate::proxy::Side::Client {
        if marked(&message) {
            turn.broker.remember(key(&message), []);
        }
    } else if turn.broker.knows(key(&message)) {
        turn.edit_message(change);
    }
}

fn forward_alias(turn: &mut Turn<'_>) {
    let Some(message) = turn.message() else { return };
    if turn.from == crate::proxy::Side::Client {
        if let Some(alias) = message.props().topic_alias() {
            turn.broker.remember(&message.topic, alias.to_be_bytes());
        }
    } else if let Some(alias) = turn.broker.recall(&message.topic)
        && let Ok(alias) = alias.try_into()
    {
        turn.lose_properties(|property| matches!(property, Property::TopicAlias(_)));
        turn.add_property(Property::TopicAlias(u16::from_be_bytes(alias)));
    }
}

fn resolve_alias_of_the_session(turn: &mut Turn<'_>) {
    let Some(message) = turn.message() else { return };
    let Some(alias) = message.props().topic_alias().map(u16::to_be_bytes) else { return };
    if !message.topic.is_empty() {
        turn.session.remember(alias, &message.topic);
    } else if let Some(topic) = turn.session.recall(alias) {
        turn.edit_message(|message| message.topic = String::from_utf8_lossy(&topic).into_owned());
    }
}

fn forward_expiry(turn: &mut Turn<'_>) {
    let Some(message) = turn.message() else { return };
    if turn.from == crate::proxy::Side::Client {
        if let Some(secs) = message.props().message_expiry_interval() {
            turn.broker.remember(key(&message), secs.to_be_bytes());
        }
    } else if let Some(secs) = turn.broker.recall(key(&message))
        && let Ok(secs) = secs.try_into()
    {
        turn.lose_properties(|property| matches!(property, Property::MessageExpiryInterval(_)));
        turn.add_property(Property::MessageExpiryInterval(u32::from_be_bytes(secs)));
    }
}
