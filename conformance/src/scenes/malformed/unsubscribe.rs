//! UNSUBSCRIBE: its id and filters. Its properties are in `property`, its texts in `text`.

use longwire_proto::Version::{V5, V311};

use super::answer::{Answer, Reply, replied};
use super::row::Table;
use super::subscribe::{BAD_FILTERS, BAD_SHARES, GOOD_FILTERS};
use crate::craft::{field, frame, join, properties, unsubscribe, user_property};

pub(super) fn rows(table: &mut Table) {
    ids(table);
    cut(table);
    cut_everywhere(table);
    filters(table);
    accepted(table);
}

/// Id 0, and nothing to unsubscribe from.
fn ids(table: &mut Table) {
    table
        .rule("", "2.3.1-1", "2.2.1-3", Answer::Closed(0x82))
        .both("id_0", |v| frame(0xA2, &join(&[&[0, 0], &properties(v, &[]), &field("a")])));
    table
        .rule("", "3.10.3-2", "3.10.3-2", Answer::Closed(0x82))
        .both("no_filter", |v| frame(0xA2, &join(&[&[0, 1], &properties(v, &[])])))
        .v5("no_filter_behind_a_user_property", frame(0xA2, &[0, 1, 5, 0x26, 0, 0, 0, 0]));
    table
        .rule("", "", "2.2.2-1", Answer::Closed(0x81))
        .v5("no_property_length", frame(0xA2, &[0, 1]))
        .v5("form_of_3_1_1", unsubscribe(V311, &[], "malformed/a"))
        .v5("form_of_3_1_1_with_a_filter_of_one_byte", unsubscribe(V311, &[], "a"));
    table
        .rule("", "3.10.3-1", "", Answer::Closed(0x81))
        .v311("form_of_5_0", unsubscribe(V5, &[], "malformed/a"));
}

/// Filters that are longer than the packet, and options that do not belong there.
fn cut(table: &mut Table) {
    let mut rule = table.rule("I05", "3.10.3-1 4.8.0-1", "3.10.3-1 4.13.1-1", Answer::Closed(0x81));
    for (name, filters) in [
        ("filter_longer_than_the_packet", &[0, 9, b'a'][..]),
        ("filter_of_65535_bytes_that_are_not_there", &[0xFF, 0xFF, b'a']),
        ("half_a_filter_length", &[0]),
        ("filter_with_options", &[0, 1, b'a', 0]),
        ("second_filter_without_bytes", &[0, 1, b'a', 0, 1]),
        ("third_filter_longer_than_the_packet", &[0, 1, b'a', 0, 1, b'b', 0, 9, b'c']),
    ] {
        rule.both(name, |v| frame(0xA2, &join(&[&[0, 1], &properties(v, &[]), filters])));
    }
}

/// An UNSUBSCRIBE with a User Property and one filter, ended behind each of its bytes.
fn cut_everywhere(table: &mut Table) {
    for v in [V311, V5] {
        let header = join(&[&[0, 2], &properties(v, &user_property("k", "v"))]);
        let body = join(&[&header, &field("malformed/cut")]);
        let form = if v == V5 { "5_0" } else { "3_1_1" };
        for len in 2..body.len() {
            // Where the first filter would begin, its absence is another fault.
            let code = if len == header.len() { 0x82 } else { 0x81 };
            let mut rule = table.rule("I05", "3.10.3-1 4.8.0-1", "3.10.3-1 4.13.1-1", Answer::Closed(code));
            rule.one(v, format!("cut_behind_byte_{len}_of_{form}"), frame(0xA2, &body[..len]));
        }
    }
}

/// Filters that are not formed as filters, and so cannot have been subscribed to.
fn filters(table: &mut Table) {
    let statements = ("4.7.1-2 4.7.1-3", "4.7.1-1 4.7.1-2");
    let mut rule = table.rule("", statements.0, statements.1, Answer::Closed(0x81)).also(&[0x8F]);
    for (what, filter) in BAD_FILTERS {
        rule.both(format!("filter_{what}"), |v| unsubscribe(v, &[], filter));
    }
    let mut rule = table.rule("", "4.7.3-1", "4.7.3-1", Answer::Closed(0x81)).also(&[0x8F]);
    rule.both("filter_that_is_empty", |v| unsubscribe(v, &[], ""));
    // Others may say that there is no such subscription, which is as true.
    let mut rule = table.rule("G12", "4.7.3-1", "4.8.2-1 4.8.2-2", Answer::Closed(0x81)).by_choice();
    for (what, filter) in BAD_SHARES {
        rule.both(format!("share_{what}"), |v| unsubscribe(v, &[], filter));
    }
}

/// Filters that nobody subscribed to are answered none the less.
fn accepted(table: &mut Table) {
    let unsuback = |id, count| replied(Reply::UnsubAck(id, vec![0x11; count]));
    let mut rule = table.rule("", "3.10.4-5", "3.10.4-5", unsuback(1, 1));
    for (what, filter) in GOOD_FILTERS {
        rule.both(format!("filter_{what}"), |v| unsubscribe(v, &[], filter));
    }
    let longest = "m".repeat(65_535);
    rule.both("filter_of_65535_bytes", |v| unsubscribe(v, &[], &longest));
    rule.both("filter_of_everything", |v| unsubscribe(v, &[], "#"));
    for count in [2, 128, 1_000] {
        let filters: Vec<u8> = (0..count).flat_map(|n| field(format!("malformed/{n}"))).collect();
        table
            .rule("", "3.10.4-6", "3.10.4-6 3.11.3-1", unsuback(1, count))
            .both(format!("{count}_filters"), |v| {
                frame(0xA2, &join(&[&[0, 1], &properties(v, &[]), &filters]))
            });
    }
    for id in [255, 256, 65_535_u16] {
        table.rule("", "3.10.4-4", "3.10.4-4 2.2.1-6", unsuback(id, 1)).both(format!("id_{id}"), |v| {
            frame(0xA2, &join(&[&id.to_be_bytes(), &properties(v, &[]), &field("malformed/a")]))
        });
    }
}
