//! Feature `tokio-io`: the streams and their halves, borrowed and owned, are
//! [`tokio::io::AsyncRead`] and [`tokio::io::AsyncWrite`].
//!
//! Each call is handed on to the implementation of our own trait; only reading differs in shape, and
//! [`wakeful::io::tokio_io::poll_read`] tells how.

use std::io::{self, IoSlice};
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;
use wakeful::io::AsyncWrite;
use wakeful::io::tokio_io::poll_read;

use super::{ReadSide, Splittable, WriteSide};
use crate::tcp::TcpStream;
use crate::unix::UnixStream;

/// Hands the calls of `tokio::io::AsyncRead` on to our `AsyncRead` of the same type.
macro_rules! reads {
    ($([$($generics:tt)*] $stream:ty)*) => {$(
        impl<$($generics)*> tokio::io::AsyncRead for $stream {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                poll_read(self, cx, buf)
            }
        }
    )*};
}

/// Hands the calls of `tokio::io::AsyncWrite` on to our `AsyncWrite` of the same type.
macro_rules! writes {
    ($([$($generics:tt)*] $stream:ty)*) => {$(
        impl<$($generics)*> tokio::io::AsyncWrite for $stream {
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
