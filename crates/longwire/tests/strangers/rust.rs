//! The Rust client `rumqttc`, which needs nothing but Cargo; one adapter for each of its two versions.

mod v3;
mod v5;

use std::collections::VecDeque;

use rumqttc::QoS;

use crate::support::Broker;

/// Makes one test of each case, which is the function of that name, called with a way to connect.
macro_rules! cases {
    ($dial:path; $($case:ident)*) => {$(
        #[test]
        fn $case() {
            let broker = crate::support::Broker::start();
            super::$case(&super::Dialer { broker: &broker, dial: $dial });
        }
    )*};
}

mod v3_1_1 {
    cases!(super::v3::dial;
        connect unsubscribe qos_pairs retained will wildcards shared takeover persistent_session large_payload);
}

mod v5_0 {
    cases!(super::v5::dial;
        connect unsubscribe qos_pairs retained will wildcards shared takeover persistent_session large_payload);
}

/// What the cases ask of a connection, whatever its version.
trait Link {
    fn publish(&mut self, message: &Message);
    fn subscribe(&mut self, filter: &str, qos: QoS);
    fn unsubscribe(&mut self, filter: &str);
    fn disconnect(&mut self);
    /// Waits for the next thing worth telling.
    fn next(&mut self) -> Happening;
    /// Whether these words of the library fit a connection that another one of the same client replaced.
    fn tells_takeover(&self, why: &str) -> bool;
}

/// What comes from a connection.
#[derive(Debug, PartialEq)]
enum Happening {
    Accepted {
        session_present: bool,
    },
    /// A SUBACK with this code.
    Granted(QoS),
    Unsubscribed,
    /// The last packet of a hand-shake; for QoS 0, that the message was handed over.
    Published,
    Arrived(Message),
    /// The connection ended; the words are `rumqttc`'s.
    Ended(String),
}

/// A message, there and back.
#[derive(Clone, Debug, PartialEq)]
struct Message {
    topic: String,
    payload: String,
    qos: QoS,
    retain: bool,
}

impl Message {
    fn new(topic: &str, payload: &str, qos: QoS) -> Message {
        Message { topic: topic.into(), payload: payload.into(), qos, retain: false }
    }

    fn retained(self) -> Message {
        Message { retain: true, ..self }
    }
}

/// How a connection begins.
struct Hello<'a> {
    port: u16,
    client_id: &'a str,
    clean: bool,
    will: Option<Message>,
}

/// Connects to the broker of a test in one version.
struct Dialer<'a> {
    broker: &'a Broker,
    dial: fn(&Hello<'_>) -> Box<dyn Link>,
}

impl Dialer<'_> {
    fn peer(&self, client_id: &str) -> Peer {
        self.peer_with(client_id, true, None)
    }

    fn peer_with(&self, client_id: &str, clean: bool, will: Option<Message>) -> Peer {
        let link = (self.dial)(&Hello { port: self.broker.port(), client_id, clean, will });
        let mut peer = Peer { link, session_present: false, arrived: VecDeque::new() };
        peer.session_present = match peer.happening() {
            Happening::Accepted { session_present } => session_present,
            other => panic!("{client_id} was not accepted: {other:?}"),
        };
        peer
    }
}

/// A connected client; messages that come while it waits for something else are kept in order.
struct Peer {
    link: Box<dyn Link>,
    session_present: bool,
    arrived: VecDeque<Message>,
}

impl Peer {
    /// The next thing that is not a message.
    fn happening(&mut self) -> Happening {
        loop {
            match self.link.next() {
                Happening::Arrived(message) => self.arrived.push_back(message),
                other => return other,
            }
        }
    }

    fn publish(&mut self, message: &Message) {
        self.link.publish(message);
        assert_eq!(self.happening(), Happening::Published);
    }

    fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.link.subscribe(filter, qos);
        assert_eq!(self.happening(), Happening::Granted(qos));
    }

    fn receive(&mut self) -> Message {
        if let Some(message) = self.arrived.pop_front() {
            return message;
        }
        match self.link.next() {
            Happening::Arrived(message) => message,
            other => panic!("not a message: {other:?}"),
        }
    }

    #[track_caller]
    fn expect(&mut self, message: &Message) {
        assert_eq!(self.receive(), *message);
    }

    /// Disconnects properly and waits for the end.
    fn leave(mut self) {
        self.link.disconnect();
        assert!(matches!(self.happening(), Happening::Ended(_)));
    }
}

const ALL_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

fn connect(dialer: &Dialer<'_>) {
    let peer = dialer.peer("first");
    assert!(!peer.session_present);
    peer.leave();
    let mut unnamed = dialer.peer("");
    unnamed.subscribe("a", QoS::AtMostOnce);
    unnamed.publish(&Message::new("a", "hello", QoS::AtMostOnce));
    unnamed.expect(&Message::new("a", "hello", QoS::AtMostOnce));
}

fn unsubscribe(dialer: &Dialer<'_>) {
    let mut peer = dialer.peer("peer");
    peer.subscribe("a", QoS::AtLeastOnce);
    peer.subscribe("b", QoS::AtLeastOnce);
    peer.link.unsubscribe("a");
    assert_eq!(peer.happening(), Happening::Unsubscribed);
    peer.publish(&Message::new("a", "1", QoS::AtLeastOnce));
    peer.publish(&Message::new("b", "2", QoS::AtLeastOnce));
    peer.expect(&Message::new("b", "2", QoS::AtLeastOnce));
}

fn qos_pairs(dialer: &Dialer<'_>) {
    let (mut publisher, mut subscriber) = (dialer.peer("publisher"), dialer.peer("subscriber"));
    for published in ALL_QOS {
        for granted in ALL_QOS {
            let topic = format!("pair/{}/{}", published as u8, granted as u8);
            let lower = if (published as u8) < granted as u8 { published } else { granted };
            subscriber.subscribe(&topic, granted);
            for payload in ["once", "again"] {
                publisher.publish(&Message::new(&topic, payload, published));
                subscriber.expect(&Message::new(&topic, payload, lower));
            }
        }
    }
}

fn retained(dialer: &Dialer<'_>) {
    let (mut publisher, mut live) = (dialer.peer("publisher"), dialer.peer("live"));
    live.subscribe("state/#", QoS::AtLeastOnce);
    for payload in ["on", "off"] {
        let message = Message::new("state/lamp", payload, QoS::AtLeastOnce);
        publisher.publish(&message.clone().retained());
        live.expect(&message);
        let mut late = dialer.peer("late");
        late.subscribe("state/+", QoS::AtLeastOnce);
        late.expect(&message.retained());
    }
    publisher.publish(&Message::new("state/lamp", "", QoS::AtLeastOnce).retained());
    live.expect(&Message::new("state/lamp", "", QoS::AtLeastOnce));
    let mut after = dialer.peer("after");
    after.subscribe("state/#", QoS::AtLeastOnce);
    let end = Message::new("state/end", "end", QoS::AtLeastOnce);
    publisher.publish(&end);
    after.expect(&end);
}

fn will(dialer: &Dialer<'_>) {
    let mut watcher = dialer.peer("watcher");
    watcher.subscribe("will/#", QoS::AtLeastOnce);
    let never = Message::new("will/polite", "never", QoS::AtLeastOnce);
    dialer.peer_with("polite", true, Some(never)).leave();
    let gone = Message::new("will/crashed", "gone", QoS::AtLeastOnce);
    drop(dialer.peer_with("crashed", true, Some(gone.clone().retained())));
    watcher.expect(&gone);
    let mut late = dialer.peer("late");
    late.subscribe("will/#", QoS::AtLeastOnce);
    late.expect(&gone.retained());
}

fn wildcards(dialer: &Dialer<'_>) {
    let topics = ["a", "a/b", "a/b/c", "a//c", "b", "/b", "b/", "b/c/d", "c", "c/x/y/z", "d/e"];
    let filters: [(&str, &[&str]); 9] = [
        ("a/#", &["a", "a/b", "a/b/c", "a//c"]),
        ("a/+", &["a/b"]),
        ("a/+/c", &["a/b/c", "a//c"]),
        ("+", &["a", "b", "c"]),
        ("+/b", &["a/b", "/b"]),
        ("b/+", &["b/"]),
        ("+/+/d", &["b/c/d"]),
        ("c/+/+/#", &["c/x/y/z"]),
        ("#", &topics),
    ];
    let end = "end/of/it/all";
    let mut subscribers = filters.map(|(filter, wanted)| {
        let mut peer = dialer.peer(filter);
        peer.subscribe(filter, QoS::AtMostOnce);
        peer.subscribe(end, QoS::AtMostOnce);
        (peer, filter, wanted)
    });
    let mut publisher = dialer.peer("publisher");
    for topic in topics.into_iter().chain([end]) {
        // QoS 1, because the library drives a socket only while it waits for something.
        publisher.publish(&Message::new(topic, "x", QoS::AtLeastOnce));
    }
    for (peer, filter, wanted) in &mut subscribers {
        let mut got = Vec::new();
        loop {
            let message = peer.receive();
            if message.topic == end {
                break;
            }
            got.push(message.topic);
        }
        assert_eq!(got, *wanted, "{filter}");
    }
}

fn shared(dialer: &Dialer<'_>) {
    let (mut publisher, mut plain) = (dialer.peer("publisher"), dialer.peer("plain"));
    plain.subscribe("job/+", QoS::AtLeastOnce);
    let mut members = [dialer.peer("member-0"), dialer.peer("member-1")];
    for member in &mut members {
        member.subscribe("$share/crew/job/+", QoS::AtLeastOnce);
    }
    let jobs: Vec<Message> =
        (10..30).map(|job| Message::new("job/dig", &job.to_string(), QoS::AtLeastOnce)).collect();
    for job in &jobs {
        publisher.publish(job);
        plain.expect(job);
    }
    // A message of each member's own ends its share of the work.
    let mut done: Vec<Message> = Vec::new();
    for (number, member) in members.iter_mut().enumerate() {
        let own = format!("own/{number}");
        member.subscribe(&own, QoS::AtLeastOnce);
        member.publish(&Message::new(&own, "end", QoS::AtLeastOnce));
        let share: Vec<Message> =
            std::iter::from_fn(|| Some(member.receive()).filter(|message| message.topic != own)).collect();
        assert!(!share.is_empty(), "the other member got every job");
        done.extend(share);
    }
    done.sort_by(|one, other| one.payload.cmp(&other.payload));
    assert_eq!(done, jobs);
}

fn takeover(dialer: &Dialer<'_>) {
    let mut first = dialer.peer("twin");
    let mut second = dialer.peer("twin");
    let Happening::Ended(why) = first.happening() else { panic!("the older connection stays open") };
    assert!(first.link.tells_takeover(&why), "{why}");
    let message = Message::new("a", "mine", QoS::ExactlyOnce);
    second.subscribe("a", QoS::ExactlyOnce);
    second.publish(&message);
    second.expect(&message);
}

fn persistent_session(dialer: &Dialer<'_>) {
    let mut publisher = dialer.peer("publisher");
    let mut sleeper = dialer.peer_with("sleeper", false, None);
    assert!(!sleeper.session_present);
    sleeper.subscribe("news/1", QoS::AtLeastOnce);
    sleeper.subscribe("news/2", QoS::ExactlyOnce);
    sleeper.leave();
    let news: Vec<Message> = (10..40)
        .map(|number| number.to_string())
        .flat_map(|payload| {
            let once = Message::new("news/1", &payload, QoS::AtLeastOnce);
            [once, Message::new("news/2", &payload, QoS::ExactlyOnce)]
        })
        .collect();
    for message in &news {
        publisher.publish(message);
    }
    let mut sleeper = dialer.peer_with("sleeper", false, None);
    assert!(sleeper.session_present);
    let mut got: Vec<Message> = (0..news.len()).map(|_| sleeper.receive()).collect();
    // Order is promised within a QoS; a stable sort by the other criterion keeps it visible.
    got.sort_by_key(|message| message.qos as u8);
    let (once, exactly): (Vec<_>, Vec<_>) = news.into_iter().partition(|message| message.topic == "news/1");
    assert_eq!(got, [once, exactly].concat());
    sleeper.leave();
    assert!(!dialer.peer("sleeper").session_present);
}

fn large_payload(dialer: &Dialer<'_>) {
    let mut peer = dialer.peer("peer");
    peer.subscribe("big", QoS::ExactlyOnce);
    let message = Message::new("big", &"0123456789abcdef".repeat(65_536), QoS::ExactlyOnce);
    peer.publish(&message);
    assert!(peer.receive() == message, "one mebibyte comes back unchanged");
}
