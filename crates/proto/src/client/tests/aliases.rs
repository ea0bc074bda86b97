//! Topic aliases of both directions.

use super::*;

/// The topics and aliases of the messages the client wrote since the last look.
fn spelled(scene: &mut Scene) -> Vec<(String, Option<u16>)> {
    let spelling = |seen| match seen {
        Seen::Publish { topic, alias, .. } => (topic, alias),
        other => panic!("{other:?}"),
    };
    scene.seen().into_iter().map(spelling).collect()
}

fn publish_to(scene: &mut Scene, topics: &[&'static str]) {
    for topic in topics {
        scene.client.publish(scene.now_ms, &publication(topic, "x", QoS::AtMostOnce)).expect("accepted");
    }
}

/// `[MQTT-3.2.2-17]`, `[MQTT-3.3.2-8]`, `[MQTT-3.3.2-9]`: from 1 up to the server's maximum, and never beyond it,
/// however many topics there are.
#[test]
fn topics_are_shortened_within_the_servers_maximum() {
    let mut scene = Scene::online_with(Settings::default(), &[Property::TopicAliasMaximum(2)]);
    publish_to(&mut scene, &["sensors/1", "sensors/1", "sensors/2", "sensors/3", "sensors/2", "sensors/1"]);
    let full = |topic: &str, alias| (topic.to_owned(), Some(alias));
    let expected = [
        full("sensors/1", 1),
        full("", 1),
        full("sensors/2", 2),
        full("sensors/3", 1),
        full("", 2),
        full("sensors/1", 1),
    ];
    assert_eq!(spelled(&mut scene), expected);
}

/// `[MQTT-3.2.2-18]`.
#[test]
fn without_a_maximum_there_are_no_aliases() {
    for properties in [&[][..], &[Property::TopicAliasMaximum(0)]] {
        let mut scene = Scene::online_with(Settings::default(), properties);
        publish_to(&mut scene, &["sensors/1", "sensors/1"]);
        assert_eq!(spelled(&mut scene), vec![("sensors/1".to_owned(), None); 2]);
    }
}

/// `[U5-25]`: one alias means one topic to the client and another to the server; and `[U5-24]`: a new one at any time.
#[test]
fn aliases_of_both_directions_are_two_tables() {
    let mut scene = Scene::online_with(Settings::default(), &[Property::TopicAliasMaximum(1)]);
    let alias = PropertiesBuf::from_iter([Property::TopicAlias(1)]);
    let hear = |scene: &mut Scene, topic| {
        let got = scene.message_with(topic, QoS::AtMostOnce, 0, alias.as_properties());
        got.map(|(topic, _)| topic).expect("a message")
    };
    publish_to(&mut scene, &["sensors/1"]);
    assert_eq!(hear(&mut scene, "a"), "a");
    assert_eq!(hear(&mut scene, ""), "a");
    publish_to(&mut scene, &["sensors/1"]);
    assert_eq!(hear(&mut scene, "b"), "b");
    assert_eq!(hear(&mut scene, ""), "b");
    publish_to(&mut scene, &["sensors/1"]);
    let short = (String::new(), Some(1));
    assert_eq!(spelled(&mut scene), [("sensors/1".to_owned(), Some(1)), short.clone(), short]);
}

/// `[MQTT-3.3.2-7]`, `[H11]`, `[H13]`: a message sent again spells its topic out, and so does the first new one.
#[test]
fn aliases_are_forgotten_with_the_connection() {
    let alias = [Property::TopicAliasMaximum(1)];
    let mut scene = Scene::online_with(durable(), &alias);
    for _ in 0..2 {
        scene.client.publish(scene.now_ms, &publication("sensors", "x", QoS::AtLeastOnce)).expect("accepted");
    }
    scene.seen();
    scene.reconnect(true, &alias);
    scene.client.publish(scene.now_ms, &publication("sensors", "y", QoS::AtLeastOnce)).expect("accepted");
    let spelled: Vec<_> = scene.seen()[1..]
        .iter()
        .map(|seen| match seen {
            Seen::Publish { topic, alias, dup, .. } => (topic.clone(), *alias, *dup),
            other => panic!("{other:?}"),
        })
        .collect();
    let topic = || "sensors".to_owned();
    assert_eq!(spelled, [(topic(), None, true), (topic(), None, true), (topic(), Some(1), false)]);
}

/// `[H14]`: the definition that would have been sent with it must not be relied upon.
#[test]
fn a_message_too_large_defines_no_alias() {
    let limits = [Property::TopicAliasMaximum(1), Property::MaximumPacketSize(16)];
    let mut scene = Scene::online_with(Settings::default(), &limits);
    let refused = scene.client.publish(scene.now_ms, &publication("sensors", "123456", QoS::AtMostOnce));
    assert_eq!(refused, Err(PublishError::TooLarge));
    scene.client.publish(scene.now_ms, &publication("sensors", "1", QoS::AtMostOnce)).expect("accepted");
    let Seen::Publish { topic, alias, .. } = scene.seen().remove(0) else { panic!("no PUBLISH") };
    assert_eq!((topic.as_str(), alias), ("sensors", Some(1)));
}

#[test]
fn a_message_that_only_fits_without_an_alias_goes_without() {
    // Fixed header 2, topic 9, properties 1, payload 4; an alias would add 3.
    let limits = [Property::TopicAliasMaximum(1), Property::MaximumPacketSize(16)];
    let mut scene = Scene::online_with(Settings::default(), &limits);
    scene.client.publish(scene.now_ms, &publication("sensors", "1234", QoS::AtMostOnce)).expect("accepted");
    let Seen::Publish { topic, alias, .. } = scene.seen().remove(0) else { panic!("no PUBLISH") };
    assert_eq!((topic.as_str(), alias), ("sensors", None));
}

/// `[MQTT-3.3.2-10]`: every one that the client announced to take.
#[test]
fn the_servers_aliases_are_spelled_out() {
    let mut scene = Scene::online_with(Settings { topic_alias_maximum: 3, ..Settings::default() }, &[]);
    for (number, name) in [(3, "a/b"), (1, "c"), (2, "d")] {
        let alias = PropertiesBuf::from_iter([Property::TopicAlias(number)]);
        for topic in [name, ""] {
            let got = scene.message_with(topic, QoS::AtMostOnce, 0, alias.as_properties());
            assert_eq!(got, Some((name.into(), "hello".into())));
        }
    }
}

#[test]
fn an_alias_above_the_clients_maximum_is_answered_0x94() {
    let mut scene = Scene::online_with(Settings { topic_alias_maximum: 3, ..Settings::default() }, &[]);
    let alias = PropertiesBuf::from_iter([Property::TopicAlias(4)]);
    assert_eq!(scene.message_with("a", QoS::AtMostOnce, 0, alias.as_properties()), None);
    assert_eq!(scene.violation().0, ReasonCode::TopicAliasInvalid);
}

/// `[U5-23]`, and `[MQTT-3.3.2-7]`: the mapping of an earlier connection does not count.
#[test]
fn an_alias_without_a_meaning_on_this_connection_is_answered_0x82() {
    let mut scene = Scene::online();
    let alias = PropertiesBuf::from_iter([Property::TopicAlias(1)]);
    scene.message_with("a", QoS::AtMostOnce, 0, alias.as_properties());
    scene.reconnect(false, &[]);
    scene.seen();
    assert_eq!(scene.message_with("", QoS::AtMostOnce, 0, alias.as_properties()), None);
    assert_eq!(scene.violation(), (ReasonCode::ProtocolError, "U5-23"));
}
