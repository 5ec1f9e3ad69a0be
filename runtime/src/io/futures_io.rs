//! Feature `futures-io`: [`futures_io::AsyncRead`] and [`futures_io::AsyncWrite`], which smol's
//! crates, async-tungstenite, futures-rustls and futures-util ask for.
//!
//! They have the shape of ours, so each call is one call; what they name `close` is our `shutdown`.
//! Each type has an implementation of its own, written by the macros here, because Rust lets nobody
//! but `futures-io` implement its traits for every `T: AsyncRead`. `wakeful-net` has them for sockets.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{AsyncFd, AsyncRead, AsyncWrite, DuplexStream};

/// Hands the calls of `futures_io::AsyncRead` on to our `AsyncRead` of the same type.
macro_rules! reads {
    ($([$($generics:tt)*] $stream:ty [$($bounds:tt)*])*) => {$(
        impl<$($generics)*> futures_io::AsyncRead for $stream
        where
            $($bounds)*
        {
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
    ($([$($generics:tt)*] $stream:ty [$($bounds:tt)*])*) => {$(
        impl<$($generics)*> futures_io::AsyncWrite for $stream
        where
            $($bounds)*
        {
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
    [] DuplexStream []
    [] &DuplexStream []
    [T: AsFd] AsyncFd<T> [for<'a> &'a T: Read]
    [T: AsFd] &AsyncFd<T> [for<'a> &'a T: Read]
}

writes! {
    [] DuplexStream []
    [] &DuplexStream []
    [T: AsFd] AsyncFd<T> [for<'a> &'a T: Write]
    [T: AsFd] &AsyncFd<T> [for<'a> &'a T: Write]
}
