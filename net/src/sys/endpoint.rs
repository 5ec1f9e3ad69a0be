//! The two ends of a socket: binding, listening, connecting and shutting down, addresses, the
//! pending error, and the peer's credentials.
//!
//! Called by `socket`, `listen`, `connect` and the unconnected sockets of `tcp`, `udp` and `unix`.
//!
//! Sources: bind(2), listen(2), connect(2), shutdown(2), getsockname(2), unix(7).

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::{mem, ptr};

use socket2::{SockAddr, SockRef};
use wakeful::kernel::{self, Address, Kernel, Verdict};
use wakeful::trace::Operation;

use super::ask::{ask, ask_or, to_native, with_address};
use super::{cvt, retry_on_intr};
use crate::record::recorded;

/// Binds a socket to an address. See bind(2).
pub(crate) fn bind(fd: BorrowedFd<'_>, address: &SockAddr) -> io::Result<()> {
    ask_or(
        |kernel| with_address(address, |address| kernel.bind(fd, address)),
        || retry_on_intr(|| SockRef::from(&fd).bind(address)),
    )
}

/// Starts listening, or changes the length of the queue. A backlog above the range of listen(2) is
/// replaced by the largest in it.
pub(crate) fn listen(fd: BorrowedFd<'_>, backlog: u32) -> io::Result<()> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    ask_or(
        |kernel| kernel.listen(fd, backlog.unsigned_abs()),
        || retry_on_intr(|| SockRef::from(&fd).listen(backlog)),
    )
}

/// Starts connecting. See connect(2); after `EINPROGRESS` the caller waits until it is writable.
pub(crate) fn connect(fd: BorrowedFd<'_>, address: &SockAddr) -> io::Result<()> {
    let connected = ask_or(
        |kernel| with_address(address, |address| kernel.connect(fd, address)),
        || retry_on_intr(|| SockRef::from(&fd).connect(address)),
    );
    recorded(&fd, Operation::Connect, connected, |()| 0)
}

/// Shuts down one direction of a connection, or both. See shutdown(2).
pub(crate) fn shutdown(fd: BorrowedFd<'_>, how: Shutdown) -> io::Result<()> {
    ask_or(
        |kernel| kernel.shutdown(fd, how),
        || retry_on_intr(|| SockRef::from(&fd).shutdown(how)),
    )
}

/// Reads and clears the pending error of a socket (`SO_ERROR`).
pub(crate) fn take_error(fd: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
    ask_or(
        |kernel| kernel.take_error(fd),
        || retry_on_intr(|| SockRef::from(&fd).take_error()),
    )
}

/// Returns the address that a socket is bound to. See getsockname(2).
pub(crate) fn local_addr(fd: BorrowedFd<'_>) -> io::Result<SockAddr> {
    name_of(
        |kernel| kernel.local_addr(fd),
        || SockRef::from(&fd).local_addr(),
    )
}

/// Returns the address that a socket is connected to. See getpeername(2).
pub(crate) fn peer_addr(fd: BorrowedFd<'_>) -> io::Result<SockAddr> {
    name_of(
        |kernel| kernel.peer_addr(fd),
        || SockRef::from(&fd).peer_addr(),
    )
}

fn name_of(
    call: impl FnMut(&dyn Kernel) -> Verdict<Address>,
    real: impl FnMut() -> io::Result<SockAddr>,
) -> io::Result<SockAddr> {
    if kernel::any()
        && let Verdict::Is(address) = ask(call)
    {
        return to_native(address?);
    }
    retry_on_intr(real)
}

/// Returns the process, user and group that were at the other end of a Unix stream when it was
/// connected.
///
/// See `SO_PEERCRED` in unix(7).
pub(crate) fn peer_cred(fd: BorrowedFd<'_>) -> io::Result<libc::ucred> {
    let mut cred = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let size = mem::size_of::<libc::ucred>();
    let mut len = size as libc::socklen_t;
    retry_on_intr(|| {
        let (to, len) = (ptr::from_mut(&mut cred).cast(), &raw mut len);
        let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
        // SAFETY: `to` points at a `ucred`, three integers that any bytes are valid for, and `len`
        // says how large it is; the kernel writes at most that many bytes.
        let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, to, len) };
        cvt(result as isize)
    })?;
    if len as usize != size {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the kernel reported credentials of unexpected size",
        ));
    }
    Ok(cred)
}
