//! CONNECT: names, levels, flags against payload, and every place where it can end too early or too late.

use longwire_proto::Version;
use longwire_proto::Version::{V5, V311};

use super::answer::Answer;
use super::row::{RUN, Table};
use crate::craft::{connect, connect_named, field, frame, join, length, properties, property};

pub(super) fn rows(table: &mut Table) {
    names(table);
    levels(table);
    flags(table);
    fields_that_flags_announce(table);
    fields_that_no_flag_announces(table);
    fields_in_another_order(table);
    cut_everywhere(table);
    client_ids(table);
    will_topics(table);
    accepted_flags(table);
    accepted_values(table);
}

/// Names that are not that of the protocol.
fn names(table: &mut Table) {
    let mut rule = table.rule("I15", "3.1.2-1", "3.1.2-1", Answer::Refused(0x84)).also(&[0x01]);
    for (what, name) in [
        ("in_lower_case", &b"mqtt"[..]),
        ("with_another_letter", b"MQTX"),
        ("with_a_letter_more", b"MQTTX"),
        ("with_a_letter_less", b"MQT"),
        ("that_is_empty", b""),
        ("with_a_space", b"MQTT "),
        ("with_a_zero", b"MQT\0"),
        ("that_is_not_utf_8", b"MQT\xFF"),
        ("in_two_byte_units", b"M\0Q\0T\0T\0"),
        ("of_200_bytes", &[b'M'; 200]),
    ] {
        rule.both(format!("name_{what}"), |v| {
            connect_named(name, v as u8, 2, &properties(v, &[]), &field(""))
        });
    }
    table
        .rule("I10", "3.1.2-1", "3.1.2-1", Answer::Unheard)
        .both("name_longer_than_the_packet", |v| {
            frame(0x10, &[0xFF, 0xFF, b'M', b'Q', b'T', b'T', v as u8, 2])
        })
        .both("name_without_its_length", |v| {
            frame(0x10, &join(&[b"MQTT", &[v as u8, 2, 0, 60], &properties(v, &[]), &field("")]))
        });
}

/// Levels that do not exist, with and without the bit of bridges.
fn levels(table: &mut Table) {
    let mut rule =
        table.rule("I15", "3.1.2-2 3.2.2-5", "3.1.2-2", Answer::RefusedWith(0x84, 1)).also(&[0x84]);
    for level in [0, 1, 2, 3, 0x80, 0x81, 0x82, 0x83] {
        rule.v311(format!("level_{level}"), connect_named("MQTT", level, 2, &[], &field("")));
    }
    let mut rule = table.rule("I15", "", "3.1.2-2 3.2.2-7", Answer::UnknownLevel);
    for level in [6, 7, 8, 64, 127, 0x85, 0x86, 0xFF] {
        rule.v5(format!("level_{level}"), connect_named("MQTT", level, 2, &[0], &field("")));
    }
    // The bit of bridges is private to some brokers, ours among them.
    table
        .rule("", "3.1.4-4", "", Answer::Accepted)
        .by_choice()
        .v311("level_4_of_bridges", connect_named("MQTT", 0x84, 2, &[], &field("")));
    let mut rule = table.rule("I15", "", "3.1.2-2 3.2.2-7", Answer::UnknownLevel);
    rule.v5("level_5_with_the_name_of_3_1", connect_named("MQIsdp", 5, 2, &[0], &field("")));
    table
        .rule("I15", "3.1.2-1", "", Answer::Refused(0x84))
        .also(&[0x01])
        .v311("level_4_with_the_name_of_3_1", connect_named("MQIsdp", 4, 2, &[], &field("")))
        .v311("level_4_of_bridges_with_the_name_of_3_1", connect_named("MQIsdp", 0x84, 2, &[], &field("c")));
}

/// The reserved bit, and will bits that contradict each other.
fn flags(table: &mut Table) {
    let mut rule = table.rule("I10", "3.1.2-3 3.1.4-1", "3.1.2-3 3.1.4-1 3.14.0-1", Answer::Refused(0x81));
    for flags in [0x01, 0x03, 0x07, 0x83, 0xC3, 0xCF, 0xFF] {
        rule.both(format!("reserved_flag_in_{flags:02x}"), |v| connect(v, flags, &[], &payload(v, flags)));
    }
    let mut rule = table.rule("I10", "3.1.2-14", "3.1.2-12", Answer::Refused(0x81));
    for flags in [0x1C, 0x1E, 0x3E, 0xDE, 0xFE] {
        rule.both(format!("will_qos_3_in_{flags:02x}"), |v| connect(v, flags, &[], &payload(v, flags)));
    }
    let mut rule = table.rule("I10", "3.1.2-11 3.1.2-13", "3.1.2-11", Answer::Refused(0x81));
    for flags in [0x08, 0x0A, 0x12, 0x1A, 0xCA] {
        rule.both(format!("will_qos_without_a_will_in_{flags:02x}"), |v| {
            connect(v, flags, &[], &payload(v, flags))
        });
    }
    let mut rule = table.rule("I10", "3.1.2-11 3.1.2-15", "3.1.2-13", Answer::Refused(0x81));
    for flags in [0x20, 0x22, 0x2A, 0xE2] {
        rule.both(format!("will_retain_without_a_will_in_{flags:02x}"), |v| {
            connect(v, flags, &[], &payload(v, flags))
        });
    }
    let mut rule = table.rule("", "3.1.2-22 3.1.4-1", "", Answer::Refused(0x81));
    for flags in [0x42, 0x46] {
        rule.v311(
            format!("password_without_a_user_name_in_{flags:02x}"),
            connect(V311, flags, &[], &payload(V311, flags)),
        );
    }
}

/// Flags set, and the payload ends before their fields.
fn fields_that_flags_announce(table: &mut Table) {
    let none = field("");
    let [will, user] = [|v| join(&[&field(""), &will_fields(v)]), |_| join(&[&field(""), &field("user")])];
    table
        .rule("I10", "3.1.2-9", "3.1.2-9", Answer::Refused(0x81))
        .both("will_flag_without_a_will", |v| connect(v, 0x06, &[], &none))
        .both("will_flag_without_a_will_payload", |v| {
            connect(v, 0x06, &[], &join(&[&none, &properties(v, &[]), &field("w")]))
        })
        .both("will_topic_longer_than_the_packet", |v| {
            connect(v, 0x06, &[], &join(&[&none, &properties(v, &[]), &[0, 9, b'w', 0, 0]]))
        })
        .both("will_payload_longer_than_the_packet", |v| {
            connect(v, 0x06, &[], &join(&[&none, &properties(v, &[]), &field("w"), &[0, 9, b'p']]))
        });
    table
        .rule("I10", "3.1.2-19", "3.1.2-17", Answer::Refused(0x81))
        .both("user_name_flag_without_a_user_name", |v| connect(v, 0x82, &[], &none))
        .both("user_name_flag_behind_a_will", |v| connect(v, 0x86, &[], &will(v)))
        .both("user_name_longer_than_the_packet", |v| connect(v, 0x82, &[], &join(&[&none, &[0, 9, b'u']])));
    table
        .rule("I10", "3.1.2-21", "3.1.2-19", Answer::Refused(0x81))
        .both("password_flag_without_a_password", |v| connect(v, 0xC2, &[], &user(v)))
        .both("password_flag_without_both", |v| connect(v, 0xC2, &[], &none))
        .both("password_longer_than_the_packet", |v| connect(v, 0xC2, &[], &join(&[&user(v), &[0, 9, b'p']])))
        .v5("lone_password_flag_without_a_password", connect(V5, 0x42, &[], &none));
    table
        .rule("I10", "3.1.3-3", "3.1.3-3", Answer::Refused(0x81))
        .both("no_client_id", |v| connect(v, 2, &[], &[]))
        .both("client_id_longer_than_the_packet", |v| connect(v, 2, &[], &[0, 9, b'c']))
        .both("client_id_of_half_a_length", |v| connect(v, 2, &[], &[0]));
}

/// Bytes behind the last field that the flags announce.
fn fields_that_no_flag_announces(table: &mut Table) {
    let (none, user, password) = (field(""), field("user"), field("secret"));
    table
        .rule("I10", "3.1.2-18 3.1.4-1", "3.1.2-16 3.1.4-1", Answer::Refused(0x81))
        .both("user_name_without_its_flag", |v| connect(v, 0x02, &[], &join(&[&none, &user])));
    table
        .rule("I10", "3.1.2-20 3.1.4-1", "3.1.2-18 3.1.4-1", Answer::Refused(0x81))
        .both("password_without_its_flag", |v| connect(v, 0x82, &[], &join(&[&none, &user, &password])))
        .both("user_name_and_password_without_flags", |v| {
            connect(v, 0x02, &[], &join(&[&none, &user, &password]))
        });
    table
        .rule("I10", "3.1.2-11 3.1.4-1", "3.1.4-1", Answer::Refused(0x81))
        .both("will_without_its_flag", |v| connect(v, 0x02, &[], &join(&[&none, &will_fields(v)])));
    table
        .rule("I05 I10", "3.1.4-1", "3.1.4-1", Answer::Refused(0x81))
        .both("byte_behind_the_client_id", |v| connect(v, 0x02, &[], &join(&[&none, &[0]])))
        .both("empty_field_behind_the_client_id", |v| connect(v, 0x02, &[], &join(&[&none, &none])))
        .both("byte_behind_the_will", |v| connect(v, 0x06, &[], &join(&[&none, &will_fields(v), &[0]])))
        .both("byte_behind_the_password", |v| connect(v, 0xC2, &[], &join(&[&none, &user, &password, &[0]])))
        .both("pingreq_inside_the_length", |v| connect(v, 0x02, &[], &join(&[&none, &frame(0xC0, &[])])));
}

/// Every field there, but not where it belongs, so that lengths or rules do not fit.
fn fields_in_another_order(table: &mut Table) {
    table
        .rule("", "3.1.3-1", "3.1.3-1", Answer::Refused(0x81))
        .also(&[0x90])
        .both("will_payload_before_its_topic", |v| {
            connect(v, 0x06, &[], &join(&[&field(""), &properties(v, &[]), &field([0xFF, 0]), &field("w")]))
        })
        .both("password_before_user_name", |v| {
            connect(v, 0xC2, &[], &join(&[&field(""), &field([0xFF, 0]), &field("user")]))
        })
        .v5(
            "will_properties_behind_the_will_topic",
            connect(V5, 0x06, &[], &join(&[&field(""), &field("w"), &[0], &field("")])),
        )
        .v5(
            "will_properties_before_the_client_id",
            connect(V5, 0x06, &[], &join(&[&[2, 1, 1], &field(""), &field("w"), &field("")])),
        )
        .v5("no_will_properties", connect(V5, 0x06, &[], &join(&[&field(""), &field("w"), &field("gone")])));
    table
        .rule("", "", "2.2.2-1 3.1.4-1", Answer::Refused(0x81))
        .v5("no_property_length", connect_named("MQTT", 5, 2, &[], &field("client")))
        .v5("no_property_length_and_no_client_id", connect_named("MQTT", 5, 2, &[], &[]))
        .v5(
            "properties_behind_the_client_id",
            connect_named("MQTT", 5, 2, &[], &join(&[&field("cc"), &[0]])),
        );
}

/// A CONNECT with every field, ended behind each of its bytes: the field that is cut tells the statement.
fn cut_everywhere(table: &mut Table) {
    for v in [V311, V5] {
        let form = if v == V5 { "5_0" } else { "3_1_1" };
        let fields = [
            ("3.1.4-1", "3.1.4-1", join(&[&field("MQTT"), &[v as u8, 0xC6, 0, 60]])),
            ("", "2.2.2-1", properties(v, &[])),
            ("3.1.3-3", "3.1.3-3", field("")),
            ("3.1.2-9", "3.1.2-9", will_fields(v)),
            ("3.1.2-19", "3.1.2-17", field("user")),
            ("3.1.2-21", "3.1.2-19", field("secret")),
        ];
        let mut before = Vec::new();
        for (statement_v311, statement_v5, bytes) in fields {
            for len in 0..bytes.len() {
                let cut = join(&[&before, &bytes[..len]]);
                // It names its version in its seventh byte, and no code fits before that.
                let answer = if cut.len() < 7 { Answer::Unheard } else { Answer::Refused(0x81) };
                let mut rule = table.rule("I10", statement_v311, statement_v5, answer);
                // Nothing and one byte are in `header`.
                if cut.len() > 1 {
                    rule.one(v, format!("cut_behind_byte_{}_of_{form}", cut.len()), frame(0x10, &cut));
                }
            }
            before.extend(bytes);
        }
    }
}

/// Ids that must be refused by code, and ids that must not.
fn client_ids(table: &mut Table) {
    table
        .rule("C16", "3.1.3-7 3.1.3-8 3.1.3-9", "", Answer::RefusedWith(0x85, 2))
        .v311("empty_client_id_with_clean_session_0", connect(V311, 0, &[], &field("")));
    table
        .rule("C16", "3.1.3-6", "3.1.3-6", Answer::Accepted)
        .both("empty_client_id", |v| connect(v, 2, &[], &field("")))
        .v5("empty_client_id_with_clean_start_0", connect(V5, 0, &[], &field("")));
    let with_id =
        |v: Version, len: usize| connect(v, 2, &[], &field(format!("{RUN}{}", "Z".repeat(len - RUN.len()))));
    table
        .rule("", "3.1.3-5", "3.1.3-5", Answer::Accepted)
        .both("client_id_of_22_bytes", |v| with_id(v, 22))
        .both("client_id_of_23_bytes", |v| with_id(v, 23));
    table
        .rule("I20 U5-62", "3.1.3-4", "3.1.3-4", Answer::Accepted)
        .by_choice()
        .both("client_id_of_24_bytes", |v| with_id(v, 24))
        .both("client_id_of_65535_bytes", |v| with_id(v, 65_535));
}

/// Will topics that are no topic names.
fn will_topics(table: &mut Table) {
    let with_topic =
        |v: Version, topic: &str| join(&[&field(""), &properties(v, &[]), &field(topic), &field("")]);
    let mut rule =
        table.rule("", "3.1.3-10 4.7.1-1", "3.1.3-11 4.7.0-1", Answer::Refused(0x81)).also(&[0x90]);
    for (what, topic) in [
        ("of_a_single_level_wildcard", "+"),
        ("of_a_multi_level_wildcard", "#"),
        ("ending_in_a_wildcard", "a/#"),
        ("with_a_wildcard_inside", "a/+/b"),
        ("with_a_wildcard_in_a_level", "a+b"),
    ] {
        rule.both(format!("will_topic_{what}"), |v| connect(v, 0x06, &[], &with_topic(v, topic)));
    }
    table
        .rule("", "3.1.3-10 4.7.3-1", "3.1.3-11 4.7.3-1", Answer::Refused(0x81))
        .also(&[0x90])
        .both("will_topic_that_is_empty", |v| connect(v, 0x06, &[], &with_topic(v, "")));
}

/// Every combination of flags that keeps the rules.
fn accepted_flags(table: &mut Table) {
    let wills = [0x00, 0x04, 0x0C, 0x14, 0x24, 0x2C, 0x34];
    let mut rule = table.rule("", "3.1.3-1 3.1.4-4", "3.1.3-1 3.1.4-5", Answer::Accepted);
    for flags in wills.into_iter().flat_map(|will| [0x82, 0xC2].map(|credentials| will | credentials)) {
        rule.both(format!("flags_{flags:02x}"), |v| connect(v, flags, &[], &payload(v, flags)));
    }
    for flags in wills.into_iter().skip(1).map(|will| will | 0x02) {
        rule.both(format!("flags_{flags:02x}"), |v| connect(v, flags, &[], &payload(v, flags)));
    }
    let mut rule = table.rule("", "", "3.1.2-19 3.1.4-5", Answer::Accepted);
    for flags in wills.into_iter().map(|will| will | 0x42) {
        rule.v5(format!("flags_{flags:02x}"), connect(V5, flags, &[], &payload(V5, flags)));
    }
}

/// Fields at the edge of what they may hold.
fn accepted_values(table: &mut Table) {
    let with_keep_alive = |v: Version, secs: u16| {
        let header = join(&[&field("MQTT"), &[v as u8, 2], &secs.to_be_bytes()]);
        frame(0x10, &join(&[&header, &properties(v, &[]), &field("")]))
    };
    let none = field("");
    let with_will = |v: Version, topic: &str, will: &[u8]| {
        connect(v, 0x06, &[], &join(&[&none, &properties(v, &[]), &field(topic), &field(will)]))
    };
    let longest = "x".repeat(65_535);
    table
        .rule("", "3.1.4-4", "3.1.4-5", Answer::Accepted)
        .both("keep_alive_0", |v| with_keep_alive(v, 0))
        .both("keep_alive_65535", |v| with_keep_alive(v, 65_535))
        .both("empty_user_name", |v| connect(v, 0x82, &[], &join(&[&none, &none])))
        .both("empty_user_name_and_password", |v| connect(v, 0xC2, &[], &join(&[&none, &none, &none])))
        .both("password_of_any_bytes", |v| {
            connect(v, 0xC2, &[], &join(&[&none, &field("user"), &field([0, 0xFF, 0xED, 0xA0, 0x80])]))
        })
        .both("user_name_of_65535_bytes", |v| connect(v, 0x82, &[], &join(&[&none, &field(&longest)])))
        .both("password_of_65535_bytes", |v| {
            connect(v, 0xC2, &[], &join(&[&none, &field("user"), &field(&longest)]))
        })
        .both("empty_will_payload", |v| with_will(v, "malformed/will", &[]))
        .both("will_payload_of_any_bytes", |v| with_will(v, "malformed/will", &[0, 0xFF, 0xC0, 0x80]))
        .both("will_payload_of_65535_bytes", |v| with_will(v, "malformed/will", longest.as_bytes()))
        .both("will_topic_of_65535_bytes", |v| with_will(v, &longest, b"gone"))
        .both("will_topic_of_a_slash", |v| with_will(v, "/", b"gone"));
    table
        .rule("I16", "", "4.12.0-1 3.2.2-6 3.2.2-7", Answer::Refused(0x8C))
        .also(&[0x87])
        .v5("method_that_nobody_knows", connect(V5, 2, &property(0x15, "NO-SUCH-METHOD"), &none))
        .v5("method_without_a_name", connect(V5, 2, &property(0x15, ""), &none))
        .v5(
            "method_with_data",
            connect(V5, 2, &join(&[&property(0x15, "NO-SUCH-METHOD"), &property(0x16, [0, 1])]), &none),
        );
    table
        .rule("", "3.1.4-1", "", Answer::Refused(0x81))
        .v311("properties_of_5_0", connect_named("MQTT", 4, 2, &length(5), &[0x11, 0, 0, 0, 9, 0, 0]));
}

/// Every field that these flags announce, with an empty client id.
fn payload(version: Version, flags: u8) -> Vec<u8> {
    let part = |flag: u8, fields: Vec<u8>| if flags & flag == 0 { Vec::new() } else { fields };
    join(&[
        &field(""),
        &part(0x04, will_fields(version)),
        &part(0x80, field("user")),
        &part(0x40, field("secret")),
    ])
}

fn will_fields(version: Version) -> Vec<u8> {
    join(&[&properties(version, &[]), &field("malformed/will"), &field("gone")])
}
