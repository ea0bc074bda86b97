//! The index of subscriptions: which sessions and shared groups receive a topic.
//!
//! Every filter has its text in one hash table, where a topic finds its exact filter; filters with wildcards are in a
//! trie besides. Sessions and the journal hold [`FilterId`]s, never texts. Shards read the index together and change
//! it one at a time; nothing here waits or calls out.
//!
//! Invariant: a filter exists exactly as long as it has targets, a group exactly as long as it has members, and
//! [`Routes::durable_epoch`] moves with every change of a durable target.

mod entries;
mod filters;
mod groups;
mod numbers;
mod target;
mod targets;
mod trie;

use longwire_proto::QoS;

pub use filters::FilterId;
pub use target::{Receiver, Target, TargetOptions};

use crate::address::{GroupRef, HashKey};
use filters::Filters;
use groups::{Group, Groups};
use trie::Trie;

/// The index of subscriptions.
#[derive(Debug)]
pub struct Routes {
    filters: Filters,
    wildcards: Trie,
    groups: Groups,
    subscriptions: usize,
    durable_epoch: u64,
}

impl Routes {
    /// An empty index. `key` keeps clients from choosing texts whose hashes collide.
    pub fn new(key: HashKey) -> Self {
        Routes {
            filters: Filters::new(key),
            wildcards: Trie::new(key),
            groups: Groups::new(key),
            subscriptions: 0,
            durable_epoch: 0,
        }
    }

    /// Filters that have targets.
    pub fn len(&self) -> usize {
        self.filters.len()
    }

    /// True if there are no filters.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Subscriptions of sessions, their memberships in shared groups included.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// Moves with every change of a durable target, and only then.
    pub fn durable_epoch(&self) -> u64 {
        self.durable_epoch
    }

    /// The filter with this text, `$share` forms excluded (see [`Routes::find_group`]).
    pub fn find(&self, filter: &str) -> Option<FilterId> {
        self.filters.find(filter)
    }

    /// Text of the filter; `None` if the id is stale.
    pub fn text(&self, filter: FilterId) -> Option<&str> {
        self.filters.text(filter)
    }

    /// The subscription of `receiver` to the filter.
    pub fn target(&self, filter: FilterId, receiver: Receiver) -> Option<&Target> {
        self.filters.target(filter, receiver)
    }

    /// All targets of the filter, none if the id is stale. Their order changes whenever one is removed.
    pub fn targets(&self, filter: FilterId) -> &[Target] {
        self.filters.targets(filter)
    }

    /// True if a target of the filter outlives its connection.
    pub fn has_durable(&self, filter: FilterId) -> bool {
        self.filters.has_durable(filter)
    }

    /// Replaces `found` by every filter that matches the topic name, in no particular order `[MQTT-4.7.3-4]`.
    pub fn matching(&self, topic: &str, found: &mut Vec<FilterId>) {
        found.clear();
        found.extend(self.filters.find(topic));
        self.wildcards.matching(topic, |number| found.push(self.filters.id(number)));
    }

    /// Subscribes the target's receiver to the checked filter, or replaces the subscription it has already
    /// `[MQTT-3.8.4-3]`. Tells the filter, and whether the subscription is new.
    pub fn subscribe(&mut self, filter: &str, target: Target) -> (FilterId, bool) {
        let filter = self.filter_or_new(filter);
        let is_new = self.put(filter, target).is_none();
        self.subscriptions += usize::from(is_new);
        (filter, is_new)
    }

    /// Ends the subscription of `receiver` and returns it `[MQTT-3.10.4-2]`. The filter goes with its last target.
    pub fn unsubscribe(&mut self, filter: FilterId, receiver: Receiver) -> Option<Target> {
        let removed = self.take(filter, receiver)?;
        self.subscriptions -= 1;
        Some(removed)
    }

    /// Nodes of the trie of filters with wildcards, its root apart.
    pub fn trie_nodes(&self) -> usize {
        self.wildcards.nodes()
    }

    /// Shared groups.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// The group called `full`, which is `$share/name/filter`.
    pub fn find_group(&self, full: &str) -> Option<GroupRef> {
        self.groups.find(full)
    }

    /// The group's `$share/name/filter`; `None` if the address is stale.
    pub fn group_text(&self, group: GroupRef) -> Option<&str> {
        self.groups.at(group).map(|group| &*group.text)
    }

    /// The filter behind the group's name; `None` if the address is stale.
    pub fn group_filter(&self, group: GroupRef) -> Option<FilterId> {
        self.groups.at(group).map(|group| group.filter)
    }

    /// Adds one more member to the group called `full`, which is `$share/name/filter`. The first member founds the
    /// group, at home on the shard `home`, and makes it a target of `filter`. Whoever is a member already must not
    /// join again.
    pub fn join(&mut self, full: &str, filter: &str, home: u16, durable: bool) -> GroupRef {
        let group = self.groups.find(full).unwrap_or_else(|| self.found(full, filter, home));
        self.change_group(group, |group| {
            group.members += 1;
            group.durable_joins += u32::from(durable);
        });
        self.subscriptions += 1;
        group
    }

    /// Founds a durable group at the address that it had before; its members [`join`](Routes::join) it, and are not
    /// counted among the `joins` of durable members again. False if another group has the address or the name.
    pub fn restore_group(&mut self, address: GroupRef, full: &str, filter: &str, joins: u32) -> bool {
        if self.groups.find(full).is_some() {
            return false;
        }
        let filter = self.filter_or_new(filter);
        let text = full.into();
        let group = Group { text, filter, shard: address.shard, members: 0, durable_joins: joins };
        self.groups.insert_at(address, group)
    }

    /// Takes one member out of the group. The last one ends the group, and the address is stale; if that was a durable
    /// group, whose messages need not be kept any longer, the answer is how often durable members joined it.
    pub fn leave(&mut self, group: GroupRef) -> Option<u32> {
        self.groups.at(group)?;
        self.change_group(group, |group| group.members -= 1);
        self.subscriptions -= 1;
        let &Group { filter, durable_joins, .. } =
            self.groups.at(group).filter(|group| group.members == 0)?;
        self.take(filter, Receiver::Group(group));
        self.groups.remove(group);
        (durable_joins > 0).then_some(durable_joins)
    }

    /// A durable member joined the group again, or a member has become durable. The group stays so until it ends, or a
    /// message could be counted as kept where the log does not look for it any more.
    pub fn join_again(&mut self, group: GroupRef) {
        self.change_group(group, |group| group.durable_joins += 1);
    }

    /// Founds a group without members yet.
    fn found(&mut self, full: &str, filter: &str, home: u16) -> GroupRef {
        let filter = self.filter_or_new(filter);
        self.groups.insert(Group { text: full.into(), filter, shard: home, members: 0, durable_joins: 0 })
    }

    /// Changes a group, and its target with it.
    fn change_group(&mut self, address: GroupRef, change: impl FnOnce(&mut Group)) {
        let Some(group) = self.groups.at_mut(address) else { return };
        change(group);
        // A member's own QoS is applied when the group hands a message to it.
        let options = TargetOptions {
            qos: QoS::ExactlyOnce,
            no_local: false,
            retain_as_published: false,
            durable: group.is_durable(),
        };
        let filter = group.filter;
        self.put(filter, Target::new(Receiver::Group(address), options, 0));
    }

    fn filter_or_new(&mut self, text: &str) -> FilterId {
        if let Some(filter) = self.filters.find(text) {
            return filter;
        }
        let filter = self.filters.insert(text);
        if has_wildcard(text) {
            self.wildcards.insert(text, filter.number());
        }
        filter
    }

    fn put(&mut self, filter: FilterId, target: Target) -> Option<Target> {
        let replaced = self.filters.put(filter, target);
        let is_durable = target.is_durable() || replaced.is_some_and(|replaced| replaced.is_durable());
        if is_durable && replaced != Some(target) {
            self.durable_epoch += 1;
        }
        replaced
    }

    fn take(&mut self, filter: FilterId, receiver: Receiver) -> Option<Target> {
        let removed = self.filters.take(filter, receiver)?;
        self.durable_epoch += u64::from(removed.is_durable());
        if self.filters.targets(filter).is_empty() {
            if let Some(text) = self.filters.text(filter).filter(|text| has_wildcard(text)) {
                self.wildcards.remove(text);
            }
            self.filters.remove(filter);
        }
        Some(removed)
    }
}

/// True if the checked filter has a wildcard, which is then a level of its own `[MQTT-4.7.1-1]`, `[MQTT-4.7.1-2]`.
fn has_wildcard(filter: &str) -> bool {
    filter.bytes().any(|byte| matches!(byte, b'+' | b'#'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::SessionRef;

    fn session(number: u32) -> Receiver {
        Receiver::Session(SessionRef { slot: number, generation: 0, shard: 0 })
    }

    fn target(number: u32, bits: u8) -> Target {
        Target::new(session(number), TargetOptions::from_bits(bits).unwrap(), 0)
    }

    const DURABLE: u8 = 1 << 4;

    fn with_filters(filters: &[&str]) -> Routes {
        let mut routes = Routes::new(HashKey(1, 2));
        for (filter, number) in filters.iter().zip(0..) {
            routes.subscribe(filter, target(number, 0));
        }
        routes
    }

    fn matching<'a>(routes: &'a Routes, topic: &str) -> Vec<&'a str> {
        let mut found = Vec::new();
        routes.matching(topic, &mut found);
        let mut found: Vec<&str> = found.iter().map(|filter| routes.text(*filter).unwrap()).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn a_leading_wildcard_does_not_match_topics_that_begin_with_a_dollar_sign() {
        let routes = with_filters(&["#", "+/x", "+/#", "$SYS/#", "$SYS/+", "$SYS/x"]);
        assert_eq!(matching(&routes, "$SYS/x"), ["$SYS/#", "$SYS/+", "$SYS/x"]);
        assert_eq!(matching(&routes, "a/x"), ["#", "+/#", "+/x"]);
    }

    #[test]
    fn a_multi_level_wildcard_matches_its_parent() {
        let routes = with_filters(&["a/#", "a/b/#", "a/+/#"]);
        assert_eq!(matching(&routes, "a"), ["a/#"]);
        assert_eq!(matching(&routes, "a/b"), ["a/#", "a/+/#", "a/b/#"]);
    }

    #[test]
    fn a_slash_separates_levels_even_if_they_are_empty() {
        let routes = with_filters(&["+", "/+", "+/+", "/"]);
        assert_eq!(matching(&routes, "/"), ["+/+", "/", "/+"]);
        assert_eq!(matching(&routes, "a"), ["+"]);
    }

    #[test]
    fn the_deepest_topic_and_filter_there_can_be_match() {
        let topic = "/".repeat(65_535);
        let filter = "+/".repeat(32_767) + "#";
        let routes = with_filters(&[&filter, "#", "/+/#", &topic]);
        assert_eq!(matching(&routes, &topic).len(), 4);
    }

    #[test]
    fn an_id_outlives_its_filter_without_naming_the_next_one() {
        let mut routes = Routes::new(HashKey(1, 2));
        let (first, _) = routes.subscribe("a/b", target(1, 0));
        routes.unsubscribe(first, session(1));
        let (second, _) = routes.subscribe("a/c", target(1, 0));
        assert_eq!(first.number(), second.number());
        assert_eq!(routes.text(first), None);
        assert!(routes.targets(first).is_empty());
        assert_eq!(routes.unsubscribe(first, session(1)), None);
        assert_eq!(routes.subscriptions(), 1);
    }

    #[test]
    fn subscribing_again_replaces_the_options() {
        let mut routes = Routes::new(HashKey(1, 2));
        let (filter, is_new) = routes.subscribe("a", target(1, 0));
        assert!(is_new);
        assert_eq!(routes.subscribe("a", target(1, 2)), (filter, false));
        assert_eq!(routes.targets(filter), [target(1, 2)]);
        assert_eq!(routes.subscriptions(), 1);
    }

    #[test]
    fn only_changes_of_durable_targets_move_the_epoch() {
        let mut routes = Routes::new(HashKey(1, 2));
        let mut epochs = vec![routes.durable_epoch()];
        let (filter, _) = routes.subscribe("a", target(1, DURABLE));
        epochs.push(routes.durable_epoch());
        routes.subscribe("a", target(1, DURABLE | 1));
        epochs.push(routes.durable_epoch());
        routes.subscribe("a", target(1, 0));
        epochs.push(routes.durable_epoch());
        assert!(epochs.is_sorted_by(|one, next| one < next), "{epochs:?}");

        routes.subscribe("a", target(1, 2));
        routes.subscribe("a", target(2, 0));
        routes.unsubscribe(filter, session(2));
        routes.join("$share/g/a", "a", 0, false);
        assert_eq!(routes.durable_epoch(), epochs[3]);
    }

    #[test]
    fn a_group_is_a_durable_target_from_its_first_durable_member_to_its_end() {
        let mut routes = Routes::new(HashKey(1, 2));
        let group = routes.join("$share/g/a/+", "a/+", 3, false);
        let filter = routes.group_filter(group).unwrap();
        assert!(!routes.has_durable(filter));
        assert_eq!(routes.join("$share/g/a/+", "a/+", 3, true), group);
        assert!(routes.has_durable(filter));
        assert_eq!(routes.leave(group), None);
        assert!(routes.has_durable(filter));
        assert_eq!(routes.leave(group), Some(1), "the end of a durable group is told");
        assert!(!routes.has_durable(filter));
    }

    #[test]
    fn a_group_ends_with_its_last_member_and_takes_its_filter_along() {
        let mut routes = Routes::new(HashKey(1, 2));
        let group = routes.join("$share/g/a/+", "a/+", 3, false);
        assert_eq!(matching(&routes, "a/b"), ["a/+"]);
        assert_eq!(routes.leave(group), None);
        assert!(matching(&routes, "a/b").is_empty());
        assert_eq!(routes.group_text(group), None);
        assert_eq!(routes.leave(group), None);
        assert_ne!(routes.join("$share/g/a/+", "a/+", 3, false), group);
    }

    #[test]
    fn groups_of_one_filter_and_its_own_subscribers_are_separate_targets() {
        let mut routes = Routes::new(HashKey(1, 2));
        let (filter, _) = routes.subscribe("a", target(1, 0));
        let one = routes.join("$share/one/a", "a", 0, false);
        let other = routes.join("$share/other/a", "a", 1, false);
        let receivers: Vec<Receiver> = routes.targets(filter).iter().map(Target::receiver).collect();
        assert_eq!(receivers, [session(1), Receiver::Group(one), Receiver::Group(other)]);
        assert_eq!(routes.subscriptions(), 3);
    }

    #[test]
    fn a_subscription_of_33_characters_takes_at_most_84_bytes() {
        let mut routes = Routes::new(HashKey(1, 2));
        let mut ids = Vec::new();
        for number in 0..100_000 {
            let filter = format!("site/{:06}/device/{number:08}/state", number % 1_000);
            ids.push(routes.subscribe(&filter, target(number, 0)).0);
            let count = number as usize + 1;
            if count >= 10_000 && count.is_multiple_of(1_000) {
                assert!(routes.filters.bytes() <= 84 * count, "{} for {count}", routes.filters.bytes());
            }
        }
        for (filter, number) in ids.into_iter().zip(0..) {
            routes.unsubscribe(filter, session(number));
        }
        assert!(routes.filters.bytes() < 200_000, "{} are left", routes.filters.bytes());
    }
}
