//! The blocking client against a scripted server that runs on a thread of its own.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::server::{Link, PATIENCE, Seen, Server};
use longwire_client::{Options, Publication, QoS, blocking};

/// Runs a server that welcomes one client; tells its port, and afterwards what `script` returned.
fn serve<T, F>(script: impl FnOnce(Link) -> F + Send + 'static) -> (u16, thread::JoinHandle<T>)
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let (port_sender, port) = mpsc::channel();
    let serving = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let server = Server::new().await;
            port_sender.send(server.port()).expect("the test waits");
            script(server.welcome().await).await
        })
    });
    (port.recv_timeout(PATIENCE).expect("the server starts"), serving)
}

#[test]
fn calls_block_until_they_are_answered() {
    let (port, serving) = serve(Link::serve);
    let (client, _messages) =
        blocking::Client::connect(Options::new("127.0.0.1").port(port)).expect("connected");
    assert_eq!(client.subscribe(("a", QoS::ExactlyOnce)).expect("granted"), [QoS::AtLeastOnce]);
    let accepted = client.publish(Publication::new("t", "x").qos(QoS::ExactlyOnce)).expect("accepted");
    accepted.acknowledged().expect("delivered");
    client.disconnect();
    let all = serving.join().expect("no panic");
    assert!(matches!(all.last(), Some(Seen::Disconnect(..))), "{all:?}");
}

#[test]
fn messages_are_an_iterator_that_ends_with_the_client() {
    let (port, serving) = serve(async |mut link: Link| {
        link.message("t", "1", QoS::AtMostOnce, 0).await;
        link.message("t", "2", QoS::AtMostOnce, 0).await;
        link.serve().await
    });
    let (client, mut messages) =
        blocking::Client::connect(Options::new("127.0.0.1").port(port)).expect("connected");
    let texts: Vec<_> = messages.by_ref().take(2).map(|message| message.text().into_owned()).collect();
    assert_eq!(texts, ["1", "2"]);
    assert!(messages.recv_timeout(Duration::from_millis(1)).is_none());
    client.disconnect();
    assert!(messages.next().is_none());
    serving.join().expect("no panic");
}
