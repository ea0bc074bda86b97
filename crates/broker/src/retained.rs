//! The last value of every topic, in the order of the topics' bytes, read in pages.
//!
//! A filter is answered by walking the topics in order and jumping over those that cannot match: from a topic that
//! does not match follows the next text that could. A page ends after a number of topics *visited*, so that no filter
//! can hold up a turn, and the next page begins after the last of them, whatever was set or removed meanwhile.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Last values by topic.
#[derive(Debug)]
pub struct Retained<T> {
    topics: BTreeMap<Box<str>, T>,
}

/// Where a page ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Page {
    /// There is nothing more.
    End,
    /// There may be more.
    More {
        /// The last topic visited: what the next page begins after.
        after: String,
    },
}

impl<T> Default for Retained<T> {
    fn default() -> Self {
        Retained { topics: BTreeMap::new() }
    }
}

impl<T> Retained<T> {
    /// Without any topics.
    pub fn new() -> Self {
        Retained::default()
    }

    /// Topics that have a value.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// True if no topic has a value.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Sets the value of a topic and returns the one before `[MQTT-3.3.1-5]`.
    pub fn set(&mut self, topic: &str, value: T) -> Option<T> {
        if let Some(present) = self.topics.get_mut(topic) {
            return Some(std::mem::replace(present, value));
        }
        self.topics.insert(topic.into(), value)
    }

    /// Removes the value of a topic and returns it `[MQTT-3.3.1-6]`.
    pub fn remove(&mut self, topic: &str) -> Option<T> {
        self.topics.remove(topic)
    }

    /// The value of a topic.
    pub fn value(&self, topic: &str) -> Option<&T> {
        self.topics.get(topic)
    }

    /// Hands the topics after `after` that match the checked `filter` to `take`, in order, until `take` answers false
    /// or `visits_max` topics (at least one) were visited.
    pub fn page<'a>(
        &'a self,
        filter: &str,
        after: Option<&str>,
        visits_max: usize,
        mut take: impl FnMut(&'a str, &'a T) -> bool,
    ) -> Page {
        let Some(prefix) = prefix_before_wildcard(filter) else {
            if after.is_none_or(|after| after < filter)
                && let Some((topic, value)) = self.topics.get_key_value(filter)
            {
                take(topic, value);
            }
            return Page::End;
        };
        let mut start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after.to_owned()),
            _ => Bound::Included(prefix.to_owned()),
        };
        let mut visits_left = visits_max.max(1);
        loop {
            let jump = 'walk: {
                for (topic, value) in self.topics.range::<str, _>((as_str(&start), Bound::Unbounded)) {
                    visits_left -= 1;
                    let step = step(filter, topic);
                    let goes_on = match &step {
                        Step::Match => take(topic, value),
                        Step::Next | Step::Jump(_) => true,
                        Step::End => return Page::End,
                    };
                    if !goes_on || visits_left == 0 {
                        return Page::More { after: topic.to_string() };
                    }
                    if let Step::Jump(next) = step {
                        break 'walk next;
                    }
                }
                return Page::End;
            };
            start = Bound::Included(jump);
        }
    }
}

/// What a topic says about the topics that follow it.
enum Step {
    /// It matches.
    Match,
    /// It does not match, but the next one may.
    Next,
    /// It does not match, and nothing between it and this text does.
    Jump(String),
    /// It does not match, and nothing after it does.
    End,
}

/// Compares `topic` with a filter that has wildcards, level by level.
fn step(filter: &str, topic: &str) -> Step {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        // [MQTT-4.7.2-1] [MQTT-4.7.2-1 of 3.1.1]. `%` follows `$`, so this is behind all such topics.
        return Step::Jump("%".to_owned());
    }
    let mut plus_end = None;
    let mut left = Some(topic);
    let mut wanted_levels = filter.split('/').peekable();
    while let Some(wanted) = wanted_levels.next() {
        if wanted == "#" {
            return Step::Match;
        }
        let Some(rest) = left else { return after_short(topic, wanted, plus_end) };
        let (level, below) = rest.split_once('/').map_or((rest, None), |(level, below)| (level, Some(below)));
        let start = topic.len() - rest.len();
        if wanted == "+" {
            plus_end = Some(start + level.len());
        } else if level != wanted {
            let is_last = wanted_levels.peek().is_none();
            return after_other_level(topic, start, wanted, is_last, plus_end);
        }
        left = below;
    }
    if left.is_none() { Step::Match } else { after_subtree(topic, plus_end) }
}

/// The topic ended where the filter wants one more level. `plus_end` is the end of the topic's level at the last `+`.
fn after_short(topic: &str, wanted: &str, plus_end: Option<usize>) -> Step {
    if plus_end == Some(topic.len()) {
        // Its last level may still grow: `b!/x` lies between `b` and `b/x`.
        return Step::Next;
    }
    Step::Jump(format!("{topic}/{}", if wanted == "+" { "" } else { wanted }))
}

/// The topic's level at `start` is not the `wanted` one, but all levels before it match.
fn after_other_level(
    topic: &str,
    start: usize,
    wanted: &str,
    is_last: bool,
    plus_end: Option<usize>,
) -> Step {
    let (matched, rest) = topic.split_at(start);
    if rest < wanted {
        return Step::Jump(format!("{matched}{wanted}"));
    }
    // `b!` lies between `b` and `b/`: what is below the wanted level may still come.
    if !is_last && rest.bytes().lt(wanted.bytes().chain([b'/'])) {
        return Step::Jump(format!("{matched}{wanted}/"));
    }
    after_subtree(topic, plus_end)
}

/// Nothing more matches with the topic's level at the last `+`, but behind all that is below it another level may.
fn after_subtree(topic: &str, plus_end: Option<usize>) -> Step {
    // `0` follows `/`.
    plus_end.map_or(Step::End, |end| Step::Jump(format!("{}0", &topic[..end])))
}

/// The levels before the first wildcard, with which every match begins; `None` if there is no wildcard.
fn prefix_before_wildcard(filter: &str) -> Option<&str> {
    let wildcard = filter.find(['+', '#'])?;
    let prefix = &filter[..wildcard];
    Some(prefix.strip_suffix('/').unwrap_or(prefix))
}

/// A bound on the text that a bound owns.
fn as_str(bound: &Bound<String>) -> Bound<&str> {
    bound.as_ref().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_topics<S: AsRef<str>>(topics: impl IntoIterator<Item = S>) -> Retained<()> {
        let mut retained = Retained::new();
        for topic in topics {
            retained.set(topic.as_ref(), ());
        }
        retained
    }

    /// Topics of one page and where it ended.
    fn page<'a>(
        retained: &'a Retained<()>,
        filter: &str,
        after: Option<&str>,
        visits_max: usize,
    ) -> (Vec<&'a str>, Page) {
        let mut found = Vec::new();
        let page = retained.page(filter, after, visits_max, |topic, ()| {
            found.push(topic);
            true
        });
        (found, page)
    }

    #[test]
    fn a_leading_wildcard_does_not_find_topics_that_begin_with_a_dollar_sign() {
        let retained = with_topics(["$SYS/a", "$", "a/a", "!"]);
        assert_eq!(page(&retained, "#", None, 100), (vec!["!", "a/a"], Page::End));
        assert_eq!(page(&retained, "+/#", None, 100), (vec!["!", "a/a"], Page::End));
        assert_eq!(page(&retained, "+/a", None, 100), (vec!["a/a"], Page::End));
        assert_eq!(page(&retained, "$SYS/#", None, 100), (vec!["$SYS/a"], Page::End));
        assert_eq!(page(&retained, "$SYS/+", None, 100), (vec!["$SYS/a"], Page::End));
    }

    #[test]
    fn a_multi_level_wildcard_finds_its_parent() {
        let retained = with_topics(["a", "a!", "a/b", "ab"]);
        assert_eq!(page(&retained, "a/#", None, 100), (vec!["a", "a/b"], Page::End));
    }

    #[test]
    fn a_filter_without_wildcards_is_looked_up() {
        let retained = with_topics((0..100).map(|number| format!("a/{number}")));
        assert_eq!(page(&retained, "a/5", None, 1), (vec!["a/5"], Page::End));
        assert_eq!(page(&retained, "a/5", Some("a/5"), 1), (vec![], Page::End));
        assert_eq!(page(&retained, "b", None, 1), (vec![], Page::End));
    }

    #[test]
    fn subtrees_that_cannot_match_are_jumped_over() {
        let topics = (0..1_000).flat_map(|device| (0..100).map(move |name| format!("site/{device}/{name}")));
        let retained = with_topics(topics);
        // One visit for the match, one to find where the device begins, one to find where it ends.
        let (found, end) = page(&retained, "site/+/50", None, 3_001);
        assert_eq!((found.len(), end), (1_000, Page::End));
        let (found, end) = page(&retained, "+", None, 2);
        assert_eq!((found.len(), end), (0, Page::End));
        let (found, end) = page(&retained, "site/500/#", None, 102);
        assert_eq!((found.len(), end), (100, Page::End));
    }

    #[test]
    fn a_page_ends_after_its_number_of_visits_even_if_nothing_matched() {
        let retained = with_topics((0..10_u8).map(|number| format!("{number}")));
        let (found, end) = page(&retained, "+/x", None, 4);
        assert_eq!((found.len(), end), (0, Page::More { after: "3".to_owned() }));
    }

    #[test]
    fn a_page_goes_on_where_the_last_one_ended_although_that_topic_is_gone() {
        let mut retained = with_topics(["a", "b", "c"]);
        let (_, end) = page(&retained, "+", None, 2);
        assert_eq!(end, Page::More { after: "b".to_owned() });
        retained.remove("b");
        assert_eq!(page(&retained, "+", Some("b"), 2), (vec!["c"], Page::End));
    }

    #[test]
    fn the_taker_ends_a_page_with_the_topic_it_took_last() {
        let retained = with_topics(["a", "b"]);
        let end = retained.page("#", None, 100, |_, ()| false);
        assert_eq!(end, Page::More { after: "a".to_owned() });
    }
}
