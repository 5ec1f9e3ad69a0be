//! A wait for events, as a kernel sees it.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// One event of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The number that was passed to [`Kernel::watch`](super::Kernel::watch).
    pub token: u64,
    /// Set of `EPOLLIN`, `EPOLLOUT`, `EPOLLRDHUP`, `EPOLLHUP`, `EPOLLERR`, `EPOLLPRI`.
    pub flags: u32,
}

/// Asks the real kernel: for at most so many events, and so long.
type Real<'a> = &'a mut dyn FnMut(usize, Option<Duration>) -> io::Result<Vec<Event>>;

/// A runtime's wait for events. [`Kernel::wait`](super::Kernel::wait) adds events to it, its own or
/// those of the real kernel.
pub struct Wait<'a> {
    epoll: BorrowedFd<'a>,
    limit: Option<Duration>,
    capacity: usize,
    events: Vec<Event>,
    real: Real<'a>,
}

impl<'a> Wait<'a> {
    /// Creates a wait without events. `events` is empty, and its memory is used for them.
    pub(crate) fn new(
        epoll: BorrowedFd<'a>,
        limit: Option<Duration>,
        capacity: usize,
        events: Vec<Event>,
        real: Real<'a>,
    ) -> Self {
        Wait {
            epoll,
            limit,
            capacity,
            events,
            real,
        }
    }

    /// Returns the epoll of the runtime that waits.
    #[must_use]
    pub fn epoll(&self) -> BorrowedFd<'a> {
        self.epoll
    }

    /// Returns how long the runtime waits at most: zero if it has work, `None` if only an event ends
    /// the wait.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Waits for events of the real kernel, and adds them. Does not wait if there is no room for one.
    ///
    /// # Errors
    ///
    /// Those of epoll_wait(2), except for `EINTR`, which ends the wait without events.
    pub fn real(&mut self, limit: Option<Duration>) -> io::Result<()> {
        let room = self.room();
        if room > 0 {
            self.events.extend((self.real)(room, limit)?);
        }
        Ok(())
    }

    /// Adds an event. Returns `false`, without effect, if there is no room for it: it has to come with
    /// the next wait.
    #[must_use = "an event for which there is no room has to come with the next wait"]
    pub fn push(&mut self, event: Event) -> bool {
        let has_room = self.room() > 0;
        if has_room {
            self.events.push(event);
        }
        has_room
    }

    /// Returns the events so far, for example to change their order.
    pub fn events(&mut self) -> &mut [Event] {
        &mut self.events
    }

    /// Returns for how many more events there is room.
    #[must_use]
    pub fn room(&self) -> usize {
        self.capacity - self.events.len()
    }

    pub(crate) fn into_events(self) -> Vec<Event> {
        self.events
    }
}

impl fmt::Debug for Wait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("epoll", &self.epoll)
            .field("limit", &self.limit)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}
