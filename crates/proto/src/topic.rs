//! Topic names and filters.

/// Why a text is not a topic name or filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicError {
    /// No character at all `[MQTT-4.7.3-1]`.
    Empty,
    /// More than 65,535 bytes `[MQTT-4.7.3-3]`.
    TooLong,
    /// Contains U+0000 `[MQTT-4.7.3-2]`.
    Nul,
    /// A wildcard in a name `[MQTT-4.7.1-1]`.
    Wildcard,
    /// `#` that is not the whole last level `[MQTT-4.7.1-2]`.
    MultiLevel,
    /// `+` that is not a whole level `[MQTT-4.7.1-3]`.
    SingleLevel,
    /// `$share` without a proper group name and filter `[MQTT-4.8.2-1]` `[MQTT-4.8.2-2]`.
    Share,
}

/// The parts of `$share/<group>/<filter>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared<'a> {
    /// The share name.
    pub group: &'a str,
    /// The filter behind it.
    pub filter: &'a str,
}

/// Checks a topic name.
///
/// # Errors
/// It is not one.
pub fn check_name(_name: &str) -> Result<(), TopicError> {
    todo!()
}

/// Checks a topic filter, `$share` forms included.
///
/// # Errors
/// It is not one.
pub fn check_filter(_filter: &str) -> Result<(), TopicError> {
    todo!()
}

/// The parts of a shared subscription's filter; `None` for any other. The filter must have been checked.
pub fn shared(_filter: &str) -> Option<Shared<'_>> {
    todo!()
}

/// Whether a checked filter holds a wildcard.
pub fn has_wildcard(_filter: &str) -> bool {
    todo!()
}

/// Whether a checked filter, without its share prefix, matches a name.
pub fn matches(_filter: &str, _name: &str) -> bool {
    todo!()
}

/// The levels of a name or filter, empty ones included.
pub fn levels(text: &str) -> impl DoubleEndedIterator<Item = &str> + Clone {
    text.split('/')
}
