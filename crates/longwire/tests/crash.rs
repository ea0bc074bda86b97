//! The first promise: what was acknowledged is there after `kill -9`. A real broker with a data folder,
//! real publishers and subscribers; the broker is killed at random moments and started again, for several rounds.
//!
//! `ROUNDS` and `SEED` in the environment choose how often and how; `cargo xtask crash` runs many.

#[allow(dead_code, unused_imports, reason = "each test program uses its own part")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use longwire_client::{
    Client, Event, Events, Messages, Options, Publication, QoS, Reconnect, Subscription, Version,
};
use support::{PATIENCE, Process, longwire};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Kills in one run, if nothing else is said.
const ROUNDS: u64 = 10;
/// Longest time between a start and the kill.
const LIFE_MAX_MS: u64 = 700;
/// Quiet after the last kill, after which everything has arrived.
const QUIET: Duration = Duration::from_secs(2);
/// Messages that a publisher has on their way.
const WINDOW: usize = 40;
const SESSION: Duration = Duration::from_hours(1);
const LEVELS: [QoS; 2] = [QoS::AtLeastOnce, QoS::ExactlyOnce];
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

/// The broker, on one port and one folder, through all its lives.
struct Broker {
    process: Process,
    port: u16,
    folder: PathBuf,
}

impl Broker {
    fn start() -> Broker {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        drop(listener);
        let folder = std::env::temp_dir().join(format!("longwire-crash-{}-{port}", std::process::id()));
        Broker { process: serve(port, &folder), port, folder }
    }

    fn kill_and_start(&mut self) {
        self.process.kill();
        self.process = serve(self.port, &self.folder);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.process.kill();
            std::fs::remove_dir_all(&self.folder).expect("the folder was the broker's alone");
        }
    }
}

fn serve(port: u16, folder: &std::path::Path) -> Process {
    let listen = format!("mqtt://127.0.0.1:{port}");
    let folder = folder.to_str().expect("temporary folders have plain names");
    let mut process = Process::spawn(&mut longwire(&["serve", "--listen", &listen, "--data", folder]));
    process.log_line("listening");
    process
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn options(port: u16, client_id: &str, version: Version) -> Options {
    let options = Options::new("127.0.0.1")
        .port(port)
        .version(version)
        .client_id(client_id)
        .clean_start(false)
        .reconnect(Reconnect::forever().delays(Duration::from_millis(20), Duration::from_millis(100)));
    if version == Version::V5 { options.session_expiry(SESSION) } else { options }
}

/// What one publisher had acknowledged, in the order of publishing.
type Acknowledged = Arc<Mutex<BTreeMap<String, Vec<u64>>>>;

/// What one subscriber received, by topic.
type Received = Arc<Mutex<BTreeMap<String, Vec<u64>>>>;

/// Publishes numbers, one after the other at one QoS, until it is told to stop.
fn publisher(
    port: u16,
    version: Version,
    qos: QoS,
    acknowledged: &Acknowledged,
) -> (JoinHandle<()>, Arc<Mutex<bool>>) {
    let topic = format!("t/{}/{}", version as u8, qos as u8);
    let stops = Arc::new(Mutex::new(false));
    let (acknowledged, is_over) = (Arc::clone(acknowledged), Arc::clone(&stops));
    let task = tokio::spawn(async move {
        let (client, _messages, _events) =
            Client::start(options(port, &format!("publisher-{topic}").replace('/', "-"), version))
                .expect("valid");
        let mut number = 0;
        while !*is_over.lock().expect("nobody panics with it") {
            let mut tokens = Vec::new();
            for _ in 0..WINDOW {
                number += 1;
                let retain = number % 7 == 0;
                let message = Publication::new(&topic, number.to_string()).qos(qos).retain(retain);
                tokens.push((number, client.publish(message).await.expect("the client goes on")));
            }
            for (number, token) in tokens {
                token.acknowledged().await.expect("the broker takes it, sooner or later");
                let mut all = acknowledged.lock().expect("nobody panics with it");
                all.entry(topic.clone()).or_default().push(number);
            }
        }
        client.disconnect().await;
    });
    (task, stops)
}

/// Receives everything below `t/`, and the wills.
async fn subscriber(port: u16, version: Version, qos: QoS) -> (Client, Received, JoinHandle<()>) {
    let client_id = format!("subscriber-{}-{}", version as u8, qos as u8);
    let (client, messages) =
        Client::connect(options(port, &client_id, version)).await.expect("the broker accepts");
    let filters = Subscription::new().filter("t/#", qos).filter("will/#", qos);
    client.subscribe(filters).await.expect("the broker grants");
    let received = Received::default();
    let task = tokio::spawn(receive(messages, Arc::clone(&received)));
    (client, received, task)
}

async fn receive(mut messages: Messages, received: Received) {
    while let Some(message) = messages.recv().await {
        let number = message.text().parse().expect("payloads are numbers");
        received.lock().expect("nobody panics with it").entry(message.topic).or_default().push(number);
    }
}

/// A client that only has a will, with the number of its connection.
async fn mortal(port: u16, number: u64) -> Client {
    let client_id = format!("mortal-{number}");
    let mortal = options(port, &client_id, Version::V5).reconnect(Reconnect::never()).will(
        "will/mortal",
        number.to_string(),
        QoS::ExactlyOnce,
        false,
    );
    let (client, _messages) = Client::connect(mortal).await.expect("the broker accepts");
    client
}

async fn connected(events: &mut Events) {
    let again = async { while !matches!(events.recv().await, Some(Event::Connected(_))) {} };
    timeout(PATIENCE, again).await.expect("the client comes back");
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9() {
    let seed = from_environment("SEED", 1);
    let rounds = from_environment("ROUNDS", ROUNDS);
    println!("SEED={seed} ROUNDS={rounds}");
    let mut random = Random(seed);
    let mut broker = Broker::start();
    let mut subscribers = Vec::new();
    for version in VERSIONS {
        for qos in LEVELS {
            subscribers.push((version, qos, subscriber(broker.port, version, qos).await));
        }
    }
    // Subscribes, and is away for all that follows.
    let (absent, _messages) =
        Client::connect(options(broker.port, "absent", Version::V5)).await.expect("the broker accepts");
    absent.subscribe(("t/#", QoS::ExactlyOnce)).await.expect("the broker grants");
    absent.disconnect().await;

    let acknowledged = Acknowledged::default();
    let mut publishers = Vec::new();
    for version in VERSIONS {
        for qos in LEVELS {
            publishers.push(publisher(broker.port, version, qos, &acknowledged));
        }
    }
    let (_, _, (watched, ..)) = &subscribers[0];
    let mut events = watched.events();
    for round in 1..=rounds {
        let _mortal = mortal(broker.port, round).await;
        sleep(Duration::from_millis(random.below(LIFE_MAX_MS))).await;
        broker.kill_and_start();
        connected(&mut events).await;
    }
    for (task, stops) in publishers {
        *stops.lock().expect("nobody panics with it") = true;
        timeout(PATIENCE, task).await.expect("a publisher ends in time").expect("it does not panic");
    }
    let acknowledged = acknowledged.lock().expect("nobody panics with it").clone();
    let all: usize = acknowledged.values().map(Vec::len).sum();
    println!("{all} messages were acknowledged");
    assert!(all as u64 > rounds * WINDOW as u64, "the publishers got somewhere");

    let (returned, messages) =
        Client::connect(options(broker.port, "absent", Version::V5)).await.expect("the broker accepts");
    assert!(returned.connected().await.expect("it is connected").session_present, "its session survived");
    let received = Received::default();
    let task = tokio::spawn(receive(messages, Arc::clone(&received)));
    subscribers.push((Version::V5, QoS::ExactlyOnce, (returned, received, task)));
    for (version, qos, (client, received, task)) in subscribers {
        quiet(&received).await;
        client.disconnect().await;
        task.await.expect("it does not panic");
        let received = received.lock().expect("nobody panics with it");
        let whose = format!("the subscriber of version {version:?} at QoS {}", qos as u8);
        check(&whose, qos, &acknowledged, &received);
        if let Some(wills) = received.get("will/mortal") {
            check_wills(&whose, rounds, qos, wills);
        }
    }
    check_retained(broker.port, &acknowledged).await;
}

/// Waits until nothing more comes.
async fn quiet(received: &Received) {
    let count = || received.lock().expect("nobody panics with it").values().map(Vec::len).sum::<usize>();
    let deadline = Instant::now() + 10 * PATIENCE;
    let (mut before, mut since) = (count(), Instant::now());
    while since.elapsed() < QUIET {
        assert!(Instant::now() < deadline, "it never ends");
        sleep(Duration::from_millis(50)).await;
        let now = count();
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
}

/// Everything acknowledged arrived, in order, and once where both sides were at QoS 2.
fn check(
    whose: &str,
    qos: QoS,
    acknowledged: &BTreeMap<String, Vec<u64>>,
    received: &BTreeMap<String, Vec<u64>>,
) {
    for (topic, sent) in acknowledged {
        let came = received.get(topic).cloned().unwrap_or_default();
        let distinct: BTreeSet<u64> = came.iter().copied().collect();
        let lost: Vec<&u64> = sent.iter().filter(|number| !distinct.contains(number)).collect();
        assert!(
            lost.is_empty(),
            "{whose} lost {} of {} on {topic}: {:?}…",
            lost.len(),
            sent.len(),
            &lost[..lost.len().min(5)]
        );
        if qos == QoS::ExactlyOnce && topic.ends_with("/2") {
            assert_eq!(came.len(), distinct.len(), "{whose} got some of {topic} twice");
            assert!(came.is_sorted(), "{whose} got {topic} out of order");
        }
        // A repeat may come late, but what comes for the first time comes in order.
        let mut first_times = BTreeSet::new();
        let firsts: Vec<u64> = came.into_iter().filter(|number| first_times.insert(*number)).collect();
        assert!(firsts.is_sorted(), "{whose} got {topic} out of order");
    }
}

/// Each kill of the broker ended a client whose will the broker held.
fn check_wills(whose: &str, rounds: u64, qos: QoS, wills: &[u64]) {
    let distinct: BTreeSet<u64> = wills.iter().copied().collect();
    assert_eq!(distinct, (1..=rounds).collect(), "{whose} got the will of each round");
    if qos == QoS::ExactlyOnce {
        assert_eq!(wills.len(), distinct.len(), "{whose} got a will twice");
    }
}

/// The retained message of each topic is the last one acknowledged, or a later one.
async fn check_retained(port: u16, acknowledged: &BTreeMap<String, Vec<u64>>) {
    let fresh = Options::new("127.0.0.1").port(port).client_id("fresh");
    let (client, mut messages) = Client::connect(fresh).await.expect("the broker accepts");
    client.subscribe(("t/#", QoS::AtMostOnce)).await.expect("the broker grants");
    for _ in acknowledged {
        let message = timeout(PATIENCE, messages.recv()).await.expect("in time").expect("the client goes on");
        let last = acknowledged[&message.topic].iter().filter(|number| *number % 7 == 0).max();
        let found: u64 = message.text().parse().expect("payloads are numbers");
        assert!(Some(&found) >= last, "retained on {}: {found}, acknowledged {last:?}", message.topic);
    }
    client.disconnect().await;
}
