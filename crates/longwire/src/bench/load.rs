//! Publishers with a bounded window and subscribers that check what comes, on the connections of one fleet.
//!
//! A message is *done* when every receiver in this process has it and, at QoS 1 and 2, the broker has acknowledged it.
//! A publisher has at most a window of messages that are not done, and fills the window again when half of it has
//! become free: so the broker is kept busy but is not flooded, and a write carries about the same number of messages
//! whether the broker is slow or fast. The clients are numbered: subscribers first, then publishers.

use std::io;
use std::time::{Duration, Instant};

use longwire_proto::packet::{ConnAck, Publish, Subscribe, SubscribeFiltersBuf, SubscribeOptions};
use longwire_proto::property::Properties;
use longwire_proto::{Packet, PacketId, QoS, Version, encode};
use serde_json::{Map, Value, json};

use super::fleet::{Fleet, Script};
use super::latency::Latency;
use super::meter::{Reading, broker_memory};
use super::stamp::{STAMP_BYTES, Stamp, now_nanos};
use super::target::Target;
use super::track::{Arrival, Track};
use super::{Summary, failed};
use crate::complain;

/// Bytes around a payload: header, topic, identifiers. Topics are short here.
const FRAME_BYTES: usize = 1024;
/// After the last message was sent, nothing came for this long: what is missing is lost.
const QUIET: Duration = Duration::from_secs(3);
/// Publishers that one subscriber keeps a track of.
const PUBLISHERS_MAX: u32 = 1 << 20;

/// Who publishes and subscribes what, and for how long.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) qos: QoS,
    pub(super) payload_bytes: usize,
    /// Messages of one publisher that may not be done.
    pub(super) window: u32,
    /// Messages per second and publisher; `None` for as many as the window lets through.
    pub(super) rate: Option<u32>,
    /// Number of the first publisher.
    pub(super) first_publisher: u32,
    /// Topic of each publisher.
    pub(super) topics: Vec<String>,
    /// Filter of each subscriber.
    pub(super) filters: Vec<String>,
    /// Which publishers each subscriber hears, as positions in `topics`; `None` if they are in another process.
    pub(super) heard: Option<Vec<std::ops::Range<u32>>>,
    pub(super) warm_up: Duration,
    pub(super) duration: Duration,
}

/// Runs a plan against a broker: connect, warm up, measure, wait for the last message.
pub(super) fn run(target: &Target, plan: Plan) -> io::Result<Summary> {
    target.pin()?;
    let mut fleet = Fleet::new(target, plan.payload_bytes + FRAME_BYTES)?;
    let mut load = Load::new(plan, target.mqtt_version)?;
    fleet.bring_up(load.client_count(), &mut load)?;
    complain(format_args!("{} clients are connected", load.client_count()));

    let (warm_up, duration) = (load.plan.warm_up, load.plan.duration);
    load.drive(&mut fleet, warm_up)?;
    load.latency.clear();
    let (before, counts) = (Reading::take(target.pid)?, load.counts);
    load.drive(&mut fleet, duration)?;
    let after = Reading::take(target.pid)?;
    let measured = load.counts.since(&counts);
    let latency = load.latency.figures();
    let memory = broker_memory(target.pid)?;
    load.drain(&mut fleet)?;
    fleet.disconnect();

    let mut figures = load.describe();
    figures.append(&mut after.figures_since(&before, load.moved(&measured), "message"));
    figures.append(&mut load.outcome());
    figures.insert("latency_us".into(), latency);
    figures.insert("faults".into(), fleet.faults().figures());
    figures.insert("broker_resident_bytes".into(), json!(memory));
    Ok(Summary { clean: load.is_clean() && fleet.faults().is_empty(), figures })
}

struct Load {
    plan: Plan,
    run: u32,
    version: Version,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    /// Publishers with a window that may be filled again.
    woken: Vec<u32>,
    /// When publishing began, for the rate.
    began: Instant,
    counts: Counts,
    latency: Latency,
}

struct Publisher {
    /// A whole PUBLISH packet; identifier and stamp are written over for each message.
    frame: Vec<u8>,
    id_at: Option<usize>,
    window: u64,
    sent: u64,
    acknowledged: u64,
    /// Receipts of all receivers together.
    received: u64,
    receivers: u64,
    woken: bool,
}

struct Subscriber {
    /// Number of the publisher that the first track is of.
    first: u32,
    tracks: Vec<Track>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    published: u64,
    received: u64,
    acknowledged: u64,
    missing: u64,
    duplicated: u64,
    reordered: u64,
    foreign: u64,
}

impl Counts {
    fn since(&self, before: &Counts) -> Counts {
        Counts {
            published: self.published - before.published,
            received: self.received - before.received,
            acknowledged: self.acknowledged - before.acknowledged,
            ..*self
        }
    }
}

impl Load {
    fn new(plan: Plan, version: Version) -> io::Result<Load> {
        if plan.payload_bytes < STAMP_BYTES {
            return Err(failed(format!("a payload needs at least {STAMP_BYTES} bytes, for its stamp")));
        }
        let publishers = plan.topics.iter().enumerate().map(|(number, topic)| {
            let hears = |range: &std::ops::Range<u32>| range.contains(&(number as u32));
            let receivers = plan.heard.iter().flatten().filter(|range| hears(range)).count();
            Publisher::new(&plan, version, topic, receivers as u64)
        });
        let publishers = publishers.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
        let subscribers = (0..plan.filters.len()).map(|number| match &plan.heard {
            Some(heard) => {
                let tracks = heard[number].clone().map(|_| Track::default()).collect();
                Subscriber { first: plan.first_publisher + heard[number].start, tracks }
            }
            None => Subscriber { first: 0, tracks: Vec::new() },
        });
        Ok(Load {
            run: now_nanos() as u32,
            version,
            publishers,
            subscribers: subscribers.collect(),
            woken: Vec::new(),
            began: Instant::now(),
            counts: Counts::default(),
            latency: Latency::new(),
            plan,
        })
    }

    fn client_count(&self) -> u32 {
        (self.subscribers.len() + self.publishers.len()) as u32
    }

    /// Publishes for `duration`.
    fn drive(&mut self, fleet: &mut Fleet, duration: Duration) -> io::Result<()> {
        if self.counts.published == 0 {
            self.began = Instant::now();
            (0..self.publishers.len() as u32).for_each(|publisher| self.wake(publisher));
        }
        let end = Instant::now() + duration;
        loop {
            self.fill_windows(fleet);
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            fleet.turn(left.min(self.patience()), self)?;
        }
    }

    /// How long a turn may wait: not past the next message of a rate, or a look at a socket that took no more.
    fn patience(&self) -> Duration {
        Duration::from_millis(if self.publishers.is_empty() { 100 } else { 1 })
    }

    /// Waits for what is under way, until everything is done or nothing comes any more.
    fn drain(&mut self, fleet: &mut Fleet) -> io::Result<()> {
        if self.plan.heard.is_none() && self.publishers.is_empty() {
            return Ok(());
        }
        self.woken.clear();
        let mut progress = (self.progress(), Instant::now());
        while progress.1.elapsed() < QUIET
            && !self.publishers.iter().all(|publisher| publisher.in_flight() == 0)
        {
            fleet.turn(Duration::from_millis(10), self)?;
            if self.progress() != progress.0 {
                progress = (self.progress(), Instant::now());
            }
        }
        // What comes once more comes right after.
        fleet.turn(Duration::from_millis(50), self)?;
        Ok(())
    }

    fn progress(&self) -> u64 {
        self.counts.received + self.counts.acknowledged
    }

    fn wake(&mut self, publisher: u32) {
        let entry = &mut self.publishers[publisher as usize];
        if !entry.woken {
            entry.woken = true;
            self.woken.push(publisher);
        }
    }

    /// Lets every woken publisher send what its window and rate allow.
    fn fill_windows(&mut self, fleet: &mut Fleet) {
        let allowed =
            self.plan.rate.map(|rate| (self.began.elapsed().as_secs_f64() * f64::from(rate)) as u64);
        let mut woken = std::mem::take(&mut self.woken);
        let now_nanos = now_nanos();
        woken.retain(|&number| {
            let client = self.subscribers.len() as u32 + number;
            let publisher = &mut self.publishers[number as usize];
            let Some(mut count) = publisher.room() else {
                publisher.woken = false;
                return false;
            };
            if let Some(allowed) = allowed {
                count = count.min(allowed.saturating_sub(publisher.sent));
            }
            let Some(out) = fleet.writer(client).filter(|_| count > 0) else { return true };
            let stamp = Stamp {
                run: self.run,
                publisher: self.plan.first_publisher + number,
                number: 0,
                sent_nanos: now_nanos,
            };
            publisher.send(count, stamp, self.plan.payload_bytes, out);
            self.counts.published += count;
            true
        });
        self.woken = woken;
        fleet.flush();
    }

    /// Notes a receipt; `None` if the message is none of ours.
    fn note(&mut self, subscriber: u32, payload: &[u8], now_nanos: u64) -> Option<()> {
        let stamp = Stamp::read(payload)?;
        let subscriber = &mut self.subscribers[subscriber as usize];
        let position = stamp.publisher.checked_sub(subscriber.first)? as usize;
        if self.plan.heard.is_none()
            && position >= subscriber.tracks.len()
            && stamp.publisher < PUBLISHERS_MAX
        {
            subscriber.tracks.resize_with(position + 1, || Track::joining_at(u64::MAX));
        }
        let track = subscriber.tracks.get_mut(position)?;
        if self.plan.heard.is_some() && stamp.run != self.run {
            return None;
        }
        if track.next() == u64::MAX {
            *track = Track::joining_at(stamp.number);
        }
        let arrived = match track.note(stamp.number) {
            Arrival::New { skipped } => {
                self.counts.missing += skipped;
                skipped + 1
            }
            Arrival::Late => {
                self.counts.missing -= 1;
                self.counts.reordered += 1;
                0
            }
            Arrival::Again => {
                self.counts.duplicated += 1;
                0
            }
        };
        self.counts.received += 1;
        self.latency.record(stamp.sent_nanos, now_nanos);
        if self.plan.heard.is_some() {
            let publisher = stamp.publisher - self.plan.first_publisher;
            self.publishers[publisher as usize].received += arrived;
            self.wake(publisher);
        }
        Some(())
    }

    /// Messages that were moved, as CPU time is divided by: deliveries, or publications where nobody receives.
    fn moved(&self, counts: &Counts) -> u64 {
        if self.subscribers.is_empty() { counts.published } else { counts.received }
    }

    fn describe(&self) -> Map<String, Value> {
        let mut figures = Map::new();
        figures.insert("version".into(), json!(super::target::version_name(self.version)));
        figures.insert("qos".into(), json!(self.plan.qos as u8));
        figures.insert("publishers".into(), json!(self.publishers.len()));
        figures.insert("subscribers".into(), json!(self.subscribers.len()));
        figures.insert("payload_bytes".into(), json!(self.plan.payload_bytes));
        figures.insert("window".into(), json!(self.plan.window));
        figures
    }

    /// What became of all messages, those of warming up included.
    fn outcome(&self) -> Map<String, Value> {
        let mut figures = Map::new();
        figures.insert("published".into(), json!(self.counts.published));
        figures.insert("received".into(), json!(self.counts.received));
        figures.insert("lost".into(), json!(self.lost()));
        figures.insert("unacknowledged".into(), json!(self.unacknowledged()));
        figures.insert("duplicated".into(), json!(self.counts.duplicated));
        figures.insert("reordered".into(), json!(self.counts.reordered));
        figures.insert("foreign".into(), json!(self.counts.foreign));
        figures
    }

    /// Numbers skipped, and those never heard of at the end.
    fn lost(&self) -> u64 {
        let unheard = |subscriber: &Subscriber| {
            let first = subscriber.first - self.plan.first_publisher;
            let sent = self.publishers[first as usize..].iter().map(|publisher| publisher.sent);
            subscriber.tracks.iter().zip(sent).map(|(track, sent)| sent - track.next().min(sent)).sum::<u64>()
        };
        let unheard = match self.plan.heard {
            Some(_) => self.subscribers.iter().map(unheard).sum(),
            None => 0,
        };
        self.counts.missing + unheard
    }

    fn unacknowledged(&self) -> u64 {
        match self.plan.qos {
            QoS::AtMostOnce => 0,
            _ => self.counts.published.saturating_sub(self.counts.acknowledged),
        }
    }

    fn is_clean(&self) -> bool {
        [self.lost(), self.unacknowledged(), self.counts.duplicated, self.counts.reordered] == [0; 4]
    }
}

impl Script for Load {
    fn greeted(&mut self, client: u32, connack: &ConnAck<'_>, out: &mut Vec<u8>) -> io::Result<u32> {
        let client = client as usize;
        let Some(filter) = self.plan.filters.get(client) else {
            let publisher = &mut self.publishers[client - self.subscribers.len()];
            if let Some(receive_maximum) = connack.properties.receive_maximum() {
                publisher.window = publisher.window.min(u64::from(receive_maximum));
            }
            return Ok(0);
        };
        let mut filters = SubscribeFiltersBuf::default();
        filters.push(filter, SubscribeOptions::with_qos(self.plan.qos));
        let subscribe = Subscribe {
            packet_id: PacketId::MIN,
            properties: Properties::EMPTY,
            filters: filters.as_filters(),
        };
        encode::packet(&Packet::Subscribe(subscribe), self.version, out).map_err(io::Error::other)?;
        Ok(1)
    }

    fn received(&mut self, client: u32, publish: &Publish<'_>, now_nanos: u64) {
        let subscribes = (client as usize) < self.subscribers.len();
        if !subscribes || self.note(client, publish.payload, now_nanos).is_none() {
            self.counts.foreign += 1;
        }
    }

    fn acknowledged(&mut self, client: u32) {
        let publisher = client - self.subscribers.len() as u32;
        self.publishers[publisher as usize].acknowledged += 1;
        self.counts.acknowledged += 1;
        self.wake(publisher);
    }
}

impl Publisher {
    fn new(plan: &Plan, version: Version, topic: &str, receivers: u64) -> Result<Self, encode::EncodeError> {
        let publish = Publish {
            dup: false,
            qos: plan.qos,
            retain: false,
            topic,
            packet_id: (plan.qos != QoS::AtMostOnce).then_some(PacketId::MIN),
            properties: Properties::EMPTY,
            payload: &vec![b'.'; plan.payload_bytes],
        };
        let mut frame = Vec::new();
        let id_at = encode::publish(&publish, version, &mut frame)?;
        let window = u64::from(plan.window);
        Ok(Publisher { frame, id_at, window, sent: 0, acknowledged: 0, received: 0, receivers, woken: false })
    }

    /// Messages that are not done. At QoS 0 without a receiver that is none: the socket alone holds the publisher back.
    fn in_flight(&self) -> u64 {
        let unacknowledged =
            if self.id_at.is_some() { self.sent - self.acknowledged.min(self.sent) } else { 0 };
        match self.receivers {
            0 => unacknowledged,
            receivers => unacknowledged.max(self.sent - (self.received / receivers).min(self.sent)),
        }
    }

    /// How many messages may be sent; `None` while less than half of the window is free.
    fn room(&self) -> Option<u64> {
        let room = self.window.saturating_sub(self.in_flight());
        (room >= self.window.div_ceil(2)).then_some(room)
    }

    /// Appends the next `count` messages to `out`.
    fn send(&mut self, count: u64, stamp: Stamp, payload_bytes: usize, out: &mut Vec<u8>) {
        for _ in 0..count {
            let start = out.len();
            out.extend_from_slice(&self.frame);
            let frame = &mut out[start..];
            if let Some(at) = self.id_at {
                // 1 to 65,535, over and over: a window never holds that many.
                let id = (self.sent % 65_535 + 1) as u16;
                frame[at..at + 2].copy_from_slice(&id.to_be_bytes());
            }
            let payload = frame.len() - payload_bytes;
            Stamp { number: self.sent, ..stamp }.write(&mut frame[payload..payload + STAMP_BYTES]);
            self.sent += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(qos: QoS) -> Plan {
        Plan {
            qos,
            payload_bytes: 40,
            window: 4,
            rate: None,
            first_publisher: 0,
            topics: vec!["a".into()],
            filters: vec!["a".into(), "a".into()],
            heard: Some(vec![0..1, 0..1]),
            warm_up: Duration::ZERO,
            duration: Duration::ZERO,
        }
    }

    /// One publisher that has sent `sent` messages, and two subscribers.
    fn load(qos: QoS, sent: u64) -> (Load, Vec<u8>) {
        let mut load = Load::new(plan(qos), Version::V311).unwrap();
        let stamp = Stamp { run: load.run, publisher: 0, number: 0, sent_nanos: 1 };
        let mut out = Vec::new();
        load.publishers[0].send(sent, stamp, 40, &mut out);
        load.counts.published = sent;
        (load, out)
    }

    /// The payload of message `number`.
    fn payload(load: &Load, number: u64) -> Vec<u8> {
        let mut payload = vec![0; 40];
        Stamp { run: load.run, publisher: 0, number, sent_nanos: 1 }.write(&mut payload);
        payload
    }

    #[test]
    fn messages_differ_in_number_and_identifier_only() {
        let (load, out) = load(QoS::AtLeastOnce, 2);
        let frame_bytes = out.len() / 2;
        for (frame, number) in out.chunks(frame_bytes).zip(0..) {
            let (head, tail) = frame.split_at(frame_bytes - 40);
            assert_eq!(Stamp::read(tail).unwrap().number, number);
            assert_eq!(head[head.len() - 2..], (number as u16 + 1).to_be_bytes());
            assert_eq!(head[..head.len() - 2], load.publishers[0].frame[..head.len() - 2]);
        }
    }

    #[test]
    fn a_window_opens_when_all_receivers_have_half_of_it() {
        let (mut load, _) = load(QoS::AtMostOnce, 4);
        for number in 0..4 {
            load.note(0, &payload(&load, number), 2).unwrap();
        }
        load.note(1, &payload(&load, 0), 2).unwrap();
        assert_eq!(load.publishers[0].room(), Some(2), "five of eight receipts are two messages");
        load.publishers[0].sent += 2;
        assert_eq!(load.publishers[0].room(), None);
    }

    #[test]
    fn a_window_waits_for_acknowledgements_too() {
        let (mut load, _) = load(QoS::AtLeastOnce, 4);
        load.publishers[0].received = 8;
        assert_eq!(load.publishers[0].room(), None);
        load.acknowledged(2);
        load.acknowledged(2);
        assert_eq!(load.publishers[0].room(), Some(2));
    }

    #[test]
    fn what_never_came_is_lost_at_every_receiver() {
        let (mut load, _) = load(QoS::AtMostOnce, 4);
        for (subscriber, number) in [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3)] {
            load.note(subscriber, &payload(&load, number), 2).unwrap();
        }
        assert_eq!(load.lost(), 2, "the first receiver misses 1 and 3");
        assert!(!load.is_clean());
    }

    #[test]
    fn messages_of_another_run_are_foreign() {
        let (mut load, _) = load(QoS::AtMostOnce, 1);
        let mut foreign = payload(&load, 0);
        foreign[0] ^= 1;
        assert_eq!(load.note(0, &foreign, 2), None);
        assert_eq!(load.note(0, b"short", 2), None);
    }

    #[test]
    fn a_payload_without_room_for_a_stamp_is_refused() {
        let plan = Plan { payload_bytes: STAMP_BYTES - 1, ..plan(QoS::AtMostOnce) };
        assert!(Load::new(plan, Version::V5).is_err());
    }
}
