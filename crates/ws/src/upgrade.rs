//! The HTTP exchange that turns a connection into a WebSocket, for both sides.
//!
//! A client writes a [`Request`] and reads the answer by [`answered`]; a server reads an [`Offer`] and writes its answer, or
//! a [`Refusal`]. Heads are bounded, and what follows one in the buffer belongs to the WebSocket already.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::PROTOCOL;

/// Bytes of the longest head of a request or a response.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 64;

/// The name that MQTT 3.1 was known by.
const PROTOCOL_3_1: &str = "mqttv3.1";

/// What a client asks a server for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `host` or `host:port`, an IPv6 address in brackets.
    pub host: &'a str,
    /// Path and query, from the first slash on.
    pub path: &'a str,
    /// Sixteen bytes nobody can guess.
    pub key: [u8; 16],
    /// Further headers.
    pub headers: &'a [(String, String)],
}

impl Request<'_> {
    /// Appends the request. Names and values must have passed [`is_header`], host and path hold no white space.
    pub fn append(&self, out: &mut Vec<u8>) {
        let Request { host, path, key, headers } = self;
        let key = STANDARD.encode(key);
        // `[MQTT-6.0.0-3]`
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n"
        );
        out.extend_from_slice(head.as_bytes());
        for (name, value) in *headers {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether these make a header of their own: a token, and a value without line breaks.
pub fn is_header(name: &str, value: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token) && !value.bytes().any(|byte| byte < b' ' || byte == 0x7F)
}

/// Reads the answer to a [`Request`] with this key: the bytes of its head once they are all there.
///
/// # Errors
/// The server did not agree.
pub fn answered(bytes: &[u8], key: [u8; 16]) -> Result<Option<usize>, UpgradeError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let len = match response.parse(bytes) {
        Ok(httparse::Status::Complete(len)) if len <= HEAD_BYTES_MAX => len,
        Ok(httparse::Status::Partial) if bytes.len() <= HEAD_BYTES_MAX => return Ok(None),
        Ok(_) => return Err(UpgradeError::NotHttp("a head of more than 8 KiB")),
        Err(_) => return Err(UpgradeError::NotHttp("something that is not HTTP")),
    };
    let status = response.code.unwrap_or(0);
    if status != 101 {
        let location = header(response.headers, "location").map(str::to_owned);
        return Err(UpgradeError::Status { status, location });
    }
    let upgraded = lists(response.headers, "upgrade", "websocket");
    if !upgraded || header(response.headers, "sec-websocket-accept") != Some(&accept(&STANDARD.encode(key))) {
        return Err(UpgradeError::NotAccepted);
    }
    if header(response.headers, "sec-websocket-extensions").is_some() {
        return Err(UpgradeError::Extension);
    }
    // `[MQTT-6.0.0-4]`
    match header(response.headers, "sec-websocket-protocol") {
        Some(PROTOCOL) => Ok(Some(len)),
        other => Err(UpgradeError::Protocol(other.map(str::to_owned))),
    }
}

/// Why a server's answer opens no WebSocket for MQTT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpgradeError {
    /// It is no answer of HTTP: it begins with this.
    NotHttp(&'static str),
    /// Another status than 101.
    Status {
        /// The status.
        status: u16,
        /// Where the server sends the client, with a status of 3xx.
        location: Option<String>,
    },
    /// The status is 101, but the accept key is missing or another request's.
    NotAccepted,
    /// The server uses an extension that was not offered.
    Extension,
    /// The server chose another sub-protocol, or none.
    Protocol(Option<String>),
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpgradeError::NotHttp(what) => {
                write!(f, "the server sent {what} instead of an HTTP response: is this a WebSocket port?")
            }
            UpgradeError::Status { status, location: Some(location) } => {
                write!(f, "the server answered HTTP status {status} and points to {location}")
            }
            UpgradeError::Status { status: 401 | 403, .. } => {
                f.write_str("the server did not admit the HTTP request: it may want a header that authorizes")
            }
            UpgradeError::Status { status: 404, .. } => {
                f.write_str("the server answered HTTP status 404: is the path of the URL right?")
            }
            UpgradeError::Status { status, .. } => {
                write!(f, "the server answered HTTP status {status} instead of opening a WebSocket")
            }
            UpgradeError::NotAccepted => {
                f.write_str("the server did not prove that it understood the request for a WebSocket")
            }
            UpgradeError::Extension => f.write_str("the server uses an extension that was not offered"),
            UpgradeError::Protocol(Some(other)) => {
                write!(f, "the server speaks '{other}' on this WebSocket, not '{PROTOCOL}'")
            }
            UpgradeError::Protocol(None) => {
                write!(
                    f,
                    "the server opened a WebSocket without the sub-protocol '{PROTOCOL}': is the path right?"
                )
            }
        }
    }
}

impl std::error::Error for UpgradeError {}

/// A client's request for a WebSocket that a server can grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer<'a> {
    /// Bytes of the request; what follows them is the WebSocket's.
    pub len: usize,
    /// Path and query.
    pub path: &'a str,
    /// The page that the request comes from, if a browser sent it.
    pub origin: Option<&'a str>,
    accept: String,
    protocol: &'static str,
}

impl<'a> Offer<'a> {
    /// Reads a request once it is all there.
    ///
    /// # Errors
    /// It is none that can be granted. The refusal is to be sent before the connection is closed.
    pub fn read(bytes: &'a [u8]) -> Result<Option<Self>, Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let len = match request.parse(bytes) {
            Ok(httparse::Status::Complete(len)) if len <= HEAD_BYTES_MAX => len,
            Ok(httparse::Status::Partial) if bytes.len() <= HEAD_BYTES_MAX => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
            Err(_) => return Err(Refusal::BadRequest("This is no request of HTTP.")),
        };
        let (method, path) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
        if method != "GET" || request.version != Some(1) {
            return Err(Refusal::BadRequest("A WebSocket is opened by GET and HTTP/1.1."));
        }
        let headers: &[httparse::Header<'a>] = request.headers;
        if !lists(headers, "upgrade", "websocket") || !lists(headers, "connection", "upgrade") {
            return Err(Refusal::UpgradeRequired("Only WebSockets are served here."));
        }
        if header(headers, "sec-websocket-version") != Some("13") {
            return Err(Refusal::UpgradeRequired("Only version 13 of WebSocket is served here."));
        }
        let key = header(headers, "sec-websocket-key").unwrap_or_default();
        if STANDARD.decode(key).map_or(0, |key| key.len()) != 16 {
            return Err(Refusal::BadRequest("Sec-WebSocket-Key must be 16 bytes in Base64."));
        }
        // `[MQTT-6.0.0-3]`
        let offered = [PROTOCOL, PROTOCOL_3_1]
            .into_iter()
            .find(|protocol| lists(headers, "sec-websocket-protocol", protocol));
        let Some(protocol) = offered else {
            return Err(Refusal::BadRequest("Sec-WebSocket-Protocol must offer mqtt."));
        };
        let origin = header(headers, "origin");
        Ok(Some(Offer { len, path, origin, accept: accept(key), protocol }))
    }

    /// Appends the answer that grants it, with the sub-protocol chosen `[MQTT-6.0.0-4]`.
    pub fn append_answer(&self, out: &mut Vec<u8>) {
        let Offer { accept, protocol, .. } = self;
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
        );
        out.extend_from_slice(head.as_bytes());
    }
}

/// Why a server opens no WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400.
    BadRequest(&'static str),
    /// 404: nothing is served at this path.
    NotFound,
    /// 426: not a request for a WebSocket of this version.
    UpgradeRequired(&'static str),
    /// 431.
    TooLarge,
}

impl Refusal {
    /// Appends an answer that says so, after which the connection is closed.
    pub fn append_answer(self, out: &mut Vec<u8>) {
        let (status, text) = match self {
            Refusal::BadRequest(text) => ("400 Bad Request", text),
            Refusal::NotFound => ("404 Not Found", "No MQTT is served at this path."),
            Refusal::UpgradeRequired(text) => ("426 Upgrade Required", text),
            Refusal::TooLarge => ("431 Request Header Fields Too Large", "The head is larger than 8 KiB."),
        };
        let upgrade = match self {
            Refusal::UpgradeRequired(_) => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            _ => "",
        };
        let len = text.len() + 1;
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len}\r\n{upgrade}\
             Connection: close\r\n\r\n{text}\n"
        );
        out.extend_from_slice(answer.as_bytes());
    }
}

/// The proof that a server read the key, RFC 6455 section 4.2.2.
fn accept(key: &str) -> String {
    let mut sha1 = sha1_smol::Sha1::from(key);
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(sha1.digest().bytes())
}

/// The value of a header that stands alone; `None` if it is missing, not ASCII or there more than once.
fn header<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    let mut values = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let value = values.next()?.value;
    if values.next().is_some() { None } else { std::str::from_utf8(value).ok().map(str::trim) }
}

/// Whether one of the headers of this name, which are lists, has this element.
fn lists(headers: &[httparse::Header<'_>], name: &str, wanted: &str) -> bool {
    let values = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    values
        .filter_map(|header| std::str::from_utf8(header.value).ok())
        .flat_map(|value| value.split(','))
        .any(|element| element.trim().eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, section 1.3.
    #[test]
    fn the_proof_is_that_of_the_standard() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_header_cannot_smuggle_another_one_in() {
        assert!(is_header("Authorization", "Bearer a.b"));
        assert!(!is_header("Authorization", "a\r\nHost: b"));
        assert!(!is_header("A b", "c"));
        assert!(!is_header("", "c"));
    }
}
