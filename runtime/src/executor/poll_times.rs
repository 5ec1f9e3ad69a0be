//! How long polls take: a histogram, and a call for those that take too long. Off by default.
//!
//! Used by the executor when [`Builder::enable_metrics_poll_time_histogram`](crate::runtime::Builder::enable_metrics_poll_time_histogram) or
//! [`Builder::on_slow_poll`](crate::runtime::Builder::on_slow_poll) asked for it; it costs two clock
//! readings per poll. A task that computes for long starves every other one on its thread, and this
//! is how one finds it.

use std::cell::RefCell;
use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

/// A poll that took longer than the limit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SlowPoll {
    /// The task's name, when it has one.
    pub name: Option<String>,
    /// Where the task was spawned; `None` when it ended with this poll.
    pub spawned_at: Option<&'static Location<'static>>,
    /// How long the poll took.
    pub took: Duration,
}

/// Called with each poll over the limit.
pub(crate) type Hook = Box<dyn Fn(&SlowPoll)>;

pub(crate) struct PollTimes {
    histogram: RefCell<Histogram>,
    slow: Option<(Duration, Hook)>,
}

impl PollTimes {
    pub(crate) fn new(slow: Option<(Duration, Hook)>) -> Self {
        PollTimes {
            histogram: RefCell::new(Histogram::new()),
            slow,
        }
    }

    pub(crate) fn start(&self) -> Instant {
        Instant::now()
    }

    pub(crate) fn stop(&self, started: Instant) -> Duration {
        started.elapsed()
    }

    /// Counts a poll; `who` is asked for the task's name and spawn site only when it was slow.
    pub(crate) fn record(
        &self,
        took: Duration,
        who: impl FnOnce() -> (Option<String>, Option<&'static Location<'static>>),
    ) {
        self.histogram.borrow_mut().record(took);
        if let Some((limit, hook)) = &self.slow
            && took > *limit
        {
            let (name, spawned_at) = who();
            hook(&SlowPoll {
                name,
                spawned_at,
                took,
            });
        }
    }

    /// The time within which the given share of all polls ended, to about 19 %.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        self.histogram.borrow().quantile(share)
    }
}

impl fmt::Debug for PollTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollTimes")
            .field("p50", &self.quantile(0.5))
            .finish_non_exhaustive()
    }
}

/// Four buckets per doubling, from 1 ns up: 2 KiB that hold any duration.
struct Histogram {
    counts: Box<[u64; 256]>,
    total: u64,
}

impl Histogram {
    fn new() -> Self {
        Histogram {
            counts: Box::new([0; 256]),
            total: 0,
        }
    }

    fn bucket(took: Duration) -> usize {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let octave = ns.ilog2();
        // The two bits below the leading one choose the quarter of the octave.
        let quarter = if octave >= 2 {
            ns >> (octave - 2) & 3
        } else {
            0
        };
        octave as usize * 4 + quarter as usize
    }

    /// The longest time that falls into a bucket.
    fn upper_bound(bucket: usize) -> Duration {
        let (octave, quarter) = (bucket / 4, bucket as u64 % 4);
        let base = 1u64 << octave;
        // Below 4 ns an octave has fewer than four numbers, and only its first bucket is used.
        let quarter = if octave < 2 { 3 } else { quarter };
        let bound = u128::from(base) + u128::from(base) * u128::from(quarter + 1) / 4;
        Duration::from_nanos(u64::try_from(bound - 1).unwrap_or(u64::MAX).max(1))
    }

    fn record(&mut self, took: Duration) {
        self.counts[Self::bucket(took)] += 1;
        self.total += 1;
    }

    fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(Self::upper_bound(bucket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_never_below_the_time_it_stands_for_and_at_most_a_quarter_above() {
        for ns in [
            1,
            2,
            3,
            5,
            64,
            100,
            999,
            12_345,
            1_000_000_007,
            u64::MAX / 2,
        ] {
            let mut histogram = Histogram::new();
            histogram.record(Duration::from_nanos(ns));
            let found = histogram.quantile(0.5).unwrap().as_nanos();
            assert!(found >= u128::from(ns), "{ns}: {found}");
            assert!(found <= u128::from(ns) * 5 / 4 + 1, "{ns}: {found}");
        }
    }

    #[test]
    fn the_quantiles_of_a_mixture_fall_where_they_should() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), None);
        for _ in 0..98 {
            histogram.record(Duration::from_micros(1));
        }
        histogram.record(Duration::from_millis(1));
        histogram.record(Duration::from_millis(1));
        assert!(histogram.quantile(0.5).unwrap() < Duration::from_micros(2));
        assert!(histogram.quantile(0.99).unwrap() >= Duration::from_millis(1));
    }
}
