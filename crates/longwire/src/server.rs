//! Which broker `probe` and `top` look at, and as whom: a URL and little else.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use longwire_client::{Options, Reconnect};

/// Which broker, and as whom.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// Broker: `mqtt://[user[:password]@]host[:port]`, or host[:port] for short.
    #[arg(value_name = "URL", default_value = "mqtt://localhost")]
    url: String,
    /// User name.
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// Password.
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD", allow_hyphen_values = true)]
    password: Option<OsString>,
}

impl ServerArgs {
    /// Options that dial once, and wait for each answer no longer than `patience`.
    ///
    /// # Errors
    /// The URL makes no sense; the text says why.
    pub(crate) fn options(&self, patience: Duration) -> Result<Options, String> {
        let mut options = dialling_once(&self.url, patience)?;
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
        dialling_once(&self.place(), patience)
    }

    /// Whether the options say who we are.
    pub(crate) fn has_credentials(&self) -> bool {
        self.username.is_some() || self.password.is_some() || self.place() != self.url
    }

    /// The URL without user name and password, as it may be shown.
    pub(crate) fn place(&self) -> String {
        let (scheme, rest) = match self.url.split_once("://") {
            Some((scheme, rest)) => (format!("{scheme}://"), rest),
            None => (String::new(), self.url.as_str()),
        };
        let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
        let user = authority.rfind('@').map_or(0, |at| at + 1);
        format!("{scheme}{}", &rest[user..])
    }
}

fn dialling_once(url: &str, patience: Duration) -> Result<Options, String> {
    let options = Options::from_url(url).map_err(|error| error.to_string())?;
    Ok(options.reconnect(Reconnect::never()).dial_timeout(patience).connack_timeout(patience))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> ServerArgs {
        ServerArgs { url: url.to_owned(), username: None, password: None }
    }

    #[test]
    fn a_place_tells_no_secrets() {
        for (url, place) in [
            ("mqtt://me:secret@host:1/a@b", "mqtt://host:1/a@b"),
            ("me@host", "host"),
            ("host:1884", "host:1884"),
            ("mqtt://[::1]:1884", "mqtt://[::1]:1884"),
        ] {
            assert_eq!(server(url).place(), place);
            assert_eq!(server(url).has_credentials(), url != place);
        }
    }
}
