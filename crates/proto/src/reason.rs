//! Reason codes of MQTT 5.0 as one table, and what the older versions say instead.
//!
//! The table tells the text of each code and who may put it into which packet; [`crate::decode`] refuses any
//! other use of it.

use std::fmt;

use crate::packet::PacketType;

/// A reason code. One value can have several names in the standard; the name here is the most common one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // The names are the standard's own; section 2.4 of MQTT 5.0.
pub enum ReasonCode {
    /// Also normal disconnection and granted QoS 0.
    Success = 0x00,
    GrantedQoS1 = 0x01,
    GrantedQoS2 = 0x02,
    DisconnectWithWill = 0x04,
    NoMatchingSubscribers = 0x10,
    NoSubscriptionExisted = 0x11,
    ContinueAuthentication = 0x18,
    ReAuthenticate = 0x19,
    UnspecifiedError = 0x80,
    MalformedPacket = 0x81,
    ProtocolError = 0x82,
    ImplementationSpecificError = 0x83,
    UnsupportedProtocolVersion = 0x84,
    ClientIdentifierNotValid = 0x85,
    BadUserNameOrPassword = 0x86,
    NotAuthorized = 0x87,
    ServerUnavailable = 0x88,
    ServerBusy = 0x89,
    Banned = 0x8A,
    ServerShuttingDown = 0x8B,
    BadAuthenticationMethod = 0x8C,
    KeepAliveTimeout = 0x8D,
    SessionTakenOver = 0x8E,
    TopicFilterInvalid = 0x8F,
    TopicNameInvalid = 0x90,
    PacketIdentifierInUse = 0x91,
    PacketIdentifierNotFound = 0x92,
    ReceiveMaximumExceeded = 0x93,
    TopicAliasInvalid = 0x94,
    PacketTooLarge = 0x95,
    MessageRateTooHigh = 0x96,
    QuotaExceeded = 0x97,
    AdministrativeAction = 0x98,
    PayloadFormatInvalid = 0x99,
    RetainNotSupported = 0x9A,
    QoSNotSupported = 0x9B,
    UseAnotherServer = 0x9C,
    ServerMoved = 0x9D,
    SharedSubscriptionsNotSupported = 0x9E,
    ConnectionRateExceeded = 0x9F,
    MaximumConnectTime = 0xA0,
    SubscriptionIdentifiersNotSupported = 0xA1,
    WildcardSubscriptionsNotSupported = 0xA2,
}

/// Who sends a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A client.
    Client,
    /// A server.
    Server,
}

impl ReasonCode {
    /// The code with this value; `None` if the standard defines none.
    pub fn from_u8(value: u8) -> Option<ReasonCode> {
        BY_VALUE[usize::from(value)]
    }

    /// Whether it tells of a failure: 0x80 and above.
    pub fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// The return code of a CONNACK before 5.0.
    pub fn to_v3_connack(self) -> u8 {
        match self {
            ReasonCode::UnsupportedProtocolVersion => 1,
            ReasonCode::ClientIdentifierNotValid => 2,
            ReasonCode::BadUserNameOrPassword => 4,
            ReasonCode::NotAuthorized | ReasonCode::Banned | ReasonCode::BadAuthenticationMethod => 5,
            code if code.is_error() => 3,
            _ => 0,
        }
    }

    /// What the return code of a CONNACK before 5.0 means; `None` if it means nothing.
    pub fn from_v3_connack(code: u8) -> Option<ReasonCode> {
        match code {
            0 => Some(ReasonCode::Success),
            1 => Some(ReasonCode::UnsupportedProtocolVersion),
            2 => Some(ReasonCode::ClientIdentifierNotValid),
            3 => Some(ReasonCode::ServerUnavailable),
            4 => Some(ReasonCode::BadUserNameOrPassword),
            5 => Some(ReasonCode::NotAuthorized),
            _ => None,
        }
    }

    /// What it is called, in lower case, without its number.
    pub fn name(self) -> &'static str {
        TABLE[usize::from(ROW_BY_VALUE[usize::from(self as u8)])].name
    }

    /// Whether `sender` may put it into a 5.0 packet of this type.
    pub fn allowed_in(self, packet: PacketType, sender: Sender) -> bool {
        TABLE[usize::from(ROW_BY_VALUE[usize::from(self as u8)])].packets & place(packet, sender) != 0
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// One code: what it is called, and the places where it may stand.
struct Row {
    code: ReasonCode,
    name: &'static str,
    packets: u16,
}

const CONNACK: u16 = 1;
/// PUBACK and PUBREC.
const PUBACK: u16 = 1 << 1;
/// PUBREL and PUBCOMP.
const PUBREL: u16 = 1 << 2;
const SUBACK: u16 = 1 << 3;
const UNSUBACK: u16 = 1 << 4;
const CLIENT_DISCONNECT: u16 = 1 << 5;
const SERVER_DISCONNECT: u16 = 1 << 6;
const CLIENT_AUTH: u16 = 1 << 7;
const SERVER_AUTH: u16 = 1 << 8;
const DISCONNECT: u16 = CLIENT_DISCONNECT | SERVER_DISCONNECT;

fn place(packet: PacketType, sender: Sender) -> u16 {
    match (packet, sender) {
        (PacketType::ConnAck, _) => CONNACK,
        (PacketType::PubAck | PacketType::PubRec, _) => PUBACK,
        (PacketType::PubRel | PacketType::PubComp, _) => PUBREL,
        (PacketType::SubAck, _) => SUBACK,
        (PacketType::UnsubAck, _) => UNSUBACK,
        (PacketType::Disconnect, Sender::Client) => CLIENT_DISCONNECT,
        (PacketType::Disconnect, Sender::Server) => SERVER_DISCONNECT,
        (PacketType::Auth, Sender::Client) => CLIENT_AUTH,
        (PacketType::Auth, Sender::Server) => SERVER_AUTH,
        _ => 0,
    }
}

const fn row(code: ReasonCode, name: &'static str, packets: u16) -> Row {
    Row { code, name, packets }
}

#[rustfmt::skip] // One line per code, as in the standard's table.
const TABLE: &[Row] = {
    use ReasonCode::*;
    &[
        row(Success, "success", CONNACK | PUBACK | PUBREL | SUBACK | UNSUBACK | DISCONNECT | SERVER_AUTH),
        row(GrantedQoS1, "granted QoS 1", SUBACK),
        row(GrantedQoS2, "granted QoS 2", SUBACK),
        row(DisconnectWithWill, "disconnect with will message", CLIENT_DISCONNECT),
        row(NoMatchingSubscribers, "no matching subscribers", PUBACK),
        row(NoSubscriptionExisted, "no subscription existed", UNSUBACK),
        row(ContinueAuthentication, "continue authentication", CLIENT_AUTH | SERVER_AUTH),
        row(ReAuthenticate, "re-authenticate", CLIENT_AUTH),
        row(UnspecifiedError, "unspecified error", CONNACK | PUBACK | SUBACK | UNSUBACK | DISCONNECT),
        row(MalformedPacket, "malformed packet", CONNACK | DISCONNECT),
        row(ProtocolError, "protocol error", CONNACK | DISCONNECT),
        row(ImplementationSpecificError, "implementation specific error", CONNACK | PUBACK | SUBACK | UNSUBACK | DISCONNECT),
        row(UnsupportedProtocolVersion, "unsupported protocol version", CONNACK),
        row(ClientIdentifierNotValid, "client identifier not valid", CONNACK),
        row(BadUserNameOrPassword, "bad user name or password", CONNACK),
        row(NotAuthorized, "not authorized", CONNACK | PUBACK | SUBACK | UNSUBACK | SERVER_DISCONNECT),
        row(ServerUnavailable, "server unavailable", CONNACK),
        row(ServerBusy, "server busy", CONNACK | SERVER_DISCONNECT),
        row(Banned, "banned", CONNACK),
        row(ServerShuttingDown, "server shutting down", SERVER_DISCONNECT),
        row(BadAuthenticationMethod, "bad authentication method", CONNACK | SERVER_DISCONNECT),
        row(KeepAliveTimeout, "keep alive timeout", SERVER_DISCONNECT),
        row(SessionTakenOver, "session taken over", SERVER_DISCONNECT),
        row(TopicFilterInvalid, "topic filter invalid", SUBACK | UNSUBACK | SERVER_DISCONNECT),
        row(TopicNameInvalid, "topic name invalid", CONNACK | PUBACK | DISCONNECT),
        row(PacketIdentifierInUse, "packet identifier in use", PUBACK | SUBACK | UNSUBACK),
        row(PacketIdentifierNotFound, "packet identifier not found", PUBREL),
        row(ReceiveMaximumExceeded, "receive maximum exceeded", DISCONNECT),
        row(TopicAliasInvalid, "topic alias invalid", DISCONNECT),
        row(PacketTooLarge, "packet too large", CONNACK | DISCONNECT),
        row(MessageRateTooHigh, "message rate too high", DISCONNECT),
        row(QuotaExceeded, "quota exceeded", CONNACK | PUBACK | SUBACK | DISCONNECT),
        row(AdministrativeAction, "administrative action", DISCONNECT),
        row(PayloadFormatInvalid, "payload format invalid", CONNACK | PUBACK | DISCONNECT),
        row(RetainNotSupported, "retain not supported", CONNACK | SERVER_DISCONNECT),
        row(QoSNotSupported, "QoS not supported", CONNACK | SERVER_DISCONNECT),
        row(UseAnotherServer, "use another server", CONNACK | SERVER_DISCONNECT),
        row(ServerMoved, "server moved", CONNACK | SERVER_DISCONNECT),
        row(SharedSubscriptionsNotSupported, "shared subscriptions not supported", SUBACK | SERVER_DISCONNECT),
        row(ConnectionRateExceeded, "connection rate exceeded", CONNACK | SERVER_DISCONNECT),
        row(MaximumConnectTime, "maximum connect time", SERVER_DISCONNECT),
        row(SubscriptionIdentifiersNotSupported, "subscription identifiers not supported", SUBACK | SERVER_DISCONNECT),
        row(WildcardSubscriptionsNotSupported, "wildcard subscriptions not supported", SUBACK | SERVER_DISCONNECT),
    ]
};

const BY_VALUE: [Option<ReasonCode>; 256] = {
    let mut codes = [None; 256];
    let mut row = 0;
    while row < TABLE.len() {
        codes[TABLE[row].code as usize] = Some(TABLE[row].code);
        row += 1;
    }
    codes
};

const ROW_BY_VALUE: [u8; 256] = {
    let mut rows = [0; 256];
    let mut row = 0;
    while row < TABLE.len() {
        rows[TABLE[row].code as usize] = row as u8;
        row += 1;
    }
    rows
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_and_no_other_value_is_a_code() {
        let known = (0..=255).filter_map(|value| ReasonCode::from_u8(value).map(|code| (value, code)));
        let known: Vec<_> = known.collect();
        assert_eq!(known.len(), 43);
        assert!(known.iter().all(|(value, code)| *code as u8 == *value));
    }

    #[test]
    fn names_belong_to_their_codes() {
        assert_eq!(ReasonCode::Success.to_string(), "success");
        assert_eq!(ReasonCode::SessionTakenOver.name(), "session taken over");
        assert_eq!(
            ReasonCode::WildcardSubscriptionsNotSupported.name(),
            "wildcard subscriptions not supported"
        );
    }

    #[test]
    fn disconnect_codes_depend_on_the_side() {
        use {PacketType::Disconnect, Sender::*};
        assert!(ReasonCode::DisconnectWithWill.allowed_in(Disconnect, Client));
        assert!(!ReasonCode::DisconnectWithWill.allowed_in(Disconnect, Server));
        assert!(ReasonCode::SessionTakenOver.allowed_in(Disconnect, Server));
        assert!(!ReasonCode::SessionTakenOver.allowed_in(Disconnect, Client));
    }

    #[test]
    fn connack_codes_survive_the_way_through_3_1_1() {
        for code in 0..=5 {
            assert_eq!(ReasonCode::from_v3_connack(code).map(ReasonCode::to_v3_connack), Some(code));
        }
        assert_eq!(ReasonCode::from_v3_connack(6), None);
        assert_eq!(ReasonCode::ServerBusy.to_v3_connack(), 3);
    }
}
