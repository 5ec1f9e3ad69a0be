//! futures-io's `AsyncRead` and `AsyncWrite`, which `wakeful::io` re-exports.
//!
//! `poll_close` shuts down the writing direction; the peer reads the end of the stream, and reading
//! goes on. Each call is one function of `stream::poll`.

use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use wakeful::io::{AsyncRead, AsyncWrite};

use crate::stream::poll::{
    poll_read, poll_read_vectored, poll_shutdown, poll_write, poll_write_vectored,
};
use crate::stream::{ReadHalf, Sealed, Split, WriteHalf};
use crate::tcp::TcpStream;
use crate::unix::UnixStream;

/// Implements `AsyncRead` for types with a method `io`. A macro, because a blanket implementation
/// over a trait of this package would be public.
macro_rules! impl_async_read {
    ($(impl $(<$param:ident: $bound:path>)? for $stream:ty;)+) => {$(
        impl$(<$param: $bound>)? AsyncRead for $stream {
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
    )+};
}

/// Implements `AsyncWrite` for types with a method `io`.
macro_rules! impl_async_write {
    ($(impl $(<$param:ident: $bound:path>)? for $stream:ty;)+) => {$(
        impl$(<$param: $bound>)? AsyncWrite for $stream {
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

            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(())) // nothing is buffered
            }

            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                poll_shutdown(self.io(), cx)
            }
        }
    )+};
}

impl_async_read! {
    impl for TcpStream;
    impl for &TcpStream;
    impl for UnixStream;
    impl for &UnixStream;
    impl<R: Deref<Target: Split>> for ReadHalf<R>;
}

impl_async_write! {
    impl for TcpStream;
    impl for &TcpStream;
    impl for UnixStream;
    impl for &UnixStream;
    impl<R: Deref<Target: Split>> for WriteHalf<R>;
}
