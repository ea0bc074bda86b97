//! Strings: UTF-8 without U+0000 always; topics, filters, client ids and user names by stricter rules.

use super::fault::{self, Fault, TextFaults};
use super::{DecodeError, Rules};
use crate::topic::{self, TopicError};

/// Any string `[MQTT-1.5.4-1]` `[MQTT-1.5.4-2]`. U+FEFF is a character like others and is kept `[MQTT-1.5.4-3]`
/// `[MQTT-1.5.3-3 of 3.1.1]`.
pub(super) fn text<'a>(bytes: &'a [u8], ill_formed: &Fault, rules: Rules) -> Result<&'a str, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ill_formed.at(rules.version))?;
    if !is_plain(bytes) && bytes.contains(&0) {
        return Err(fault::NUL.at(rules.version));
    }
    Ok(text)
}

/// A client id or user name.
pub(super) fn name_of_client<'a>(
    bytes: &'a [u8],
    ill_formed: &Fault,
    rules: Rules,
) -> Result<&'a str, DecodeError> {
    let text = text(bytes, ill_formed, rules)?;
    check_strict(text, rules)?;
    Ok(text)
}

/// A topic name `[MQTT-4.7.0-1]`.
#[inline]
pub(super) fn topic_name<'a>(
    bytes: &'a [u8],
    faults: &TextFaults,
    rules: Rules,
) -> Result<&'a str, DecodeError> {
    let name = std::str::from_utf8(bytes).map_err(|_| faults.ill_formed.at(rules.version))?;
    if name.is_empty() || !is_plain(bytes) {
        check_unusual_name(name, faults, rules)?;
    }
    Ok(name)
}

/// A topic filter.
pub(super) fn topic_filter<'a>(
    bytes: &'a [u8],
    ill_formed: &Fault,
    rules: Rules,
) -> Result<&'a str, DecodeError> {
    let filter = std::str::from_utf8(bytes).map_err(|_| ill_formed.at(rules.version))?;
    topic::check_filter(filter).map_err(|error| filter_fault(error).at(rules.version))?;
    check_strict(filter, rules)?;
    Ok(filter)
}

/// Whether a text is free of everything that needs a closer look.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |unusual, &byte| unusual | UNUSUAL[usize::from(byte)]) == 0
}

/// 1 for control characters, wildcards and everything beyond ASCII.
const UNUSUAL: [u8; 256] = {
    let mut unusual = [1; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        unusual[byte as usize] = (byte == b'+' || byte == b'#') as u8;
        byte += 1;
    }
    unusual
};

#[cold]
fn check_unusual_name(name: &str, faults: &TextFaults, rules: Rules) -> Result<(), DecodeError> {
    let fault = match topic::check_name(name) {
        Ok(()) => return check_strict(name, rules),
        Err(TopicError::Empty) => &faults.empty,
        Err(TopicError::Nul) => &fault::NUL,
        Err(_) => &faults.wildcard,
    };
    Err(fault.at(rules.version))
}

fn check_strict(text: &str, rules: Rules) -> Result<(), DecodeError> {
    if rules.strict_text && topic::has_discouraged(text) {
        return Err(fault::DISCOURAGED.at(rules.version));
    }
    Ok(())
}

fn filter_fault(error: TopicError) -> &'static Fault {
    match error {
        TopicError::Empty | TopicError::TooLong => &fault::TOPIC_EMPTY,
        TopicError::Nul => &fault::NUL,
        TopicError::Wildcard | TopicError::MultiLevel => &fault::FILTER_MULTI_LEVEL,
        TopicError::SingleLevel => &fault::FILTER_SINGLE_LEVEL,
        TopicError::Share => &fault::FILTER_SHARE,
    }
}
