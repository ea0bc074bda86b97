//! Sets of properties, checked against the table in [`crate::property`] and the rules for their values.

use super::fault::{self, Fault};
use super::reader::Reader;
use super::{DecodeError, Receiver, Rules, text};
use crate::integer::{IntegerFault, variable_byte_integer};
use crate::packet::Version;
use crate::property::Properties;
use crate::property::items::{Item, ItemFault, Items, counted, pair};
use crate::property::table::{Holder, Id, Kind};

/// Whether a client may send these in `holder`, by the rules that a server reads them by.
///
/// # Errors
/// It may not; the error names the statement.
pub(crate) fn check_to_send(properties: Properties<'_>, holder: Holder) -> Result<(), DecodeError> {
    let (version, receiver) = (Version::V5, Receiver::Server);
    check(properties.raw, holder, Rules { version, receiver, packet_size_max: u32::MAX, strict_text: true })
}

/// The next set of properties; none before 5.0.
#[inline]
pub(super) fn properties<'a>(body: &mut Reader<'a>, holder: Holder) -> Result<Properties<'a>, DecodeError> {
    if body.version() < Version::V5 {
        return Ok(Properties::EMPTY);
    }
    // Most sets are empty.
    if let [0, rest @ ..] = body.rest {
        body.rest = rest;
        return Ok(Properties::EMPTY);
    }
    filled(body, holder)
}

fn filled<'a>(body: &mut Reader<'a>, holder: Holder) -> Result<Properties<'a>, DecodeError> {
    let (len, len_len) = variable_byte_integer(body.rest).map_err(|fault| {
        body.error(match fault {
            IntegerFault::Cut => &fault::PROPERTIES_MISSING,
            fault => integer_fault(fault),
        })
    })?;
    let Some((raw, rest)) = body.rest[len_len..].split_at_checked(len as usize) else {
        return Err(body.error(&fault::PROPERTIES_LONG));
    };
    body.rest = rest;
    check(raw, holder, body.rules)?;
    Ok(Properties { raw })
}

fn check(raw: &[u8], holder: Holder, rules: Rules) -> Result<(), DecodeError> {
    let bit = |id: Id| 1_u64 << id as u8;
    let mut seen = 0;
    for item in (Items { rest: raw }) {
        let item = item.map_err(|fault| item_fault(fault).at(rules.version))?;
        if item.row.holders & holder as u16 == 0 {
            return Err(place_fault(item.id, holder).at(rules.version));
        }
        if seen & bit(item.id) != 0 && item.row.repeats & holder as u16 == 0 {
            return Err(fault::PROPERTY_TWICE.at(rules.version));
        }
        seen |= bit(item.id);
        check_value(&item, rules)?;
    }
    if seen & bit(Id::AuthenticationData) != 0 && seen & bit(Id::AuthenticationMethod) == 0 {
        return Err(fault::DATA_WITHOUT_METHOD.at(rules.version));
    }
    Ok(())
}

fn check_value(item: &Item<'_>, rules: Rules) -> Result<(), DecodeError> {
    let fault = match item.row.kind {
        Kind::Flag if item.value[0] > 1 => match item.id {
            Id::PayloadFormatIndicator => fault::PAYLOAD_FORMAT,
            Id::RequestResponseInformation => fault::REQUEST_RESPONSE,
            Id::RequestProblemInformation => fault::REQUEST_PROBLEM,
            _ => fault::FLAG_VALUE,
        },
        Kind::TwoBytes | Kind::FourBytes | Kind::VariableByteInteger if is_zero(item.value) => {
            match item.id {
                Id::ReceiveMaximum => fault::RECEIVE_MAXIMUM,
                Id::MaximumPacketSize => fault::MAXIMUM_PACKET_SIZE,
                Id::TopicAlias => fault::TOPIC_ALIAS,
                Id::SubscriptionIdentifier => fault::SUBSCRIPTION_IDENTIFIER,
                _ => return Ok(()),
            }
        }
        Kind::Text => return check_text(item, rules),
        Kind::Pair => return check_pair(item.value, rules),
        _ => return Ok(()),
    };
    Err(fault.at(rules.version))
}

fn is_zero(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte == 0)
}

fn check_text(item: &Item<'_>, rules: Rules) -> Result<(), DecodeError> {
    let bytes = counted(item.value);
    match item.id {
        Id::ResponseTopic => text::topic_name(bytes, &fault::RESPONSE_TOPIC, rules)?,
        Id::ContentType => text::text(bytes, &fault::CONTENT_TYPE, rules)?,
        _ => text::text(bytes, &fault::ILL_FORMED, rules)?,
    };
    Ok(())
}

fn check_pair(value: &[u8], rules: Rules) -> Result<(), DecodeError> {
    let Some((name, value)) = pair(value) else { return Err(fault::PROPERTY_CUT.at(rules.version)) };
    text::text(name, &fault::USER_PROPERTY, rules)?;
    text::text(value, &fault::USER_PROPERTY, rules)?;
    Ok(())
}

fn item_fault(fault: ItemFault) -> &'static Fault {
    match fault {
        ItemFault::UnknownId => &fault::PROPERTY_PLACE,
        ItemFault::Cut => &fault::PROPERTY_CUT,
        ItemFault::VariableByteInteger(fault) => integer_fault(fault),
    }
}

fn integer_fault(fault: IntegerFault) -> &'static Fault {
    match fault {
        IntegerFault::Padded => &fault::PADDED_INTEGER,
        IntegerFault::Cut | IntegerFault::TooLong => &fault::LONG_INTEGER,
    }
}

/// The fault of a property that does not belong there.
fn place_fault(id: Id, holder: Holder) -> &'static Fault {
    match (id, holder) {
        (Id::SubscriptionIdentifier, Holder::ClientPublish) => &fault::IDENTIFIER_FROM_CLIENT,
        (Id::SessionExpiryInterval, Holder::ServerDisconnect) => &fault::EXPIRY_FROM_SERVER,
        _ => &fault::PROPERTY_PLACE,
    }
}
