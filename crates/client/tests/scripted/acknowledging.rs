//! Acknowledgement by hand, and readers of part of the messages.

use std::sync::mpsc;
use std::time::Duration;

use crate::server::{Link, PATIENCE, Seen, Server};
use longwire_client::{
    Acknowledgement, Client, Message, Messages, Options, Publication, QoS, SubscribeError, protocol,
};
use tokio::time::timeout;

async fn connected(server: &Server, options: Options) -> (Link, Client, Messages) {
    let connecting = tokio::spawn(Client::connect(options));
    let link = server.welcome().await;
    let (client, messages) = connecting.await.expect("no panic").expect("accepted");
    (link, client, messages)
}

async fn manual(messages: &mut Messages) -> (Message, Acknowledgement) {
    timeout(PATIENCE, messages.recv_manual()).await.expect("in time").expect("the client goes on")
}

async fn text(messages: &mut Messages) -> String {
    let message = timeout(PATIENCE, messages.recv()).await.expect("in time").expect("the client goes on");
    message.text().into_owned()
}

/// Has the client write something that comes after all it owes until now.
async fn marked(client: &Client, link: &mut Link) -> Vec<Seen> {
    client.publish(Publication::new("mark", "")).await.expect("accepted");
    let mut before = Vec::new();
    loop {
        match link.expect().await {
            Seen::Publish { topic, .. } if topic == "mark" => return before,
            seen => before.push(seen),
        }
    }
}

/// `[MQTT-4.6.0-2]`, `[MQTT-4.6.0-3]`: given in any order, they leave in that of the messages.
#[tokio::test]
async fn tokens_may_be_used_in_any_order() {
    let server = Server::new().await;
    let (mut link, client, mut messages) = connected(&server, server.options()).await;
    link.message("t", "1", QoS::AtLeastOnce, 1).await;
    link.message("t", "2", QoS::ExactlyOnce, 2).await;
    link.message("t", "3", QoS::AtLeastOnce, 3).await;
    let (_, first) = manual(&mut messages).await;
    let (_, second) = manual(&mut messages).await;
    let (_, third) = manual(&mut messages).await;
    third.acknowledge();
    second.acknowledge();
    assert_eq!(marked(&client, &mut link).await, [], "the first is still open");
    first.acknowledge();
    assert_eq!(marked(&client, &mut link).await, [Seen::Ack(1), Seen::PubRec(2), Seen::Ack(3)]);
}

/// Both QoS: a dropped token holds nobody up, and the message comes again with the next connection of the session.
#[tokio::test]
async fn a_message_whose_token_is_dropped_comes_again() {
    let server = Server::new().await;
    let options = server.options().client_id("c").session_expiry(Duration::from_mins(1));
    let (mut link, client, mut messages) = connected(&server, options).await;
    link.message("t", "1", QoS::AtLeastOnce, 1).await;
    link.message("t", "2", QoS::ExactlyOnce, 2).await;
    link.message("t", "3", QoS::AtLeastOnce, 3).await;
    drop(manual(&mut messages).await);
    drop(manual(&mut messages).await);
    assert_eq!(text(&mut messages).await, "3");
    assert_eq!(marked(&client, &mut link).await, [Seen::Ack(3)]);
    drop(link);
    let (mut link, _) = server.welcome_with(true, &[]).await;
    link.message("t", "1", QoS::AtLeastOnce, 1).await;
    link.message("t", "2", QoS::ExactlyOnce, 2).await;
    assert_eq!(text(&mut messages).await, "1");
    assert_eq!(text(&mut messages).await, "2");
    assert_eq!(marked(&client, &mut link).await, [Seen::Ack(1), Seen::PubRec(2)]);
}

/// What was open when a connection broke holds up nothing of the next one.
#[tokio::test]
async fn a_token_of_an_earlier_connection_holds_nobody_up() {
    let server = Server::new().await;
    let options = server.options().client_id("c").session_expiry(Duration::from_mins(1));
    let (mut link, client, mut messages) = connected(&server, options).await;
    link.message("t", "1", QoS::ExactlyOnce, 1).await;
    let (_, token) = manual(&mut messages).await;
    drop(link);
    let (mut link, _) = server.welcome_with(true, &[]).await;
    link.message("t", "2", QoS::AtLeastOnce, 2).await;
    assert_eq!(text(&mut messages).await, "2");
    assert_eq!(marked(&client, &mut link).await, [Seen::Ack(2)]);
    // The server repeats the first, which is not handed out a second time.
    link.message("t", "1", QoS::ExactlyOnce, 1).await;
    token.acknowledge();
    assert_eq!(link.expect().await, Seen::PubRec(1));
    assert!(messages.try_recv().is_none());
}

/// The first connection brings messages at once: streams that were made before it miss none.
#[tokio::test]
async fn streams_made_before_the_connection_miss_nothing() {
    let server = Server::new().await;
    let prepared = Client::prepare(server.options()).expect("valid");
    let mut doors = prepared.client().stream("hall/+/door").expect("a filter");
    let mut hall = prepared.client().stream("$share/crew/hall/#").expect("a filter");
    let connecting = tokio::spawn(prepared.connect());
    let mut link = server.welcome().await;
    for (topic, id) in [("hall/1/door", 1), ("hall/light", 2), ("yard", 3), ("hall/2/door", 4)] {
        link.message(topic, topic, QoS::AtLeastOnce, id).await;
    }
    let (client, mut others) = connecting.await.expect("no panic").expect("accepted");
    assert_eq!(text(&mut others).await, "yard");
    assert_eq!(text(&mut doors).await, "hall/1/door");
    assert_eq!(text(&mut doors).await, "hall/2/door");
    assert_eq!(text(&mut hall).await, "hall/light");
    assert_eq!(marked(&client, &mut link).await, [1, 2, 3, 4].map(Seen::Ack));
    drop(doors);
    link.message("hall/1/door", "later", QoS::AtMostOnce, 0).await;
    assert_eq!(text(&mut hall).await, "later", "a stream that is gone leaves its messages to the next");
}

/// A handler's message counts as taken when the handler is done, not before.
#[tokio::test]
async fn a_handler_is_called_and_then_its_message_is_acknowledged() {
    let server = Server::new().await;
    let prepared = Client::prepare(server.options()).expect("valid");
    let (sender, seen) = mpsc::channel();
    let (open, gate) = tokio::sync::watch::channel(false);
    let handler = move |message: Message| {
        let (sender, mut gate) = (sender.clone(), gate.clone());
        async move {
            sender.send(message.text().into_owned()).expect("the test listens");
            gate.wait_for(|open| *open).await.expect("the test goes on");
        }
    };
    prepared.client().handle("t", handler).expect("a filter");
    let (client, _messages, _events) = prepared.start();
    let mut link = server.welcome().await;
    link.message("t", "1", QoS::AtLeastOnce, 1).await;
    link.message("t", "2", QoS::AtLeastOnce, 2).await;
    client.connected().await.expect("accepted");
    assert_eq!(marked(&client, &mut link).await, []);
    open.send(true).expect("the handler waits");
    assert_eq!((link.expect().await, link.expect().await), (Seen::Ack(1), Seen::Ack(2)));
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["1", "2"]);
}

/// The task of a handler does not keep the connection open.
#[tokio::test]
async fn a_client_with_handlers_only_leaves() {
    let server = Server::new().await;
    let prepared = Client::prepare(server.options()).expect("valid");
    prepared.client().handle("t", async |_| ()).expect("a filter");
    let connecting = tokio::spawn(prepared.connect());
    let mut link = server.welcome().await;
    drop(connecting.await.expect("no panic").expect("accepted"));
    assert!(matches!(link.expect().await, Seen::Disconnect(..)));
}

#[tokio::test]
async fn a_stream_of_what_is_no_filter_is_refused() {
    let prepared = Client::prepare(Options::new("h")).expect("valid");
    let refused = prepared.client().stream("a/#/b");
    assert!(matches!(refused, Err(SubscribeError::Rejected(protocol::SubscribeError::TopicFilter(0)))));
}
