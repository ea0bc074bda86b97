//! Which broker `probe` and `top` look at, and as whom: a URL and little else.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use longwire_client::{Options, Reconnect};

use crate::connection::{self, TransportArgs};

/// Which broker, and as whom.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// Broker: `mqtt://[user[:password]@]host[:port]`, or `host[:port]` for short; `mqtts://` for TLS; `ws://` and `wss://`;
    /// `unix:/path`.
    #[arg(value_name = "URL", default_value = "mqtt://localhost")]
    url: String,
    /// User name.
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// Password.
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD", allow_hyphen_values = true)]
    password: Option<OsString>,
    #[command(flatten)]
    transport: TransportArgs,
}

impl ServerArgs {
    /// Options that dial once, and wait for each answer no longer than `patience`.
    ///
    /// # Errors
    /// The URL makes no sense; the text says why.
    pub(crate) fn options(&self, patience: Duration) -> Result<Options, String> {
        let mut options = self.dialling_once(&self.url, patience)?;
        if let Some(name) = &self.username {
            options = options.user_name(name);
        }
        if let Some(password) = &self.password {
            options = options.password(password.clone().into_vec());
        }
        Ok(options)
    }

    /// The same without saying who we are.
    ///
    /// # Errors
    /// As [`ServerArgs::options`].
    pub(crate) fn anonymous(&self, patience: Duration) -> Result<Options, String> {
        self.dialling_once(&self.place(), patience)
    }

    /// Whether the options say who we are.
    pub(crate) fn has_credentials(&self) -> bool {
        self.username.is_some() || self.password.is_some() || self.place() != self.url
    }

    /// The URL without user name and password, as it may be shown.
    pub(crate) fn place(&self) -> String {
        connection::place(&self.url)
    }

    fn dialling_once(&self, url: &str, patience: Duration) -> Result<Options, String> {
        let options = self.transport.by_url(url)?;
        Ok(options.reconnect(Reconnect::never()).dial_timeout(patience).connack_timeout(patience))
    }
}
