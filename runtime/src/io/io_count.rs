//! [`IoCount`]: the result of a transfer, which shows whether the kernel's buffer is used up.
//!
//! Returned by the operations that [`AsyncFd`](super::AsyncFd) tries. It decides whether readiness is
//! cleared without a second system call.

/// The number of bytes that one transfer moved, and the number that was requested.
///
/// A transfer is *short* when it moved some bytes, but fewer than requested. Then the kernel's buffer
/// was empty (receive) or full (send), and a new event reports when that changes. So the next attempt
/// can wait without a system call that returns `EAGAIN` (`epoll(7)`, question 9). A transfer of zero
/// bytes is not short, because the end of a stream causes no further event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoCount {
    transferred: usize,
    requested: usize,
}

impl IoCount {
    /// Describes a transfer of `transferred` out of `requested` bytes.
    #[must_use]
    #[inline]
    pub fn new(transferred: usize, requested: usize) -> Self {
        IoCount {
            transferred,
            requested,
        }
    }

    /// Describes a transfer whose size says nothing about the kernel's buffer: a datagram, a peek, a
    /// receive that ended early because of control data. It is never short.
    #[must_use]
    #[inline]
    pub fn unknown(transferred: usize) -> Self {
        IoCount::new(transferred, transferred)
    }

    /// Returns the number of bytes that moved.
    #[must_use]
    #[inline]
    pub fn transferred(self) -> usize {
        self.transferred
    }

    /// Returns whether some bytes moved, but fewer than requested.
    #[must_use]
    #[inline]
    pub fn is_short(self) -> bool {
        0 < self.transferred && self.transferred < self.requested
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_is_short_only_when_something_but_not_everything_moved() {
        let is_short = |transferred, requested| IoCount::new(transferred, requested).is_short();
        assert!(!is_short(0, 10));
        assert!(is_short(9, 10));
        assert!(!is_short(10, 10));
        assert!(!is_short(0, 0));
        assert!(!IoCount::unknown(9).is_short());
    }
}
