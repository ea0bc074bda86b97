//! The client's state machine under operations read from bytes, between a server and an owner who both keep book.
//!
//! `run` does the operations and moves the bytes; `calls` are the owner's, `packets` the server's. `server` reads what
//! the client writes as strictly as a server may, knows what it is owed, and whether what it sends itself is fair: only
//! what is not may end the connection. `owner` knows what became of each call. In the end a patient server answers
//! everything, and nobody may be left waiting.

mod calls;
mod owner;
mod packets;
mod run;
mod server;

use longwire_proto::client::{Authentication, Settings, Will};
use longwire_proto::packet::{QoS, Version};
use longwire_proto::property::PropertiesBuf;
use longwire_proto::reason::ReasonCode;

use crate::Outcome;
use run::Run;

const METHOD: &str = "M";
const TOPICS: [&str; 4] = ["t", "sensors/1", "sensors/2", "a/+"];
const REASONS: [ReasonCode; 6] = [
    ReasonCode::Success,
    ReasonCode::QuotaExceeded,
    ReasonCode::NotAuthorized,
    ReasonCode::PacketIdentifierNotFound,
    ReasonCode::DisconnectWithWill,
    ReasonCode::ServerBusy,
];

/// What a byte of the input asks for; further bytes tell the details.
mod operation {
    pub(super) const CONNECT: u8 = 0;
    pub(super) const ACCEPT: u8 = 1;
    pub(super) const PUBLISH: u8 = 2;
    pub(super) const ANSWER: u8 = 3;
    pub(super) const MESSAGE: u8 = 4;
    pub(super) const ACKNOWLEDGE: u8 = 5;
    pub(super) const CLOSE: u8 = 6;
    pub(super) const SUBSCRIBE: u8 = 7;
    pub(super) const UNSUBSCRIBE: u8 = 8;
    pub(super) const WAIT: u8 = 9;
    pub(super) const ANY_ACK: u8 = 10;
    pub(super) const ANY_ANSWER: u8 = 11;
    pub(super) const RAW: u8 = 12;
    pub(super) const OTHER: u8 = 13;
    pub(super) const DISCONNECT: u8 = 14;
    pub(super) const HOLD: u8 = 15;
    pub(super) const AUTHENTICATE: u8 = 16;
    pub(super) const REFUSE: u8 = 17;
    pub(super) const WRITE: u8 = 18;
    pub(super) const COUNT: u8 = 19;
}

/// Reads `data` as settings and operations, and does them.
pub fn client(data: &[u8]) -> Outcome {
    let mut script = Script { rest: data };
    let mut run = Run::new(settings(&mut script));
    while !script.rest.is_empty() {
        run.step(&mut script);
    }
    run.finish()
}

/// Lives in which every part of a client has its turn.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    use operation::*;
    const V5: [u8; 3] = [0b0111_0101, 0xFF, 7];
    const V311: [u8; 3] = [0b0000_0000, 0xFF, 7];
    let lives: [(&str, [u8; 3], &[u8]); 12] = [
        ("qos-1", V5, &[CONNECT, ACCEPT, 0, 0, PUBLISH, 1, 0, ANSWER, 0]),
        (
            "qos-2",
            V5,
            &[CONNECT, ACCEPT, 0, 0, PUBLISH, 2, 0, ANSWER, 0, CLOSE, CONNECT, ACCEPT, 1, 0, ANSWER, 0],
        ),
        (
            "qos-2-of-3.1.1",
            V311,
            &[CONNECT, ACCEPT, 0, 0, PUBLISH, 2, 0, ANSWER, 0, CLOSE, CONNECT, ACCEPT, 1, 0],
        ),
        (
            "lost-session",
            V5,
            &[CONNECT, ACCEPT, 0, 0, PUBLISH, 1, 0, PUBLISH, 2, 0, ANSWER, 1, CLOSE, CONNECT, ACCEPT, 0, 0],
        ),
        (
            "small-window",
            V5,
            &[CONNECT, ACCEPT, 2, 0, PUBLISH, 1, 0, PUBLISH, 2, 0, PUBLISH, 0, 0, ANSWER, 0, ANSWER, 0],
        ),
        (
            "aliases",
            V5,
            &[CONNECT, ACCEPT, 0, 0x40, PUBLISH, 0x08, 0, PUBLISH, 0x08, 0, PUBLISH, 0x10, 0, WRITE],
        ),
        (
            "messages",
            V5,
            &[
                CONNECT,
                ACCEPT,
                0,
                0,
                MESSAGE,
                2,
                0,
                MESSAGE,
                5,
                0,
                ACKNOWLEDGE,
                0,
                ACKNOWLEDGE,
                0,
                ANY_ACK,
                2,
                1,
                0,
            ],
        ),
        (
            "repeats",
            V5,
            &[
                CONNECT,
                ACCEPT,
                0,
                0,
                MESSAGE,
                2,
                0,
                CLOSE,
                CONNECT,
                ACCEPT,
                1,
                0,
                MESSAGE,
                2,
                0,
                ACKNOWLEDGE,
                0,
            ],
        ),
        (
            "subscriptions",
            V5,
            &[
                SUBSCRIBE,
                1,
                0,
                CONNECT,
                ACCEPT,
                0,
                0,
                ANSWER,
                0,
                CLOSE,
                UNSUBSCRIBE,
                1,
                CONNECT,
                ACCEPT,
                0,
                0,
                ANSWER,
                0,
            ],
        ),
        ("silence", V311, &[CONNECT, ACCEPT, 0, 0, WAIT, 6, WAIT, 6, WAIT, 6]),
        ("farewell", V5, &[CONNECT, ACCEPT, 0, 0, PUBLISH, 1, 0, DISCONNECT, 0, 3]),
        (
            "authentication",
            [0b0111_1101, 0xFF, 7],
            &[
                CONNECT,
                OTHER,
                3,
                AUTHENTICATE,
                0,
                ACCEPT,
                0,
                0,
                AUTHENTICATE,
                1,
                OTHER,
                3,
                AUTHENTICATE,
                0,
                OTHER,
                4,
            ],
        ),
    ];
    lives.iter().map(|(name, settings, life)| ((*name).to_owned(), [settings, *life].concat())).collect()
}

/// The input, read from its front; zeroes behind its end.
struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        byte
    }

    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        bytes
    }
}

/// Settings as the bits of three bytes say.
fn settings(script: &mut Script<'_>) -> Settings {
    let (bits, bounds, queue) = (script.byte(), script.byte(), script.byte());
    let is_set = |bit: u8| bits & 1 << bit != 0;
    let version = if is_set(0) { Version::V5 } else { Version::V311 };
    let is_v5 = version == Version::V5;
    let will = Will {
        topic: "w".into(),
        payload: Vec::new(),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: PropertiesBuf::new(),
    };
    Settings {
        version,
        client_id: if is_v5 && is_set(7) { String::new() } else { "c".into() },
        clean_start: is_set(1),
        session_expiry_secs: if is_v5 && is_set(2) { 60 } else { 0 },
        authentication: (is_v5 && is_set(3)).then(|| Authentication { method: METHOD.into(), data: None }),
        topic_alias_maximum: if is_set(4) { 2 } else { 0 },
        topic_aliases_used_max: if is_set(5) { 2 } else { 0 },
        will: is_set(6).then_some(will),
        keep_alive_secs: if queue & 0x80 != 0 { 0 } else { 60 },
        receive_maximum: u16::from(bounds % 4) + 1,
        in_flight_max: if bounds & 0x80 != 0 { u16::MAX } else { u16::from(bounds >> 2 & 3) + 1 },
        queue_messages_max: usize::from(queue % 8) + 1,
        requests_max: 4,
        packet_size_max: 300,
        ..Settings::default()
    }
}
