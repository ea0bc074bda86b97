//! A client with a mind of its own: what it knows, and what it still owes.

use std::collections::{HashMap, HashSet, VecDeque};

use longwire_broker::message::Millis;
use longwire_proto::Version;
use longwire_proto::encode::AckKind;
use longwire_proto::transfer::{Incoming, Outgoing};

use crate::client::{Client, Terms};

/// One client.
pub(super) struct Player {
    pub(super) client: Client,
    pub(super) terms: Terms,
    /// What the present CONNECT asked for.
    pub(super) asked: Terms,
    /// The clock when it was sent.
    pub(super) connected_on: Millis,
    /// CONNACK was seen on the present connection.
    pub(super) is_greeted: bool,
    /// A CONNECT with a clean start was sent and not answered: the session may have ended.
    pub(super) is_replacing: bool,
    /// A CONNECT was abandoned before its CONNACK, so that a session may exist without the client's knowledge.
    pub(super) may_exist: bool,
    pub(super) session: Option<usize>,
    pub(super) outgoing: Outgoing<usize>,
    pub(super) incoming: Incoming,
    /// Acknowledgements that wait for its leisure.
    pub(super) acks: VecDeque<(AckKind, u16)>,
    pub(super) is_lazy: bool,
    pub(super) requests: HashMap<u16, Request>,
    next_request: u16,
    /// Answers it waits for on the present connection, in the order in which they have to come.
    pub(super) answers: VecDeque<(Reply, u16)>,
    /// Packet ids of deliveries it has not finished on the present connection.
    pub(super) open: HashSet<u16>,
    /// The will of the present connection.
    pub(super) will: Option<usize>,
    /// Its delay.
    pub(super) will_delay_secs: u32,
    /// A will with a delay, of the connection before, and when it is due at the earliest.
    pub(super) delayed_will: Option<(usize, Millis)>,
    /// CONNACKs of durable sessions, and PUBRELs to them, that it has seen.
    pub(super) greetings: usize,
    pub(super) releases: usize,
    /// SUBACKs of durable sessions it has seen, by filter.
    pub(super) grants: HashMap<&'static str, usize>,
}

/// A SUBSCRIBE or UNSUBSCRIBE under way: the subscriptions it is about.
pub(super) enum Request {
    Subscribe(usize),
    Unsubscribe(Vec<usize>),
}

/// A packet that answers another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    PubAck,
    PubRec,
    PubComp,
    SubAck,
    UnsubAck,
}

impl Player {
    pub(super) fn new(number: usize, version: Version, terms: Terms) -> Self {
        Player {
            client: Client::new(&format!("client-{number}"), version),
            terms,
            asked: terms,
            connected_on: 0,
            is_greeted: false,
            is_replacing: false,
            may_exist: false,
            session: None,
            outgoing: Outgoing::new(),
            incoming: Incoming::new(),
            acks: VecDeque::new(),
            is_lazy: false,
            requests: HashMap::new(),
            next_request: 0,
            answers: VecDeque::new(),
            open: HashSet::new(),
            will: None,
            will_delay_secs: 0,
            delayed_will: None,
            greetings: 0,
            releases: 0,
            grants: HashMap::new(),
        }
    }

    /// The packet id of a new request, apart from those of publications.
    pub(super) fn request(&mut self, request: Request) -> u16 {
        self.next_request = self.next_request % 1_000 + 1;
        let id = 60_000 + self.next_request;
        let reply = match request {
            Request::Subscribe(_) => Reply::SubAck,
            Request::Unsubscribe(_) => Reply::UnsubAck,
        };
        self.answers.push_back((reply, id));
        self.requests.insert(id, request);
        id
    }

    /// The present connection is of no more use.
    pub(super) fn forget_connection(&mut self) {
        self.is_greeted = false;
        self.acks.clear();
        self.requests.clear();
        self.answers.clear();
        self.open.clear();
    }

    /// An answer came: it has to be the next one.
    pub(super) fn take_answer(&mut self, reply: Reply, id: u16) {
        let next = self.answers.pop_front();
        let id_of = &self.client.id;
        assert_eq!(Some((reply, id)), next, "{id_of} gets an answer out of its order (found, expected)");
    }
}
