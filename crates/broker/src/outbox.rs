//! Bytes waiting for one socket, and the pool their buffers come from.
//!
//! An idle connection owns no buffer: one is taken when the first packet is written and given back when the socket
//! has taken everything. How full an outbox is tells how slow its peer is.

/// Largest capacity in bytes of a buffer that goes back to the pool; larger ones are freed.
const POOLED_CAPACITY_MAX: usize = 512 << 10;

/// Bytes sent after which the rest of a buffer is moved down, so that it does not grow with what a slow reader took.
const MOVED_DOWN_AFTER: usize = 64 << 10;

/// Bytes of a new buffer: most links send a CONNACK, a SUBACK and then nothing for long.
const FIRST_CAPACITY: usize = 256;

/// Buffers that wait for their next use. One per shard.
#[derive(Debug)]
#[expect(
    clippy::vec_box,
    reason = "an outbox is one word, so that its buffer lives in a box, and moves as it is"
)]
pub(crate) struct OutboxPool {
    free: Vec<Box<Buffer>>,
    /// Capacity of all free buffers.
    free_bytes: usize,
    free_bytes_max: usize,
}

impl OutboxPool {
    /// A pool that keeps at most `free_bytes_max` bytes in free buffers.
    pub(crate) fn new(free_bytes_max: usize) -> Self {
        OutboxPool { free: Vec::new(), free_bytes: 0, free_bytes_max }
    }

    #[expect(clippy::unnecessary_box_returns, reason = "see above")]
    fn take(&mut self) -> Box<Buffer> {
        let Some(buffer) = self.free.pop() else {
            return Box::new(Buffer { bytes: Vec::with_capacity(FIRST_CAPACITY), sent: 0 });
        };
        self.free_bytes -= buffer.bytes.capacity();
        buffer
    }

    fn give_back(&mut self, mut buffer: Box<Buffer>) {
        let capacity = buffer.bytes.capacity();
        if capacity <= POOLED_CAPACITY_MAX && self.free_bytes + capacity <= self.free_bytes_max {
            buffer.bytes.clear();
            buffer.sent = 0;
            self.free_bytes += capacity;
            self.free.push(buffer);
        }
    }
}

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    sent: usize,
}

/// What waits for one socket. One word when nothing does.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Option<Box<Buffer>>);

impl Outbox {
    /// Where to append packets.
    pub(crate) fn bytes(&mut self, pool: &mut OutboxPool) -> &mut Vec<u8> {
        &mut self.0.get_or_insert_with(|| pool.take()).bytes
    }

    /// What the socket has not taken yet.
    pub(crate) fn pending(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |buffer| &buffer.bytes[buffer.sent..])
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |buffer| buffer.bytes.len() - buffer.sent)
    }

    /// True if nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The socket took the first `count` bytes.
    pub(crate) fn advance(&mut self, count: usize, pool: &mut OutboxPool) {
        let Some(buffer) = &mut self.0 else { return };
        buffer.sent += count;
        if buffer.sent == buffer.bytes.len() {
            self.clear(pool);
        } else if buffer.sent >= MOVED_DOWN_AFTER {
            // A slow reader: move the rest down now and then, so that the buffer does not grow with what was sent.
            buffer.bytes.drain(..buffer.sent);
            buffer.sent = 0;
        }
    }

    /// Throws away what waits.
    pub(crate) fn clear(&mut self, pool: &mut OutboxPool) {
        if let Some(buffer) = self.0.take() {
            pool.give_back(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbox_gives_its_buffer_back_when_it_is_drained() {
        let mut pool = OutboxPool::new(1 << 20);
        let mut outbox = Outbox::default();
        outbox.bytes(&mut pool).extend_from_slice(b"abcdef");
        outbox.advance(2, &mut pool);
        assert_eq!(outbox.pending(), b"cdef");
        outbox.advance(4, &mut pool);
        assert!(outbox.is_empty());
        assert_eq!(pool.free.len(), 1);
    }

    #[test]
    fn a_slow_reader_does_not_make_the_buffer_grow_with_what_was_sent() {
        let mut pool = OutboxPool::new(1 << 20);
        let mut outbox = Outbox::default();
        for _ in 0..1_000 {
            outbox.bytes(&mut pool).extend_from_slice(&[7; 4_096]);
            let drained = outbox.len().min(4_096);
            if outbox.len() > 4_096 {
                outbox.advance(drained, &mut pool);
            }
        }
        let buffer = outbox.0.as_ref().unwrap();
        assert!(buffer.bytes.capacity() < 1 << 20, "capacity {}", buffer.bytes.capacity());
    }

    #[test]
    fn large_buffers_are_freed_instead_of_pooled() {
        let mut pool = OutboxPool::new(1 << 20);
        let mut outbox = Outbox::default();
        outbox.bytes(&mut pool).extend_from_slice(&vec![0; 1 << 20]);
        outbox.advance(1 << 20, &mut pool);
        assert!(pool.free.is_empty());
    }
}
