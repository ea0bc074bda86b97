//! The client library by each transport, against servers of these transports that do what a script says.

#[path = "../scripted/server.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod server;

mod certificates;
mod proxy;
mod tls;
mod unix;
mod websocket;

use std::time::Duration;

use longwire_client::{Client, ConnectError, DialError, Options, Publication, QoS, Reconnect};
use server::{Link, PATIENCE, Seen};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A port of loopback to listen on.
async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

async fn accept(listener: &TcpListener) -> TcpStream {
    timeout(PATIENCE, listener.accept()).await.expect("the client dials in time").expect("accepted").0
}

/// Options of a client that does not dawdle.
fn brisk(options: Options) -> Options {
    let soon = Duration::from_millis(10);
    options.reconnect(Reconnect::forever().delays(soon, soon)).dial_timeout(Duration::from_secs(5))
}

/// Why a client does not come to a connection.
async fn unreachable(options: Options) -> std::sync::Arc<DialError> {
    match timeout(PATIENCE, Client::connect(brisk(options))).await.expect("in time") {
        Err(ConnectError::Failed(longwire_client::Cause::Unreachable(error))) => error,
        other => panic!("it is not unreachable: {other:?}"),
    }
}

/// Speaks MQTT both ways over a connection that a server accepts by `link`: packets of some bytes and of a quarter of a
/// million, and a proper end.
async fn exchange(options: Options, link: impl Future<Output = Link> + Send + 'static) {
    let serving = tokio::spawn(async {
        let mut link = link.await;
        assert!(matches!(link.expect().await, Seen::Connect { .. }));
        link.connack(false, longwire_client::ReasonCode::Success, longwire_client::Properties::EMPTY).await;
        link.message("from/server", &"s".repeat(250_000), QoS::AtLeastOnce, 1).await;
        link.serve().await
    });
    let connecting = timeout(PATIENCE, Client::connect(brisk(options)));
    let (client, mut messages) = connecting.await.expect("in time").expect("connected");
    let message = timeout(PATIENCE, messages.recv()).await.expect("in time").expect("connected");
    assert_eq!(message.payload.len(), 250_000);
    for payload in [b"short".to_vec(), vec![b'c'; 250_000]] {
        let publication = Publication::new("from/client", payload).qos(QoS::ExactlyOnce);
        let accepted = client.publish(publication).await.expect("accepted");
        timeout(PATIENCE, accepted.acknowledged()).await.expect("in time").expect("delivered");
    }
    client.disconnect().await;
    let all = timeout(PATIENCE, serving).await.expect("in time").expect("no panic");
    let sizes: Vec<usize> = all
        .iter()
        .filter_map(|seen| if let Seen::Publish { payload, .. } = seen { Some(payload.len()) } else { None })
        .collect();
    assert_eq!(sizes, [5, 250_000]);
    assert!(
        all.contains(&Seen::Ack(1)) && matches!(all.last(), Some(Seen::Disconnect(..))),
        "{:?}",
        all.last()
    );
}
