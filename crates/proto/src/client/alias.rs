//! Topic aliases of one connection, one table per direction.
//!
//! Both tables live and die with their connection `[MQTT-3.3.2-7]`; the spaces of the two directions are
//! independent `[U5-25]`. Neither table grows past the maximum its receiver announced.

use std::num::NonZeroU16;

/// What the server's aliases stand for.
#[derive(Debug, Default)]
pub(super) struct AliasesIn {
    topics: Vec<Option<Box<str>>>,
}

/// What an alias of the server leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AliasFault {
    /// 0, or above the maximum announced: 0x94 `[MQTT-3.3.2-8]`, `[MQTT-3.3.2-11]`.
    OutOfRange,
    /// Never set on this connection: 0x82 `[U5-23]`.
    Unknown,
}

impl AliasesIn {
    /// Notes that `alias` means `topic`, whatever it meant before `[U5-24]`, or, with an empty topic, makes sure that
    /// it means something `[MQTT-3.3.2-10]`.
    pub(super) fn apply(&mut self, alias: u16, maximum: u16, topic: &str) -> Result<(), AliasFault> {
        if alias == 0 || alias > maximum {
            return Err(AliasFault::OutOfRange);
        }
        if topic.is_empty() {
            return self.topic(alias).map(|_| ()).ok_or(AliasFault::Unknown);
        }
        let slot = usize::from(alias - 1);
        if self.topics.len() <= slot {
            self.topics.resize(slot + 1, None);
        }
        self.topics[slot] = Some(topic.into());
        Ok(())
    }

    /// The topic `alias` stands for.
    pub(super) fn topic(&self, alias: u16) -> Option<&str> {
        self.topics.get(usize::from(alias).checked_sub(1)?)?.as_deref()
    }
}

/// The aliases this client chose. When all are taken, the one unused for longest gets a new meaning.
#[derive(Debug, Default)]
pub(super) struct AliasesOut {
    maximum: u16,
    clock: u64,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    topic: Box<str>,
    used: u64,
}

/// How a topic is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// In full, without an alias.
    Full,
    /// In full, and from now on the alias means it.
    Define(NonZeroU16),
    /// As an empty topic with the alias.
    Short(NonZeroU16),
}

impl AliasesOut {
    /// A table of at most `maximum` aliases `[MQTT-3.2.2-17]` `[MQTT-3.3.2-9]`; none at all with 0 `[MQTT-3.2.2-18]`.
    pub(super) fn new(maximum: u16) -> Self {
        AliasesOut { maximum, clock: 0, entries: Vec::new() }
    }

    /// How to write `topic`. Nothing changes until the packet is on its way and [`AliasesOut::sent`] says so:
    /// a packet that turns out too large to send must not define an alias.
    pub(super) fn spell(&self, topic: &str) -> Spelling {
        /// An alias costs three bytes; shorter topics gain nothing.
        const TOPIC_BYTES_MIN: usize = 4;
        if self.maximum == 0 || topic.len() < TOPIC_BYTES_MIN {
            return Spelling::Full;
        }
        if let Some(slot) = self.entries.iter().position(|entry| *entry.topic == *topic) {
            return alias_of(slot).map_or(Spelling::Full, Spelling::Short);
        }
        let slot = if self.entries.len() < usize::from(self.maximum) {
            self.entries.len()
        } else {
            let oldest = self.entries.iter().enumerate().min_by_key(|(_, entry)| entry.used);
            oldest.map_or(0, |(slot, _)| slot)
        };
        alias_of(slot).map_or(Spelling::Full, Spelling::Define)
    }

    /// Notes that a packet left with `topic` spelled this way.
    pub(super) fn sent(&mut self, topic: &str, spelling: Spelling) {
        self.clock += 1;
        let used = self.clock;
        match spelling {
            Spelling::Full => {}
            Spelling::Short(alias) => {
                if let Some(entry) = self.entries.get_mut(slot_of(alias)) {
                    entry.used = used;
                }
            }
            Spelling::Define(alias) => {
                let entry = Entry { topic: topic.into(), used };
                match self.entries.get_mut(slot_of(alias)) {
                    Some(old) => *old = entry,
                    None => self.entries.push(entry),
                }
            }
        }
    }
}

fn alias_of(slot: usize) -> Option<NonZeroU16> {
    u16::try_from(slot + 1).ok().and_then(NonZeroU16::new)
}

fn slot_of(alias: NonZeroU16) -> usize {
    usize::from(alias.get() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(number: u16) -> NonZeroU16 {
        NonZeroU16::new(number).expect("tests use valid aliases")
    }

    /// `[MQTT-3.3.2-10]`: 1 up to the maximum announced is taken, and may be given a new meaning.
    #[test]
    fn the_highest_alias_is_accepted_and_can_be_remapped() {
        let mut aliases = AliasesIn::default();
        assert_eq!(aliases.apply(16, 16, "a/b"), Ok(()));
        assert_eq!(aliases.apply(16, 16, "c/d"), Ok(()));
        assert_eq!(aliases.apply(16, 16, ""), Ok(()));
        assert_eq!(aliases.topic(16), Some("c/d"));
    }

    #[test]
    fn zero_and_too_large_aliases_are_out_of_range() {
        let mut aliases = AliasesIn::default();
        assert_eq!(aliases.apply(0, 16, "a"), Err(AliasFault::OutOfRange));
        assert_eq!(aliases.apply(17, 16, "a"), Err(AliasFault::OutOfRange));
    }

    #[test]
    fn an_alias_that_was_never_set_is_unknown() {
        let mut aliases = AliasesIn::default();
        assert_eq!(aliases.apply(2, 16, "a"), Ok(()));
        assert_eq!(aliases.apply(1, 16, ""), Err(AliasFault::Unknown));
        assert_eq!(aliases.apply(3, 16, ""), Err(AliasFault::Unknown));
    }

    #[test]
    fn a_topic_is_defined_once_and_short_afterwards() {
        let mut aliases = AliasesOut::new(2);
        let first = aliases.spell("sensors/1");
        assert_eq!(first, Spelling::Define(alias(1)));
        aliases.sent("sensors/1", first);
        assert_eq!(aliases.spell("sensors/1"), Spelling::Short(alias(1)));
    }

    #[test]
    fn a_definition_that_was_not_sent_does_not_count() {
        let aliases = AliasesOut::new(2);
        assert_eq!(aliases.spell("sensors/1"), Spelling::Define(alias(1)));
        assert_eq!(aliases.spell("sensors/1"), Spelling::Define(alias(1)));
    }

    #[test]
    fn a_full_table_gives_the_alias_unused_for_longest_a_new_meaning() {
        let mut aliases = AliasesOut::new(2);
        for topic in ["sensors/1", "sensors/2", "sensors/1"] {
            let spelling = aliases.spell(topic);
            aliases.sent(topic, spelling);
        }
        assert_eq!(aliases.spell("sensors/3"), Spelling::Define(alias(2)));
    }

    /// `[MQTT-3.2.2-18]`: no Topic Alias Maximum, no alias.
    #[test]
    fn without_a_maximum_topics_are_written_in_full() {
        assert_eq!(AliasesOut::new(0).spell("sensors/1"), Spelling::Full);
    }
}
