//! Waiting for a `TcpStream` without transferring, and transferring without waiting.
//!
//! The pair for code that wants a buffer only while there is something to put into it, and for
//! system calls that this package does not have.

use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut};
use std::task::{Context, Poll};

use wakeful::io::Interest;

use super::{Readable, ReadyFuture, TcpStream, Writable};
use crate::{ready, stream};

impl TcpStream {
    /// Waits until there is something to read: bytes, the end of the stream or an error.
    ///
    /// It may return although [`try_read`](Self::try_read) then says `WouldBlock`, as when another
    /// task was faster.
    ///
    /// # Errors
    ///
    /// When the stream's runtime has ended.
    ///
    /// # Panics
    ///
    /// See [`TcpStream`].
    ///
    /// # Cancel safety
    ///
    /// Safe.
    ///
    /// # Examples
    ///
    /// A buffer that exists only while there is something to put into it:
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let (a, b) = wakeful_net::UnixStream::pair()?;
    /// # b.write_all(b"x").await?;
    /// loop {
    ///     a.readable().await?;
    ///     let mut buf = [0; 4096];
    ///     match a.try_read(&mut buf) {
    ///         Ok(n) => break assert_eq!(n, 1),
    ///         Err(err) if err.kind() == std::io::ErrorKind::WouldBlock => {}
    ///         Err(err) => return Err(err),
    ///     }
    /// }
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn readable(&self) -> Readable<'_> {
        ready::readable(&self.io)
    }

    /// Waits until something can be written, or an error waits to be told.
    ///
    /// # Errors
    ///
    /// When the stream's runtime has ended.
    ///
    /// # Panics
    ///
    /// See [`TcpStream`].
    ///
    /// # Cancel safety
    ///
    /// Safe.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// stream.writable().await?;
    /// assert_eq!(stream.try_write(b"hello")?, 5);
    /// # drop(peer);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn writable(&self) -> Writable<'_> {
        ready::writable(&self.io)
    }

    /// Waits for any readiness in `interest` and says what there is.
    ///
    /// # Errors
    ///
    /// When the stream's runtime has ended.
    ///
    /// # Panics
    ///
    /// See [`TcpStream`].
    ///
    /// # Cancel safety
    ///
    /// Safe.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// use wakeful::io::Interest;
    ///
    /// let ready = stream.ready(Interest::READABLE | Interest::WRITABLE).await?;
    /// assert!(ready.is_writable() && !ready.is_readable());
    /// # drop(peer);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> ReadyFuture<'_> {
        ready::ready(&self.io, interest)
    }

    /// Polls for bytes that the next read will return, for use in hand-written futures.
    ///
    /// Every task that polled is woken. A future that holds [`peek`](Self::peek) is better off:
    /// dropping it takes its waker away.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    #[track_caller]
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        stream::poll_peek(&self.io, cx, buf)
    }

    /// Polls for something to read, for use in hand-written futures.
    ///
    /// Every task that polled is woken. A future that holds [`readable`](Self::readable) is better
    /// off: dropping it takes its waker away.
    ///
    /// # Errors
    ///
    /// As [`readable`](Self::readable).
    #[track_caller]
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready::poll_ready(
            &self.io,
            Interest::READABLE,
            "TcpStream::poll_read_ready",
            cx,
        )
    }

    /// Polls for room to write, for use in hand-written futures.
    ///
    /// Every task that polled is woken. A future that holds [`writable`](Self::writable) is better
    /// off: dropping it takes its waker away.
    ///
    /// # Errors
    ///
    /// As [`writable`](Self::writable).
    #[track_caller]
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready::poll_ready(
            &self.io,
            Interest::WRITABLE,
            "TcpStream::poll_write_ready",
            cx,
        )
    }

    /// Reads what is there now, without waiting.
    ///
    /// It relies on what the runtime has been told so far, so wait for
    /// [`readable`](Self::readable) before the first call.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing is known to be there; else as [`read`](Self::read).
    ///
    /// # Examples
    ///
    /// See [`readable`](Self::readable).
    #[inline]
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        stream::try_read(&self.io, buf)
    }

    /// Reads what is there now into several buffers, without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        stream::try_read_vectored(&self.io, bufs)
    }

    /// Writes what the kernel takes now, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the kernel is not known to take anything; else as [`write`](Self::write).
    #[inline]
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        stream::try_write(&self.io, buf)
    }

    /// Writes what the kernel takes now out of several buffers, without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        stream::try_write_vectored(&self.io, bufs)
    }

    /// Runs an I/O call of your own if the stream is ready for it.
    ///
    /// The call must act on this socket, must not block, and must return `WouldBlock` only when the
    /// kernel said so, since that makes the runtime wait for the next event.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the stream is not known to be ready; else what the call returns.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// use std::os::fd::AsFd;
    /// use wakeful::io::Interest;
    ///
    /// let result = stream.try_io(Interest::READABLE, || {
    ///     // Any call on this descriptor; here one that never gets to run.
    ///     Err::<(), _>(std::io::Error::other(format!("{:?}", stream.as_fd())))
    /// });
    /// assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// # drop(peer);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn try_io<R>(
        &self,
        interest: Interest,
        call: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        self.io.try_io(interest, |_socket| call())
    }

    /// Runs an I/O call of your own whenever the stream is ready, until it does not say
    /// `WouldBlock`; see [`try_io`](Self::try_io) for what it has to keep to.
    ///
    /// # Errors
    ///
    /// What the call returns.
    ///
    /// # Cancel safety
    ///
    /// As safe as the call: no readiness is lost.
    #[track_caller]
    pub fn async_io<R>(
        &self,
        interest: Interest,
        mut call: impl FnMut() -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        self.io.async_io(interest, move |_socket| call())
    }
}
