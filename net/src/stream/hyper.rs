//! Feature `hyper`: the streams and their halves, borrowed and owned, are [`hyper::rt::Read`] and
//! [`hyper::rt::Write`].
//!
//! So a stream goes into `serve_connection` as it is. hyper's executor and timer are in
//! [`wakeful::hyper`], and so is the reading, the one call whose shape differs from our own trait's.

use std::io::{self, IoSlice};
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt;
use wakeful::hyper::poll_read;
use wakeful::io::AsyncWrite;

use super::{ReadSide, Splittable, WriteSide};
use crate::tcp::TcpStream;
use crate::unix::UnixStream;

/// Hands the calls of `hyper::rt::Read` on to our `AsyncRead` of the same type.
macro_rules! reads {
    ($([$($generics:tt)*] $stream:ty)*) => {$(
        impl<$($generics)*> rt::Read for $stream {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: rt::ReadBufCursor<'_>,
            ) -> Poll<io::Result<()>> {
                poll_read(self, cx, buf)
            }
        }
    )*};
}

/// Hands the calls of `hyper::rt::Write` on to our `AsyncWrite` of the same type.
macro_rules! writes {
    ($([$($generics:tt)*] $stream:ty)*) => {$(
        impl<$($generics)*> rt::Write for $stream {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                AsyncWrite::poll_write(self, cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                AsyncWrite::poll_write_vectored(self, cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                AsyncWrite::is_write_vectored(self)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                AsyncWrite::poll_flush(self, cx)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                AsyncWrite::poll_shutdown(self, cx)
            }
        }
    )*};
}

reads! {
    [] TcpStream
    [] &TcpStream
    [] UnixStream
    [] &UnixStream
    [R: Deref<Target: Splittable>] ReadSide<R>
}

writes! {
    [] TcpStream
    [] &TcpStream
    [] UnixStream
    [] &UnixStream
    [R: Deref<Target: Splittable>] WriteSide<R>
}
