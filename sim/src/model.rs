//! What MQTT promises, as plain bookkeeping beside the broker: who subscribed since when, what was published and
//! acknowledged, what each session saw. Times are steps of the history; "seen" means by the client.

use std::collections::HashMap;

use longwire_broker::message::Millis;
use longwire_proto::{QoS, topic};

use longwire_sim::client::Delivery;

/// A step of the history.
pub(crate) type Step = usize;

/// One publication.
pub(crate) struct Publication {
    pub(crate) publisher: usize,
    pub(crate) topic: &'static str,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) payload: String,
    pub(crate) sent_at: Step,
    /// How often its publisher sent it.
    pub(crate) sends: usize,
    /// PUBACK or PUBREC said yes.
    pub(crate) accepted: bool,
}

/// One subscription of one session, from SUBSCRIBE to UNSUBACK.
pub(crate) struct Subscription {
    pub(crate) filter: &'static str,
    pub(crate) lowest: QoS,
    pub(crate) highest: QoS,
    pub(crate) granted_at: Option<Step>,
    /// The latest SUBACK.
    pub(crate) changed_at: Step,
    pub(crate) unsubscribed_at: Option<Step>,
    pub(crate) gone_at: Option<Step>,
}

/// One session, from a CONNACK without to the next one without.
pub(crate) struct Session {
    pub(crate) player: usize,
    pub(crate) expiry_secs: u32,
    pub(crate) is_over: bool,
    pub(crate) offline_since: Option<Millis>,
    pub(crate) subscriptions: Vec<Subscription>,
    /// Copies of each publication, by its number; repeats with DUP apart.
    pub(crate) seen: HashMap<usize, usize>,
    newest: HashMap<(usize, &'static str, QoS, QoS), usize>,
    /// The last payload of each topic.
    pub(crate) last: HashMap<String, String>,
}

/// Everything published.
#[derive(Default)]
pub(crate) struct Publications {
    pub(crate) all: Vec<Publication>,
    /// The journal may be full: one that was refused is taken when it is sent again, after those behind it.
    pub(crate) may_be_refused: bool,
}

impl Publications {
    /// The publication a payload belongs to; deletions of retained messages carry none.
    fn of(&self, payload: &str) -> Option<(usize, &Publication)> {
        let number: usize = payload.split(':').next()?.parse().ok()?;
        Some((number, &self.all[number]))
    }
}

impl Subscription {
    pub(crate) fn is_shared(&self) -> bool {
        topic::shared(self.filter).is_some()
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let filter = topic::shared(self.filter).map_or(self.filter, |shared| shared.filter);
        topic::matches(filter, name)
    }

    /// It was granted before the step, and nobody tried to end it since.
    pub(crate) fn holds_since(&self, step: Step) -> bool {
        self.granted_at.is_some_and(|granted| granted < step) && self.unsubscribed_at.is_none()
    }
}

impl Session {
    pub(crate) fn new(player: usize, expiry_secs: u32) -> Self {
        Session {
            player,
            expiry_secs,
            is_over: false,
            offline_since: None,
            subscriptions: Vec::new(),
            seen: HashMap::new(),
            newest: HashMap::new(),
            last: HashMap::new(),
        }
    }

    /// The broker must still have it.
    pub(crate) fn must_exist(&self, now: Millis) -> bool {
        let lasts =
            |since: Millis| self.expiry_secs == u32::MAX || now < since + u64::from(self.expiry_secs) * 1_000;
        !self.is_over && self.expiry_secs > 0 && self.offline_since.is_none_or(lasts)
    }

    /// The client sends SUBSCRIBE; the subscription's place in the list.
    pub(crate) fn subscribe(&mut self, filter: &'static str, qos: QoS) -> usize {
        let is_open = |held: &Subscription| held.filter == filter && held.unsubscribed_at.is_none();
        if let Some(index) = self.subscriptions.iter().position(is_open) {
            let held = &mut self.subscriptions[index];
            held.lowest = held.lowest.min(qos);
            held.highest = held.highest.max(qos);
            held.changed_at = Step::MAX;
            return index;
        }
        self.subscriptions.push(Subscription {
            filter,
            lowest: qos,
            highest: qos,
            granted_at: None,
            changed_at: Step::MAX,
            unsubscribed_at: None,
            gone_at: None,
        });
        self.subscriptions.len() - 1
    }

    /// Takes a delivery down; says what is wrong with it.
    pub(crate) fn deliver(&mut self, delivery: &Delivery, publications: &Publications) -> Result<(), String> {
        self.last.insert(delivery.topic.clone(), delivery.payload.clone());
        let is_covered = |held: &Subscription, sent_at: Step| {
            held.matches(&delivery.topic)
                && delivery.qos <= held.highest
                && held.gone_at.is_none_or(|gone| sent_at <= gone)
        };
        let Some((number, publication)) = publications.of(&delivery.payload) else {
            return if self.subscriptions.iter().any(|held| is_covered(held, 0)) {
                Ok(())
            } else {
                Err(format!("{delivery:?} was not subscribed to"))
            };
        };
        let sent_at = if delivery.retain { 0 } else { publication.sent_at };
        if !self.subscriptions.iter().any(|held| is_covered(held, sent_at)) {
            return Err(format!("{delivery:?} was not subscribed to"));
        }
        if publication.topic != delivery.topic || publication.payload != delivery.payload {
            return Err(format!("{delivery:?} is not what was published"));
        }
        if delivery.retain {
            return if publication.retain { Ok(()) } else { Err(format!("{delivery:?} is not retained")) };
        }
        self.count(number, publication, delivery, publications.may_be_refused)
    }

    fn count(
        &mut self,
        number: usize,
        publication: &Publication,
        delivery: &Delivery,
        may_be_refused: bool,
    ) -> Result<(), String> {
        let is_first = !self.seen.contains_key(&number);
        // While subscriptions change, a message on its way may come live by one and from the log by another.
        let ways = 1 + usize::from(self.has_changed_since(publication));
        let copies_max = if publication.qos == QoS::AtLeastOnce { publication.sends } else { 1 };
        let copies = self.seen.entry(number).or_default();
        // A repeat at QoS 2 never comes so far.
        *copies += usize::from(is_first || !delivery.dup || delivery.qos == QoS::ExactlyOnce);
        if *copies > copies_max * ways {
            return Err(format!("{delivery:?} was delivered before"));
        }
        if self.subscriptions.iter().any(|held| held.is_shared() && held.matches(&delivery.topic)) {
            return Ok(());
        }
        let key = (publication.publisher, publication.topic, publication.qos, delivery.qos);
        let newest = self.newest.get(&key).copied().unwrap_or(number);
        if is_first && number < newest && !self.may_be_late(publication, delivery.qos, may_be_refused) {
            return Err(format!("{delivery:?} came after number {newest} of the same publisher"));
        }
        self.newest.insert(key, number.max(newest));
        Ok(())
    }

    /// One that was sent again may come first by its second sending: at QoS 1, or after it was refused. At QoS 0, one
    /// that is read from the log for a subscription as it was may come behind what another one brings live.
    fn may_be_late(&self, publication: &Publication, qos: QoS, may_be_refused: bool) -> bool {
        let was_sent_again = publication.sends > 1;
        was_sent_again && (may_be_refused || publication.qos == QoS::AtLeastOnce)
            || qos == QoS::AtMostOnce && self.has_changed_since(publication)
    }

    /// A subscription to its topic changed or ended since it was published.
    fn has_changed_since(&self, publication: &Publication) -> bool {
        let changed_since = |held: &Subscription| {
            let ended_at = held.unsubscribed_at.map_or(0, |_| held.gone_at.unwrap_or(Step::MAX));
            held.changed_at.max(ended_at) >= publication.sent_at
        };
        self.subscriptions.iter().any(|held| held.matches(publication.topic) && changed_since(held))
    }

    /// The publication that should have reached it and did not.
    pub(crate) fn missing<'a>(&self, publications: &'a Publications) -> Option<(usize, &'a Publication)> {
        publications.all.iter().enumerate().find(|(number, publication)| {
            let is_promised = |held: &Subscription| {
                !held.is_shared()
                    && held.lowest > QoS::AtMostOnce
                    && held.matches(publication.topic)
                    && held.holds_since(publication.sent_at)
            };
            publication.accepted
                && publication.qos > QoS::AtMostOnce
                && !publication.payload.is_empty()
                && !self.seen.contains_key(number)
                && self.subscriptions.iter().any(is_promised)
        })
    }
}
