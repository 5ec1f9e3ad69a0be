//! The clock of a host: it can be ahead of the simulation's, and run faster or slower.

/// How many millionths there are in one.
const MILLION: i64 = 1_000_000;

/// A clock in terms of the simulation's time. It never goes back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// What the time of day is ahead. The runtime's clock has no use for it, as in Linux.
    pub(crate) offset_ns: u64,
    /// The rate is `drift_ppm` millionths above that of the simulation.
    drift_ppm: i32,
    /// The clock showed `at_ns` when the simulation's showed `since_ns`.
    since_ns: u64,
    at_ns: u64,
}

/// Returns the first time of the simulation at which a host's clock showed `shown_ns`, of the clocks that the host has
/// had one after another.
pub(crate) fn when(clocks: &[Clock], shown_ns: u64) -> u64 {
    let later = clocks.iter().rev().find(|clock| clock.at_ns <= shown_ns);
    later
        .or(clocks.first())
        .map_or(shown_ns, |clock| clock.when(shown_ns))
}

impl Clock {
    /// Returns what the clock shows at a time of the simulation.
    pub(crate) fn at(&self, now_ns: u64) -> u64 {
        let passed = u128::from(now_ns.saturating_sub(self.since_ns));
        let passed = passed * self.rate() / MILLION as u128;
        self.at_ns
            .saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// Returns the first time of the simulation at which the clock shows `shown_ns`.
    pub(crate) fn when(&self, shown_ns: u64) -> u64 {
        let ahead = u128::from(shown_ns.saturating_sub(self.at_ns));
        let passed = (ahead * MILLION as u128).div_ceil(self.rate());
        self.since_ns
            .saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// Sets offset and rate from now on.
    pub(crate) fn set(&mut self, now_ns: u64, offset_ns: u64, drift_ppm: i32) {
        *self = Self {
            offset_ns,
            drift_ppm,
            since_ns: now_ns,
            at_ns: self.at(now_ns),
        };
    }

    /// Millionths of the clock's time in a unit of the simulation's.
    fn rate(&self) -> u128 {
        (MILLION + i64::from(self.drift_ppm)).max(1) as u128
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_reached_exactly_when_the_clock_shows_it() {
        for drift_ppm in [-999_999, -100_000, -37, 0, 1, 50, 333_333, 2_000_000] {
            let mut clock = Clock::default();
            clock.set(1_000, 5, drift_ppm);
            for shown in [1_000, 1_001, 1_017, 2_000_003, 1_000_000_000_007] {
                let when = clock.when(shown);
                assert!(clock.at(when) >= shown, "{drift_ppm} {shown}");
                let before = clock.at(when.saturating_sub(1));
                assert!(when == 1_000 || before < shown, "{drift_ppm} {shown}");
            }
        }
    }

    #[test]
    fn a_time_that_a_clock_showed_before_it_was_set_is_that_of_the_clock_before() {
        let mut clock = Clock::default();
        clock.set(0, 0, 100_000);
        let mut clocks = vec![clock];
        clock.set(1_000_000, 0, -500_000);
        clocks.push(clock);
        for now_ns in [0, 10, 999_990, 1_000_000, 1_000_002, 5_000_000] {
            let shown_ns = match now_ns {
                ..1_000_000 => clocks[0].at(now_ns),
                _ => clocks[1].at(now_ns),
            };
            assert_eq!(when(&clocks, shown_ns), now_ns);
        }
        assert_eq!(when(&[], 7), 7);
    }

    #[test]
    fn a_clock_that_is_set_never_goes_back() {
        let mut clock = Clock::default();
        clock.set(0, 0, 100_000);
        assert_eq!(clock.at(1_000_000), 1_100_000);
        clock.set(1_000_000, 0, -500_000);
        assert_eq!(clock.at(1_000_000), 1_100_000);
        assert_eq!(clock.at(1_000_002), 1_100_001);
        assert_eq!(clock.at(0), 1_100_000);
    }
}
