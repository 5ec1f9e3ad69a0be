//! The sections that the pages contain, by name.

use super::tables::{Column, NOT_MEASURED, Pages, Show};
use crate::contestants::{ECHO_SERVER, FLOOR, FLOOR_TWIN, MINIMAL, TOKIO};
use crate::machine::Machine;
use crate::part::Part;
use crate::plots;
use crate::record::{Estimate, Row, Series};
use crate::results::Results;
use crate::targets::{self, Outcome, Verdict};

impl Pages<'_> {
    /// Returns the section of this name, or `None` if there is none.
    pub(super) fn section(&self, name: &str) -> Option<String> {
        Some(match name {
            "run" => self.run(),
            "missing" => self.missing(),
            "noise" => self.noise(),
            "all" => self.list(),
            "targets" => targets::table(&targets::judge(self.all)),
            "verdict" => self.verdict(),
            "cells" => self.cells(),
            "headline" => self.headline(),
            _ => return self.part_section(name).or_else(|| self.kind_section(name)),
        })
    }

    /// Returns a section about servers of one kind. Each has several tables.
    fn kind_section(&self, name: &str) -> Option<String> {
        let part = match name {
            "udp" => Part::Udp,
            "relay" => Part::Relay,
            "http" | "http-memory" => Part::Http,
            "tails" => Part::Tails,
            "explain" => Part::Explain,
            _ => return None,
        };
        if self.of(part).is_none() {
            return Some(NOT_MEASURED.to_owned());
        }
        let to_tokio = [Show::Median, Show::Ratio(TOKIO)];
        let more = |metric, show: &Show| self.table(part, metric, show, any);
        Some(match name {
            "udp" => self.part(part, "cpu", &to_tokio, any) + &more("rate", &Show::Ratio(TOKIO)),
            "relay" => self.part(part, "cpu", &to_tokio, any),
            "http" => {
                self.part(part, "cpu", &to_tokio, any)
                    + &more("rate", &Show::Ratio(TOKIO))
                    + &more("p99", &Show::Ratio(TOKIO))
            }
            "http-memory" => more("bytes", &Show::Median),
            "explain" => {
                let bounds = targets::bounds_table(&targets::bounds(self.all));
                let polls = self.part(part, "ns", &[Show::Median], any);
                let to_plain = Show::Ratio(ECHO_SERVER.name);
                format!("{bounds}\n{polls}")
                    + &more("rate", &to_plain)
                    + &more("cpu", &to_plain)
                    + &more("time", &Show::Median)
            }
            _ => self.part(part, "time", &to_tokio, any) + &more("streamed", &Show::Median),
        })
    }

    /// Returns a section about a single part.
    fn part_section(&self, name: &str) -> Option<String> {
        let median = [Show::Median];
        let to_floor = [Show::Median, Show::Ratio(FLOOR)];
        let to_tokio = [Show::Median, Show::Ratio(TOKIO)];
        let small = |row: &Row| row.case == "64 B, 1 at once";
        let large = |row: &Row| row.case == "16384 B, 16 at once";
        Some(match name {
            "instructions" => self.part(Part::Instructions, "instructions", &median, any),
            "allocations-per-message" => self.part(Part::Instructions, "allocations", &median, any),
            "syscalls" => self.part(Part::Syscalls, "calls", &median, any),
            "echo" => {
                self.part(Part::Echo, "rate", &[Show::Ratio(FLOOR)], small)
                    + &self.table(Part::Echo, "rate", &Show::Ratio(FLOOR), large)
            }
            "echo-cpu" => self.part(Part::Echo, "cpu", &to_floor, small),
            "executor" => self.part(Part::Micro, "ns", &to_tokio, any),
            "allocations" => self.part(Part::Allocations, "count", &median, any),
            "connections" => self.part(Part::Connections, "rate", &to_floor, any),
            "memory" => self.part(Part::Memory, "bytes", &median, any),
            "rest" => self.table(Part::Memory, "cpu", &Show::Median, any),
            "latency" => {
                self.part(Part::Latency, "rate", &to_tokio, any)
                    + &self.table(Part::Latency, "p50", &Show::Median, any)
            }
            "threads" => {
                self.part(Part::Threads, "rate", &median, any)
                    + &self.table(Part::Threads, "cpu", &Show::Median, any)
            }
            "growth" => {
                self.part(Part::Growth, "cpu", &median, any)
                    + &self.part(Part::Growth, "p50", &median, any)
            }
            "beside" => self.table(Part::Growth, "idle-ratio", &Show::Median, any),
            "curves" => self.part(Part::Curves, "ns", &median, any),
            _ => return None,
        })
    }

    /// Describes the run: machine, date, versions, command.
    fn run(&self) -> String {
        let Some(first) = self.all.first() else {
            return NOT_MEASURED.to_owned();
        };
        let machine = &first.machine;
        // Parts can be measured in any order.
        let dates = || self.all.iter().map(|results| results.machine.date.as_str());
        let quick = if self.all.iter().any(|results| results.quick) {
            "**A quick run, which only checks that everything works; its figures are not reliable.**\n\n"
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
             - Date: {} to {} ({minutes} minutes of measurement)\n\
             - Versions: {}; {}{revision}\n\
             - Load average before the first part: {:.2}; highest before any part: {:.2} (includes \
             the parts before it)\n\
             - Command: `cargo run --release --manifest-path benches/Cargo.toml -- --publish`\n{}",
            machine.cpu,
            machine.cores,
            machine.memory_gib,
            machine.kernel,
            dates().min().unwrap_or_default(),
            dates().max().unwrap_or_default(),
            machine.versions.join(", "),
            machine.rustc,
            machine.load_average,
            busiest.fold(0.0, f64::max),
            self.later_runs(),
        )
    }

    /// Lists the parts that were measured at another commit or on another machine than the first part.
    fn later_runs(&self) -> String {
        let first = &self.all[0].machine;
        let conditions = |machine: &Machine| {
            let Machine {
                cpu,
                kernel,
                revision,
                ..
            } = machine;
            // The results of earlier parts change the work tree.
            let commit = revision.trim_end_matches("-dirty");
            (cpu.clone(), kernel.clone(), commit.to_owned())
        };
        let others = self.all.iter().map(|results| (results, &results.machine));
        let others = others.filter(|(_, machine)| conditions(machine) != conditions(first));
        let line = |(results, machine): (&Results, &Machine)| {
            format!(
                "- Part `{}` was measured separately: {}, {}, Linux {}, commit {}, load average {:.2}\n",
                results.part.name(),
                machine.date,
                machine.cpu,
                machine.kernel,
                machine.revision,
                machine.load_average,
            )
        };
        others.map(line).collect()
    }

    /// Links to the tables and all plots.
    fn list(&self) -> String {
        if self.all.is_empty() {
            return NOT_MEASURED.to_owned();
        }
        let folder = self.folder;
        let mut text = format!("[Every table]({folder}/RESULTS.md); plots:\n\n");
        for (part, metric) in plots::drawn(self.all) {
            let file = plots::file_name(part, &metric);
            let title = format!("{}: {}", part.title(), metric.title);
            text += &format!("- [{title}]({folder}/{file})\n");
        }
        text
    }

    /// Lists failures and parts that were not run.
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
            (true, true) => "All contestants finished all parts of this run.\n".to_owned(),
            _ => format!(
                "Missing in this run:\n\n{}{}",
                failures.concat(),
                absent.concat()
            ),
        }
    }

    /// Describes the noise: the ratio of two programs that do the same work.
    fn noise(&self) -> String {
        let samples = self.of(Part::Echo).map_or(&[][..], |echo| &echo.samples);
        let texts = [("rate", "throughput"), ("cpu", "server CPU per message")].map(
            |(metric, what)| {
                let series = Series::new(samples, metric);
                // Excludes cells in which the messages in flight can exceed the smaller buffer.
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
        let [Some(rate), Some(cpu)] = texts else {
            return NOT_MEASURED.to_owned();
        };
        format!(
            "In this run `{FLOOR_TWIN}` had {rate} and {cpu} of `{FLOOR}`. The two programs differ only in \
             the size of their buffer. In the compared cells it makes no difference, because all \
             messages in flight on a connection fit into the smaller one.\n"
        )
    }

    /// Counts the targets that are met and names the others.
    fn verdict(&self) -> String {
        let verdicts = targets::judge(self.all);
        let with =
            |outcome: Option<Outcome>| verdicts.iter().filter(move |one| one.outcome() == outcome);
        let measured = verdicts.len() - with(None).count();
        if measured == 0 {
            return NOT_MEASURED.to_owned();
        }
        let named = |word: &str, outcome: Outcome| {
            let names: Vec<String> = with(Some(outcome)).map(Verdict::title).collect();
            match &names[..] {
                [] => String::new(),
                names => format!(" {word}: {}.", names.join("; ")),
            }
        };
        let met = with(Some(Outcome::Met)).count();
        let missed = named("Missed", Outcome::Missed);
        let undecided = named("Undecided because of noise", Outcome::Undecided);
        format!("{met} of {measured} measured targets are met.{missed}{undecided}\n")
    }

    /// Shows the decisive ratio in every cell, for targets about many cells.
    fn cells(&self) -> String {
        let table = targets::cells_table(&targets::judge(self.all));
        match table.is_empty() {
            true => NOT_MEASURED.to_owned(),
            false => table,
        }
    }

    /// Compares servers, one metric per column.
    fn headline(&self) -> String {
        let names = [
            ECHO_SERVER.name,
            MINIMAL.name,
            TOKIO,
            "monoio epoll",
            "smol",
            FLOOR,
        ];
        self.mixed(&names, &SERVER_COLUMNS)
    }
}

fn any(_: &Row) -> bool {
    true
}

/// Columns of the table of servers.
const SERVER_COLUMNS: [Column; 4] = [
    Column {
        title: "instructions per message",
        part: Part::Instructions,
        metric: "instructions",
        case: "per message, 50 clients",
        x: 0.0,
        show: Show::Median,
    },
    Column {
        title: "throughput, raw epoll = 1",
        part: Part::Echo,
        metric: "rate",
        case: "64 B, 1 at once",
        x: 50.0,
        show: Show::Ratio(FLOOR),
    },
    Column {
        title: "server CPU per message, raw epoll = 1",
        part: Part::Echo,
        metric: "cpu",
        case: "64 B, 1 at once",
        x: 50.0,
        show: Show::Ratio(FLOOR),
    },
    Column {
        title: "bytes per idle connection",
        part: Part::Memory,
        metric: "bytes",
        case: "10000 connections",
        x: 0.0,
        show: Show::Median,
    },
];
