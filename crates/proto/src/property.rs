//! 5.0 properties as one table: id, type, the packets that may hold it, whether it may repeat.
//!
//! A set of properties stays in its wire form: [`Properties`] borrows one that was checked when it was
//! decoded, [`PropertiesBuf`] builds one. Both are read by iterating [`Property`] values.

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
    /// Not zero (a decoder lets 0 pass, so that the receiver can answer 0x94).
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

/// A set of properties under construction, owned, in wire form without its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropertiesBuf {
    pub(crate) raw: Vec<u8>,
}

impl Properties<'static> {
    /// No properties.
    pub const EMPTY: Self = Properties { raw: &[] };
}
