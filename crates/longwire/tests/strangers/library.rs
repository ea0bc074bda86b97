//! The client library against real brokers: ours, and Debian's Mosquitto by each of its transports, in fair weather, through
//! a network that breaks, and over a restart of the broker.

mod brokers;
mod weather;

use std::collections::BTreeMap;
use std::time::Duration;

use longwire_client::{
    Cause, Client, Event, Messages, Options, Publication, QoS, ReasonCode, Reconnect, Version, protocol,
};
use tokio::time::timeout;

use crate::support::PATIENCE;
use brokers::{Mosquitto, Ours};
use weather::Network;

/// One test of each scene, with this attribute, for each of the versions.
macro_rules! scenes {
    ($broker:path, $attribute:meta; $($scene:ident)*) => {
        mod v3_1_1 {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[$attribute]
                async fn $scene() {
                    crate::library::$scene(&$broker(), longwire_client::Version::V311).await;
                }
            )*
        }
        mod v5_0 {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[$attribute]
                async fn $scene() {
                    crate::library::$scene(&$broker(), longwire_client::Version::V5).await;
                }
            )*
        }
    };
}

mod at_ours {
    scenes!(crate::library::Ours::start, doc = "needs nothing else"; every_qos resume will broken_network);

    #[tokio::test]
    async fn takeover() {
        super::takeover(&super::Ours::start()).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn restart_that_loses_everything() {
        super::restart_that_loses_everything().await;
    }
}

mod at_mosquitto {
    scenes!(
        crate::library::Mosquitto::start,
        ignore = "needs programs that `cargo xtask test` installs";
        every_qos resume will broken_network every_transport
    );
}

/// A broker that listens on a port of loopback.
trait Listens {
    fn port(&self) -> u16;
}

/// Options of a client that does not dawdle.
fn options(port: u16, version: Version, client_id: &str) -> Options {
    brisk(Options::new("localhost").port(port), version, client_id)
}

fn brisk(options: Options, version: Version, client_id: &str) -> Options {
    let (soon, later) = (Duration::from_millis(20), Duration::from_millis(200));
    options.version(version).client_id(client_id).reconnect(Reconnect::forever().delays(soon, later))
}

/// The same with a session that outlives its connections, and is taken up where there is one.
fn lasting(options: Options, version: Version) -> Options {
    let options = options.clean_start(false);
    if version == Version::V5 { options.session_expiry(Duration::from_mins(5)) } else { options }
}

/// The same for a client that sends itself everything first and takes it afterwards.
fn alone(options: Options, version: Version) -> Options {
    lasting(options, version).messages_max(2 * MESSAGES)
}

async fn connect(options: Options) -> (Client, Messages) {
    let connected = timeout(PATIENCE, Client::connect(options)).await.expect("in time");
    connected.unwrap_or_else(|error| panic!("no connection: {error}"))
}

async fn text(messages: &mut Messages) -> String {
    let message = timeout(PATIENCE, messages.recv()).await.expect("a message in time");
    message.expect("the client goes on").text().into_owned()
}

async fn publish(client: &Client, topic: &str, payload: String, qos: QoS) {
    let accepted = client.publish(Publication::new(topic, payload).qos(qos)).await.expect("accepted");
    timeout(PATIENCE, accepted.acknowledged()).await.expect("in time").expect("delivered");
}

const EVERY_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

async fn every_qos(broker: &impl Listens, version: Version) {
    there_and_back(options(broker.port(), version, "pairs")).await;
}

/// Messages of every QoS, small and large, that the client sends itself.
async fn there_and_back(options: Options) {
    let (client, mut messages) = connect(options).await;
    client.subscribe(("there/#", QoS::ExactlyOnce)).await.expect("granted");
    for qos in EVERY_QOS {
        for payload in [format!("{qos:?}"), "x".repeat(100_000)] {
            publish(&client, &format!("there/{}", qos as u8), payload.clone(), qos).await;
            let message = timeout(PATIENCE, messages.recv()).await.expect("in time").expect("it goes on");
            assert_eq!((message.qos, message.text().as_ref()), (qos, payload.as_str()));
        }
    }
    client.unsubscribe(&["there/#"]).await.expect("granted");
    client.disconnect().await;
}

async fn every_transport(broker: &Mosquitto, version: Version) {
    for (number, options) in broker.transports().into_iter().enumerate() {
        there_and_back(brisk(options, version, &format!("by{number}"))).await;
    }
}

/// What came while the client was away waits for it, acknowledged or not by the token of the one that left.
async fn resume(broker: &impl Listens, version: Version) {
    let sleeper = || lasting(options(broker.port(), version, "sleeper"), version);
    let (client, mut messages) = connect(sleeper()).await;
    client.subscribe(("news", QoS::ExactlyOnce)).await.expect("granted");
    let (press, _press_messages) = connect(options(broker.port(), version, "press")).await;
    publish(&press, "news", "unread".into(), QoS::AtLeastOnce).await;
    let (message, token) =
        timeout(PATIENCE, messages.recv_manual()).await.expect("in time").expect("it goes on");
    assert_eq!(message.text(), "unread");
    drop(token);
    client.disconnect().await;
    for number in 0..5 {
        publish(&press, "news", number.to_string(), EVERY_QOS[1 + number % 2]).await;
    }
    let prepared = Client::prepare(sleeper()).expect("valid");
    let mut news = prepared.client().stream("news").expect("a filter");
    let (client, _others) = timeout(PATIENCE, prepared.connect()).await.expect("in time").expect("connected");
    assert!(client.connected().await.expect("connected").session_present);
    let mut got = Vec::new();
    for _ in 0..6 {
        got.push(text(&mut news).await);
    }
    got.sort();
    assert_eq!(got, ["0", "1", "2", "3", "4", "unread"]);
}

/// A client that is cut off has its will published; one that leaves in good order has not.
async fn will(broker: &impl Listens, version: Version) {
    let (watcher, mut wills) = connect(options(broker.port(), version, "watcher")).await;
    watcher.subscribe(("wills/#", QoS::AtLeastOnce)).await.expect("granted");
    let network = Network::calm(broker.port()).await;
    let mortal = |name: &str, port| {
        let options = options(port, version, name).reconnect(Reconnect::never());
        options.will(format!("wills/{name}"), name.to_owned(), QoS::AtLeastOnce, false)
    };
    let (leaves, _) = connect(mortal("leaves", broker.port())).await;
    leaves.disconnect().await;
    let (_dies, _messages) = connect(mortal("dies", network.port())).await;
    network.cut();
    assert_eq!(text(&mut wills).await, "dies");
}

/// 5.0: who is told that another client took its session over does not fight for it.
async fn takeover(broker: &impl Listens) {
    let (_first, _messages, mut events) =
        Client::start(options(broker.port(), Version::V5, "twin")).expect("valid");
    let mut next = async || timeout(PATIENCE, events.recv()).await.expect("in time").expect("it goes on");
    assert!(matches!(next().await, Event::Connected(_)));
    let (second, _messages) = connect(options(broker.port(), Version::V5, "twin")).await;
    assert!(matches!(next().await, Event::Disconnected(_)));
    let Event::Ended(Cause::Ended(protocol::Cause::ByServer(refusal))) = next().await else {
        panic!("it does not end")
    };
    assert_eq!(refusal.reason, ReasonCode::SessionTakenOver);
    assert!(second.is_connected());
}

const MESSAGES: usize = 150;

/// A publisher and a subscriber, each through a network that delays, half-closes and cuts its connections: QoS 1 loses
/// nothing, QoS 2 neither loses nor doubles anything and keeps its order.
async fn broken_network(broker: &impl Listens, version: Version) {
    for seed in [1, 2, 3] {
        let (to_press, to_reader) =
            (Network::rough(broker.port(), seed).await, Network::rough(broker.port(), seed + 100).await);
        let named = |port, name: &str| lasting(options(port, version, &format!("{name}{seed}")), version);
        let (reader, mut messages, _events) =
            Client::start(named(to_reader.port(), "reader")).expect("valid");
        let filter = format!("rough/{seed}/+");
        let granted = timeout(PATIENCE, reader.subscribe((filter.as_str(), QoS::ExactlyOnce)));
        granted.await.expect("in time").expect("granted");
        let (press, _messages, _events) = Client::start(named(to_press.port(), "press")).expect("valid");
        let sending = tokio::spawn(async move {
            let mut tokens = Vec::new();
            for number in 0..MESSAGES {
                for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                    let topic = format!("rough/{seed}/{}", qos as u8);
                    let publication = Publication::new(topic, number.to_string()).qos(qos);
                    tokens.push(press.publish(publication).await.expect("accepted"));
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            for token in tokens {
                timeout(PATIENCE, token.acknowledged()).await.expect("in time").expect("delivered");
            }
        });
        let mut got: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let is_whole = |got: &BTreeMap<String, Vec<usize>>| {
            got.len() == 2 && got.values().all(|numbers| numbers.contains(&(MESSAGES - 1)))
        };
        while !is_whole(&got) {
            let message = timeout(PATIENCE, messages.recv()).await;
            let message = message.unwrap_or_else(|_| panic!("seed {seed}: nothing after {got:?}"));
            let message = message.expect("it goes on");
            got.entry(message.topic.clone()).or_default().push(message.text().parse().expect("a number"));
        }
        sending.await.expect("no panic");
        let all: Vec<usize> = (0..MESSAGES).collect();
        assert_eq!(got[&format!("rough/{seed}/2")], all, "seed {seed}: QoS 2");
        let mut at_least_once = got[&format!("rough/{seed}/1")].clone();
        at_least_once.sort_unstable();
        at_least_once.dedup();
        assert_eq!(at_least_once, all, "seed {seed}: QoS 1");
        assert!(to_press.cuts() + to_reader.cuts() > 0, "seed {seed}: the network was not rough");
    }
}

/// A broker that loses all sessions: the client subscribes again, and then publishes what the broker had not taken.
async fn restart_that_loses_everything() {
    let mut broker = Ours::start();
    let (client, mut messages, mut events) =
        Client::start(alone(options(broker.port(), Version::V5, "self"), Version::V5)).expect("valid");
    client.subscribe(("self/#", QoS::AtLeastOnce)).await.expect("granted");
    publish(&client, "self/1", "before".into(), QoS::AtLeastOnce).await;
    assert_eq!(text(&mut messages).await, "before");
    broker.kill();
    while !matches!(events.recv().await, Some(Event::Disconnected(_))) {}
    let mut tokens = Vec::new();
    for number in 0..MESSAGES {
        let publication = Publication::new("self/1", number.to_string()).qos(QoS::AtLeastOnce);
        tokens.push(client.publish(publication).await.expect("accepted"));
    }
    broker.begin_again();
    for token in tokens {
        timeout(PATIENCE, token.acknowledged()).await.expect("in time").expect("delivered");
    }
    for number in 0..MESSAGES {
        assert_eq!(text(&mut messages).await, number.to_string());
    }
}
