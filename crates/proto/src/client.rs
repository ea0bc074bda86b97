//! The client as a state machine: calls and bytes in, bytes and events out; no socket, no clock, no thread.
//!
//! One [`Client`] lives through many connections. Its owner opens a transport and says [`Client::connect`],
//! hands in what arrives by [`Client::receive`], writes what [`Client::swap_output`] gives, calls
//! [`Client::handle_timeout`] at [`Client::next_deadline`], and drains [`Client::poll_event`] after each of
//! these. When an [`Event::Closed`] comes out or the transport breaks, it says [`Client::transport_closed`] and
//! may connect again: the session (messages in flight, their packet ids, subscriptions) goes on from there.
//!
//! Invariant: everything bound to one connection lives in `link`, everything that outlives it in `session`,
//! and a connection that is over accepts no input. Time is an argument, in milliseconds of any monotonic clock.

mod alias;
mod error;
mod event;
mod inbound;
mod link;
mod outbound;
mod queue;
mod request;
mod session;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::decode::{self, Receiver, Rules};
use crate::packet::{PacketId, PacketType, Publish, QoS, SubscribeOptions, Version};
use crate::property::table::Holder;
use crate::property::{Properties, PropertiesBuf};
use crate::reason::{ReasonCode, Sender};
use crate::{Packet, topic};

pub use error::{AuthenticateError, PublishError, SubscribeError};
pub use event::{Cause, Connected, Event, Limits, Outcome, Refusal, RequestId};
pub use queue::Publication;
pub use settings::{Authentication, Settings, SettingsError, Will};

use link::{Dialogue, Due, Link};
use queue::Held;
use request::{Request, Wish};
use session::Session;

/// Bytes of output past which no further publication is encoded until the owner has taken them.
const OUTPUT_SOFT_MAX: usize = 64 * 1024;

/// An MQTT client without a transport.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    /// As set, or as the server assigned it. It names the session to both sides `[MQTT-3.1.3-2]`
    /// `[MQTT-3.1.3-2 of 3.1.1]`.
    id: String,
    phase: Phase,
    session: Session,
    output: Vec<u8>,
    events: VecDeque<Event>,
    requests_made: u64,
    messages_received: u64,
    connections: u64,
}

/// ```text
///            connect            CONNACK 0
/// Offline ------------> Greeting ------------> Online
///    ^                      |                     |
///    |                      | refusal, time-out,  | DISCONNECT either way, silence,
///    | transport_closed     | violation           | violation
///    |                      v                     v
///    +-------------------------- Over <-----------+
/// ```
#[derive(Debug)]
enum Phase {
    /// No transport.
    Offline,
    /// CONNECT is sent.
    Greeting {
        /// Gives up at this time.
        deadline_ms: u64,
        /// The server's last AUTH was not answered yet.
        challenged: bool,
    },
    /// Accepted.
    Online(Box<Link>),
    /// Nothing more is sent or read; the transport is still to be closed.
    Over,
}

/// The right to acknowledge one message. Messages are to be acknowledged in the order in which they came; one that
/// never is comes again with the session's next connection.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a message that is not acknowledged takes a place in the server's window and comes again"]
pub struct Receipt {
    packet_id: PacketId,
    qos: QoS,
    serial: u64,
    connection: u64,
}

/// What [`Client::receive`] made of the bytes.
#[derive(Debug, PartialEq)]
pub enum Received<'a> {
    /// Not a whole packet yet: `needed` bytes are, as far as is known. Nothing is consumed.
    Incomplete {
        /// Bytes of the whole packet once known, otherwise at least one more than there are.
        needed: usize,
    },
    /// One packet was handled.
    Packet {
        /// Its bytes.
        consumed: usize,
    },
    /// One packet was handled, and it is a message for the owner.
    Message {
        /// Its bytes.
        consumed: usize,
        /// The message, with its topic even where an alias stood for it.
        message: Publish<'a>,
        /// With QoS 1 and 2, to be given to [`Client::acknowledge`] when the owner has taken the message over.
        receipt: Option<Receipt>,
    },
    /// No connection, or none any more: the bytes are of no interest.
    Closed,
}

impl Client {
    /// A client that has no connection yet.
    ///
    /// # Errors
    /// The settings do not make a valid CONNECT.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Client {
            id: settings.client_id.clone(),
            settings,
            phase: Phase::Offline,
            session: Session::new(),
            output: Vec::new(),
            events: VecDeque::new(),
            requests_made: 0,
            messages_received: 0,
            connections: 0,
        })
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The client id, as set or as the server assigned it; empty until then.
    pub fn client_id(&self) -> &str {
        &self.id
    }

    /// Whether the server has accepted the present connection.
    pub fn is_online(&self) -> bool {
        matches!(self.phase, Phase::Online(_))
    }

    /// Publications without an outcome: waiting, or in flight.
    pub fn unfinished_len(&self) -> usize {
        self.session.queue.len() + self.session.outgoing.len()
    }

    /// A transport is open: writes CONNECT `[MQTT-3.1.0-1]` `[MQTT-3.1.0-1 of 3.1.1]`. Until the server has accepted
    /// it, only AUTH follows `[MQTT-3.1.2-30]`. Without effect while another connection is not yet said to be closed.
    pub fn connect(&mut self, now_ms: u64) {
        if !matches!(self.phase, Phase::Offline) {
            return;
        }
        self.output.clear();
        self.connections += 1;
        self.write_connect();
        let deadline_ms = now_ms.saturating_add(self.settings.connack_timeout_ms);
        self.phase = Phase::Greeting { deadline_ms, challenged: false };
    }

    /// The transport is gone. The session waits for the next one.
    pub fn transport_closed(&mut self) {
        self.phase = Phase::Offline;
        self.output.clear();
        self.session.requests.forget_sent();
    }

    /// Bytes to write. They stay until [`Client::swap_output`].
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// Exchanges the output with `empty`, an empty buffer to be reused, and encodes what had no room before.
    pub fn swap_output(&mut self, now_ms: u64, empty: &mut Vec<u8>) {
        empty.clear();
        std::mem::swap(&mut self.output, empty);
        self.pump(now_ms);
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Client::handle_timeout`] wants to be called next.
    pub fn next_deadline(&self) -> Option<u64> {
        match &self.phase {
            Phase::Greeting { deadline_ms, .. } => Some(*deadline_ms),
            Phase::Online(link) => link.keep_alive.deadline_ms(),
            Phase::Offline | Phase::Over => None,
        }
    }

    /// Does what is due: PINGREQ, or giving up a server that is silent.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        match &mut self.phase {
            Phase::Greeting { deadline_ms, .. } if *deadline_ms <= now_ms => self.over(Cause::ConnackTimeout),
            Phase::Online(link) => match link.keep_alive.due(now_ms) {
                Due::Nothing => {}
                Due::Dead => self.over(Cause::ServerSilent),
                Due::Ping => {
                    link.keep_alive.pinged(now_ms);
                    self.write(&Packet::PingReq);
                }
            },
            _ => {}
        }
    }

    /// The owner stops reading from the transport, because it cannot keep up, or begins again. Meanwhile the
    /// server's silence does not count against it; PINGREQs still go out.
    pub fn hold_reading(&mut self, now_ms: u64, held: bool) {
        if let Phase::Online(link) = &mut self.phase {
            link.keep_alive.hold(held, now_ms);
        }
    }

    /// Asks the server at once whether it is there, for instance after this machine slept; it has the usual time to answer.
    pub fn probe(&mut self, now_ms: u64) {
        if let Phase::Online(link) = &mut self.phase {
            link.keep_alive.pinged(now_ms);
            self.write(&Packet::PingReq);
        }
    }

    /// User name and password of the connections to come.
    ///
    /// # Errors
    /// No valid CONNECT can be made with them; the former ones stay.
    pub fn set_credentials(
        &mut self,
        user_name: Option<String>,
        password: Option<Vec<u8>>,
    ) -> Result<(), SettingsError> {
        let settings = Settings { user_name, password, ..self.settings.clone() };
        settings.check()?;
        self.settings = settings;
        Ok(())
    }

    /// The Authentication Data of the CONNECTs to come, if the settings name a method.
    ///
    /// # Errors
    /// It is longer than 65,535 bytes; the former stays.
    pub fn set_authentication_data(&mut self, data: Option<Vec<u8>>) -> Result<(), SettingsError> {
        let mut settings = self.settings.clone();
        if let Some(authentication) = &mut settings.authentication {
            authentication.data = data;
        }
        settings.check()?;
        self.settings = settings;
        Ok(())
    }

    /// Publishes. Offline, or with the window full, the message waits its turn; all messages leave in the order
    /// of the calls.
    ///
    /// # Errors
    /// The message cannot be sent as it is, or the queue is full.
    pub fn publish(&mut self, now_ms: u64, publication: &Publication<'_>) -> Result<RequestId, PublishError> {
        self.check_publication(publication)?;
        let request = RequestId(self.requests_made);
        if self.may_send_now(publication.qos) {
            self.publish_now(now_ms, request, publication)?;
        } else {
            if !self.session.queue.admits(
                publication,
                self.settings.queue_messages_max,
                self.settings.queue_bytes_max,
            ) {
                return Err(PublishError::QueueFull);
            }
            self.session.queue.push_back(Box::new(Held::new(request, publication)));
        }
        self.requests_made += 1;
        Ok(request)
    }

    /// Subscribes to all filters by one packet. Offline, the request waits; if the connection ends before the
    /// answer, it is made again.
    ///
    /// # Errors
    /// The request cannot be sent as it is, or too many wait for their answers.
    pub fn subscribe(
        &mut self,
        now_ms: u64,
        filters: &[(&str, SubscribeOptions)],
        properties: Properties<'_>,
    ) -> Result<RequestId, SubscribeError> {
        for (place, (filter, options)) in filters.iter().enumerate() {
            if !is_filter(filter) {
                return Err(SubscribeError::TopicFilter(place));
            }
            if options.no_local && topic::shared(filter).is_some() {
                return Err(SubscribeError::NoLocalShared(place));
            }
            if self.settings.version < Version::V5 && *options != SubscribeOptions::with_qos(options.qos) {
                return Err(SubscribeError::NeedsVersion5);
            }
        }
        let filters = filters.iter().map(|(filter, options)| (Box::from(*filter), *options)).collect();
        self.request(now_ms, Wish::Subscribe(filters), properties)
    }

    /// Unsubscribes from all filters by one packet, like [`Client::subscribe`].
    ///
    /// # Errors
    /// The request cannot be sent as it is, or too many wait for their answers.
    pub fn unsubscribe(
        &mut self,
        now_ms: u64,
        filters: &[&str],
        properties: Properties<'_>,
    ) -> Result<RequestId, SubscribeError> {
        if let Some(place) = filters.iter().position(|filter| !is_filter(filter)) {
            return Err(SubscribeError::TopicFilter(place));
        }
        let filters = filters.iter().map(|filter| Box::from(*filter)).collect();
        self.request(now_ms, Wish::Unsubscribe(filters), properties)
    }

    /// Ends the connection properly: DISCONNECT, then nothing more `[MQTT-3.14.4-1]` `[MQTT-3.14.4-2 of 3.1.1]`. With
    /// [`ReasonCode::DisconnectWithWill`] the server publishes the will; before 5.0 that takes a bare close.
    /// `properties` are those of DISCONNECT and left out before 5.0; a Session Expiry Interval is left out too if
    /// CONNECT had none, which would forbid it. A code that no client may send becomes 0x80 `[MQTT-3.14.2-1]`. Without
    /// effect if there is no connection, or none any more.
    pub fn disconnect(&mut self, reason: ReasonCode, properties: Properties<'_>) {
        if self.is_online() {
            let allowed = reason.allowed_in(PacketType::Disconnect, Sender::Client);
            let reason = if allowed { reason } else { ReasonCode::UnspecifiedError };
            self.write_disconnect(reason, properties);
        }
        if matches!(self.phase, Phase::Greeting { .. } | Phase::Online(_)) {
            self.over(Cause::Requested);
        }
    }

    /// Answers an [`Event::Challenge`] by AUTH 0x18 `[MQTT-4.12.0-3]`.
    ///
    /// # Errors
    /// Nothing to answer, or the answer is too large.
    pub fn authenticate(&mut self, now_ms: u64, data: Option<&[u8]>) -> Result<(), AuthenticateError> {
        let is_challenged = match &self.phase {
            Phase::Greeting { challenged, .. } => *challenged,
            Phase::Online(link) => link.dialogue == Dialogue::Challenged,
            Phase::Offline | Phase::Over => false,
        };
        if !is_challenged {
            return Err(AuthenticateError::NotNow);
        }
        self.write_auth(now_ms, ReasonCode::ContinueAuthentication, data)?;
        match &mut self.phase {
            Phase::Greeting { challenged, .. } => *challenged = false,
            Phase::Online(link) => link.dialogue = Dialogue::Asked,
            Phase::Offline | Phase::Over => {}
        }
        Ok(())
    }

    /// Begins to authenticate again on a live connection, by AUTH 0x19 `[MQTT-4.12.1-1]`.
    ///
    /// # Errors
    /// There is no connection, one is under way already, or the data is too large.
    pub fn re_authenticate(&mut self, now_ms: u64, data: Option<&[u8]>) -> Result<(), AuthenticateError> {
        match &self.phase {
            Phase::Online(link) if link.dialogue == Dialogue::None => {}
            _ => return Err(AuthenticateError::NotNow),
        }
        self.write_auth(now_ms, ReasonCode::ReAuthenticate, data)?;
        if let Phase::Online(link) = &mut self.phase {
            link.dialogue = Dialogue::Asked;
        }
        Ok(())
    }

    fn request(
        &mut self,
        now_ms: u64,
        wish: Wish,
        properties: Properties<'_>,
    ) -> Result<RequestId, SubscribeError> {
        if self.session.requests.len() >= self.settings.requests_max {
            return Err(SubscribeError::TooManyRequests);
        }
        outbound::check_request_properties(&wish, properties, self.settings.version)?;
        let mut owned = PropertiesBuf::new();
        owned.extend_raw(properties);
        let packet_id = self.session.free_packet_id().ok_or(SubscribeError::TooManyRequests)?;
        let id = RequestId(self.requests_made);
        let request = Request { caller: Some(id), packet_id, properties: owned, wish, sent: false };
        if request.filters_len() == 0 {
            return Err(SubscribeError::NoFilter);
        }
        self.check_request(&request)?;
        self.session.requests.push(request);
        self.requests_made += 1;
        self.pump(now_ms);
        Ok(id)
    }

    /// The rules a decoder has to apply to what the server sends.
    fn rules(&self) -> Rules {
        Rules {
            version: self.settings.version,
            receiver: Receiver::Client,
            packet_size_max: self.settings.packet_size_max,
            strict_text: false,
        }
    }

    /// The connection is over, whether or not the server was told `[MQTT-4.13.2-1]`: tells the owner, who closes it
    /// `[MQTT-3.14.4-2]` `[MQTT-3.14.4-1 of 3.1.1]`, and lets nothing more in or out.
    fn over(&mut self, cause: Cause) {
        self.phase = Phase::Over;
        self.events.push_back(Event::Closed(cause));
    }
}

/// Whether a message, published or as a will, may carry these: known ones, each once `[U5-03]` `[U5-06]`, whose values
/// are whole and allowed `[U5-04]` `[U5-14]` and whose texts are texts `[MQTT-3.3.2-13]` `[MQTT-3.3.2-19]`
/// `[MQTT-1.5.7-1]`. Aliases belong to a connection, and identifiers to the server `[MQTT-3.3.4-6]`, so that what came
/// with a received message is never passed on by mistake `[U5-60]`.
fn message_may_carry(properties: Properties<'_>, holder: Holder) -> bool {
    decode::check_to_send(properties, holder).is_ok() && properties.topic_alias().is_none()
}

/// Whether a payload is what Payload Format Indicator says of it `[U5-15]`.
fn payload_fits(payload: &[u8], properties: Properties<'_>) -> bool {
    properties.payload_format_indicator() != Some(true) || std::str::from_utf8(payload).is_ok()
}

/// A topic filter that any server can be expected to take `[U3-10]`.
fn is_filter(filter: &str) -> bool {
    topic::check_filter(filter).is_ok() && !topic::has_discouraged(filter)
}

/// A topic name `[MQTT-3.3.2-2]` `[MQTT-3.3.2-2 of 3.1.1]` that any server can be expected to take `[U3-10]`.
fn is_topic_name(name: &str) -> bool {
    topic::check_name(name).is_ok() && !topic::has_discouraged(name)
}
