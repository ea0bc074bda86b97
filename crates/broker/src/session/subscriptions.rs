//! Which filters a session subscribed to: a short list, which nearly all have, or a set, once a scan for each
//! UNSUBSCRIBE would be felt.

use std::collections::HashSet;

use smallvec::SmallVec;

use crate::routes::FilterId;

/// Longest list; beyond, it becomes a set, and stays one until the session ends.
const LISTED_MAX: usize = 256;

/// The filters of one session's subscriptions, without shared ones.
#[derive(Debug)]
pub(crate) enum Subscriptions {
    Few(SmallVec<[FilterId; 1]>),
    #[expect(clippy::box_collection, reason = "one word, since nearly no session has many")]
    Many(Box<HashSet<FilterId>>),
}

impl Default for Subscriptions {
    fn default() -> Self {
        Subscriptions::Few(SmallVec::new())
    }
}

impl Subscriptions {
    pub(crate) fn len(&self) -> usize {
        match self {
            Subscriptions::Few(list) => list.len(),
            Subscriptions::Many(set) => set.len(),
        }
    }

    /// Adds a filter, which must be new.
    pub(crate) fn add(&mut self, filter: FilterId) {
        match self {
            Subscriptions::Few(list) if list.len() < LISTED_MAX => list.push(filter),
            Subscriptions::Few(list) => {
                let set = list.iter().copied().chain([filter]).collect();
                *self = Subscriptions::Many(Box::new(set));
            }
            Subscriptions::Many(set) => _ = set.insert(filter),
        }
    }

    /// Takes a filter out, if it is there.
    pub(crate) fn remove(&mut self, filter: FilterId) {
        match self {
            Subscriptions::Few(list) => {
                if let Some(index) = list.iter().position(|held| *held == filter) {
                    list.swap_remove(index);
                }
            }
            Subscriptions::Many(set) => _ = set.remove(&filter),
        }
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = FilterId> + '_ {
        let (few, many) = match self {
            Subscriptions::Few(list) => (Some(list.iter()), None),
            Subscriptions::Many(set) => (None, Some(set.iter())),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{HashKey, SessionRef};
    use crate::routes::{Receiver, Routes, Target, TargetOptions};

    #[test]
    fn few_and_many_filters_are_held_alike() {
        let mut routes = Routes::new(HashKey(1, 2));
        let receiver = Receiver::Session(SessionRef { slot: 0, generation: 0, shard: 0 });
        let options = TargetOptions {
            qos: longwire_proto::QoS::AtMostOnce,
            no_local: false,
            retain_as_published: false,
            durable: false,
        };
        let mut subscriptions = Subscriptions::default();
        let filters: Vec<_> = (0..2 * LISTED_MAX)
            .map(|number| routes.subscribe(&number.to_string(), Target::new(receiver, options, 0)).0)
            .collect();
        for count in [1, LISTED_MAX, 2 * LISTED_MAX] {
            filters[subscriptions.len()..count].iter().for_each(|&filter| subscriptions.add(filter));
            let mut held: Vec<_> = subscriptions.iter().collect();
            held.sort_unstable();
            assert_eq!(held, filters[..count]);
        }
        filters[1..].iter().for_each(|&filter| subscriptions.remove(filter));
        assert_eq!(subscriptions.iter().collect::<Vec<_>>(), [filters[0]]);
    }
}
