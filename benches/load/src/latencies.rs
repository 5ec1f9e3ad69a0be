//! Round-trip times, in a histogram of constant size with three exact digits.

use std::time::Duration;

use bench_load::Report;
use hdrhistogram::Histogram;

pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Latencies {
        let longest = Duration::from_secs(100).as_nanos() as u64;
        // Fails only for invalid bounds, and these are constants.
        Latencies(Histogram::new_with_max(longest, 3).expect("the bounds are valid"))
    }

    pub(crate) fn add(&mut self, time: Duration) {
        self.0.saturating_record(time.as_nanos() as u64);
    }

    pub(crate) fn report(&self, report: &mut Report) {
        let micros = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e3;
        report.p50_us = micros(0.5);
        report.p99_us = micros(0.99);
        report.p999_us = micros(0.999);
    }
}
