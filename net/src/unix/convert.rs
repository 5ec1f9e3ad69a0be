//! Waiting for a `UnixStream` without transferring, splitting and duplicating it, and conversions
//! from and to std.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use wakeful::io::{Interest, Ready};

use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, SocketAddr, UnixStream, WriteHalf};
use super::{Readable, ReadyFuture, Writable};
use crate::fd::impl_fd_traits;
use crate::ready;
use crate::socket::{Family, Io, duplicate, register_foreign};
use crate::stream::{self, Sealed, Split};

impl UnixStream {
    /// Waits until a read would not block; as [`TcpStream::readable`](crate::TcpStream::readable).
    /// Cancel safe.
    #[track_caller]
    pub fn readable(&self) -> Readable<'_> {
        ready::readable(&self.io)
    }

    /// Waits until a write would not block; as [`TcpStream::writable`](crate::TcpStream::writable).
    /// Cancel safe.
    #[track_caller]
    pub fn writable(&self) -> Writable<'_> {
        ready::writable(&self.io)
    }

    /// Waits for any readiness in `interest` and returns it. Cancel safe.
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> ReadyFuture<'_> {
        ready::ready(&self.io, interest)
    }

    /// Polls for bytes and copies them; the next read returns them again. For hand-written futures.
    ///
    /// Each task that polled is woken. Prefer [`peek`](Self::peek) where a future can be kept,
    /// because dropping it removes its waker.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    #[track_caller]
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        stream::poll_peek(&self.io, cx, buf)
    }

    /// Polls until a read would not block; as
    /// [`TcpStream::poll_read_ready`](crate::TcpStream::poll_read_ready).
    ///
    /// # Errors
    ///
    /// An error when the stream's runtime has ended.
    #[track_caller]
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready::poll_ready(
            &self.io,
            Interest::READABLE,
            "UnixStream::poll_read_ready",
            cx,
        )
    }

    /// Polls until a write would not block; as
    /// [`TcpStream::poll_write_ready`](crate::TcpStream::poll_write_ready).
    ///
    /// # Errors
    ///
    /// An error when the stream's runtime has ended.
    #[track_caller]
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready::poll_ready(
            &self.io,
            Interest::WRITABLE,
            "UnixStream::poll_write_ready",
            cx,
        )
    }

    /// Treats the stream as ready until an operation would block, so that the next one is tried at once.
    ///
    /// See [`TcpStream::assume_ready`](crate::TcpStream::assume_ready).
    pub fn assume_ready(&self, ready: Ready) {
        self.io.assume_ready(ready);
    }

    /// Runs a custom I/O call if the stream is ready for it; as
    /// [`TcpStream::try_io`](crate::TcpStream::try_io).
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the stream is not known to be ready; otherwise the error of the call.
    #[track_caller]
    pub fn try_io<R>(
        &self,
        interest: Interest,
        call: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        self.io.try_io(interest, |_socket| call())
    }

    /// Runs a custom I/O call whenever the stream is ready, until it returns something other than
    /// `WouldBlock`; as [`TcpStream::async_io`](crate::TcpStream::async_io).
    ///
    /// # Errors
    ///
    /// The error of the call.
    #[track_caller]
    pub fn async_io<R>(
        &self,
        interest: Interest,
        mut call: impl FnMut() -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        self.io.async_io(interest, move |_socket| call())
    }

    /// Splits the stream into two borrowed halves, so that one `async` block can use both.
    #[must_use]
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        stream::split(self)
    }

    /// Splits the stream into two owned halves, so that two tasks can use them.
    ///
    /// Dropping the write half shuts the outgoing direction down;
    /// [`reunite`](OwnedReadHalf::reunite) joins both to a stream again.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        stream::into_split(self)
    }

    /// Creates a second handle to the same connection (F_DUPFD_CLOEXEC).
    ///
    /// The connection ends when all handles are dropped. Both can wait for the same direction, and
    /// both are woken.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, or when it cannot be registered with epoll.
    ///
    /// # Panics
    ///
    /// When called on a thread that does not run the stream's runtime.
    #[track_caller]
    pub fn try_clone(&self) -> io::Result<Self> {
        duplicate(&self.io).map(Self::from_io)
    }

    /// Registers a stream of the standard library and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when its descriptor is a socket of another type; or when it cannot be made
    /// non-blocking or registered with epoll. It is closed then.
    ///
    /// # Panics
    ///
    /// When called outside a runtime.
    #[track_caller]
    pub fn from_std(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        register_foreign(stream, Family::Unix).map(Self::from_io)
    }

    /// Deregisters the socket and converts it to std's type. It stays non-blocking.
    ///
    /// # Errors
    ///
    /// None at present. The signature is tokio's.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixStream> {
        Ok(OwnedFd::from(self).into())
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// As getsockname(2): none in practice.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// `NotConnected` (ENOTCONN) after the connection was reset.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().peer_addr()
    }
}

impl Sealed for UnixStream {
    fn io(&self) -> &Io {
        &self.io
    }
}

impl Split for UnixStream {
    type Address = SocketAddr;

    fn local_addr(&self) -> io::Result<SocketAddr> {
        UnixStream::local_addr(self)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        UnixStream::peer_addr(self)
    }
}

impl_fd_traits!(registered UnixStream, std::os::unix::net::UnixStream);
