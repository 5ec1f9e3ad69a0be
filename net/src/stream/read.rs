//! Receiving: the futures of `read`, `read_vectored`, `read_exact` and `peek`.
//!
//! Started by the streams and their read halves. Each calls `Readiness::poll_transfer` with one
//! receive. Bytes are received into the caller's buffer, and only in the poll that returns, so
//! dropping one of these futures loses none. The exception is [`ReadExact`], which returns after
//! several receives.

use std::future::Future;
use std::io::{self, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use wakeful::io::{Interest, Readiness};

use crate::budget::poll_proceed;
use crate::socket::{Io, Socket};

/// The future of [`TcpStream::read`](crate::TcpStream::read) and
/// [`UnixStream::read`](crate::UnixStream::read).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct Read<'a> {
    readiness: Readiness<'a, Socket>,
    buf: &'a mut [u8],
}

impl<'a> Read<'a> {
    #[inline]
    #[track_caller]
    pub(crate) fn new(io: &'a Io, buf: &'a mut [u8]) -> Self {
        let name = io.get_ref().name("TcpStream::read", "UnixStream::read");
        Self {
            readiness: io.ready(Interest::READABLE).operation(name),
            buf,
        }
    }
}

impl Future for Read<'_> {
    type Output = io::Result<usize>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.buf.is_empty() {
            return poll_proceed(cx).map(|()| Ok(0));
        }
        this.readiness
            .poll_transfer(cx, |socket| socket.recv(this.buf))
    }
}

/// Reads available bytes, without waiting.
#[inline]
#[track_caller]
pub(crate) fn try_read(io: &Io, buf: &mut [u8]) -> io::Result<usize> {
    if buf.is_empty() {
        return Ok(0);
    }
    io.try_transfer(Interest::READABLE, |socket| socket.recv(buf))
}

/// The future of [`TcpStream::read_vectored`](crate::TcpStream::read_vectored) and
/// [`UnixStream::read_vectored`](crate::UnixStream::read_vectored).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct ReadVectored<'a, 'b> {
    readiness: Readiness<'a, Socket>,
    bufs: &'a mut [IoSliceMut<'b>],
}

impl<'a, 'b> ReadVectored<'a, 'b> {
    #[track_caller]
    pub(crate) fn new(io: &'a Io, bufs: &'a mut [IoSliceMut<'b>]) -> Self {
        let name = io
            .get_ref()
            .name("TcpStream::read_vectored", "UnixStream::read_vectored");
        Self {
            readiness: io.ready(Interest::READABLE).operation(name),
            bufs,
        }
    }
}

impl Future for ReadVectored<'_, '_> {
    type Output = io::Result<usize>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.bufs.iter().all(|buf| buf.is_empty()) {
            return poll_proceed(cx).map(|()| Ok(0));
        }
        this.readiness
            .poll_transfer(cx, |socket| socket.recv_vectored(this.bufs))
    }
}

/// Reads available bytes into several buffers, without waiting.
#[track_caller]
pub(crate) fn try_read_vectored(io: &Io, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    if bufs.iter().all(|buf| buf.is_empty()) {
        return Ok(0);
    }
    io.try_transfer(Interest::READABLE, |socket| socket.recv_vectored(bufs))
}

/// The future of [`TcpStream::read_exact`](crate::TcpStream::read_exact) and
/// [`UnixStream::read_exact`](crate::UnixStream::read_exact).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct ReadExact<'a> {
    readiness: Readiness<'a, Socket>,
    buf: &'a mut [u8],
    /// Number of bytes received into `buf`.
    filled: usize,
}

impl<'a> ReadExact<'a> {
    #[track_caller]
    pub(crate) fn new(io: &'a Io, buf: &'a mut [u8]) -> Self {
        let name = io
            .get_ref()
            .name("TcpStream::read_exact", "UnixStream::read_exact");
        Self {
            readiness: io.ready(Interest::READABLE).operation(name),
            buf,
            filled: 0,
        }
    }
}

impl Future for ReadExact<'_> {
    type Output = io::Result<usize>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.buf.is_empty() {
            return poll_proceed(cx).map(|()| Ok(0));
        }
        while this.filled < this.buf.len() {
            let rest = &mut this.buf[this.filled..];
            match ready!(this.readiness.poll_transfer(cx, |socket| socket.recv(rest)))? {
                0 => return Poll::Ready(Err(ended_early(this.filled, this.buf.len()))),
                received => this.filled += received,
            }
        }
        Poll::Ready(Ok(this.buf.len()))
    }
}

/// Returns the error with the number of bytes in the buffer, because they are no longer in the
/// stream.
fn ended_early(filled: usize, wanted: usize) -> io::Error {
    let message = format!("the stream ended after {filled} of {wanted} bytes");
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}

/// The future of [`TcpStream::peek`](crate::TcpStream::peek) and
/// [`UnixStream::peek`](crate::UnixStream::peek).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct Peek<'a> {
    readiness: Readiness<'a, Socket>,
    buf: &'a mut [u8],
}

impl<'a> Peek<'a> {
    #[track_caller]
    pub(crate) fn new(io: &'a Io, buf: &'a mut [u8]) -> Self {
        let name = io.get_ref().name("TcpStream::peek", "UnixStream::peek");
        Self {
            readiness: io.ready(Interest::READABLE).operation(name),
            buf,
        }
    }
}

impl Future for Peek<'_> {
    type Output = io::Result<usize>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.buf.is_empty() {
            return poll_proceed(cx).map(|()| Ok(0));
        }
        this.readiness
            .poll_transfer(cx, |socket| socket.peek(this.buf))
    }
}
