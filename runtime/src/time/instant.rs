//! A point in time on the runtime's clock.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use crate::context;

/// A point in time on the clock of this thread's runtime.
///
/// It is a [`std::time::Instant`] with one difference: after the runtime's clock was paused,
/// [`now`](Self::now) returns the time of that clock. Outside of a runtime it returns the system's.
///
/// # Panics
///
/// `+` and `-` panic when the result is beyond the range of an instant. For a duration that comes from
/// outside, use [`checked_add`](Self::checked_add).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    std: std::time::Instant,
}

impl Instant {
    /// Returns the current time.
    #[must_use]
    #[inline]
    pub fn now() -> Self {
        let std = context::with_current(|core| core.timers.clock.now());
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

    /// Returns the time since `earlier`; zero if that is later.
    #[must_use]
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.std.saturating_duration_since(earlier.std)
    }

    /// Returns the time since `earlier`; `None` if that is later.
    #[must_use]
    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        self.std.checked_duration_since(earlier.std)
    }

    /// Returns the time since `earlier`; zero if that is later.
    #[must_use]
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.std.saturating_duration_since(earlier.std)
    }

    /// Returns the time from this instant until now; zero if this is later.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Instant::now().duration_since(*self)
    }

    /// Adds a duration; `None` beyond the range of an instant.
    #[must_use]
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        self.std.checked_add(duration).map(Instant::from_std)
    }

    /// Subtracts a duration; `None` beyond the range of an instant.
    #[must_use]
    pub fn checked_sub(&self, duration: Duration) -> Option<Instant> {
        self.std.checked_sub(duration).map(Instant::from_std)
    }

    /// Adds a duration. Beyond the range of an instant, returns one so late that it never comes.
    #[must_use]
    #[inline]
    pub(crate) fn saturating_add(self, duration: Duration) -> Instant {
        match self.checked_add(duration) {
            Some(instant) => instant,
            None => self.farthest(),
        }
    }

    /// Returns an instant so late that it never comes.
    #[cold]
    #[inline(never)]
    fn farthest(self) -> Instant {
        // 2^62 seconds are 146 billion years. Repeated halving finds an instant within the range.
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
