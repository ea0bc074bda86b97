//! One connected byte stream, never blocking.
//!
//! Reads and writes that would have to wait answer [`io::ErrorKind::WouldBlock`]; an interruption by a signal is
//! retried here. A stream holds its descriptor and nothing else: what is waiting to be written belongs to the caller.

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::Duration;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// A connected stream; dropping it closes it.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP, with `TCP_NODELAY` set: callers batch by themselves.
    Tcp(TcpStream),
}

// An idle connection pays for every byte in here. (A debug build of mio adds a check of its own.)
#[cfg(all(unix, not(debug_assertions)))]
const _: () = assert!(size_of::<Stream>() == 4);

impl Stream {
    /// Begins to connect. The stream becomes writable when the connection stands, and then, or when it has failed,
    /// reading and writing tell which.
    ///
    /// # Errors
    /// When the system refuses at once: no descriptors, ports or route.
    pub fn connect(address: SocketAddr) -> io::Result<Stream> {
        TcpStream::connect(address).map(Stream::from_tcp)
    }

    /// The same from an address of this machine, whose ports are then the ones that run short.
    ///
    /// # Errors
    /// As [`Stream::connect`], and when `source` is no address of this machine.
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> io::Result<Stream> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        Ok(Stream::from_tcp(TcpStream::from_std(socket.into())))
    }

    pub(crate) fn from_tcp(stream: TcpStream) -> Stream {
        // It only fails on a connection that is dead already, which the first read will tell.
        let _ = stream.set_nodelay(true);
        Stream::Tcp(stream)
    }

    /// Reads what has arrived, as far as `buffer` has room. A result shorter than `buffer` means that there was no
    /// more at that moment; 0 (for a buffer that is not empty) that the peer has ended its side.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing has arrived; anything else means that the connection is over.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Stream::Tcp(stream) = self;
        uninterrupted(|| stream.read(buffer))
    }

    /// Writes as much of `bytes` as there is room for; a short result means that there is none left.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is no room at all; anything else means that the connection is over.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Stream::Tcp(stream) = self;
        uninterrupted(|| stream.write(bytes))
    }

    /// Writes as much of `parts`, one after another, as there is room for; at most 1,024 of them are looked at.
    ///
    /// # Errors
    /// As [`Stream::write`].
    pub fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let Stream::Tcp(stream) = self;
        uninterrupted(|| stream.write_vectored(parts))
    }

    /// Ends our side: the peer reads what was written and then the end. Its own bytes can still be read.
    ///
    /// # Errors
    /// When the connection is over already.
    pub fn shutdown_write(&self) -> io::Result<()> {
        let Stream::Tcp(stream) = self;
        stream.shutdown(Shutdown::Write)
    }

    /// Drops the connection at once, with a reset instead of an orderly end: what was not delivered yet is thrown
    /// away, and no memory of the connection stays in the system.
    pub fn reset(self) {
        let Stream::Tcp(stream) = &self;
        // Should it fail, the connection is dead, and closing it is all that is left to do.
        let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }

    /// The address of the other side.
    ///
    /// # Errors
    /// When there is no connection, or not yet.
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        let Stream::Tcp(stream) = self;
        stream.peer_addr()
    }
}

fn uninterrupted(mut operation: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl Source for Stream {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        let Stream::Tcp(stream) = self;
        stream.register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        let Stream::Tcp(stream) = self;
        stream.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        let Stream::Tcp(stream) = self;
        stream.deregister(registry)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (std::net::TcpStream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = Stream::connect(listener.local_addr().unwrap()).unwrap();
        let (peer, _) = listener.accept().unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        (peer, stream)
    }

    #[test]
    fn a_stream_without_bytes_would_block() {
        let (_peer, mut stream) = pair();
        assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_stream_can_come_from_another_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = IpAddr::from([127, 0, 0, 2]);
        let _stream = Stream::connect_from(source, listener.local_addr().unwrap()).unwrap();
        assert_eq!(listener.accept().unwrap().1.ip(), source);
    }

    #[test]
    fn parts_arrive_as_one_run_of_bytes() {
        let (mut peer, mut stream) = pair();
        let written = stream.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")]);
        assert_eq!(written.unwrap(), 5);
        stream.shutdown_write().unwrap();
        let mut read = String::new();
        peer.read_to_string(&mut read).unwrap();
        assert_eq!(read, "abcde");
    }

    #[test]
    fn a_full_connection_would_block_and_loses_nothing() {
        let (mut peer, mut stream) = pair();
        let block = vec![7; 1 << 20];
        let mut written = 0;
        let refusal = loop {
            match stream.write(&block) {
                Ok(count) => written += count,
                Err(error) => break error,
            }
        };
        assert_eq!(refusal.kind(), io::ErrorKind::WouldBlock);
        drop(stream);
        let mut read = Vec::new();
        peer.read_to_end(&mut read).unwrap();
        assert_eq!(read.len(), written);
    }

    #[test]
    fn a_reset_is_not_an_orderly_end() {
        let (mut peer, stream) = pair();
        stream.reset();
        assert_eq!(peer.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
