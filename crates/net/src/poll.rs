//! Readiness of one thread's sockets, edge-triggered.
//!
//! A source is registered once, for both directions, and never re-armed: a readiness is reported when it *begins*.
//! Whoever gets one reads until a short read, or writes until a short write, before it waits again; a thread that
//! stops earlier must remember that by itself. Sources are the streams and listeners of this crate; [`crate::mail`]
//! rings the [`Waker`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Source;
use mio::{Events, Interest, Token};
use rustix::event::{PollFd, PollFlags, Timespec};

/// The token under which a [`Waker`] reports; no source may use it.
pub const WAKE: usize = usize::MAX;

/// Events taken from the system in one wait. More stay there and come with the next.
const EVENTS_PER_WAIT: usize = 1024;

/// The readiness queue of one thread.
#[derive(Debug)]
pub struct Poll {
    inner: mio::Poll,
    events: Events,
    waker: Arc<Waker>,
}

/// What happened to one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The number the source was registered with, or [`WAKE`].
    pub token: usize,
    /// There is something to read: bytes, an end or an error; on a listener, a connection.
    pub readable: bool,
    /// There is room to write, or writing would tell an error.
    pub writable: bool,
    /// The peer has ended its side, or the link is broken. A reader must now go on until it reads 0 or an error: the
    /// end that follows the last byte is not reported again.
    pub closed: bool,
}

/// Ends another thread's wait.
#[derive(Debug)]
pub struct Waker(mio::Waker);

impl Waker {
    /// Makes the wait of the owning [`Poll`], or its next one, report [`WAKE`].
    pub fn wake(&self) {
        self.0.wake().expect("an event descriptor that is open can be written to");
    }
}

impl Poll {
    /// A queue without sources.
    ///
    /// # Errors
    /// When file descriptors have run out.
    pub fn new() -> io::Result<Poll> {
        let inner = mio::Poll::new()?;
        let waker = Arc::new(Waker(mio::Waker::new(inner.registry(), Token(WAKE))?));
        Ok(Poll { inner, events: Events::with_capacity(EVENTS_PER_WAIT), waker })
    }

    /// Begins to watch `source` in both directions. What is ready already is reported by the next wait.
    ///
    /// # Errors
    /// When the system's watch limit is reached, or the source is registered already.
    pub fn register(&self, source: &mut impl Source, token: usize) -> io::Result<()> {
        debug_assert_ne!(token, WAKE, "this token belongs to the waker");
        self.inner.registry().register(source, Token(token), Interest::READABLE | Interest::WRITABLE)
    }

    /// Ends the watch, so that the source can be handed to another thread. A source that is simply dropped needs no
    /// call.
    ///
    /// # Errors
    /// When the source is not registered here.
    pub fn deregister(&self, source: &mut impl Source) -> io::Result<()> {
        self.inner.registry().deregister(source)
    }

    /// The one waker of this queue.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// As [`Poll::wait`], with a time-out that is not rounded up to milliseconds, for one system call more.
    ///
    /// # Errors
    /// As [`Poll::wait`].
    pub fn wait_finely(&mut self, timeout: Duration, ready: &mut Vec<Ready>) -> io::Result<()> {
        let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
        let timeout = Timespec { tv_sec: seconds, tv_nsec: timeout.subsec_nanos().into() };
        let registry = self.inner.registry();
        match rustix::event::poll(&mut [PollFd::new(registry, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => self.wait(Some(Duration::ZERO), ready),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until something is ready or `timeout` has passed (`None`: for ever), and replaces the content of `ready`.
    /// An interruption by a signal is an empty result.
    ///
    /// # Errors
    /// Those of the system call, none of which is expected.
    pub fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        match self.inner.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        ready.extend(self.events.iter().map(|event| Ready {
            token: event.token().0,
            readable: event.is_readable(),
            writable: event.is_writable(),
            closed: event.is_read_closed() || event.is_write_closed() || event.is_error(),
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::stream::Stream;

    const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
    const SOON: Option<Duration> = Some(Duration::from_secs(10));

    fn pair() -> (TcpStream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = Stream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, stream)
    }

    /// Waits until `wanted` holds for some event of token 7.
    fn wait_for(poll: &mut Poll, wanted: impl Fn(&Ready) -> bool) -> Ready {
        let mut ready = Vec::new();
        for _ in 0..100 {
            poll.wait(SOON, &mut ready).unwrap();
            if let Some(event) = ready.iter().find(|event| event.token == 7 && wanted(event)) {
                return *event;
            }
        }
        panic!("the event never came");
    }

    #[test]
    fn readiness_is_reported_once() {
        let (mut peer, mut stream) = pair();
        let mut poll = Poll::new().unwrap();
        poll.register(&mut stream, 7).unwrap();
        wait_for(&mut poll, |event| event.writable);

        peer.write_all(b"x").unwrap();
        assert!(!wait_for(&mut poll, |event| event.readable).closed);
        let mut ready = vec![];
        poll.wait(AT_ONCE, &mut ready).unwrap();
        assert_eq!(ready, [], "nothing new happened");
    }

    #[test]
    fn the_end_of_the_peer_is_told_apart_from_bytes() {
        let (peer, mut stream) = pair();
        let mut poll = Poll::new().unwrap();
        poll.register(&mut stream, 7).unwrap();
        drop(peer);
        assert!(wait_for(&mut poll, |event| event.closed).readable);
    }

    #[test]
    fn a_deregistered_stream_is_silent_here_and_can_be_watched_elsewhere() {
        let (mut peer, mut stream) = pair();
        let (mut first, mut second) = (Poll::new().unwrap(), Poll::new().unwrap());
        first.register(&mut stream, 7).unwrap();
        wait_for(&mut first, |event| event.writable);
        first.deregister(&mut stream).unwrap();
        peer.write_all(b"x").unwrap();
        second.register(&mut stream, 7).unwrap();

        wait_for(&mut second, |event| event.readable);
        let mut ready = vec![];
        first.wait(AT_ONCE, &mut ready).unwrap();
        assert_eq!(ready, []);
    }

    #[test]
    fn a_fine_wait_ends_with_what_is_ready_and_with_its_time() {
        let (mut peer, mut stream) = pair();
        let mut poll = Poll::new().unwrap();
        poll.register(&mut stream, 7).unwrap();
        wait_for(&mut poll, |event| event.writable);
        let mut ready = vec![];
        poll.wait_finely(Duration::from_micros(1), &mut ready).unwrap();
        assert_eq!(ready, []);
        peer.write_all(b"x").unwrap();
        poll.wait_finely(Duration::from_secs(10), &mut ready).unwrap();
        assert!(ready.iter().any(|event| event.token == 7 && event.readable));
    }

    #[test]
    fn a_wake_up_before_the_wait_ends_it() {
        let mut poll = Poll::new().unwrap();
        poll.waker().wake();
        let mut ready = vec![];
        poll.wait(SOON, &mut ready).unwrap();
        assert_eq!(ready.iter().map(|event| event.token).collect::<Vec<_>>(), [WAKE]);
    }
}
