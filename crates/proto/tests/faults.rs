//! Every rule that bytes can break is answered by its reason code and names its statement.

use longwire_proto::decode::{self, DecodeError, Decoded, Receiver, Rules};
use longwire_proto::{Packet, ReasonCode, Version};

use Receiver::{Client, Server};
use Version::{V5, V31, V311};

const STATEMENTS: [&str; 3] = [
    include_str!("../../../conformance/spec/mqtt-3.1.1.tsv"),
    include_str!("../../../conformance/spec/mqtt-5.0.tsv"),
    include_str!("../../../conformance/spec/unnumbered.tsv"),
];

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hex");
    digits.chunks(2).map(byte).collect()
}

fn rules(version: Version, receiver: Receiver) -> Rules {
    Rules { version, receiver, packet_size_max: 1_000, strict_text: true }
}

fn refusal(version: Version, receiver: Receiver, hex: &str) -> DecodeError {
    let bytes = bytes_of(hex);
    let decoded = decode::packet(&bytes, &rules(version, receiver));
    *decoded.as_ref().expect_err(&format!("{hex} is refused in {version:?}"))
}

/// Each line: version, reader, bytes, code, statement.
fn check(lines: &[(Version, Receiver, &str, u8, &str)]) {
    for &(version, receiver, hex, code, statement) in lines {
        let error = refusal(version, receiver, hex);
        let found = (error.reason as u8, error.statement);
        assert_eq!(found, (code, statement), "{hex} in {version:?} by {receiver:?}: {error}");
    }
}

fn is_accepted(version: Version, receiver: Receiver, hex: &str) -> bool {
    let bytes = bytes_of(hex);
    matches!(decode::packet(&bytes, &rules(version, receiver)), Ok(Decoded::Packet(_, len)) if len == bytes.len())
}

#[test]
fn reserved_types() {
    check(&[
        (V311, Server, "00", 0x81, "U3-03"),
        (V5, Server, "0000", 0x81, "U5-01"),
        (V31, Server, "F000", 0x81, "U3-03"),
        (V311, Client, "F000", 0x81, "U3-03"),
    ]);
}

#[test]
fn packets_that_only_the_other_side_sends() {
    for hex in ["20 03 00 00 00", "90 04 0001 00 00", "B0 04 0001 00 00", "D0 00"] {
        check(&[(V5, Server, hex, 0x82, ""), (V311, Server, hex, 0x82, "")]);
    }
    for hex in ["10", "82", "A2", "C0"] {
        check(&[(V5, Client, hex, 0x82, ""), (V31, Client, hex, 0x82, "")]);
    }
    check(&[(V311, Client, "E0 00", 0x82, "")]);
    assert!(is_accepted(V5, Client, "E0 00"));
}

#[test]
fn wrong_flags() {
    check(&[
        (V311, Server, "11", 0x81, "MQTT-2.2.2-2"),
        (V5, Server, "C1", 0x81, "MQTT-2.1.3-1"),
        (V5, Server, "60", 0x81, "MQTT-3.6.1-1"),
        (V5, Server, "80", 0x81, "MQTT-3.8.1-1"),
        (V5, Server, "A0", 0x81, "MQTT-3.10.1-1"),
        (V5, Server, "E1", 0x81, "MQTT-3.14.1-1"),
        (V5, Server, "F1", 0x81, "MQTT-3.15.1-1"),
        (V5, Server, "36", 0x81, "MQTT-3.3.1-4"),
        (V311, Server, "38", 0x81, "MQTT-3.3.1-2"),
    ]);
}

#[test]
fn every_wrong_nibble_of_every_type_is_refused() {
    let right = |packet_type: u8| match packet_type {
        6 | 8 | 10 => 2,
        _ => 0,
    };
    for packet_type in (1..=15).filter(|&packet_type| packet_type != 3) {
        for flags in (0..16).filter(|&flags| flags != right(packet_type)) {
            for receiver in [Server, Client] {
                let bytes = [packet_type << 4 | flags];
                assert!(decode::packet(&bytes, &rules(V5, receiver)).is_err(), "{bytes:02X?}");
            }
        }
    }
}

#[test]
fn dup_of_3_1_is_welcome_there_only() {
    for hex in ["8A 06 0001 0001 61 00", "AA 05 0001 0001 61", "6A 02 0001"] {
        assert!(is_accepted(V31, Server, hex), "{hex}");
        assert!(!is_accepted(V311, Server, hex), "{hex}");
    }
}

#[test]
fn remaining_lengths() {
    check(&[
        (V311, Server, "30 FFFFFFFF", 0x81, "U3-01"),
        (V5, Server, "30 80808080", 0x81, "U5-02"),
        (V31, Server, "C0 8000", 0x81, "U3-02"),
        (V311, Server, "C0 808000", 0x81, "U3-02"),
        (V5, Server, "C0 80808000", 0x81, "MQTT-1.5.5-1"),
    ]);
}

#[test]
fn a_length_that_goes_on_is_awaited() {
    for (hex, needed) in [("", 2), ("30", 2), ("30 80", 3), ("30 8080", 4), ("30 808080", 5)] {
        let decoded =
            decode::packet(&bytes_of(hex), &rules(V5, Server)).map(|decoded| format!("{decoded:?}"));
        assert_eq!(decoded, Ok(format!("Incomplete {{ needed: {needed} }}")), "{hex}");
    }
}

#[test]
fn a_packet_too_large_is_refused_by_its_length_alone() {
    // 1,000 bytes are allowed, the fixed header included.
    let largest = bytes_of("30 E507");
    assert_eq!(decode::packet(&largest, &rules(V5, Server)), Ok(Decoded::Incomplete { needed: 1_000 }));
    check(&[
        (V5, Server, "30 E607", 0x95, "MQTT-3.2.2-15"),
        (V5, Client, "30 E607", 0x95, "MQTT-3.1.2-24"),
        (V311, Server, "30 FFFFFF7F", 0x95, ""),
    ]);
}

#[test]
fn packets_of_wrong_length() {
    check(&[
        (V311, Server, "40 03 000A 00", 0x81, "U3-04"),
        (V311, Server, "40 01 00", 0x81, "U3-04"),
        (V311, Server, "C0 01 00", 0x81, "U3-04"),
        (V311, Server, "E0 01 00", 0x81, "U3-04"),
        (V311, Client, "20 03 00 00 00", 0x81, "U3-04"),
        (V311, Client, "B0 03 0001 00", 0x81, "U3-04"),
        (V5, Server, "C0 01 00", 0x81, ""),
        (V5, Server, "40 05 000A 00 00 00", 0x81, ""),
        (V5, Client, "90 03 0001 00", 0x81, ""),
    ]);
}

#[test]
fn packet_id_zero() {
    check(&[
        (V311, Server, "32 05 0001 61 0000", 0x82, "MQTT-2.3.1-1"),
        (V5, Server, "32 06 0001 61 0000 00", 0x82, "MQTT-2.2.1-3"),
        (V5, Server, "82 07 0000 00 0001 61 00", 0x82, "MQTT-2.2.1-3"),
        (V5, Server, "A2 06 0000 00 0001 61", 0x82, "MQTT-2.2.1-3"),
        (V5, Client, "40 02 0000", 0x82, "MQTT-2.2.1-3"),
    ]);
}

#[test]
fn protocol_names_and_levels() {
    check(&[
        (V311, Server, "10 0D 0004 4D515458 04 02 0000 0001 63", 0x84, "MQTT-3.1.2-1"),
        (V311, Server, "10 0D 0004 6D717474 04 02 0000 0001 63", 0x84, "MQTT-3.1.2-1"),
        (V311, Server, "10 0F 0006 4D5149736470 04 02 0000 0001 63", 0x84, "MQTT-3.1.2-1"),
        (V311, Server, "10 0D 0004 4D515454 06 02 0000 0001 63", 0x84, "MQTT-3.1.2-2"),
        (V311, Server, "10 0D 0004 4D515454 85 02 0000 0001 63", 0x84, "MQTT-3.1.2-2"),
        (V311, Server, "10 02 0004", 0x81, "MQTT-3.1.4-1"),
    ]);
}

#[test]
fn a_bridge_names_itself_by_the_high_bit_of_its_level() {
    for (hex, version) in [
        ("10 0D 0004 4D515454 84 02 0000 0001 63", V311),
        ("10 0F 0006 4D5149736470 83 02 0000 0001 63", V31),
    ] {
        let bytes = bytes_of(hex);
        let Ok(Decoded::Packet(Packet::Connect(connect), _)) = decode::packet(&bytes, &rules(V5, Server))
        else {
            panic!("{hex} is understood");
        };
        assert!(connect.bridge);
        assert_eq!(connect.version, version);
    }
}

#[test]
fn connect_flags() {
    let connect = |flags: &str| format!("10 0D 0004 4D515454 04 {flags} 0000 0001 63");
    let connect5 = |flags: &str| format!("10 0E 0004 4D515454 05 {flags} 0000 00 0001 63");
    check(&[
        (V311, Server, &connect("03"), 0x81, "MQTT-3.1.2-3"),
        (V311, Server, &connect("08"), 0x81, "MQTT-3.1.2-13"),
        (V311, Server, &connect("22"), 0x81, "MQTT-3.1.2-15"),
        (V311, Server, &connect("1E"), 0x81, "MQTT-3.1.2-14"),
        (V311, Server, &connect("42"), 0x81, "MQTT-3.1.2-22"),
        (V5, Server, &connect5("03"), 0x81, "MQTT-3.1.2-3"),
        (V5, Server, &connect5("10"), 0x81, "MQTT-3.1.2-11"),
        (V5, Server, &connect5("22"), 0x81, "MQTT-3.1.2-13"),
        (V5, Server, &connect5("1E"), 0x81, "MQTT-3.1.2-12"),
    ]);
}

#[test]
fn connect_fields() {
    check(&[
        (V311, Server, "10 0A 0004 4D515454 04 02 0000", 0x81, "MQTT-3.1.3-3"),
        (V311, Server, "10 0E 0004 4D515454 04 02 0000 0002 FFFE", 0x81, "MQTT-3.1.3-4"),
        (V311, Server, "10 0D 0004 4D515454 04 02 0000 0001 00", 0x81, "MQTT-1.5.3-2"),
        (V311, Server, "10 0D 0004 4D515454 04 02 0000 0001 07", 0x81, "U3-10"),
        (V311, Server, "10 0D 0004 4D515454 04 06 0000 0001 63", 0x81, "MQTT-3.1.2-9"),
        (V311, Server, "10 12 0004 4D515454 04 06 0000 0001 63 0001 23 0000", 0x81, "MQTT-4.7.1-1"),
        (V311, Server, "10 11 0004 4D515454 04 06 0000 0001 63 0000 0000", 0x81, "MQTT-4.7.3-1"),
        (V311, Server, "10 13 0004 4D515454 04 06 0000 0001 63 0002 C328 0000", 0x81, "MQTT-3.1.3-10"),
        (V311, Server, "10 0D 0004 4D515454 04 82 0000 0001 63", 0x81, "MQTT-3.1.2-19"),
        (V311, Server, "10 10 0004 4D515454 04 82 0000 0001 63 0001 FF", 0x81, "MQTT-3.1.3-11"),
        (V311, Server, "10 10 0004 4D515454 04 C2 0000 0001 63 0001 75", 0x81, "MQTT-3.1.2-21"),
        (V311, Server, "10 0E 0004 4D515454 04 02 0000 0001 63 00", 0x81, "MQTT-3.1.4-1"),
        (V5, Server, "10 0E 0004 4D515454 05 82 0000 00 0001 63", 0x81, "MQTT-3.1.2-17"),
        (V5, Server, "10 0E 0004 4D515454 05 42 0000 00 0001 63", 0x81, "MQTT-3.1.2-19"),
        (V5, Server, "10 0A 0004 4D515454 05 02 0000", 0x81, "MQTT-2.2.2-1"),
    ]);
}

#[test]
fn a_3_1_connect_may_end_before_its_credentials() {
    assert!(is_accepted(V31, Server, "10 0F 0006 4D5149736470 03 C2 0000 0001 63"));
    assert!(is_accepted(V31, Server, "10 12 0006 4D5149736470 03 C2 0000 0001 63 0001 75"));
    check(&[(V31, Server, "10 13 0006 4D5149736470 03 C2 0000 0001 63 0001 75 00", 0x81, "MQTT-3.1.2-21")]);
}

#[test]
fn connack() {
    check(&[
        (V311, Client, "20 02 00 06", 0x82, ""),
        (V311, Client, "20 02 02 00", 0x81, ""),
        (V311, Client, "20 02 01 05", 0x82, "MQTT-3.2.2-4"),
        (V5, Client, "20 03 02 00 00", 0x81, "MQTT-3.2.2-1"),
        (V5, Client, "20 03 01 87 00", 0x82, "MQTT-3.2.2-6"),
        (V5, Client, "20 03 00 8E 00", 0x82, "MQTT-3.2.2-8"),
        (V5, Client, "20 03 00 03 00", 0x82, "MQTT-3.2.2-8"),
    ]);
}

#[test]
fn topics() {
    check(&[
        (V311, Server, "30 02 0000", 0x82, "MQTT-4.7.3-1"),
        (V5, Server, "30 03 0000 00", 0x82, "U5-22"),
        (V5, Server, "30 04 0001 23 00", 0x81, "MQTT-3.3.2-2"),
        (V5, Server, "30 04 0001 2B 00", 0x81, "MQTT-3.3.2-2"),
        (V5, Server, "30 04 0001 FF 00", 0x81, "MQTT-3.3.2-1"),
        (V311, Server, "30 03 0001 00", 0x81, "MQTT-1.5.3-2"),
        (V5, Server, "30 04 0001 00 00", 0x81, "MQTT-1.5.4-2"),
        (V311, Server, "30 04 0005 6100", 0x81, "U3-04"),
        (V5, Server, "30 06 0003 EDA080 00", 0x81, "MQTT-3.3.2-1"),
        (V5, Server, "30 05 0002 C0AF 00", 0x81, "MQTT-3.3.2-1"),
    ]);
}

#[test]
fn strict_text_refuses_control_characters_and_non_characters() {
    let discouraged =
        ["0001 01", "0001 1F", "0001 7F", "0002 C280", "0002 C29F", "0003 EFB790", "0003 EFBFBF"];
    for topic in discouraged {
        let bytes = bytes_of(topic);
        let packet = [&[0x30, bytes.len() as u8 + 1], bytes.as_slice(), &[0]].concat();
        let strict = rules(V5, Server);
        let error = decode::packet(&packet, &strict).expect_err(topic);
        assert_eq!((error.reason, error.statement), (ReasonCode::MalformedPacket, "U3-10"), "{topic}");
        let tolerant = Rules { strict_text: false, ..strict };
        assert!(decode::packet(&packet, &tolerant).is_ok(), "{topic}");
    }
    assert!(is_accepted(V5, Server, "30 06 0003 EFBBBF 00"), "U+FEFF is data");
    assert!(is_accepted(V5, Server, "30 05 0002 C2A0 00"), "U+00A0 is not a control character");
}

#[test]
fn publish_properties() {
    check(&[
        (V5, Server, "30 07 0001 61 03 23 0000", 0x94, "MQTT-3.3.2-8"),
        (V5, Server, "30 06 0001 61 02 0B 01", 0x82, "MQTT-3.3.4-6"),
        (V5, Client, "30 06 0001 61 02 0B 00", 0x82, "U5-26"),
        (V5, Client, "30 07 0001 61 03 0B 8000", 0x81, "MQTT-1.5.5-1"),
        (V5, Client, "30 09 0001 61 05 0B FFFFFFFF", 0x81, "U5-02"),
        (V5, Server, "30 06 0001 61 02 01 02", 0x82, "U5-14"),
        (V5, Server, "30 08 0001 61 04 01 00 01 00", 0x82, "U5-06"),
        (V5, Server, "30 06 0001 61 02 7F 00", 0x81, "U5-03"),
        (V5, Server, "30 09 0001 61 05 18 00000001", 0x81, "U5-03"),
        (V5, Server, "30 08 0001 61 04 02 000000", 0x81, "U5-04"),
        (V5, Server, "30 05 0001 61 05 26", 0x81, "U5-05"),
        (V5, Server, "30 08 0001 61 04 08 0001 23", 0x82, "MQTT-3.3.2-14"),
        (V5, Server, "30 08 0001 61 04 08 0001 FF", 0x81, "MQTT-3.3.2-13"),
        (V5, Server, "30 07 0001 61 03 08 0000", 0x82, "MQTT-4.7.3-1"),
        (V5, Server, "30 08 0001 61 04 03 0001 FF", 0x81, "MQTT-3.3.2-19"),
        (V5, Server, "30 0A 0001 61 06 26 0001 FF 0000", 0x81, "MQTT-1.5.7-1"),
        (V5, Server, "30 0A 0001 61 06 26 0000 0001 FF", 0x81, "MQTT-1.5.7-1"),
        (V5, Server, "30 0A 0001 61 06 26 0000 0001 00", 0x81, "MQTT-1.5.4-2"),
        (V5, Server, "30 03 0001 61", 0x81, "MQTT-2.2.2-1"),
    ]);
}

#[test]
fn connect_properties() {
    let connect = |properties: &str| {
        let len = bytes_of(properties).len();
        format!("10 {:02X} 0004 4D515454 05 02 0000 {len:02X} {properties} 0001 63", 14 + len)
    };
    check(&[
        (V5, Server, &connect("21 0000"), 0x82, "U5-08"),
        (V5, Server, &connect("27 00000000"), 0x82, "U5-09"),
        (V5, Server, &connect("19 02"), 0x82, "U5-10"),
        (V5, Server, &connect("17 02"), 0x82, "U5-11"),
        (V5, Server, &connect("16 0000"), 0x82, "U5-12"),
        (V5, Server, &connect("15 0001 FF"), 0x81, "MQTT-1.5.4-1"),
        (V5, Server, &connect("23 0001"), 0x81, "U5-03"),
    ]);
}

#[test]
fn every_single_property_is_refused_when_it_comes_twice() {
    let singles = ["11 00000001", "15 0000", "17 00", "19 00", "21 0001", "22 0000", "27 00000001"];
    for single in singles {
        let twice = format!("{single} {single}");
        let len = bytes_of(&twice).len();
        let hex = format!("10 {:02X} 0004 4D515454 05 02 0000 {len:02X} {twice} 0001 63", 14 + len);
        check(&[(V5, Server, &hex, 0x82, "U5-06")]);
    }
}

#[test]
fn subscribe() {
    check(&[
        (V311, Server, "82 02 0001", 0x82, "MQTT-3.8.3-3"),
        (V5, Server, "82 03 0001 00", 0x82, "MQTT-3.8.3-2"),
        (V311, Server, "82 06 0001 0001 FF 00", 0x81, "MQTT-3.8.3-1"),
        (V311, Server, "82 06 0001 0001 61 03", 0x81, "MQTT-3.8.3-4"),
        (V311, Server, "82 06 0001 0001 61 04", 0x81, "MQTT-3.8.3-4"),
        (V5, Server, "82 07 0001 00 0001 61 40", 0x81, "MQTT-3.8.3-5"),
        (V5, Server, "82 07 0001 00 0001 61 03", 0x82, "U5-32"),
        (V5, Server, "82 07 0001 00 0001 61 30", 0x82, "U5-33"),
        (V5, Server, "82 10 0001 00 000A 2473686172652F672F61 04", 0x82, "MQTT-3.8.3-4"),
        (V5, Server, "82 09 0001 02 0B 00 0001 61 00", 0x82, "U5-26"),
        (V5, Server, "82 0B 0001 04 0B 01 0B 01 0001 61 00", 0x82, "U5-06"),
        (V311, Server, "82 05 0001 0001 61", 0x81, "U3-04"),
    ]);
}

#[test]
fn filters() {
    check(&[
        (V311, Server, "82 05 0001 0000 00", 0x81, "MQTT-4.7.3-1"),
        (V311, Server, "82 07 0001 0002 6123 00", 0x81, "MQTT-4.7.1-2"),
        (V311, Server, "82 07 0001 0002 612B 00", 0x81, "MQTT-4.7.1-3"),
        (V5, Server, "82 08 0001 00 0002 232F 00", 0x81, "MQTT-4.7.1-1"),
        (V5, Server, "82 08 0001 00 0002 2B61 00", 0x81, "MQTT-4.7.1-2"),
        (V5, Server, "82 07 0001 00 0001 00 00", 0x81, "MQTT-1.5.4-2"),
        (V5, Server, "82 07 0001 00 0001 01 00", 0x81, "U3-10"),
        (V5, Server, "82 0C 0001 00 0006 247368617265 00", 0x81, "MQTT-4.8.2-2"),
        (V311, Server, "82 0D 0001 0008 24736861726 52F67 00", 0x81, ""),
    ]);
}

#[test]
fn unsubscribe() {
    check(&[
        (V311, Server, "A2 02 0001", 0x82, "MQTT-3.10.3-2"),
        (V5, Server, "A2 03 0001 00", 0x82, "MQTT-3.10.3-2"),
        (V5, Server, "A2 06 0001 00 0001 FF", 0x81, "MQTT-3.10.3-1"),
        (V5, Server, "A2 07 0001 00 0002 6123", 0x81, "MQTT-4.7.1-1"),
    ]);
}

#[test]
fn reason_codes_that_do_not_belong() {
    check(&[
        (V5, Server, "40 03 0001 92", 0x82, "MQTT-3.4.2-1"),
        (V5, Server, "50 03 0001 01", 0x82, "MQTT-3.5.2-1"),
        (V5, Server, "62 03 0001 80", 0x82, "MQTT-3.6.2-1"),
        (V5, Server, "70 03 0001 80", 0x82, "MQTT-3.7.2-1"),
        (V5, Client, "90 04 0001 00 04", 0x82, "MQTT-3.9.3-2"),
        (V311, Client, "90 03 0001 87", 0x82, "MQTT-3.9.3-2"),
        (V5, Client, "B0 04 0001 00 01", 0x82, "MQTT-3.11.3-2"),
        (V5, Server, "E0 01 8E", 0x82, "MQTT-3.14.2-1"),
        (V5, Client, "E0 01 04", 0x82, "MQTT-3.14.2-1"),
        (V5, Server, "F0 06 00 04 15 0001 6D", 0x82, "MQTT-3.15.2-1"),
        (V5, Client, "F0 06 19 04 15 0001 6D", 0x82, "MQTT-3.15.2-1"),
    ]);
}

#[test]
fn disconnect_and_auth_properties() {
    check(&[
        (V5, Client, "E0 07 00 05 11 00000001", 0x82, "MQTT-3.14.2-2"),
        (V5, Server, "E0 05 00 03 1C 0000", 0x81, "U5-03"),
        (V5, Client, "F0 00", 0x82, "U5-43"),
        (V5, Server, "F0 02 18 00", 0x82, "U5-43"),
        (V5, Server, "F0 05 18 03 16 0000", 0x82, "U5-12"),
    ]);
}

#[test]
fn the_level_of_a_connect_is_found_in_whatever_has_arrived() {
    let level = |hex: &str| decode::connect_level(&bytes_of(hex));
    assert_eq!(level("10 0D 0004 4D515454 06"), Some(6));
    assert_eq!(level("10 FF7F 0004 4D515454 04 FF"), Some(4));
    assert_eq!(level("1F 0F 0006 4D5149736470 83"), Some(0x83));
    assert_eq!(level("10 0D 0004 4D515454"), None);
    assert_eq!(level("10 FFFFFFFF 0004 4D515454 04"), None);
    assert_eq!(level("30 0D 0004 4D515454 04"), None);
    assert_eq!(level(""), None);
}

/// The statements that errors name are those of the tables, so that a reader finds them.
#[test]
fn named_statements_exist() {
    let source = include_str!("../src/decode/fault.rs");
    let quoted = source.split('"').skip(1).step_by(2);
    let named: Vec<&str> =
        quoted.filter(|text| ["MQTT-", "U3-", "U5-"].iter().any(|prefix| text.starts_with(prefix))).collect();
    let is_known = |id: &str| {
        STATEMENTS.iter().any(|table| table.lines().any(|line| line.split('\t').next() == Some(id)))
    };
    assert!(named.len() > 100);
    assert_eq!(named.iter().filter(|id| !is_known(id)).collect::<Vec<_>>(), Vec::<&&str>::new());
}
