//! A socket before its session: what its first packet must be, which worker is its home, and what a CONNECT that
//! makes no sense is told.

use longwire_broker::address::{HashKey, shard_of};
use longwire_proto::decode::{self, DecodeError, Decoded, Receiver, Rules};
use longwire_proto::packet::{ConnAck, Connect};
use longwire_proto::property::Properties;
use longwire_proto::{Packet, ReasonCode, Version, encode};

/// What the first bytes of a connection are.
pub(crate) enum Greeting<'a> {
    /// Not enough yet.
    Incomplete,
    /// A CONNECT, and its length in bytes.
    Connect(Connect<'a>, usize),
    /// Something that ends the connection, and the answer it gets, if any `[MQTT-3.1.4-1]`.
    Refused(DecodeError, Option<Vec<u8>>),
}

/// Reads the first packet of a connection `[MQTT-3.1.0-1]`.
pub(crate) fn greet(bytes: &[u8], packet_size_max: u32, strict_text: bool) -> Greeting<'_> {
    let rules = Rules { version: Version::V311, receiver: Receiver::Server, packet_size_max, strict_text };
    if bytes.first().is_some_and(|first| first >> 4 != CONNECT) {
        let error = DecodeError {
            reason: ReasonCode::ProtocolError,
            statement: "MQTT-3.1.0-1",
            what: "the first packet is not CONNECT",
        };
        return Greeting::Refused(error, None);
    }
    match decode::packet(bytes, &rules) {
        Ok(Decoded::Packet(Packet::Connect(connect), len)) => Greeting::Connect(connect, len),
        Ok(_) => Greeting::Incomplete,
        Err(error) => {
            let answer = refusal(bytes, &error);
            Greeting::Refused(error, answer)
        }
    }
}

/// The statement that a wrong protocol name breaks.
const WRONG_PROTOCOL_NAME: &str = "MQTT-3.1.2-1";

/// Packet type of CONNECT.
const CONNECT: u8 = 1;

/// CONNACK for a CONNECT that could not be read, in the form its sender understands. 3.1 and 3.1.1 have a code for an
/// unknown level only; a sender that does not even say MQTT gets one at level 5 alone, which asks for it.
fn refusal(bytes: &[u8], error: &DecodeError) -> Option<Vec<u8>> {
    let level = decode::connect_level(bytes)?;
    let version = if level & 0x7F >= 5 { Version::V5 } else { Version::V311 };
    let is_about_level =
        error.reason == ReasonCode::UnsupportedProtocolVersion && error.statement != WRONG_PROTOCOL_NAME;
    if version == Version::V311 && !is_about_level {
        return None;
    }
    let connack = ConnAck { session_present: false, reason: error.reason, properties: Properties::EMPTY };
    let mut answer = Vec::new();
    encode::packet(&Packet::ConnAck(connack), version, &mut answer).ok()?;
    Some(answer)
}

/// Home shard of a client; a client without an id is at home wherever it arrives.
pub(crate) fn home(key: &HashKey, client_id: &str, here: u16, shards: u16) -> u16 {
    if client_id.is_empty() { here } else { shard_of(key, client_id, usize::from(shards)) }
}

/// An unguessable client id that is at home on shard `here` (C17).
pub(crate) fn assigned_id(key: &HashKey, here: u16, shards: u16) -> Result<String, getrandom::Error> {
    loop {
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random)?;
        let client_id = format!("longwire-{:032x}", u128::from_be_bytes(random));
        if shard_of(key, &client_id, usize::from(shards)) == here {
            return Ok(client_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer_to(bytes: &[u8]) -> Option<Vec<u8>> {
        match greet(bytes, 1_000, true) {
            Greeting::Refused(_, answer) => answer,
            _ => panic!("was not refused"),
        }
    }

    #[test]
    fn an_unknown_level_is_told_so_in_its_own_form() {
        let level_6 = b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x00\x00\x01c";
        assert_eq!(answer_to(level_6).unwrap(), [0x20, 3, 0, 0x84, 0]);
        let level_2 = b"\x10\x0d\x00\x04MQTT\x02\x02\x00\x00\x00\x01c";
        assert_eq!(answer_to(level_2).unwrap(), [0x20, 2, 0, 1]);
    }

    #[test]
    fn whatever_is_not_a_connect_is_refused_without_a_word() {
        assert_eq!(answer_to(b"\xc0\x00"), None);
    }

    #[test]
    fn assigned_ids_are_at_home_where_they_are_assigned() {
        let key = HashKey(1, 2);
        for here in 0..3 {
            let client_id = assigned_id(&key, here, 3).unwrap();
            assert_eq!(home(&key, &client_id, 9, 3), here);
        }
    }
}
