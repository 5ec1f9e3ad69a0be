//! Feature `futures-io`: the streams and their halves, borrowed and owned, are
//! [`futures_io::AsyncRead`] and [`futures_io::AsyncWrite`].
//!
//! Each call is handed on to the implementation of our own trait, which has the same shape;
//! `poll_close` is `poll_shutdown`: the peer reads the end of the stream, and reading goes on.

use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use wakeful::io::{AsyncRead, AsyncWrite};

use super::{ReadSide, Splittable, WriteSide};
use crate::tcp::TcpStream;
use crate::unix::UnixStream;

/// Hands the calls of `futures_io::AsyncRead` on to our `AsyncRead` of the same type.
macro_rules! reads {
    ($([$($generics:tt)*] $stream:ty)*) => {$(
        impl<$($generics)*> futures_io::AsyncRead for $stream {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                AsyncRead::poll_read(self, cx, buf)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                AsyncRead::poll_read_vectored(self, cx, bufs)
            }
        }
    )*};
}

/// Hands the calls of `futures_io::AsyncWrite` on to our `AsyncWrite` of the same type.
macro_rules! writes {
    ($([$($generics:tt)*] $stream:ty)*) => {$(
        impl<$($generics)*> futures_io::AsyncWrite for $stream {
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

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                AsyncWrite::poll_flush(self, cx)
            }

            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
