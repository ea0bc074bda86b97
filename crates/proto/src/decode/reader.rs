//! The body of one packet, read field by field under the rules of its connection.

use super::fault::{self, Fault};
use super::{DecodeError, Rules};
use crate::packet::{PacketId, PacketType, Version};
use crate::reason::ReasonCode;

/// What is left of a packet's body.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
    pub(super) rules: Rules,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn new(body: &'a [u8], rules: Rules) -> Self {
        Reader { rest: body, rules }
    }

    #[inline]
    pub(super) fn version(&self) -> Version {
        self.rules.version
    }

    #[cold]
    pub(super) fn error(&self, fault: &Fault) -> DecodeError {
        fault.at(self.rules.version)
    }

    /// The next byte; `missing` if there is none.
    #[inline]
    pub(super) fn byte(&mut self, missing: &Fault) -> Result<u8, DecodeError> {
        match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                Ok(byte)
            }
            None => Err(self.error(missing)),
        }
    }

    #[inline]
    pub(super) fn two_bytes(&mut self, missing: &Fault) -> Result<u16, DecodeError> {
        match self.rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(u16::from_be_bytes(*bytes))
            }
            None => Err(self.error(missing)),
        }
    }

    /// The bytes behind the next two, which tell their number; `missing` if there are fewer.
    #[inline]
    pub(super) fn counted(&mut self, missing: &Fault) -> Result<&'a [u8], DecodeError> {
        let len = usize::from(self.two_bytes(missing)?);
        match self.rest.split_at_checked(len) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => Err(self.error(missing)),
        }
    }

    #[inline]
    pub(super) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        let id = self.two_bytes(&fault::CUT)?;
        PacketId::new(id).ok_or_else(|| self.error(&fault::PACKET_ID_ZERO))
    }

    /// The next byte as a reason code of this packet.
    pub(super) fn reason(&mut self, packet_type: PacketType) -> Result<ReasonCode, DecodeError> {
        let code = self.byte(&fault::CUT)?;
        self.reason_of(code, packet_type)
    }

    /// `code` as a reason code of this packet, from the side that sent it.
    pub(super) fn reason_of(&self, code: u8, packet_type: PacketType) -> Result<ReasonCode, DecodeError> {
        let sender = self.rules.receiver.sender();
        ReasonCode::from_u8(code)
            .filter(|reason| reason.allowed_in(packet_type, sender))
            .ok_or_else(|| self.error(fault::code(packet_type)))
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error(&fault::LEFT_OVER)) }
    }
}
