//! `TcpListener`: a listening TCP socket.
//!
//! Accepting is implemented in `listen`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::task::{Context, Poll};

use super::{Accept, Incoming, TcpStream};
use crate::call_site::CallSite;
use crate::error::set_in_range;
use crate::fd::impl_fd_traits;
use crate::listen::{Accepted, poll_accept_for};
use crate::socket::{Family, Io, duplicate, register_foreign};

/// A TCP socket that listens for connections.
///
/// Any number of tasks can accept from one listener at once. Dropping it closes the socket.
/// Accepted streams stay open; the kernel resets connections that were not accepted.
///
/// # Examples
///
/// ```
/// use wakeful_net::{TcpListener, TcpStream};
///
/// wakeful::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, peer) = listener.accept().await?;
///     assert_eq!(peer, client.local_addr()?);
///     server.write_all(b"welcome").await
/// })
/// # .unwrap();
/// ```
#[derive(Debug)]
pub struct TcpListener {
    io: Io,
}

impl TcpListener {
    pub(super) fn from_io(io: Io) -> Self {
        Self { io }
    }

    /// Waits for the next connection.
    ///
    /// The stream is non-blocking, close-on-exec and registered; no option is set on it.
    /// Connections that were lost before they were accepted are skipped (see
    /// [`classify_accept_error`](crate::classify_accept_error)).
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, ENOBUFS, ENOMEM and similar errors of the kernel. The connection stays in
    /// the kernel's queue, and a later `accept` returns it although no new connection arrives;
    /// pause before that call. ENOSPC when epoll accepts no more descriptors (`max_user_watches`):
    /// that connection is closed. [`classify_accept_error`](crate::classify_accept_error) returns
    /// what to do about each.
    ///
    /// # Panics
    ///
    /// When polled on a thread that does not run the listener's runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe. A connection is accepted only in the poll that returns it.
    ///
    /// # Examples
    ///
    /// See [`TcpListener`] and [`classify_accept_error`](crate::classify_accept_error).
    #[track_caller]
    pub fn accept(&self) -> Accept<'_> {
        Accept::new(&self.io)
    }

    /// Polls for the next connection. For hand-written futures.
    ///
    /// Each task that polled is woken. Prefer [`accept`](Self::accept) where a future can be kept,
    /// because dropping it removes its waker.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    ///
    /// # Panics
    ///
    /// When called on a thread that does not run the listener's runtime.
    #[track_caller]
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.poll_accept_for(("TcpListener::poll_accept", Location::caller()), cx)
    }

    /// Polls for the next connection, on behalf of the operation of `call_site`.
    pub(crate) fn poll_accept_for(
        &self,
        call_site: CallSite,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        poll_accept_for(&self.io, call_site, cx)
    }

    /// Returns the connections as an endless stream, without their peers' addresses
    /// ([`TcpStream::peer_addr`] has them).
    ///
    /// Errors are items of the stream; handle them as those of [`accept`](Self::accept).
    ///
    /// # Cancel safety
    ///
    /// Dropping the stream, or a future that waits for its next item, loses no connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::pin::pin;
    ///
    /// use futures_core::Stream;
    /// use wakeful_net::{TcpListener, TcpStream};
    ///
    /// wakeful::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let _client = TcpStream::connect(listener.local_addr()?).await?;
    ///     let mut incoming = pin!(listener.incoming());
    ///     // `futures_lite::StreamExt::next` does this in one word.
    ///     let next = std::future::poll_fn(|cx| incoming.as_mut().poll_next(cx)).await;
    ///     let _stream = next.expect("endless")?;
    ///     std::io::Result::Ok(())
    /// })
    /// # .unwrap();
    /// ```
    #[track_caller]
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming::new(&self.io)
    }

    /// Returns the address that the listener is bound to, with the actual port if 0 was requested.
    ///
    /// # Errors
    ///
    /// As getsockname(2): none in practice.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// Registers a listener of the standard library and makes it non-blocking.
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
    /// let std = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let listener = wakeful_net::TcpListener::from_std(std)?;
    /// let std = listener.into_std()?; // still non-blocking
    /// # drop(std); std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        register_foreign(listener, Family::Tcp).map(Self::from_io)
    }

    /// Deregisters the socket and converts it to std's type. It stays non-blocking.
    ///
    /// # Errors
    ///
    /// None at present. The signature is tokio's.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        Ok(OwnedFd::from(self).into())
    }

    /// Creates a second handle to the same socket (F_DUPFD_CLOEXEC). Each connection goes to one of
    /// them.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, or when it cannot be registered with epoll.
    ///
    /// # Panics
    ///
    /// When called on a thread that does not run the listener's runtime.
    #[track_caller]
    pub fn try_clone(&self) -> io::Result<Self> {
        duplicate(&self.io).map(Self::from_io)
    }

    /// Sets the time to live of the packets of accepted IPv4 connections (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// `InvalidInput` when it is not within 1 to 255.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let set = || self.io.get_ref().options().set_ttl_v4(ttl);
        set_in_range("set IP_TTL to", ttl, 1..=255, set)
    }

    /// Returns what [`set_ttl`](Self::set_ttl) set, or the system's default.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.get_ref().options().ttl_v4()
    }

    /// Reads and clears the socket's pending error (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
    }
}

impl Accepted for TcpStream {
    type Address = SocketAddr;

    const FAMILY: Family = Family::Tcp;

    fn from_io(io: Io) -> Self {
        Self { io }
    }
}

impl_fd_traits!(registered TcpListener, std::net::TcpListener);
