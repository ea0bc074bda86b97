//! Everything a shard can ask for. A turn handles inputs, then carries these out and empties them, so that no state
//! hides between two turns.

use crate::event::Event;
use crate::input::LinkId;
use crate::message::MessageView;
use crate::parcel::{Ask, Batch, Parcel, Recipient};
use crate::record::Record;

/// Number of an input whose answer waits until its records are kept. Counts up per shard.
pub type Ticket = u64;

/// What the inputs of a turn asked for, by kind.
#[derive(Debug)]
pub struct Effects {
    number: u16,
    /// Links whose outbox has something to send; each stands here once.
    pub writes: Vec<LinkId>,
    /// Links to close once their outbox is sent. The shard has forgotten them already.
    pub closes: Vec<LinkId>,
    /// Links to read from again (`true`) or to stop reading from.
    pub reading: Vec<(LinkId, bool)>,
    /// Links whose keep-alive begins now: close after this many seconds without a packet; 0 is never.
    pub keep_alives: Vec<(LinkId, u32)>,
    /// Records to keep, in order, each with its ticket (0: nobody waits for it).
    pub keeps: Vec<(Ticket, Record)>,
    /// Every ticket up to this one is to be confirmed in its order, also where nothing is kept for it.
    pub confirm: Ticket,
    /// Other requests to the journal. They may be carried out before or after the keeps.
    pub asks: Vec<Ask>,
    /// Mail for each shard, by its number; for this one too.
    pub mail: Vec<Vec<Parcel>>,
    /// Sum of [`Parcel::bytes`] of the mail.
    pub mail_bytes: usize,
    /// Steps of enhanced authentication to decide; each is answered by an input.
    pub authentications: Vec<AuthenticationStep>,
    /// Worth telling an operator.
    pub events: Vec<Event>,
}

/// A client's step of enhanced authentication.
#[derive(Debug, PartialEq, Eq)]
pub struct AuthenticationStep {
    /// The link.
    pub link: LinkId,
    /// Method named by CONNECT `[MQTT-4.12.0-5]`.
    pub method: Box<str>,
    /// Data of this step, if any.
    pub data: Option<Box<[u8]>>,
    /// This step begins an exchange (CONNECT, or AUTH 0x19).
    pub is_first: bool,
}

impl Effects {
    /// Nothing asked yet by shard `number` of `shards`.
    pub fn new(number: u16, shards: u16) -> Self {
        Effects {
            number,
            writes: Vec::new(),
            closes: Vec::new(),
            reading: Vec::new(),
            keep_alives: Vec::new(),
            keeps: Vec::new(),
            confirm: 0,
            asks: Vec::new(),
            mail: (0..shards).map(|_| Vec::new()).collect(),
            mail_bytes: 0,
            authentications: Vec::new(),
            events: Vec::new(),
        }
    }

    /// True if a record asked for after the first `before` ones has this ticket: then, and only then, the journal will
    /// say when it is kept. Other records may have been asked for in passing.
    pub(crate) fn keeps_since(&self, before: usize, ticket: Ticket) -> bool {
        self.keeps[before..].iter().any(|(of, _)| *of == ticket)
    }

    /// Mails `parcel` to the shard `to`.
    pub(crate) fn post(&mut self, to: u16, parcel: Parcel) {
        self.mail[usize::from(to)].push(parcel);
    }

    /// Mails one message to recipients on the shard `to`, in one batch with those before it.
    pub(crate) fn post_message(
        &mut self,
        to: u16,
        view: &MessageView<'_>,
        recipients: &[Recipient],
        identifiers: &[u32],
    ) {
        let mail = &mut self.mail[usize::from(to)];
        if !matches!(mail.last(), Some(Parcel::Messages(_))) {
            mail.push(Parcel::Messages(Batch::from_shard(self.number)));
        }
        if let Some(Parcel::Messages(batch)) = mail.last_mut() {
            let bytes_before = batch.bytes();
            batch.push(view, recipients, identifiers);
            self.mail_bytes += batch.bytes() - bytes_before;
        }
    }
}
