//! Ticks at a regular interval.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::sleep::Kind;
use super::{Instant, Sleep};
use crate::context;

/// Ticks at once, and then every `period`.
///
/// # Panics
///
/// When `period` is zero, or there is no runtime on this thread.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// wakeful::block_on(async {
///     let mut interval = wakeful::time::interval(Duration::from_millis(1));
///     for _ in 0..3 {
///         interval.tick().await;
///     }
/// });
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    if context::with_current(|_| ()).is_none() {
        context::require("time::interval");
    }
    interval_at(Instant::now(), period)
}

/// Ticks at `start`, and then every `period`.
///
/// # Panics
///
/// When `period` is zero.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wakeful::time::{Instant, interval_at};
///
/// let runtime = wakeful::runtime::Builder::new().start_paused(true).build().unwrap();
/// runtime.block_on(async {
///     let start = Instant::now();
///     let mut interval = interval_at(start + Duration::from_secs(60), Duration::from_secs(10));
///     interval.tick().await;
///     interval.tick().await;
///     assert_eq!(start.elapsed(), Duration::from_secs(70));
/// });
/// ```
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(
        !period.is_zero(),
        "time::interval: the period must not be zero"
    );
    Interval {
        sleep: Sleep::new(start, Kind::Tick, Location::caller()),
        period,
        missed: MissedTickBehavior::Burst,
    }
}

/// The behavior of an [`Interval`] after ticks that were not received in time.
///
/// With a period of 10 and a receiver that was busy from 10 to 35:
///
/// ```text
/// Burst  0 10 35 35 40 50    catches up: each tick at its own time or as soon as possible after it
/// Delay  0 10 35 45 55 65    counts the periods from the late tick
/// Skip   0 10 35 40 50 60    leaves out the missed ticks and keeps to the multiples
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MissedTickBehavior {
    /// Ticks as fast as they are received until it has caught up. The default.
    #[default]
    Burst,
    /// Counts the next period from the late tick.
    Delay,
    /// Skips to the next multiple of the period after the late tick.
    Skip,
}

impl MissedTickBehavior {
    fn next(self, due: Instant, now: Instant, period: Duration) -> Instant {
        match self {
            MissedTickBehavior::Burst => due.saturating_add(period),
            MissedTickBehavior::Delay => now.saturating_add(period),
            MissedTickBehavior::Skip => {
                let late = now.duration_since(due).as_nanos();
                let into = late % period.as_nanos();
                // Limited to 584 years.
                let rest = u64::try_from(period.as_nanos() - into).unwrap_or(u64::MAX);
                now.saturating_add(Duration::from_nanos(rest))
            }
        }
    }
}

/// A sequence of ticks; see [`interval`].
#[derive(Debug)]
pub struct Interval {
    /// The timer of the next tick.
    sleep: Sleep,
    period: Duration,
    missed: MissedTickBehavior,
}

/// The lateness up to which a tick does not count as missed, because waking up takes some time.
const TOLERANCE: Duration = Duration::from_millis(5);

impl Interval {
    /// Waits for the next tick and returns the instant for which it was due.
    ///
    /// # Panics
    ///
    /// Polling panics in the cases of a [`Sleep`].
    ///
    /// # Cancel safety
    ///
    /// Safe: a tick that was not received stays due.
    #[track_caller]
    pub fn tick(&mut self) -> Tick<'_> {
        self.sleep.set_location(Location::caller());
        Tick { interval: self }
    }

    /// As [`tick`](Self::tick), from inside a `poll` function.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.sleep.deadline();
        let now = Instant::now();
        let next = if now > due.saturating_add(TOLERANCE) {
            self.missed.next(due, now, self.period)
        } else {
            due.saturating_add(self.period)
        };
        Pin::new(&mut self.sleep).reset(next);
        Poll::Ready(due)
    }

    /// Sets the next tick to one period from now.
    pub fn reset(&mut self) {
        self.reset_at(Instant::now().saturating_add(self.period));
    }

    /// Sets the next tick to now.
    pub fn reset_immediately(&mut self) {
        self.reset_at(Instant::now());
    }

    /// Sets the next tick to the given time from now.
    pub fn reset_after(&mut self, after: Duration) {
        self.reset_at(Instant::now().saturating_add(after));
    }

    /// Sets the next tick to the given instant.
    pub fn reset_at(&mut self, deadline: Instant) {
        Pin::new(&mut self.sleep).reset(deadline);
    }

    /// Returns the behavior after missed ticks.
    #[must_use]
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Sets the behavior after missed ticks.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use wakeful::time::{Instant, MissedTickBehavior, interval, sleep};
    ///
    /// let runtime = wakeful::runtime::Builder::new().start_paused(true).build().unwrap();
    /// runtime.block_on(async {
    ///     let start = Instant::now();
    ///     let mut interval = interval(Duration::from_secs(10));
    ///     interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ///     interval.tick().await;
    ///     sleep(Duration::from_secs(35)).await; // busy: three ticks are missed
    ///     interval.tick().await; // the one of 10, late
    ///     interval.tick().await;
    ///     assert_eq!(start.elapsed(), Duration::from_secs(40));
    /// });
    /// ```
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }

    /// Returns the time between two ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }
}

/// The future of [`Interval::tick`].
#[must_use = "futures do nothing unless awaited"]
#[derive(Debug)]
pub struct Tick<'a> {
    interval: &'a mut Interval,
}

impl Future for Tick<'_> {
    type Output = Instant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        self.interval.poll_tick(cx)
    }
}
