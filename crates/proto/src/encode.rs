//! Packets to bytes.

use std::fmt;

use crate::packet::{Ack, Packet, Publish, Version};

/// Which of the four acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckKind {
    /// PUBACK.
    PubAck,
    /// PUBREC.
    PubRec,
    /// PUBREL.
    PubRel,
    /// PUBCOMP.
    PubComp,
}

/// Why a packet has no wire form. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// More than 268,435,455 bytes after the fixed header.
    PacketTooLarge,
    /// A string or binary field of more than 65,535 bytes.
    FieldTooLong,
    /// A packet id where QoS is 0, or none where it is not.
    PacketId,
    /// The older version cannot say this.
    NeedsVersion5,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, _formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl std::error::Error for EncodeError {}

/// Appends a packet to `out`.
///
/// # Errors
/// The packet has no wire form in this version; `out` is as it was.
pub fn packet(_packet: &Packet<'_>, _version: Version, _out: &mut Vec<u8>) -> Result<(), EncodeError> {
    todo!()
}

/// Appends a PUBLISH to `out` and tells where in `out` its packet id is, if it has one.
///
/// # Errors
/// The packet has no wire form in this version; `out` is as it was.
pub fn publish(
    _publish: &Publish<'_>,
    _version: Version,
    _out: &mut Vec<u8>,
) -> Result<Option<usize>, EncodeError> {
    todo!()
}

/// Appends an acknowledgement to `out`. Properties are left out where they would make it too large for MQTT.
pub fn ack(_kind: AckKind, _ack: &Ack<'_>, _version: Version, _out: &mut Vec<u8>) {
    todo!()
}
