//! Feature `hyper`: hyper's `rt::Read` and `rt::Write`, so that `serve_connection` accepts a stream
//! without a wrapper. Every call is forwarded to futures-io's trait, see
//! [`wakeful::impl_hyper_io!`](wakeful::impl_hyper_io). hyper's executor and timer are in
//! [`wakeful::hyper`].

use std::ops::Deref;

use crate::stream::{ReadHalf, Split, WriteHalf};
use crate::tcp::TcpStream;
use crate::unix::UnixStream;

wakeful::impl_hyper_io! {
    impl Read for TcpStream {}
    impl Read for &TcpStream {}
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
