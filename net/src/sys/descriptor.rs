//! The owner of a socket's descriptor: how it begins and ends.
//!
//! Every socket of this package, registered or not, holds a [`Descriptor`]. It is created here, or
//! taken from user code.
//!
//! Sources: socket(2), socketpair(2), accept4(2), fcntl(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use super::{retry_on_intr, with_address};

/// The descriptor of a socket. Dropping it closes the descriptor.
#[derive(Debug)]
pub(crate) struct Descriptor {
    fd: OwnedFd,
}

impl Descriptor {
    /// Creates a socket that is non-blocking and close-on-exec from the start. See socket(2).
    pub(crate) fn new(domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<Self> {
        let kind = kind.nonblocking().cloexec();
        let socket = retry_on_intr(|| Socket::new_raw(domain, kind, protocol))?;
        Ok(OwnedFd::from(socket).into())
    }

    /// Creates two Unix sockets that are connected to each other. See socketpair(2).
    pub(crate) fn pair(kind: Type) -> io::Result<(Self, Self)> {
        let kind = kind.nonblocking().cloexec();
        let (near, far) = retry_on_intr(|| Socket::pair_raw(Domain::UNIX, kind, None))?;
        Ok((OwnedFd::from(near).into(), OwnedFd::from(far).into()))
    }

    /// Duplicates the descriptor. See F_DUPFD_CLOEXEC in fcntl(2).
    pub(crate) fn duplicate(&self) -> io::Result<Self> {
        let fd = retry_on_intr(|| self.fd.try_clone())?;
        Ok(fd.into())
    }

    /// Returns the descriptor for user code, which closes it.
    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Returns the socket for setting and reading options.
    pub(crate) fn options(&self) -> SockRef<'_> {
        SockRef::from(&self.fd)
    }
}

impl From<OwnedFd> for Descriptor {
    fn from(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl AsFd for Descriptor {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Accepts one connection from a listening socket, already non-blocking and close-on-exec.
///
/// One system call, so the new descriptor is never inheritable or blocking. See accept4(2).
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<(Descriptor, SockAddr)> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let listener = listener.as_raw_fd();
    let call = |address: *mut _, len: *mut _| {
        // SAFETY: `address` points at as many bytes as `len` says; the kernel writes nothing beyond
        // them and keeps no pointer.
        let fd = unsafe { libc::accept4(listener, address, len, flags) };
        fd as isize
    };
    // SAFETY: accept4(2) writes an address and its length.
    let (fd, address) = unsafe { with_address(call) }?;
    // SAFETY: the call succeeded, so `fd` is an open descriptor that nothing else owns yet.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
    Ok((fd.into(), address))
}
