//! A point in time on the runtime's clock.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use crate::context;

/// A point in time, as the clock of this thread's runtime gives it.
///
/// As [`std::time::Instant`], with one difference: where the runtime's clock is paused or has been,
/// [`now`](Self::now) follows that clock. Outside of a runtime it is the system's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    std: std::time::Instant,
}

impl Instant {
    /// The time now.
    #[must_use]
    #[inline]
    pub fn now() -> Self {
        let std = context::with(|core| core.timers.clock.now());
        Instant {
            std: std.unwrap_or_else(std::time::Instant::now),
        }
    }

    /// Converts from the standard library's instant.
    #[must_use]
    pub fn from_std(std: std::time::Instant) -> Self {
        Instant { std }
    }

    /// Converts into the standard library's instant.
    #[must_use]
    #[inline]
    pub fn into_std(self) -> std::time::Instant {
        self.std
    }

    /// The time since `earlier`; zero when that is later.
    #[must_use]
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.std.saturating_duration_since(earlier.std)
    }

    /// The time since `earlier`; `None` when that is later.
    #[must_use]
    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        self.std.checked_duration_since(earlier.std)
    }

    /// The time since `earlier`; zero when that is later.
    #[must_use]
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.std.saturating_duration_since(earlier.std)
    }

    /// The time from this instant until now; zero when it lies ahead.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Instant::now().duration_since(*self)
    }

    /// This instant and `duration`; `None` beyond what an instant can hold.
    #[must_use]
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        self.std.checked_add(duration).map(Instant::from_std)
    }

    /// This instant less `duration`; `None` before what an instant can hold.
    #[must_use]
    pub fn checked_sub(&self, duration: Duration) -> Option<Instant> {
        self.std.checked_sub(duration).map(Instant::from_std)
    }

    /// This instant and `duration`; where that cannot be held, so far away that it never comes.
    #[must_use]
    #[inline]
    pub(crate) fn saturating_add(self, duration: Duration) -> Instant {
        match self.checked_add(duration) {
            Some(instant) => instant,
            None => self.farthest(),
        }
    }

    /// An instant so far away that it never comes.
    #[cold]
    #[inline(never)]
    fn farthest(self) -> Instant {
        // 2^62 seconds are 146 billion years. Repeated halving finds an instant that can be held.
        let mut far = Duration::from_secs(1 << 62);
        loop {
            if let Some(instant) = self.checked_add(far) {
                return instant;
            }
            far /= 2;
        }
    }
}

impl From<std::time::Instant> for Instant {
    fn from(std: std::time::Instant) -> Self {
        Instant { std }
    }
}

impl From<Instant> for std::time::Instant {
    fn from(instant: Instant) -> Self {
        instant.std
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant {
            std: self.std + duration,
        }
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        self.std += duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, duration: Duration) -> Instant {
        Instant {
            std: self.std - duration,
        }
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        self.std -= duration;
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.std.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_duration_can_be_added() {
        let now = Instant::now();
        assert_eq!(
            now.saturating_add(Duration::from_secs(1)),
            now + Duration::from_secs(1)
        );
        let never = now.saturating_add(Duration::MAX);
        assert!(never.duration_since(now) > Duration::from_secs(1 << 55));
    }
}
