//! What an MQTT broker decides: data in, data out.

pub mod address;
pub mod limits;
pub mod retained;
pub mod routes;
pub mod slab;
