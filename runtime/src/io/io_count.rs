//! [`IoCount`]: what a transfer says about the kernel's buffer.
//!
//! Returned by the operations that [`AsyncFd`](super::AsyncFd) tries; decides whether readiness is
//! cleared without a second system call.

/// The number of bytes that one transfer moved, and how many it could have moved.
///
/// A transfer is *short* when it moved some bytes, but fewer than requested. Then the kernel's buffer
/// was empty (receive) or full (send), and a new event will report when that changes: the next attempt
/// can wait without a system call that returns `EAGAIN` (`epoll(7)`, question 9). A transfer of zero
/// bytes is not short, because the end of a stream causes no further event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoCount {
    transferred: usize,
    requested: usize,
}

impl IoCount {
    /// A transfer of `transferred` out of `requested` bytes.
    #[must_use]
    #[inline]
    pub fn new(transferred: usize, requested: usize) -> Self {
        IoCount {
            transferred,
            requested,
        }
    }

    /// A transfer whose size says nothing about the kernel's buffer: a datagram, a peek, a receive
    /// that ended early because of control data. It is never short.
    #[must_use]
    #[inline]
    pub fn unknown(transferred: usize) -> Self {
        IoCount::new(transferred, transferred)
    }

    /// The number of bytes that moved.
    #[must_use]
    #[inline]
    pub fn transferred(self) -> usize {
        self.transferred
    }

    /// Whether some bytes moved, but fewer than requested.
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
