//! Faults in SUBSCRIBE and UNSUBSCRIBE, their answers, and what becomes of their options.

use longwire_proto::packet::{
    Packet, PacketType, RetainHandling, SubAck, Subscribe, SubscribeOptions, Unsubscribe,
};
use longwire_proto::property::{Properties, Property};
use longwire_proto::{PacketId, QoS};

use super::{Fault, down, swallow, up};
use crate::proxy::{Side, Turn, encoded};

pub(super) const ANSWERS: &[Fault] = &[
    Fault {
        name: "suback-lost",
        says: "SUBSCRIBE is never answered",
        v311: "3.8.4-1",
        v5: "3.8.4-1",
        touches: &[down(PacketType::SubAck)],
        act: swallow,
    },
    Fault {
        name: "suback-of-another-id",
        says: "SUBACK and UNSUBACK name the id after the right one",
        v311: "2.3.1-7 3.8.4-2",
        v5: "2.2.1-6 3.8.4-2",
        touches: &[down(PacketType::SubAck), down(PacketType::UnsubAck)],
        act: |turn| {
            turn.edit(|packet| {
                if let Packet::SubAck(grants) | Packet::UnsubAck(grants) = packet {
                    grants.packet_id = grants.packet_id.checked_add(1).unwrap_or(PacketId::MIN);
                }
            });
        },
    },
    Fault {
        name: "suback-codes-reversed",
        says: "the codes of SUBACK begin with that of the last filter",
        v311: "3.9.3-1",
        v5: "3.9.3-1",
        touches: &[down(PacketType::SubAck)],
        act: |turn| turn.edit_codes(|codes| codes.reverse()),
    },
    Fault {
        name: "suback-of-one-code",
        says: "SUBACK has one code for all filters",
        v311: "3.8.4-5",
        v5: "3.8.4-6",
        touches: &[down(PacketType::SubAck)],
        act: |turn| turn.edit_codes(|codes| codes.truncate(1)),
    },
    Fault {
        name: "refusal-called-success",
        says: "a filter that was refused is granted in SUBACK",
        v311: "3.8.4-5",
        v5: "3.8.4-7",
        touches: &[down(PacketType::SubAck)],
        act: |turn| {
            turn.edit_codes(|codes| {
                codes.iter_mut().filter(|code| **code >= 0x80).for_each(|code| *code = 0);
            });
        },
    },
    Fault {
        name: "more-delivered-than-granted",
        says: "SUBACK grants QoS 0, and messages are delivered at the QoS that was asked for",
        v311: "3.8.4-5",
        v5: "3.8.4-7",
        touches: &[down(PacketType::SubAck)],
        act: |turn| turn.edit_codes(|codes| codes.iter_mut().for_each(|code| *code &= 0x80)),
    },
    Fault {
        name: "less-delivered-than-granted",
        says: "SUBACK grants QoS 1 and 2, and messages are delivered at QoS 0",
        v311: "3.8.4-6",
        v5: "3.8.4-8 4.8.2-3",
        touches: &[up(PacketType::Subscribe), down(PacketType::SubAck)],
        act: grant_more_than_is_delivered,
    },
    Fault {
        name: "unsuback-lost",
        says: "UNSUBSCRIBE is never answered",
        v311: "3.10.4-4 3.10.4-5",
        v5: "3.10.4-4",
        touches: &[down(PacketType::UnsubAck)],
        act: swallow,
    },
    Fault {
        name: "unsuback-for-known-filters-only",
        says: "UNSUBSCRIBE of a filter that does not exist is never answered",
        v311: "",
        v5: "3.10.4-5",
        touches: &[down(PacketType::UnsubAck)],
        act: |turn| {
            if let Some(Packet::UnsubAck(grants)) = turn.packet()
                && grants.raw_codes.iter().all(|&code| code == 0x11)
            {
                swallow(turn);
            }
        },
    },
    Fault {
        name: "unknown-filter-unsubscribed",
        says: "UNSUBACK says success for a filter that does not exist",
        v311: "",
        v5: "F13",
        touches: &[down(PacketType::UnsubAck)],
        act: |turn| turn.edit_codes(|codes| codes.fill(0)),
    },
    Fault {
        name: "unsuback-codes-reversed",
        says: "the codes of UNSUBACK begin with that of the last filter",
        v311: "",
        v5: "3.11.3-1",
        touches: &[down(PacketType::UnsubAck)],
        act: |turn| turn.edit_codes(|codes| codes.reverse()),
    },
    Fault {
        name: "only-the-first-filter-subscribed",
        says: "all filters of a SUBSCRIBE but the first are forgotten",
        v311: "3.8.4-4",
        v5: "3.8.4-5",
        touches: &[up(PacketType::Subscribe)],
        act: keep_first_filter,
    },
    Fault {
        name: "only-the-first-filter-unsubscribed",
        says: "all filters of an UNSUBSCRIBE but the first are forgotten",
        v311: "3.10.4-6",
        v5: "3.10.4-6",
        touches: &[up(PacketType::Unsubscribe)],
        act: keep_first_filter,
    },
    Fault {
        name: "unsubscribe-forgotten",
        says: "UNSUBSCRIBE is answered, and messages still come",
        v311: "3.10.4-1 3.10.4-2",
        v5: "3.10.4-1 3.10.4-2",
        touches: &[up(PacketType::Unsubscribe)],
        act: |turn| {
            let answer = turn.packet().and_then(|packet| match packet {
                Packet::Unsubscribe(unsubscribe) => Some(unsuback(&unsubscribe, turn)),
                _ => None,
            });
            if let Some(answer) = answer {
                turn.answer = answer;
                swallow(turn);
            }
        },
    },
    Fault {
        name: "subscribing-again-changes-nothing",
        says: "SUBSCRIBE to a filter that exists is answered and otherwise dropped",
        v311: "3.8.4-3",
        v5: "3.8.4-3 3.8.4-4",
        touches: &[up(PacketType::Connect), up(PacketType::Subscribe), up(PacketType::Unsubscribe)],
        act: drop_second_subscribe,
    },
];

pub(super) const OPTIONS: &[Fault] = &[
    Fault {
        name: "no-local-forgotten",
        says: "No Local is not obeyed",
        v311: "",
        v5: "3.8.3-3",
        touches: &[up(PacketType::Subscribe)],
        act: |turn| turn.edit_filters(|_, options| options.no_local = false),
    },
    Fault {
        name: "retain-as-published-forgotten",
        says: "Retain As Published is not obeyed",
        v311: "",
        v5: "3.3.1-13",
        touches: &[up(PacketType::Subscribe)],
        act: |turn| turn.edit_filters(|_, options| options.retain_as_published = false),
    },
    Fault {
        name: "retain-handling-forgotten",
        says: "retained messages are sent at each SUBSCRIBE, whatever Retain Handling says",
        v311: "",
        v5: "3.3.1-10 3.3.1-11",
        touches: &[up(PacketType::Subscribe)],
        act: |turn| turn.edit_filters(|_, options| options.retain_handling = RetainHandling::AtSubscribe),
    },
    Fault {
        name: "share-name-ignored",
        says: "all shared subscriptions to one filter are one group, whatever their names",
        v311: "U5-50",
        v5: "U5-50 4.8.2-2",
        touches: &[up(PacketType::Subscribe), up(PacketType::Unsubscribe)],
        act: |turn| {
            turn.edit_filters(|filter, _| {
                if let Some((_, rest)) = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'))
                {
                    *filter = format!("$share/all/{rest}");
                }
            });
        },
    },
    Fault {
        name: "plus-matches-several-levels",
        says: "`+` matches any number of levels to the end",
        v311: "4.7.1-3 3.3.2-3",
        v5: "4.7.1-2 3.3.2-3",
        touches: &[up(PacketType::Subscribe), up(PacketType::Unsubscribe)],
        act: |turn| {
            turn.edit_filters(|filter, _| {
                if let Some(plus) = filter.find("/+") {
                    filter.replace_range(plus + 1.., "#");
                }
            });
        },
    },
    Fault {
        name: "parent-level-not-matched",
        says: "`a/#` does not match `a`",
        v311: "4.7.1-2",
        v5: "4.7.1-1",
        touches: &[up(PacketType::Subscribe), up(PacketType::Unsubscribe)],
        act: |turn| {
            turn.edit_filters(|filter, _| {
                if let Some(parent) = filter.strip_suffix("/#") {
                    *filter = format!("{parent}/+/#");
                }
            });
        },
    },
];

pub(super) const IDENTIFIERS: &[Fault] = &[
    Fault {
        name: "identifier-lost",
        says: "deliveries carry no Subscription Identifier",
        v311: "",
        v5: "3.3.4-3 3.3.4-5",
        touches: &[down(PacketType::Publish)],
        act: |turn| {
            turn.lose_properties(|property| matches!(property, Property::SubscriptionIdentifier(_)));
        },
    },
    Fault {
        name: "one-identifier-of-several",
        says: "a delivery by several subscriptions carries one Subscription Identifier",
        v311: "",
        v5: "3.3.4-4",
        touches: &[down(PacketType::Publish)],
        act: |turn| {
            turn.edit_properties(|old, new| {
                new.extend(old.iter().filter(|property| !is_identifier(property)));
                new.extend(old.iter().filter(is_identifier).take(1));
            });
        },
    },
    Fault {
        name: "identifiers-of-all-clients",
        says: "a delivery carries the Subscription Identifiers of other receivers too",
        v311: "",
        v5: "U5-28",
        touches: &[up(PacketType::Subscribe), down(PacketType::Publish)],
        act: add_identifiers_of_others,
    },
];

/// Asks for QoS 0, and lets SUBACK grant what was wanted.
fn grant_more_than_is_delivered(turn: &mut Turn<'_>) {
    let Some(id) = turn.id().map(u16::to_be_bytes) else { return };
    if turn.from == Side::Client {
        let wanted: Vec<u8> = turn.filters().iter().map(|(_, options)| options.qos as u8).collect();
        turn.connection.remember(id, wanted);
        turn.edit_filters(|_, options| options.qos = QoS::AtMostOnce);
    } else if let Some(wanted) = turn.connection.recall(id) {
        turn.edit_codes(|codes| {
            for (code, wanted) in codes.iter_mut().zip(wanted).filter(|(code, _)| **code == 0) {
                *code = wanted;
            }
        });
    }
}

/// Makes filters that no topic matches of all but the first.
fn keep_first_filter(turn: &mut Turn<'_>) {
    let mut is_first = true;
    turn.edit_filters(|filter, _| {
        if !std::mem::take(&mut is_first) {
            filter.insert_str(0, "nowhere/");
        }
    });
}

/// Notes the filters of a session, which begin anew with a clean start.
fn drop_second_subscribe(turn: &mut Turn<'_>) {
    let filters = turn.filters();
    match turn.packet_type() {
        Some(PacketType::Connect) => {
            if matches!(turn.packet(), Some(Packet::Connect(connect)) if connect.clean_start) {
                turn.session.clear();
            }
            return;
        }
        Some(PacketType::Unsubscribe) => {
            return filters.iter().for_each(|(filter, _)| turn.session.forget(filter));
        }
        _ => {}
    }
    // Counts the new ones, each of which has to be noted.
    let new = filters.iter().filter(|(filter, _)| turn.session.note(filter)).count();
    let answer = turn.packet().and_then(|packet| match packet {
        Packet::Subscribe(subscribe) if new == 0 => Some(suback(&subscribe, &filters, turn)),
        _ => None,
    });
    if let Some(answer) = answer {
        turn.answer = answer;
        swallow(turn);
    }
}

fn suback(subscribe: &Subscribe<'_>, filters: &[(String, SubscribeOptions)], turn: &Turn<'_>) -> Vec<u8> {
    let codes: Vec<u8> = filters.iter().map(|(_, options)| options.qos as u8).collect();
    let (packet_id, properties) = (subscribe.packet_id, Properties::EMPTY);
    encoded(&Packet::SubAck(SubAck { packet_id, properties, raw_codes: &codes }), turn.version)
}

fn unsuback(unsubscribe: &Unsubscribe<'_>, turn: &Turn<'_>) -> Vec<u8> {
    let codes = vec![0; unsubscribe.filters.iter().count()];
    let (packet_id, properties) = (unsubscribe.packet_id, Properties::EMPTY);
    encoded(&Packet::UnsubAck(SubAck { packet_id, properties, raw_codes: &codes }), turn.version)
}

/// Notes who uses which identifier, and adds those of others to a delivery that has one.
fn add_identifiers_of_others(turn: &mut Turn<'_>) {
    let identifiers: Vec<u32> = match turn.packet() {
        Some(Packet::Subscribe(subscribe)) => subscribe.properties.subscription_identifiers().collect(),
        Some(Packet::Publish(publish)) => publish.properties.subscription_identifiers().collect(),
        _ => return,
    };
    if turn.from == Side::Client {
        for identifier in identifiers {
            turn.broker.remember(identifier.to_be_bytes(), []);
        }
    } else if !identifiers.is_empty() {
        let known = turn.broker.keys().filter_map(|key| Some(u32::from_be_bytes(key.try_into().ok()?)));
        let other = known.filter(|identifier| !identifiers.contains(identifier)).min();
        if let Some(other) = other {
            turn.add_property(Property::SubscriptionIdentifier(other));
        }
    }
}

fn is_identifier(property: &Property<'_>) -> bool {
    matches!(property, Property::SubscriptionIdentifier(_))
}
