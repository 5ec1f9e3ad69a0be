//! Waiting for a `TcpStream` without transferring, and transferring without waiting.
//!
//! Used together by code that needs a buffer only while bytes are available, and for system calls
//! that this package does not have.

use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut};
use std::task::{Context, Poll};

use wakeful::io::{Interest, Ready};

use super::{Readable, ReadyFuture, TcpStream, Writable};
use crate::{ready, stream};

impl TcpStream {
    /// Waits until a read would not block: bytes, the end of the stream or an error.
    ///
    /// [`try_read`](Self::try_read) can still return `WouldBlock` afterwards, for example when
    /// another task was faster.
    ///
    /// # Errors
    ///
    /// An error when the stream's runtime has ended.
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
    /// A buffer that exists only while bytes are available:
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

    /// Waits until a write would not block: room in the kernel's buffer, or an error.
    ///
    /// # Errors
    ///
    /// An error when the stream's runtime has ended.
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

    /// Waits for any readiness in `interest` and returns it.
    ///
    /// # Errors
    ///
    /// An error when the stream's runtime has ended.
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

    /// Polls until a read would not block. For hand-written futures.
    ///
    /// Each task that polled is woken. Prefer [`readable`](Self::readable) where a future can be
    /// kept, because dropping it removes its waker.
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

    /// Polls until a write would not block. For hand-written futures.
    ///
    /// Each task that polled is woken. Prefer [`writable`](Self::writable) where a future can be
    /// kept, because dropping it removes its waker.
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

    /// Treats the stream as ready until an operation would block, so that the next one is tried at once.
    ///
    /// An accepted stream begins as writable only, because its peer has often sent nothing yet. If the
    /// peer usually has, this saves the wait for the kernel's event; if not, it costs one `recv`.
    pub fn assume_ready(&self, ready: Ready) {
        self.io.assume_ready(ready);
    }

    /// Reads available bytes, without waiting.
    ///
    /// It uses the readiness that the runtime has received so far, so wait for
    /// [`readable`](Self::readable) before the first call.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when no data is known to be available; otherwise as [`read`](Self::read).
    ///
    /// # Examples
    ///
    /// See [`readable`](Self::readable).
    #[inline]
    #[track_caller]
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        stream::try_read(&self.io, buf)
    }

    /// Reads available bytes into several buffers, without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    #[track_caller]
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        stream::try_read_vectored(&self.io, bufs)
    }

    /// Writes as many bytes as the kernel accepts, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the kernel is not known to have room; otherwise as [`write`](Self::write).
    #[inline]
    #[track_caller]
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        stream::try_write(&self.io, buf)
    }

    /// Writes as many bytes from several buffers as the kernel accepts, without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_write`](Self::try_write).
    #[track_caller]
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        stream::try_write_vectored(&self.io, bufs)
    }

    /// Runs a custom I/O call if the stream is ready for it.
    ///
    /// The call must use this socket and must not block. It must return `WouldBlock` only when the
    /// kernel did, because that makes the runtime wait for the next event.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the stream is not known to be ready; otherwise the error of the call.
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
    ///     // Any call on this descriptor. This one does not run, because the stream is not readable.
    ///     Err::<(), _>(std::io::Error::other(format!("{:?}", stream.as_fd())))
    /// });
    /// assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// # drop(peer);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn try_io<R>(
        &self,
        interest: Interest,
        call: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        self.io.try_io(interest, |_socket| call())
    }

    /// Runs a custom I/O call whenever the stream is ready, until it returns something other than
    /// `WouldBlock`. [`try_io`](Self::try_io) lists the rules for the call.
    ///
    /// # Errors
    ///
    /// The error of the call.
    ///
    /// # Cancel safety
    ///
    /// As safe as the call. No readiness is lost.
    #[track_caller]
    pub fn async_io<R>(
        &self,
        interest: Interest,
        mut call: impl FnMut() -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        self.io.async_io(interest, move |_socket| call())
    }
}
