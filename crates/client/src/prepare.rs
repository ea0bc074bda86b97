//! A client before its first connection, and the readers of part of its messages.
//!
//! A server that resumes a session sends at once what it kept. Whoever wants that in streams or by handlers makes these
//! before the client dials; so a client can be prepared first and connected later.

use std::sync::Arc;

use longwire_proto::client::SubscribeError as Rejected;
use longwire_proto::topic;
use tokio::sync::mpsc;

use crate::driver::Driver;
use crate::error::{ConnectError, SubscribeError};
use crate::event::Events;
use crate::handle::{Client, Messages};
use crate::message::{Delivery, Message};
use crate::options::{Options, OptionsError};

/// A client that has not dialled yet. [`Prepared::client`] already takes every call; calls that need the server wait.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use longwire_client::{Client, Options, QoS};
///
/// let prepared = Client::prepare(Options::new("localhost").client_id("hall").clean_start(false))?;
/// let mut doors = prepared.client().stream("hall/+/door")?;
/// prepared.client().handle("hall/light", async |message| println!("light: {}", message.text()))?;
/// let (client, _others) = prepared.connect().await?;
///
/// client.subscribe([("hall/+/door", QoS::AtLeastOnce), ("hall/light", QoS::AtLeastOnce)]).await?;
/// while let Some(message) = doors.recv().await {
///     println!("{}: {}", message.topic, message.text());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "it dials only when it is told to"]
pub struct Prepared {
    pub(crate) client: Client,
    pub(crate) messages: Messages,
    pub(crate) driver: Driver,
}

impl Prepared {
    /// The client it will be.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// As [`Client::connect`].
    ///
    /// # Errors
    /// This first connection fails.
    pub async fn connect(self) -> Result<(Client, Messages), ConnectError> {
        let Prepared { client, messages, driver } = self;
        tokio::spawn(driver.run(true));
        client.connected().await.map_err(ConnectError::Failed)?;
        Ok((client, messages))
    }

    /// As [`Client::start`].
    pub fn start(self) -> (Client, Messages, Events) {
        let Prepared { client, messages, driver } = self;
        let events = client.events();
        tokio::spawn(driver.run(false));
        (client, messages, events)
    }
}

impl Client {
    /// A client that does not dial yet, so that streams and handlers can be made before the first message comes.
    ///
    /// # Errors
    /// The options are not valid.
    pub fn prepare(options: Options) -> Result<Prepared, OptionsError> {
        Client::build(options)
    }

    /// The messages whose topics match this filter, in a queue of their own, as long as `Options::messages_max` says. Of
    /// several streams that match, the one made first gets the message; what matches none goes to the [`Messages`] that
    /// came with the client. When a stream is dropped, its messages go to the next.
    ///
    /// This subscribes to nothing. For a shared subscription its filter may be given as it is. A stream that is full
    /// holds up all that comes behind, as [`Messages`] does.
    ///
    /// # Errors
    /// Not a topic filter.
    pub fn stream(&self, filter: impl Into<String>) -> Result<Messages, SubscribeError> {
        Ok(self.messages_of(self.queue_of(filter.into())?))
    }

    /// Has a function called for each message whose topic matches this filter, one after the other, on a task of its own.
    /// It is a [`Client::stream`] otherwise; each message is acknowledged when the function's future is done. A function
    /// that panics gets no further message.
    ///
    /// Must be called within a tokio runtime, which then runs that task.
    ///
    /// # Errors
    /// Not a topic filter.
    pub fn handle<F, Done>(&self, filter: impl Into<String>, mut handler: F) -> Result<(), SubscribeError>
    where
        F: FnMut(Message) -> Done + Send + 'static,
        Done: Future<Output = ()> + Send,
    {
        let mut queue = self.queue_of(filter.into())?;
        tokio::spawn(async move {
            while let Some(Delivery { message, acknowledgement }) = queue.recv().await {
                handler(message).await;
                acknowledgement.acknowledge();
            }
        });
        Ok(())
    }

    fn queue_of(&self, filter: String) -> Result<mpsc::Receiver<Delivery>, SubscribeError> {
        topic::check_filter(&filter).map_err(|_| SubscribeError::Rejected(Rejected::TopicFilter(0)))?;
        let shared = Arc::clone(self.shared());
        let (sender, receiver) = mpsc::channel(shared.messages_max);
        shared.lock().routes.add(filter, sender);
        Ok(receiver)
    }
}
