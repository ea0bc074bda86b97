//! What to connect to and how: a builder whose defaults are safe to leave alone.
//!
//! Nothing here opens a socket. [`Options`] becomes a connection by `Client::connect` or `Client::start`, which
//! hand the protocol's part of it (`longwire_proto::client::Settings`) to the state machine.

use std::fmt;
use std::time::Duration;

use longwire_proto::client::{Authentication, Settings, Will};
use longwire_proto::property::{PropertiesBuf, Property};
use longwire_proto::{QoS, Version};

use crate::reconnect::Reconnect;

/// How long a session of 5.0 outlives a lost connection, unless [`Options::session_expiry`] says otherwise.
const BRIDGED: Duration = Duration::from_mins(5);

/// Where to connect, as whom, and within which bounds.
///
/// ```
/// use std::time::Duration;
/// use longwire_client::{Options, QoS, Reconnect};
///
/// let options = Options::new("broker.example")
///     .port(1884)
///     .client_id("kitchen-7")
///     .credentials("kitchen", "secret")
///     .keep_alive(Duration::from_secs(30))
///     .will("kitchen/7/state", "gone", QoS::AtLeastOnce, true)
///     .reconnect(Reconnect::forever().delays(Duration::from_secs(1), Duration::from_secs(120)));
/// # let _ = options;
/// ```
pub struct Options {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) settings: Settings,
    /// The session was not given a length: it bridges reconnects and ends with `Client::disconnect`.
    pub(crate) bridge_session: bool,
    pub(crate) reconnect: Reconnect,
    pub(crate) dial_timeout: Duration,
    pub(crate) messages_max: usize,
    pub(crate) authenticator: Option<Authenticator>,
}

/// Answers the challenges of enhanced authentication.
pub(crate) type Authenticator = Box<dyn FnMut(&[u8]) -> Option<Vec<u8>> + Send>;

impl Options {
    /// A server by name or address, at port 1883.
    ///
    /// The defaults: MQTT 5.0; a client id assigned by the server; a keep-alive of 60 s; a new session, which
    /// bridges lost connections of up to five minutes (before 5.0: which ends with each connection); a
    /// reconnect for ever; bounded queues.
    pub fn new(host: impl Into<String>) -> Self {
        Options {
            host: host.into(),
            port: 1883,
            settings: Settings::default(),
            bridge_session: true,
            reconnect: Reconnect::default(),
            dial_timeout: Duration::from_secs(10),
            messages_max: 64,
            authenticator: None,
        }
    }

    /// A server by URL: `mqtt://[user[:password]@]host[:port]`, or just `host[:port]`. User name and password may
    /// be percent-encoded; an IPv6 address stands in brackets. A path is ignored.
    ///
    /// # Errors
    /// The text is no such URL, or it asks for a transport that is not built in.
    ///
    /// ```
    /// use longwire_client::Options;
    ///
    /// assert!(Options::from_url("mqtt://me:secret@[::1]:1884").is_ok());
    /// assert!(Options::from_url("mqtts://broker.example").is_err());
    /// ```
    pub fn from_url(url: &str) -> Result<Self, UrlError> {
        let url = Url::parse(url)?;
        let mut options = Options::new(url.host).port(url.port);
        options.settings.user_name = url.user_name;
        options.settings.password = url.password.map(String::into_bytes);
        Ok(options)
    }

    /// The port; 1883 if not called.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The protocol version; 5.0 if not called.
    pub fn version(mut self, version: Version) -> Self {
        self.settings.version = version;
        self
    }

    /// The client id, which names the session. If not called, the server assigns one; before 5.0 a random one is
    /// made here.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.settings.client_id = client_id.into();
        self
    }

    /// User name and password.
    pub fn credentials(mut self, user_name: impl Into<String>, password: impl Into<Vec<u8>>) -> Self {
        self.settings.user_name = Some(user_name.into());
        self.settings.password = Some(password.into());
        self
    }

    /// A user name without a password.
    pub fn user_name(mut self, user_name: impl Into<String>) -> Self {
        self.settings.user_name = Some(user_name.into());
        self
    }

    /// A password; without a user name only in 5.0.
    pub fn password(mut self, password: impl Into<Vec<u8>>) -> Self {
        self.settings.password = Some(password.into());
        self
    }

    /// Longest silence before the client speaks up; whole seconds up to 65,535, zero switches it off. Default 60 s.
    pub fn keep_alive(mut self, keep_alive: Duration) -> Self {
        self.settings.keep_alive_secs = u16::try_from(keep_alive.as_secs()).unwrap_or(u16::MAX);
        self
    }

    /// How long the server may take to answer a PINGREQ before it counts as dead. Default 10 s.
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.settings.ping_timeout_ms = millis(timeout);
        self
    }

    /// How long name look-up and connection establishment may take together. Default 10 s.
    pub fn dial_timeout(mut self, timeout: Duration) -> Self {
        self.dial_timeout = timeout;
        self
    }

    /// How long the server may take to answer CONNECT. Default 10 s.
    pub fn connack_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connack_timeout_ms = millis(timeout);
        self
    }

    /// `true` (the default) begins with a new session; `false` takes up the one the server holds under this
    /// client id, queued messages included.
    pub fn clean_start(mut self, clean_start: bool) -> Self {
        self.settings.clean_start = clean_start;
        self
    }

    /// How long the server keeps the session after this connection, [`Duration::MAX`] for ever. 5.0 only; before,
    /// sessions that do not start clean stay as long as the server likes.
    ///
    /// If this is not called, a session that starts clean outlives a lost connection by five minutes and ends with
    /// `Client::disconnect`.
    pub fn session_expiry(mut self, expiry: Duration) -> Self {
        self.settings.session_expiry_secs = u32::try_from(expiry.as_secs()).unwrap_or(u32::MAX);
        self.bridge_session = false;
        self
    }

    /// What the server publishes if this client vanishes.
    pub fn will(self, topic: impl Into<String>, payload: impl Into<Vec<u8>>, qos: QoS, retain: bool) -> Self {
        let properties = PropertiesBuf::new();
        self.will_with(Will { topic: topic.into(), payload: payload.into(), qos, retain, properties })
    }

    /// The same with properties, Will Delay Interval among them (5.0 only).
    pub fn will_with(mut self, will: Will) -> Self {
        self.settings.will = Some(will);
        self
    }

    /// Adds a property to CONNECT: a User Property, Request Problem or Response Information. 5.0 only.
    pub fn connect_property(mut self, property: Property<'_>) -> Self {
        self.settings.connect_properties.push(property);
        self
    }

    /// Enhanced authentication (5.0): the method, the first data, and a function that answers each challenge, or
    /// gives up with `None`.
    pub fn authentication(
        mut self,
        method: impl Into<String>,
        data: Option<Vec<u8>>,
        answer: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        self.settings.authentication = Some(Authentication { method: method.into(), data });
        self.authenticator = Some(Box::new(answer));
        self
    }

    /// When to dial again after a connection was lost. Default: for ever.
    pub fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// Messages kept here until they are taken from `Messages`; with as many waiting, the client stops reading,
    /// and the server notices. Default 64.
    pub fn messages_max(mut self, messages: usize) -> Self {
        self.messages_max = messages.max(1);
        self
    }

    /// QoS 1 and 2 messages the server may have open towards this client. Default 256.
    pub fn receive_maximum(mut self, messages: u16) -> Self {
        self.settings.receive_maximum = messages;
        self
    }

    /// Bytes of the largest packet taken in; a larger one ends the connection. Default 2 MiB.
    pub fn packet_size_max(mut self, bytes: u32) -> Self {
        self.settings.packet_size_max = bytes;
        self
    }

    /// QoS 1 and 2 messages sent and not yet acknowledged. Default 100.
    pub fn in_flight_max(mut self, messages: u16) -> Self {
        self.settings.in_flight_max = messages;
        self
    }

    /// Publications that wait for a connection or for the window, by number and by bytes. Past either bound,
    /// `Client::publish` waits. Defaults 1,000 and 16 MiB.
    pub fn queue_max(mut self, messages: usize, bytes: usize) -> Self {
        self.settings.queue_messages_max = messages;
        self.settings.queue_bytes_max = bytes;
        self
    }

    /// Topic aliases: how many the server may use, and how many this client uses if the server lets it. Defaults
    /// 16 and 16. 5.0 only.
    pub fn topic_aliases(mut self, received_max: u16, sent_max: u16) -> Self {
        self.settings.topic_alias_maximum = received_max;
        self.settings.topic_aliases_used_max = sent_max;
        self
    }

    /// The settings in their final form.
    pub(crate) fn into_settings(mut self) -> (Settings, Dial) {
        if self.settings.version < Version::V5 {
            if self.settings.client_id.is_empty() {
                self.settings.client_id = crate::random::client_id();
            }
        } else if self.bridge_session {
            self.settings.session_expiry_secs = BRIDGED.as_secs() as u32;
        }
        let dial = Dial {
            host: self.host,
            port: self.port,
            timeout: self.dial_timeout,
            reconnect: self.reconnect,
            messages_max: self.messages_max,
            authenticator: self.authenticator,
            ends_session: self.bridge_session && self.settings.clean_start,
        };
        (self.settings, dial)
    }
}

impl fmt::Debug for Options {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("version", &self.settings.version)
            .field("client_id", &self.settings.client_id)
            .field("user_name", &self.settings.user_name)
            .field("reconnect", &self.reconnect)
            .finish_non_exhaustive()
    }
}

/// The driver's part of the options.
pub(crate) struct Dial {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) timeout: Duration,
    pub(crate) reconnect: Reconnect,
    pub(crate) messages_max: usize,
    pub(crate) authenticator: Option<Authenticator>,
    /// A deliberate disconnect ends the session too.
    pub(crate) ends_session: bool,
}

/// Why a text is not the URL of a server this client can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// Only `mqtt://` is built in.
    Scheme(String),
    /// No host.
    Host,
    /// Not a port.
    Port(String),
    /// A percent sign without two hexadecimal digits, or text that is not UTF-8.
    Encoding,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UrlError::Scheme(scheme) => {
                write!(
                    f,
                    "no transport for '{scheme}://' is built in: use mqtt://host:port, which is plain TCP"
                )
            }
            UrlError::Host => f.write_str("the URL names no host: use mqtt://host:port"),
            UrlError::Port(port) => write!(f, "'{port}' is not a port: use a number from 1 to 65535"),
            UrlError::Encoding => {
                f.write_str("the URL has a '%' that is not followed by two hexadecimal digits")
            }
        }
    }
}

impl std::error::Error for UrlError {}

/// The parts of `mqtt://[user[:password]@]host[:port][/path]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port, 1883 unless given.
    pub port: u16,
    /// User name, decoded.
    pub user_name: Option<String>,
    /// Password, decoded.
    pub password: Option<String>,
    /// What follows the first slash, as it stands.
    pub path: Option<String>,
}

impl Url {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// As [`Options::from_url`].
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let rest = match url.split_once("://") {
            Some(("mqtt", rest)) => rest,
            Some((scheme, _)) => return Err(UrlError::Scheme(scheme.to_owned())),
            None => url,
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path.to_owned())),
            None => (rest, None),
        };
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place)?;
        let (user_name, password) = match user.map(|user| user.split_once(':').ok_or(user)) {
            None => (None, None),
            Some(Ok((name, password))) => (Some(percent_decoded(name)?), Some(percent_decoded(password)?)),
            Some(Err(name)) => (Some(percent_decoded(name)?), None),
        };
        Ok(Url { host, port, user_name, password, path })
    }
}

fn host_and_port(place: &str) -> Result<(String, u16), UrlError> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(UrlError::Host)?;
            (host, after.strip_prefix(':').or((!after.is_empty()).then_some(after)))
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    if host.is_empty() {
        return Err(UrlError::Host);
    }
    let port = match port {
        None => 1883,
        Some(port) => {
            let number = port.parse().ok().filter(|&number: &u16| number != 0);
            number.ok_or_else(|| UrlError::Port(port.to_owned()))?
        }
    };
    Ok((host.to_owned(), port))
}

fn percent_decoded(text: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_first_chunk::<2>().ok_or(UrlError::Encoding)?;
        let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (high, low) else { return Err(UrlError::Encoding) };
        bytes.push((high * 16 + low) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| UrlError::Encoding)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_comes_apart() {
        let url = Url::parse("mqtt://me%40home:p%3aw@[::1]:1884/a/b").expect("valid");
        assert_eq!(url.host, "::1");
        assert_eq!(url.port, 1884);
        assert_eq!(url.user_name.as_deref(), Some("me@home"));
        assert_eq!(url.password.as_deref(), Some("p:w"));
        assert_eq!(url.path.as_deref(), Some("a/b"));
    }

    #[test]
    fn a_bare_host_means_mqtt_on_1883() {
        let url = Url::parse("broker").expect("valid");
        assert_eq!((url.host.as_str(), url.port, url.path), ("broker", 1883, None));
        assert_eq!(Url::parse("broker:7").expect("valid").port, 7);
    }

    #[test]
    fn a_transport_that_is_not_built_in_is_refused() {
        assert_eq!(Url::parse("mqtts://broker"), Err(UrlError::Scheme("mqtts".to_owned())));
    }

    #[test]
    fn bad_urls_name_their_fault() {
        assert_eq!(Url::parse("mqtt://"), Err(UrlError::Host));
        assert_eq!(Url::parse("mqtt://[::1"), Err(UrlError::Host));
        assert_eq!(Url::parse("mqtt://h:0"), Err(UrlError::Port("0".to_owned())));
        assert_eq!(Url::parse("mqtt://h:x"), Err(UrlError::Port("x".to_owned())));
        assert_eq!(Url::parse("mqtt://[::1]x"), Err(UrlError::Port("x".to_owned())));
        assert_eq!(Url::parse("mqtt://u%4@h"), Err(UrlError::Encoding));
        assert_eq!(Url::parse("mqtt://u%ff@h"), Err(UrlError::Encoding));
    }

    #[test]
    fn a_password_is_not_shown() {
        let options = Options::new("h").credentials("me", "secret");
        assert!(!format!("{options:?}").contains("secret"));
    }

    #[test]
    fn a_session_without_a_given_length_bridges_and_then_ends() {
        let (settings, dial) = Options::new("h").into_settings();
        assert_eq!(settings.session_expiry_secs, 300);
        assert!(dial.ends_session);
    }

    #[test]
    fn a_session_with_a_given_length_outlives_the_client() {
        let (settings, dial) = Options::new("h").session_expiry(Duration::from_secs(7)).into_settings();
        assert_eq!(settings.session_expiry_secs, 7);
        assert!(!dial.ends_session);
    }

    #[test]
    fn before_5_a_missing_client_id_is_made_here() {
        let (settings, _) = Options::new("h").version(Version::V31).into_settings();
        assert_eq!(settings.client_id.len(), 23);
        assert_eq!(settings.check(), Ok(()));
    }
}
