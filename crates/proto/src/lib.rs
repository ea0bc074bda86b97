//! MQTT 3.1, 3.1.1 and 5.0 as pure code: no socket, clock, thread, lock or file.
//!
//! Bytes become [`packet::Packet`]s by [`decode`] and go back by [`encode`]; both directions share the
//! property table in [`property`] and the codes in [`reason`]. [`topic`] knows names and filters,
//! [`transfer`] the QoS 1 and 2 hand-shakes, [`client`] the client as a state machine.

pub mod client;
pub mod decode;
pub mod encode;
mod integer;
pub mod packet;
pub mod property;
pub mod reason;
pub mod topic;
pub mod transfer;

pub use packet::{Packet, PacketId, QoS, Version};
pub use reason::ReasonCode;
