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
    datagrams: bool,
    shortages: bool,
    /// Whether what is sent arrives before the call returns.
    at_once: bool,
    /// Whether the order of tasks and events is chosen.
    orders: bool,
}

/// What becomes of a datagram of UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives,
    Lost,
    Twice,
    /// Later ones overtake it.
    Late,
}

impl Faults {
    /// No faults, and everything is in flight for the same time.
    #[must_use]
    pub fn none() -> Self {
        Self {
            delays: false,
            transfers: false,
            datagrams: false,
            shortages: false,
            at_once: false,
            orders: true,
        }
    }

    /// No faults, and what is sent has arrived when the call returns, as on Linux' loopback.
    #[must_use]
    pub fn loopback() -> Self {
        Self {
            at_once: true,
            ..Self::none()
        }
    }

    /// Random delays, and nothing else. This is the default.
    #[must_use]
    pub fn delays_only() -> Self {
        Self {
            delays: true,
            ..Self::none()
        }
    }

    /// What a program has to bear on any machine: random delays, bytes that arrive in pieces, short
    /// writes, `EINTR`, and `EAGAIN` although bytes or room are there.
    #[must_use]
    pub fn lossless() -> Self {
        Self {
            delays: true,
            transfers: true,
            ..Self::none()
        }
    }

    /// What a program has to bear on any network: as [`lossless`](Self::lossless), and datagrams of UDP that
    /// are lost, arrive twice, or are overtaken by later ones.
    #[must_use]
    pub fn hostile() -> Self {
        Self {
            delays: true,
            transfers: true,
            datagrams: true,
            ..Self::none()
        }
    }

    /// Leaves tasks and events in the order in which they became ready, instead of a chosen one.
    #[must_use]
    pub fn in_order(self) -> Self {
        Self {
            orders: false,
            ..self
        }
    }

    pub(crate) fn at_once(self) -> bool {
        self.at_once
    }

    pub(crate) fn orders(self) -> bool {
        self.orders
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
    #[inline]
    pub(crate) fn short<'a>(self, choices: &mut Choices, stream: impl Into<Name<'a>>) -> bool {
        self.transfers && choices.chance(stream, 4)
    }

    /// Returns what becomes of a datagram.
    pub(crate) fn datagram(self, choices: &mut Choices, stream: (&'static str, u64)) -> Fate {
        if !self.datagrams {
            Fate::Arrives
        } else if choices.chance(stream, 8) {
            Fate::Lost
        } else if choices.chance(stream, 8) {
            Fate::Twice
        } else if choices.chance(stream, 8) {
            Fate::Late
        } else {
            Fate::Arrives
        }
    }

    /// Returns the error of a transfer that would succeed.
    pub(crate) fn errno(self, choices: &mut Choices, stream: Name<'_>) -> Option<i32> {
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
    pub(crate) fn accept_errno(
        self,
        choices: &mut Choices,
        stream: (&'static str, u64),
    ) -> Option<i32> {
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
