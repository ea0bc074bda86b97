//! Calls and settings by which the client would break a rule: each is turned down, by its own error, before a byte of
//! it is written.

use super::*;

/// Texts that are neither topic names nor filters, and are no other strings of MQTT either.
const BROKEN_TEXTS: [&str; 7] = ["a\0b", "\0", "a\u{1}", "\u{1F}", "a\u{7F}b", "a\u{9F}", "a\u{FFFF}"];

fn longest(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// What `publish` says of a topic, and that nothing was written.
fn publish_to(scene: &mut Scene, topic: &str) -> Result<(), PublishError> {
    let publication = Publication { topic, ..publication("t", "x", QoS::AtMostOnce) };
    let outcome = scene.client.publish(scene.now_ms, &publication).map(|_| ());
    assert_eq!(outcome.is_err(), scene.client.output().is_empty());
    outcome
}

fn subscribe_to(scene: &mut Scene, filter: &str) -> Result<(), SubscribeError> {
    let options = SubscribeOptions::with_qos(QoS::AtMostOnce);
    let outcome =
        scene.client.subscribe(scene.now_ms, &[("good", options), (filter, options)], Properties::EMPTY);
    assert_eq!(outcome.is_err(), scene.client.output().is_empty());
    outcome.map(|_| ())
}

fn unsubscribe_from(scene: &mut Scene, filter: &str) -> Result<(), SubscribeError> {
    let outcome = scene.client.unsubscribe(scene.now_ms, &["good", filter], Properties::EMPTY);
    assert_eq!(outcome.is_err(), scene.client.output().is_empty());
    outcome.map(|_| ())
}

/// `[MQTT-3.3.2-2]`, `[MQTT-3.3.2-2 of 3.1.1]`, `[MQTT-4.7.0-1]`, `[MQTT-4.7.1-1 of 3.1.1]`, `[MQTT-4.7.3-1]`,
/// `[MQTT-4.7.3-1 of 3.1.1]`, `[MQTT-4.7.3-3]`, `[MQTT-4.7.3-3 of 3.1.1]`, `[U5-22]`.
#[test]
fn a_topic_without_characters_with_wildcards_or_too_long_is_refused() {
    for mut scene in fleeting() {
        for topic in ["", "+", "#", "a/+/b", "a/#", "a+", &longest(65_536)] {
            assert_eq!(publish_to(&mut scene, topic), Err(PublishError::TopicName), "{topic:.9}");
        }
        assert_eq!(publish_to(&mut scene, &longest(65_535)), Ok(()));
    }
}

/// `[MQTT-1.5.4-2]`, `[MQTT-1.5.3-2 of 3.1.1]`, `[MQTT-4.7.3-2]`, `[MQTT-4.7.3-2 of 3.1.1]`, `[U3-10]`.
#[test]
fn topics_and_filters_with_control_characters_are_refused() {
    for mut scene in fleeting() {
        for text in BROKEN_TEXTS {
            assert_eq!(publish_to(&mut scene, text), Err(PublishError::TopicName), "{text:?}");
            assert_eq!(subscribe_to(&mut scene, text), Err(SubscribeError::TopicFilter(1)), "{text:?}");
            assert_eq!(unsubscribe_from(&mut scene, text), Err(SubscribeError::TopicFilter(1)), "{text:?}");
        }
    }
}

/// `[MQTT-4.7.1-1]`, `[MQTT-4.7.1-2]`, `[MQTT-4.7.1-2 of 3.1.1]`, `[MQTT-4.7.1-3 of 3.1.1]`, `[MQTT-4.7.3-1]`,
/// `[MQTT-4.7.3-1 of 3.1.1]`, `[MQTT-4.7.3-3]`, `[MQTT-4.7.3-3 of 3.1.1]`.
#[test]
fn a_filter_that_is_none_is_refused() {
    for mut scene in fleeting() {
        for filter in ["", "a#", "#/a", "a/#/b", "##", "a/+b", "a+", "++", "+#", &longest(65_536)] {
            let refused = Err(SubscribeError::TopicFilter(1));
            assert_eq!(subscribe_to(&mut scene, filter), refused, "{filter:.9}");
            assert_eq!(unsubscribe_from(&mut scene, filter), refused, "{filter:.9}");
        }
        assert_eq!(subscribe_to(&mut scene, &longest(65_535)), Ok(()));
    }
}

/// `[MQTT-4.8.2-1]`, `[MQTT-4.8.2-2]`.
#[test]
fn a_shared_filter_needs_a_share_name_and_a_filter() {
    let mut scene = Scene::online();
    for filter in ["$share", "$share/", "$share/g", "$share//a", "$share/g/", "$share/g+/a", "$share/#/a"] {
        assert_eq!(subscribe_to(&mut scene, filter), Err(SubscribeError::TopicFilter(1)), "{filter}");
    }
    assert_eq!(subscribe_to(&mut scene, "$share/g/a/#"), Ok(()));
}

/// `[MQTT-3.8.3-4]`.
#[test]
fn no_local_on_a_shared_subscription_is_refused() {
    let mut scene = Scene::online();
    let options = SubscribeOptions { no_local: true, ..SubscribeOptions::with_qos(QoS::AtMostOnce) };
    let refused = scene.client.subscribe(0, &[("$share/g/a", options)], Properties::EMPTY);
    assert_eq!(refused, Err(SubscribeError::NoLocalShared(0)));
    assert_eq!(scene.seen(), []);
}

/// `[MQTT-3.8.3-2]`, `[MQTT-3.8.3-3 of 3.1.1]`, `[MQTT-3.10.3-2]`, `[MQTT-3.10.3-2 of 3.1.1]`.
#[test]
fn a_request_needs_a_filter() {
    for mut scene in fleeting() {
        assert_eq!(scene.client.subscribe(0, &[], Properties::EMPTY), Err(SubscribeError::NoFilter));
        assert_eq!(scene.client.unsubscribe(0, &[], Properties::EMPTY), Err(SubscribeError::NoFilter));
        assert_eq!(scene.seen(), []);
    }
}

/// `[MQTT-3.3.4-6]`, `[MQTT-3.3.2-14]`, `[U5-03]`, `[U5-06]`, `[U5-60]`: identifiers are the server's, aliases the
/// client's own, and nothing stands twice.
#[test]
fn properties_that_no_publisher_may_set_are_refused() {
    let mut scene = Scene::online();
    for properties in [
        &[Property::SubscriptionIdentifier(1)][..],
        &[Property::TopicAlias(1)],
        &[Property::ReceiveMaximum(1)],
        &[Property::WillDelayInterval(1)],
        &[Property::ResponseTopic("r/#")],
        &[Property::ResponseTopic("")],
        &[Property::ContentType("a"), Property::ContentType("a")],
    ] {
        let buffer: PropertiesBuf = properties.iter().copied().collect();
        let refused =
            Publication { properties: buffer.as_properties(), ..publication("t", "x", QoS::AtMostOnce) };
        let outcome = scene.client.publish(scene.now_ms, &refused);
        assert_eq!(outcome, Err(PublishError::Property), "{properties:?}");
    }
    assert_eq!(scene.seen(), []);
}

/// `[MQTT-1.5.4-2]`, `[MQTT-1.5.7-1]`, `[MQTT-3.3.2-13]`, `[MQTT-3.3.2-19]`.
#[test]
fn properties_with_broken_texts_are_refused() {
    let mut scene = Scene::online();
    for property in [
        Property::ContentType("a\0"),
        Property::ResponseTopic("a\0"),
        Property::ResponseTopic("a\u{1}"),
        Property::UserProperty("a\0", "b"),
        Property::UserProperty("a", "b\0"),
    ] {
        let buffer = PropertiesBuf::from_iter([property]);
        let properties = buffer.as_properties();
        let refused = Publication { properties, ..publication("t", "x", QoS::AtMostOnce) };
        assert_eq!(scene.client.publish(0, &refused), Err(PublishError::Property), "{property:?}");
    }
    let buffer = PropertiesBuf::from_iter([Property::UserProperty("a", "b\0")]);
    let subscribed = scene.client.subscribe(
        0,
        &[("a", SubscribeOptions::with_qos(QoS::AtMostOnce))],
        buffer.as_properties(),
    );
    assert_eq!(subscribed, Err(SubscribeError::Property));
    let unsubscribed = scene.client.unsubscribe(0, &["a"], buffer.as_properties());
    assert_eq!(unsubscribed, Err(SubscribeError::Property));
    assert_eq!(scene.seen(), []);
}

/// `[MQTT-1.5.4-1]`, `[MQTT-1.5.5-1]`, `[U5-02]`, `[U5-03]`, `[U5-04]`, `[U5-14]`: properties in wire form
/// that were never checked get no further than those that were pushed.
#[test]
fn properties_of_broken_bytes_are_refused() {
    let mut scene = Scene::online();
    for bytes in [
        // Ill-formed UTF-8, an unknown property, one cut short, a text longer than the set, a flag of 2.
        &[3, 0, 1, 0xFF][..],
        &[0x7F, 0],
        &[2, 0, 0, 0],
        &[3, 0, 9, b'a'],
        &[1, 2],
    ] {
        let properties = Properties::from_checked(bytes);
        let refused = Publication { properties, ..publication("t", "x", QoS::AtMostOnce) };
        assert_eq!(scene.client.publish(0, &refused), Err(PublishError::Property), "{bytes:x?}");
    }
    // Subscription Identifiers, padded and of five bytes.
    for bytes in [&[11, 0x80, 0][..], &[11, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]] {
        let options = SubscribeOptions::with_qos(QoS::AtMostOnce);
        let refused = scene.client.subscribe(0, &[("a", options)], Properties::from_checked(bytes));
        assert_eq!(refused, Err(SubscribeError::Property), "{bytes:x?}");
    }
    assert_eq!(scene.seen(), []);
}

/// `[U5-15]`.
#[test]
fn a_payload_marked_as_text_is_text() {
    let mut scene = Scene::online();
    let marked = PropertiesBuf::from_iter([Property::PayloadFormatIndicator(true)]);
    let text = Publication { properties: marked.as_properties(), ..publication("t", "x", QoS::AtMostOnce) };
    let no_text = Publication { payload: &[0xFF], ..text };
    assert_eq!(scene.client.publish(0, &no_text), Err(PublishError::PayloadFormat));
    assert!(scene.client.publish(0, &text).is_ok());
    let unmarked = Publication { properties: Properties::EMPTY, ..no_text };
    assert!(scene.client.publish(0, &unmarked).is_ok());
}

/// `[U5-26]`: from 1 to 268,435,455, once.
#[test]
fn a_subscription_identifier_is_not_0_and_alone() {
    let mut scene = Scene::online();
    let mut ask = |identifiers: &[u32]| {
        let properties: PropertiesBuf =
            identifiers.iter().copied().map(Property::SubscriptionIdentifier).collect();
        let options = SubscribeOptions::with_qos(QoS::AtMostOnce);
        scene.client.subscribe(0, &[("a", options)], properties.as_properties()).map(|_| ())
    };
    assert_eq!(ask(&[0]), Err(SubscribeError::Property));
    assert_eq!(ask(&[1, 2]), Err(SubscribeError::Property));
    assert_eq!(ask(&[268_435_455]), Ok(()));
}

/// `[I09]`: what only 5.0 can say is not said before.
#[test]
fn before_5_nothing_of_5_is_sent() {
    let mut scene = Scene::online_with(v311(), &[]);
    let buffer = PropertiesBuf::from_iter([Property::UserProperty("a", "b")]);
    let properties = buffer.as_properties();
    let message = Publication { properties, ..publication("t", "x", QoS::AtMostOnce) };
    assert_eq!(scene.client.publish(0, &message), Err(PublishError::NeedsVersion5));
    let plain = SubscribeOptions::with_qos(QoS::AtMostOnce);
    let no_local = SubscribeOptions { no_local: true, ..plain };
    let needs = Err(SubscribeError::NeedsVersion5);
    assert_eq!(scene.client.subscribe(0, &[("a", plain)], properties), needs);
    assert_eq!(scene.client.subscribe(0, &[("a", no_local)], Properties::EMPTY), needs);
    assert_eq!(scene.client.unsubscribe(0, &["a"], properties), needs);
    assert_eq!(scene.client.re_authenticate(0, None), Err(AuthenticateError::NoMethod));
    assert_eq!(scene.seen(), []);
}

fn refused(settings: Settings) -> Option<SettingsError> {
    Client::new(settings).err()
}

fn will(topic: &str, properties: &[Property<'_>]) -> Will {
    let properties = properties.iter().copied().collect();
    Will { topic: topic.into(), payload: vec![0xFF], qos: QoS::AtMostOnce, retain: false, properties }
}

/// `[MQTT-3.1.3-7 of 3.1.1]`.
#[test]
fn before_5_an_empty_client_id_needs_a_clean_session() {
    let settings = Settings { client_id: String::new(), ..v311() };
    assert_eq!(refused(settings.clone()), None);
    assert_eq!(refused(Settings { clean_start: false, ..settings }), Some(SettingsError::ClientId));
}

/// `[MQTT-3.1.2-22 of 3.1.1]`, and 5.0 allows it `[MQTT-3.1.2-19]`.
#[test]
fn before_5_a_password_needs_a_user_name() {
    let password = Some(b"p".to_vec());
    let alone = Settings { password: password.clone(), ..v311() };
    assert_eq!(refused(alone), Some(SettingsError::PasswordWithoutUserName));
    assert_eq!(refused(Settings { password, ..Settings::default() }), None);
}

/// `[MQTT-1.5.4-2]`, `[MQTT-1.5.3-2 of 3.1.1]`, `[U3-10]`.
#[test]
fn settings_with_broken_texts_are_refused() {
    for settings in [Settings::default(), v311()] {
        for text in BROKEN_TEXTS {
            let client_id = Settings { client_id: text.into(), ..settings.clone() };
            assert_eq!(refused(client_id), Some(SettingsError::Text("the client id")), "{text:?}");
            let user_name = Settings { user_name: Some(text.into()), ..settings.clone() };
            assert_eq!(refused(user_name), Some(SettingsError::Text("the user name")), "{text:?}");
            let will = Settings { will: Some(will(text, &[])), ..settings.clone() };
            assert_eq!(refused(will), Some(SettingsError::WillTopic), "{text:?}");
        }
        let long = Settings { client_id: longest(65_536), ..settings.clone() };
        assert_eq!(refused(long), Some(SettingsError::Text("the client id")));
        let long = Settings { user_name: Some(longest(65_536)), ..settings };
        assert_eq!(refused(long), Some(SettingsError::Text("the user name")));
    }
}

/// `[MQTT-3.1.3-11]`, `[MQTT-3.1.3-10 of 3.1.1]`, `[MQTT-4.7.0-1]`, `[MQTT-4.7.1-1 of 3.1.1]`, `[MQTT-4.7.3-1]`,
/// `[MQTT-4.7.3-1 of 3.1.1]`: what is no topic name is no topic of a will.
#[test]
fn a_will_needs_a_topic_name() {
    for settings in [Settings::default(), v311()] {
        for topic in ["", "a/#", "+", "a\0"] {
            let settings = Settings { will: Some(will(topic, &[])), ..settings.clone() };
            assert_eq!(refused(settings), Some(SettingsError::WillTopic), "{topic}");
        }
        assert_eq!(refused(Settings { will: Some(will("a/b", &[])), ..settings }), None);
    }
}

/// `[MQTT-3.3.2-14]`, `[U5-03]`, `[U5-06]`, `[U5-15]`.
#[test]
fn properties_that_no_will_may_have_are_refused() {
    for properties in [
        &[Property::TopicAlias(1)][..],
        &[Property::SubscriptionIdentifier(1)],
        &[Property::SessionExpiryInterval(1)],
        &[Property::ResponseTopic("+")],
        &[Property::WillDelayInterval(1), Property::WillDelayInterval(1)],
    ] {
        let settings = Settings { will: Some(will("t", properties)), ..Settings::default() };
        assert_eq!(refused(settings), Some(SettingsError::Property("the will")), "{properties:?}");
    }
    let marked = will("t", &[Property::PayloadFormatIndicator(true)]);
    let settings = Settings { will: Some(marked), ..Settings::default() };
    assert_eq!(refused(settings), Some(SettingsError::WillPayload));
}

/// `[U5-03]`, `[U5-06]`, `[U5-10]`, `[U5-11]`, `[U5-12]`.
#[test]
fn properties_that_connect_cannot_have_are_refused() {
    let connect = |connect_properties| refused(Settings { connect_properties, ..Settings::default() });
    let not_connect = Some(SettingsError::Property("CONNECT"));
    for properties in [
        &[Property::TopicAlias(1)][..],
        &[Property::AuthenticationData(b"data")],
        &[Property::ReceiveMaximum(1)],
        &[Property::RequestProblemInformation(true), Property::RequestProblemInformation(true)],
        &[Property::UserProperty("a", "\0")],
    ] {
        assert_eq!(connect(properties.iter().copied().collect()), not_connect, "{properties:?}");
    }
    // Request Response and Request Problem Information of 2.
    for bytes in [[0x19, 2], [0x17, 2]] {
        let mut raw = PropertiesBuf::new();
        raw.extend_raw(Properties::from_checked(&bytes));
        assert_eq!(connect(raw), not_connect, "{bytes:x?}");
    }
    let fine = [Property::RequestProblemInformation(false), Property::RequestResponseInformation(true)];
    assert_eq!(connect(fine.into_iter().collect()), None);
}

/// `[U5-08]`, `[U5-09]`.
#[test]
fn limits_of_zero_are_refused() {
    let none = Settings { receive_maximum: 0, ..Settings::default() };
    assert_eq!(refused(none), Some(SettingsError::Zero("the receive maximum")));
    let none = Settings { packet_size_max: 0, ..Settings::default() };
    assert_eq!(refused(none), Some(SettingsError::Zero("the packet size")));
}

/// `[I09]`: settings of 5.0 make no client of an older version.
#[test]
fn settings_of_5_need_version_5() {
    let authentication = Some(Authentication { method: "M".into(), data: None });
    let properties = PropertiesBuf::from_iter([Property::UserProperty("a", "b")]);
    for settings in [
        Settings { session_expiry_secs: 1, ..v311() },
        Settings { authentication, ..v311() },
        Settings { connect_properties: properties, ..v311() },
        Settings { will: Some(will("t", &[Property::WillDelayInterval(1)])), ..v311() },
    ] {
        assert!(matches!(refused(settings.clone()), Some(SettingsError::NeedsVersion5(_))), "{settings:?}");
    }
}
