//! What a user of the library holds: [`Client`] to act, [`Messages`] to receive, [`Publishing`] to wait for a
//! message's fate.
//!
//! Handles only lock the machine for a moment and wake the driver; whatever waits, waits without the lock.

use std::fmt;
use std::sync::Arc;

use longwire_proto::client as machine;
use longwire_proto::client::{AuthenticateError, Connected, Outcome};
use longwire_proto::packet::SubscribeOptions;
use longwire_proto::property::Properties;
use longwire_proto::{QoS, ReasonCode};
use tokio::sync::mpsc;

use crate::acknowledge::Acknowledgement;
use crate::authenticate::BoxError;
use crate::driver::Driver;
use crate::error::{AcknowledgeError, Cause, ConnectError, PublishError, SubscribeError};
use crate::event::Events;
use crate::message::{Delivery, Message, Publication, Subscription};
use crate::options::{Options, OptionsError};
use crate::prepare::Prepared;
use crate::shared::{Failure, Pending, Shared, State};

/// A client, connected or on its way to be. Clones act on the same connection.
///
/// When the last `Client` and the `Messages` are dropped, the connection is ended as by [`Client::disconnect`].
#[derive(Clone)]
pub struct Client {
    held: Arc<Held>,
}

/// The messages of all subscriptions, in the order in which the server sent them.
///
/// A message of QoS 1 or 2 is acknowledged when it is taken from here by [`Messages::recv`], not before, or when the
/// program says so, by the token that [`Messages::recv_manual`] gives: what a program did not take when it
/// ended, the server still has, if the session lives on.
///
/// At most `Options::messages_max` wait here. With more to come the client stops reading, the server notices, and
/// nothing is lost; so messages must be taken, or this value dropped, for anything else to come in either. What comes
/// after it was dropped is acknowledged and thrown away: to leave messages with the server, disconnect first.
#[derive(Debug)]
pub struct Messages {
    receiver: mpsc::Receiver<Delivery>,
    /// The connection lives as long as this.
    _held: Arc<Held>,
}

/// A publication that the session has accepted.
///
/// Dropping it does not take the publication back.
#[derive(Debug)]
pub struct Publishing {
    shared: Arc<Shared>,
    pending: Pending,
}

/// Ends the connection when the last handle is dropped.
#[derive(Debug)]
struct Held {
    shared: Arc<Shared>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.stop(ReasonCode::Success, Properties::EMPTY);
    }
}

impl Client {
    /// Connects, and returns once the server has accepted the connection. Later interruptions are bridged as
    /// `Options::reconnect` says.
    ///
    /// Must be called within a tokio runtime, which then runs the client's task.
    ///
    /// # Errors
    /// The options are not valid, or this first connection fails.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use longwire_client::{Client, Options, QoS};
    ///
    /// let (client, mut messages) = Client::connect(Options::new("localhost")).await?;
    /// client.subscribe(("temperature", QoS::AtLeastOnce)).await?;
    /// while let Some(message) = messages.recv().await {
    ///     println!("{}: {}", message.topic, message.text());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(options: Options) -> Result<(Client, Messages), ConnectError> {
        Client::build(options)?.connect().await
    }

    /// Starts a client that connects in the background, and keeps trying from the first attempt on. Everything
    /// may be called at once: publications and subscriptions wait for the connection.
    ///
    /// Must be called within a tokio runtime, which then runs the client's task.
    ///
    /// # Errors
    /// The options are not valid.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use longwire_client::{Client, Event, Options};
    ///
    /// let (client, _messages, mut events) = Client::start(Options::new("localhost"))?;
    /// while let Some(event) = events.recv().await {
    ///     match event {
    ///         Event::Connected(connected) => println!("connected as {}", connected.client_id),
    ///         Event::Disconnected(cause) => eprintln!("{cause}"),
    ///         Event::Reconnecting { delay, .. } => eprintln!("next attempt in {delay:?}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(options: Options) -> Result<(Client, Messages, Events), OptionsError> {
        Ok(Client::build(options)?.start())
    }

    /// The handles, and the task that serves them once it runs.
    pub(crate) fn build(options: Options) -> Result<Prepared, OptionsError> {
        let (settings, dial, parts) = options.into_settings()?;
        let machine = machine::Client::new(settings)?;
        let (sender, receiver) = mpsc::channel(parts.messages_max);
        let shared = Shared::new(machine, sender, parts);
        let driver = Driver::new(Arc::clone(&shared), dial);
        let client = Client { held: Arc::new(Held { shared }) };
        Ok(Prepared { messages: client.messages_of(receiver), client, driver })
    }

    /// The reader of a queue.
    pub(crate) fn messages_of(&self, receiver: mpsc::Receiver<Delivery>) -> Messages {
        Messages { receiver, _held: Arc::clone(&self.held) }
    }

    /// Waits until a connection is accepted, and tells what its CONNACK said.
    ///
    /// # Errors
    /// There will be none any more.
    pub async fn connected(&self) -> Result<Arc<Connected>, Cause> {
        let mut state = self.shared().state.subscribe();
        loop {
            match &*state.borrow_and_update() {
                State::Online(connected) => return Ok(Arc::clone(connected)),
                State::Ended(cause) => return Err(cause.clone()),
                State::Offline => {}
            }
            if state.changed().await.is_err() {
                return Err(self.shared().ending());
            }
        }
    }

    /// Publishes: returns once the session has accepted the message, which may mean waiting for room. Messages leave
    /// in the order in which they were accepted, whatever their QoS, and survive lost connections; what is not
    /// acknowledged when a server has lost the session is published again.
    ///
    /// Cancelling the future before it returns publishes nothing.
    ///
    /// # Errors
    /// The message cannot be sent as it is, or the client has come to its end.
    ///
    /// ```no_run
    /// # async fn example(client: longwire_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use longwire_client::{Publication, QoS};
    ///
    /// let publication = Publication::new("temperature", "21.5").qos(QoS::AtLeastOnce);
    /// let accepted = client.publish(publication).await?;
    /// accepted.acknowledged().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn publish(&self, publication: Publication) -> Result<Publishing, PublishError> {
        loop {
            let room = self.shared().room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            match self.try_publish(&publication) {
                Err(PublishError::Rejected(machine::PublishError::QueueFull)) => room.await,
                other => return other,
            }
        }
    }

    /// Publishes without waiting for room.
    ///
    /// # Errors
    /// As [`Client::publish`], and `QueueFull`.
    pub fn try_publish(&self, publication: &Publication) -> Result<Publishing, PublishError> {
        match self.shared().publish(&publication.as_machine()) {
            Ok(pending) => Ok(Publishing { shared: Arc::clone(self.shared()), pending }),
            Err(Failure::Publish(error)) => Err(PublishError::Rejected(error)),
            Err(Failure::Closed(cause)) => Err(PublishError::Closed(cause)),
            Err(Failure::Request(_)) => Err(PublishError::Closed(self.shared().ending())),
        }
    }

    /// Subscribes, and returns the QoS granted to each filter, in order. The subscription is renewed after a
    /// reconnect to a server that lost the session.
    ///
    /// # Errors
    /// The request cannot be sent as it is, the server refused a filter (the others stay granted), or the client has
    /// come to its end.
    pub async fn subscribe(&self, subscription: impl Into<Subscription>) -> Result<Vec<QoS>, SubscribeError> {
        let subscription = subscription.into();
        let answers = self.subscribe_each(subscription.clone()).await?;
        let refused = answers.iter().zip(&subscription.filters).find_map(|(answer, (filter, _))| {
            let reason = answer.err()?;
            Some((filter.clone(), reason))
        });
        match refused {
            Some((filter, reason)) => Err(SubscribeError::Refused { filter, reason, answers }),
            None => Ok(answers.into_iter().flatten().collect()),
        }
    }

    /// Subscribes, and returns the answer to each filter, in order: the QoS granted, or why not.
    ///
    /// # Errors
    /// The request cannot be sent as it is, or the client has come to its end.
    pub async fn subscribe_each(
        &self,
        subscription: impl Into<Subscription>,
    ) -> Result<Vec<Result<QoS, ReasonCode>>, SubscribeError> {
        let subscription = subscription.into();
        let filters: Vec<(&str, SubscribeOptions)> =
            subscription.filters.iter().map(|(filter, options)| (filter.as_str(), *options)).collect();
        let properties = subscription.properties.as_properties();
        let codes = self.ask(|machine, now_ms| machine.subscribe(now_ms, &filters, properties)).await?;
        let granted = |code: ReasonCode| QoS::from_bits(code as u8).ok_or(code);
        Ok(codes.into_iter().map(granted).collect())
    }

    /// Unsubscribes from filters, spelled as they were subscribed to.
    ///
    /// # Errors
    /// The request cannot be sent as it is, the server refused a filter, or the client has come to its end.
    pub async fn unsubscribe(&self, filters: &[&str]) -> Result<(), SubscribeError> {
        let codes =
            self.ask(|machine, now_ms| machine.unsubscribe(now_ms, filters, Properties::EMPTY)).await?;
        match codes.iter().zip(filters).find(|(code, _)| code.is_error()) {
            None => Ok(()),
            Some((&reason, filter)) => Err(SubscribeError::Refused {
                filter: (*filter).to_owned(),
                reason,
                answers: codes
                    .iter()
                    .map(|code| if code.is_error() { Err(*code) } else { Ok(QoS::AtMostOnce) })
                    .collect(),
            }),
        }
    }

    /// Makes a request, once there is room for it, and waits for its answer.
    async fn ask(
        &self,
        call: impl Fn(&mut machine::Client, u64) -> Result<machine::RequestId, machine::SubscribeError>,
    ) -> Result<Vec<ReasonCode>, SubscribeError> {
        let receiver = loop {
            let room = self.shared().room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            match self.shared().request(&call) {
                Ok(receiver) => break receiver,
                Err(Failure::Request(machine::SubscribeError::TooManyRequests)) => room.await,
                Err(Failure::Request(error)) => return Err(SubscribeError::Rejected(error)),
                Err(Failure::Closed(cause)) => return Err(SubscribeError::Closed(cause)),
                Err(Failure::Publish(_)) => return Err(SubscribeError::Closed(self.shared().ending())),
            }
        };
        receiver.await.map_err(|_| SubscribeError::Closed(self.shared().ending()))
    }

    /// Ends the connection properly: the server drops the will, and no reconnect follows. Returns once the
    /// connection is closed. Publications that were not yet acknowledged are given up: wait for theirs first.
    pub async fn disconnect(&self) {
        self.disconnect_with(ReasonCode::Success, Properties::EMPTY).await;
    }

    /// The same with a reason, such as [`ReasonCode::DisconnectWithWill`], and properties, such as another
    /// Session Expiry Interval.
    pub async fn disconnect_with(&self, reason: ReasonCode, properties: Properties<'_>) {
        self.shared().stop(reason, properties);
        let mut state = self.shared().state.subscribe();
        let _ = state.wait_for(|state| matches!(state, State::Ended(_))).await;
    }

    /// Begins to authenticate again on the live connection (5.0), by the data that the authenticator starts with;
    /// `Event::ReAuthenticated` tells of success.
    ///
    /// # Errors
    /// There is no connection, no method, or one is under way; or the authenticator has nothing to start with.
    pub fn re_authenticate(&self) -> Result<(), BoxError> {
        let started = self.shared().ask_authenticator(|authenticator| authenticator.start());
        let data = started.unwrap_or(Err(AuthenticateError::NoMethod.into()))?;
        let mut core = self.shared().lock();
        let now_ms = core.now_ms();
        core.machine.re_authenticate(now_ms, data.as_deref())?;
        drop(core);
        self.shared().wake.notify_one();
        Ok(())
    }

    /// The events from now on.
    pub fn events(&self) -> Events {
        let receiver = self.shared().events.subscribe();
        let ended = matches!(*self.shared().state.borrow(), State::Ended(_));
        Events::new(receiver, ended)
    }

    /// The client id, as chosen or as assigned by the server; empty until then.
    pub fn client_id(&self) -> String {
        self.shared().lock().machine.client_id().to_owned()
    }

    /// Whether there is a connection right now.
    pub fn is_connected(&self) -> bool {
        matches!(*self.shared().state.borrow(), State::Online(_))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.held.shared
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("client_id", &self.client_id())
            .field("connected", &self.is_connected())
            .finish()
    }
}

impl Messages {
    /// The next message; `None` once the client has come to its end and all are taken. Cancelling loses nothing.
    pub async fn recv(&mut self) -> Option<Message> {
        let (message, acknowledgement) = self.recv_manual().await?;
        acknowledgement.acknowledge();
        Some(message)
    }

    /// The next message, to be acknowledged by the token that comes with it, when the application is done with it.
    ///
    /// ```no_run
    /// # async fn store(_: &longwire_client::Message) -> bool { true }
    /// # async fn example(mut messages: longwire_client::Messages) {
    /// while let Some((message, acknowledgement)) = messages.recv_manual().await {
    ///     if store(&message).await {
    ///         acknowledgement.acknowledge();
    ///     } // Otherwise the token is dropped: the message comes again.
    /// }
    /// # }
    /// ```
    pub async fn recv_manual(&mut self) -> Option<(Message, Acknowledgement)> {
        let Delivery { message, acknowledgement } = self.receiver.recv().await?;
        Some((message, acknowledgement))
    }

    /// A message that is there already.
    pub fn try_recv(&mut self) -> Option<Message> {
        let Delivery { message, acknowledgement } = self.receiver.try_recv().ok()?;
        acknowledgement.acknowledge();
        Some(message)
    }
}

impl Publishing {
    /// Waits for the fate of the message. QoS 0 is done when it is written; QoS 1 and 2 when the server owns it. The
    /// code, below 0x80, is the server's: [`ReasonCode::NoMatchingSubscribers`] for instance.
    ///
    /// # Errors
    /// The message was refused, or nobody can tell.
    pub async fn acknowledged(mut self) -> Result<ReasonCode, AcknowledgeError> {
        self.settled().await;
        match self.pending {
            Pending::Known(Outcome::Acknowledged(reason)) => Ok(reason),
            Pending::Known(Outcome::Refused(reason)) => Err(AcknowledgeError::Refused(reason)),
            Pending::Known(Outcome::Unsendable(reason)) => Err(AcknowledgeError::Unsendable(reason)),
            Pending::Known(Outcome::SessionLost) => Err(AcknowledgeError::SessionLost),
            Pending::Waiting(_) | Pending::Never => Err(AcknowledgeError::Closed(self.shared.ending())),
        }
    }

    /// Waits until [`Publishing::acknowledged`] would not wait any more. May be cancelled and called again.
    pub async fn settled(&mut self) {
        if let Pending::Waiting(receiver) = &mut self.pending {
            self.pending = receiver.await.map_or(Pending::Never, Pending::Known);
        }
    }
}
