//! The byte vectors of `spec/vectors.tsv`, sent as they stand there: good ones are answered, bad ones refused.

use longwire_proto::Version;
use longwire_proto::packet::Packet;

use super::{Play, Scene};
use crate::failure::Check;
use crate::message::Arrival;
use crate::peer::Peer;
use crate::stage::Stage;

const TABLE: &str = include_str!("../../spec/vectors.tsv");

/// One row of the table that a client can send.
#[derive(Clone, Copy)]
pub(super) struct Vector {
    name: &'static str,
    hex: &'static str,
    meaning: &'static str,
    expected: &'static str,
}

/// A scene for each vector that a client can send without further preparation.
pub(super) fn scenes() -> Vec<Scene> {
    TABLE.lines().skip(1).filter_map(scene).collect()
}

fn scene(row: &'static str) -> Option<Scene> {
    let mut cells = row.split('\t');
    let mut cell = || cells.next().unwrap_or_default();
    let (name, versions, direction) = (cell(), cell(), cell());
    let vector = Vector { name, hex: cell(), meaning: cell(), expected: cell() };
    let plays = direction != "s2c" && !NEEDS_MORE.contains(&name);
    plays.then(|| Scene {
        path: name,
        cases: "",
        v311: played(vector, versions, Version::V311),
        v5: played(vector, versions, Version::V5),
        // Client ids in the table are fixed, so that two of them would take each other over.
        alone: name.starts_with("connect"),
        play: Play::Vector(vector),
    })
}

/// Vectors that mean something only after another packet; scenes of their own cover them.
const NEEDS_MORE: &[&str] = &["pub5-alias", "disconnect5-expiry", "auth5-continue"];

/// Bad vectors whose bytes are in the form of 3.1.1, which 5.0 would misread.
const FORM_OF_3_1_1: &[&str] = &[
    "neg-connect-resflag",
    "neg-connect-willqos3",
    "neg-connect-name",
    "neg-connect-level",
    "neg-pub-wild",
    "neg-sub-empty",
    "neg-utf8",
    "neg-nul",
    "neg-utf8-overlong",
];

/// No statements of its own, but a run in this version if the vector belongs to it.
fn played(vector: Vector, versions: &str, version: Version) -> Option<&'static str> {
    let belongs = match versions {
        "all" => version != Version::V5 || !FORM_OF_3_1_1.contains(&vector.name),
        "5.0" => version == Version::V5,
        _ => version == Version::V311,
    };
    belongs.then_some("")
}

impl Vector {
    /// Sends it on a connection of its own and judges the answer.
    pub(super) fn perform(&self, stage: &Stage<'_>) -> Check {
        let bytes = bytes_of(self.hex);
        let first = self.name.contains("connect") && !self.name.contains("disconnect");
        let mut peer = if first || self.name == "neg-first-publish" {
            stage.dial("client")?
        } else {
            stage.login("client").open()?
        };
        if bytes[0] & 0xF1 == 0x31 {
            peer.leaves_retained("a/b");
        }
        peer.raw(self.meaning, &bytes);
        if self.name.starts_with("neg-") {
            return self.is_refused(stage, &mut peer, first);
        }
        self.is_answered(&mut peer)?;
        peer.disconnect();
        Ok(())
    }

    fn is_refused(&self, stage: &Stage<'_>, peer: &mut Peer, first: bool) -> Check {
        if self.name == "neg-connect-level" && !stage.settings.lenient {
            return peer.expect_bytes(&bytes_of("2003008400")).and_then(|()| peer.expect_end());
        }
        if self.name == "neg-first-publish" {
            return peer.expect_end();
        }
        let code = self.code();
        if first {
            peer.expect_refusal(code, &[0x81, 0x82], None)
        } else {
            peer.expect_close(code, &[0x81, 0x82])
        }
    }

    /// The code in the table; where the table says only "close", that of the statement behind it.
    fn code(&self) -> u8 {
        let named = self.expected.strip_prefix("0x").and_then(|rest| rest.get(..2));
        match named.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(code) => code,
            None if self.name == "neg-pub-id0" => 0x82,
            None => 0x81,
        }
    }

    fn is_answered(&self, peer: &mut Peer) -> Check {
        match self.expected {
            "" if self.name.starts_with("connect") => peer.expect_connack(),
            "" if self.name.starts_with("disconnect") => peer.expect_end(),
            "" => survives(peer),
            "2003000000 or longer with properties" => peer.expect_connack(),
            hex if self.name.starts_with("sub") => {
                peer.wait(format!("SUBACK {hex}"), |arrival| match arrival {
                    Arrival::SubAck(grants) => bytes_of(hex).ends_with(&grants.codes).then_some(()),
                    _ => None,
                })
            }
            hex => peer.expect_bytes(&bytes_of(hex)),
        }
    }
}

/// The link still answers PINGREQ, whatever else the vector brought about.
fn survives(peer: &mut Peer) -> Check {
    peer.send(&Packet::PingReq);
    loop {
        match peer.next()? {
            Arrival::PingResp => return Ok(()),
            gone @ (Arrival::Closed | Arrival::Disconnect(_) | Arrival::Silence) => {
                return Err(peer.differs("a link that survives", gone));
            }
            _ => {}
        }
    }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks_exact(2).map(|pair| std::str::from_utf8(pair).unwrap_or("00"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vector_a_client_can_send_is_played_in_some_version() {
        let rows = TABLE.lines().skip(1).filter(|row| row.split('\t').nth(2) != Some("s2c"));
        assert_eq!(scenes().len(), rows.count() - NEEDS_MORE.len());
        for scene in scenes() {
            let versions = [Version::V311, Version::V5];
            assert!(
                versions.iter().any(|&version| scene.plays_in(version)),
                "{} is never played",
                scene.name()
            );
        }
    }
}
