//! AUTH before and after CONNACK.

use super::*;

fn authenticating() -> Settings {
    let authentication = Authentication { method: "M".into(), data: Some(b"one".to_vec()) };
    Settings { authentication: Some(authentication), ..Settings::default() }
}

fn auth(reason: ReasonCode, properties: &PropertiesBuf) -> Packet<'_> {
    Packet::Auth(crate::packet::Auth { reason, properties: properties.as_properties() })
}

fn method(name: &'static str, data: &'static [u8]) -> PropertiesBuf {
    PropertiesBuf::from_iter([Property::AuthenticationMethod(name), Property::AuthenticationData(data)])
}

/// `[MQTT-4.12.0-3]`, `[MQTT-4.12.0-5]`, `[MQTT-3.1.2-30]`: only AUTH before CONNACK, with the method of CONNECT.
#[test]
fn challenges_are_answered_until_the_server_accepts() {
    let mut scene = Scene::new(authenticating());
    scene.client.connect(scene.now_ms);
    scene.publish("early", QoS::AtMostOnce);
    scene.seen();
    scene.server(&auth(ReasonCode::ContinueAuthentication, &method("M", b"two")));
    assert_eq!(scene.event(), Event::Challenge { data: b"two".to_vec() });
    scene.client.authenticate(scene.now_ms, Some(b"three")).expect("a challenge is open");
    let answer = Seen::Auth(ReasonCode::ContinueAuthentication, "M".into(), b"three".to_vec());
    assert_eq!(scene.seen(), [answer]);
    scene.server(&connack(&method("M", b"done")));
    assert!(scene.client.is_online());
}

/// `[MQTT-4.12.0-5]`.
#[test]
fn another_method_in_connack_closes() {
    let mut scene = Scene::new(authenticating());
    scene.client.connect(scene.now_ms);
    scene.server(&connack(&PropertiesBuf::new()));
    assert!(matches!(scene.event(), Event::Closed(Cause::Violation { statement: "MQTT-4.12.0-5", .. })));
}

/// `[MQTT-4.12.0-3]`: an AUTH of the client's before CONNACK is an answer.
#[test]
fn there_is_one_answer_to_each_challenge() {
    let mut scene = Scene::new(authenticating());
    scene.client.connect(scene.now_ms);
    scene.seen();
    assert_eq!(scene.client.authenticate(scene.now_ms, None), Err(AuthenticateError::NotNow));
    scene.server(&auth(ReasonCode::ContinueAuthentication, &method("M", b"")));
    assert_eq!(scene.client.authenticate(scene.now_ms, None), Ok(()));
    assert_eq!(scene.client.authenticate(scene.now_ms, None), Err(AuthenticateError::NotNow));
    let answer = Seen::Auth(ReasonCode::ContinueAuthentication, "M".into(), Vec::new());
    assert_eq!(scene.seen(), [answer]);
}

/// `[U5-42]`, `[MQTT-4.12.0-7]`.
#[test]
fn auth_without_a_method_is_a_protocol_error_and_is_never_sent() {
    let mut scene = Scene::online();
    assert_eq!(scene.client.re_authenticate(0, None), Err(AuthenticateError::NoMethod));
    assert_eq!(scene.client.authenticate(0, None), Err(AuthenticateError::NotNow));
    assert_eq!(scene.seen(), []);
    scene.server(&auth(ReasonCode::ContinueAuthentication, &method("M", b"")));
    assert_eq!(scene.violation(), (ReasonCode::ProtocolError, "U5-42"));
}

/// `[MQTT-4.12.1-1]`, `[MQTT-3.15.2-1]`: by the method of CONNECT, one at a time.
#[test]
fn re_authentication_goes_through_challenges_to_success() {
    let mut scene = authenticated(&[]);
    scene.client.re_authenticate(scene.now_ms, None).expect("online");
    assert_eq!(scene.client.authenticate(scene.now_ms, None), Err(AuthenticateError::NotNow));
    assert_eq!(scene.seen(), [Seen::Auth(ReasonCode::ReAuthenticate, "M".into(), Vec::new())]);
    assert_eq!(scene.client.re_authenticate(scene.now_ms, None), Err(AuthenticateError::NotNow));
    scene.server(&auth(ReasonCode::ContinueAuthentication, &method("M", b"x")));
    assert_eq!(scene.event(), Event::Challenge { data: b"x".to_vec() });
    scene.client.authenticate(scene.now_ms, None).expect("a challenge is open");
    scene.server(&auth(ReasonCode::Success, &method("M", b"done")));
    assert_eq!(scene.event(), Event::ReAuthenticated { data: b"done".to_vec() });
}

/// A client of [`authenticating`] that the server accepted.
fn authenticated(properties: &[Property<'_>]) -> Scene {
    let mut scene = Scene::new(authenticating());
    scene.client.connect(scene.now_ms);
    let mut all = method("M", b"");
    all.extend(properties.iter().copied());
    scene.server(&connack(&all));
    scene.seen();
    scene.events();
    scene
}

/// `[MQTT-4.12.1-2]`, `[MQTT-4.13.2-1]`: whichever side gives up, the connection is over.
#[test]
fn a_re_authentication_that_fails_ends_the_connection() {
    let mut scene = authenticated(&[]);
    scene.client.re_authenticate(scene.now_ms, None).expect("online");
    let reason = ReasonCode::NotAuthorized;
    scene.server(&Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY }));
    let refusal = Refusal { reason, text: None, server_reference: None };
    assert_eq!(scene.event(), Event::Closed(Cause::ByServer(refusal)));
    assert!(scene.is_over());

    let mut scene = authenticated(&[]);
    scene.client.re_authenticate(scene.now_ms, None).expect("online");
    scene.server(&auth(ReasonCode::ContinueAuthentication, &method("N", b"")));
    assert_eq!(scene.violation(), (ReasonCode::ProtocolError, "MQTT-4.12.0-5"));
}

/// `[MQTT-3.2.2-15]`, `[MQTT-3.15.2-2]`, `[MQTT-3.15.2-3]`: AUTH has no texts that could be left out, and is not sent
/// when it is too large; a smaller one may follow.
#[test]
fn an_auth_too_large_for_the_server_is_refused() {
    let mut scene = authenticated(&[Property::MaximumPacketSize(12)]);
    assert_eq!(scene.client.re_authenticate(scene.now_ms, Some(b"12")), Err(AuthenticateError::TooLarge));
    assert_eq!(scene.client.re_authenticate(scene.now_ms, Some(b"1")), Ok(()));
    assert_eq!(scene.client.output(), from_hex("F0 0A 19 08 15 0001 4D 16 0001 31"));
}

/// `[MQTT-3.15.2-1]`.
#[test]
fn auth_out_of_the_blue_is_a_protocol_error() {
    for reason in [ReasonCode::ContinueAuthentication, ReasonCode::Success] {
        let mut scene = authenticated(&[]);
        scene.server(&auth(reason, &method("M", b"x")));
        assert_eq!(scene.violation(), (ReasonCode::ProtocolError, "MQTT-3.15.2-1"));
    }
}
