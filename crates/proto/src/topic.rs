//! Topic names and filters: what is one, and which filter matches which name.
//!
//! Everything works on bytes, without normalization `[MQTT-4.7.3-4]` `[MQTT-4.7.3-4 of 3.1.1]`, and walks a text once from left to right:
//! a name of 65,535 slashes costs no stack.

use std::fmt;

/// Why a text is not a topic name or filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicError {
    /// No character at all `[MQTT-4.7.3-1]`.
    Empty,
    /// More than 65,535 bytes `[MQTT-4.7.3-3]` `[MQTT-4.7.3-3 of 3.1.1]`.
    TooLong,
    /// Contains U+0000 `[MQTT-4.7.3-2]` `[MQTT-4.7.3-2 of 3.1.1]`.
    Nul,
    /// A wildcard in a name `[MQTT-4.7.0-1]`.
    Wildcard,
    /// `#` that is not the whole last level `[MQTT-4.7.1-1]`.
    MultiLevel,
    /// `+` that is not a whole level `[MQTT-4.7.1-2]`.
    SingleLevel,
    /// `$share` without a proper share name and filter `[MQTT-4.8.2-1]` `[MQTT-4.8.2-2]`.
    Share,
}

impl TopicError {
    /// The fault as half a sentence.
    pub fn what(self) -> &'static str {
        match self {
            TopicError::Empty => "a topic is empty",
            TopicError::TooLong => "a topic is longer than 65,535 bytes",
            TopicError::Nul => "a topic contains U+0000",
            TopicError::Wildcard => "a topic name contains a wildcard",
            TopicError::MultiLevel => "'#' is not the whole last level of a filter",
            TopicError::SingleLevel => "'+' is not a whole level of a filter",
            TopicError::Share => "a shared filter lacks a proper share name or filter",
        }
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.what())
    }
}

impl std::error::Error for TopicError {}

/// The parts of `$share/<group>/<filter>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared<'a> {
    /// The share name.
    pub group: &'a str,
    /// The filter behind it, with which names are matched.
    pub filter: &'a str,
}

/// Checks a topic name.
///
/// # Errors
/// It is not one.
pub fn check_name(name: &str) -> Result<(), TopicError> {
    check_extent(name)?;
    if has_wildcard(name) { Err(TopicError::Wildcard) } else { Ok(()) }
}

/// Checks a topic filter, `$share` forms included.
///
/// # Errors
/// It is not one.
pub fn check_filter(filter: &str) -> Result<(), TopicError> {
    check_extent(filter)?;
    let filter = match filter.strip_prefix("$share") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => check_share(filter)?.filter,
        _ => filter,
    };
    let mut rest = filter.as_bytes();
    while let Some(place) = rest.iter().position(|byte| matches!(byte, b'+' | b'#')) {
        let (before, wildcard_and_after) = rest.split_at(place);
        let (wildcard, after) = wildcard_and_after.split_at(1);
        let begins_level = before.last().is_none_or(|&byte| byte == b'/');
        if wildcard == b"#" {
            return if begins_level && after.is_empty() { Ok(()) } else { Err(TopicError::MultiLevel) };
        }
        if !begins_level || after.first().is_some_and(|&byte| byte != b'/') {
            return Err(TopicError::SingleLevel);
        }
        rest = after;
    }
    Ok(())
}

/// The parts of a shared subscription's filter; `None` for any other. The filter must have been checked.
pub fn shared(filter: &str) -> Option<Shared<'_>> {
    let (group, filter) = filter.strip_prefix("$share/")?.split_once('/')?;
    Some(Shared { group, filter })
}

/// Whether a filter holds a wildcard.
pub fn has_wildcard(filter: &str) -> bool {
    filter.bytes().any(|byte| matches!(byte, b'+' | b'#'))
}

/// Whether a text holds control characters or non-characters, which a receiver may refuse `[U3-10]`.
pub fn has_discouraged(text: &str) -> bool {
    let is_discouraged = |character: char| {
        let code_point = u32::from(character);
        character.is_control() || code_point & 0xFFFE == 0xFFFE || (0xFDD0..=0xFDEF).contains(&code_point)
    };
    // Most texts are plain ASCII.
    !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.chars().any(is_discouraged)
}

/// Whether a checked filter, without its share prefix (see [`shared`]), matches a name: what a subscriber gets does
/// `[MQTT-3.3.2-3]` `[MQTT-3.3.2-3 of 3.1.1]`.
///
/// A filter that begins with a wildcard does not match a name that begins with `$` `[MQTT-4.7.2-1]`.
pub fn matches(filter: &str, name: &str) -> bool {
    let (mut filter, mut name) = (filter.as_bytes(), name.as_bytes());
    if name.first() == Some(&b'$') && matches!(filter.first(), Some(b'+' | b'#')) {
        return false;
    }
    loop {
        // A name holds no wildcards, so that this stops at each of the filter's.
        let same = filter.iter().zip(name).take_while(|(wanted, found)| wanted == found).count();
        (filter, name) = (&filter[same..], &name[same..]);
        match filter {
            [] => return name.is_empty(),
            [b'#', ..] => return true,
            [b'+', rest @ ..] => {
                let level_len = name.iter().position(|&byte| byte == b'/').unwrap_or(name.len());
                (filter, name) = (rest, &name[level_len..]);
            }
            // '#' matches the level above it too.
            _ => return name.is_empty() && filter == b"/#",
        }
    }
}

/// The levels of a name or filter, empty ones included.
pub fn levels(text: &str) -> impl DoubleEndedIterator<Item = &str> + Clone {
    text.split('/')
}

fn check_extent(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        Err(TopicError::Empty)
    } else if text.len() > usize::from(u16::MAX) {
        Err(TopicError::TooLong)
    } else if text.bytes().any(|byte| byte == 0) {
        Err(TopicError::Nul)
    } else {
        Ok(())
    }
}

fn check_share(filter: &str) -> Result<Shared<'_>, TopicError> {
    let parts = shared(filter).ok_or(TopicError::Share)?;
    let proper = !parts.group.is_empty() && !has_wildcard(parts.group) && !parts.filter.is_empty();
    if proper { Ok(parts) } else { Err(TopicError::Share) }
}

#[cfg(test)]
mod tests;
