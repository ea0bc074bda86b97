//! What a client writes, to the byte and the bit. Everything else that clients write is read by a strict decoder in
//! [`Scene::seen`], which refuses what is malformed.

use super::*;

/// The CONNECT of a client with these settings.
fn connect(settings: Settings) -> Vec<u8> {
    let mut scene = Scene::new(settings);
    scene.client.connect(scene.now_ms);
    scene.client.output().to_vec()
}

fn with_everything(settings: Settings) -> Settings {
    let properties = PropertiesBuf::new();
    Settings {
        client_id: "c".into(),
        will: Some(Will {
            topic: "w".into(),
            payload: b"bye".to_vec(),
            qos: QoS::AtLeastOnce,
            retain: true,
            properties,
        }),
        user_name: Some("u".into()),
        password: Some(b"p".to_vec()),
        ..settings
    }
}

/// `[MQTT-3.1.3-1 of 3.1.1]`, `[MQTT-3.1.3-3 of 3.1.1]`, `[MQTT-3.1.2-9 of 3.1.1]`, `[MQTT-7.0.0-2 of 3.1.1]`, `[I09]`:
/// id, will, user name, password; no properties, and no bit that the standard does not know.
#[test]
fn a_full_connect_before_5() {
    let name_level_flags_keep_alive = "0004 4D515454 04 EE 003C";
    let payload = "0001 63  0001 77  0003 627965  0001 75  0001 70";
    let expected = from_hex(&format!("10 1B {name_level_flags_keep_alive} {payload}"));
    assert_eq!(connect(with_everything(v311())), expected);
}

/// `[MQTT-3.1.3-1]`, `[MQTT-3.1.3-3]`, `[MQTT-3.1.2-9]`, `[MQTT-2.2.2-1]`: as before, with the properties of the will
/// in front of it, and their length even if there are none.
#[test]
fn a_full_connect_of_5() {
    let name_level_flags_keep_alive = "0004 4D515454 05 EE 003C";
    let properties = "0B 21 0100 27 00200000 22 0010";
    let payload = "0001 63  00 0001 77 0003 627965  0001 75  0001 70";
    let expected = from_hex(&format!("10 28 {name_level_flags_keep_alive} {properties} {payload}"));
    assert_eq!(connect(with_everything(Settings::default())), expected);
}

/// The strings and binaries of CONNECT's payload.
fn payload_fields(connect: &[u8], version: Version, has_will: bool) -> Vec<Vec<u8>> {
    // Fixed header, protocol name, level, flags, keep-alive.
    let mut rest = &connect[12..];
    if version == Version::V5 {
        rest = &rest[1 + usize::from(rest[0])..];
    }
    let mut fields = Vec::new();
    while let Some((len, tail)) = rest.split_first_chunk::<2>() {
        let (field, tail) = tail.split_at(usize::from(u16::from_be_bytes(*len)));
        fields.push(field.to_vec());
        rest = tail;
        if version == Version::V5 && has_will && fields.len() == 1 {
            assert_eq!(rest[0], 0, "no will properties");
            rest = &rest[1..];
        }
    }
    fields
}

/// `[MQTT-3.1.2-9]`, `[MQTT-3.1.2-11]`, `[MQTT-3.1.2-12]`, `[MQTT-3.1.2-13]`, `[MQTT-3.1.2-16]`, `[MQTT-3.1.2-17]`,
/// `[MQTT-3.1.2-18]`, `[MQTT-3.1.2-19]`, `[MQTT-3.1.2-9 of 3.1.1]`, `[MQTT-3.1.2-11 of 3.1.1]`,
/// `[MQTT-3.1.2-13 of 3.1.1]`, `[MQTT-3.1.2-14 of 3.1.1]`, `[MQTT-3.1.2-15 of 3.1.1]`, `[MQTT-3.1.2-18 of 3.1.1]`,
/// `[MQTT-3.1.2-19 of 3.1.1]`, `[MQTT-3.1.2-20 of 3.1.1]`, `[MQTT-3.1.2-21 of 3.1.1]`: each flag of CONNECT is set
/// exactly when its field is there.
#[test]
fn flags_and_fields_of_connect_agree() {
    let wills = [None, Some((0, false)), Some((1, true)), Some((2, false)), Some((2, true))];
    let users = [None, Some("u".to_owned())];
    let passwords = [None, Some(b"p".to_vec())];
    for settings in [v311(), Settings { client_id: "c".into(), ..Settings::default() }] {
        for will in wills {
            for user_name in &users {
                for password in &passwords {
                    check_connect(&settings, will, user_name.clone(), password.clone());
                }
            }
        }
    }
}

fn check_connect(
    settings: &Settings,
    will: Option<(u8, bool)>,
    user_name: Option<String>,
    password: Option<Vec<u8>>,
) {
    if settings.version < Version::V5 && password.is_some() && user_name.is_none() {
        return;
    }
    let mut fields = vec![b"c".to_vec()];
    let mut flags = 1 << 1;
    if let Some((qos, retain)) = will {
        flags |= 1 << 2 | qos << 3 | u8::from(retain) << 5;
        fields.extend([b"w".to_vec(), b"bye".to_vec()]);
    }
    flags |= u8::from(password.is_some()) << 6 | u8::from(user_name.is_some()) << 7;
    fields.extend(user_name.clone().map(String::into_bytes));
    fields.extend(password.clone());
    let of_will = |(qos, retain)| Will {
        topic: "w".into(),
        payload: b"bye".to_vec(),
        qos: QoS::from_bits(qos).expect("scenes use 0, 1 and 2"),
        retain,
        properties: PropertiesBuf::new(),
    };
    let settings = Settings { will: will.map(of_will), user_name, password, ..settings.clone() };
    let version = settings.version;
    let connect = connect(settings);
    assert_eq!(connect[9], flags, "{connect:x?}");
    assert_eq!(payload_fields(&connect, version, will.is_some()), fields, "{connect:x?}");
}

/// Everything a client sends in the course of a connection but CONNECT.
fn conversation(mut scene: Scene) -> Vec<u8> {
    let v5 = scene.client.settings.version == Version::V5;
    scene.subscribe(&["a/+"]);
    scene.publish("x", QoS::AtMostOnce);
    scene.publish("y", QoS::ExactlyOnce);
    scene.pubrec(2, ReasonCode::Success);
    scene.message("m", QoS::AtLeastOnce, 7);
    scene.message("m", QoS::ExactlyOnce, 8);
    scene.server(&Packet::PubRel(Ack::new(id(8), ReasonCode::Success)));
    scene.client.unsubscribe(scene.now_ms, &["a/+"], Properties::EMPTY).expect("accepted");
    scene.after(45_000);
    if v5 {
        scene.client.re_authenticate(scene.now_ms, None).expect("online");
    }
    scene.client.disconnect(ReasonCode::Success, Properties::EMPTY);
    scene.client.output().to_vec()
}

/// `[MQTT-2.2.2-1 of 3.1.1]`, `[MQTT-2.3.1-1 of 3.1.1]`, `[MQTT-2.3.1-5 of 3.1.1]`, `[MQTT-2.3.1-6 of 3.1.1]`,
/// `[MQTT-3.3.2-1 of 3.1.1]`, `[MQTT-3.3.4-1 of 3.1.1]`, `[MQTT-3.6.1-1 of 3.1.1]`, `[MQTT-3.8.1-1 of 3.1.1]`,
/// `[MQTT-3.10.1-1 of 3.1.1]`, `[MQTT-4.3.1-1 of 3.1.1]`, `[MQTT-7.0.0-2 of 3.1.1]`, `[U3-04]`, `[I09]`: flags, lengths
/// and ids are those of the standard, and nothing of 5.0 is among them.
#[test]
fn a_conversation_before_5() {
    let expected = from_hex(
        "82 08 0001 0003 612F2B 01
         30 04 0001 74 78
         34 06 0001 74 0002 79
         62 02 0002
         40 02 0007
         50 02 0008
         70 02 0008
         A2 07 0003 0003 612F2B
         C0 00
         E0 00",
    );
    assert_eq!(conversation(Scene::online_with(v311(), &[])), expected);
}

/// `[MQTT-2.1.3-1]`, `[MQTT-2.2.1-2]`, `[MQTT-2.2.1-3]`, `[MQTT-2.2.1-5]`, `[MQTT-2.2.2-1]`, `[MQTT-3.3.2-1]`,
/// `[MQTT-3.3.4-1]`, `[MQTT-3.6.1-1]`, `[MQTT-3.8.1-1]`, `[MQTT-3.10.1-1]`, `[MQTT-3.14.1-1]`, `[MQTT-3.15.1-1]`,
/// `[MQTT-3.15.2-2]`, `[MQTT-3.15.2-3]`, `[MQTT-4.3.1-1]`, `[U5-31]`, `[U5-38]`, `[U5-43]`: flags, lengths and ids are
/// those of the standard, a length of properties stands even for none, acknowledgements and DISCONNECT are as short as
/// can be, and AUTH has its method and no texts.
#[test]
fn a_conversation_of_5() {
    let expected = from_hex(
        "82 09 0001 00 0003 612F2B 01
         30 05 0001 74 00 78
         34 07 0001 74 0002 00 79
         62 02 0002
         40 02 0007
         50 02 0008
         70 02 0008
         A2 08 0003 00 0003 612F2B
         C0 00
         F0 06 19 04 15 0001 4D
         E0 00",
    );
    let authentication = Some(Authentication { method: "M".into(), data: None });
    let settings = Settings { authentication, ..Settings::default() };
    let scene = Scene::online_with(settings, &[Property::AuthenticationMethod("M")]);
    assert_eq!(conversation(scene), expected);
}

/// `[MQTT-1.5.5-1]`, `[U5-02]`, `[U3-01]`, `[U3-02]`: remaining and property lengths take as few bytes as can be, which
/// the decoder of [`Scene::seen`] insists on, also where one byte more becomes necessary.
#[test]
fn lengths_are_written_in_their_shortest_form() {
    for mut scene in fleeting() {
        for bytes in (110..140).chain(16_370..16_390) {
            let payload = "x".repeat(bytes);
            let whole = Publication { payload: payload.as_bytes(), ..publication("t", "", QoS::AtMostOnce) };
            scene.client.publish(scene.now_ms, &whole).expect("accepted");
            assert_eq!(scene.seen(), [seen_publish(&payload, QoS::AtMostOnce, 0, false)]);
        }
    }
    let mut scene = Scene::online();
    for bytes in (110..140).chain(16_370..16_390) {
        let text = "x".repeat(bytes);
        let properties = PropertiesBuf::from_iter([Property::ContentType(&text)]);
        let properties = properties.as_properties();
        let message = Publication { properties, ..publication("t", "", QoS::AtMostOnce) };
        scene.client.publish(scene.now_ms, &message).expect("accepted");
        assert_eq!(scene.seen(), [seen_publish("", QoS::AtMostOnce, 0, false)]);
    }
}

/// `[MQTT-1.5.4-1]`, `[MQTT-1.5.4-3]`, `[MQTT-3.1.3-4]`, `[MQTT-3.1.3-11]`, `[MQTT-3.1.3-12]`, `[MQTT-3.3.2-1]`,
/// `[MQTT-3.8.3-1]`, `[MQTT-3.10.3-1]`, `[MQTT-1.5.3-1 of 3.1.1]`, `[MQTT-1.5.3-3 of 3.1.1]`,
/// `[MQTT-3.1.3-4 of 3.1.1]`, `[MQTT-3.1.3-10 of 3.1.1]`, `[MQTT-3.1.3-11 of 3.1.1]`, `[MQTT-3.3.2-1 of 3.1.1]`,
/// `[MQTT-3.8.3-1 of 3.1.1]`, `[MQTT-3.10.3-1 of 3.1.1]`: texts are written in UTF-8 as they were given, U+FEFF in
/// front of them included, one behind the other without a gap.
#[test]
fn texts_are_written_as_they_are() {
    const TEXT: &str = "\u{FEFF}ä€𝄞";
    const LEN_AND_TEXT: &str = "000C EFBBBF C3A4 E282AC F09D849E";
    let has = |bytes: &[u8], hex: &str| {
        let wanted = from_hex(hex);
        assert!(bytes.windows(wanted.len()).any(|window| window == wanted), "{wanted:x?} in {bytes:x?}");
    };
    for settings in [Settings::default(), v311()] {
        let will = Will {
            topic: TEXT.into(),
            payload: Vec::new(),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: PropertiesBuf::new(),
        };
        let user_name = Some(TEXT.into());
        let settings = Settings { client_id: TEXT.into(), will: Some(will), user_name, ..settings };
        let length_of_properties = if settings.version == Version::V5 { "00" } else { "" };
        has(
            &connect(settings.clone()),
            &format!("{LEN_AND_TEXT} {length_of_properties} {LEN_AND_TEXT} 0000 {LEN_AND_TEXT}"),
        );
        let mut scene = Scene::online_with(settings, &[]);
        scene.client.publish(0, &publication(TEXT, "", QoS::AtMostOnce)).expect("accepted");
        has(scene.client.output(), LEN_AND_TEXT);
        scene.seen();
        scene.subscribe(&[TEXT, TEXT]);
        has(scene.client.output(), &format!("{LEN_AND_TEXT} 01 {LEN_AND_TEXT} 01"));
        scene.seen();
        scene.client.unsubscribe(0, &[TEXT, TEXT], Properties::EMPTY).expect("accepted");
        has(scene.client.output(), &format!("{LEN_AND_TEXT} {LEN_AND_TEXT}"));
    }
}

/// `[U5-10]`, `[U5-11]`, `[U5-12]`, `[U5-14]`: flags are 0 or 1, and data comes with its method.
#[test]
fn properties_of_connect_are_written_as_they_were_set() {
    let settings = Settings {
        receive_maximum: u16::MAX,
        topic_alias_maximum: 0,
        authentication: Some(Authentication { method: "M".into(), data: Some(b"d".to_vec()) }),
        connect_properties: PropertiesBuf::from_iter([
            Property::RequestProblemInformation(false),
            Property::RequestResponseInformation(true),
        ]),
        will: Some(Will {
            topic: "w".into(),
            payload: b"x".to_vec(),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: PropertiesBuf::from_iter([Property::PayloadFormatIndicator(true)]),
        }),
        ..Settings::default()
    };
    let properties = "11 27 00200000 15 0001 4D 16 0001 64 17 00 19 01";
    let payload = "0000  02 01 01 0001 77 0001 78";
    let expected = from_hex(&format!("10 27 0004 4D515454 05 06 003C {properties} {payload}"));
    assert_eq!(connect(settings), expected);
}
