//! What no server may send: a client that gets it leaves, in 5.0 with the code that says why, before 5.0 and before
//! CONNACK by closing.

use super::*;

/// Each line: bytes from the server to a client that is online, the code of its DISCONNECT, the statement it names.
fn check(lines: &[(&str, u8, &str)]) {
    for (hex, code, statement) in lines {
        let mut scene = Scene::online();
        scene.bytes(&from_hex(hex));
        let (reason, named) = scene.violation();
        assert_eq!((reason as u8, named), (*code, *statement), "{hex}");
        assert!(scene.is_over(), "{hex}");
    }
}

/// Each line: bytes from the server to a client of 3.1.1 that is online, the statement it names.
fn check_before_5(lines: &[(&str, &str)]) {
    for (hex, statement) in lines {
        let mut scene = Scene::online_with(v311(), &[]);
        scene.bytes(&from_hex(hex));
        check_bare_close(&mut scene, hex, statement);
    }
}

/// Each line: the answer to CONNECT, the statement it names.
fn check_connack(settings: &Settings, lines: &[(&str, &str)]) {
    for (hex, statement) in lines {
        let mut scene = Scene::new(settings.clone());
        scene.client.connect(scene.now_ms);
        scene.seen();
        scene.bytes(&from_hex(hex));
        check_bare_close(&mut scene, hex, statement);
    }
}

fn check_bare_close(scene: &mut Scene, hex: &str, statement: &str) {
    let Event::Closed(Cause::Violation { statement: named, .. }) = scene.event() else {
        panic!("the client did not object to {hex}");
    };
    assert_eq!(named, statement, "{hex}");
    assert_eq!(scene.seen(), [], "{hex}");
    assert!(scene.is_over(), "{hex}");
}

/// `[MQTT-2.1.3-1]`, `[MQTT-3.6.1-1]`, `[MQTT-3.14.1-1]`, `[MQTT-3.15.1-1]`, `[MQTT-3.3.1-2]`, `[MQTT-3.3.1-4]`,
/// `[U5-01]`.
#[test]
fn types_and_flags() {
    check(&[
        ("00 00", 0x81, "U5-01"),
        ("41 02 0001", 0x81, "MQTT-2.1.3-1"),
        ("91 04 0001 00 00", 0x81, "MQTT-2.1.3-1"),
        ("D1 00", 0x81, "MQTT-2.1.3-1"),
        ("60 02 0001", 0x81, "MQTT-3.6.1-1"),
        ("E1 00", 0x81, "MQTT-3.14.1-1"),
        ("F1 06 18 04 15 0001 4D", 0x81, "MQTT-3.15.1-1"),
        ("36 06 0001 61 0001 00", 0x81, "MQTT-3.3.1-4"),
        ("38 04 0001 61 00", 0x81, "MQTT-3.3.1-2"),
    ]);
}

/// `[MQTT-2.2.2-1 of 3.1.1]`, `[MQTT-2.2.2-2 of 3.1.1]`, `[MQTT-3.3.1-2 of 3.1.1]`, `[MQTT-3.3.1-4 of 3.1.1]`,
/// `[MQTT-3.6.1-1 of 3.1.1]`, `[MQTT-4.8.0-1 of 3.1.1]`, `[U3-03]`.
#[test]
fn types_and_flags_before_5() {
    check_before_5(&[
        ("00 00", "U3-03"),
        ("F0 00", "U3-03"),
        ("41 02 0001", "MQTT-2.2.2-2"),
        ("D1 00", "MQTT-2.2.2-2"),
        ("60 02 0001", "MQTT-3.6.1-1"),
        ("36 05 0001 61 0001", "MQTT-3.3.1-4"),
        ("38 03 0001 61", "MQTT-3.3.1-2"),
    ]);
}

/// SUBSCRIBE and UNSUBSCRIBE are not a server's to send, whatever their flags: `[MQTT-3.8.1-1]`, `[MQTT-3.10.1-1]`,
/// `[MQTT-3.8.1-1 of 3.1.1]`, `[MQTT-3.10.1-1 of 3.1.1]`.
#[test]
fn packets_that_only_clients_send() {
    for first_byte in [0x10, 0x80, 0x82, 0xA0, 0xA2, 0xC0] {
        let mut scene = Scene::online();
        scene.bytes(&[first_byte, 0]);
        assert_eq!(scene.violation().0, ReasonCode::ProtocolError, "{first_byte:x}");
        let mut scene = Scene::online_with(v311(), &[]);
        scene.bytes(&[first_byte, 0]);
        assert!(matches!(scene.event(), Event::Closed(Cause::Violation { .. })), "{first_byte:x}");
    }
    // Before 5.0, so is DISCONNECT.
    check_before_5(&[("E0 00", "")]);
}

/// `[MQTT-1.5.5-1]`, `[U5-02]`.
#[test]
fn lengths() {
    check(&[
        ("30 FFFFFFFF 7F", 0x81, "U5-02"),
        ("D0 8000", 0x81, "MQTT-1.5.5-1"),
        ("30 09 0001 61 05 0B FFFFFFFF", 0x81, "U5-02"),
        ("30 07 0001 61 03 0B 8000", 0x81, "MQTT-1.5.5-1"),
        ("30 05 0001 61 8000", 0x81, "MQTT-1.5.5-1"),
    ]);
}

/// `[U3-01]`, `[U3-02]`, `[U3-04]`.
#[test]
fn lengths_before_5() {
    check_before_5(&[
        ("30 FFFFFFFF 7F", "U3-01"),
        ("D0 8000", "U3-02"),
        ("40 03 0001 00", "U3-04"),
        ("50 03 0001 00", "U3-04"),
        ("62 01 00", "U3-04"),
        ("70 03 0001 00", "U3-04"),
        ("B0 03 0001 00", "U3-04"),
        ("D0 01 00", "U3-04"),
    ]);
    check_connack(&v311(), &[("20 03 00 00 00", "U3-04"), ("20 01 00", "U3-04")]);
}

/// `[MQTT-2.3.1-1 of 3.1.1]`, and the rule of 5.0 for servers.
#[test]
fn packet_id_0() {
    check_before_5(&[("32 05 0001 61 0000", "MQTT-2.3.1-1"), ("40 02 0000", "MQTT-2.3.1-1")]);
    for hex in ["32 06 0001 61 0000 00", "40 02 0000"] {
        let mut scene = Scene::online();
        scene.bytes(&from_hex(hex));
        assert_eq!(scene.violation().0, ReasonCode::ProtocolError, "{hex}");
    }
}

/// `[MQTT-1.5.4-1]`, `[MQTT-1.5.4-2]`, `[MQTT-1.5.7-1]`, `[MQTT-3.3.2-1]`, `[MQTT-3.3.2-2]`, `[MQTT-3.3.2-13]`,
/// `[MQTT-3.3.2-14]`, `[MQTT-3.3.2-19]`, `[MQTT-4.7.0-1]`, `[MQTT-4.7.3-1]`, `[MQTT-4.7.3-2]`, `[U5-22]`.
#[test]
fn texts() {
    check(&[
        // A surrogate, an overlong form, a byte that begins nothing.
        ("30 06 0003 EDA080 00", 0x81, "MQTT-3.3.2-1"),
        ("30 05 0002 C0AF 00", 0x81, "MQTT-3.3.2-1"),
        ("30 04 0001 FF 00", 0x81, "MQTT-3.3.2-1"),
        ("30 04 0001 00 00", 0x81, "MQTT-1.5.4-2"),
        ("30 04 0001 23 00", 0x81, "MQTT-3.3.2-2"),
        ("30 05 0002 612B 00", 0x81, "MQTT-3.3.2-2"),
        ("30 03 0000 00", 0x82, "U5-22"),
        ("30 08 0001 61 04 08 0001 FF", 0x81, "MQTT-3.3.2-13"),
        ("30 08 0001 61 04 08 0001 23", 0x82, "MQTT-3.3.2-14"),
        ("30 07 0001 61 03 08 0000", 0x82, "MQTT-4.7.3-1"),
        ("30 08 0001 61 04 03 0001 FF", 0x81, "MQTT-3.3.2-19"),
        ("30 0A 0001 61 06 26 0001 FF 0000", 0x81, "MQTT-1.5.7-1"),
        ("30 0A 0001 61 06 26 0000 0001 FF", 0x81, "MQTT-1.5.7-1"),
        ("E0 06 00 04 1F 0001 FF", 0x81, "MQTT-1.5.4-1"),
    ]);
}

/// `[MQTT-1.5.3-1 of 3.1.1]`, `[MQTT-1.5.3-2 of 3.1.1]`, `[MQTT-3.3.2-1 of 3.1.1]`, `[MQTT-3.3.2-2 of 3.1.1]`,
/// `[MQTT-4.7.1-1 of 3.1.1]`, `[MQTT-4.7.3-1 of 3.1.1]`, `[MQTT-4.7.3-2 of 3.1.1]`.
#[test]
fn texts_before_5() {
    check_before_5(&[
        ("30 05 0003 EDA080", "MQTT-3.3.2-1"),
        ("30 04 0002 C0AF", "MQTT-3.3.2-1"),
        ("30 03 0001 00", "MQTT-1.5.3-2"),
        ("30 03 0001 23", "MQTT-3.3.2-2"),
        ("30 04 0002 612B", "MQTT-3.3.2-2"),
        ("30 02 0000", "MQTT-4.7.3-1"),
    ]);
}

/// `[MQTT-1.5.4-3]`, `[MQTT-1.5.3-3 of 3.1.1]`, `[U3-10]`: U+FEFF is a character like others; and characters that
/// nobody should use are no reason to leave.
#[test]
fn unusual_texts_are_delivered_as_they_are() {
    for mut scene in fleeting() {
        for topic in ["\u{FEFF}a", "a\u{FEFF}", "a\u{1}", "a\u{7F}", "a\u{FFFF}"] {
            let delivered = scene.message(topic, QoS::AtMostOnce, 0);
            assert_eq!(delivered, Some((topic.to_owned(), "hello".to_owned())));
        }
    }
}

/// `[MQTT-2.2.2-1]`, `[MQTT-3.3.2-8]`, `[U5-03]`, `[U5-04]`, `[U5-05]`, `[U5-06]`, `[U5-14]`, `[U5-26]`.
#[test]
fn properties_of_messages() {
    check(&[
        ("30 03 0001 61", 0x81, "MQTT-2.2.2-1"),
        ("30 07 0001 61 03 23 0000", 0x94, "MQTT-3.3.2-8"),
        ("30 06 0001 61 02 7F 00", 0x81, "U5-03"),
        ("30 09 0001 61 05 18 00000001", 0x81, "U5-03"),
        ("30 08 0001 61 04 02 000000", 0x81, "U5-04"),
        ("30 05 0001 61 64 26", 0x81, "U5-05"),
        ("30 08 0001 61 04 01 00 01 00", 0x82, "U5-06"),
        ("30 0A 0001 61 06 23 0001 23 0001", 0x82, "U5-06"),
        ("30 06 0001 61 02 01 02", 0x82, "U5-14"),
        ("30 06 0001 61 02 0B 00", 0x82, "U5-26"),
    ]);
}

/// `[U5-06]`, `[U5-26]`: more than one identifier, and User Properties with one name, are a server's right.
#[test]
fn properties_that_may_repeat_are_accepted() {
    let mut scene = Scene::online();
    let repeated = "30 19 0001 61 15 0B 01 0B FFFFFF7F 26 0001 61 0001 62 26 0001 61 0001 62";
    assert!(scene.bytes(&from_hex(repeated)).is_some());
}

/// `[MQTT-3.4.2-1]`, `[MQTT-3.5.2-1]`, `[MQTT-3.6.2-1]`, `[MQTT-3.7.2-1]`, `[MQTT-3.14.2-1]`.
#[test]
fn reason_codes() {
    check(&[
        ("40 03 0001 92", 0x82, "MQTT-3.4.2-1"),
        ("50 03 0001 01", 0x82, "MQTT-3.5.2-1"),
        ("62 03 0001 80", 0x82, "MQTT-3.6.2-1"),
        ("70 03 0001 80", 0x82, "MQTT-3.7.2-1"),
        ("E0 01 04", 0x82, "MQTT-3.14.2-1"),
        ("E0 01 01", 0x82, "MQTT-3.14.2-1"),
    ]);
}

/// `[U5-03]`, `[U5-06]`, `[U5-08]`, `[U5-09]`, `[U5-10]`, `[U5-11]`, `[U5-12]`, `[MQTT-2.2.2-1]`, `[MQTT-1.5.4-1]`:
/// before the connection is accepted there is nothing to say but to close.
#[test]
fn connacks() {
    check_connack(
        &Settings::default(),
        &[
            ("20 02 00 00", "MQTT-2.2.2-1"),
            ("20 06 00 00 03 21 0000", "U5-08"),
            ("20 08 00 00 05 27 00000000", "U5-09"),
            // Request Response and Request Problem Information are a client's.
            ("20 05 00 00 02 19 01", "U5-03"),
            ("20 05 00 00 02 17 01", "U5-03"),
            ("20 06 00 00 03 23 0001", "U5-03"),
            ("20 06 00 00 03 16 0000", "U5-12"),
            ("20 07 00 00 04 25 01 25 01", "U5-06"),
            ("20 07 00 00 04 1F 0001 FF", "MQTT-1.5.4-1"),
        ],
    );
}

/// `[MQTT-3.2.2-4]`, `[C21]`: also before 5.0, where the number is a server's rule.
#[test]
fn a_session_nobody_has() {
    check_connack(&Settings::default(), &[("20 03 01 00 00", "MQTT-3.2.2-4")]);
    check_connack(&v311(), &[("20 02 01 00", "MQTT-3.2.2-4")]);
}

/// `[U5-42]`, `[U5-43]`, `[MQTT-3.15.2-1]`, `[MQTT-4.12.0-5]`, `[U5-12]`.
#[test]
fn auths() {
    check(&[("F0 06 18 04 15 0001 4D", 0x82, "U5-42")]);
    let authentication = Some(Authentication { method: "M".into(), data: None });
    let settings = Settings { authentication, ..Settings::default() };
    for (hex, statement) in [
        ("F0 00", "U5-43"),
        ("F0 02 18 00", "U5-43"),
        ("F0 05 18 03 16 0000", "U5-12"),
        ("F0 06 18 04 15 0001 4E", "MQTT-4.12.0-5"),
        ("F0 06 19 04 15 0001 4D", "MQTT-3.15.2-1"),
        ("F0 06 18 04 15 0001 4D", "MQTT-3.15.2-1"),
    ] {
        let mut scene = Scene::online_with(settings.clone(), &[Property::AuthenticationMethod("M")]);
        scene.bytes(&from_hex(hex));
        assert_eq!(scene.violation(), (ReasonCode::ProtocolError, statement), "{hex}");
    }
}

/// `[U5-31]`: a code of 0 may be left out, and so may properties.
#[test]
fn acknowledgements_come_in_three_lengths() {
    for ack in ["02 0001", "03 0001 00", "04 0001 00 00", "0B 0001 00 07 1F 0004 66696E65"] {
        let mut scene = Scene::online();
        let request = scene.publish("x", QoS::AtLeastOnce);
        scene.bytes(&from_hex(&format!("40 {ack}")));
        assert_eq!(scene.event(), acknowledged(request), "PUBACK {ack}");

        let request = scene.publish("y", QoS::ExactlyOnce);
        let ack = ack.replacen("0001", "0002", 1);
        scene.bytes(&from_hex(&format!("50 {ack}")));
        scene.bytes(&from_hex(&format!("70 {ack}")));
        assert_eq!(scene.event(), acknowledged(request), "PUBREC and PUBCOMP {ack}");

        scene.message("m", QoS::ExactlyOnce, 2);
        scene.seen();
        scene.bytes(&from_hex(&format!("62 {ack}")));
        assert_eq!(scene.seen(), [Seen::PubComp(2, ReasonCode::Success)], "PUBREL {ack}");
    }
}

/// `[U5-38]`.
#[test]
fn disconnects_come_in_three_lengths() {
    for (hex, reason) in [
        ("E0 00", ReasonCode::Success),
        ("E0 01 8B", ReasonCode::ServerShuttingDown),
        ("E0 02 8B 00", ReasonCode::ServerShuttingDown),
    ] {
        let mut scene = Scene::online();
        scene.bytes(&from_hex(hex));
        let refusal = Refusal { reason, text: None, server_reference: None };
        assert_eq!(scene.event(), Event::Closed(Cause::ByServer(refusal)), "{hex}");
    }
}

/// `[U5-15]`: a client may check what is marked as text, and this one does not.
#[test]
fn a_payload_marked_as_text_is_not_looked_at() {
    let mut scene = Scene::online();
    assert!(scene.bytes(&from_hex("30 07 0001 61 02 01 01 FF")).is_some());
    assert!(scene.client.is_online());
}
