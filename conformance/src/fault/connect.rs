//! Faults in CONNECT and CONNACK, in how sessions begin and end, and in what keeps a connection open.

use longwire_proto::packet::{Connect, Packet, PacketType};
use longwire_proto::property::Property;
use longwire_proto::{ReasonCode, Version};

use super::{Fault, Touch, down, swallow, up};
use crate::proxy::{Side, Turn};

pub(super) const SESSIONS: &[Fault] = &[
    Fault {
        name: "clean-start-ignored",
        says: "a session is resumed although the client wanted a new one",
        v311: "3.1.2-6 3.1.4-3",
        v5: "3.1.2-4 3.1.4-4",
        touches: &[up(PacketType::Connect)],
        act: |turn| edit_connect(turn, |connect| connect.clean_start = false),
    },
    Fault {
        name: "session-never-resumed",
        says: "each CONNECT begins a new session",
        v311: "3.1.2-4",
        v5: "3.1.2-5",
        touches: &[up(PacketType::Connect)],
        act: |turn| edit_connect(turn, |connect| connect.clean_start = true),
    },
    Fault {
        name: "session-ends-with-its-connection",
        says: "the Session Expiry Interval of CONNECT counts as 0",
        v311: "",
        v5: "3.1.2-23",
        touches: &[up(PacketType::Connect)],
        act: |turn| {
            turn.lose_properties(|property| matches!(property, Property::SessionExpiryInterval(_)));
        },
    },
    Fault {
        name: "session-outlives-its-expiry",
        says: "sessions that end with their connection, or soon after, are kept for five minutes",
        v311: "",
        v5: "4.1.0-2",
        touches: &[up(PacketType::Connect)],
        act: |turn| {
            turn.lose_properties(|property| matches!(property, Property::SessionExpiryInterval(_)));
            turn.add_property(Property::SessionExpiryInterval(300));
        },
    },
    Fault {
        name: "expiry-in-disconnect-ignored",
        says: "the Session Expiry Interval of DISCONNECT is not obeyed",
        v311: "",
        v5: "U5-39 4.1.0-2",
        touches: &[up(PacketType::Disconnect)],
        act: |turn| {
            turn.lose_properties(|property| matches!(property, Property::SessionExpiryInterval(_)));
        },
    },
    Fault {
        name: "capital-letters-refused",
        says: "client ids with capital letters are refused",
        v311: "3.1.3-5",
        v5: "3.1.3-5",
        touches: &[up(PacketType::Connect)],
        act: |turn| {
            let is_refused = turn.packet().is_some_and(|packet| match packet {
                Packet::Connect(connect) => {
                    connect.client_id.contains(|letter: char| letter.is_ascii_uppercase())
                }
                _ => false,
            });
            if is_refused {
                let is_v5 = turn.version == Version::V5;
                turn.answer = if is_v5 { vec![0x20, 3, 0, 0x85, 0] } else { vec![0x20, 2, 0, 2] };
                turn.is_cut = true;
                swallow(turn);
            }
        },
    },
    Fault {
        name: "one-id-for-nameless-clients",
        says: "all clients with an empty client id get the same one",
        v311: "3.1.3-6",
        v5: "3.1.3-6 3.2.2-16",
        touches: &[up(PacketType::Connect), down(PacketType::ConnAck)],
        act: |turn| {
            if turn.from == Side::Broker && turn.connection.knows("nameless") {
                turn.add_property(Property::AssignedClientIdentifier("nameless"));
            }
            let mut is_nameless = false;
            edit_connect(turn, |connect| {
                is_nameless = connect.client_id.is_empty();
                if is_nameless {
                    connect.client_id = "nameless";
                }
            });
            if is_nameless {
                turn.connection.remember("nameless", []);
            }
        },
    },
    Fault {
        name: "nameless-session-kept",
        says: "an empty client id may ask for a session that is kept",
        v311: "3.1.3-7 3.1.3-8",
        v5: "",
        touches: &[up(PacketType::Connect)],
        act: |turn| edit_connect(turn, |connect| connect.clean_start |= connect.client_id.is_empty()),
    },
    Fault {
        name: "client-ids-cut-short",
        says: "client ids that differ in their last letter only are one",
        v311: "3.1.3-2",
        v5: "3.1.3-2",
        touches: &[up(PacketType::Connect)],
        act: |turn| {
            edit_connect(turn, |connect| {
                if let Some((last, _)) = connect.client_id.char_indices().last() {
                    connect.client_id = &connect.client_id[..last];
                }
            });
        },
    },
];

pub(super) const CONNACKS: &[Fault] = &[
    Fault {
        name: "session-present-at-clean-start",
        says: "CONNACK says Session Present 1 for a session that begins",
        v311: "3.2.2-1 3.2.2-3",
        v5: "3.2.2-2 3.2.2-3",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| edit_session_present(turn, true),
    },
    Fault {
        name: "session-present-never",
        says: "CONNACK says Session Present 0 for a session that is resumed",
        v311: "3.2.2-2",
        v5: "3.2.2-3",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| edit_session_present(turn, false),
    },
    Fault {
        name: "reserved-connack-flag",
        says: "a reserved bit of CONNACK is set",
        v311: "",
        v5: "3.2.2-1",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| {
            if let [_, _, flags, ..] = &mut turn.bytes[..] {
                *flags |= 0x02;
            }
        },
    },
    Fault {
        name: "two-connacks",
        says: "CONNACK is sent twice",
        v311: "3.2.0-1",
        v5: "3.2.0-2",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| turn.bytes = turn.bytes.repeat(2),
    },
    Fault {
        name: "connack-lost",
        says: "CONNECT is never answered",
        v311: "3.1.4-4",
        v5: "3.1.4-5",
        touches: &[down(PacketType::ConnAck)],
        act: swallow,
    },
    Fault {
        name: "method-unasked",
        says: "CONNACK has an Authentication Method although CONNECT had none",
        v311: "",
        v5: "4.12.0-6",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| turn.add_property(Property::AuthenticationMethod("PLAIN")),
    },
    Fault {
        name: "connack-behind-a-packet",
        says: "what a session waits for leaves before its CONNACK",
        v311: "3.2.0-1",
        v5: "3.2.0-1",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| turn.is_late = true,
    },
    Fault {
        name: "refusal-with-session-present",
        says: "CONNACK refuses and says Session Present 1",
        v311: "3.2.2-4",
        v5: "3.2.2-6",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| {
            if let [_, _, flags, code, ..] = &mut turn.bytes[..] {
                *flags |= u8::from(*code != 0);
            }
        },
    },
    Fault {
        name: "refusal-by-disconnect",
        says: "a CONNECT is refused by DISCONNECT",
        v311: "",
        v5: "3.14.0-1",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| {
            if let [_, _, _, code, ..] = turn.bytes[..]
                && code >= 0x80
            {
                turn.bytes = vec![0xE0, 1, code];
            }
        },
    },
    Fault {
        name: "announced-session-expiry-not-kept",
        says: "CONNACK announces a Session Expiry Interval of 2 seconds, and sessions live on",
        v311: "",
        v5: "C07 U5-18",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| turn.add_property(Property::SessionExpiryInterval(2)),
    },
    Fault {
        name: "announced-keep-alive-not-kept",
        says: "CONNACK announces a keep-alive of a second, and the client's own is enforced",
        v311: "",
        v5: "3.1.2-21",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| turn.add_property(Property::ServerKeepAlive(1)),
    },
    Fault {
        name: "announced-receive-maximum-not-enforced",
        says: "a client may have more messages open than CONNACK announces",
        v311: "",
        v5: "3.3.4-7",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| {
            turn.lose_properties(|property| matches!(property, Property::ReceiveMaximum(_)));
            turn.add_property(Property::ReceiveMaximum(5));
        },
    },
    Fault {
        name: "announced-packet-size-not-enforced",
        says: "a client may send larger packets than CONNACK announces",
        v311: "",
        v5: "3.2.2-15",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| {
            turn.lose_properties(|property| matches!(property, Property::MaximumPacketSize(_)));
            turn.add_property(Property::MaximumPacketSize(200));
        },
    },
    Fault {
        name: "assigned-client-id-untold",
        says: "CONNACK does not tell the client id that the server chose",
        v311: "",
        v5: "3.2.2-16 3.1.3-7",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| {
            turn.lose_properties(|property| matches!(property, Property::AssignedClientIdentifier(_)));
        },
    },
    Fault {
        name: "response-information-unasked",
        says: "CONNACK has Response Information that nobody asked for",
        v311: "",
        v5: "3.1.2-28",
        touches: &[down(PacketType::ConnAck)],
        act: |turn| turn.add_property(Property::ResponseInformation("answers/here")),
    },
    Fault {
        name: "problem-information-ignored",
        says: "acknowledgements have a Reason String although the client wanted none",
        v311: "",
        v5: "3.1.2-29",
        touches: &[
            down(PacketType::PubAck),
            down(PacketType::PubRec),
            down(PacketType::SubAck),
            down(PacketType::UnsubAck),
        ],
        act: |turn| turn.add_property(Property::ReasonString("all is well")),
    },
    Fault {
        name: "unknown-method-accepted",
        says: "an Authentication Method that the server does not know is passed over",
        v311: "",
        v5: "4.12.0-1",
        touches: &[up(PacketType::Connect)],
        act: |turn| {
            turn.lose_properties(|property| {
                matches!(property, Property::AuthenticationMethod(_) | Property::AuthenticationData(_))
            });
        },
    },
];

pub(super) const CONNECTIONS: &[Fault] = &[
    Fault {
        name: "packets-before-connect",
        says: "packets before CONNECT are passed over",
        v311: "3.1.0-1",
        v5: "3.1.0-1",
        touches: &[
            up(PacketType::Connect),
            up(PacketType::Publish),
            up(PacketType::Subscribe),
            up(PacketType::PingReq),
            up(PacketType::Disconnect),
            up(PacketType::Auth),
        ],
        act: |turn| {
            if turn.packet_type() == Some(PacketType::Connect) {
                turn.connection.remember("connected", []);
            } else if !turn.connection.knows("connected") {
                swallow(turn);
            }
        },
    },
    Fault {
        name: "second-connect",
        says: "a second CONNECT on a connection is passed over",
        v311: "3.1.0-2",
        v5: "3.1.0-2",
        touches: &[up(PacketType::Connect)],
        act: |turn| {
            if !turn.connection.note("connected") {
                swallow(turn);
            }
        },
    },
    Fault {
        name: "pingresp-lost",
        says: "PINGREQ is never answered",
        v311: "3.12.4-1",
        v5: "3.12.4-1",
        touches: &[down(PacketType::PingResp)],
        act: swallow,
    },
    Fault {
        name: "keep-alive-not-enforced",
        says: "a silent client stays connected beyond its keep-alive",
        v311: "3.1.2-24",
        v5: "3.1.2-22 3.2.2-22",
        touches: &[up(PacketType::Connect)],
        act: |turn| edit_connect(turn, |connect| connect.keep_alive_secs = 0),
    },
    Fault {
        name: "one-keep-alive-for-all",
        says: "the keep-alive is a second, whatever the client says",
        v311: "3.1.2-24",
        v5: "3.1.2-22",
        touches: &[up(PacketType::Connect)],
        act: |turn| edit_connect(turn, |connect| connect.keep_alive_secs = 1),
    },
    Fault {
        name: "disconnect-lost",
        says: "connections are closed without DISCONNECT",
        v311: "",
        v5: "3.1.4-3",
        touches: &[down(PacketType::Disconnect)],
        act: swallow,
    },
    Fault {
        name: "disconnect-called-unspecified",
        says: "each DISCONNECT of the server says 0x80",
        v311: "",
        v5: "3.1.4-3 U5-48",
        touches: &[down(PacketType::Disconnect)],
        act: |turn| {
            turn.edit(|packet| {
                if let Packet::Disconnect(disconnect) = packet {
                    disconnect.reason = ReasonCode::UnspecifiedError;
                }
            });
        },
    },
    Fault {
        name: "expiry-in-servers-disconnect",
        says: "DISCONNECT of the server has a Session Expiry Interval",
        v311: "",
        v5: "3.14.2-2",
        touches: &[down(PacketType::Disconnect)],
        act: |turn| turn.add_property(Property::SessionExpiryInterval(60)),
    },
    Fault {
        name: "nothing-is-closed",
        says: "the server neither closes a connection nor says why it should",
        v311: "3.1.4-2 3.2.2-5 4.8.0-1 3.14.4-1",
        v5: "3.1.4-3 3.2.2-7 4.13.1-1 3.14.4-2",
        touches: &[down(PacketType::Disconnect), Touch::End(Side::Broker), Touch::End(Side::Client)],
        act: |turn| {
            if !turn.is_end {
                swallow(turn);
            } else if turn.from == Side::Client {
                turn.connection.remember("left", []);
            } else {
                turn.stays_open = !turn.connection.knows("left");
            }
        },
    },
    Fault {
        name: "packets-after-disconnect",
        says: "packets behind DISCONNECT are processed",
        v311: "3.14.4-2",
        v5: "3.14.4-1",
        touches: &[up(PacketType::Disconnect)],
        act: |turn| turn.is_late = true,
    },
];

pub(super) fn edit_connect(turn: &mut Turn<'_>, change: impl FnOnce(&mut Connect<'_>)) {
    turn.edit(|packet| {
        if let Packet::Connect(connect) = packet {
            change(connect);
        }
    });
}

fn edit_session_present(turn: &mut Turn<'_>, present: bool) {
    turn.edit(|packet| {
        if let Packet::ConnAck(connack) = packet
            && connack.reason == ReasonCode::Success
        {
            connack.session_present = present;
        }
    });
}
