//! The client against a scripted server on a real socket: what it does when the server is silent, gone, slow or rude.

use std::time::Duration;

use crate::server::{PATIENCE, Seen, Server};
use longwire_client::protocol::{self, Refusal};
use longwire_client::{
    AcknowledgeError, Cause, Client, ConnectError, Event, Events, Options, Properties, Property, Publication,
    PublishError, QoS, ReasonCode, Reconnect, SubscribeError, Version,
};
use tokio::time::timeout;

fn publication(payload: &str, qos: QoS) -> Publication {
    Publication::new("t", payload).qos(qos)
}

fn seen(payload: &str, qos: QoS, id: u16, dup: bool) -> Seen {
    Seen::Publish { topic: "t".into(), payload: payload.into(), qos, id, dup }
}

async fn next(events: &mut Events) -> Event {
    timeout(PATIENCE, events.recv()).await.expect("something happens in time").expect("the client goes on")
}

async fn disconnected(events: &mut Events) -> Cause {
    loop {
        if let Event::Disconnected(cause) = next(events).await {
            return cause;
        }
    }
}

async fn connected(events: &mut Events) {
    while !matches!(next(events).await, Event::Connected(_)) {}
}

// Servers that do not answer.

/// A server that accepts the connection and says nothing: the client closes, tells why, and tries again.
#[tokio::test]
async fn a_client_that_gets_no_connack_in_time_closes() {
    let server = Server::new().await;
    let options = server.options().connack_timeout(Duration::from_millis(100));
    let (_client, _messages, mut events) = Client::start(options).expect("valid");
    let mut link = server.accept().await;
    assert!(matches!(link.expect().await, Seen::Connect { .. }));
    assert_eq!(link.next().await, None, "the client closes");
    let cause = disconnected(&mut events).await;
    assert!(matches!(cause, Cause::Ended(protocol::Cause::ConnackTimeout)), "{cause:?}");
    server.welcome().await;
    connected(&mut events).await;
}

/// A server that falls silent in the middle of a connection: the client asks, gets no answer, closes, tells why, and
/// reconnects.
#[tokio::test]
async fn a_client_whose_server_goes_silent_notices_and_reconnects() {
    let server = Server::new().await;
    let options =
        server.options().keep_alive(Duration::from_secs(1)).ping_timeout(Duration::from_millis(100));
    let (_client, _messages, mut events) = Client::start(options).expect("valid");
    let mut link = server.welcome().await;
    connected(&mut events).await;
    assert_eq!(link.expect().await, Seen::Ping);
    assert_eq!(link.next().await, None, "the client closes");
    let cause = disconnected(&mut events).await;
    assert!(matches!(cause, Cause::Ended(protocol::Cause::ServerSilent)), "{cause:?}");
    server.welcome().await;
    connected(&mut events).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_as_the_cause() {
    let port = Server::new().await.port();
    let failed = Client::connect(Options::new("127.0.0.1").port(port)).await;
    let Err(ConnectError::Failed(Cause::Unreachable(error))) = failed else { panic!("{failed:?}") };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

// Connecting.

#[tokio::test]
async fn a_refused_client_learns_the_code_and_stays_away() {
    let server = Server::new().await;
    let connecting = tokio::spawn(Client::connect(server.options()));
    let mut link = server.accept().await;
    link.expect().await;
    link.connack(false, ReasonCode::BadUserNameOrPassword, Properties::EMPTY).await;
    let failed = connecting.await.expect("no panic");
    let Err(ConnectError::Failed(Cause::Ended(protocol::Cause::Refused(refusal)))) = failed else {
        panic!("{failed:?}")
    };
    assert_eq!(refusal.reason, ReasonCode::BadUserNameOrPassword);
    assert_eq!(link.next().await, None);
}

#[tokio::test]
async fn a_busy_server_is_tried_again() {
    let server = Server::new().await;
    let (_client, _messages, mut events) = Client::start(server.options()).expect("valid");
    let mut link = server.accept().await;
    link.expect().await;
    link.connack(false, ReasonCode::ServerBusy, Properties::EMPTY).await;
    server.welcome().await;
    connected(&mut events).await;
}

#[tokio::test]
async fn a_client_taken_over_by_another_does_not_fight_back() {
    let server = Server::new().await;
    let (client, _messages, mut events) = Client::start(server.options()).expect("valid");
    let mut link = server.welcome().await;
    connected(&mut events).await;
    let reason = ReasonCode::SessionTakenOver;
    let disconnect = longwire_proto::packet::Disconnect { reason, properties: Properties::EMPTY };
    link.send(&longwire_proto::Packet::Disconnect(disconnect)).await;
    assert!(matches!(next(&mut events).await, Event::Disconnected(_)));
    assert!(matches!(next(&mut events).await, Event::Ended(_)));
    assert!(events.recv().await.is_none());
    let refusal = Refusal { reason, text: None, server_reference: None };
    let refused = client.publish(publication("x", QoS::AtMostOnce)).await;
    let Err(PublishError::Closed(Cause::Ended(protocol::Cause::ByServer(why)))) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(why, refusal);
}

#[tokio::test]
async fn attempts_are_counted_and_then_given_up() {
    let port = Server::new().await.port();
    let soon = Duration::from_millis(1);
    let options = Options::new("127.0.0.1").port(port).reconnect(Reconnect::attempts(2).delays(soon, soon));
    let (client, _messages, mut events) = Client::start(options).expect("valid");
    let mut attempts = Vec::new();
    while let Some(event) = events.recv().await {
        if let Event::Reconnecting { attempt, .. } = event {
            attempts.push(attempt);
        }
    }
    assert_eq!(attempts, [1, 2]);
    assert!(matches!(client.connected().await, Err(Cause::Unreachable(_))));
}

#[tokio::test]
async fn challenges_are_answered_by_the_applications_function() {
    let server = Server::new().await;
    let options = server
        .options()
        .authentication("M", None, |challenge| Some(challenge.iter().rev().copied().collect()));
    let connecting = tokio::spawn(Client::connect(options));
    let mut link = server.accept().await;
    link.expect().await;
    let properties = [Property::AuthenticationMethod("M"), Property::AuthenticationData(b"abc")];
    let properties: longwire_client::PropertiesBuf = properties.into_iter().collect();
    let reason = ReasonCode::ContinueAuthentication;
    let auth = longwire_proto::packet::Auth { reason, properties: properties.as_properties() };
    link.send(&longwire_proto::Packet::Auth(auth)).await;
    assert_eq!(link.expect().await, Seen::Auth(b"cba".to_vec()));
    link.connack(false, ReasonCode::Success, properties.as_properties()).await;
    connecting.await.expect("no panic").expect("accepted");
}

#[tokio::test]
async fn a_challenge_without_an_answer_ends_the_client() {
    let server = Server::new().await;
    let connecting = tokio::spawn(Client::connect(server.options().authentication("M", None, |_| None)));
    let mut link = server.accept().await;
    link.expect().await;
    let properties = longwire_client::PropertiesBuf::from_iter([Property::AuthenticationMethod("M")]);
    let reason = ReasonCode::ContinueAuthentication;
    let auth = longwire_proto::packet::Auth { reason, properties: properties.as_properties() };
    link.send(&longwire_proto::Packet::Auth(auth)).await;
    let failed = connecting.await.expect("no panic");
    assert!(matches!(failed, Err(ConnectError::Failed(Cause::AuthenticationGivenUp(_)))), "{failed:?}");
}

// Publishing.

#[tokio::test]
async fn a_token_resolves_when_the_server_has_the_message() {
    let server = Server::new().await;
    let connecting = tokio::spawn(Client::connect(server.options()));
    let link = server.welcome().await;
    let serving = tokio::spawn(link.serve());
    let (client, messages) = connecting.await.expect("no panic").expect("accepted");
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let accepted = client.publish(publication("x", qos)).await.expect("accepted");
        assert_eq!(accepted.acknowledged().await.expect("delivered"), ReasonCode::Success);
    }
    drop((client, messages));
    let all = serving.await.expect("no panic");
    let expected = [
        seen("x", QoS::AtMostOnce, 0, false),
        seen("x", QoS::AtLeastOnce, 1, false),
        seen("x", QoS::ExactlyOnce, 2, false),
        Seen::PubRel(2),
        Seen::Disconnect(ReasonCode::Success, Some(0)),
    ];
    assert_eq!(all, expected);
}

#[tokio::test]
async fn publish_waits_for_room_and_try_publish_says_so() {
    let server = Server::new().await;
    let options = server.options().in_flight_max(1).queue_max(1, 1_000);
    let connecting = tokio::spawn(Client::connect(options));
    let mut link = server.welcome().await;
    let (client, _messages) = connecting.await.expect("no panic").expect("accepted");
    client.publish(publication("in flight", QoS::AtLeastOnce)).await.expect("accepted");
    client.publish(publication("queued", QoS::AtLeastOnce)).await.expect("accepted");
    let refused = client.try_publish(&publication("too many", QoS::AtLeastOnce));
    assert!(matches!(refused, Err(PublishError::Rejected(protocol::PublishError::QueueFull))));
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.publish(publication("third", QoS::AtLeastOnce)).await }
    });
    assert_eq!(link.expect().await, seen("in flight", QoS::AtLeastOnce, 1, false));
    assert!(!waiting.is_finished());
    link.puback(1).await;
    waiting.await.expect("no panic").expect("accepted");
    assert_eq!(link.expect().await, seen("queued", QoS::AtLeastOnce, 2, false));
}

/// With messages in flight and waiting, the connection breaks twice; with the session kept, each message arrives, the
/// ones in flight marked as repeats.
#[tokio::test]
async fn publications_survive_lost_connections() {
    let server = Server::new().await;
    let options = server.options().client_id("c").in_flight_max(1);
    let (client, _messages, _events) = Client::start(options).expect("valid");
    let mut tokens = Vec::new();
    for payload in ["1", "2", "3"] {
        tokens.push(client.publish(publication(payload, QoS::AtLeastOnce)).await.expect("accepted"));
    }
    let mut link = server.welcome().await;
    assert_eq!(link.expect().await, seen("1", QoS::AtLeastOnce, 1, false));
    drop(link);
    let (mut link, connect) = server.welcome_with(true, &[]).await;
    let expiry = Some(300);
    assert_eq!(connect, Seen::Connect { clean_start: false, client_id: "c".into(), session_expiry: expiry });
    assert_eq!(link.expect().await, seen("1", QoS::AtLeastOnce, 1, true));
    link.puback(1).await;
    assert_eq!(link.expect().await, seen("2", QoS::AtLeastOnce, 2, false));
    drop(link);
    let (link, _) = server.welcome_with(true, &[]).await;
    let serving = tokio::spawn(link.serve());
    for token in tokens {
        token.acknowledged().await.expect("delivered");
    }
    client.disconnect().await;
    let all = serving.await.expect("no panic");
    assert_eq!(all[..2], [seen("2", QoS::AtLeastOnce, 2, true), seen("3", QoS::AtLeastOnce, 3, false)]);
}

#[tokio::test]
async fn a_client_that_ends_tells_those_who_wait() {
    let server = Server::new().await;
    let connecting = tokio::spawn(Client::connect(server.options()));
    let mut link = server.welcome().await;
    let (client, _messages) = connecting.await.expect("no panic").expect("accepted");
    let token = client.publish(publication("x", QoS::AtLeastOnce)).await.expect("accepted");
    link.expect().await;
    client.disconnect().await;
    let unknown = token.acknowledged().await;
    let Err(AcknowledgeError::Closed(Cause::Ended(protocol::Cause::Requested))) = unknown else {
        panic!("{unknown:?}")
    };
}

/// The server says why, and closes, while the client keeps writing: the reason is not lost in the broken pipe.
#[tokio::test]
async fn the_servers_last_words_are_heard() {
    let server = Server::new().await;
    let (client, _messages, mut events) = Client::start(server.options()).expect("valid");
    let mut link = server.welcome().await;
    connected(&mut events).await;
    let reason = ReasonCode::ServerShuttingDown;
    let disconnect = longwire_proto::packet::Disconnect { reason, properties: Properties::EMPTY };
    link.send(&longwire_proto::Packet::Disconnect(disconnect)).await;
    client.publish(publication("x", QoS::AtMostOnce)).await.expect("accepted");
    let cause = disconnected(&mut events).await;
    let Cause::Ended(protocol::Cause::ByServer(refusal)) = cause else { panic!("{cause:?}") };
    assert_eq!(refusal.reason, reason);
}

// Subscribing and receiving.

#[tokio::test]
async fn subscribe_tells_what_was_granted() {
    let server = Server::new().await;
    let connecting = tokio::spawn(Client::connect(server.options()));
    let mut link = server.welcome().await;
    let (client, _messages) = connecting.await.expect("no panic").expect("accepted");
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.subscribe([("a", QoS::ExactlyOnce), ("b", QoS::ExactlyOnce)]).await }
    });
    assert_eq!(link.expect().await, Seen::Subscribe(1, vec!["a".into(), "b".into()]));
    link.suback(1, &[2, 0]).await;
    let granted = asking.await.expect("no panic").expect("granted");
    assert_eq!(granted, [QoS::ExactlyOnce, QoS::AtMostOnce]);
}

#[tokio::test]
async fn a_refused_filter_is_an_error_that_names_it() {
    let server = Server::new().await;
    let connecting = tokio::spawn(Client::connect(server.options()));
    let mut link = server.welcome().await;
    let (client, _messages) = connecting.await.expect("no panic").expect("accepted");
    let asking = tokio::spawn(async move {
        client.subscribe([("good", QoS::AtLeastOnce), ("bad", QoS::AtLeastOnce)]).await
    });
    link.expect().await;
    link.suback(1, &[1, 0x87]).await;
    let refused = asking.await.expect("no panic");
    let Err(SubscribeError::Refused { filter, reason, answers }) = refused else { panic!("{refused:?}") };
    assert_eq!((filter.as_str(), reason), ("bad", ReasonCode::NotAuthorized));
    assert_eq!(answers, [Ok(QoS::AtLeastOnce), Err(ReasonCode::NotAuthorized)]);
}

#[tokio::test]
async fn subscriptions_come_back_with_a_server_that_lost_the_session() {
    let server = Server::new().await;
    let (client, _messages, mut events) = Client::start(server.options()).expect("valid");
    let mut link = server.welcome().await;
    connected(&mut events).await;
    let asking = tokio::spawn(async move {
        let granted = client.subscribe(("a/#", QoS::AtLeastOnce)).await;
        (client, granted)
    });
    link.expect().await;
    link.suback(1, &[1]).await;
    let (_client, granted) = asking.await.expect("no panic");
    granted.expect("granted");
    drop(link);
    let mut link = server.welcome().await;
    assert_eq!(link.expect().await, Seen::Subscribe(2, vec!["a/#".into()]));
}

/// A reader that does not take its messages holds the server back, without loss, and without being taken for dead or
/// taking the server for dead.
#[tokio::test]
async fn a_slow_reader_holds_the_server_back_and_loses_nothing() {
    const MESSAGES: usize = 2_000;
    let server = Server::new().await;
    let options = server
        .options()
        .messages_max(2)
        .keep_alive(Duration::from_secs(1))
        .ping_timeout(Duration::from_millis(50));
    let (_client, mut messages, mut events) = Client::start(options).expect("valid");
    let mut link = server.welcome().await;
    connected(&mut events).await;
    let mut sending = tokio::spawn(async move {
        // Too much for the buffers of the sockets.
        let payload = "x".repeat(10_000);
        for number in 0..MESSAGES {
            link.message("t", &format!("{number} {payload}"), QoS::AtMostOnce, 0).await;
        }
        link
    });
    let held_back = timeout(Duration::from_millis(1_500), &mut sending).await;
    assert!(held_back.is_err(), "the server cannot send everything while nobody reads");
    for number in 0..MESSAGES {
        let message = timeout(PATIENCE, messages.recv()).await.expect("in time").expect("connected");
        assert!(message.text().starts_with(&format!("{number} ")), "{number}");
    }
    let mut link = sending.await.expect("no panic");
    assert_eq!(link.expect().await, Seen::Ping, "sent while the reader slept");
}

/// The server keeps what the program has not taken.
#[tokio::test]
async fn a_message_is_acknowledged_when_it_is_taken() {
    let server = Server::new().await;
    let connecting = tokio::spawn(Client::connect(server.options()));
    let mut link = server.welcome().await;
    let (client, mut messages) = connecting.await.expect("no panic").expect("accepted");
    link.message("t", "1", QoS::AtLeastOnce, 1).await;
    link.message("t", "2", QoS::ExactlyOnce, 2).await;
    assert_eq!(messages.recv().await.map(|message| message.text().into_owned()), Some("1".into()));
    assert_eq!(link.expect().await, Seen::Ack(1));
    client.publish(publication("later", QoS::AtMostOnce)).await.expect("accepted");
    assert_eq!(link.expect().await, seen("later", QoS::AtMostOnce, 0, false));
    assert_eq!(messages.recv().await.map(|message| message.text().into_owned()), Some("2".into()));
    assert_eq!(link.expect().await, Seen::PubRec(2));
}

#[tokio::test]
async fn messages_nobody_wants_are_acknowledged_all_the_same() {
    let server = Server::new().await;
    let (_client, messages, mut events) = Client::start(server.options().messages_max(1)).expect("valid");
    let mut link = server.welcome().await;
    connected(&mut events).await;
    drop(messages);
    for id in 1..=3 {
        link.message("t", "x", QoS::AtLeastOnce, id).await;
        assert_eq!(link.expect().await, Seen::Ack(id));
    }
}

#[tokio::test]
async fn a_large_message_arrives_in_one_piece() {
    let server = Server::new().await;
    let (_client, mut messages, mut events) = Client::start(server.options()).expect("valid");
    let mut link = server.welcome().await;
    connected(&mut events).await;
    let payload = "0123456789".repeat(150_000);
    link.message("t", &payload, QoS::AtMostOnce, 0).await;
    let message = timeout(PATIENCE, messages.recv()).await.expect("in time").expect("connected");
    assert!(message.payload == payload.as_bytes());
}

#[tokio::test]
async fn a_server_that_breaks_a_rule_is_told_and_dialled_again() {
    let server = Server::new().await;
    let (_client, _messages, mut events) = Client::start(server.options()).expect("valid");
    let mut link = server.welcome().await;
    connected(&mut events).await;
    link.send_bytes(&[0x36, 0]).await;
    assert_eq!(link.expect().await, Seen::Disconnect(ReasonCode::MalformedPacket, None));
    assert_eq!(link.next().await, None);
    assert!(matches!(
        disconnected(&mut events).await,
        Cause::Ended(protocol::Cause::Violation { statement: "MQTT-3.3.1-4", .. })
    ));
    server.welcome().await;
    connected(&mut events).await;
}

// Ending.

#[tokio::test]
async fn disconnect_comes_after_what_was_published() {
    let server = Server::new().await;
    let connecting = tokio::spawn(Client::connect(server.options().version(Version::V311).client_id("c")));
    let mut link = server.welcome().await;
    let (client, _messages) = connecting.await.expect("no panic").expect("accepted");
    for payload in ["1", "2"] {
        client.publish(publication(payload, QoS::AtMostOnce)).await.expect("accepted");
    }
    tokio::spawn(async move { client.disconnect().await });
    assert_eq!(link.expect().await, seen("1", QoS::AtMostOnce, 0, false));
    assert_eq!(link.expect().await, seen("2", QoS::AtMostOnce, 0, false));
    assert_eq!(link.expect().await, Seen::Disconnect(ReasonCode::Success, None));
    assert_eq!(link.next().await, None);
}

#[tokio::test]
async fn a_session_with_a_length_of_its_own_outlives_disconnect() {
    let server = Server::new().await;
    let options = server.options().session_expiry(Duration::from_mins(1));
    let connecting = tokio::spawn(Client::connect(options));
    let (mut link, connect) = server.welcome_with(false, &[]).await;
    assert!(matches!(connect, Seen::Connect { session_expiry: Some(60), .. }));
    let (client, _messages) = connecting.await.expect("no panic").expect("accepted");
    tokio::spawn(async move { client.disconnect().await });
    assert_eq!(link.expect().await, Seen::Disconnect(ReasonCode::Success, None));
}

#[tokio::test]
async fn a_client_without_handles_leaves() {
    let server = Server::new().await;
    let connecting = tokio::spawn(Client::connect(server.options()));
    let mut link = server.welcome().await;
    let (client, messages) = connecting.await.expect("no panic").expect("accepted");
    let clone = client.clone();
    drop((client, messages));
    drop(clone);
    assert!(matches!(link.expect().await, Seen::Disconnect(ReasonCode::Success, _)));
    assert_eq!(link.next().await, None);
}

#[tokio::test]
async fn disconnect_ends_the_waiting_between_attempts() {
    let port = Server::new().await.port();
    let long = Duration::from_hours(1);
    let options = Options::new("127.0.0.1").port(port).reconnect(Reconnect::forever().delays(long, long));
    let (client, _messages, mut events) = Client::start(options).expect("valid");
    while !matches!(next(&mut events).await, Event::Reconnecting { .. }) {}
    timeout(PATIENCE, client.disconnect()).await.expect("at once");
}
