//! Malformed and forbidden packets on an established connection, and what must answer them. Hard cases I.
//!
//! Everything here is written by hand; each broken packet gets a connection of its own.

use longwire_proto::Version;

use super::scenes;
use crate::craft::{self, field, frame, join, length};
use crate::failure::{Check, Failure};
use crate::message::hex;
use crate::stage::Stage;

scenes! {
    both padded_remaining_length "I04 U3-02" "" "1.5.5-1";
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

/// Byte rows that are not UTF-8.
pub(super) const BAD_UTF_8: &[&[u8]] = &[
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

/// A property set with its length.
pub(super) fn set(raw: &[u8]) -> Vec<u8> {
    join(&[&length(raw.len()), raw])
}

/// A fresh connection that sends this packet is closed with this code.
pub(super) fn answered(stage: &Stage<'_>, what: &str, packet: &[u8], code: u8, also: &[u8]) -> Check {
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
