//! What a session means to the next connection.

use super::*;

/// `[B01]`, `[MQTT-4.4.0-1]`, `[MQTT-4.6.0-1]`, `[MQTT-3.3.1-1]`, `[MQTT-4.3.3-6]`, `[MQTT-3.1.2-23]`,
/// `[MQTT-4.4.0-1 of 3.1.1]`, `[MQTT-4.6.0-1 of 3.1.1]`, `[MQTT-3.3.1-1 of 3.1.1]`, `[MQTT-2.3.1-3 of 3.1.1]`,
/// `[MQTT-4.1.0-1 of 3.1.1]`: in flight in the original order with the old ids and DUP, PUBREL instead of PUBLISH where
/// the server took the message; then the queue, without DUP.
#[test]
fn a_resumed_session_goes_on_where_it_stood() {
    for settings in [durable(), durable_v311()] {
        let mut scene = Scene::online_with(Settings { in_flight_max: 3, ..settings }, &[]);
        for payload in ["1", "2", "3", "4", "5"] {
            scene.publish(payload, QoS::ExactlyOnce);
        }
        scene.pubrec(1, ReasonCode::Success);
        scene.seen();
        scene.reconnect(true, &[]);
        let qos = QoS::ExactlyOnce;
        assert_eq!(
            scene.seen()[1..],
            [
                Seen::PubRel(1, ReasonCode::Success),
                seen_publish("2", qos, 2, true),
                seen_publish("3", qos, 3, true),
                seen_publish("4", qos, 4, false),
            ]
        );
        scene.pubcomp(1);
        assert_eq!(scene.seen(), [], "the PUBREL took no place, so its PUBCOMP frees none");
        scene.pubrec(2, ReasonCode::Success);
        scene.pubcomp(2);
        assert_eq!(scene.seen()[1..], [seen_publish("5", qos, 5, false)]);
    }
}

/// `[A04]`, `[MQTT-4.3.3-6]`, `[MQTT-4.3.3-1 of 3.1.1]`: once PUBREC came, the message is never published again,
/// however often the connection breaks; and the same message, received, is acknowledged again but not delivered.
#[test]
fn an_owed_pubrel_is_paid_until_it_is_settled() {
    for mut scene in lasting() {
        scene.publish("1", QoS::ExactlyOnce);
        scene.pubrec(1, ReasonCode::Success);
        assert!(scene.message("m", QoS::ExactlyOnce, 1).is_some());
        for _ in 0..3 {
            scene.reconnect(true, &[]);
            assert_eq!(scene.seen()[1..], [Seen::PubRel(1, ReasonCode::Success)]);
            scene.pubrec(1, ReasonCode::Success);
            assert_eq!(scene.message("m", QoS::ExactlyOnce, 1), None);
            assert_eq!(scene.seen(), [Seen::PubRel(1, ReasonCode::Success), Seen::PubRec(1)]);
        }
    }
}

/// `[MQTT-4.1.0-1]`, `[MQTT-4.1.0-2 of 3.1.1]`: as long as the connection is open, also with a session that ends with
/// it.
#[test]
fn a_session_lives_at_least_as_long_as_its_connection() {
    for mut scene in fleeting() {
        let request = scene.publish("x", QoS::ExactlyOnce);
        scene.message("m", QoS::ExactlyOnce, 7);
        for _ in 0..1_000 {
            scene.after(45_000);
            scene.server(&Packet::PingResp);
        }
        scene.seen();
        assert_eq!(scene.message("m", QoS::ExactlyOnce, 7), None);
        scene.pubrec(1, ReasonCode::Success);
        assert_eq!(scene.seen(), [Seen::PubRec(7), Seen::PubRel(1, ReasonCode::Success)]);
        scene.pubcomp(1);
        assert_eq!(scene.event(), acknowledged(request));
    }
}

/// `[H17]`, `[U5-47]`, `[MQTT-4.9.0-1]`.
#[test]
fn a_smaller_window_after_a_resume_is_filled_in_portions() {
    let mut scene = Scene::online_with(durable(), &[]);
    for payload in ["1", "2", "3"] {
        scene.publish(payload, QoS::AtLeastOnce);
    }
    scene.seen();
    scene.reconnect(true, &[Property::ReceiveMaximum(1)]);
    let qos = QoS::AtLeastOnce;
    assert_eq!(scene.seen()[1..], [seen_publish("1", qos, 1, true)]);
    scene.puback(1, ReasonCode::Success);
    assert_eq!(scene.seen(), [seen_publish("2", qos, 2, true)]);
}

/// `[A06]`, `[MQTT-4.4.0-1]`: only a new connection makes anything go out twice.
#[test]
fn nothing_is_sent_again_by_time_alone() {
    for mut scene in lasting() {
        scene.publish("x", QoS::AtLeastOnce);
        scene.publish("y", QoS::ExactlyOnce);
        scene.pubrec(2, ReasonCode::Success);
        scene.seen();
        for _ in 0..10 {
            scene.after(45_000);
            assert_eq!(scene.seen(), [Seen::Ping]);
            scene.server(&Packet::PingResp);
        }
    }
}

/// `[MQTT-3.2.2-5]`, `[C20]`: the ids are dropped, the messages are published as new, in order, before the queue.
#[test]
fn a_lost_session_is_started_over() {
    for settings in [durable(), durable_v311(), v311()] {
        let mut scene = Scene::online_with(Settings { in_flight_max: 3, ..settings }, &[]);
        let taken = scene.publish("1", QoS::ExactlyOnce);
        scene.publish("2", QoS::ExactlyOnce);
        scene.publish("3", QoS::AtLeastOnce);
        scene.publish("4", QoS::AtLeastOnce);
        scene.pubrec(1, ReasonCode::Success);
        scene.seen();
        scene.reconnect(false, &[]);
        assert_eq!(
            scene.seen()[1..],
            [
                seen_publish("2", QoS::ExactlyOnce, 1, false),
                seen_publish("3", QoS::AtLeastOnce, 2, false),
                seen_publish("4", QoS::AtLeastOnce, 3, false),
            ]
        );
        let lost = Event::Published { request: taken, outcome: Outcome::SessionLost };
        assert!(scene.events().contains(&lost));
    }
}

/// `[MQTT-3.2.2-5]`, `[MQTT-3.1.2-6 of 3.1.1]`, `[C19]`.
#[test]
fn a_lost_session_forgets_half_received_messages() {
    for settings in [durable(), durable_v311(), v311()] {
        let mut scene = Scene::online_with(settings, &[]);
        scene.message("a", QoS::ExactlyOnce, 7);
        scene.reconnect(false, &[]);
        assert!(scene.message("a", QoS::ExactlyOnce, 7).is_some());
    }
}

#[test]
fn in_3_1_messages_are_sent_again_although_the_server_cannot_tell_of_a_session() {
    let settings = Settings { version: Version::V31, clean_start: false, ..v311() };
    let mut scene = Scene::online_with(settings, &[]);
    scene.publish("1", QoS::AtLeastOnce);
    scene.seen();
    scene.reconnect(false, &[]);
    assert_eq!(scene.seen()[1..], [seen_publish("1", QoS::AtLeastOnce, 1, true)]);
}

#[test]
fn in_flight_messages_that_the_next_server_cannot_take_are_given_up() {
    let mut scene = Scene::online_with(durable(), &[]);
    let request = scene.publish("1234567890", QoS::AtLeastOnce);
    scene.publish("1", QoS::AtLeastOnce);
    scene.seen();
    scene.reconnect(true, &[Property::MaximumPacketSize(12)]);
    assert_eq!(scene.seen()[1..], [seen_publish("1", QoS::AtLeastOnce, 2, true)]);
    let outcome = Outcome::Unsendable(ReasonCode::PacketTooLarge);
    assert!(scene.events().contains(&Event::Published { request, outcome }));
}
