//! Single faults that a broker could have, each with the statements that it breaks.
//!
//! FAULTLIST
//!
//! A fault is played by a [`Proxy`](crate::Proxy) in front of a real broker. The test of the faults then asks whether,
//! for each statement in [`Fault::breaks`], a scene that quotes it fails. A fault that no scene sees is a hole in the
//! scenes. Faults lie in the packets that a broker sends, or in what it makes of those it gets; the latter are played by
//! changing the packets on their way in, such as a SUBSCRIBE that loses its options.

mod acknowledgement;
mod connect;
mod content;
mod delivery;
mod malformed;
mod retained;
mod subscription;
mod will;

use std::sync::LazyLock;

use longwire_proto::Version;
use longwire_proto::packet::PacketType;

use crate::proxy::{Side, Turn};

/// One deviation from the standard.
#[derive(Clone, Copy)]
pub struct Fault {
    /// What it is called, such as `dup-lost`.
    pub name: &'static str,
    /// What a broker with this fault does, in half a sentence.
    pub says: &'static str,
    /// Ids that it breaks in 3.1.1, without the prefix of numbered statements.
    v311: &'static str,
    /// Ids that it breaks in 5.0, without the prefix of numbered statements.
    v5: &'static str,
    /// Where it acts.
    pub(crate) touches: &'static [Touch],
    /// What it does there.
    pub(crate) act: fn(&mut Turn<'_>),
}

/// Something that a fault acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    /// Packets of a type that this side sends.
    Packet(Side, PacketType),
    /// The end of what this side sends.
    End(Side),
}

impl Fault {
    /// The ids that it breaks in this version; none if it does not show there.
    pub fn breaks(&self, version: Version) -> Vec<String> {
        let ids = if version == Version::V5 { self.v5 } else { self.v311 };
        let whole = |id: &str| {
            if id.starts_with(|first: char| first.is_ascii_digit()) {
                format!("MQTT-{id}")
            } else {
                id.to_owned()
            }
        };
        ids.split_whitespace().map(whole).collect()
    }
}

/// All faults, area by area.
pub fn faults() -> &'static [Fault] {
    static ALL: LazyLock<Vec<Fault>> = LazyLock::new(|| {
        let areas = [
            acknowledgement::FAULTS,
            delivery::FAULTS,
            content::FAULTS,
            subscription::ANSWERS,
            subscription::OPTIONS,
            subscription::IDENTIFIERS,
            retained::FAULTS,
            connect::SESSIONS,
            connect::CONNACKS,
            connect::CONNECTIONS,
            will::FAULTS,
            malformed::FAULTS,
        ];
        areas.concat()
    });
    &ALL
}

/// A packet that clients send.
const fn up(packet_type: PacketType) -> Touch {
    Touch::Packet(Side::Client, packet_type)
}

/// A packet that the broker sends.
const fn down(packet_type: PacketType) -> Touch {
    Touch::Packet(Side::Broker, packet_type)
}

/// Passes nothing on.
fn swallow(turn: &mut Turn<'_>) {
    turn.bytes.clear();
}
