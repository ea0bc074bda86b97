//! Every rule that a packet can break, as data: the code to answer with, and the statement of each version.
//!
//! Statements of 3.1 are those of 3.1.1. `U3-` and `U5-` name rules of `conformance/spec/unnumbered.tsv`; an empty
//! statement means that the standard says it in passing.

use super::DecodeError;
use crate::packet::{PacketType, Version};
use crate::reason::ReasonCode;

/// One rule, broken.
#[derive(Clone, Copy)]
pub(super) struct Fault {
    reason: ReasonCode,
    v3: &'static str,
    v5: &'static str,
    what: &'static str,
}

impl Fault {
    /// The error in a connection of this version.
    #[cold]
    pub(super) fn at(&self, version: Version) -> DecodeError {
        let statement = if version < Version::V5 { self.v3 } else { self.v5 };
        DecodeError { reason: self.reason, statement, what: self.what }
    }

    pub(super) const fn with_reason(self, reason: ReasonCode) -> Fault {
        Fault { reason, ..self }
    }
}

const fn malformed(v3: &'static str, v5: &'static str, what: &'static str) -> Fault {
    Fault { reason: ReasonCode::MalformedPacket, v3, v5, what }
}

const fn protocol(v3: &'static str, v5: &'static str, what: &'static str) -> Fault {
    Fault { reason: ReasonCode::ProtocolError, v3, v5, what }
}

/// The faults of a string that has a meaning of its own.
pub(super) struct TextFaults {
    pub(super) ill_formed: Fault,
    pub(super) empty: Fault,
    pub(super) wildcard: Fault,
}

macro_rules! faults {
    ($($name:ident: $kind:ident($v3:literal, $v5:literal, $what:literal);)*) => {
        $(pub(super) const $name: Fault = $kind($v3, $v5, $what);)*
    };
}

faults! {
    // Fixed header.
    RESERVED_TYPE: malformed("U3-03", "U5-01", "the packet type is reserved");
    DIRECTION: protocol("", "", "only the other side may send this packet");
    FLAGS: malformed("MQTT-2.2.2-2", "MQTT-2.1.3-1", "the flags are not those of the packet type");
    PUBREL_FLAGS: malformed("MQTT-3.6.1-1", "MQTT-3.6.1-1", "the flags are not those of PUBREL");
    SUBSCRIBE_FLAGS: malformed("MQTT-3.8.1-1", "MQTT-3.8.1-1", "the flags are not those of SUBSCRIBE");
    UNSUBSCRIBE_FLAGS: malformed("MQTT-3.10.1-1", "MQTT-3.10.1-1", "the flags are not those of UNSUBSCRIBE");
    DISCONNECT_FLAGS: malformed("MQTT-3.14.1-1", "MQTT-3.14.1-1", "the flags are not those of DISCONNECT");
    AUTH_FLAGS: malformed("", "MQTT-3.15.1-1", "the flags are not those of AUTH");
    PUBLISH_QOS: malformed("MQTT-3.3.1-4", "MQTT-3.3.1-4", "QoS is 3");
    PUBLISH_DUP: malformed("MQTT-3.3.1-2", "MQTT-3.3.1-2", "DUP is set at QoS 0");
    LONG_INTEGER: malformed("U3-01", "U5-02", "a variable byte integer has more than four bytes");
    PADDED_INTEGER: malformed("U3-02", "MQTT-1.5.5-1", "a variable byte integer is padded");

    // Any packet.
    CUT: malformed("U3-04", "", "the packet ends inside a field");
    LEFT_OVER: malformed("U3-04", "", "bytes are left over behind the last field");
    PACKET_ID_ZERO: protocol("MQTT-2.3.1-1", "MQTT-2.2.1-3", "the packet id is 0");
    ILL_FORMED: malformed("MQTT-1.5.3-1", "MQTT-1.5.4-1", "a string is not UTF-8");
    NUL: malformed("MQTT-1.5.3-2", "MQTT-1.5.4-2", "a string contains U+0000");
    DISCOURAGED: malformed("U3-10", "U3-10", "a string contains a control character or a non-character");

    // Topics.
    TOPIC_EMPTY: malformed("MQTT-4.7.3-1", "MQTT-4.7.3-1", "a topic is empty");
    TOPIC_WILDCARD: malformed("MQTT-4.7.1-1", "MQTT-4.7.0-1", "a topic name contains a wildcard");
    FILTER_MULTI_LEVEL: malformed("MQTT-4.7.1-2", "MQTT-4.7.1-1", "'#' is not the whole last level of a filter");
    FILTER_SINGLE_LEVEL: malformed("MQTT-4.7.1-3", "MQTT-4.7.1-2", "'+' is not a whole level of a filter");
    FILTER_SHARE: malformed("", "MQTT-4.8.2-2", "a shared filter lacks a proper share name or filter");

    // Properties.
    PROPERTIES_MISSING: malformed("", "MQTT-2.2.2-1", "the property length is missing");
    PROPERTIES_LONG: malformed("", "U5-05", "the properties are longer than the packet");
    PROPERTY_PLACE: malformed("", "U5-03", "a property is unknown or does not belong to this packet");
    PROPERTY_CUT: malformed("", "U5-04", "a property is cut short");
    PROPERTY_TWICE: protocol("", "U5-06", "a property is there twice");
    FLAG_VALUE: protocol("", "", "a property that is 0 or 1 has another value");
    PAYLOAD_FORMAT: protocol("", "U5-14", "Payload Format Indicator is neither 0 nor 1");
    REQUEST_RESPONSE: protocol("", "U5-10", "Request Response Information is neither 0 nor 1");
    REQUEST_PROBLEM: protocol("", "U5-11", "Request Problem Information is neither 0 nor 1");
    RECEIVE_MAXIMUM: protocol("", "U5-08", "Receive Maximum is 0");
    MAXIMUM_PACKET_SIZE: protocol("", "U5-09", "Maximum Packet Size is 0");
    SUBSCRIPTION_IDENTIFIER: protocol("", "U5-26", "Subscription Identifier is 0");
    IDENTIFIER_FROM_CLIENT: protocol("", "MQTT-3.3.4-6", "a client's PUBLISH has a Subscription Identifier");
    EXPIRY_FROM_SERVER: protocol("", "MQTT-3.14.2-2", "a server's DISCONNECT has a Session Expiry Interval");
    DATA_WITHOUT_METHOD: protocol("", "U5-12", "Authentication Data is there without its method");
    CONTENT_TYPE: malformed("", "MQTT-3.3.2-19", "Content Type is not UTF-8");
    USER_PROPERTY: malformed("", "MQTT-1.5.7-1", "a User Property is not UTF-8");

    // CONNECT.
    CONNECT_CUT: malformed("MQTT-3.1.4-1", "MQTT-3.1.4-1", "CONNECT ends inside a field");
    CONNECT_LEFT_OVER: malformed("MQTT-3.1.4-1", "MQTT-3.1.4-1", "bytes are left over behind the last field");
    CONNECT_RESERVED: malformed("MQTT-3.1.2-3", "MQTT-3.1.2-3", "the reserved flag of CONNECT is set");
    WILL_QOS: malformed("MQTT-3.1.2-14", "MQTT-3.1.2-12", "the QoS of the will is 3");
    WILL_QOS_WITHOUT_WILL: malformed("MQTT-3.1.2-13", "MQTT-3.1.2-11", "a will QoS is there without a will");
    WILL_RETAIN_WITHOUT_WILL: malformed("MQTT-3.1.2-15", "MQTT-3.1.2-13", "will retain is set without a will");
    PASSWORD_ALONE: malformed("MQTT-3.1.2-22", "", "a password is there without a user name");
    CLIENT_ID_MISSING: malformed("MQTT-3.1.3-3", "MQTT-3.1.3-3", "the client id is missing");
    CLIENT_ID_ILL_FORMED: malformed("MQTT-3.1.3-4", "MQTT-3.1.3-4", "the client id is not UTF-8");
    WILL_MISSING: malformed("MQTT-3.1.2-9", "MQTT-3.1.2-9", "the will is missing or cut short");
    USER_NAME_MISSING: malformed("MQTT-3.1.2-19", "MQTT-3.1.2-17", "the user name is missing or cut short");
    USER_NAME_ILL_FORMED: malformed("MQTT-3.1.3-11", "MQTT-3.1.3-12", "the user name is not UTF-8");
    PASSWORD_MISSING: malformed("MQTT-3.1.2-21", "MQTT-3.1.2-19", "the password is missing or cut short");

    // CONNACK.
    CONNACK_FLAGS: malformed("", "MQTT-3.2.2-1", "a reserved flag of CONNACK is set");
    CONNACK_CODE: protocol("", "MQTT-3.2.2-8", "the code is none of CONNACK");
    SESSION_OF_REFUSAL: protocol("MQTT-3.2.2-4", "MQTT-3.2.2-6", "a refusal says that a session is present");

    // PUBLISH and its acknowledgements.
    NO_TOPIC: protocol("MQTT-4.7.3-1", "U5-22", "the topic is empty and no alias stands for it");
    PUBACK_CODE: protocol("", "MQTT-3.4.2-1", "the code is none of PUBACK");
    PUBREC_CODE: protocol("", "MQTT-3.5.2-1", "the code is none of PUBREC");
    PUBREL_CODE: protocol("", "MQTT-3.6.2-1", "the code is none of PUBREL");
    PUBCOMP_CODE: protocol("", "MQTT-3.7.2-1", "the code is none of PUBCOMP");

    // SUBSCRIBE and UNSUBSCRIBE.
    SUBSCRIBE_ILL_FORMED: malformed("MQTT-3.8.3-1", "MQTT-3.8.3-1", "a filter is not UTF-8");
    SUBSCRIBE_EMPTY: protocol("MQTT-3.8.3-3", "MQTT-3.8.3-2", "SUBSCRIBE has no filter");
    OPTIONS_V3: malformed("MQTT-3.8.3-4", "", "a QoS byte is none of 0, 1 and 2");
    OPTIONS_RESERVED: malformed("", "MQTT-3.8.3-5", "a reserved subscription option is set");
    OPTIONS_QOS: protocol("", "U5-32", "the QoS of a subscription is 3");
    OPTIONS_RETAIN_HANDLING: protocol("", "U5-33", "Retain Handling is 3");
    NO_LOCAL_SHARED: protocol("", "MQTT-3.8.3-4", "No Local is set for a shared subscription");
    SUBACK_CODE: protocol("MQTT-3.9.3-2", "MQTT-3.9.3-2", "the code is none of SUBACK");
    UNSUBSCRIBE_ILL_FORMED: malformed("MQTT-3.10.3-1", "MQTT-3.10.3-1", "a filter is not UTF-8");
    UNSUBSCRIBE_EMPTY: protocol("MQTT-3.10.3-2", "MQTT-3.10.3-2", "UNSUBSCRIBE has no filter");
    UNSUBACK_CODE: protocol("", "MQTT-3.11.3-2", "the code is none of UNSUBACK");

    // DISCONNECT and AUTH.
    DISCONNECT_CODE: protocol("", "MQTT-3.14.2-1", "the code is none that this side sends in DISCONNECT");
    AUTH_CODE: protocol("", "MQTT-3.15.2-1", "the code is none that this side sends in AUTH");
    AUTH_METHOD: protocol("", "U5-43", "AUTH has no Authentication Method");
}

pub(super) const PROTOCOL_NAME: Fault =
    malformed("MQTT-3.1.2-1", "MQTT-3.1.2-1", "the protocol name is not that of the protocol level")
        .with_reason(ReasonCode::UnsupportedProtocolVersion);

pub(super) const PROTOCOL_LEVEL: Fault =
    malformed("MQTT-3.1.2-2", "MQTT-3.1.2-2", "the protocol level is unknown")
        .with_reason(ReasonCode::UnsupportedProtocolVersion);

pub(super) const TOO_LARGE_FOR_SERVER: Fault =
    malformed("", "MQTT-3.2.2-15", "the packet is larger than the limit")
        .with_reason(ReasonCode::PacketTooLarge);

pub(super) const TOO_LARGE_FOR_CLIENT: Fault =
    malformed("", "MQTT-3.1.2-24", "the packet is larger than the limit")
        .with_reason(ReasonCode::PacketTooLarge);

pub(super) const TOPIC_ALIAS: Fault =
    malformed("", "MQTT-3.3.2-8", "Topic Alias is 0").with_reason(ReasonCode::TopicAliasInvalid);

pub(super) const PUBLISH_TOPIC: TextFaults = TextFaults {
    ill_formed: malformed("MQTT-3.3.2-1", "MQTT-3.3.2-1", "the topic is not UTF-8"),
    empty: NO_TOPIC,
    wildcard: malformed("MQTT-3.3.2-2", "MQTT-3.3.2-2", "the topic contains a wildcard"),
};

pub(super) const WILL_TOPIC: TextFaults = TextFaults {
    ill_formed: malformed("MQTT-3.1.3-10", "MQTT-3.1.3-11", "the topic of the will is not UTF-8"),
    empty: TOPIC_EMPTY,
    wildcard: TOPIC_WILDCARD,
};

pub(super) const RESPONSE_TOPIC: TextFaults = TextFaults {
    ill_formed: malformed("", "MQTT-3.3.2-13", "Response Topic is not UTF-8"),
    empty: TOPIC_EMPTY.with_reason(ReasonCode::ProtocolError),
    wildcard: protocol("", "MQTT-3.3.2-14", "Response Topic contains a wildcard"),
};

/// The fault of flags that are wrong for this type.
pub(super) fn flags(packet_type: PacketType) -> &'static Fault {
    match packet_type {
        PacketType::PubRel => &PUBREL_FLAGS,
        PacketType::Subscribe => &SUBSCRIBE_FLAGS,
        PacketType::Unsubscribe => &UNSUBSCRIBE_FLAGS,
        PacketType::Disconnect => &DISCONNECT_FLAGS,
        PacketType::Auth => &AUTH_FLAGS,
        _ => &FLAGS,
    }
}

/// The fault of a reason code that this type, from this side, may not have.
pub(super) fn code(packet_type: PacketType) -> &'static Fault {
    match packet_type {
        PacketType::PubAck => &PUBACK_CODE,
        PacketType::PubRec => &PUBREC_CODE,
        PacketType::PubRel => &PUBREL_CODE,
        PacketType::PubComp => &PUBCOMP_CODE,
        PacketType::SubAck => &SUBACK_CODE,
        PacketType::UnsubAck => &UNSUBACK_CODE,
        PacketType::Disconnect => &DISCONNECT_CODE,
        PacketType::Auth => &AUTH_CODE,
        _ => &CONNACK_CODE,
    }
}
