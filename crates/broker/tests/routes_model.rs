//! The index and the retained topics against models that are too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};

use longwire_broker::address::{GroupRef, HashKey, SessionRef};
use longwire_broker::retained::{Page, Retained};
use longwire_broker::routes::{FilterId, Receiver, Routes, Target, TargetOptions};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// True if the filter matches the topic, by the words of the standard.
fn matches(filter: &str, topic: &str) -> bool {
    fn levels_match(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) => true,
            ([], []) => true,
            (["+", filter @ ..], [_, topic @ ..]) => levels_match(filter, topic),
            ([wanted, filter @ ..], [level, topic @ ..]) => wanted == level && levels_match(filter, topic),
            _ => false,
        }
    }
    let hidden = topic.starts_with('$') && filter.starts_with(['+', '#']);
    !hidden && levels_match(&filter.split('/').collect::<Vec<_>>(), &topic.split('/').collect::<Vec<_>>())
}

fn topic() -> impl Strategy<Value = String> {
    let level = select(vec!["a", "b", "", "$s", "long-level-of-a-topic"]);
    vec(level, 1..5).prop_map(|levels| levels.join("/")).prop_filter("not empty", |topic| !topic.is_empty())
}

fn filter() -> impl Strategy<Value = String> + Clone {
    let level = select(vec!["a", "b", "", "$s", "long-level-of-a-topic", "+", "+"]);
    (vec(level, 0..5), any::<bool>())
        .prop_map(|(mut levels, has_rest)| {
            levels.extend(has_rest.then_some("#"));
            levels.join("/")
        })
        .prop_filter("not empty", |filter| !filter.is_empty())
}

#[derive(Clone, Debug)]
enum Change {
    Subscribe { filter: String, session: u32, bits: u8, identifier: u32 },
    Unsubscribe { filter: String, session: u32 },
    Join { name: &'static str, filter: String, session: u32, durable: bool },
    Leave { name: &'static str, filter: String, session: u32 },
    JoinAgain { name: &'static str, filter: String, session: u32 },
}

fn change(filter: impl Strategy<Value = String> + Clone, sessions: u32) -> impl Strategy<Value = Change> {
    let bits = (0..32_u8).prop_filter("QoS 3", |bits| bits & 3 != 3);
    let name = select(vec!["g", "h"]);
    let member = (name, filter.clone(), 0..sessions.min(4));
    prop_oneof![
        4 => (filter.clone(), 0..sessions, bits, 0..3_u32)
            .prop_map(|(filter, session, bits, identifier)| Change::Subscribe { filter, session, bits, identifier }),
        3 => (filter, 0..sessions).prop_map(|(filter, session)| Change::Unsubscribe { filter, session }),
        2 => (member.clone(), any::<bool>())
            .prop_map(|((name, filter, session), durable)| Change::Join { name, filter, session, durable }),
        2 => member.clone().prop_map(|(name, filter, session)| Change::Leave { name, filter, session }),
        1 => member
            .prop_map(|(name, filter, session)| Change::JoinAgain { name, filter, session }),
    ]
}

fn receiver(session: u32) -> Receiver {
    Receiver::Session(SessionRef { slot: session, generation: 3, shard: 1 })
}

/// Group name and filter.
type GroupName = (&'static str, String);

/// A group of the model.
#[derive(Clone, Default)]
struct Group {
    members: BTreeSet<u32>,
    /// How often durable members have joined it since it began.
    durable_joins: u32,
}

/// The index beside its model.
struct Pair {
    routes: Routes,
    /// Targets of sessions by filter and session.
    targets: BTreeMap<(String, u32), Target>,
    /// Groups that exist.
    groups: BTreeMap<GroupName, Group>,
    /// Every id that was ever returned, with its text.
    ids: BTreeMap<FilterId, String>,
    /// Every group address that was ever returned, with its name.
    addresses: BTreeMap<GroupRef, GroupName>,
}

impl Pair {
    fn new() -> Self {
        Pair {
            routes: Routes::new(HashKey(1, 2)),
            targets: BTreeMap::new(),
            groups: BTreeMap::new(),
            ids: BTreeMap::new(),
            addresses: BTreeMap::new(),
        }
    }

    fn apply(&mut self, change: Change) {
        let (durable, epoch) = (self.durable(), self.routes.durable_epoch());
        match change {
            Change::Subscribe { filter, session, bits, identifier } => {
                let options = TargetOptions::from_bits(bits).unwrap();
                let target = Target::new(receiver(session), options, identifier);
                let (id, is_new) = self.routes.subscribe(&filter, target);
                self.ids.insert(id, filter.clone());
                assert_eq!(is_new, self.targets.insert((filter, session), target).is_none());
            }
            Change::Unsubscribe { filter, session } => {
                let id = self.routes.find(&filter);
                let removed = id.and_then(|id| self.routes.unsubscribe(id, receiver(session)));
                assert_eq!(removed, self.targets.remove(&(filter, session)));
            }
            Change::Join { name, filter, session, durable } => self.join(name, filter, session, durable),
            Change::Leave { name, filter, session } => self.leave(name, filter, session),
            Change::JoinAgain { name, filter, session } => {
                let group = self.groups.get_mut(&(name, filter.clone()));
                if let Some(group) = group.filter(|group| group.members.contains(&session)) {
                    group.durable_joins += 1;
                    let group = self.routes.find_group(&full(name, &filter)).unwrap();
                    self.routes.join_again(group);
                }
            }
        }
        assert_eq!(self.durable() != durable, self.routes.durable_epoch() != epoch);
        self.check_counts();
    }

    fn join(&mut self, name: &'static str, filter: String, session: u32, durable: bool) {
        let group = self.groups.entry((name, filter.clone())).or_default();
        if !group.members.insert(session) {
            return;
        }
        group.durable_joins += u32::from(durable);
        let group = self.routes.join(&full(name, &filter), &filter, 5, durable);
        assert_eq!(group.shard, 5);
        self.ids.insert(self.routes.group_filter(group).unwrap(), filter.clone());
        self.addresses.insert(group, (name, filter));
    }

    fn leave(&mut self, name: &'static str, filter: String, session: u32) {
        let group = self.routes.find_group(&full(name, &filter));
        let Some(known) = self.groups.get_mut(&(name, filter.clone())) else {
            assert_eq!(group, None);
            return;
        };
        if !known.members.remove(&session) {
            return;
        }
        let (is_last, joins) = (known.members.is_empty(), known.durable_joins);
        if is_last {
            self.groups.remove(&(name, filter));
        }
        assert_eq!(self.routes.leave(group.unwrap()), (is_last && joins > 0).then_some(joins));
    }

    /// Everything durable that the index should hold.
    fn durable(&self) -> (Vec<(String, u32, Target)>, Vec<GroupName>) {
        let durable_targets = self.targets.iter().filter(|(_, target)| target.is_durable());
        let durable_groups = self.groups.iter().filter(|(_, group)| group.durable_joins > 0);
        (
            durable_targets.map(|((filter, session), target)| (filter.clone(), *session, *target)).collect(),
            durable_groups.map(|(name, _)| name.clone()).collect(),
        )
    }

    fn filters(&self) -> BTreeSet<&str> {
        let of_sessions = self.targets.keys().map(|(filter, _)| filter.as_str());
        of_sessions.chain(self.groups.keys().map(|(_, filter)| filter.as_str())).collect()
    }

    fn check_counts(&self) {
        let members = self.groups.values().map(|group| group.members.len()).sum::<usize>();
        assert_eq!(self.routes.subscriptions(), self.targets.len() + members);
        assert_eq!(self.routes.len(), self.filters().len());
    }

    fn check_matching(&self, topic: &str) {
        let mut found = Vec::new();
        self.routes.matching(topic, &mut found);
        let mut found: Vec<&str> = found.iter().map(|id| self.routes.text(*id).unwrap()).collect();
        found.sort_unstable();
        let expected: Vec<&str> =
            self.filters().into_iter().filter(|filter| matches(filter, topic)).collect();
        assert_eq!(found, expected, "{topic}");
    }

    /// Each id ever returned names its filter with all of its targets, or nothing.
    fn check_ids(&self) {
        for (id, text) in &self.ids {
            let is_living = self.routes.find(text) == Some(*id);
            assert_eq!(self.routes.text(*id), is_living.then_some(text.as_str()));
            let expected = if is_living { self.expected_targets(text) } else { Vec::new() };
            let mut targets = self.routes.targets(*id).to_vec();
            targets.sort_unstable_by_key(Target::receiver);
            assert_eq!(targets, expected);
            assert_eq!(self.routes.has_durable(*id), expected.iter().any(Target::is_durable));
            for target in &expected {
                assert_eq!(self.routes.target(*id, target.receiver()), Some(target));
            }
        }
        for filter in self.filters() {
            assert!(self.routes.find(filter).is_some());
        }
    }

    fn expected_targets(&self, filter: &str) -> Vec<Target> {
        let of_sessions = self.targets.range((filter.to_owned(), 0)..=(filter.to_owned(), u32::MAX));
        let mut targets: Vec<Target> = of_sessions.map(|(_, target)| *target).collect();
        for ((name, _), known) in self.groups.iter().filter(|((_, of_group), _)| of_group == filter) {
            let group = self.routes.find_group(&full(name, filter)).unwrap();
            let bits = 2 | if known.durable_joins > 0 { 1 << 4 } else { 0 };
            targets.push(Target::new(Receiver::Group(group), TargetOptions::from_bits(bits).unwrap(), 0));
        }
        targets.sort_unstable_by_key(Target::receiver);
        targets
    }

    /// Each address ever returned names its group, or nothing.
    fn check_addresses(&self) {
        for (address, (name, filter)) in &self.addresses {
            let full = full(name, filter);
            let is_living = self.routes.find_group(&full) == Some(*address);
            assert_eq!(is_living, self.routes.group_text(*address) == Some(&full));
            assert_eq!(is_living, self.routes.group_text(*address).is_some());
            let filter = self.routes.find(filter).filter(|_| is_living);
            assert_eq!(self.routes.group_filter(*address), filter);
        }
        for (name, filter) in self.groups.keys() {
            assert!(self.routes.find_group(&full(name, filter)).is_some());
        }
    }

    fn apply_all(changes: Vec<Change>) -> Self {
        let mut pair = Pair::new();
        for change in changes {
            pair.apply(change);
        }
        pair.check_ids();
        pair.check_addresses();
        pair
    }
}

fn full(name: &str, filter: &str) -> String {
    format!("$share/{name}/{filter}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_topic_finds_exactly_the_filters_that_match_it(
        changes in vec(change(filter(), 4), 0..200),
        topics in vec(topic(), 20),
    ) {
        let pair = Pair::apply_all(changes);
        for topic in &topics {
            pair.check_matching(topic);
        }
    }

    #[test]
    fn shared_filters_keep_exactly_the_targets_that_did_not_leave(
        changes in vec(change(select(vec!["a/b".to_owned(), "+/b".to_owned()]), 20), 0..300),
    ) {
        Pair::apply_all(changes);
    }

    #[test]
    fn an_index_that_everybody_left_is_empty(changes in vec(change(filter(), 4), 0..200)) {
        let mut pair = Pair::apply_all(changes);
        for (filter, session) in pair.targets.keys().cloned().collect::<Vec<_>>() {
            pair.apply(Change::Unsubscribe { filter, session });
        }
        for ((name, filter), group) in pair.groups.clone() {
            for session in group.members {
                pair.apply(Change::Leave { name, filter: filter.clone(), session });
            }
        }
        prop_assert!(pair.routes.is_empty());
        prop_assert_eq!(pair.routes.subscriptions(), 0);
        pair.check_ids();
        pair.check_addresses();
    }
}

/// Topics around the slash in byte order, where jumps are easy to get wrong.
fn crooked_topic() -> impl Strategy<Value = String> {
    let level = select(vec!["", "a", "b", "a!", "b!", "a0", "ab", "$s", "$", "%", "é"]);
    vec(level, 1..5).prop_map(|levels| levels.join("/")).prop_filter("not empty", |topic| !topic.is_empty())
}

fn crooked_filter() -> impl Strategy<Value = String> {
    let level = select(vec!["", "a", "b", "a!", "a0", "$s", "%", "é", "+", "+", "+"]);
    (vec(level, 0..5), any::<bool>())
        .prop_map(|(mut levels, has_rest)| {
            levels.extend(has_rest.then_some("#"));
            levels.join("/")
        })
        .prop_filter("not empty", |filter| !filter.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn the_pages_of_a_filter_together_are_one_full_scan(
        topics in vec(crooked_topic(), 0..60),
        filter in crooked_filter(),
        sizes in vec((1..6_usize, 1..4_usize), 1..8),
    ) {
        let mut retained = Retained::new();
        let mut model = BTreeMap::new();
        for (number, topic) in topics.iter().enumerate() {
            prop_assert_eq!(retained.set(topic, number), model.insert(topic.as_str(), number));
        }
        let (mut found, mut after) = (Vec::new(), None);
        for (visits_max, room) in sizes.iter().cycle() {
            let mut taken = 0;
            let page = retained.page(&filter, after.as_deref(), *visits_max, |topic, value| {
                found.push((topic, *value));
                taken += 1;
                taken < *room
            });
            prop_assert!(taken <= *room && taken <= *visits_max);
            match page {
                Page::End => break,
                Page::More { after: last } => after = Some(last),
            }
        }
        let expected: Vec<(&str, usize)> = model.into_iter().filter(|(topic, _)| matches(&filter, topic)).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn values_are_what_was_set_last_and_not_removed(
        changes in vec((crooked_topic(), any::<Option<u8>>()), 0..100),
    ) {
        let (mut retained, mut model) = (Retained::new(), BTreeMap::new());
        for (topic, value) in &changes {
            let (removed, expected) = match value {
                Some(value) => (retained.set(topic, *value), model.insert(topic, *value)),
                None => (retained.remove(topic), model.remove(topic)),
            };
            prop_assert_eq!(removed, expected);
        }
        prop_assert_eq!(retained.len(), model.len());
        for (topic, _) in &changes {
            prop_assert_eq!(retained.value(topic), model.get(topic));
        }
    }
}
