//! DISCONNECT from a client: its codes, its forms, and what it may not say.

use super::acknowledgement::CODES;
use super::answer::Answer;
use super::row::Table;
use crate::craft::{disconnect, frame, join, property, user_property};

/// Codes that a client may send.
const CLIENT_CODES: [u8; 15] =
    [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9B];

pub(super) fn rows(table: &mut Table) {
    codes(table);
    lengths(table);
    session_expiry(table);
    accepted(table);
}

/// Codes of servers, and codes of other packets. 0x9B is left out: tables differ about who may send it.
fn codes(table: &mut Table) {
    let mut rule = table.rule("U5-63", "", "3.14.2-1", Answer::Closed(0x82));
    for code in CODES.into_iter().filter(|code| !CLIENT_CODES.contains(code)) {
        rule.v5(format!("code_{code:02x}"), frame(0xE0, &[code]));
    }
    rule.v5("code_of_servers_with_a_reason", disconnect(0x8E, &property(0x1F, "because")));
}

/// Any byte before 5.0, and bytes behind the properties in it.
fn lengths(table: &mut Table) {
    table
        .rule("U3-04", "4.8.0-1", "", Answer::Closed(0x81))
        .v311("code_before_5_0", frame(0xE0, &[0]))
        .v311("code_and_properties_before_5_0", frame(0xE0, &[0, 0]));
    table
        .rule("I05", "", "4.13.1-1", Answer::Closed(0x81))
        .v5("byte_behind_no_properties", frame(0xE0, &[0, 0, 0]))
        .v5("byte_behind_the_properties", frame(0xE0, &[0, 5, 0x11, 0, 0, 0, 0, 0]))
        .v5("property_length_and_no_properties", frame(0xE0, &[0, 5]));
    let whole = disconnect(0, &join(&[&property(0x1F, "because"), &[0x11, 0, 0, 0, 0]]));
    let mut rule = table.rule("I05", "", "4.13.1-1", Answer::Closed(0x81));
    for len in 2..whole.len() - 2 {
        rule.v5(format!("cut_behind_byte_{len}"), frame(0xE0, &whole[2..2 + len]));
    }
}

/// A session that ends with its connection cannot be made to outlive it.
fn session_expiry(table: &mut Table) {
    let mut rule = table.rule("C05 C06 U5-39", "", "4.13.1-1", Answer::Closed(0x82));
    for secs in [1, 60, u32::MAX] {
        let [a, b, c, d] = secs.to_be_bytes();
        rule.v5(format!("expiry_raised_from_0_to_{secs}"), disconnect(0, &[0x11, a, b, c, d]));
        rule.v5(format!("expiry_raised_from_0_to_{secs}_with_will"), disconnect(4, &[0x11, a, b, c, d]));
    }
}

/// Every form and code that a client may send: the broker closes and says nothing.
fn accepted(table: &mut Table) {
    table
        .rule("U5-38 U5-41", "3.14.4-1", "3.14.4-2", Answer::Left)
        .both("of_two_bytes", |_| frame(0xE0, &[]))
        .v5("with_no_properties", disconnect(0, &[]))
        .v5("with_expiry_0", disconnect(0, &[0x11, 0, 0, 0, 0]))
        .v5("with_a_reason", disconnect(0, &property(0x1F, "because")))
        .v5("with_user_properties", disconnect(0, &user_property("k", "v").repeat(3)));
    let mut rule = table.rule("U5-38 U5-41", "", "3.14.2-1 3.14.4-2", Answer::Left);
    for code in CLIENT_CODES.into_iter().filter(|&code| code != 0x9B) {
        rule.v5(format!("with_allowed_code_{code:02x}"), frame(0xE0, &[code]));
    }
}
