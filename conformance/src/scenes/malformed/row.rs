//! One row of the tables: a packet made by hand, and the one thing that must answer it.
//!
//! A [`Rule`] gathers the rows that break (or keep, at its edge) the same rule, and so prove the same statements
//! and expect the same answer. Each row is played on a connection of its own.

use longwire_proto::Version;

use super::answer::Answer;
use crate::craft::{disconnect, frame};
use crate::failure::{Check, Failure};
use crate::message::{Arrival, hex};
use crate::peer::Peer;
use crate::stage::Stage;

/// Stands in a row for as many letters and digits that no other run of a scene uses: for client ids, which would take
/// each other over.
pub(super) const RUN: &str = "{letters of this run}";

/// The rows of one area, such as `publish`.
pub(super) struct Table {
    area: &'static str,
    pub(super) rows: Vec<Row>,
}

/// What the rows that follow it have in common.
pub(super) struct Rule<'a> {
    table: &'a mut Table,
    common: Common,
}

#[derive(Clone)]
struct Common {
    cases: String,
    statements_v311: String,
    statements_v5: String,
    answer: Answer,
    also: &'static [u8],
    /// Versions in which the standard leaves the answer open.
    open_in: &'static [Version],
}

/// A packet in one version or both, and what must answer it.
pub(in crate::scenes) struct Row {
    name: String,
    bytes_v311: Option<Vec<u8>>,
    bytes_v5: Option<Vec<u8>>,
    common: Common,
}

impl Table {
    /// An empty table.
    pub(super) fn new(area: &'static str) -> Self {
        Table { area, rows: Vec::new() }
    }

    /// A rule: its hard cases and unnumbered rules, its statements in 3.1.1 and in 5.0, and the answer.
    pub(super) fn rule(
        &mut self,
        cases: impl Into<String>,
        statements_v311: impl Into<String>,
        statements_v5: impl Into<String>,
        answer: Answer,
    ) -> Rule<'_> {
        let common = Common {
            cases: cases.into(),
            statements_v311: statements_v311.into(),
            statements_v5: statements_v5.into(),
            answer,
            also: &[],
            open_in: &[],
        };
        Rule { table: self, common }
    }
}

impl Rule<'_> {
    /// Codes that a lenient target may send instead, besides 0x81 and 0x82, which it may always swap.
    pub(super) fn also(mut self, codes: &'static [u8]) -> Self {
        self.common.also = codes;
        self
    }

    /// The standard leaves the answer open and this is ours, so that a lenient target is not asked.
    pub(super) fn by_choice(self) -> Self {
        self.by_choice_in(&[Version::V311, Version::V5])
    }

    /// The same for these versions only.
    pub(super) fn by_choice_in(mut self, versions: &'static [Version]) -> Self {
        self.common.open_in = versions;
        self
    }

    /// A row for both versions.
    pub(super) fn both(&mut self, name: impl AsRef<str>, packet: impl Fn(Version) -> Vec<u8>) -> &mut Self {
        self.row(name.as_ref(), Some(packet(Version::V311)), Some(packet(Version::V5)))
    }

    /// A row for 3.1.1 only.
    pub(super) fn v311(&mut self, name: impl AsRef<str>, packet: Vec<u8>) -> &mut Self {
        self.row(name.as_ref(), Some(packet), None)
    }

    /// A row for 5.0 only.
    pub(super) fn v5(&mut self, name: impl AsRef<str>, packet: Vec<u8>) -> &mut Self {
        self.row(name.as_ref(), None, Some(packet))
    }

    /// A row for this version only.
    pub(super) fn one(&mut self, version: Version, name: impl AsRef<str>, packet: Vec<u8>) -> &mut Self {
        if version == Version::V5 { self.v5(name, packet) } else { self.v311(name, packet) }
    }

    fn row(&mut self, name: &str, bytes_v311: Option<Vec<u8>>, bytes_v5: Option<Vec<u8>>) -> &mut Self {
        let name = format!("{}::{name}", self.table.area);
        self.table.rows.push(Row { name, bytes_v311, bytes_v5, common: self.common.clone() });
        self
    }
}

impl Row {
    /// `area::row`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Hard cases and unnumbered rules.
    pub(super) fn cases(&self) -> &str {
        &self.common.cases
    }

    /// Numbered statements of this version, if the row is played in it.
    pub(super) fn statements(&self, version: Version) -> Option<&str> {
        let common = &self.common;
        let statements = if version == Version::V5 { &common.statements_v5 } else { &common.statements_v311 };
        self.bytes(version).map(|_| statements.as_str())
    }

    /// What is sent in this version.
    pub(super) fn bytes(&self, version: Version) -> Option<&[u8]> {
        if version == Version::V5 { self.bytes_v5.as_deref() } else { self.bytes_v311.as_deref() }
    }

    /// Whether it is the first packet of its connection; all others follow a CONNECT that was accepted.
    pub(super) fn is_first(&self) -> bool {
        self.common.answer.is_for_a_first_packet()
    }

    /// Sends it on a connection of its own and judges the answer.
    pub(in crate::scenes) fn perform(&self, stage: &Stage<'_>) -> Check {
        if stage.settings.lenient && self.common.open_in.contains(&stage.version) {
            return Err(Failure::NotApplicable("the standard leaves the choice".to_owned()));
        }
        let bytes = in_this_run(self.bytes(stage.version).unwrap_or_default(), stage);
        let mut peer = if self.is_first() { stage.dial("client")? } else { stage.connect("client")? };
        if matches!(self.common.answer, Answer::UnknownLevel) && stage.settings.lenient {
            // Other brokers answer in the form of the version that they know best.
            peer.version = Version::V311;
        }
        peer.raw(&self.name, &bytes);
        self.is_answered(peer)
            .map_err(|failure| failure.about(format_args!("{}: {}", self.name, hex(&bytes))))
    }

    fn is_answered(&self, mut peer: Peer) -> Check {
        let also = [&[0x81, 0x82], self.common.also].concat();
        match &self.common.answer {
            Answer::Refused(code) => peer.expect_refusal(*code, &also, None),
            Answer::RefusedWith(code, code_v311) => peer.expect_refusal(*code, &also, Some(*code_v311)),
            Answer::UnknownLevel => peer.expect_refusal(0x84, &also, Some(1)),
            Answer::Unheard | Answer::Left => peer.expect_end(),
            Answer::Closed(code) => peer.expect_close(*code, &also),
            Answer::ClosedAfter(replies, code) => {
                replies.iter().try_for_each(|reply| reply.expect(&mut peer))?;
                peer.expect_close(*code, &also)
            }
            Answer::CutOff => {
                peer.stop_sending();
                peer.expect_end()
            }
            Answer::Accepted => {
                peer.expect_connack()?;
                still_works(peer)
            }
            Answer::Stays(replies) => {
                replies.iter().try_for_each(|reply| reply.expect(&mut peer))?;
                still_works(peer)
            }
        }
    }
}

/// The bytes with the letters of this run in their place.
fn in_this_run(bytes: &[u8], stage: &Stage<'_>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(place) = bytes.windows(RUN.len()).position(|window| window == RUN.as_bytes()) {
        let letters = format!("{:0>1$}", stage.tag(), RUN.len());
        bytes[place..place + RUN.len()].copy_from_slice(&letters.as_bytes()[letters.len() - RUN.len()..]);
    }
    bytes
}

/// The link answers exactly one PINGREQ with PINGRESP, then takes a DISCONNECT that ends its session.
fn still_works(mut peer: Peer) -> Check {
    peer.ping()?;
    let goodbye = if peer.v5() { disconnect(0, &[0x11, 0, 0, 0, 0]) } else { frame(0xE0, &[]) };
    peer.raw("DISCONNECT", &goodbye);
    peer.wait("a close", |arrival| (*arrival == Arrival::Closed).then_some(()))
}
