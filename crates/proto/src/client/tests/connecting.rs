//! From CONNECT to an accepted connection, or a refusal.

use super::*;

/// `[MQTT-3.1.0-1]`, `[MQTT-3.1.0-1 of 3.1.1]`: once on each connection, and alone until the server has accepted it.
#[test]
fn connect_is_the_first_packet() {
    for settings in [Settings { client_id: "c".into(), ..Settings::default() }, v311()] {
        let mut scene = Scene::new(settings);
        scene.publish("early", QoS::AtMostOnce);
        scene.subscribe(&["early"]);
        assert_eq!(scene.seen(), []);
        for _ in 0..2 {
            scene.client.connect(scene.now_ms);
            scene.client.connect(scene.now_ms);
            scene.after(9_999);
            assert_eq!(scene.seen(), [Seen::Connect { clean_start: true, client_id: "c".into() }]);
            scene.client.transport_closed();
        }
    }
}

/// `[MQTT-3.1.3-2]`, `[MQTT-3.1.3-2 of 3.1.1]`: the session goes on under the id it began with.
#[test]
fn every_connection_names_the_same_session() {
    for mut scene in lasting() {
        for _ in 0..3 {
            scene.reconnect(true, &[]);
            assert_eq!(scene.seen(), [Seen::Connect { clean_start: false, client_id: "c".into() }]);
        }
    }
}

/// `[MQTT-3.1.2-4]`, `[MQTT-3.1.2-6 of 3.1.1]`: nothing that a server may have kept is gone on with, and nothing is
/// sent as if it had been sent before.
#[test]
fn a_clean_start_begins_with_nothing() {
    for settings in [durable(), v311()] {
        let mut scene = Scene::new(settings);
        scene.publish("first", QoS::AtLeastOnce);
        scene.accept(true, &[]);
        assert!(scene.is_over(), "there is no session to be present");
        scene.client.transport_closed();
        scene.seen();
        scene.accept(false, &[]);
        let connect = Seen::Connect { clean_start: true, client_id: "c".into() };
        assert_eq!(scene.seen(), [connect, seen_publish("first", QoS::AtLeastOnce, 1, false)]);
    }
}

#[test]
fn what_was_asked_for_before_the_connection_follows_connack() {
    let mut scene = Scene::new(Settings::default());
    let subscribed = scene.subscribe(&["t"]);
    scene.publish("early", QoS::AtMostOnce);
    scene.accept(false, &[]);
    let seen = scene.seen();
    assert_eq!(
        seen[1..],
        [Seen::Subscribe(1, vec!["t".into()]), seen_publish("early", QoS::AtMostOnce, 0, false)]
    );
    scene.events();
    scene.suback(1, &[1]);
    assert_eq!(
        scene.event(),
        Event::Subscribed { request: subscribed, codes: vec![ReasonCode::GrantedQoS1] }
    );
}

#[test]
fn no_connack_in_time_closes() {
    let mut scene = Scene::new(Settings { connack_timeout_ms: 5_000, ..Settings::default() });
    scene.client.connect(scene.now_ms);
    assert_eq!(scene.client.next_deadline(), Some(6_000));
    scene.after(4_999);
    assert_eq!(scene.events(), []);
    scene.after(1);
    assert_eq!(scene.event(), Event::Closed(Cause::ConnackTimeout));
}

#[test]
fn a_refusal_is_told_with_its_code_and_text() {
    let mut scene = Scene::new(Settings::default());
    scene.client.connect(scene.now_ms);
    let properties =
        PropertiesBuf::from_iter([Property::ReasonString("elsewhere"), Property::ServerReference("b:1883")]);
    let reason = ReasonCode::UseAnotherServer;
    let properties = properties.as_properties();
    scene.server(&Packet::ConnAck(ConnAck { session_present: false, reason, properties }));
    let refusal = Refusal { reason, text: Some("elsewhere".into()), server_reference: Some("b:1883".into()) };
    assert_eq!(scene.event(), Event::Closed(Cause::Refused(refusal)));
    assert!(scene.is_over());
}

#[test]
fn a_refusal_before_5_is_told_in_terms_of_5() {
    let mut scene = Scene::new(v311());
    scene.client.connect(scene.now_ms);
    scene.bytes(&[0x20, 2, 0, 5]);
    let refusal = Refusal { reason: ReasonCode::NotAuthorized, text: None, server_reference: None };
    assert_eq!(scene.event(), Event::Closed(Cause::Refused(refusal)));
}

#[test]
fn a_packet_before_connack_closes() {
    // A client that is not accepted yet has nothing to say.
    let mut scene = Scene::new(Settings::default());
    scene.client.connect(scene.now_ms);
    scene.seen();
    scene.server(&Packet::PingResp);
    assert!(matches!(scene.event(), Event::Closed(Cause::Violation { statement: "MQTT-3.2.0-1", .. })));
    assert_eq!(scene.seen(), []);
}

#[test]
fn a_second_connack_is_a_protocol_error() {
    let mut scene = Scene::online();
    scene.server(&connack(&PropertiesBuf::new()));
    assert_eq!(scene.violation(), (ReasonCode::ProtocolError, "MQTT-3.2.0-2"));
}

/// `[MQTT-3.2.2-4]`, `[C21]`: the client leaves, and starts clean when it comes back.
#[test]
fn session_present_without_a_session_closes() {
    let mut scene = Scene::new(Settings { client_id: "c".into(), ..Settings::default() });
    scene.accept(true, &[]);
    assert!(matches!(scene.event(), Event::Closed(Cause::Violation { statement: "MQTT-3.2.2-4", .. })));
    assert!(scene.is_over());
    scene.seen();
    scene.reconnect(false, &[]);
    assert_eq!(scene.seen(), [Seen::Connect { clean_start: true, client_id: "c".into() }]);
    assert!(scene.client.is_online());
}

#[test]
fn a_client_that_claims_a_session_accepts_session_present() {
    let mut scene = Scene::new(Settings { clean_start: false, ..durable() });
    scene.accept(true, &[]);
    assert!(scene.client.is_online());
}

/// `[MQTT-3.1.3-2]`: the id is the client's own from then on.
#[test]
fn an_assigned_client_id_is_used_for_the_next_connection() {
    let mut scene = Scene::new(Settings { session_expiry_secs: 60, ..Settings::default() });
    scene.accept(false, &[Property::AssignedClientIdentifier("auto-1")]);
    assert_eq!(scene.client.client_id(), "auto-1");
    scene.reconnect(true, &[]);
    assert_eq!(scene.seen()[0], Seen::Connect { clean_start: false, client_id: "auto-1".into() });
}

#[test]
fn before_5_a_clean_session_is_asked_for_at_each_connection() {
    let mut scene = Scene::online_with(v311(), &[]);
    scene.reconnect(false, &[]);
    assert_eq!(scene.seen()[0], Seen::Connect { clean_start: true, client_id: "c".into() });
}

#[test]
fn an_attempt_that_was_never_accepted_leaves_clean_start_in_force() {
    let mut scene = Scene::new(durable());
    scene.client.connect(0);
    scene.client.transport_closed();
    scene.client.connect(0);
    assert_eq!(scene.seen(), [Seen::Connect { clean_start: true, client_id: "c".into() }]);
}

#[test]
fn a_packet_in_pieces_is_handled_when_it_is_whole() {
    let mut scene = Scene::new(Settings::default());
    scene.client.connect(scene.now_ms);
    let whole = [0x20, 3, 0, 0, 0];
    for end in 1..whole.len() {
        let received = scene.client.receive(scene.now_ms, &whole[..end]);
        assert!(matches!(received, Received::Incomplete { needed } if needed > end), "{received:?}");
    }
    assert_eq!(scene.client.receive(scene.now_ms, &whole), Received::Packet { consumed: 5 });
    assert!(scene.client.is_online());
}
