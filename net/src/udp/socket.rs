//! `UdpSocket`: sending and receiving datagrams over IP, and conversions from and to std.
//!
//! The operations are implemented in `crate::datagram`; this file documents them. Binding and
//! connecting are in `bind`, waiting without transferring in `ready`, options in `options`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Recv, RecvFrom, Send, SendTo};
use crate::datagram;
use crate::fd::impl_fd_traits;
use crate::lookup::ToSocketAddrs;
use crate::socket::{Family, Io, Mode, register_foreign};

/// A UDP socket.
///
/// Datagrams are moved whole: one send is one datagram, and one receive takes one. `Ok(0)` is an
/// empty datagram; there is no end of stream.
///
/// There are two ways to use it: [`send_to`](Self::send_to) and [`recv_from`](Self::recv_from) for
/// any peer, or [`connect`](Self::connect), [`send`](Self::send) and [`recv`](Self::recv) for one
/// peer.
///
/// All operations take `&self`, so several tasks can send and receive at once. An `Rc` is enough
/// where other runtimes need an `Arc`. All tasks that wait for the same direction are woken.
///
/// # Errors
///
/// A datagram is lost without an error when a buffer on its way is full. On a *connected* socket, a
/// later send or receive returns `ConnectionRefused` (ECONNREFUSED, from an ICMP message) if no
/// socket is bound to the peer's port. Each such message causes one error, and the socket stays
/// usable. A socket that is not connected reports no such error. `Interrupted` is never returned,
/// and `WouldBlock` only by the `try_` methods. Operations on a socket whose runtime has ended
/// fail.
///
/// # Panics
///
/// Operations panic when polled on a thread that does not run the socket's runtime; the `try_` and
/// `poll_` methods when called there.
///
/// # Examples
///
/// ```
/// use wakeful_net::UdpSocket;
///
/// wakeful::block_on(async {
///     let server = UdpSocket::bind("127.0.0.1:0").await?;
///     let address = server.local_addr()?;
///     wakeful::spawn(async move {
///         let mut buf = [0; 2048];
///         loop {
///             let (n, peer) = server.recv_from(&mut buf).await?;
///             server.send_to(&buf[..n], peer).await?;
///         }
///         # #[allow(unreachable_code)]
///         std::io::Result::Ok(())
///     });
///
///     let client = UdpSocket::bind("127.0.0.1:0").await?;
///     client.connect(address).await?;
///     client.send(b"hello").await?;
///     let mut buf = [0; 2048];
///     let n = client.recv(&mut buf).await?;
///     assert_eq!(&buf[..n], b"hello");
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    io: Io,
}

impl UdpSocket {
    pub(super) fn from_io(io: Io) -> Self {
        Self { io }
    }

    pub(super) fn io(&self) -> &Io {
        &self.io
    }

    /// Sends a datagram to the peer that the socket is connected to, and returns its length.
    ///
    /// Waits only for room in the kernel's buffer.
    ///
    /// # Errors
    ///
    /// EDESTADDRREQ without [`connect`](Self::connect); EMSGSIZE when it is longer than 65,507
    /// bytes (IPv4), as a [`SocketError`](crate::SocketError) that has the errno; `ConnectionRefused`
    /// because of an earlier datagram, in which case this one was not sent. See [`UdpSocket`].
    ///
    /// # Panics
    ///
    /// See [`UdpSocket`].
    ///
    /// # Cancel safety
    ///
    /// Safe. A future that is dropped before it completes has sent nothing.
    ///
    /// # Examples
    ///
    /// See [`UdpSocket`].
    #[track_caller]
    pub fn send<'a>(&'a self, buf: &'a [u8]) -> Send<'a> {
        Send::new(&self.io, buf)
    }

    /// Receives a datagram and returns its length in `buf`. Only datagrams of the connected peer
    /// are received, or of any peer if the socket is not connected.
    ///
    /// Bytes that do not fit into `buf` are lost, without an error.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` when no socket is bound to the peer's port; see [`UdpSocket`].
    ///
    /// # Panics
    ///
    /// See [`UdpSocket`].
    ///
    /// # Cancel safety
    ///
    /// Safe. A datagram is taken only in the poll that returns it.
    ///
    /// # Examples
    ///
    /// See [`UdpSocket`].
    #[track_caller]
    pub fn recv<'a>(&'a self, buf: &'a mut [u8]) -> Recv<'a> {
        Recv::new(&self.io, buf, Mode::Take)
    }

    /// Sends a datagram to an address and returns its length.
    ///
    /// A name is looked up first, and only the first of its addresses is used.
    ///
    /// # Errors
    ///
    /// EMSGSIZE when it is longer than 65,507 bytes (IPv4), and EAFNOSUPPORT for an address of another family:
    /// a [`SocketError`](crate::SocketError) has the errno. `NetworkUnreachable`,
    /// `PermissionDenied` (EACCES: a broadcast address without
    /// [`set_broadcast`](Self::set_broadcast)); those of [`lookup_host`](crate::lookup_host). See
    /// [`UdpSocket`].
    ///
    /// # Panics
    ///
    /// See [`UdpSocket`].
    ///
    /// # Cancel safety
    ///
    /// Safe. A future that is dropped before it completes has sent nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use wakeful_net::UdpSocket;
    /// # wakeful::block_on(async {
    /// # let server = UdpSocket::bind("127.0.0.1:0").await?;
    /// # let port = server.local_addr()?.port();
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// assert_eq!(socket.send_to(b"hello", ("127.0.0.1", port)).await?, 5);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn send_to<'a, A: ToSocketAddrs>(&'a self, buf: &'a [u8], target: A) -> SendTo<'a> {
        SendTo::new(self, buf, target)
    }

    /// Receives a datagram and returns its length in `buf` and its sender.
    ///
    /// Bytes that do not fit into `buf` are lost, without an error.
    ///
    /// # Errors
    ///
    /// See [`UdpSocket`].
    ///
    /// # Panics
    ///
    /// See [`UdpSocket`].
    ///
    /// # Cancel safety
    ///
    /// Safe. A datagram is taken only in the poll that returns it.
    ///
    /// # Examples
    ///
    /// See [`UdpSocket`].
    #[track_caller]
    pub fn recv_from<'a>(&'a self, buf: &'a mut [u8]) -> RecvFrom<'a, SocketAddr> {
        RecvFrom::new(&self.io, buf, Mode::Take)
    }

    /// Copies the next datagram without taking it; otherwise as [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Panics
    ///
    /// See [`UdpSocket`].
    ///
    /// # Cancel safety
    ///
    /// Safe. No bytes are taken.
    #[track_caller]
    pub fn peek<'a>(&'a self, buf: &'a mut [u8]) -> Recv<'a> {
        Recv::new(&self.io, buf, Mode::Peek)
    }

    /// Copies the next datagram without taking it; otherwise as [`recv_from`](Self::recv_from).
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Panics
    ///
    /// See [`UdpSocket`].
    ///
    /// # Cancel safety
    ///
    /// Safe. No bytes are taken.
    ///
    /// # Examples
    ///
    /// ```
    /// # use wakeful_net::UdpSocket;
    /// # wakeful::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// # let client = UdpSocket::bind("127.0.0.1:0").await?;
    /// # client.send_to(b"hello", socket.local_addr()?).await?;
    /// let mut kind = [0; 1];
    /// let (_, peer) = socket.peek_from(&mut kind).await?;
    /// let mut buf = vec![0; if kind[0] == b'h' { 16 } else { 4096 }];
    /// assert_eq!(socket.recv_from(&mut buf).await?, (5, peer));
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn peek_from<'a>(&'a self, buf: &'a mut [u8]) -> RecvFrom<'a, SocketAddr> {
        RecvFrom::new(&self.io, buf, Mode::Peek)
    }

    /// Returns the sender of the next datagram, without taking it.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Panics
    ///
    /// See [`UdpSocket`].
    ///
    /// # Cancel safety
    ///
    /// Safe. No bytes are taken.
    #[track_caller]
    pub fn peek_sender(&self) -> PeekSender<'_> {
        let peek = RecvFrom::new(&self.io, &mut [], Mode::Peek);
        PeekSender(peek.operation("UdpSocket::peek_sender"))
    }

    /// Sends a datagram to the connected peer if the kernel has room, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the kernel is not known to have room; otherwise as [`send`](Self::send).
    #[track_caller]
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        datagram::try_send(&self.io, buf)
    }

    /// Sends a datagram to an address if the kernel has room, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the kernel is not known to have room; otherwise as
    /// [`send_to`](Self::send_to).
    #[track_caller]
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        datagram::try_send_to(&self.io, buf, &target.into())
    }

    /// Receives a datagram if one is available, without waiting.
    ///
    /// It uses the readiness that the runtime has received so far, so wait for
    /// [`readable`](Self::readable) before the first call.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when no data is known to be available; otherwise as [`recv`](Self::recv).
    #[track_caller]
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        datagram::try_recv(&self.io, buf, Mode::Take)
    }

    /// Receives a datagram and its sender if one is available, without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Self::try_recv).
    ///
    /// # Examples
    ///
    /// See [`readable`](Self::readable).
    #[track_caller]
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        datagram::try_recv_from(&self.io, buf, Mode::Take)
    }

    /// Copies a datagram if one is available, without taking it or waiting.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Self::try_recv).
    #[track_caller]
    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        datagram::try_recv(&self.io, buf, Mode::Peek)
    }

    /// Copies a datagram and its sender if one is available, without taking it or waiting.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Self::try_recv).
    #[track_caller]
    pub fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        datagram::try_recv_from(&self.io, buf, Mode::Peek)
    }

    /// Returns the sender of the next datagram if one is available, without taking it or waiting.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Self::try_recv).
    #[track_caller]
    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        self.try_peek_from(&mut []).map(|(_, sender)| sender)
    }

    /// Polls for room and sends a datagram to the connected peer. For hand-written futures.
    ///
    /// Each task that polled is woken. Prefer [`send`](Self::send) where a future can be kept,
    /// because dropping it removes its waker.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    #[track_caller]
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        datagram::poll_send(&self.io, cx, buf)
    }

    /// Polls for room and sends a datagram to an address; as [`poll_send`](Self::poll_send).
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to).
    #[track_caller]
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        datagram::poll_send_to(&self.io, cx, buf, &target.into())
    }

    /// Polls for a datagram. For hand-written futures.
    ///
    /// Receives into a slice, where tokio's takes a `ReadBuf`, and returns how many bytes of it
    /// were filled. Each task that polled is woken. Prefer [`recv`](Self::recv) where a future can
    /// be kept, because dropping it removes its waker.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    #[track_caller]
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        datagram::poll_recv(&self.io, cx, buf, Mode::Take)
    }

    /// Polls for a datagram and its sender; as [`poll_recv`](Self::poll_recv).
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    #[track_caller]
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        datagram::poll_recv_from(&self.io, cx, buf, Mode::Take)
    }

    /// Polls for a datagram without taking it; as [`poll_recv`](Self::poll_recv).
    ///
    /// # Errors
    ///
    /// As [`peek`](Self::peek).
    #[track_caller]
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        datagram::poll_recv(&self.io, cx, buf, Mode::Peek)
    }

    /// Polls for a datagram and its sender without taking it; as [`poll_recv`](Self::poll_recv).
    ///
    /// # Errors
    ///
    /// As [`peek_from`](Self::peek_from).
    #[track_caller]
    pub fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        datagram::poll_recv_from(&self.io, cx, buf, Mode::Peek)
    }

    /// Polls for the sender of the next datagram; as [`poll_recv`](Self::poll_recv).
    ///
    /// # Errors
    ///
    /// As [`peek_sender`](Self::peek_sender).
    #[track_caller]
    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        self.poll_peek_from(cx, &mut [])
            .map_ok(|(_, sender)| sender)
    }

    /// Returns the address that the socket is bound to, with the actual port if 0 was requested.
    ///
    /// # Errors
    ///
    /// As getsockname(2): none in practice.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// Returns the address that the socket is connected to.
    ///
    /// # Errors
    ///
    /// `NotConnected` (ENOTCONN) when it is not.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().peer_addr()
    }

    /// Reads and clears the socket's pending error (`SO_ERROR`), such as the `ConnectionRefused`
    /// that the next operation would return.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
    }

    /// Registers a socket of the standard library and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when its descriptor is a socket of another type; or when it cannot be made
    /// non-blocking or registered with epoll. It is closed then.
    ///
    /// # Panics
    ///
    /// When called outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// let std = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// let socket = wakeful_net::UdpSocket::from_std(std)?;
    /// let std = socket.into_std()?; // still non-blocking
    /// # drop(std); std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<Self> {
        register_foreign(socket, Family::Udp).map(Self::from_io)
    }

    /// Deregisters the socket and converts it to std's type. It stays non-blocking.
    ///
    /// # Errors
    ///
    /// None at present. The signature is tokio's.
    pub fn into_std(self) -> io::Result<std::net::UdpSocket> {
        Ok(OwnedFd::from(self).into())
    }
}

/// The future of [`UdpSocket::peek_sender`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct PeekSender<'a>(RecvFrom<'a, SocketAddr>);

impl Future for PeekSender<'_> {
    type Output = io::Result<SocketAddr>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_ok(|(_, sender)| sender)
    }
}

impl_fd_traits!(registered UdpSocket, std::net::UdpSocket);
