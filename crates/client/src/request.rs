//! Request and response (5.0): a message that names where its answer goes, and the wait for that.
//!
//! A client has one topic for all answers, subscribed to with the first request; Correlation Data tells them apart. What
//! comes too late, or was never asked for, is thrown away. Neighbour: the driver shows every message to [`Answers`] first.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use longwire_proto::packet::Publish;
use longwire_proto::property::Property;
use longwire_proto::{QoS, ReasonCode, Version};
use tokio::sync::oneshot;

use crate::error::{AcknowledgeError, Cause, PublishError, SubscribeError};
use crate::handle::Client;
use crate::message::{Message, Publication};
use crate::shared::Shared;

impl Client {
    /// Publishes a request and waits for its answer (5.0), at most so long. Response Topic and Correlation Data are set
    /// here. The topic for answers is made of the server's Response Information, if it gave any (ask for that by
    /// [`Property::RequestResponseInformation`]), or of `Options::response_prefix`, and a random name.
    ///
    /// # Errors
    /// There is no answer; the error says why not.
    ///
    /// ```no_run
    /// # async fn example(client: longwire_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use longwire_client::{Publication, QoS};
    ///
    /// let question = Publication::new("kitchen/7/ask", "how warm is it?").qos(QoS::AtLeastOnce);
    /// let answer = client.request(question, Duration::from_secs(5)).await?;
    /// println!("{}", answer.text());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn request(&self, publication: Publication, limit: Duration) -> Result<Message, RequestError> {
        let answer = tokio::time::timeout(limit, self.answer_to(publication)).await;
        answer.unwrap_or(Err(RequestError::Timeout(limit)))
    }

    /// The answer, however long it takes.
    pub(crate) async fn answer_to(&self, publication: Publication) -> Result<Message, RequestError> {
        let given = publication.as_machine().properties;
        if given.response_topic().is_some() || given.correlation_data().is_some() {
            return Err(RequestError::Property);
        }
        let topic = self.response_topic().await?;
        let (asked, answer) = Asked::new(self.shared());
        let publication = publication
            .property(Property::ResponseTopic(&topic))
            .property(Property::CorrelationData(&asked.number.to_be_bytes()));
        let accepted = self.publish(publication).await.map_err(RequestError::Publish)?;
        tokio::pin!(answer);
        let fate = tokio::select! {
            biased;
            answer = &mut answer => return answer.map_err(|_| RequestError::Closed(self.shared().ending())),
            fate = accepted.acknowledged() => fate,
        };
        match fate {
            Ok(ReasonCode::NoMatchingSubscribers) => Err(RequestError::NobodyListens),
            Ok(_) => answer.await.map_err(|_| RequestError::Closed(self.shared().ending())),
            Err(error) => Err(RequestError::Unacknowledged(error)),
        }
    }

    /// The topic for answers, once the server has granted the subscription to it.
    async fn response_topic(&self) -> Result<Arc<str>, RequestError> {
        let shared = self.shared();
        if shared.lock().machine.settings().version < Version::V5 {
            return Err(RequestError::NeedsVersion5);
        }
        let connected = self.connected().await.map_err(RequestError::Closed)?;
        let _one_at_a_time = shared.subscribing.lock().await;
        let information = connected.properties.as_properties().response_information();
        let (topic, is_granted) = shared.lock().answers.topic(information);
        if !is_granted {
            let subscribed = self.subscribe((&*topic, QoS::AtLeastOnce)).await;
            subscribed.map_err(RequestError::Subscribe)?;
            shared.lock().answers.granted(&topic);
        }
        Ok(topic)
    }
}

/// The requests without an answer, and where answers come in.
#[derive(Debug)]
pub(crate) struct Answers {
    prefix: String,
    inbox: Option<Inbox>,
    asked: u64,
    waiting: HashMap<u64, oneshot::Sender<Message>>,
}

#[derive(Debug)]
struct Inbox {
    base: String,
    topic: Arc<str>,
    is_granted: bool,
}

impl Answers {
    pub(crate) fn new(prefix: String) -> Self {
        Answers { prefix, inbox: None, asked: 0, waiting: HashMap::new() }
    }

    /// The topic for answers at a server that gave this Response Information, and whether it is subscribed to.
    fn topic(&mut self, information: Option<&str>) -> (Arc<str>, bool) {
        let base = information.unwrap_or(&self.prefix).trim_end_matches('/');
        let inbox = match self.inbox.take() {
            Some(inbox) if inbox.base == base => inbox,
            _ => {
                let topic = format!("{base}/{}", crate::random::client_id()).into();
                Inbox { base: base.to_owned(), topic, is_granted: false }
            }
        };
        let inbox = self.inbox.insert(inbox);
        (Arc::clone(&inbox.topic), inbox.is_granted)
    }

    fn granted(&mut self, topic: &str) {
        if let Some(inbox) = self.inbox.as_mut().filter(|inbox| *inbox.topic == *topic) {
            inbox.is_granted = true;
        }
    }

    /// Takes a message that is an answer; `false` if it is none.
    pub(crate) fn take(&mut self, publish: &Publish<'_>) -> bool {
        if self.inbox.as_ref().is_none_or(|inbox| *inbox.topic != *publish.topic) {
            return false;
        }
        let number = publish.properties.correlation_data().and_then(|data| data.try_into().ok());
        if let Some(waiter) = number.and_then(|number| self.waiting.remove(&u64::from_be_bytes(number))) {
            // A waiter that has just given up is no fault.
            let _ = waiter.send(Message::from_packet(publish));
        }
        true
    }

    /// Nobody will be answered any more.
    pub(crate) fn end(&mut self) {
        self.waiting.clear();
    }
}

/// A request that waits for its answer, until it is dropped.
struct Asked<'a> {
    shared: &'a Shared,
    number: u64,
}

impl<'a> Asked<'a> {
    fn new(shared: &'a Shared) -> (Self, oneshot::Receiver<Message>) {
        let (sender, receiver) = oneshot::channel();
        let answers = &mut shared.lock().answers;
        answers.asked += 1;
        answers.waiting.insert(answers.asked, sender);
        (Asked { shared, number: answers.asked }, receiver)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.shared.lock().answers.waiting.remove(&self.number);
    }
}

/// Why a request has no answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RequestError {
    /// Requests need MQTT 5.0.
    NeedsVersion5,
    /// The publication has a Response Topic or Correlation Data already.
    Property,
    /// The topic for answers cannot be subscribed to.
    Subscribe(SubscribeError),
    /// The request cannot be sent as it is.
    Publish(PublishError),
    /// The server did not take the request over.
    Unacknowledged(AcknowledgeError),
    /// The server says that nobody is subscribed to the topic of the request. Told with QoS 1 and 2 only.
    NobodyListens,
    /// No answer came within this time.
    Timeout(Duration),
    /// The client has come to its end.
    Closed(Cause),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::NeedsVersion5 => f.write_str("requests need MQTT 5.0: choose version 5"),
            RequestError::Property => {
                f.write_str("Response Topic and Correlation Data of a request are set by the client itself")
            }
            RequestError::Subscribe(error) => write!(f, "no answers can come in: {error}"),
            RequestError::Publish(error) => error.fmt(f),
            RequestError::Unacknowledged(error) => error.fmt(f),
            RequestError::NobodyListens => f.write_str("nobody is subscribed to the topic of the request"),
            RequestError::Timeout(limit) => write!(f, "no answer came within {limit:?}"),
            RequestError::Closed(cause) => cause.fmt(f),
        }
    }
}

impl std::error::Error for RequestError {}
