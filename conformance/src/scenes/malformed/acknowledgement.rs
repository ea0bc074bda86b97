//! PUBACK, PUBREC, PUBREL and PUBCOMP: their lengths, ids and codes. The ids are those of no exchange, so that
//! every form that keeps the rules has the answer of an unknown id.

use super::answer::{Answer, Reply, replied, stays};
use super::row::Table;
use crate::craft::{ack, frame, join, property, set, user_property};

/// An acknowledgement: name, first byte, statement about its codes, the codes a client may send.
struct Kind {
    name: &'static str,
    first: u8,
    codes_statement: &'static str,
    codes: &'static [u8],
}

const PUBLISH_CODES: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const RELEASE_CODES: &[u8] = &[0x00, 0x92];

const KINDS: [Kind; 4] = [
    Kind { name: "puback", first: 0x40, codes_statement: "3.4.2-1", codes: PUBLISH_CODES },
    Kind { name: "pubrec", first: 0x50, codes_statement: "3.5.2-1", codes: PUBLISH_CODES },
    Kind { name: "pubrel", first: 0x62, codes_statement: "3.6.2-1", codes: RELEASE_CODES },
    Kind { name: "pubcomp", first: 0x70, codes_statement: "3.7.2-1", codes: RELEASE_CODES },
];

/// Every code that the standard knows anywhere, and six that it does not know.
pub(super) const CODES: [u8; 49] = [
    0x00, 0x01, 0x02, 0x04, 0x10, 0x11, 0x18, 0x19, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88,
    0x89, 0x8A, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
    0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2, 0x03, 0x05, 0x17, 0x7F, 0xA3, 0xFF,
];

pub(super) fn rows(table: &mut Table) {
    for kind in KINDS {
        codes_of_other_packets(table, &kind);
        lengths(table, &kind);
        accepted_forms(table, &kind);
        accepted_codes(table, &kind);
    }
}

/// Codes that are not in the table of this packet.
fn codes_of_other_packets(table: &mut Table, kind: &Kind) {
    let mut rule = table.rule("", "", kind.codes_statement, Answer::Closed(0x82));
    for code in CODES.into_iter().filter(|code| !kind.codes.contains(code)) {
        rule.v5(format!("{}_with_code_{code:02x}", kind.name), ack(kind.first, 9, &[code]));
    }
    rule.v5(
        format!("{}_with_a_code_of_another_packet_and_properties", kind.name),
        ack(kind.first, 9, &join(&[&[0x8E], &set(&property(0x1F, "r"))])),
    );
}

/// Id 0, half an id, and bytes that no field explains.
fn lengths(table: &mut Table, kind: &Kind) {
    let Kind { name, first, .. } = *kind;
    table
        .rule("", "2.3.1-6 4.8.0-1", "2.2.1-5 4.13.1-1", Answer::Closed(0x82))
        .by_choice()
        .both(format!("{name}_with_id_0"), |_| ack(first, 0, &[]));
    table
        .rule("U3-04", "4.8.0-1", "4.13.1-1", Answer::Closed(0x81))
        .both(format!("{name}_of_half_an_id"), |_| frame(first, &[9]));
    table
        .rule("U3-04", "4.8.0-1", "", Answer::Closed(0x81))
        .v311(format!("{name}_with_a_code_before_5_0"), ack(first, 9, &[0]))
        .v311(format!("{name}_with_properties_before_5_0"), ack(first, 9, &[0, 0]));
    table
        .rule("I05", "", "4.13.1-1", Answer::Closed(0x81))
        .v5(format!("{name}_with_a_byte_behind_no_properties"), ack(first, 9, &[0, 0, 0]))
        .v5(
            format!("{name}_with_a_byte_behind_its_properties"),
            ack(first, 9, &join(&[&[0], &set(&property(0x1F, "r")), &[0]])),
        )
        .v5(format!("{name}_with_a_property_length_and_no_properties"), ack(first, 9, &[0, 5]));
    let properties = set(&join(&[&property(0x1F, "because"), &user_property("k", "v")]));
    let mut rule = table.rule("I05", "", "4.13.1-1", Answer::Closed(0x81));
    for len in 1..properties.len() {
        let rest = join(&[&[0], &properties[..len]]);
        rule.v5(format!("{name}_cut_behind_byte_{len}_of_its_properties"), ack(first, 9, &rest));
    }
}

/// The three forms of 5.0, the shortest of which is that of 3.1.1 too.
fn accepted_forms(table: &mut Table, kind: &Kind) {
    let Kind { name, first, .. } = *kind;
    let (reason, user) = (property(0x1F, "because"), user_property("k", "v"));
    table
        .rule("U5-31", "4.3.3-1", "4.3.3-11", answer(first, 0, 9))
        .both(format!("{name}_of_two_bytes"), |_| ack(first, 9, &[]))
        .v5(format!("{name}_of_three_bytes"), ack(first, 9, &[0]))
        .v5(format!("{name}_of_four_bytes"), ack(first, 9, &[0, 0]))
        .v5(format!("{name}_with_a_reason"), ack(first, 9, &join(&[&[0], &set(&reason)])))
        .v5(format!("{name}_with_an_empty_reason"), ack(first, 9, &join(&[&[0], &set(&property(0x1F, ""))])))
        .v5(
            format!("{name}_with_user_properties"),
            ack(first, 9, &join(&[&[0], &set(&join(&[&user, &reason, &user]))])),
        );
    for id in [1, 255, 256, 65_535] {
        table
            .rule("", "2.3.1-6", "2.2.1-5", answer(first, 0, id))
            .both(format!("{name}_with_unknown_id_{id}"), |_| ack(first, id, &[]));
    }
}

/// Every code that a client may send there, alone and with an empty set behind it.
fn accepted_codes(table: &mut Table, kind: &Kind) {
    let Kind { name, first, codes_statement, codes } = *kind;
    for &code in codes.iter().skip(1) {
        table
            .rule("U5-31", "", codes_statement, answer(first, code, 9))
            .v5(format!("{name}_with_allowed_code_{code:02x}"), ack(first, 9, &[code]))
            .v5(format!("{name}_with_allowed_code_{code:02x}_and_no_properties"), ack(first, 9, &[code, 0]));
    }
}

/// What answers an acknowledgement of an exchange that there is not; a PUBREC of failure ends it anyway.
fn answer(first: u8, code: u8, id: u16) -> Answer {
    match first {
        0x50 if code < 0x80 => replied(Reply::PubRel(id, 0x92)),
        0x62 => replied(Reply::PubComp(id, 0x92)),
        _ => stays(),
    }
}
