//! Durations of polls: a histogram, and a hook for slow polls. Off by default.
//!
//! Called by the executor if
//! [`Builder::enable_metrics_poll_time_histogram`](crate::runtime::Builder::enable_metrics_poll_time_histogram)
//! or [`Builder::on_slow_poll`](crate::runtime::Builder::on_slow_poll) turned it on. It costs two
//! clock readings per poll. A task that computes for a long time delays every other task of its
//! thread, and these figures show it. A poll that never ends is found by [`crate::watch`].

use std::cell::RefCell;
use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

/// A poll that took longer than the limit of
/// [`Builder::on_slow_poll`](crate::runtime::Builder::on_slow_poll).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SlowPoll {
    /// Name of the task, if it has one.
    pub name: Option<String>,
    /// Source location of the spawn; `None` if the task finished with this poll.
    pub spawned_at: Option<&'static Location<'static>>,
    /// Duration of the poll.
    pub took: Duration,
}

/// Hook that is called with each poll over the limit.
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

    /// Counts a poll, and calls the hook if it was slow. Only then calls `task` for the name and the
    /// spawn location.
    pub(crate) fn record(
        &self,
        took: Duration,
        task: impl FnOnce() -> (Option<String>, Option<&'static Location<'static>>),
    ) {
        self.histogram.borrow_mut().record(took);
        if let Some((limit, hook)) = &self.slow
            && took > *limit
        {
            let (name, spawned_at) = task();
            hook(&SlowPoll {
                name,
                spawned_at,
                took,
            });
        }
    }

    /// Returns the duration that the given share of all polls did not exceed. The result is at most
    /// 25 % too long.
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

/// Histogram with four buckets per power of two, from 1 ns up: 2 KiB for any duration.
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

    /// Returns the index of the bucket that counts a duration.
    fn bucket(took: Duration) -> usize {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let octave = ns.ilog2();
        // The two bits below the leading one are the quarter of the octave.
        let quarter = if octave >= 2 {
            ns >> (octave - 2) & 3
        } else {
            0
        };
        octave as usize * 4 + quarter as usize
    }

    /// Returns the longest duration that a bucket counts.
    fn upper_bound(bucket: usize) -> Duration {
        let (octave, quarter) = (bucket / 4, bucket as u64 % 4);
        let base = 1u64 << octave;
        // Below 4 ns, an octave has fewer than four values and uses only its first bucket.
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
    use std::rc::Rc;

    #[test]
    fn a_quantile_is_never_too_short_and_at_most_a_quarter_too_long() {
        for ns in [
            1,
            2,
            3,
            4,
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
    fn a_poll_of_exactly_the_limit_is_not_slow() {
        let reported = Rc::new(RefCell::new(Vec::new()));
        let hook = {
            let reported = Rc::clone(&reported);
            move |slow: &SlowPoll| reported.borrow_mut().push(slow.took)
        };
        let limit = Duration::from_millis(1);
        let times = PollTimes::new(Some((limit, Box::new(hook))));
        let longer = limit + Duration::from_nanos(1);
        times.record(limit, || (None, None));
        times.record(longer, || (None, None));
        assert_eq!(*reported.borrow(), [longer]);
    }

    #[test]
    fn quantiles_of_mixed_durations_match_their_shares() {
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
