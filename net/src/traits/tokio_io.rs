//! Feature `tokio-io`: tokio's `AsyncRead` and `AsyncWrite`. Every call is forwarded to
//! futures-io's trait, see [`wakeful::impl_tokio_io!`](wakeful::impl_tokio_io).

use std::ops::Deref;

use crate::stream::{ReadHalf, Split, WriteHalf};
use crate::tcp::TcpStream;
use crate::unix::UnixStream;

wakeful::impl_tokio_io! {
    impl AsyncRead for TcpStream {}
    impl AsyncRead for &TcpStream {}
    impl AsyncRead for UnixStream {}
    impl AsyncRead for &UnixStream {}
    impl<R: Deref<Target: Split>> AsyncRead for ReadHalf<R> {}

    impl AsyncWrite for TcpStream { fn is_write_vectored(&self) -> bool { true } }
    impl AsyncWrite for &TcpStream { fn is_write_vectored(&self) -> bool { true } }
    impl AsyncWrite for UnixStream { fn is_write_vectored(&self) -> bool { true } }
    impl AsyncWrite for &UnixStream { fn is_write_vectored(&self) -> bool { true } }
    impl<R: Deref<Target: Split>> AsyncWrite for WriteHalf<R> {
        fn is_write_vectored(&self) -> bool { true }
    }
}
