//! SUBSCRIBE: its id, filters and options. Its properties are in `property`, its texts in `text`.

use longwire_proto::Version;
use longwire_proto::Version::{V5, V311};

use super::answer::{Answer, Reply, granted, replied};
use super::row::Table;
use crate::craft::{field, frame, join, length, properties, subscribe};

/// Filters that are none, and what is wrong with each.
pub(super) const BAD_FILTERS: [(&str, &str); 14] = [
    ("with_a_hash_behind_a_level", "a#"),
    ("with_a_hash_before_a_level", "a/#b"),
    ("with_a_level_behind_the_hash", "a/#/b"),
    ("with_a_slash_behind_the_hash", "#/"),
    ("of_two_hashes", "##"),
    ("of_two_hash_levels", "#/#"),
    ("with_a_plus_behind_a_level", "a+"),
    ("with_a_plus_before_a_level", "+a"),
    ("with_a_plus_inside_a_level", "a/b+c/d"),
    ("of_two_pluses", "++"),
    ("with_two_pluses_in_a_level", "a/++/b"),
    ("with_a_plus_and_a_hash_in_a_level", "a/+#"),
    ("with_a_hash_and_a_plus_in_a_level", "#+"),
    ("with_a_wrong_second_level", "+/a+"),
];

/// Shared filters that are none.
pub(super) const BAD_SHARES: [(&str, &str); 12] = [
    ("without_a_name", "$share"),
    ("with_a_slash_only", "$share/"),
    ("without_a_filter", "$share/g"),
    ("with_an_empty_filter", "$share/g/"),
    ("with_an_empty_name", "$share//a"),
    ("with_an_empty_name_and_filter", "$share//"),
    ("with_a_plus_in_the_name", "$share/g+/a"),
    ("with_a_plus_as_name", "$share/+/a"),
    ("with_a_hash_in_the_name", "$share/g#/a"),
    ("with_a_hash_as_name", "$share/#/a"),
    ("with_a_hash_as_name_only", "$share/#"),
    ("with_a_wrong_filter", "$share/g/a#"),
];

/// Filters that look odd and are none the less filters.
pub(super) const GOOD_FILTERS: [(&str, &str); 16] = [
    ("of_one_byte", "m"),
    ("of_a_slash", "/"),
    ("of_slashes", "///"),
    ("of_a_space", " "),
    ("with_an_empty_level", "malformed//a"),
    ("with_a_trailing_slash", "malformed/"),
    ("ending_in_a_hash", "malformed/#"),
    ("ending_in_a_plus", "malformed/+"),
    ("beginning_with_a_plus", "+/malformed/never"),
    ("of_many_pluses", "+/+/+/+/malformed/+/+/#"),
    ("with_wildcards_in_empty_surroundings", "/malformed/+//#"),
    ("with_dollar_inside", "malformed/$share/g"),
    ("of_other_dollar_names", "$malformed/#"),
    ("that_only_begins_like_a_share", "$shared/g/a"),
    ("of_a_share", "$share/malformed/a/b"),
    ("of_a_share_with_an_empty_level", "$share/malformed//+/a/#"),
];

pub(super) fn rows(table: &mut Table) {
    ids(table);
    cut(table);
    cut_everywhere(table);
    options(table);
    filters(table);
    accepted_options(table);
    accepted_filters(table);
    accepted_identifiers(table);
}

/// Id 0, and ids that are not there.
fn ids(table: &mut Table) {
    table
        .rule("", "2.3.1-1", "2.2.1-3", Answer::Closed(0x82))
        .both("id_0", |v| frame(0x82, &join(&[&[0, 0], &properties(v, &[]), &field("a"), &[0]])));
    table
        .rule("", "3.8.3-3", "3.8.3-2", Answer::Closed(0x82))
        .both("no_filter", |v| frame(0x82, &join(&[&[0, 1], &properties(v, &[])])))
        .v5("no_filter_behind_an_identifier", frame(0x82, &[0, 1, 2, 0x0B, 1]));
    table
        .rule("", "", "2.2.2-1", Answer::Closed(0x81))
        .v5("no_property_length", frame(0x82, &[0, 1]))
        .v5("form_of_3_1_1", subscribe(V311, &[], "malformed/a", 1))
        .v5("form_of_3_1_1_with_a_filter_of_one_byte", subscribe(V311, &[], "a", 0));
}

/// Filters that are longer than the packet, without options, or only begun.
fn cut(table: &mut Table) {
    let mut rule = table.rule("I05", "3.8.3-1 4.8.0-1", "3.8.3-1 4.13.1-1", Answer::Closed(0x81));
    for (name, filters) in [
        ("filter_longer_than_the_packet", &[0, 9, b'a', 0][..]),
        ("filter_of_65535_bytes_that_are_not_there", &[0xFF, 0xFF, b'a', 0]),
        ("filter_one_byte_longer_than_the_packet", &[0, 2, b'a']),
        ("filter_without_options", &[0, 1, b'a']),
        ("half_a_filter_length", &[0]),
        ("byte_behind_the_options", &[0, 1, b'a', 0, 0]),
        ("second_filter_without_bytes", &[0, 1, b'a', 0, 0, 1]),
        ("second_filter_without_options", &[0, 1, b'a', 0, 0, 1, b'b']),
        ("third_filter_longer_than_the_packet", &[0, 1, b'a', 0, 0, 1, b'b', 0, 0, 9, b'c', 0]),
    ] {
        rule.both(name, |v| frame(0x82, &join(&[&[0, 1], &properties(v, &[]), filters])));
    }
    table
        .rule("", "3.8.3-1", "", Answer::Closed(0x81))
        .v311("properties_of_5_0", frame(0x82, &[0, 1, 0, 0, 1, b'a', 0]));
}

/// A SUBSCRIBE with an identifier and one filter, ended behind each of its bytes.
fn cut_everywhere(table: &mut Table) {
    for v in [V311, V5] {
        let header = join(&[&[0, 2], &properties(v, &[0x0B, 0x80, 1])]);
        let body = join(&[&header, &field("malformed/cut"), &[1]]);
        let form = if v == V5 { "5_0" } else { "3_1_1" };
        for len in 2..body.len() {
            // Where the first filter would begin, its absence is another fault.
            let code = if len == header.len() { 0x82 } else { 0x81 };
            let mut rule = table.rule("I05", "3.8.3-1 4.8.0-1", "3.8.3-1 4.13.1-1", Answer::Closed(code));
            rule.one(v, format!("cut_behind_byte_{len}_of_{form}"), frame(0x82, &body[..len]));
        }
    }
}

/// Options out of range; before 5.0 all that is not QoS 0, 1 or 2.
fn options(table: &mut Table) {
    let mut rule = table.rule("U5-32", "", "3.8.3-5", Answer::Closed(0x82));
    for options in [0x03, 0x07, 0x0B, 0x0F, 0x13, 0x23, 0x2F] {
        rule.v5(format!("options_{options:02x}_of_qos_3"), subscribe(V5, &[], "a", options));
    }
    let mut rule = table.rule("U5-33", "", "3.8.3-5", Answer::Closed(0x82));
    for options in [0x30, 0x31, 0x32, 0x34, 0x38, 0x3E] {
        rule.v5(format!("options_{options:02x}_of_retain_handling_3"), subscribe(V5, &[], "a", options));
    }
    let mut rule = table.rule("", "", "3.8.3-5", Answer::Closed(0x81));
    for options in [0x40, 0x41, 0x42, 0x80, 0x81, 0x82, 0xC0, 0xC2, 0x6E, 0xFF] {
        rule.v5(format!("options_{options:02x}_with_reserved_bits"), subscribe(V5, &[], "a", options));
    }
    rule.v5(
        "reserved_bits_for_the_second_filter",
        frame(0x82, &join(&[&[0, 1, 0], &field("a"), &[1], &field("b"), &[0x41]])),
    );
    let mut rule = table.rule("", "3.8.3-4", "", Answer::Closed(0x81));
    for options in [
        0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x0A, 0x0C, 0x10, 0x11, 0x20, 0x22, 0x2E, 0x30, 0x40, 0x80, 0xC0,
        0xFC, 0xFF,
    ] {
        rule.v311(format!("qos_byte_{options:02x}"), subscribe(V311, &[], "a", options));
    }
    rule.v311(
        "wrong_qos_byte_for_the_second_filter",
        frame(0x82, &join(&[&[0, 1], &field("a"), &[1], &field("b"), &[3]])),
    );
    let mut rule = table.rule("F09", "", "3.8.3-4", Answer::Closed(0x82));
    for (name, filter, options) in [
        ("no_local_on_a_share", "$share/malformed/a", 0x04),
        ("no_local_on_a_share_at_qos_2", "$share/malformed/a", 0x06),
        ("no_local_on_a_share_of_wildcards", "$share/malformed/+/a/#", 0x05),
        ("no_local_on_a_share_with_all_options", "$share/malformed/a", 0x2E),
    ] {
        rule.v5(name, subscribe(V5, &[], filter, options));
    }
}

/// Filters that are not formed as filters, alone and behind a good one.
fn filters(table: &mut Table) {
    let after_a_good_one = |v: Version, filter: &str| {
        let filters = join(&[&field("malformed/a"), &[1], &field(filter), &[1]]);
        frame(0x82, &join(&[&[0, 1], &properties(v, &[]), &filters]))
    };
    let statements = ("4.7.1-2 4.7.1-3", "4.7.1-1 4.7.1-2");
    let mut rule = table.rule("F10", statements.0, statements.1, Answer::Closed(0x81)).also(&[0x8F]);
    for (what, filter) in BAD_FILTERS {
        rule.both(format!("filter_{what}"), |v| subscribe(v, &[], filter, 0));
        rule.both(format!("second_filter_{what}"), |v| after_a_good_one(v, filter));
    }
    let mut rule = table.rule("F10", "4.7.3-1", "4.7.3-1", Answer::Closed(0x81)).also(&[0x8F]);
    rule.both("filter_that_is_empty", |v| subscribe(v, &[], "", 0));
    rule.both("second_filter_that_is_empty", |v| after_a_good_one(v, ""));
    // 3.1.1 has no shared subscriptions, so that these are ordinary filters to brokers that do not lend it theirs.
    let mut rule = table
        .rule("G12", "4.7.3-1", "4.8.2-1 4.8.2-2", Answer::Closed(0x81))
        .also(&[0x8F])
        .by_choice_in(&[V311]);
    for (what, filter) in BAD_SHARES {
        rule.both(format!("share_{what}"), |v| subscribe(v, &[], filter, 1));
        rule.both(format!("second_share_{what}"), |v| after_a_good_one(v, filter));
    }
}

/// Every combination of options that keeps the rules.
fn accepted_options(table: &mut Table) {
    for qos in 0..=2 {
        table
            .rule("", "3.8.4-5", "3.8.4-6 3.8.4-7", granted(&[qos]))
            .both(format!("options_{qos:02x}"), |v| subscribe(v, &[], "malformed/a", qos));
        let mut rule = table.rule("", "", "3.8.4-6 3.8.4-7", granted(&[qos]));
        for above in 1..12 {
            let (no_local_and_retain, handling) = (above % 4, above / 4);
            let options = qos | no_local_and_retain << 2 | handling << 4;
            rule.v5(format!("options_{options:02x}"), subscribe(V5, &[], "malformed/a", options));
        }
    }
    table
        .rule("", "", "3.8.4-6", granted(&[2]))
        .v5("share_with_all_other_options", subscribe(V5, &[], "$share/malformed/a", 0x2A));
}

/// Odd filters, and odd numbers of them.
fn accepted_filters(table: &mut Table) {
    let mut rule = table.rule("F16", "4.7.3-1 3.8.4-1", "4.7.3-1 3.8.4-1", granted(&[1]));
    for (what, filter) in GOOD_FILTERS {
        rule.both(format!("filter_{what}"), |v| subscribe(v, &[], filter, 1));
    }
    let longest = "m".repeat(65_535);
    rule.both("filter_of_65535_bytes", |v| subscribe(v, &[], &longest, 1));
    for count in [2, 128, 1_000_u16] {
        let codes: Vec<u8> = (0..count).map(|n| (n % 3) as u8).collect();
        let filters = (0..count).map(|n| join(&[&field(format!("malformed/{n}")), &[(n % 3) as u8]]));
        let filters: Vec<u8> = filters.flatten().collect();
        table.rule("F21", "3.9.3-1", "3.9.3-1", granted(&codes)).both(format!("{count}_filters"), |v| {
            frame(0x82, &join(&[&[0, 1], &properties(v, &[]), &filters]))
        });
    }
    table.rule("F11", "3.8.4-4", "3.8.4-5 3.8.4-6", granted(&[2, 0])).both("same_filter_twice", |v| {
        let filters = join(&[&field("malformed/a"), &[2], &field("malformed/a"), &[0]]);
        frame(0x82, &join(&[&[0, 1], &properties(v, &[]), &filters]))
    });
    for id in [255, 256, 65_535_u16] {
        let answer = replied(Reply::SubAck(id, vec![0]));
        table.rule("", "3.8.4-2", "3.8.4-2 2.2.1-6", answer).both(format!("id_{id}"), |v| {
            let filter = join(&[&field("malformed/a"), &[0]]);
            frame(0x82, &join(&[&id.to_be_bytes(), &properties(v, &[]), &filter]))
        });
    }
}

/// Subscription identifiers on both sides of where they take one byte more.
fn accepted_identifiers(table: &mut Table) {
    let mut rule = table.rule("U5-26", "", "1.5.5-1 3.8.4-1", granted(&[0]));
    for identifier in [1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455] {
        let raw = join(&[&[0x0B], &length(identifier)]);
        rule.v5(format!("identifier_{identifier}"), subscribe(V5, &raw, "malformed/a", 0));
    }
}
