//! `UnixListener`: a listening Unix socket.
//!
//! Counterpart of `tcp::listener`; accepting is implemented in `listen`.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::path::Path;
use std::task::{Context, Poll};

use super::{Accept, Incoming, SocketAddr, UnixStream};
use crate::call_site::{CallSite, require_runtime};
use crate::error::with_context;
use crate::fd::impl_fd_traits;
use crate::listen::{Accepted, bind_and_listen, poll_accept_for};
use crate::socket::{Family, Io, duplicate, register, register_foreign};

/// A Unix socket that listens for connections.
///
/// Any number of tasks can accept from one listener at once. Dropping it closes the socket and
/// leaves its file; see [`unix`](crate::unix).
///
/// # Examples
///
/// ```
/// use wakeful_net::{UnixListener, UnixStream};
///
/// wakeful::block_on(async {
///     let name = format!("\0wakeful-example-{}", std::process::id());
///     let listener = UnixListener::bind(&name)?;
///     let client = UnixStream::connect(&name).await?;
///     let (server, peer) = listener.accept().await?;
///     assert!(peer.is_unnamed());
///     server.write_all(b"welcome").await?;
///     drop(client);
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[derive(Debug)]
pub struct UnixListener {
    io: Io,
}

impl UnixListener {
    pub(super) fn from_io(io: Io) -> Self {
        Self { io }
    }

    /// Creates a listening socket at a path, or under an abstract name if the path begins with a
    /// NUL byte.
    ///
    /// The backlog is 4096 (capped by the system's `net.core.somaxconn`);
    /// [`UnixSocket`](super::UnixSocket) allows other choices.
    ///
    /// # Errors
    ///
    /// `AddrInUse` (EADDRINUSE) when the path exists, or the abstract name is in use;
    /// `InvalidInput` when the path is empty, too long (more than 107 bytes) or contains a NUL
    /// byte; `NotFound`, `PermissionDenied` and others of the directory. The message names the
    /// path; see [`SocketError`](crate::SocketError) for the errno. If the socket cannot be
    /// registered with epoll, its file stays.
    ///
    /// # Panics
    ///
    /// When called outside a runtime. No file is created then.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// use wakeful_net::UnixListener;
    ///
    /// let name = format!("\0wakeful-bind-{}", std::process::id());
    /// let listener = UnixListener::bind(&name)?;
    /// assert_eq!(listener.local_addr()?.as_abstract_name(), Some(&name.as_bytes()[1..]));
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        let path = path.as_ref();
        require_runtime(("UnixListener::bind", Location::caller()));
        match SocketAddr::from_user(path) {
            Ok(address) => Self::bind_addr(&address),
            Err(err) => Err(with_context("bind", path.display(), err)),
        }
    }

    /// As [`bind`](Self::bind), at an address.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind); `InvalidInput` when the address is unnamed.
    ///
    /// # Panics
    ///
    /// When called outside a runtime. No file is created then.
    #[track_caller]
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        require_runtime(("UnixListener::bind_addr", Location::caller()));
        let native = address.to_kernel();
        // SO_REUSEADDR has no effect on Unix sockets.
        native
            .and_then(|native| bind_and_listen(&native, Family::Unix, false))
            .and_then(|socket| register(socket, Family::Unix))
            .map(Self::from_io)
            .map_err(|err| with_context("bind", address, err))
    }

    /// Waits for the next connection.
    ///
    /// As [`TcpListener::accept`](crate::TcpListener::accept). The address is unnamed unless the
    /// client has bound its socket.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::accept`](crate::TcpListener::accept).
    ///
    /// # Panics
    ///
    /// When polled on a thread that does not run the listener's runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe. A connection is accepted only in the poll that returns it.
    #[track_caller]
    pub fn accept(&self) -> Accept<'_> {
        Accept::new(&self.io)
    }

    /// Polls for the next connection. For hand-written futures.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    ///
    /// # Panics
    ///
    /// When called on a thread that does not run the listener's runtime.
    #[track_caller]
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        self.poll_accept_for(("UnixListener::poll_accept", Location::caller()), cx)
    }

    /// Polls for the next connection, on behalf of the operation of `call_site`.
    pub(crate) fn poll_accept_for(
        &self,
        call_site: CallSite,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        poll_accept_for(&self.io, call_site, cx)
    }

    /// Returns the connections as an endless stream.
    ///
    /// Errors are items of the stream; handle them as those of [`accept`](Self::accept).
    ///
    /// # Cancel safety
    ///
    /// Dropping the stream, or a future that waits for its next item, loses no connection.
    #[track_caller]
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming::new(&self.io)
    }

    /// Returns the address that the listener is bound to.
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
    #[track_caller]
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        register_foreign(listener, Family::Unix).map(Self::from_io)
    }

    /// Deregisters the socket and converts it to std's type. It stays non-blocking.
    ///
    /// # Errors
    ///
    /// None at present. The signature is tokio's.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixListener> {
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

    /// Reads and clears the socket's pending error (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
    }
}

impl Accepted for UnixStream {
    type Address = SocketAddr;

    const FAMILY: Family = Family::Unix;

    fn from_io(io: Io) -> Self {
        Self { io }
    }
}

impl_fd_traits!(registered UnixListener, std::os::unix::net::UnixListener);
