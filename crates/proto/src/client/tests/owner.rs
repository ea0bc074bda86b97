//! What an owner does besides publishing: fresh credentials, a doubt about the server, a message it does not want.

use super::*;

/// The user name and password of the next CONNECT.
fn credentials(scene: &mut Scene) -> (Option<String>, Option<Vec<u8>>) {
    scene.client.transport_closed();
    scene.client.connect(scene.now_ms);
    let rules = Rules {
        version: Version::V5,
        receiver: Receiver::Server,
        packet_size_max: u32::MAX,
        strict_text: true,
    };
    match decode::packet(scene.client.output(), &rules) {
        Ok(Decoded::Packet(Packet::Connect(connect), _)) => {
            (connect.user_name.map(str::to_owned), connect.password.map(<[u8]>::to_vec))
        }
        other => panic!("the client wrote {other:?}"),
    }
}

#[test]
fn each_connection_has_the_credentials_set_last() {
    let mut scene = Scene::new(Settings { user_name: Some("me".into()), ..Settings::default() });
    assert_eq!(credentials(&mut scene), (Some("me".into()), None));
    scene.client.set_credentials(None, Some(b"token".to_vec())).expect("5.0 takes a password alone");
    assert_eq!(credentials(&mut scene), (None, Some(b"token".to_vec())));
}

#[test]
fn credentials_that_fit_no_connect_change_nothing() {
    let mut scene = Scene::new(v311());
    let refused = scene.client.set_credentials(None, Some(b"token".to_vec()));
    assert_eq!(refused, Err(SettingsError::PasswordWithoutUserName));
    assert_eq!(scene.client.settings().password, None);
    let refused = scene.client.set_credentials(Some("n".repeat(65_536)), None);
    assert_eq!(refused, Err(SettingsError::Text("the user name")));
}

#[test]
fn each_connection_has_the_authentication_data_set_last() {
    let authentication = Authentication { method: "M".into(), data: Some(b"one".to_vec()) };
    let mut scene = Scene::new(Settings { authentication: Some(authentication), ..Settings::default() });
    scene.client.set_authentication_data(Some(b"two".to_vec())).expect("it fits");
    let refused = scene.client.set_authentication_data(Some(vec![0; 65_536]));
    assert_eq!(refused, Err(SettingsError::Text("the authentication data")));
    scene.client.connect(scene.now_ms);
    assert!(scene.client.output().windows(3).any(|bytes| bytes == b"two"));
}

#[test]
fn a_probe_that_is_not_answered_ends_the_connection() {
    let settings = Settings { keep_alive_secs: 0, ping_timeout_ms: 2_000, ..Settings::default() };
    let mut scene = Scene::online_with(settings, &[]);
    scene.client.probe(scene.now_ms);
    assert_eq!(scene.seen(), [Seen::Ping]);
    scene.server(&Packet::PingResp);
    scene.after(10_000);
    assert_eq!(scene.events(), [], "it was answered");
    scene.client.probe(scene.now_ms);
    scene.after(2_000);
    assert_eq!(scene.event(), Event::Closed(Cause::ServerSilent));
}

/// Both QoS: what was left is handed out again by the next connection, and not before.
#[test]
fn a_message_that_is_left_comes_again() {
    for (first_byte, qos) in [(0x32, 1), (0x34, 2)] {
        let mut scene = Scene::online_with(durable(), &[]);
        let message = [first_byte, 6, 0, 1, b't', 0, 7, 0];
        let (_, receipt) = scene.untaken(&message).expect("a message");
        scene.client.leave(receipt.expect("it can be acknowledged"));
        assert_eq!(scene.seen(), [], "QoS {qos}");
        scene.reconnect(true, &[]);
        scene.seen();
        let again = [first_byte | 0x08, 6, 0, 1, b't', 0, 7, 0];
        let (_, receipt) = scene.untaken(&again).expect("the message again");
        scene.client.acknowledge(scene.now_ms, receipt.expect("it can be acknowledged"));
        assert_eq!(scene.seen().len(), 1, "QoS {qos}");
    }
}
