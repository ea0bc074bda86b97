//! Values that a property may not have, and the outermost ones that it may. Texts are in [`super::super::text`].

use longwire_proto::Version::V5;

use super::super::answer::{Answer, granted, stays};
use super::super::carrier::Carrier::{self, Connect, Publish, Subscribe, Will};
use super::super::row::Table;
use crate::craft::{connect, field, join, length, property, publish, set, user_property};

pub(super) fn rows(table: &mut Table) {
    forbidden(table);
    integers_of_wrong_form(table);
    response_topics(table);
    accepted_in_connect(table);
    accepted_in_messages(table);
    accepted_in_subscribe(table);
    accepted_by_choice(table);
}

/// Zero and two where they are forbidden, and data without its method.
fn forbidden(table: &mut Table) {
    let forbidden: [(Carrier, &str, &str, &[u8]); 14] = [
        (Connect, "U5-08 I02", "receive_maximum_0", &[0x21, 0, 0]),
        (Connect, "U5-09 I02", "maximum_packet_size_0", &[0x27, 0, 0, 0, 0]),
        (Connect, "U5-10", "request_response_information_2", &[0x19, 2]),
        (Connect, "U5-10", "request_response_information_255", &[0x19, 255]),
        (Connect, "U5-11", "request_problem_information_2", &[0x17, 2]),
        (Connect, "U5-11", "request_problem_information_255", &[0x17, 255]),
        (Connect, "I03 U5-12", "authentication_data_without_a_method", &[0x16, 0, 1, b'x']),
        (Connect, "I03 U5-12", "empty_authentication_data_without_a_method", &[0x16, 0, 0]),
        (Will, "U5-14", "payload_format_2_of_a_will", &[0x01, 2]),
        (Will, "U5-14", "payload_format_255_of_a_will", &[0x01, 255]),
        (Publish, "U5-14", "payload_format_2", &[0x01, 2]),
        (Publish, "U5-14", "payload_format_255", &[0x01, 255]),
        (Subscribe, "I02 U5-26", "subscription_identifier_0", &[0x0B, 0]),
        (Publish, "F07 U5-27", "subscription_identifier_0_from_a_publisher", &[0x0B, 0]),
    ];
    for (carrier, cases, name, raw) in forbidden {
        let mut rule = table.rule(cases, "", carrier.statement(), carrier.refused(0x82));
        rule.v5(name, carrier.with(raw));
    }
    table
        .rule("F07 U5-27", "", "3.3.4-6", Answer::Closed(0x82))
        .v5(
            "subscription_identifier_of_28_bits_from_a_publisher",
            Publish.with(&[0x0B, 0xFF, 0xFF, 0xFF, 0x7F]),
        )
        .v5("subscription_identifiers_from_a_publisher", Publish.with(&[0x0B, 1, 0x0B, 2]))
        .v5("subscription_identifier_at_qos_2", publish(V5, 4, "a", Some(1), &[0x0B, 1], "x"));
}

/// Subscription identifiers that are padded, too long, or without an end.
fn integers_of_wrong_form(table: &mut Table) {
    table
        .rule("I04", "", "1.5.5-1", Answer::Closed(0x81))
        .by_choice()
        .v5("subscription_identifier_in_two_bytes", Subscribe.with(&[0x0B, 0x81, 0]))
        .v5("subscription_identifier_in_four_bytes", Subscribe.with(&[0x0B, 0x81, 0x80, 0x80, 0]))
        .v5("subscription_identifier_0_in_two_bytes", Subscribe.with(&[0x0B, 0x80, 0]));
    table
        .rule("U5-02", "", "1.5.5-1", Answer::Closed(0x81))
        .v5("subscription_identifier_in_five_bytes", Subscribe.with(&[0x0B, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]))
        .v5("subscription_identifier_of_29_bits", Subscribe.with(&[0x0B, 0x80, 0x80, 0x80, 0x80, 1]));
    table
        .rule("U5-04 I05", "", "4.13.1-1", Answer::Closed(0x81))
        .v5("subscription_identifier_that_goes_on", Subscribe.with(&[0x0B, 0x81]));
}

/// A Response Topic is a topic name.
fn response_topics(table: &mut Table) {
    for (carrier, what) in [(Publish, ""), (Will, "_of_a_will")] {
        let mut rule = table.rule("", "", "3.3.2-14", carrier.refused(0x82)).also(&[0x90]);
        for (name, topic) in [
            ("of_a_plus", "+"),
            ("of_a_hash", "#"),
            ("ending_in_a_hash", "r/#"),
            ("with_a_plus_inside", "r/+/a"),
            ("with_a_plus_in_a_level", "r+"),
        ] {
            rule.v5(format!("response_topic{what}_{name}"), carrier.with(&property(0x08, topic)));
        }
        table
            .rule("", "", "4.7.3-1", carrier.refused(0x82))
            .also(&[0x90])
            .v5(format!("response_topic{what}_that_is_empty"), carrier.with(&property(0x08, "")));
    }
}

/// Numbers at both ends of their range, and everything at once.
fn accepted_in_connect(table: &mut Table) {
    let mut rule = table.rule("", "", "3.1.4-5", Answer::Accepted);
    let values: [(&str, &[u8]); 15] = [
        ("session_expiry_0", &[0x11, 0, 0, 0, 0]),
        ("session_expiry_1", &[0x11, 0, 0, 0, 1]),
        ("session_expiry_of_32_bits", &[0x11, 255, 255, 255, 255]),
        ("receive_maximum_1", &[0x21, 0, 1]),
        ("receive_maximum_65535", &[0x21, 255, 255]),
        ("maximum_packet_size_of_32_bits", &[0x27, 255, 255, 255, 255]),
        ("maximum_packet_size_1000", &[0x27, 0, 0, 3, 0xE8]),
        ("topic_alias_maximum_0", &[0x22, 0, 0]),
        ("topic_alias_maximum_65535", &[0x22, 255, 255]),
        ("request_response_information_0", &[0x19, 0]),
        ("request_response_information_1", &[0x19, 1]),
        ("request_problem_information_0", &[0x17, 0]),
        ("request_problem_information_1", &[0x17, 1]),
        ("user_property_of_nothing", &[0x26, 0, 0, 0, 0]),
        ("user_property_of_value_only", &[0x26, 0, 0, 0, 1, b'v']),
    ];
    for (name, raw) in values {
        rule.v5(format!("{name}_in_connect"), Connect.with(raw));
    }
    let all = join(&[
        &[0x11, 0, 0, 0, 9],
        &[0x21, 0, 20],
        &user_property("k", "1"),
        &[0x27, 0, 1, 0, 0],
        &[0x22, 0, 10],
        &[0x19, 1],
        &[0x17, 1],
        &user_property("k", "2"),
    ]);
    rule.v5("all_properties_of_connect_at_once", Connect.with(&all));
}

/// The properties of a message, live and in a will.
fn accepted_in_messages(table: &mut Table) {
    let longest = "x".repeat(65_535);
    let values: [(&str, Vec<u8>); 13] = [
        ("payload_format_0", vec![0x01, 0]),
        ("payload_format_1", vec![0x01, 1]),
        ("message_expiry_0", vec![0x02, 0, 0, 0, 0]),
        ("message_expiry_of_32_bits", vec![0x02, 255, 255, 255, 255]),
        ("empty_content_type", property(0x03, "")),
        ("content_type_of_65535_bytes", property(0x03, &longest)),
        ("response_topic_of_a_slash", property(0x08, "/")),
        ("response_topic_of_65535_bytes", property(0x08, &longest)),
        ("empty_correlation_data", property(0x09, "")),
        ("correlation_data_of_any_bytes", property(0x09, [0, 0xFF, 0xC0, 0x80])),
        ("user_property_of_nothing", user_property("", "")),
        ("user_property_of_65535_bytes_twice", user_property(&longest, &longest)),
        ("same_user_property_three_times", user_property("k", "v").repeat(3)),
    ];
    for (name, raw) in &values {
        table.rule("", "", "3.3.4-1", stays()).v5(format!("{name}_in_publish"), Publish.with(raw));
        table.rule("", "", "3.1.4-5", Answer::Accepted).v5(format!("{name}_in_a_will"), Will.with(raw));
    }
    let all = join(&[
        &[0x02, 0, 0, 0, 60],
        &user_property("k", "1"),
        &property(0x03, "text/plain"),
        &[0x01, 1],
        &property(0x09, [0, 1]),
        &user_property("k", "2"),
        &property(0x08, "malformed/response"),
    ]);
    table
        .rule("", "", "3.3.4-1", stays())
        .v5("all_properties_of_publish_at_once", Publish.with(&join(&[&all, &[0x23, 0, 1]])));
    let delays = [("0", [0; 4]), ("5", [0, 0, 0, 5]), ("of_32_bits", [255; 4])];
    for (name, [a, b, c, d]) in delays {
        table
            .rule("", "", "3.1.4-5", Answer::Accepted)
            .v5(format!("will_delay_{name}"), Will.with(&[0x18, a, b, c, d]))
            .v5(
                format!("all_properties_of_a_will_with_delay_{name}"),
                Will.with(&join(&[&all, &[0x18, a, b, c, d]])),
            );
    }
}

/// The payload of a will that says it is text and is not: nobody has to look.
fn accepted_by_choice(table: &mut Table) {
    let will = join(&[&field(""), &set(&[0x01, 1]), &field("malformed/will"), &field([0xFF, 0xC0, 0x80])]);
    table
        .rule("U5-13", "", "3.1.4-5", Answer::Accepted)
        .by_choice()
        .v5("will_payload_that_is_not_the_text_it_says", connect(V5, 0x06, &[], &will));
}

/// An identifier beside user properties, before and behind it.
fn accepted_in_subscribe(table: &mut Table) {
    let user = user_property("k", "v");
    table
        .rule("U5-26", "", "3.8.4-1", granted(&[0]))
        .v5("identifier_behind_a_user_property", Subscribe.with(&join(&[&user, &[0x0B], &length(300)])))
        .v5(
            "identifier_between_user_properties",
            Subscribe.with(&join(&[&user, &[0x0B], &length(300), &user])),
        );
}
