//! One type for both kinds of socket: TCP and Unix streams differ only in how they are made.
//!
//! An enum instead of a trait: the choice is one predictable branch, and everything above this file
//! is written once, without type parameters. Called by [`crate::connection`].

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;

use rustix::io::retry_on_intr;
use rustix::net::{SendFlags, send};
use wakeful_net::stream::{Readable, Writable};
use wakeful_net::{TcpStream, UnixStream};

use crate::address::printable;

/// A connected stream socket.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// Waits until reading would get somewhere.
    #[track_caller]
    pub(crate) fn readable(&self) -> Readable<'_> {
        match self {
            Stream::Tcp(stream) => stream.readable(),
            Stream::Unix(stream) => stream.readable(),
        }
    }

    /// Waits until writing would get somewhere.
    #[track_caller]
    pub(crate) fn writable(&self) -> Writable<'_> {
        match self {
            Stream::Tcp(stream) => stream.writable(),
            Stream::Unix(stream) => stream.writable(),
        }
    }

    /// Reads what is there, without waiting.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.try_read(buffer),
            Stream::Unix(stream) => stream.try_read(buffer),
        }
    }

    /// Writes what fits, without waiting.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.try_write(bytes),
            Stream::Unix(stream) => stream.try_write(bytes),
        }
    }

    /// Writes what fits, without waiting, and whether or not an event has said that anything does.
    pub(crate) fn offer(&self, bytes: &[u8]) -> io::Result<usize> {
        let socket = match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        retry_on_intr(|| send(socket, bytes, flags)).map_err(io::Error::from)
    }

    /// Ends one direction or both.
    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(how),
            Stream::Unix(stream) => stream.shutdown(how),
        }
    }
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket; most clients do not give theirs a name. The name is the peer's choice, so it
    /// is kept in printable form.
    Unix(Option<Box<str>>),
}

impl From<wakeful_net::unix::SocketAddr> for Peer {
    fn from(address: wakeful_net::unix::SocketAddr) -> Peer {
        Peer::Unix(
            address
                .as_pathname()
                .map(|path| printable(path.as_os_str()).into()),
        )
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) => write!(f, "{address}"),
            Peer::Unix(Some(path)) => write!(f, "unix://{path}"),
            Peer::Unix(None) => write!(f, "unix:unnamed"),
        }
    }
}
