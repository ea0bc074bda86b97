//! Property sets that break the rules of 5.0. Hard cases I01, I02, I04 and I05.
//!
//! Everything here is written by hand; each broken packet gets a connection of its own.

use longwire_proto::Version;

use super::malformed::{BAD_UTF_8, answered, set};
use super::scenes;
use crate::craft::{self, field, frame, join};
use crate::failure::Check;
use crate::stage::Stage;

scenes! {
    v5 repeated_property_in_publish "I01 U5-06" "4.13.1-1";
    v5 repeated_property_in_other_packets "I01 U5-06" "4.13.1-1";
    v5 unknown_property "U5-03" "4.13.1-1";
    v5 property_of_another_packet "U5-03" "4.13.1-1";
    v5 property_cut_short "I05 U5-04" "4.13.1-1";
    v5 property_length_beyond_the_packet "I05 U5-05" "4.13.1-1";
    v5 forbidden_property_values "I02 U5-14 U5-26" "4.13.1-1 3.3.2-14";
    v5 padded_integers_in_properties "I04" "1.5.5-1";
    v5 properties_that_are_not_utf_8 "" "1.5.7-1 1.5.4-1 3.3.2-13 3.3.2-19";
}

/// Each single property twice in PUBLISH: 0x82.
fn repeated_property_in_publish(stage: &Stage<'_>) -> Check {
    for property in PUBLISH_PROPERTIES {
        let packet = craft::publish(Version::V5, 0, b"a", None, &join(&[property, property]), b"x");
        answered(stage, "PUBLISH with a repeated property", &packet, 0x82, &[0x81])?;
    }
    Ok(())
}

/// Each single property of SUBSCRIBE, the acknowledgements and DISCONNECT twice: 0x82.
fn repeated_property_in_other_packets(stage: &Stage<'_>) -> Check {
    let reason: &[u8] = &[0x1F, 0, 1, b'r'];
    let twice = |property: &[u8]| join(&[property, property]);
    let ack = |first: u8| frame(first, &join(&[&[0, 1, 0], &set(&twice(reason))]));
    let packets = [
        craft::subscribe(Version::V5, &twice(&[0x0B, 1]), b"a", 0),
        ack(0x40),
        ack(0x50),
        ack(0x62),
        ack(0x70),
        frame(0xE0, &join(&[&[0], &set(&twice(reason))])),
        frame(0xE0, &join(&[&[0], &set(&twice(&[0x11, 0, 0, 0, 0]))])),
    ];
    for packet in packets {
        answered(stage, "a packet with a repeated property", &packet, 0x82, &[0x81])?;
    }
    Ok(())
}

/// Property 0x7F, 0x00 and 0x04, which do not exist, in every packet: 0x81.
fn unknown_property(stage: &Stage<'_>) -> Check {
    for id in [0x7F, 0x00, 0x04] {
        for packet in with_properties(&[id, 0]) {
            answered(stage, "a packet with an unknown property", &packet, 0x81, &[0x82])?;
        }
    }
    Ok(())
}

/// Properties that exist, but not in this packet: 0x81.
fn property_of_another_packet(stage: &Stage<'_>) -> Check {
    for property in [&[0x18, 0, 0, 0, 5][..], &[0x21, 0, 5], &[0x11, 0, 0, 0, 5], &[0x13, 0, 5], &[0x24, 1]] {
        let packet = craft::publish(Version::V5, 0, b"a", None, property, b"x");
        answered(stage, "PUBLISH with a property of another packet", &packet, 0x81, &[0x82])?;
        let packet = craft::subscribe(Version::V5, property, b"a", 0);
        answered(stage, "SUBSCRIBE with a property of another packet", &packet, 0x81, &[0x82])?;
    }
    Ok(())
}

/// Each property of PUBLISH cut at every byte: 0x81.
fn property_cut_short(stage: &Stage<'_>) -> Check {
    for property in PUBLISH_PROPERTIES {
        for len in 1..property.len() {
            let packet = craft::publish(Version::V5, 0, b"a", None, &property[..len], b"");
            answered(stage, "PUBLISH with a property cut short", &packet, 0x81, &[0x82])?;
        }
    }
    Ok(())
}

/// A property length that runs beyond the packet: 0x81.
fn property_length_beyond_the_packet(stage: &Stage<'_>) -> Check {
    for packet in [
        frame(0x30, &join(&[&field("a"), &[100], b"x"])),
        frame(0x82, &[0, 1, 100, 0, 1, b'a', 0]),
        frame(0xA2, &[0, 1, 100, 0, 1, b'a']),
        frame(0xE0, &[0, 5, 0x11]),
    ] {
        answered(stage, "a property length beyond the packet", &packet, 0x81, &[0x82])?;
    }
    Ok(())
}

/// Values that the standard forbids: 0x82.
fn forbidden_property_values(stage: &Stage<'_>) -> Check {
    for property in [&[0x01, 2][..], &[0x08, 0, 3, b'r', b'/', b'#'], &[0x08, 0, 1, b'+'], &[0x0B, 1]] {
        let packet = craft::publish(Version::V5, 0, b"a", None, property, b"x");
        answered(stage, "PUBLISH with a forbidden value", &packet, 0x82, &[0x81, 0x90])?;
    }
    let packet = craft::subscribe(Version::V5, &[0x0B, 0], b"a", 0);
    answered(stage, "SUBSCRIBE with identifier 0", &packet, 0x82, &[0x81])
}

/// A property length or a subscription identifier with more bytes than it needs: 0x81.
fn padded_integers_in_properties(stage: &Stage<'_>) -> Check {
    for packet in [
        frame(0x30, &join(&[&field("a"), &[0x80, 0], b"x"])),
        frame(0x82, &[0, 1, 0x80, 0, 0, 1, b'a', 0]),
        craft::subscribe(Version::V5, &[0x0B, 0x81, 0], b"a", 0),
        craft::publish(Version::V5, 0, b"a", None, &[0x81, 0, 1], b"x"),
    ] {
        answered(stage, "a padded integer", &packet, 0x81, &[])?;
    }
    Ok(())
}

/// Bad UTF-8 and U+0000 in string properties of PUBLISH, SUBSCRIBE, acknowledgements and DISCONNECT: 0x81.
fn properties_that_are_not_utf_8(stage: &Stage<'_>) -> Check {
    for bad in BAD_UTF_8.iter().copied().chain([&b"a\0b"[..]]) {
        let text = field(bad);
        let name_bad = join(&[&[0x26], &text, &field("v")]);
        let value_bad = join(&[&[0x26], &field("k"), &text]);
        let reason = join(&[&[0x1F], &text]);
        for property in
            [join(&[&[0x03], &text]), join(&[&[0x08], &text]), name_bad.clone(), value_bad.clone()]
        {
            let packet = craft::publish(Version::V5, 0, b"a", None, &property, b"x");
            answered(stage, "PUBLISH with bad text in a property", &packet, 0x81, &[0x82])?;
        }
        for packet in [
            craft::subscribe(Version::V5, &name_bad, b"a", 0),
            craft::unsubscribe(Version::V5, &value_bad, b"a"),
            frame(0x40, &join(&[&[0, 1, 0], &set(&reason)])),
            frame(0xE0, &join(&[&[0], &set(&reason)])),
        ] {
            answered(stage, "bad text in a property", &packet, 0x81, &[0x82])?;
        }
    }
    Ok(())
}

/// Each property that may stand once in a PUBLISH of a client.
const PUBLISH_PROPERTIES: &[&[u8]] = &[
    &[0x01, 1],
    &[0x02, 0, 0, 0, 60],
    &[0x03, 0, 1, b't'],
    &[0x08, 0, 1, b'r'],
    &[0x09, 0, 1, b'c'],
    &[0x23, 0, 1],
];

/// Every packet of a client that may have properties, with this set.
fn with_properties(raw: &[u8]) -> Vec<Vec<u8>> {
    let v5 = Version::V5;
    let mut packets = vec![
        craft::publish(v5, 0, b"a", None, raw, b"x"),
        craft::subscribe(v5, raw, b"a", 0),
        craft::unsubscribe(v5, raw, b"a"),
        frame(0xE0, &join(&[&[0], &set(raw)])),
    ];
    packets.extend([0x40, 0x50, 0x62, 0x70].map(|first| frame(first, &join(&[&[0, 1, 0], &set(raw)]))));
    packets
}
