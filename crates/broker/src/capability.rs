//! What an operator may switch off: QoS 1 and 2, retained messages, and kinds of subscriptions.
//!
//! CONNACK tells a 5.0 client what it cannot have. What asks for it all the same is [`Missing`] here, and closes the
//! connection, or costs a client before 5.0 the one subscription; `connect`, `publish` and `subscribe` in
//! [`crate::session`] see to that. Invariant: what is on by default is never mentioned in CONNACK.

use longwire_proto::property::{PropertiesBuf, Property};
use longwire_proto::{QoS, ReasonCode, topic};

use crate::limits::Limits;

/// A capability that a packet asks for and this broker does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) reason: ReasonCode,
    pub(crate) why: &'static str,
    pub(crate) remedy: &'static str,
}

impl Limits {
    /// The highest QoS; subscriptions that wish for more are granted this one `[MQTT-3.2.2-10]`.
    pub(crate) fn highest_qos(&self) -> QoS {
        QoS::from_bits(self.qos_max).unwrap_or(QoS::ExactlyOnce)
    }

    /// Tells in CONNACK what is missing `[MQTT-3.2.2-9]`.
    pub(crate) fn announce_missing(&self, properties: &mut PropertiesBuf) {
        if self.highest_qos() < QoS::ExactlyOnce {
            properties.push(Property::MaximumQoS(self.qos_max));
        }
        if !self.retain_available {
            properties.push(Property::RetainAvailable(false));
        }
        if !self.wildcard_subscriptions {
            properties.push(Property::WildcardSubscriptionAvailable(false));
        }
        if !self.subscription_identifiers {
            properties.push(Property::SubscriptionIdentifierAvailable(false));
        }
        if !self.shared_subscriptions {
            properties.push(Property::SharedSubscriptionAvailable(false));
        }
    }

    /// What a message or a will asks for in vain `[MQTT-3.2.2-11]` `[MQTT-3.2.2-14]`.
    pub(crate) fn missing_for_message(&self, qos: QoS, retain: bool) -> Option<Missing> {
        if qos > self.highest_qos() {
            return Some(Missing {
                reason: ReasonCode::QoSNotSupported,
                why: "a message of higher QoS than qos_max",
                remedy: "lower the QoS at the client, or raise qos_max",
            });
        }
        (retain && !self.retain_available).then_some(Missing {
            reason: ReasonCode::RetainNotSupported,
            why: "a message to be retained, which retain_available does not allow",
            remedy: "do not ask for it at the client, or set retain_available",
        })
    }

    /// What a filter asks for in vain (U5-19, U5-21) `[MQTT-3.8.3-2 of 3.1.1]`.
    pub(crate) fn missing_for_filter(&self, filter: &str) -> Option<Missing> {
        let shared = topic::shared(filter);
        if shared.is_some() && !self.shared_subscriptions {
            return Some(Missing {
                reason: ReasonCode::SharedSubscriptionsNotSupported,
                why: "a shared subscription, which shared_subscriptions does not allow",
                remedy: "subscribe without $share, or set shared_subscriptions",
            });
        }
        let own = shared.map_or(filter, |shared| shared.filter);
        (topic::has_wildcard(own) && !self.wildcard_subscriptions).then_some(Missing {
            reason: ReasonCode::WildcardSubscriptionsNotSupported,
            why: "a filter with wildcards, which wildcard_subscriptions does not allow",
            remedy: "subscribe to each topic by name, or set wildcard_subscriptions",
        })
    }

    /// What a subscription identifier asks for in vain (U5-20); 0 is none.
    pub(crate) fn missing_for_identifier(&self, identifier: u32) -> Option<Missing> {
        (identifier > 0 && !self.subscription_identifiers).then_some(Missing {
            reason: ReasonCode::SubscriptionIdentifiersNotSupported,
            why: "a subscription identifier, which subscription_identifiers does not allow",
            remedy: "subscribe without one, or set subscription_identifiers",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_nothing_is_missing_and_nothing_is_announced() {
        let limits = Limits::default();
        let mut properties = PropertiesBuf::new();
        limits.announce_missing(&mut properties);
        assert!(properties.as_properties().is_empty());
        assert_eq!(limits.missing_for_message(QoS::ExactlyOnce, true), None);
        assert_eq!(limits.missing_for_filter("$share/group/+/#"), None);
        assert_eq!(limits.missing_for_identifier(1), None);
    }

    #[test]
    fn wildcards_are_looked_for_behind_the_share_name() {
        let limits = Limits { wildcard_subscriptions: false, ..Limits::default() };
        let reason = |filter| limits.missing_for_filter(filter).map(|missing| missing.reason);
        assert_eq!(reason("$share/group/a"), None);
        assert_eq!(reason("$share/group/a/#"), Some(ReasonCode::WildcardSubscriptionsNotSupported));
    }
}
