//! The two directions of one stream, to be used by two tasks or by two parts of one.
//!
//! Made by `split` (`R` is a reference) and `into_split` (`R` is an `Arc`, or [`Closing`]) of the
//! streams. A side is nothing but a way to reach the stream: the kernel keeps the directions apart,
//! and the reactor keeps a list of waiters for each. [`tcp`](crate::tcp) and [`unix`](crate::unix)
//! give the four combinations the names that tokio has for them (`ReadHalf`, `OwnedReadHalf`, ...).

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll};

use wakeful::io::Interest;

use super::{
    Peek, Read, ReadExact, ReadVectored, Readable, ReadyFuture, Writable, Write, WriteAll,
    WriteVectored, poll_peek,
};
use super::{try_read, try_read_vectored, try_write, try_write_vectored};
use crate::ready;
use crate::socket::Io;

/// What the sides need of a stream; outside code can neither name nor implement it.
pub trait Splittable {
    /// What the ends of the stream are called.
    type Address;
    /// The registered socket.
    fn io(&self) -> &Io;
    /// The address of this end.
    fn local(&self) -> io::Result<Self::Address>;
    /// The address of the other end.
    fn peer(&self) -> io::Result<Self::Address>;
}

/// The reading direction of a stream that was split.
///
/// All methods do what the stream's methods of the same name do; see [`TcpStream`] for their errors
/// and panics. Several tasks may read at once: all are woken when bytes come.
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
pub struct ReadSide<R>(R);

/// The writing direction of a stream that was split.
///
/// All methods do what the stream's methods of the same name do; see [`TcpStream`] for their errors
/// and panics.
///
/// Dropping an *owned* write half ends the outgoing direction: the peer reads everything that was
/// written and then the end of the stream. `forget` and `reunite` do not, and neither does dropping
/// a borrowed half: there the stream still is.
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
pub struct WriteSide<R>(R);

/// How an owned write half holds its stream: the last thing it does is to end its direction.
///
/// This, and not [`WriteSide`], has the `Drop`, because whatever has one keeps its borrow to the end
/// of the block: then a stream could not be used again in the block in which it was split.
#[derive(Debug)]
pub struct Closing<S: Splittable> {
    stream: Arc<S>,
    /// Until `forget` or `reunite`.
    shutdown_on_drop: bool,
}

/// Borrows a stream in two directions.
pub(crate) fn split<S: Splittable>(stream: &S) -> (ReadSide<&S>, WriteSide<&S>) {
    (ReadSide(stream), WriteSide(stream))
}

/// Gives each direction of a stream an owner.
pub(crate) fn into_split<S: Splittable>(stream: S) -> (ReadSide<Arc<S>>, WriteSide<Closing<S>>) {
    let stream = Arc::new(stream);
    (
        ReadSide(Arc::clone(&stream)),
        WriteSide(Closing {
            stream,
            shutdown_on_drop: true,
        }),
    )
}

/// Puts the halves together if they came from one stream, else gives them back.
#[expect(
    clippy::type_complexity,
    reason = "each stream wraps it in its own ReuniteError"
)]
pub(crate) fn reunite<S: Splittable>(
    read: ReadSide<Arc<S>>,
    write: WriteSide<Closing<S>>,
) -> Result<S, (ReadSide<Arc<S>>, WriteSide<Closing<S>>)> {
    if !Arc::ptr_eq(&read.0, &write.0.stream) {
        return Err((read, write));
    }
    write.forget();
    // There are never more than two references to a split stream, one in each half.
    Ok(Arc::into_inner(read.0).expect("only the two halves of a stream refer to it"))
}

impl<R: Deref<Target: Splittable>> ReadSide<R> {
    #[inline]
    pub(super) fn io(&self) -> &Io {
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

    /// Fills the buffer. Not cancel safe: dropped early, it leaves the bytes it read in the buffer.
    #[track_caller]
    pub fn read_exact<'a>(&'a self, buf: &'a mut [u8]) -> ReadExact<'a> {
        ReadExact::new(self.0.io(), buf)
    }

    /// Copies bytes that the next read will return. Cancel safe.
    #[track_caller]
    pub fn peek<'a>(&'a self, buf: &'a mut [u8]) -> Peek<'a> {
        Peek::new(self.0.io(), buf)
    }

    /// Polls for bytes that the next read will return; as
    /// [`TcpStream::poll_peek`](crate::TcpStream::poll_peek).
    ///
    /// # Errors
    ///
    /// As `read`.
    #[track_caller]
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        poll_peek(self.io(), cx, buf)
    }

    /// Waits until there is something to read. Cancel safe.
    #[track_caller]
    pub fn readable(&self) -> Readable<'_> {
        ready::readable(self.0.io())
    }

    /// Waits for any readiness in `interest` and says what there is. Cancel safe.
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> ReadyFuture<'_> {
        ready::ready(self.0.io(), interest)
    }

    /// Reads what is there now, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing is known to be there; else as `read`.
    #[inline]
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        try_read(self.0.io(), buf)
    }

    /// Reads what is there now into several buffers, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing is known to be there; else as `read`.
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        try_read_vectored(self.0.io(), bufs)
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// As getsockname(2).
    pub fn local_addr(&self) -> io::Result<<R::Target as Splittable>::Address> {
        self.0.local()
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// As getpeername(2): `NotConnected` after a reset.
    pub fn peer_addr(&self) -> io::Result<<R::Target as Splittable>::Address> {
        self.0.peer()
    }
}

impl<R: Deref<Target: Splittable>> WriteSide<R> {
    #[inline]
    pub(super) fn io(&self) -> &Io {
        self.0.io()
    }

    /// Writes some bytes and says how many. Cancel safe: dropped early, it wrote nothing.
    #[inline]
    #[track_caller]
    pub fn write<'a>(&'a self, buf: &'a [u8]) -> Write<'a> {
        Write::new(self.0.io(), buf)
    }

    /// Writes some bytes out of several buffers. Cancel safe: dropped early, it wrote nothing.
    #[track_caller]
    pub fn write_vectored<'a, 'b>(&'a self, bufs: &'a [IoSlice<'b>]) -> WriteVectored<'a, 'b> {
        WriteVectored::new(self.0.io(), bufs)
    }

    /// Writes everything. Not cancel safe: dropped early, it wrote an unknown part.
    #[inline]
    #[track_caller]
    pub fn write_all<'a>(&'a self, buf: &'a [u8]) -> WriteAll<'a> {
        WriteAll::new(self.0.io(), buf)
    }

    /// Waits until something can be written. Cancel safe.
    #[track_caller]
    pub fn writable(&self) -> Writable<'_> {
        ready::writable(self.0.io())
    }

    /// Waits for any readiness in `interest` and says what there is. Cancel safe.
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> ReadyFuture<'_> {
        ready::ready(self.0.io(), interest)
    }

    /// Writes what the kernel takes now, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the kernel is not known to take anything; else as `write`.
    #[inline]
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        try_write(self.0.io(), buf)
    }

    /// Writes what the kernel takes now out of several buffers, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the kernel is not known to take anything; else as `write`.
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        try_write_vectored(self.0.io(), bufs)
    }

    /// Ends the outgoing direction: the peer reads everything that was written, then the end of the
    /// stream. Reading goes on.
    ///
    /// # Errors
    ///
    /// `NotConnected` when the peer has reset the connection.
    pub fn shutdown(&self) -> io::Result<()> {
        self.0.io().get_ref().options().shutdown(Shutdown::Write)
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// As getsockname(2).
    pub fn local_addr(&self) -> io::Result<<R::Target as Splittable>::Address> {
        self.0.local()
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// As getpeername(2): `NotConnected` after a reset.
    pub fn peer_addr(&self) -> io::Result<<R::Target as Splittable>::Address> {
        self.0.peer()
    }
}

impl<S: Splittable> WriteSide<Closing<S>> {
    /// Drops the half without ending the outgoing direction.
    pub fn forget(mut self) {
        self.0.shutdown_on_drop = false;
    }
}

impl<S: Splittable> Deref for Closing<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.stream
    }
}

impl<S: Splittable> Drop for Closing<S> {
    fn drop(&mut self) {
        if self.shutdown_on_drop
            && let Err(_gone) = self.io().get_ref().options().shutdown(Shutdown::Write)
        {
            // The peer has left or reset the connection: nothing is left to be ended.
        }
    }
}

impl<R: Deref> AsRef<R::Target> for ReadSide<R> {
    fn as_ref(&self) -> &R::Target {
        &self.0
    }
}

impl<R: Deref> AsRef<R::Target> for WriteSide<R> {
    fn as_ref(&self) -> &R::Target {
        &self.0
    }
}

impl<R: Deref<Target: fmt::Debug>> fmt::Debug for ReadSide<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadHalf").field(&&*self.0).finish()
    }
}

impl<R: Deref<Target: fmt::Debug>> fmt::Debug for WriteSide<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteHalf").field(&&*self.0).finish()
    }
}
