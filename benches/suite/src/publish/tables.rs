//! Tables of the pages: one metric with a row per contestant, or metrics of several parts.

use std::fmt::Write as _;

use crate::contestants::BUSY;
use crate::format::{clients, known, label, number};
use crate::part::{CLIENTS, Part, Plot};
use crate::plots;
use crate::record::{Row, Series};
use crate::results::Results;

/// The results, for one page.
pub(super) struct Pages<'a> {
    pub(super) all: &'a [Results],
    /// Path from the page to the plots.
    pub(super) folder: &'a str,
}

pub(super) const NOT_MEASURED: &str = "Not measured yet.\n";

/// A column of a table about several parts.
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) part: Part,
    pub(super) metric: &'static str,
    pub(super) case: &'static str,
    pub(super) x: f64,
    pub(super) show: Show,
}

/// Content of a cell.
#[derive(Clone, Copy)]
pub(super) enum Show {
    /// The median.
    Median,
    /// The ratio to this contestant.
    Ratio(&'static str),
}

impl Show {
    fn cell(self, series: &Series<'_>, row: &Row, name: &str) -> Option<String> {
        match self {
            Show::Median => series.median(row, name).map(number),
            Show::Ratio(to) => series
                .ratio(row, name, to)
                .map(|ratio| format!("{ratio:.2}")),
        }
    }
}

impl Pages<'_> {
    pub(super) fn of(&self, part: Part) -> Option<&Results> {
        self.all.iter().find(|results| results.part == part)
    }

    /// Formats a table whose columns come from several parts.
    pub(super) fn mixed(&self, names: &[&str], columns: &[Column]) -> String {
        let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
        let mut text = head(&titles);
        let mut empty = true;
        for name in names {
            let cells = columns.iter().map(|column| {
                let results = self.of(column.part)?;
                let series = Series::new(&results.samples, column.metric);
                let row = Row {
                    case: column.case.to_owned(),
                    x: column.x,
                };
                column.show.cell(&series, &row, name)
            });
            let cells: Vec<Option<String>> = cells.collect();
            if cells.iter().any(Option::is_some) {
                empty = false;
                line(&mut text, name, &cells);
            }
        }
        if empty { NOT_MEASURED.to_owned() } else { text }
    }

    /// Formats the plot of a metric, and a table for each of `shows`.
    pub(super) fn part(
        &self,
        part: Part,
        metric: &str,
        shows: &[Show],
        keep: impl Fn(&Row) -> bool + Copy,
    ) -> String {
        let plot = plots::drawn(self.all)
            .into_iter()
            .find(|(drawn, one)| *drawn == part && one.name == metric);
        let mut text = plot.map_or_else(String::new, |(_, metric)| {
            let file = plots::file_name(part, &metric);
            let text = metric.alternative_text(part);
            format!("![{text}]({}/{file})\n\n", self.folder)
        });
        for show in shows {
            text += &self.table(part, metric, show, keep);
        }
        text
    }

    /// Formats a table of one metric: a row per contestant, a column per row of the results that
    /// `keep` accepts.
    pub(super) fn table(
        &self,
        part: Part,
        metric: &str,
        show: &Show,
        keep: impl Fn(&Row) -> bool,
    ) -> String {
        let Some(results) = self.of(part) else {
            return NOT_MEASURED.to_owned();
        };
        let series = Series::new(&results.samples, metric);
        let rows: Vec<Row> = series.rows().into_iter().filter(|row| keep(row)).collect();
        let mut metrics = results.part.metrics().into_iter();
        let metric = metrics.find(|one| one.name == metric);
        let (Some(metric), false) = (metric, rows.is_empty()) else {
            return NOT_MEASURED.to_owned();
        };
        let better = metric.better;
        let unit = match (show, metric.unit) {
            (Show::Ratio(to), _) => format!(", as a ratio to {to} ({better})"),
            (Show::Median, "") => format!(" ({better})"),
            (Show::Median, unit) => format!(" ({unit}, {better})"),
        };
        let title = |row: &Row| match metric.plot {
            Plot::Lines(CLIENTS) | Plot::Ratio(_, CLIENTS) => {
                format!("{}, {}", row.case, clients(row.x))
            }
            _ => label(row),
        };
        let titles: Vec<String> = rows.iter().map(title).collect();
        let mut text = format!("{}{unit}:\n\n{}", metric.title, head(&titles));
        for name in series.contestants(&known()) {
            let cells = rows.iter().map(|row| show.cell(&series, row, &name));
            line(&mut text, &name, &cells.collect::<Vec<_>>());
        }
        text + "\n"
    }
}

fn head<T: AsRef<str>>(titles: &[T]) -> String {
    let titles: Vec<&str> = titles.iter().map(AsRef::as_ref).collect();
    let rule = "---:|".repeat(titles.len());
    format!("| | {} |\n|---|{rule}\n", titles.join(" | "))
}

/// Appends a row; Wakeful's own rows are bold.
fn line(text: &mut String, name: &str, cells: &[Option<String>]) {
    let own = name.starts_with("wakeful") || name == BUSY.name || name.starts_with("echo-server");
    let strong = if own { "**" } else { "" };
    let cells: Vec<&str> = cells
        .iter()
        .map(|cell| cell.as_deref().unwrap_or("–"))
        .collect();
    // Writing to a string cannot fail.
    writeln!(text, "| {strong}{name}{strong} | {} |", cells.join(" | ")).unwrap_or_default();
}
