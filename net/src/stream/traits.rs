//! The runtime's traits of byte streams, for the streams and their halves.
//!
//! Generic code (`wakeful::io::copy`, a codec, a proxy between any two streams) asks for
//! [`AsyncRead`] and [`AsyncWrite`]; who has a `TcpStream` uses its own methods, which need no
//! trait. What happens is the same: `poll_transfer`'s rules for readiness. These functions hold
//! nothing between two calls, so they leave their waker with the source until the next event.
//!
//! The streams implement the traits by reference, too: `&TcpStream` reads and writes, so one stream
//! can be given to two generic functions at once.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use wakeful::io::{AsyncRead, AsyncWrite, Interest, IoCount};

use super::{ReadSide, Splittable, WriteSide};
use crate::socket::{Io, Socket};
use crate::tcp::TcpStream;
use crate::unix::UnixStream;

// --- once for all of them ---------------------------------------------------------------------------

/// Waits until the stream is ready, without a future to keep, and transfers once.
#[inline]
#[track_caller]
fn poll_transfer(
    io: &Io,
    interest: Interest,
    name: &'static str,
    cx: &mut Context<'_>,
    call: impl FnMut(&Socket) -> io::Result<IoCount>,
) -> Poll<io::Result<usize>> {
    let mut readiness = io.ready(interest).operation(name).by_waker();
    readiness.poll_transfer(cx, call)
}

#[inline]
#[track_caller]
fn poll_read(io: &Io, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
    if buf.is_empty() {
        return Poll::Ready(Ok(0));
    }
    let name = io
        .get_ref()
        .name("TcpStream::poll_read", "UnixStream::poll_read");
    poll_transfer(io, Interest::READABLE, name, cx, |socket| socket.recv(buf))
}

#[inline]
#[track_caller]
fn poll_read_vectored(
    io: &Io,
    cx: &mut Context<'_>,
    bufs: &mut [IoSliceMut<'_>],
) -> Poll<io::Result<usize>> {
    if bufs.iter().all(|buf| buf.is_empty()) {
        return Poll::Ready(Ok(0));
    }
    let name = io.get_ref().name(
        "TcpStream::poll_read_vectored",
        "UnixStream::poll_read_vectored",
    );
    poll_transfer(io, Interest::READABLE, name, cx, |socket| {
        socket.recv_vectored(bufs)
    })
}

/// Waits for bytes and copies them without taking them.
#[inline]
#[track_caller]
pub(crate) fn poll_peek(io: &Io, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
    if buf.is_empty() {
        return Poll::Ready(Ok(0));
    }
    let name = io
        .get_ref()
        .name("TcpStream::poll_peek", "UnixStream::poll_peek");
    poll_transfer(io, Interest::READABLE, name, cx, |socket| socket.peek(buf))
}

#[inline]
#[track_caller]
fn poll_write(io: &Io, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
    if buf.is_empty() {
        return Poll::Ready(Ok(0));
    }
    let name = io
        .get_ref()
        .name("TcpStream::poll_write", "UnixStream::poll_write");
    poll_transfer(io, Interest::WRITABLE, name, cx, |socket| socket.send(buf))
}

#[inline]
#[track_caller]
fn poll_write_vectored(
    io: &Io,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if bufs.iter().all(|buf| buf.is_empty()) {
        return Poll::Ready(Ok(0));
    }
    let name = io.get_ref().name(
        "TcpStream::poll_write_vectored",
        "UnixStream::poll_write_vectored",
    );
    poll_transfer(io, Interest::WRITABLE, name, cx, |socket| {
        socket.send_vectored(bufs)
    })
}

/// Ends the outgoing direction; a socket does that without waiting. After a reset there is nothing
/// left to end: who closes a stream has what he wants then, and tokio's streams see it so, too.
fn shutdown(io: &Io) -> Poll<io::Result<()>> {
    Poll::Ready(match io.get_ref().options().shutdown(Shutdown::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        result => result,
    })
}

// --- the streams, owned and borrowed --------------------------------------------------------------

/// A macro, because the four differ in nothing but the type, and a blanket implementation over a
/// trait of ours would show in the public interface.
macro_rules! read_and_write {
    ($($stream:ty),+) => {
        $(
        impl AsyncRead for $stream {
            #[inline]
            #[track_caller]
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                poll_read(self.io(), cx, buf)
            }

            #[track_caller]
            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                poll_read_vectored(self.io(), cx, bufs)
            }
        }

        impl AsyncWrite for $stream {
            #[inline]
            #[track_caller]
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                poll_write(self.io(), cx, buf)
            }

            #[track_caller]
            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                poll_write_vectored(self.io(), cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(())) // nothing is kept back here
            }

            fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                shutdown(self.io())
            }
        }
        )+
    };
}

read_and_write!(TcpStream, &TcpStream, UnixStream, &UnixStream);

// --- halves --------------------------------------------------------------------------------------

impl<R: Deref<Target: Splittable>> AsyncRead for ReadSide<R> {
    #[inline]
    #[track_caller]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        poll_read(self.io(), cx, buf)
    }

    #[track_caller]
    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_read_vectored(self.io(), cx, bufs)
    }
}

impl<R: Deref<Target: Splittable>> AsyncWrite for WriteSide<R> {
    #[inline]
    #[track_caller]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        poll_write(self.io(), cx, buf)
    }

    #[track_caller]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_write_vectored(self.io(), cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // nothing is kept back here
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        shutdown(self.io())
    }
}
