//! AUTH on a connection whose CONNECT named no method. Before 5.0 it does not exist, which `header` covers.

use super::acknowledgement::CODES;
use super::answer::Answer;
use super::row::Table;
use crate::craft::{auth, frame, join, property, user_property};

pub(super) fn rows(table: &mut Table) {
    let method = property(0x15, "X");
    table
        .rule("I16 U5-42", "", "4.12.0-7", Answer::Closed(0x82))
        .v5("continue_without_a_method_in_connect", auth(0x18, &method))
        .v5("continue_with_data", auth(0x18, &join(&[&method, &property(0x16, [0, 1, 2])])))
        .v5("continue_with_a_reason", auth(0x18, &join(&[&method, &property(0x1F, "because")])))
        .v5("continue_with_user_properties", auth(0x18, &join(&[&user_property("k", "v"), &method])))
        .v5("re_authenticate_without_a_method_in_connect", auth(0x19, &method))
        .v5("re_authenticate_with_data", auth(0x19, &join(&[&method, &property(0x16, "x")])))
        .v5("method_without_a_name", auth(0x19, &property(0x15, "")));
    table
        .rule("I16 U5-43", "", "4.12.0-7 4.13.1-1", Answer::Closed(0x82))
        .v5("no_body", frame(0xF0, &[]))
        .v5("continue_without_properties", auth(0x18, &[]))
        .v5("re_authenticate_without_properties", auth(0x19, &[]))
        .v5("data_without_a_method", auth(0x18, &property(0x16, "x")))
        .v5("reason_without_a_method", auth(0x18, &property(0x1F, "because")));
    let mut rule = table.rule("I16", "", "3.15.2-1", Answer::Closed(0x82));
    for code in CODES.into_iter().filter(|code| !matches!(code, 0x18 | 0x19)) {
        rule.v5(format!("code_{code:02x}"), auth(code, &method));
    }
    table
        .rule("I05", "", "4.13.1-1", Answer::Closed(0x81))
        .v5("code_without_a_property_length", frame(0xF0, &[0x18]))
        .v5("byte_behind_the_properties", join(&[&[0xF0, 7, 0x18, 4], &method, &[0]]))
        .v5("method_longer_than_the_packet", frame(0xF0, &[0x18, 4, 0x15, 0, 9, b'X']));
    let whole = auth(0x19, &join(&[&method, &property(0x16, "data"), &property(0x1F, "because")]));
    let mut rule = table.rule("I05", "", "4.13.1-1", Answer::Closed(0x81));
    for len in 1..whole.len() - 2 {
        rule.v5(format!("cut_behind_byte_{len}"), frame(0xF0, &whole[2..2 + len]));
    }
}
