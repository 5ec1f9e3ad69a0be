//! Feature `tokio-io`: tokio's `AsyncRead` and `AsyncWrite` without tokio's runtime.
//!
//! With this feature, tokio's `AsyncReadExt` and `AsyncWriteExt`, `tokio-util`'s codecs,
//! `tokio-rustls` and other crates that ask for tokio's traits accept Wakeful's streams. tokio is a
//! dependency with `default-features = false`: its traits, nothing that needs its runtime.
//!
//! Each type has its own implementation, written by [`impl_tokio_io!`](crate::impl_tokio_io). One
//! for every type with futures-io's traits is impossible: only tokio can implement its traits for
//! all types. `wakeful-net` uses the same macro for its streams.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::tokio::io::ReadBuf;

use super::{AsyncFd, AsyncRead, DuplexStream, Stderr, Stdin, Stdout};

/// The crate whose traits this feature implements. Because [`impl_tokio_io!`](crate::impl_tokio_io)
/// names it through this path, its callers need no dependency on tokio.
pub use ::tokio;

/// Upper limit of the bytes that are initialized for one read. Memory that was never written is
/// filled with zeros before the read, because that needs no `unsafe`. Without a limit, a large empty
/// buffer would be filled for a small message.
const MAX_ZEROED: usize = 16 * 1024;

/// Reads into tokio's buffer through futures-io's [`AsyncRead`].
///
/// Called by the implementations that [`impl_tokio_io!`](crate::impl_tokio_io) writes. Uses the part
/// of the buffer that is initialized, or initializes up to 16 KiB. So a read into an initialized
/// buffer costs no more than one through futures-io's trait.
///
/// # Errors
///
/// Those of `stream`.
pub fn poll_read<T: AsyncRead + ?Sized>(
    stream: Pin<&mut T>,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let initialized = buf.initialized().len() - buf.filled().len();
    let length = buf.remaining().min(initialized.max(MAX_ZEROED));
    let read = ready!(stream.poll_read(cx, buf.initialize_unfilled_to(length)))?;
    buf.advance(read);
    Poll::Ready(Ok(()))
}

/// Implements tokio's `AsyncRead` and `AsyncWrite` for types that have futures-io's. Feature
/// `tokio-io`.
///
/// The syntax is that of `impl` blocks. The macro adds the methods, which call those of
/// [`wakeful::io::AsyncRead`](crate::io::AsyncRead) and
/// [`wakeful::io::AsyncWrite`](crate::io::AsyncWrite); tokio's `poll_shutdown` is `poll_close`. The
/// traits and tokio itself need not be imported.
///
/// - `is_write_vectored` returns `false`, as tokio's default does, because futures-io has no such
///   method. If `poll_write_vectored` uses more than the first buffer, write the method in the block.
/// - Generic parameters can have one bound each. `Self: wakeful::io::AsyncRead` (or `AsyncWrite`) is
///   added, so bounds of those implementations need no repetition.
///
/// # Examples
///
/// ```
/// use std::io;
/// use std::pin::Pin;
/// use std::task::{Context, Poll};
///
/// /// Replaces every byte by an asterisk.
/// struct Masked<R>(R);
///
/// impl<R: wakeful::io::AsyncRead + Unpin> wakeful::io::AsyncRead for Masked<R> {
///     fn poll_read(
///         mut self: Pin<&mut Self>,
///         cx: &mut Context<'_>,
///         buf: &mut [u8],
///     ) -> Poll<io::Result<usize>> {
///         let polled = Pin::new(&mut self.0).poll_read(cx, buf);
///         buf.fill(b'*');
///         polled
///     }
/// }
///
/// wakeful::impl_tokio_io! {
///     impl<R> AsyncRead for Masked<R> {}
/// }
///
/// fn accepted_by_tokio(_: impl tokio::io::AsyncRead) {}
/// accepted_by_tokio(Masked(&b"secret"[..]));
/// ```
///
/// A writer that uses all buffers of a vectored write:
///
/// ```
/// # use std::io::{self, IoSlice};
/// # use std::pin::Pin;
/// # use std::task::{Context, Poll};
/// struct Count(usize);
///
/// impl wakeful::io::AsyncWrite for Count {
///     // ...
/// #     fn poll_write(
/// #         mut self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &[u8],
/// #     ) -> Poll<io::Result<usize>> {
/// #         self.0 += buf.len();
/// #         Poll::Ready(Ok(buf.len()))
/// #     }
/// #     fn poll_write_vectored(
/// #         mut self: Pin<&mut Self>, _cx: &mut Context<'_>, bufs: &[IoSlice<'_>],
/// #     ) -> Poll<io::Result<usize>> {
/// #         let n: usize = bufs.iter().map(|buf| buf.len()).sum();
/// #         self.0 += n;
/// #         Poll::Ready(Ok(n))
/// #     }
/// #     fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
/// #         Poll::Ready(Ok(()))
/// #     }
/// #     fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
/// #         Poll::Ready(Ok(()))
/// #     }
/// }
///
/// wakeful::impl_tokio_io! {
///     impl AsyncWrite for Count {
///         fn is_write_vectored(&self) -> bool {
///             true
///         }
///     }
/// }
/// # assert!(tokio::io::AsyncWrite::is_write_vectored(&Count(0)));
/// ```
#[macro_export]
macro_rules! impl_tokio_io {
    () => {};
    (
        impl $(<$($param:tt $(: $bound:path)?),+>)? AsyncRead for $stream:ty {}
        $($rest:tt)*
    ) => {
        impl $(<$($param $(: $bound)?),+>)? $crate::io::tokio_io::tokio::io::AsyncRead for $stream
        where
            Self: $crate::io::AsyncRead,
        {
            fn poll_read(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                buf: &mut $crate::io::tokio_io::tokio::io::ReadBuf<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                $crate::io::tokio_io::poll_read(self, cx, buf)
            }
        }

        $crate::impl_tokio_io! { $($rest)* }
    };
    (
        impl $(<$($param:tt $(: $bound:path)?),+>)? AsyncWrite for $stream:ty { $($method:tt)* }
        $($rest:tt)*
    ) => {
        impl $(<$($param $(: $bound)?),+>)? $crate::io::tokio_io::tokio::io::AsyncWrite for $stream
        where
            Self: $crate::io::AsyncWrite,
        {
            fn poll_write(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                buf: &[u8],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                $crate::io::AsyncWrite::poll_write(self, cx, buf)
            }

            fn poll_write_vectored(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                bufs: &[::std::io::IoSlice<'_>],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                $crate::io::AsyncWrite::poll_write_vectored(self, cx, bufs)
            }

            fn poll_flush(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                $crate::io::AsyncWrite::poll_flush(self, cx)
            }

            fn poll_shutdown(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                $crate::io::AsyncWrite::poll_close(self, cx)
            }

            $($method)*
        }

        $crate::impl_tokio_io! { $($rest)* }
    };
}

impl_tokio_io! {
    impl AsyncRead for DuplexStream {}
    impl AsyncRead for &DuplexStream {}
    impl<T: AsFd> AsyncRead for AsyncFd<T> {}
    impl<T: AsFd> AsyncRead for &AsyncFd<T> {}
    impl AsyncRead for Stdin {}

    impl AsyncWrite for DuplexStream { fn is_write_vectored(&self) -> bool { true } }
    impl AsyncWrite for &DuplexStream { fn is_write_vectored(&self) -> bool { true } }
    impl AsyncWrite for Stdout { fn is_write_vectored(&self) -> bool { true } }
    impl AsyncWrite for Stderr { fn is_write_vectored(&self) -> bool { true } }
    // std's `is_write_vectored` is unstable, but every descriptor has writev(2), and std's own types
    // use it. A value that does not use it writes the first buffer, which is correct as well.
    impl<T: AsFd> AsyncWrite for AsyncFd<T> { fn is_write_vectored(&self) -> bool { true } }
    impl<T: AsFd> AsyncWrite for &AsyncFd<T> { fn is_write_vectored(&self) -> bool { true } }
}
