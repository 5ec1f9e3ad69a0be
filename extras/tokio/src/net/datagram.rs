//! Wakeful's datagram sockets with tokio's signatures, where these use types that Wakeful does not:
//! tokio's `ReadBuf` in the `poll_` methods, and the traits of the crate bytes in the `_buf` methods.
//! All other methods are Wakeful's own, through `Deref`.

use std::future::Future;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use real_tokio::io::ReadBuf;
use wakeful_net::ToSocketAddrs;

/// Calls an operation with as much space as the buffer has allocated, and appends the bytes to the
/// buffer.
pub(super) fn fill<B: BufMut, R>(
    buf: &mut B,
    operation: impl FnOnce(&mut [u8]) -> io::Result<R>,
    length: impl FnOnce(&R) -> usize,
) -> io::Result<R> {
    let mut room = vec![0; buf.chunk_mut().len()];
    let result = operation(&mut room)?;
    buf.put_slice(&room[..length(&result)]);
    Ok(result)
}

/// Does the same as [`fill`] for a poll function and a `ReadBuf`.
fn poll_fill<R>(
    buf: &mut ReadBuf<'_>,
    operation: impl FnOnce(&mut [u8]) -> Poll<io::Result<R>>,
    length: impl FnOnce(&R) -> usize,
) -> Poll<io::Result<R>> {
    let result = ready!(operation(buf.initialize_unfilled()))?;
    buf.advance(length(&result));
    Poll::Ready(Ok(result))
}

macro_rules! datagram_socket {
    ($(#[$doc:meta])* $name:ident, $std:ty, $address:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(wakeful_net::$name);

        #[expect(clippy::missing_errors_doc, reason = "as Wakeful's")]
        impl $name {
            /// `from_std`.
            #[track_caller]
            pub fn from_std(socket: $std) -> io::Result<Self> {
                wakeful_net::$name::from_std(socket).map(Self)
            }

            /// `into_std`.
            pub fn into_std(self) -> io::Result<$std> {
                self.0.into_std()
            }

            /// `poll_recv`.
            pub fn poll_recv(
                &self,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                poll_fill(buf, |room| self.0.poll_recv(cx, room), |n| *n).map_ok(drop)
            }

            /// `poll_recv_from`.
            pub fn poll_recv_from(
                &self,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<$address>> {
                poll_fill(buf, |room| self.0.poll_recv_from(cx, room), |it| it.0).map_ok(|it| it.1)
            }

            /// `try_recv`.
            pub fn try_recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
                fill(buf, |room| self.0.try_recv(room), |n| *n)
            }

            /// `try_recv_from`.
            pub fn try_recv_buf_from<B: BufMut>(
                &self,
                buf: &mut B,
            ) -> io::Result<(usize, $address)> {
                fill(buf, |room| self.0.try_recv_from(room), |it| it.0)
            }

            /// `recv`.
            pub async fn recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
                let mut room = vec![0; buf.chunk_mut().len()];
                let n = self.0.recv(&mut room).await?;
                buf.put_slice(&room[..n]);
                Ok(n)
            }

            /// `recv_from`.
            pub async fn recv_buf_from<B: BufMut>(
                &self,
                buf: &mut B,
            ) -> io::Result<(usize, $address)> {
                let mut room = vec![0; buf.chunk_mut().len()];
                let (n, from) = self.0.recv_from(&mut room).await?;
                buf.put_slice(&room[..n]);
                Ok((n, from))
            }
        }

        impl Deref for $name {
            type Target = wakeful_net::$name;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl TryFrom<$std> for $name {
            type Error = io::Error;

            #[track_caller]
            fn try_from(socket: $std) -> io::Result<Self> {
                Self::from_std(socket)
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.0.as_raw_fd()
            }
        }
    };
}

datagram_socket!(
    /// `wakeful_net::UdpSocket`.
    UdpSocket,
    std::net::UdpSocket,
    std::net::SocketAddr
);

datagram_socket!(
    /// `wakeful_net::UnixDatagram`.
    UnixDatagram,
    std::os::unix::net::UnixDatagram,
    wakeful_net::unix::SocketAddr
);

#[expect(clippy::missing_errors_doc, reason = "as Wakeful's")]
impl UdpSocket {
    /// `bind`.
    #[track_caller]
    pub fn bind<A: ToSocketAddrs>(address: A) -> impl Future<Output = io::Result<Self>> {
        let bind = wakeful_net::UdpSocket::bind(address);
        async { bind.await.map(Self) }
    }

    /// `poll_peek`.
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        poll_fill(buf, |room| self.0.poll_peek(cx, room), |n| *n).map_ok(drop)
    }

    /// `poll_peek_from`.
    pub fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<std::net::SocketAddr>> {
        poll_fill(buf, |room| self.0.poll_peek_from(cx, room), |it| it.0).map_ok(|it| it.1)
    }
}

#[expect(clippy::missing_errors_doc, reason = "as Wakeful's")]
impl UnixDatagram {
    /// `bind`.
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        wakeful_net::UnixDatagram::bind(path).map(Self)
    }

    /// `unbound`.
    #[track_caller]
    pub fn unbound() -> io::Result<Self> {
        wakeful_net::UnixDatagram::unbound().map(Self)
    }

    /// `pair`.
    #[track_caller]
    pub fn pair() -> io::Result<(Self, Self)> {
        wakeful_net::UnixDatagram::pair().map(|(a, b)| (Self(a), Self(b)))
    }

    /// `try_send_to`, with `poll_send_ready` on `WouldBlock`.
    pub fn poll_send_to<P: AsRef<Path>>(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: P,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.0.try_send_to(buf, &target) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.0.poll_send_ready(cx))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }
}
