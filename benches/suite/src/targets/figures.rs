//! Looks up the figures that targets are judged by.
//!
//! Everything is computed from the samples by name. A part that was not run shows up as "not
//! measured", and no figure is typed by hand.

use super::verdict::{Outcome, Verdict};
use crate::contestants::RUNTIMES;
use crate::format::number;
use crate::part::Part;
use crate::record::{Estimate, Row, Series};
use crate::results::Results;

/// Lowest ratio to a rival that counts as equal; a smaller difference is noise (PERFORMANCE.md).
pub(super) const NOISE: f64 = 0.97;
/// Highest exponent of n at which a cost counts as flat except for cache misses: 0 is flat, 1 is
/// linear.
const FLAT: f64 = 0.2;

/// The results of all parts.
pub(super) struct Figures<'a>(pub(super) &'a [Results]);

pub(super) fn row(case: &str, x: f64) -> Row {
    Row {
        case: case.to_owned(),
        x,
    }
}

/// A ratio to another contestant.
#[derive(Clone, Debug)]
pub(super) struct Against {
    pub(super) ratio: Estimate,
    pub(super) name: &'static str,
}

impl<'a> Figures<'a> {
    /// Returns all samples of a metric; an empty series if the part was not run.
    pub(super) fn series(&self, part: Part, metric: &str) -> Series<'a> {
        let results = self.0.iter().find(|results| results.part == part);
        Series::new(results.map_or(&[], |results| &results.samples), metric)
    }

    /// Returns the median of a contestant, for cases without an x axis.
    pub(super) fn median(
        &self,
        part: Part,
        metric: &str,
        case: &str,
        contestant: &str,
    ) -> Option<f64> {
        self.series(part, metric)
            .median(&row(case, 0.0), contestant)
    }

    /// Returns how many times as fast as `other` Wakeful is.
    pub(super) fn times_as_fast(&self, case: &str, other: &str) -> Option<Estimate> {
        let series = self.series(Part::Micro, "ns");
        series.estimate(&row(case, 0.0), other, RUNTIMES[0].name)
    }

    /// Returns the fastest rival: the one with the lowest ratio.
    pub(super) fn best_rival(&self, case: &str) -> Option<Against> {
        let rivals = RUNTIMES[1..].iter();
        let all = rivals.filter_map(|rival| {
            Some(Against {
                ratio: self.times_as_fast(case, rival.name)?,
                name: rival.name,
            })
        });
        all.min_by(|one, other| one.ratio.median.total_cmp(&other.ratio.median))
    }

    /// Judges how the cost of one operation grows.
    pub(super) fn flat(&self, id: &'static str, what: &'static str, case: &str) -> Verdict {
        let series = self.series(Part::Curves, "ns");
        let name = RUNTIMES[0].name;
        let points: Vec<(f64, f64)> = series
            .rows()
            .iter()
            .filter(|row| row.case == case)
            .filter_map(|row| Some((row.x, series.median(row, name)?)))
            .collect();
        let measured = growth(&points).map(|(factor, exponent)| {
            let (least, most) = (points[0].0, points[points.len() - 1].0);
            let shown = format!(
                "{factor:.2} times as long from {} to {}: n to the {exponent:.2}",
                number(least),
                number(most)
            );
            (shown, Outcome::of(exponent <= FLAT))
        });
        Verdict::new(
            id,
            what,
            "flat except for cache misses: n to at most 0.2",
            measured,
        )
    }
}

/// Returns the factor from the first to the last value, and the exponent of the power of n that has
/// this growth.
pub(super) fn growth(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let [(n_first, first), .., (n_last, last)] = *points else {
        return None;
    };
    let factor = last / first;
    Some((factor, factor.ln() / (n_last / n_first).ln()))
}
