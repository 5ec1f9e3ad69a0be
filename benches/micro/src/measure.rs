//! Finds out how often a work has to be done so that its time can be trusted, and does it.

use std::time::Duration;

use crate::Rival;
use crate::rivals::Visit;
use crate::work::{Done, Work};

/// Measures one work for about `target` on a fresh runtime.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Which work.
    pub work: Work,
    /// How long the measured part is to take.
    pub target: Duration,
    /// The core for the other thread, if there is one.
    pub helper: Option<usize>,
    /// How often to do it at first: [`FIRST`], or what was enough the last time.
    pub first: u64,
}

/// Few enough that the slowest work (some 100 microseconds each) does not take long.
pub const FIRST: u64 = 1000;
const MOST: u64 = 100_000_000;

impl Visit for Measure {
    type Output = Done;

    fn visit<R: Rival>(self) -> Done {
        // What fires has its number given, and waits for much longer than it takes.
        if let Work::Fire(_) = self.work {
            return self.work.run::<R>(self.first, self.helper);
        }
        let mut n = self.first;
        loop {
            let done = self.work.run::<R>(n, self.helper);
            // A work that has to do more than asked for (all of a million tasks) is long enough; and
            // where one task never lets the others run, asking for more does not help.
            let other_than_asked = done.count > 4 * n || done.count < n / 4;
            if done.time >= self.target / 2 || n >= MOST || other_than_asked {
                return done;
            }
            let each = done.time.as_secs_f64() / done.count as f64;
            let enough = (self.target.as_secs_f64() / each) as u64;
            n = enough.clamp(n * 2, n * 50).min(MOST);
        }
    }
}
