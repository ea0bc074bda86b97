//! A message as a JSON object, with the names that mosquitto_sub gives its members.
//!
//! Payloads that are JSON go in as they are spelled: a number keeps its digits, an object its order.

use std::fmt::Write as _;

use jiff::ZonedDateTime;
use longwire_client::{Message, Properties, Property};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::encoding::base64;
use super::format::timestamp;

/// A message whose payload is wanted as JSON, which it is not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotJson;

/// The message, received at `now`, as an object on one line. `payload` is its payload as JSON; if it is no text, which
/// JSON cannot hold, the bytes stand in base 64 beside it.
pub(super) fn object(message: &Message, now: &ZonedDateTime, payload: &str) -> String {
    let mut object = format!(
        "{{\"tst\":\"{}\",\"topic\":{},\"qos\":{},\"retain\":{},\"payloadlen\":{}",
        timestamp("%Y-%m-%dT%H:%M:%S.%6f%z", now),
        Value::from(message.topic.as_str()),
        message.qos as u8,
        u8::from(message.retain),
        message.payload.len(),
    );
    if let Some(packet_id) = message.packet_id {
        let _ = write!(object, ",\"mid\":{packet_id}");
    }
    let properties = members(message.properties());
    if !properties.is_empty() {
        let _ = write!(object, ",\"properties\":{{{}}}", properties.join(","));
    }
    let _ = write!(object, ",\"payload\":{payload}");
    if std::str::from_utf8(&message.payload).is_err() {
        let _ = write!(object, ",\"payload-base64\":\"{}\"", base64(&message.payload));
    }
    object.push('}');
    object
}

/// The members of the `properties` object. Names may repeat in `user-properties`, as they may in the packet.
fn members(properties: Properties<'_>) -> Vec<String> {
    let mut members = Vec::new();
    let mut pairs = Vec::new();
    for property in properties.iter() {
        let text = |text: &str| Value::from(text).to_string();
        let (name, value) = match property {
            Property::UserProperty(name, value) => {
                pairs.push(format!("{}:{}", text(name), text(value)));
                continue;
            }
            Property::PayloadFormatIndicator(utf8) => {
                ("payload-format-indicator", u8::from(utf8).to_string())
            }
            Property::MessageExpiryInterval(secs) => ("message-expiry-interval", secs.to_string()),
            Property::ContentType(content_type) => ("content-type", text(content_type)),
            Property::ResponseTopic(topic) => ("response-topic", text(topic)),
            Property::CorrelationData(data) => ("correlation-data", text(&String::from_utf8_lossy(data))),
            Property::SubscriptionIdentifier(number) => ("subscription-identifier", number.to_string()),
            Property::TopicAlias(alias) => ("topic-alias", alias.to_string()),
            _ => continue,
        };
        members.push(format!("\"{name}\":{value}"));
    }
    if !pairs.is_empty() {
        members.push(format!("\"user-properties\":{{{}}}", pairs.join(",")));
    }
    members
}

/// The payload as JSON without blanks between its parts, so that it stays on one line; an empty payload is null.
pub(super) fn compact(payload: &[u8]) -> Result<String, NotJson> {
    if payload.is_empty() {
        return Ok("null".to_owned());
    }
    serde_json::from_slice::<IgnoredAny>(payload).map_err(|_| NotJson)?;
    let (mut in_string, mut escaped) = (false, false);
    let kept = |letter: &char| {
        let blank = !in_string && letter.is_ascii_whitespace();
        if *letter == '"' && !escaped {
            in_string = !in_string;
        }
        escaped = in_string && *letter == '\\' && !escaped;
        !blank
    };
    Ok(String::from_utf8_lossy(payload).chars().filter(kept).collect())
}
