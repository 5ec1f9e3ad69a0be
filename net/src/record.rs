//! Records operations for [`wakeful::trace`], if the runtime records.
//!
//! Called by `sys` for transfers, where the test for an installed kernel is one for a recording as well, and by
//! the operations that are rarer.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use socket2::SockAddr;
use wakeful::io::IoCount;
use wakeful::trace::{self, Operation};

/// Records a transfer and returns its result. By value, so that it is in memory only with a recording.
#[cold]
#[inline(never)]
pub(crate) fn transferred(
    fd: BorrowedFd<'_>,
    operation: Operation,
    result: io::Result<IoCount>,
) -> io::Result<IoCount> {
    recorded(&fd, operation, result, |count| count.transferred())
}

/// Records an operation and returns its result. `count` returns the number of bytes.
#[inline]
pub(crate) fn recorded<R>(
    fd: &impl AsFd,
    operation: Operation,
    result: io::Result<R>,
    count: impl FnOnce(&R) -> usize,
) -> io::Result<R> {
    if trace::is_recording() {
        let fd = fd.as_fd().as_raw_fd();
        trace::operation(fd, operation, result.as_ref().map(count));
    }
    result
}

/// Records an accept and the address of the peer, and returns the result.
#[inline]
pub(crate) fn accepted<F: AsFd>(
    listener: &impl AsFd,
    accepted: io::Result<(F, SockAddr)>,
) -> io::Result<(F, SockAddr)> {
    if trace::is_recording() {
        let listener = listener.as_fd().as_raw_fd();
        let fd = accepted.as_ref().map(|(fd, _)| fd.as_fd().as_raw_fd());
        let number = fd.map(|fd| fd.unsigned_abs() as usize);
        trace::operation(listener, Operation::Accept, number);
        if let Ok((fd, peer)) = &accepted
            && let Some(peer) = peer.as_socket()
        {
            trace::peer(fd.as_fd().as_raw_fd(), &peer);
        }
    }
    accepted
}
