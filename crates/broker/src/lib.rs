//! What an MQTT broker decides: data in, data out.
//!
//! [`shard::Shard`] is one worker's slice of the broker. Read [`input`] and [`effect`] first: everything that can
//! happen to it, and everything it can ask for. There is no socket, file, thread or clock in this crate, and so every
//! rule can be tested without them; the locks of [`tables`] are all that shards share.

pub mod address;
mod audit;
mod authenticate;
mod capability;
pub mod effect;
pub mod event;
pub mod field;
mod group;
pub mod input;
pub mod kept;
pub mod limits;
mod link;
pub mod matching;
pub mod message;
mod outbox;
pub mod parcel;
pub mod record;
pub mod retained;
pub mod routes;
mod session;
pub mod shard;
pub mod slab;
pub mod tables;
pub mod teeth;
pub mod will;
