//! The times of a recording.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::event::{FLAG_VIRTUAL, UNIT_NS, UNIT_TICKS};
use crate::sys::ticks;

/// The clock of a recording, with its start. A copy can be read on another thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TraceTime {
    source: Source,
    started: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    /// The counter of the processor: 8 ns per reading.
    Ticks { start: u64 },
    /// The system's clock: 24 ns per reading.
    System,
    /// The runtime's clock as of the last turn, because it was paused at the start or is an installed kernel's:
    /// equal runs have equal times.
    Runtime { start_ns: u64, now_ns: u64 },
}

impl TraceTime {
    /// Starts the clock. `virtual_ns` is the time of the runtime's clock if that is not the system's.
    pub(crate) fn start_with(virtual_ns: Option<u64>) -> Self {
        let source = match virtual_ns {
            Some(now_ns) => Source::Runtime {
                start_ns: now_ns,
                now_ns,
            },
            None if ticks::are_a_clock() => Source::Ticks {
                start: ticks::read(),
            },
            None => Source::System,
        };
        TraceTime {
            source,
            started: Instant::now(),
        }
    }

    /// Returns the time since the start.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match self.source {
            Source::Ticks { start } => ticks::read().wrapping_sub(start),
            Source::System => self.elapsed_ns(),
            Source::Runtime { start_ns, now_ns } => now_ns - start_ns,
        }
    }

    /// Returns whether both clocks measure from the same moment.
    pub(super) fn has_started_with(self, other: TraceTime) -> bool {
        self.started == other.started
    }

    fn elapsed_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Sets the time of the runtime's clock, if this is that clock.
    pub(super) fn set_runtime_now(&mut self, ns: u64) {
        if let Source::Runtime { now_ns, .. } = &mut self.source {
            *now_ns = ns.max(*now_ns);
        }
    }

    /// Returns the present time in the unit of times and in nanoseconds.
    pub(super) fn calibration(&self) -> (u64, u64) {
        let now = self.now();
        match self.source {
            Source::Ticks { .. } => (now, self.elapsed_ns()),
            Source::System | Source::Runtime { .. } => (now, now),
        }
    }

    /// Converts a duration into nanoseconds.
    pub(super) fn to_ns(self, duration: u64) -> u64 {
        match self.calibration() {
            (0, _) => duration,
            (time, ns) => (u128::from(duration) * u128::from(ns) / u128::from(time)) as u64,
        }
    }

    /// Returns whether the times are those of the runtime's clock as of the last turn.
    pub(super) fn is_virtual(&self) -> bool {
        matches!(self.source, Source::Runtime { .. })
    }

    /// Returns the flags of the header that say of what kind the times are.
    pub(super) fn flags(&self) -> u32 {
        if self.is_virtual() { FLAG_VIRTUAL } else { 0 }
    }

    pub(super) fn unit(&self) -> u32 {
        match self.source {
            Source::Ticks { .. } => UNIT_TICKS,
            Source::System | Source::Runtime { .. } => UNIT_NS,
        }
    }

    /// Returns the value of the clock at the start.
    pub(super) fn start(&self) -> u64 {
        match self.source {
            Source::Ticks { start } => start,
            Source::System => 0,
            Source::Runtime { start_ns, .. } => start_ns,
        }
    }

    /// Returns the nanoseconds between 1970 and the start.
    pub(super) fn wall_clock_ns(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let ns = now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(0));
        ns.saturating_sub(self.elapsed_ns())
    }
}
