//! Targets of the echo server: P1 to P3, P7, P9 to P11 and P17.

use super::figures::{Figures, NOISE, row};
use super::verdict::{Cell, Outcome, Verdict};
use crate::contestants::{BUSY, ECHO_SERVER, FLOOR, TOKIO};
use crate::format::{clients, number};
use crate::part::Part;
use crate::record::{Estimate, Series};

/// Lowest ratio to the floor.
const FLOOR_RATIO: f64 = 0.98;

/// Echo servers with a runtime on epoll. The targets compare Wakeful with each of them.
const EPOLL_RIVALS: [&str; 6] = [
    TOKIO,
    "tokio LocalSet",
    "tokio LocalRuntime",
    "smol",
    "monoio epoll",
    "compio polling",
];

impl Figures<'_> {
    pub(super) fn instructions(&self) -> Verdict {
        let series = self.series(Part::Instructions, "instructions");
        let row = row("per message, 50 clients", 0.0);
        let own = series.median(&row, ECHO_SERVER.name);
        let rivals = EPOLL_RIVALS
            .iter()
            .filter_map(|name| Some((series.median(&row, name)?, *name)));
        let best = rivals.min_by(|one, other| one.0.total_cmp(&other.0));
        let compared = own
            .zip(best)
            .map(|(own, (other, name))| format!("; {name} needs {:.2} times as many", other / own));
        Verdict::new(
            "P1",
            "user-space instructions per echoed message, 50 clients",
            "at most 300",
            own.map(|own| {
                let compared = compared.unwrap_or_default();
                (
                    format!("{}{compared}", number(own)),
                    Outcome::of(own <= 300.0),
                )
            }),
        )
    }

    pub(super) fn echo(&self) -> Vec<Verdict> {
        let rate = self.series(Part::Echo, "rate");
        let cpu = self.series(Part::Echo, "cpu");
        let floor = [FLOOR];
        vec![
            cells(
                "throughput against raw epoll, every cell",
                "at least 0.98",
                &rate,
                &floor,
                |ratio| (ratio, Outcome::at_least(ratio, FLOOR_RATIO)),
            ),
            cells(
                "server CPU per message against raw epoll, every cell",
                "at most 1.02",
                &cpu,
                &floor,
                |ratio| (ratio.inverse(), Outcome::at_most(ratio, 1.0 / FLOOR_RATIO)),
            ),
            cells(
                "throughput against every epoll rival, every cell",
                "at least 0.97 (noise)",
                &rate,
                &EPOLL_RIVALS,
                |ratio| (ratio, Outcome::at_least(ratio, NOISE)),
            ),
            cells(
                "server CPU per message against every epoll rival, every cell",
                "at most 1.03 (noise)",
                &cpu,
                &EPOLL_RIVALS,
                |ratio| (ratio.inverse(), Outcome::at_most(ratio, 1.0 / NOISE)),
            ),
            self.large_reads(&rate),
        ]
    }

    pub(super) fn large_reads(&self, rate: &Series<'_>) -> Verdict {
        let rows = rate.rows().into_iter();
        let rows = rows.filter(|row| row.case == "16384 B, 16 at once");
        let ratios = rows
            .filter_map(|row| Some((row.x, rate.estimate(&row, ECHO_SERVER.name, FLOOR)?)))
            .collect::<Vec<_>>();
        Verdict::new(
            "P2",
            "throughput at 16 KiB, 16 at once, against raw epoll",
            "more than 1 (fewer, larger reads)",
            all_of(&ratios, |ratio| Outcome::at_least(ratio, 1.0)),
        )
    }

    pub(super) fn system_calls(&self) -> Vec<Verdict> {
        let calls = |case, contestant| self.median(Part::Syscalls, "calls", case, contestant);
        let message = "per message, 50 clients";
        let both = calls(message, ECHO_SERVER.name).zip(calls(message, FLOOR));
        let connection = calls("per connection, 50 at once", ECHO_SERVER.name);
        vec![
            Verdict::new(
                "P3",
                "system calls per message, 50 clients",
                "as raw epoll",
                both.map(|(own, floor)| {
                    let shown = format!("{}; raw epoll {}", number(own), number(floor));
                    (shown, Outcome::of(own <= floor * 1.02))
                }),
            ),
            Verdict::new(
                "P3",
                "system calls per connection",
                "at most 7.8",
                connection.map(|own| (number(own), Outcome::of(own <= 7.8))),
            ),
        ]
    }

    pub(super) fn memory(&self) -> Verdict {
        let series = self.series(Part::Memory, "bytes");
        let row = series.rows().into_iter().next();
        let bytes = row.and_then(|row| series.median(&row, ECHO_SERVER.name));
        Verdict::new(
            "P7",
            "resident bytes per idle connection",
            "at most 512",
            bytes.map(|bytes| (number(bytes), Outcome::of(bytes <= 512.0))),
        )
    }

    pub(super) fn growth(&self) -> Vec<Verdict> {
        let series = self.series(Part::Growth, "idle-ratio");
        let ratios: Vec<(f64, Estimate)> = series
            .rows()
            .iter()
            .filter_map(|row| Some((row.x, series.estimate_own(row, ECHO_SERVER.name)?)))
            .collect();
        vec![
            Verdict::new(
                "P9",
                "server CPU per message with idle connections, against none",
                "at most 1.05",
                all_of(&ratios, |ratio| Outcome::at_most(ratio, 1.05)),
            ),
            self.flat(
                "P9",
                "spawn and finish, by number of tasks",
                "spawn and finish, with waiting tasks",
            ),
            self.flat(
                "P9",
                "self-wake, by number of tasks",
                "self-wake, many tasks",
            ),
        ]
    }

    pub(super) fn idle(&self, id: &'static str, what: &'static str, contestant: &str) -> Verdict {
        let median = |metric| {
            let series = self.series(Part::Memory, metric);
            let row = series.rows().into_iter().next()?;
            series.median(&row, contestant)
        };
        Verdict::new(
            id,
            what,
            "no wake-up, no CPU time",
            median("switches")
                .zip(median("cpu"))
                .map(|(switches, cpu)| {
                    let shown = format!(
                        "{} sleeps and {} µs per second",
                        number(switches),
                        number(cpu)
                    );
                    (shown, Outcome::of(switches < 0.5 && cpu < 10.0))
                }),
        )
    }

    /// Connections that come alone, and in bursts.
    pub(super) fn connections(&self) -> Verdict {
        let series = self.series(Part::Connections, "rate");
        let ratios = ["1 at once", "200 at once"].iter().filter_map(|case| {
            let ratio = series.estimate(&row(case, 0.0), ECHO_SERVER.name, FLOOR)?;
            Some((*case, ratio))
        });
        let ratios: Vec<(&str, Estimate)> = ratios.collect();
        let shown = ratios
            .iter()
            .map(|(case, ratio)| format!("{ratio} ({case})"));
        let shown = shown.collect::<Vec<_>>().join(", ");
        let worst = ratios
            .iter()
            .map(|(_, ratio)| Outcome::at_least(*ratio, 1.0));
        Verdict::new(
            "P17",
            "connections/s, one message each, against raw epoll",
            "more than 1 (fewer calls of `accept4`)",
            worst.max().map(|worst| (shown, worst)),
        )
    }

    pub(super) fn busy_poll(&self) -> Vec<Verdict> {
        let series = self.series(Part::Latency, "rate");
        let against = |what, case| {
            let ratio = series.estimate(&row(case, 0.0), BUSY.name, TOKIO);
            Verdict::new(
                "P11",
                what,
                "at least 2.5 times tokio's",
                ratio.map(|ratio| (format!("{ratio} times"), Outcome::at_least(ratio, 2.5))),
            )
        };
        vec![
            against("messages/s with `--busy-poll`, 1 client", "64 B, 1 client"),
            against(
                "messages/s with `--busy-poll`, 2 clients",
                "64 B, 2 clients",
            ),
            self.idle("P11", "idle server with `--busy-poll`", BUSY.name),
        ]
    }
}

/// Formats ratios, each with its number of clients. The worst outcome decides.
fn all_of(
    ratios: &[(f64, Estimate)],
    judge: impl Fn(Estimate) -> Outcome,
) -> Option<(String, Outcome)> {
    let shown = ratios
        .iter()
        .map(|(clients, ratio)| format!("{ratio} at {}", number(*clients)));
    let shown = shown.collect::<Vec<_>>().join(", ");
    let worst = ratios.iter().map(|(_, ratio)| judge(*ratio)).max()?;
    Some((shown, worst))
}

/// Judges every cell of the grid against a list of contestants. `judge` returns a ratio of which more
/// is better, and its outcome.
fn cells(
    what: &'static str,
    target: &'static str,
    series: &Series<'_>,
    others: &[&str],
    judge: impl Fn(Estimate) -> (Estimate, Outcome),
) -> Verdict {
    let mut cells: Vec<Cell> = Vec::new();
    // The worst cell is the one whose interval ends lowest.
    let mut worst: Option<(Estimate, String)> = None;
    for row in series.rows() {
        let ratios = others.iter().filter_map(|name| {
            let ratio = series.estimate(&row, ECHO_SERVER.name, name)?;
            let (goodness, outcome) = judge(ratio);
            Some((goodness, outcome, format!("{ratio} {name}")))
        });
        let Some((goodness, outcome, decisive)) = decisive(ratios.collect()) else {
            continue;
        };
        let name = format!("{}, {}", row.case, clients(row.x));
        let lower = |(least, _): &(Estimate, String)| {
            (goodness.high, goodness.median) < (least.high, least.median)
        };
        if worst.as_ref().is_none_or(lower) {
            worst = Some((goodness, format!("{decisive}, {name}")));
        }
        cells.push(Cell {
            name,
            outcome,
            decisive,
        });
    }
    let measured = worst.map(|(_, worst)| summary(&cells, &worst));
    Verdict {
        cells,
        ..Verdict::new("P2", what, target, measured)
    }
}

/// Returns the ratio with the worst outcome; among several, the one whose interval ends lowest.
fn decisive(ratios: Vec<(Estimate, Outcome, String)>) -> Option<(Estimate, Outcome, String)> {
    let worst = ratios.iter().map(|(_, outcome, _)| *outcome).max()?;
    let candidates = ratios.into_iter().filter(|one| one.1 == worst);
    candidates.min_by(|one, other| {
        let ends = one.0.high.total_cmp(&other.0.high);
        ends.then(one.0.median.total_cmp(&other.0.median))
    })
}

/// Counts the outcomes of the cells and names the worst cell.
fn summary(cells: &[Cell], worst: &str) -> (String, Outcome) {
    let count = |outcome| cells.iter().filter(|one| one.outcome == outcome).count();
    let undecided = match count(Outcome::Undecided) {
        0 => String::new(),
        some => format!(", {some} undecided"),
    };
    let (met, all) = (count(Outcome::Met), cells.len());
    let overall = cells.iter().map(|cell| cell.outcome).max();
    (
        format!("met in {met} of {all} cells{undecided}; worst {worst}"),
        overall.unwrap_or(Outcome::Undecided),
    )
}
