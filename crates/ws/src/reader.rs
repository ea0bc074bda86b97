//! Frames received: turned in place into the stream of MQTT that they carry.
//!
//! A [`Reader`] remembers how much of a frame is still to come and its mask, in eight bytes; everything else is in the
//! caller's buffer. Whatever breaks a rule ends the connection by an [`End::Fault`], after the data that came before it.

use crate::frame::{CONTROL_BYTES_MAX, Key, is_sendable, mask};
use crate::{Role, code};

/// The state of one direction of a connection.
///
/// ```text
/// between frames ---head of a data frame---> in a frame
///       ^                                        |
///       +-------------- its last byte -----------+
/// any ---close frame, or a broken rule---> over
/// ```
#[derive(PartialEq, Eq)]
pub struct Reader {
    /// Bytes still to come of the present frame, and three flags above them.
    state: u32,
    /// The mask, turned so that its first byte is the next one's.
    key: Key,
}

/// A message has begun and not ended: the next data frame must continue it.
const FRAGMENTED: u32 = 1 << 31;
/// A close frame or a fault came; nothing after it counts.
const OVER: u32 = 1 << 30;
/// This is a client's.
const CLIENT: u32 = 1 << 29;
const LEFT: u32 = CLIENT - 1;

/// What [`Reader::unwrap`] made of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwrapped {
    /// Bytes of MQTT, now at the front of the buffer.
    pub data: usize,
    /// Where the bytes begin that are not understood yet. At most 138 are left; what lies before them and behind the data
    /// is used up.
    pub rest: usize,
    /// The last ping. One pong may answer all before it, too.
    pub ping: Option<Ping>,
    /// Nothing comes after this.
    pub end: Option<End>,
}

/// The payload of a ping, to be sent back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    len: u8,
    bytes: [u8; CONTROL_BYTES_MAX],
}

/// How a connection ends. Either way it is answered by a close frame, and then closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer sent a close frame, with this code if it gave one.
    Close(Option<u16>),
    /// The peer broke a rule.
    Fault(Fault),
}

/// A rule that a peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Code of the close frame that says so.
    pub code: u16,
    /// What was wrong.
    pub what: &'static str,
}

/// The head of a frame, read.
struct Head {
    len: usize,
    opcode: u8,
    last: bool,
    payload_len: u32,
    key: Key,
}

impl Reader {
    /// Bytes of the longest frame that is taken. Frames are passed on as they arrive, so this bounds no memory.
    pub const FRAME_BYTES_MAX: usize = LEFT as usize;

    /// The state of a connection that has just been opened.
    pub fn new(role: Role) -> Self {
        Reader { state: if role == Role::Client { CLIENT } else { 0 }, key: [0; 4] }
    }

    /// Whether the peer has closed, or broken a rule.
    pub fn is_over(&self) -> bool {
        self.state & OVER != 0
    }

    /// Unwraps all that can be: `buffer` begins where the last call left its rest, with what was read since behind it.
    pub fn unwrap(&mut self, buffer: &mut [u8]) -> Unwrapped {
        let mut unwrapped = Unwrapped { data: 0, rest: 0, ping: None, end: None };
        while !self.is_over() {
            if self.left() > 0 && !self.take_payload(buffer, &mut unwrapped) {
                break;
            }
            let taken = self.take_head(&buffer[unwrapped.rest..], &mut unwrapped);
            if taken == 0 {
                break;
            }
            unwrapped.rest += taken;
        }
        unwrapped
    }

    /// Moves what is there of the present frame behind the data before it; `false` if the rest of it is still to come.
    fn take_payload(&mut self, buffer: &mut [u8], unwrapped: &mut Unwrapped) -> bool {
        let Unwrapped { data, rest, .. } = *unwrapped;
        let len = (self.left() as usize).min(buffer.len() - rest);
        if self.state & CLIENT == 0 {
            mask(&mut buffer[rest..rest + len], self.key);
            self.key.rotate_left(len % 4);
        }
        if data != rest {
            buffer.copy_within(rest..rest + len, data);
        }
        self.state -= len as u32;
        unwrapped.data += len;
        unwrapped.rest += len;
        self.left() == 0
    }

    /// Takes the head of a data frame, or a whole control frame; tells how many bytes that were, or 0 if they are not all
    /// there.
    fn take_head(&mut self, bytes: &[u8], unwrapped: &mut Unwrapped) -> usize {
        let head = match Head::read(bytes, self.state & CLIENT != 0) {
            Ok(Some(head)) => head,
            Ok(None) => return 0,
            Err(fault) => return self.end(End::Fault(fault), unwrapped),
        };
        if head.opcode & 0x8 == 0 {
            if let Err(fault) = self.begin(&head) {
                return self.end(End::Fault(fault), unwrapped);
            }
            return head.len;
        }
        let whole = head.len + head.payload_len as usize;
        let Some(masked) = bytes.get(head.len..whole) else { return 0 };
        let mut payload = [0; CONTROL_BYTES_MAX];
        payload[..masked.len()].copy_from_slice(masked);
        mask(&mut payload[..masked.len()], head.key);
        match head.opcode {
            0x8 => {
                self.end(closed(&payload[..masked.len()]), unwrapped);
            }
            0x9 => unwrapped.ping = Some(Ping { len: masked.len() as u8, bytes: payload }),
            // A pong, which answers nothing here, as no ping was sent.
            _ => {}
        }
        whole
    }

    /// Begins a data frame, if it is one that may come now.
    fn begin(&mut self, head: &Head) -> Result<(), Fault> {
        let continues = head.opcode == 0;
        if continues != (self.state & FRAGMENTED != 0) {
            return Err(Fault::protocol("a fragment out of place"));
        }
        let fragmented = if head.last { 0 } else { FRAGMENTED };
        self.state = (self.state & CLIENT) | fragmented | head.payload_len;
        self.key = head.key;
        Ok(())
    }

    fn end(&mut self, end: End, unwrapped: &mut Unwrapped) -> usize {
        self.state |= OVER;
        unwrapped.end = Some(end);
        0
    }

    fn left(&self) -> u32 {
        self.state & LEFT
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("left", &self.left())
            .field("fragmented", &(self.state & FRAGMENTED != 0))
            .field("over", &self.is_over())
            .finish_non_exhaustive()
    }
}

impl Head {
    /// The head at the front of `bytes`, once it is all there.
    fn read(bytes: &[u8], is_client: bool) -> Result<Option<Head>, Fault> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        let (opcode, last) = (first & 0x0F, first & 0x80 != 0);
        check_first(first, opcode, last)?;
        if (second & 0x80 != 0) == is_client {
            return Err(Fault::protocol(if is_client {
                "a masked frame from a server"
            } else {
                "a frame without a mask from a client"
            }));
        }
        let short = second & 0x7F;
        let is_control = opcode & 0x8 != 0;
        if is_control && usize::from(short) > CONTROL_BYTES_MAX {
            return Err(Fault::protocol("a control frame of more than 125 bytes"));
        }
        let (payload_len, rest) = match short {
            126 => match rest.split_first_chunk::<2>() {
                Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk::<8>() {
                Some((len, rest)) => (u64::from_be_bytes(*len), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        check_len(short, payload_len)?;
        let (key, rest) = if is_client {
            ([0; 4], rest)
        } else {
            match rest.split_first_chunk::<4>() {
                Some((key, rest)) => (*key, rest),
                None => return Ok(None),
            }
        };
        let len = bytes.len() - rest.len();
        Ok(Some(Head { len, opcode, last, payload_len: payload_len as u32, key }))
    }
}

fn check_first(first: u8, opcode: u8, last: bool) -> Result<(), Fault> {
    if first & 0x70 != 0 {
        return Err(Fault::protocol("a reserved bit without an extension"));
    }
    match opcode {
        // `[MQTT-6.0.0-1]`
        0x1 => Err(Fault { code: code::UNSUPPORTED_DATA, what: "a text frame, where MQTT is binary" }),
        0x0 | 0x2 => Ok(()),
        0x8..=0xA if last => Ok(()),
        0x8..=0xA => Err(Fault::protocol("a control frame in fragments")),
        _ => Err(Fault::protocol("a frame of an unknown type")),
    }
}

fn check_len(short: u8, payload_len: u64) -> Result<(), Fault> {
    let is_shortest = match short {
        126 => payload_len > 125,
        127 => payload_len > u64::from(u16::MAX),
        _ => true,
    };
    if !is_shortest {
        Err(Fault::protocol("a length that is not in its shortest form"))
    } else if payload_len > Reader::FRAME_BYTES_MAX as u64 {
        Err(Fault { code: code::TOO_LARGE, what: "a frame of more than 512 MiB" })
    } else {
        Ok(())
    }
}

/// What a close frame says, or what is wrong with it.
fn closed(payload: &[u8]) -> End {
    let Some((close, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() {
            End::Close(None)
        } else {
            End::Fault(Fault::protocol("a close frame with half a code"))
        };
    };
    let close = u16::from_be_bytes(*close);
    if !is_sendable(close) {
        End::Fault(Fault::protocol("a close code that must not be sent"))
    } else if std::str::from_utf8(reason).is_err() {
        End::Fault(Fault { code: code::INVALID_DATA, what: "a close reason that is not UTF-8" })
    } else {
        End::Close(Some(close))
    }
}

impl Fault {
    fn protocol(what: &'static str) -> Self {
        Fault { code: code::PROTOCOL_ERROR, what }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the peer broke the WebSocket protocol: {}", self.what)
    }
}

impl std::error::Error for Fault {}

impl End {
    /// The code of the close frame that answers this.
    pub fn answer(self) -> Option<u16> {
        match self {
            End::Close(close) => close,
            End::Fault(fault) => Some(fault.code),
        }
    }
}

impl Ping {
    /// What a pong has to send back.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl std::fmt::Debug for Ping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ping").field(&self.payload()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_between_frames_is_eight_bytes() {
        assert_eq!(size_of::<Reader>(), 8);
    }
}
