//! epoll(7), as far as the workshop needs it.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::record::recorded;
use crate::script;
use crate::sys::{self, check};

/// Readable.
pub const IN: u32 = 0x1;
/// Writable.
pub const OUT: u32 = 0x4;
/// An error; always reported.
pub const ERR: u32 = 0x8;
/// Both directions are closed; always reported.
pub const HUP: u32 = 0x10;
/// The peer will send no more.
pub const RDHUP: u32 = 0x2000;
/// Edge-triggered: each change is reported once.
pub const ET: u32 = 1 << 31;
/// Reported once, until it is registered again.
pub const ONESHOT: u32 = 1 << 30;

const CLOEXEC: i32 = 0o2_000_000;

/// An event: what happened, and the token of the registration. The layout is the kernel's.
#[repr(C)]
#[cfg_attr(target_arch = "x86_64", repr(packed))]
#[derive(Clone, Copy, Default)]
pub struct Event {
    flags: u32,
    token: u64,
}

impl Event {
    /// The number under which the descriptor was registered.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.token
    }

    /// All bits of the event, for code that tests them itself.
    #[must_use]
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// Whether a read would not block: bytes, the end of the stream, or an error.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.flags & (IN | RDHUP | HUP | ERR) != 0
    }

    /// Whether a write would not block: room, or an error.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.flags & (OUT | HUP | ERR) != 0
    }
}

impl Event {
    /// Whether no further event will report a change of the reading side: the peer has closed it, or it has
    /// failed.
    #[must_use]
    pub fn is_read_end(&self) -> bool {
        self.flags & (RDHUP | HUP | ERR) != 0
    }

    /// The same for the writing side.
    #[must_use]
    pub fn is_write_end(&self) -> bool {
        self.flags & (HUP | ERR) != 0
    }
}

/// An epoll instance.
pub struct Epoll(OwnedFd);

impl Epoll {
    /// Creates an instance.
    ///
    /// # Errors
    ///
    /// The error of epoll_create1(2): no descriptor is left.
    pub fn new() -> io::Result<Epoll> {
        let fd = recorded("epoll_create1", -1, || check(sys::epoll_create1(CLOEXEC)), |_| 0)?;
        // SAFETY: the descriptor is new and has no other owner.
        Ok(Epoll(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    fn control(
        &self,
        name: &'static str,
        operation: i32,
        fd: i32,
        flags: u32,
        token: u64,
    ) -> io::Result<()> {
        let mut event = Event { flags, token };
        let epoll = self.0.as_raw_fd();
        // SAFETY: the kernel copies the event before the call returns.
        let call = || check(unsafe { sys::epoll_ctl(epoll, operation, fd, &raw mut event) });
        recorded(name, fd, call, |_| 0).map(drop)
    }

    /// Registers a descriptor for the events in `flags`.
    ///
    /// # Errors
    ///
    /// The error of epoll_ctl(2).
    pub fn add(&self, fd: &impl AsRawFd, flags: u32, token: u64) -> io::Result<()> {
        self.control("epoll_ctl(ADD)", 1, fd.as_raw_fd(), flags, token)
    }

    /// Changes the events of a registered descriptor.
    ///
    /// # Errors
    ///
    /// The error of epoll_ctl(2).
    pub fn modify(&self, fd: &impl AsRawFd, flags: u32, token: u64) -> io::Result<()> {
        self.control("epoll_ctl(MOD)", 3, fd.as_raw_fd(), flags, token)
    }

    /// Ends a registration. Closing the descriptor ends it, too.
    ///
    /// # Errors
    ///
    /// The error of epoll_ctl(2).
    pub fn delete(&self, fd: &impl AsRawFd) -> io::Result<()> {
        self.control("epoll_ctl(DEL)", 2, fd.as_raw_fd(), 0, 0)
    }

    /// Calls epoll_wait(2).
    pub(crate) fn look(&self, buffer: &mut [Event], timeout_ms: i32) -> io::Result<i32> {
        let epoll = self.0.as_raw_fd();
        let max = i32::try_from(buffer.len()).unwrap_or(i32::MAX);
        // SAFETY: the kernel writes at most `max` events, and the buffer has room for them.
        check(unsafe { sys::epoll_wait(epoll, buffer.as_mut_ptr(), max, timeout_ms) })
    }

    /// Waits for events: without limit if `timeout_ms` is -1, not at all if it is 0.
    ///
    /// # Errors
    ///
    /// The error of epoll_wait(2); `Interrupted` is one that can happen at any time.
    pub fn wait<'b>(&self, buffer: &'b mut [Event], timeout_ms: i32) -> io::Result<&'b [Event]> {
        let look = |ms: i32| self.look(buffer, ms);
        let count =
            recorded("epoll_wait", -1, || script::wait(timeout_ms, look), |n| i64::from(*n))?;
        Ok(&buffer[..count.unsigned_abs() as usize])
    }
}
