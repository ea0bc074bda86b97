//! The fixed header: reserved flags, reserved types, directions, and every way a remaining length can be wrong.

use longwire_proto::Version;

use super::answer::{Answer, Reply, granted, replied, stays};
use super::row::Table;
use crate::craft::{
    ack, auth, connect, field, frame, join, padded_length, properties, publish, subscribe, unsubscribe,
};

pub(super) fn rows(table: &mut Table) {
    reserved_flags(table);
    reserved_types(table);
    directions(table);
    padded_lengths(table);
    long_lengths(table);
    empty_bodies(table);
    lengths_that_contradict_the_body(table);
    lengths_at_the_edge_of_their_size(table);
    first_bytes_alone(table);
}

/// Every wrong low nibble of every type that has a fixed one; those of PUBLISH are in `publish`.
fn reserved_flags(table: &mut Table) {
    type Packet = fn(Version) -> Vec<u8>;
    let fixed: [(&str, u8, &str, &str, Packet); 8] = [
        ("puback", 0, "2.2.2-1 2.2.2-2", "2.1.3-1", |_| ack(0x40, 1, &[])),
        ("pubrec", 0, "2.2.2-1 2.2.2-2", "2.1.3-1", |_| ack(0x50, 1, &[])),
        ("pubrel", 2, "3.6.1-1", "3.6.1-1", |_| ack(0x62, 1, &[])),
        ("pubcomp", 0, "2.2.2-1 2.2.2-2", "2.1.3-1", |_| ack(0x70, 1, &[])),
        ("subscribe", 2, "3.8.1-1", "3.8.1-1", |v| subscribe(v, &[], "a", 0)),
        ("unsubscribe", 2, "3.10.1-1", "3.10.1-1", |v| unsubscribe(v, &[], "a")),
        ("pingreq", 0, "2.2.2-1 2.2.2-2", "2.1.3-1", |_| frame(0xC0, &[])),
        ("disconnect", 0, "3.14.1-1", "3.14.1-1", |_| frame(0xE0, &[])),
    ];
    for (name, right, statements_v311, statements_v5, packet) in fixed {
        let mut rule = table.rule("", statements_v311, statements_v5, Answer::Closed(0x81));
        for flags in wrong_flags(right) {
            rule.both(format!("{name}_with_flags_{flags:x}"), |v| with_flags(packet(v), flags));
        }
    }
    let mut rule = table.rule("I10", "2.2.2-1 2.2.2-2", "2.1.3-1 3.14.0-1", Answer::Refused(0x81));
    for flags in wrong_flags(0) {
        let plain = |v| connect(v, 2, &[], &field(""));
        rule.both(format!("connect_with_flags_{flags:x}"), |v| with_flags(plain(v), flags));
    }
    let mut rule = table.rule("", "", "3.15.1-1 2.1.3-1", Answer::Closed(0x81));
    for flags in wrong_flags(0) {
        rule.v5(format!("auth_with_flags_{flags:x}"), with_flags(auth(0x18, &[0x15, 0, 1, b'X']), flags));
    }
}

/// Type 0 in every version and type 15 before 5.0, with any flags.
fn reserved_types(table: &mut Table) {
    let mut rule = table.rule("I16 I17 U3-03 U5-01", "4.8.0-1", "2.1.3-1", Answer::Closed(0x81));
    for flags in 0..16 {
        rule.both(format!("type_0_with_flags_{flags:x}"), |_| frame(flags, &[]));
        rule.v311(format!("type_15_with_flags_{flags:x}"), frame(0xF0 | flags, &[]));
    }
    rule.both("type_0_with_a_body", |_| frame(0x00, &[0, 1, b'a']))
        .v311("type_15_with_a_body", auth(0x19, &[0x15, 0, 1, b'X']));
}

/// CONNACK, SUBACK, UNSUBACK and PINGRESP from a client.
fn directions(table: &mut Table) {
    table
        .rule("", "4.8.0-1", "4.13.1-1", Answer::Closed(0x82))
        .both("connack_from_a_client", |v| frame(0x20, &join(&[&[0, 0], &no_properties(v)])))
        .both("suback_from_a_client", |v| frame(0x90, &join(&[&[0, 1], &no_properties(v), &[0]])))
        .v311("unsuback_from_a_client", frame(0xB0, &[0, 1]))
        .v5("unsuback_with_a_code_from_a_client", frame(0xB0, &[0, 1, 0, 0]))
        .both("pingresp_from_a_client", |_| frame(0xD0, &[]));
}

/// Remaining lengths in more bytes than they need.
fn padded_lengths(table: &mut Table) {
    let mut rule = table.rule("I04 U3-02", "", "1.5.5-1", Answer::Closed(0x81)).by_choice();
    for bytes in 2..=4 {
        rule.both(format!("pingreq_with_a_length_of_{bytes}_bytes"), |_| padded(0xC0, &[], bytes));
    }
    rule.both("publish_with_a_padded_length", |v| padded_of(&publish(v, 0, "a", None, &[], "x")))
        .both("puback_with_a_padded_length", |_| padded_of(&ack(0x40, 1, &[])))
        .both("pubrec_with_a_padded_length", |_| padded_of(&ack(0x50, 1, &[])))
        .both("pubrel_with_a_padded_length", |_| padded_of(&ack(0x62, 1, &[])))
        .both("pubcomp_with_a_padded_length", |_| padded_of(&ack(0x70, 1, &[])))
        .both("subscribe_with_a_padded_length", |v| padded_of(&subscribe(v, &[], "a", 0)))
        .both("unsubscribe_with_a_padded_length", |v| padded_of(&unsubscribe(v, &[], "a")))
        .both("disconnect_with_a_padded_length", |_| padded_of(&frame(0xE0, &[])))
        .v5("auth_with_a_padded_length", padded_of(&auth(0x18, &[0x15, 0, 1, b'X'])));
    table
        .rule("I04 U3-02", "", "1.5.5-1", Answer::Unheard)
        .by_choice()
        .both("connect_with_a_padded_length", |v| padded_of(&connect(v, 2, &[], &field(""))));
}

/// Remaining lengths that go on after their fourth byte.
fn long_lengths(table: &mut Table) {
    table
        .rule("U3-01 U5-02", "4.8.0-1", "1.5.5-1", Answer::Closed(0x81))
        .both("publish_with_a_length_of_five_bytes", |_| vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F])
        .both("pingreq_with_a_length_of_five_bytes", |_| vec![0xC0, 0x80, 0x80, 0x80, 0x80, 0])
        .both("subscribe_with_a_length_of_five_bytes", |_| vec![0x82, 0x85, 0x80, 0x80, 0x80, 0])
        .both("publish_with_a_length_of_six_bytes", |_| vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]);
    // Other brokers wait for a fifth byte; four are enough to know.
    table
        .rule("U3-01 U5-02", "4.8.0-1", "1.5.5-1", Answer::Closed(0x81))
        .by_choice()
        .both("four_length_bytes_that_all_say_more", |_| vec![0xC0, 0x80, 0x80, 0x80, 0x80])
        .both("four_length_bytes_of_ones", |_| vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF]);
    table
        .rule("U3-01 U5-02", "4.8.0-1", "1.5.5-1", Answer::Unheard)
        .both("connect_with_a_length_of_five_bytes", |_| vec![0x10, 0x8D, 0x80, 0x80, 0x80, 0]);
}

/// No body, or one byte of it, where more must be.
fn empty_bodies(table: &mut Table) {
    let mut rule = table.rule("U3-04", "4.8.0-1", "4.13.1-1", Answer::Closed(0x81));
    for (name, first) in [
        ("publish", 0x30),
        ("publish_of_qos_1", 0x32),
        ("publish_of_qos_2", 0x34),
        ("puback", 0x40),
        ("pubrec", 0x50),
        ("pubrel", 0x62),
        ("pubcomp", 0x70),
        ("subscribe", 0x82),
        ("unsubscribe", 0xA2),
    ] {
        rule.both(format!("{name}_without_a_body"), |_| frame(first, &[]));
        rule.both(format!("{name}_of_one_byte"), |_| frame(first, &[0]));
    }
    table
        .rule("I10", "3.1.4-1", "3.1.4-1 3.14.0-1", Answer::Unheard)
        .both("connect_without_a_body", |_| frame(0x10, &[]))
        .both("connect_of_one_byte", |_| frame(0x10, &[0]));
}

/// A remaining length that cuts a packet, so that its rest is read as another, or that swallows the next.
fn lengths_that_contradict_the_body(table: &mut Table) {
    let cut = |mut packet: Vec<u8>, by: u8| {
        packet[1] -= by;
        packet
    };
    table
        .rule("", "4.8.0-1", "4.13.1-1", Answer::Closed(0x81))
        .both("publish_longer_than_its_length", |v| cut(publish(v, 0, "a", None, &[], [0, 0]), 2))
        .both("puback_longer_than_its_length", |_| join(&[&ack(0x40, 9, &[]), &[0, 0]]))
        .both("subscribe_longer_than_its_length", |v| cut(subscribe(v, &[], "a", 0), 1))
        .both("unsubscribe_longer_than_its_length", |v| cut(unsubscribe(v, &[], "ab"), 1))
        .both("subscribe_that_swallows_a_pingreq", |v| swallowing(subscribe(v, &[], "a", 0)))
        .both("unsubscribe_that_swallows_a_pingreq", |v| swallowing(unsubscribe(v, &[], "a")))
        .both("pingreq_that_swallows_a_pingreq", |_| swallowing(frame(0xC0, &[])))
        .v311("pubrel_that_swallows_a_pingreq", swallowing(ack(0x62, 9, &[])));
    // What a PUBLISH swallows is payload, and gets no answer of its own.
    table.rule("", "4.5.0-1", "3.3.4-1", stays()).both("publish_that_swallows_a_pingreq", |v| {
        swallowing(publish(v, 0, "malformed/header", None, &[], "x"))
    });
}

/// Remaining lengths on both sides of where they take one byte more.
fn lengths_at_the_edge_of_their_size(table: &mut Table) {
    for remaining in [126, 127, 128, 129, 16_383, 16_384, 16_385] {
        table.rule("", "3.3.4-1", "1.5.5-1 3.3.4-1", stays()).both(
            format!("publish_of_remaining_length_{remaining}"),
            |v| {
                let others = field("malformed/header").len() + no_properties(v).len();
                publish(v, 0, "malformed/header", None, &[], "x".repeat(remaining - others))
            },
        );
        table
            .rule("", "3.8.4-1", "1.5.5-1 3.8.4-1", granted(&[0]))
            .both(format!("subscribe_of_remaining_length_{remaining}"), |v| {
                subscribe(v, &[], "m".repeat(remaining - 5 - no_properties(v).len()), 0)
            });
        let unsuback = replied(Reply::UnsubAck(1, vec![0x11]));
        table
            .rule("", "3.10.4-5", "1.5.5-1 3.10.4-5", unsuback)
            .both(format!("unsubscribe_of_remaining_length_{remaining}"), |v| {
                unsubscribe(v, &[], "m".repeat(remaining - 4 - no_properties(v).len()))
            });
        table.rule("", "3.1.4-4", "1.5.5-1 3.1.4-5", Answer::Accepted).both(
            format!("connect_of_remaining_length_{remaining}"),
            |v| {
                let others = 10 + no_properties(v).len() + 4;
                let name = "u".repeat(remaining - others);
                connect(v, 0x82, &[], &join(&[&field(""), &field(name)]))
            },
        );
    }
}

/// A first byte that is wrong is refused before anything follows it. Others wait for the length.
fn first_bytes_alone(table: &mut Table) {
    let mut rule = table.rule("I17", "2.2.2-2 4.8.0-1", "2.1.3-1", Answer::Closed(0x81)).by_choice();
    for (name, byte) in [
        ("type_0", 0x00),
        ("publish_of_qos_3", 0x36),
        ("publish_of_qos_0_with_dup", 0x38),
        ("puback_with_flags", 0x41),
        ("pubrel_without_flags", 0x60),
        ("subscribe_without_flags", 0x80),
        ("unsubscribe_without_flags", 0xA0),
        ("pingreq_with_flags", 0xC8),
        ("disconnect_with_flags", 0xE1),
    ] {
        rule.both(format!("{name}_by_its_first_byte"), |_| vec![byte]);
    }
    let mut rule = table.rule("", "4.8.0-1", "4.13.1-1", Answer::Closed(0x82)).by_choice();
    for (name, byte) in [("connack", 0x20), ("suback", 0x90), ("unsuback", 0xB0), ("pingresp", 0xD0)] {
        rule.both(format!("{name}_by_its_first_byte"), |_| vec![byte]);
    }
    let mut rule = table.rule("I10", "3.1.0-1", "3.1.0-1 3.14.0-1", Answer::Unheard).by_choice();
    for (name, byte) in [("type_0", 0x00), ("publish", 0x30), ("letter", b'G'), ("connect_with_flags", 0x11)]
    {
        rule.both(format!("{name}_as_the_first_byte_of_all"), |_| vec![byte]);
    }
}

fn wrong_flags(right: u8) -> impl Iterator<Item = u8> {
    (0..16).filter(move |&flags| flags != right)
}

fn with_flags(mut packet: Vec<u8>, flags: u8) -> Vec<u8> {
    packet[0] = packet[0] & 0xF0 | flags;
    packet
}

fn no_properties(version: Version) -> Vec<u8> {
    properties(version, &[])
}

/// A packet whose length has this many bytes.
fn padded(first: u8, body: &[u8], bytes: u32) -> Vec<u8> {
    join(&[&[first], &padded_length(body.len(), bytes), body])
}

/// A short packet again, its length in two bytes instead of one.
fn padded_of(packet: &[u8]) -> Vec<u8> {
    padded(packet[0], &packet[2..], 2)
}

/// A short packet whose length takes in a PINGREQ behind it.
fn swallowing(mut packet: Vec<u8>) -> Vec<u8> {
    packet[1] += 2;
    join(&[&packet, &frame(0xC0, &[])])
}
