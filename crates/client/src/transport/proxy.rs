//! A way through a proxy: HTTP CONNECT (RFC 9110, section 9.3.6) or SOCKS5 (RFC 1928, user and password by RFC 1929).
//!
//! Both are a short exchange on a plain connection, after which its bytes are the server's. The proxy looks the server's
//! name up. A proxy that says more than was asked breaks the exchange: those bytes could be taken for the server's.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::tcp;
use crate::dial_error::DialFault;
use crate::url::{UrlError, host_and_port, percent_decoded};

/// Bytes of the longest answer to CONNECT.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// A proxy between this client and the server.
///
/// ```
/// use longwire_client::{Options, Proxy};
///
/// let proxy = Proxy::http("proxy.example", 3128).credentials("me", "secret");
/// let options = Options::new("broker.example").proxy(proxy);
/// let options = Options::new("broker.example").proxy(Proxy::from_url("socks5://localhost:1080")?);
/// # Ok::<(), longwire_client::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    host: String,
    port: u16,
    credentials: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Socks5,
}

impl Proxy {
    /// A proxy of HTTP that takes CONNECT.
    pub fn http(host: impl Into<String>, port: u16) -> Self {
        Proxy { kind: Kind::Http, host: host.into(), port, credentials: None }
    }

    /// A proxy of SOCKS version 5, which looks up the server's name itself.
    pub fn socks5(host: impl Into<String>, port: u16) -> Self {
        Proxy { kind: Kind::Socks5, host: host.into(), port, credentials: None }
    }

    /// User name and password for the proxy, each of 255 bytes at most with SOCKS5.
    pub fn credentials(mut self, user_name: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some((user_name.into(), password.into()));
        self
    }

    /// A proxy by URL, as the environment variables `http_proxy` and `all_proxy` hold them:
    /// `http://[user:password@]host[:port]` (port 3128) or `socks5://…` (also `socks5h`; port 1080).
    ///
    /// # Errors
    /// The text is no such URL.
    pub fn from_url(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let (kind, default_port) = match scheme {
            "http" => (Kind::Http, 3128),
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            other => return Err(UrlError::Scheme(other.to_owned())),
        };
        let authority = rest.trim_end_matches('/');
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place)?;
        let credentials = match user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
            Some((name, password)) => Some((percent_decoded(name)?, percent_decoded(password)?)),
            None => None,
        };
        Ok(Proxy { kind, host, port: port.unwrap_or(default_port), credentials })
    }

    /// A connection through the proxy to a server.
    pub(super) async fn open(
        &self,
        host: &str,
        port: u16,
        local: Option<IpAddr>,
        limit: Duration,
    ) -> Result<TcpStream, DialFault> {
        let fault = |error| DialFault::Proxy { proxy: format!("{}:{}", self.host, self.port), error };
        let mut stream = tcp::open(&self.host, self.port, local, limit)
            .await
            .map_err(|error| fault(ProxyError::Unreachable(Box::new(error))))?;
        let done = match self.kind {
            Kind::Http => self.connect(host, port, &mut stream).await,
            Kind::Socks5 => self.negotiate(host, port, &mut stream).await,
        };
        done.map(|()| stream).map_err(fault)
    }

    /// HTTP CONNECT.
    async fn connect(
        &self,
        host: &str,
        port: u16,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> Result<(), ProxyError> {
        let place = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let authorization = match &self.credentials {
            Some((name, password)) => {
                let both = STANDARD.encode(format!("{name}:{password}"));
                format!("Proxy-Authorization: Basic {both}\r\n")
            }
            None => String::new(),
        };
        let request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        let end = loop {
            if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if answer.len() > HEAD_BYTES_MAX || stream.read_buf(&mut answer).await? == 0 {
                return Err(ProxyError::NotUnderstood);
            }
        };
        match status(&answer) {
            Some(200..=299) if answer.len() == end => Ok(()),
            Some(407) => Err(ProxyError::Credentials),
            Some(status) if !(200..=299).contains(&status) => Err(ProxyError::Status(status)),
            _ => Err(ProxyError::NotUnderstood),
        }
    }

    /// The exchange of SOCKS5.
    async fn negotiate(
        &self,
        host: &str,
        port: u16,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> Result<(), ProxyError> {
        const NONE: u8 = 0;
        const PASSWORD: u8 = 2;
        let methods: &[u8] = if self.credentials.is_some() { &[5, 2, NONE, PASSWORD] } else { &[5, 1, NONE] };
        stream.write_all(methods).await?;
        let mut chosen = [0; 2];
        stream.read_exact(&mut chosen).await?;
        match (chosen, &self.credentials) {
            ([5, NONE], _) => {}
            ([5, PASSWORD], Some((name, password))) => {
                let mut request = vec![1];
                push_short(name, &mut request)?;
                push_short(password, &mut request)?;
                stream.write_all(&request).await?;
                let mut answer = [0; 2];
                stream.read_exact(&mut answer).await?;
                if answer[1] != 0 {
                    return Err(ProxyError::Credentials);
                }
            }
            ([5, _], _) => return Err(ProxyError::Credentials),
            _ => return Err(ProxyError::NotUnderstood),
        }
        let mut request = vec![5, 1, 0, 3];
        push_short(host, &mut request)?;
        request.extend_from_slice(&port.to_be_bytes());
        stream.write_all(&request).await?;
        socks5_answer(stream).await
    }
}

/// The answer to a request of SOCKS5, with the address of the proxy's end, which is of no interest.
async fn socks5_answer(stream: &mut (impl AsyncRead + Unpin)) -> Result<(), ProxyError> {
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    let [5, reply, _, kind] = answer else { return Err(ProxyError::NotUnderstood) };
    if reply != 0 {
        return Err(ProxyError::Refused(reply));
    }
    let len = match kind {
        1 => 4,
        3 => usize::from(stream.read_u8().await?),
        4 => 16,
        _ => return Err(ProxyError::NotUnderstood),
    };
    let mut address = [0; 257];
    stream.read_exact(&mut address[..len + 2]).await?;
    Ok(())
}

fn push_short(text: &str, out: &mut Vec<u8>) -> Result<(), ProxyError> {
    let len = u8::try_from(text.len()).map_err(|_| ProxyError::TooLong)?;
    out.push(len);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// The status of an answer of HTTP/1.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.strip_prefix(b"HTTP/1.")?.get(1..)?.strip_prefix(b" ")?;
    std::str::from_utf8(line.get(..3)?).ok()?.parse().ok()
}

impl fmt::Debug for Proxy {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("kind", &self.kind)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user_name", &self.credentials.as_ref().map(|(name, _)| name))
            .finish()
    }
}

/// Why a proxy gave no connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyError {
    /// The proxy itself cannot be reached.
    Unreachable(Box<DialFault>),
    /// The connection to it broke in the middle of the exchange.
    Lost(io::Error),
    /// It wants credentials, or others than were given.
    Credentials,
    /// An HTTP proxy answered with this status.
    Status(u16),
    /// A SOCKS5 proxy answered with this code.
    Refused(u8),
    /// A host name, user name or password is too long for SOCKS5.
    TooLong,
    /// Its answer is none of the protocol expected.
    NotUnderstood,
}

impl From<io::Error> for ProxyError {
    fn from(error: io::Error) -> Self {
        ProxyError::Lost(error)
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProxyError::Unreachable(fault) => write!(f, "it cannot be reached: {fault}"),
            ProxyError::Lost(error) => write!(f, "it broke the connection off: {error}"),
            ProxyError::Credentials => f.write_str("it does not accept the user name and password given"),
            ProxyError::Status(status) => write!(f, "it answered CONNECT with HTTP status {status}"),
            ProxyError::Refused(code) => {
                let what = match code {
                    1 => "it failed",
                    2 => "its rules do not allow this connection",
                    3 => "it cannot reach the server's network",
                    4 => "it cannot reach the server",
                    5 => "the server refused its connection",
                    6 => "its time to live ran out",
                    7 => "it does not take this command",
                    8 => "it does not take host names",
                    _ => "it refused",
                };
                write!(f, "{what} (code {code})")
            }
            ProxyError::TooLong => f.write_str("a host name, user name or password of over 255 bytes"),
            ProxyError::NotUnderstood => {
                f.write_str("its answer makes no sense: is it a proxy of the kind given?")
            }
        }
    }
}

impl std::error::Error for ProxyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_can_be_given_as_a_url() {
        let proxy = Proxy::from_url("http://me:p%40w@proxy:8080/").expect("valid");
        assert_eq!(proxy, Proxy::http("proxy", 8080).credentials("me", "p@w"));
        assert_eq!(Proxy::from_url("socks5h://[::1]"), Ok(Proxy::socks5("::1", 1080)));
        assert_eq!(Proxy::from_url("ftp://p"), Err(UrlError::Scheme("ftp".to_owned())));
    }

    #[test]
    fn a_password_is_not_shown() {
        assert!(!format!("{:?}", Proxy::http("p", 1).credentials("me", "secret")).contains("secret"));
    }

    #[test]
    fn only_http_1_has_a_status() {
        assert_eq!(status(b"HTTP/1.0 407 Who are you"), Some(407));
        assert_eq!(status(b"SSH-2.0-OpenSSH"), None);
    }
}
