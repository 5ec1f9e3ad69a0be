//! The standard library's sockets with recorded calls.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use crate::record::{limited, recorded};
use crate::script::{must_not_block, progress};

/// A listening socket.
pub struct Listener(TcpListener);

impl Listener {
    /// Binds and listens.
    ///
    /// # Errors
    ///
    /// The error of bind(2) or listen(2).
    pub fn bind(address: SocketAddr) -> io::Result<Listener> {
        TcpListener::bind(address).map(Listener)
    }

    /// Returns the address, with the port that the kernel chose.
    ///
    /// # Errors
    ///
    /// The error of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Sets `O_NONBLOCK`: `accept` returns `WouldBlock` instead of waiting.
    ///
    /// # Errors
    ///
    /// The error of ioctl(2).
    pub fn set_nonblocking(&self) -> io::Result<()> {
        self.0.set_nonblocking(true)
    }

    /// Accepts a connection. The new socket has none of this one's flags.
    ///
    /// # Errors
    ///
    /// The error of accept4(2).
    pub fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        must_not_block("accept", self.0.as_raw_fd());
        let number = |(stream, _): &(TcpStream, SocketAddr)| i64::from(stream.as_raw_fd());
        let (stream, peer) = recorded("accept", self.0.as_raw_fd(), || self.0.accept(), number)?;
        progress();
        Ok((Stream(stream), peer))
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A connected socket.
pub struct Stream(TcpStream);

impl Stream {
    /// Takes a socket of the standard library.
    #[must_use]
    pub fn new(stream: TcpStream) -> Stream {
        Stream(stream)
    }

    /// Sets `O_NONBLOCK`: reads and writes return `WouldBlock` instead of waiting.
    ///
    /// # Errors
    ///
    /// The error of ioctl(2).
    pub fn set_nonblocking(&self) -> io::Result<()> {
        self.0.set_nonblocking(true)
    }

    /// Reads what is there; 0 is the end of the stream. The end is no progress: a loop that reads it again
    /// and again counts as one that never sleeps.
    ///
    /// # Errors
    ///
    /// The error of recv(2).
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        must_not_block("read", self.0.as_raw_fd());
        let length = limited("read", buffer.len());
        let call = || (&self.0).read(&mut buffer[..length]);
        recorded("read", self.0.as_raw_fd(), call, |n| *n as i64).inspect(|n| {
            if *n > 0 {
                progress();
            }
        })
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    ///
    /// The error of send(2).
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        must_not_block("write", self.0.as_raw_fd());
        let length = limited("write", bytes.len());
        let call = || (&self.0).write(&bytes[..length]);
        recorded("write", self.0.as_raw_fd(), call, |n| *n as i64).inspect(|_| progress())
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
