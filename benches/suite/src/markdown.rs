//! Writes the results as Markdown tables: a row per case, a column per contestant.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::format::{known, label, number};
use crate::part::{Metric, Plot};
use crate::plots;
use crate::record::{Row, Series};
use crate::results::Results;
use crate::targets;

/// Writes `RESULTS.md` with the results of all parts.
///
/// # Errors
///
/// Returns an error if the file cannot be written.
pub(crate) fn write(directory: &Path, all: &[Results]) -> io::Result<()> {
    let mut text = String::from("# Benchmark results\n");
    if let Some(first) = all.first() {
        let machine = &first.machine;
        text += "\nWritten by `cargo run --release --manifest-path benches/Cargo.toml`; see \
                 benches/README.md. A cell is the median over the rounds. ± is the median absolute \
                 deviation, given for three or more rounds. A ratio is the median of the ratios within \
                 each round; the brackets are its confidence interval of 99 %, given for eight or more \
                 rounds. – means not measured, or failed.\n\n";
        let verdicts = targets::judge(all);
        text += &targets::table(&verdicts);
        let cells = targets::cells_table(&verdicts);
        if !cells.is_empty() {
            text += &format!("\nP2 in every cell, with the decisive ratio:\n\n{cells}");
        }
        let bounds = targets::bounds_table(&targets::bounds(all));
        text += &format!("\nBounds of the part `explain`:\n\n{bounds}\n");
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
            text += &format!("\nBuilt with a changed profile: {changed}.\n");
        }
    }
    if all.iter().any(|results| results.quick) {
        text += "\n**A quick run, which only checks that everything works; its figures are not reliable.**\n";
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
            "" => format!(" ({})", metric.better),
            unit => format!(" ({unit}, {})", metric.better),
        };
        *text += &format!("\n### {}{unit}\n\n", metric.title);
        if metric.plot != Plot::None {
            let file = plots::file_name(results.part, &metric);
            let alternative = metric.alternative_text(results.part);
            *text += &format!("![{alternative}]({file})\n\n");
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
