//! Both hand-shakes against a model that keeps everything in one list.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What [`Outgoing`] is, without any care for speed.
#[derive(Debug, Default)]
struct Model {
    open: Vec<ModelEntry>,
    next: u16,
    quota: u16,
}

#[derive(Debug)]
struct ModelEntry {
    id: u16,
    state: ModelState,
    /// Was open when the connection began, and was not given out since.
    is_due: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ModelState {
    Once(u32),
    Twice(u32),
    Release { held: bool },
}

impl ModelState {
    fn is_publish(self) -> bool {
        !matches!(self, ModelState::Release { .. })
    }

    fn stage(self) -> Stage<u32> {
        match self {
            ModelState::Once(content) | ModelState::Twice(content) => Stage::Publish(content),
            ModelState::Release { .. } => Stage::Release,
        }
    }
}

impl Model {
    fn open(&mut self, state: ModelState) -> Option<u16> {
        let free = |id: &u16| self.open.iter().all(|entry| entry.id != *id);
        let id = (self.next..=u16::MAX).chain(1..=u16::MAX).filter(|&id| id != 0).find(free)?;
        self.next = id.wrapping_add(1);
        self.open.push(ModelEntry { id, state, is_due: false });
        Some(id)
    }

    fn start(&mut self, quota: u16) {
        self.quota = quota;
        for entry in &mut self.open {
            entry.is_due = true;
            if let ModelState::Release { held } = &mut entry.state {
                *held = false;
            }
        }
    }

    fn held(&self) -> usize {
        let holds = |state: ModelState| state.is_publish() || state == ModelState::Release { held: true };
        self.open.iter().filter(|entry| holds(entry.state)).count()
    }

    fn room(&self) -> usize {
        usize::from(self.quota).saturating_sub(self.held())
    }

    fn resend_room(&self) -> usize {
        let unsent = self.open.iter().filter(|entry| entry.is_due && entry.state.is_publish()).count();
        usize::from(self.quota).saturating_sub(self.held() - unsent)
    }

    fn resend(&mut self) -> Option<(u16, Stage<u32>)> {
        let has_room = self.resend_room() > 0;
        let entry = self.open.iter_mut().find(|entry| entry.is_due)?;
        if entry.state.is_publish() && !has_room {
            return None;
        }
        entry.is_due = false;
        Some((entry.id, entry.state.stage()))
    }

    /// An acknowledgement: `next` tells what becomes of the entry, or that this is not what it waits for.
    fn acknowledge(
        &mut self,
        id: u16,
        next: impl Fn(ModelState) -> Option<Option<ModelState>>,
    ) -> Result<ModelState, AckFault> {
        let place = self.open.iter().position(|entry| entry.id == id).ok_or(AckFault::UnknownId)?;
        let before = self.open[place].state;
        match next(before).ok_or(AckFault::WrongStage)? {
            Some(after) => self.open[place].state = after,
            None => drop(self.open.remove(place)),
        }
        Ok(before)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Open(bool),
    /// Each names its target by its place among the open ones, or an id that may be unknown.
    Puback(Target),
    Pubrec(Target),
    PubrecRefused(Target),
    Pubcomp(Target),
    Start(u16),
    Resend,
}

#[derive(Clone, Debug)]
enum Target {
    Place(usize),
    Id(u16),
}

fn targets() -> impl Strategy<Value = Target> {
    prop_oneof![8 => (0..12_usize).prop_map(Target::Place), 1 => (1..20_u16).prop_map(Target::Id)]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => any::<bool>().prop_map(Step::Open),
        3 => targets().prop_map(Step::Puback),
        3 => targets().prop_map(Step::Pubrec),
        1 => targets().prop_map(Step::PubrecRefused),
        3 => targets().prop_map(Step::Pubcomp),
        1 => (0..8_u16).prop_map(Step::Start),
        3 => Just(Step::Resend),
    ];
    vec(step, 0..200)
}

fn publish_content<T: Copy>(stage: Stage<&T>) -> Stage<T> {
    match stage {
        Stage::Publish(content) => Stage::Publish(*content),
        Stage::Release => Stage::Release,
    }
}

/// Runs the steps on both, and compares everything that can be seen after each.
fn check_against_model(mut outgoing: Outgoing<u32>, mut model: Model, steps: &[Step]) {
    for (content, step) in (0..).zip(steps) {
        let id_of_target = |model: &Model, target: &Target| match *target {
            Target::Place(place) => model.open.get(place).map_or(7, |entry| entry.id),
            Target::Id(id) => id,
        };
        let wire_id = |id: u16| PacketId::new(id).expect("the model has no id 0");
        match step {
            Step::Open(twice) => {
                let qos = if *twice { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
                let state = if *twice { ModelState::Twice(content) } else { ModelState::Once(content) };
                assert_eq!(outgoing.open(qos, content).map(PacketId::get), model.open(state));
            }
            Step::Puback(target) => {
                let id = id_of_target(&model, target);
                let wanted =
                    model.acknowledge(id, |state| matches!(state, ModelState::Once(_)).then_some(None));
                assert_eq!(outgoing.puback(wire_id(id)).map(ModelState::Once), wanted);
            }
            Step::Pubrec(target) => {
                let id = id_of_target(&model, target);
                let release = Some(ModelState::Release { held: true });
                let wanted =
                    model.acknowledge(id, |state| matches!(state, ModelState::Twice(_)).then_some(release));
                assert_eq!(outgoing.pubrec(wire_id(id)).map(ModelState::Twice), wanted);
            }
            Step::PubrecRefused(target) => {
                let id = id_of_target(&model, target);
                let wanted =
                    model.acknowledge(id, |state| matches!(state, ModelState::Twice(_)).then_some(None));
                assert_eq!(outgoing.pubrec_refused(wire_id(id)).map(ModelState::Twice), wanted);
            }
            Step::Pubcomp(target) => {
                let id = id_of_target(&model, target);
                let wanted = model.acknowledge(id, |state| (!state.is_publish()).then_some(None));
                assert_eq!(outgoing.pubcomp(wire_id(id)), wanted.map(|_| ()));
            }
            Step::Start(quota) => {
                outgoing.start(*quota);
                model.start(*quota);
            }
            Step::Resend => {
                let found = outgoing.resend().map(|(id, stage)| (id.get(), publish_content(stage)));
                assert_eq!(found, model.resend());
            }
        }
        let found: Vec<_> = outgoing.iter().map(|(id, stage)| (id.get(), publish_content(stage))).collect();
        let wanted: Vec<_> = model.open.iter().map(|entry| (entry.id, entry.state.stage())).collect();
        assert_eq!(found, wanted, "after {step:?}");
        assert_eq!(outgoing.len(), wanted.len());
        assert_eq!(usize::from(outgoing.room()), model.room(), "after {step:?}");
        assert_eq!(usize::from(outgoing.resend_room()), model.resend_room(), "after {step:?}");
    }
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("tests use ids from 1")
}

/// `count` open QoS 1 messages whose contents are their places.
fn opened(count: u32) -> Outgoing<u32> {
    let mut outgoing = Outgoing::new();
    for content in 0..count {
        outgoing.open(QoS::AtLeastOnce, content).expect("there are free ids");
    }
    outgoing
}

proptest! {
    #[test]
    fn outgoing_agrees_with_the_model(steps in steps()) {
        check_against_model(Outgoing::new(), Model { next: 1, ..Model::default() }, &steps);
    }

    #[test]
    fn outgoing_agrees_with_the_model_where_ids_wrap(steps in steps()) {
        let outgoing = Outgoing { next: 3 * IDS - 5, ..Outgoing::new() };
        check_against_model(outgoing, Model { next: 65_531, ..Model::default() }, &steps);
    }

    #[test]
    fn outgoing_agrees_with_the_model_when_restored(ids in vec(1..30_u16, 0..12), steps in steps()) {
        let (mut outgoing, mut model) = (Outgoing::new(), Model { next: 1, ..Model::default() });
        for (content, &id) in (1_000..).zip(&ids) {
            let known = model.open.iter().any(|entry| entry.id == id);
            let restored = outgoing.restore(self::id(id), QoS::ExactlyOnce, Stage::Publish(content));
            prop_assert_eq!(restored, !known);
            if restored {
                model.open.push(ModelEntry { id, state: ModelState::Twice(content), is_due: false });
                model.next = id + 1;
            }
        }
        check_against_model(outgoing, model, &steps);
    }

    #[test]
    fn incoming_is_a_set(steps in vec((any::<bool>(), 1..40_u16), 0..200)) {
        let (mut incoming, mut model) = (Incoming::new(), std::collections::BTreeSet::new());
        for (receive, value) in steps {
            if receive {
                prop_assert_eq!(incoming.receive(id(value)), model.insert(id(value)));
            } else {
                prop_assert_eq!(incoming.release(id(value)), model.remove(&id(value)));
            }
            prop_assert!(incoming.iter().eq(model.iter().copied()));
            prop_assert_eq!(incoming.len(), model.len());
            prop_assert_eq!(incoming.contains(id(value)), model.contains(&id(value)));
        }
    }
}

#[test]
fn an_empty_window_owns_no_memory_and_entries_are_small() {
    assert_eq!(Outgoing::<u64>::new().entries.capacity(), 0);
    assert_eq!(Incoming::new().ids.capacity(), 0);
    assert!(size_of::<Entry<u64>>() <= 8 + 16);
}

#[test]
fn a_window_that_was_large_gives_its_memory_back() {
    let mut outgoing = opened(10_000);
    for value in 1..=10_000 {
        outgoing.puback(id(value)).expect("it is open");
    }
    assert!(outgoing.entries.capacity() <= KEPT_CAPACITY);
}

#[test]
fn memory_follows_the_open_messages_around_a_stuck_one() {
    let mut outgoing = opened(1);
    for content in 0..200_000 {
        let id = outgoing.open(QoS::AtLeastOnce, content).expect("there are free ids");
        assert_ne!(id.get(), 1);
        assert_eq!(outgoing.puback(id), Ok(content));
        assert!(outgoing.entries.len() <= 2 * outgoing.len() + SETTLED_SPARE + 1);
    }
    assert_eq!(outgoing.puback(id(1)), Ok(0));
    assert!(outgoing.is_empty());
}

#[test]
fn a_message_is_found_after_many_laps_around_it() {
    let mut outgoing = opened(2);
    outgoing.next = 1_000 * IDS + 10;
    let late = outgoing.open(QoS::AtLeastOnce, 7).expect("there are free ids");
    assert_eq!(outgoing.puback(id(2)), Ok(1));
    assert_eq!(outgoing.puback(id(3)), Err(AckFault::UnknownId));
    assert_eq!(outgoing.puback(late), Ok(7));
}

#[test]
fn with_all_ids_open_there_is_none_left() {
    let mut outgoing = opened(65_535);
    assert_eq!(outgoing.open(QoS::ExactlyOnce, 0), None);
    assert_eq!(outgoing.puback(id(300)), Ok(299));
    assert_eq!(outgoing.open(QoS::ExactlyOnce, 0), Some(id(300)));
}

#[test]
fn ids_taken_for_something_else_are_skipped() {
    let mut outgoing = Outgoing::new();
    let taken = |id: PacketId| id.get() < 5;
    assert_eq!(outgoing.open_except(QoS::AtLeastOnce, 'a', taken), Some(id(5)));
    assert_eq!(outgoing.open_except(QoS::AtLeastOnce, 'b', |_| true), None);
    assert_eq!(outgoing.open(QoS::AtLeastOnce, 'c'), Some(id(6)));
}

#[test]
fn qos_0_is_not_opened() {
    assert_eq!(Outgoing::new().open(QoS::AtMostOnce, ()), None);
}

#[test]
fn a_released_message_is_repeated_by_its_pubrel_only() {
    let mut outgoing = Outgoing::new();
    outgoing.start(10);
    outgoing.open(QoS::ExactlyOnce, 'a');
    outgoing.open(QoS::AtLeastOnce, 'b');
    assert_eq!(outgoing.pubrec(id(1)), Ok('a'));
    outgoing.start(10);
    assert_eq!(outgoing.room(), 9);
    assert_eq!(outgoing.resend(), Some((id(1), Stage::Release)));
    assert_eq!(outgoing.resend(), Some((id(2), Stage::Publish(&'b'))));
    assert_eq!(outgoing.resend(), None);
}

#[test]
fn a_smaller_quota_lets_messages_out_in_portions() {
    let mut outgoing = opened(3);
    outgoing.start(1);
    assert_eq!(outgoing.resend(), Some((id(1), Stage::Publish(&0))));
    assert_eq!(outgoing.resend(), None);
    assert_eq!(outgoing.room(), 0);
    assert_eq!(outgoing.puback(id(1)), Ok(0));
    assert_eq!(outgoing.resend(), Some((id(2), Stage::Publish(&1))));
}

#[test]
fn surplus_acknowledgements_do_not_raise_the_quota() {
    let mut outgoing = Outgoing::new();
    outgoing.open(QoS::ExactlyOnce, 'a');
    assert_eq!(outgoing.pubrec(id(1)), Ok('a'));
    outgoing.start(2);
    assert_eq!(outgoing.pubcomp(id(1)), Ok(()));
    assert_eq!(outgoing.pubcomp(id(1)), Err(AckFault::UnknownId));
    assert_eq!(outgoing.room(), 2);
}

#[test]
fn contents_are_given_back_in_order() {
    let mut outgoing = opened(3);
    outgoing.puback(id(2)).expect("it is open");
    assert_eq!(outgoing.into_contents().collect::<Vec<_>>(), [0, 2]);
}
