//! Feature `hyper`: hyper's `rt::Read` and `rt::Write`, so that `serve_connection` accepts a stream
//! without a wrapper. hyper's executor and timer are in [`wakeful::hyper`].
//!
//! A `TcpStream` receives into hyper's buffer (`sys::hyper`). Every other call is forwarded to
//! futures-io's trait, see [`wakeful::impl_hyper_io!`](wakeful::impl_hyper_io); such a read copies.

use std::io;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use wakeful::hyper::hyper::rt::{Read, ReadBufCursor};
use wakeful::io::Interest;

use crate::budget::poll_proceed;
use crate::stream::poll::poll_io;
use crate::stream::{ReadHalf, Sealed, Split, WriteHalf};
use crate::sys;
use crate::tcp::TcpStream;
use crate::unix::UnixStream;

impl Read for &TcpStream {
    #[track_caller]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return poll_proceed(cx).map(Ok);
        }
        if wakeful::kernel::any() {
            // An installed kernel takes initialized bytes.
            return wakeful::hyper::poll_read(self, cx, buf);
        }
        let name = "TcpStream::poll_read";
        let read = poll_io(self.io(), Interest::READABLE, name, cx, |socket| {
            sys::hyper::recv(socket.as_fd(), &mut buf)
        });
        read.map_ok(drop)
    }
}

impl Read for TcpStream {
    #[track_caller]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_read(cx, buf)
    }
}

wakeful::impl_hyper_io! {
    impl Read for UnixStream {}
    impl Read for &UnixStream {}
    impl<R: Deref<Target: Split>> Read for ReadHalf<R> {}

    impl Write for TcpStream { fn is_write_vectored(&self) -> bool { true } }
    impl Write for &TcpStream { fn is_write_vectored(&self) -> bool { true } }
    impl Write for UnixStream { fn is_write_vectored(&self) -> bool { true } }
    impl Write for &UnixStream { fn is_write_vectored(&self) -> bool { true } }
    impl<R: Deref<Target: Split>> Write for WriteHalf<R> {
        fn is_write_vectored(&self) -> bool { true }
    }
}
