//! SUBSCRIBE and UNSUBSCRIBE on their way to an answer, and the subscriptions that came of them.
//!
//! A request without an answer is sent again on the next connection, under the packet id it was given first
//! `[MQTT-2.3.1-3 of 3.1.1]`.
//! Subscriptions granted are remembered so that they can be renewed when a server lost the session.

use std::collections::{BTreeMap, VecDeque};

use super::event::{Limits, RequestId};
use crate::packet::{
    PacketId, Subscribe, SubscribeFiltersBuf, SubscribeOptions, Unsubscribe, UnsubscribeFiltersBuf,
};
use crate::property::{Properties, PropertiesBuf, Property};
use crate::reason::ReasonCode;
use crate::topic;
use crate::{Packet, Version};

/// A SUBSCRIBE or UNSUBSCRIBE without its answer.
#[derive(Debug)]
pub(super) struct Request {
    /// `None` for a renewal, which nobody called for.
    pub(super) caller: Option<RequestId>,
    pub(super) packet_id: PacketId,
    pub(super) properties: PropertiesBuf,
    pub(super) wish: Wish,
    /// Sent on the present connection.
    pub(super) sent: bool,
}

#[derive(Debug)]
pub(super) enum Wish {
    Subscribe(Vec<(Box<str>, SubscribeOptions)>),
    Unsubscribe(Vec<Box<str>>),
}

impl Request {
    pub(super) fn filters_len(&self) -> usize {
        match &self.wish {
            Wish::Subscribe(filters) => filters.len(),
            Wish::Unsubscribe(filters) => filters.len(),
        }
    }

    /// Appends the packet to `out`; `false` if it cannot be written at all.
    pub(super) fn encode(&self, version: Version, out: &mut Vec<u8>) -> bool {
        let properties = self.properties.as_properties();
        let packet_id = self.packet_id;
        let written = match &self.wish {
            Wish::Subscribe(filters) => {
                let mut buffer = SubscribeFiltersBuf::default();
                for (filter, options) in filters {
                    buffer.push(filter, *options);
                }
                let filters = buffer.as_filters();
                let packet = Packet::Subscribe(Subscribe { packet_id, properties, filters });
                crate::encode::packet(&packet, version, out)
            }
            Wish::Unsubscribe(filters) => {
                let mut buffer = UnsubscribeFiltersBuf::default();
                for filter in filters {
                    buffer.push(filter);
                }
                let filters = buffer.as_filters();
                let packet = Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters });
                crate::encode::packet(&packet, version, out)
            }
        };
        written.is_ok()
    }

    /// What this server announced it would say, if it lacks what one of the filters asks for.
    pub(super) fn refused_by(&self, limits: &Limits) -> Option<ReasonCode> {
        let Wish::Subscribe(filters) = &self.wish else { return None };
        if !limits.subscription_identifiers_available
            && identifier_of(self.properties.as_properties()).is_some()
        {
            return Some(ReasonCode::SubscriptionIdentifiersNotSupported);
        }
        filters.iter().find_map(|(filter, _)| filter_refused_by(filter, limits))
    }
}

/// The code of a server that lacks what `filter` asks for.
pub(super) fn filter_refused_by(filter: &str, limits: &Limits) -> Option<ReasonCode> {
    if !limits.shared_available && topic::shared(filter).is_some() {
        Some(ReasonCode::SharedSubscriptionsNotSupported)
    } else if !limits.wildcards_available && topic::has_wildcard(filter) {
        Some(ReasonCode::WildcardSubscriptionsNotSupported)
    } else {
        None
    }
}

/// Requests in the order of the calls, renewals before them.
#[derive(Debug, Default)]
pub(super) struct Requests {
    open: VecDeque<Request>,
}

impl Requests {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn uses(&self, packet_id: PacketId) -> bool {
        self.open.iter().any(|request| request.packet_id == packet_id)
    }

    pub(super) fn push(&mut self, request: Request) {
        self.open.push_back(request);
    }

    /// Puts a request before the one at `place`.
    pub(super) fn insert(&mut self, place: usize, request: Request) {
        self.open.insert(place, request);
    }

    /// The request that an answer with `packet_id` is for; one that was not sent on this connection has none.
    pub(super) fn awaiting(&self, packet_id: PacketId) -> Option<&Request> {
        self.open.iter().find(|request| request.sent && request.packet_id == packet_id)
    }

    /// Removes a request that has its answer, or cannot be sent.
    pub(super) fn take(&mut self, packet_id: PacketId) -> Option<Request> {
        let place = self.open.iter().position(|request| request.packet_id == packet_id)?;
        self.open.remove(place)
    }

    /// The first request that was not sent on this connection.
    pub(super) fn unsent(&mut self) -> Option<&mut Request> {
        self.open.iter_mut().find(|request| !request.sent)
    }

    /// A new connection knows of no request. Renewals are dropped: if they are needed, they are made anew.
    pub(super) fn forget_sent(&mut self) {
        self.open.retain(|request| request.caller.is_some());
        self.open.iter_mut().for_each(|request| request.sent = false);
    }
}

/// One subscription as the server granted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Granted {
    options: SubscribeOptions,
    identifier: Option<u32>,
}

/// The subscriptions of the session, as far as they were asked for by this client.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    granted: BTreeMap<Box<str>, Granted>,
}

/// Filters that can be renewed by one SUBSCRIBE, and the properties it needs.
pub(super) type Renewal = (Vec<(Box<str>, SubscribeOptions)>, PropertiesBuf);

impl Subscriptions {
    /// Remembers a granted filter, unless `maximum` are remembered already.
    pub(super) fn grant(
        &mut self,
        filter: &str,
        options: SubscribeOptions,
        properties: Properties<'_>,
        maximum: usize,
    ) {
        if self.granted.len() < maximum || self.granted.contains_key(filter) {
            let granted = Granted { options, identifier: identifier_of(properties) };
            self.granted.insert(filter.into(), granted);
        }
    }

    pub(super) fn forget(&mut self, filter: &str) {
        self.granted.remove(filter);
    }

    /// All subscriptions, cut into requests of at most `bytes_max` bytes of filters and with one subscription
    /// identifier each, as SUBSCRIBE has only one.
    pub(super) fn renewals(&self, bytes_max: usize) -> Vec<Renewal> {
        let mut by_identifier: BTreeMap<Option<u32>, Vec<(&str, SubscribeOptions)>> = BTreeMap::new();
        for (filter, granted) in &self.granted {
            by_identifier.entry(granted.identifier).or_default().push((filter, granted.options));
        }
        let mut renewals: Vec<Renewal> = Vec::new();
        for (identifier, filters) in by_identifier {
            let properties: PropertiesBuf =
                identifier.map(Property::SubscriptionIdentifier).into_iter().collect();
            let mut room = 0;
            for (filter, options) in filters {
                let bytes = filter.len() + 3;
                match renewals.last_mut() {
                    Some((batch, _)) if bytes <= room => {
                        batch.push((filter.into(), options));
                        room -= bytes;
                    }
                    _ => {
                        renewals.push((vec![(filter.into(), options)], properties.clone()));
                        room = bytes_max.saturating_sub(bytes);
                    }
                }
            }
        }
        renewals
    }
}

fn identifier_of(properties: Properties<'_>) -> Option<u32> {
    properties.subscription_identifiers().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::QoS;

    fn options() -> SubscribeOptions {
        SubscribeOptions::with_qos(QoS::AtLeastOnce)
    }

    fn filters(renewal: &Renewal) -> Vec<&str> {
        renewal.0.iter().map(|(filter, _)| filter.as_ref()).collect()
    }

    #[test]
    fn renewals_keep_subscription_identifiers_apart() {
        let mut subscriptions = Subscriptions::default();
        let seven = PropertiesBuf::from_iter([Property::SubscriptionIdentifier(7)]);
        subscriptions.grant("a", options(), Properties::EMPTY, 10);
        subscriptions.grant("b", options(), seven.as_properties(), 10);
        subscriptions.grant("c", options(), Properties::EMPTY, 10);
        let renewals = subscriptions.renewals(1_000);
        assert_eq!(renewals.iter().map(filters).collect::<Vec<_>>(), [vec!["a", "c"], vec!["b"]]);
        assert_eq!(identifier_of(renewals[1].1.as_properties()), Some(7));
    }

    #[test]
    fn renewals_are_cut_at_the_bound_on_bytes() {
        let mut subscriptions = Subscriptions::default();
        for filter in ["aaa", "bbb", "ccc"] {
            subscriptions.grant(filter, options(), Properties::EMPTY, 10);
        }
        let renewals = subscriptions.renewals(12);
        assert_eq!(renewals.iter().map(filters).collect::<Vec<_>>(), [vec!["aaa", "bbb"], vec!["ccc"]]);
    }

    #[test]
    fn past_the_bound_only_known_filters_are_updated() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.grant("a", options(), Properties::EMPTY, 1);
        subscriptions.grant("b", options(), Properties::EMPTY, 1);
        subscriptions.grant("a", SubscribeOptions::with_qos(QoS::AtMostOnce), Properties::EMPTY, 1);
        let renewals = subscriptions.renewals(100);
        assert_eq!(filters(&renewals[0]), ["a"]);
        assert_eq!(renewals[0].0[0].1.qos, QoS::AtMostOnce);
    }
}
