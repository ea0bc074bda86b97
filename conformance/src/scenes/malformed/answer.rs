//! What can answer a row: one reaction for our broker, which a lenient judge of others widens.
//!
//! Before 5.0 there are no codes on an established connection: a broker closes it and says nothing.

use std::fmt;

use longwire_proto::Version;

use crate::failure::Check;
use crate::message::Arrival;
use crate::peer::Peer;

/// The one allowed reaction.
#[derive(Clone)]
pub(super) enum Answer {
    /// To a CONNECT: CONNACK with this code in 5.0, nothing before it, and a close.
    Refused(u8),
    /// The same where 3.1.1 has a code too: its code comes second.
    RefusedWith(u8, u8),
    /// To a CONNECT of a level above 5: CONNACK 0x84 in the form of 5.0, and a close.
    UnknownLevel,
    /// To a first packet: a close without a word.
    Unheard,
    /// To a CONNECT: CONNACK of success, and a link that works.
    Accepted,
    /// To a later packet: DISCONNECT with this code in 5.0, nothing before it, and a close.
    Closed(u8),
    /// To packets of which only the last is wrong: these packets for the others, then as [`Answer::Closed`].
    ClosedAfter(Vec<Reply>, u8),
    /// To half a packet and no more bytes ever: a close without a word.
    CutOff,
    /// To a DISCONNECT, whatever stands behind it: a close without a word.
    Left,
    /// To a later packet: these packets, and a link that works.
    Stays(Vec<Reply>),
}

/// A packet that must come.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// PUBACK with this id, and in 5.0 this code; 0x10 counts as success.
    PubAck(u16, u8),
    /// PUBREC with this id, and in 5.0 this code; 0x10 counts as success.
    PubRec(u16, u8),
    /// PUBREL with this id, and in 5.0 this code.
    PubRel(u16, u8),
    /// PUBCOMP with this id, and in 5.0 this code.
    PubComp(u16, u8),
    /// SUBACK with this id and these codes.
    SubAck(u16, Vec<u8>),
    /// UNSUBACK with this id, and in 5.0 these codes.
    UnsubAck(u16, Vec<u8>),
    /// PINGRESP.
    PingResp,
}

/// Nothing comes, and the link works.
pub(super) fn stays() -> Answer {
    Answer::Stays(Vec::new())
}

/// This packet comes, and the link works.
pub(super) fn replied(reply: Reply) -> Answer {
    Answer::Stays(vec![reply])
}

/// SUBACK id 1 with these codes, and a link that works.
pub(super) fn granted(codes: &[u8]) -> Answer {
    replied(Reply::SubAck(1, codes.to_vec()))
}

impl Answer {
    /// Whether it answers the first packet of a connection.
    pub(super) fn is_for_a_first_packet(&self) -> bool {
        match self {
            Answer::Refused(_)
            | Answer::RefusedWith(..)
            | Answer::UnknownLevel
            | Answer::Unheard
            | Answer::Accepted => true,
            Answer::Closed(_)
            | Answer::ClosedAfter(..)
            | Answer::CutOff
            | Answer::Left
            | Answer::Stays(_) => false,
        }
    }
}

impl Reply {
    /// Waits for it. A lenient target may say of an unknown id that all is well.
    pub(super) fn expect(&self, peer: &mut Peer) -> Check {
        let (version, lenient) = (peer.version, peer.is_lenient());
        peer.wait(self, |arrival| self.is(arrival, version, lenient).then_some(()))
    }

    fn is(&self, arrival: &Arrival, version: Version, lenient: bool) -> bool {
        let v5 = version == Version::V5;
        let is_code = |came: u8, wanted: u8| !v5 || came == wanted || lenient && came == 0;
        match (self, arrival) {
            (Reply::PubAck(id, code), Arrival::PubAck(ack))
            | (Reply::PubRec(id, code), Arrival::PubRec(ack)) => {
                ack.id == *id && (is_code(ack.code, *code) || *code == 0 && ack.code == 0x10)
            }
            (Reply::PubRel(id, code), Arrival::PubRel(ack))
            | (Reply::PubComp(id, code), Arrival::PubComp(ack)) => ack.id == *id && is_code(ack.code, *code),
            (Reply::SubAck(id, codes), Arrival::SubAck(grants)) => grants.id == *id && grants.codes == *codes,
            (Reply::UnsubAck(id, codes), Arrival::UnsubAck(grants)) => {
                grants.id == *id && if v5 { grants.codes == *codes } else { grants.codes.is_empty() }
            }
            (Reply::PingResp, Arrival::PingResp) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
