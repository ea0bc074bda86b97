//! 5.0 properties, of which `table` tells the id, the type, the packets that may hold it and whether it may repeat.
//!
//! A set of properties stays in its wire form: [`Properties`] borrows one that was checked when it was
//! decoded, [`PropertiesBuf`] builds one. Both are read by iterating [`Property`] values or by the look-up of
//! one property. The checks themselves, which need to know the packet and its sender, are in [`crate::decode`].

pub(crate) mod items;
pub(crate) mod table;

use crate::integer::{VARIABLE_BYTE_INTEGER_MAX, put_variable_byte_integer, variable_byte_integer};
use items::{Items, counted, pair};
use table::Id;

/// One property with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names are the standard's own; section 2.2.2.2 of MQTT 5.0.
pub enum Property<'a> {
    PayloadFormatIndicator(bool),
    /// Seconds.
    MessageExpiryInterval(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    /// 1 to 268,435,455.
    SubscriptionIdentifier(u32),
    /// Seconds; `u32::MAX` is "never".
    SessionExpiryInterval(u32),
    AssignedClientIdentifier(&'a str),
    /// Seconds.
    ServerKeepAlive(u16),
    AuthenticationMethod(&'a str),
    AuthenticationData(&'a [u8]),
    RequestProblemInformation(bool),
    /// Seconds.
    WillDelayInterval(u32),
    RequestResponseInformation(bool),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    /// Not zero.
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    /// Not zero.
    TopicAlias(u16),
    /// 0 or 1.
    MaximumQoS(u8),
    RetainAvailable(bool),
    UserProperty(&'a str, &'a str),
    /// Bytes of the whole packet; not zero.
    MaximumPacketSize(u32),
    WildcardSubscriptionAvailable(bool),
    SubscriptionIdentifierAvailable(bool),
    SharedSubscriptionAvailable(bool),
}

/// A checked set of properties, borrowed, in wire form without its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties<'a> {
    pub(crate) raw: &'a [u8],
}

/// A set of properties under construction, owned, in wire form without its length. An empty one owns no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropertiesBuf {
    pub(crate) raw: Vec<u8>,
}

impl Properties<'static> {
    /// No properties.
    pub const EMPTY: Self = Properties { raw: &[] };
}

impl<'a> Properties<'a> {
    /// A set that was checked before, from [`Properties::as_bytes`]. Bytes that were not are no danger: reading stops
    /// at the first that make no sense.
    pub fn from_checked(bytes: &'a [u8]) -> Self {
        Properties { raw: bytes }
    }

    /// Each property, in the order of the wire `[MQTT-3.3.2-18]`.
    pub fn iter(&self) -> impl Iterator<Item = Property<'a>> + Clone + use<'a> {
        let mut items = Items { rest: self.raw };
        std::iter::from_fn(move || {
            let item = items.next()?.ok()?;
            typed(item.id, item.value)
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The wire form, without its length.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.raw
    }

    /// 1: whether the payload is UTF-8 text.
    pub fn payload_format_indicator(&self) -> Option<bool> {
        self.flag(Id::PayloadFormatIndicator)
    }

    /// 2: life of the message, in seconds.
    pub fn message_expiry_interval(&self) -> Option<u32> {
        self.four_bytes(Id::MessageExpiryInterval)
    }

    /// 3: what the payload is.
    pub fn content_type(&self) -> Option<&'a str> {
        self.text(Id::ContentType)
    }

    /// 8: topic for an answer.
    pub fn response_topic(&self) -> Option<&'a str> {
        self.text(Id::ResponseTopic)
    }

    /// 9: what tells the asker which request is answered.
    pub fn correlation_data(&self) -> Option<&'a [u8]> {
        self.find(Id::CorrelationData).map(counted)
    }

    /// 11: identifiers of the subscriptions concerned, in order; at most one in SUBSCRIBE.
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> + Clone + use<'a> {
        let mut items = Items { rest: self.raw };
        std::iter::from_fn(move || {
            loop {
                let item = items.next()?.ok()?;
                if item.id == Id::SubscriptionIdentifier {
                    return variable_byte_integer(item.value).ok().map(|(identifier, _)| identifier);
                }
            }
        })
    }

    /// 17: life of the session after its connection, in seconds; `u32::MAX` is "never ends".
    pub fn session_expiry_interval(&self) -> Option<u32> {
        self.four_bytes(Id::SessionExpiryInterval)
    }

    /// 18: the client id that the server chose.
    pub fn assigned_client_identifier(&self) -> Option<&'a str> {
        self.text(Id::AssignedClientIdentifier)
    }

    /// 19: keep-alive that replaces the client's, in seconds.
    pub fn server_keep_alive(&self) -> Option<u16> {
        self.two_bytes(Id::ServerKeepAlive)
    }

    /// 21: name of the enhanced authentication.
    pub fn authentication_method(&self) -> Option<&'a str> {
        self.text(Id::AuthenticationMethod)
    }

    /// 22: data of the enhanced authentication.
    pub fn authentication_data(&self) -> Option<&'a [u8]> {
        self.find(Id::AuthenticationData).map(counted)
    }

    /// 23: whether reason strings and user properties are welcome on every packet; absent means yes.
    pub fn request_problem_information(&self) -> Option<bool> {
        self.flag(Id::RequestProblemInformation)
    }

    /// 24: seconds between the end of the connection and the will.
    pub fn will_delay_interval(&self) -> Option<u32> {
        self.four_bytes(Id::WillDelayInterval)
    }

    /// 25: whether the client asks for Response Information; absent means no.
    pub fn request_response_information(&self) -> Option<bool> {
        self.flag(Id::RequestResponseInformation)
    }

    /// 26: what response topics may be built upon.
    pub fn response_information(&self) -> Option<&'a str> {
        self.text(Id::ResponseInformation)
    }

    /// 28: other servers to use.
    pub fn server_reference(&self) -> Option<&'a str> {
        self.text(Id::ServerReference)
    }

    /// 31: a reason for people.
    pub fn reason_string(&self) -> Option<&'a str> {
        self.text(Id::ReasonString)
    }

    /// 33: QoS 1 and 2 messages taken at once; absent means 65,535.
    pub fn receive_maximum(&self) -> Option<u16> {
        self.two_bytes(Id::ReceiveMaximum)
    }

    /// 34: highest topic alias taken; absent means none.
    pub fn topic_alias_maximum(&self) -> Option<u16> {
        self.two_bytes(Id::TopicAliasMaximum)
    }

    /// 35: the number that stands for the topic, or will stand for it.
    pub fn topic_alias(&self) -> Option<u16> {
        self.two_bytes(Id::TopicAlias)
    }

    /// 36: highest QoS of a publication, 0 or 1; absent means 2.
    pub fn maximum_qos(&self) -> Option<u8> {
        self.find(Id::MaximumQoS).and_then(|value| value.first().copied())
    }

    /// 37: whether retained messages are kept; absent means yes.
    pub fn retain_available(&self) -> Option<bool> {
        self.flag(Id::RetainAvailable)
    }

    /// 38: user properties, in order.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + Clone + use<'a> {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// 39: bytes of the largest packet taken; absent means no limit of its own.
    pub fn maximum_packet_size(&self) -> Option<u32> {
        self.four_bytes(Id::MaximumPacketSize)
    }

    /// 40: whether filters may have wildcards; absent means yes.
    pub fn wildcard_subscription_available(&self) -> Option<bool> {
        self.flag(Id::WildcardSubscriptionAvailable)
    }

    /// 41: whether subscriptions may have identifiers; absent means yes.
    pub fn subscription_identifier_available(&self) -> Option<bool> {
        self.flag(Id::SubscriptionIdentifierAvailable)
    }

    /// 42: whether subscriptions may be shared; absent means yes.
    pub fn shared_subscription_available(&self) -> Option<bool> {
        self.flag(Id::SharedSubscriptionAvailable)
    }

    /// The value of the first property with this id, in wire form.
    fn find(&self, id: Id) -> Option<&'a [u8]> {
        Items { rest: self.raw }.map_while(Result::ok).find(|item| item.id == id).map(|item| item.value)
    }

    fn flag(&self, id: Id) -> Option<bool> {
        self.find(id).map(|value| value == [1])
    }

    fn two_bytes(&self, id: Id) -> Option<u16> {
        self.find(id).and_then(|value| value.try_into().ok()).map(u16::from_be_bytes)
    }

    fn four_bytes(&self, id: Id) -> Option<u32> {
        self.find(id).and_then(|value| value.try_into().ok()).map(u32::from_be_bytes)
    }

    fn text(&self, id: Id) -> Option<&'a str> {
        self.find(id).and_then(|value| std::str::from_utf8(counted(value)).ok())
    }
}

impl PropertiesBuf {
    /// No properties yet.
    pub const fn new() -> Self {
        PropertiesBuf { raw: Vec::new() }
    }

    /// Adds one property behind the others. Whether it may stand there is the caller's to know.
    ///
    /// # Panics
    /// A string or binary value is longer than 65,535 bytes, or a Subscription Identifier than 28 bits.
    pub fn push(&mut self, property: Property<'_>) {
        use Property as P;
        let raw = &mut self.raw;
        match property {
            P::PayloadFormatIndicator(flag) => put(raw, Id::PayloadFormatIndicator, &[flag.into()]),
            P::MessageExpiryInterval(secs) => put(raw, Id::MessageExpiryInterval, &secs.to_be_bytes()),
            P::ContentType(text) => put_counted(raw, Id::ContentType, text.as_bytes()),
            P::ResponseTopic(text) => put_counted(raw, Id::ResponseTopic, text.as_bytes()),
            P::CorrelationData(data) => put_counted(raw, Id::CorrelationData, data),
            P::SubscriptionIdentifier(identifier) => {
                assert!(
                    identifier <= VARIABLE_BYTE_INTEGER_MAX,
                    "a Subscription Identifier has at most 28 bits"
                );
                put(raw, Id::SubscriptionIdentifier, &[]);
                put_variable_byte_integer(raw, identifier);
            }
            P::SessionExpiryInterval(secs) => put(raw, Id::SessionExpiryInterval, &secs.to_be_bytes()),
            P::AssignedClientIdentifier(text) => {
                put_counted(raw, Id::AssignedClientIdentifier, text.as_bytes());
            }
            P::ServerKeepAlive(secs) => put(raw, Id::ServerKeepAlive, &secs.to_be_bytes()),
            P::AuthenticationMethod(text) => put_counted(raw, Id::AuthenticationMethod, text.as_bytes()),
            P::AuthenticationData(data) => put_counted(raw, Id::AuthenticationData, data),
            P::RequestProblemInformation(flag) => put(raw, Id::RequestProblemInformation, &[flag.into()]),
            P::WillDelayInterval(secs) => put(raw, Id::WillDelayInterval, &secs.to_be_bytes()),
            P::RequestResponseInformation(flag) => put(raw, Id::RequestResponseInformation, &[flag.into()]),
            P::ResponseInformation(text) => put_counted(raw, Id::ResponseInformation, text.as_bytes()),
            P::ServerReference(text) => put_counted(raw, Id::ServerReference, text.as_bytes()),
            P::ReasonString(text) => put_counted(raw, Id::ReasonString, text.as_bytes()),
            P::ReceiveMaximum(count) => put(raw, Id::ReceiveMaximum, &count.to_be_bytes()),
            P::TopicAliasMaximum(count) => put(raw, Id::TopicAliasMaximum, &count.to_be_bytes()),
            P::TopicAlias(alias) => put(raw, Id::TopicAlias, &alias.to_be_bytes()),
            P::MaximumQoS(qos) => put(raw, Id::MaximumQoS, &[qos]),
            P::RetainAvailable(flag) => put(raw, Id::RetainAvailable, &[flag.into()]),
            P::UserProperty(name, value) => {
                put_counted(raw, Id::UserProperty, name.as_bytes());
                put_value(raw, value.as_bytes());
            }
            P::MaximumPacketSize(bytes) => put(raw, Id::MaximumPacketSize, &bytes.to_be_bytes()),
            P::WildcardSubscriptionAvailable(flag) => {
                put(raw, Id::WildcardSubscriptionAvailable, &[flag.into()]);
            }
            P::SubscriptionIdentifierAvailable(flag) => {
                put(raw, Id::SubscriptionIdentifierAvailable, &[flag.into()]);
            }
            P::SharedSubscriptionAvailable(flag) => put(raw, Id::SharedSubscriptionAvailable, &[flag.into()]),
        }
    }

    /// Adds all of `properties` behind the others, as they are.
    pub fn extend_raw(&mut self, properties: Properties<'_>) {
        self.raw.extend_from_slice(properties.raw);
    }

    /// Removes all and keeps the memory for more.
    pub fn clear(&mut self) {
        self.raw.clear();
    }

    /// As a packet takes them.
    pub fn as_properties(&self) -> Properties<'_> {
        Properties { raw: &self.raw }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }
}

impl<'a> FromIterator<Property<'a>> for PropertiesBuf {
    fn from_iter<I: IntoIterator<Item = Property<'a>>>(properties: I) -> Self {
        let mut buffer = PropertiesBuf::new();
        buffer.extend(properties);
        buffer
    }
}

impl<'a> Extend<Property<'a>> for PropertiesBuf {
    fn extend<I: IntoIterator<Item = Property<'a>>>(&mut self, properties: I) {
        properties.into_iter().for_each(|property| self.push(property));
    }
}

fn typed(id: Id, value: &[u8]) -> Option<Property<'_>> {
    use Property as P;
    let flag = || value == [1];
    let two_bytes = || value.try_into().ok().map(u16::from_be_bytes);
    let four_bytes = || value.try_into().ok().map(u32::from_be_bytes);
    let text = || std::str::from_utf8(counted(value)).ok();
    Some(match id {
        Id::PayloadFormatIndicator => P::PayloadFormatIndicator(flag()),
        Id::MessageExpiryInterval => P::MessageExpiryInterval(four_bytes()?),
        Id::ContentType => P::ContentType(text()?),
        Id::ResponseTopic => P::ResponseTopic(text()?),
        Id::CorrelationData => P::CorrelationData(counted(value)),
        Id::SubscriptionIdentifier => P::SubscriptionIdentifier(variable_byte_integer(value).ok()?.0),
        Id::SessionExpiryInterval => P::SessionExpiryInterval(four_bytes()?),
        Id::AssignedClientIdentifier => P::AssignedClientIdentifier(text()?),
        Id::ServerKeepAlive => P::ServerKeepAlive(two_bytes()?),
        Id::AuthenticationMethod => P::AuthenticationMethod(text()?),
        Id::AuthenticationData => P::AuthenticationData(counted(value)),
        Id::RequestProblemInformation => P::RequestProblemInformation(flag()),
        Id::WillDelayInterval => P::WillDelayInterval(four_bytes()?),
        Id::RequestResponseInformation => P::RequestResponseInformation(flag()),
        Id::ResponseInformation => P::ResponseInformation(text()?),
        Id::ServerReference => P::ServerReference(text()?),
        Id::ReasonString => P::ReasonString(text()?),
        Id::ReceiveMaximum => P::ReceiveMaximum(two_bytes()?),
        Id::TopicAliasMaximum => P::TopicAliasMaximum(two_bytes()?),
        Id::TopicAlias => P::TopicAlias(two_bytes()?),
        Id::MaximumQoS => P::MaximumQoS(*value.first()?),
        Id::RetainAvailable => P::RetainAvailable(flag()),
        Id::UserProperty => {
            let (name, value) = pair(value)?;
            P::UserProperty(std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?)
        }
        Id::MaximumPacketSize => P::MaximumPacketSize(four_bytes()?),
        Id::WildcardSubscriptionAvailable => P::WildcardSubscriptionAvailable(flag()),
        Id::SubscriptionIdentifierAvailable => P::SubscriptionIdentifierAvailable(flag()),
        Id::SharedSubscriptionAvailable => P::SharedSubscriptionAvailable(flag()),
    })
}

fn put(raw: &mut Vec<u8>, id: Id, value: &[u8]) {
    raw.push(id as u8);
    raw.extend_from_slice(value);
}

fn put_counted(raw: &mut Vec<u8>, id: Id, value: &[u8]) {
    raw.push(id as u8);
    put_value(raw, value);
}

fn put_value(raw: &mut Vec<u8>, value: &[u8]) {
    let len = u16::try_from(value.len()).expect("a property's value is at most 65,535 bytes");
    raw.extend_from_slice(&len.to_be_bytes());
    raw.extend_from_slice(value);
}

#[cfg(test)]
mod tests;
