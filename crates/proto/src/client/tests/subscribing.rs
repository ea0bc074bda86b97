//! Requests, their answers, and renewals.

use super::*;

/// `[F10]`.
#[test]
fn each_filter_gets_its_answer() {
    let mut scene = Scene::online();
    let request = scene.subscribe(&["a", "b"]);
    assert_eq!(scene.seen(), [Seen::Subscribe(1, vec!["a".into(), "b".into()])]);
    scene.suback(1, &[0x01, 0x87]);
    let codes = vec![ReasonCode::GrantedQoS1, ReasonCode::NotAuthorized];
    assert_eq!(scene.event(), Event::Subscribed { request, codes });
}

#[test]
fn an_unsubscription_gets_its_answer() {
    let mut scene = Scene::online();
    let request = scene.client.unsubscribe(scene.now_ms, &["a"], Properties::EMPTY).expect("accepted");
    let raw_codes = &[0x11];
    scene.server(&Packet::UnsubAck(SubAck { packet_id: id(1), properties: Properties::EMPTY, raw_codes }));
    let codes = vec![ReasonCode::NoSubscriptionExisted];
    assert_eq!(scene.event(), Event::Unsubscribed { request, codes });
}

#[test]
fn before_5_an_unsubscription_always_succeeds() {
    let mut scene = Scene::online_with(v311(), &[]);
    let request = scene.client.unsubscribe(scene.now_ms, &["a", "b"], Properties::EMPTY).expect("accepted");
    scene.bytes(&[0xB0, 2, 0, 1]);
    assert_eq!(scene.event(), Event::Unsubscribed { request, codes: vec![ReasonCode::Success; 2] });
}

#[test]
fn a_suback_that_nobody_waits_for_is_a_protocol_error() {
    let mut scene = Scene::online();
    scene.suback(9, &[0]);
    assert_eq!(scene.violation(), (ReasonCode::ProtocolError, "MQTT-2.2.1-6"));
}

#[test]
fn a_suback_with_too_few_codes_is_a_protocol_error() {
    let mut scene = Scene::online();
    scene.subscribe(&["a", "b"]);
    scene.seen();
    scene.suback(1, &[0]);
    assert_eq!(scene.violation(), (ReasonCode::ProtocolError, "MQTT-3.8.4-6"));
}

#[test]
fn a_request_whose_answer_does_not_fit_is_made_again() {
    for wrong in [&[0x90, 4, 0, 1, 0, 0][..], &[0xB0, 2, 0, 1]] {
        let mut scene = Scene::online_with(v311(), &[]);
        let request = scene.subscribe(&["a"]);
        let first = scene.seen();
        scene.bytes(wrong);
        assert!(matches!(scene.event(), Event::Closed(Cause::Violation { .. })));
        scene.reconnect(false, &[]);
        assert_eq!(scene.seen()[1..], first);
        scene.events();
        scene.suback(1, &[1]);
        assert_eq!(scene.event(), Event::Subscribed { request, codes: vec![ReasonCode::GrantedQoS1] });
    }
}

/// What the server announced to lack is not asked for.
#[test]
fn a_server_is_not_asked_for_what_it_lacks() {
    let lacks = [
        Property::WildcardSubscriptionAvailable(false),
        Property::SubscriptionIdentifierAvailable(false),
        Property::SharedSubscriptionAvailable(false),
    ];
    let mut scene = Scene::online_with(Settings::default(), &lacks);
    let options = SubscribeOptions::with_qos(QoS::AtMostOnce);
    let mut ask = |filter, properties: &PropertiesBuf| {
        scene.client.subscribe(0, &[(filter, options)], properties.as_properties()).map(|_| ())
    };
    let none = PropertiesBuf::new();
    let seven = PropertiesBuf::from_iter([Property::SubscriptionIdentifier(7)]);
    let refused = |reason| Err(SubscribeError::NotSupported(reason));
    assert_eq!(ask("a/#", &none), refused(ReasonCode::WildcardSubscriptionsNotSupported));
    assert_eq!(ask("a", &seven), refused(ReasonCode::SubscriptionIdentifiersNotSupported));
    assert_eq!(ask("$share/g/a", &none), refused(ReasonCode::SharedSubscriptionsNotSupported));
    assert_eq!(ask("a", &none), Ok(()));
}

#[test]
fn a_request_that_waited_for_a_server_that_lacks_it_is_answered_here() {
    let mut scene = Scene::new(Settings::default());
    let request = scene.subscribe(&["a/#"]);
    scene.accept(false, &[Property::WildcardSubscriptionAvailable(false)]);
    let codes = vec![ReasonCode::WildcardSubscriptionsNotSupported];
    assert_eq!(scene.events()[1..], [Event::Subscribed { request, codes }]);
    assert_eq!(scene.seen().len(), 1, "only CONNECT");
}

#[test]
fn requests_are_bounded() {
    let mut scene = Scene::online_with(Settings { requests_max: 1, ..Settings::default() }, &[]);
    scene.subscribe(&["a"]);
    let refused = scene.client.unsubscribe(0, &["a"], Properties::EMPTY);
    assert_eq!(refused, Err(SubscribeError::TooManyRequests));
}

/// `[MQTT-2.3.1-3 of 3.1.1]`: with the id of the first sending.
#[test]
fn a_request_without_an_answer_is_made_again() {
    for mut scene in lasting() {
        scene.subscribe(&["a"]);
        scene.client.unsubscribe(scene.now_ms, &["b"], Properties::EMPTY).expect("accepted");
        let first = scene.seen();
        scene.reconnect(true, &[]);
        assert_eq!(scene.seen()[1..], first);
    }
}

#[test]
fn subscriptions_are_renewed_when_the_server_lost_the_session() {
    let mut scene = Scene::online_with(durable(), &[]);
    scene.subscribe(&["a", "b", "c"]);
    scene.suback(1, &[1, 1, 0x87]);
    scene.client.unsubscribe(scene.now_ms, &["b"], Properties::EMPTY).expect("accepted");
    let raw_codes = &[0];
    scene.server(&Packet::UnsubAck(SubAck { packet_id: id(2), properties: Properties::EMPTY, raw_codes }));
    scene.reconnect(false, &[]);
    let seen = scene.seen();
    let Seen::Subscribe(_, filters) = &seen[1] else { panic!("{seen:?}") };
    assert_eq!(filters, &["a"], "not the refused one, nor the one given up");
    assert_eq!(seen.len(), 2);
}

#[test]
fn subscriptions_are_not_renewed_when_the_session_is_there() {
    let mut scene = Scene::online_with(durable(), &[]);
    scene.subscribe(&["a"]);
    scene.suback(1, &[1]);
    scene.reconnect(true, &[]);
    assert_eq!(scene.seen().len(), 1, "only CONNECT");
}

#[test]
fn a_renewal_that_is_refused_is_told() {
    let mut scene = Scene::online_with(durable(), &[]);
    scene.subscribe(&["a", "b/#"]);
    scene.suback(1, &[1, 1]);
    scene.reconnect(false, &[Property::WildcardSubscriptionAvailable(false)]);
    scene.suback(2, &[0x87]);
    let lost = |filter: &str, reason| Event::SubscriptionLost { filter: filter.into(), reason };
    let events = scene.events();
    assert!(events.contains(&lost("b/#", ReasonCode::WildcardSubscriptionsNotSupported)), "{events:?}");
    assert!(events.contains(&lost("a", ReasonCode::NotAuthorized)), "{events:?}");
    scene.reconnect(false, &[]);
    assert_eq!(scene.seen().len(), 1, "both are forgotten");
}

/// What is asked for meanwhile has the last word.
#[test]
fn renewals_leave_before_the_requests_that_wait() {
    let mut scene = Scene::online_with(durable(), &[]);
    scene.subscribe(&["a"]);
    scene.suback(1, &[1]);
    scene.seen();
    scene.client.transport_closed();
    scene.client.unsubscribe(scene.now_ms, &["a"], Properties::EMPTY).expect("accepted");
    scene.accept(false, &[]);
    let filters = vec!["a".to_owned()];
    assert_eq!(scene.seen()[1..], [Seen::Subscribe(3, filters.clone()), Seen::Unsubscribe(2, filters)]);
}

#[test]
fn a_suback_for_a_request_that_was_not_sent_is_a_protocol_error() {
    let mut scene = Scene::online();
    let large = "x".repeat(OUTPUT_SOFT_MAX);
    let publication = Publication { payload: large.as_bytes(), ..publication("t", "", QoS::AtMostOnce) };
    scene.client.publish(scene.now_ms, &publication).expect("accepted");
    scene.subscribe(&["a"]);
    scene.suback(1, &[1]);
    assert_eq!(scene.violation().0, ReasonCode::ProtocolError);
}
