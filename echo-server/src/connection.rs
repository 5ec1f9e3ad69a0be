//! One connection: its socket, the address of its peer, how many bytes came and went, and the state
//! that it shares with the others of its thread.
//!
//! Created by [`crate::accept`], used by [`crate::echo`], and shared (`Rc`) with the table of open
//! connections, which [`crate::shutdown`] and [`crate::stats`] look at.
//!
//! TCP and Unix streams differ only in how they are created, so [`Stream`] is an enum and not a
//! trait: one predictable branch, and no type parameters in the files above.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::rc::Rc;

use rustix::io::retry_on_intr;
use rustix::net::{SendFlags, send};
use wakeful_net::{TcpStream, UnixStream};

use crate::args::printable;
use crate::state::State;

/// A connected stream socket.
#[derive(Debug)]
pub(crate) enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// Unix domain.
    Unix(UnixStream),
}

/// Evaluates an expression for the socket in a [`Stream`].
macro_rules! on_stream {
    ($stream:expr, $socket:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($socket) => $call,
            Stream::Unix($socket) => $call,
        }
    };
}

/// Address of the other end.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// A TCP address.
    Tcp(SocketAddr),
    /// Path of a Unix socket; most clients have none. The peer chose it, so it is kept in printable
    /// form.
    Unix(Option<Box<str>>),
}

impl From<wakeful_net::unix::SocketAddr> for Peer {
    fn from(address: wakeful_net::unix::SocketAddr) -> Peer {
        let path = address.as_pathname();
        Peer::Unix(path.map(|path| printable(path.as_os_str()).into()))
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

/// What the connections of one listening socket share.
#[derive(Debug)]
pub(crate) struct AcceptedBy {
    /// The address of the listening socket.
    pub(crate) local_addr: String,
    pub(crate) state: Rc<State>,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    peer: Peer,
    /// The socket that accepted it.
    accepted_by: Rc<AcceptedBy>,
    /// Number of bytes read.
    received: Cell<u64>,
    /// Number of bytes that the kernel took for the peer.
    sent: Cell<u64>,
}

impl Connection {
    pub(crate) fn new(stream: Stream, peer: Peer, accepted_by: Rc<AcceptedBy>) -> Connection {
        Connection {
            stream,
            peer,
            accepted_by,
            received: Cell::new(0),
            sent: Cell::new(0),
        }
    }

    /// Waits until there is something to read: bytes, the end of input, or an error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    #[track_caller]
    pub(crate) fn readable(&self) -> impl Future<Output = io::Result<()>> + Unpin {
        on_stream!(&self.stream, socket => socket.readable())
    }

    /// Waits until the peer takes bytes again, and sends as much as it takes then.
    /// [`count_sent`](Self::count_sent) has to be called with the result.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it completes has sent nothing.
    #[track_caller]
    pub(crate) fn write<'a>(
        &'a self,
        bytes: &'a [u8],
    ) -> impl Future<Output = io::Result<usize>> + Unpin {
        on_stream!(&self.stream, socket => socket.write(bytes))
    }

    /// Reads what is there. Returns `None` if that is nothing, and 0 at the end of input.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> Result<Option<usize>, ConnectionError> {
        match on_stream!(&self.stream, socket => socket.try_read(buffer)) {
            Ok(length) => {
                self.received.set(self.received.get() + length as u64);
                Ok(Some(length))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(ConnectionError::new("read", error)),
        }
    }

    /// Sends as much as the peer takes now and returns how much that was; it can be 0.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> Result<usize, ConnectionError> {
        let sent = on_stream!(&self.stream, socket => socket.try_write(bytes));
        self.count_sent(sent)
    }

    /// Like [`Connection::try_write`], but asks the kernel even if it has reported no room.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> Result<usize, ConnectionError> {
        let socket = on_stream!(&self.stream, socket => socket.as_fd());
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = retry_on_intr(|| send(socket, bytes, flags));
        self.count_sent(sent.map_err(io::Error::from))
    }

    /// Counts the bytes of a result of sending.
    pub(crate) fn count_sent(&self, sent: io::Result<usize>) -> Result<usize, ConnectionError> {
        match sent {
            Ok(length) => {
                self.sent.set(self.sent.get() + length as u64);
                Ok(length)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(ConnectionError::new("write", error)),
        }
    }

    /// Ends the input: the handler still reads and returns what the kernel holds, then sees the
    /// end of input, as if the peer had finished.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection is gone already, which the handler notices by itself.
    pub(crate) fn shutdown_read(&self) -> io::Result<()> {
        on_stream!(&self.stream, socket => socket.shutdown_now(Shutdown::Read))
    }

    /// Ends the output: the peer sees the end after everything that was sent.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection is gone already.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        on_stream!(&self.stream, socket => socket.shutdown_now(Shutdown::Write))
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Returns whether it holds bytes that the peer has not taken yet.
    pub(crate) fn has_unsent(&self) -> bool {
        self.received.get() != self.sent.get()
    }

    pub(crate) fn local_addr(&self) -> &str {
        &self.accepted_by.local_addr
    }

    /// Returns the state of the thread.
    pub(crate) fn state(&self) -> &State {
        &self.accepted_by.state
    }
}

/// Writes the peer, which identifies the connection in the log.
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.peer.fmt(f)
    }
}

/// The error that ended a connection before its peer had finished.
#[derive(Debug)]
pub(crate) struct ConnectionError {
    /// `read`, `write` or `wait`.
    pub(crate) operation: &'static str,
    pub(crate) error: io::Error,
}

impl ConnectionError {
    fn new(operation: &'static str, error: io::Error) -> ConnectionError {
        ConnectionError { operation, error }
    }
}

/// Converts the error of a wait: a timeout, or the end of the runtime.
impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> ConnectionError {
        ConnectionError::new("wait", error)
    }
}
