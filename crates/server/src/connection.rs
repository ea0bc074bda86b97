//! One socket of a worker: its unread bytes, its timers, and where it is in its life. What it means in MQTT is the
//! shard's to know.

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use longwire_net::stream::Stream;

/// A socket and what its worker needs to know about it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) stage: Stage,
    /// The peer has ended its side: there is an end to read behind the last byte, of which readiness told already.
    pub(crate) peer_ended: bool,
    /// It stands in the worker's list of those to be read.
    pub(crate) is_queued: bool,
    /// It is not read from until what waits for it is sent.
    pub(crate) is_unheard: bool,
    /// Bytes read that do not make a whole packet yet, or that wait while reading is paused.
    #[expect(clippy::box_collection, reason = "one word while nothing is unread, which is nearly always")]
    pub(crate) unread: Option<Box<Vec<u8>>>,
    address: Address,
    /// Tick of the last complete packet, or of the last bytes of a PUBLISH under way.
    pub(crate) heard_at: u32,
    /// Tick at which the packet under way began; 0 if none is.
    pub(crate) packet_since: u32,
    /// Seconds of silence after which it is closed; 0 is never.
    pub(crate) silence_max_secs: u32,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its CONNECT has not come.
    Greeting,
    /// It belongs to the shard.
    Live,
    /// The shard has closed it; what waits is sent, then our side is ended.
    Closing,
    /// Our side is ended; the peer's end is awaited, so that it can read our last words.
    Draining,
}

/// A socket address in half the space of [`SocketAddr`].
#[derive(Debug)]
enum Address {
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
}

impl Connection {
    pub(crate) fn new(stream: Stream, address: SocketAddr, tick: u32) -> Self {
        let address = match address {
            SocketAddr::V4(address) => Address::V4(address),
            SocketAddr::V6(address) => Address::V6(Box::new(address)),
        };
        Connection {
            stream,
            stage: Stage::Greeting,
            peer_ended: false,
            is_queued: false,
            is_unheard: false,
            unread: None,
            address,
            heard_at: tick,
            packet_since: 0,
            silence_max_secs: 0,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match &self.address {
            Address::V4(address) => SocketAddr::V4(*address),
            Address::V6(address) => SocketAddr::V6(**address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_costs_a_few_words() {
        // A debug build of mio adds a check of its own to the stream.
        let beside_the_stream = size_of::<Connection>() - size_of::<Stream>();
        assert!(beside_the_stream <= 48, "{beside_the_stream} bytes");
    }
}
