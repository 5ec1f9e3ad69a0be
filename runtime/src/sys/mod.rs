//! The only module with system calls: epoll, eventfd, signals, standard streams, shared memory, questions about
//! descriptors and threads, a cell for a place in the source, and their common parts.
//!
//! The `unsafe` code of this crate is in this module and in the line of `id.rs` that builds a
//! `Waker`. The crate root denies it everywhere else. Each wrapper is one system call with Rust
//! types on both sides. This file turns the result -1 of any call into an [`io::Error`] from
//! `errno`. An interruption by a signal (`EINTR`) means something different to each call. Those
//! that can block or be cut short handle it: `epoll_wait`, and the writes to an eventfd.

use std::io;

pub(crate) mod epoll;
pub(crate) mod eventfd;
pub(crate) mod inspect;
pub(crate) mod mapping;
pub(crate) mod place;
pub(crate) mod signal;
pub(crate) mod stdio;
pub(crate) mod thread_state;
pub(crate) mod ticks;

/// An integer type in which system calls return -1 for an error in `errno`.
pub(crate) trait Returned: Copy {
    fn is_error(self) -> bool;
}

impl Returned for libc::c_int {
    fn is_error(self) -> bool {
        self == -1
    }
}

impl Returned for libc::ssize_t {
    fn is_error(self) -> bool {
        self == -1
    }
}

/// Converts the result of a system call into a `Result`.
///
/// # Errors
///
/// The error in `errno`, if the call returned -1.
pub(crate) fn check<R: Returned>(returned: R) -> io::Result<R> {
    if returned.is_error() {
        Err(io::Error::last_os_error())
    } else {
        Ok(returned)
    }
}
