//! What to connect to and how: a builder whose defaults are safe to leave alone.
//!
//! Nothing here opens a socket. [`Options`] becomes a connection by `Client::connect` or `Client::start`, which
//! hand the protocol's part of it (`longwire_proto::client::Settings`) to the state machine.

use std::fmt;
use std::net::IpAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;

use longwire_proto::client::{Authentication, Settings, SettingsError, Will};
use longwire_proto::property::{PropertiesBuf, Property};
use longwire_proto::{QoS, Version};

use crate::authenticate::{Answering, Authenticator, BoxError, Credentials, CredentialsSource};
use crate::reconnect::Reconnect;
use crate::shared::Parts;
#[cfg(feature = "tls")]
use crate::tls::{Tls, TlsError};
#[cfg(feature = "tls")]
use crate::transport::tls;
#[cfg(feature = "websocket")]
use crate::transport::websocket::WebSocket;
use crate::transport::{Place, Proxy, Transport};
use crate::url::{Scheme, Url, UrlError};

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
    place: Where,
    /// That of the transport, unless set.
    port: Option<u16>,
    proxy: Option<Proxy>,
    local_address: Option<IpAddr>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    #[cfg(feature = "websocket")]
    websocket: Option<WebSocket>,
    settings: Settings,
    /// The session was not given a length: it bridges reconnects and ends with `Client::disconnect`.
    bridge_session: bool,
    reconnect: Reconnect,
    dial_timeout: Duration,
    messages_max: usize,
    authenticator: Option<Box<dyn Authenticator>>,
    credentials: Option<CredentialsSource>,
    follows_references: bool,
    response_prefix: String,
}

#[derive(Debug)]
enum Where {
    Host(String),
    #[cfg(unix)]
    Unix(PathBuf),
}

impl Options {
    /// A server by name or address, at the port of the transport: 1883 for plain TCP, which is used unless
    /// [`Options::tls`] or [`Options::websocket`] is called.
    ///
    /// The defaults: MQTT 5.0; a client id assigned by the server; a keep-alive of 60 s; a new session, which
    /// bridges lost connections of up to five minutes (before 5.0: which ends with each connection); a
    /// reconnect for ever; bounded queues.
    pub fn new(host: impl Into<String>) -> Self {
        Options::at(Where::Host(host.into()))
    }

    /// A server on this machine, by the path of its socket.
    #[cfg(unix)]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Options::at(Where::Unix(path.into()))
    }

    fn at(place: Where) -> Self {
        Options {
            place,
            port: None,
            proxy: None,
            local_address: None,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "websocket")]
            websocket: None,
            settings: Settings::default(),
            bridge_session: true,
            reconnect: Reconnect::default(),
            dial_timeout: Duration::from_secs(10),
            messages_max: 64,
            authenticator: None,
            credentials: None,
            follows_references: true,
            response_prefix: "responses".to_owned(),
        }
    }

    /// A server by URL: `mqtt://[user[:password]@]host[:port]`, or just `host[:port]`; `mqtts://` for TLS; `ws://` and
    /// `wss://` for WebSocket, with its path; `unix:/path`. User name and password may be percent-encoded; an IPv6
    /// address stands in brackets. With `mqtt` and `mqtts` a path is ignored.
    ///
    /// # Errors
    /// The text is no such URL, or it asks for a transport that is not built in.
    ///
    /// ```
    /// use longwire_client::Options;
    ///
    /// assert!(Options::from_url("mqtt://me:secret@[::1]:1884").is_ok());
    /// assert!(Options::from_url("wss://broker.example/mqtt").is_ok());
    /// assert!(Options::from_url("coap://broker.example").is_err());
    /// ```
    pub fn from_url(url: &str) -> Result<Self, UrlError> {
        let url = Url::parse(url)?;
        let mut options = if url.scheme == Scheme::Unix {
            Options::by_path(url.path.unwrap_or_default())?
        } else {
            let options = Options::new(url.host).port(url.port).by_tls(url.scheme.is_tls())?;
            options.by_websocket(url.scheme.is_websocket(), url.path)?
        };
        options.settings.user_name = url.user_name;
        options.settings.password = url.password.map(String::into_bytes);
        Ok(options)
    }

    #[cfg(unix)]
    #[allow(clippy::unnecessary_wraps, reason = "it fails on other systems")]
    fn by_path(path: String) -> Result<Self, UrlError> {
        Ok(Options::unix(path))
    }

    #[cfg(not(unix))]
    fn by_path(_: String) -> Result<Self, UrlError> {
        Err(UrlError::Scheme("unix".to_owned()))
    }

    #[cfg(feature = "tls")]
    #[allow(clippy::unnecessary_wraps, reason = "it fails without the feature")]
    fn by_tls(self, wanted: bool) -> Result<Self, UrlError> {
        Ok(if wanted { self.tls(Tls::new()) } else { self })
    }

    #[cfg(not(feature = "tls"))]
    fn by_tls(self, wanted: bool) -> Result<Self, UrlError> {
        if wanted { Err(UrlError::NotBuiltIn("tls")) } else { Ok(self) }
    }

    #[cfg(feature = "websocket")]
    #[allow(clippy::unnecessary_wraps, reason = "it fails without the feature")]
    fn by_websocket(self, wanted: bool, path: Option<String>) -> Result<Self, UrlError> {
        Ok(if wanted { self.websocket(WebSocket::new(path.unwrap_or_default())) } else { self })
    }

    #[cfg(not(feature = "websocket"))]
    fn by_websocket(self, wanted: bool, _: Option<String>) -> Result<Self, UrlError> {
        if wanted { Err(UrlError::NotBuiltIn("websocket")) } else { Ok(self) }
    }

    /// The port; if not called 1883, with TLS 8883, with WebSocket 80, with both 443.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Protects the connection by TLS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Connects by a WebSocket, which [`Options::tls`] makes a protected one.
    #[cfg(feature = "websocket")]
    pub fn websocket(mut self, websocket: WebSocket) -> Self {
        self.websocket = Some(websocket);
        self
    }

    /// Connects through a proxy. No environment variable is read.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Connects from this address of the machine instead of the one that the system chooses.
    pub fn local_address(mut self, address: IpAddr) -> Self {
        self.local_address = Some(address);
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

    /// How long the way to the server may take, with name look-up, proxy, TLS and WebSocket. Default 10 s.
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

    /// Asks for user name and password before each connection, the first one included: for tokens that expire. If the
    /// function fails, or takes longer than [`Options::dial_timeout`], the connection counts as failed and is tried
    /// again. Credentials that the server refuses do not end the client then: the next ones may be better.
    ///
    /// ```
    /// use longwire_client::{BoxError, Credentials, Options};
    ///
    /// async fn fresh_token() -> Result<String, BoxError> {
    ///     Ok("eyJhbGciOiJFZERTQSJ9".to_owned())
    /// }
    ///
    /// let options = Options::new("localhost").credentials_with(|| async {
    ///     Ok(Credentials::new("kitchen-7", fresh_token().await?))
    /// });
    /// ```
    pub fn credentials_with<F, Fresh>(mut self, mut fresh: F) -> Self
    where
        F: FnMut() -> Fresh + Send + 'static,
        Fresh: Future<Output = Result<Credentials, BoxError>> + Send + 'static,
    {
        self.credentials = Some(Box::new(move || Box::pin(fresh())));
        self
    }

    /// Enhanced authentication (5.0) by a method that has first data, if any, and a function that answers each
    /// challenge, or gives up with `None`. [`Options::authenticator`] is for methods that need more.
    pub fn authentication(
        self,
        method: impl Into<String>,
        data: Option<Vec<u8>>,
        answer: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        self.authenticator(Answering { method: method.into(), data, answer })
    }

    /// Enhanced authentication (5.0).
    pub fn authenticator(mut self, authenticator: impl Authenticator + 'static) -> Self {
        self.settings.authentication =
            Some(Authentication { method: authenticator.method().to_owned(), data: None });
        self.authenticator = Some(Box::new(authenticator));
        self
    }

    /// Whether to go where a server sends this client by a Server Reference (5.0), with the same transport and
    /// credentials; up to five times in a row. Default: yes. Otherwise such an ending is final.
    pub fn follow_server_references(mut self, follow: bool) -> Self {
        self.follows_references = follow;
        self
    }

    /// Where answers to requests come in, at a server that gives no Response Information: below this topic, under a
    /// random name. Default `responses`.
    pub fn response_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.response_prefix = prefix.into();
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
    pub(crate) fn into_settings(mut self) -> Result<(Settings, Dial, Parts), OptionsError> {
        if self.settings.version < Version::V5 {
            if self.settings.client_id.is_empty() {
                self.settings.client_id = crate::random::client_id();
            }
        } else if self.bridge_session {
            self.settings.session_expiry_secs = BRIDGED.as_secs() as u32;
        }
        let dial = Dial {
            transport: self.transport()?,
            reconnect: self.reconnect,
            follows_references: self.follows_references,
            credentials: self.credentials,
        };
        let parts = Parts {
            messages_max: self.messages_max,
            authenticator: self.authenticator,
            response_prefix: self.response_prefix,
            ends_session: self.bridge_session && self.settings.clean_start,
        };
        Ok((self.settings, dial, parts))
    }

    #[cfg_attr(
        not(any(feature = "tls", feature = "websocket")),
        allow(clippy::unnecessary_wraps, reason = "it fails with these features")
    )]
    fn transport(&self) -> Result<Transport, OptionsError> {
        let default_port = self.scheme().port();
        let place = match &self.place {
            Where::Host(host) => Place::Host { host: host.clone(), port: self.port.unwrap_or(default_port) },
            #[cfg(unix)]
            Where::Unix(path) => Place::Unix(path.clone()),
        };
        #[cfg(feature = "websocket")]
        if let Some(websocket) = &self.websocket {
            websocket.check()?;
        }
        #[cfg(feature = "tls")]
        let tls = match &self.tls {
            Some(tls) => {
                let protocol: &[u8] = if self.scheme().is_websocket() { b"http/1.1" } else { b"mqtt" };
                Some(tls::Connector::new(tls, &place, protocol).map_err(OptionsError::Tls)?)
            }
            None => None,
        };
        Ok(Transport {
            place,
            default_port,
            proxy: self.proxy.clone(),
            local_address: self.local_address,
            #[cfg(feature = "tls")]
            tls,
            #[cfg(feature = "websocket")]
            websocket: self.websocket.clone(),
            timeout: self.dial_timeout,
        })
    }

    #[cfg_attr(
        not(any(feature = "tls", feature = "websocket")),
        allow(clippy::unused_self, reason = "these features leave only one scheme")
    )]
    fn scheme(&self) -> Scheme {
        #[cfg(feature = "tls")]
        let tls = self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        let tls = false;
        #[cfg(feature = "websocket")]
        let websocket = self.websocket.is_some();
        #[cfg(not(feature = "websocket"))]
        let websocket = false;
        match (websocket, tls) {
            (false, false) => Scheme::Mqtt,
            (false, true) => Scheme::Mqtts,
            (true, false) => Scheme::Ws,
            (true, true) => Scheme::Wss,
        }
    }
}

impl fmt::Debug for Options {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("place", &self.place)
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
    pub(crate) transport: Transport,
    pub(crate) reconnect: Reconnect,
    pub(crate) follows_references: bool,
    pub(crate) credentials: Option<CredentialsSource>,
}

/// Options that no client can be made of.
#[derive(Debug)]
#[non_exhaustive]
pub enum OptionsError {
    /// They contradict each other or the protocol.
    Settings(SettingsError),
    /// TLS cannot be set up.
    #[cfg(feature = "tls")]
    Tls(TlsError),
    /// The path of a WebSocket that is none: white space or letters beyond ASCII must be percent-encoded.
    WebSocketPath(String),
    /// A header of the request for a WebSocket that is none: its name.
    WebSocketHeader(String),
}

impl From<SettingsError> for OptionsError {
    fn from(error: SettingsError) -> Self {
        OptionsError::Settings(error)
    }
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionsError::Settings(error) => error.fmt(f),
            #[cfg(feature = "tls")]
            OptionsError::Tls(error) => error.fmt(f),
            OptionsError::WebSocketPath(path) => {
                write!(f, "'{path}' is no path of a URL: percent-encode what is not plain ASCII")
            }
            OptionsError::WebSocketHeader(name) => {
                write!(f, "the header '{name}' has a character that HTTP does not allow")
            }
        }
    }
}

impl std::error::Error for OptionsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OptionsError::Settings(error) => Some(error),
            #[cfg(feature = "tls")]
            OptionsError::Tls(error) => Some(error),
            _ => None,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let options = Options::new("h").credentials("me", "secret");
        assert!(!format!("{options:?}").contains("secret"));
    }

    #[test]
    fn a_session_without_a_given_length_bridges_and_then_ends() {
        let (settings, _, parts) = Options::new("h").into_settings().expect("valid");
        assert_eq!(settings.session_expiry_secs, 300);
        assert!(parts.ends_session);
    }

    #[test]
    fn a_session_with_a_given_length_outlives_the_client() {
        let (settings, _, parts) =
            Options::new("h").session_expiry(Duration::from_secs(7)).into_settings().expect("valid");
        assert_eq!(settings.session_expiry_secs, 7);
        assert!(!parts.ends_session);
    }

    #[test]
    fn before_5_a_missing_client_id_is_made_here() {
        let (settings, ..) = Options::new("h").version(Version::V31).into_settings().expect("valid");
        assert_eq!(settings.client_id.len(), 23);
        assert_eq!(settings.check(), Ok(()));
    }
}
