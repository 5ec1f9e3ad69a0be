//! Every single number that was measured, and what is made of many: medians, spreads, ratios.

use serde::{Deserialize, Serialize};

/// One number.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Sample {
    /// What was done, such as `64 B, 1 at once`.
    pub(crate) case: String,
    /// How much of it, where that is what varies; 0 where nothing does.
    pub(crate) x: f64,
    pub(crate) contestant: String,
    /// What was read off, by the name under which [`crate::parts`] describes it.
    pub(crate) metric: String,
    pub(crate) round: u32,
    pub(crate) value: f64,
}

/// A row of a table, a point on a plot's axis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) x: f64,
}

/// All numbers of one metric.
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

    /// The rows, in the order in which they were first measured.
    pub(crate) fn rows(&self) -> Vec<Row> {
        unique(self.samples.iter().map(|sample| Row {
            case: sample.case.clone(),
            x: sample.x,
        }))
    }

    /// The cases alone, likewise.
    pub(crate) fn cases(&self) -> Vec<String> {
        unique(self.samples.iter().map(|sample| sample.case.clone()))
    }

    /// Who was measured, in the order of `known`, and then those that it does not name.
    pub(crate) fn contestants(&self, known: &[&str]) -> Vec<String> {
        let mut names = unique(self.samples.iter().map(|sample| sample.contestant.clone()));
        names.sort_by_key(|name| known.iter().position(|other| other == name).unwrap_or(99));
        names
    }

    /// The numbers of one contestant in one row, by round.
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

    /// How far, in the median, a round is from the median: as a fraction of it. `None` with fewer
    /// than three rounds, which tell nothing about that.
    pub(crate) fn spread(&self, row: &Row, contestant: &str) -> Option<f64> {
        let values = self.values(row, contestant);
        let middle = self.median(row, contestant)?;
        if values.len() < 3 || middle == 0.0 {
            return None;
        }
        let distances = values.iter().map(|&(_, value)| (value - middle).abs());
        median(distances).map(|distance| distance / middle)
    }

    /// The median, over the rounds, of the ratio to another contestant in the same round.
    pub(crate) fn ratio(&self, row: &Row, contestant: &str, to: &str) -> Option<f64> {
        let others = self.values(row, to);
        let values = self.values(row, contestant);
        let ratios = values.iter().filter_map(|(round, value)| {
            let (_, other) = others.iter().find(|(same, _)| same == round)?;
            (*other != 0.0).then(|| value / other)
        });
        median(ratios)
    }
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
    fn a_median_is_the_middle_one_or_between_the_middle_two() {
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
    fn a_spread_needs_three_rounds() {
        let two = [sample("one", 0, 1.0), sample("one", 1, 2.0)];
        let series = Series::new(&two, "m");
        assert_eq!(series.spread(&series.rows()[0], "one"), None);
        let three = [9.0, 10.0, 12.0].map(|value| sample("one", value as u32, value));
        let series = Series::new(&three, "m");
        assert_eq!(series.spread(&series.rows()[0], "one"), Some(0.1));
    }
}
