//! Bytes to packets.

use std::fmt;

use crate::packet::{Packet, Version};
use crate::reason::ReasonCode;

/// Who reads the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// A server, which reads what a client sent.
    Server,
    /// A client, which reads what a server sent.
    Client,
}

/// What the receiver knows about the connection before it reads a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Version of the connection. A CONNECT is decoded by the version it names itself.
    pub version: Version,
    /// Who reads.
    pub receiver: Receiver,
    /// Bytes of the largest packet taken in, fixed header included.
    pub packet_size_max: u32,
    /// Refuses control characters and non-characters in topics, filters, client ids and user names.
    pub strict_text: bool,
}

/// What the beginning of some bytes is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decoded<'a> {
    /// A whole packet, and how many bytes it took.
    Packet(Packet<'a>, usize),
    /// Not yet a whole packet.
    Incomplete {
        /// Length of the whole packet once that is known, otherwise at least one byte more than there are.
        needed: usize,
    },
}

/// Why bytes are not a packet. The connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The code for CONNACK or DISCONNECT.
    pub reason: ReasonCode,
    /// The statement that was broken, such as `MQTT-3.3.1-4`; empty where the standard has none.
    pub statement: &'static str,
    /// What is wrong, as half a sentence.
    pub what: &'static str,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.what)
    }
}

impl std::error::Error for DecodeError {}

/// Decodes the packet at the start of `bytes`.
///
/// # Errors
/// The bytes break a rule of the standard or of `rules`.
pub fn packet<'a>(_bytes: &'a [u8], _rules: &Rules) -> Result<Decoded<'a>, DecodeError> {
    todo!()
}

/// The protocol level that a CONNECT names, even if it is malformed or not complete.
pub fn connect_level(_bytes: &[u8]) -> Option<u8> {
    todo!()
}
