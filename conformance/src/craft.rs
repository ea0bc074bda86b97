//! Packets written by hand, byte by byte, for everything that no codec of ours would ever write.
//!
//! Scenes build malformed packets from these few pieces; nothing here checks anything, and nothing here
//! comes from the codec under test.

use longwire_proto::Version;

/// A packet: first byte, shortest remaining length, body.
pub(crate) fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(length(body.len()));
    bytes.extend(body);
    bytes
}

/// A variable byte integer in its shortest form.
pub(crate) fn length(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value % 128) as u8;
        value /= 128;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A variable byte integer in exactly so many bytes, which may be more than it needs.
pub(crate) fn padded_length(value: usize, bytes: u32) -> Vec<u8> {
    let group = |place: u32| (value >> (7 * place)) as u8 & 0x7F;
    (0..bytes).map(|place| group(place) | if place + 1 < bytes { 0x80 } else { 0 }).collect()
}

/// A string or binary field: two length bytes, then whatever bytes are given.
pub(crate) fn field(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let mut out = (bytes.len() as u16).to_be_bytes().to_vec();
    out.extend(bytes);
    out
}

/// All parts in one row.
pub(crate) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A property set with its length in front.
pub(crate) fn set(raw: &[u8]) -> Vec<u8> {
    join(&[&length(raw.len()), raw])
}

/// A property set with its length in front; nothing at all before 5.0.
pub(crate) fn properties(version: Version, raw: &[u8]) -> Vec<u8> {
    match version {
        Version::V5 => set(raw),
        _ => Vec::new(),
    }
}

/// A property whose value is a string or binary field.
pub(crate) fn property(id: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    join(&[&[id], &field(value)])
}

/// A User Property.
pub(crate) fn user_property(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    join(&[&[0x26], &field(name), &field(value)])
}

/// A CONNECT of this version with these flags, keep-alive 60, these raw properties and this raw payload.
pub(crate) fn connect(version: Version, flags: u8, raw_properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let level = version as u8;
    connect_named("MQTT", level, flags, &properties(version, raw_properties), payload)
}

/// A CONNECT with any protocol name and level; `properties` is there with its length or not at all.
pub(crate) fn connect_named(
    name: impl AsRef<[u8]>,
    level: u8,
    flags: u8,
    properties: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    frame(0x10, &join(&[&field(name), &[level, flags, 0, 60], properties, payload]))
}

/// A PUBLISH with these flags in the low nibble; the id goes in only if given.
pub(crate) fn publish(
    version: Version,
    flags: u8,
    topic: impl AsRef<[u8]>,
    id: Option<u16>,
    raw_properties: &[u8],
    payload: impl AsRef<[u8]>,
) -> Vec<u8> {
    let id = id.map(u16::to_be_bytes);
    let id = id.as_ref().map_or(&[][..], |id| &id[..]);
    let properties = properties(version, raw_properties);
    frame(0x30 | flags, &join(&[&field(topic), id, &properties, payload.as_ref()]))
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP, as the first byte says, with this id and whatever follows it.
pub(crate) fn ack(first: u8, id: u16, rest: &[u8]) -> Vec<u8> {
    frame(first, &join(&[&id.to_be_bytes(), rest]))
}

/// A SUBSCRIBE with id 1, these raw properties and one filter with its options byte.
pub(crate) fn subscribe(
    version: Version,
    raw_properties: &[u8],
    filter: impl AsRef<[u8]>,
    options: u8,
) -> Vec<u8> {
    frame(0x82, &join(&[&[0, 1], &properties(version, raw_properties), &field(filter), &[options]]))
}

/// An UNSUBSCRIBE with id 1, these raw properties and one filter.
pub(crate) fn unsubscribe(version: Version, raw_properties: &[u8], filter: impl AsRef<[u8]>) -> Vec<u8> {
    frame(0xA2, &join(&[&[0, 1], &properties(version, raw_properties), &field(filter)]))
}

/// A 5.0 DISCONNECT with this code and these raw properties.
pub(crate) fn disconnect(code: u8, raw_properties: &[u8]) -> Vec<u8> {
    frame(0xE0, &join(&[&[code], &set(raw_properties)]))
}

/// An AUTH with this code and these raw properties.
pub(crate) fn auth(code: u8, raw_properties: &[u8]) -> Vec<u8> {
    frame(0xF0, &join(&[&[code], &set(raw_properties)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_fewest_bytes() {
        assert_eq!(length(0), [0]);
        assert_eq!(length(127), [0x7F]);
        assert_eq!(length(128), [0x80, 1]);
        assert_eq!(length(268_435_455), [0xFF, 0xFF, 0xFF, 0x7F]);
    }

    #[test]
    fn padded_lengths_keep_their_value() {
        assert_eq!(padded_length(0, 2), [0x80, 0]);
        assert_eq!(padded_length(200, 2), length(200));
        assert_eq!(padded_length(200, 4), [0xC8, 0x81, 0x80, 0]);
    }

    #[test]
    fn a_hand_made_publish_equals_the_vector_of_the_specification() {
        assert_eq!(
            publish(Version::V311, 2, b"a/b", Some(10), &[], b"hi"),
            [0x32, 9, 0, 3, b'a', b'/', b'b', 0, 10, b'h', b'i']
        );
        assert_eq!(
            publish(Version::V5, 0, b"a/b", None, &[], b"hi"),
            [0x30, 8, 0, 3, b'a', b'/', b'b', 0, b'h', b'i']
        );
    }
}
