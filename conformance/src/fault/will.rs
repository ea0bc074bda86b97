//! Faults with wills.

use longwire_proto::QoS;
use longwire_proto::packet::{Packet, PacketType, Will};
use longwire_proto::property::Property;
use longwire_proto::{ReasonCode, Version};

use super::connect::edit_connect;
use super::content::sort_user_properties;
use super::{Fault, Touch, swallow, up};
use crate::proxy::{Side, Turn};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "will-lost",
        says: "a connection that breaks publishes no will",
        v311: "3.1.2-8 3.1.2-9",
        v5: "3.1.2-7 3.1.2-8",
        touches: &[Touch::End(Side::Client)],
        act: |turn| turn.bytes = vec![0xE0, 0],
    },
    Fault {
        name: "will-after-disconnect",
        says: "the will is published although the client said DISCONNECT 0x00",
        v311: "3.14.4-3 3.1.2-10",
        v5: "3.14.4-3 3.1.2-10",
        touches: &[up(PacketType::Disconnect)],
        act: |turn| {
            let is_normal = turn.packet().is_some_and(|packet| match packet {
                Packet::Disconnect(disconnect) => disconnect.reason == ReasonCode::Success,
                _ => false,
            });
            if is_normal {
                swallow(turn);
                turn.is_cut = true;
            }
        },
    },
    Fault {
        name: "disconnect-with-will-discards-it",
        says: "DISCONNECT 0x04 counts as 0x00",
        v311: "",
        v5: "D08 U5-40",
        touches: &[up(PacketType::Disconnect)],
        act: |turn| {
            if turn.version == Version::V5 && turn.packet().is_some() {
                turn.bytes = vec![0xE0, 0];
            }
        },
    },
    Fault {
        name: "will-delay-ignored",
        says: "a will is published at once, whatever its delay",
        v311: "",
        v5: "3.1.3-9",
        touches: &[up(PacketType::Connect)],
        act: |turn| {
            turn.edit_will_properties(|old, new| {
                let is_delay = |property: &Property<'_>| matches!(property, Property::WillDelayInterval(_));
                new.extend(old.iter().filter(|property| !is_delay(property)));
            });
        },
    },
    Fault {
        name: "will-retain-lost",
        says: "a will with Will Retain 1 is not retained",
        v311: "3.1.2-17",
        v5: "3.1.2-15",
        touches: &[up(PacketType::Connect)],
        act: |turn| edit_will(turn, |will| will.retain = false),
    },
    Fault {
        name: "will-always-retained",
        says: "a will with Will Retain 0 is retained",
        v311: "3.1.2-16",
        v5: "3.1.2-14",
        touches: &[up(PacketType::Connect)],
        act: |turn| edit_will(turn, |will| will.retain = true),
    },
    Fault {
        name: "will-qos-lost",
        says: "a will is published at QoS 0",
        v311: "3.1.2-9",
        v5: "3.1.2-7",
        touches: &[up(PacketType::Connect)],
        act: |turn| edit_will(turn, |will| will.qos = QoS::AtMostOnce),
    },
    Fault {
        name: "will-user-properties-sorted",
        says: "user properties of a will are published in the order of their names",
        v311: "",
        v5: "3.1.3-10",
        touches: &[up(PacketType::Connect)],
        act: |turn| turn.edit_will_properties(sort_user_properties),
    },
];

fn edit_will(turn: &mut Turn<'_>, change: impl FnOnce(&mut Will<'_>)) {
    edit_connect(turn, |connect| {
        if let Some(will) = &mut connect.will {
            change(will);
        }
    });
}
