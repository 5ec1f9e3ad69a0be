//! Unix domain sockets: [`UnixListener`], [`UnixStream`], [`UnixSocket`], [`UnixDatagram`] and
//! their types.
//!
//! # Paths
//!
//! A path that begins with a NUL byte is a name in Linux' abstract namespace. It has no file and
//! vanishes with its socket; `ss` shows `"\0echo"` as `@echo`. Any other path is a file. A path has
//! at most 107 bytes; see [`SocketAddr`].
//!
//! **This package never removes a file.** Binding creates it, and it stays when the listener is
//! dropped. Binding to an existing path fails with `AddrInUse`, whatever the path is. The program
//! decides whether to remove a stale socket: if connecting to it returns `ConnectionRefused`, no socket
//! listens on it.

mod address;
mod connect;
mod convert;
mod cred;
mod datagram;
mod listener;
mod send_to;
mod socket;
mod stream;

use std::sync::Arc;
use std::{error, fmt};

pub use crate::datagram::{Recv, RecvFrom, Send};
pub use crate::stream::{
    Peek, Read, ReadExact, ReadVectored, Readable, ReadyFuture, Writable, Write, WriteAll,
    WriteVectored,
};
pub use address::SocketAddr;
pub use connect::Connect;
pub use cred::UCred;
pub use datagram::UnixDatagram;
pub use listener::UnixListener;
pub use send_to::SendTo;
pub use socket::UnixSocket;
pub use stream::UnixStream;

use crate::stream::ShutdownOnDrop;

/// The future of [`UnixListener::accept`].
pub type Accept<'a> = crate::listen::Accept<'a, UnixStream>;

/// The stream of [`UnixListener::incoming`].
pub type Incoming<'a> = crate::listen::Incoming<'a, UnixStream>;

/// The reading half of a borrowed [`UnixStream`], made by [`UnixStream::split`].
pub type ReadHalf<'a> = crate::stream::ReadHalf<&'a UnixStream>;

/// The writing half of a borrowed [`UnixStream`], made by [`UnixStream::split`].
pub type WriteHalf<'a> = crate::stream::WriteHalf<&'a UnixStream>;

/// The owned reading half of a [`UnixStream`], made by [`UnixStream::into_split`].
pub type OwnedReadHalf = crate::stream::ReadHalf<Arc<UnixStream>>;

/// The owned writing half of a [`UnixStream`], made by [`UnixStream::into_split`]; dropping it ends
/// the outgoing direction.
pub type OwnedWriteHalf = crate::stream::WriteHalf<ShutdownOnDrop<UnixStream>>;

/// The error of `reunite`: two halves that do not belong to the same [`UnixStream`]. It contains
/// them.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the two halves do not belong to the same UnixStream")
    }
}

impl error::Error for ReuniteError {}

impl OwnedReadHalf {
    /// Joins the halves of [`UnixStream::into_split`] to a stream.
    ///
    /// # Errors
    ///
    /// [`ReuniteError`], with both halves, when they come from different streams.
    pub fn reunite(self, write: OwnedWriteHalf) -> Result<UnixStream, ReuniteError> {
        crate::stream::reunite(self, write).map_err(|(read, write)| ReuniteError(read, write))
    }
}

impl OwnedWriteHalf {
    /// Joins the halves of [`UnixStream::into_split`] to a stream.
    ///
    /// # Errors
    ///
    /// [`ReuniteError`], with both halves, when they come from different streams.
    pub fn reunite(self, read: OwnedReadHalf) -> Result<UnixStream, ReuniteError> {
        read.reunite(self)
    }
}
