//! What the log holds for good, as somebody would find it there who had nothing else: the measure of what may be
//! acknowledged.

use std::collections::{HashMap, HashSet};

use longwire_broker::address::SessionRef;
use longwire_broker::record::Record;
use longwire_engine::Block;
use longwire_proto::QoS;

use crate::model::{WILL_TOPICS, number_of};

/// Records that are durable, read from the blocks of the log.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Client of each durable session.
    clients: HashMap<SessionRef, Box<str>>,
    /// Publications.
    messages: HashSet<usize>,
    /// How often a session of a client was begun or resumed.
    begun: HashMap<Box<str>, usize>,
    /// How often a client subscribed to a filter.
    subscribed: HashMap<(Box<str>, Box<str>), usize>,
    /// PUBRECs of a client.
    received: HashMap<Box<str>, usize>,
}

impl Kept {
    /// Takes down a durable block. A QoS 2 message and its packet id stand in one block, or a kill between them could
    /// deliver the message twice: says so if they do not.
    pub(crate) fn add(&mut self, block: &Block) -> Result<(), String> {
        let records = records(block);
        for record in &records {
            if let Record::Message { message, .. } = record {
                let view = message.view();
                let has_id = |record: &Record| matches!(record, Record::InboundReceived { session, .. } if *session == view.publisher);
                if view.qos == QoS::ExactlyOnce
                    && self.clients.contains_key(&view.publisher)
                    && !WILL_TOPICS.contains(&view.topic)
                    && !records.iter().any(has_id)
                {
                    let client = view.publisher_id;
                    return Err(format!("a QoS 2 message of {client} and its packet id are in two blocks"));
                }
            }
        }
        for record in records {
            self.add_record(record);
        }
        Ok(())
    }

    fn add_record(&mut self, record: Record) {
        match record {
            Record::Message { message, .. } => {
                let payload = std::str::from_utf8(message.view().payload).unwrap_or_default();
                self.messages.extend(number_of(payload));
            }
            Record::SessionBegun { session, client_id, .. } => {
                *self.begun.entry(client_id.clone()).or_default() += 1;
                self.clients.insert(session, client_id);
            }
            Record::SessionEnded { session } => _ = self.clients.remove(&session),
            Record::Subscribed { session, filter, .. } => {
                if let Some(client) = self.clients.get(&session) {
                    *self.subscribed.entry((client.clone(), filter)).or_default() += 1;
                }
            }
            Record::Received { session, .. } => {
                if let Some(client) = self.clients.get(&session) {
                    *self.received.entry(client.clone()).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    /// The publication is kept.
    pub(crate) fn has_message(&self, number: usize) -> bool {
        self.messages.contains(&number)
    }

    /// CONNECTs of a client to a durable session that are kept.
    pub(crate) fn begun(&self, client: &str) -> usize {
        self.begun.get(client).copied().unwrap_or(0)
    }

    /// SUBSCRIBEs of a client for a filter that are kept.
    pub(crate) fn subscribed(&self, client: &str, filter: &str) -> usize {
        self.subscribed.get(&(client.into(), filter.into())).copied().unwrap_or(0)
    }

    /// PUBRECs of a client that are kept.
    pub(crate) fn received(&self, client: &str) -> usize {
        self.received.get(client).copied().unwrap_or(0)
    }
}

/// The records of a block, behind its version byte.
fn records(block: &Block) -> Vec<Record> {
    let mut rest = &block.bytes[1..];
    let mut records = Vec::new();
    while !rest.is_empty() {
        let (record, tail) = Record::decode(rest).expect("the journal writes records");
        records.push(record);
        rest = tail;
    }
    records
}
