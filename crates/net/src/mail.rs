//! Batches between threads: many senders, one receiver that takes all there is at once.
//!
//! A sender wakes the receiver only when its mail is the first in an empty box; whoever adds to a box that holds
//! something knows that a wake-up is on its way. That is decided under the lock under which the receiver empties the
//! box, so no wake-up can be lost, and a busy receiver is woken once per batch.
//!
//! A box has no bound of its own: senders hold credit, or answer requests of the receiver, which bounds what can lie
//! in it. Mail to a receiver that is gone is dropped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::poll::Waker;

/// A box whose receiver waits in a [`crate::poll::Poll`], which `waker` belongs to.
pub fn mailbox<T>(waker: Arc<Waker>) -> (Sender<T>, Inbox<T>) {
    let shared = Shared::new(Some(waker));
    (Sender(Arc::clone(&shared)), Inbox(Receiver(shared)))
}

/// A box whose receiver has nothing else to wait for.
pub fn blocking_mailbox<T>() -> (Sender<T>, BlockingInbox<T>) {
    let shared = Shared::new(None);
    (Sender(Arc::clone(&shared)), BlockingInbox(Receiver(shared)))
}

/// The end that fills a box; cheap to clone.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(Arc::clone(&self.0))
    }
}

impl<T> Sender<T> {
    /// Adds one item.
    pub fn send(&self, item: T) {
        self.0.post(|items| items.push(item));
    }

    /// Adds all `items`, in order and with nothing in between, and leaves the vector empty with its capacity.
    pub fn send_all(&self, items: &mut Vec<T>) {
        if !items.is_empty() {
            self.0.post(|queue| queue.append(items));
        }
        items.clear();
    }
}

/// The receiving end of a thread with a poll.
#[derive(Debug)]
pub struct Inbox<T>(Receiver<T>);

impl<T> Inbox<T> {
    /// Moves everything in the box to the end of `into`, in the order of sending.
    pub fn take(&mut self, into: &mut Vec<T>) {
        hand_over(&mut self.0.0.queue.lock().items, into);
    }
}

/// The receiving end of a thread without a poll.
#[derive(Debug)]
pub struct BlockingInbox<T>(Receiver<T>);

impl<T> BlockingInbox<T> {
    /// Waits until there is something in the box or `timeout` has passed (`None`: for ever), then moves everything in
    /// it to the end of `into`, in the order of sending. After a timeout `into` is as it was.
    pub fn wait_take(&mut self, into: &mut Vec<T>, timeout: Option<Duration>) {
        let shared = &*self.0.0;
        let mut queue = shared.queue.lock();
        wait_for_mail(&shared.bell, &mut queue, timeout);
        hand_over(&mut queue.items, into);
    }
}

fn wait_for_mail<T>(bell: &Condvar, queue: &mut MutexGuard<'_, Queue<T>>, timeout: Option<Duration>) {
    // A timeout too long for the clock is no timeout.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    while queue.items.is_empty() {
        match deadline {
            None => bell.wait(queue),
            Some(deadline) => {
                if bell.wait_until(queue, deadline).timed_out() {
                    return;
                }
            }
        }
    }
}

/// Exchanges the buffers where it can, so that two of them serve for ever.
fn hand_over<T>(items: &mut Vec<T>, into: &mut Vec<T>) {
    if into.is_empty() {
        std::mem::swap(items, into);
    } else {
        into.append(items);
    }
}

#[derive(Debug)]
struct Shared<T> {
    queue: Mutex<Queue<T>>,
    /// Wakes a receiver with a poll.
    waker: Option<Arc<Waker>>,
    /// Wakes a receiver without one.
    bell: Condvar,
}

#[derive(Debug)]
struct Queue<T> {
    items: Vec<T>,
    /// The receiver is gone.
    closed: bool,
}

impl<T> Shared<T> {
    fn new(waker: Option<Arc<Waker>>) -> Arc<Self> {
        let queue = Mutex::new(Queue { items: Vec::new(), closed: false });
        Arc::new(Shared { queue, waker, bell: Condvar::new() })
    }

    fn post(&self, add: impl FnOnce(&mut Vec<T>)) {
        let mut queue = self.queue.lock();
        if queue.closed {
            return;
        }
        let first = queue.items.is_empty();
        add(&mut queue.items);
        drop(queue);
        if first {
            self.wake();
        }
    }

    fn wake(&self) {
        match &self.waker {
            Some(waker) => waker.wake(),
            None => drop(self.bell.notify_one()),
        }
    }
}

/// Closes the box when the receiver goes, so that senders that stay do not fill it.
#[derive(Debug)]
struct Receiver<T>(Arc<Shared<T>>);

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.closed = true;
        let items = std::mem::take(&mut queue.items);
        drop(queue);
        drop(items);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::*;
    use crate::poll::{Poll, WAKE};

    const SENDERS: u64 = 4;
    const MESSAGES: u64 = 20_000;
    /// A wake-up that needs this long was lost.
    const LOST: Duration = Duration::from_secs(10);

    /// Every sender numbers its mail and, every few messages, waits until the receiver has caught up, so that the
    /// box is empty and the receiver asleep thousands of times: the moment at which wake-ups get lost.
    fn send_in_bursts(sender: &Sender<(u64, u64)>, from: u64, taken: &AtomicU64) {
        let start = Instant::now();
        let mut burst = Vec::new();
        for number in 0..MESSAGES {
            if number % 3 == 0 {
                sender.send((from, number));
            } else {
                burst.push((from, number));
            }
            if number % 3 == 2 {
                sender.send_all(&mut burst);
            }
            while number % 7 == 6 && taken.load(Ordering::Acquire) < number.saturating_sub(2) {
                assert!(start.elapsed() < 3 * LOST, "the receiver has stopped");
                thread::yield_now();
            }
        }
        sender.send_all(&mut burst);
    }

    /// Runs the senders against a receiver that takes with `take`, which waits at most [`LOST`].
    fn check_nothing_is_lost(sender: Sender<(u64, u64)>, mut take: impl FnMut(&mut Vec<(u64, u64)>)) {
        let taken: Vec<AtomicU64> = (0..SENDERS).map(|_| AtomicU64::new(0)).collect();
        thread::scope(|scope| {
            for from in 0..SENDERS {
                let (sender, taken) = (sender.clone(), &taken[from as usize]);
                scope.spawn(move || send_in_bursts(&sender, from, taken));
            }
            drop(sender);
            let mut next = [0; SENDERS as usize];
            let mut mail = Vec::new();
            while next != [MESSAGES; SENDERS as usize] {
                let start = Instant::now();
                take(&mut mail);
                // A timeout finds the mail as well, which must not hide that nobody rang.
                assert!(start.elapsed() < LOST, "a wake-up was lost with {next:?} taken");
                for (from, number) in mail.drain(..) {
                    assert_eq!(number, next[from as usize], "out of order from {from}");
                    next[from as usize] += 1;
                    taken[from as usize].store(number, Ordering::Release);
                }
            }
        });
    }

    #[test]
    fn a_poll_is_woken_for_every_batch_and_keeps_each_senders_order() {
        let mut poll = Poll::new().unwrap();
        let (sender, mut inbox) = mailbox(poll.waker());
        let mut ready = Vec::new();
        check_nothing_is_lost(sender, |mail| {
            // A wake-up may come late, for mail that the take before it has already found.
            while mail.is_empty() {
                poll.wait(Some(LOST), &mut ready).unwrap();
                assert!(ready.iter().all(|event| event.token == WAKE));
                inbox.take(mail);
            }
        });
    }

    #[test]
    fn a_blocked_thread_is_woken_for_every_batch_and_keeps_each_senders_order() {
        let (sender, mut inbox) = blocking_mailbox();
        check_nothing_is_lost(sender, |mail| inbox.wait_take(mail, Some(LOST)));
    }

    #[test]
    fn mail_into_a_filled_box_wakes_nobody_again() {
        let mut poll = Poll::new().unwrap();
        let (sender, mut inbox) = mailbox(poll.waker());
        let mut ready = Vec::new();
        sender.send(1);
        poll.wait(Some(LOST), &mut ready).unwrap();
        sender.send(2);
        poll.wait(Some(Duration::ZERO), &mut ready).unwrap();
        assert_eq!(ready, []);
        let mut mail = vec![0];
        inbox.take(&mut mail);
        assert_eq!(mail, [0, 1, 2]);
    }

    #[test]
    fn a_wait_without_mail_ends_with_its_timeout() {
        let (sender, mut inbox) = blocking_mailbox::<u8>();
        let mut mail = vec![];
        inbox.wait_take(&mut mail, Some(Duration::from_millis(1)));
        assert_eq!(mail, []);
        drop(sender);
    }

    #[test]
    fn mail_to_a_receiver_that_is_gone_is_dropped() {
        let (sender, inbox) = blocking_mailbox();
        let (early, late) = (Arc::new(()), Arc::new(()));
        sender.send(Arc::clone(&early));
        drop(inbox);
        sender.send(Arc::clone(&late));
        sender.send_all(&mut vec![Arc::clone(&late)]);
        assert_eq!((Arc::strong_count(&early), Arc::strong_count(&late)), (1, 1));
    }
}
