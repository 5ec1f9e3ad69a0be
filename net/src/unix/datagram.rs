//! `UnixDatagram`: datagrams within this machine, and conversions from and to std.
//!
//! Counterpart of `udp`; the operations are implemented in `crate::datagram`. Binding and
//! connecting never wait, so they are plain functions here, as in tokio. Sending to an address is
//! in `unix::send_to`.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram as StdUnixDatagram;
use std::panic::Location;
use std::path::Path;
use std::task::{Context, Poll};

use socket2::Domain;
use wakeful::io::Interest;
use wakeful::trace::Operation;

use super::{Readable, ReadyFuture, Recv, RecvFrom, Send, SendTo, SocketAddr, Writable};
use crate::call_site::require_runtime;
use crate::error::with_context;
use crate::fd::impl_fd_traits;
use crate::record::recorded;
use crate::socket::{Family, Io, Mode, new_pair, new_socket, register_foreign, register_writable};
use crate::{datagram, ready, sys};

/// A Unix datagram socket.
///
/// Datagrams are moved whole: one send is one datagram, one receive takes one, and a datagram can
/// be empty. Unlike with UDP, none is lost or reordered: a sender waits while the receiver's queue
/// is full.
///
/// Concurrent use, panics and cancel safety of its methods are those of
/// [`UdpSocket`](crate::UdpSocket). The file of a bound socket stays when the socket is dropped;
/// see [`unix`](crate::unix). Descriptors and credentials that a peer sends are not received; the
/// kernel closes the descriptors.
///
/// # Errors
///
/// `ConnectionRefused` (ECONNREFUSED) when the receiver's socket is closed, `NotFound` (ENOENT)
/// when there is no file, EMSGSIZE when a datagram does not fit into the sender's buffer (some 200
/// KiB by default). `Interrupted` is never returned, and `WouldBlock` only by the `try_` methods.
///
/// # Panics
///
/// Operations panic when polled on a thread that does not run the socket's runtime; the `try_` and
/// `poll_` methods when called there.
///
/// # Examples
///
/// ```
/// use wakeful_net::UnixDatagram;
///
/// wakeful::block_on(async {
///     let name = format!("\0wakeful-datagrams-{}", std::process::id());
///     let server = UnixDatagram::bind(&name)?;
///     let client = UnixDatagram::unbound()?;
///     client.connect(&name)?;
///     client.send(b"hello").await?;
///
///     let mut buf = [0; 64];
///     let (n, peer) = server.recv_from(&mut buf).await?;
///     assert_eq!(&buf[..n], b"hello");
///     assert!(peer.is_unnamed()); // so it cannot be answered
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    io: Io,
}

impl UnixDatagram {
    fn from_io(io: Io) -> Self {
        Self { io }
    }

    /// Creates a socket at a path, or under an abstract name if the path begins with a NUL byte.
    ///
    /// # Errors
    ///
    /// As [`UnixListener::bind`](crate::UnixListener::bind).
    ///
    /// # Panics
    ///
    /// When called outside a runtime. No file is created then.
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        require_runtime(("UnixDatagram::bind", Location::caller()));
        let path = path.as_ref();
        SocketAddr::from_user(path)
            .and_then(|address| address.to_kernel())
            .and_then(|address| {
                let socket = new_socket(Domain::UNIX, Family::UnixDatagram)?;
                sys::bind(socket.as_fd(), &address)?;
                register_writable(socket, Family::UnixDatagram)
            })
            .map(Self::from_io)
            .map_err(|err| with_context("bind", path.display(), err))
    }

    /// Creates a socket without a name. It can send, but receivers cannot reply.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, or when it cannot be registered with epoll.
    ///
    /// # Panics
    ///
    /// When called outside a runtime.
    #[track_caller]
    pub fn unbound() -> io::Result<Self> {
        let socket = new_socket(Domain::UNIX, Family::UnixDatagram)?;
        register_writable(socket, Family::UnixDatagram).map(Self::from_io)
    }

    /// Creates two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, or when they cannot be registered with epoll.
    ///
    /// # Panics
    ///
    /// When called outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// let (near, far) = wakeful_net::UnixDatagram::pair()?;
    /// near.send(b"hello").await?;
    /// let mut buf = [0; 16];
    /// assert_eq!(far.recv(&mut buf).await?, 5);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn pair() -> io::Result<(Self, Self)> {
        let (near, far) = new_pair(Family::UnixDatagram)?;
        Ok((Self::from_io(near), Self::from_io(far)))
    }

    /// Sets the address that [`send`](Self::send) sends to. Connecting again replaces the address.
    ///
    /// # Errors
    ///
    /// `NotFound` when the path does not exist; `ConnectionRefused` when no open socket is bound to
    /// it; `PermissionDenied` without write permission; `InvalidInput` for a path that cannot be an
    /// address. The message names the path; see [`SocketError`](crate::SocketError) for the errno.
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        let path = path.as_ref();
        SocketAddr::from_user(path)
            .and_then(|address| address.to_kernel())
            .and_then(|address| {
                let fd = self.io.get_ref().as_fd();
                let connected = sys::connect(fd, &address);
                recorded(&fd, Operation::Connect, connected, |()| 0)
            })
            .map_err(|err| with_context("connect", path.display(), err))
    }

    /// Sends a datagram to the socket that this one is connected to, and returns its length.
    ///
    /// Waits while the receiver's queue (`net.unix.max_dgram_qlen`) is full.
    ///
    /// # Errors
    ///
    /// `NotConnected` without [`connect`](Self::connect); `ConnectionRefused` when the peer has
    /// closed its socket; `BrokenPipe` after [`shutdown`](Self::shutdown). See [`UnixDatagram`].
    ///
    /// # Panics
    ///
    /// See [`UnixDatagram`].
    ///
    /// # Cancel safety
    ///
    /// Safe. A future that is dropped before it completes has sent nothing.
    #[track_caller]
    pub fn send<'a>(&'a self, buf: &'a [u8]) -> Send<'a> {
        Send::new(&self.io, buf)
    }

    /// Sends a datagram to the socket at a path, or under an abstract name if the path begins with
    /// a NUL byte, and returns its length.
    ///
    /// Waits while the receiver's queue is full. Unless this socket is connected to the receiver,
    /// no event reports that there is room again. Then the call is repeated after 1 ms, 2 ms, 4 ms
    /// and so on up to every 64 ms.
    ///
    /// # Errors
    ///
    /// `NotFound` when the path does not exist; `ConnectionRefused` when no open socket is bound to
    /// it; `PermissionDenied`; `InvalidInput` for a path that cannot be an address. See
    /// [`UnixDatagram`].
    ///
    /// # Panics
    ///
    /// See [`UnixDatagram`].
    ///
    /// # Cancel safety
    ///
    /// Safe. A future that is dropped before it completes has sent nothing.
    #[track_caller]
    pub fn send_to<'a, P: AsRef<Path>>(&'a self, buf: &'a [u8], target: P) -> SendTo<'a> {
        SendTo::new(&self.io, buf, address_of(target.as_ref()))
    }

    /// As [`send_to`](Self::send_to), to an address as [`recv_from`](Self::recv_from) returns it.
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to); `InvalidInput` when the address is unnamed.
    ///
    /// # Panics
    ///
    /// See [`UnixDatagram`].
    ///
    /// # Cancel safety
    ///
    /// Safe. A future that is dropped before it completes has sent nothing.
    #[track_caller]
    pub fn send_to_addr<'a>(&'a self, buf: &'a [u8], target: &SocketAddr) -> SendTo<'a> {
        SendTo::new(&self.io, buf, target.to_kernel())
    }

    /// Receives a datagram and returns its length in `buf`.
    ///
    /// Bytes that do not fit into `buf` are lost, without an error. `Ok(0)` is an empty datagram,
    /// or the end of receiving after [`shutdown`](Self::shutdown).
    ///
    /// # Errors
    ///
    /// See [`UnixDatagram`].
    ///
    /// # Panics
    ///
    /// See [`UnixDatagram`].
    ///
    /// # Cancel safety
    ///
    /// Safe. A datagram is taken only in the poll that returns it.
    #[track_caller]
    pub fn recv<'a>(&'a self, buf: &'a mut [u8]) -> Recv<'a> {
        Recv::new(&self.io, buf, Mode::Take)
    }

    /// Receives a datagram and returns its length in `buf` and its sender; otherwise as
    /// [`recv`](Self::recv).
    ///
    /// The address is unnamed unless the sender has bound its socket.
    ///
    /// # Errors
    ///
    /// See [`UnixDatagram`].
    ///
    /// # Panics
    ///
    /// See [`UnixDatagram`].
    ///
    /// # Cancel safety
    ///
    /// Safe. A datagram is taken only in the poll that returns it.
    ///
    /// # Examples
    ///
    /// See [`UnixDatagram`].
    #[track_caller]
    pub fn recv_from<'a>(&'a self, buf: &'a mut [u8]) -> RecvFrom<'a, SocketAddr> {
        RecvFrom::new(&self.io, buf, Mode::Take)
    }

    /// Sends a datagram to the connected socket if there is room, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when it is not known to have room; otherwise as [`send`](Self::send).
    #[track_caller]
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        datagram::try_send(&self.io, buf)
    }

    /// Sends a datagram to the socket at a path, or under an abstract name, if there is room,
    /// without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the receiver's queue or this socket's buffer is full. Do not wait for
    /// [`writable`](Self::writable) then: it does not cover a receiver to which this socket is not
    /// connected, and returns at once. [`send_to`](Self::send_to) pauses instead. Other errors are
    /// those of `send_to`.
    #[track_caller]
    pub fn try_send_to<P: AsRef<Path>>(&self, buf: &[u8], target: P) -> io::Result<usize> {
        datagram::try_send_to(&self.io, buf, &address_of(target.as_ref())?)
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
    #[track_caller]
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        datagram::try_recv_from(&self.io, buf, Mode::Take)
    }

    /// Polls for room and sends a datagram to the connected socket. For hand-written futures.
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
    /// See [`UnixDatagram`].
    ///
    /// # Cancel safety
    ///
    /// Safe.
    #[track_caller]
    pub fn readable(&self) -> Readable<'_> {
        ready::readable(&self.io)
    }

    /// Waits until a send would not block: room in the kernel's buffer, or an error.
    ///
    /// # Errors
    ///
    /// An error when the socket's runtime has ended.
    ///
    /// # Panics
    ///
    /// See [`UnixDatagram`].
    ///
    /// # Cancel safety
    ///
    /// Safe.
    #[track_caller]
    pub fn writable(&self) -> Writable<'_> {
        ready::writable(&self.io)
    }

    /// Waits for any readiness in `interest` and returns it.
    ///
    /// # Errors
    ///
    /// An error when the socket's runtime has ended.
    ///
    /// # Panics
    ///
    /// See [`UnixDatagram`].
    ///
    /// # Cancel safety
    ///
    /// Safe.
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> ReadyFuture<'_> {
        ready::ready(&self.io, interest)
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
            &self.io,
            Interest::READABLE,
            "UnixDatagram::poll_recv_ready",
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
            &self.io,
            Interest::WRITABLE,
            "UnixDatagram::poll_send_ready",
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
        self.io.try_io(interest, |_socket| call())
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
        self.io.async_io(interest, move |_socket| call())
    }

    /// Ends one or both directions of this socket at once.
    ///
    /// After `Shutdown::Read` receives return what had come, then `Ok(0)`; after `Shutdown::Write`
    /// sends fail with `BrokenPipe`. The peer is not notified.
    ///
    /// # Errors
    ///
    /// As shutdown(2); none in practice.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.get_ref().shutdown(how)
    }

    /// Returns the address that the socket is bound to; unnamed if it is not.
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

    /// Reads and clears the socket's pending error (`SO_ERROR`).
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
    #[track_caller]
    pub fn from_std(socket: StdUnixDatagram) -> io::Result<Self> {
        register_foreign(socket, Family::UnixDatagram).map(Self::from_io)
    }

    /// Deregisters the socket and converts it to std's type. It stays non-blocking.
    ///
    /// # Errors
    ///
    /// None at present. The signature is tokio's.
    pub fn into_std(self) -> io::Result<StdUnixDatagram> {
        Ok(OwnedFd::from(self).into())
    }
}

/// Converts a user's path to an address. The error names the path.
fn address_of(path: &Path) -> io::Result<socket2::SockAddr> {
    SocketAddr::from_user(path)
        .and_then(|address| address.to_kernel())
        .map_err(|err| with_context("send to", path.display(), err))
}

impl_fd_traits!(registered UnixDatagram, StdUnixDatagram);
