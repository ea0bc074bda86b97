//! WebSocket around a connection: `longwire_ws` does the framing, this moves the bytes.
//!
//! Every write becomes one binary frame; what a frame holds is passed on as it arrives. Pings are answered while reading,
//! and a close frame is the end of the stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use longwire_ws::frame::{self, Kind};
use longwire_ws::upgrade::{Request, UpgradeError, answered, is_header};
use longwire_ws::{End, Reader, Role, code};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::{Connection, Place};
use crate::dial_error::DialFault;
use crate::options::OptionsError;
use crate::random;

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;
/// Bytes of the largest frame written.
const FRAME_BYTES: usize = 64 * 1024;

/// The request that opens a WebSocket: its path and further headers.
///
/// ```
/// use longwire_client::{Options, WebSocket};
///
/// let websocket = WebSocket::new("/mqtt").header("Authorization", "Bearer abc");
/// let options = Options::new("broker.example").websocket(websocket);
/// ```
#[derive(Clone)]
pub struct WebSocket {
    path: String,
    headers: Vec<(String, String)>,
}

impl WebSocket {
    /// A WebSocket at this path of the server.
    pub fn new(path: impl Into<String>) -> Self {
        let path = path.into();
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        WebSocket { path, headers: Vec::new() }
    }

    /// Adds a header to the request.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Whether a request can be made of it.
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        if self.path.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(OptionsError::WebSocketPath(self.path.clone()));
        }
        match self.headers.iter().find(|(name, value)| !is_header(name, value)) {
            Some((name, _)) => Err(OptionsError::WebSocketHeader(name.clone())),
            None => Ok(()),
        }
    }

    pub(super) async fn open(
        &self,
        place: &Place,
        default_port: u16,
        mut connection: Connection,
    ) -> Result<WebSocketStream, DialFault> {
        let host = match place {
            Place::Host { host, port } if *port == default_port && !host.contains(':') => host.clone(),
            Place::Host { .. } => place.to_string(),
            Place::Unix(_) => "localhost".to_owned(),
        };
        let key = (u128::from(random::number()) << 64 | u128::from(random::number())).to_be_bytes();
        let mut request = Vec::new();
        Request { host: &host, path: &self.path, key, headers: &self.headers }.append(&mut request);
        connection.write_all(&request).await.map_err(DialFault::Network)?;
        connection.flush().await.map_err(DialFault::Network)?;
        let mut inbox = Vec::new();
        let head_len = loop {
            if let Some(len) =
                answered(&inbox, key).map_err(|error| DialFault::WebSocket(WebSocketError::of(&error)))?
            {
                break len;
            }
            if connection.read_buf(&mut inbox).await.map_err(DialFault::Network)? == 0 {
                let closed = io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection");
                return Err(DialFault::Network(closed));
            }
        };
        inbox.drain(..head_len);
        Ok(WebSocketStream::new(connection, inbox))
    }
}

impl std::fmt::Debug for WebSocket {
    /// Without the values of headers, which may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("WebSocket").field("path", &self.path).field("headers", &names).finish()
    }
}

/// Why a server opened no WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebSocketError {
    /// The HTTP status, if it was another than 101.
    pub status: Option<u16>,
    text: String,
}

impl WebSocketError {
    fn of(error: &UpgradeError) -> Self {
        let status = if let UpgradeError::Status { status, .. } = error { Some(*status) } else { None };
        WebSocketError { status, text: error.to_string() }
    }
}

impl std::fmt::Display for WebSocketError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for WebSocketError {}

/// An open WebSocket.
pub(crate) struct WebSocketStream {
    connection: Connection,
    reader: Reader,
    /// Data that was unwrapped, from `taken` on to `data`, and behind it, from `rest` on, what was not yet.
    inbox: Vec<u8>,
    taken: usize,
    data: usize,
    rest: usize,
    end: Option<End>,
    /// Frames on their way.
    outbox: Vec<u8>,
    written: usize,
    close_sent: bool,
}

impl WebSocketStream {
    fn new(connection: Connection, inbox: Vec<u8>) -> Self {
        let mut stream = WebSocketStream {
            connection,
            reader: Reader::new(Role::Client),
            inbox,
            taken: 0,
            data: 0,
            rest: 0,
            end: None,
            outbox: Vec::new(),
            written: 0,
            close_sent: false,
        };
        stream.unwrap();
        stream
    }

    /// Unwraps what was read, once the data before it is taken.
    fn unwrap(&mut self) {
        self.inbox.drain(..self.rest);
        let unwrapped = self.reader.unwrap(&mut self.inbox);
        (self.taken, self.data, self.rest) = (0, unwrapped.data, unwrapped.rest);
        if let Some(ping) = unwrapped.ping
            && !self.close_sent
        {
            frame::append(Kind::Pong, ping.payload(), Some(key()), &mut self.outbox);
        }
        if let Some(end) = unwrapped.end {
            self.close(end.answer());
            self.end = Some(end);
        }
    }

    /// Queues a close frame, once.
    fn close(&mut self, code: Option<u16>) {
        if !self.close_sent {
            self.close_sent = true;
            frame::append_close(code, Some(key()), &mut self.outbox);
        }
    }

    /// Writes frames until none waits.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.outbox.len() {
            let connection = Pin::new(&mut self.connection);
            match ready!(connection.poll_write(context, &self.outbox[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.outbox.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for WebSocketStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.taken < this.data {
                let len = buffer.remaining().min(this.data - this.taken);
                buffer.put_slice(&this.inbox[this.taken..this.taken + len]);
                this.taken += len;
                return Poll::Ready(Ok(()));
            }
            if !this.outbox.is_empty() {
                // Pongs and the like; they must not hold up what comes in.
                if let Poll::Ready(drained) = this.poll_drain(context) {
                    drained?;
                    if let Poll::Ready(flushed) = Pin::new(&mut this.connection).poll_flush(context) {
                        flushed?;
                    }
                }
            }
            match this.end {
                Some(End::Close(_)) => return Poll::Ready(Ok(())),
                Some(End::Fault(fault)) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault)));
                }
                None => {}
            }
            let mut chunk = [0; READ_BYTES];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.connection).poll_read(context, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.inbox.extend_from_slice(chunk.filled());
            this.unwrap();
        }
    }
}

impl AsyncWrite for WebSocketStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(context))?;
        if self.close_sent {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let len = bytes.len().min(FRAME_BYTES);
        frame::append(Kind::Binary, &bytes[..len], Some(key()), &mut self.outbox);
        // What does not go out now does with the flush.
        if let Poll::Ready(drained) = self.poll_drain(context) {
            drained?;
        }
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(context))?;
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close(Some(code::NORMAL));
        ready!(self.poll_drain(context))?;
        ready!(Pin::new(&mut self.connection).poll_flush(context))?;
        // The server answers and closes; a client that closed first could lose the answer.
        Poll::Ready(Ok(()))
    }
}

/// A key to mask one frame with.
fn key() -> frame::Key {
    (random::number() as u32).to_be_bytes()
}
