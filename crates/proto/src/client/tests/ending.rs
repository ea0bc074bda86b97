//! DISCONNECT both ways.

use super::*;

/// `[MQTT-3.14.4-1]`, `[MQTT-3.14.4-2]`.
#[test]
fn nothing_follows_disconnect() {
    let mut scene = Scene::online();
    scene.client.disconnect(ReasonCode::Success, Properties::EMPTY);
    scene.publish("late", QoS::AtMostOnce);
    scene.after(100_000);
    assert_eq!(scene.seen(), [Seen::Disconnect(ReasonCode::Success)]);
    assert_eq!(scene.event(), Event::Closed(Cause::Requested));
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

/// `[U5-39]`, `[C06]`: a session without an expiry in CONNECT gets none in DISCONNECT.
#[test]
fn disconnect_does_not_lengthen_a_session_that_ends_with_the_connection() {
    let expiry = PropertiesBuf::from_iter([Property::SessionExpiryInterval(60)]);
    let mut scene = Scene::online();
    scene.client.disconnect(ReasonCode::Success, expiry.as_properties());
    assert_eq!(scene.client.output(), [0xE0, 0]);
    let mut scene = Scene::online_with(durable(), &[]);
    scene.client.disconnect(ReasonCode::Success, expiry.as_properties());
    assert_eq!(scene.client.output(), [0xE0, 7, 0, 5, 17, 0, 0, 0, 60]);
}

#[test]
fn the_servers_disconnect_is_told() {
    let mut scene = Scene::online();
    let reason = ReasonCode::SessionTakenOver;
    scene.server(&Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY }));
    let refusal = Refusal { reason, text: None, server_reference: None };
    assert_eq!(scene.event(), Event::Closed(Cause::ByServer(refusal)));
    assert_eq!(scene.seen(), []);
}

/// `[MQTT-3.14.2-2]`.
#[test]
fn a_session_expiry_in_the_servers_disconnect_is_a_protocol_error() {
    let mut scene = Scene::online();
    scene.bytes(&[0xE0, 7, 0, 5, 17, 0, 0, 0, 60]);
    assert!(matches!(scene.violation().0, ReasonCode::ProtocolError | ReasonCode::MalformedPacket));
}
