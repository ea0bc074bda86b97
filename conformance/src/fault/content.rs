//! Faults in what a message carries: its properties, and the text of its topic.

use longwire_proto::packet::PacketType;
use longwire_proto::property::Property;

use super::{Fault, down, up};
use crate::proxy::Turn;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "user-property-lost",
        says: "the last user property of a message is not forwarded",
        v311: "",
        v5: "3.3.2-17",
        touches: &[down(PacketType::Publish)],
        act: |turn| {
            turn.edit_properties(|old, new| {
                let kept = old.user_properties().count().saturating_sub(1);
                new.extend(old.iter().filter(|property| !is_user_property(property)));
                new.extend(old.iter().filter(is_user_property).take(kept));
            });
        },
    },
    Fault {
        name: "user-properties-sorted",
        says: "user properties are forwarded in the order of their names",
        v311: "",
        v5: "3.3.2-18",
        touches: &[down(PacketType::Publish)],
        act: |turn| turn.edit_properties(sort_user_properties),
    },
    Fault {
        name: "correlation-data-lost",
        says: "Correlation Data is not forwarded",
        v311: "",
        v5: "3.3.2-16",
        touches: &[down(PacketType::Publish)],
        act: |turn| turn.lose_properties(|property| matches!(property, Property::CorrelationData(_))),
    },
    Fault {
        name: "response-topic-lost",
        says: "the Response Topic is not forwarded",
        v311: "",
        v5: "3.3.2-15",
        touches: &[down(PacketType::Publish)],
        act: |turn| turn.lose_properties(|property| matches!(property, Property::ResponseTopic(_))),
    },
    Fault {
        name: "content-type-lost",
        says: "the Content Type is not forwarded",
        v311: "",
        v5: "3.3.2-20",
        touches: &[down(PacketType::Publish)],
        act: |turn| turn.lose_properties(|property| matches!(property, Property::ContentType(_))),
    },
    Fault {
        name: "payload-format-lost",
        says: "the Payload Format Indicator is not forwarded",
        v311: "",
        v5: "3.3.2-4",
        touches: &[down(PacketType::Publish)],
        act: |turn| {
            turn.lose_properties(|property| matches!(property, Property::PayloadFormatIndicator(_)));
        },
    },
    Fault {
        name: "byte-order-mark-stripped",
        says: "U+FEFF at the start of a topic is taken away",
        v311: "1.5.3-3",
        v5: "1.5.4-3",
        touches: &[up(PacketType::Publish)],
        act: |turn| edit_topic(turn, |topic| topic.trim_start_matches('\u{feff}').to_owned()),
    },
    Fault {
        name: "case-folded",
        says: "topics are compared without regard to case",
        v311: "4.7.3-4",
        v5: "4.7.3-4",
        touches: &[up(PacketType::Publish), up(PacketType::Subscribe), up(PacketType::Unsubscribe)],
        act: |turn| {
            edit_topic(turn, str::to_lowercase);
            turn.edit_filters(|filter, _| *filter = filter.to_lowercase());
        },
    },
    Fault {
        name: "dollar-is-an-ordinary-letter",
        says: "filters that begin with a wildcard match topics that begin with `$`",
        v311: "4.7.2-1",
        v5: "4.7.2-1",
        touches: &[
            up(PacketType::Publish),
            up(PacketType::Subscribe),
            up(PacketType::Unsubscribe),
            down(PacketType::Publish),
        ],
        act: |turn| {
            edit_topic(turn, |topic| {
                if let Some(rest) = topic.strip_prefix(INSTEAD_OF_DOLLAR) {
                    return format!("${rest}");
                }
                without_dollar(topic)
            });
            turn.edit_filters(|filter, _| *filter = without_dollar(filter));
        },
    },
];

/// What begins topics in the broker that begin with `$` outside, so that they are ordinary to it.
const INSTEAD_OF_DOLLAR: &str = "dollar-";

fn without_dollar(name: &str) -> String {
    match name.strip_prefix('$') {
        Some(rest) if !name.starts_with("$share/") && !name.starts_with("$SYS") => {
            format!("{INSTEAD_OF_DOLLAR}{rest}")
        }
        _ => name.to_owned(),
    }
}

fn edit_topic(turn: &mut Turn<'_>, change: impl FnOnce(&str) -> String) {
    turn.edit_message(|message| message.topic = change(&message.topic));
}

fn is_user_property(property: &Property<'_>) -> bool {
    matches!(property, Property::UserProperty(..))
}

/// The same properties with the user properties sorted, behind the others.
pub(super) fn sort_user_properties(
    old: longwire_proto::property::Properties<'_>,
    new: &mut longwire_proto::property::PropertiesBuf,
) {
    new.extend(old.iter().filter(|property| !is_user_property(property)));
    let mut pairs: Vec<_> = old.user_properties().collect();
    pairs.sort_unstable();
    new.extend(pairs.into_iter().map(|(name, value)| Property::UserProperty(name, value)));
}
