//! Samples, and the statistics over them: medians, spreads, ratios and confidence intervals.

use std::collections::BTreeMap;
use std::fmt;

/// One measured value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// What was measured, such as `64 B, 1 at once`.
    pub(crate) case: String,
    /// Value on the x axis, such as the number of clients; 0 for cases without one.
    pub(crate) x: f64,
    pub(crate) contestant: String,
    /// Name of a [`Metric`](crate::part::Metric).
    pub(crate) metric: String,
    pub(crate) round: u32,
    pub(crate) value: f64,
}

/// A row of a table, or a point on the x axis of a plot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) x: f64,
}

/// All samples of one metric.
#[derive(Debug)]
pub(crate) struct Series<'a> {
    samples: Vec<&'a Sample>,
}

impl<'a> Series<'a> {
    pub(crate) fn new(samples: &'a [Sample], metric: &str) -> Series<'a> {
        let samples = samples.iter().filter(|sample| sample.metric == metric);
        Series {
            samples: samples.collect(),
        }
    }

    /// Returns the rows in the order in which they were first measured.
    pub(crate) fn rows(&self) -> Vec<Row> {
        unique(self.samples.iter().map(|sample| Row {
            case: sample.case.clone(),
            x: sample.x,
        }))
    }

    /// Returns the cases in the order in which they were first measured.
    pub(crate) fn cases(&self) -> Vec<String> {
        unique(self.samples.iter().map(|sample| sample.case.clone()))
    }

    /// Returns the measured contestants in the order of `known`; names not listed there come last.
    pub(crate) fn contestants(&self, known: &[&str]) -> Vec<String> {
        let mut names = unique(self.samples.iter().map(|sample| sample.contestant.clone()));
        names.sort_by_key(|name| known.iter().position(|other| other == name).unwrap_or(99));
        names
    }

    /// Returns the values of one contestant in one row, each with its round.
    pub(crate) fn values(&self, row: &Row, contestant: &str) -> Vec<(u32, f64)> {
        self.samples
            .iter()
            .filter(|sample| sample.case == row.case && sample.x == row.x)
            .filter(|sample| sample.contestant == contestant)
            .map(|sample| (sample.round, sample.value))
            .collect()
    }

    pub(crate) fn median(&self, row: &Row, contestant: &str) -> Option<f64> {
        median(self.values(row, contestant).iter().map(|&(_, value)| value))
    }

    /// Returns the median absolute deviation as a fraction of the median. `None` with fewer than
    /// three rounds, which are too few for it.
    pub(crate) fn spread(&self, row: &Row, contestant: &str) -> Option<f64> {
        let values = self.values(row, contestant);
        let middle = self.median(row, contestant)?;
        if values.len() < 3 || middle == 0.0 {
            return None;
        }
        let distances = values.iter().map(|&(_, value)| (value - middle).abs());
        median(distances).map(|distance| distance / middle)
    }

    /// Returns the median, over the rounds, of the ratio to another contestant in the same round.
    pub(crate) fn ratio(&self, row: &Row, contestant: &str, to: &str) -> Option<f64> {
        Some(self.estimate(row, contestant, to)?.median)
    }

    /// Returns the same median with its confidence interval.
    pub(crate) fn estimate(&self, row: &Row, contestant: &str, to: &str) -> Option<Estimate> {
        let others: BTreeMap<u32, f64> = self.values(row, to).into_iter().collect();
        let values = self.values(row, contestant).into_iter();
        let ratios = values.filter_map(|(round, value)| {
            let other = *others.get(&round)?;
            (other != 0.0).then(|| value / other)
        });
        Estimate::of(ratios.collect())
    }

    /// Returns the median of a contestant's own values with its confidence interval.
    pub(crate) fn estimate_own(&self, row: &Row, contestant: &str) -> Option<Estimate> {
        let values = self.values(row, contestant).into_iter();
        Estimate::of(values.map(|(_, value)| value).collect())
    }
}

/// A median with its confidence interval of 99 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    /// Lower end; minus infinity if there are too few rounds for an interval.
    pub(crate) low: f64,
    /// Upper end; plus infinity if there are too few rounds for an interval.
    pub(crate) high: f64,
    /// The smallest and the largest value.
    pub(crate) range: (f64, f64),
}

impl Estimate {
    /// Computes the interval by the sign test. For any distribution a value lies above the true
    /// median with a probability of one half, so the number of such values is binomial. The interval
    /// runs from the k-th smallest to the k-th largest value, with the largest k that the probability
    /// allows. (Le Boudec, Performance Evaluation of Computer and Communication Systems, theorem 2.1.)
    ///
    /// The test assumes independent rounds. Ratios within a round are independent.
    fn of(mut values: Vec<f64>) -> Option<Estimate> {
        values.sort_by(f64::total_cmp);
        let median = median(values.iter().copied())?;
        let (low, high) = match rank(values.len()) {
            0 => (f64::NEG_INFINITY, f64::INFINITY),
            k => (values[k - 1], values[values.len() - k]),
        };
        let range = (values[0], values[values.len() - 1]);
        Some(Estimate {
            median,
            low,
            high,
            range,
        })
    }

    /// Returns the estimate of `1 / ratio`.
    pub(crate) fn inverse(self) -> Estimate {
        let invert = |bound: f64| {
            if bound.is_finite() {
                1.0 / bound
            } else {
                -bound
            }
        };
        Estimate {
            median: 1.0 / self.median,
            low: invert(self.high),
            high: invert(self.low),
            range: (1.0 / self.range.1, 1.0 / self.range.0),
        }
    }
}

/// Formats as `0.98 [0.97, 0.99]`, or as `0.98` without an interval.
impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.median)?;
        if self.low.is_finite() {
            write!(f, " [{:.2}, {:.2}]", self.low, self.high)?;
        }
        Ok(())
    }
}

/// Returns the rank k of the interval's ends among `count` sorted values, counted from 1 from either
/// side. Returns 0 if `count` is too small for an interval.
fn rank(count: usize) -> usize {
    const OUTSIDE: f64 = 0.01;
    // Logarithm of the probability that exactly i values are below the median; it can be tiny.
    let n = count as f64;
    let mut exactly = n * 0.5_f64.ln();
    let (mut below, mut k) = (0.0, 0);
    while k < count {
        below += exactly.exp();
        if 2.0 * below > OUTSIDE {
            break;
        }
        exactly += ((n - k as f64) / (k as f64 + 1.0)).ln();
        k += 1;
    }
    k
}

fn unique<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for one in all {
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (middle, odd) = (values.len() / 2, values.len() % 2 == 1);
    match values.len() {
        0 => None,
        _ if odd => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(contestant: &str, round: u32, value: f64) -> Sample {
        Sample {
            case: "a".to_owned(),
            x: 0.0,
            contestant: contestant.to_owned(),
            metric: "m".to_owned(),
            round,
            value,
        }
    }

    #[test]
    fn a_median_is_the_middle_value_or_the_mean_of_the_middle_two() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median([].into_iter()), None);
    }

    #[test]
    fn a_ratio_compares_runs_of_the_same_round_only() {
        // Everything took ten times as long in round 1; the contestant is always twice as slow.
        let samples = [
            sample("floor", 0, 1.0),
            sample("one", 0, 2.0),
            sample("floor", 1, 10.0),
            sample("one", 1, 20.0),
            sample("one", 2, 999.0),
        ];
        let series = Series::new(&samples, "m");
        let row = &series.rows()[0];
        assert_eq!(series.ratio(row, "one", "floor"), Some(2.0));
        assert_eq!(series.ratio(row, "one", "absent"), None);
        assert_eq!(series.median(row, "one"), Some(20.0));
    }

    #[test]
    fn intervals_match_the_tables_of_the_sign_test() {
        // Le Boudec's table for 99 %: none for 7, the ends for 8, the 4th for 20, the 37th for 100.
        for (count, k) in [(0, 0), (7, 0), (8, 1), (20, 4), (100, 37)] {
            assert_eq!(rank(count), k, "{count}");
        }
        // Normal approximation: 5,000 minus 2.58 standard deviations of 50.
        assert!((4865..4875).contains(&rank(10_000)), "{}", rank(10_000));
    }

    #[test]
    fn the_inverse_of_an_estimate_swaps_its_bounds() {
        let estimate = Estimate::of((1..=20).map(f64::from).collect()).unwrap();
        assert_eq!(estimate.to_string(), "10.50 [4.00, 17.00]");
        let other = estimate.inverse();
        assert_eq!((other.low, other.high), (1.0 / 17.0, 0.25));
        let few = Estimate::of(vec![2.0]).unwrap();
        assert_eq!(few.to_string(), "2.00");
        assert_eq!(few.inverse().to_string(), "0.50");
    }

    #[test]
    fn a_spread_needs_three_rounds() {
        let two = [sample("one", 0, 1.0), sample("one", 1, 2.0)];
        let series = Series::new(&two, "m");
        assert_eq!(series.spread(&series.rows()[0], "one"), None);
        let three = [9.0, 10.0, 12.0].map(|value| sample("one", value as u32, value));
        let series = Series::new(&three, "m");
        assert_eq!(series.spread(&series.rows()[0], "one"), Some(0.1));
    }
}
