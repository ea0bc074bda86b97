//! The table of section 2.2.2.2 as data: each property's number, type and places.

/// A property's number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Id {
    PayloadFormatIndicator = 1,
    MessageExpiryInterval = 2,
    ContentType = 3,
    ResponseTopic = 8,
    CorrelationData = 9,
    SubscriptionIdentifier = 11,
    SessionExpiryInterval = 17,
    AssignedClientIdentifier = 18,
    ServerKeepAlive = 19,
    AuthenticationMethod = 21,
    AuthenticationData = 22,
    RequestProblemInformation = 23,
    WillDelayInterval = 24,
    RequestResponseInformation = 25,
    ResponseInformation = 26,
    ServerReference = 28,
    ReasonString = 31,
    ReceiveMaximum = 33,
    TopicAliasMaximum = 34,
    TopicAlias = 35,
    MaximumQoS = 36,
    RetainAvailable = 37,
    UserProperty = 38,
    MaximumPacketSize = 39,
    WildcardSubscriptionAvailable = 40,
    SubscriptionIdentifierAvailable = 41,
    SharedSubscriptionAvailable = 42,
}

/// The type of a property's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One byte, 0 or 1.
    Flag,
    TwoBytes,
    FourBytes,
    VariableByteInteger,
    Text,
    Binary,
    Pair,
}

/// One line of the table.
pub(crate) struct Row {
    pub(crate) id: Id,
    pub(crate) kind: Kind,
    /// Union of [`Holder`] bits.
    pub(crate) holders: u16,
    /// Those of them that may have it more than once.
    pub(crate) repeats: u16,
}

/// What holds a set of properties. PUBLISH and DISCONNECT take some properties from one side only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Holder {
    Connect = 1,
    Will = 1 << 1,
    ConnAck = 1 << 2,
    ClientPublish = 1 << 3,
    ServerPublish = 1 << 4,
    /// PUBACK, PUBREC, PUBREL and PUBCOMP.
    Ack = 1 << 5,
    Subscribe = 1 << 6,
    /// SUBACK and UNSUBACK.
    SubAck = 1 << 7,
    Unsubscribe = 1 << 8,
    ClientDisconnect = 1 << 9,
    ServerDisconnect = 1 << 10,
    Auth = 1 << 11,
}

const CONNECT: u16 = Holder::Connect as u16;
const WILL: u16 = Holder::Will as u16;
const CONNACK: u16 = Holder::ConnAck as u16;
const SERVER_PUBLISH: u16 = Holder::ServerPublish as u16;
const PUBLISH: u16 = Holder::ClientPublish as u16 | SERVER_PUBLISH;
const ACK: u16 = Holder::Ack as u16;
const SUBSCRIBE: u16 = Holder::Subscribe as u16;
const SUBACK: u16 = Holder::SubAck as u16;
const UNSUBSCRIBE: u16 = Holder::Unsubscribe as u16;
const CLIENT_DISCONNECT: u16 = Holder::ClientDisconnect as u16;
const SERVER_DISCONNECT: u16 = Holder::ServerDisconnect as u16;
const DISCONNECT: u16 = CLIENT_DISCONNECT | SERVER_DISCONNECT;
const AUTH: u16 = Holder::Auth as u16;
const ANY: u16 =
    CONNECT | WILL | CONNACK | PUBLISH | ACK | SUBSCRIBE | SUBACK | UNSUBSCRIBE | DISCONNECT | AUTH;

const fn once(id: Id, kind: Kind, holders: u16) -> Row {
    Row { id, kind, holders, repeats: 0 }
}

const fn repeated(id: Id, kind: Kind, holders: u16, repeats: u16) -> Row {
    Row { id, kind, holders, repeats }
}

#[rustfmt::skip] // One line per property, as in the standard's table.
pub(super) const TABLE: [Row; 27] = {
    use Kind::*;
    [
        once(Id::PayloadFormatIndicator, Flag, PUBLISH | WILL),
        once(Id::MessageExpiryInterval, FourBytes, PUBLISH | WILL),
        once(Id::ContentType, Text, PUBLISH | WILL),
        once(Id::ResponseTopic, Text, PUBLISH | WILL),
        once(Id::CorrelationData, Binary, PUBLISH | WILL),
        repeated(Id::SubscriptionIdentifier, VariableByteInteger, SERVER_PUBLISH | SUBSCRIBE, SERVER_PUBLISH),
        once(Id::SessionExpiryInterval, FourBytes, CONNECT | CONNACK | CLIENT_DISCONNECT),
        once(Id::AssignedClientIdentifier, Text, CONNACK),
        once(Id::ServerKeepAlive, TwoBytes, CONNACK),
        once(Id::AuthenticationMethod, Text, CONNECT | CONNACK | AUTH),
        once(Id::AuthenticationData, Binary, CONNECT | CONNACK | AUTH),
        once(Id::RequestProblemInformation, Flag, CONNECT),
        once(Id::WillDelayInterval, FourBytes, WILL),
        once(Id::RequestResponseInformation, Flag, CONNECT),
        once(Id::ResponseInformation, Text, CONNACK),
        once(Id::ServerReference, Text, CONNACK | SERVER_DISCONNECT),
        once(Id::ReasonString, Text, CONNACK | ACK | SUBACK | DISCONNECT | AUTH),
        once(Id::ReceiveMaximum, TwoBytes, CONNECT | CONNACK),
        once(Id::TopicAliasMaximum, TwoBytes, CONNECT | CONNACK),
        once(Id::TopicAlias, TwoBytes, PUBLISH),
        once(Id::MaximumQoS, Flag, CONNACK),
        once(Id::RetainAvailable, Flag, CONNACK),
        repeated(Id::UserProperty, Pair, ANY, ANY),
        once(Id::MaximumPacketSize, FourBytes, CONNECT | CONNACK),
        once(Id::WildcardSubscriptionAvailable, Flag, CONNACK),
        once(Id::SubscriptionIdentifierAvailable, Flag, CONNACK),
        once(Id::SharedSubscriptionAvailable, Flag, CONNACK),
    ]
};

/// The row of each id; `NO_ROW` where there is none.
const ROWS: [u8; 43] = {
    let mut rows = [NO_ROW; 43];
    let mut row = 0;
    while row < TABLE.len() {
        rows[TABLE[row].id as usize] = row as u8;
        row += 1;
    }
    rows
};

const NO_ROW: u8 = u8::MAX;

/// The row of the property with this number. Every number fits one byte, so that a longer one is none.
pub(super) fn row_of(id: u8) -> Option<&'static Row> {
    TABLE.get(usize::from(*ROWS.get(usize::from(id))?))
}
