//! The byte vectors of `conformance/spec/vectors.tsv`: good ones are understood and come back to the byte, bad
//! ones are refused by the code they name.

use longwire_proto::decode::{self, DecodeError, Decoded, Receiver, Rules};
use longwire_proto::{Packet, Version, encode};

const VECTORS: &str = include_str!("../../../conformance/spec/vectors.tsv");

/// Good in form, but AUTH without a method means nothing `[U5-43]`.
const MEANINGLESS: &str = "auth5-short";

/// Bad only where they stand: a packet before CONNECT, an expiry after CONNECT said 0.
const BAD_BY_STATE: [&str; 2] = ["neg-first-publish", "neg-disc5-expiry"];

/// One line of the file, for one version and one reader.
struct Case<'a> {
    name: &'a str,
    bytes: Vec<u8>,
    rules: Rules,
    expected: &'a str,
}

impl Case<'_> {
    fn is_bad(&self) -> bool {
        self.name.starts_with("neg-")
    }

    fn decode(&self) -> Result<Decoded<'_>, DecodeError> {
        decode::packet(&self.bytes, &self.rules)
    }
}

fn cases() -> Vec<Case<'static>> {
    let mut cases = Vec::new();
    for line in VECTORS.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[name, versions, direction, hex, _, expected] = fields.as_slice() else {
            panic!("six fields in {line}");
        };
        let versions = match versions {
            "3.1" => vec![Version::V31],
            "3.1.1" => vec![Version::V311],
            "5.0" => vec![Version::V5],
            _ => vec![Version::V31, Version::V311, Version::V5],
        };
        let receivers = match direction {
            "c2s" => vec![Receiver::Server],
            "s2c" => vec![Receiver::Client],
            _ => vec![Receiver::Server, Receiver::Client],
        };
        for &version in &versions {
            for &receiver in &receivers {
                let rules = Rules { version, receiver, packet_size_max: u32::MAX, strict_text: true };
                cases.push(Case { name, bytes: bytes_of(hex), rules, expected });
            }
        }
    }
    cases
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("vectors are in hex");
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// The failure code that a bad vector's expectation names.
fn code_named_in(expected: &str) -> Option<u8> {
    let codes = expected.split("0x").skip(1);
    codes.filter_map(|rest| u8::from_str_radix(rest.get(..2)?, 16).ok()).find(|&code| code >= 0x80)
}

fn good_cases() -> impl Iterator<Item = Case<'static>> {
    cases().into_iter().filter(|case| !case.is_bad() && case.name != MEANINGLESS)
}

fn bad_cases() -> impl Iterator<Item = Case<'static>> {
    cases().into_iter().filter(|case| case.is_bad() && !BAD_BY_STATE.contains(&case.name))
}

#[test]
fn the_file_has_good_and_bad_vectors() {
    assert!(good_cases().count() >= 45);
    assert!(bad_cases().count() >= 32);
}

#[test]
fn good_vectors_come_back_to_the_byte() {
    for case in good_cases() {
        let Ok(Decoded::Packet(packet, consumed)) = case.decode() else {
            panic!("{} is not understood: {:?}", case.name, case.decode());
        };
        assert_eq!(consumed, case.bytes.len(), "{}", case.name);
        let mut encoded = Vec::new();
        encode::packet(&packet, case.rules.version, &mut encoded).expect(case.name);
        assert_eq!(encoded, case.bytes, "{}", case.name);
    }
}

#[test]
fn a_prefix_of_a_good_vector_is_incomplete() {
    for case in good_cases() {
        for len in 0..case.bytes.len() {
            let decoded = decode::packet(&case.bytes[..len], &case.rules);
            let Ok(Decoded::Incomplete { needed }) = decoded else {
                panic!("{} bytes of {}: {decoded:?}", len, case.name);
            };
            assert!(needed > len && needed <= case.bytes.len(), "{} bytes of {}: {needed}", len, case.name);
            assert!(len < 2 || needed == case.bytes.len(), "the length of {} is known", case.name);
        }
    }
}

#[test]
fn what_follows_a_packet_is_left_alone() {
    for case in good_cases() {
        let mut bytes = case.bytes.clone();
        bytes.extend_from_slice(&[0xFF; 7]);
        let decoded = decode::packet(&bytes, &case.rules);
        assert!(
            matches!(decoded, Ok(Decoded::Packet(_, consumed)) if consumed == case.bytes.len()),
            "{}: {decoded:?}",
            case.name
        );
    }
}

#[test]
fn bad_vectors_are_refused_by_the_code_they_name() {
    for case in bad_cases() {
        let Err(error) = case.decode() else { panic!("{} is accepted: {:?}", case.name, case.decode()) };
        if let Some(code) = code_named_in(case.expected) {
            assert_eq!(error.reason as u8, code, "{}: {error}", case.name);
        }
    }
}

#[test]
fn vectors_that_are_bad_by_state_are_good_by_form() {
    for case in cases().iter().filter(|case| BAD_BY_STATE.contains(&case.name)) {
        // A 3.1.1 PUBLISH without properties is no 5.0 PUBLISH.
        let form_of_older_version = case.name == "neg-first-publish" && case.rules.version == Version::V5;
        let understood =
            matches!(case.decode(), Ok(Decoded::Packet(Packet::Publish(_) | Packet::Disconnect(_), _)));
        assert!(understood || form_of_older_version, "{}: {:?}", case.name, case.decode());
    }
}
