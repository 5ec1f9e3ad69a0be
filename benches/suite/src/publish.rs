//! Puts one run into the documentation: pictures and tables into docs/performance/, and every figure
//! that the pages show between two marks, so that nobody types one.
//!
//! ```text
//! <!-- figures: targets -->
//! whatever stood here is replaced by the section of that name
//! <!-- end of figures -->
//! ```

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::contest::{BUSY, ECHO_SERVER, FLOOR, FLOOR_TWIN, MINIMAL, RUNTIMES, TOKIO};
use crate::markdown::{known, label, number};
use crate::parts::{CLIENTS, Metric, Part, Plot};
use crate::plots;
use crate::record::{Estimate, Row, Series};
use crate::results::Results;
use crate::targets::{self, Outcome, Verdict};

/// The pages with marks, from the root of the repository, and where the pictures are from there.
const PAGES: [(&str, &str); 2] = [
    ("docs/PERFORMANCE.md", "performance"),
    ("README.md", "docs/performance"),
];
const FOLDER: &str = "docs/performance";

/// Copies pictures and tables, and fills the pages.
///
/// # Errors
///
/// When a file cannot be read or written, or a page has a mark that does not fit.
pub(crate) fn publish(from: &Path, root: &Path, all: &[Results]) -> Result<(), Box<dyn Error>> {
    let folder = root.join(FOLDER);
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(&folder)? {
        // Pictures of an earlier run, of which there may be none any more.
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "svg") {
            fs::remove_file(path)?;
        }
    }
    fs::copy(from.join("RESULTS.md"), folder.join("RESULTS.md"))?;
    for (part, metric) in drawn(all) {
        let name = plots::file_name(part, &metric);
        fs::copy(from.join(&name), folder.join(&name))?;
    }
    for (page, pictures) in PAGES {
        let path = root.join(page);
        let text = fs::read_to_string(&path)?;
        let section = |name: &str| Pages { all, pictures }.section(name);
        let filled = fill(&text, section).map_err(|why| format!("{page}: {why}"))?;
        fs::write(&path, filled)?;
    }
    Ok(())
}

/// What there is a picture of.
fn drawn(all: &[Results]) -> Vec<(Part, Metric)> {
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

const MARK: &str = "<!-- figures: ";
const END: &str = "<!-- end of figures -->";

/// Replaces what stands between the marks.
fn fill(text: &str, section: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(MARK) {
        let (before, mark) = rest.split_at(start);
        let (name, inside) = mark[MARK.len()..]
            .split_once(" -->")
            .ok_or("a mark has no end")?;
        let (_, after) = inside
            .split_once(END)
            .ok_or_else(|| format!("the figures of '{name}' have no end"))?;
        let section = section(name).ok_or_else(|| format!("there are no figures '{name}'"))?;
        let section = section.trim_end();
        filled += &format!("{before}{MARK}{name} -->\n{section}\n{END}");
        rest = after;
    }
    Ok(filled + rest)
}

/// The sections, for a page that finds the pictures there.
struct Pages<'a> {
    all: &'a [Results],
    pictures: &'a str,
}

const NOT_MEASURED: &str = "Not measured yet.\n";

impl Pages<'_> {
    fn section(&self, name: &str) -> Option<String> {
        Some(match name {
            "run" => self.run(),
            "missing" => self.missing(),
            "noise" => self.noise(),
            "all" => self.everything(),
            "targets" => targets::table(&targets::judge(self.all)),
            "verdict" => self.verdict(),
            "cells" => self.cells(),
            "headline" => self.headline(),
            "headline-executor" => self.headline_executor(),
            "instructions" => self.part(Part::Instructions, "instructions", &[Show::Median], any),
            "allocations-per-message" => {
                self.part(Part::Instructions, "allocations", &[Show::Median], any)
            }
            "syscalls" => self.part(Part::Syscalls, "calls", &[Show::Median], any),
            "echo" => {
                self.part(Part::Echo, "rate", &[Show::Ratio(FLOOR)], |row| {
                    row.case == "64 B, 1 at once"
                }) + &self.table(Part::Echo, "rate", &Show::Ratio(FLOOR), |row| {
                    row.case == "16384 B, 16 at once"
                })
            }
            "echo-cpu" => {
                let small = |row: &Row| row.case == "64 B, 1 at once";
                let shows = [Show::Median, Show::Ratio(FLOOR)];
                self.part(Part::Echo, "cpu", &shows, small)
            }
            "executor" => self.part(Part::Micro, "ns", &[Show::Median, Show::Ratio(TOKIO)], any),
            "allocations" => self.part(Part::Allocations, "count", &[Show::Median], any),
            "connections" => {
                let shows = [Show::Median, Show::Ratio(FLOOR)];
                self.part(Part::Connections, "rate", &shows, any)
            }
            "memory" => self.part(Part::Memory, "bytes", &[Show::Median], any),
            "rest" => self.table(Part::Memory, "cpu", &Show::Median, any),
            "latency" => {
                self.part(
                    Part::Latency,
                    "rate",
                    &[Show::Median, Show::Ratio(TOKIO)],
                    any,
                ) + &self.table(Part::Latency, "p50", &Show::Median, any)
            }
            "threads" => {
                self.part(Part::Threads, "rate", &[Show::Median], any)
                    + &self.table(Part::Threads, "cpu", &Show::Median, any)
            }
            "growth" => {
                self.part(Part::Growth, "cpu", &[Show::Median], any)
                    + &self.part(Part::Growth, "p50", &[Show::Median], any)
            }
            "beside" => self.table(Part::Growth, "beside", &Show::Median, any),
            "curves" => self.part(Part::Curves, "ns", &[Show::Median], any),
            _ => return None,
        })
    }

    fn of(&self, part: Part) -> Option<&Results> {
        self.all.iter().find(|results| results.part == part)
    }

    /// When, where, with what, how.
    fn run(&self) -> String {
        let [first, .., last] = self.all else {
            return NOT_MEASURED.to_owned();
        };
        let machine = &first.machine;
        let quick = if self.all.iter().any(|results| results.quick) {
            "**A quick run: it shows that everything works; its figures mean little.**\n\n"
        } else {
            ""
        };
        let revision = match machine.revision.as_str() {
            "" => String::new(),
            commit => format!("; commit {commit}"),
        };
        let busiest = self.all.iter().map(|results| results.machine.load_average);
        let minutes = self
            .all
            .iter()
            .map(|results| results.took_seconds)
            .sum::<u64>()
            / 60;
        format!(
            "{quick}- Machine: {}, {} cores, {} GiB of memory\n\
             - Kernel: Linux {}\n\
             - Date: {} to {} ({minutes} minutes of measuring)\n\
             - Versions: {}; {}{revision}\n\
             - Load average before the first part: {:.2}; before any part, at most: {:.2} (the parts \
             before it count)\n\
             - Command: `cargo run --release --manifest-path benches/Cargo.toml -- --publish`\n",
            machine.cpu,
            machine.cores,
            machine.memory_gib,
            machine.kernel,
            machine.date,
            last.machine.date,
            machine.versions.join(", "),
            machine.rustc,
            machine.load_average,
            busiest.fold(0.0, f64::max),
        )
    }

    /// Where the rest is.
    fn everything(&self) -> String {
        if self.all.is_empty() {
            return NOT_MEASURED.to_owned();
        }
        let folder = self.pictures;
        let mut text = format!("[Every table]({folder}/RESULTS.md); pictures:\n\n");
        for (part, metric) in drawn(self.all) {
            let file = plots::file_name(part, &metric);
            let title = format!("{}: {}", part.title(), metric.title);
            text += &format!("- [{title}]({folder}/{file})\n");
        }
        text
    }

    fn missing(&self) -> String {
        let failures: Vec<String> = self
            .all
            .iter()
            .flat_map(|results| &results.failures)
            .map(|failure| format!("- {failure}\n"))
            .collect();
        let absent = Part::all(&[]).into_iter();
        let absent = absent.filter(|part| self.of(*part).is_none());
        let absent: Vec<String> = absent
            .map(|part| format!("- part `{}` was not run\n", part.name()))
            .collect();
        match (failures.is_empty(), absent.is_empty()) {
            (true, true) => "Every contestant finished every part of this run.\n".to_owned(),
            _ => format!(
                "Not in this run's figures:\n\n{}{}",
                failures.concat(),
                absent.concat()
            ),
        }
    }

    /// How far two programs are apart that do the same, in a sentence.
    fn noise(&self) -> String {
        let samples = self.of(Part::Echo).map_or(&[][..], |echo| &echo.samples);
        let said = [("rate", "throughput"), ("cpu", "server CPU per message")].map(
            |(metric, what)| {
                let series = Series::new(samples, metric);
                // Where more than the smaller buffer holds can be on the way, its size matters.
                let alike = |row: &Row| !row.case.starts_with("16384") && row.case != "1024 B, 16 at once";
                let rows = series.rows().into_iter().filter(alike);
                let estimates: Vec<Estimate> = rows
                    .filter_map(|row| series.estimate(&row, FLOOR_TWIN, FLOOR))
                    .collect();
                let of = |value: fn(&Estimate) -> f64| estimates.iter().map(value);
                let least = of(|one| one.median).reduce(f64::min)?;
                let most = of(|one| one.median).reduce(f64::max)?;
                let one_in = |one: &&Estimate| one.low <= 1.0 && 1.0 <= one.high;
                Some(format!(
                    "between {least:.2} and {most:.2} times the {what} (the interval contains 1.00 in {} \
                     of {} cells)",
                    estimates.iter().filter(one_in).count(),
                    estimates.len(),
                ))
            },
        );
        let [Some(rate), Some(cpu)] = said else {
            return NOT_MEASURED.to_owned();
        };
        format!(
            "In this run `{FLOOR_TWIN}` had {rate} and {cpu} of `{FLOOR}`, the same program but for the \
             size of its buffer, in cells where that makes no difference: all that can be on the way on \
             a connection fits into the smaller one.\n"
        )
    }

    /// How many targets are met, in a sentence.
    fn verdict(&self) -> String {
        let verdicts = targets::judge(self.all);
        let with =
            |outcome: Option<Outcome>| verdicts.iter().filter(move |one| one.outcome() == outcome);
        let measured = verdicts.len() - with(None).count();
        if measured == 0 {
            return NOT_MEASURED.to_owned();
        }
        let named = |word: &str, outcome: Outcome| {
            let names: Vec<String> = with(Some(outcome)).map(Verdict::what).collect();
            match &names[..] {
                [] => String::new(),
                names => format!(" {word}: {}.", names.join("; ")),
            }
        };
        let met = with(Some(Outcome::Met)).count();
        let missed = named("Missed", Outcome::Missed);
        let undecided = named(
            "Undecided, within the noise of this run",
            Outcome::Undecided,
        );
        format!("Of {measured} targets that were measured, {met} are met.{missed}{undecided}\n")
    }

    /// What decides the targets that are about many cells.
    fn cells(&self) -> String {
        let table = targets::cells_table(&targets::judge(self.all));
        match table.is_empty() {
            true => NOT_MEASURED.to_owned(),
            false => table,
        }
    }

    /// Servers side by side, one column per question.
    fn headline(&self) -> String {
        let names = [
            ECHO_SERVER.name,
            MINIMAL.name,
            TOKIO,
            "monoio epoll",
            "smol",
            "compio polling",
            "thread per connection",
            FLOOR,
        ];
        let columns: [(&str, Part, &str, &str, f64, Show); 6] = [
            (
                "instructions per message",
                Part::Instructions,
                "instructions",
                "per message, 50 clients",
                0.0,
                Show::Median,
            ),
            (
                "system calls per message",
                Part::Syscalls,
                "calls",
                "per message, 50 clients",
                0.0,
                Show::Median,
            ),
            (
                "throughput, raw epoll = 1",
                Part::Echo,
                "rate",
                "64 B, 1 at once",
                50.0,
                Show::Ratio(FLOOR),
            ),
            (
                "server CPU per message, raw epoll = 1",
                Part::Echo,
                "cpu",
                "64 B, 1 at once",
                50.0,
                Show::Ratio(FLOOR),
            ),
            (
                "system calls per connection",
                Part::Syscalls,
                "calls",
                "per connection, 50 at once",
                0.0,
                Show::Median,
            ),
            (
                "bytes per idle connection",
                Part::Memory,
                "bytes",
                "10000 connections",
                0.0,
                Show::Median,
            ),
        ];
        self.mixed(&names, &columns)
    }

    /// Executors side by side, in nanoseconds, and bytes.
    fn headline_executor(&self) -> String {
        let names: Vec<&str> = RUNTIMES.iter().map(|runtime| runtime.name).collect();
        let ns = |title, case| (title, Part::Micro, "ns", case, 0.0, Show::Median);
        let columns = [
            ns("spawn and finish", "spawn and finish, one by one"),
            ns("spawn and await", "spawn and await"),
            ns("yield", "wake oneself, one task"),
            ns("ping-pong", "ping-pong between two tasks"),
            ns("arm and drop a timer", "arm and drop a timer"),
            ns("fire a timer", "fire 100,000 timers, each"),
            (
                "bytes per waiting task",
                Part::Allocations,
                "count",
                "bytes, waiting task",
                0.0,
                Show::Median,
            ),
        ];
        self.mixed(&names, &columns)
    }

    /// A table whose columns come from different parts.
    fn mixed(&self, names: &[&str], columns: &[(&str, Part, &str, &str, f64, Show)]) -> String {
        let titles: Vec<&str> = columns.iter().map(|column| column.0).collect();
        let mut text = head(&titles);
        let mut empty = true;
        for name in names {
            let cells = columns.iter().map(|(_, part, metric, case, x, show)| {
                let results = self.of(*part)?;
                let series = Series::new(&results.samples, metric);
                let row = Row {
                    case: (*case).to_owned(),
                    x: *x,
                };
                show.cell(&series, &row, name)
            });
            let cells: Vec<Option<String>> = cells.collect();
            if cells.iter().any(Option::is_some) {
                empty = false;
                line(&mut text, name, &cells);
            }
        }
        if empty { NOT_MEASURED.to_owned() } else { text }
    }

    /// The picture of a metric, and tables of it.
    fn part(
        &self,
        part: Part,
        metric: &str,
        shows: &[Show],
        keep: impl Fn(&Row) -> bool + Copy,
    ) -> String {
        let picture = drawn(self.all)
            .into_iter()
            .find(|(drawn, one)| *drawn == part && one.name == metric);
        let mut text = picture.map_or_else(String::new, |(_, metric)| {
            let file = plots::file_name(part, &metric);
            format!("![{}]({}/{file})\n\n", metric.title, self.pictures)
        });
        for show in shows {
            text += &self.table(part, metric, show, keep);
        }
        text
    }

    /// A table of one metric: a row for each contestant.
    fn table(&self, part: Part, metric: &str, show: &Show, keep: impl Fn(&Row) -> bool) -> String {
        let Some(results) = self.of(part) else {
            return NOT_MEASURED.to_owned();
        };
        let series = Series::new(&results.samples, metric);
        let rows: Vec<Row> = series.rows().into_iter().filter(|row| keep(row)).collect();
        let Some(known_as) = results
            .part
            .metrics()
            .into_iter()
            .find(|one| one.name == metric)
        else {
            return NOT_MEASURED.to_owned();
        };
        if rows.is_empty() {
            return NOT_MEASURED.to_owned();
        }
        let unit = match (show, known_as.unit) {
            (Show::Ratio(to), _) => format!(", as a ratio to {to}"),
            (Show::Median, "") => String::new(),
            (Show::Median, unit) => format!(" ({unit})"),
        };
        let title = |row: &Row| match known_as.plot {
            Plot::Lines(what) | Plot::Ratio(_, what) if what == CLIENTS => {
                format!("{}, {} {what}", row.case, number(row.x))
            }
            _ => label(row),
        };
        let titles: Vec<String> = rows.iter().map(title).collect();
        let mut text = format!("{}{unit}:\n\n{}", known_as.title, head(&titles));
        for name in series.contestants(&known()) {
            let cells = rows.iter().map(|row| show.cell(&series, row, &name));
            line(&mut text, &name, &cells.collect::<Vec<_>>());
        }
        text + "\n"
    }
}

fn any(_: &Row) -> bool {
    true
}

/// What a cell shows.
#[derive(Clone, Copy)]
enum Show {
    /// The number.
    Median,
    /// How it compares.
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

fn head<T: AsRef<str>>(titles: &[T]) -> String {
    let titles: Vec<&str> = titles.iter().map(AsRef::as_ref).collect();
    let rule = "---:|".repeat(titles.len());
    format!("| | {} |\n|---|{rule}\n", titles.join(" | "))
}

/// Ours stand out.
fn line(text: &mut String, name: &str, cells: &[Option<String>]) {
    let ours = name.starts_with("wakeful") || name == BUSY.name || name.starts_with("echo-server");
    let strong = if ours { "**" } else { "" };
    let cells: Vec<&str> = cells
        .iter()
        .map(|cell| cell.as_deref().unwrap_or("–"))
        .collect();
    // Writing to a string cannot fail.
    writeln!(text, "| {strong}{name}{strong} | {} |", cells.join(" | ")).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shout(name: &str) -> Option<String> {
        (name != "nobody").then(|| name.to_uppercase() + "\n")
    }

    #[test]
    fn what_stands_between_marks_is_replaced_and_nothing_else() {
        let old = "a\n<!-- figures: one -->\nold\n<!-- end of figures -->\nb\n";
        let new = "a\n<!-- figures: one -->\nONE\n<!-- end of figures -->\nb\n";
        assert_eq!(fill(old, shout).unwrap(), new);
        assert_eq!(fill(new, shout).unwrap(), new, "again, and nothing changes");
        assert_eq!(fill("no marks", shout).unwrap(), "no marks");
    }

    #[test]
    fn a_mark_that_does_not_fit_is_an_error() {
        assert!(fill("<!-- figures: one -->", shout).is_err());
        let unknown = "<!-- figures: nobody --><!-- end of figures -->";
        assert!(fill(unknown, shout).unwrap_err().contains("nobody"));
    }

    /// The pages of this repository, without any results: every mark has a name that is known.
    #[test]
    fn the_marks_of_the_pages_are_known() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (page, pictures) in PAGES {
            let text = fs::read_to_string(root.join(page)).unwrap();
            assert!(text.contains(MARK), "{page}");
            let pages = Pages { all: &[], pictures };
            fill(&text, |name| pages.section(name)).unwrap();
        }
    }
}
