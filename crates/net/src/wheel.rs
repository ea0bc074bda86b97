//! A hashed timer wheel: at most one timer per slot number, in whole ticks that the caller counts.
//!
//! Meant for one timer per connection, most of which are moved or cancelled before they are due: setting and
//! cancelling relink one entry of 12 bytes. Each bucket is a list of the slots whose due tick has the same remainder,
//! so a timer further away than a revolution is passed over once per revolution until its tick has come.
//!
//! Invariant: a slot is linked into the bucket of its due tick exactly when that is not `NEVER`, and the bucket's
//! bit in `occupied` is set exactly when its list is not empty.

/// Buckets of the wheel, a power of two: a revolution is 17 minutes of one-second ticks.
const BUCKETS: u32 = 1024;
/// "No such slot" in links.
const NONE: u32 = u32::MAX;
/// The due tick of a slot without a timer.
const NEVER: u32 = u32::MAX;
/// The tick at which time stops, 136 years of seconds from tick 0; a timer can be set beyond it, just.
const LAST: u32 = NEVER - 2;

/// One timer per slot.
#[derive(Debug)]
pub struct Wheel {
    /// The tick up to which everything has been called.
    now: u32,
    /// First slot of each bucket.
    heads: Box<[u32]>,
    /// One bit per bucket that is not empty.
    occupied: [u64; BUCKETS as usize / 64],
    /// Indexed by slot number.
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    due: u32,
    previous: u32,
    next: u32,
}

const _: () = assert!(size_of::<Entry>() == 12);

impl Wheel {
    /// A wheel without timers that stands at tick `now`.
    pub fn new(now: u32) -> Wheel {
        Wheel {
            now: now.min(LAST),
            heads: vec![NONE; BUCKETS as usize].into_boxed_slice(),
            occupied: [0; BUCKETS as usize / 64],
            entries: Vec::new(),
        }
    }

    /// Sets or moves the timer of `slot`. A tick that has passed already counts as the next one. Memory grows to 12
    /// bytes times the highest slot number ever set.
    pub fn set(&mut self, slot: u32, due_tick: u32) {
        if slot as usize >= self.entries.len() {
            let idle = Entry { due: NEVER, previous: NONE, next: NONE };
            self.entries.resize(slot as usize + 1, idle);
        }
        let due = due_tick.clamp(self.now + 1, LAST + 1);
        if self.entries[slot as usize].due != due {
            self.unlink(slot);
            self.link(slot, due);
        }
    }

    /// Forgets the timer of `slot`, if there is one.
    pub fn cancel(&mut self, slot: u32) {
        if (slot as usize) < self.entries.len() {
            self.unlink(slot);
        }
    }

    /// Moves on to `to_tick` and calls `due` for each slot whose tick has come, in the order of ticks. Those slots have
    /// no timer any more. Going back in time does nothing.
    pub fn advance(&mut self, to_tick: u32, mut due: impl FnMut(u32)) {
        let to_tick = to_tick.min(LAST);
        if to_tick.saturating_sub(self.now) < BUCKETS {
            while let Some(tick) = self.next_due().filter(|&tick| tick <= to_tick) {
                self.now = tick;
                self.call_bucket(tick, &mut due);
            }
            self.now = self.now.max(to_tick);
        } else {
            self.now = to_tick;
            self.call_all(to_tick, &mut due);
        }
    }

    /// A tick at which something may be due: never later than the first timer, but perhaps earlier when that is more
    /// than a revolution away. `None` without timers.
    pub fn next_due(&self) -> Option<u32> {
        let start = self.now + 1;
        let (first_word, bit) = ((start % BUCKETS / 64) as usize, start % 64);
        // The first word is seen twice: its high bits first, the rest after a whole revolution.
        (0..=self.occupied.len()).find_map(|turned| {
            let word = (first_word + turned) % self.occupied.len();
            let seen = match turned {
                0 => self.occupied[word] & (u64::MAX << bit),
                _ => self.occupied[word],
            };
            let bucket = (seen != 0).then(|| word as u32 * 64 + seen.trailing_zeros())?;
            Some(start.saturating_add(bucket.wrapping_sub(start) % BUCKETS))
        })
    }

    /// Calls what is due at `tick`, of the timers in its bucket.
    fn call_bucket(&mut self, tick: u32, due: &mut impl FnMut(u32)) {
        let mut slot = self.heads[bucket_of(tick)];
        while slot != NONE {
            let entry = self.entries[slot as usize];
            if entry.due == tick {
                self.unlink(slot);
                due(slot);
            }
            slot = entry.next;
        }
    }

    /// Calls what is due up to `to_tick`, wherever it is: after a jump of a revolution or more.
    fn call_all(&mut self, to_tick: u32, due: &mut impl FnMut(u32)) {
        let mut slots: Vec<u32> = (0..self.entries.len() as u32)
            .filter(|&slot| self.entries[slot as usize].due <= to_tick)
            .collect();
        slots.sort_by_key(|&slot| self.entries[slot as usize].due);
        for slot in slots {
            self.unlink(slot);
            due(slot);
        }
    }

    fn link(&mut self, slot: u32, due: u32) {
        let bucket = bucket_of(due);
        let next = self.heads[bucket];
        self.entries[slot as usize] = Entry { due, previous: NONE, next };
        if next != NONE {
            self.entries[next as usize].previous = slot;
        }
        self.heads[bucket] = slot;
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
    }

    fn unlink(&mut self, slot: u32) {
        let Entry { due, previous, next } = self.entries[slot as usize];
        if due == NEVER {
            return;
        }
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        if previous != NONE {
            self.entries[previous as usize].next = next;
        } else {
            let bucket = bucket_of(due);
            self.heads[bucket] = next;
            if next == NONE {
                self.occupied[bucket / 64] &= !(1 << (bucket % 64));
            }
        }
        self.entries[slot as usize] = Entry { due: NEVER, previous: NONE, next: NONE };
    }
}

fn bucket_of(tick: u32) -> usize {
    (tick % BUCKETS) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Set(u32, u32),
        Cancel(u32),
        Advance(u32),
    }

    /// Distances around the bounds that matter: here, one revolution, several, and very far.
    fn distance() -> impl Strategy<Value = u32> {
        prop_oneof![
            0..4u32,
            0..2 * BUCKETS,
            BUCKETS - 2..BUCKETS + 2,
            (1..5u32).prop_map(|revolutions| revolutions * BUCKETS),
            0..u32::MAX
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..40u32, distance()).prop_map(|(slot, distance)| Step::Set(slot, distance)),
            1 => (0..50u32).prop_map(Step::Cancel),
            2 => prop_oneof![9 => 0..3 * BUCKETS, 1 => distance()].prop_map(Step::Advance),
        ]
    }

    /// The same promises, kept by a sorted map from slot to due tick.
    struct Model {
        now: u32,
        due: BTreeMap<u32, u32>,
    }

    impl Model {
        fn set(&mut self, slot: u32, due: u32) {
            self.due.insert(slot, due.clamp(self.now + 1, LAST + 1));
        }

        /// What comes due, as sorted pairs of tick and slot.
        fn advance(&mut self, to: u32) -> Vec<(u32, u32)> {
            self.now = self.now.max(to.min(LAST));
            let mut called: Vec<(u32, u32)> = self
                .due
                .iter()
                .filter(|&(_, &due)| due <= self.now)
                .map(|(&slot, &due)| (due, slot))
                .collect();
            called.sort_unstable();
            self.due.retain(|_, due| *due > self.now);
            called
        }
    }

    fn check_against_model(start: u32, steps: Vec<Step>) -> Result<(), TestCaseError> {
        let mut wheel = Wheel::new(start);
        let mut model = Model { now: start.min(LAST), due: BTreeMap::new() };
        for step in steps {
            match step {
                Step::Set(slot, distance) => {
                    let due = model.now.saturating_add(distance);
                    wheel.set(slot, due);
                    model.set(slot, due);
                }
                Step::Cancel(slot) => {
                    wheel.cancel(slot);
                    model.due.remove(&slot);
                }
                Step::Advance(distance) => {
                    let to = model.now.saturating_add(distance);
                    let ticks = model.due.clone();
                    let mut called = Vec::new();
                    wheel.advance(to, |slot| called.push((ticks[&slot], slot)));
                    prop_assert!(called.is_sorted_by_key(|(tick, _)| *tick), "not in the order of ticks");
                    called.sort_unstable();
                    prop_assert_eq!(called, model.advance(to));
                }
            }
            let first = model.due.values().min().copied();
            prop_assert_eq!(wheel.next_due().is_some(), first.is_some());
            prop_assert!(wheel.next_due() <= first, "late: {:?} for {:?}", wheel.next_due(), first);
            prop_assert!(wheel.next_due().is_none_or(|tick| tick > model.now));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_map(
            start in prop_oneof![Just(0), 0..u32::MAX, u32::MAX - 3000..u32::MAX],
            steps in prop::collection::vec(step(), 0..200),
        ) {
            check_against_model(start, steps)?;
        }
    }

    #[test]
    fn next_due_is_exact_within_a_revolution() {
        let mut wheel = Wheel::new(1000);
        wheel.set(3, 1000 + BUCKETS);
        assert_eq!(wheel.next_due(), Some(1000 + BUCKETS));
        wheel.set(4, 1001);
        assert_eq!(wheel.next_due(), Some(1001));
    }

    #[test]
    fn a_timer_that_was_moved_is_called_once_at_its_last_tick() {
        let mut wheel = Wheel::new(0);
        wheel.set(1, 5);
        wheel.set(1, 9);
        wheel.advance(8, |slot| panic!("slot {slot} is not due"));
        let mut called = vec![];
        wheel.advance(9, |slot| called.push(slot));
        wheel.advance(5000, |slot| called.push(slot));
        assert_eq!(called, [1]);
    }
}
