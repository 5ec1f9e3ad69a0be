//! Round-trip times: collects them in a histogram of constant size (three digits are exact).

use std::time::Duration;

use bench_load::Report;
use hdrhistogram::Histogram;

pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn new() -> Times {
        let longest = Duration::from_secs(100).as_nanos() as u64;
        // Fails for nonsensical bounds only, and these are constants.
        Times(Histogram::new_with_max(longest, 3).expect("the bounds are sensible"))
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
