//! What a handle has seen of its source's readiness, so that most questions need no look at the
//! source.
//!
//! Kept by [`AsyncFd`](crate::io::AsyncFd), brought up to date by the reactor. Between two events
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
//! of the five that reading, clearing, writing and waiting would make: 767 instructions instead of 843
//! when it was introduced (docs/TRIED.md has the commands).
//!
//! Atomic only because a handle is `Sync`. Every access is relaxed, which on the usual machines is
//! an ordinary load or store: the handle is used on its runtime's thread, and should another thread
//! clear readiness at the same time (a guard may be carried there), one of the two clears is lost.
//! That is harmless: readiness that is believed too long costs one EAGAIN.

use std::sync::atomic::{AtomicU64, Ordering};

use super::ready::{Interest, Ready};

/// What one side knows of a source's readiness.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) ready: Ready,
    /// How many events that is the sum of; given back to [`Seen::clear`].
    pub(crate) events: u32,
}

impl Known {
    /// What a handle knows before it has looked.
    pub(crate) const NOTHING: Known = Known {
        ready: Ready::EMPTY,
        events: 0,
    };

    /// The part that ends a wait for `interest`.
    #[inline]
    pub(crate) fn of(self, interest: Interest) -> Self {
        Known {
            ready: self.ready & interest.mask(),
            ..self
        }
    }
}

/// A source's readiness as last seen:
///
/// ```text
///  count of events : 32 | (0) : 24 | ready : 8
/// ```
#[derive(Debug, Default)]
pub(crate) struct Seen(AtomicU64);

impl Seen {
    #[inline]
    pub(crate) fn get(&self) -> Known {
        let bits = self.0.load(Ordering::Relaxed);
        Known {
            ready: Ready::from_bits(bits as u8),
            events: (bits >> 32) as u32,
        }
    }

    #[inline]
    pub(crate) fn set(&self, known: Known) {
        let bits = u64::from(known.events) << 32 | u64::from(known.ready.to_bits());
        self.0.store(bits, Ordering::Relaxed);
    }

    /// Notes that an operation has disproved `what`, unless news has been seen since the operation
    /// began, at `events`.
    #[inline]
    pub(crate) fn clear(&self, events: u32, what: Ready) {
        let now = self.get();
        if now.events == events {
            self.set(Known {
                ready: now.ready - what,
                events,
            });
        }
    }
}
