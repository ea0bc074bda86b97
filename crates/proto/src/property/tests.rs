//! Sets of properties: what is pushed is found.

use super::*;
use table::TABLE;

/// One of each, with values that tell them apart.
fn one_of_each() -> Vec<Property<'static>> {
    use Property::*;
    vec![
        PayloadFormatIndicator(true),
        MessageExpiryInterval(2),
        ContentType("3"),
        ResponseTopic("8"),
        CorrelationData(&[9]),
        SubscriptionIdentifier(VARIABLE_BYTE_INTEGER_MAX),
        SessionExpiryInterval(17),
        AssignedClientIdentifier("18"),
        ServerKeepAlive(19),
        AuthenticationMethod("21"),
        AuthenticationData(&[22]),
        RequestProblemInformation(false),
        WillDelayInterval(24),
        RequestResponseInformation(true),
        ResponseInformation("26"),
        ServerReference("28"),
        ReasonString("31"),
        ReceiveMaximum(33),
        TopicAliasMaximum(34),
        TopicAlias(35),
        MaximumQoS(1),
        RetainAvailable(false),
        UserProperty("38", ""),
        MaximumPacketSize(39),
        WildcardSubscriptionAvailable(false),
        SubscriptionIdentifierAvailable(true),
        SharedSubscriptionAvailable(false),
    ]
}

#[test]
fn every_property_of_the_table_is_iterated_as_it_was_pushed() {
    let all = one_of_each();
    assert_eq!(all.len(), TABLE.len());
    let buffer: PropertiesBuf = all.iter().copied().collect();
    assert_eq!(buffer.as_properties().iter().collect::<Vec<_>>(), all);
}

#[test]
fn every_property_is_found_by_its_look_up() {
    let buffer: PropertiesBuf = one_of_each().into_iter().collect();
    let found = buffer.as_properties();
    assert_eq!(found.payload_format_indicator(), Some(true));
    assert_eq!(found.message_expiry_interval(), Some(2));
    assert_eq!(found.content_type(), Some("3"));
    assert_eq!(found.response_topic(), Some("8"));
    assert_eq!(found.correlation_data(), Some(&[9][..]));
    assert_eq!(found.session_expiry_interval(), Some(17));
    assert_eq!(found.assigned_client_identifier(), Some("18"));
    assert_eq!(found.server_keep_alive(), Some(19));
    assert_eq!(found.authentication_method(), Some("21"));
    assert_eq!(found.authentication_data(), Some(&[22][..]));
    assert_eq!(found.request_problem_information(), Some(false));
    assert_eq!(found.will_delay_interval(), Some(24));
    assert_eq!(found.request_response_information(), Some(true));
    assert_eq!(found.response_information(), Some("26"));
    assert_eq!(found.server_reference(), Some("28"));
    assert_eq!(found.reason_string(), Some("31"));
    assert_eq!(found.receive_maximum(), Some(33));
    assert_eq!(found.topic_alias_maximum(), Some(34));
    assert_eq!(found.topic_alias(), Some(35));
    assert_eq!(found.maximum_qos(), Some(1));
    assert_eq!(found.retain_available(), Some(false));
    assert_eq!(found.maximum_packet_size(), Some(39));
    assert_eq!(found.wildcard_subscription_available(), Some(false));
    assert_eq!(found.subscription_identifier_available(), Some(true));
    assert_eq!(found.shared_subscription_available(), Some(false));
}

#[test]
fn an_absent_property_is_not_found() {
    let buffer = PropertiesBuf::from_iter([Property::UserProperty("\u{1}\u{1}", "\u{2}")]);
    assert_eq!(buffer.as_properties().payload_format_indicator(), None);
    assert_eq!(Properties::EMPTY.topic_alias(), None);
    assert!(Properties::EMPTY.iter().next().is_none());
}

#[test]
fn properties_that_repeat_keep_their_order() {
    let buffer = PropertiesBuf::from_iter([
        Property::UserProperty("a", "1"),
        Property::SubscriptionIdentifier(200),
        Property::UserProperty("a", "0"),
        Property::SubscriptionIdentifier(1),
    ]);
    let found = buffer.as_properties();
    assert_eq!(found.user_properties().collect::<Vec<_>>(), [("a", "1"), ("a", "0")]);
    assert_eq!(found.subscription_identifiers().collect::<Vec<_>>(), [200, 1]);
}

#[test]
fn a_buffer_is_extended_cleared_and_used_again() {
    let mut buffer = PropertiesBuf::from_iter([Property::TopicAlias(1)]);
    let more = PropertiesBuf::from_iter([Property::MessageExpiryInterval(5)]);
    buffer.extend_raw(more.as_properties());
    assert_eq!(buffer.as_properties().message_expiry_interval(), Some(5));
    buffer.clear();
    assert!(buffer.is_empty());
}
