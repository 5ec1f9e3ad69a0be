//! `AsyncRead` and `AsyncWrite` for an `AsyncFd` whose value can be read or written by reference.
//!
//! Called by generic code (`copy`, codecs, proxies); calls the value's `Read` and `Write` through
//! `poll_operation`. `&T` implements them for std's pipes, sockets and `File` (of a device), and for
//! the types of tty and inotify crates.
//!
//! The bound is on `&T`, so that both directions can be used at once. A value that can only be read
//! through `&mut` has no implementation here: operating through `&mut` while waiting through `&`
//! would need a lock.
//!
//! A short transfer proves nothing here, because the operation is the value's own. Readiness lasts
//! until the value returns `WouldBlock`, which costs one more system call per wait than the streams
//! of `wakeful-net` make.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{AsyncFd, AsyncRead, AsyncWrite, Interest};
use crate::defer::poll_proceed;

/// Reads the value whenever the descriptor is readable. The value must be in non-blocking mode.
impl<T: AsFd> AsyncRead for AsyncFd<T>
where
    for<'a> &'a T: Read,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read(cx, buf)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read_vectored(cx, bufs)
    }
}

/// Same as for `AsyncFd<T>`. Several tasks can read one descriptor.
impl<T: AsFd> AsyncRead for &AsyncFd<T>
where
    for<'a> &'a T: Read,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return poll_proceed(cx).map(|()| Ok(0));
        }
        poll_operation(&self, cx, Interest::READABLE, |mut value| value.read(buf))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        // A system call takes 1,024 buffers. With as many empty ones in front, nothing would be read.
        let Some(first) = bufs.iter().position(|buf| !buf.is_empty()) else {
            return poll_proceed(cx).map(|()| Ok(0));
        };
        poll_operation(&self, cx, Interest::READABLE, |mut value| {
            value.read_vectored(&mut bufs[first..])
        })
    }
}

/// Writes to the value whenever the descriptor is writable. The value must be in non-blocking mode.
///
/// `poll_close` only flushes. The other side of a descriptor sees the end when the descriptor is
/// closed; only sockets have a half close, and those of `wakeful-net` implement it.
impl<T: AsFd> AsyncWrite for AsyncFd<T>
where
    for<'a> &'a T: Write,
{
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_close(cx)
    }
}

/// Same as for `AsyncFd<T>`. Several tasks can write to one descriptor.
impl<T: AsFd> AsyncWrite for &AsyncFd<T>
where
    for<'a> &'a T: Write,
{
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return poll_proceed(cx).map(|()| Ok(0));
        }
        poll_operation(&self, cx, Interest::WRITABLE, |mut value| value.write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(first) = bufs.iter().position(|buf| !buf.is_empty()) else {
            return poll_proceed(cx).map(|()| Ok(0));
        };
        poll_operation(&self, cx, Interest::WRITABLE, |mut value| {
            value.write_vectored(&bufs[first..])
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // std's types buffer nothing, so flushing them must not wait until the peer makes room.
        match self.get_ref().flush() {
            Err(error) if is_transient(&error) => {}
            result => return Poll::Ready(result),
        }
        poll_operation(&self, cx, Interest::WRITABLE, |mut value| value.flush())
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// Waits until the descriptor is ready, then runs the operation. Repeats both while the operation
/// returns `WouldBlock` or `Interrupted`; neither is ever returned to the caller.
fn poll_operation<T: AsFd, R>(
    fd: &AsyncFd<T>,
    cx: &mut Context<'_>,
    interest: Interest,
    mut operation: impl FnMut(&T) -> io::Result<R>,
) -> Poll<io::Result<R>> {
    loop {
        let mut guard = ready!(match interest {
            Interest::READABLE => fd.poll_read_ready(cx),
            _ => fd.poll_write_ready(cx),
        })?;
        match guard.try_io(|fd| operation(fd.get_ref())) {
            Ok(Err(error)) if is_transient(&error) => {}
            Ok(result) => return Poll::Ready(result),
            Err(_would_block) => {}
        }
    }
}

/// Reports whether the operation can succeed when it is repeated.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}
