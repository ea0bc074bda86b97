//! The settings of a broker. Each is declared once, in the table at the end of the public part: its name, type,
//! allowed values, unit, first version and text. The settings file, `--set`, `config show` and the reference in
//! `docs/reference/settings.md` all come from that table.
//!
//! Neighbours: `declare` says what a row of the table can be, `file` reads TOML, `reference` writes text for
//! people. Invariant: a value in [`Settings`] that came in through this module is within the bounds of its row.

mod declare;
mod error;
mod file;
mod listen;
mod reference;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::thread;

use longwire_broker::limits::Limits;

use declare::{Kind, Setting, choice, declare};

pub use error::SettingsError;
pub use listen::ListenAddress;

/// Everything an operator can choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: Vec<ListenAddress>,
    /// Whether clients without credentials may come from other machines.
    pub allow_anonymous: bool,
    /// Folder for what must survive a restart; without one, nothing does.
    pub data: Option<PathBuf>,
    /// What an acknowledged message survives, where there is a data folder.
    pub durability: Durability,
    /// Threads that serve clients.
    pub workers: usize,
    /// Least important lines that are still logged.
    pub log: LogLevel,
    /// Form of a log line.
    pub log_format: LogFormat,
    /// Bounds of the broker.
    pub limits: Limits,
    /// Where the values came from.
    pub origins: Origins,
}

choice! {
    /// What an acknowledged message survives.
    pub enum Durability {
        /// A power cut.
        Fsync = "fsync",
        /// The end of the process, however it ends, but not of the machine.
        Os = "os",
    }
}

choice! {
    /// How important a log line is.
    pub enum LogLevel {
        /// Something is broken and needs the operator.
        Error = "error",
        /// Something went wrong with one client, or soon will with all.
        Warn = "warn",
        /// What happens in the ordinary course of a day.
        Info = "info",
        /// What each client does.
        Debug = "debug",
        /// What each packet does.
        Trace = "trace",
    }
}

choice! {
    /// Form of a log line.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

/// Where the values of settings came from; what is not in here is the default.
#[derive(Clone, Debug, Default)]
pub struct Origins(BTreeMap<&'static str, Origin>);

/// Where one value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody chose it.
    Default,
    /// A line of the settings file.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
    },
    /// An option of the command line, such as `--set`.
    Option(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => out.write_str("default"),
            Origin::File { path, line } => write!(out, "{}:{line}", path.display()),
            Origin::Option(name) => out.write_str(name),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Settings {
            listen: vec![
                ListenAddress::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1883),
                ListenAddress::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 1883),
            ],
            allow_anonymous: false,
            data: None,
            durability: Durability::Fsync,
            workers: cores.min(4),
            log: LogLevel::Info,
            log_format: LogFormat::Text,
            limits: Limits::default(),
            origins: Origins::default(),
        }
    }
}

impl Settings {
    /// The defaults, changed by a settings file in TOML.
    ///
    /// # Errors
    /// If the file cannot be read, is not TOML, or holds an unknown setting or a value that is not allowed: with
    /// line, column and what to write instead.
    pub fn from_file(path: &Path) -> Result<Settings, SettingsError> {
        let mut settings = Settings::default();
        file::read(path, &mut settings)?;
        Ok(settings)
    }

    /// Changes one setting, named as in the reference (`limits.receive_max`), to a value written as text. Lists are
    /// separated by commas.
    ///
    /// # Errors
    /// If there is no such setting, or the value is not allowed.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), SettingsError> {
        self.set_by("--set", name, text)
    }

    /// As [`set`](Settings::set), for a setting that has a command-line option of its own; `config show` names it.
    ///
    /// # Errors
    /// As [`set`](Settings::set).
    pub fn set_by(&mut self, option: &'static str, name: &str, text: &str) -> Result<(), SettingsError> {
        let setting = declare::find(SETTINGS, name)?;
        let value = setting.kind.value_of(text);
        setting
            .write(self, value)
            .map_err(|reason| SettingsError::new(format!("`{name}` cannot be `{text}`: {reason}")))?;
        self.origins.0.insert(setting.name, Origin::Option(option));
        Ok(())
    }

    /// Where the value of a setting came from.
    pub fn origin(&self, name: &str) -> &Origin {
        self.origins.0.get(name).unwrap_or(&Origin::Default)
    }

    /// Checks what single settings cannot: that there is somewhere to listen, and that nobody is let in by oversight.
    ///
    /// # Errors
    /// With the lines to add or change.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.listen.is_empty() {
            return Err(SettingsError::new(
                "`listen` is empty, so no client could connect: name at least one mqtt://host:port",
            ));
        }
        self.check_listeners_differ()?;
        self.check_exposure()
    }

    /// Every setting with its effective value and where that came from, as a settings file.
    pub fn show(&self) -> String {
        reference::show(SETTINGS, self)
    }

    /// The reference of all settings, in Markdown.
    pub fn reference() -> String {
        reference::reference(SETTINGS)
    }

    fn check_listeners_differ(&self) -> Result<(), SettingsError> {
        for (index, address) in self.listen.iter().enumerate() {
            if address.port() != 0 && self.listen[..index].contains(address) {
                return Err(SettingsError::new(format!(
                    "`listen` names {address} twice: remove one of them"
                )));
            }
        }
        Ok(())
    }

    /// Safe by default: other machines are let in without credentials only if the operator says so.
    fn check_exposure(&self) -> Result<(), SettingsError> {
        match self.listen.iter().find(|address| !address.is_loopback()) {
            Some(address) if !self.allow_anonymous => Err(SettingsError::new(format!(
                "`listen` has {address}, which other machines can reach, and this version cannot ask clients for \
                 credentials yet: add the line `allow_anonymous = true` (or the option `--set \
                 allow_anonymous=true`) to let everybody in who can reach it, or listen on 127.0.0.1 or [::1] only"
            ))),
            _ => Ok(()),
        }
    }
}

declare! {
    pub(crate) static SETTINGS;

    settings {
        listen: Kind::Listeners, "", "0.1.0",
            "Where clients connect: a list of URLs `mqtt://host:port`; a bare `host:port` means the same. The host \
             is an address or a name; `0.0.0.0` and `[::]` are all addresses of the machine, and port 0 is a free \
             port that the system picks. An address that other machines can reach needs `allow_anonymous`.";
        allow_anonymous: Kind::Switch, "", "0.1.0",
            "Let clients without credentials in from other machines. Listeners on loopback always do. Credentials \
             do not exist yet, so every listener that other machines can reach needs this set to `true`, and \
             everybody who can reach it may then publish and subscribe.";
        data: Kind::Path, "", "0.1.0",
            "Folder for what must survive a restart: sessions, queued and retained messages, wills. It is made if it \
             is not there, and belongs to one broker at a time. To restore a broker, start it on a copy that was made \
             while it was stopped. Without a folder everything lives in memory and ends with the process.";
        durability: Kind::Choice(Durability::NAMES), "", "0.1.0",
            "What an acknowledged message survives, where there is a data folder: `fsync` a power cut, `os` the end of \
             the process, but not of the machine.";
        workers: Kind::Number { min: 1, max: 256 }, "threads", "0.1.0",
            "Threads that serve clients. A client always belongs to the same one; few busy threads wake each other \
             less than many idle ones.", default "the number of cores, at most 4";
        log: Kind::Choice(LogLevel::NAMES), "", "0.1.0",
            "Least important log lines that are still written to standard error.";
        log_format: Kind::Choice(LogFormat::NAMES), "", "0.1.0",
            "Form of a log line: `text` for people, `json` for one JSON object per line.";
    }

    limits {
        packet_size_max: Kind::Number { min: 64, max: 268_435_460 }, "bytes", "0.1.0",
            "Largest packet a client may send, fixed header included. A larger one is refused with 0x95 as soon as \
             its length is known, and the connection is closed.";
        topic_levels_max: Kind::Number { min: 1, max: 65_535 }, "levels", "0.1.0",
            "Levels of a topic name or filter. A deeper name is answered with 0x90, a deeper filter with 0x8F.";
        client_id_bytes_max: Kind::Number { min: 23, max: 65_535 }, "bytes", "0.1.0",
            "Length of a client identifier. A longer one is refused with 0x85.";
        receive_max: Kind::Number { min: 1, max: 65_535 }, "packets", "0.1.0",
            "QoS 1 and 2 messages a client may send before the first of them is answered (the Receive Maximum that \
             the broker announces). Beyond, a 5.0 client gets 0x93 and is closed; older clients are not read until \
             the broker has answered.";
        inflight_max: Kind::Number { min: 1, max: 65_535 }, "packets", "0.1.0",
            "QoS 1 and 2 messages sent to one client and not acknowledged yet, if the client does not ask for fewer. \
             Beyond, further messages wait.";
        topic_alias_max: Kind::Number { min: 0, max: 65_535 }, "aliases", "0.1.0",
            "Topic aliases a client may set on a connection. A higher one gets 0x94 and the connection is closed.";
        topic_alias_out_max: Kind::Number { min: 0, max: 65_535 }, "aliases", "0.1.0",
            "Topic aliases the broker sets towards a client that allows them.";
        inbound_qos2_max: Kind::Number { min: 1, max: 65_535 }, "packets", "0.1.0",
            "QoS 2 messages of a client before 5.0 that it has not released yet. Beyond, it is not read until it \
             has.";
        outbox_bytes_max: Kind::Number { min: 4_096, max: BYTES_MAX }, "bytes", "0.1.0",
            "Bytes that wait for one slow connection. Beyond, QoS 0 messages to it are dropped and counted, and \
             QoS 1 and 2 messages wait in its session.";
        queue_bytes_max: Kind::Number { min: 4_096, max: BYTES_MAX }, "bytes", "0.1.0",
            "Bytes of QoS 1 and 2 messages that wait in memory for one session that ends with its connection. \
             Beyond, the session is ended with 0x97. The same bound holds for a shared group that has only such \
             members, which then drops its newest messages and says so.";
        connections_max: Kind::Number { min: 1, max: COUNT_MAX }, "connections", "0.1.0",
            "Connections at a time. A further one is closed, with 0x97 where its CONNECT was read.";
        sessions_max: Kind::Number { min: 1, max: COUNT_MAX }, "sessions", "0.1.0",
            "Sessions, those of absent clients included. A further one is refused with 0x97.";
        subscriptions_per_session_max: Kind::Number { min: 1, max: COUNT_MAX }, "subscriptions", "0.1.0",
            "Subscriptions of one session. A further one is refused with 0x97.";
        subscriptions_max: Kind::Number { min: 1, max: COUNT_MAX }, "subscriptions", "0.1.0",
            "Subscriptions of all sessions together. A further one is refused with 0x97.";
        retained_max: Kind::Number { min: 0, max: COUNT_MAX }, "messages", "0.1.0",
            "Retained messages. Beyond, a message for a new topic is refused with 0x97; replacing and deleting go \
             on.";
        retained_bytes_max: Kind::Number { min: 0, max: BYTES_MAX }, "bytes", "0.1.0",
            "Bytes of all retained messages, topics and properties included. Beyond, as `limits.retained_max`.";
        journal_bytes_max: Kind::Number { min: 0, max: BYTES_MAX }, "bytes", "0.1.0",
            "Bytes of log that may hold messages for absent clients. Beyond, QoS 1 and 2 messages that would have to \
             be held are refused with 0x97, until some were delivered or their sessions ended. Unless it is set, a log on \
             disk may take four fifths of the volume.";
        session_expiry_secs_max: Kind::Number { min: 0, max: 4_294_967_295 }, "seconds", "0.1.0",
            "How long a session may outlive its connection. Longer wishes are cut to it, and 5.0 clients are told. \
             4294967295 is for ever.";
        keep_alive_secs_max: Kind::Number { min: 0, max: 65_535 }, "seconds", "0.1.0",
            "Longest keep-alive. A 5.0 client that wishes a longer one, or none, is told to use this one; an older \
             client is refused with 0x02. 0 allows any.";
        qos_max: Kind::Number { min: 0, max: 2 }, "", "0.1.0",
            "Highest QoS. Subscriptions are granted no more, and 5.0 clients are told. A message of a higher one gets \
             0x9B and the connection is closed, a will of a higher one is refused with 0x9B; an older client sees \
             the close only.";
        retain_available: Kind::Switch, "", "0.1.0",
            "Let clients have messages retained; 5.0 clients are told if they may not. A message or a will that asks \
             for it all the same is answered as `limits.qos_max` says, with 0x9A.";
        wildcard_subscriptions: Kind::Switch, "", "0.1.0",
            "Let clients subscribe with wildcards; 5.0 clients are told if they may not. One that does so all the \
             same gets 0xA2 and is closed; an older one has the subscription refused.";
        shared_subscriptions: Kind::Switch, "", "0.1.0",
            "Let clients share subscriptions (`$share/group/filter`); 5.0 clients are told if they may not. One that \
             does so all the same gets 0x9E and is closed; an older one has the subscription refused.";
        subscription_identifiers: Kind::Switch, "", "0.1.0",
            "Let clients give their subscriptions identifiers; they are told if they may not. One that does so all \
             the same gets 0xA1 and is closed.";
        connect_timeout_secs: Kind::Number { min: 1, max: 65_535 }, "seconds", "0.1.0",
            "Time from the opening of a connection to its complete CONNECT. Beyond, it is closed.";
        packet_timeout_secs: Kind::Number { min: 1, max: 65_535 }, "seconds", "0.1.0",
            "Time from the first byte of a packet to its last. Beyond, the connection is closed.";
        linger_secs: Kind::Number { min: 1, max: 65_535 }, "seconds", "0.1.0",
            "Time a connection that is being closed has to take what was already written to it. Beyond, it is cut.";
        sys_interval_secs: Kind::Number { min: 0, max: 65_535 }, "seconds", "0.1.0",
            "Time between two rounds of `$SYS` topics. 0 switches them off.";
        strict_text: Kind::Switch, "", "0.1.0",
            "Refuse control characters and non-characters in topics, filters, client identifiers and user names.";
    }
}

/// Largest bound in bytes: a tebibyte.
const BYTES_MAX: u64 = 1 << 40;

/// Largest bound of a count: entries are numbered with 32 bits.
const COUNT_MAX: u64 = 4_294_967_295;

#[cfg(test)]
mod tests;
