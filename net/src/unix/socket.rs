//! `UnixSocket`: a Unix stream socket before it listens or connects, for a custom backlog.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use socket2::Domain;

use super::{Connect, SocketAddr, UnixListener};
use crate::address::Address;
use crate::error::with_context;
use crate::fd::impl_fd_traits;
use crate::socket::{Family, new_socket, register};
use crate::sys::{self, Descriptor};

/// A Unix stream socket that is neither listening nor connected yet.
///
/// # Examples
///
/// ```
/// use wakeful_net::UnixSocket;
///
/// wakeful::block_on(async {
///     let name = format!("\0wakeful-socket-{}", std::process::id());
///     let socket = UnixSocket::new_stream()?;
///     socket.bind(&name)?;
///     let listener = socket.listen(16)?;
///     let client = UnixSocket::new_stream()?.connect(&name).await?;
///     # drop((listener, client)); std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[derive(Debug)]
pub struct UnixSocket {
    socket: Descriptor,
}

impl UnixSocket {
    /// Creates a stream socket, non-blocking and close-on-exec.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, ENOBUFS, ENOMEM.
    pub fn new_stream() -> io::Result<Self> {
        Ok(Self {
            socket: new_socket(Domain::UNIX, Family::Unix)?,
        })
    }

    /// Binds the socket to a path, which creates the file, or to an abstract name.
    ///
    /// # Errors
    ///
    /// As [`UnixListener::bind`]; `InvalidInput` when it is bound already.
    pub fn bind<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        let path = path.as_ref();
        SocketAddr::from_user(path)
            .and_then(|address| address.to_kernel())
            .and_then(|native| sys::bind(self.socket.as_fd(), &native))
            .map_err(|err| with_context("bind", path.display(), err))
    }

    /// Listens for connections. The kernel queues up to `backlog` of them until they are accepted.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the socket is not bound; or an error when it cannot be registered with
    /// epoll. The socket is closed then.
    ///
    /// # Panics
    ///
    /// When called outside a runtime.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<UnixListener> {
        let listening = sys::listen(self.socket.as_fd(), backlog);
        if let Err(err) = listening {
            let address = sys::local_addr(self.socket.as_fd())?;
            return Err(match SocketAddr::from_kernel(Some(&address)) {
                Ok(address) => with_context("listen", address, err),
                Err(_unknown) => with_context("listen", "(unknown address)", err),
            });
        }
        let io = register(self.socket, Family::Unix)?;
        // User code could duplicate the descriptor through `as_fd`.
        io.mark_duplicated();
        Ok(UnixListener::from_io(io))
    }

    /// Connects to a listening socket; as [`UnixStream::connect`](super::UnixStream::connect).
    ///
    /// # Errors
    ///
    /// As [`UnixStream::connect`](super::UnixStream::connect). The socket is closed then.
    ///
    /// # Panics
    ///
    /// When polled outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe. Dropping the future ends the attempt and closes the socket.
    #[track_caller]
    pub fn connect<P: AsRef<Path>>(self, path: P) -> Connect {
        let path = path.as_ref();
        let target = path.display().to_string();
        Connect::with_socket(self.socket, target, SocketAddr::from_user(path))
    }
}

impl_fd_traits!(plain UnixSocket);
