//! The only module that speaks to the kernel: epoll, eventfd, signals, and what they share.
//!
//! `unsafe` in this crate stands here and in the line of `waker.rs` that builds a `Waker`, nowhere
//! else; the crate root denies it and names the two exceptions. Each wrapper is one system call
//! with Rust types on both sides. What every call has in common is written once, in this file: a
//! result of -1 becomes an [`io::Error`] from `errno`. What an interruption by a signal (EINTR)
//! means differs from call to call, and is said and settled at each of the two that can block or be
//! cut short: `epoll_wait` and the write to an eventfd.

use std::io;

pub(crate) mod epoll;
pub(crate) mod eventfd;
pub(crate) mod signal;

/// The integer types in which system calls return "-1: look at errno".
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

/// Turns the C convention into a `Result`.
pub(crate) fn check<R: Returned>(returned: R) -> io::Result<R> {
    if returned.is_error() {
        Err(io::Error::last_os_error())
    } else {
        Ok(returned)
    }
}
