//! A plan as it happens: decision by decision, with the checks that can be made at every step.
//!
//! What clients do is in `deeds`, what they hear and how it is judged in `hearing`; how everything settles, and
//! what is checked then, in `settling`.

mod deeds;
mod hearing;
mod player;
mod settling;

use std::fmt;

use crate::kept::Kept;
use crate::model::{Publications, Session, Step};
use crate::plan::{Decision, Plan};
use crate::world::{WireId, World};
use player::Player;

/// A history under way.
pub struct History<'a> {
    plan: &'a Plan,
    world: World,
    kept: Kept,
    step: Step,
    players: Vec<Player>,
    sessions: Vec<Session>,
    publications: Publications,
    /// Connections that were left for a newer one and have not ended.
    abandoned: Vec<WireId>,
    /// What happened, if it is to be told.
    story: Option<Vec<String>>,
}

impl<'a> History<'a> {
    /// Nothing has happened yet. `is_told` says whether to write the story down.
    pub fn new(plan: &'a Plan, is_told: bool) -> Self {
        let setup = &plan.setup;
        let world = World::new(setup.shards, &setup.limits);
        if setup.is_held {
            world.log.hold();
        }
        let players = setup
            .clients
            .iter()
            .enumerate()
            .map(|(number, &(version, terms))| Player::new(number, version, terms));
        let mut history = History {
            plan,
            world,
            kept: Kept::default(),
            step: 0,
            players: players.collect(),
            sessions: Vec::new(),
            publications: Publications { all: Vec::new(), may_be_refused: setup.may_refuse },
            abandoned: Vec::new(),
            story: is_told.then(Vec::new),
        };
        history.tell_setup();
        history
    }

    /// Tells everything to its end.
    ///
    /// # Panics
    /// When a promise was broken; the message says which.
    pub fn run(&mut self) {
        for decision in &self.plan.decisions {
            self.step += 1;
            self.decide(*decision);
            self.check_step();
        }
        self.settle();
        self.check_settled();
        self.end_all();
    }

    /// Decisions that were carried out.
    pub fn steps(&self) -> usize {
        self.step.min(self.plan.len())
    }

    /// What happened so far, line by line.
    pub fn story(&self) -> &[String] {
        self.story.as_deref().unwrap_or_default()
    }

    /// What it came to, as a number that similar histories share.
    pub fn outcome(&mut self) -> u64 {
        let size = |count: u64| u64::from(64 - count.leading_zeros());
        let counters = self.world.count();
        let sizes = [
            counters.publishes_sent,
            counters.publishes_dropped,
            counters.connections_accepted,
            counters.sessions_expired,
            self.sessions.iter().map(|session| session.subscriptions.len() as u64).sum(),
            self.publications.all.iter().filter(|publication| publication.accepted).count() as u64,
        ];
        sizes.into_iter().fold(0, |outcome, count| outcome * 65 + size(count))
    }

    fn decide(&mut self, decision: Decision) {
        match decision {
            Decision::HalfATurn { worker, letters_max, readable, is_reversed } => {
                self.half_a_turn(usize::from(worker), letters_max, readable, is_reversed);
            }
            Decision::ServeJournal { letters_max } => {
                self.tell_thread(format_args!("the journal works"));
                self.serve_journal(all_or(letters_max));
            }
            Decision::Complete => {
                self.tell_thread(format_args!("the log completes what it has"));
                self.world.log.release(u64::MAX);
            }
            Decision::Pass { millis } => {
                self.world.now += u64::from(millis);
                self.tell_thread(format_args!("{millis} ms pass"));
            }
            Decision::EndAbandoned { which } => {
                if !self.abandoned.is_empty() {
                    let wire = self.abandoned.swap_remove(usize::from(which) % self.abandoned.len());
                    self.tell_thread(format_args!("an abandoned connection ends"));
                    self.world.hang_up(wire, usize::MAX);
                }
            }
            Decision::Hear { client, packets, acks } => {
                self.hear(usize::from(client), usize::from(packets), usize::from(acks));
            }
            Decision::Act { client, deed, connecting } => {
                self.act(usize::from(client), deed, connecting);
            }
        }
    }

    // --- the broker's threads

    fn half_a_turn(&mut self, number: usize, letters_max: u8, readable: u16, is_reversed: bool) {
        if self.world.workers[number].is_mid_turn {
            self.tell_thread(format_args!("worker {number} ends its turn"));
            self.world.end_turn(number);
            return;
        }
        let mut wires = self.world.wires_of(number);
        let mut place = 0;
        wires.retain(|_| {
            place += 1;
            readable >> (place % 8) & 1 == 1
        });
        if is_reversed {
            wires.reverse();
        }
        self.tell_thread(format_args!("worker {number} begins a turn and reads {} sockets", wires.len()));
        self.world.begin_turn(number, all_or(letters_max), &wires);
    }

    fn serve_journal(&mut self, letters_max: usize) {
        self.world.serve_journal(letters_max);
        self.note_kept();
    }

    /// Looks at what has become durable.
    fn note_kept(&mut self) {
        while let Some(block) = self.world.next_durable() {
            self.kept.add(&block).unwrap_or_else(|wrong| panic!("{wrong}"));
        }
    }

    // --- checks of every step

    fn check_step(&self) {
        if let Some(event) = self.world.broken_rule() {
            panic!("a client that keeps the rules was accused: {event:?}");
        }
        if let Some(bound) = self.world.exceeded_bound() {
            panic!("a bound is exceeded: {bound}");
        }
    }

    // --- the story

    fn tell(&mut self, player: usize, what: fmt::Arguments<'_>) {
        if let Some(story) = &mut self.story {
            story.push(format!("{:5} {}: {what}", self.step, self.players[player].client.id));
        }
    }

    fn tell_thread(&mut self, what: fmt::Arguments<'_>) {
        if let Some(story) = &mut self.story {
            story.push(format!("{:5} {what}", self.step));
        }
    }

    fn tell_setup(&mut self) {
        let setup = &self.plan.setup;
        let Some(story) = &mut self.story else { return };
        let limits = &setup.limits;
        story.push(format!(
            "{} shards, favourite {:?}, outbox {} bytes, queue {} bytes, journal {} bytes, completions {}",
            setup.shards,
            setup.favourite,
            limits.outbox_bytes_max,
            limits.queue_bytes_max,
            limits.journal_bytes_max,
            if setup.is_held { "held back" } else { "at once" }
        ));
        for player in &self.players {
            let client = &player.client;
            let home = self.world.home(&client.id);
            story.push(format!(
                "{} ({:?}) at home on shard {home}: {:?}",
                client.id, client.version, player.terms
            ));
        }
    }
}

/// A number of letters; the largest is all of them.
fn all_or(count: u8) -> usize {
    if count == u8::MAX { usize::MAX } else { usize::from(count) }
}
