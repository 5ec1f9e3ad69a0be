//! The system calls of the floor through libc, one function each.
//!
//! This is the only `unsafe` code of the servers. Every call gets borrowed, hence open descriptors, and
//! memory behind a Rust reference.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

pub(crate) const IN: u32 = libc::EPOLLIN as u32;
pub(crate) const OUT: u32 = libc::EPOLLOUT as u32;
pub(crate) const RDHUP: u32 = libc::EPOLLRDHUP as u32;
pub(crate) const EDGE: u32 = libc::EPOLLET as u32;

/// One event, in the kernel's layout.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Event(libc::epoll_event);

impl Event {
    pub(crate) const EMPTY: Event = Event(libc::epoll_event { events: 0, u64: 0 });

    pub(crate) fn token(&self) -> u64 {
        self.0.u64
    }

    pub(crate) fn flags(&self) -> u32 {
        self.0.events
    }
}

/// An epoll instance.
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Epoll> {
        // SAFETY: takes no memory; the result is checked before it is used.
        let number = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        owned(number).map(Epoll)
    }

    pub(crate) fn add(&self, fd: BorrowedFd<'_>, interest: u32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: interest,
            u64: token,
        };
        let (epoll, fd) = (self.0.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: both descriptors are open; `event` lives until the call returns, and the kernel
        // copies it.
        length(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) } as isize)?;
        Ok(())
    }

    /// Waits for at least one event and returns the number of events written.
    pub(crate) fn wait(&self, events: &mut [Event]) -> io::Result<usize> {
        let (first, room) = (events.as_mut_ptr().cast(), events.len() as i32);
        // SAFETY: `Event` is transparent over the kernel's type, and the slice has `room` elements.
        length(unsafe { libc::epoll_wait(self.0.as_raw_fd(), first, room, -1) } as isize)
    }
}

pub(crate) fn accept4(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let (flags, no_address) = (libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, ptr::null_mut());
    // SAFETY: two null pointers are allowed and mean that the peer's address is not requested.
    owned(unsafe { libc::accept4(listener.as_raw_fd(), no_address, ptr::null_mut(), flags) })
}

pub(crate) fn set_nodelay(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    let (value, size) = ((&raw const on).cast(), size_of_val(&on) as libc::socklen_t);
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_NODELAY);
    // SAFETY: `value` points to `size` bytes that live until the call returns.
    let code = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, size) };
    length(code as isize)?;
    Ok(())
}

pub(crate) fn recv(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let (first, room) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: the slice is writable for all of its length.
    length(unsafe { libc::recv(socket.as_raw_fd(), first, room, 0) })
}

pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let (first, count) = (bytes.as_ptr().cast(), bytes.len());
    // SAFETY: the slice is readable for all of its length.
    length(unsafe { libc::send(socket.as_raw_fd(), first, count, libc::MSG_NOSIGNAL) })
}

/// Converts the result of a call that returns a count, or 0.
fn length(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_negative| io::Error::last_os_error())
}

/// Converts the result of a call that returns a new descriptor.
fn owned(number: RawFd) -> io::Result<OwnedFd> {
    length(number as isize)?;
    // SAFETY: the kernel has just created this descriptor, so it has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
