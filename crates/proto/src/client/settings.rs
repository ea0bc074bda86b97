//! What a client is for its whole life: who it is, what it announces in CONNECT, and the bounds of its memory.
//!
//! Neighbour: `super` reads it at each connection. A [`Settings`] that passed [`Settings::check`] can be sent
//! in the version it names; nothing here changes afterwards, except that a server may assign the client id.

use std::fmt;

use crate::packet::{QoS, Version};
use crate::property::table::Holder;
use crate::property::{PropertiesBuf, Property};
use crate::{decode, topic};

/// Everything a client brings to its connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Version of every connection.
    pub version: Version,
    /// Names the session; empty asks the server for one. UTF-8 by its type, like every text here `[MQTT-3.1.3-4]`
    /// `[MQTT-3.1.3-4 of 3.1.1]`.
    pub client_id: String,
    /// The first connection throws away whatever session the server holds under this id `[MQTT-3.1.2-4]`. Later
    /// ones resume, except before 5.0, where a clean session ends with its connection `[MQTT-3.1.2-6 of 3.1.1]`.
    ///
    /// `false` claims the server's session as one's own: Session Present 1 is then welcome even though nothing
    /// is in flight here.
    pub clean_start: bool,
    /// Seconds after which an idle client speaks up; 0 switches the keep-alive off.
    pub keep_alive_secs: u16,
    /// Seconds the session outlives its connection; `u32::MAX` is "never ends". 5.0 only.
    pub session_expiry_secs: u32,
    /// Published by the server if this client vanishes.
    pub will: Option<Will>,
    /// User name `[MQTT-3.1.3-12]` `[MQTT-3.1.3-11 of 3.1.1]`.
    pub user_name: Option<String>,
    /// Password.
    pub password: Option<Vec<u8>>,
    /// Enhanced authentication. 5.0 only.
    pub authentication: Option<Authentication>,
    /// Further properties of CONNECT: user properties, Request Problem or Response Information. 5.0 only.
    pub connect_properties: PropertiesBuf,
    /// QoS 1 and 2 messages the server may have open towards this client. Announced in 5.0.
    pub receive_maximum: u16,
    /// Bytes of the largest packet taken in; announced in 5.0, enforced always.
    pub packet_size_max: u32,
    /// Topic aliases the server may use. Announced in 5.0.
    pub topic_alias_maximum: u16,
    /// Topic aliases this client uses, if the server allows as many; 0 sends every topic in full.
    pub topic_aliases_used_max: u16,
    /// QoS 1 and 2 messages this client has open at most, whatever the server would take.
    pub in_flight_max: u16,
    /// Messages that wait for a connection or for a place in the window.
    pub queue_messages_max: usize,
    /// Bytes of topics, properties and payloads among them.
    pub queue_bytes_max: usize,
    /// SUBSCRIBE and UNSUBSCRIBE requests without an answer.
    pub requests_max: usize,
    /// Filters that are remembered, to subscribe again when the server lost the session. Past this bound they
    /// are granted but not remembered.
    pub subscriptions_max: usize,
    /// Milliseconds from CONNECT (or from the last AUTH) to CONNACK.
    pub connack_timeout_ms: u64,
    /// Milliseconds from PINGREQ to PINGRESP, or to any other sign of life.
    pub ping_timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            version: Version::V5,
            client_id: String::new(),
            clean_start: true,
            keep_alive_secs: 60,
            session_expiry_secs: 0,
            will: None,
            user_name: None,
            password: None,
            authentication: None,
            connect_properties: PropertiesBuf::new(),
            receive_maximum: 256,
            packet_size_max: 2 * 1024 * 1024,
            topic_alias_maximum: 16,
            topic_aliases_used_max: 16,
            in_flight_max: 100,
            queue_messages_max: 1_000,
            queue_bytes_max: 16 * 1024 * 1024,
            requests_max: 64,
            subscriptions_max: 10_000,
            connack_timeout_ms: 10_000,
            ping_timeout_ms: 10_000,
        }
    }
}

/// The message a server publishes for a client that vanished.
#[derive(Clone, Debug, PartialEq)]
pub struct Will {
    /// Topic name `[MQTT-3.1.3-11]` `[MQTT-3.1.3-10 of 3.1.1]`.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// QoS of its publication, 3 being no value of this type `[MQTT-3.1.2-12]` `[MQTT-3.1.2-14 of 3.1.1]`.
    pub qos: QoS,
    /// RETAIN of its publication.
    pub retain: bool,
    /// Properties, Will Delay Interval among them. 5.0 only.
    pub properties: PropertiesBuf,
}

/// How enhanced authentication begins; it goes on by `Event::Challenge` and `Client::authenticate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// Authentication Method of every CONNECT and AUTH `[MQTT-4.12.0-5]`.
    pub method: String,
    /// Authentication Data of CONNECT; `None` where the method has the server begin.
    pub data: Option<Vec<u8>>,
}

/// Settings that no valid CONNECT can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// The named setting needs MQTT 5.0.
    NeedsVersion5(&'static str),
    /// An empty client id before 5.0 needs a clean session, and 3.1 wants 1 to 23 characters
    /// `[MQTT-3.1.3-7 of 3.1.1]`.
    ClientId,
    /// A password without a user name, before 5.0 `[MQTT-3.1.2-22 of 3.1.1]`.
    PasswordWithoutUserName,
    /// The topic of the will is not a topic name.
    WillTopic,
    /// The payload of the will is not UTF-8 although Payload Format Indicator says so `[U5-15]`.
    WillPayload,
    /// The named text or binary is longer than 65,535 bytes, or the text holds control characters: U+0000
    /// `[MQTT-1.5.4-2]`, or others `[U3-10]`.
    Text(&'static str),
    /// The named number must not be 0: Receive Maximum `[U5-08]`, Maximum Packet Size `[U5-09]`, and bounds with which
    /// nothing could be done.
    Zero(&'static str),
    /// A property that is set elsewhere, as Authentication Data is beside its method `[U5-12]`, or that this packet
    /// cannot carry, at all or with its value `[U5-10]` `[U5-11]`.
    Property(&'static str),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingsError::NeedsVersion5(what) => write!(f, "{what} needs MQTT 5.0: choose version 5"),
            SettingsError::ClientId => f.write_str(
                "this client id does not fit the version: before 5.0 an empty one needs a clean session, \
                 and 3.1 allows 1 to 23 characters",
            ),
            SettingsError::PasswordWithoutUserName => {
                f.write_str("a password without a user name needs MQTT 5.0: add the user name")
            }
            SettingsError::WillTopic => f.write_str(
                "the will's topic must be a topic name: not empty, without '+', '#' and control characters",
            ),
            SettingsError::WillPayload => {
                f.write_str("the will's payload is marked as text and is not UTF-8")
            }
            SettingsError::Text(what) => {
                write!(f, "{what} is longer than 65,535 bytes or holds control characters")
            }
            SettingsError::Zero(what) => write!(f, "{what} must be at least 1"),
            SettingsError::Property(packet) => {
                write!(f, "{packet} cannot carry one of these properties, or it has a setting of its own")
            }
        }
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Whether a CONNECT can be made of this.
    ///
    /// # Errors
    /// It cannot; the error names the first setting that stands in the way.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.check_texts()?;
        self.check_numbers()?;
        self.check_properties()?;
        if self.version == Version::V5 { Ok(()) } else { self.check_before_5() }
    }

    fn check_texts(&self) -> Result<(), SettingsError> {
        check_text(&self.client_id, "the client id")?;
        check_text(self.user_name.as_deref().unwrap_or(""), "the user name")?;
        check_len(self.password.as_deref().unwrap_or(&[]), "the password")?;
        if let Some(authentication) = &self.authentication {
            check_text(&authentication.method, "the authentication method")?;
            check_len(authentication.data.as_deref().unwrap_or(&[]), "the authentication data")?;
        }
        if let Some(will) = &self.will {
            if !super::is_topic_name(&will.topic) {
                return Err(SettingsError::WillTopic);
            }
            check_len(&will.payload, "the will's payload")?;
            if !super::payload_fits(&will.payload, will.properties.as_properties()) {
                return Err(SettingsError::WillPayload);
            }
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), SettingsError> {
        let numbers = [
            (u64::from(self.receive_maximum), "the receive maximum"),
            (u64::from(self.packet_size_max), "the packet size"),
            (u64::from(self.in_flight_max), "the number of messages in flight"),
            (self.requests_max as u64, "the number of requests"),
            (self.connack_timeout_ms, "the time to wait for CONNACK"),
            (self.ping_timeout_ms, "the time to wait for PINGRESP"),
        ];
        match numbers.iter().find(|(number, _)| *number == 0) {
            Some((_, what)) => Err(SettingsError::Zero(what)),
            None => Ok(()),
        }
    }

    fn check_properties(&self) -> Result<(), SettingsError> {
        let connect_may = |property: Property<'_>| {
            matches!(
                property,
                Property::UserProperty(..)
                    | Property::RequestProblemInformation(_)
                    | Property::RequestResponseInformation(_)
            )
        };
        let connect = self.connect_properties.as_properties();
        if decode::check_to_send(connect, Holder::Connect).is_err() || !connect.iter().all(connect_may) {
            return Err(SettingsError::Property("CONNECT"));
        }
        match &self.will {
            Some(will) if !super::message_may_carry(will.properties.as_properties(), Holder::Will) => {
                Err(SettingsError::Property("the will"))
            }
            _ => Ok(()),
        }
    }

    fn check_before_5(&self) -> Result<(), SettingsError> {
        if self.session_expiry_secs != 0 {
            return Err(SettingsError::NeedsVersion5("a session expiry"));
        }
        if self.authentication.is_some() {
            return Err(SettingsError::NeedsVersion5("enhanced authentication"));
        }
        let will_properties = self.will.as_ref().is_some_and(|will| !will.properties.is_empty());
        if will_properties || !self.connect_properties.is_empty() {
            return Err(SettingsError::NeedsVersion5("a property"));
        }
        if self.password.is_some() && self.user_name.is_none() {
            return Err(SettingsError::PasswordWithoutUserName);
        }
        let chars = self.client_id.chars().count();
        let allowed = match self.version {
            Version::V31 => (1..=23).contains(&chars),
            _ => chars > 0 || self.clean_start,
        };
        if allowed { Ok(()) } else { Err(SettingsError::ClientId) }
    }
}

fn check_text(text: &str, what: &'static str) -> Result<(), SettingsError> {
    check_len(text.as_bytes(), what)?;
    if topic::has_discouraged(text) { Err(SettingsError::Text(what)) } else { Ok(()) }
}

fn check_len(bytes: &[u8], what: &'static str) -> Result<(), SettingsError> {
    if bytes.len() > usize::from(u16::MAX) { Err(SettingsError::Text(what)) } else { Ok(()) }
}
