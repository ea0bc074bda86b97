//! A history before it is told: what the broker and its clients are like, and a list of decisions. A decision means
//! something whatever came before it, so that a list with some of them left out is a history too.

use longwire_broker::limits::Limits;
use longwire_proto::Version;

use crate::choices::Choices;
use crate::client::Terms;
use crate::model::{WILL_TOPICS, topics};

/// Decisions of a history from a seed; the number itself is drawn.
const LENGTHS: [usize; 4] = [150, 600, 1_500, 3_000];

/// Decisions of a history from bytes, at most.
const FROM_BYTES_MAX: usize = 600;

/// Who there is, and what happens to them.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) setup: Setup,
    pub(crate) decisions: Vec<Decision>,
}

/// What does not change during a history.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) shards: u16,
    pub(crate) limits: Limits,
    /// The log completes nothing until it is told to.
    pub(crate) is_held: bool,
    pub(crate) clients: Vec<(Version, Terms)>,
    /// Most of what is published and subscribed to is about this topic, so that people meet.
    pub(crate) favourite: Option<&'static str>,
    /// The journal is so small that publications are refused.
    pub(crate) may_refuse: bool,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// A worker does the first half of its turn or, if it has done that, the second.
    HalfATurn {
        worker: u8,
        /// Letters taken from its inbox; the largest number is all of them.
        letters_max: u8,
        /// Which of its readable sockets are read, bit by bit.
        readable: u16,
        is_reversed: bool,
    },
    /// The journal takes letters, commits and answers.
    ServeJournal { letters_max: u8 },
    /// The log completes everything that was committed.
    Complete,
    /// Time passes.
    Pass { millis: u32 },
    /// A connection that its client has left for a newer one ends.
    EndAbandoned { which: u8 },
    /// A client takes some packets and acknowledges some.
    Hear { client: u8, packets: u8, acks: u8 },
    /// A client does something; one without a connection connects, as the second value says.
    Act { client: u8, deed: Deed, connecting: Connecting },
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Topic, QoS and payload are picked from lists by these numbers.
    Publish {
        kind: u8,
        topic: u8,
        qos: u8,
        padding: u8,
        clears: bool,
        extras: u8,
    },
    Subscribe {
        filter: u8,
        qos: u8,
        options: u8,
    },
    Unsubscribe {
        filter: u8,
    },
    /// Stops acknowledging, or begins again.
    ToggleLazy,
    /// Its side of the socket takes so many bytes from now on.
    ChangeRoom {
        which: u8,
    },
    /// The connection ends without a word; so much of what nobody has read still arrives.
    Crash {
        kept: u8,
    },
    Disconnect {
        with_will: bool,
    },
    /// Connects again, without ending the connection it has.
    TakeOver,
    Nothing,
}

/// How a client connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connecting {
    /// It asks for a clean start.
    pub(crate) clean: bool,
    /// It resumes its session, which then ends with this connection.
    pub(crate) ends: bool,
    /// It has a will, picked from lists by this number.
    pub(crate) will: Option<u8>,
}

impl Plan {
    /// The history of a seed.
    pub fn from_seed(seed: u64) -> Self {
        let mut choices = Choices::Seed(seed);
        let setup = Setup::choose(&mut choices);
        let length = choices.pick(&LENGTHS);
        let decisions = (0..length).map(|_| Decision::choose(&setup, &mut choices)).collect();
        Plan { setup, decisions }
    }

    /// The history that bytes stand for: any bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut choices = Choices::Bytes(bytes);
        let setup = Setup::choose(&mut choices);
        let mut decisions = Vec::new();
        while !choices.is_over() && decisions.len() < FROM_BYTES_MAX {
            decisions.push(Decision::choose(&setup, &mut choices));
        }
        Plan { setup, decisions }
    }

    /// How many decisions there are.
    pub fn len(&self) -> usize {
        self.decisions.len()
    }

    /// True if nothing happens.
    pub fn is_empty(&self) -> bool {
        self.decisions.is_empty()
    }

    /// The same clients with these decisions.
    pub(crate) fn with(&self, decisions: Vec<Decision>) -> Self {
        Plan { setup: self.setup.clone(), decisions }
    }
}

impl Setup {
    fn choose(choices: &mut Choices<'_>) -> Self {
        let mut limits = Limits { packet_size_max: 1_000, ..Limits::default() };
        if choices.chance(30) {
            limits.outbox_bytes_max = 600;
        }
        if choices.chance(20) {
            limits.queue_bytes_max = 3_000;
        }
        // A full journal closes clients before 5.0, which then come back and send the same again, for ever.
        let journal_bytes_max = choices.pick(&[24 << 10, 512 << 10, limits.journal_bytes_max]);
        limits.journal_bytes_max = journal_bytes_max;
        let may_refuse = journal_bytes_max == 24 << 10;
        let version = may_refuse.then_some(Version::V5);
        let shards = 1 + choices.below(4) as u16;
        let is_held = choices.chance(50);
        let topics: Vec<_> = topics().filter(|topic| !WILL_TOPICS.contains(topic)).collect();
        let favourite = choices.chance(60).then(|| choices.pick(&topics));
        let clients = (0..3 + choices.below(5)).map(|_| client(version, choices)).collect();
        Setup { shards, limits, is_held, clients, favourite, may_refuse }
    }
}

fn client(version: Option<Version>, choices: &mut Choices<'_>) -> (Version, Terms) {
    let version = version.unwrap_or(choices.pick(&[Version::V311, Version::V5]));
    let expiry_secs = match version {
        Version::V5 => choices.pick(&[0, 100, u32::MAX]),
        _ => choices.pick(&[0, u32::MAX]),
    };
    let packet_size_max = if version == Version::V5 && choices.chance(15) { 120 } else { 0 };
    let terms = Terms {
        clean_start: expiry_secs == 0,
        expiry_secs,
        receive_max: choices.pick(&[1, 3, 100]),
        alias_max: choices.pick(&[0, 2]),
        packet_size_max,
    };
    (version, terms)
}

impl Decision {
    fn choose(setup: &Setup, choices: &mut Choices<'_>) -> Self {
        let client = |choices: &mut Choices<'_>| choices.below(setup.clients.len()) as u8;
        match choices.below(100) {
            0..35 => Decision::HalfATurn {
                worker: choices.below(usize::from(setup.shards)) as u8,
                letters_max: choices.pick(&[0, 1, 2, u8::MAX]),
                // Each socket in three of four cases.
                readable: (choices.below(256) | choices.below(256)) as u16,
                is_reversed: choices.chance(50),
            },
            35..48 => Decision::ServeJournal { letters_max: choices.pick(&[1, 2, u8::MAX]) },
            48..75 => Decision::Hear {
                client: client(choices),
                packets: 1 + choices.below(4) as u8,
                acks: choices.below(4) as u8,
            },
            75..96 => Decision::Act {
                client: client(choices),
                deed: Deed::choose(choices),
                connecting: Connecting::choose(choices),
            },
            96..98 => Decision::Complete,
            98 => match choices.below(10) {
                0 => Decision::Pass { millis: choices.pick(&[1_000, 50_000, 200_000]) },
                _ => Decision::Pass { millis: 100 },
            },
            _ => Decision::EndAbandoned { which: choices.below(8) as u8 },
        }
    }

    /// The client it is about, if any.
    pub(crate) fn client(&self) -> Option<u8> {
        match *self {
            Decision::Hear { client, .. } | Decision::Act { client, .. } => Some(client),
            _ => None,
        }
    }
}

impl Deed {
    fn choose(choices: &mut Choices<'_>) -> Self {
        let mut number = || choices.below(256) as u8;
        let kind = number();
        match usize::from(kind) * 100 / 256 {
            0..50 => Deed::Publish {
                kind: number(),
                topic: number(),
                qos: number(),
                padding: number(),
                clears: number() < 38,
                extras: number(),
            },
            50..68 => Deed::Subscribe { filter: number(), qos: number(), options: number() },
            68..74 => Deed::Unsubscribe { filter: number() },
            74..80 => Deed::ToggleLazy,
            80..86 => Deed::ChangeRoom { which: number() },
            86..91 => Deed::Crash { kept: number() },
            91..93 => Deed::Disconnect { with_will: number() < 64 },
            93..96 => Deed::TakeOver,
            _ => Deed::Nothing,
        }
    }
}

impl Connecting {
    fn choose(choices: &mut Choices<'_>) -> Self {
        let (how, will) = (choices.below(100), choices.below(256) as u8);
        Connecting { clean: how < 6, ends: (6..9).contains(&how), will: (will < 80).then_some(will) }
    }
}
