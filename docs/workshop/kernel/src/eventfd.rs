//! A counter with a descriptor: it is readable while it is not zero.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

use crate::model;
use crate::record::recorded;
use crate::sys::{self, check};

const NONBLOCK_CLOEXEC: i32 = 0o2_004_000;

/// An eventfd(2). Any thread can make it readable, and so end an `epoll_wait`.
pub struct EventFd(File);

impl EventFd {
    /// Creates a counter of zero.
    ///
    /// # Errors
    ///
    /// The error of eventfd(2): no descriptor is left.
    pub fn new() -> io::Result<EventFd> {
        let fd = check(sys::eventfd(0, NONBLOCK_CLOEXEC))?;
        // SAFETY: the descriptor is new and has no other owner.
        Ok(EventFd(unsafe { File::from_raw_fd(fd) }))
    }

    /// Makes it readable. In a model this is a step of its own.
    pub fn signal(&self) {
        if model::signal() {
            return;
        }
        let call = || (&self.0).write(&1u64.to_ne_bytes());
        // The counter cannot overflow, so the write cannot fail.
        let _ = recorded("eventfd_write", self.0.as_raw_fd(), call, |_| 0);
    }

    /// Makes it unreadable.
    pub fn clear(&self) {
        let call = || (&self.0).read(&mut [0; 8]);
        let _ = recorded("eventfd_read", self.0.as_raw_fd(), call, |_| 0);
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
