//! Messages from the server, and what it must not send.

use super::*;

/// `[MQTT-3.3.4-1]`, `[MQTT-4.3.2-4]`, `[MQTT-4.3.3-8]`, `[MQTT-2.2.1-5]`, `[MQTT-3.3.4-1 of 3.1.1]`,
/// `[MQTT-4.3.2-2 of 3.1.1]`, `[MQTT-4.3.3-2 of 3.1.1]`, `[MQTT-2.3.1-6 of 3.1.1]`.
#[test]
fn each_qos_gets_its_acknowledgement() {
    for mut scene in fleeting() {
        assert!(scene.message("a", QoS::AtMostOnce, 0).is_some());
        assert!(scene.message("a", QoS::AtLeastOnce, 1).is_some());
        assert!(scene.message("a", QoS::ExactlyOnce, 65_535).is_some());
        assert_eq!(scene.seen(), [Seen::PubAck(1), Seen::PubRec(65_535)]);
    }
}

/// `[MQTT-4.5.0-2]`, `[MQTT-4.5.0-2 of 3.1.1]`: whether or not there was a subscription for it.
#[test]
fn a_message_nobody_asked_for_is_acknowledged_too() {
    for mut scene in fleeting() {
        scene.message("never/subscribed", QoS::AtLeastOnce, 1);
        scene.message("never/subscribed", QoS::ExactlyOnce, 2);
        assert_eq!(scene.seen(), [Seen::PubAck(1), Seen::PubRec(2)]);
    }
}

/// `[MQTT-4.6.0-2]`, `[MQTT-4.6.0-3]`, `[MQTT-4.6.0-2 of 3.1.1]`, `[MQTT-4.6.0-3 of 3.1.1]`.
#[test]
fn acknowledgements_leave_in_the_order_of_the_messages() {
    for mut scene in fleeting() {
        for (qos, number) in [
            (QoS::AtLeastOnce, 3),
            (QoS::ExactlyOnce, 2),
            (QoS::AtLeastOnce, 1),
            (QoS::ExactlyOnce, 9),
            (QoS::ExactlyOnce, 8),
        ] {
            scene.message("a", qos, number);
        }
        let expected = [Seen::PubAck(3), Seen::PubRec(2), Seen::PubAck(1), Seen::PubRec(9), Seen::PubRec(8)];
        assert_eq!(scene.seen(), expected);
    }
}

/// `[MQTT-4.3.2-5]`, `[MQTT-4.3.2-2 of 3.1.1]`, `[A07]`: whatever DUP says.
#[test]
fn a_qos_1_id_is_new_after_puback() {
    for mut scene in fleeting() {
        let mut message = scene.message_bytes(QoS::AtLeastOnce, 5);
        assert!(scene.bytes(&message).is_some());
        message[0] |= 0b1000;
        assert!(scene.bytes(&message).is_some());
        assert_eq!(scene.seen(), [Seen::PubAck(5), Seen::PubAck(5)]);
    }
}

/// `[MQTT-4.3.3-10]`, `[MQTT-4.3.3-2 of 3.1.1]`, `[A01]`.
#[test]
fn a_qos_2_message_is_delivered_once_however_often_it_comes() {
    for mut scene in fleeting() {
        assert!(scene.message("a", QoS::ExactlyOnce, 7).is_some());
        for _ in 0..5 {
            assert_eq!(scene.message("a", QoS::ExactlyOnce, 7), None);
        }
        assert_eq!(scene.seen(), vec![Seen::PubRec(7); 6]);
    }
}

/// `[MQTT-4.3.3-11]`, `[MQTT-4.3.3-12]`, `[MQTT-4.3.3-2 of 3.1.1]`, `[A08]`.
#[test]
fn a_qos_2_id_is_new_after_pubrel() {
    for mut scene in fleeting() {
        scene.message("a", QoS::ExactlyOnce, 7);
        scene.server(&Packet::PubRel(Ack::new(id(7), ReasonCode::Success)));
        assert!(scene.message("a", QoS::ExactlyOnce, 7).is_some());
        let complete = Seen::PubComp(7, ReasonCode::Success);
        assert_eq!(scene.seen(), [Seen::PubRec(7), complete, Seen::PubRec(7)]);
    }
}

/// `[MQTT-4.3.3-13]`.
#[test]
fn a_hand_shake_goes_on_though_its_message_expired() {
    let mut scene = Scene::online();
    let expiry = PropertiesBuf::from_iter([Property::MessageExpiryInterval(1)]);
    scene.message_with("a", QoS::ExactlyOnce, 7, expiry.as_properties());
    scene.after(10_000);
    scene.message_with("a", QoS::ExactlyOnce, 7, expiry.as_properties());
    scene.server(&Packet::PubRel(Ack::new(id(7), ReasonCode::Success)));
    let complete = Seen::PubComp(7, ReasonCode::Success);
    assert_eq!(scene.seen(), [Seen::PubRec(7), Seen::PubRec(7), complete]);
}

/// `[A12]`, `[MQTT-3.7.2-1]`.
#[test]
fn a_pubrel_for_an_unknown_id_gets_0x92() {
    let mut scene = Scene::online();
    scene.server(&Packet::PubRel(Ack::new(id(7), ReasonCode::Success)));
    assert_eq!(scene.seen(), [Seen::PubComp(7, ReasonCode::PacketIdentifierNotFound)]);
    let mut scene = Scene::online_with(v311(), &[]);
    scene.server(&Packet::PubRel(Ack::new(id(7), ReasonCode::Success)));
    assert_eq!(scene.seen(), [Seen::PubComp(7, ReasonCode::Success)]);
}

/// `[MQTT-3.1.2-23]`, `[MQTT-4.1.0-1 of 3.1.1]`, `[MQTT-4.3.3-10]`, `[MQTT-4.3.3-2 of 3.1.1]`, `[A02]`, `[A03]`.
#[test]
fn half_received_qos_2_messages_survive_a_resume() {
    for mut scene in lasting() {
        scene.message("a", QoS::ExactlyOnce, 7);
        scene.message("a", QoS::ExactlyOnce, 8);
        scene.reconnect(true, &[]);
        scene.seen();
        assert_eq!(scene.message("a", QoS::ExactlyOnce, 7), None);
        scene.server(&Packet::PubRel(Ack::new(id(8), ReasonCode::Success)));
        assert_eq!(scene.seen(), [Seen::PubRec(7), Seen::PubComp(8, ReasonCode::Success)]);
    }
}

/// `[U5-48]`.
#[test]
fn more_open_messages_than_the_receive_maximum_are_answered_0x93() {
    let mut scene = Scene::online_with(Settings { receive_maximum: 1, ..Settings::default() }, &[]);
    scene.message("a", QoS::ExactlyOnce, 1);
    scene.seen();
    assert_eq!(scene.message("a", QoS::ExactlyOnce, 2), None);
    assert_eq!(scene.violation(), (ReasonCode::ReceiveMaximumExceeded, "MQTT-3.3.4-9"));
}

#[test]
fn a_finished_hand_shake_gives_its_place_back() {
    let mut scene = Scene::online_with(Settings { receive_maximum: 1, ..Settings::default() }, &[]);
    for number in 1..=3 {
        assert!(scene.message("a", QoS::ExactlyOnce, number).is_some());
        scene.server(&Packet::PubRel(Ack::new(id(number), ReasonCode::Success)));
    }
    assert!(scene.client.is_online());
}

/// `[A09]`.
#[test]
fn a_qos_1_message_under_an_open_qos_2_id_is_a_protocol_error() {
    let mut scene = Scene::online();
    scene.message("a", QoS::ExactlyOnce, 7);
    scene.seen();
    assert_eq!(scene.message("a", QoS::AtLeastOnce, 7), None);
    assert_eq!(scene.violation(), (ReasonCode::ProtocolError, "MQTT-2.2.1-4"));
}

/// `[A10]`: each direction has its own ids.
#[test]
fn the_same_id_in_both_directions_is_two_hand_shakes() {
    let mut scene = Scene::online();
    let request = scene.publish("x", QoS::ExactlyOnce);
    assert!(scene.message("a", QoS::ExactlyOnce, 1).is_some());
    scene.pubrec(1, ReasonCode::Success);
    scene.server(&Packet::PubRel(Ack::new(id(1), ReasonCode::Success)));
    scene.pubcomp(1);
    assert_eq!(scene.event(), acknowledged(request));
}

/// `[H10]`: refused from the length alone.
#[test]
fn a_packet_above_the_clients_maximum_is_answered_0x95() {
    let mut scene = Scene::online_with(Settings { packet_size_max: 100, ..Settings::default() }, &[]);
    scene.bytes(&[0x30, 99]);
    assert_eq!(scene.violation().0, ReasonCode::PacketTooLarge);
}

#[test]
fn a_malformed_packet_is_answered_0x81() {
    let mut scene = Scene::online();
    scene.bytes(&[0x00, 0]);
    assert_eq!(scene.violation().0, ReasonCode::MalformedPacket);
}

/// `[MQTT-4.8.0-1 of 3.1.1]`.
#[test]
fn before_5_a_malformed_packet_is_answered_by_closing() {
    let mut scene = Scene::online_with(v311(), &[]);
    scene.bytes(&[0x00, 0]);
    assert!(matches!(scene.event(), Event::Closed(Cause::Violation { .. })));
    assert_eq!(scene.seen(), []);
}

#[test]
fn nothing_is_read_after_the_connection_is_over() {
    let mut scene = Scene::online();
    scene.client.disconnect(ReasonCode::Success, Properties::EMPTY);
    assert_eq!(scene.client.receive(scene.now_ms, &[0xD0, 0]), Received::Closed);
}

// PUBLISH a, with packet id 7 and the payload x; and the same sent again.
const QOS_1: [u8; 9] = [0x32, 7, 0, 1, b'a', 0, 7, 0, b'x'];
const QOS_2: [u8; 9] = [0x34, 7, 0, 1, b'a', 0, 7, 0, b'x'];
const QOS_2_AGAIN: [u8; 9] = [0x3C, 7, 0, 1, b'a', 0, 7, 0, b'x'];

fn receipt(scene: &mut Scene, packet: &[u8]) -> Receipt {
    scene.untaken(packet).and_then(|(_, receipt)| receipt).expect("a message with a receipt")
}

/// `[MQTT-4.3.2-4]`, `[MQTT-4.3.3-8]`: the acknowledgement follows the ownership.
#[test]
fn nothing_is_acknowledged_before_the_owner_took_it() {
    for (packet, answer) in [(QOS_1, Seen::PubAck(7)), (QOS_2, Seen::PubRec(7))] {
        let mut scene = Scene::online();
        let receipt = receipt(&mut scene, &packet);
        assert_eq!(scene.seen(), []);
        scene.client.acknowledge(scene.now_ms, receipt);
        assert_eq!(scene.seen(), [answer]);
    }
}

#[test]
fn untaken_messages_count_against_the_receive_maximum() {
    let mut scene = Scene::online_with(Settings { receive_maximum: 1, ..Settings::default() }, &[]);
    let _untaken = receipt(&mut scene, &QOS_1);
    assert_eq!(scene.untaken(&QOS_2), None);
    assert_eq!(scene.violation().0, ReasonCode::ReceiveMaximumExceeded);
}

#[test]
fn a_qos_1_message_taken_after_its_connection_is_left_to_the_repeat() {
    let mut scene = Scene::online_with(durable(), &[]);
    let receipt = receipt(&mut scene, &QOS_1);
    scene.reconnect(true, &[]);
    scene.seen();
    scene.client.acknowledge(scene.now_ms, receipt);
    assert_eq!(scene.seen(), []);
}

/// `[MQTT-4.3.3-10]`: delivered once, and acknowledged once it is taken, whether the repeat comes before or after that.
#[test]
fn a_qos_2_message_taken_after_its_connection_is_acknowledged_at_its_repeat() {
    for taken_first in [true, false] {
        let mut scene = Scene::online_with(durable(), &[]);
        let receipt = receipt(&mut scene, &QOS_2);
        scene.reconnect(true, &[]);
        scene.seen();
        if taken_first {
            scene.client.acknowledge(scene.now_ms, receipt);
            assert_eq!(scene.seen(), []);
            assert_eq!(scene.untaken(&QOS_2_AGAIN), None);
        } else {
            assert_eq!(scene.untaken(&QOS_2_AGAIN), None);
            assert_eq!(scene.seen(), []);
            scene.client.acknowledge(scene.now_ms, receipt);
        }
        assert_eq!(scene.seen(), [Seen::PubRec(7)]);
    }
}

#[test]
fn a_receipt_of_a_lost_session_says_nothing_about_a_new_message() {
    let mut scene = Scene::online_with(durable(), &[]);
    let stale = receipt(&mut scene, &QOS_2);
    scene.reconnect(false, &[]);
    let fresh = receipt(&mut scene, &QOS_2);
    scene.seen();
    scene.client.acknowledge(scene.now_ms, stale);
    assert_eq!(scene.seen(), []);
    scene.client.acknowledge(scene.now_ms, fresh);
    assert_eq!(scene.seen(), [Seen::PubRec(7)]);
}
