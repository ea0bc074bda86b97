//! Who receives a message: all matching subscriptions, merged to one copy per receiver.
//!
//! Used in two places with the same rules: by a publisher's shard for live receivers, and by the journal, in log
//! order, for receivers that are served from the log.

use longwire_proto::QoS;

use crate::address::SessionRef;
use crate::message::MessageView;
use crate::parcel::Recipient;
use crate::routes::{FilterId, Receiver, Routes, Target};

/// Finds receivers; keeps its space from match to match.
#[derive(Debug, Default)]
pub struct Matcher {
    filters: Vec<FilterId>,
    candidates: Vec<Candidate>,
    /// Receivers without any durable subscription that matches: they are served now or never.
    pub live: Vec<Recipient>,
    /// Receivers with one: they are served from the log.
    pub kept: Vec<Recipient>,
    /// The publisher, if the log is to serve it and would, were it not for No Local.
    pub passed: Option<SessionRef>,
    /// Subscription identifiers that the recipients refer to.
    pub identifiers: Vec<u32>,
}

/// One matching subscription.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    receiver: Receiver,
    qos: QoS,
    retain_as_published: bool,
    durable: bool,
    identifier: u32,
}

impl Matcher {
    /// Fills the lists for one message. Nothing is kept for a QoS 0 publication.
    pub fn find(&mut self, routes: &Routes, view: &MessageView<'_>) {
        self.clear();
        routes.matching(view.topic, &mut self.filters);
        for &filter in &self.filters {
            for target in routes.targets(filter) {
                let candidate = candidate(target, view);
                if candidate.is_none() && target.is_durable() {
                    self.passed = Some(view.publisher);
                }
                self.candidates.extend(candidate);
            }
        }
        self.merge();
        self.passed = self.passed.filter(|&publisher| {
            !self.kept.iter().any(|recipient| recipient.receiver == Receiver::Session(publisher))
        });
    }

    /// Fills the lists for one message and the one receiver whose subscriptions are `held`.
    pub fn find_for(
        &mut self,
        routes: &Routes,
        view: &MessageView<'_>,
        receiver: Receiver,
        held: impl Fn(FilterId) -> bool,
    ) {
        self.clear();
        routes.matching(view.topic, &mut self.filters);
        for &filter in &self.filters {
            if held(filter)
                && let Some(target) = routes.target(filter, receiver)
            {
                self.candidates.extend(candidate(target, view));
            }
        }
        self.merge();
    }

    /// The filters that matched the message of the last [`Matcher::find`].
    pub fn filters(&self) -> &[FilterId] {
        &self.filters
    }

    fn clear(&mut self) {
        self.candidates.clear();
        self.live.clear();
        self.passed = None;
        self.kept.clear();
        self.identifiers.clear();
    }

    /// One copy for each receiver, whatever number of its subscriptions match, at the highest of their QoS
    /// `[MQTT-3.3.4-2]` `[MQTT-3.3.5-1 of 3.1.1]` and with the identifiers of all `[MQTT-3.3.4-3]` `[MQTT-3.3.4-4]`. A
    /// member's copy of a shared group is one of its own `[MQTT-3.3.4-5]`.
    fn merge(&mut self) {
        if self.filters.len() > 1 {
            // Stable, so that a receiver's identifiers stay in the order of its filters.
            self.candidates.sort_by_key(|candidate| candidate.receiver);
        }
        for same_receiver in self.candidates.chunk_by(|one, other| one.receiver == other.receiver) {
            let first = self.identifiers.len() as u32;
            let mut recipient = Recipient {
                receiver: same_receiver[0].receiver,
                qos: QoS::AtMostOnce,
                retain_as_published: false,
                identifiers: (first, 0),
            };
            let mut is_kept = false;
            for candidate in same_receiver {
                recipient.qos = recipient.qos.max(candidate.qos);
                recipient.retain_as_published |= candidate.retain_as_published;
                is_kept |= candidate.durable;
                if candidate.identifier != 0 {
                    self.identifiers.push(candidate.identifier);
                    recipient.identifiers.1 = recipient.identifiers.1.saturating_add(1);
                }
            }
            let list = if is_kept { &mut self.kept } else { &mut self.live };
            list.push(recipient);
        }
    }
}

/// `None` if the subscriber does not want its own publications `[MQTT-3.8.3-3]`.
fn candidate(target: &Target, view: &MessageView<'_>) -> Option<Candidate> {
    let options = target.options();
    if options.no_local && target.receiver() == Receiver::Session(view.publisher) {
        return None;
    }
    Some(Candidate {
        receiver: target.receiver(),
        qos: options.qos,
        retain_as_published: options.retain_as_published,
        durable: options.durable && view.qos > QoS::AtMostOnce,
        identifier: target.subscription_identifier(),
    })
}
