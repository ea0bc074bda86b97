//! Messages to the server: hand-shakes, window, limits, order.

use super::*;

/// `[MQTT-4.3.1-1]`, `[MQTT-2.2.1-2]`: QoS 0, DUP 0, no packet id.
#[test]
fn qos_0_is_written_once_and_done() {
    let mut scene = Scene::online();
    let request = scene.publish("x", QoS::AtMostOnce);
    assert_eq!(scene.seen(), [seen_publish("x", QoS::AtMostOnce, 0, false)]);
    assert_eq!(scene.event(), acknowledged(request));
}

/// `[MQTT-4.3.2-1]`, `[MQTT-4.3.2-2]`, `[MQTT-4.3.2-3]`.
#[test]
fn qos_1_is_done_at_puback() {
    let mut scene = Scene::online();
    let request = scene.publish("x", QoS::AtLeastOnce);
    assert_eq!(scene.seen(), [seen_publish("x", QoS::AtLeastOnce, 1, false)]);
    assert_eq!(scene.events(), []);
    scene.puback(1, ReasonCode::NoMatchingSubscribers);
    let outcome = Outcome::Acknowledged(ReasonCode::NoMatchingSubscribers);
    assert_eq!(scene.event(), Event::Published { request, outcome });
    assert_eq!(scene.client.unfinished_len(), 0);
}

/// `[MQTT-4.3.3-1]` to `[MQTT-4.3.3-5]`, `[MQTT-2.2.1-5]`.
#[test]
fn qos_2_takes_four_packets() {
    let mut scene = Scene::online();
    let request = scene.publish("x", QoS::ExactlyOnce);
    assert_eq!(scene.seen(), [seen_publish("x", QoS::ExactlyOnce, 1, false)]);
    scene.pubrec(1, ReasonCode::Success);
    assert_eq!(scene.seen(), [Seen::PubRel(1, ReasonCode::Success)]);
    assert_eq!(scene.events(), []);
    scene.pubcomp(1);
    assert_eq!(scene.event(), acknowledged(request));
}

/// `[MQTT-4.4.0-2]`, `[MQTT-4.3.3-4]`: no PUBREL, and the id is free.
#[test]
fn a_negative_pubrec_ends_the_hand_shake() {
    let mut scene = Scene::online_with(durable(), &[]);
    let request = scene.publish("x", QoS::ExactlyOnce);
    scene.seen();
    scene.pubrec(1, ReasonCode::QuotaExceeded);
    assert_eq!(
        scene.event(),
        Event::Published { request, outcome: Outcome::Refused(ReasonCode::QuotaExceeded) }
    );
    scene.reconnect(true, &[]);
    assert_eq!(scene.seen().len(), 1, "only CONNECT");
}

#[test]
fn a_negative_puback_is_told() {
    let mut scene = Scene::online();
    let request = scene.publish("x", QoS::AtLeastOnce);
    scene.puback(1, ReasonCode::NotAuthorized);
    assert_eq!(
        scene.event(),
        Event::Published { request, outcome: Outcome::Refused(ReasonCode::NotAuthorized) }
    );
}

/// `[MQTT-4.6.0-4]`: as the PUBRECs came.
#[test]
fn pubrels_leave_in_the_order_of_the_pubrecs() {
    let mut scene = Scene::online();
    for payload in ["a", "b", "c"] {
        scene.publish(payload, QoS::ExactlyOnce);
    }
    scene.seen();
    for number in [3, 1, 2] {
        scene.pubrec(number, ReasonCode::Success);
    }
    let success = ReasonCode::Success;
    assert_eq!(scene.seen(), [Seen::PubRel(3, success), Seen::PubRel(1, success), Seen::PubRel(2, success)]);
}

#[test]
fn a_repeated_pubrec_gets_its_pubrel_again() {
    let mut scene = Scene::online();
    scene.publish("x", QoS::ExactlyOnce);
    scene.pubrec(1, ReasonCode::Success);
    scene.seen();
    scene.pubrec(1, ReasonCode::Success);
    assert_eq!(scene.seen(), [Seen::PubRel(1, ReasonCode::Success)]);
}

#[test]
fn a_pubrec_for_an_unknown_id_gets_0x92_and_keeps_the_link() {
    let mut scene = Scene::online();
    scene.pubrec(9, ReasonCode::Success);
    assert_eq!(scene.seen(), [Seen::PubRel(9, ReasonCode::PacketIdentifierNotFound)]);
    assert!(scene.client.is_online());
}

#[test]
fn stray_pubacks_and_pubcomps_are_ignored() {
    let mut scene = Scene::online();
    scene.puback(9, ReasonCode::Success);
    scene.pubcomp(9);
    assert_eq!(scene.events(), []);
    assert!(scene.client.is_online());
}

#[test]
fn a_puback_for_a_qos_2_message_is_a_protocol_error_and_the_message_stays() {
    let mut scene = Scene::online_with(durable(), &[]);
    scene.publish("x", QoS::ExactlyOnce);
    scene.seen();
    scene.puback(1, ReasonCode::Success);
    assert_eq!(scene.violation().0, ReasonCode::ProtocolError);
    scene.reconnect(true, &[]);
    assert_eq!(scene.seen()[1..], [seen_publish("x", QoS::ExactlyOnce, 1, true)]);
}

#[test]
fn a_pubcomp_before_pubrec_is_a_protocol_error() {
    let mut scene = Scene::online();
    scene.publish("x", QoS::ExactlyOnce);
    scene.seen();
    scene.pubcomp(1);
    assert_eq!(scene.violation().0, ReasonCode::ProtocolError);
}

/// `[MQTT-2.2.1-3]`: PUBLISH, SUBSCRIBE and UNSUBSCRIBE share the ids, and open ones are skipped.
#[test]
fn packet_ids_of_all_kinds_are_kept_apart() {
    let mut scene = Scene::online();
    scene.subscribe(&["a"]);
    scene.publish("x", QoS::AtLeastOnce);
    scene.client.unsubscribe(scene.now_ms, &["a"], Properties::EMPTY).expect("accepted");
    scene.publish("y", QoS::ExactlyOnce);
    let ids: Vec<u16> = scene
        .seen()
        .iter()
        .map(|seen| match seen {
            Seen::Subscribe(id, _) | Seen::Unsubscribe(id, _) | Seen::Publish { id, .. } => *id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, [1, 2, 3, 4]);
}

/// `[MQTT-3.3.4-7]`, `[MQTT-4.9.0-1]`, `[MQTT-4.9.0-2]`: `[H16]`.
#[test]
fn no_more_than_the_servers_receive_maximum_is_open() {
    let mut scene = Scene::online_with(Settings::default(), &[Property::ReceiveMaximum(2)]);
    for payload in ["a", "b", "c"] {
        scene.publish(payload, QoS::ExactlyOnce);
    }
    let two = [seen_publish("a", QoS::ExactlyOnce, 1, false), seen_publish("b", QoS::ExactlyOnce, 2, false)];
    assert_eq!(scene.seen(), two);
    scene.pubrec(1, ReasonCode::Success);
    assert_eq!(scene.seen(), [Seen::PubRel(1, ReasonCode::Success)], "PUBREC frees no place");
    scene.pubcomp(1);
    assert_eq!(scene.seen(), [seen_publish("c", QoS::ExactlyOnce, 3, false)]);
}

/// `[MQTT-3.3.4-8]`, `[MQTT-4.9.0-3]`.
#[test]
fn a_full_window_holds_back_no_other_packet() {
    let mut scene = Scene::online_with(Settings::default(), &[Property::ReceiveMaximum(1)]);
    scene.publish("a", QoS::AtLeastOnce);
    scene.publish("b", QoS::AtLeastOnce);
    scene.seen();
    scene.subscribe(&["s"]);
    scene.message("m", QoS::AtLeastOnce, 7);
    scene.after(45_000);
    assert_eq!(scene.seen(), [Seen::Subscribe(2, vec!["s".into()]), Seen::PubAck(7), Seen::Ping]);
}

#[test]
fn messages_leave_in_the_order_of_the_calls_whatever_their_qos() {
    let mut scene = Scene::online_with(Settings::default(), &[Property::ReceiveMaximum(1)]);
    scene.publish("a", QoS::AtLeastOnce);
    scene.publish("b", QoS::AtLeastOnce);
    scene.publish("c", QoS::AtMostOnce);
    assert_eq!(scene.seen(), [seen_publish("a", QoS::AtLeastOnce, 1, false)]);
    scene.puback(1, ReasonCode::Success);
    let rest = [seen_publish("b", QoS::AtLeastOnce, 2, false), seen_publish("c", QoS::AtMostOnce, 0, false)];
    assert_eq!(scene.seen(), rest);
}

#[test]
fn before_5_the_clients_own_window_holds() {
    let mut scene = Scene::online_with(Settings { in_flight_max: 1, ..v311() }, &[]);
    scene.publish("a", QoS::AtLeastOnce);
    scene.publish("b", QoS::AtLeastOnce);
    assert_eq!(scene.seen().len(), 1);
}

#[test]
fn a_full_queue_says_so() {
    let mut scene = Scene::new(Settings { queue_messages_max: 1, ..Settings::default() });
    scene.publish("a", QoS::AtMostOnce);
    let refused = scene.client.publish(0, &publication("t", "b", QoS::AtMostOnce));
    assert_eq!(refused, Err(PublishError::QueueFull));
}

/// `[MQTT-3.2.2-15]`, `[H08]`: the whole packet counts.
#[test]
fn the_servers_maximum_packet_size_holds_to_the_byte() {
    // Fixed header 2, topic 3, properties 1: six bytes beside the payload.
    let mut scene = Scene::online_with(Settings::default(), &[Property::MaximumPacketSize(10)]);
    let fits = scene.client.publish(scene.now_ms, &publication("t", "1234", QoS::AtMostOnce));
    assert!(fits.is_ok());
    let refused = scene.client.publish(scene.now_ms, &publication("t", "12345", QoS::AtMostOnce));
    assert_eq!(refused, Err(PublishError::TooLarge));
    assert_eq!(scene.seen(), [seen_publish("1234", QoS::AtMostOnce, 0, false)]);
}

/// `[MQTT-3.2.2-15]`, `[MQTT-3.4.2-2]`, `[MQTT-3.4.2-3]`, `[MQTT-3.5.2-2]`, `[MQTT-3.5.2-3]`, `[MQTT-3.6.2-2]`,
/// `[MQTT-3.6.2-3]`, `[MQTT-3.7.2-2]`, `[MQTT-3.7.2-3]`: acknowledgements carry no texts, so that they fit any server but
/// one that could not be answered at all.
#[test]
fn acknowledgements_fit_the_smallest_server() {
    let mut scene = Scene::online_with(Settings::default(), &[Property::MaximumPacketSize(5)]);
    scene.message("a", QoS::AtLeastOnce, 7);
    scene.message("a", QoS::ExactlyOnce, 8);
    scene.pubrec(9, ReasonCode::Success);
    for number in [8, 9] {
        scene.server(&Packet::PubRel(Ack::new(id(number), ReasonCode::Success)));
    }
    assert_eq!(
        scene.client.output(),
        [
            &[0x40, 2, 0, 7][..],
            &[0x50, 2, 0, 8],
            &[0x62, 3, 0, 9, 0x92],
            &[0x70, 2, 0, 8],
            &[0x70, 3, 0, 9, 0x92]
        ]
        .concat()
    );
    let mut scene = Scene::new(Settings::default());
    scene.accept(false, &[Property::MaximumPacketSize(4)]);
    let Event::Closed(cause) = scene.event() else { panic!("the client did not object") };
    assert!(cause.to_string().ends_with("in which no acknowledgement fits"), "{cause}");
}

#[test]
fn a_queued_message_too_large_for_the_server_is_given_up_and_the_next_flows() {
    let mut scene = Scene::new(Settings::default());
    let large = scene.publish("12345", QoS::AtLeastOnce);
    let small = scene.publish("1", QoS::AtMostOnce);
    scene.accept(false, &[Property::MaximumPacketSize(10)]);
    let outcome = Outcome::Unsendable(ReasonCode::PacketTooLarge);
    assert_eq!(scene.events()[1..], [Event::Published { request: large, outcome }, acknowledged(small)]);
    assert_eq!(scene.seen()[1..], [seen_publish("1", QoS::AtMostOnce, 0, false)]);
}

/// `[MQTT-3.2.2-11]`.
#[test]
fn the_servers_maximum_qos_holds() {
    let mut scene = Scene::online_with(Settings::default(), &[Property::MaximumQoS(1)]);
    let refused = scene.client.publish(scene.now_ms, &publication("t", "x", QoS::ExactlyOnce));
    assert_eq!(refused, Err(PublishError::QoSNotSupported));
    scene.publish("y", QoS::AtLeastOnce);
    assert_eq!(scene.seen(), [seen_publish("y", QoS::AtLeastOnce, 1, false)]);
}

/// `[MQTT-3.2.2-14]`.
#[test]
fn nothing_is_retained_where_the_server_cannot() {
    let mut scene = Scene::online_with(Settings::default(), &[Property::RetainAvailable(false)]);
    let retained = Publication { retain: true, ..publication("t", "x", QoS::AtMostOnce) };
    assert_eq!(scene.client.publish(scene.now_ms, &retained), Err(PublishError::RetainNotSupported));
}

/// `[A19]`, `[MQTT-2.2.1-3]`, `[MQTT-2.3.1-2 of 3.1.1]`: with all packet ids in use a message waits for one, even where
/// the window has a place; so does a request.
#[test]
fn without_a_free_packet_id_messages_and_requests_wait() {
    for settings in [durable(), v311()] {
        let queue_messages_max = usize::from(u16::MAX);
        let many = Settings { in_flight_max: u16::MAX, queue_messages_max, ..settings };
        let mut scene = Scene::online_with(many, &[]);
        scene.subscribe(&["a"]);
        for _ in 1..u16::MAX {
            scene.publish("x", QoS::AtLeastOnce);
        }
        assert_eq!(scene.seen().len(), usize::from(u16::MAX));
        scene.publish("waits", QoS::AtLeastOnce);
        assert_eq!(scene.seen(), []);
        let options = SubscribeOptions::with_qos(QoS::AtMostOnce);
        let refused = scene.client.subscribe(scene.now_ms, &[("b", options)], Properties::EMPTY);
        assert_eq!(refused, Err(SubscribeError::TooManyRequests));
        scene.suback(1, &[1]);
        assert_eq!(scene.seen(), [seen_publish("waits", QoS::AtLeastOnce, 1, false)]);
    }
}
