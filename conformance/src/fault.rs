//! Single faults that a broker could have, each with the statements that it breaks.
//!
//! A fault is played by a [`Proxy`](crate::Proxy) in front of a real broker. The test of the faults then asks whether,
//! for each statement in [`Fault::breaks`], a scene that quotes it fails. A fault that no scene sees is a hole in the
//! scenes. Faults lie in the packets that a broker sends, or in what it makes of those it gets; the latter are played by
//! changing the packets on their way in, such as a SUBSCRIBE that loses its options.

mod acknowledgement;
mod code;
mod connect;
mod content;
mod delivery;
mod malformed;
mod retained;
mod subscription;
mod will;

use std::sync::LazyLock;

use longwire_proto::Version;
use longwire_proto::packet::PacketType;

use crate::proxy::{Side, Turn};

/// One deviation from the standard.
#[derive(Clone, Copy)]
pub struct Fault {
    /// What it is called, such as `dup-lost`.
    pub name: &'static str,
    /// What a broker with this fault does, in half a sentence.
    pub says: &'static str,
    /// Ids that it breaks in 3.1.1, without the prefix of numbered statements.
    v311: &'static str,
    /// Ids that it breaks in 5.0, without the prefix of numbered statements.
    v5: &'static str,
    /// Where it acts.
    pub(crate) touches: &'static [Touch],
    /// What it does there.
    pub(crate) act: fn(&mut Turn<'_>),
}

/// Something that a fault acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    /// Packets of a type that this side sends.
    Packet(Side, PacketType),
    /// The end of what this side sends.
    End(Side),
}

impl Fault {
    /// The ids that it breaks in this version; none if it does not show there.
    pub fn breaks(&self, version: Version) -> Vec<String> {
        let ids = if version == Version::V5 { self.v5 } else { self.v311 };
        let whole = |id: &str| {
            if id.starts_with(|first: char| first.is_ascii_digit()) {
                format!("MQTT-{id}")
            } else {
                id.to_owned()
            }
        };
        ids.split_whitespace().map(whole).collect()
    }
}

/// All faults, area by area.
///
/// * Hand-shakes of QoS 1 and 2: `puback-lost`, `puback-for-qos-2`, `acknowledgement-of-another-id`,
///   `pubrel-of-another-id`, `pubcomp-lost`, `unknown-pubrel-is-success`, `unknown-pubrec-is-success`,
///   `repetition-delivered-again`, `acknowledged-id-remembered`, `completed-id-remembered`,
///   `refused-id-remembered`, `acknowledged-and-dropped`, `refusal-not-noticed`, `publish-instead-of-pubrel`,
///   `pubrel-not-sent-again`, `publish-not-sent-again`, `begun-delivery-expires`,
///   `unsubscribe-ends-begun-deliveries`, `sent-again-on-a-live-link`, `sent-again-out-of-order`,
///   `acknowledgements-out-of-order`, `pubrels-out-of-order`.
/// * Codes and explanations: `connack-with-another-code`, `suback-with-another-code`, `unsuback-with-another-code`,
///   `puback-with-another-code`, `pubrec-with-another-code`, `pubrel-with-another-code`,
///   `pubcomp-with-another-code`, `disconnect-with-another-code`, `connack-without-property-length`,
///   `puback-with-a-long-reason`, `pubrec-with-a-long-reason`, `pubrel-with-a-long-reason`,
///   `pubcomp-with-a-long-reason`, `suback-with-a-long-reason`, `unsuback-with-a-long-reason`,
///   `disconnect-with-a-long-reason`, `connack-with-a-long-reason`.
/// * Deliveries: `dup-lost`, `dup-at-first`, `dup-at-qos-0`, `dup-travels`, `one-id-for-all`, `qos-0-has-an-id`,
///   `deliveries-out-of-order`, `topic-changed`, `overlap-at-a-lower-qos`, `full-window-holds-back-all`,
///   `long-topics-cut`, `receive-maximum-ignored`, `packet-size-ignored`, `alias-above-the-maximum`,
///   `alias-without-permission`, `alias-travels`, `alias-outlives-its-connection`, `announced-alias-refused`,
///   `alias-beyond-the-announced-taken`, `alias-never-refused`, `expiry-ignored`, `expiry-not-counted-down`.
/// * What messages carry: `user-property-lost`, `user-properties-sorted`, `correlation-data-lost`,
///   `response-topic-lost`, `content-type-lost`, `payload-format-lost`, `byte-order-mark-stripped`, `case-folded`,
///   `dollar-is-an-ordinary-letter`.
/// * Subscriptions: `suback-lost`, `suback-of-another-id`, `suback-codes-reversed`, `suback-of-one-code`,
///   `refusal-called-success`, `more-delivered-than-granted`, `less-delivered-than-granted`, `unsuback-lost`,
///   `unsuback-for-known-filters-only`, `unknown-filter-unsubscribed`, `unsuback-codes-reversed`,
///   `only-the-first-filter-subscribed`, `only-the-first-filter-unsubscribed`, `unsubscribe-forgotten`,
///   `subscribing-again-changes-nothing`, `no-local-forgotten`, `retain-as-published-forgotten`,
///   `retain-handling-forgotten`, `share-name-ignored`, `plus-matches-several-levels`, `parent-level-not-matched`,
///   `identifier-lost`, `one-identifier-of-several`, `identifiers-of-all-clients`.
/// * Retained messages: `retained-not-stored`, `qos-0-not-stored`, `plain-publish-stored`, `clearing-forgotten`,
///   `clearing-not-forwarded`, `clearing-stored`, `retain-lost`, `retain-travels`, `replay-lost`.
/// * Sessions, CONNECT and CONNACK, connections: `clean-start-ignored`, `session-never-resumed`,
///   `session-ends-with-its-connection`, `session-outlives-its-expiry`, `expiry-in-disconnect-ignored`,
///   `capital-letters-refused`, `one-id-for-nameless-clients`, `nameless-session-kept`, `client-ids-cut-short`,
///   `session-present-at-clean-start`, `session-present-never`, `reserved-connack-flag`, `two-connacks`,
///   `connack-lost`, `method-unasked`, `connack-behind-a-packet`, `refusal-with-session-present`,
///   `refusal-by-disconnect`, `announced-session-expiry-not-kept`, `announced-keep-alive-not-kept`,
///   `announced-receive-maximum-not-enforced`, `announced-packet-size-not-enforced`, `assigned-client-id-untold`,
///   `response-information-unasked`, `problem-information-ignored`, `unknown-method-accepted`,
///   `packets-before-connect`, `second-connect`, `pingresp-lost`, `keep-alive-not-enforced`,
///   `one-keep-alive-for-all`, `disconnect-lost`, `disconnect-called-unspecified`, `expiry-in-servers-disconnect`,
///   `nothing-is-closed`, `packets-after-disconnect`.
/// * Wills: `will-lost`, `will-after-disconnect`, `disconnect-with-will-discards-it`, `will-delay-ignored`,
///   `will-retain-lost`, `will-always-retained`, `will-qos-lost`, `will-user-properties-sorted`.
/// * Malformed packets that are taken: `padded-lengths-taken`, `flags-of-acknowledgements-taken`,
///   `flags-of-pubrel-taken`, `flags-of-subscribe-taken`, `flags-of-unsubscribe-taken`, `flags-of-pingreq-taken`,
///   `flags-of-disconnect-taken`, `protocol-name-not-checked`, `protocol-level-not-checked`,
///   `will-flags-without-will-taken`, `will-qos-3-taken`, `reserved-connect-flag-taken`, `qos-3-taken`,
///   `qos-0-with-dup-taken`, `id-zero-taken`, `bad-text-taken`, `bad-text-in-filters-taken`,
///   `bad-text-in-unsubscribe-taken`, `zero-character-taken`, `wildcards-in-topics-taken`,
///   `reserved-options-taken`, `no-local-on-a-shared-filter-taken`, `empty-topic-taken`,
///   `requests-without-filters-taken`.
pub fn faults() -> &'static [Fault] {
    static ALL: LazyLock<Vec<Fault>> = LazyLock::new(|| {
        let areas = [
            acknowledgement::FAULTS,
            code::CODES,
            code::EXPLANATIONS,
            delivery::FAULTS,
            content::FAULTS,
            subscription::ANSWERS,
            subscription::OPTIONS,
            subscription::IDENTIFIERS,
            retained::FAULTS,
            connect::SESSIONS,
            connect::CONNACKS,
            connect::CONNECTIONS,
            will::FAULTS,
            malformed::FAULTS,
        ];
        areas.concat()
    });
    &ALL
}

/// A packet that clients send.
const fn up(packet_type: PacketType) -> Touch {
    Touch::Packet(Side::Client, packet_type)
}

/// A packet that the broker sends.
const fn down(packet_type: PacketType) -> Touch {
    Touch::Packet(Side::Broker, packet_type)
}

/// Passes nothing on.
fn swallow(turn: &mut Turn<'_>) {
    turn.bytes.clear();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_fault_has_a_name_of_its_own_and_breaks_something() {
        let names: BTreeSet<&str> = faults().iter().map(|fault| fault.name).collect();
        assert_eq!(names.len(), faults().len());
        for fault in faults() {
            let broken = fault.breaks(Version::V311).len() + fault.breaks(Version::V5).len();
            assert!(broken > 0, "{} breaks nothing", fault.name);
        }
    }

    #[test]
    fn documentation_lists_the_faults_in_their_order() {
        let listed = include_str!("fault.rs").lines().filter(|line| line.starts_with("/// "));
        let listed: Vec<&str> = listed
            .flat_map(|line| line.split('`').skip(1).step_by(2))
            .filter(|name| name.contains('-'))
            .collect();
        let names: Vec<&str> = faults().iter().map(|fault| fault.name).collect();
        assert_eq!(listed, names);
    }
}
