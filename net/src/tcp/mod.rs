//! TCP: [`TcpListener`], [`TcpStream`], [`TcpSocket`] and their types.

mod bind;
mod connect;
mod convert;
mod listener;
mod options;
mod ready;
mod socket;
mod stream;

use std::sync::Arc;
use std::{error, fmt};

pub use crate::stream::{
    Peek, Read, ReadExact, ReadVectored, Readable, ReadyFuture, Writable, Write, WriteAll,
    WriteVectored,
};
pub use bind::Bind;
pub use connect::{Connect, ConnectTimeout};
pub use listener::TcpListener;
pub use socket::TcpSocket;
pub use stream::TcpStream;

use crate::stream::ShutdownOnDrop;

/// The future of [`TcpListener::accept`].
pub type Accept<'a> = crate::listen::Accept<'a, TcpStream>;

/// The stream of [`TcpListener::incoming`].
pub type Incoming<'a> = crate::listen::Incoming<'a, TcpStream>;

/// The reading half of a borrowed [`TcpStream`], made by [`TcpStream::split`].
pub type ReadHalf<'a> = crate::stream::ReadHalf<&'a TcpStream>;

/// The writing half of a borrowed [`TcpStream`], made by [`TcpStream::split`].
pub type WriteHalf<'a> = crate::stream::WriteHalf<&'a TcpStream>;

/// The owned reading half of a [`TcpStream`], made by [`TcpStream::into_split`].
pub type OwnedReadHalf = crate::stream::ReadHalf<Arc<TcpStream>>;

/// The owned writing half of a [`TcpStream`], made by [`TcpStream::into_split`]; dropping it ends
/// the outgoing direction.
pub type OwnedWriteHalf = crate::stream::WriteHalf<ShutdownOnDrop<TcpStream>>;

/// The error of `reunite`: two halves that do not belong to the same [`TcpStream`]. It contains
/// them.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the two halves do not belong to the same TcpStream")
    }
}

impl error::Error for ReuniteError {}

impl OwnedReadHalf {
    /// Joins the halves of [`TcpStream::into_split`] to a stream.
    ///
    /// # Errors
    ///
    /// [`ReuniteError`], with both halves, when they come from different streams.
    pub fn reunite(self, write: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        crate::stream::reunite(self, write).map_err(|(read, write)| ReuniteError(read, write))
    }
}

impl OwnedWriteHalf {
    /// Joins the halves of [`TcpStream::into_split`] to a stream.
    ///
    /// # Errors
    ///
    /// [`ReuniteError`], with both halves, when they come from different streams.
    pub fn reunite(self, read: OwnedReadHalf) -> Result<TcpStream, ReuniteError> {
        read.reunite(self)
    }
}
