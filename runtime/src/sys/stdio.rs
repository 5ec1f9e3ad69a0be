//! Blocking writes and waits on a descriptor that this process did not open: a standard stream.
//!
//! Called by threads of the blocking pool ([`crate::io::stdout`]), never by the loop. A standard
//! stream can be in non-blocking mode, because another process that shares it has chosen so.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// Writes as many bytes as the descriptor accepts. See `write(2)`.
///
/// # Errors
///
/// Those of the call, `Interrupted` and `WouldBlock` among them.
pub(crate) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the kernel reads at most `bytes.len()` bytes from a pointer that is valid for that
    // many. The borrow keeps the descriptor open.
    let written =
        check(unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) })?;
    Ok(written.cast_unsigned())
}

/// Waits until a read would not block. See `poll(2)`.
///
/// # Errors
///
/// Those of the call. A signal ends the wait without an error.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>) -> io::Result<()> {
    wait(fd, libc::POLLIN)
}

/// Waits until a write would not block. See `poll(2)`.
///
/// # Errors
///
/// Those of the call. A signal ends the wait without an error.
pub(crate) fn wait_writable(fd: BorrowedFd<'_>) -> io::Result<()> {
    wait(fd, libc::POLLOUT)
}

fn wait(fd: BorrowedFd<'_>, events: libc::c_short) -> io::Result<()> {
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    };
    // SAFETY: `entry` is valid for writes, and the call is told that there is one.
    match check(unsafe { libc::poll(&raw mut entry, 1, -1) }) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}
