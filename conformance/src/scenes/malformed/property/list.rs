//! The properties of 5.0, each with a plain value and the packets of a client where it may stand.

use super::super::carrier::Carrier::{self, *};

/// One property.
pub(super) struct Property {
    pub(super) name: &'static str,
    /// Number and value.
    pub(super) raw: &'static [u8],
    /// A property without which it may not stand.
    pub(super) before: &'static [u8],
    places: &'static [Carrier],
}

impl Property {
    /// Its number.
    pub(super) fn id(&self) -> u8 {
        self.raw[0]
    }

    /// Whether a client may send it there.
    pub(super) fn may_stand_in(&self, carrier: Carrier) -> bool {
        self.places.contains(&carrier)
    }
}

const fn property(name: &'static str, raw: &'static [u8], places: &'static [Carrier]) -> Property {
    Property { name, raw, before: &[], places }
}

const MESSAGE: &[Carrier] = &[Publish, Will];
const ACKNOWLEDGED: &[Carrier] = &[PubAck, PubRec, PubRel, PubComp, Disconnect, Auth];
const EVERYWHERE: &[Carrier] = &super::CARRIERS;

#[rustfmt::skip] // One line per property, as in the standard's table.
pub(super) const PROPERTIES: [Property; 27] = [
    property("payload_format", &[0x01, 1], MESSAGE),
    property("message_expiry", &[0x02, 0, 0, 0, 60], MESSAGE),
    property("content_type", &[0x03, 0, 1, b't'], MESSAGE),
    property("response_topic", &[0x08, 0, 1, b'r'], MESSAGE),
    property("correlation_data", &[0x09, 0, 1, b'c'], MESSAGE),
    property("subscription_identifier", &[0x0B, 1], &[Subscribe]),
    property("session_expiry", &[0x11, 0, 0, 0, 0], &[Connect, Disconnect]),
    property("assigned_client_identifier", &[0x12, 0, 1, b'a'], &[]),
    property("server_keep_alive", &[0x13, 0, 60], &[]),
    property("authentication_method", &[0x15, 0, 1, b'X'], &[Connect, Auth]),
    Property { before: &[0x15, 0, 1, b'X'], ..property("authentication_data", &[0x16, 0, 1, b'd'], &[Connect, Auth]) },
    property("request_problem_information", &[0x17, 1], &[Connect]),
    property("will_delay", &[0x18, 0, 0, 0, 5], &[Will]),
    property("request_response_information", &[0x19, 0], &[Connect]),
    property("response_information", &[0x1A, 0, 1, b'i'], &[]),
    property("server_reference", &[0x1C, 0, 1, b's'], &[]),
    property("reason_string", &[0x1F, 0, 1, b'r'], ACKNOWLEDGED),
    property("receive_maximum", &[0x21, 0, 5], &[Connect]),
    property("topic_alias_maximum", &[0x22, 0, 5], &[Connect]),
    property("topic_alias", &[0x23, 0, 1], &[Publish]),
    property("maximum_qos", &[0x24, 1], &[]),
    property("retain_available", &[0x25, 1], &[]),
    property("user_property", &[0x26, 0, 1, b'k', 0, 1, b'v'], EVERYWHERE),
    property("maximum_packet_size", &[0x27, 0, 1, 0, 0], &[Connect]),
    property("wildcard_available", &[0x28, 1], &[]),
    property("identifiers_available", &[0x29, 1], &[]),
    property("shared_available", &[0x2A, 1], &[]),
];
