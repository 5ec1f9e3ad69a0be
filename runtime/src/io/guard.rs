//! What one holds between "it is ready" and "it was not, after all".
//!
//! Made by [`Readiness`](super::Readiness) and [`AsyncFd::try_ready`]; notes with the handle what
//! an operation has disproved. The guard remembers the source's event count, so that news which
//! came in the meantime is never cleared with the old.

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use super::{AsyncFd, Interest, Ready};
use crate::reactor::seen::Known;

/// A descriptor that was ready a moment ago.
///
/// Readiness stays cached, and the next wait returns at once, until it is cleared: by
/// [`try_io`](Self::try_io) when the operation says `WouldBlock`, by
/// [`short_transfer`](Self::short_transfer), or by [`clear_ready`](Self::clear_ready).
#[must_use = "readiness stays cached until an operation through the guard disproves it"]
pub struct AsyncFdReadyGuard<'a, T: AsFd> {
    fd: &'a AsyncFd<T>,
    interest: Interest,
    known: Known,
}

impl<'a, T: AsFd> AsyncFdReadyGuard<'a, T> {
    #[inline]
    pub(super) fn new(fd: &'a AsyncFd<T>, interest: Interest, known: Known) -> Self {
        AsyncFdReadyGuard {
            fd,
            interest,
            known,
        }
    }

    /// What is ready, of what was asked for.
    #[must_use]
    #[inline]
    pub fn ready(&self) -> Ready {
        self.known.ready().shown()
    }

    /// The descriptor.
    #[must_use]
    #[inline]
    pub fn get_ref(&self) -> &'a AsyncFd<T> {
        self.fd
    }

    /// The value in the [`AsyncFd`].
    #[must_use]
    #[inline]
    pub fn get_inner(&self) -> &'a T {
        self.fd.get_ref()
    }

    /// Tries an operation; when it says `WouldBlock`, readiness is cleared.
    ///
    /// # Errors
    ///
    /// [`TryIoError`] when the operation would block: wait again. Every other result of the
    /// operation, good or bad, is the inner `Result`.
    #[inline]
    pub fn try_io<R>(
        &mut self,
        operation: impl FnOnce(&AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        match operation(self.fd) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // The kernel itself says that nothing is there, not even an end of stream.
                self.clear(self.interest.mask());
                Err(TryIoError(()))
            }
            result => Ok(result),
        }
    }

    /// Notes that an operation moved less than it was asked to: the kernel's buffer is empty, or
    /// full, and the next attempt would only find that out.
    ///
    /// With edge-triggered epoll a new event will come when that changes (`epoll(7)`, question 9).
    /// The exceptions are an end of stream, a hang-up and an error, whose event may have come
    /// already, and urgent data, before which a receive stops short: once one of those is known,
    /// readiness stays.
    #[inline]
    pub fn short_transfer(&mut self) {
        if !self.known.ready().intersects(Ready::LASTING) {
            self.clear(self.interest.mask());
        }
    }

    /// Clears readiness, but for a closed direction, which stays closed.
    ///
    /// Only to be called when an operation has shown that the descriptor is not ready: otherwise
    /// the next wait may last for ever.
    pub fn clear_ready(&mut self) {
        self.clear_ready_matching(Ready::ALL);
    }

    /// Clears the given part of readiness, but for a closed direction, which stays closed.
    pub fn clear_ready_matching(&mut self, ready: Ready) {
        let closed = Ready::READ_CLOSED | Ready::WRITE_CLOSED;
        self.clear((self.interest.mask() & ready.with_notes()) - closed);
    }

    /// Leaves readiness as it is: says in words that nothing is to be cleared.
    pub fn retain_ready(&mut self) {}

    #[inline]
    fn clear(&mut self, what: Ready) {
        self.known = self.known.without(what);
        let seen = &self.fd.registration().seen;
        seen.clear(self.known, what);
    }
}

impl<T: AsFd> fmt::Debug for AsyncFdReadyGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFdReadyGuard")
            .field("ready", &self.ready())
            .field("interest", &self.interest)
            .finish_non_exhaustive()
    }
}

/// The operation would have blocked; wait for readiness again.
#[derive(Debug)]
pub struct TryIoError(());

impl fmt::Display for TryIoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operation would block; wait until the descriptor is ready again")
    }
}

impl std::error::Error for TryIoError {}
