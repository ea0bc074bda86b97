//! Packets that are right in themselves, but not there: before CONNECT, after it a second one, behind a DISCONNECT
//! or a fault.

use longwire_proto::Version;
use longwire_proto::Version::{V5, V311};

use super::answer::{Answer, Reply, stays};
use super::row::Table;
use crate::craft::{
    ack, auth, connect, disconnect, field, frame, join, properties, property, publish, subscribe, unsubscribe,
};

pub(super) fn rows(table: &mut Table) {
    before_connect(table);
    second_connect(table);
    behind_disconnect(table);
    behind_a_fault(table);
    behind_a_refusal(table);
    before_a_fault(table);
    half_a_packet(table);
    hand_shakes(table);
}

/// The packets of a client, by name.
fn packets(v: Version) -> [(&'static str, Vec<u8>); 11] {
    [
        ("publish", publish(v, 0, "a", None, &[], "x")),
        ("publish_of_qos_1", publish(v, 2, "a", Some(1), &[], "x")),
        ("publish_of_qos_2", publish(v, 4, "a", Some(1), &[], "x")),
        ("puback", ack(0x40, 1, &[])),
        ("pubrec", ack(0x50, 1, &[])),
        ("pubrel", ack(0x62, 1, &[])),
        ("pubcomp", ack(0x70, 1, &[])),
        ("subscribe", subscribe(v, &[], "a", 0)),
        ("unsubscribe", unsubscribe(v, &[], "a")),
        ("pingreq", frame(0xC0, &[])),
        ("disconnect", frame(0xE0, &[])),
    ]
}

/// Anything but CONNECT as the first packet, other protocols among it.
fn before_connect(table: &mut Table) {
    let mut rule = table.rule("I10", "3.1.0-1", "3.1.0-1 3.14.0-1", Answer::Unheard);
    for (place, (name, _)) in packets(V5).into_iter().enumerate() {
        rule.both(format!("{name}_first"), |v| packets(v)[place].1.clone());
    }
    rule.v5("auth_first", auth(0x18, &property(0x15, "X")));
    rule.v5("disconnect_of_5_0_first", disconnect(0, &[]));
    for (name, bytes) in [
        ("connack", &[0x20, 2, 0, 0][..]),
        ("suback", &[0x90, 3, 0, 1, 0]),
        ("unsuback", &[0xB0, 2, 0, 1]),
        ("pingresp", &[0xD0, 0]),
        ("type_0", &[0x00, 0]),
        ("type_15", &[0xF0, 0]),
        ("http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("tls", &[0x16, 3, 1, 0, 0xA5, 1, 0, 0]),
        ("ssh", b"SSH-2.0-OpenSSH_9.2\r\n"),
        ("proxy_header_in_text", b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"),
        ("proxy_header_in_binary", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"),
        ("line_feed", b"\n"),
        ("ones", &[0xFF; 16]),
    ] {
        rule.both(format!("{name}_first"), |_| bytes.to_vec());
    }
    let with_connect_behind = |v, packet: &[u8]| join(&[packet, &connect(v, 2, &[], &field(""))]);
    rule.both("pingreq_before_connect", |v| with_connect_behind(v, &frame(0xC0, &[])));
    rule.both("publish_before_connect", |v| with_connect_behind(v, &publish(v, 0, "a", None, &[], "x")));
}

/// A second CONNECT, whatever it says.
fn second_connect(table: &mut Table) {
    table
        .rule("C15", "3.1.0-2", "3.1.0-2 3.2.0-2", Answer::Closed(0x82))
        .both("second_connect", |v| connect(v, 2, &[], &field("")))
        .both("second_connect_with_an_id", |v| connect(v, 2, &[], &field("another")))
        .both("second_connect_without_clean_start", |v| connect(v, 0, &[], &field("another")))
        .both("second_connect_with_credentials", |v| {
            connect(v, 0xC2, &[], &join(&[&field(""), &field("user"), &field("secret")]))
        })
        .both("second_connect_with_a_will", |v| {
            connect(v, 6, &[], &join(&[&field(""), &properties(v, &[]), &field("a"), &field("")]))
        })
        .v311("second_connect_of_5_0", connect(V5, 2, &[], &field("of 5.0")))
        .v5("second_connect_of_3_1_1", connect(V311, 2, &[], &field("of 3.1.1")))
        .v5("second_connect_with_a_method", connect(V5, 2, &property(0x15, "X"), &field("")));
    table
        .rule("C15", "3.1.0-2 3.1.4-1", "3.1.0-2 3.2.0-2", Answer::Closed(0x81))
        .both("second_connect_cut_short", |v| connect(v, 2, &[], &[]))
        .both("second_connect_with_the_reserved_flag", |v| connect(v, 3, &[], &field("")));
}

/// What follows a DISCONNECT is not heard, however wrong it is.
fn behind_disconnect(table: &mut Table) {
    let goodbye = |packet: &[u8]| join(&[&frame(0xE0, &[]), packet]);
    let mut rule = table.rule("", "3.14.4-2", "3.14.4-1", Answer::Left);
    for (place, (name, _)) in packets(V5).into_iter().enumerate() {
        rule.both(format!("{name}_behind_disconnect"), |v| goodbye(&packets(v)[place].1));
    }
    rule.both("connect_behind_disconnect", |v| goodbye(&connect(v, 2, &[], &field(""))))
        .both("type_0_behind_disconnect", |_| goodbye(&frame(0, &[])))
        .both("qos_3_behind_disconnect", |v| goodbye(&publish(v, 6, "a", Some(1), &[], "x")))
        .v5("auth_behind_disconnect", goodbye(&auth(0x19, &property(0x15, "X"))))
        .v5("second_disconnect_with_a_bad_code", goodbye(&frame(0xE0, &[0x8E])));
}

/// What follows a malformed packet is not heard: nothing but its code comes.
fn behind_a_fault(table: &mut Table) {
    let fault = |packet: &[u8]| join(&[&frame(0x00, &[]), packet]);
    let mut rule = table.rule("", "4.8.0-1", "4.13.1-1", Answer::Closed(0x81));
    for (place, (name, _)) in packets(V5).into_iter().enumerate() {
        rule.both(format!("{name}_behind_a_fault"), |v| fault(&packets(v)[place].1));
    }
    // The code must reach a client that is still sending.
    rule.both("much_behind_a_fault", |v| fault(&publish(v, 2, "a", Some(1), &[], "x").repeat(20_000)));
}

/// What follows a refused CONNECT is not heard.
fn behind_a_refusal(table: &mut Table) {
    let refused = |v, packet: &[u8]| join(&[&connect(v, 3, &[], &field("")), packet]);
    let mut rule = table.rule("I08 D14", "3.1.4-5", "3.1.4-6", Answer::Refused(0x81));
    for (place, (name, _)) in packets(V5).into_iter().enumerate() {
        rule.both(format!("{name}_behind_a_refused_connect"), |v| refused(v, &packets(v)[place].1));
    }
    rule.both("much_behind_a_refused_connect", |v| {
        refused(v, &publish(v, 2, "a", Some(1), &[], "x").repeat(20_000))
    });
    rule.both("good_connect_behind_a_refused_one", |v| refused(v, &connect(v, 2, &[], &field(""))));
}

/// What comes before a fault counts, in the same segment too.
fn before_a_fault(table: &mut Table) {
    let faulty = |packet: &[u8]| join(&[packet, &frame(0x00, &[])]);
    let mut after = |name: &str, reply: Reply, packet: fn(Version) -> Vec<u8>| {
        let answer = Answer::ClosedAfter(vec![reply], 0x81);
        let mut rule = table.rule("", "4.8.0-1", "4.13.1-1", answer);
        rule.both(format!("fault_behind_{name}"), |v| faulty(&packet(v)));
    };
    after("pingreq", Reply::PingResp, |_| frame(0xC0, &[]));
    after("publish_of_qos_1", Reply::PubAck(1, 0), |v| publish(v, 2, "malformed/fault", Some(1), &[], "x"));
    after("publish_of_qos_2", Reply::PubRec(1, 0), |v| publish(v, 4, "malformed/fault", Some(1), &[], "x"));
    after("pubrec", Reply::PubRel(1, 0x92), |_| ack(0x50, 1, &[]));
    after("pubrel", Reply::PubComp(1, 0x92), |_| ack(0x62, 1, &[]));
    after("subscribe", Reply::SubAck(1, vec![2]), |v| subscribe(v, &[], "malformed/fault", 2));
    after("unsubscribe", Reply::UnsubAck(1, vec![0x11]), |v| unsubscribe(v, &[], "malformed/fault"));
    let open_id = |v| {
        let with_flags = |flags| publish(v, flags, "malformed/fault", Some(7), &[], "x");
        join(&[&with_flags(4), &with_flags(2)])
    };
    table
        .rule("A09", "2.3.1-2", "", Answer::ClosedAfter(vec![Reply::PubRec(7, 0)], 0x82))
        .by_choice()
        .v311("open_qos_2_id_at_qos_1_of_3_1_1", open_id(V311));
    table
        .rule("A09", "", "2.2.1-3", Answer::Stays(vec![Reply::PubRec(7, 0), Reply::PubAck(7, 0x91)]))
        .by_choice()
        .v5("open_qos_2_id_at_qos_1_of_5_0", open_id(V5));
}

/// Packets that are not complete when the client stops sending: half of them, and all but their last byte.
fn half_a_packet(table: &mut Table) {
    let mut rule = table.rule("I05", "4.8.0-1", "4.13.1-1", Answer::CutOff).by_choice();
    for (place, (name, packet)) in packets(V5).into_iter().enumerate() {
        let beginning = |v: Version, len: fn(usize) -> usize| {
            let packet = &packets(v)[place].1;
            packet[..len(packet.len())].to_vec()
        };
        rule.both(format!("{name}_but_its_last_byte"), |v| beginning(v, |len| len - 1));
        if packet.len() > 3 {
            rule.both(format!("half_of_{name}"), |v| beginning(v, |len| len / 2));
        }
    }
}

/// Hand-shakes that a client begins twice, ends twice, or ends without beginning, all in one segment.
fn hand_shakes(table: &mut Table) {
    let sent = |v, flags| publish(v, flags, "malformed/sequence", Some(7), &[], "x");
    let [rec, comp] = [Reply::PubRec(7, 0), Reply::PubComp(7, 0)];
    let unknown = Reply::PubComp(7, 0x92);
    table
        .rule("A01", "4.3.3-2", "4.3.3-10", Answer::Stays(vec![rec.clone(), rec.clone(), rec.clone()]))
        .both("qos_2_three_times", |v| join(&[&sent(v, 4), &sent(v, 0xC), &sent(v, 4)]));
    table
        .rule("A12", "4.3.3-2", "4.3.3-11", Answer::Stays(vec![rec.clone(), comp.clone(), unknown.clone()]))
        .both("pubrel_twice", |v| join(&[&sent(v, 4), &ack(0x62, 7, &[]), &ack(0x62, 7, &[])]));
    table
        .rule("A12", "4.3.3-2", "4.3.3-11", Answer::Stays(vec![unknown.clone(), rec.clone(), comp.clone()]))
        .both("pubrel_before_its_publish", |v| join(&[&ack(0x62, 7, &[]), &sent(v, 4), &ack(0x62, 7, &[])]));
    table
        .rule("A08", "4.3.3-2", "4.3.3-12", Answer::Stays(vec![rec.clone(), comp.clone(), rec, comp]))
        .both("qos_2_id_again_after_pubrel", |v| {
            join(&[&sent(v, 4), &ack(0x62, 7, &[]), &sent(v, 4), &ack(0x62, 7, &[])])
        });
    table
        .rule("A07", "4.3.2-2", "4.3.2-5", Answer::Stays(vec![Reply::PubAck(7, 0), Reply::PubAck(7, 0)]))
        .both("qos_1_id_again_with_dup", |v| join(&[&sent(v, 2), &sent(v, 0xA)]));
    table
        .rule("A15", "4.3.3-1", "4.9.0-2", stays())
        .both("pubcomp_twice", |_| ack(0x70, 7, &[]).repeat(2))
        .both("puback_twice", |_| ack(0x40, 7, &[]).repeat(2));
    table
        .rule(
            "A11",
            "2.3.1-7",
            "2.2.1-6",
            Answer::Stays(vec![Reply::PubRec(1, 0), Reply::SubAck(1, vec![0])]),
        )
        .both("subscribe_under_the_id_of_an_open_publish", |v| {
            join(&[&publish(v, 4, "a", Some(1), &[], "x"), &subscribe(v, &[], "malformed/sequence", 0)])
        });
}
