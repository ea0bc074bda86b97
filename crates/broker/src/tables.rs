//! What every shard reads: the index of subscriptions and the retained messages.
//!
//! A turn takes the read guard of the index at most once for each batch of packets, and gives it up before it waits.
//! Whoever changes the index does so at once, under the write guard, before the answer leaves: a publication sent by
//! anybody who saw the SUBACK finds the subscription (B07).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::address::HashKey;
use crate::limits::Limits;
use crate::message::Message;
use crate::retained::Retained;
use crate::routes::Routes;

/// Shared by all shards of a broker.
#[derive(Debug)]
pub struct Tables {
    routes: RwLock<Routes>,
    /// Held by a shard from the moment its retained publications take effect until their mail is posted, so that they
    /// have one order among all shards (E09).
    pub order: Mutex<()>,
    /// Retained messages with the bytes they hold.
    pub retained: RwLock<RetainedMessages>,
    /// Sessions of all shards.
    sessions: AtomicUsize,
}

/// Retained messages with the bytes they hold.
#[derive(Debug, Default)]
pub struct RetainedMessages {
    /// By topic.
    pub topics: Retained<Arc<Message>>,
    /// Bytes of content.
    pub bytes: usize,
}

impl RetainedMessages {
    /// True if a message of `bytes` bytes may be retained: within the limits, or no larger than the one it replaces.
    pub(crate) fn has_room(&self, topic: &str, bytes: usize, limits: &Limits) -> bool {
        let replaced = self.topics.value(topic).map(|message| message.len());
        let bytes_after = self.bytes - replaced.unwrap_or(0) + bytes;
        (replaced.is_some() || self.topics.len() < limits.retained_max)
            && (bytes_after <= limits.retained_bytes_max
                || replaced.is_some_and(|replaced| bytes <= replaced))
    }
}

/// What the tables hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Subscriptions, memberships in shared groups included.
    pub subscriptions: usize,
    /// Filters that have targets.
    pub filters: usize,
    /// Nodes of the trie, its root apart.
    pub trie_nodes: usize,
    /// Shared groups.
    pub groups: usize,
    /// Sessions of all shards.
    pub sessions: usize,
    /// Retained messages.
    pub retained: usize,
    /// Bytes of their content.
    pub retained_bytes: usize,
}

impl Tables {
    /// Empty tables; `key` seeds the hash tables, whose keys attackers choose.
    pub fn new(key: HashKey) -> Self {
        Tables {
            routes: RwLock::new(Routes::new(key)),
            order: Mutex::new(()),
            retained: RwLock::default(),
            sessions: AtomicUsize::new(0),
        }
    }

    /// Takes back the retained messages that survived.
    pub fn restore_retained(&self, messages: Vec<Arc<Message>>) {
        let mut retained = self.retained.write();
        for message in messages {
            retained.bytes += message.len();
            let topic = message.view().topic.to_owned();
            retained.topics.set(&topic, message);
        }
    }

    /// What the tables hold.
    pub fn sizes(&self) -> Sizes {
        let (subscriptions, filters, trie_nodes, groups) = {
            let routes = self.routes.read();
            (routes.subscriptions(), routes.len(), routes.trie_nodes(), routes.groups())
        };
        let retained = self.retained.read();
        Sizes {
            subscriptions,
            filters,
            trie_nodes,
            groups,
            sessions: self.sessions.load(Ordering::Relaxed),
            retained: retained.topics.len(),
            retained_bytes: retained.bytes,
        }
    }
}

/// The tables during one batch of inputs: keeps the read guard of the index between packets that only read.
#[derive(Debug)]
pub struct TablesInTurn<'a> {
    tables: &'a Tables,
    routes: Option<RwLockReadGuard<'a, Routes>>,
}

impl<'a> TablesInTurn<'a> {
    /// Begins a batch. It must end before the caller waits for anything.
    pub fn new(tables: &'a Tables) -> Self {
        TablesInTurn { tables, routes: None }
    }

    /// The index, to match with.
    pub(crate) fn routes(&mut self) -> &Routes {
        self.routes.get_or_insert_with(|| self.tables.routes.read())
    }

    /// The index, to change it.
    pub(crate) fn routes_mut(&mut self) -> RwLockWriteGuard<'a, Routes> {
        self.routes = None;
        self.tables.routes.write()
    }

    /// How many sessions all shards have.
    pub(crate) fn sessions(&self) -> &'a AtomicUsize {
        &self.tables.sessions
    }

    /// Retained messages.
    pub(crate) fn retained(&self) -> &'a RwLock<RetainedMessages> {
        &self.tables.retained
    }
}
