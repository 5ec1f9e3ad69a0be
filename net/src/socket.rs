//! One open socket as the reactor's source: a descriptor and the family it belongs to.
//!
//! [`Io`], an `AsyncFd` around it, is what every listener and stream of this package holds, so that
//! the operations in `stream`, `listen` and `connect` exist once and not once per family. The
//! family matters in two places: how to receive ([`Socket::recv`]), and which name the runtime's
//! record of a waiting task shows ([`Socket::name`]).

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use socket2::{Domain, Protocol, SockRef, Type};
use wakeful::io::{AsyncFd, Ready};

use wakeful::io::IoCount;

use crate::sys;

/// A registered socket.
pub(crate) type Io = AsyncFd<Socket>;

/// Which kind of socket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Tcp,
    Unix,
}

/// A non-blocking stream or listening socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    family: Family,
}

impl Socket {
    pub(crate) fn new(fd: impl Into<OwnedFd>, family: Family) -> Self {
        Self {
            fd: fd.into(),
            family,
        }
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Chooses the name of an operation as users know it.
    #[inline]
    pub(crate) fn name(&self, tcp: &'static str, unix: &'static str) -> &'static str {
        match self.family {
            Family::Tcp => tcp,
            Family::Unix => unix,
        }
    }

    /// The socket for setting and reading options.
    pub(crate) fn options(&self) -> SockRef<'_> {
        SockRef::from(&self.fd)
    }

    #[inline]
    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<IoCount> {
        match self.family {
            Family::Tcp => sys::recv(self.as_fd(), buf),
            Family::Unix => self.recv_message(buf),
        }
    }

    /// Apart, because building a message takes registers that a TCP stream would have to save.
    #[inline(never)]
    fn recv_message(&self, buf: &mut [u8]) -> io::Result<IoCount> {
        sys::recv_vectored(self.as_fd(), &mut [IoSliceMut::new(buf)])
    }

    #[inline]
    pub(crate) fn peek(&self, buf: &mut [u8]) -> io::Result<IoCount> {
        sys::peek(self.as_fd(), buf)
    }

    #[inline]
    pub(crate) fn recv_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<IoCount> {
        sys::recv_vectored(self.as_fd(), bufs)
    }

    #[inline]
    pub(crate) fn send(&self, buf: &[u8]) -> io::Result<IoCount> {
        sys::send(self.as_fd(), buf)
    }

    #[inline]
    pub(crate) fn send_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<IoCount> {
        sys::send_vectored(self.as_fd(), bufs)
    }

    /// Makes the descriptor close-on-exec duplicate of this one. See F_DUPFD_CLOEXEC in fcntl(2).
    fn duplicate(&self) -> io::Result<Self> {
        let fd = sys::uninterrupted(|| self.fd.try_clone())?;
        Ok(Self {
            fd,
            family: self.family,
        })
    }
}

impl AsFd for Socket {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Creates a stream socket that is non-blocking and close-on-exec from its first moment.
pub(crate) fn create(domain: Domain) -> io::Result<socket2::Socket> {
    let protocol = if domain == Domain::UNIX {
        None
    } else {
        Some(Protocol::TCP)
    };
    socket2::Socket::new_raw(domain, Type::STREAM.nonblocking().cloexec(), protocol)
}

/// Registers a socket that this package made itself.
///
/// Nobody else has its descriptor, so close(2) takes the registration along and drop needs no
/// system call of its own. Whatever hands the descriptor out later calls [`expose`].
#[track_caller]
pub(crate) fn register(fd: impl Into<OwnedFd>, family: Family) -> io::Result<Io> {
    Io::new_exclusive(Socket::new(fd, family))
}

/// Registers a stream that is connected: its first write need not wait for an event to say so.
#[track_caller]
pub(crate) fn register_connected(fd: impl Into<OwnedFd>, family: Family) -> io::Result<Io> {
    let io = register(fd, family)?;
    io.assume_ready(Ready::WRITABLE);
    Ok(io)
}

/// Registers a socket that came from outside: makes it non-blocking, and has drop deregister it,
/// since it may have been duplicated before.
#[track_caller]
pub(crate) fn adopt(fd: impl Into<OwnedFd>, family: Family) -> io::Result<Io> {
    let socket = Socket::new(fd, family);
    socket.options().set_nonblocking(true)?;
    Io::new(socket)
}

/// Gives the descriptor to outside code, which may duplicate it: from now on the registration could
/// outlive our close(2), so drop has to deregister it.
pub(crate) fn expose(io: &Io) -> BorrowedFd<'_> {
    io.mark_duplicated();
    io.get_ref().as_fd()
}

/// Registers a duplicate of the descriptor; both are deregistered when they are dropped, because
/// neither close(2) alone ends the open file they share.
#[track_caller]
pub(crate) fn duplicate(io: &Io) -> io::Result<Io> {
    let twin = io.get_ref().duplicate()?;
    io.mark_duplicated();
    Io::new(twin)
}
