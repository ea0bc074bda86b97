//! Messages to the server: hand-shakes, window, limits, order.

use super::*;

/// `[MQTT-4.3.1-1]`, `[MQTT-2.2.1-2]`, `[MQTT-3.3.1-2]`, `[MQTT-3.3.4-1]`, `[MQTT-4.3.1-1 of 3.1.1]`,
/// `[MQTT-2.3.1-5 of 3.1.1]`, `[MQTT-3.3.1-2 of 3.1.1]`, `[MQTT-3.3.4-1 of 3.1.1]`: QoS 0, DUP 0, no packet id, and no
/// answer awaited; not again on the next connection either.
#[test]
fn qos_0_is_written_once_and_done() {
    for mut scene in lasting() {
        let request = scene.publish("x", QoS::AtMostOnce);
        assert_eq!(scene.seen(), [seen_publish("x", QoS::AtMostOnce, 0, false)]);
        assert_eq!(scene.event(), acknowledged(request));
        scene.reconnect(true, &[]);
        assert_eq!(scene.seen().len(), 1, "only CONNECT");
    }
}

/// `[MQTT-4.3.2-1]`, `[MQTT-4.3.2-2]`, `[MQTT-4.3.2-3]`, `[MQTT-4.3.2-1 of 3.1.1]`: under a new id, with DUP 0, and
/// open until PUBACK.
#[test]
fn qos_1_is_done_at_puback() {
    for mut scene in lasting() {
        let request = scene.publish("x", QoS::AtLeastOnce);
        assert_eq!(scene.seen(), [seen_publish("x", QoS::AtLeastOnce, 1, false)]);
        scene.publish("y", QoS::AtLeastOnce);
        assert_eq!(scene.seen(), [seen_publish("y", QoS::AtLeastOnce, 2, false)]);
        assert_eq!(scene.events(), []);
        scene.puback(1, ReasonCode::Success);
        assert_eq!(scene.event(), acknowledged(request));
        assert_eq!(scene.client.unfinished_len(), 1);
        scene.reconnect(true, &[]);
        assert_eq!(scene.seen()[1..], [seen_publish("y", QoS::AtLeastOnce, 2, true)]);
    }
}

#[test]
fn the_code_of_a_puback_is_told() {
    let mut scene = Scene::online();
    let request = scene.publish("x", QoS::AtLeastOnce);
    scene.puback(1, ReasonCode::NoMatchingSubscribers);
    let outcome = Outcome::Acknowledged(ReasonCode::NoMatchingSubscribers);
    assert_eq!(scene.event(), Event::Published { request, outcome });
}

/// `[MQTT-4.3.3-1]`, `[MQTT-4.3.3-2]`, `[MQTT-4.3.3-3]`, `[MQTT-4.3.3-4]`, `[MQTT-4.3.3-5]`, `[MQTT-4.3.3-6]`,
/// `[MQTT-2.2.1-5]`, `[MQTT-4.3.3-1 of 3.1.1]`, `[MQTT-2.3.1-6 of 3.1.1]`: PUBLISH is open until PUBREC, and from then
/// on PUBREL until PUBCOMP, all of them under one id.
#[test]
fn qos_2_takes_four_packets() {
    for mut scene in lasting() {
        let request = scene.publish("x", QoS::ExactlyOnce);
        assert_eq!(scene.seen(), [seen_publish("x", QoS::ExactlyOnce, 1, false)]);
        scene.reconnect(true, &[]);
        assert_eq!(scene.seen()[1..], [seen_publish("x", QoS::ExactlyOnce, 1, true)]);
        scene.pubrec(1, ReasonCode::Success);
        assert_eq!(scene.seen(), [Seen::PubRel(1, ReasonCode::Success)]);
        scene.reconnect(true, &[]);
        assert_eq!(scene.seen()[1..], [Seen::PubRel(1, ReasonCode::Success)]);
        scene.events();
        scene.pubcomp(1);
        assert_eq!(scene.event(), acknowledged(request));
        scene.reconnect(true, &[]);
        assert_eq!(scene.seen().len(), 1, "only CONNECT");
    }
}

/// `[MQTT-4.3.3-7]`: an expiry is the server's business once the message was sent.
#[test]
fn a_hand_shake_outlives_the_expiry_of_its_message() {
    let mut scene = Scene::online_with(durable(), &[]);
    let expiry = PropertiesBuf::from_iter([Property::MessageExpiryInterval(1)]);
    let expiring =
        Publication { properties: expiry.as_properties(), ..publication("t", "x", QoS::ExactlyOnce) };
    let request = scene.client.publish(scene.now_ms, &expiring).expect("accepted");
    scene.now_ms += 10_000;
    scene.reconnect(true, &[]);
    assert_eq!(scene.seen()[1..], [seen_publish("x", QoS::ExactlyOnce, 1, true)]);
    scene.after(10_000);
    scene.pubrec(1, ReasonCode::Success);
    assert_eq!(scene.seen(), [Seen::PubRel(1, ReasonCode::Success)]);
    scene.events();
    scene.pubcomp(1);
    assert_eq!(scene.event(), acknowledged(request));
}

/// `[MQTT-4.4.0-2]`, `[MQTT-4.3.3-4]`, `[A16]`: no PUBREL, and nothing is sent again.
#[test]
fn a_refusal_ends_the_hand_shake() {
    let mut scene = Scene::online_with(durable(), &[]);
    let twice = scene.publish("x", QoS::ExactlyOnce);
    let once = scene.publish("y", QoS::AtLeastOnce);
    scene.seen();
    let refused =
        |request| Event::Published { request, outcome: Outcome::Refused(ReasonCode::QuotaExceeded) };
    scene.pubrec(1, ReasonCode::QuotaExceeded);
    assert_eq!(scene.event(), refused(twice));
    scene.puback(2, ReasonCode::QuotaExceeded);
    assert_eq!(scene.event(), refused(once));
    assert_eq!(scene.seen(), []);
    scene.reconnect(true, &[]);
    assert_eq!(scene.seen().len(), 1, "only CONNECT");
}

/// `[A18]`, `[MQTT-2.2.1-3]`, `[MQTT-4.3.2-1]`, `[MQTT-4.3.3-1]`, `[MQTT-4.3.3-9]`, `[MQTT-2.3.1-2 of 3.1.1]`: the ids
/// go round; 0 is none of them, those in use are passed over, and those of ended hand-shakes come again.
#[test]
fn packet_ids_go_round() {
    for mut scene in lasting() {
        scene.publish("ended", QoS::ExactlyOnce);
        scene.publish("stuck", QoS::ExactlyOnce);
        scene.subscribe(&["stuck"]);
        if scene.client.settings.version == Version::V5 {
            scene.pubrec(1, ReasonCode::QuotaExceeded);
        } else {
            scene.pubrec(1, ReasonCode::Success);
            scene.pubcomp(1);
        }
        let Some(Seen::Subscribe(of_request, _)) =
            scene.seen().into_iter().find(|seen| matches!(seen, Seen::Subscribe(..)))
        else {
            panic!("no SUBSCRIBE");
        };
        let free = (1..=u16::MAX).filter(|&id| id != 2 && id != of_request);
        for expected in free.clone().skip(1).chain(free) {
            scene.publish("x", QoS::AtLeastOnce);
            assert_eq!(scene.seen().last(), Some(&seen_publish("x", QoS::AtLeastOnce, expected, false)));
            scene.puback(expected, ReasonCode::Success);
            scene.events();
        }
    }
}

/// `[MQTT-3.3.1-3]`, `[MQTT-3.3.1-3 of 3.1.1]`: what is passed on is not marked because it came marked.
#[test]
fn a_message_passed_on_is_no_repeat() {
    for mut scene in fleeting() {
        let mut marked = scene.message_bytes(QoS::AtLeastOnce, 7);
        marked[0] |= 0b1000;
        let (topic, payload) = scene.bytes(&marked).expect("a message");
        let message = Publication {
            topic: &topic,
            payload: payload.as_bytes(),
            ..publication("", "", QoS::AtLeastOnce)
        };
        scene.client.publish(scene.now_ms, &message).expect("accepted");
        assert!(matches!(scene.seen()[..], [Seen::PubAck(7), Seen::Publish { dup: false, .. }]));
    }
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

/// `[MQTT-4.6.0-4]`, `[MQTT-4.6.0-4 of 3.1.1]`, `[B05]`: as the PUBRECs came.
#[test]
fn pubrels_leave_in_the_order_of_the_pubrecs() {
    for mut scene in fleeting() {
        for payload in ["a", "b", "c"] {
            scene.publish(payload, QoS::ExactlyOnce);
        }
        scene.seen();
        for number in [3, 1, 2] {
            scene.pubrec(number, ReasonCode::Success);
        }
        let success = ReasonCode::Success;
        let expected = [Seen::PubRel(3, success), Seen::PubRel(1, success), Seen::PubRel(2, success)];
        assert_eq!(scene.seen(), expected);
    }
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

/// `[A13]`.
#[test]
fn a_pubrec_for_an_unknown_id_gets_0x92_and_keeps_the_link() {
    let mut scene = Scene::online();
    scene.pubrec(9, ReasonCode::Success);
    assert_eq!(scene.seen(), [Seen::PubRel(9, ReasonCode::PacketIdentifierNotFound)]);
    assert!(scene.client.is_online());
}

/// `[U5-46]`, `[U5-47]`, `[A15]`: the window opens by what ends a hand-shake of this connection, a refusal included,
/// and by nothing else.
#[test]
fn stray_acknowledgements_do_not_open_the_window() {
    let mut scene = Scene::online_with(durable(), &[Property::ReceiveMaximum(2)]);
    for payload in ["a", "b", "c", "d", "e"] {
        scene.publish(payload, QoS::ExactlyOnce);
    }
    scene.seen();
    scene.puback(9, ReasonCode::Success);
    scene.pubcomp(9);
    assert_eq!(scene.seen(), []);
    scene.pubrec(1, ReasonCode::QuotaExceeded);
    assert_eq!(scene.seen(), [seen_publish("c", QoS::ExactlyOnce, 3, false)]);
    scene.pubrec(2, ReasonCode::Success);
    scene.reconnect(true, &[Property::ReceiveMaximum(1)]);
    scene.events();
    let resumed = [Seen::PubRel(2, ReasonCode::Success), seen_publish("c", QoS::ExactlyOnce, 3, true)];
    assert_eq!(scene.seen()[1..], resumed);
    // This PUBCOMP ends a hand-shake that took no place on this connection.
    scene.pubcomp(2);
    scene.pubcomp(2);
    assert_eq!(scene.seen(), []);
    scene.pubrec(3, ReasonCode::Success);
    scene.pubcomp(3);
    let next = [Seen::PubRel(3, ReasonCode::Success), seen_publish("d", QoS::ExactlyOnce, 4, false)];
    assert_eq!(scene.seen(), next);
    assert!(scene.client.is_online());
}

/// `[A14]`: the message stays, and is sent again.
#[test]
fn an_acknowledgement_of_the_other_qos_is_a_protocol_error() {
    for (qos, kind) in [(QoS::ExactlyOnce, 0x40), (QoS::AtLeastOnce, 0x50)] {
        let mut scene = Scene::online_with(durable(), &[]);
        scene.publish("x", qos);
        scene.seen();
        scene.bytes(&[kind, 2, 0, 1]);
        assert_eq!(scene.violation().0, ReasonCode::ProtocolError);
        scene.reconnect(true, &[]);
        assert_eq!(scene.seen()[1..], [seen_publish("x", qos, 1, true)]);
    }
}

#[test]
fn a_pubcomp_before_pubrec_is_a_protocol_error() {
    let mut scene = Scene::online();
    scene.publish("x", QoS::ExactlyOnce);
    scene.seen();
    scene.pubcomp(1);
    assert_eq!(scene.violation().0, ReasonCode::ProtocolError);
}

/// `[MQTT-2.2.1-3]`, `[MQTT-2.3.1-2 of 3.1.1]`: PUBLISH, SUBSCRIBE and UNSUBSCRIBE share the ids, and open ones are
/// skipped.
#[test]
fn packet_ids_of_all_kinds_are_kept_apart() {
    for mut scene in fleeting() {
        scene.subscribe(&["a"]);
        scene.publish("x", QoS::AtLeastOnce);
        scene.client.unsubscribe(scene.now_ms, &["a"], Properties::EMPTY).expect("accepted");
        scene.publish("y", QoS::ExactlyOnce);
        let id_of = |seen: &Seen| match seen {
            Seen::Subscribe(id, _) | Seen::Unsubscribe(id, _) | Seen::Publish { id, .. } => *id,
            other => panic!("{other:?}"),
        };
        assert_eq!(scene.seen().iter().map(id_of).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}

/// `[MQTT-3.3.4-7]`, `[MQTT-4.9.0-1]`, `[MQTT-4.9.0-2]`, `[H16]`, `[U5-48]`.
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
/// `[MQTT-3.6.2-3]`, `[MQTT-3.7.2-2]`, `[MQTT-3.7.2-3]`: acknowledgements carry no texts, so that they fit any server
/// but one that could not be answered at all.
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
