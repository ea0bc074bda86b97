//! Random histories: clients come, go, stall and come back, threads interleave as a seed says, and in the end
//! everything MQTT and our own promises say must hold. `SEEDS=10000` runs more of them, `SEED=7` only that one and
//! tells it.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU16;

use longwire_broker::limits::Limits;
use longwire_proto::encode::AckKind;
use longwire_proto::transfer::{Incoming, Outgoing, Stage};
use longwire_proto::{QoS, ReasonCode, Version};

use crate::model::{Publication, Publications, Session, Step};
use crate::random::Random;
use longwire_sim::client::{self, Client, Delivery, FLEETING, Got, Terms};
use longwire_sim::world::{WireId, World};

/// Histories of one run, if nothing else is said.
const SEEDS: u64 = 300;

/// Steps of one history before everybody comes back and everything settles.
const STEPS: usize = 3_000;

/// Rounds in which everything must settle.
const ROUNDS_MAX: usize = 2_000;

/// Rounds without a word to any client after which everything has settled.
const QUIET_ROUNDS: usize = 8;

/// Topics that are always published with RETAIN, each at a QoS of its own, so that they have one last value.
const RETAINED: [(&str, QoS); 3] =
    [("r/0", QoS::AtMostOnce), ("r/1", QoS::AtLeastOnce), ("r/2", QoS::ExactlyOnce)];
const PLAIN: [&str; 3] = ["t/a", "t/b", "u/a"];
/// Each reaches one shared group and nothing else.
const SHARED: [(&str, &str); 2] = [("s/1", "$share/g/s/1"), ("s/2/x", "$share/h/s/2/#")];
const FILTERS: [&str; 9] =
    ["t/a", "t/b", "t/+", "+/a", "u/#", "r/1", "r/#", "$share/g/s/1", "$share/h/s/2/#"];
const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// A client with a will of its own.
struct Player {
    client: Client,
    terms: Terms,
    /// CONNACK was seen on the present connection.
    is_greeted: bool,
    /// The present CONNECT asked for a clean start.
    asked_clean: bool,
    /// A CONNECT was abandoned before its CONNACK, so that a session may exist without the client's knowledge.
    may_exist: bool,
    session: Option<usize>,
    outgoing: Outgoing<usize>,
    incoming: Incoming,
    /// Acknowledgements that wait for its leisure.
    acks: VecDeque<(AckKind, u16)>,
    is_lazy: bool,
    requests: HashMap<u16, Request>,
    next_request: u16,
}

/// A SUBSCRIBE or UNSUBSCRIBE under way: the subscriptions it is about.
enum Request {
    Subscribe(usize),
    Unsubscribe(Vec<usize>),
}

struct History {
    seed: u64,
    random: Random,
    world: World,
    step: Step,
    players: Vec<Player>,
    sessions: Vec<Session>,
    publications: Publications,
    /// Connections that were left for a newer one and have not ended.
    abandoned: Vec<WireId>,
    /// Outboxes are so small that they fill up.
    is_tight: bool,
    lines: Vec<String>,
}

#[test]
fn random_histories_keep_every_promise() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SEED") {
        let mut history = History::new(seed);
        history.run();
        history.lines.iter().for_each(|line| println!("{line}"));
        return;
    }
    for seed in 0..number("SEEDS").unwrap_or(SEEDS) {
        History::new(seed).run();
    }
}

impl Drop for History {
    /// A history that failed is told.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.lines.iter().for_each(|line| println!("{line}"));
            println!("SEED={} tells this history again", self.seed);
        }
    }
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let is_tight = random.chance(30);
        let mut limits = Limits::default();
        if is_tight {
            limits.outbox_bytes_max = 600;
        }
        let version = match random.below(3) {
            // A full journal closes clients before 5.0, which then come back and send the same again, for ever.
            0 => {
                limits.journal_bytes_max = 24 << 10;
                Some(Version::V5)
            }
            1 => {
                limits.journal_bytes_max = 512 << 10;
                None
            }
            _ => None,
        };
        let shards = 1 + random.below(4) as u16;
        let world = World::new(shards, &limits);
        if random.chance(50) {
            world.log.hold();
        }
        let players =
            (0..3 + random.below(5)).map(|number| Player::new(number, version, &mut random)).collect();
        History {
            seed,
            random,
            world,
            step: 0,
            players,
            sessions: Vec::new(),
            publications: Publications { all: Vec::new(), may_be_refused: version.is_some() },
            abandoned: Vec::new(),
            is_tight,
            lines: vec![format!("{shards} shards, tight: {is_tight}")],
        }
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            self.step += 1;
            match self.random.below(100) {
                0..35 => self.half_a_turn(),
                35..48 => self.serve_journal(),
                48..75 => self.receive_some(),
                75..96 => self.act(),
                96..98 => self.world.log.release(u64::MAX),
                98 => self.world.now += 100,
                _ if self.random.chance(10) => self.let_time_pass(),
                _ => self.end_abandoned(),
            }
            if let Some(event) = self.world.broken_rule() {
                panic!("a client that keeps the rules was accused: {event:?}");
            }
        }
        self.settle();
        self.check();
        self.end_all();
    }

    fn tell(&mut self, player: usize, what: impl std::fmt::Display) {
        let id = &self.players[player].client.id;
        self.lines.push(format!("{:5} {id}: {what}", self.step));
    }

    // --- the broker's threads

    fn half_a_turn(&mut self) {
        let number = self.random.below(self.world.workers.len());
        if self.world.workers[number].is_mid_turn {
            self.world.end_turn(number);
            return;
        }
        let letters_max = self.random.pick(&[0, 1, 2, usize::MAX]);
        let mut readable = self.world.wires_of(number);
        readable.retain(|_| self.random.chance(60));
        if readable.len() > 1 && self.random.chance(50) {
            readable.reverse();
        }
        self.world.begin_turn(number, letters_max, &readable);
    }

    fn serve_journal(&mut self) {
        let letters_max = self.random.pick(&[1, 2, usize::MAX]);
        self.world.serve_journal(letters_max);
    }

    fn let_time_pass(&mut self) {
        let secs = self.random.pick(&[1, 50, 200]);
        self.world.now += secs * 1_000;
        self.lines.push(format!("{:5} {secs} s pass", self.step));
    }

    fn end_abandoned(&mut self) {
        if !self.abandoned.is_empty() {
            let wire = self.abandoned.swap_remove(self.random.below(self.abandoned.len()));
            self.world.hang_up(wire, usize::MAX);
        }
    }

    // --- what clients do

    fn act(&mut self) {
        let number = self.random.below(self.players.len());
        let player = &mut self.players[number];
        if player.client.wire.is_none() {
            return self.connect(number);
        }
        if !player.is_greeted {
            if !player.asked_clean && player.terms.expiry_secs == u32::MAX && self.random.chance(5) {
                self.players[number].may_exist = true;
                // Nothing unread arrives, or this CONNECT could come after the next one.
                self.crash(number, 0);
            }
            return;
        }
        match self.random.below(100) {
            0..50 => self.publish(number),
            50..68 => self.subscribe(number),
            68..74 => self.unsubscribe(number),
            74..80 => player.is_lazy = !player.is_lazy,
            80..86 => self.change_room(number),
            86..91 => {
                let kept_max = self.random.pick(&[0, 50, usize::MAX]);
                self.crash(number, kept_max);
            }
            91..93 => self.disconnect(number),
            93..96 => self.connect(number),
            _ => {}
        }
    }

    fn connect(&mut self, number: usize) {
        if let Some(wire) = self.players[number].client.wire {
            self.abandoned.push(wire);
            self.went_offline(number);
        }
        let player = &mut self.players[number];
        let mut terms = player.terms;
        if terms.expiry_secs > 0 && self.random.chance(6) {
            terms.clean_start = true;
            if player.client.version < Version::V5 {
                terms.expiry_secs = 0;
            }
        }
        player.asked_clean = terms.clean_start;
        player.client.connect(&mut self.world, terms);
        self.tell(number, if terms.clean_start { "CONNECT, clean" } else { "CONNECT" });
    }

    fn crash(&mut self, number: usize, kept_max: usize) {
        self.tell(number, format_args!("crash, {kept_max} bytes arrive"));
        self.players[number].client.crash(&mut self.world, kept_max);
        self.went_offline(number);
    }

    fn disconnect(&mut self, number: usize) {
        self.tell(number, "DISCONNECT");
        self.players[number].client.disconnect(&mut self.world);
        self.went_offline(number);
    }

    /// The present connection is of no more use to the client.
    fn went_offline(&mut self, number: usize) {
        let player = &mut self.players[number];
        player.is_greeted = false;
        player.acks.clear();
        player.requests.clear();
        if let Some(session) = player.session {
            let session = &mut self.sessions[session];
            session.offline_since.get_or_insert(self.world.now);
            session.is_over |= session.expiry_secs == 0;
        }
    }

    fn publish(&mut self, number: usize) {
        let (topic, qos, retain) = match self.random.below(10) {
            0..2 => {
                let (topic, qos) = self.random.pick(&RETAINED);
                (topic, qos, true)
            }
            2..4 => (self.random.pick(&SHARED).0, self.random.pick(&LEVELS), false),
            _ => (self.random.pick(&PLAIN), self.random.pick(&LEVELS), false),
        };
        let index = self.publications.all.len();
        let mut packet_id = 0;
        if qos > QoS::AtMostOnce {
            let outgoing = &mut self.players[number].outgoing;
            if outgoing.room() == 0 {
                return;
            }
            packet_id = outgoing.open(qos, index).map_or(0, NonZeroU16::get);
        }
        let is_deletion = retain && self.random.chance(15);
        let padding = "x".repeat(self.random.pick(&[0, 10, 200]));
        self.publications.all.push(Publication {
            publisher: number,
            topic,
            qos,
            retain,
            payload: if is_deletion { String::new() } else { format!("{index}:{padding}") },
            sent_at: self.step,
            sends: 0,
            accepted: false,
        });
        self.send_publication(number, index, packet_id, false);
    }

    fn send_publication(&mut self, number: usize, index: usize, packet_id: u16, dup: bool) {
        let publication = &mut self.publications.all[index];
        publication.sends += 1;
        let Publication { topic, qos, retain, ref payload, .. } = *publication;
        let outgoing = client::Outgoing { topic, payload, qos, retain, dup, packet_id };
        self.players[number].client.publish(&mut self.world, outgoing);
        let what = format!("PUBLISH {index} id {packet_id} to {topic} {qos:?} dup {dup} retain {retain}");
        self.tell(number, what);
    }

    fn subscribe(&mut self, number: usize) {
        let filter = self.random.pick(&FILTERS);
        // Members of shared groups take QoS 1 at least, so that nothing handed to them may be lost.
        let qos = self.random.pick(if filter.starts_with('$') { &LEVELS[1..] } else { &LEVELS });
        let Some(session) = self.players[number].session else { return };
        let subscription = self.sessions[session].subscribe(filter, qos);
        let packet_id = self.players[number].request(Request::Subscribe(subscription));
        self.players[number].client.subscribe(&mut self.world, packet_id, filter, qos);
        self.tell(number, format_args!("SUBSCRIBE {packet_id} {filter} {qos:?}"));
    }

    fn unsubscribe(&mut self, number: usize) {
        let filter = self.random.pick(&FILTERS);
        let Some(session) = self.players[number].session else { return };
        let mut ended = Vec::new();
        for (index, held) in self.sessions[session].subscriptions.iter_mut().enumerate() {
            if held.filter == filter && held.gone_at.is_none() {
                held.unsubscribed_at.get_or_insert(self.step);
                ended.push(index);
            }
        }
        let packet_id = self.players[number].request(Request::Unsubscribe(ended));
        self.players[number].client.unsubscribe(&mut self.world, packet_id, filter);
        self.tell(number, format_args!("UNSUBSCRIBE {packet_id} {filter}"));
    }

    /// The client's side of the socket takes nothing for a while, or everything again.
    fn change_room(&mut self, number: usize) {
        let room = self.random.pick(&[0, 300, usize::MAX, usize::MAX]);
        if let Some(wire) = self.players[number].client.wire {
            self.world.set_room(wire, room);
        }
    }

    // --- what clients hear

    fn receive_some(&mut self) {
        let number = self.random.below(self.players.len());
        for _ in 0..=self.random.below(4) {
            if !self.receive_one(number) {
                break;
            }
        }
        if !self.players[number].is_lazy {
            let count = self.random.below(4);
            self.acknowledge(number, count);
        }
    }

    fn acknowledge(&mut self, number: usize, count: usize) {
        for _ in 0..count {
            let player = &mut self.players[number];
            let Some((kind, packet_id)) = player.acks.pop_front() else { return };
            player.client.ack(&mut self.world, kind, packet_id);
            self.tell(number, format_args!("{kind:?} {packet_id}"));
        }
    }

    /// False if nothing has arrived.
    fn receive_one(&mut self, number: usize) -> bool {
        let Some(wire) = self.players[number].client.wire else { return false };
        let Some(got) = self.players[number].client.receive_one(&mut self.world) else {
            if self.world.is_over(wire) {
                self.tell(number, "was closed");
                self.players[number].client.wire = None;
                self.went_offline(number);
            }
            return false;
        };
        self.tell(number, format_args!("got {got:?}"));
        match got {
            Got::ConnAck { session_present, reason } => self.greeted(number, session_present, reason),
            Got::Publish(delivery) => self.delivered(number, &delivery),
            Got::PubAck(id, reason) => {
                let index = self.players[number].outgoing.puback(packet_id(id)).expect("PUBACK fits");
                self.publications.all[index].accepted = !reason.is_error();
            }
            Got::PubRec(id, reason) => {
                let player = &mut self.players[number];
                let id = packet_id(id);
                if reason.is_error() {
                    player.outgoing.pubrec_refused(id).expect("PUBREC fits");
                    return true;
                }
                match player.outgoing.pubrec(id) {
                    Ok(index) => self.publications.all[index].accepted = true,
                    Err(_) => assert!(player.outgoing.contains(id), "PUBREC for {id}, which is not open"),
                }
                player.acks.push_back((AckKind::PubRel, id.get()));
            }
            Got::PubComp(id) => {
                self.players[number].outgoing.pubcomp(packet_id(id)).expect("PUBCOMP fits");
            }
            Got::PubRel(id) => {
                let player = &mut self.players[number];
                player.incoming.release(packet_id(id));
                player.acks.push_back((AckKind::PubComp, id));
            }
            Got::SubAck(id, _) => self.answered(number, id),
            Got::UnsubAck(id) => self.answered(number, id),
            Got::Disconnect(reason) => assert_eq!(reason, ReasonCode::QuotaExceeded),
        }
        true
    }

    fn greeted(&mut self, number: usize, session_present: bool, reason: ReasonCode) {
        assert_eq!(reason, ReasonCode::Success);
        let player = &mut self.players[number];
        player.is_greeted = true;
        let known = player.session.filter(|&session| !self.sessions[session].is_over);
        if session_present {
            assert!(!player.asked_clean, "a clean start found a session");
            assert!(known.is_some() || player.may_exist, "a session came from nowhere");
        } else if !player.asked_clean
            && let Some(known) = known
        {
            let session = &self.sessions[known];
            assert!(!session.must_exist(self.world.now), "the session is lost");
        }
        player.may_exist = false;
        if session_present && let Some(known) = known {
            self.sessions[known].offline_since = None;
            return self.resend(number);
        }
        if let Some(known) = known {
            self.sessions[known].is_over = true;
        }
        let is_fleeting = player.asked_clean && player.client.version < Version::V5;
        let expiry_secs = if is_fleeting { 0 } else { player.terms.expiry_secs };
        player.session = Some(self.sessions.len());
        player.outgoing = Outgoing::new();
        player.outgoing.start(20);
        player.incoming = Incoming::new();
        self.sessions.push(Session::new(number, expiry_secs));
    }

    /// What the last connection left open, again and in order.
    fn resend(&mut self, number: usize) {
        self.players[number].outgoing.start(20);
        while let Some((id, stage)) = self.players[number].outgoing.resend() {
            match stage {
                Stage::Publish(&index) => self.send_publication(number, index, id.get(), true),
                Stage::Release => {
                    self.players[number].client.ack(&mut self.world, AckKind::PubRel, id.get());
                    self.tell(number, format_args!("PubRel {id}, again"));
                }
            }
        }
    }

    fn delivered(&mut self, number: usize, delivery: &Delivery) {
        let player = &mut self.players[number];
        let is_new = match delivery.qos {
            QoS::AtMostOnce => true,
            QoS::AtLeastOnce => {
                player.acks.push_back((AckKind::PubAck, delivery.packet_id));
                true
            }
            QoS::ExactlyOnce => {
                player.acks.push_back((AckKind::PubRec, delivery.packet_id));
                player.incoming.receive(packet_id(delivery.packet_id))
            }
        };
        if is_new && let Some(session) = player.session {
            let result = self.sessions[session].deliver(delivery, &self.publications);
            result.unwrap_or_else(|wrong| panic!("{}: {wrong}", self.players[number].client.id));
        }
    }

    /// SUBACK or UNSUBACK.
    fn answered(&mut self, number: usize, id: u16) {
        let player = &mut self.players[number];
        let request = player.requests.remove(&id).expect("an answer belongs to a request");
        let Some(session) = player.session else { return };
        let subscriptions = &mut self.sessions[session].subscriptions;
        match request {
            Request::Subscribe(index) => {
                subscriptions[index].granted_at.get_or_insert(self.step);
                subscriptions[index].changed_at = self.step;
            }
            Request::Unsubscribe(indexes) => {
                for index in indexes {
                    subscriptions[index].gone_at.get_or_insert(self.step);
                }
            }
        }
    }

    // --- the end

    /// Everybody whose session stays comes back, reads and acknowledges, until nothing moves any more.
    fn settle(&mut self) {
        self.lines.push(format!("{:5} everybody comes back", self.step));
        for wire in std::mem::take(&mut self.abandoned) {
            self.world.hang_up(wire, usize::MAX);
        }
        let mut quiet_rounds = 0;
        for _ in 0..ROUNDS_MAX {
            self.step += 1;
            self.world.log.release(u64::MAX);
            self.world.run_all();
            quiet_rounds += 1;
            for number in 0..self.players.len() {
                let mut is_busy = self.come_back(number);
                while self.receive_one(number) {
                    is_busy = true;
                }
                self.acknowledge(number, usize::MAX);
                if is_busy {
                    quiet_rounds = 0;
                }
            }
            // One answer may wait for the log several times, before anybody hears of it.
            if quiet_rounds == QUIET_ROUNDS {
                return;
            }
        }
        panic!("nothing settles");
    }

    fn come_back(&mut self, number: usize) -> bool {
        let player = &mut self.players[number];
        if let Some(wire) = player.client.wire {
            self.world.set_room(wire, usize::MAX);
            return false;
        }
        if player.terms.expiry_secs == 0 {
            return false;
        }
        player.asked_clean = false;
        player.client.connect(&mut self.world, player.terms);
        self.tell(number, "CONNECT");
        true
    }

    fn check(&mut self) {
        for session in self.sessions.iter().filter(|session| !session.is_over) {
            let id = &self.players[session.player].client.id;
            if let Some((number, publication)) = session.missing(&self.publications) {
                panic!("{id} never saw {number} to {}", publication.topic);
            }
        }
        for player in &self.players {
            let id = &player.client.id;
            assert!(player.client.wire.is_none() || player.outgoing.is_empty(), "{id} waits for an answer");
            assert!(player.client.wire.is_none() || player.requests.is_empty(), "{id} waits for an answer");
        }
        self.check_groups();
        self.check_retained();
    }

    /// What a group with a member that stays accepted went to some member.
    fn check_groups(&self) {
        for (number, publication) in self.publications.all.iter().enumerate() {
            let Some((_, filter)) = SHARED.iter().find(|(topic, _)| *topic == publication.topic) else {
                continue;
            };
            let receivers = self.sessions.iter().filter(|session| session.seen.contains_key(&number)).count();
            let stays = self.sessions.iter().any(|session| {
                !session.is_over
                    && session.expiry_secs > 0
                    && session
                        .subscriptions
                        .iter()
                        .any(|held| held.filter == *filter && held.holds_since(publication.sent_at))
            });
            let is_promised = match publication.qos {
                QoS::AtMostOnce => false,
                QoS::AtLeastOnce => true,
                // It goes with the session of a member that holds it [MQTT-4.8.2-5].
                QoS::ExactlyOnce => !self.sessions.iter().any(|session| session.is_over),
            };
            if stays && publication.accepted && is_promised {
                assert!(receivers > 0, "no member of {filter} saw {number}");
            }
        }
    }

    /// Live subscribers saw as the last value what a late one finds.
    fn check_retained(&mut self) {
        let mut observer = Client::new("observer", Version::V5);
        observer.connect(&mut self.world, FLEETING);
        observer.subscribe(&mut self.world, 1, "r/#", QoS::AtMostOnce);
        self.world.run_all();
        let found: HashMap<String, String> = observer
            .received(&mut self.world)
            .into_iter()
            .filter_map(|got| match got {
                Got::Publish(delivery) => Some((delivery.topic, delivery.payload)),
                _ => None,
            })
            .collect();
        observer.disconnect(&mut self.world);
        for (topic, qos) in RETAINED {
            let value = found.get(topic).map_or("", String::as_str);
            let Some(first) = self.publications.all.iter().find(|one| one.topic == topic) else { continue };
            for session in self.sessions.iter().filter(|session| !session.is_over) {
                let mut holding = session.subscriptions.iter().filter(|held| held.matches(topic));
                let holds_all_along = holding.clone().any(|held| held.holds_since(first.sent_at));
                let level = session.subscriptions.iter().find(|held| held.matches(topic));
                let has_one_level = holding.all(|held| {
                    level.is_some_and(|level| (held.lowest, held.highest) == (level.lowest, level.lowest))
                });
                let is_sure = qos > QoS::AtMostOnce
                    && level.is_some_and(|level| level.lowest > QoS::AtMostOnce)
                    || (session.expiry_secs == 0 && !self.is_tight);
                if let (true, true, true, Some(last)) =
                    (holds_all_along, has_one_level, is_sure, session.last.get(topic))
                {
                    let id = &self.players[session.player].client.id;
                    assert_eq!(last, value, "last value of {topic} at {id}, and retained");
                }
            }
        }
    }

    /// Every session ends, and nothing is left of them.
    fn end_all(&mut self) {
        for player in &mut self.players {
            player.client.crash(&mut self.world, 0);
            player.client.connect(&mut self.world, FLEETING);
            self.world.log.release(u64::MAX);
            self.world.run_all();
            player.client.disconnect(&mut self.world);
        }
        for _ in 0..10 {
            self.world.log.release(u64::MAX);
            self.world.run_all();
        }
        let counters = self.world.count();
        assert_eq!((counters.sessions, counters.connections), (0, 0), "sessions and connections left");
        let sizes = self.world.tables.sizes();
        assert_eq!((sizes.subscriptions, sizes.groups), (0, 0), "subscriptions and groups left");
        assert!(self.world.journal.is_idle(), "the journal has work left");
    }
}

impl Player {
    fn new(number: usize, version: Option<Version>, random: &mut Random) -> Self {
        let version = version.unwrap_or(random.pick(&[Version::V311, Version::V5]));
        let expiry_secs = match version {
            Version::V5 => random.pick(&[0, 100, u32::MAX]),
            _ => random.pick(&[0, u32::MAX]),
        };
        let terms = Terms {
            clean_start: expiry_secs == 0,
            expiry_secs,
            receive_max: random.pick(&[1, 3, 100]),
            alias_max: random.pick(&[0, 2]),
            packet_size_max: 0,
        };
        Player {
            client: Client::new(&format!("{number}-{version:?}-{expiry_secs}"), version),
            terms,
            is_greeted: false,
            asked_clean: false,
            may_exist: false,
            session: None,
            outgoing: Outgoing::new(),
            incoming: Incoming::new(),
            acks: VecDeque::new(),
            is_lazy: false,
            requests: HashMap::new(),
            next_request: 0,
        }
    }

    /// The packet id of a new request, apart from those of publications.
    fn request(&mut self, request: Request) -> u16 {
        self.next_request = self.next_request % 1_000 + 1;
        let id = 60_000 + self.next_request;
        self.requests.insert(id, request);
        id
    }
}

fn packet_id(id: u16) -> NonZeroU16 {
    NonZeroU16::new(id).expect("packet ids are not 0")
}
