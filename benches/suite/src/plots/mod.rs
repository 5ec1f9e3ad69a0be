//! Draws the results as SVG: one plot per metric, one panel per case.
//!
//! Every plot says in words which direction is better and what the whiskers are. Contestants differ in
//! shape as well as in color. `bars`, `dots` and `lines` have one kind of panel each, `marks` the symbols
//! and the legend.

use std::error::Error;
use std::fs;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::format::known;
use crate::part::{Metric, Part, Plot};
use crate::record::{Estimate, Row, Series};
use crate::results::Results;

mod bars;
mod dots;
mod lines;
mod marks;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

const FONT: &str = "sans-serif";
const GRID: RGBColor = RGBColor(225, 225, 225);
const TEXT: RGBColor = RGBColor(80, 80, 80);

/// Returns the file name of a metric's plot.
pub(crate) fn file_name(part: Part, metric: &Metric) -> String {
    format!("{}-{}.svg", part.name(), metric.name)
}

/// Returns the metrics that have a plot.
pub(crate) fn drawn(all: &[Results]) -> Vec<(Part, Metric)> {
    let metrics = all.iter().flat_map(|results| {
        let metrics = results.part.metrics().into_iter();
        metrics.map(move |metric| (results, metric))
    });
    metrics
        .filter(|(_, metric)| metric.plot != Plot::None)
        .filter(|(results, metric)| !Series::new(&results.samples, metric.name).rows().is_empty())
        .map(|(results, metric)| (results.part, metric))
        .collect()
}

/// Draws all plots.
///
/// # Errors
///
/// Returns an error if a file cannot be written.
pub(crate) fn draw(directory: &Path, all: &[Results]) -> Drawn {
    for results in all {
        for metric in results.part.metrics() {
            let series = Series::new(&results.samples, metric.name);
            if series.rows().is_empty() || metric.plot == Plot::None {
                continue;
            }
            let file = directory.join(file_name(results.part, &metric));
            draw_one(&file, results.part, &metric, &series)?;
        }
    }
    Ok(())
}

fn draw_one(file: &Path, part: Part, metric: &Metric, series: &Series<'_>) -> Drawn {
    let title = metric.alternative_text(part);
    let value = Values {
        series,
        to: match metric.plot {
            Plot::Ratio(to, _) => Some(to),
            _ => None,
        },
    };
    let head = Head {
        title: &title,
        whiskers: value.whiskers(),
        note: metric.note,
    };
    match metric.plot {
        Plot::None => return Ok(()),
        Plot::Bars => bars::draw(file, &head, metric, &value)?,
        Plot::Lines(x) => lines::draw(file, &head, x, metric.unit, &value)?,
        Plot::Ratio(to, x) => dots::draw(file, &head, x, to, &value)?,
    }
    describe(file, &title)
}

/// Adds the title to a file for programs that read it aloud. The backend has no element for it.
fn describe(file: &Path, title: &str) -> Drawn {
    let text = fs::read_to_string(file)?;
    let start = text.find("<svg").ok_or("the plot has no svg element")?;
    let end = start + text[start..].find('>').ok_or("the svg element is open")?;
    let (before, after) = text.split_at(end);
    let before = before.replacen("<svg", "<svg role=\"img\"", 1);
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    let after = after.strip_prefix('>').unwrap_or(after);
    fs::write(file, format!("{before}>\n<title>{title}</title>{after}"))?;
    Ok(())
}

/// The values of a plot: medians, or medians of ratios to a contestant.
struct Values<'a> {
    series: &'a Series<'a>,
    to: Option<&'a str>,
}

impl Values<'_> {
    fn names(&self) -> Vec<String> {
        self.series.contestants(&known())
    }

    fn estimate(&self, row: &Row, name: &str) -> Option<Estimate> {
        match self.to {
            Some(to) => self.series.estimate(row, name, to),
            None => self.series.estimate_own(row, name),
        }
    }

    /// Returns a median and the ends of its whisker: the interval, or with too few rounds for one the
    /// smallest and the largest value.
    fn point(&self, row: &Row, name: &str) -> Option<Point> {
        let estimate = self.estimate(row, name)?;
        let (low, high) = match estimate.low.is_finite() {
            true => (estimate.low, estimate.high),
            false => estimate.range,
        };
        Some(Point {
            median: estimate.median,
            low,
            high,
        })
    }

    /// Describes the whiskers of the plot.
    fn whiskers(&self) -> Option<&'static str> {
        let (mut intervals, mut ranges) = (false, false);
        for row in self.series.rows() {
            for name in self.names() {
                if let Some(estimate) = self.estimate(&row, &name) {
                    let interval = estimate.low.is_finite();
                    intervals |= interval && estimate.low < estimate.high;
                    ranges |= !interval && estimate.range.0 < estimate.range.1;
                }
            }
        }
        match (intervals, ranges) {
            (true, true) => {
                Some("whiskers: interval of 99 %, or all rounds where they are fewer than 8")
            }
            (true, false) => Some("whiskers: interval of 99 %"),
            (false, true) => Some("whiskers: smallest and largest of a few runs"),
            (false, false) => None,
        }
    }
}

/// A median and the ends of its whisker.
#[derive(Clone, Copy, Debug)]
struct Point {
    median: f64,
    low: f64,
    high: f64,
}

/// The text above the panels.
struct Head<'a> {
    title: &'a str,
    whiskers: Option<&'static str>,
    /// Explanation of what a reader would otherwise ask.
    note: &'static [&'static str],
}

impl Head<'_> {
    fn height(&self) -> u32 {
        let lines = self.note.len() + usize::from(self.whiskers.is_some());
        40 + 18 * lines as u32
    }
}

/// Number and size of the panels of a plot.
#[derive(Clone, Copy)]
struct Panels {
    count: usize,
    columns: usize,
    width: u32,
    height: u32,
    /// Height of the area below the panels.
    below: u32,
}

impl Panels {
    fn size(self, head: &Head<'_>) -> (u32, u32) {
        let rows = self.count.div_ceil(self.columns) as u32;
        let width = (self.columns as u32 * self.width).max(720);
        (width, head.height() + rows * self.height + self.below)
    }
}

/// Draws the head, and returns the areas of the panels and the area below them.
fn grid<'a>(
    root: &Area<'a>,
    head: &Head<'_>,
    panels: Panels,
) -> Result<(Vec<Area<'a>>, Area<'a>), Box<dyn Error>> {
    root.fill(&WHITE)?;
    let style = (FONT, 19).into_font().into_text_style(root);
    root.draw_text(head.title, &style, (12, 10))?;
    let small = (FONT, 13).into_font().color(&TEXT).into_text_style(root);
    let lines = head.whiskers.iter().chain(head.note);
    for (place, line) in lines.enumerate() {
        root.draw_text(line, &small, (12, 36 + 18 * place as i32))?;
    }
    let (_, rest) = root.split_vertically(head.height());
    let (_, height) = rest.dim_in_pixel();
    let (middle, below) = rest.split_vertically(height - panels.below);
    let rows = panels.count.div_ceil(panels.columns);
    Ok((middle.split_evenly((rows, panels.columns)), below))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Sample;

    #[test]
    fn a_plot_names_itself_for_readers_of_the_file() {
        let file = std::env::temp_dir().join(format!("wakeful-plot-{}.svg", std::process::id()));
        fs::write(&file, "<?xml?>\n<svg width=\"1\">\n<rect/></svg>").unwrap();
        describe(&file, "a < b & c").unwrap();
        let text = fs::read_to_string(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let start = "<?xml?>\n<svg role=\"img\" width=\"1\">\n<title>a &lt; b &amp; c</title>";
        assert!(text.starts_with(start), "{text}");
        assert!(text.ends_with("\n<rect/></svg>"), "{text}");
    }

    #[test]
    fn few_rounds_have_a_range_and_many_an_interval() {
        let samples = |count: u32| -> Vec<Sample> {
            let sample = |round| Sample {
                case: "case".to_owned(),
                x: 0.0,
                contestant: "one".to_owned(),
                metric: "m".to_owned(),
                round,
                value: f64::from(round),
            };
            (0..count).map(sample).collect()
        };
        for (count, low, high) in [(3, 0.0, 2.0), (20, 3.0, 16.0)] {
            let samples = samples(count);
            let series = Series::new(&samples, "m");
            let row = &series.rows()[0];
            let values = Values {
                series: &series,
                to: None,
            };
            let point = values.point(row, "one").unwrap();
            assert_eq!((point.low, point.high), (low, high), "{count} rounds");
        }
    }
}
