//! DISCONNECT both ways.

use super::*;

/// `[MQTT-3.14.4-1]`, `[MQTT-3.14.4-2]`, `[MQTT-3.14.4-1 of 3.1.1]`, `[MQTT-3.14.4-2 of 3.1.1]`: the owner is told to
/// close.
#[test]
fn nothing_follows_disconnect() {
    for mut scene in fleeting() {
        let receipt =
            scene.untaken(&scene.message_bytes(QoS::AtLeastOnce, 7)).and_then(|(_, receipt)| receipt);
        scene.client.disconnect(ReasonCode::Success, Properties::EMPTY);
        assert_eq!(scene.event(), Event::Closed(Cause::Requested));
        scene.publish("late", QoS::AtMostOnce);
        scene.subscribe(&["late"]);
        scene.client.acknowledge(scene.now_ms, receipt.expect("QoS 1"));
        scene.message("m", QoS::AtLeastOnce, 8);
        scene.after(100_000);
        assert_eq!(scene.seen(), [Seen::Disconnect(ReasonCode::Success)]);
    }
}

#[test]
fn a_client_that_wants_its_will_says_so_in_5_and_just_closes_before() {
    let mut scene = Scene::online();
    scene.client.disconnect(ReasonCode::DisconnectWithWill, Properties::EMPTY);
    assert_eq!(scene.seen(), [Seen::Disconnect(ReasonCode::DisconnectWithWill)]);
    let mut scene = Scene::online_with(v311(), &[]);
    scene.client.disconnect(ReasonCode::DisconnectWithWill, Properties::EMPTY);
    assert_eq!(scene.seen(), []);
    assert!(scene.is_over());
}

/// `[C06]`: a session without an expiry in CONNECT gets none in DISCONNECT, but for the 0 that it has already; in
/// DISCONNECT no expiry is that of CONNECT, and 0 ends the session.
#[test]
fn disconnect_does_not_lengthen_a_session_that_ends_with_the_connection() {
    let disconnected = |settings: Settings, properties: &[Property<'_>]| {
        let mut scene = Scene::online_with(settings, &[]);
        let properties: PropertiesBuf = properties.iter().copied().collect();
        scene.client.disconnect(ReasonCode::Success, properties.as_properties());
        scene.client.output().to_vec()
    };
    let expiry = |secs| [Property::SessionExpiryInterval(secs)];
    assert_eq!(disconnected(Settings::default(), &expiry(60)), [0xE0, 0]);
    assert_eq!(disconnected(Settings::default(), &expiry(0)), [0xE0, 7, 0, 5, 17, 0, 0, 0, 0]);
    assert_eq!(disconnected(durable(), &expiry(60)), [0xE0, 7, 0, 5, 17, 0, 0, 0, 60]);
    assert_eq!(disconnected(durable(), &expiry(0)), [0xE0, 7, 0, 5, 17, 0, 0, 0, 0]);
    assert_eq!(disconnected(durable(), &[]), [0xE0, 0]);
}

/// `[MQTT-3.14.2-3]`, `[MQTT-3.14.2-4]`: too large for the server, or no text at all, they stay away; what becomes of
/// the session is said all the same.
#[test]
fn texts_of_disconnect_that_cannot_be_sent_are_left_out() {
    let short = [0xE0, 7, 0, 5, 17, 0, 0, 0, 0];
    let limits = [Property::MaximumPacketSize(10)];
    for (limits, text) in [
        (&limits[..], Property::ReasonString("bye")),
        (&limits[..], Property::UserProperty("", "")),
        (&[], Property::ReasonString("\0")),
    ] {
        let mut scene = Scene::online_with(durable(), limits);
        let properties = PropertiesBuf::from_iter([text, Property::SessionExpiryInterval(0)]);
        scene.client.disconnect(ReasonCode::Success, properties.as_properties());
        assert_eq!(scene.client.output(), short, "{text:?}");
    }
    let mut scene = Scene::online_with(durable(), &[]);
    let properties =
        PropertiesBuf::from_iter([Property::ReasonString("bye"), Property::UserProperty("a", "b")]);
    scene.client.disconnect(ReasonCode::Success, properties.as_properties());
    assert_eq!(
        scene.client.output(),
        [0xE0, 15, 0, 13, 31, 0, 3, b'b', b'y', b'e', 38, 0, 1, b'a', 0, 1, b'b']
    );
}

/// `[MQTT-3.14.2-1]`: codes of the client's part of the table, and no property that is none of DISCONNECT `[U5-03]`.
#[test]
fn disconnect_says_only_what_a_client_may_say() {
    let of_clients = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
    for code in (0..=255).filter_map(ReasonCode::from_u8) {
        let mut scene = Scene::online();
        let properties = PropertiesBuf::from_iter([Property::ServerReference("b"), Property::TopicAlias(1)]);
        scene.client.disconnect(code, properties.as_properties());
        let allowed = of_clients.contains(&(code as u8));
        let expected = if allowed { code } else { ReasonCode::UnspecifiedError };
        assert_eq!(scene.seen(), [Seen::Disconnect(expected)]);
    }
}

/// The cause is told once, and it is the first.
#[test]
fn a_connection_that_is_over_is_not_ended_again() {
    let mut scene = Scene::online();
    scene.bytes(&[0x00, 0]);
    scene.client.disconnect(ReasonCode::Success, Properties::EMPTY);
    assert_eq!(scene.violation().0, ReasonCode::MalformedPacket);
    assert_eq!(scene.events(), []);
}

/// `[U5-41]`, `[MQTT-4.13.2-1]`: the owner is told to close.
#[test]
fn the_servers_disconnect_is_told() {
    let mut scene = Scene::online();
    let reason = ReasonCode::SessionTakenOver;
    scene.server(&Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY }));
    let refusal = Refusal { reason, text: None, server_reference: None };
    assert_eq!(scene.event(), Event::Closed(Cause::ByServer(refusal)));
    scene.publish("late", QoS::AtMostOnce);
    assert_eq!(scene.seen(), []);
    assert!(scene.is_over());
}

#[test]
fn a_session_expiry_in_the_servers_disconnect_is_a_protocol_error() {
    let mut scene = Scene::online();
    scene.bytes(&[0xE0, 7, 0, 5, 17, 0, 0, 0, 60]);
    assert!(matches!(scene.violation().0, ReasonCode::ProtocolError | ReasonCode::MalformedPacket));
}
