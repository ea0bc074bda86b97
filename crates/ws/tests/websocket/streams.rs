//! Whatever the frames and however they arrive, the stream in them comes out as it went in.

use longwire_ws::frame::{self, Kind};
use longwire_ws::{End, Reader, Role};
use proptest::prelude::*;

/// What one side sends: data in frames that may be fragments of a message, with pings in between.
#[derive(Clone, Debug)]
struct Piece {
    payload: Vec<u8>,
    key: [u8; 4],
    /// This message goes on with the next piece.
    goes_on: bool,
    ping: Option<Vec<u8>>,
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let payload = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..200),
        1 => prop::collection::vec(any::<u8>(), 65_530..65_540),
    ];
    let ping = prop::option::weighted(0.2, prop::collection::vec(any::<u8>(), 0..=125));
    let piece = (payload, any::<[u8; 4]>(), any::<bool>(), ping)
        .prop_map(|(payload, key, goes_on, ping)| Piece { payload, key, goes_on, ping });
    prop::collection::vec(piece, 0..8)
}

/// The frames of the pieces, as the other side of `reader` writes them.
fn wire(pieces: &[Piece], reader: Role) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut fragmented = false;
    for piece in pieces {
        let key = (reader == Role::Server).then_some(piece.key);
        if let Some(ping) = &piece.ping {
            frame::append(Kind::Ping, ping, key, &mut bytes);
        }
        let start = bytes.len();
        frame::append(Kind::Binary, &piece.payload, key, &mut bytes);
        bytes[start] = u8::from(!piece.goes_on) << 7 | if fragmented { 0 } else { 2 };
        fragmented = piece.goes_on;
    }
    bytes
}

/// Reads `bytes` in chunks of these lengths, in turn; returns the stream and the pings.
fn read(bytes: &[u8], role: Role, chunks: &[usize]) -> (Vec<u8>, Vec<Vec<u8>>, Option<End>) {
    let (mut reader, mut buffer) = (Reader::new(role), Vec::new());
    let (mut stream, mut pings, mut end) = (Vec::new(), Vec::new(), None);
    let mut rest = bytes;
    for len in chunks.iter().cycle() {
        let (chunk, after) = rest.split_at((*len).min(rest.len()));
        rest = after;
        buffer.extend_from_slice(chunk);
        let unwrapped = reader.unwrap(&mut buffer);
        stream.extend_from_slice(&buffer[..unwrapped.data]);
        pings.extend(unwrapped.ping.map(|ping| ping.payload().to_vec()));
        end = end.or(unwrapped.end);
        buffer.drain(..unwrapped.rest);
        assert!(end.is_some() || buffer.len() <= 138, "{} bytes are kept", buffer.len());
        if rest.is_empty() {
            break;
        }
    }
    (stream, pings, end)
}

fn roles() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

proptest! {
    /// `[MQTT-6.0.0-2]`, `[MQTT-6.0.0-2 of 3.1.1]`: frames need not line up with anything, nor do reads with frames.
    #[test]
    fn a_stream_survives_any_framing_and_any_reads(
        pieces in pieces(),
        role in roles(),
        chunks in prop::collection::vec(1_usize..3_000, 1..10),
    ) {
        let bytes = wire(&pieces, role);
        let sent: Vec<u8> = pieces.iter().flat_map(|piece| piece.payload.clone()).collect();
        let (stream, _, end) = read(&bytes, role, &chunks);
        prop_assert_eq!(stream, sent);
        prop_assert_eq!(end, None);
    }

    /// Byte by byte nothing is lost either, and every ping is answered.
    #[test]
    fn a_stream_survives_byte_by_byte(pieces in pieces(), role in roles()) {
        let pieces: Vec<Piece> = pieces.into_iter().filter(|piece| piece.payload.len() < 1_000).collect();
        let bytes = wire(&pieces, role);
        let sent: Vec<u8> = pieces.iter().flat_map(|piece| piece.payload.clone()).collect();
        let asked: Vec<Vec<u8>> = pieces.into_iter().filter_map(|piece| piece.ping).collect();
        let (stream, pings, end) = read(&bytes, role, &[1]);
        prop_assert_eq!(stream, sent);
        prop_assert_eq!(pings, asked);
        prop_assert_eq!(end, None);
    }

    /// Any bytes at all: no panic, the same stream and the same end however they are cut.
    #[test]
    fn noise_is_read_the_same_way_however_it_is_cut(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        role in roles(),
        chunks in prop::collection::vec(1_usize..20, 1..5),
    ) {
        let (whole, _, end) = read(&noise, role, &[usize::MAX]);
        let (cut, _, cut_end) = read(&noise, role, &chunks);
        prop_assert_eq!(whole, cut);
        prop_assert_eq!(end, cut_end);
    }

    /// A mask taken off is the payload again, and the mask is that of the standard: byte by byte.
    #[test]
    fn a_mask_is_a_byte_wise_one(payload in prop::collection::vec(any::<u8>(), 0..100), key in any::<[u8; 4]>()) {
        let mut masked = payload.clone();
        frame::mask(&mut masked, key);
        let expected: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        prop_assert_eq!(masked, expected);
    }
}
