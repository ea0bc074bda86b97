//! Decoder and encoder against each other: what was decoded can be encoded, and decodes to the same packet.

use std::hash::{DefaultHasher, Hash, Hasher};

use longwire_proto::decode::{self, Decoded};
use longwire_proto::encode;

use crate::Outcome;
use crate::decode::all_rules;

/// Decodes the packet at the start of `data`, encodes it, and decodes that.
pub fn round_trip(data: &[u8]) -> Outcome {
    let mut outcome = DefaultHasher::new();
    let mut written = Vec::new();
    for rules in all_rules() {
        let Ok(Decoded::Packet(packet, consumed)) = decode::packet(data, &rules) else { continue };
        written.clear();
        encode::packet(&packet, rules.version, &mut written).expect("what was decoded can be encoded");
        assert!(written.len() <= consumed, "the encoder's form is the shortest");
        assert_eq!(decode::packet(&written, &rules), Ok(Decoded::Packet(packet, written.len())));
        (rules.version, packet.packet_type() as u8, written.len()).hash(&mut outcome);
    }
    outcome.finish()
}
