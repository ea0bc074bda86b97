//! Where connections come from.
//!
//! A socket is bound once, so that a port in use is an error and not a silent share; every worker then accepts from a
//! [`Listener`] of its own on that socket. Readiness is edge-triggered: a worker that stops accepting before
//! [`Accepted::Drained`], because descriptors ran out, say, must come back by itself.

use std::io;
use std::net::{SocketAddr, TcpListener};

use mio::event::Source;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::stream::Stream;

/// Connections in a row that may be dead on arrival before [`Listener::accept`] reports it.
const DEAD_ARRIVALS_MAX: u32 = 64;

/// Binds and listens for TCP, an ordered and lossless stream of bytes `[MQTT-4.2.0-1]` `[MQTT-7.1.1-1 of 3.1.1]`; at most
/// `backlog` connections wait to be accepted. An IPv6 address stands for IPv6 only, so that
/// both can be bound side by side.
///
/// # Errors
/// Above all [`io::ErrorKind::AddrInUse`], [`io::ErrorKind::PermissionDenied`] (ports below 1024) and
/// [`io::ErrorKind::AddrNotAvailable`].
pub fn bind(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of the process before us that linger in the system must not keep us from its port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// One worker's view of a bound socket, to be registered with its poll.
#[derive(Debug)]
pub struct Listener(mio::net::TcpListener);

/// What [`Listener::accept`] met.
#[derive(Debug)]
pub enum Accepted {
    /// A connection and where it comes from.
    Stream(Stream, SocketAddr),
    /// Nobody is waiting; readiness will tell of the next.
    Drained,
    /// Descriptors or socket memory have run out. Whoever is waiting still waits: accept again after a pause.
    OutOfDescriptors(io::Error),
    /// Anything else; accept again after a pause.
    Failed(io::Error),
}

impl Listener {
    /// A view of `shared` for one worker.
    ///
    /// # Errors
    /// When file descriptors have run out.
    pub fn new(shared: &TcpListener) -> io::Result<Listener> {
        shared.try_clone().map(|listener| Listener(mio::net::TcpListener::from_std(listener)))
    }

    /// The address that is listened on, with the port that the system chose for port 0.
    ///
    /// # Errors
    /// None that is expected.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Takes one waiting connection. Those that have ended while they waited are passed over.
    pub fn accept(&mut self) -> Accepted {
        for _ in 1..DEAD_ARRIVALS_MAX {
            match self.0.accept() {
                Err(error) if is_dead_arrival(&error) => {}
                result => return sort(result),
            }
        }
        sort(self.0.accept())
    }
}

fn sort(result: io::Result<(mio::net::TcpStream, SocketAddr)>) -> Accepted {
    match result {
        Ok((stream, address)) => Accepted::Stream(Stream::from_tcp(stream), address),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Accepted::Drained,
        Err(error) if is_exhaustion(&error) => Accepted::OutOfDescriptors(error),
        Err(error) => Accepted::Failed(error),
    }
}

/// Errors of the connection that was about to be accepted, which Linux reports here, or of this attempt.
fn is_dead_arrival(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::INTR
                | Errno::CONNABORTED
                | Errno::CONNRESET
                | Errno::PROTO
                | Errno::PERM
                | Errno::TIMEDOUT
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::NOPROTOOPT
        )
    )
}

fn is_exhaustion(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

impl Source for Listener {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.0.register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.0.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.0.deregister(registry)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;
    use crate::poll::Poll;

    fn bound() -> (TcpListener, SocketAddr) {
        let shared = bind("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let address = shared.local_addr().unwrap();
        (shared, address)
    }

    #[test]
    fn a_port_in_use_is_an_error() {
        let (_shared, address) = bound();
        assert_eq!(bind(address, 16).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn both_families_can_be_bound_to_one_port() {
        let any = bind("[::]:0".parse().unwrap(), 16).unwrap();
        let port = any.local_addr().unwrap().port();
        bind(SocketAddr::from(([0, 0, 0, 0], port)), 16).unwrap();
    }

    #[test]
    fn every_worker_is_told_of_a_connection_and_one_gets_it() {
        let (shared, address) = bound();
        let mut polls = [Poll::new().unwrap(), Poll::new().unwrap()];
        let mut listeners = [Listener::new(&shared).unwrap(), Listener::new(&shared).unwrap()];
        for (poll, listener) in polls.iter().zip(&mut listeners) {
            poll.register(listener, 3).unwrap();
        }
        let client = TcpStream::connect(address).unwrap();

        let mut ready = Vec::new();
        for poll in &mut polls {
            poll.wait(Some(Duration::from_secs(10)), &mut ready).unwrap();
            assert!(ready.iter().any(|event| event.token == 3 && event.readable));
        }
        match listeners[1].accept() {
            Accepted::Stream(_, from) => assert_eq!(from, client.local_addr().unwrap()),
            other => panic!("{other:?}"),
        }
        assert!(matches!(listeners[0].accept(), Accepted::Drained));
    }

    #[test]
    fn exhaustion_is_told_apart_from_other_failures() {
        let sorted = |errno: Errno| sort(Err(errno.into()));
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(matches!(sorted(errno), Accepted::OutOfDescriptors(_)), "{errno}");
        }
        assert!(matches!(sorted(Errno::INVAL), Accepted::Failed(_)));
        assert!(matches!(sorted(Errno::AGAIN), Accepted::Drained));
    }
}
