//! What a handle has seen of its source's readiness, so that most questions need no look at the
//! source.
//!
//! Kept by [`AsyncFd`](crate::io::AsyncFd), brought up to date by the reactor, or by the event that
//! woke the poll in progress ([`hear`](crate::news::hear)). Between two events
//! readiness only shrinks, and only through the handle: an operation met EAGAIN, or moved less than
//! it asked for. So the handle notes that by itself, and whether the source has news is told by the
//! count of events that both remember:
//!
//! ```text
//!   same count    the handle knows more (what has been disproved since): the source takes its word
//!   other count   an event has come: the source knows more, the handle takes its word
//! ```
//!
//! Per echoed message this leaves two looks at the source (woken: what is ready? and: wait again)
//! of the five that reading, clearing, writing and waiting would make: 767 instructions instead of
//! 843 when it was introduced (docs/TRIED.md has the commands). The first of the two is mostly
//! spared as well, because [what woke the poll](crate::news) says what is ready.
//!
//! Atomic only because a handle is `Sync`. Every access is relaxed, which on the usual machines is
//! an ordinary load or store: the handle is used on its runtime's thread, and should another thread
//! clear readiness at the same time (a guard may be carried there), one of the two clears is lost.
//! That is harmless: readiness that is believed too long costs one EAGAIN.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ready::{Interest, Ready};

/// What one side knows of a source's readiness, in one word:
///
/// ```text
///  count of events that it is the sum of : 32 | (0) : 24 | ready : 8
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known(u64);

impl Known {
    /// What is known before the first event.
    pub(crate) const NOTHING: Known = Known(0);

    #[inline]
    pub(crate) fn ready(self) -> Ready {
        Ready::from_bits(self.0 as u8)
    }

    #[inline]
    pub(crate) fn events(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Whether no event lies between the two.
    #[inline]
    pub(crate) fn is_as_recent_as(self, other: Known) -> bool {
        self.events() == other.events()
    }

    /// With one more event.
    #[inline]
    pub(crate) fn after(self, ready: Ready) -> Self {
        Known(self.0.wrapping_add(1 << 32)).with(ready)
    }

    /// With something more, which no event has said.
    #[inline]
    pub(crate) fn with(self, what: Ready) -> Self {
        Known(self.0 | u64::from(what.to_bits()))
    }

    /// With something disproved.
    #[inline]
    pub(crate) fn without(self, what: Ready) -> Self {
        Known(self.0 & !u64::from(what.to_bits()))
    }

    /// The part that ends a wait for `interest`.
    #[inline]
    pub(crate) fn of(self, interest: Interest) -> Self {
        let others = !interest.mask().to_bits();
        Known(self.0 & !u64::from(others))
    }
}

/// A source's readiness as last seen.
#[derive(Debug, Default)]
pub(crate) struct Seen(AtomicU64);

impl Seen {
    #[inline]
    pub(crate) fn get(&self) -> Known {
        Known(self.0.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn set(&self, known: Known) {
        self.0.store(known.0, Ordering::Relaxed);
    }

    /// Notes that an operation which began with `known` has disproved `what`, unless news has been
    /// seen since.
    #[inline]
    pub(crate) fn clear(&self, known: Known, what: Ready) {
        let now = self.get();
        if now.is_as_recent_as(known) {
            self.set(now.without(what));
        }
    }
}
