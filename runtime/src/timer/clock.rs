//! The clock of a runtime: the system's time, or a paused time.
//!
//! Used by the timers and by [`Instant::now`](crate::time::Instant::now). Internally a time is the number
//! of nanoseconds since the runtime was built, in 64 bits, which is 584 years. A paused clock stands
//! still. It is moved by `advance`, and by the loop when there is nothing but timers to wait for.
//!
//! A kernel that is installed when the runtime is built can replace the system's time, see
//! [`Kernel::now_ns`](crate::kernel::Kernel::now_ns).

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::kernel;

#[derive(Debug)]
pub(crate) struct Clock {
    /// Time zero.
    base: Instant,
    /// What the installed kernel's clock showed then; `None` if the system's clock is used.
    kernel_base_ns: Option<u64>,
    mode: Cell<Mode>,
    /// Whether it has always shown the system's time.
    is_system: Cell<bool>,
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    /// Running with the system's clock: it showed `at_ns` when the system's showed `since_ns`.
    Running { at_ns: u64, since_ns: u64 },
    /// Standing still.
    Paused { now_ns: u64 },
}

impl Clock {
    pub(crate) fn new(paused: bool) -> Self {
        let mode = if paused {
            Mode::Paused { now_ns: 0 }
        } else {
            Mode::Running {
                at_ns: 0,
                since_ns: 0,
            }
        };
        let kernel_base_ns = kernel_ns();
        Clock {
            base: Instant::now(),
            kernel_base_ns,
            mode: Cell::new(mode),
            is_system: Cell::new(!paused && kernel_base_ns.is_none()),
        }
    }

    /// The latest time. `u64::MAX` is the deadline of a timer that never expires (I7).
    const LAST_NS: u64 = u64::MAX - 1;

    /// Returns the time that passes by itself: the system's, or the installed kernel's.
    fn system_ns(&self) -> u64 {
        if let Some(base_ns) = self.kernel_base_ns {
            // 0 if the kernel was removed before the runtime.
            return kernel_ns().map_or(0, |now_ns| now_ns.saturating_sub(base_ns));
        }
        self.base
            .elapsed()
            .as_nanos()
            .try_into()
            .unwrap_or(u64::MAX)
    }

    /// Returns the time in nanoseconds since the runtime was built.
    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        match self.mode.get() {
            Mode::Running { at_ns, since_ns } => {
                let passed_ns = self.system_ns().saturating_sub(since_ns);
                let now_ns = at_ns.saturating_add(passed_ns);
                now_ns.min(Self::LAST_NS)
            }
            Mode::Paused { now_ns } => now_ns,
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        matches!(self.mode.get(), Mode::Paused { .. })
    }

    /// Returns whether the time is not the system's, because the clock is paused or an installed kernel's.
    pub(crate) fn is_virtual(&self) -> bool {
        self.kernel_base_ns.is_some() || self.is_paused()
    }

    /// Returns whether the time is that of an installed kernel, which moves it in waits.
    pub(crate) fn moves_in_waits(&self) -> bool {
        self.kernel_base_ns.is_some()
    }

    /// Pauses the clock. Returns `false` if it was paused.
    pub(crate) fn pause(&self) -> bool {
        let now_ns = self.now_ns();
        self.is_system.set(false);
        !matches!(
            self.mode.replace(Mode::Paused { now_ns }),
            Mode::Paused { .. }
        )
    }

    /// Resumes the clock from the time that it shows. Returns `false` if it was running.
    pub(crate) fn resume(&self) -> bool {
        let Mode::Paused { now_ns } = self.mode.get() else {
            return false;
        };
        self.mode.set(Mode::Running {
            at_ns: now_ns,
            since_ns: self.system_ns(),
        });
        true
    }

    /// Moves a paused clock forward, never back and never beyond its last time. Returns `false` if it
    /// is running.
    pub(crate) fn advance_to(&self, to_ns: u64) -> bool {
        let Mode::Paused { now_ns } = self.mode.get() else {
            return false;
        };
        self.mode.set(Mode::Paused {
            now_ns: to_ns.clamp(now_ns, Self::LAST_NS),
        });
        true
    }

    /// Converts an instant into nanoseconds: 0 before the runtime was built, `u64::MAX` beyond 584 years.
    #[inline]
    pub(crate) fn ns_of(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.base);
        // Two multiplications instead of a division of 128 bits.
        since
            .as_secs()
            .saturating_mul(1_000_000_000)
            .saturating_add(since.subsec_nanos().into())
    }

    /// The inverse of [`ns_of`](Self::ns_of).
    pub(crate) fn instant_at(&self, ns: u64) -> Instant {
        self.base
            .checked_add(Duration::from_nanos(ns))
            .unwrap_or(self.base)
    }

    /// Returns the time that passes by itself, also while the clock is paused.
    pub(crate) fn passing_now(&self) -> Instant {
        match self.kernel_base_ns {
            None => Instant::now(),
            Some(_) => self.instant_at(self.system_ns()),
        }
    }

    /// Returns the time as an [`Instant`].
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        // Saves two conversions.
        if self.is_system.get() {
            return Instant::now();
        }
        self.now_by_mode()
    }

    #[cold]
    #[inline(never)]
    fn now_by_mode(&self) -> Instant {
        self.instant_at(self.now_ns())
    }
}

/// Returns the time of the kernel that is installed on this thread, if it has one.
fn kernel_ns() -> Option<u64> {
    if kernel::any() {
        kernel::current()?.now_ns()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paused_clock_moves_only_by_advance_and_only_forward() {
        let clock = Clock::new(true);
        assert_eq!(clock.now_ns(), 0);
        assert!(clock.advance_to(500));
        assert!(clock.advance_to(400));
        assert_eq!(clock.now_ns(), 500);
        assert!(!clock.pause(), "the clock is paused");
    }

    #[test]
    fn a_resumed_clock_continues_from_the_paused_time() {
        let clock = Clock::new(true);
        clock.advance_to(3_600_000_000_000);
        assert!(clock.resume());
        assert!(!clock.resume());
        let now = clock.now_ns();
        assert!(
            (3_600_000_000_000..3_660_000_000_000).contains(&now),
            "{now}"
        );
        assert!(!clock.advance_to(u64::MAX), "the clock is running");
    }

    #[test]
    fn a_clock_that_runs_again_counts_only_the_time_since() {
        let mut clock = Clock::new(false);
        clock.base -= Duration::from_secs(3_600);
        assert!(clock.pause());
        assert!(clock.resume());
        let hours = Duration::from_nanos(clock.now_ns()).as_secs() / 3_600;
        assert_eq!(hours, 1);
    }

    #[test]
    fn instants_and_numbers_convert_both_ways_and_saturate() {
        let clock = Clock::new(true);
        let later = clock.instant_at(0) + Duration::from_nanos(1_234_567_890);
        assert_eq!(clock.ns_of(later), 1_234_567_890);
        assert_eq!(clock.instant_at(1_234_567_890), later);
        let far = clock
            .instant_at(0)
            .checked_add(Duration::from_secs(1 << 36))
            .unwrap();
        assert_eq!(clock.ns_of(far), u64::MAX);
        let before = clock.instant_at(0) - Duration::from_millis(1);
        assert_eq!(clock.ns_of(before), 0);
    }
}
