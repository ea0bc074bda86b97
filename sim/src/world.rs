//! Shards, journal, log and the wires to clients, moved step by step.
//!
//! A worker's turn is cut where other threads may come between: first it takes mail and bytes, later it posts and
//! writes. Mail between any two keeps its order; retained publications take theirs and are posted in one step, as
//! under the server's lock.

use std::collections::VecDeque;

use longwire_broker::address::{HashKey, shard_of};
use longwire_broker::effect::Effects;
use longwire_broker::event::{Event, Why};
use longwire_broker::input::{CloseCause, Input, LinkId};
use longwire_broker::limits::Limits;
use longwire_broker::message::{Millis, NEVER};
use longwire_broker::parcel::{FromJournal, Parcel};
use longwire_broker::shard::{Counters, Holdings, Shard};
use longwire_broker::tables::{Tables, TablesInTurn};
use longwire_engine::Block;
use longwire_engine::memory::MemoryLog;
use longwire_proto::Version;
use longwire_proto::decode::{self, Decoded, Receiver, Rules};
use longwire_proto::packet::Packet;
use longwire_store::journal::{Answers, Journal, Mail};

use crate::tap::Tap;

/// Steps after which a world that is never quiet is said to run in circles.
const STEPS_MAX: usize = 100_000;

/// Bytes the log takes beyond its bound, since acknowledgements and the ends of sessions go on when it is full.
const JOURNAL_BYTES_SLACK: u64 = 64 << 20;

/// A whole broker.
pub struct World {
    /// What the clocks say.
    pub now: Millis,
    /// The disk under the log: its completions can be held back.
    pub log: MemoryLog,
    /// The journal, whose thread is [`World::serve_journal`].
    pub journal: Journal,
    /// What all shards read.
    pub tables: Tables,
    /// The shards with their mail.
    pub workers: Vec<Worker>,
    tap: Tap,
    /// The first event that says a client broke a rule.
    accusation: Option<Event>,
    wires: Vec<Wire>,
    to_journal: VecDeque<Mail>,
    answers: Answers,
    log_bytes_max: u64,
    key: HashKey,
}

/// One shard with its mail.
pub struct Worker {
    shard: Shard,
    effects: Effects,
    inbox: VecDeque<Letter>,
    drained: Vec<LinkId>,
    /// Wire of each link.
    links: Vec<Option<WireId>>,
    /// Inputs were taken, and their effects not carried out.
    pub is_mid_turn: bool,
}

enum Letter {
    Parcels(Vec<Parcel>),
    Journal(Vec<FromJournal>),
}

/// Number of a wire; never used twice.
pub type WireId = usize;

/// One network connection.
struct Wire {
    worker: usize,
    link: Option<LinkId>,
    to_broker: Vec<u8>,
    to_client: Vec<u8>,
    /// Bytes the client's side buffers.
    room: usize,
    ended_by_client: bool,
    ended_by_broker: bool,
    /// The broker ended it before it had read everything.
    was_left_unread: bool,
}

impl World {
    /// A broker of so many shards, and nobody connected.
    pub fn new(shards: u16, limits: &Limits) -> Self {
        let key = HashKey(3, 5);
        let log = MemoryLog::new(limits.journal_bytes_max as u64 + JOURNAL_BYTES_SLACK);
        let tap = Tap::default();
        let journal = Journal::new(Box::new(tap.on(log.open())), key, limits);
        let workers = (0..shards).map(|number| Worker {
            shard: Shard::new(number, shards, key, limits.clone()),
            effects: Effects::new(number, shards),
            inbox: VecDeque::new(),
            drained: Vec::new(),
            links: Vec::new(),
            is_mid_turn: false,
        });
        World {
            now: 1_000_000,
            log,
            journal,
            tables: Tables::new(key),
            workers: workers.collect(),
            tap,
            accusation: None,
            wires: Vec::new(),
            to_journal: VecDeque::new(),
            answers: (0..shards).map(|_| Vec::new()).collect(),
            log_bytes_max: limits.journal_bytes_max as u64,
            key,
        }
    }

    /// Home of a client.
    pub fn home(&self, client_id: &str) -> usize {
        usize::from(shard_of(&self.key, client_id, self.workers.len()))
    }

    /// A client id at home on shard `home`, beginning with `prefix`.
    pub fn client_id_at(&self, home: usize, prefix: &str) -> String {
        (0..1_000)
            .map(|n| format!("{prefix}-{n}"))
            .find(|id| self.home(id) == home)
            .expect("one of so many hashes fits")
    }

    // --- wires

    /// A connection to the home of `client_id`.
    pub fn connect(&mut self, client_id: &str) -> WireId {
        let worker = self.home(client_id);
        self.wires.push(Wire {
            worker,
            link: None,
            to_broker: Vec::new(),
            to_client: Vec::new(),
            room: usize::MAX,
            ended_by_client: false,
            ended_by_broker: false,
            was_left_unread: false,
        });
        self.wires.len() - 1
    }

    /// The client sends bytes.
    pub fn send(&mut self, wire: WireId, bytes: &[u8]) {
        self.wires[wire].to_broker.extend_from_slice(bytes);
    }

    /// The client's end is closed; of what it sent and nobody read, `kept_max` bytes still arrive.
    pub fn hang_up(&mut self, wire: WireId, kept_max: usize) {
        let wire = &mut self.wires[wire];
        wire.to_broker.truncate(kept_max);
        wire.ended_by_client = true;
        // Whatever is written to it now vanishes.
        wire.room = usize::MAX;
    }

    /// From now on the client's side buffers so many bytes.
    pub fn set_room(&mut self, wire: WireId, room: usize) {
        self.wires[wire].room = room;
    }

    /// What has arrived at the client.
    pub fn arrived(&self, wire: WireId) -> &[u8] {
        &self.wires[wire].to_client
    }

    /// The client takes the first `used` bytes of what has arrived.
    pub fn take_arrived(&mut self, wire: WireId, used: usize) {
        self.wires[wire].to_client.drain(..used);
    }

    /// The broker closed it, and everything it said was read.
    pub fn is_over(&self, wire: WireId) -> bool {
        self.wires[wire].ended_by_broker && self.wires[wire].to_client.is_empty()
    }

    /// The broker has closed it.
    pub fn is_ended(&self, wire: WireId) -> bool {
        self.wires[wire].ended_by_broker
    }

    /// The broker has closed it before it had read everything the client sent.
    pub fn was_left_unread(&self, wire: WireId) -> bool {
        self.wires[wire].was_left_unread
    }

    /// The wires of a worker that have something for it.
    pub fn wires_of(&self, worker: usize) -> Vec<WireId> {
        let is_readable = |wire: &Wire| {
            wire.worker == worker
                && !wire.ended_by_broker
                && (wire.ended_by_client || !wire.to_broker.is_empty())
        };
        (0..self.wires.len()).filter(|&wire| is_readable(&self.wires[wire])).collect()
    }

    // --- steps

    /// The first half of a turn: mail, bytes and timers become inputs. True if there was anything to do.
    pub fn begin_turn(&mut self, number: usize, letters_max: usize, readable: &[WireId]) -> bool {
        let mut is_busy = false;
        self.workers[number].is_mid_turn = true;
        for _ in 0..letters_max {
            let Some(letter) = self.workers[number].inbox.pop_front() else { break };
            is_busy = true;
            match letter {
                Letter::Parcels(parcels) => {
                    for parcel in parcels {
                        self.input(number, Input::Parcel(parcel));
                    }
                }
                Letter::Journal(words) => {
                    for word in words {
                        self.input(number, Input::Journal(word));
                    }
                }
            }
        }
        if self.workers[number].shard.has_unfinished() {
            is_busy = true;
            self.input(number, Input::Continue);
        }
        for link in std::mem::take(&mut self.workers[number].drained) {
            is_busy = true;
            self.input(number, Input::Drained { link });
        }
        for &wire in readable {
            is_busy |= self.read(wire);
        }
        if self.workers[number].shard.next_due() <= self.now {
            is_busy = true;
            self.input(number, Input::Due);
        }
        is_busy
    }

    /// The second half: mail is posted, then bytes are written.
    pub fn end_turn(&mut self, number: usize) -> bool {
        self.input(number, Input::TurnEnds);
        if self.workers[number].shard.has_deferred() {
            self.input(number, Input::PublishDeferred);
        }
        let mut is_busy = self.post(number);
        let Worker { shard, effects, .. } = &mut self.workers[number];
        assert!(effects.authentications.is_empty(), "no client asks for enhanced authentication");
        for link in effects.writes.drain(..) {
            shard.begin_sending(link);
        }
        effects.reading.clear();
        effects.keep_alives.clear();
        let is_accusation =
            |event: &Event| matches!(event, Event::Disconnected { why: Why::BrokeRule(..), .. });
        let accusation = effects.events.drain(..).find(is_accusation);
        self.accusation = self.accusation.take().or(accusation);
        let closes = std::mem::take(&mut effects.closes);
        for link in 0..self.workers[number].links.len() as LinkId {
            is_busy |= self.flush(number, link);
        }
        for link in closes {
            self.close(number, link);
        }
        self.workers[number].is_mid_turn = false;
        is_busy
    }

    fn post(&mut self, number: usize) -> bool {
        let mut is_busy = false;
        for to in 0..self.workers.len() {
            let parcels = std::mem::take(&mut self.workers[number].effects.mail[to]);
            if !parcels.is_empty() {
                is_busy = true;
                self.workers[to].inbox.push_back(Letter::Parcels(parcels));
            }
        }
        let Effects { keeps, asks, confirm, .. } = &mut self.workers[number].effects;
        if keeps.is_empty() && asks.is_empty() && *confirm == 0 {
            return is_busy;
        }
        self.to_journal.push_back(Mail {
            from: number as u16,
            keeps: std::mem::take(keeps),
            confirm: std::mem::take(confirm),
            asks: std::mem::take(asks),
        });
        true
    }

    /// The journal takes some of its mail, keeps it, and answers what has become durable.
    pub fn serve_journal(&mut self, letters_max: usize) -> bool {
        let count = self.to_journal.len().min(letters_max);
        if count == 0 && self.journal.is_idle() {
            return false;
        }
        let mut asks = Vec::new();
        for mail in self.to_journal.drain(..count) {
            asks.extend(mail.asks.into_iter().map(|ask| (mail.from, ask)));
            self.journal.gather(mail.from, mail.keeps, mail.confirm);
        }
        // A lane that is full is asked again; nothing is acknowledged until it takes the block.
        let _ = self.journal.commit(&mut self.answers);
        for (from, ask) in asks {
            self.journal.ask(from, ask, &mut self.answers);
        }
        let mut is_busy = count > 0;
        for (answers, worker) in self.answers.iter_mut().zip(&mut self.workers) {
            if !answers.is_empty() {
                is_busy = true;
                worker.inbox.push_back(Letter::Journal(std::mem::take(answers)));
            }
        }
        is_busy
    }

    fn turn(&mut self, number: usize) -> bool {
        let readable = self.wires_of(number);
        let is_busy = self.begin_turn(number, usize::MAX, &readable);
        self.end_turn(number) || is_busy
    }

    fn turn_all(&mut self) -> bool {
        let mut is_busy = false;
        for number in 0..self.workers.len() {
            is_busy |= self.turn(number);
        }
        is_busy
    }

    /// Turns of all shards until none has anything to do; the journal sleeps.
    pub fn run_shards(&mut self) {
        self.run(World::turn_all);
    }

    /// Everybody works until nobody has anything to do.
    pub fn run_all(&mut self) {
        self.run(|world| {
            let is_busy = world.turn_all();
            world.serve_journal(usize::MAX) || is_busy
        });
    }

    fn run(&mut self, mut round: impl FnMut(&mut World) -> bool) {
        for _ in 0..STEPS_MAX {
            if !round(self) {
                return;
            }
        }
        panic!("the world runs in circles");
    }

    // --- what an observer sees

    /// The next block that has become durable and was not seen yet.
    pub(crate) fn next_durable(&self) -> Option<Block> {
        self.tap.next_durable()
    }

    /// A bound of some shard, or of the log, that is exceeded.
    pub(crate) fn exceeded_bound(&self) -> Option<&'static str> {
        let of_shards = self.workers.iter().find_map(|worker| worker.shard.exceeded_bound());
        let log_max = self.log_bytes_max + JOURNAL_BYTES_SLACK;
        of_shards.or((self.journal.bytes() > log_max).then_some("journal_bytes_max"))
    }

    /// What each shard holds.
    pub fn holdings(&self) -> Vec<Holdings> {
        self.workers.iter().map(|worker| worker.shard.holdings()).collect()
    }

    /// When the next timer of any shard is due.
    pub(crate) fn next_due(&self) -> Millis {
        self.workers.iter().map(|worker| worker.shard.next_due()).min().unwrap_or(NEVER)
    }

    /// Counts of all shards.
    pub fn count(&mut self) -> Counters {
        let mut sum = Counters::default();
        for worker in &mut self.workers {
            sum += worker.shard.count();
        }
        sum
    }

    /// The rule a client is said to have broken, if any.
    pub fn broken_rule(&self) -> Option<&Event> {
        self.accusation.as_ref()
    }

    // --- one worker's doings

    fn input(&mut self, number: usize, input: Input<'_>) {
        let Worker { shard, effects, .. } = &mut self.workers[number];
        shard.handle(self.now, input, &mut TablesInTurn::new(&self.tables), effects);
    }

    /// Hands over the whole packets of a wire. True if there were any, or it ended.
    fn read(&mut self, wire_id: WireId) -> bool {
        let wire = &mut self.wires[wire_id];
        if wire.ended_by_broker || (wire.link.is_some_and(|link| self.is_paused(wire_id, link))) {
            return false;
        }
        let wire = &mut self.wires[wire_id];
        let bytes = std::mem::take(&mut wire.to_broker);
        let used = self.use_bytes(wire_id, &bytes);
        let wire = &mut self.wires[wire_id];
        let (worker, link, is_ended) = (wire.worker, wire.link, wire.ended_by_client);
        wire.to_broker = bytes[used..].to_vec();
        match link {
            None if is_ended => wire.ended_by_broker = true,
            Some(link) if is_ended && !self.is_paused(wire_id, link) => {
                self.input(worker, Input::Closed { link, cause: CloseCause::Network });
                return true;
            }
            _ => {}
        }
        used > 0
    }

    fn is_paused(&self, wire: WireId, link: LinkId) -> bool {
        self.workers[self.wires[wire].worker].shard.is_paused(link)
    }

    fn use_bytes(&mut self, wire_id: WireId, bytes: &[u8]) -> usize {
        let number = self.wires[wire_id].worker;
        let mut rules = Rules {
            version: Version::V5,
            receiver: Receiver::Server,
            packet_size_max: u32::MAX,
            strict_text: true,
        };
        let mut used = 0;
        loop {
            if let Some(link) = self.wires[wire_id].link {
                let Some(version) = self.workers[number].shard.version(link) else { return used };
                rules.version = version;
                // A connection that takes no answers is not asked for more.
                if self.is_paused(wire_id, link) || !self.workers[number].shard.has_room(link) {
                    return used;
                }
            }
            let decoded = decode::packet(&bytes[used..], &rules).expect("clients send packets");
            let Decoded::Packet(packet, len) = decoded else { return used };
            used += len;
            match (&packet, self.wires[wire_id].link) {
                (Packet::Connect(connect), None) => {
                    let link = self.free_link(number, wire_id);
                    self.wires[wire_id].link = Some(link);
                    self.input(number, Input::Connect { link, connect, assigned_id: "assigned" });
                }
                (_, Some(link)) => self.input(number, Input::Packet { link, packet }),
                (_, None) => panic!("the first packet is CONNECT"),
            }
        }
    }

    fn free_link(&mut self, number: usize, wire: WireId) -> LinkId {
        let links = &mut self.workers[number].links;
        let index = links.iter().position(Option::is_none).unwrap_or_else(|| {
            links.push(None);
            links.len() - 1
        });
        links[index] = Some(wire);
        index as LinkId
    }

    /// Moves what waits for a link to its client, as far as there is room.
    fn flush(&mut self, number: usize, link: LinkId) -> bool {
        let Worker { shard, links, drained, .. } = &mut self.workers[number];
        let Some(wire) = links[link as usize].map(|wire| &mut self.wires[wire]) else { return false };
        let pending = shard.pending(link);
        let count = pending.len().min(wire.room.saturating_sub(wire.to_client.len()));
        if count == 0 {
            return false;
        }
        if !wire.ended_by_client {
            wire.to_client.extend_from_slice(&pending[..count]);
        }
        if shard.sent(link, count) {
            drained.push(link);
        }
        true
    }

    /// The shard closed a link: last words, then the end.
    fn close(&mut self, number: usize, link: LinkId) {
        let worker = &mut self.workers[number];
        let Some(wire) = worker.links[link as usize].take() else { return };
        let wire = &mut self.wires[wire];
        if !wire.ended_by_client {
            wire.to_client.extend_from_slice(worker.shard.pending(link));
        }
        wire.ended_by_broker = true;
        wire.was_left_unread |= !wire.to_broker.is_empty();
        wire.to_broker.clear();
        worker.shard.forget(link);
    }
}
