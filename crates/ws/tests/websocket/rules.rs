//! What a peer may not send, and how it is told.

use longwire_ws::frame::{self, Kind};
use longwire_ws::{End, Reader, Role, code};

/// Frames of a client all have this key.
const KEY: [u8; 4] = [0xA1, 0xB2, 0xC3, 0xD4];

/// The code by which a server ends the connection when it reads these bytes, and the data before that.
fn refused(bytes: &[u8]) -> (u16, Vec<u8>) {
    let mut buffer = bytes.to_vec();
    let mut reader = Reader::new(Role::Server);
    let unwrapped = reader.unwrap(&mut buffer);
    assert!(reader.is_over());
    let Some(End::Fault(fault)) = unwrapped.end else { panic!("{unwrapped:?}") };
    buffer.truncate(unwrapped.data);
    (fault.code, buffer)
}

/// A frame of a client with this first byte.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::append(Kind::Binary, payload, Some(KEY), &mut bytes);
    bytes[0] = first;
    bytes
}

/// `[MQTT-6.0.0-1]`, `[MQTT-6.0.0-1 of 3.1.1]`
#[test]
fn text_is_refused_after_the_data_before_it() {
    let bytes = [raw(0x82, b"data"), raw(0x81, b"text")].concat();
    assert_eq!(refused(&bytes), (code::UNSUPPORTED_DATA, b"data".to_vec()));
}

#[test]
fn a_client_that_does_not_mask_and_a_server_that_does_are_refused() {
    let mut plain = Vec::new();
    frame::append(Kind::Binary, b"data", None, &mut plain);
    assert_eq!(refused(&plain).0, code::PROTOCOL_ERROR);
    let end = Reader::new(Role::Client).unwrap(&mut raw(0x82, b"data")).end;
    assert!(matches!(end, Some(End::Fault(fault)) if fault.code == code::PROTOCOL_ERROR), "{end:?}");
}

#[test]
fn heads_that_the_standard_forbids_are_refused() {
    let long = |first: u8, head: &[u8]| [&[first], head, &KEY].concat();
    let cases: [(&str, Vec<u8>, u16); 12] = [
        ("reserved bit", raw(0xC2, b""), code::PROTOCOL_ERROR),
        ("unknown data frame", raw(0x83, b""), code::PROTOCOL_ERROR),
        ("unknown control frame", raw(0x8B, b""), code::PROTOCOL_ERROR),
        ("ping in fragments", raw(0x09, b""), code::PROTOCOL_ERROR),
        ("ping of 126 bytes", raw(0x89, &[0; 126]), code::PROTOCOL_ERROR),
        ("continuation of nothing", raw(0x80, b""), code::PROTOCOL_ERROR),
        ("message within a message", [raw(0x02, b""), raw(0x82, b"")].concat(), code::PROTOCOL_ERROR),
        ("length 125 in three bytes", long(0x82, &[0xFE, 0, 125]), code::PROTOCOL_ERROR),
        (
            "length 65,535 in nine bytes",
            long(0x82, &[0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]),
            code::PROTOCOL_ERROR,
        ),
        ("a frame too large", long(0x82, &[0xFF, 0, 0, 0, 0, 0x20, 0, 0, 0]), code::TOO_LARGE),
        ("half a close code", raw(0x88, &[3]), code::PROTOCOL_ERROR),
        ("close code 1005", raw(0x88, &[3, 0xED]), code::PROTOCOL_ERROR),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(refused(&bytes).0, expected, "{name}");
    }
    assert_eq!(refused(&raw(0x88, &[3, 0xE8, 0xFF])).0, code::INVALID_DATA, "a reason that is no text");
}

#[test]
fn the_largest_frame_is_taken() {
    let len = Reader::FRAME_BYTES_MAX;
    let mut bytes = frame::head(Kind::Binary, len, Some(KEY)).as_ref().to_vec();
    bytes.extend_from_slice(b"xyz");
    let unwrapped = Reader::new(Role::Server).unwrap(&mut bytes);
    assert_eq!((unwrapped.data, unwrapped.end), (3, None));
}

#[test]
fn a_close_frame_ends_the_stream_and_names_its_code() {
    let mut reader = Reader::new(Role::Server);
    let mut bytes =
        [raw(0x82, b"last"), raw(0x88, &[3, 0xE8, b'b', b'y', b'e']), raw(0x82, b"late")].concat();
    let unwrapped = reader.unwrap(&mut bytes);
    assert_eq!(&bytes[..unwrapped.data], b"last");
    assert_eq!(unwrapped.end, Some(End::Close(Some(code::NORMAL))));
    assert_eq!(unwrapped.end.and_then(End::answer), Some(code::NORMAL));
    assert_eq!(reader.unwrap(&mut raw(0x82, b"late")).data, 0);
}

#[test]
fn the_last_of_many_pings_is_handed_out() {
    let mut bytes =
        [raw(0x89, b"1"), raw(0x02, b"ab"), raw(0x89, b"2"), raw(0x8A, b""), raw(0x80, b"c")].concat();
    let unwrapped = Reader::new(Role::Server).unwrap(&mut bytes);
    assert_eq!(&bytes[..unwrapped.data], b"abc");
    assert_eq!(unwrapped.ping.as_ref().map(longwire_ws::Ping::payload), Some(&b"2"[..]));
}
