//! The packet decoder on arbitrary bytes, in every version and for both sides.
//!
//! It must not panic; what it accepts must be readable to the end; and it must need exactly the bytes it says.

use std::hash::{DefaultHasher, Hash, Hasher};

use longwire_proto::decode::{self, Decoded, Receiver, Rules};
use longwire_proto::packet::{Connect, Packet, SubAck, Version};
use longwire_proto::property::Properties;

use crate::Outcome;

/// Decodes `data` as a stream of packets.
pub fn decode(data: &[u8]) -> Outcome {
    let mut outcome = DefaultHasher::new();
    decode::connect_level(data).hash(&mut outcome);
    for rules in all_rules() {
        let mut rest = data;
        loop {
            match decode::packet(rest, &rules) {
                Ok(Decoded::Packet(packet, consumed)) => {
                    check_prefixes(&rest[..consumed], &rules);
                    read_all(&packet).hash(&mut outcome);
                    std::mem::discriminant(&packet).hash(&mut outcome);
                    rest = &rest[consumed..];
                }
                Ok(Decoded::Incomplete { needed }) => {
                    assert!(needed > rest.len(), "{needed} bytes are there");
                    break;
                }
                Err(error) => {
                    error.what.hash(&mut outcome);
                    break;
                }
            }
        }
    }
    outcome.finish()
}

/// Every combination of version, side and strictness.
pub(crate) fn all_rules() -> impl Iterator<Item = Rules> {
    let versions = [Version::V31, Version::V311, Version::V5].into_iter();
    versions.flat_map(|version| {
        [Receiver::Server, Receiver::Client].into_iter().flat_map(move |receiver| {
            [false, true].into_iter().map(move |strict_text| Rules {
                version,
                receiver,
                packet_size_max: 2_000,
                strict_text,
            })
        })
    })
}

/// A packet less some of its bytes is incomplete, and known to lack no more than those.
fn check_prefixes(packet: &[u8], rules: &Rules) {
    for len in [0, 1, packet.len() / 2, packet.len() - 1] {
        let prefix = decode::packet(&packet[..len], rules);
        let Ok(Decoded::Incomplete { needed }) = prefix else {
            panic!("{len} of {} bytes: {prefix:?}", packet.len())
        };
        assert!(needed > len && needed <= packet.len(), "{len} of {} bytes need {needed}", packet.len());
    }
}

/// Reads every list of a packet to its end, and tells how many items they have.
fn read_all(packet: &Packet<'_>) -> usize {
    match packet {
        Packet::Connect(connect) => read_connect(connect),
        Packet::ConnAck(connack) => read_properties(connack.properties),
        Packet::Publish(publish) => read_properties(publish.properties),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            read_properties(ack.properties)
        }
        Packet::Subscribe(subscribe) => {
            let filters = subscribe.filters.iter().count();
            assert!(filters > 0, "a SUBSCRIBE has a filter");
            read_properties(subscribe.properties) + filters
        }
        Packet::SubAck(suback) | Packet::UnsubAck(suback) => read_suback(suback),
        Packet::Unsubscribe(unsubscribe) => {
            let filters = unsubscribe.filters.iter().count();
            assert!(filters > 0, "an UNSUBSCRIBE has a filter");
            read_properties(unsubscribe.properties) + filters
        }
        Packet::PingReq | Packet::PingResp => 0,
        Packet::Disconnect(disconnect) => read_properties(disconnect.properties),
        Packet::Auth(auth) => {
            assert!(auth.properties.authentication_method().is_some(), "AUTH has a method");
            read_properties(auth.properties)
        }
    }
}

fn read_connect(connect: &Connect<'_>) -> usize {
    let will = connect.will.map_or(Properties::EMPTY, |will| will.properties);
    read_properties(connect.properties) + read_properties(will)
}

fn read_suback(suback: &SubAck<'_>) -> usize {
    assert_eq!(suback.codes().count(), suback.raw_codes.len(), "every code is known");
    read_properties(suback.properties) + suback.raw_codes.len()
}

/// Counts the properties, and checks that their lengths add up to all of the bytes.
fn read_properties(properties: Properties<'_>) -> usize {
    let again = properties.iter().collect::<longwire_proto::property::PropertiesBuf>();
    assert_eq!(again.as_properties(), properties, "properties are read to their end");
    properties.iter().count()
}
