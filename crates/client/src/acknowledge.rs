//! The right to acknowledge a message, and the order in which acknowledgements leave.
//!
//! Applications finish messages in any order; PUBACK and PUBREC must leave in the order in which the messages came
//! `[MQTT-4.6.0-2]`, `[MQTT-4.6.0-3]`. So one that is early waits in [`Unsettled`] for those before it. Neighbour: `shared`
//! holds that beside the machine, which makes the packets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use longwire_proto::client::Receipt;

use crate::shared::Shared;

/// The right to acknowledge one message, good for once.
///
/// A message whose token is dropped instead is not acknowledged: it keeps its place among the messages the server may
/// have open (`Options::receive_maximum`), and comes again with the session's next connection.
///
/// Acknowledgements leave in the order in which their messages came. So one waits here until those of all messages before
/// it were given or dropped.
#[derive(Debug)]
#[must_use = "a message whose token is dropped is not acknowledged, and comes again"]
pub struct Acknowledgement {
    shared: Arc<Shared>,
    /// `None` for QoS 0, which needs none, and once it is given.
    number: Option<u64>,
}

impl Acknowledgement {
    pub(crate) fn new(shared: Arc<Shared>, number: Option<u64>) -> Self {
        Acknowledgement { shared, number }
    }

    /// The message is taken over: the server may forget it. Without effect at QoS 0, or when the connection that brought
    /// the message is gone: then it comes again.
    pub fn acknowledge(mut self) {
        if let Some(number) = self.number.take() {
            self.shared.settle(number, Fate::Taken);
        }
    }

    /// The number to settle by, for whoever holds the lock already.
    pub(crate) fn into_number(mut self) -> Option<u64> {
        self.number.take()
    }
}

impl Drop for Acknowledgement {
    fn drop(&mut self) {
        if let Some(number) = self.number.take() {
            self.shared.settle(number, Fate::Left);
        }
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The application has taken it over.
    Taken,
    /// The application will never say so.
    Left,
}

/// The messages that were handed out and whose acknowledgement has not left.
#[derive(Debug)]
pub(crate) struct Unsettled<R = Receipt> {
    /// Those of the present connection, in the order in which they came.
    present: VecDeque<(R, Option<Fate>)>,
    /// Number of the first one.
    first: u64,
    /// Those of earlier connections; they hold nobody up.
    earlier: BTreeMap<u64, R>,
}

impl<R> Default for Unsettled<R> {
    fn default() -> Self {
        Unsettled { present: VecDeque::new(), first: 0, earlier: BTreeMap::new() }
    }
}

impl<R> Unsettled<R> {
    /// A message came; its number.
    pub(crate) fn open(&mut self, receipt: R) -> u64 {
        self.present.push_back((receipt, None));
        self.first + self.present.len() as u64 - 1
    }

    /// Decides about a message. Then ask [`Unsettled::next`] until it has nothing more; a message of an earlier connection
    /// comes back at once.
    pub(crate) fn settle(&mut self, number: u64, fate: Fate) -> Option<(R, Fate)> {
        if let Some(receipt) = self.earlier.remove(&number) {
            return Some((receipt, fate));
        }
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        if let Some((_, open)) = self.present.get_mut(place) {
            *open = Some(fate);
        }
        None
    }

    /// The next message in order, if it was decided about.
    pub(crate) fn next(&mut self) -> Option<(R, Fate)> {
        let (receipt, fate) = self.present.pop_front_if(|(_, fate)| fate.is_some())?;
        self.first += 1;
        Some((receipt, fate?))
    }

    /// The connection is gone. Gives back what was decided and only waited for its turn.
    pub(crate) fn part(&mut self) -> Vec<(R, Fate)> {
        let mut decided = Vec::new();
        for (receipt, fate) in self.present.drain(..) {
            match fate {
                Some(fate) => decided.push((receipt, fate)),
                None => drop(self.earlier.insert(self.first, receipt)),
            }
            self.first += 1;
        }
        decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(
        unsettled: &mut Unsettled<&'static str>,
        number: u64,
        fate: Fate,
    ) -> Vec<(&'static str, Fate)> {
        let at_once = unsettled.settle(number, fate);
        at_once.into_iter().chain(std::iter::from_fn(|| unsettled.next())).collect()
    }

    #[test]
    fn acknowledgements_wait_for_those_before_them() {
        let mut unsettled = Unsettled::default();
        let numbers = ["a", "b", "c"].map(|name| unsettled.open(name));
        assert_eq!(settled(&mut unsettled, numbers[1], Fate::Taken), []);
        assert_eq!(
            settled(&mut unsettled, numbers[0], Fate::Taken),
            [("a", Fate::Taken), ("b", Fate::Taken)]
        );
        assert_eq!(settled(&mut unsettled, numbers[2], Fate::Taken), [("c", Fate::Taken)]);
    }

    #[test]
    fn a_message_that_is_left_holds_nobody_up() {
        let mut unsettled = Unsettled::default();
        let numbers = ["a", "b"].map(|name| unsettled.open(name));
        assert_eq!(settled(&mut unsettled, numbers[1], Fate::Taken), []);
        assert_eq!(settled(&mut unsettled, numbers[0], Fate::Left), [("a", Fate::Left), ("b", Fate::Taken)]);
    }

    #[test]
    fn messages_of_earlier_connections_hold_nobody_up() {
        let mut unsettled = Unsettled::default();
        let numbers = ["a", "b"].map(|name| unsettled.open(name));
        assert_eq!(settled(&mut unsettled, numbers[1], Fate::Taken), []);
        assert_eq!(unsettled.part(), [("b", Fate::Taken)]);
        let later = unsettled.open("c");
        assert_eq!(settled(&mut unsettled, later, Fate::Taken), [("c", Fate::Taken)]);
        assert_eq!(settled(&mut unsettled, numbers[0], Fate::Taken), [("a", Fate::Taken)]);
        assert_eq!(settled(&mut unsettled, numbers[0], Fate::Taken), [], "once only");
    }
}
