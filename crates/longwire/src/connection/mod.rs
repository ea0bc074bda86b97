//! The options that `pub`, `sub` and `rr` share: where to connect, as whom, in which version, and with which will. They
//! become the options of the client library here; what went wrong becomes one line and an exit code.

mod letters;
mod talk;
mod transport;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use longwire_client::protocol;
use longwire_client::{
    AcknowledgeError, Cause, Client, ConnectError, DialFault, Options, PropertiesBuf, PublishError, QoS,
    ReasonCode, Scheme, SubscribeError, Url, Version, Will,
};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::property::{PropertyArgs, Target};
use crate::{complain, exit};
use letters::RefusedLetters;
pub(crate) use talk::Talk;
pub(crate) use transport::TransportArgs;

/// Where to connect, and as whom.
#[derive(clap::Args)]
pub(crate) struct ConnectionArgs {
    /// Server to connect to.
    #[arg(short = 'h', long, value_name = "HOST", default_value = "localhost", help_heading = "Connection")]
    host: String,
    /// Port of the server; 1883, or with TLS 8883, unless given. 8883 means TLS.
    #[arg(short, long, value_name = "PORT", help_heading = "Connection")]
    port: Option<u16>,
    /// Server, credentials and topic at once: `mqtt://[user[:password]@]host[:port]/topic`, or `mqtts://` for TLS.
    /// `ws://`, `wss://` and `unix:/path` name a server alone.
    #[arg(short = 'L', long, value_name = "URL", conflicts_with_all = ["host", "port"], help_heading = "Connection")]
    url: Option<String>,
    /// Server on this machine, by the path of its socket.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["host", "port", "url"], help_heading = "Connection")]
    unix: Option<PathBuf>,
    #[command(flatten)]
    transport: TransportArgs,
    /// User name.
    #[arg(short, long, value_name = "NAME", help_heading = "Connection")]
    username: Option<String>,
    /// Password.
    #[arg(
        short = 'P',
        long = "pw",
        value_name = "PASSWORD",
        allow_hyphen_values = true,
        help_heading = "Connection"
    )]
    password: Option<OsString>,
    /// Client id; without one a random one is made, in 5.0 by the server.
    #[arg(short, long, value_name = "ID", help_heading = "Connection")]
    id: Option<String>,
    /// Client id made of this prefix and the number of the process.
    #[arg(short = 'I', long, value_name = "PREFIX", conflicts_with = "id", help_heading = "Connection")]
    id_prefix: Option<String>,
    /// Seconds of silence after which the connection is probed; 0 for never.
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60, help_heading = "Connection")]
    keepalive: u16,
    /// Take up the session that the server keeps for this client id, and leave it there at the end.
    #[arg(short = 'c', long, help_heading = "Connection")]
    disable_clean_session: bool,
    /// Seconds the server keeps the session after the end, -1 for ever. Version 5 only.
    #[arg(
        short = 'x',
        long,
        value_name = "SECONDS",
        value_parser = expiry,
        allow_hyphen_values = true,
        help_heading = "Connection"
    )]
    session_expiry_interval: Option<u32>,
    /// Version of the protocol: 5, 311 or 31 (also mqttv5, mqttv311, mqttv31). Without it 5 if -D or -x needs that, and
    /// otherwise 311 for `pub` and `sub`, 5 for `rr`.
    #[arg(short = 'V', long, value_name = "VERSION", value_parser = version, help_heading = "Connection")]
    protocol_version: Option<Version>,
    /// Topic of the will, which the server publishes if this program vanishes.
    #[arg(long, value_name = "TOPIC", help_heading = "Will")]
    will_topic: Option<String>,
    /// Payload of the will; empty if not given.
    #[arg(
        long,
        value_name = "TEXT",
        requires = "will_topic",
        allow_hyphen_values = true,
        help_heading = "Will"
    )]
    will_payload: Option<OsString>,
    /// QoS of the will: 0, 1 or 2.
    #[arg(long, value_name = "QOS", value_parser = qos, default_value = "0", requires = "will_topic", help_heading = "Will")]
    will_qos: QoS,
    /// Have the will retained.
    #[arg(long, requires = "will_topic", help_heading = "Will")]
    will_retain: bool,
    #[command(flatten)]
    pub(crate) properties: PropertyArgs,
    /// Taken for the sake of scripts: small packets never wait for others here.
    #[arg(long, help_heading = "Connection")]
    nodelay: bool,
    #[command(flatten)]
    refused: RefusedLetters,
    /// Tell on standard error what happens.
    #[arg(short, long)]
    debug: bool,
    /// Keep quiet about what goes wrong while running; the exit code still tells.
    #[arg(long)]
    quiet: bool,
    /// Print this help.
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

impl ConnectionArgs {
    pub(crate) fn talk(&self) -> Talk {
        Talk { quiet: self.quiet, debug: self.debug }
    }

    /// The topic in the path of `--url`, if there is one; other paths than those of MQTT's own schemes are no topics.
    pub(crate) fn topic(&self) -> Option<String> {
        let url = Url::parse(self.url.as_deref()?).ok()?;
        url.path.filter(|path| !path.is_empty() && matches!(url.scheme, Scheme::Mqtt | Scheme::Mqtts))
    }

    /// Speaks this version unless another one is asked for.
    pub(crate) fn prefer(&mut self, version: Version) {
        self.protocol_version.get_or_insert(version);
    }

    /// The version: as asked for, or 5 where something needs it.
    pub(crate) fn version(&self) -> Version {
        let needs_5 = self.session_expiry_interval.is_some() || !self.properties.is_empty();
        self.protocol_version.unwrap_or(if needs_5 { Version::V5 } else { Version::V311 })
    }

    /// The client's options.
    ///
    /// # Errors
    /// A value does not fit; the text says which, and what would.
    pub(crate) fn options(&self) -> Result<Options, String> {
        self.refused.check()?;
        if !self.properties.is_empty() && self.version() < Version::V5 {
            return Err("-D needs version 5: leave -V out, or make it 5".to_owned());
        }
        if self.disable_clean_session && self.id.is_none() && self.id_prefix.is_none() {
            return Err("-c takes up a session by its client id: add -i ID".to_owned());
        }
        let mut options = match (&self.url, &self.unix) {
            (Some(url), _) => self.transport.by_url(url)?,
            (None, Some(path)) => self.transport.by_path(path)?,
            (None, None) => self.transport.by_host(&self.host, self.port)?,
        };
        options = options
            .version(self.version())
            .keep_alive(Duration::from_secs(u64::from(self.keepalive)))
            .clean_start(!self.disable_clean_session);
        if let Some(name) = &self.username {
            options = options.user_name(name);
        }
        if let Some(password) = &self.password {
            options = options.password(password.clone().into_vec());
        }
        if let Some(id) = &self.id {
            options = options.client_id(id);
        }
        if let Some(prefix) = &self.id_prefix {
            options = options.client_id(format!("{prefix}{}", std::process::id()));
        }
        options = self.with_session(options);
        options = self.with_will(options)?;
        self.properties.connect(options)
    }

    /// A session that is taken up is kept for ever, unless told otherwise.
    fn with_session(&self, options: Options) -> Options {
        let kept = self.disable_clean_session && self.version() == Version::V5;
        match self.session_expiry_interval.or(kept.then_some(u32::MAX)) {
            Some(u32::MAX) => options.session_expiry(Duration::MAX),
            Some(secs) => options.session_expiry(Duration::from_secs(u64::from(secs))),
            None => options,
        }
    }

    fn with_will(&self, options: Options) -> Result<Options, String> {
        let properties = self.properties.of(Target::Will)?;
        let Some(topic) = &self.will_topic else {
            return if properties.is_empty() {
                Ok(options)
            } else {
                Err("-D WILL describes a will: name its topic with --will-topic".to_owned())
            };
        };
        Ok(options.will_with(Will {
            topic: topic.clone(),
            payload: self.will_payload.clone().unwrap_or_default().into_vec(),
            qos: self.will_qos,
            retain: self.will_retain,
            properties,
        }))
    }

    /// The properties of the last packet.
    pub(crate) fn farewell(&self) -> Result<PropertiesBuf, String> {
        self.properties.of(Target::Disconnect)
    }

    /// The exit code for a failed first connection, after saying why it failed.
    pub(crate) fn failed(&self, error: &ConnectError) -> ExitCode {
        match error {
            ConnectError::Options(error) => {
                complain(error);
                ExitCode::from(exit::USAGE)
            }
            ConnectError::Failed(cause) => {
                self.talk().error(self.with_remedy(cause));
                ExitCode::from(self.code(cause))
            }
        }
    }

    /// The exit code of a client that came to its end.
    pub(crate) fn code(&self, cause: &Cause) -> u8 {
        refusal_code(cause, self.version())
    }

    /// The exit code for a subscription that was not granted.
    pub(crate) fn code_of_subscription(&self, error: &SubscribeError) -> u8 {
        match error {
            SubscribeError::Refused { .. } => exit::DENIED,
            SubscribeError::Closed(cause) => self.code(cause),
            _ => exit::FAILURE,
        }
    }

    /// The exit code for a publication that was not accepted.
    pub(crate) fn code_of_publication(&self, error: &PublishError) -> u8 {
        match error {
            PublishError::Closed(cause) => self.code(cause),
            PublishError::Rejected(_) => exit::FAILURE,
        }
    }

    /// The exit code for a publication that was not acknowledged.
    pub(crate) fn code_of_acknowledgement(&self, error: &AcknowledgeError) -> u8 {
        match error {
            AcknowledgeError::Refused(_) => exit::DENIED,
            AcknowledgeError::Closed(cause) => self.code(cause),
            _ => exit::FAILURE,
        }
    }

    fn with_remedy(&self, cause: &Cause) -> String {
        let place = match (&self.url, &self.unix) {
            (Some(url), _) => place(url),
            (None, Some(path)) => path.display().to_string(),
            (None, None) => {
                let default =
                    if self.transport.wants_tls() { transport::TLS_PORT } else { Scheme::Mqtt.port() };
                format!("{}:{}", self.host, self.port.unwrap_or(default))
            }
        };
        explained(&place, cause, "-h and -p choose another place")
    }
}

/// A URL without user name and password, as it may be shown.
pub(crate) fn place(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
    let user = authority.rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}{}", &rest[user..])
}

/// A refused connection has the code of its CONNACK, as this version of the protocol writes it.
pub(crate) fn refusal_code(cause: &Cause, version: Version) -> u8 {
    match cause {
        Cause::Ended(protocol::Cause::Refused(refusal)) if version == Version::V5 => refusal.reason as u8,
        Cause::Ended(protocol::Cause::Refused(refusal)) => refusal.reason.to_v3_connack(),
        _ => exit::FAILURE,
    }
}

/// A line about a connection that could not be made: where, why, and what to do. `elsewhere` is how
/// another place is chosen.
pub(crate) fn explained(place: &str, cause: &Cause, elsewhere: &str) -> String {
    match cause {
        Cause::Unreachable(error) => match &error.fault {
            DialFault::Lookup { .. } | DialFault::Network(_) | DialFault::Timeout { .. } => {
                let error = error.to_string();
                // Most end with a question.
                format!("{error}{} {elsewhere}", if error.ends_with('?') { "" } else { ";" })
            }
            _ => error.to_string(),
        },
        Cause::Ended(protocol::Cause::Refused(refusal))
            if matches!(refusal.reason, ReasonCode::BadUserNameOrPassword | ReasonCode::NotAuthorized) =>
        {
            format!("no connection to {place}: {cause}; -u and -P say who you are")
        }
        Cause::Ended(protocol::Cause::ConnackTimeout) => {
            format!("no connection to {place}: {cause}; is it an MQTT broker?")
        }
        cause => format!("no connection to {place}: {cause}"),
    }
}

/// Runs a tool on this thread alone: the quickest to begin and to end, for a tool that never blocks it.
pub(crate) fn run(tool: impl Future<Output = ExitCode>) -> ExitCode {
    run_on(Builder::new_current_thread(), tool)
}

/// Runs a tool whose connection goes on while this thread is busy with standard output.
pub(crate) fn run_beside_output(tool: impl Future<Output = ExitCode>) -> ExitCode {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1);
    run_on(builder, tool)
}

fn run_on(mut builder: Builder, tool: impl Future<Output = ExitCode>) -> ExitCode {
    match builder.enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(tool);
            // A name look-up that still hangs must not hold up the end.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            complain(format_args!("cannot start: {error}"));
            ExitCode::from(exit::FAILURE)
        }
    }
}

/// Ends the connection in good order.
pub(crate) async fn leave(client: &Client, properties: &PropertiesBuf) {
    client.disconnect_with(ReasonCode::Success, properties.as_properties()).await;
}

/// Resolves to the number of the signal, SIGINT or SIGTERM, that asks the program to end.
///
/// # Errors
/// Signals cannot be waited for.
pub(crate) async fn asked_to_end() -> std::io::Result<i32> {
    let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
    let (mut interrupted, mut terminated) = (signal(interrupt)?, signal(terminate)?);
    tokio::select! {
        Some(()) = interrupted.recv() => Ok(interrupt.as_raw_value()),
        Some(()) = terminated.recv() => Ok(terminate.as_raw_value()),
        else => std::future::pending().await,
    }
}

/// A line about a topic that the broker does not let us use, with the remedy where there is one.
pub(crate) fn denied(topic: &str, reason: ReasonCode) -> String {
    let remedy = match reason {
        ReasonCode::NotAuthorized => "; -u and -P log in as somebody who may, or ask who runs the broker",
        _ => "",
    };
    format!("the broker refused '{topic}': {} (0x{:02X}){remedy}", reason.name(), reason as u8)
}

/// Tells why a publication was not acknowledged.
pub(crate) fn tell_unacknowledged(talk: Talk, topic: &str, error: &AcknowledgeError) {
    match error {
        AcknowledgeError::Refused(reason) => talk.error(denied(topic, *reason)),
        error => talk.error(error),
    }
}

/// 0, 1 or 2.
pub(crate) fn qos(text: &str) -> Result<QoS, String> {
    let number = text.parse().ok().and_then(QoS::from_bits);
    number.ok_or_else(|| "QoS is 0, 1 or 2".to_owned())
}

fn version(text: &str) -> Result<Version, String> {
    match text {
        "5" | "mqttv5" => Ok(Version::V5),
        "311" | "mqttv311" => Ok(Version::V311),
        "31" | "mqttv31" => Ok(Version::V31),
        _ => Err("the versions are 5, 311 and 31".to_owned()),
    }
}

fn expiry(text: &str) -> Result<u32, String> {
    match text {
        "-1" | "∞" => Ok(u32::MAX),
        _ => text.parse().map_err(|_| "give seconds, or -1 for ever".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_tells_no_secrets() {
        for (url, shown) in [
            ("mqtt://me:secret@host:1/a@b", "mqtt://host:1/a@b"),
            ("me@host", "host"),
            ("host:1884", "host:1884"),
            ("mqtts://[::1]:1884", "mqtts://[::1]:1884"),
            ("unix:/run/a@b", "unix:/run/a@b"),
        ] {
            assert_eq!(place(url), shown);
        }
    }
}
