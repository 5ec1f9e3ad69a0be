//! Wakes a thread that is blocked in `epoll_wait`, from any thread and from a signal handler.
//!
//! Called by the inbox of the runtime ([`crate::inbox`]) and by the signal handler. An eventfd is
//! a 64-bit counter behind a descriptor. It is registered edge-triggered, so each write is reported
//! once, and no read is necessary. That saves a system call per wake from another thread. The
//! counter is read, which resets it, only when it would overflow after 2^64 - 2 wakes.
//!
//! See `eventfd(2)`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use super::check;
use crate::kernel::{self, Verdict};

/// A counter behind a descriptor. Dropping it closes the descriptor.
#[derive(Debug)]
pub(crate) struct EventFd {
    // A `File` for its `read` and `write`; it adds nothing to the descriptor.
    file: File,
}

impl EventFd {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: `eventfd` takes two integers and accesses no memory of this process.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the kernel has just returned `fd`, so nothing else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(EventFd {
            file: File::from(fd),
        })
    }

    /// Adds one to the counter, which is a new edge for every epoll instance that watches it.
    ///
    /// # Errors
    ///
    /// No error of an open eventfd is known; an unexpected one is returned for the caller to report.
    pub(crate) fn signal(&self) -> io::Result<()> {
        if kernel::any()
            && let Some(kernel) = kernel::current()
            && let Verdict::Is(result) = kernel.wake(self.as_fd())
        {
            return result;
        }
        loop {
            match (&self.file).write(&1u64.to_ne_bytes()) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The counter is full. Reading resets it to zero, and the next write succeeds. A
                // loop, because other threads can fill it in between.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.reset()?,
                Err(error) => return Err(error),
            }
        }
    }

    fn reset(&self) -> io::Result<()> {
        match (&self.file).read(&mut [0; 8]) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sys::epoll::{Epoll, Events};

    #[test]
    fn a_full_counter_still_wakes() {
        let epoll = Epoll::new().unwrap();
        let event_fd = EventFd::new().unwrap();
        epoll.add(event_fd.as_fd(), 7, Epoll::READ).unwrap();
        let mut events = Events::with_capacity(4);
        (&event_fd.file)
            .write_all(&(u64::MAX - 1).to_ne_bytes())
            .unwrap();
        assert_eq!(epoll.wait(&mut events, Some(Duration::ZERO)).unwrap(), 1);
        assert_eq!(
            epoll.wait(&mut events, Some(Duration::ZERO)).unwrap(),
            0,
            "edge-triggered: reported once"
        );
        event_fd.signal().unwrap();
        assert_eq!(epoll.wait(&mut events, Some(Duration::ZERO)).unwrap(), 1);
        assert_eq!(events.iter(1).next().unwrap().token, 7);
    }

    #[test]
    fn every_signal_is_a_new_edge_without_a_read() {
        let epoll = Epoll::new().unwrap();
        let event_fd = EventFd::new().unwrap();
        epoll.add(event_fd.as_fd(), 7, Epoll::READ).unwrap();
        let mut events = Events::with_capacity(4);
        for _ in 0..3 {
            event_fd.signal().unwrap();
            assert_eq!(epoll.wait(&mut events, Some(Duration::ZERO)).unwrap(), 1);
        }
    }
}
