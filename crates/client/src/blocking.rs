//! The client without async: the same calls, which block. The connection lives on a thread of its own.
//!
//! Each handle wraps its async counterpart and parks the calling thread until that is ready. So none of this belongs
//! into an async task, whose thread it would block.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use longwire_proto::client::Connected;
use longwire_proto::{QoS, ReasonCode};

use crate::acknowledge::Acknowledgement;
use crate::dial_error::{DialError, DialFault};
use crate::driver::Driver;
use crate::error::{AcknowledgeError, Cause, ConnectError, PublishError, SubscribeError};
use crate::message::{Message, Publication, Subscription};
use crate::options::{Options, OptionsError};
use crate::request::RequestError;

/// A client whose calls block. Clones act on the same connection.
#[derive(Clone, Debug)]
pub struct Client(crate::Client);

/// A client that has not dialled yet.
#[derive(Debug)]
#[must_use = "it dials only when it is told to"]
pub struct Prepared {
    client: Client,
    prepared: crate::Prepared,
}

/// The messages of all subscriptions: an iterator that blocks for the next one and ends with the client.
#[derive(Debug)]
pub struct Messages(crate::Messages);

/// A publication that the session has accepted.
#[derive(Debug)]
pub struct Publishing(crate::Publishing);

impl Client {
    /// Connects, and returns once the server has accepted the connection.
    ///
    /// # Errors
    /// The options are not valid, this first connection fails, or no thread can be started (as `Unreachable`).
    pub fn connect(options: Options) -> Result<(Client, Messages), ConnectError> {
        Client::prepare(options)?.connect()
    }

    /// A client that does not dial yet, so that streams can be made before the first message comes.
    ///
    /// # Errors
    /// The options are not valid.
    pub fn prepare(options: Options) -> Result<Prepared, OptionsError> {
        let prepared = crate::Client::prepare(options)?;
        let client = Client(prepared.client().clone());
        Ok(Prepared { client, prepared })
    }

    /// The messages whose topics match this filter, as [`crate::Client::stream`].
    ///
    /// # Errors
    /// Not a topic filter.
    pub fn stream(&self, filter: impl Into<String>) -> Result<Messages, SubscribeError> {
        self.0.stream(filter).map(Messages)
    }

    /// Publishes a request and waits for its answer, at most so long.
    ///
    /// # Errors
    /// As [`crate::Client::request`].
    pub fn request(&self, publication: Publication, limit: Duration) -> Result<Message, RequestError> {
        let answer = block_on_until(self.0.answer_to(publication), Instant::now().checked_add(limit));
        answer.unwrap_or(Err(RequestError::Timeout(limit)))
    }

    /// Waits until a connection is accepted, and tells what its CONNACK said.
    ///
    /// # Errors
    /// There will be none any more.
    pub fn connected(&self) -> Result<Arc<Connected>, Cause> {
        block_on(self.0.connected())
    }

    /// Publishes: returns once the session has accepted the message.
    ///
    /// # Errors
    /// As [`crate::Client::publish`].
    pub fn publish(&self, publication: Publication) -> Result<Publishing, PublishError> {
        block_on(self.0.publish(publication)).map(Publishing)
    }

    /// Subscribes, and returns the QoS granted to each filter, in order.
    ///
    /// # Errors
    /// As [`crate::Client::subscribe`].
    pub fn subscribe(&self, subscription: impl Into<Subscription>) -> Result<Vec<QoS>, SubscribeError> {
        block_on(self.0.subscribe(subscription))
    }

    /// Unsubscribes from filters, spelled as they were subscribed to.
    ///
    /// # Errors
    /// As [`crate::Client::unsubscribe`].
    pub fn unsubscribe(&self, filters: &[&str]) -> Result<(), SubscribeError> {
        block_on(self.0.unsubscribe(filters))
    }

    /// Ends the connection properly, and returns once it is closed.
    pub fn disconnect(&self) {
        block_on(self.0.disconnect());
    }

    /// The async client behind this one, for what is not wrapped here.
    pub fn as_async(&self) -> &crate::Client {
        &self.0
    }
}

impl Prepared {
    /// The client it will be.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Connects, and returns once the server has accepted the connection.
    ///
    /// # Errors
    /// This first connection fails, or no thread can be started (as `Unreachable`).
    pub fn connect(self) -> Result<(Client, Messages), ConnectError> {
        let crate::Prepared { client, messages, driver } = self.prepared;
        run_on_own_thread(driver)?;
        block_on(client.connected()).map_err(ConnectError::Failed)?;
        Ok((self.client, Messages(messages)))
    }
}

impl Messages {
    /// The next message, to be acknowledged by the token that comes with it; blocks for it.
    pub fn recv_manual(&mut self) -> Option<(Message, Acknowledgement)> {
        block_on(self.0.recv_manual())
    }

    /// The next message, if one comes in time; `None` too once the client has come to its end.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Option<Message> {
        block_on_until(self.0.recv(), Instant::now().checked_add(timeout)).flatten()
    }
}

impl Iterator for Messages {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        block_on(self.0.recv())
    }
}

impl Publishing {
    /// Waits for the fate of the message.
    ///
    /// # Errors
    /// As [`crate::Publishing::acknowledged`].
    pub fn acknowledged(self) -> Result<ReasonCode, AcknowledgeError> {
        block_on(self.0.acknowledged())
    }
}

/// Runs the client's task on a thread that ends with it.
fn run_on_own_thread(driver: Driver) -> Result<(), ConnectError> {
    let place = driver.place();
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || runtime.block_on(driver.run(true));
        thread::Builder::new().name("longwire-client".to_owned()).spawn(run)
    };
    let failed = |error| DialError { place, fault: DialFault::Thread(error) };
    start().map(drop).map_err(|error| ConnectError::Failed(Cause::Unreachable(Arc::new(failed(error)))))
}

/// Wakes a thread that waits in [`block_on_until`].
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    block_on_until(future, None).expect("without a deadline it returns when the future is ready")
}

/// The output of the future, if it is ready in time; without a deadline, whenever that is. Handles wait for channels
/// only, which any waker serves: no runtime is needed here.
fn block_on_until<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            None => thread::park(),
            Some(Duration::ZERO) => return None,
            Some(left) => thread::park_timeout(left),
        }
    }
}
