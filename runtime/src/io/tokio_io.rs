//! Feature `tokio-io`: [`tokio::io::AsyncRead`] and [`tokio::io::AsyncWrite`], without tokio's runtime.
//!
//! With them on, tokio's `AsyncReadExt` and `AsyncWriteExt`, `tokio-util`'s codecs, `tokio-rustls` and
//! whatever else asks for tokio's traits takes Wakeful's streams. tokio is a dependency with
//! `default-features = false`: its traits and nothing that would need its runtime.
//!
//! Each type has an implementation of its own, written by the macros here, because Rust lets nobody
//! but tokio implement its traits for every `T: AsyncRead`. `wakeful-net` has them for sockets; for a
//! stream of yours that implements our traits, [`poll_read`] does the one call whose shape differs.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::{AsyncFd, AsyncRead, AsyncWrite, DuplexStream};

/// Memory that was never written is filled with zeros before it is read into, because that needs no
/// `unsafe`; at most so much of it at a time, lest a large empty buffer be filled for a small message.
const MOST_ZEROED: usize = 16 * 1024;

/// Reads into tokio's buffer by means of our [`AsyncRead`].
///
/// Uses everything that is initialised already, or initialises up to 16 KiB: give it a buffer that is,
/// and a read costs what it costs through our traits.
///
/// # Errors
///
/// Those of `stream`.
///
/// # Examples
///
/// ```
/// use std::io;
/// use std::pin::Pin;
/// use std::task::{Context, Poll};
///
/// struct Zeros;
///
/// impl wakeful::io::AsyncRead for Zeros {
///     fn poll_read(
///         self: Pin<&mut Self>,
///         _cx: &mut Context<'_>,
///         buf: &mut [u8],
///     ) -> Poll<io::Result<usize>> {
///         buf.fill(0);
///         Poll::Ready(Ok(buf.len()))
///     }
/// }
///
/// impl tokio::io::AsyncRead for Zeros {
///     fn poll_read(
///         self: Pin<&mut Self>,
///         cx: &mut Context<'_>,
///         buf: &mut tokio::io::ReadBuf<'_>,
///     ) -> Poll<io::Result<()>> {
///         wakeful::io::tokio_io::poll_read(self, cx, buf)
///     }
/// }
/// ```
pub fn poll_read<T: AsyncRead + ?Sized>(
    stream: Pin<&mut T>,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let initialized = buf.initialized().len() - buf.filled().len();
    let length = buf.remaining().min(initialized.max(MOST_ZEROED));
    let read = ready!(stream.poll_read(cx, buf.initialize_unfilled_to(length)))?;
    buf.advance(read);
    Poll::Ready(Ok(()))
}

/// Hands the calls of `tokio::io::AsyncRead` on to our `AsyncRead` of the same type.
macro_rules! reads {
    ($([$($generics:tt)*] $stream:ty [$($bounds:tt)*])*) => {$(
        impl<$($generics)*> tokio::io::AsyncRead for $stream
        where
            $($bounds)*
        {
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
    ($([$($generics:tt)*] $stream:ty [$($bounds:tt)*])*) => {$(
        impl<$($generics)*> tokio::io::AsyncWrite for $stream
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
