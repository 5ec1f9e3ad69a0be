//! epoll, the kernel's list of ready descriptors: one type, four verbs.
//!
//! Called by the reactor, which decides what to watch and what an event means. Every descriptor is
//! registered edge-triggered (`EPOLLET`): the kernel reports each change once, and the reactor
//! stores it. The 64 bits that travel with an event are an integer of the reactor, never a pointer.
//!
//! See `epoll(7)`, `epoll_ctl(2)`, `epoll_wait(2)`.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::check;
pub(crate) use crate::kernel::Event;
use crate::kernel::{self, Kernel, Verdict, Wait};

/// An epoll instance. Dropping it closes the descriptor.
#[derive(Debug)]
pub(crate) struct Epoll {
    fd: OwnedFd,
}

/// Buffer that `epoll_wait` fills, reused by every turn.
pub(crate) struct Events {
    buffer: Vec<libc::epoll_event>,
    /// Empty, with the memory of the last answer of an installed kernel.
    answered: Vec<Event>,
}

/// Whether this kernel has refused `epoll_pwait2` (before Linux 5.11, or an old seccomp filter).
/// Relaxed, because a stale value costs only one more failed call.
static NO_PWAIT2: AtomicBool = AtomicBool::new(false);

impl Epoll {
    /// Interest in reading. Includes the peer's half close, and urgent data because a receive stops
    /// before it.
    pub(crate) const READ: u32 = (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLPRI) as u32;
    /// Interest in writing.
    pub(crate) const WRITE: u32 = libc::EPOLLOUT as u32;
    /// Interest in exceptional conditions (out-of-band data, sysfs attributes).
    pub(crate) const PRIORITY: u32 = libc::EPOLLPRI as u32;

    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: `epoll_create1` takes an integer and accesses no memory of this process.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel has just returned `fd`, so nothing else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Epoll { fd })
    }

    /// Watches a descriptor, edge-triggered. Its events carry `token`.
    ///
    /// # Errors
    ///
    /// `EPERM` for a regular file or a directory, `EEXIST` if it is watched already, `ENOSPC` at the
    /// limit `/proc/sys/fs/epoll/max_user_watches`, `ENOMEM`.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: u32) -> io::Result<()> {
        if kernel::any()
            && let Some(kernel) = kernel::current()
            && let Verdict::Is(result) = kernel.watch(self.as_fd(), fd, token, interest)
        {
            return result;
        }
        let mut event = libc::epoll_event {
            events: interest | libc::EPOLLET as u32,
            u64: token,
        };
        let (epoll, fd) = (self.fd.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: `event` is a live, initialized `epoll_event`. The kernel copies it and keeps no
        // reference to it.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) })?;
        Ok(())
    }

    /// Stops watching a descriptor. Takes a raw number, because the owner of the descriptor can be
    /// in its destructor.
    ///
    /// # Errors
    ///
    /// `ENOENT` or `EBADF` if the descriptor was closed or deleted before.
    pub(crate) fn delete(&self, fd: RawFd) -> io::Result<()> {
        if kernel::any()
            && let Some(kernel) = kernel::current()
            && let Verdict::Is(result) = kernel.unwatch(self.as_fd(), fd)
        {
            return result;
        }
        // Linux before 2.6.9 required an event here too; a zeroed one costs nothing.
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        let epoll = self.fd.as_raw_fd();
        // SAFETY: `event` is live and initialized. A stale `fd` cannot touch memory.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, fd, &raw mut event) })?;
        Ok(())
    }

    /// Waits for events and returns their number; [`Events::iter`] reads them.
    ///
    /// Returns 0 if a signal interrupts the wait (`EINTR`). The loop then computes the remaining
    /// time again, because a restarted wait would be too long.
    ///
    /// # Errors
    ///
    /// `EBADF`, `EINVAL`, `EFAULT`: the epoll descriptor was closed behind the runtime's back.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        if kernel::any()
            && let Some(kernel) = kernel::current()
        {
            return self.ask(&*kernel, events, timeout);
        }
        self.wait_for_kernel(events, timeout)
    }

    fn wait_for_kernel(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        let count = match timeout {
            None => self.wait_ms(events, -1),
            Some(Duration::ZERO) => self.wait_ms(events, 0),
            Some(limit) => self.wait_at_most(events, limit),
        };
        match count {
            Ok(count) => Ok(count as usize),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Lets an installed kernel wait.
    #[cold]
    fn ask(
        &self,
        kernel: &dyn Kernel,
        events: &mut Events,
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        let mut real = |room, limit| {
            let mut events = Events::with_capacity(room);
            let count = self.wait_for_kernel(&mut events, limit)?;
            Ok(events.iter(count).collect())
        };
        let answered = mem::take(&mut events.answered);
        let capacity = events.buffer.len();
        let mut wait = Wait::new(self.as_fd(), timeout, capacity, answered, &mut real);
        let waited = kernel.wait(&mut wait);
        let mut found = wait.into_events();
        match waited {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
            Err(error) => return Err(error),
        }
        for (to, event) in events.buffer.iter_mut().zip(&found) {
            *to = libc::epoll_event {
                events: event.flags,
                u64: event.token,
            };
        }
        let count = found.len();
        found.clear();
        events.answered = found;
        Ok(count)
    }

    fn wait_at_most(&self, events: &mut Events, limit: Duration) -> io::Result<libc::c_int> {
        if !NO_PWAIT2.load(Ordering::Relaxed) {
            match self.pwait2(events, limit) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    NO_PWAIT2.store(true, Ordering::Relaxed);
                }
                result => return result,
            }
        }
        self.wait_ms(events, whole_ms(limit))
    }

    fn wait_ms(&self, events: &mut Events, timeout_ms: libc::c_int) -> io::Result<libc::c_int> {
        let (epoll, capacity) = (self.fd.as_raw_fd(), events.buffer.len() as libc::c_int);
        let buffer = events.buffer.as_mut_ptr();
        // SAFETY: `buffer` points to `capacity` initialized events, which are live and exclusively
        // borrowed for the whole call. The kernel writes at most that many.
        check(unsafe { libc::epoll_wait(epoll, buffer, capacity, timeout_ms) })
    }

    /// Calls `epoll_pwait2` by number, because older C libraries do not have the symbol.
    fn pwait2(&self, events: &mut Events, limit: Duration) -> io::Result<libc::c_int> {
        let timeout = libc::timespec {
            tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        };
        let (epoll, capacity) = (self.fd.as_raw_fd(), events.buffer.len() as libc::c_int);
        let buffer = events.buffer.as_mut_ptr();
        let no_mask = std::ptr::null::<libc::sigset_t>();
        // SAFETY: `buffer` as in `wait_ms`. `timeout` is a live timespec that the kernel reads. A
        // null mask leaves the signal mask unchanged, and the kernel ignores its size (0) then.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                epoll,
                buffer,
                capacity,
                &raw const timeout,
                no_mask,
                0usize,
            )
        };
        check(count as libc::c_int)
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Returns the milliseconds for `epoll_wait`, rounded up. Otherwise the wait would end before the
/// deadline, and the loop would spin with waits of 0 ms until it has passed.
fn whole_ms(limit: Duration) -> libc::c_int {
    let ms = limit.as_nanos().div_ceil(1_000_000);
    // The maximum is 24.8 days. The loop then checks its timers and waits again.
    libc::c_int::try_from(ms).unwrap_or(libc::c_int::MAX)
}

impl Events {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.clamp(1, 1 << 16);
        Events {
            buffer: vec![libc::epoll_event { events: 0, u64: 0 }; capacity],
            answered: Vec::new(),
        }
    }

    /// Returns the first `count` events of the last [`Epoll::wait`].
    pub(crate) fn iter(&self, count: usize) -> impl Iterator<Item = Event> {
        let events = self.buffer.get(..count).unwrap_or(&self.buffer);
        events.iter().map(|event| Event {
            token: event.u64,
            flags: event.events,
        })
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events")
            .field("capacity", &self.buffer.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_rounded_up_and_clamped() {
        assert_eq!(whole_ms(Duration::ZERO), 0);
        assert_eq!(whole_ms(Duration::from_nanos(1)), 1);
        assert_eq!(whole_ms(Duration::from_millis(7)), 7);
        assert_eq!(whole_ms(Duration::from_micros(7_001)), 8);
        assert_eq!(
            whole_ms(Duration::from_secs(50 * 24 * 3600)),
            libc::c_int::MAX
        );
        assert_eq!(whole_ms(Duration::MAX), libc::c_int::MAX);
    }

    #[test]
    fn a_far_deadline_is_accepted_by_the_kernel() {
        let epoll = Epoll::new().unwrap();
        let wake = crate::sys::eventfd::EventFd::new().unwrap();
        epoll.add(wake.as_fd(), 1, Epoll::READ).unwrap();
        wake.signal().unwrap();
        let mut events = Events::with_capacity(1);
        assert_eq!(epoll.wait(&mut events, Some(Duration::MAX)).unwrap(), 1);
    }

    #[test]
    fn a_regular_file_is_refused() {
        let epoll = Epoll::new().unwrap();
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let error = epoll.add(file.as_fd(), 1, Epoll::READ).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    }
}
