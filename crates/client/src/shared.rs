//! What the handles and the driver share: the state machine behind one lock, and who waits for which answer.
//!
//! The lock is held for a call of the machine, never across an await. Everything a machine tells goes through
//! [`Core::dispatch`], whoever holds the lock at the time, so that no answer can be missed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longwire_proto::ReasonCode;
use longwire_proto::client as machine;
use longwire_proto::client::{Outcome, Receipt, RequestId, SettingsError};
use longwire_proto::property::{Properties, PropertiesBuf, Property};
use tokio::sync::{Notify, broadcast, oneshot, watch};
use tokio::time::Instant;

use crate::acknowledge::{Fate, Unsettled};
use crate::authenticate::{Authenticator, BoxError};
use crate::error::Cause;
use crate::event::Event;
use crate::request::Answers;
use crate::route::{Routes, Sender};

/// Events kept for a reader that is slow; older ones are lost to it.
const EVENTS_MAX: usize = 256;

pub(crate) struct Shared {
    core: Mutex<Core>,
    /// Never locked together with the core: it runs the application's code.
    authenticator: Option<Mutex<Box<dyn Authenticator>>>,
    /// Messages whose tokens were dropped, until the driver looks. Apart from the core, because a token may be dropped by
    /// whoever holds that.
    left: Mutex<Vec<u64>>,
    /// Held while the topic for answers is subscribed to.
    pub(crate) subscribing: tokio::sync::Mutex<()>,
    /// Messages that wait for one reader.
    pub(crate) messages_max: usize,
    /// Something changed that the driver should look at.
    pub(crate) wake: Notify,
    /// A place in a queue may have become free.
    pub(crate) room: Notify,
    pub(crate) state: watch::Sender<State>,
    pub(crate) events: broadcast::Sender<Event>,
}

/// Where the client stands.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// No connection, but one is being made or waited for.
    Offline,
    Online(Arc<machine::Connected>),
    /// There will be no further connection.
    Ended(Cause),
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) machine: machine::Client,
    waiting: HashMap<RequestId, Waiter>,
    /// The outcome of the publication being made right now, before anybody can wait for it.
    early: Option<(RequestId, Outcome)>,
    /// The present connection is over, and why.
    pub(crate) over: Option<machine::Cause>,
    /// A challenge of the server that was not answered yet.
    pub(crate) challenge: Option<Vec<u8>>,
    /// The server's last words when it was satisfied, which were not checked yet.
    pub(crate) proof: Option<Vec<u8>>,
    unsettled: Unsettled,
    pub(crate) routes: Routes,
    pub(crate) answers: Answers,
    /// Somebody waits in `Shared::room`.
    crowded: bool,
    /// No further connection is wanted.
    stopping: bool,
    ended: Option<Cause>,
    ends_session: bool,
    began: Instant,
}

#[derive(Debug)]
enum Waiter {
    Publication(oneshot::Sender<Outcome>),
    Request(oneshot::Sender<Vec<ReasonCode>>),
}

/// An outcome, or the promise of one.
#[derive(Debug)]
pub(crate) enum Pending {
    Known(Outcome),
    Waiting(oneshot::Receiver<Outcome>),
    /// The client came to its end first.
    Never,
}

/// What the options give to both sides.
pub(crate) struct Parts {
    pub(crate) messages_max: usize,
    pub(crate) authenticator: Option<Box<dyn Authenticator>>,
    pub(crate) response_prefix: String,
    /// A deliberate disconnect ends the session too.
    pub(crate) ends_session: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(machine: machine::Client, general: Sender, parts: Parts) -> Arc<Self> {
        Arc::new(Shared {
            core: Mutex::new(Core {
                machine,
                waiting: HashMap::new(),
                early: None,
                over: None,
                challenge: None,
                proof: None,
                unsettled: Unsettled::default(),
                routes: Routes::new(general),
                answers: Answers::new(parts.response_prefix),
                crowded: false,
                stopping: false,
                ended: None,
                ends_session: parts.ends_session,
                began: Instant::now(),
            }),
            authenticator: parts.authenticator.map(Mutex::new),
            left: Mutex::default(),
            subscribing: tokio::sync::Mutex::new(()),
            messages_max: parts.messages_max,
            wake: Notify::new(),
            room: Notify::new(),
            state: watch::Sender::new(State::Offline),
            events: broadcast::Sender::new(EVENTS_MAX),
        })
    }

    /// A panic elsewhere leaves the machine between two whole calls, so its lock is still good.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever listens; nobody is no fault.
    pub(crate) fn emit(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Publishes, or says why not.
    pub(crate) fn publish(&self, publication: &machine::Publication<'_>) -> Result<Pending, Failure> {
        let mut core = self.lock();
        core.check_open()?;
        let now_ms = core.now_ms();
        let request = core.machine.publish(now_ms, publication).map_err(|error| {
            core.crowded |= error == machine::PublishError::QueueFull;
            Failure::Publish(error)
        })?;
        core.dispatch(self);
        let early = core.early.take().filter(|(done, _)| *done == request);
        let pending = if let Some((_, outcome)) = early {
            Pending::Known(outcome)
        } else {
            let (sender, receiver) = oneshot::channel();
            core.waiting.insert(request, Waiter::Publication(sender));
            Pending::Waiting(receiver)
        };
        drop(core);
        self.wake.notify_one();
        Ok(pending)
    }

    /// Makes a SUBSCRIBE or UNSUBSCRIBE by `call`, or says why not.
    pub(crate) fn request(
        &self,
        call: impl FnOnce(&mut machine::Client, u64) -> Result<RequestId, machine::SubscribeError>,
    ) -> Result<oneshot::Receiver<Vec<ReasonCode>>, Failure> {
        let mut core = self.lock();
        core.check_open()?;
        let now_ms = core.now_ms();
        let request = call(&mut core.machine, now_ms).map_err(|error| {
            core.crowded |= error == machine::SubscribeError::TooManyRequests;
            Failure::Request(error)
        })?;
        let (sender, receiver) = oneshot::channel();
        core.waiting.insert(request, Waiter::Request(sender));
        core.dispatch(self);
        drop(core);
        self.wake.notify_one();
        Ok(receiver)
    }

    /// Decides about a message.
    pub(crate) fn settle(&self, number: u64, fate: Fate) {
        match fate {
            Fate::Taken => {
                let mut core = self.lock();
                core.leave(self);
                core.settle(number, fate);
            }
            Fate::Left => self.left().push(number),
        }
        self.wake.notify_one();
    }

    fn left(&self) -> MutexGuard<'_, Vec<u64>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the application's authenticator, if there is one.
    pub(crate) fn ask_authenticator<T>(
        &self,
        ask: impl FnOnce(&mut dyn Authenticator) -> Result<T, BoxError>,
    ) -> Option<Result<T, BoxError>> {
        let authenticator = self.authenticator.as_ref()?;
        let mut authenticator = authenticator.lock().unwrap_or_else(PoisonError::into_inner);
        Some(ask(authenticator.as_mut()))
    }

    /// Ends the connection, if there is one, and asks for no further one.
    pub(crate) fn stop(&self, reason: ReasonCode, properties: Properties<'_>) {
        let mut core = self.lock();
        core.stopping = true;
        let mut all = PropertiesBuf::new();
        all.extend_raw(properties);
        let chosen = properties.session_expiry_interval().is_some();
        if core.ends_session && !chosen {
            all.push(Property::SessionExpiryInterval(0));
        }
        core.machine.disconnect(reason, all.as_properties());
        core.dispatch(self);
        drop(core);
        self.wake.notify_one();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Resolves once no further connection is wanted.
    pub(crate) async fn stopped(&self) {
        while !self.is_stopping() {
            self.wake.notified().await;
        }
    }

    /// There will be no further connection: everybody who waits learns why.
    pub(crate) fn end(&self, cause: Cause) {
        let mut core = self.lock();
        core.ended = Some(cause.clone());
        core.waiting.clear();
        core.routes.end();
        core.answers.end();
        drop(core);
        self.room.notify_waiters();
        self.state.send_replace(State::Ended(cause.clone()));
        self.emit(Event::Ended(cause));
    }

    /// Why the client came to its end, once its waiters were dropped.
    pub(crate) fn ending(&self) -> Cause {
        self.lock().ended.clone().unwrap_or(Cause::Ended(machine::Cause::Requested))
    }
}

/// Why a call did not get through to the machine, or was turned down by it.
#[derive(Debug)]
pub(crate) enum Failure {
    Publish(machine::PublishError),
    Request(machine::SubscribeError),
    Closed(Cause),
}

impl Core {
    /// Milliseconds of the machine's clock.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A message was received that is to be acknowledged: its number.
    pub(crate) fn open(&mut self, receipt: Option<Receipt>) -> Option<u64> {
        receipt.map(|receipt| self.unsettled.open(receipt))
    }

    /// Decides about a message, and acknowledges all that may be in order.
    pub(crate) fn settle(&mut self, number: u64, fate: Fate) {
        if let Some((receipt, fate)) = self.unsettled.settle(number, fate) {
            self.finish(receipt, fate);
        }
        while let Some((receipt, fate)) = self.unsettled.next() {
            self.finish(receipt, fate);
        }
    }

    fn finish(&mut self, receipt: Receipt, fate: Fate) {
        let now_ms = self.now_ms();
        match fate {
            Fate::Taken => self.machine.acknowledge(now_ms, receipt),
            Fate::Left => self.machine.leave(receipt),
        }
    }

    /// Lets go of the messages whose tokens were dropped.
    pub(crate) fn leave(&mut self, shared: &Shared) {
        for number in std::mem::take(&mut *shared.left()) {
            self.settle(number, Fate::Left);
        }
    }

    /// The connection is gone.
    pub(crate) fn part(&mut self, shared: &Shared) {
        self.leave(shared);
        self.machine.transport_closed();
        for (receipt, fate) in self.unsettled.part() {
            self.finish(receipt, fate);
        }
        self.dispatch(shared);
        self.over = None;
        self.challenge = None;
        self.proof = None;
    }

    /// The credentials and the first data of the connection to come.
    pub(crate) fn refresh(
        &mut self,
        credentials: Option<crate::Credentials>,
        data: Option<Vec<u8>>,
    ) -> Result<(), SettingsError> {
        if let Some(credentials) = credentials {
            self.machine.set_credentials(credentials.user_name, credentials.password)?;
        }
        self.machine.set_authentication_data(data)
    }

    /// When the machine wants to be woken.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadline_ms = self.machine.next_deadline()?;
        self.began.checked_add(std::time::Duration::from_millis(deadline_ms))
    }

    /// Lets those try again who found a queue full.
    pub(crate) fn make_room(&mut self, shared: &Shared) {
        if std::mem::take(&mut self.crowded) {
            shared.room.notify_waiters();
        }
    }

    /// Passes on everything the machine has to tell.
    pub(crate) fn dispatch(&mut self, shared: &Shared) {
        while let Some(event) = self.machine.poll_event() {
            match event {
                machine::Event::Connected(connected) => {
                    let connected = Arc::new(*connected);
                    let data = connected.properties.as_properties().authentication_data();
                    self.proof = Some(data.unwrap_or_default().to_vec());
                    shared.state.send_replace(State::Online(Arc::clone(&connected)));
                    shared.emit(Event::Connected(connected));
                }
                machine::Event::Published { request, outcome } => match self.waiting.remove(&request) {
                    Some(Waiter::Publication(sender)) => {
                        let _ = sender.send(outcome);
                    }
                    _ => self.early = Some((request, outcome)),
                },
                machine::Event::Subscribed { request, codes }
                | machine::Event::Unsubscribed { request, codes } => {
                    if let Some(Waiter::Request(sender)) = self.waiting.remove(&request) {
                        let _ = sender.send(codes);
                    }
                }
                machine::Event::SubscriptionLost { filter, reason } => {
                    shared.emit(Event::SubscriptionLost { filter, reason });
                }
                machine::Event::Challenge { data } => self.challenge = Some(data),
                machine::Event::ReAuthenticated { data } => {
                    self.proof = Some(data);
                    shared.emit(Event::ReAuthenticated);
                }
                machine::Event::Closed(cause) => self.over = Some(cause),
            }
        }
    }

    fn check_open(&self) -> Result<(), Failure> {
        match &self.ended {
            Some(cause) => Err(Failure::Closed(cause.clone())),
            None if self.stopping => Err(Failure::Closed(Cause::Ended(machine::Cause::Requested))),
            None => Ok(()),
        }
    }
}
