//! WebSocket (RFC 6455) as far as MQTT needs it, as pure code: bytes in, bytes out; no socket, no clock, no random source.
//!
//! MQTT travels in binary frames whose borders mean nothing `[MQTT-6.0.0-2]`
//! `[MQTT-6.0.0-2 of 3.1.1]`, so there are no messages here, only a stream
//! of bytes: [`Reader`] turns what was read into MQTT in place, [`frame`] writes frames around what is sent, and [`upgrade`]
//! is the exchange of HTTP that comes first. Both sides of each are here, for a client and for a server.
//!
//! Invariant: nothing is buffered. A connection between two frames is the eight bytes of its [`Reader`]; what cannot be
//! understood yet stays in the caller's buffer, and is never more than the head of a frame or one control frame.

pub mod frame;
mod reader;
pub mod upgrade;

pub use reader::{End, Fault, Ping, Reader, Unwrapped};

/// Which side of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Masks what it sends, and takes only what is not masked.
    Client,
    /// The other way round.
    Server,
}

/// The sub-protocol of MQTT `[MQTT-6.0.0-3]` `[MQTT-6.0.0-4]` `[MQTT-6.0.0-3 of 3.1.1]` `[MQTT-6.0.0-4 of 3.1.1]`.
pub const PROTOCOL: &str = "mqtt";

/// Codes of a close frame, as RFC 6455 numbers them.
pub mod code {
    /// The connection has done its work.
    pub const NORMAL: u16 = 1000;
    /// This side goes away.
    pub const GOING_AWAY: u16 = 1001;
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// The peer sent data of a type that is not taken: text.
    pub const UNSUPPORTED_DATA: u16 = 1003;
    /// The peer sent text that is not UTF-8.
    pub const INVALID_DATA: u16 = 1007;
    /// The peer sent a frame that is too large.
    pub const TOO_LARGE: u16 = 1009;
}
