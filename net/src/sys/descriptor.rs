//! The owner of a socket's descriptor: how it begins and ends.
//!
//! Every socket of this package, registered or not, holds a [`Descriptor`]. It is created here, or
//! taken from user code.
//!
//! Sources: socket(2), socketpair(2), accept4(2), fcntl(2).

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use wakeful::kernel::{self, Verdict};

use super::ask::{ask, tell, to_native};
use super::{retry_on_intr, with_address};

/// The descriptor of a socket. Dropping it closes the descriptor.
#[derive(Debug)]
pub(crate) struct Descriptor {
    /// Taken by `into_fd` and by the destructor, and by nothing else.
    fd: ManuallyDrop<OwnedFd>,
}

impl Descriptor {
    /// Creates a socket that is non-blocking and close-on-exec from the start. See socket(2).
    pub(crate) fn new(domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<Self> {
        let kind = kind.nonblocking().cloexec();
        let socket = retry_on_intr(|| Socket::new_raw(domain, kind, protocol))?;
        let descriptor = Self::from(OwnedFd::from(socket));
        tell(|kernel| kernel.opened(descriptor.as_fd()));
        Ok(descriptor)
    }

    /// Creates two Unix sockets that are connected to each other. See socketpair(2).
    pub(crate) fn pair(kind: Type) -> io::Result<(Self, Self)> {
        let kind = kind.nonblocking().cloexec();
        let (near, far) = retry_on_intr(|| Socket::pair_raw(Domain::UNIX, kind, None))?;
        let near = Self::from(OwnedFd::from(near));
        let far = Self::from(OwnedFd::from(far));
        tell(|kernel| kernel.paired(near.as_fd(), far.as_fd()));
        Ok((near, far))
    }

    /// Duplicates the descriptor. See F_DUPFD_CLOEXEC in fcntl(2).
    pub(crate) fn duplicate(&self) -> io::Result<Self> {
        let duplicate = Self::from(retry_on_intr(|| self.fd.try_clone())?);
        tell(|kernel| kernel.duplicated(self.as_fd(), duplicate.as_fd()));
        Ok(duplicate)
    }

    /// Returns the descriptor for user code, which closes it.
    pub(crate) fn into_fd(self) -> OwnedFd {
        tell(|kernel| kernel.closing(self.as_fd()));
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so nothing uses the field after this.
        unsafe { ManuallyDrop::take(&mut this.fd) }
    }

    /// Returns the socket for setting and reading options.
    pub(crate) fn options(&self) -> SockRef<'_> {
        SockRef::from(&*self.fd)
    }
}

impl From<OwnedFd> for Descriptor {
    fn from(fd: OwnedFd) -> Self {
        Self {
            fd: ManuallyDrop::new(fd),
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        tell(|kernel| kernel.closing(self.as_fd()));
        // SAFETY: this is the destructor, so nothing uses the field after this.
        unsafe { ManuallyDrop::drop(&mut self.fd) };
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
    if kernel::any()
        && let Verdict::Is(accepted) = ask(|kernel| kernel.accept(listener))
    {
        let (fd, address) = accepted?;
        return Ok((fd.into(), to_native(address)?));
    }
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let raw_listener = listener.as_raw_fd();
    let call = |address: *mut _, len: *mut _| {
        // SAFETY: `address` points at as many bytes as `len` says; the kernel writes nothing beyond
        // them and keeps no pointer.
        let fd = unsafe { libc::accept4(raw_listener, address, len, flags) };
        fd as isize
    };
    // SAFETY: accept4(2) writes an address and its length.
    let (fd, address) = unsafe { with_address(call) }?;
    // SAFETY: the call succeeded, so `fd` is an open descriptor that nothing else owns yet.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
    let descriptor = Descriptor::from(fd);
    tell(|kernel| kernel.accepted(listener, descriptor.as_fd()));
    Ok((descriptor, address))
}
