//! What can go wrong in a world.

use crate::world::choices::{Choices, Name};

/// The faults of a world.
///
/// Each one keeps what Linux promises, and what the runtime builds on: bytes arrive in pieces, but a
/// receive that returns less than it was asked for leaves none behind; after `EAGAIN` comes an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    delays: bool,
    transfers: bool,
}

impl Faults {
    /// No faults, and everything is in flight for the same time.
    #[must_use]
    pub fn none() -> Self {
        Self {
            delays: false,
            transfers: false,
        }
    }

    /// Random delays, and nothing else. This is the default.
    #[must_use]
    pub fn delays_only() -> Self {
        Self {
            delays: true,
            transfers: false,
        }
    }

    /// What a program has to bear on any machine: random delays, bytes that arrive in pieces, short
    /// writes, `EINTR`, and `EAGAIN` although bytes or room are there.
    #[must_use]
    pub fn lossless() -> Self {
        Self {
            delays: true,
            transfers: true,
        }
    }

    pub(crate) fn delays(self) -> bool {
        self.delays
    }

    /// Returns whether a transfer is cut here.
    pub(crate) fn short<'a>(self, choices: &mut Choices, stream: impl Into<Name<'a>>) -> bool {
        self.transfers && choices.chance(stream, 4)
    }

    /// Returns the error of a transfer that would succeed.
    pub(crate) fn errno<'a>(
        self,
        choices: &mut Choices,
        stream: impl Into<Name<'a>>,
    ) -> Option<i32> {
        if !self.transfers {
            return None;
        }
        let stream = stream.into();
        if choices.chance(stream, 16) {
            Some(libc::EINTR)
        } else if choices.chance(stream, 16) {
            Some(libc::EAGAIN)
        } else {
            None
        }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::delays_only()
    }
}
