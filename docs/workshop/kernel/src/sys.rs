//! The foreign functions.

use std::ffi::c_void;
use std::io;

use crate::epoll::Event;

/// A flag of `fcntl` in the result of `F_GETFL`.
const O_NONBLOCK: i32 = 0o4000;
const F_GETFL: i32 = 3;

unsafe extern "C" {
    pub(crate) safe fn epoll_create1(flags: i32) -> i32;
    pub(crate) fn epoll_ctl(epoll: i32, operation: i32, fd: i32, event: *mut Event) -> i32;
    pub(crate) fn epoll_wait(epoll: i32, events: *mut Event, max: i32, timeout_ms: i32) -> i32;
    pub(crate) safe fn eventfd(initial: u32, flags: i32) -> i32;
    pub(crate) fn mmap(
        address: *mut c_void,
        length: usize,
        protection: i32,
        flags: i32,
        fd: i32,
        offset: i64,
    ) -> *mut c_void;
    pub(crate) fn munmap(address: *mut c_void, length: usize) -> i32;
    pub(crate) fn syscall(number: i64, ...) -> i64;
    fn fcntl(fd: i32, command: i32, ...) -> i32;
}

/// Returns whether calls on a descriptor can block. Only checks ask.
pub(crate) fn can_block(fd: i32) -> bool {
    // SAFETY: `F_GETFL` reads the flags of a descriptor and takes no further argument.
    let flags = unsafe { fcntl(fd, F_GETFL) };
    flags & O_NONBLOCK == 0
}

/// Turns the result of a system call into a `Result`.
pub(crate) fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
