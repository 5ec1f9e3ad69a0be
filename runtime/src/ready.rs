//! What an operation waits for ([`Interest`]) and what the kernel reported ([`Ready`]): two small bit
//! sets.
//!
//! Used by the reactor and, as public types, by [`crate::io`]. [`Ready::from_epoll`] alone maps the
//! kernel's event flags:
//!
//! ```text
//!  EPOLLIN     READABLE                     a read will not block
//!  EPOLLPRI    PRIORITY | URGENT            out-of-band data; a read stops short before it
//!  EPOLLOUT    WRITABLE                     a write will not block
//!  EPOLLRDHUP  READ_CLOSED                  the peer sends no more; data may come before it
//!  EPOLLHUP    READ_CLOSED | WRITE_CLOSED   both directions are at their end
//!  EPOLLERR    ERROR | TROUBLE              wakes both directions: the first operation receives
//!                                           the error, unless it is in the error queue
//! ```
//!
//! See `epoll_ctl(2)` for the flags.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Sub};

use crate::sys::epoll::Epoll;

/// The directions in which an operation waits for a descriptor; combined with `|`.
///
/// Stored as the set of readiness that ends the wait, so that one `&` answers "is it ready?".
///
/// # Examples
///
/// ```
/// use wakeful::io::Interest;
///
/// let both = Interest::READABLE | Interest::WRITABLE;
/// assert!(both.is_readable() && both.is_writable());
/// assert!(!Interest::READABLE.is_writable());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Interest {
    ends_with: u8,
    /// Whether the wait is in both directions. Stored because every wait needs it (docs/TRIED.md,
    /// "interest").
    both_directions: bool,
}

/// The readiness that ends a wait in any direction.
const ALWAYS: u8 = Ready::TROUBLE.0;

impl Interest {
    /// Waiting to read: data, a closed peer, an error.
    pub const READABLE: Interest =
        Interest::of(Ready::READABLE.0 | Ready::READ_CLOSED.0 | Ready::URGENT.0 | ALWAYS);
    /// Waiting to write: room, a closed peer, an error.
    pub const WRITABLE: Interest = Interest::of(Ready::WRITABLE.0 | Ready::WRITE_CLOSED.0 | ALWAYS);
    /// Waiting for exceptional conditions, such as out-of-band data.
    pub const PRIORITY: Interest = Interest::of(Ready::PRIORITY.0 | Ready::READ_CLOSED.0 | ALWAYS);

    /// Waiting for errors alone: an asynchronous error of a socket, a message in its error queue.
    /// Errors end every other wait as well.
    pub const ERROR: Interest = Interest::of(Ready::ERROR.0);

    const fn of(ready: u8) -> Interest {
        Interest {
            ends_with: ready,
            both_directions: false,
        }
    }

    /// Returns whether any of these ends the wait.
    #[inline]
    const fn ends_with(self, any: Ready) -> bool {
        self.mask().intersects(any)
    }

    /// Combines two interests, like `|`.
    #[must_use]
    pub const fn add(self, other: Interest) -> Interest {
        let mut both = Interest::of(self.ends_with | other.ends_with);
        both.both_directions = both.reads() && both.is_writable();
        both
    }

    /// Returns whether reading is among them.
    #[must_use]
    #[inline]
    pub const fn is_readable(self) -> bool {
        self.ends_with(Ready::READABLE)
    }

    /// Returns whether writing is among them.
    #[must_use]
    #[inline]
    pub const fn is_writable(self) -> bool {
        self.ends_with(Ready::WRITABLE)
    }

    /// Returns whether exceptional conditions are among them.
    #[must_use]
    #[inline]
    pub const fn is_priority(self) -> bool {
        self.ends_with(Ready::PRIORITY)
    }

    /// Returns the readiness that ends the wait.
    #[inline]
    pub(crate) const fn mask(self) -> Ready {
        Ready(self.ends_with)
    }

    /// Returns whether the waiter is stored with the readers of the source. Waiters for errors alone
    /// are, because an error wakes readers and writers.
    #[inline]
    pub(crate) const fn reads(self) -> bool {
        self.is_readable() || self.is_priority() || !self.is_writable()
    }

    /// Returns whether the wait is in both directions.
    #[inline]
    pub(crate) const fn is_both(self) -> bool {
        self.both_directions
    }

    /// Returns whether a descriptor that is registered for `self` has an event that ends a wait for `wait`,
    /// beside errors and the end of both directions, which are always reported. A wait for errors alone needs
    /// no other.
    #[inline]
    pub(crate) const fn shares_event_with(self, wait: Interest) -> bool {
        let asked = Ready::READABLE.0 | Ready::WRITABLE.0 | Ready::PRIORITY.0;
        let waited = wait.ends_with & asked;
        // EPOLLPRI is among the flags of reading.
        let with_reading = Ready::PRIORITY.0 * self.is_readable() as u8;
        waited == 0 || waited & (self.ends_with | with_reading) != 0
    }

    pub(crate) const fn to_epoll(self) -> u32 {
        let mut flags = 0;
        if self.is_readable() {
            flags |= Epoll::READ;
        }
        if self.is_writable() {
            flags |= Epoll::WRITE;
        }
        if self.is_priority() {
            flags |= Epoll::PRIORITY;
        }
        flags
    }
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        self.add(other)
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Ready::READABLE | Ready::WRITABLE | Ready::PRIORITY | Ready::ERROR;
        (self.mask() & named).fmt(f)
    }
}

/// The readiness that the kernel reported for a descriptor and that no operation has disproved since.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready(u8);

impl Ready {
    /// Nothing.
    pub const EMPTY: Ready = Ready(0);
    /// A read will not block.
    pub const READABLE: Ready = Ready(0x01);
    /// A write will not block.
    pub const WRITABLE: Ready = Ready(0x04);
    /// The peer has closed its sending side.
    pub const READ_CLOSED: Ready = Ready(0x20);
    /// Nothing written will reach the peer.
    pub const WRITE_CLOSED: Ready = Ready(0x10);
    /// Out-of-band data or another exceptional condition.
    pub const PRIORITY: Ready = Ready(0x02);
    /// An error is pending on the descriptor.
    pub const ERROR: Ready = Ready(0x08);
    /// Everything that is shown to users.
    pub const ALL: Ready = Ready(0x3f);

    #[inline]
    pub(crate) const fn from_epoll(flags: u32) -> Ready {
        // The five flags in the low byte are the kernel's bits (see the assertion below).
        let same = flags & 0x1f;
        // The usual event has no other flag.
        if flags & !Ready::BOTH == 0 {
            return Ready(same as u8);
        }
        // EPOLLRDHUP is moved next to them, and three flags set a second bit each.
        let read_closed = flags >> 8 & 0x20;
        let hung_up = (flags & 0x10) << 1;
        let urgent = (flags & 0x02) << 5;
        let trouble = (flags & 0x08) << 4;
        Ready((same | read_closed | hung_up | urgent | trouble) as u8)
    }

    /// The flags of data and room.
    const BOTH: u32 = (Self::READABLE.0 | Self::WRITABLE.0) as u32;

    #[inline]
    pub(crate) const fn to_bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Ready(bits)
    }

    /// The readiness with which a short transfer does not show that the kernel's buffer is empty or
    /// full: a direction at its end, an error, or urgent data, before which a receive stops although
    /// more follows. Only EAGAIN disproves these.
    pub(crate) const LASTING: Ready =
        Ready(Self::READ_CLOSED.0 | Self::WRITE_CLOSED.0 | Self::TROUBLE.0 | Self::URGENT.0);

    /// Urgent data, for readers. A bit apart from [`PRIORITY`](Self::PRIORITY), so that a reader that
    /// clears it does not clear that one. Not shown to users.
    const URGENT: Ready = Ready(0x40);

    /// An error, for waiters other than those for [`ERROR`](Self::ERROR) alone. A bit apart, because a
    /// receive does not take a message out of the error queue, so it must not clear `ERROR`. Shown to
    /// users as `ERROR`.
    const TROUBLE: Ready = Ready(0x80);

    /// Returns whether nothing is ready.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether a read would return at once: data, end of stream, or an error.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        self.intersects(Ready(Self::READABLE.0 | Self::READ_CLOSED.0))
    }

    /// Returns whether a write would return at once: room, or an error.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.intersects(Ready(Self::WRITABLE.0 | Self::WRITE_CLOSED.0))
    }

    /// Returns whether the peer has closed its sending side.
    #[must_use]
    pub const fn is_read_closed(self) -> bool {
        self.intersects(Self::READ_CLOSED)
    }

    /// Returns whether nothing written will reach the peer.
    #[must_use]
    pub const fn is_write_closed(self) -> bool {
        self.intersects(Self::WRITE_CLOSED)
    }

    /// Returns whether there is out-of-band data or another exceptional condition.
    #[must_use]
    pub const fn is_priority(self) -> bool {
        self.intersects(Self::PRIORITY)
    }

    /// Returns whether an error is pending.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.intersects(Self::ERROR)
    }

    /// Returns whether all of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Ready) -> bool {
        self.0 & other.0 == other.0
    }

    /// Adds the bits that are not shown to users and are cleared together with these.
    pub(crate) const fn with_hidden(self) -> Ready {
        match self.intersects(Ready::READABLE) {
            true => Ready(self.with_trouble().0 | Ready::URGENT.0),
            false => self.with_trouble(),
        }
    }

    /// Adds `TROUBLE` if `ERROR` is set.
    #[inline]
    pub(crate) const fn with_trouble(self) -> Ready {
        Ready(self.0 | (self.0 & Ready::ERROR.0) << 4)
    }

    /// Returns the part that is shown to users.
    #[inline]
    pub(crate) const fn shown(self) -> Ready {
        let error = (self.0 & Ready::TROUBLE.0) >> 4;
        Ready((self.0 | error) & Ready::ALL.0)
    }

    /// Returns whether it ends waits to read, and whether it ends waits to write.
    #[inline]
    pub(crate) const fn directions(self) -> (bool, bool) {
        let readers = Interest::READABLE.add(Interest::PRIORITY);
        (readers.ends_with(self), Interest::WRITABLE.ends_with(self))
    }

    #[inline]
    pub(crate) const fn intersects(self, other: Ready) -> bool {
        self.0 & other.0 != 0
    }
}

// The assumptions of `from_epoll`.
const _: () = assert!(
    libc::EPOLLIN as u8 == Ready::READABLE.0
        && libc::EPOLLPRI as u8 == Ready::PRIORITY.0
        && libc::EPOLLOUT as u8 == Ready::WRITABLE.0
        && libc::EPOLLERR as u8 == Ready::ERROR.0
        && libc::EPOLLHUP as u8 == Ready::WRITE_CLOSED.0
        && (libc::EPOLLRDHUP >> 8) as u8 == Ready::READ_CLOSED.0
);

impl BitOr for Ready {
    type Output = Ready;

    #[inline]
    fn bitor(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }
}

impl BitOrAssign for Ready {
    #[inline]
    fn bitor_assign(&mut self, other: Ready) {
        self.0 |= other.0;
    }
}

impl BitAnd for Ready {
    type Output = Ready;

    #[inline]
    fn bitand(self, other: Ready) -> Ready {
        Ready(self.0 & other.0)
    }
}

impl Sub for Ready {
    type Output = Ready;

    #[inline]
    fn sub(self, other: Ready) -> Ready {
        Ready(self.0 & !other.0)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::READABLE, "READABLE"),
            (Self::WRITABLE, "WRITABLE"),
            (Self::READ_CLOSED, "READ_CLOSED"),
            (Self::WRITE_CLOSED, "WRITE_CLOSED"),
            (Self::PRIORITY, "PRIORITY"),
            (Self::ERROR, "ERROR"),
        ];
        list_names(
            f,
            names
                .into_iter()
                .filter(|(flag, _)| self.intersects(*flag))
                .map(|(_, name)| name),
        )
    }
}

/// `READABLE|WRITABLE`, or `EMPTY`.
fn list_names(
    f: &mut fmt::Formatter<'_>,
    names: impl Iterator<Item = &'static str>,
) -> fmt::Result {
    let mut any = false;
    for name in names {
        let bar = if any { "|" } else { "" };
        write!(f, "{bar}{name}")?;
        any = true;
    }
    if any { Ok(()) } else { f.write_str("EMPTY") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries all 32 combinations of the five flags of a socket. A dispatch that compares the whole
    /// word with `==` loses most of them.
    #[test]
    fn every_combination_of_event_flags_reaches_the_right_direction() {
        let flags = [
            libc::EPOLLIN,
            libc::EPOLLOUT,
            libc::EPOLLRDHUP,
            libc::EPOLLHUP,
            libc::EPOLLERR,
        ];
        for combination in 0u32..32 {
            let has = |bit: usize| combination & 1 << bit != 0;
            let word = (0..5)
                .filter(|bit| has(*bit))
                .map(|bit| flags[bit] as u32)
                .sum();
            let ready = Ready::from_epoll(word);
            let reader = has(0) || has(2) || has(3) || has(4);
            let writer = has(1) || has(3) || has(4);
            assert_eq!(
                ready.intersects(Interest::READABLE.mask()),
                reader,
                "{word:#x}"
            );
            assert_eq!(
                ready.intersects(Interest::WRITABLE.mask()),
                writer,
                "{word:#x}"
            );
            assert_eq!(ready.is_read_closed(), has(2) || has(3), "{word:#x}");
            assert_eq!(ready.is_error(), has(4), "{word:#x}");
        }
    }
}
