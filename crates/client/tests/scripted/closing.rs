//! Who closes a connection and when, and that it is an ordered stream of bytes until then: what only a socket can
//! prove.

use crate::server::{Link, PATIENCE, Seen, Server};
use longwire_client::protocol::{self, Refusal};
use longwire_client::{
    Cause, Client, Event, Events, Messages, Options, Properties, PropertiesBuf, Property, Publication, QoS,
    ReasonCode, Version,
};
use longwire_proto::packet::{Auth, Disconnect, Packet};
use tokio::time::timeout;

/// Options of each version.
fn versions(server: &Server) -> [Options; 2] {
    [server.options(), server.options().version(Version::V311).client_id("c")]
}

/// A client, online.
async fn online(server: &Server, options: Options) -> (Client, Messages, Events, Link) {
    let (client, messages, mut events) = Client::start(options).expect("valid");
    let link = server.welcome().await;
    let connected = timeout(PATIENCE, events.recv()).await.expect("in time");
    assert!(matches!(connected, Some(Event::Connected(_))), "{connected:?}");
    (client, messages, events, link)
}

/// Why the client's connection ended.
async fn disconnected(events: &mut Events) -> Cause {
    loop {
        let event = timeout(PATIENCE, events.recv()).await.expect("in time").expect("the client goes on");
        if let Event::Disconnected(cause) = event {
            return cause;
        }
    }
}

async fn disconnect(link: &mut Link, reason: ReasonCode) {
    link.send(&Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY })).await;
}

/// `[MQTT-3.14.4-1]`, `[MQTT-3.14.4-2]`, `[MQTT-3.14.4-1 of 3.1.1]`, `[MQTT-3.14.4-2 of 3.1.1]`: the client closes
/// after its DISCONNECT, also when the server waits, and sends nothing in between.
#[tokio::test]
async fn the_client_closes_after_its_disconnect() {
    let server = Server::new().await;
    for options in versions(&server) {
        let (client, _messages, _events, mut link) = online(&server, options).await;
        let late = client.clone();
        let ending = tokio::spawn(async move { client.disconnect().await });
        assert!(matches!(link.expect().await, Seen::Disconnect(ReasonCode::Success, _)));
        assert!(late.publish(Publication::new("t", "late")).await.is_err());
        assert_eq!(link.next().await, None);
        timeout(PATIENCE, ending).await.expect("in time").expect("no panic");
    }
}

/// `[U5-41]`, `[MQTT-4.13.2-1]`: the server says that it ends the connection, and then waits.
#[tokio::test]
async fn the_client_closes_after_the_servers_disconnect() {
    let server = Server::new().await;
    for reason in [ReasonCode::ServerShuttingDown, ReasonCode::UnspecifiedError, ReasonCode::Success] {
        let (_client, _messages, mut events, mut link) = online(&server, server.options()).await;
        disconnect(&mut link, reason).await;
        assert_eq!(link.next().await, None);
        let refusal = Refusal { reason, text: None, server_reference: None };
        let cause = disconnected(&mut events).await;
        assert!(matches!(cause, Cause::Ended(protocol::Cause::ByServer(why)) if why == refusal));
    }
}

/// `[MQTT-4.13.2-1]`: the server refuses a client, and then waits.
#[tokio::test]
async fn the_client_closes_after_a_refusal() {
    let server = Server::new().await;
    for options in versions(&server) {
        let (_client, _messages, _events) = Client::start(options).expect("valid");
        let mut link = server.accept().await;
        link.expect().await;
        link.connack(false, ReasonCode::NotAuthorized, Properties::EMPTY).await;
        assert_eq!(link.next().await, None);
    }
}

/// `[MQTT-4.12.1-2]`: a challenge that the program cannot answer ends the connection that was good until then, with a
/// word to the server.
#[tokio::test]
async fn a_re_authentication_that_is_given_up_ends_the_connection() {
    let server = Server::new().await;
    let options = server.options().authentication("M", None, |_| None);
    let (client, _messages, mut events) = Client::start(options).expect("valid");
    let method = PropertiesBuf::from_iter([Property::AuthenticationMethod("M")]);
    let (mut link, _) = server.welcome_with(false, &[Property::AuthenticationMethod("M")]).await;
    timeout(PATIENCE, client.connected()).await.expect("in time").expect("accepted");
    client.re_authenticate().expect("online");
    assert_eq!(link.expect().await, Seen::Auth(Vec::new()));
    let reason = ReasonCode::ContinueAuthentication;
    link.send(&Packet::Auth(Auth { reason, properties: method.as_properties() })).await;
    assert_eq!(link.expect().await, Seen::Disconnect(ReasonCode::UnspecifiedError, None));
    assert_eq!(link.next().await, None);
    assert!(matches!(disconnected(&mut events).await, Cause::AuthenticationGivenUp(_)));
}

/// `[MQTT-4.8.0-1 of 3.1.1]`, `[MQTT-4.8.0-2 of 3.1.1]`: what goes wrong on one connection ends that one, and no other
/// of the same program.
#[tokio::test]
async fn a_fault_of_one_connection_leaves_the_others_alone() {
    let server = Server::new().await;
    let options = || server.options().version(Version::V311);
    let (other, mut messages, _events, mut link_of_other) = online(&server, options()).await;
    let (_faulty, _messages, mut events, mut link) = online(&server, options()).await;
    link.send_bytes(&[0x36, 0]).await;
    assert_eq!(link.next().await, None);
    let cause = disconnected(&mut events).await;
    assert!(matches!(cause, Cause::Ended(protocol::Cause::Violation { .. })), "{cause:?}");
    link_of_other.message("t", "still there", QoS::AtMostOnce, 0).await;
    let message = timeout(PATIENCE, messages.recv()).await.expect("in time").expect("connected");
    assert_eq!(message.text(), "still there");
    assert!(other.is_connected());
}

/// `[C21]`, `[MQTT-3.2.2-4]`: a server that claims a session of a new client is left, and dialled again with Clean
/// Start.
#[tokio::test]
async fn a_session_that_cannot_be_is_not_taken_up() {
    let server = Server::new().await;
    let (_client, _messages, mut events) = Client::start(server.options().client_id("c")).expect("valid");
    let (mut link, _) = server.welcome_with(true, &[]).await;
    assert_eq!(link.next().await, None);
    let cause = disconnected(&mut events).await;
    assert!(matches!(cause, Cause::Ended(protocol::Cause::Violation { statement: "MQTT-3.2.2-4", .. })));
    let (_link, connect) = server.welcome_with(false, &[]).await;
    assert!(matches!(connect, Seen::Connect { clean_start: true, .. }), "{connect:?}");
}

/// `[MQTT-4.2.0-1]`, `[MQTT-7.1.2-1 of 3.1.1]`: over TCP, whole and in order in both directions, although neither side
/// takes what the other sends in the pieces it was sent in.
#[tokio::test]
async fn tcp_carries_everything_in_order() {
    const MESSAGES: usize = 300;
    let server = Server::new().await;
    for options in versions(&server) {
        let (client, mut messages, _events, mut link) = online(&server, options).await;
        let payload = |number: usize| format!("{number} {}", "x".repeat(number * 17));
        let sending = tokio::spawn(async move {
            for number in 0..MESSAGES {
                client.publish(Publication::new("t", payload(number))).await.expect("accepted");
            }
            client
        });
        let receiving = tokio::spawn(async move {
            for number in 0..MESSAGES {
                let message = timeout(PATIENCE, messages.recv()).await.expect("in time").expect("connected");
                assert_eq!(message.text(), payload(number));
            }
        });
        for number in 0..MESSAGES {
            let Seen::Publish { payload: seen, .. } = link.expect().await else { panic!("no PUBLISH") };
            assert_eq!(seen, payload(number));
            link.message("t", &seen, QoS::AtMostOnce, 0).await;
        }
        let client = sending.await.expect("no panic");
        receiving.await.expect("no panic");
        assert!(client.is_connected());
    }
}
