//! Waiting for a `UdpSocket` without transferring, and system calls that this package does not
//! have.

use std::future::Future;
use std::io;
use std::task::{Context, Poll};

use wakeful::io::Interest;

use super::{Readable, ReadyFuture, UdpSocket, Writable};
use crate::ready;

impl UdpSocket {
    /// Waits until a receive would not block: a datagram or an error.
    ///
    /// [`try_recv`](Self::try_recv) can still return `WouldBlock` afterwards, for example when
    /// another task was faster.
    ///
    /// # Errors
    ///
    /// An error when the socket's runtime has ended.
    ///
    /// # Panics
    ///
    /// See [`UdpSocket`].
    ///
    /// # Cancel safety
    ///
    /// Safe.
    ///
    /// # Examples
    ///
    /// Receives all available datagrams after one wait:
    ///
    /// ```
    /// # use wakeful_net::UdpSocket;
    /// # wakeful::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// # socket.send_to(b"a", socket.local_addr()?).await?;
    /// let mut buf = [0; 2048];
    /// socket.readable().await?;
    /// loop {
    ///     match socket.try_recv_from(&mut buf) {
    ///         Ok((n, peer)) => println!("{peer}: {:?}", &buf[..n]),
    ///         Err(err) if err.kind() == std::io::ErrorKind::WouldBlock => break,
    ///         Err(err) => return Err(err),
    ///     }
    /// }
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn readable(&self) -> Readable<'_> {
        ready::readable(self.io())
    }

    /// Waits until a send would not block: room in the kernel's buffer, or an error.
    ///
    /// # Errors
    ///
    /// An error when the socket's runtime has ended.
    ///
    /// # Panics
    ///
    /// See [`UdpSocket`].
    ///
    /// # Cancel safety
    ///
    /// Safe.
    #[track_caller]
    pub fn writable(&self) -> Writable<'_> {
        ready::writable(self.io())
    }

    /// Waits for any readiness in `interest` and returns it.
    ///
    /// # Errors
    ///
    /// An error when the socket's runtime has ended.
    ///
    /// # Panics
    ///
    /// See [`UdpSocket`].
    ///
    /// # Cancel safety
    ///
    /// Safe.
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> ReadyFuture<'_> {
        ready::ready(self.io(), interest)
    }

    /// Polls until a receive would not block. For hand-written futures.
    ///
    /// Each task that polled is woken. Prefer [`readable`](Self::readable) where a future can be
    /// kept, because dropping it removes its waker.
    ///
    /// # Errors
    ///
    /// As [`readable`](Self::readable).
    #[track_caller]
    pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready::poll_ready(
            self.io(),
            Interest::READABLE,
            "UdpSocket::poll_recv_ready",
            cx,
        )
    }

    /// Polls until a send would not block; as [`poll_recv_ready`](Self::poll_recv_ready).
    ///
    /// # Errors
    ///
    /// As [`writable`](Self::writable).
    #[track_caller]
    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready::poll_ready(
            self.io(),
            Interest::WRITABLE,
            "UdpSocket::poll_send_ready",
            cx,
        )
    }

    /// Runs a custom I/O call if the socket is ready for it.
    ///
    /// The call must use this socket and must not block. It must return `WouldBlock` only when the
    /// kernel did, because that makes the runtime wait for the next event.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the socket is not known to be ready; otherwise the error of the call.
    #[track_caller]
    pub fn try_io<R>(
        &self,
        interest: Interest,
        call: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        self.io().try_io(interest, |_socket| call())
    }

    /// Runs a custom I/O call whenever the socket is ready, until it returns something other than
    /// `WouldBlock`. [`try_io`](Self::try_io) lists the rules for the call.
    ///
    /// # Errors
    ///
    /// The error of the call.
    ///
    /// # Cancel safety
    ///
    /// As safe as the call. No readiness is lost.
    #[track_caller]
    pub fn async_io<R>(
        &self,
        interest: Interest,
        mut call: impl FnMut() -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        self.io().async_io(interest, move |_socket| call())
    }
}
