//! SUBSCRIBE and UNSUBSCRIBE: their filters are checked one by one and stay in their wire form.

use super::fault::{self, Fault};
use super::properties::properties;
use super::reader::Reader;
use super::{DecodeError, text};
use crate::packet::{Subscribe, SubscribeFilters, Unsubscribe, UnsubscribeFilters, Version};
use crate::property::table::Holder;
use crate::topic;

/// Bit of the options byte.
const NO_LOCAL: u8 = 1 << 2;

pub(super) fn subscribe<'a>(body: &mut Reader<'a>) -> Result<Subscribe<'a>, DecodeError> {
    let packet_id = body.packet_id()?;
    let properties = properties(body, Holder::Subscribe)?;
    if body.rest.is_empty() {
        return Err(body.error(&fault::SUBSCRIBE_EMPTY));
    }
    let filters = SubscribeFilters { raw: body.rest };
    while !body.rest.is_empty() {
        let filter = filter(body, &fault::SUBSCRIBE_ILL_FORMED)?;
        let options = body.byte(&fault::CUT)?;
        if let Some(fault) = options_fault(options, filter, body.version()) {
            return Err(body.error(fault));
        }
    }
    Ok(Subscribe { packet_id, properties, filters })
}

pub(super) fn unsubscribe<'a>(body: &mut Reader<'a>) -> Result<Unsubscribe<'a>, DecodeError> {
    let packet_id = body.packet_id()?;
    let properties = properties(body, Holder::Unsubscribe)?;
    if body.rest.is_empty() {
        return Err(body.error(&fault::UNSUBSCRIBE_EMPTY));
    }
    let filters = UnsubscribeFilters { raw: body.rest };
    while !body.rest.is_empty() {
        filter(body, &fault::UNSUBSCRIBE_ILL_FORMED)?;
    }
    Ok(Unsubscribe { packet_id, properties, filters })
}

fn filter<'a>(body: &mut Reader<'a>, ill_formed: &Fault) -> Result<&'a str, DecodeError> {
    let bytes = body.counted(&fault::CUT)?;
    text::topic_filter(bytes, ill_formed, body.rules)
}

fn options_fault(options: u8, filter: &str, version: Version) -> Option<&'static Fault> {
    if version < Version::V5 {
        return (options > 2).then_some(&fault::OPTIONS_V3);
    }
    if options & 0xC0 != 0 {
        Some(&fault::OPTIONS_RESERVED)
    } else if options & 3 == 3 {
        Some(&fault::OPTIONS_QOS)
    } else if options >> 4 == 3 {
        Some(&fault::OPTIONS_RETAIN_HANDLING)
    } else if options & NO_LOCAL != 0 && topic::shared(filter).is_some() {
        Some(&fault::NO_LOCAL_SHARED)
    } else {
        None
    }
}
