//! PUBLISH: its flags, topic, packet id and alias. Its properties are in `property`, its texts in `text`.

use longwire_proto::Version;
use longwire_proto::Version::{V5, V311};

use super::answer::{Answer, Reply, replied, stays};
use super::row::Table;
use crate::craft::{field, frame, join, properties, publish, user_property};

/// Topic of messages that must be accepted; nobody listens there.
const TOPIC: &str = "malformed/publish";

pub(super) fn rows(table: &mut Table) {
    flags(table);
    topics(table);
    ids(table);
    cut(table);
    cut_everywhere(table);
    aliases(table);
    accepted_flags(table);
    accepted_topics(table);
    accepted_payloads(table);
    refused_gently(table);
}

/// QoS bits 11, and DUP at QoS 0.
fn flags(table: &mut Table) {
    table
        .rule("", "3.3.1-4", "3.3.1-4", Answer::Closed(0x81))
        .both("qos_3", |v| publish(v, 0x6, TOPIC, Some(1), &[], "x"))
        .both("qos_3_with_retain", |v| publish(v, 0x7, TOPIC, Some(1), &[], ""))
        .both("qos_3_with_dup", |v| publish(v, 0xE, TOPIC, Some(1), &[], "x"))
        .both("qos_3_with_dup_and_retain", |v| publish(v, 0xF, TOPIC, Some(1), &[], ""))
        .both("qos_3_without_an_id", |v| publish(v, 0x6, TOPIC, None, &[], "x"));
    table
        .rule("", "3.3.1-2", "3.3.1-2", Answer::Closed(0x81))
        .by_choice()
        .both("qos_0_with_dup", |v| publish(v, 0x8, TOPIC, None, &[], "x"))
        .both("qos_0_with_dup_and_retain", |v| publish(v, 0x9, TOPIC, None, &[], ""));
}

/// Wildcards, and no topic at all, at each QoS.
fn topics(table: &mut Table) {
    let mut rule = table.rule("", "3.3.2-2 4.7.1-1", "3.3.2-2 4.7.0-1", Answer::Closed(0x81)).also(&[0x90]);
    for (what, topic) in [
        ("of_a_single_level_wildcard", "+"),
        ("of_a_multi_level_wildcard", "#"),
        ("ending_in_a_multi_level_wildcard", "a/#"),
        ("ending_in_a_single_level_wildcard", "a/+"),
        ("beginning_with_a_wildcard", "+/a"),
        ("with_a_wildcard_inside", "a/+/b"),
        ("with_a_plus_in_a_level", "a+b"),
        ("with_a_hash_in_a_level", "a#b"),
        ("with_a_hash_before_a_level", "#/a"),
    ] {
        for qos in 0..=2 {
            rule.both(format!("topic_{what}_at_qos_{qos}"), |v| at_qos(v, qos, topic, &[]));
        }
    }
    let mut rule = table.rule("U5-22", "4.7.3-1", "4.7.3-1", Answer::Closed(0x82)).also(&[0x90]);
    for qos in 0..=2 {
        rule.both(format!("empty_topic_at_qos_{qos}"), |v| at_qos(v, qos, "", &[]));
    }
}

/// Id 0 and ids that are not there.
fn ids(table: &mut Table) {
    let mut rule = table.rule("", "2.3.1-1", "2.2.1-3", Answer::Closed(0x82));
    for (name, flags) in
        [("qos_1", 0x2), ("qos_2", 0x4), ("qos_1_with_dup", 0xA), ("qos_2_with_dup", 0xC), ("retained", 0x3)]
    {
        rule.both(format!("id_0_of_{name}"), |v| publish(v, flags, TOPIC, Some(0), &[], ""));
    }
    let mut rule = table.rule("", "4.8.0-1", "4.13.1-1", Answer::Closed(0x81));
    for (name, first) in [("qos_1", 0x32), ("qos_2", 0x34)] {
        rule.both(format!("no_id_at_{name}"), |_| frame(first, &field(TOPIC)));
        rule.both(format!("half_an_id_at_{name}"), |_| frame(first, &join(&[&field(TOPIC), &[1]])));
    }
}

/// A topic longer than the packet, and no property length.
fn cut(table: &mut Table) {
    table
        .rule("I05", "3.3.2-1 4.8.0-1", "3.3.2-1 4.13.1-1", Answer::Closed(0x81))
        .both("topic_longer_than_the_packet", |_| frame(0x30, &[0, 5, b'a', b'b', 0]))
        .both("topic_of_65535_bytes_that_are_not_there", |_| frame(0x30, &[0xFF, 0xFF, b'a', 0]))
        .both("topic_one_byte_longer_than_the_packet", |_| frame(0x32, &[0, 3, b'a', b'b']))
        .both("half_a_topic_length", |_| frame(0x31, &[0]));
    table
        .rule("I05", "", "2.2.2-1 4.13.1-1", Answer::Closed(0x81))
        .v5("form_of_3_1_1", publish(V311, 0, TOPIC, None, &[], "x"))
        .v5("form_of_3_1_1_at_qos_1", publish(V311, 2, TOPIC, Some(1), &[], "x"))
        .v5("no_property_length_at_qos_0", frame(0x30, &field(TOPIC)))
        .v5("no_property_length_at_qos_1", frame(0x32, &join(&[&field(TOPIC), &[0, 1]])))
        .v5("no_property_length_at_qos_2", frame(0x34, &join(&[&field(TOPIC), &[0, 1]])));
}

/// A PUBLISH of QoS 1, its properties to the end, ended behind each of its bytes.
fn cut_everywhere(table: &mut Table) {
    let body = |v| join(&[&field("malformed/cut"), &[0, 1], &properties(v, &user_property("key", "value"))]);
    let mut rule = table.rule("I05", "3.3.2-1 4.8.0-1", "3.3.2-1 4.13.1-1", Answer::Closed(0x81));
    for v in [V311, V5] {
        let form = if v == V5 { "5_0" } else { "3_1_1" };
        for len in 2..body(v).len() {
            rule.one(v, format!("cut_behind_byte_{len}_of_{form}"), frame(0x32, &body(v)[..len]));
        }
    }
}

/// Aliases out of range, and aliases that stand for nothing.
fn aliases(table: &mut Table) {
    let mut rule = table.rule("H15 I02", "", "3.3.2-8 3.3.2-9 3.2.2-17", Answer::Closed(0x94)).also(&[0x90]);
    for alias in [0, 65_535_u16] {
        let [high, low] = alias.to_be_bytes();
        rule.v5(format!("alias_{alias}"), publish(V5, 0, TOPIC, None, &[0x23, high, low], "x"));
        rule.v5(format!("alias_{alias}_without_a_topic"), publish(V5, 0, "", None, &[0x23, high, low], "x"));
        rule.v5(format!("alias_{alias}_at_qos_1"), publish(V5, 2, TOPIC, Some(1), &[0x23, high, low], "x"));
    }
    let mut rule = table.rule("U5-23", "", "3.3.2-7", Answer::Closed(0x82)).also(&[0x94]);
    for qos in 0..=2 {
        rule.v5(format!("alias_never_set_at_qos_{qos}"), at_qos(V5, qos, "", &[0x23, 0, 1]));
    }
    table.rule("U5-23 U5-24", "", "3.3.2-7", Answer::Closed(0x82)).also(&[0x94]).v5(
        "alias_never_set_beside_one_that_is",
        join(&[
            &publish(V5, 0, TOPIC, None, &[0x23, 0, 1], "x"),
            &publish(V5, 0, "", None, &[0x23, 0, 2], "x"),
        ]),
    );
}

/// Every first byte that keeps the rules, answered by what its QoS asks for.
fn accepted_flags(table: &mut Table) {
    for (name, flags) in [("qos_0", 0x0), ("qos_0_with_retain", 0x1)] {
        let mut rule = table.rule("", "3.3.4-1", "3.3.4-1", stays());
        rule.both(name, |v| publish(v, flags, TOPIC, None, &[], ""));
    }
    for (name, flags) in
        [("qos_1", 0x2), ("qos_1_with_retain", 0x3), ("qos_1_with_dup", 0xA), ("qos_1_with_both", 0xB)]
    {
        let mut rule = table.rule("", "3.3.4-1 4.3.2-2", "3.3.4-1 4.3.2-4", replied(Reply::PubAck(1, 0)));
        rule.both(name, |v| publish(v, flags, TOPIC, Some(1), &[], ""));
    }
    for (name, flags) in
        [("qos_2", 0x4), ("qos_2_with_retain", 0x5), ("qos_2_with_dup", 0xC), ("qos_2_with_both", 0xD)]
    {
        let mut rule = table.rule("", "3.3.4-1 4.3.3-2", "3.3.4-1 4.3.3-8", replied(Reply::PubRec(1, 0)));
        rule.both(name, |v| publish(v, flags, TOPIC, Some(1), &[], ""));
    }
    for id in [255, 256, 32_768, 65_535] {
        table
            .rule("", "2.3.1-6", "2.2.1-5", replied(Reply::PubAck(id, 0)))
            .both(format!("id_{id}_at_qos_1"), |v| publish(v, 0x2, TOPIC, Some(id), &[], ""));
        table
            .rule("", "2.3.1-6", "2.2.1-5", replied(Reply::PubRec(id, 0)))
            .both(format!("id_{id}_at_qos_2"), |v| publish(v, 0x4, TOPIC, Some(id), &[], ""));
    }
}

/// Topics that look odd and are none the less topics. QoS 1 tells that they were taken.
fn accepted_topics(table: &mut Table) {
    let mut rule = table.rule("", "4.7.3-1 4.7.3-3", "4.7.3-1 4.7.3-3", replied(Reply::PubAck(1, 0)));
    let longest = "m".repeat(65_535);
    for (what, topic) in [
        ("of_one_byte", "m"),
        ("of_a_slash", "/"),
        ("of_slashes", "///"),
        ("with_a_leading_slash", "/malformed"),
        ("with_a_trailing_slash", "malformed/"),
        ("with_an_empty_level", "malformed//a"),
        ("of_a_space", " "),
        ("with_spaces", "malformed / a"),
        ("with_a_dollar_inside", "malformed/$share/g/a"),
        ("of_other_dollar_names", "$malformed/a"),
        ("of_punctuation", "!\"%&'()*,-.:;<=>?@[\\]^_`{|}~"),
        ("of_65535_bytes", &longest),
        ("of_65534_bytes", &longest[1..]),
    ] {
        rule.both(format!("topic_{what}"), |v| publish(v, 0x2, topic, Some(1), &[], "x"));
    }
    table.rule("U5-24", "", "3.3.2-12", replied(Reply::PubAck(1, 0))).v5(
        "alias_set_and_used",
        join(&[
            &publish(V5, 0x0, TOPIC, None, &[0x23, 0, 1], "x"),
            &publish(V5, 0x2, "", Some(1), &[0x23, 0, 1], "x"),
        ]),
    );
}

/// Payloads of any bytes, and of none.
fn accepted_payloads(table: &mut Table) {
    let mut rule = table.rule("", "4.3.2-2", "4.3.2-4", replied(Reply::PubAck(1, 0)));
    for (what, payload) in [
        ("of_a_zero", vec![0]),
        ("that_is_not_utf_8", vec![0xFF, 0xC0, 0x80, 0xED, 0xA0, 0x80]),
        ("of_a_pingreq", vec![0xC0, 0]),
        ("of_all_bytes", (0..=255).collect()),
        ("of_65536_bytes", vec![b'x'; 65_536]),
    ] {
        rule.both(format!("payload_{what}"), |v| publish(v, 0x2, TOPIC, Some(1), &[], &payload));
    }
    rule.v5("properties_and_no_payload", publish(V5, 0x2, TOPIC, Some(1), &user_property("k", "v"), ""));
    rule.v5(
        "payload_behind_a_long_property_set",
        publish(V5, 0x2, TOPIC, Some(1), &user_property("k", "v".repeat(20_000)), "payload"),
    );
}

/// Topics and payloads that a broker may refuse by the code of their acknowledgement, if it refuses them at all.
fn refused_gently(table: &mut Table) {
    let deep = "/".repeat(65_535);
    for (name, topic) in [
        ("share", "$share/g/a"),
        ("share_without_a_filter", "$share"),
        ("queue", "$queue/a"),
        ("sys", "$SYS/malformed"),
        ("65535_slashes", &deep),
    ] {
        table
            .rule("F17 F19 I11 U3-09", "3.3.5-2", "3.4.2-1", replied(Reply::PubAck(1, 0x90)))
            .by_choice()
            .both(format!("topic_of_{name}_at_qos_1"), |v| at_qos(v, 1, topic, &[]));
        table
            .rule("F17 F19 I11 U3-09", "3.3.5-2", "3.5.2-1", replied(Reply::PubRec(1, 0x90)))
            .by_choice()
            .both(format!("topic_of_{name}_at_qos_2"), |v| at_qos(v, 2, topic, &[]));
        table
            .rule("F17 F19 I11 U3-09", "3.3.5-2", "4.13.1-1", stays())
            .by_choice()
            .both(format!("topic_of_{name}_at_qos_0"), |v| at_qos(v, 0, topic, &[]));
    }
    // Ours does not look into payloads, whatever their format says.
    table.rule("U5-15", "", "3.3.2-4", replied(Reply::PubAck(1, 0))).by_choice().v5(
        "payload_that_is_not_the_text_it_says",
        publish(V5, 2, TOPIC, Some(1), &[0x01, 1], [0xFF, 0xC0, 0x80]),
    );
}

fn at_qos(version: Version, qos: u8, topic: &str, raw_properties: &[u8]) -> Vec<u8> {
    publish(version, qos << 1, topic, (qos > 0).then_some(1), raw_properties, "x")
}
