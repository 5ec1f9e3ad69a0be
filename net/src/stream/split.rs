//! The two directions of one stream, for two tasks or for two parts of one.
//!
//! Called by `split` (`R` is a reference) and `into_split` (`R` is an `Arc` or [`ShutdownOnDrop`]) of
//! the streams; calls the same futures as they do. A half is only a way to reach the stream: the
//! kernel keeps the directions apart, and the reactor has a list of waiters for each.
//! [`tcp`](crate::tcp) and [`unix`](crate::unix) define tokio's names for the four combinations
//! (`ReadHalf`, `OwnedReadHalf`, ...).

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll};

use wakeful::io::Interest;

use super::poll::{poll_peek, poll_shutdown, shutdown_write};
use super::{
    Peek, Read, ReadExact, ReadVectored, Readable, ReadyFuture, Writable, Write, WriteAll,
    WriteVectored,
};
use super::{try_read, try_read_vectored, try_write, try_write_vectored};
use crate::ready;
use crate::socket::Io;

/// A stream that can be split: [`TcpStream`](crate::TcpStream) or [`UnixStream`](crate::UnixStream).
///
/// Sealed: other crates cannot implement it.
pub trait Split: Sealed {
    /// Address type of both ends.
    type Address;
    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2).
    fn local_addr(&self) -> io::Result<Self::Address>;
    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// Those of getpeername(2): `NotConnected` after a reset.
    fn peer_addr(&self) -> io::Result<Self::Address>;
}

/// Access to the socket of a stream. Not nameable outside of this package.
pub trait Sealed {
    /// Returns the registered socket.
    fn io(&self) -> &Io;
}

/// The reading direction of a split stream.
///
/// Each method does the same as the stream's method of that name; see [`TcpStream`] for errors and
/// panics. Several tasks can read at once: all of them are woken when bytes arrive.
///
/// [`TcpStream`]: crate::TcpStream
///
/// # Examples
///
/// ```
/// use wakeful_net::UnixStream;
///
/// wakeful::block_on(async {
///     let (near, far) = UnixStream::pair()?;
///     let (reader, writer) = near.into_split();
///     let sender = wakeful::spawn(async move { writer.write_all(b"ping").await });
///     far.write_all(b"pong").await?;
///     let mut buf = [0; 4];
///     reader.read_exact(&mut buf).await?;
///     assert_eq!(&buf, b"pong");
///     sender.await.unwrap()
/// })
/// # .unwrap();
/// ```
pub struct ReadHalf<R>(R);

/// The writing direction of a split stream.
///
/// Each method does the same as the stream's method of that name; see [`TcpStream`] for errors and
/// panics.
///
/// Dropping an *owned* write half shuts down the writing direction: the peer reads all bytes that
/// were written and then the end of the stream. `forget` and `reunite` do not shut it down. Dropping
/// a borrowed half does not either, because the stream itself still exists.
///
/// [`TcpStream`]: crate::TcpStream
///
/// # Examples
///
/// ```
/// use wakeful_net::UnixStream;
///
/// wakeful::block_on(async {
///     let (near, far) = UnixStream::pair()?;
///     let (_reader, writer) = near.into_split();
///     writer.write_all(b"bye").await?;
///     drop(writer);
///     let mut buf = [0; 16];
///     assert_eq!(far.read(&mut buf).await?, 3);
///     assert_eq!(far.read(&mut buf).await?, 0); // the end of the stream
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
pub struct WriteHalf<R>(R);

/// The stream of an owned write half; dropping it shuts down the writing direction.
///
/// This type has the `Drop`, and not [`WriteHalf`], because a type with a `Drop` keeps its borrow
/// until the end of the block. A borrowed stream could then not be used again in the block that
/// split it.
#[derive(Debug)]
pub struct ShutdownOnDrop<S: Split> {
    stream: Arc<S>,
    /// False after `forget` and `reunite`.
    shutdown_on_drop: bool,
}

/// Creates two halves that borrow the stream.
pub(crate) fn split<S: Split>(stream: &S) -> (ReadHalf<&S>, WriteHalf<&S>) {
    (ReadHalf(stream), WriteHalf(stream))
}

/// Creates two halves that own the stream together.
pub(crate) fn into_split<S: Split>(stream: S) -> (ReadHalf<Arc<S>>, WriteHalf<ShutdownOnDrop<S>>) {
    let stream = Arc::new(stream);
    (
        ReadHalf(Arc::clone(&stream)),
        WriteHalf(ShutdownOnDrop {
            stream,
            shutdown_on_drop: true,
        }),
    )
}

/// Rebuilds the stream if both halves come from the same one; otherwise returns the halves.
#[expect(
    clippy::type_complexity,
    reason = "each stream wraps it in its own ReuniteError"
)]
pub(crate) fn reunite<S: Split>(
    read: ReadHalf<Arc<S>>,
    write: WriteHalf<ShutdownOnDrop<S>>,
) -> Result<S, (ReadHalf<Arc<S>>, WriteHalf<ShutdownOnDrop<S>>)> {
    if !Arc::ptr_eq(&read.0, &write.0.stream) {
        return Err((read, write));
    }
    write.forget();
    // A split stream has exactly two references, one in each half.
    Ok(Arc::into_inner(read.0).expect("only the two halves of a stream refer to it"))
}

/// Shuts down the writing direction when it is polled: the future of `shutdown` of streams and
/// halves. It waits for nothing but the budget; a future, because tokio's method is one.
pub(crate) fn shutdown(io: &Io) -> impl Future<Output = io::Result<()>> + use<'_> {
    poll_fn(move |cx| poll_shutdown(io, cx))
}

impl<R: Deref<Target: Split>> ReadHalf<R> {
    #[inline]
    pub(crate) fn io(&self) -> &Io {
        self.0.io()
    }

    /// Reads some bytes. Cancel safe.
    #[inline]
    #[track_caller]
    pub fn read<'a>(&'a self, buf: &'a mut [u8]) -> Read<'a> {
        Read::new(self.0.io(), buf)
    }

    /// Reads some bytes into several buffers. Cancel safe.
    #[track_caller]
    pub fn read_vectored<'a, 'b>(&'a self, bufs: &'a mut [IoSliceMut<'b>]) -> ReadVectored<'a, 'b> {
        ReadVectored::new(self.0.io(), bufs)
    }

    /// Fills the buffer. Not cancel safe: an early drop leaves the bytes that were read in the buffer.
    #[track_caller]
    pub fn read_exact<'a>(&'a self, buf: &'a mut [u8]) -> ReadExact<'a> {
        ReadExact::new(self.0.io(), buf)
    }

    /// Copies bytes that the next read will return. Cancel safe.
    #[track_caller]
    pub fn peek<'a>(&'a self, buf: &'a mut [u8]) -> Peek<'a> {
        Peek::new(self.0.io(), buf)
    }

    /// Polls for bytes that the next read will return, see
    /// [`TcpStream::poll_peek`](crate::TcpStream::poll_peek).
    ///
    /// # Errors
    ///
    /// Same as `read`.
    #[track_caller]
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        poll_peek(self.io(), cx, buf)
    }

    /// Waits until the stream is readable. Cancel safe.
    #[track_caller]
    pub fn readable(&self) -> Readable<'_> {
        ready::readable(self.0.io())
    }

    /// Waits for any readiness in `interest` and returns the current readiness. Cancel safe.
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> ReadyFuture<'_> {
        ready::ready(self.0.io(), interest)
    }

    /// Reads the bytes that are available now, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the stream is not known to be readable; otherwise same as `read`.
    #[inline]
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        try_read(self.0.io(), buf)
    }

    /// Reads the bytes that are available now into several buffers, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the stream is not known to be readable; otherwise same as `read`.
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        try_read_vectored(self.0.io(), bufs)
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<<R::Target as Split>::Address> {
        self.0.local_addr()
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// Those of getpeername(2): `NotConnected` after a reset.
    pub fn peer_addr(&self) -> io::Result<<R::Target as Split>::Address> {
        self.0.peer_addr()
    }
}

impl<R: Deref<Target: Split>> WriteHalf<R> {
    #[inline]
    pub(crate) fn io(&self) -> &Io {
        self.0.io()
    }

    /// Writes some bytes and returns their number. Cancel safe: an early drop has written nothing.
    #[inline]
    #[track_caller]
    pub fn write<'a>(&'a self, buf: &'a [u8]) -> Write<'a> {
        Write::new(self.0.io(), buf)
    }

    /// Writes some bytes from several buffers. Cancel safe: an early drop has written nothing.
    #[track_caller]
    pub fn write_vectored<'a, 'b>(&'a self, bufs: &'a [IoSlice<'b>]) -> WriteVectored<'a, 'b> {
        WriteVectored::new(self.0.io(), bufs)
    }

    /// Writes the whole buffer. Not cancel safe: an early drop has written an unknown part.
    #[inline]
    #[track_caller]
    pub fn write_all<'a>(&'a self, buf: &'a [u8]) -> WriteAll<'a> {
        WriteAll::new(self.0.io(), buf)
    }

    /// Waits until the stream is writable. Cancel safe.
    #[track_caller]
    pub fn writable(&self) -> Writable<'_> {
        ready::writable(self.0.io())
    }

    /// Waits for any readiness in `interest` and returns the current readiness. Cancel safe.
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> ReadyFuture<'_> {
        ready::ready(self.0.io(), interest)
    }

    /// Writes as many bytes as the kernel accepts now, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the stream is not known to be writable; otherwise same as `write`.
    #[inline]
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        try_write(self.0.io(), buf)
    }

    /// Writes as many bytes as the kernel accepts now from several buffers, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the stream is not known to be writable; otherwise same as `write`.
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        try_write_vectored(self.0.io(), bufs)
    }

    /// Shuts down the writing direction, see [`TcpStream::shutdown`](crate::TcpStream::shutdown).
    ///
    /// # Errors
    ///
    /// Those of shutdown(2), except `NotConnected`.
    pub fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<'_, R> {
        shutdown(self.io())
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<<R::Target as Split>::Address> {
        self.0.local_addr()
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// Those of getpeername(2): `NotConnected` after a reset.
    pub fn peer_addr(&self) -> io::Result<<R::Target as Split>::Address> {
        self.0.peer_addr()
    }
}

impl<S: Split> WriteHalf<ShutdownOnDrop<S>> {
    /// Drops the half without shutting down the writing direction.
    pub fn forget(mut self) {
        self.0.shutdown_on_drop = false;
    }
}

impl<S: Split> Deref for ShutdownOnDrop<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.stream
    }
}

impl<S: Split> Drop for ShutdownOnDrop<S> {
    fn drop(&mut self) {
        if self.shutdown_on_drop
            && let Err(_gone) = shutdown_write(self.io())
        {
            // The connection has failed, so nothing is left to shut down.
        }
    }
}

impl<R: Deref> AsRef<R::Target> for ReadHalf<R> {
    fn as_ref(&self) -> &R::Target {
        &self.0
    }
}

impl<R: Deref> AsRef<R::Target> for WriteHalf<R> {
    fn as_ref(&self) -> &R::Target {
        &self.0
    }
}

impl<R: Deref<Target: fmt::Debug>> fmt::Debug for ReadHalf<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadHalf").field(&&*self.0).finish()
    }
}

impl<R: Deref<Target: fmt::Debug>> fmt::Debug for WriteHalf<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteHalf").field(&&*self.0).finish()
    }
}
