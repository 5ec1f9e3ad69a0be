//! What can go wrong in a world.

use crate::world::choices::Choices;

/// The faults of a world.
///
/// Each one keeps what Linux promises, and what the runtime builds on: bytes arrive in pieces, but a
/// receive that returns less than it was asked for leaves none behind; after `EAGAIN` comes an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    delays: bool,
    transfers: bool,
    shortages: bool,
}

impl Faults {
    /// No faults, and everything is in flight for the same time.
    #[must_use]
    pub fn none() -> Self {
        Self {
            delays: false,
            transfers: false,
            shortages: false,
        }
    }

    /// Random delays, and nothing else. This is the default.
    #[must_use]
    pub fn delays_only() -> Self {
        Self {
            delays: true,
            transfers: false,
            shortages: false,
        }
    }

    /// What a program has to bear on any machine: random delays, bytes that arrive in pieces, short
    /// writes, `EINTR`, and `EAGAIN` although bytes or room are there.
    #[must_use]
    pub fn lossless() -> Self {
        Self {
            delays: true,
            transfers: true,
            shortages: false,
        }
    }

    /// Adds errors of accept(2): a shortage of descriptors, after which the connection is still in the queue, and
    /// a connection that was lost before.
    #[must_use]
    pub fn with_shortages(mut self) -> Self {
        self.shortages = true;
        self
    }

    pub(crate) fn delays(self) -> bool {
        self.delays
    }

    /// Returns whether a transfer is cut here.
    pub(crate) fn short(self, choices: &mut Choices, stream: &str) -> bool {
        self.transfers && choices.chance(stream, 4)
    }

    /// Returns the error of a transfer that would succeed.
    pub(crate) fn errno(self, choices: &mut Choices, stream: &str) -> Option<i32> {
        if !self.transfers {
            return None;
        }
        if choices.chance(stream, 16) {
            Some(libc::EINTR)
        } else if choices.chance(stream, 16) {
            Some(libc::EAGAIN)
        } else {
            None
        }
    }

    /// Returns the error of an accept, which takes no connection out of the queue.
    pub(crate) fn accept_errno(self, choices: &mut Choices, stream: &str) -> Option<i32> {
        if !self.shortages {
            return None;
        }
        let errnos = [libc::EMFILE, libc::ECONNABORTED, libc::EINTR];
        let mut errnos = errnos.into_iter();
        errnos.find(|_| choices.chance(stream, 8))
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::delays_only()
    }
}
