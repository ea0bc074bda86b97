//! One session as its client knows it, and the judgement of everything that is delivered to it.

use std::collections::HashMap;

use longwire_broker::message::Millis;
use longwire_proto::QoS;
use longwire_proto::packet::SubscribeOptions;

use super::{Publication, Publications, Step, Subscription, Will, number_of};
use crate::client::Delivery;

/// One session, from a CONNACK without to the next one without.
pub(crate) struct Session {
    pub(crate) player: usize,
    /// What the newest CONNECT said.
    pub(crate) expiry_secs: u32,
    /// It began as one that outlives its connection.
    pub(crate) is_durable: bool,
    /// Bytes of the largest packet its client takes; 0 is no limit.
    pub(crate) packet_size_max: u32,
    pub(crate) is_over: bool,
    pub(crate) offline_since: Option<Millis>,
    pub(crate) subscriptions: Vec<Subscription>,
    /// Copies of each publication, by its number; repeats with DUP apart.
    pub(crate) seen: HashMap<usize, usize>,
    /// Publications seen at QoS 2.
    pub(crate) seen_exactly_once: HashMap<usize, usize>,
    /// Copies of each publication that came as a retained message.
    replayed: HashMap<usize, usize>,
    newest: HashMap<(usize, &'static str, QoS, QoS), usize>,
    /// Live publications in the order in which they came first, by topic.
    pub(crate) order: HashMap<&'static str, Vec<usize>>,
    /// The last payload of each topic.
    pub(crate) last: HashMap<String, String>,
}

/// When a delivery was taken.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    /// The clock when the present connection began.
    pub(crate) connected_on: Millis,
    /// The client speaks 5.0.
    pub(crate) has_properties: bool,
}

/// Bytes that a PUBLISH takes beside its payload, at most.
const OVERHEAD_BYTES: usize = 60;

impl Session {
    pub(crate) fn new(player: usize, expiry_secs: u32, packet_size_max: u32) -> Self {
        Session {
            player,
            expiry_secs,
            is_durable: expiry_secs > 0,
            packet_size_max,
            is_over: false,
            offline_since: None,
            subscriptions: Vec::new(),
            seen: HashMap::new(),
            seen_exactly_once: HashMap::new(),
            replayed: HashMap::new(),
            newest: HashMap::new(),
            order: HashMap::new(),
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
    pub(crate) fn subscribe(
        &mut self,
        filter: &'static str,
        options: SubscribeOptions,
        identifier: u32,
        step: Step,
    ) -> usize {
        let is_open = |held: &Subscription| held.filter == filter && held.unsubscribed_at.is_none();
        if let Some(index) = self.subscriptions.iter().position(is_open) {
            self.subscriptions[index].change(options, identifier);
            return index;
        }
        self.subscriptions.push(Subscription::new(filter, options, identifier, step));
        self.subscriptions.len() - 1
    }

    /// Takes a delivery down; says what is wrong with it.
    pub(crate) fn deliver(
        &mut self,
        delivery: &Delivery,
        publications: &Publications,
        moment: Moment,
    ) -> Result<(), String> {
        self.last.insert(delivery.topic.clone(), delivery.payload.clone());
        let Some(number) = number_of(&delivery.payload) else {
            return self.check_covered(delivery, None);
        };
        let publication = &publications.all[number];
        if publication.topic != delivery.topic || publication.payload != delivery.payload {
            return Err("it is not what was published".into());
        }
        self.check_covered(delivery, Some(publication))?;
        check_will(publication)?;
        check_expiry(publication, delivery, moment)?;
        if delivery.qos == QoS::ExactlyOnce {
            *self.seen_exactly_once.entry(number).or_default() += 1;
        }
        if delivery.retain {
            return self.count_retained(number, publication, delivery);
        }
        self.check_begun(publication)?;
        self.check_options(publication, delivery)?;
        self.count(number, publication, delivery, publications.may_be_refused)
    }

    /// Some subscription is reason enough for it: not one that was gone when it was published, nor at a lower QoS.
    fn check_covered(&self, delivery: &Delivery, publication: Option<&Publication>) -> Result<(), String> {
        // A retained message, or its deletion, is older than any subscription.
        let sent_at = publication.filter(|_| !delivery.retain).map_or(0, |publication| publication.sent_at);
        let is_own = publication.is_some_and(|publication| publication.publisher == self.player);
        let covers = |held: &Subscription| {
            held.matches(&delivery.topic)
                && delivery.qos <= held.highest
                && held.gone_at.is_none_or(|gone| sent_at <= gone)
                && !(is_own && held.was_always_no_local)
        };
        if !self.subscriptions.iter().any(covers) {
            return Err("it was not subscribed to".into());
        }
        let wants_retained = |held: &Subscription| {
            held.matches(&delivery.topic) && (held.was_retain_as_published || held.replays > 0)
        };
        if delivery.retain && !self.subscriptions.iter().any(wants_retained) {
            return Err("retained messages were not asked for".into());
        }
        Ok(())
    }

    /// A message that was accepted before anybody asked for it is none of theirs.
    fn check_begun(&self, publication: &Publication) -> Result<(), String> {
        let first = self.matching(publication).map(|held| held.requested_at).min();
        let is_older = first.is_some_and(|first| publication.accepted_at.is_some_and(|at| at < first));
        if is_older && !publication.is_shared() {
            return Err("it is older than the subscription".into());
        }
        Ok(())
    }

    /// While the matching subscriptions have not changed since before it was sent, everybody knows how it arrives.
    fn check_options(&self, publication: &Publication, delivery: &Delivery) -> Result<(), String> {
        let is_past = |held: &&Subscription| held.gone_at.is_some_and(|gone| gone < publication.sent_at);
        let matching: Vec<_> = self.matching(publication).filter(|held| !is_past(held)).collect();
        let is_own = publication.publisher == self.player;
        if publication.is_shared()
            || matching.iter().any(|held| !held.is_same_since(publication.sent_at))
            || (is_own && matching.iter().any(|held| held.was_no_local))
        {
            return Ok(());
        }
        let granted = matching.iter().map(|held| held.options.qos).max().unwrap_or(QoS::AtMostOnce);
        if delivery.qos != granted.min(publication.qos) {
            return Err(format!("it should come at QoS {}", granted.min(publication.qos) as u8));
        }
        let mut expected: Vec<u32> =
            matching.iter().map(|held| held.identifier).filter(|&identifier| identifier > 0).collect();
        let mut found = delivery.identifiers.clone();
        expected.sort_unstable();
        found.sort_unstable();
        if expected != found {
            return Err(format!("its subscription identifiers should be {expected:?}"));
        }
        if publication.retain && matching.iter().any(|held| held.options.retain_as_published) {
            return Err("it should have come with RETAIN".into());
        }
        Ok(())
    }

    /// A copy with RETAIN: a retained message or, where that was asked for, a live one.
    fn count_retained(
        &mut self,
        number: usize,
        publication: &Publication,
        delivery: &Delivery,
    ) -> Result<(), String> {
        if !publication.retain {
            return Err("it was published without RETAIN".into());
        }
        if self.matching(publication).any(|held| held.was_retain_as_published) {
            self.seen.entry(number).or_default();
            return Ok(());
        }
        let asked: usize = self.matching(publication).map(|held| held.replays).sum();
        let replayed = self.replayed.entry(number).or_default();
        *replayed += usize::from(!delivery.dup);
        if *replayed > asked {
            return Err(format!("it came for the {replayed}th time, and was asked for {asked} times"));
        }
        Ok(())
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
            return Err("it was delivered before".into());
        }
        if is_first && publication.sends == 1 {
            self.order.entry(publication.topic).or_default().push(number);
        }
        if publication.is_shared() || publication.will.is_some() {
            return Ok(());
        }
        let key = (publication.publisher, publication.topic, publication.qos, delivery.qos);
        let newest = self.newest.get(&key).copied().unwrap_or(number);
        if is_first && number < newest && !self.may_be_late(publication, delivery.qos, may_be_refused) {
            return Err(format!("it came after number {newest} of the same publisher"));
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
        self.matching(publication).any(changed_since)
    }

    fn matching(&self, publication: &Publication) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.iter().filter(|held| held.matches(publication.topic))
    }

    /// It has to get the publication, for the sake of some subscription.
    pub(crate) fn is_promised(&self, publication: &Publication) -> bool {
        publication.qos > QoS::AtMostOnce
            && !publication.payload.is_empty()
            && self.can_take(publication)
            && self.subscriptions.iter().any(|held| held.promises(publication, self.player))
    }

    fn can_take(&self, publication: &Publication) -> bool {
        let max = self.packet_size_max as usize;
        max == 0 || publication.payload.len() + OVERHEAD_BYTES <= max
    }

    /// The publication that should have reached it and did not.
    pub(crate) fn missing<'a>(
        &self,
        publications: &'a Publications,
        now: Millis,
    ) -> Option<(usize, &'a Publication)> {
        publications.all.iter().enumerate().find(|(number, publication)| {
            publication.accepted
                && !publication.may_have_expired(now)
                && !self.seen.contains_key(number)
                && self.is_promised(publication)
        })
    }

    /// It has seen the last value of the topic, published first at that step.
    pub(crate) fn sees_last_value(&self, topic: &str, since: Step) -> bool {
        let mut matching = self.subscriptions.iter().filter(|held| held.matches(topic));
        self.is_plain(topic) && self.packet_size_max == 0 && matching.any(|held| held.holds_since(since))
    }

    /// It has nothing but plain subscriptions to the topic, all of one level.
    pub(crate) fn is_plain(&self, topic: &str) -> bool {
        let matching = || self.subscriptions.iter().filter(|held| held.matches(topic));
        let Some(level) = matching().next().map(|held| held.lowest) else { return false };
        matching().all(|held| !held.was_no_local && (held.lowest, held.highest) == (level, level))
    }

    /// The lowest QoS of its subscriptions to the topic.
    pub(crate) fn lowest_qos(&self, topic: &str) -> Option<QoS> {
        self.subscriptions.iter().filter(|held| held.matches(topic)).map(|held| held.lowest).min()
    }
}

/// A will comes when its connection is gone, and never after it was taken back.
fn check_will(publication: &Publication) -> Result<(), String> {
    match publication.will {
        Some(Will::Armed(_)) => Err("the will of a client that is there".into()),
        Some(Will::Withdrawn(_)) => Err("a will that was taken back [MQTT-3.14.4-3]".into()),
        Some(Will::Cancelled) => Err("a will whose client came back in time [MQTT-3.1.3-9]".into()),
        Some(Will::Loose) | None => Ok(()),
    }
}

/// What has expired is not begun any more, and the others say how long they are still good.
fn check_expiry(publication: &Publication, delivery: &Delivery, moment: Moment) -> Result<(), String> {
    if !delivery.dup && publication.expired_on <= moment.connected_on {
        return Err("it had expired when the client connected [MQTT-3.3.2-5]".into());
    }
    let is_right = match (publication.expiry_secs, delivery.expiry_secs) {
        (Some(whole), Some(left)) => left <= whole,
        (None, None) => true,
        _ => !moment.has_properties,
    };
    if is_right { Ok(()) } else { Err("its Message Expiry Interval is wrong [MQTT-3.3.2-6]".into()) }
}
