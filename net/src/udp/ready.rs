//! Waiting for a `UdpSocket` without transferring, and system calls that this package does not have.

use std::future::Future;
use std::io;
use std::task::{Context, Poll};

use wakeful::io::Interest;

use super::{Readable, ReadyFuture, UdpSocket, Writable};
use crate::ready;

impl UdpSocket {
    /// Waits until there is something to receive: a datagram or an error.
    ///
    /// It may return although [`try_recv`](Self::try_recv) then says `WouldBlock`, as when another
    /// task was faster.
    ///
    /// # Errors
    ///
    /// When the socket's runtime has ended.
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
    /// Every datagram that is there, without waiting for each:
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

    /// Waits until something can be sent, or an error waits to be told.
    ///
    /// # Errors
    ///
    /// When the socket's runtime has ended.
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

    /// Waits for any readiness in `interest` and says what there is.
    ///
    /// # Errors
    ///
    /// When the socket's runtime has ended.
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

    /// Polls for something to receive, for use in hand-written futures.
    ///
    /// Every task that polled is woken. A future that holds [`readable`](Self::readable) is better
    /// off: dropping it takes its waker away.
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

    /// Polls for room to send; as [`poll_recv_ready`](Self::poll_recv_ready).
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

    /// Runs an I/O call of your own if the socket is ready for it.
    ///
    /// The call must act on this socket, must not block, and must return `WouldBlock` only when the
    /// kernel said so, since that makes the runtime wait for the next event.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the socket is not known to be ready; else what the call returns.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        call: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        self.io().try_io(interest, |_socket| call())
    }

    /// Runs an I/O call of your own whenever the socket is ready, until it does not say
    /// `WouldBlock`; see [`try_io`](Self::try_io) for what it has to keep to.
    ///
    /// # Errors
    ///
    /// What the call returns.
    ///
    /// # Cancel safety
    ///
    /// As safe as the call: no readiness is lost.
    #[track_caller]
    pub fn async_io<R>(
        &self,
        interest: Interest,
        mut call: impl FnMut() -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        self.io().async_io(interest, move |_socket| call())
    }
}
