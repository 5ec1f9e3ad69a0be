//! Writes the results as Markdown tables: rows are what was done, columns who did it.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::contest::{FLOOR, RUNTIMES, SERVERS, TOKIO};
use crate::parts::{Metric, Plot};
use crate::plots;
use crate::record::{Row, Series};
use crate::results::Results;
use crate::targets;

/// Writes `RESULTS.md`, with all parts that there are results of.
///
/// # Errors
///
/// When it cannot be written.
pub(crate) fn write(directory: &Path, all: &[Results]) -> io::Result<()> {
    let mut text = String::from("# Benchmark results\n");
    if let Some(first) = all.first() {
        let machine = &first.machine;
        text += "\nWritten by `cargo run --release --manifest-path benches/Cargo.toml`; how to read \
                 it: benches/README.md. Every cell is the median over the rounds; ± is the median \
                 distance from it, where there were three rounds or more. Ratios are medians of the \
                 ratios within each round, and behind them in brackets, where there were eight rounds or \
                 more, is the interval in which the true one lies with 99 %. – means that it was not \
                 measured, or failed.\n\n";
        let verdicts = targets::judge(all);
        text += &targets::table(&verdicts);
        let cells = targets::cells_table(&verdicts);
        if !cells.is_empty() {
            text += &format!("\nP2 in every cell, and who decides it:\n\n{cells}");
        }
        text += "\n";
        text += &format!(
            "Machine: {}, {} cores, {} GiB; Linux {}; {}.  \nVersions: {}.\n",
            machine.cpu,
            machine.cores,
            machine.memory_gib,
            machine.kernel,
            machine.rustc,
            machine.versions.join(", "),
        );
        if !machine.profile.is_empty() {
            let changed = machine.profile.join(" ");
            text += &format!("\nBuilt with another profile than usual: {changed}.\n");
        }
    }
    if all.iter().any(|results| results.quick) {
        text += "\n**A quick run: it shows that everything works; its figures mean little.**\n";
    }
    for results in all {
        part(&mut text, results);
    }
    fs::write(directory.join("RESULTS.md"), text)
}

fn part(text: &mut String, results: &Results) {
    let machine = &results.machine;
    *text += &format!("\n## {}\n\n", results.part.title());
    for note in &results.notes {
        *text += &format!("{note}\n\n");
    }
    *text += &format!(
        "Part `{}`, {}, {} round{}, {} s; load average before it: {:.2}.\n",
        results.part.name(),
        machine.date,
        results.rounds,
        if results.rounds == 1 { "" } else { "s" },
        results.took_seconds,
        machine.load_average,
    );
    for failure in &results.failures {
        *text += &format!("\n**Missing: {failure}**\n");
    }
    for metric in results.part.metrics() {
        let series = Series::new(&results.samples, metric.name);
        if series.rows().is_empty() {
            continue;
        }
        let unit = match metric.unit {
            "" => String::new(),
            unit => format!(" ({unit})"),
        };
        *text += &format!("\n### {}{unit}\n\n", metric.title);
        if metric.plot != Plot::None {
            let file = plots::file_name(results.part, &metric);
            *text += &format!("![{}]({file})\n\n", metric.title);
        }
        tables(text, &series, &metric);
    }
}

fn tables(text: &mut String, series: &Series<'_>, metric: &Metric) {
    let names = series.contestants(&known());
    table(text, series, &names, |row, name| {
        let median = number(series.median(row, name)?);
        Some(match series.spread(row, name) {
            Some(spread) => format!("{median} ±{:.0} %", spread * 100.0),
            None => median,
        })
    });
    for to in metric.ratios {
        if !names.iter().any(|name| name == to) {
            continue;
        }
        *text += &format!("\nAs a ratio to {to}:\n\n");
        table(text, series, &names, |row, name| {
            series
                .estimate(row, name, to)
                .map(|ratio| ratio.to_string())
        });
    }
}

/// All names, in the order in which they are shown.
pub(crate) fn known() -> Vec<&'static str> {
    let mut names: Vec<&str> = SERVERS.iter().map(|server| server.name).collect();
    // The runtime's place is where its server's is; tokio's name is in both lists.
    let own = names.iter().position(|name| *name == TOKIO).unwrap_or(0);
    names.insert(own, RUNTIMES[0].name);
    for runtime in RUNTIMES {
        if !names.contains(&runtime.name) {
            names.push(runtime.name);
        }
    }
    debug_assert_eq!(names[0], FLOOR);
    names
}

fn table(
    text: &mut String,
    series: &Series<'_>,
    names: &[String],
    cell: impl Fn(&Row, &str) -> Option<String>,
) {
    *text += &format!("| | {} |\n", names.join(" | "));
    *text += &format!("|---|{}\n", "---:|".repeat(names.len()));
    for row in series.rows() {
        let mut line = format!("| {}", label(&row));
        for name in names {
            let cell = cell(&row, name).unwrap_or_else(|| "–".to_owned());
            // Writing to a string cannot fail.
            write!(line, " | {cell}").unwrap_or_default();
        }
        *text += &line;
        *text += " |\n";
    }
}

/// What a row is called.
pub(crate) fn label(row: &Row) -> String {
    if row.x == 0.0 {
        row.case.clone()
    } else {
        format!("{}: {}", row.case, number(row.x))
    }
}

/// A number with as many digits as one wants to read: `0.123`, `1.23`, `12.3`, `123`, `12,345`.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size < 100.0 && value.fract() != 0.0 {
        let digits = if size < 1.0 {
            3
        } else {
            2 - usize::from(size >= 10.0)
        };
        return format!("{value:.digits$}");
    }
    let whole = format!("{:.0}", size);
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if value < 0.0 {
        grouped.insert(0, '-');
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_one_wants_to_read() {
        let shown = [
            (0.0, "0"),
            (0.1234, "0.123"),
            (1.0, "1"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1234.0, "1,234"),
            (1_234_567.8, "1,234,568"),
            (-1234.0, "-1,234"),
        ];
        for (value, text) in shown {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn every_contestant_has_one_place() {
        let names = known();
        for (place, name) in names.iter().enumerate() {
            assert_eq!(names.iter().position(|other| other == name), Some(place));
        }
    }
}
