//! One worker: an event loop that owns its sockets and one shard. Each turn it waits, takes its mail, reads what is
//! ready, lets the shard decide, and then posts mail, hands records to the journal and writes, once for all inputs.
//!
//! Mail and records leave before bytes do: whoever reads an answer can rely on what it says.

mod accept;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use longwire_broker::address::HashKey;
use longwire_broker::effect::Effects;
use longwire_broker::input::{AuthenticationOutcome, CloseCause, Input, LinkId};
use longwire_broker::kept::{KeptGroup, KeptSession};
use longwire_broker::limits::{JOURNAL_UNSYNCED_BYTES, UNDELIVERED_BYTES};
use longwire_broker::message::NEVER;
use longwire_broker::parcel::{FromJournal, Parcel};
use longwire_broker::shard::Shard;
use longwire_broker::slab::Slab;
use longwire_broker::tables::{Tables, TablesInTurn};
use longwire_net::listen::Listener;
use longwire_net::mail::{Inbox, Sender};
use longwire_net::poll::{Poll, Ready, WAKE};
use longwire_net::stream::Stream;
use longwire_net::wheel::Wheel;
use longwire_proto::ReasonCode;
use longwire_store::journal;
use tracing::error;

use crate::clock::{Clock, Now};
use crate::connection::{Connection, Stage};
use crate::journal::{ToJournal, Unkept};
use crate::report::Report;
use crate::sys::Sys;

/// What a worker is sent.
#[derive(Debug)]
pub(crate) enum Mail {
    /// From another worker's shard, or from its own.
    Parcels(Vec<Parcel>),
    /// From the journal.
    Journal(Vec<FromJournal>),
    /// A connection whose client is at home here, with what was read from it.
    Arrival(Box<Arrival>),
    /// The broker stops: no new connections, due wills go out. Answered when they are on their way.
    Prepare(mpsc::Sender<()>),
    /// The broker stops: every client is told, then the worker ends.
    Stop,
}

/// A connection on its way home.
#[derive(Debug)]
pub(crate) struct Arrival {
    stream: Stream,
    address: SocketAddr,
    bytes: Vec<u8>,
}

/// What all workers of a broker share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) tables: Arc<Tables>,
    pub(crate) clock: Clock,
    pub(crate) key: HashKey,
    pub(crate) workers: Vec<Sender<Mail>>,
    pub(crate) journal: Sender<ToJournal>,
    pub(crate) unkept: Unkept,
    /// Bytes of messages mailed to workers, or waiting there among wide fan-outs.
    pub(crate) undelivered: Arc<AtomicUsize>,
    pub(crate) sys: Arc<Sys>,
}

/// Bytes read from sockets at a time. One buffer per worker: an idle connection owns none.
const READ_BUFFER_BYTES: usize = 256 << 10;

/// Tokens of listeners count down from here; those of connections are their numbers.
const FIRST_LISTENER: usize = WAKE - 1;

/// Longest wait, so that counters and reports go on.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Wait while more is under way than may be.
const WAIT_HELD_BACK: Duration = Duration::from_millis(2);

/// One worker.
pub(crate) struct Worker {
    number: u16,
    poll: Poll,
    inbox: Inbox<Mail>,
    shared: Shared,
    shard: Shard,
    effects: Effects,
    listeners: Vec<Listener>,
    /// Tick at which accepting goes on; 0 if it is not paused.
    accept_paused_until: u32,
    /// More connections may wait than one turn accepted; readiness will not tell of them again.
    accepts_more: bool,
    connections: Slab<Connection>,
    wheel: Wheel,
    buffer: Vec<u8>,
    /// Connections that have more to read than one turn took.
    readable: VecDeque<LinkId>,
    /// What of `Shared::undelivered` are this shard's wide fan-outs.
    wide_bytes: usize,
    /// Connections that drained after deliveries were held back.
    drained: Vec<LinkId>,
    report: Report,
    packet_size_max: u32,
    strict_text: bool,
    connect_timeout_secs: u32,
    packet_timeout_secs: u32,
    linger_secs: u32,
    connections_max: usize,
    stops: bool,
    now: Now,
}

impl Worker {
    pub(crate) fn new(
        number: u16,
        limits: &longwire_broker::limits::Limits,
        poll: Poll,
        inbox: Inbox<Mail>,
        listeners: Vec<Listener>,
        shared: Shared,
    ) -> Self {
        let shards = shared.workers.len() as u16;
        let now = shared.clock.read();
        Worker {
            number,
            shard: Shard::new(number, shards, shared.key, limits.clone()),
            effects: Effects::new(number, shards),
            poll,
            inbox,
            shared,
            listeners,
            accept_paused_until: 0,
            accepts_more: false,
            connections: Slab::new(),
            wheel: Wheel::new(now.tick),
            buffer: vec![0; READ_BUFFER_BYTES],
            readable: VecDeque::new(),
            wide_bytes: 0,
            drained: Vec::new(),
            report: Report::default(),
            packet_size_max: limits.packet_size_max,
            strict_text: limits.strict_text,
            connect_timeout_secs: u32::from(limits.connect_timeout_secs),
            packet_timeout_secs: u32::from(limits.packet_timeout_secs),
            linger_secs: u32::from(limits.linger_secs),
            connections_max: limits.connections_max,
            stops: false,
            now,
        }
    }

    /// Gives the shard what survived of it. What it asks for leaves with its first turn.
    pub(crate) fn restore(&mut self, groups: Vec<KeptGroup>, sessions: Vec<KeptSession>) {
        let mut tables = TablesInTurn::new(&self.shared.tables);
        self.shard.restore(self.now.millis, groups, sessions, &mut tables, &mut self.effects);
    }

    /// Runs until [`Mail::Stop`].
    pub(crate) fn run(mut self) {
        if let Err(cause) = self.register_listeners() {
            error!(%cause, "a worker cannot watch its listeners");
            return;
        }
        self.end_turn();
        let mut ready = Vec::new();
        let mut mail = Vec::new();
        while !(self.stops && self.connections.is_empty()) {
            if let Err(cause) = self.poll.wait(Some(self.wait_max()), &mut ready) {
                error!(%cause, "a worker cannot wait for its sockets");
                return;
            }
            self.now = self.shared.clock.read();
            self.inbox.take(&mut mail);
            for letter in mail.drain(..) {
                self.open(letter);
            }
            self.go_on();
            for one in ready.drain(..) {
                self.serve(one);
            }
            self.read_ready();
            self.timers();
            self.end_turn();
        }
    }

    /// How long to wait for something to happen.
    fn wait_max(&self) -> Duration {
        if self.shard.has_unfinished() || !self.drained.is_empty() || self.accepts_more {
            return Duration::ZERO;
        }
        if !self.readable.is_empty() {
            return if self.is_held_back() { WAIT_HELD_BACK } else { Duration::ZERO };
        }
        let next_due = self.shard.next_due();
        let due = if next_due == NEVER { u64::MAX } else { next_due.saturating_sub(self.now.millis) };
        let tick =
            self.wheel.next_due().map_or(u64::MAX, |tick| self.shared.clock.millis_to_tick(self.now, tick));
        // One more than what is left, or the wait would end a moment before the time has come.
        Duration::from_millis(due.min(tick).saturating_add(1)).min(WAIT_MAX)
    }

    /// True while the journal has more to keep, or the workers have more to deliver, than they may: then nothing new
    /// is read.
    fn is_held_back(&self) -> bool {
        let of_this_turn = self.effects.mail_bytes + self.shard.wide_bytes().saturating_sub(self.wide_bytes);
        self.shared.unkept.load(Ordering::Relaxed) > JOURNAL_UNSYNCED_BYTES
            || self.shared.undelivered.load(Ordering::Relaxed) + of_this_turn > UNDELIVERED_BYTES
    }

    fn open(&mut self, mail: Mail) {
        match mail {
            Mail::Parcels(parcels) => {
                let bytes: usize = parcels.iter().map(Parcel::bytes).sum();
                for parcel in parcels {
                    self.input(Input::Parcel(parcel));
                }
                self.shared.undelivered.fetch_sub(bytes, Ordering::Relaxed);
                self.count_wide();
            }
            Mail::Journal(words) => {
                for word in words {
                    self.input(Input::Journal(word));
                }
            }
            Mail::Arrival(arrival) => self.arrive(*arrival),
            Mail::Prepare(done) => {
                self.listeners.clear();
                self.input(Input::Prepare);
                self.end_turn();
                // The one who asked may have given up; that changes nothing.
                let _ = done.send(());
            }
            Mail::Stop => {
                self.stops = true;
                self.input(Input::Stop);
                self.drop_strangers();
            }
        }
    }

    /// What the turn before left over.
    fn go_on(&mut self) {
        if self.shard.has_unfinished() {
            self.input(Input::Continue);
        }
        for link in std::mem::take(&mut self.drained) {
            self.input(Input::Drained { link });
        }
        if std::mem::take(&mut self.accepts_more) {
            (0..self.listeners.len()).for_each(|listener| self.accept_all(listener));
        }
    }

    /// Brings the count of what wide fan-outs hold up to date.
    fn count_wide(&mut self) {
        let bytes = self.shard.wide_bytes();
        // Adding wraps around, so that a difference below zero subtracts.
        self.shared.undelivered.fetch_add(bytes.wrapping_sub(self.wide_bytes), Ordering::Relaxed);
        self.wide_bytes = bytes;
    }

    /// One input that needs no batch.
    fn input(&mut self, input: Input<'_>) {
        let tables = Arc::clone(&self.shared.tables);
        self.shard.handle(self.now.millis, input, &mut TablesInTurn::new(&tables), &mut self.effects);
    }

    fn serve(&mut self, ready: Ready) {
        if ready.token == WAKE {
            return;
        }
        if ready.token > LinkId::MAX as usize {
            return self.accept_all(FIRST_LISTENER - ready.token);
        }
        let link = ready.token as LinkId;
        if ready.writable {
            self.flush(link);
        }
        if ready.closed
            && let Some(connection) = self.connections.by_slot_mut(link)
        {
            connection.peer_ended = true;
        }
        if ready.readable || ready.closed {
            self.read_later(link);
        }
    }

    /// Sessions, wills and sockets whose time has come.
    fn timers(&mut self) {
        if self.shard.next_due() <= self.now.millis {
            self.input(Input::Due);
        }
        let mut due = Vec::new();
        self.wheel.advance(self.now.tick, |link| due.push(link));
        for link in due {
            self.deadline(link);
        }
        if self.accept_paused_until > 0 && self.now.tick >= self.accept_paused_until {
            self.accept_paused_until = 0;
            self.accepts_more = true;
        }
        if self.number == 0
            && let Some(values) = self.shared.sys.values_if_due(self.now.tick, &self.shared.tables)
        {
            self.input(Input::Sys { values: &values });
        }
    }

    /// The wheel says that a connection's time may have come.
    fn deadline(&mut self, link: LinkId) {
        let now = self.now.tick;
        let is_paused = self.shard.is_paused(link) || self.is_held_back();
        let Some(connection) = self.connections.by_slot_mut(link) else { return };
        if is_paused {
            // It cannot be heard while we do not listen: its time stands still.
            connection.heard_at = now;
            connection.packet_since = if connection.packet_since > 0 { now } else { 0 };
        }
        let Some(connection) = self.connections.by_slot(link) else { return };
        match self.due_tick(connection) {
            Some((due, _)) if due > now => self.wheel.set(link, due),
            Some((_, cause)) => match connection.stage {
                Stage::Greeting => {
                    let why = "no CONNECT came within connect_timeout_secs";
                    let remedy =
                        "connect with an MQTT client; a slow network may need a longer connect_timeout_secs";
                    self.report.tell_stranger(connection.address(), "U5-16", why, remedy, now);
                    self.drop_connection(link);
                }
                Stage::Live => self.input(Input::Closed { link, cause }),
                Stage::Closing | Stage::Draining => self.drop_connection(link),
            },
            None => {}
        }
    }

    /// When a connection has to be looked after next, and what it is then guilty of. Ticks are rounded to the late
    /// side: a client is never closed early (D15).
    fn due_tick(&self, connection: &Connection) -> Option<(u32, CloseCause)> {
        let Connection { stage, heard_at, packet_since, silence_max_secs, .. } = *connection;
        match stage {
            Stage::Greeting => Some((heard_at + self.connect_timeout_secs + 1, CloseCause::Network)),
            Stage::Closing | Stage::Draining => Some((heard_at + self.linger_secs + 1, CloseCause::Network)),
            Stage::Live => {
                let silence = (silence_max_secs > 0)
                    .then(|| (heard_at.saturating_add(silence_max_secs) + 1, CloseCause::KeepAlive));
                let packet = (packet_since > 0)
                    .then(|| (packet_since + self.packet_timeout_secs + 1, CloseCause::PacketTimeout));
                silence.into_iter().chain(packet).min_by_key(|(due, _)| *due)
            }
        }
    }

    fn set_timer(&mut self, link: LinkId) {
        let Some(connection) = self.connections.by_slot(link) else { return };
        if let Some((due, _)) = self.due_tick(connection) {
            self.wheel.set(link, due);
        }
    }

    /// Carries out what the inputs of this turn asked for.
    fn end_turn(&mut self) {
        self.input(Input::TurnEnds);
        self.answer_authentications();
        if self.shard.has_deferred() {
            // Retained publications take their order under one lock, and everybody's mail with them.
            let tables = Arc::clone(&self.shared.tables);
            let _order = tables.order.lock();
            self.input(Input::PublishDeferred);
            self.post();
        } else {
            self.post();
        }
        self.set_keep_alives();
        self.write_all();
        self.resume_reading();
        self.tell_events();
        self.close_all();
        self.shared.sys.update(self.number, self.now.tick, &mut self.shard);
    }

    /// Mail for shards and journal.
    fn post(&mut self) {
        self.count_wide();
        self.shared.undelivered.fetch_add(std::mem::take(&mut self.effects.mail_bytes), Ordering::Relaxed);
        for (mail, worker) in self.effects.mail.iter_mut().zip(&self.shared.workers) {
            if !mail.is_empty() {
                worker.send(Mail::Parcels(std::mem::take(mail)));
            }
        }
        let Effects { keeps, asks, confirm, .. } = &mut self.effects;
        if keeps.is_empty() && asks.is_empty() && *confirm == 0 {
            return;
        }
        let mail = journal::Mail {
            from: self.number,
            keeps: std::mem::take(keeps),
            confirm: std::mem::take(confirm),
            asks: std::mem::take(asks),
        };
        self.shared.unkept.fetch_add(mail.bytes(), Ordering::Relaxed);
        self.shared.journal.send(ToJournal::Mail(mail));
    }

    /// No mechanism of enhanced authentication is offered `[MQTT-4.12.0-1]`.
    fn answer_authentications(&mut self) {
        for step in std::mem::take(&mut self.effects.authentications) {
            let outcome = AuthenticationOutcome::Refused(ReasonCode::BadAuthenticationMethod);
            self.input(Input::Authenticated { link: step.link, outcome });
        }
    }

    fn set_keep_alives(&mut self) {
        for (link, secs) in std::mem::take(&mut self.effects.keep_alives) {
            if let Some(connection) = self.connections.by_slot_mut(link) {
                connection.silence_max_secs = secs;
                self.set_timer(link);
            }
        }
    }

    fn resume_reading(&mut self) {
        for (link, reads) in std::mem::take(&mut self.effects.reading) {
            if reads {
                // The client could not be heard while we did not listen.
                if let Some(connection) = self.connections.by_slot_mut(link) {
                    connection.heard_at = self.now.tick;
                }
                self.read_later(link);
            }
        }
    }

    fn tell_events(&mut self) {
        use longwire_broker::event::Event;
        for event in std::mem::take(&mut self.effects.events) {
            let link = match &event {
                Event::Connected { link, .. }
                | Event::Refused { link, .. }
                | Event::Disconnected { link, .. }
                | Event::PacketRefused { link, .. }
                | Event::Slow { link, .. } => Some(*link),
                Event::Dropped { .. } | Event::SessionExpired { .. } | Event::WillPublished { .. } => None,
            };
            let address = link.and_then(|link| self.connections.by_slot(link)).map(Connection::address);
            self.report.tell(&event, address, self.now.tick);
        }
    }
}
