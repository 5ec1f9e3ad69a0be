//! An `AsyncFd` as a stream of bytes, when its value can be read or written through a reference.
//!
//! That is so for std's pipes, sockets and `File` (of a device), for tty and inotify crates, and for
//! whatever implements `Read` or `Write` for `&T`. The reference is the reason that both directions
//! work at once; a value that can only be read through `&mut` has no implementation here, because
//! exchanging bytes through `&mut` and waiting through `&` would need a lock.
//!
//! The operation belongs to the value, so nothing is known here of short reads: readiness lasts until
//! the value says `WouldBlock`. That is one system call more per wait than `wakeful-net` needs.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{AsyncFd, AsyncFdReadyGuard, AsyncRead, AsyncWrite};

/// Reads the value whenever the descriptor is readable. The value has to be in non-blocking mode.
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

/// As for `AsyncFd<T>`: several tasks may read one descriptor.
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
            return Poll::Ready(Ok(0));
        }
        loop {
            let guard = ready!(self.poll_read_ready(cx))?;
            if let Some(result) = attempt(guard, |mut value| value.read(buf)) {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        loop {
            let guard = ready!(self.poll_read_ready(cx))?;
            if let Some(result) = attempt(guard, |mut value| value.read_vectored(bufs)) {
                return Poll::Ready(result);
            }
        }
    }
}

/// Writes to the value whenever the descriptor is writable. The value has to be in non-blocking mode.
///
/// `poll_shutdown` flushes and no more: what ends a descriptor for its other side is dropping it, and
/// only sockets know a half close (those of `wakeful-net` do it).
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

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_shutdown(cx)
    }
}

/// As for `AsyncFd<T>`: several tasks may write to one descriptor.
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
            return Poll::Ready(Ok(0));
        }
        loop {
            let guard = ready!(self.poll_write_ready(cx))?;
            if let Some(result) = attempt(guard, |mut value| value.write(buf)) {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        loop {
            let guard = ready!(self.poll_write_ready(cx))?;
            if let Some(result) = attempt(guard, |mut value| value.write_vectored(bufs)) {
                return Poll::Ready(result);
            }
        }
    }

    // std does not say (its `is_write_vectored` is unstable), but every descriptor has writev(2), and
    // std's own types use it. A value that does not takes the first buffer, which is correct, too.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // std's types keep nothing back: they have to be done without waiting for room.
        match self.get_ref().flush() {
            Err(error) if is_passing(&error) => {}
            result => return Poll::Ready(result),
        }
        loop {
            let guard = ready!(self.poll_write_ready(cx))?;
            if let Some(result) = attempt(guard, |mut value| value.flush()) {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// One operation under a guard; `None` means that it has to be tried again.
fn attempt<T: AsFd, R>(
    mut guard: AsyncFdReadyGuard<'_, T>,
    operation: impl FnOnce(&T) -> io::Result<R>,
) -> Option<io::Result<R>> {
    match guard.try_io(|fd| operation(fd.get_ref())) {
        Ok(Err(error)) if is_passing(&error) => None,
        Ok(result) => Some(result),
        Err(_would_block) => None,
    }
}

/// Neither of these leaves this file.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}
