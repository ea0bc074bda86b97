//! The exchange of HTTP: what each side writes, what it takes, and what it refuses.

use longwire_ws::upgrade::{HEAD_BYTES_MAX, Offer, Refusal, Request, UpgradeError, answered};
use proptest::prelude::*;

const KEY: [u8; 16] = *b"0123456789abcdef";

fn request() -> String {
    let headers = [("Authorization".to_owned(), "Bearer x".to_owned())];
    let mut bytes = Vec::new();
    Request { host: "broker:8080", path: "/mqtt", key: KEY, headers: &headers }.append(&mut bytes);
    String::from_utf8(bytes).expect("HTTP is text")
}

fn answer() -> String {
    let request = request();
    let offer = Offer::read(request.as_bytes()).expect("granted").expect("whole");
    let mut bytes = Vec::new();
    offer.append_answer(&mut bytes);
    String::from_utf8(bytes).expect("HTTP is text")
}

fn refusal(request: &str) -> Refusal {
    Offer::read(request.as_bytes()).expect_err("it is not to be granted")
}

/// The answer with one line in the place of another that begins so.
fn with_line(text: &str, start: &str, line: &str) -> String {
    let lines = text.split_inclusive("\r\n").map(|old| if old.starts_with(start) { line } else { old });
    lines.collect()
}

/// `[MQTT-6.0.0-3]`, `[MQTT-6.0.0-4]`, `[MQTT-6.0.0-3 of 3.1.1]`, `[MQTT-6.0.0-4 of 3.1.1]`: the client offers `mqtt`, and
/// the server selects it.
#[test]
fn a_client_and_a_server_agree_on_mqtt() {
    assert!(request().contains("\r\nSec-WebSocket-Protocol: mqtt\r\n"));
    assert!(request().contains("\r\nAuthorization: Bearer x\r\n"));
    assert!(answer().contains("\r\nSec-WebSocket-Protocol: mqtt\r\n"));
    assert_eq!(answered(answer().as_bytes(), KEY), Ok(Some(answer().len())));
    let followed = answer() + "\u{2}frame";
    assert_eq!(answered(followed.as_bytes(), KEY), Ok(Some(answer().len())));
}

#[test]
fn a_server_sees_the_path_and_the_origin() {
    let text = with_line(&request(), "Authorization", "Origin: https://page.example\r\n") + "rest";
    let offer = Offer::read(text.as_bytes()).expect("granted").expect("whole");
    assert_eq!((offer.path, offer.origin), ("/mqtt", Some("https://page.example")));
    assert_eq!(&text[offer.len..], "rest");
}

#[test]
fn heads_arrive_byte_by_byte() {
    let (request, answer) = (request(), answer());
    for len in 0..request.len() {
        assert_eq!(Offer::read(&request.as_bytes()[..len]), Ok(None), "{len}");
    }
    for len in 0..answer.len() {
        assert_eq!(answered(&answer.as_bytes()[..len], KEY), Ok(None), "{len}");
    }
}

/// `[MQTT-6.0.0-3]`
#[test]
fn a_client_that_does_not_offer_mqtt_is_refused() {
    let other = with_line(&request(), "Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: chat, amqp\r\n");
    assert!(matches!(refusal(&other), Refusal::BadRequest(_)));
    let none = with_line(&request(), "Sec-WebSocket-Protocol", "");
    assert!(matches!(refusal(&none), Refusal::BadRequest(_)));
}

/// `[MQTT-6.0.0-3 of 3.1.1]`: the name of 3.1 is answered with the same name.
#[test]
fn a_client_of_3_1_is_answered_in_its_terms() {
    let text = with_line(&request(), "Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: x, mqttv3.1\r\n");
    let mut answer = Vec::new();
    Offer::read(text.as_bytes()).expect("granted").expect("whole").append_answer(&mut answer);
    assert!(String::from_utf8_lossy(&answer).contains("Sec-WebSocket-Protocol: mqttv3.1\r\n"));
}

#[test]
fn what_is_no_request_for_a_websocket_is_told_so() {
    assert!(matches!(refusal("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Refusal::UpgradeRequired(_)));
    assert!(matches!(refusal(&request().replace("GET", "POST")), Refusal::BadRequest(_)));
    let old = with_line(&request(), "Sec-WebSocket-Version", "Sec-WebSocket-Version: 8\r\n");
    assert!(matches!(refusal(&old), Refusal::UpgradeRequired(_)));
    let short = with_line(&request(), "Sec-WebSocket-Key", "Sec-WebSocket-Key: YWJj\r\n");
    assert!(matches!(refusal(&short), Refusal::BadRequest(_)));
    assert!(matches!(refusal("\x10\x0C\0\x04MQTT\r\n\r\n"), Refusal::BadRequest(_)));
    let endless = format!("GET /{} HTTP/1.1\r\n", "x".repeat(HEAD_BYTES_MAX));
    assert_eq!(refusal(&endless), Refusal::TooLarge);
    let mut answer = Vec::new();
    Refusal::UpgradeRequired("No.").append_answer(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 426 ") && answer.contains("Sec-WebSocket-Version: 13\r\n"));
    assert!(answer.contains("Content-Length: 4\r\n") && answer.ends_with("\r\n\r\nNo.\n"));
}

/// `[MQTT-6.0.0-4]`
#[test]
fn a_server_that_does_not_agree_is_refused() {
    let refused = |answer: &str| answered(answer.as_bytes(), KEY).expect_err("it does not agree");
    let none = with_line(&answer(), "Sec-WebSocket-Protocol", "");
    assert_eq!(refused(&none), UpgradeError::Protocol(None));
    let other = with_line(&answer(), "Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: chat\r\n");
    assert_eq!(refused(&other), UpgradeError::Protocol(Some("chat".to_owned())));
    let extended = with_line(&answer(), "Upgrade", "Upgrade: websocket\r\nSec-WebSocket-Extensions: x\r\n");
    assert_eq!(refused(&extended), UpgradeError::Extension);
    assert_eq!(answered(answer().as_bytes(), [0; 16]), Err(UpgradeError::NotAccepted));
    let moved = "HTTP/1.1 302 Found\r\nLocation: /other\r\n\r\n";
    assert_eq!(refused(moved), UpgradeError::Status { status: 302, location: Some("/other".to_owned()) });
    assert!(matches!(refused("\x20\x02\0\0"), UpgradeError::NotHttp(_)));
    assert!(matches!(refused(&"x".repeat(HEAD_BYTES_MAX + 1)), UpgradeError::NotHttp(_)));
}

proptest! {
    /// No bytes make either side panic, and a head that is not whole is never taken.
    #[test]
    fn noise_is_no_agreement(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(!matches!(answered(&noise, KEY), Ok(Some(_))));
        prop_assert!(!matches!(Offer::read(&noise), Ok(Some(_))));
    }
}
