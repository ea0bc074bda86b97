//! Faults for the simulator to find, one or more for each invariant: without the feature `teeth` none of them exists,
//! and [`bites`] is false at compile time. With it, at most one bites, on the threads that say so.
//!
//! The numbers are those of the rules in ARCHITECTURE.md.

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tooth {
    /// Rule 1: PUBACK and PUBREC leave before their ticket is kept.
    AcknowledgedBeforeKept,
    /// Rule 1: SUBACK leaves before its ticket is kept.
    SubAckBeforeKept,
    /// Rule 1: CONNACK leaves before its ticket is kept.
    ConnAckBeforeKept,
    /// Rule 1: PUBREL leaves before PUBREC is kept.
    PubRelBeforeKept,
    /// Rule 1: SUBACK leaves, and the index does not show the subscription.
    NotShown,
    /// Rule 2: what durable sessions should get from the log is sent to them live.
    LiveInsteadOfLog,
    /// Rule 2: a delivery from the log overtakes the backlog of a session that is behind.
    BacklogOvertaken,
    /// Rule 2: the log lets go of deliveries that are still open.
    SettledTooEarly,
    /// Rule 3: a session that was not ready for a message does not remember that it is behind.
    BehindForgotten,
    /// Rule 3: a session that has read a page never asks for another one.
    NoWayBack,
    /// Rule 4: a subscription begins at the start of the log, not at its place in it.
    BegunTooEarly,
    /// Rule 4: a message is posted for only one of the filters that match it at its place.
    PostedOnce,
    /// Rule 5: the records of one ticket come in two blocks.
    TicketInTwoBlocks,
    /// Rule 6: a session is live again one page early.
    PageWithoutTip,
    /// Rule 6: a page that was asked for twice is delivered twice.
    ReadPositionIgnored,
    /// Rule 7: UNSUBACK leaves, and the index still has the subscription.
    RouteLeft,
    /// Rule 8: the queue of a session has no bound.
    QueueUnbounded,
    /// Rule 8: the client's Receive Maximum is no bound.
    WindowUnbounded,
    /// Rule 9: an answer that waits for nothing overtakes those that do.
    AnswersOvertake,
    /// Rule 9: what an old connection left open is sent again in the wrong order.
    ResentBackwards,
    /// Rule 9: a resumed session has forgotten which QoS 2 messages it has received.
    InboundForgotten,
    /// Rule 10: a retained publication is delivered at once and does not wait for its order.
    RetainedAtOnce,
    /// A message that a member could not take comes back to its group as two.
    GroupHandsOutTwice,
    /// A QoS 2 message goes to another member when the session that holds it ends.
    GroupDeliversTwice,
    /// The will is published though its client said goodbye.
    WillAfterGoodbye,
    /// What has expired in the log is delivered.
    ExpiredDelivered,
    /// A session that ends leaves a subscription in the index.
    SubscriptionLeaked,
}

impl Tooth {
    /// All of them.
    pub const ALL: [Tooth; 27] = [
        Tooth::AcknowledgedBeforeKept,
        Tooth::SubAckBeforeKept,
        Tooth::ConnAckBeforeKept,
        Tooth::PubRelBeforeKept,
        Tooth::NotShown,
        Tooth::LiveInsteadOfLog,
        Tooth::BacklogOvertaken,
        Tooth::SettledTooEarly,
        Tooth::BehindForgotten,
        Tooth::NoWayBack,
        Tooth::BegunTooEarly,
        Tooth::PostedOnce,
        Tooth::TicketInTwoBlocks,
        Tooth::PageWithoutTip,
        Tooth::ReadPositionIgnored,
        Tooth::RouteLeft,
        Tooth::QueueUnbounded,
        Tooth::WindowUnbounded,
        Tooth::AnswersOvertake,
        Tooth::ResentBackwards,
        Tooth::InboundForgotten,
        Tooth::RetainedAtOnce,
        Tooth::GroupHandsOutTwice,
        Tooth::GroupDeliversTwice,
        Tooth::WillAfterGoodbye,
        Tooth::ExpiredDelivered,
        Tooth::SubscriptionLeaked,
    ];
}

#[cfg(feature = "teeth")]
thread_local! {
    static BITING: std::cell::Cell<Option<Tooth>> = const { std::cell::Cell::new(None) };
}

/// From now on this one bites on this thread, or none.
#[cfg(feature = "teeth")]
pub fn let_bite(tooth: Option<Tooth>) {
    BITING.set(tooth);
}

/// True if this fault is to be made here.
#[cfg(feature = "teeth")]
pub fn bites(tooth: Tooth) -> bool {
    BITING.get() == Some(tooth)
}

/// True if this fault is to be made here: never.
#[cfg(not(feature = "teeth"))]
#[inline]
pub const fn bites(_: Tooth) -> bool {
    false
}
