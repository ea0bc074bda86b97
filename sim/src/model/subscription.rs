//! One subscription of one session, from SUBSCRIBE to UNSUBACK, with all that its SUBSCRIBEs asked for meanwhile.

use longwire_proto::packet::{RetainHandling, SubscribeOptions};
use longwire_proto::{QoS, topic};

use super::{Publication, Step, matches};

/// One subscription.
pub(crate) struct Subscription {
    pub(crate) filter: &'static str,
    pub(crate) lowest: QoS,
    pub(crate) highest: QoS,
    /// Of the newest SUBSCRIBE.
    pub(crate) options: SubscribeOptions,
    /// Of the newest SUBSCRIBE; 0 is none.
    pub(crate) identifier: u32,
    pub(crate) was_no_local: bool,
    pub(crate) was_always_no_local: bool,
    pub(crate) was_retain_as_published: bool,
    /// SUBSCRIBEs that asked for retained messages.
    pub(crate) replays: usize,
    pub(crate) requested_at: Step,
    pub(crate) granted_at: Option<Step>,
    /// SUBSCRIBEs that are not answered.
    pending: usize,
    /// The latest SUBACK, unless something is pending.
    pub(crate) changed_at: Step,
    pub(crate) unsubscribed_at: Option<Step>,
    pub(crate) gone_at: Option<Step>,
}

impl Subscription {
    /// The client sends its first SUBSCRIBE for it.
    pub(crate) fn new(filter: &'static str, options: SubscribeOptions, identifier: u32, step: Step) -> Self {
        let mut new = Subscription {
            filter,
            lowest: options.qos,
            highest: options.qos,
            options,
            identifier,
            was_no_local: false,
            was_always_no_local: true,
            was_retain_as_published: false,
            replays: 0,
            pending: 0,
            requested_at: step,
            granted_at: None,
            changed_at: Step::MAX,
            unsubscribed_at: None,
            gone_at: None,
        };
        new.change(options, identifier);
        new
    }

    /// The client sends another one.
    pub(crate) fn change(&mut self, options: SubscribeOptions, identifier: u32) {
        self.lowest = self.lowest.min(options.qos);
        self.highest = self.highest.max(options.qos);
        self.options = options;
        self.identifier = identifier;
        self.was_no_local |= options.no_local;
        self.was_always_no_local &= options.no_local;
        self.was_retain_as_published |= options.retain_as_published;
        self.replays += usize::from(options.retain_handling != RetainHandling::Never);
        self.pending += 1;
        self.changed_at = Step::MAX;
    }

    /// SUBACK came.
    pub(crate) fn granted(&mut self, step: Step) {
        self.granted_at.get_or_insert(step);
        self.pending -= 1;
        if self.pending == 0 {
            self.changed_at = step;
        }
    }

    /// The connection is lost: what is pending will not be answered, though it may have been heard.
    pub(crate) fn lose_connection(&mut self) {
        self.pending = 0;
    }

    pub(crate) fn is_shared(&self) -> bool {
        topic::shared(self.filter).is_some()
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        matches(self.filter, name)
    }

    /// It was granted before the step, and nobody tried to end it since.
    pub(crate) fn holds_since(&self, step: Step) -> bool {
        self.granted_at.is_some_and(|granted| granted < step) && self.unsubscribed_at.is_none()
    }

    /// As above, and it has not changed since.
    pub(crate) fn is_same_since(&self, step: Step) -> bool {
        self.holds_since(step) && self.changed_at < step
    }

    /// Its session, which is `receiver`'s, has to get the publication for its sake.
    pub(crate) fn promises(&self, publication: &Publication, receiver: usize) -> bool {
        !self.is_shared()
            && self.lowest > QoS::AtMostOnce
            && self.matches(publication.topic)
            && self.holds_since(publication.due_at)
            && !(self.was_no_local && publication.publisher == receiver)
    }
}
