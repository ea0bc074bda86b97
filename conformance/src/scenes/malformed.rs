//! Malformed and forbidden packets on an established connection, and what must answer them. Hard cases I.
//!
//! Everything here is written by hand; each broken packet gets a connection of its own.

use std::time::{Duration, Instant};

use longwire_proto::Version;

use super::scenes;
use crate::craft::{self, field, frame, join, length};
use crate::failure::{Check, Failure, ensure};
use crate::message::{Arrival, Message, hex};
use crate::stage::Stage;

scenes! {
    v5 repeated_property_in_publish "I01 U5-06" "4.13.1-1";
    v5 repeated_property_in_other_packets "I01 U5-06" "4.13.1-1";
    v5 unknown_property "U5-03" "4.13.1-1";
    v5 property_of_another_packet "U5-03" "4.13.1-1";
    v5 property_cut_short "I05 U5-04" "4.13.1-1";
    v5 property_length_beyond_the_packet "I05 U5-05" "4.13.1-1";
    v5 forbidden_property_values "I02 U5-14 U5-26" "4.13.1-1 3.3.2-14";
    both padded_remaining_length "I04 U3-02" "" "1.5.5-1";
    v5 padded_integers_in_properties "I04" "1.5.5-1";
    both lengths_of_five_bytes "U3-01 U5-02" "4.8.0-1" "1.5.5-1";
    both wrong_flags_in_every_packet_type "" "2.2.2-1 2.2.2-2 3.6.1-1 3.8.1-1 3.10.1-1 3.14.1-1" "2.1.3-1 3.6.1-1 3.8.1-1 3.10.1-1 3.14.1-1";
    v5 wrong_flags_in_auth "" "3.15.1-1 2.1.3-1";
    both reserved_packet_type_zero "I17 U3-03 U5-01" "4.8.0-1" "2.1.3-1";
    both publish_of_qos_3 "" "3.3.1-4" "3.3.1-4";
    both publish_of_qos_0_with_dup "" "3.3.1-2" "3.3.1-2";
    both id_zero "" "2.3.1-1" "2.2.1-3";
    both text_that_is_not_utf_8 "" "1.5.3-1 3.3.2-1 3.8.3-1 3.10.3-1" "1.5.4-1 3.3.2-1 3.8.3-1 3.10.3-1";
    both text_with_a_zero_character "" "1.5.3-2 4.7.3-2" "1.5.4-2 4.7.3-2";
    both text_with_control_and_non_characters "U3-10" "1.5.3-1" "1.5.4-1";
    v5 properties_that_are_not_utf_8 "" "1.5.7-1 1.5.4-1 3.3.2-13 3.3.2-19";
    both topic_with_wildcards "" "3.3.2-2 4.7.1-1" "3.3.2-2 4.7.0-1";
    both empty_topic "U5-22" "4.7.3-1" "4.7.3-1";
    v5 empty_topic_with_an_alias_never_set "U5-23" "3.3.2-7";
    both subscribe_options_out_of_range "U5-32 U5-33" "3.8.3-4" "3.8.3-5";
    both requests_without_filters "" "3.8.3-3 3.10.3-2" "3.8.3-2 3.10.3-2";
    both requests_cut_inside_a_filter "" "3.8.3-1 3.10.3-1" "3.8.3-1 3.10.3-1";
    both packets_of_fixed_length_with_another "U3-04" "4.8.0-1" "4.13.1-1";
    both packets_only_a_server_may_send "" "4.8.0-1" "4.13.1-1";
    v5 codes_that_a_client_may_not_send "U5-63" "3.4.2-1 3.5.2-1 3.6.2-1 3.7.2-1 3.14.2-1";
    v5 auth_on_a_plain_link "I16 U5-42 U5-43" "4.12.0-7 3.15.2-1";
    v311 auth_does_not_exist "I16 U3-03" "4.8.0-1";
    both refused_publish_keeps_the_link "I11 U5-58" "3.3.5-2" "3.4.2-1 3.5.2-1";
    both malformed_packet_harms_nobody_else "" "4.8.0-1 4.8.0-2" "4.13.1-1 4.13.2-1";
    both thousands_of_packets_in_one_segment "I07" "3.12.4-1" "3.12.4-1";
    both packets_may_be_split_anywhere "U5-61" "4.3.3-2" "4.3.3-10";
    both everything_before_disconnect_is_processed "" "3.14.4-2 4.5.0-1" "3.14.4-1 4.5.0-1";
    both nothing_after_disconnect_is_processed "" "3.14.4-2" "3.14.4-1";
    both broker_closes_after_disconnect "U5-38 U5-41" "3.14.4-1" "3.14.4-2";
    v311 only_packets_of_3_1_1_are_seen "I09" "3.9.3-2";
}

/// Each single property twice in PUBLISH: 0x82.
fn repeated_property_in_publish(stage: &Stage<'_>) -> Check {
    for property in PUBLISH_PROPERTIES {
        let packet = craft::publish(Version::V5, 0, b"a", None, &join(&[property, property]), b"x");
        answered(stage, "PUBLISH with a repeated property", &packet, 0x82, &[0x81])?;
    }
    Ok(())
}

/// Each single property of SUBSCRIBE, the acknowledgements and DISCONNECT twice: 0x82.
fn repeated_property_in_other_packets(stage: &Stage<'_>) -> Check {
    let reason: &[u8] = &[0x1F, 0, 1, b'r'];
    let twice = |property: &[u8]| join(&[property, property]);
    let ack = |first: u8| frame(first, &join(&[&[0, 1, 0], &set(&twice(reason))]));
    let packets = [
        craft::subscribe(Version::V5, &twice(&[0x0B, 1]), b"a", 0),
        ack(0x40),
        ack(0x50),
        ack(0x62),
        ack(0x70),
        frame(0xE0, &join(&[&[0], &set(&twice(reason))])),
        frame(0xE0, &join(&[&[0], &set(&twice(&[0x11, 0, 0, 0, 0]))])),
    ];
    for packet in packets {
        answered(stage, "a packet with a repeated property", &packet, 0x82, &[0x81])?;
    }
    Ok(())
}

/// Property 0x7F, 0x00 and 0x04, which do not exist, in every packet: 0x81.
fn unknown_property(stage: &Stage<'_>) -> Check {
    for id in [0x7F, 0x00, 0x04] {
        for packet in with_properties(&[id, 0]) {
            answered(stage, "a packet with an unknown property", &packet, 0x81, &[0x82])?;
        }
    }
    Ok(())
}

/// Properties that exist, but not in this packet: 0x81.
fn property_of_another_packet(stage: &Stage<'_>) -> Check {
    for property in [&[0x18, 0, 0, 0, 5][..], &[0x21, 0, 5], &[0x11, 0, 0, 0, 5], &[0x13, 0, 5], &[0x24, 1]] {
        let packet = craft::publish(Version::V5, 0, b"a", None, property, b"x");
        answered(stage, "PUBLISH with a property of another packet", &packet, 0x81, &[0x82])?;
        let packet = craft::subscribe(Version::V5, property, b"a", 0);
        answered(stage, "SUBSCRIBE with a property of another packet", &packet, 0x81, &[0x82])?;
    }
    Ok(())
}

/// Each property of PUBLISH cut at every byte: 0x81.
fn property_cut_short(stage: &Stage<'_>) -> Check {
    for property in PUBLISH_PROPERTIES {
        for len in 1..property.len() {
            let packet = craft::publish(Version::V5, 0, b"a", None, &property[..len], b"");
            answered(stage, "PUBLISH with a property cut short", &packet, 0x81, &[0x82])?;
        }
    }
    Ok(())
}

/// A property length that runs beyond the packet: 0x81.
fn property_length_beyond_the_packet(stage: &Stage<'_>) -> Check {
    for packet in [
        frame(0x30, &join(&[&field("a"), &[100], b"x"])),
        frame(0x82, &[0, 1, 100, 0, 1, b'a', 0]),
        frame(0xA2, &[0, 1, 100, 0, 1, b'a']),
        frame(0xE0, &[0, 5, 0x11]),
    ] {
        answered(stage, "a property length beyond the packet", &packet, 0x81, &[0x82])?;
    }
    Ok(())
}

/// Values that the standard forbids: 0x82.
fn forbidden_property_values(stage: &Stage<'_>) -> Check {
    for property in [&[0x01, 2][..], &[0x08, 0, 3, b'r', b'/', b'#'], &[0x08, 0, 1, b'+'], &[0x0B, 1]] {
        let packet = craft::publish(Version::V5, 0, b"a", None, property, b"x");
        answered(stage, "PUBLISH with a forbidden value", &packet, 0x82, &[0x81, 0x90])?;
    }
    let packet = craft::subscribe(Version::V5, &[0x0B, 0], b"a", 0);
    answered(stage, "SUBSCRIBE with identifier 0", &packet, 0x82, &[0x81])
}

/// A remaining length with more bytes than it needs: 0x81.
fn padded_remaining_length(stage: &Stage<'_>) -> Check {
    for packet in [&[0xC0, 0x80, 0][..], &[0xC0, 0x80, 0x80, 0], &[0xC0, 0x80, 0x80, 0x80, 0]] {
        answered(stage, "PINGREQ with a padded length", packet, 0x81, &[])?;
    }
    let body = join(&[&field("a"), &craft::properties(stage.version, &[]), b"x"]);
    let packet = join(&[&[0x30, body.len() as u8 | 0x80, 0], &body]);
    answered(stage, "PUBLISH with a padded length", &packet, 0x81, &[])
}

/// A property length or a subscription identifier with more bytes than it needs: 0x81.
fn padded_integers_in_properties(stage: &Stage<'_>) -> Check {
    for packet in [
        frame(0x30, &join(&[&field("a"), &[0x80, 0], b"x"])),
        frame(0x82, &[0, 1, 0x80, 0, 0, 1, b'a', 0]),
        craft::subscribe(Version::V5, &[0x0B, 0x81, 0], b"a", 0),
        craft::publish(Version::V5, 0, b"a", None, &[0x81, 0, 1], b"x"),
    ] {
        answered(stage, "a padded integer", &packet, 0x81, &[])?;
    }
    Ok(())
}

/// A remaining length, property length or identifier that goes on after four bytes: 0x81 at once.
fn lengths_of_five_bytes(stage: &Stage<'_>) -> Check {
    answered(stage, "five length bytes", &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], 0x81, &[])?;
    if !stage.settings.lenient {
        answered(stage, "four length bytes that all say more", &[0xC0, 0x80, 0x80, 0x80, 0x80], 0x81, &[])?;
    }
    if stage.v5() {
        let long = [0xFF, 0xFF, 0xFF, 0xFF, 0x7F];
        let packet = frame(0x30, &join(&[&field("a"), &long, b"x"]));
        answered(stage, "a property length of five bytes", &packet, 0x81, &[])?;
        let packet = craft::subscribe(Version::V5, &join(&[&[0x0B], &long]), b"a", 0);
        answered(stage, "an identifier of five bytes", &packet, 0x81, &[])?;
    }
    Ok(())
}

/// Every packet type that has fixed flags, with each wrong value of them: 0x81.
fn wrong_flags_in_every_packet_type(stage: &Stage<'_>) -> Check {
    let version = stage.version;
    for (right, packet) in [
        (0, frame(0x40, &[0, 1])),
        (0, frame(0x50, &[0, 1])),
        (2, frame(0x62, &[0, 1])),
        (0, frame(0x70, &[0, 1])),
        (2, craft::subscribe(version, &[], b"a", 0)),
        (2, craft::unsubscribe(version, &[], b"a")),
        (0, frame(0xC0, &[])),
        (0, frame(0xE0, &[])),
    ] {
        wrong_flags(stage, right, packet)?;
    }
    Ok(())
}

/// AUTH with flags: 0x81.
fn wrong_flags_in_auth(stage: &Stage<'_>) -> Check {
    wrong_flags(stage, 0, frame(0xF0, &join(&[&[0x18], &set(&[0x15, 0, 1, b'X'])])))
}

fn wrong_flags(stage: &Stage<'_>, right: u8, mut packet: Vec<u8>) -> Check {
    for flags in (0..16).filter(|&flags| flags != right) {
        packet[0] = packet[0] & 0xF0 | flags;
        answered(stage, "wrong flags", &packet, 0x81, &[0x82])?;
    }
    Ok(())
}

/// Packet type 0: 0x81.
fn reserved_packet_type_zero(stage: &Stage<'_>) -> Check {
    answered(stage, "packet type 0", &[0x00, 0], 0x81, &[0x82])?;
    answered(stage, "packet type 0 with flags", &[0x0F, 2, 0, 0], 0x81, &[0x82])
}

/// QoS bits 11, with any DUP and RETAIN: 0x81.
fn publish_of_qos_3(stage: &Stage<'_>) -> Check {
    for flags in [0x06, 0x07, 0x0E, 0x0F] {
        let packet = craft::publish(stage.version, flags, b"a", Some(1), &[], b"x");
        answered(stage, "PUBLISH QoS 3", &packet, 0x81, &[0x82])?;
    }
    Ok(())
}

/// QoS 0 with DUP 1 breaks a MUST: 0x81. A lenient target may ignore DUP.
fn publish_of_qos_0_with_dup(stage: &Stage<'_>) -> Check {
    strict_choice(stage)?;
    let packet = craft::publish(stage.version, 0x08, b"a", None, &[], b"x");
    answered(stage, "PUBLISH QoS 0 with DUP", &packet, 0x81, &[0x82])
}

/// Id 0 in PUBLISH, SUBSCRIBE and UNSUBSCRIBE: 0x82.
fn id_zero(stage: &Stage<'_>) -> Check {
    let properties = craft::properties(stage.version, &[]);
    for packet in [
        craft::publish(stage.version, 2, b"a", Some(0), &[], b"x"),
        craft::publish(stage.version, 4, b"a", Some(0), &[], b"x"),
        frame(0x82, &join(&[&[0, 0], &properties, &field("a"), &[0]])),
        frame(0xA2, &join(&[&[0, 0], &properties, &field("a")])),
    ] {
        answered(stage, "id 0", &packet, 0x82, &[0x81])?;
    }
    Ok(())
}

/// Surrogates, overlong forms, stray and missing bytes in topics and filters: 0x81.
fn text_that_is_not_utf_8(stage: &Stage<'_>) -> Check {
    BAD_UTF_8.iter().try_for_each(|bad| in_names(stage, "text that is not UTF-8", bad))
}

/// U+0000 in topics and filters: 0x81.
fn text_with_a_zero_character(stage: &Stage<'_>) -> Check {
    [&b"\0"[..], b"a\0", b"\0a", b"a/\0/b"].iter().try_for_each(|bad| in_names(stage, "U+0000", bad))
}

/// Control characters and non-characters in topics and filters: 0x81, by choice.
fn text_with_control_and_non_characters(stage: &Stage<'_>) -> Check {
    strict_choice(stage)?;
    for bad in ["\u{1}", "a\u{1f}", "\u{7f}", "\u{9f}", "\u{fdd0}", "\u{ffff}", "\u{1fffe}", "\u{10ffff}"] {
        in_names(stage, "a control or non-character", bad.as_bytes())?;
    }
    Ok(())
}

fn in_names(stage: &Stage<'_>, what: &str, bad: &[u8]) -> Check {
    let version = stage.version;
    for packet in [
        craft::publish(version, 0, bad, None, &[], b"x"),
        craft::publish(version, 2, bad, Some(1), &[], b"x"),
        craft::subscribe(version, &[], bad, 0),
        craft::unsubscribe(version, &[], bad),
    ] {
        answered(stage, what, &packet, 0x81, &[0x82, 0x8F, 0x90])?;
    }
    Ok(())
}

/// Bad UTF-8 and U+0000 in string properties of PUBLISH, SUBSCRIBE, acknowledgements and DISCONNECT: 0x81.
fn properties_that_are_not_utf_8(stage: &Stage<'_>) -> Check {
    for bad in BAD_UTF_8.iter().copied().chain([&b"a\0b"[..]]) {
        let text = field(bad);
        let name_bad = join(&[&[0x26], &text, &field("v")]);
        let value_bad = join(&[&[0x26], &field("k"), &text]);
        let reason = join(&[&[0x1F], &text]);
        for property in
            [join(&[&[0x03], &text]), join(&[&[0x08], &text]), name_bad.clone(), value_bad.clone()]
        {
            let packet = craft::publish(Version::V5, 0, b"a", None, &property, b"x");
            answered(stage, "PUBLISH with bad text in a property", &packet, 0x81, &[0x82])?;
        }
        for packet in [
            craft::subscribe(Version::V5, &name_bad, b"a", 0),
            craft::unsubscribe(Version::V5, &value_bad, b"a"),
            frame(0x40, &join(&[&[0, 1, 0], &set(&reason)])),
            frame(0xE0, &join(&[&[0], &set(&reason)])),
        ] {
            answered(stage, "bad text in a property", &packet, 0x81, &[0x82])?;
        }
    }
    Ok(())
}

/// A PUBLISH to `a/#`, `+` and the like: 0x81.
fn topic_with_wildcards(stage: &Stage<'_>) -> Check {
    for topic in ["a/#", "#", "+", "a/+/b", "a+", "a#b"] {
        let packet = craft::publish(stage.version, 0, topic.as_bytes(), None, &[], b"x");
        answered(stage, "PUBLISH with wildcards", &packet, 0x81, &[0x82, 0x90])?;
    }
    Ok(())
}

/// A PUBLISH without a topic: 0x82.
fn empty_topic(stage: &Stage<'_>) -> Check {
    let packet = craft::publish(stage.version, 0, b"", None, &[], b"x");
    answered(stage, "PUBLISH without topic", &packet, 0x82, &[0x81, 0x90])
}

/// An empty topic with alias 3, which nobody set: 0x82.
fn empty_topic_with_an_alias_never_set(stage: &Stage<'_>) -> Check {
    let packet = craft::publish(stage.version, 0, b"", None, &[0x23, 0, 3], b"x");
    answered(stage, "PUBLISH with an unknown alias", &packet, 0x82, &[0x94])
}

/// QoS 3 and handling 3: 0x82; reserved bits: 0x81. Before 5.0 every bit above the QoS is reserved.
fn subscribe_options_out_of_range(stage: &Stage<'_>) -> Check {
    let cases: &[(u8, u8)] = if stage.v5() {
        &[(0x03, 0x82), (0x30, 0x82), (0x31, 0x82), (0x40, 0x81), (0x80, 0x81), (0xC2, 0x81)]
    } else {
        &[(0x03, 0), (0x04, 0), (0x08, 0), (0x10, 0), (0x20, 0), (0x40, 0), (0x80, 0), (0xFF, 0)]
    };
    for (options, code) in cases {
        let packet = craft::subscribe(stage.version, &[], b"a", *options);
        answered(stage, &format!("SUBSCRIBE with options {options:02X}"), &packet, *code, &[0x81, 0x82])?;
    }
    Ok(())
}

/// SUBSCRIBE and UNSUBSCRIBE without a filter: 0x82.
fn requests_without_filters(stage: &Stage<'_>) -> Check {
    for first in [0x82, 0xA2] {
        let packet = frame(first, &join(&[&[0, 1], &craft::properties(stage.version, &[])]));
        answered(stage, "a request without filters", &packet, 0x82, &[0x81])?;
    }
    Ok(())
}

/// A filter longer than the packet, a filter without options, half a length: 0x81.
fn requests_cut_inside_a_filter(stage: &Stage<'_>) -> Check {
    let properties = craft::properties(stage.version, &[]);
    for (first, filters) in [
        (0x82, &[0, 9, b'a', 0][..]),
        (0x82, &[0, 1, b'a']),
        (0x82, &[0, 1, b'a', 0, 0]),
        (0xA2, &[0, 9, b'a']),
        (0xA2, &[0, 1, b'a', 0]),
    ] {
        let packet = frame(first, &join(&[&[0, 1], &properties, filters]));
        answered(stage, "a request cut inside a filter", &packet, 0x81, &[0x82])?;
    }
    Ok(())
}

/// PINGREQ with a byte, an acknowledgement with one byte, and before 5.0 with three: 0x81.
fn packets_of_fixed_length_with_another(stage: &Stage<'_>) -> Check {
    for packet in [&[0xC0, 1, 0][..], &[0x40, 1, 0], &[0x40, 0], &[0x62, 1, 0], &[0x70, 0]] {
        answered(stage, "a packet of another length", packet, 0x81, &[0x82])?;
    }
    if !stage.v5() {
        for packet in [&[0x40, 3, 0, 1, 0][..], &[0x50, 3, 0, 1, 0], &[0x62, 3, 0, 1, 0], &[0xE0, 1, 0]] {
            answered(stage, "a packet of another length", packet, 0x81, &[])?;
        }
    }
    Ok(())
}

/// CONNACK, SUBACK, UNSUBACK and PINGRESP from a client: 0x82.
fn packets_only_a_server_may_send(stage: &Stage<'_>) -> Check {
    let version = stage.version;
    let properties = craft::properties(version, &[]);
    for packet in [
        frame(0x20, &join(&[&[0, 0], &properties])),
        frame(0x90, &join(&[&[0, 1], &properties, &[0]])),
        frame(0xB0, &join(&[&[0, 1], &properties, if version == Version::V5 { &[0] } else { &[] }])),
        frame(0xD0, &[]),
    ] {
        answered(stage, "a packet of servers", &packet, 0x82, &[0x81])?;
    }
    Ok(())
}

/// Reason codes outside the table of their packet: 0x82.
fn codes_that_a_client_may_not_send(stage: &Stage<'_>) -> Check {
    for (first, code) in
        [(0x40, 0x01), (0x40, 0x92), (0x50, 0x8E), (0x62, 0x80), (0x62, 0x10), (0x70, 0x91), (0x70, 0x87)]
    {
        answered(stage, "a code of another packet", &frame(first, &[0, 1, code]), 0x82, &[0x81])?;
    }
    for code in [0x01, 0x8B, 0x8D, 0x8F, 0x9D] {
        answered(stage, "DISCONNECT with a code not for clients", &frame(0xE0, &[code]), 0x82, &[0x81])?;
    }
    Ok(())
}

/// AUTH where CONNECT had no method, with each code, with and without a method: 0x82.
fn auth_on_a_plain_link(stage: &Stage<'_>) -> Check {
    let method = set(&[0x15, 0, 1, b'X']);
    for packet in [
        frame(0xF0, &join(&[&[0x19], &method])),
        frame(0xF0, &join(&[&[0x18], &method])),
        frame(0xF0, &join(&[&[0x00], &method])),
        frame(0xF0, &[0x18, 0]),
        frame(0xF0, &[]),
    ] {
        answered(stage, "AUTH without a method in CONNECT", &packet, 0x82, &[0x81])?;
    }
    Ok(())
}

/// Packet type 15 before 5.0: close.
fn auth_does_not_exist(stage: &Stage<'_>) -> Check {
    answered(stage, "packet type 15", &[0xF0, 0], 0x81, &[])?;
    answered(stage, "packet type 15", &frame(0xF0, &[0x19, 4, 0x15, 0, 1, b'X']), 0x81, &[])
}

/// A publish that is not allowed: its acknowledgement says so (5.0) or says nothing, and the link stays.
fn refused_publish_keeps_the_link(stage: &Stage<'_>) -> Check {
    let refused = stage.shared("g", "a");
    let good = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &good, 1)?;
    let mut publisher = stage.connect("pub")?;
    publisher.publish(&Message::new(&refused, "x"));
    publisher.publish(&Message::new(&refused, "x").qos(1).id(1));
    let code = if stage.v5() { 0x90 } else { 0 };
    publisher.expect(format_args!("PUBACK id 1 code 0x{code:02X}"), |arrival| match arrival {
        Arrival::PubAck(ack) if ack.id == 1 && ack.code == code => Some(()),
        _ => None,
    })?;
    publisher.deliver(&Message::new(&good, "good").qos(1))?;
    subscriber.take_of("good")?;
    subscriber.quiet()
}

/// One client breaks the rules and is closed; two others do not notice.
fn malformed_packet_harms_nobody_else(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    for packet in [&[0x00, 0][..], &[0x36, 2, 0, 0], &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]] {
        let mut broken = stage.connect("broken")?;
        broken.raw("a malformed packet", packet);
        broken.closes_within(Duration::from_secs(5))?;
        publisher.deliver(&Message::new(&topic, "x").qos(1))?;
        subscriber.take_of("x")?;
    }
    Ok(())
}

/// 5,000 PINGREQs and PUBLISHes in one write are all answered, and others are served meanwhile.
fn thousands_of_packets_in_one_segment(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut other = stage.connect("other")?;
    let mut client = stage.subscriber("client", &topic, 0)?;
    let mut bytes = Vec::new();
    for number in 0..2500 {
        bytes.extend([0xC0, 0]);
        let payload = number.to_string();
        bytes.extend(craft::publish(stage.version, 0, topic.as_bytes(), None, &[], payload.as_bytes()));
    }
    client.raw("2,500 PINGREQs and PUBLISHes", &bytes);
    let start = Instant::now();
    other.ping()?;
    ensure(start.elapsed() < Duration::from_secs(2), "PINGRESP for others within 2 s", "it took longer")?;
    for _ in 0..2500 {
        client.wait("PINGRESP", |arrival| (*arrival == Arrival::PingResp).then_some(()))?;
    }
    for number in 0..2500 {
        client.take_of(number.to_string())?;
    }
    client.quiet()
}

/// CONNECT, SUBSCRIBE and a hundred messages in pieces of 1 to 13 bytes: as good as in one.
fn packets_may_be_split_anywhere(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let subscribe = craft::subscribe(stage.version, &[], topic.as_bytes(), 0);
    let mut bytes = join(&[&stage.login("client").bytes(), &subscribe]);
    for number in 0..100_u16 {
        let payload = number.to_string();
        let id = 100 + number;
        bytes.extend(craft::publish(stage.version, 4, topic.as_bytes(), Some(id), &[], payload.as_bytes()));
        bytes.extend(frame(0x62, &id.to_be_bytes()));
    }
    let mut client = stage.dial("client")?;
    let mut rest = &bytes[..];
    for len in (1..=13).cycle() {
        let (piece, tail) = rest.split_at(rest.len().min(len));
        client.raw("a piece", piece);
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    client.expect_connack()?;
    client.wait("SUBACK", |arrival| matches!(arrival, Arrival::SubAck(_)).then_some(()))?;
    for id in 100..200 {
        client.expect_pubrec(id)?;
        client.expect_pubcomp(id)?;
    }
    for number in 0..100 {
        client.take_of(number.to_string())?;
    }
    client.quiet()
}

/// 200 messages of every QoS, DISCONNECT and the end of the stream in one write: every message is delivered.
fn everything_before_disconnect_is_processed(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 1)?;
    // A broker may bound open QoS 2 flows, and one that delivers at PUBREL has only the other two thirds.
    let (count, sure) = if stage.settings.lenient { (30_u16, 20) } else { (200, 200) };
    for round in 0..5 {
        let mut publisher = stage.connect("pub")?;
        let mut bytes = Vec::new();
        for number in 0..count {
            let qos = (number % 3) as u8;
            let id = (qos > 0).then_some(number + 1);
            let payload = format!("{round}");
            let (version, topic) = (stage.version, topic.as_bytes());
            bytes.extend(craft::publish(version, qos << 1, topic, id, &[], payload.as_bytes()));
        }
        bytes.extend([0xE0, 0]);
        publisher.raw("messages and DISCONNECT", &bytes);
        publisher.stop_sending();
        for _ in 0..sure {
            subscriber.take_of(round.to_string())?;
        }
        subscriber.quiet_for(Duration::from_millis(50))?;
    }
    Ok(())
}

/// A PUBLISH in the same segment behind DISCONNECT is thrown away.
fn nothing_after_disconnect_is_processed(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    let late = craft::publish(stage.version, 2, topic.as_bytes(), Some(1), &[], b"late");
    publisher.raw("DISCONNECT and a PUBLISH behind it", &join(&[&[0xE0, 0], &late]));
    publisher.expect_end()?;
    subscriber.quiet()
}

/// The client says DISCONNECT and keeps its socket: the broker closes, without a DISCONNECT of its own.
fn broker_closes_after_disconnect(stage: &Stage<'_>) -> Check {
    let forms: &[&[u8]] =
        if stage.v5() { &[&[0xE0, 0], &[0xE0, 1, 0], &[0xE0, 2, 0, 0]] } else { &[&[0xE0, 0]] };
    for form in forms {
        let mut client = stage.connect("client")?;
        client.raw("DISCONNECT", form);
        client.expect_end()?;
    }
    Ok(())
}

/// Takeover, refusals and the death of a 3.1.1 connection show no DISCONNECT, no 5.0 code and no property.
fn only_packets_of_3_1_1_are_seen(stage: &Stage<'_>) -> Check {
    let mut client = stage.connect("client")?;
    client.raw("UNSUBSCRIBE", &craft::unsubscribe(stage.version, &[], b"unknown"));
    client.expect_bytes(&[0xB0, 2, 0, 1])?;
    client.raw("SUBSCRIBE", &craft::subscribe(stage.version, &[], "x/".repeat(300).as_bytes(), 1));
    client.expect_bytes(&[0x90, 3, 0, 1, 0x80])?;
    client.raw("PUBLISH", &craft::publish(stage.version, 2, b"$share/g/a", Some(1), &[], b"x"));
    client.expect_bytes(&[0x40, 2, 0, 1])?;
    client.raw("PUBREL for an unknown id", &[0x62, 2, 0, 9]);
    client.expect_bytes(&[0x70, 2, 0, 9])?;
    let _new = stage.connect("client")?;
    client.expect_end()
}

/// Each property that may stand once in a PUBLISH of a client.
const PUBLISH_PROPERTIES: &[&[u8]] = &[
    &[0x01, 1],
    &[0x02, 0, 0, 0, 60],
    &[0x03, 0, 1, b't'],
    &[0x08, 0, 1, b'r'],
    &[0x09, 0, 1, b'c'],
    &[0x23, 0, 1],
];

/// Byte rows that are not UTF-8.
const BAD_UTF_8: &[&[u8]] = &[
    b"\xED\xA0\x80",
    b"\xED\xBF\xBF",
    b"\xC0\x80",
    b"\xC0\xAF",
    b"\xE0\x80\xAF",
    b"a\xFF",
    b"\xC3",
    b"\x80",
    b"\xF4\x90\x80\x80",
    b"\xF0\x9F\x98",
];

/// Every packet of a client that may have properties, with this set.
fn with_properties(raw: &[u8]) -> Vec<Vec<u8>> {
    let v5 = Version::V5;
    let mut packets = vec![
        craft::publish(v5, 0, b"a", None, raw, b"x"),
        craft::subscribe(v5, raw, b"a", 0),
        craft::unsubscribe(v5, raw, b"a"),
        frame(0xE0, &join(&[&[0], &set(raw)])),
    ];
    packets.extend([0x40, 0x50, 0x62, 0x70].map(|first| frame(first, &join(&[&[0, 1, 0], &set(raw)]))));
    packets
}

/// A property set with its length.
fn set(raw: &[u8]) -> Vec<u8> {
    join(&[&length(raw.len()), raw])
}

/// A fresh connection that sends this packet is closed with this code.
fn answered(stage: &Stage<'_>, what: &str, packet: &[u8], code: u8, also: &[u8]) -> Check {
    let mut client = stage.connect("client")?;
    client.raw(what, packet);
    client.expect_close(code, also).map_err(|failure| match failure {
        Failure::Differs { expected, came } => {
            Failure::Differs { expected: format!("{expected}, for {what}: {}", hex(packet)), came }
        }
        other => other,
    })
}

/// Stops where the standard leaves a choice and the target is not bound to ours.
fn strict_choice(stage: &Stage<'_>) -> Check {
    if stage.settings.lenient {
        return Err(Failure::NotApplicable("the standard leaves the choice".to_owned()));
    }
    Ok(())
}
