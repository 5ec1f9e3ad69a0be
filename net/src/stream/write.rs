//! Sending: the futures of `write`, `write_vectored` and `write_all`.
//!
//! Started by the streams and their write halves. Each calls `Readiness::poll_transfer` with one
//! send. No byte is sent in a poll that returns `Pending`, so a dropped `write` or `write_vectored`
//! has sent nothing. A dropped [`WriteAll`] has sent an unknown part.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use wakeful::io::{Interest, IoCount, Readiness};

use crate::budget::poll_proceed;
use crate::socket::{Io, Socket};

/// The future of [`TcpStream::write`](crate::TcpStream::write) and
/// [`UnixStream::write`](crate::UnixStream::write).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct Write<'a> {
    readiness: Readiness<'a, Socket>,
    buf: &'a [u8],
}

impl<'a> Write<'a> {
    #[inline]
    #[track_caller]
    pub(crate) fn new(io: &'a Io, buf: &'a [u8]) -> Self {
        let name = io.get_ref().name("TcpStream::write", "UnixStream::write");
        Self {
            readiness: io.ready(Interest::WRITABLE).operation(name),
            buf,
        }
    }
}

impl Future for Write<'_> {
    type Output = io::Result<usize>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.buf.is_empty() {
            return poll_proceed(cx).map(|()| Ok(0));
        }
        this.readiness
            .poll_transfer(cx, |socket| socket.send(this.buf))
    }
}

/// Sends as many bytes as the kernel accepts, without waiting.
///
/// The stream stays writable until the kernel refuses bytes, as in tokio, so that `writable` is ready
/// after a part was sent.
#[inline]
#[track_caller]
pub(crate) fn try_write(io: &Io, buf: &[u8]) -> io::Result<usize> {
    if buf.is_empty() {
        return Ok(0);
    }
    io.try_transfer(Interest::WRITABLE, |socket| {
        socket.send(buf).map(no_conclusion)
    })
}

/// The future of [`TcpStream::write_vectored`](crate::TcpStream::write_vectored) and
/// [`UnixStream::write_vectored`](crate::UnixStream::write_vectored).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct WriteVectored<'a, 'b> {
    readiness: Readiness<'a, Socket>,
    bufs: &'a [IoSlice<'b>],
}

impl<'a, 'b> WriteVectored<'a, 'b> {
    #[track_caller]
    pub(crate) fn new(io: &'a Io, bufs: &'a [IoSlice<'b>]) -> Self {
        let name = io
            .get_ref()
            .name("TcpStream::write_vectored", "UnixStream::write_vectored");
        Self {
            readiness: io.ready(Interest::WRITABLE).operation(name),
            bufs,
        }
    }
}

impl Future for WriteVectored<'_, '_> {
    type Output = io::Result<usize>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.bufs.iter().all(|buf| buf.is_empty()) {
            return poll_proceed(cx).map(|()| Ok(0));
        }
        this.readiness
            .poll_transfer(cx, |socket| socket.send_vectored(this.bufs))
    }
}

/// Sends as many bytes from several buffers as the kernel accepts, without waiting.
#[track_caller]
pub(crate) fn try_write_vectored(io: &Io, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    if bufs.iter().all(|buf| buf.is_empty()) {
        return Ok(0);
    }
    io.try_transfer(Interest::WRITABLE, |socket| {
        socket.send_vectored(bufs).map(no_conclusion)
    })
}

/// Returns a count from which the runtime does not conclude that there is no more room.
#[inline]
fn no_conclusion(count: IoCount) -> IoCount {
    IoCount::unknown(count.transferred())
}

/// The future of [`TcpStream::write_all`](crate::TcpStream::write_all) and
/// [`UnixStream::write_all`](crate::UnixStream::write_all).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct WriteAll<'a> {
    readiness: Readiness<'a, Socket>,
    /// Bytes that have not been sent.
    rest: &'a [u8],
}

impl<'a> WriteAll<'a> {
    #[inline]
    #[track_caller]
    pub(crate) fn new(io: &'a Io, buf: &'a [u8]) -> Self {
        let name = io
            .get_ref()
            .name("TcpStream::write_all", "UnixStream::write_all");
        Self {
            readiness: io.ready(Interest::WRITABLE).operation(name),
            rest: buf,
        }
    }
}

impl Future for WriteAll<'_> {
    type Output = io::Result<()>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            return poll_proceed(cx).map(Ok);
        }
        while !this.rest.is_empty() {
            let rest = this.rest;
            match ready!(this.readiness.poll_transfer(cx, |socket| socket.send(rest)))? {
                // The kernel never accepts 0 bytes of a buffer that is not empty. If it did, this loop would
                // spin.
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => this.rest = &rest[sent..],
            }
        }
        Poll::Ready(Ok(()))
    }
}
