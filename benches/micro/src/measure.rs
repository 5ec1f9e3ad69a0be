//! Finds the number of operations for a measurement of the wanted duration, and measures.

use std::time::Duration;

use crate::Rival;
use crate::rivals::Visit;
use crate::shared::Measurement;
use crate::work::Work;

/// Measures one work item for about `target` on a new runtime.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// The work item.
    pub work: Work,
    /// Wanted duration of the measured part.
    pub target: Duration,
    /// Core of the second thread, if there is one.
    pub helper: Option<usize>,
    /// Number of operations of the first attempt: [`FIRST`], or that of the last measurement.
    pub first: u64,
}

/// Small enough for a short first attempt of the slowest work item, at about 100 µs per operation.
pub const FIRST: u64 = 1000;
const MOST: u64 = 100_000_000;

impl Visit for Measure {
    type Output = Measurement;

    fn visit<R: Rival>(self) -> Measurement {
        // The number of timers is given, and most of the time is waiting.
        if let Work::Fire(_) = self.work {
            return self.work.run::<R>(self.first, self.helper);
        }
        let mut n = self.first;
        loop {
            let measured = self.work.run::<R>(n, self.helper);
            // Stop if the actual count is far off. Above: with a million tasks one round is long enough.
            // Below: the runtime never runs the other tasks, and a larger `n` does not change that.
            let count_is_off = measured.count > 4 * n || measured.count < n / 4;
            if measured.time >= self.target / 2 || n >= MOST || count_is_off {
                return measured;
            }
            let each = measured.time.as_secs_f64() / measured.count as f64;
            let enough = (self.target.as_secs_f64() / each) as u64;
            n = enough.clamp(n * 2, n * 50).min(MOST);
        }
    }
}
