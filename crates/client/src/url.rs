//! The URL of a server, taken apart.
//!
//! Neighbour: `options` turns the parts into a place and a transport. Nothing is looked up here.

use std::fmt;

/// The parts of `scheme://[user[:password]@]host[:port][/path]` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Url {
    /// The transport.
    pub scheme: Scheme,
    /// Host name or address, without brackets; empty with `unix:`.
    pub host: String,
    /// Port, that of the scheme unless given; 0 with `unix:`.
    pub port: u16,
    /// User name, decoded.
    pub user_name: Option<String>,
    /// Password, decoded.
    pub password: Option<String>,
    /// What follows the first slash, as it stands. With `unix:` the path of the socket.
    pub path: Option<String>,
}

/// How bytes travel to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// `mqtt://`: plain TCP, port 1883.
    Mqtt,
    /// `mqtts://`: TLS, port 8883.
    Mqtts,
    /// `ws://`: WebSocket, port 80.
    Ws,
    /// `wss://`: WebSocket over TLS, port 443.
    Wss,
    /// `unix:/path`: a socket of this machine.
    Unix,
}

impl Scheme {
    /// The port where a server is expected; 0 where there are none.
    pub fn port(self) -> u16 {
        match self {
            Scheme::Mqtt => 1883,
            Scheme::Mqtts => 8883,
            Scheme::Ws => 80,
            Scheme::Wss => 443,
            Scheme::Unix => 0,
        }
    }

    /// Whether it travels in a WebSocket.
    pub fn is_websocket(self) -> bool {
        matches!(self, Scheme::Ws | Scheme::Wss)
    }

    /// Whether it is protected by TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Scheme::Mqtts | Scheme::Wss)
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "mqtt" | "tcp" => Some(Scheme::Mqtt),
            "mqtts" | "ssl" => Some(Scheme::Mqtts),
            "ws" => Some(Scheme::Ws),
            "wss" => Some(Scheme::Wss),
            _ => None,
        }
    }
}

/// Why a text is not the URL of a server this client can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// No such transport.
    Scheme(String),
    /// The crate was built without this feature, which the transport needs.
    NotBuiltIn(&'static str),
    /// No host, or no path of a Unix socket.
    Host,
    /// Not a port.
    Port(String),
    /// A percent sign without two hexadecimal digits, or text that is not UTF-8.
    Encoding,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UrlError::Scheme(scheme) => write!(
                f,
                "there is no transport '{scheme}': use mqtt, mqtts, ws or wss, as in mqtt://host:port, or \
                 unix:/path"
            ),
            UrlError::NotBuiltIn(feature) => {
                write!(
                    f,
                    "this transport is not built in: switch on the feature '{feature}' of longwire-client"
                )
            }
            UrlError::Host => f.write_str("the URL names no host: use mqtt://host:port, or unix:/path"),
            UrlError::Port(port) => write!(f, "'{port}' is not a port: use a number from 1 to 65535"),
            UrlError::Encoding => {
                f.write_str("the URL has a '%' that is not followed by two hexadecimal digits")
            }
        }
    }
}

impl std::error::Error for UrlError {}

impl Url {
    /// Takes a URL apart; a bare `host[:port]` means `mqtt://`.
    ///
    /// # Errors
    /// The text is no URL, or of an unknown scheme.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        if let Some(path) = url.strip_prefix("unix:") {
            return Url::unix(path.strip_prefix("//").unwrap_or(path));
        }
        let (scheme, rest) = match url.split_once("://") {
            Some((name, rest)) => {
                (Scheme::named(name).ok_or_else(|| UrlError::Scheme(name.to_owned()))?, rest)
            }
            None => (Scheme::Mqtt, url),
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
        Ok(Url { scheme, host, port: port.unwrap_or(scheme.port()), user_name, password, path })
    }

    fn unix(path: &str) -> Result<Self, UrlError> {
        if path.is_empty() {
            return Err(UrlError::Host);
        }
        let path = Some(path.to_owned());
        let (scheme, host) = (Scheme::Unix, String::new());
        Ok(Url { scheme, host, port: scheme.port(), user_name: None, password: None, path })
    }
}

/// Takes `host[:port]` apart; an IPv6 address stands in brackets.
pub(crate) fn host_and_port(place: &str) -> Result<(String, Option<u16>), UrlError> {
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
    let number = |port: &str| {
        let number = port.parse().ok().filter(|&number: &u16| number != 0);
        number.ok_or_else(|| UrlError::Port(port.to_owned()))
    };
    Ok((host.to_owned(), port.map(number).transpose()?))
}

pub(crate) fn percent_decoded(text: &str) -> Result<String, UrlError> {
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
    fn each_scheme_has_its_port() {
        let schemes = ["mqtt", "mqtts", "ws", "wss"];
        let ports = schemes.map(|scheme| Url::parse(&format!("{scheme}://h")).expect("valid").port);
        assert_eq!(ports, [1883, 8883, 80, 443]);
    }

    #[test]
    fn a_unix_socket_is_a_path() {
        let url = Url::parse("unix:/run/mqtt.sock").expect("valid");
        assert_eq!((url.scheme, url.path.as_deref()), (Scheme::Unix, Some("/run/mqtt.sock")));
        assert_eq!(Url::parse("unix:///run/mqtt.sock"), Ok(url));
        assert_eq!(Url::parse("unix:"), Err(UrlError::Host));
    }

    #[test]
    fn bad_urls_name_their_fault() {
        assert_eq!(Url::parse("coap://h"), Err(UrlError::Scheme("coap".to_owned())));
        assert_eq!(Url::parse("mqtt://"), Err(UrlError::Host));
        assert_eq!(Url::parse("mqtt://[::1"), Err(UrlError::Host));
        assert_eq!(Url::parse("mqtt://h:0"), Err(UrlError::Port("0".to_owned())));
        assert_eq!(Url::parse("mqtt://h:x"), Err(UrlError::Port("x".to_owned())));
        assert_eq!(Url::parse("mqtt://[::1]x"), Err(UrlError::Port("x".to_owned())));
        assert_eq!(Url::parse("mqtt://u%4@h"), Err(UrlError::Encoding));
        assert_eq!(Url::parse("mqtt://u%ff@h"), Err(UrlError::Encoding));
    }
}
