//! Publishers with a bounded window and subscribers that check what comes, on the connections of one fleet.
//!
//! A message is *done* when every receiver in this process has it and, at QoS 1 and 2, the broker has acknowledged it.
//! In a closed loop a publisher has at most a window of messages that are not done, and fills the window again when half
//! of it has become free: so the broker is kept busy but is not flooded, and a write carries about the same number of
//! messages whether the broker is slow or fast. In an open loop, at a rate, messages leave when the [`schedule`] says.
//! The clients are numbered: subscribers, who are the [`audience`], first, then [`publisher`]s.

mod audience;
mod publisher;
mod schedule;

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
use super::{Summary, failed};
use audience::Audience;
use publisher::Publisher;
use schedule::Schedule;

/// Bytes around a payload: header, topic, identifiers. Topics are short here.
const FRAME_BYTES: usize = 1024;
/// After the last message was sent, nothing came for this long: what is missing is lost.
const QUIET: Duration = Duration::from_secs(3);
/// The clients' thread was at work for this share of the time or more: it could not have done more.
const BUSY: f64 = 0.95;
/// More of the planned messages than this were not sent in time: the rate was not reached.
const BEHIND: f64 = 0.01;

/// Who publishes and subscribes what, and for how long.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) qos: QoS,
    pub(super) payload_bytes: usize,
    /// Messages of one publisher that may not be done.
    pub(super) window: u32,
    /// Messages per second and publisher, in an open loop; `None` for a closed one.
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
    fleet.tell(format_args!("{} clients are connected", load.client_count()));

    let (warm_up, duration) = (load.plan.warm_up, load.plan.duration);
    load.drive(&mut fleet, warm_up)?;
    load.latency.clear();
    load.delay.clear();
    let (before, counts, idle) = (Reading::take(target.pid)?, load.counts, fleet.idle());
    load.drive(&mut fleet, duration)?;
    let after = Reading::take(target.pid)?;
    let busy_share = 1.0 - fleet.idle().saturating_sub(idle).as_secs_f64() / after.seconds_since(&before);
    let behind = load.behind();
    let measured = load.counts.since(&counts);
    let (latency, delay) = (load.latency.figures(), load.delay.figures());
    let memory = broker_memory(target.pid)?;
    load.drain(&mut fleet)?;
    fleet.disconnect();

    let mut figures = load.describe();
    figures.append(&mut after.figures_since(&before, load.moved(&measured), "message"));
    figures.append(&mut load.outcome());
    figures.insert("latency_us".into(), latency);
    if load.schedule.is_some() {
        figures.insert("send_delay_us".into(), delay);
        figures.insert("unsent".into(), json!(behind));
    }
    let limit = load.bottleneck(busy_share, behind);
    figures.insert("own_busy_share".into(), json!((busy_share * 1e4).round() / 1e4));
    figures.insert("bottleneck".into(), json!(limit.map(|(who, _)| who)));
    if let Some((_, why)) = limit {
        fleet.tell(why);
    }
    figures.insert("faults".into(), fleet.faults().figures());
    figures.insert("broker_resident_bytes".into(), json!(memory));
    Ok(Summary { clean: load.is_clean() && fleet.faults().is_empty(), figures })
}

struct Load {
    plan: Plan,
    run: u32,
    version: Version,
    publishers: Vec<Publisher>,
    audience: Audience,
    /// Publishers that may send again.
    woken: Vec<u32>,
    /// Of an open loop.
    schedule: Option<Schedule>,
    counts: Counts,
    /// From stamp to receipt.
    latency: Latency,
    /// From the planned time to the actual sending.
    delay: Latency,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    published: u64,
    received: u64,
    acknowledged: u64,
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
        let audience = Audience::new(&plan.filters, plan.heard.as_deref(), plan.first_publisher);
        let publishers = plan.topics.iter().zip(0..).map(|(topic, number)| {
            let receivers =
                if plan.heard.is_some() { audience.hearing(number, plan.first_publisher) } else { 0 };
            Publisher::new(&plan, version, topic, receivers)
        });
        let publishers = publishers.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
        Ok(Load {
            run: now_nanos() as u32,
            version,
            publishers,
            audience,
            woken: Vec::new(),
            schedule: None,
            counts: Counts::default(),
            latency: Latency::new(),
            delay: Latency::new(),
            plan,
        })
    }

    fn client_count(&self) -> u32 {
        (self.audience.len() + self.publishers.len()) as u32
    }

    /// Publishes for `duration`.
    fn drive(&mut self, fleet: &mut Fleet, duration: Duration) -> io::Result<()> {
        if self.counts.published == 0 {
            self.begin();
        }
        let (mut shown, end) = (self.counts, Instant::now() + duration);
        loop {
            match self.schedule {
                Some(_) => self.send_what_is_due(fleet),
                None => self.fill_windows(fleet),
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            match self.patience() {
                Patience::Fine(time) => fleet.turn_finely(left.min(time), self)?,
                Patience::Coarse(time) => fleet.turn(left.min(time), self)?,
            }
            let (counts, latency) = (self.counts, &self.latency);
            fleet.progress().show(|since| {
                let rate = |now: u64, then: u64| ((now - then) as f64 / since.as_secs_f64()) as u64;
                let (sent, came) =
                    (rate(counts.published, shown.published), rate(counts.received, shown.received));
                shown = counts;
                let left = left.as_secs();
                format!("{left} s left: {sent}/s sent, {came}/s received, {}", latency.in_short())
            });
        }
    }

    fn begin(&mut self) {
        match self.plan.rate {
            Some(rate) if !self.publishers.is_empty() => {
                self.schedule = Some(Schedule::new(now_nanos(), rate, self.publishers.len()));
            }
            _ => (0..self.publishers.len() as u32).for_each(|publisher| self.wake(publisher)),
        }
    }

    /// How long a turn may wait: not past the next message that is due, or a look at a socket that took no more.
    fn patience(&self) -> Patience {
        match &self.schedule {
            Some(schedule) if self.woken.is_empty() => Patience::Fine(schedule.patience(now_nanos())),
            None if self.publishers.is_empty() => Patience::Coarse(Duration::from_millis(100)),
            _ => Patience::Coarse(Duration::from_millis(1)),
        }
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
        fleet.progress().clear();
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

    /// Lets every woken publisher send what its window allows.
    fn fill_windows(&mut self, fleet: &mut Fleet) {
        let mut woken = std::mem::take(&mut self.woken);
        let now_nanos = now_nanos();
        woken.retain(|&number| {
            let client = self.audience.len() as u32 + number;
            let publisher = &mut self.publishers[number as usize];
            let Some(count) = publisher.room() else {
                publisher.woken = false;
                return false;
            };
            let Some(out) = fleet.writer(client) else { return true };
            let stamp = stamp(self.run, &self.plan, number);
            publisher.send(count, stamp, self.plan.payload_bytes, out, |_| now_nanos);
            self.counts.published += count;
            true
        });
        self.woken = woken;
        fleet.flush();
    }

    /// Lets every publisher send what its rate asks for.
    fn send_what_is_due(&mut self, fleet: &mut Fleet) {
        let Some(schedule) = &mut self.schedule else { return };
        let now_nanos = now_nanos();
        let (publishers, woken) = (&mut self.publishers, &mut self.woken);
        schedule.advance(now_nanos, |number| {
            let publisher = &mut publishers[number as usize];
            publisher.due += 1;
            if !publisher.woken {
                publisher.woken = true;
                woken.push(number);
            }
        });
        let mut woken = std::mem::take(woken);
        woken.retain(|&number| {
            let client = self.audience.len() as u32 + number;
            let publisher = &mut publishers[number as usize];
            let Some(count) = publisher.due_now() else {
                // Nothing is due, or an acknowledgement will wake it.
                publisher.woken = false;
                return false;
            };
            let Some(out) = fleet.writer(client) else { return true };
            let (stamp, first) = (stamp(self.run, &self.plan, number), publisher.sent);
            publisher.send(count, stamp, self.plan.payload_bytes, out, |message| {
                schedule.planned(number, message)
            });
            for message in first..first + count {
                self.delay.record(schedule.planned(number, message), now_nanos);
            }
            self.counts.published += count;
            let is_behind = publisher.due > publisher.sent;
            publisher.woken = is_behind;
            is_behind
        });
        self.woken = woken;
        fleet.flush();
    }

    /// Notes a receipt; `None` if the message is none of ours.
    fn note(&mut self, subscriber: u32, payload: &[u8], now_nanos: u64) -> Option<()> {
        let stamp = Stamp::read(payload)?;
        if self.plan.heard.is_some() && stamp.run != self.run {
            return None;
        }
        let settled = self.audience.note(subscriber, stamp.publisher, stamp.number)?;
        self.counts.received += 1;
        self.latency.record(stamp.sent_nanos, now_nanos);
        if self.plan.heard.is_some() {
            let publisher = stamp.publisher - self.plan.first_publisher;
            self.publishers[publisher as usize].received += settled;
            if self.schedule.is_none() {
                self.wake(publisher);
            }
        }
        Some(())
    }

    /// Messages that the rate asked for and that were not sent yet.
    fn behind(&self) -> u64 {
        self.publishers.iter().map(|publisher| publisher.due.saturating_sub(publisher.sent)).sum()
    }

    /// Who held the run back, if it can be told, and a line about it.
    fn bottleneck(&self, busy_share: f64, behind: u64) -> Option<(&'static str, &'static str)> {
        let planned: u64 = self.publishers.iter().map(|publisher| publisher.due).sum();
        if busy_share >= BUSY {
            return Some((
                "generator",
                "the load generator was the bottleneck, not the broker: its thread never rested; use several \
                 processes, larger payloads or a lower rate",
            ));
        }
        let is_behind = behind as f64 > planned as f64 * BEHIND && behind > 0;
        is_behind.then_some((
            "broker",
            "the broker did not take the messages at this rate: latencies count from when they should have been sent",
        ))
    }

    /// Messages that were moved, as CPU time is divided by: deliveries, or publications where nobody receives.
    fn moved(&self, counts: &Counts) -> u64 {
        if self.audience.len() == 0 { counts.published } else { counts.received }
    }

    fn describe(&self) -> Map<String, Value> {
        let mut figures = Map::new();
        figures.insert("version".into(), json!(super::target::version_name(self.version)));
        figures.insert("qos".into(), json!(self.plan.qos as u8));
        figures.insert("publishers".into(), json!(self.publishers.len()));
        figures.insert("subscribers".into(), json!(self.audience.len()));
        figures.insert("payload_bytes".into(), json!(self.plan.payload_bytes));
        figures.insert("loop".into(), json!(if self.schedule.is_some() { "open" } else { "closed" }));
        figures.insert("rate_per_publisher".into(), json!(self.plan.rate));
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
        figures.insert("duplicated".into(), json!(self.audience.duplicated));
        figures.insert("reordered".into(), json!(self.audience.reordered));
        figures.insert("foreign".into(), json!(self.counts.foreign));
        figures
    }

    /// Messages that some receiver never got.
    fn lost(&self) -> u64 {
        let sent = |publisher: u32| {
            let position = publisher - self.plan.first_publisher;
            self.publishers.get(position as usize).map_or(0, |publisher| publisher.sent)
        };
        self.audience.lost(sent)
    }

    fn unacknowledged(&self) -> u64 {
        match self.plan.qos {
            QoS::AtMostOnce => 0,
            _ => self.counts.published.saturating_sub(self.counts.acknowledged),
        }
    }

    fn is_clean(&self) -> bool {
        [self.lost(), self.unacknowledged(), self.audience.duplicated, self.audience.reordered] == [0; 4]
    }
}

impl Script for Load {
    fn greeted(&mut self, client: u32, connack: &ConnAck<'_>, out: &mut Vec<u8>) -> io::Result<u32> {
        let client = client as usize;
        let Some(filter) = self.plan.filters.get(client) else {
            let publisher = &mut self.publishers[client - self.audience.len()];
            if let Some(receive_maximum) = connack.properties.receive_maximum() {
                publisher.limit_window(receive_maximum);
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
        let subscribes = (client as usize) < self.audience.len();
        if !subscribes || self.note(client, publish.payload, now_nanos).is_none() {
            self.counts.foreign += 1;
        }
    }

    fn acknowledged(&mut self, client: u32) {
        let publisher = client - self.audience.len() as u32;
        self.publishers[publisher as usize].acknowledged += 1;
        self.counts.acknowledged += 1;
        self.wake(publisher);
    }
}

/// How long a turn may wait, and how exactly.
enum Patience {
    Fine(Duration),
    Coarse(Duration),
}

/// What all messages of a publisher, a position in the plan, have in common.
fn stamp(run: u32, plan: &Plan, publisher: u32) -> Stamp {
    Stamp { run, publisher: plan.first_publisher + publisher, number: 0, sent_nanos: 0 }
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
        load.publishers[0].send(sent, stamp, 40, &mut out, |_| 1);
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
            assert_eq!(head[..head.len() - 2], load.publishers[0].frame()[..head.len() - 2]);
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
