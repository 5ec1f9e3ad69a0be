//! The targets that Wakeful set itself, P1 to P11, held against the numbers: what was aimed at, what
//! was measured, and whether that is met.
//!
//! Counts are compared as they are. A ratio of times is known only within an interval, and so there is
//! a third answer beside met and missed: what this run cannot tell is undecided ([`Outcome`]).
//!
//! Everything is computed from the raw numbers by name, so a part that was not run shows up as "not
//! measured", and nobody types a figure.

use std::fmt::Write as _;

use crate::contest::{BUSY, ECHO_SERVER, FLOOR, RUNTIMES, TOKIO};
use crate::markdown::number;
use crate::parts::Part;
use crate::record::{Estimate, Row, Series};
use crate::results::Results;

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Verdict {
    id: &'static str,
    what: &'static str,
    target: &'static str,
    measured: String,
    /// `None` where nothing was measured.
    outcome: Option<Outcome>,
    /// Where a target is about many cells: what decides it in each.
    cells: Vec<Cell>,
}

/// One cell of a target that is about many.
#[derive(Debug)]
struct Cell {
    name: String,
    outcome: Outcome,
    /// The ratio, and to whom.
    decisive: String,
}

/// What has become of a target. The later ones outweigh the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The interval lies on the right side of the limit; or the median does, and no more than
    /// [`NARROW`] of the interval lies beyond.
    Met,
    /// The interval lies on both sides.
    Undecided,
    /// All of the interval lies on the wrong side.
    Missed,
}

/// By which part of itself a limit may lie within the interval of what is met.
const NARROW: f64 = 0.01;

impl Outcome {
    fn of(met: bool) -> Outcome {
        if met { Outcome::Met } else { Outcome::Missed }
    }

    fn at_least(estimate: Estimate, limit: f64) -> Outcome {
        if estimate.high < limit {
            Outcome::Missed
        } else if estimate.median >= limit && estimate.low >= limit * (1.0 - NARROW) {
            Outcome::Met
        } else {
            Outcome::Undecided
        }
    }

    fn at_most(estimate: Estimate, limit: f64) -> Outcome {
        Outcome::at_least(estimate.inverse(), 1.0 / limit)
    }
}

/// Ratios to a rival that are nearer to one than this are noise, as PERFORMANCE.md says.
const NOISE: f64 = 0.97;
/// The least ratio to the floor.
const FLOOR_RATIO: f64 = 0.98;
/// How fast something may grow that is O(1) but for the processor's caches: the exponent of a power
/// of n, which is 0 for what is flat and 1 for what is linear.
const FLAT: f64 = 0.2;

/// The echo servers on epoll with a runtime that Wakeful must not be behind.
const EPOLL_RIVALS: [&str; 6] = [
    TOKIO,
    "tokio LocalSet",
    "tokio LocalRuntime",
    "smol",
    "monoio epoll",
    "compio polling",
];

/// Holds all targets against the numbers.
pub(crate) fn judge(all: &[Results]) -> Vec<Verdict> {
    let judge = Judge(all);
    let mut verdicts = Vec::new();
    verdicts.push(judge.instructions());
    verdicts.extend(judge.echo());
    verdicts.extend(judge.system_calls());
    verdicts.extend(judge.executor());
    verdicts.extend(judge.timers());
    verdicts.extend(judge.allocations());
    verdicts.push(judge.memory());
    verdicts.push(judge.thread());
    verdicts.extend(judge.growth());
    verdicts.push(judge.idle("P10", "the server at rest", ECHO_SERVER.name));
    verdicts.extend(judge.busy_poll());
    verdicts
}

/// The verdicts as a table.
pub(crate) fn table(verdicts: &[Verdict]) -> String {
    let mut text = String::from("| | what | target | measured | |\n|---|---|---|---|---|\n");
    for verdict in verdicts {
        let met = match verdict.outcome {
            Some(Outcome::Met) => "met",
            Some(Outcome::Undecided) => "undecided",
            Some(Outcome::Missed) => "**missed**",
            None => "not measured",
        };
        let Verdict {
            id,
            what,
            target,
            measured,
            ..
        } = verdict;
        // Writing to a string cannot fail.
        writeln!(text, "| {id} | {what} | {target} | {measured} | {met} |").unwrap_or_default();
    }
    text
}

/// The targets that are about many cells: a row for each cell, a column for each target. Nothing if
/// nothing was measured.
pub(crate) fn cells_table(verdicts: &[Verdict]) -> String {
    let columns: Vec<&Verdict> = verdicts
        .iter()
        .filter(|one| !one.cells.is_empty())
        .collect();
    let Some(first) = columns.first() else {
        return String::new();
    };
    let titles = columns
        .iter()
        .map(|one| one.what.trim_end_matches(", every cell"));
    let mut text = format!("| | {} |\n", titles.collect::<Vec<_>>().join(" | "));
    text += &format!("|---|{}\n", "---|".repeat(columns.len()));
    for row in &first.cells {
        text += &format!("| {} |", row.name);
        for column in &columns {
            let cell = column.cells.iter().find(|cell| cell.name == row.name);
            let shown = cell.map_or(String::new(), |cell| match cell.outcome {
                Outcome::Met => cell.decisive.clone(),
                Outcome::Undecided => format!("{}, undecided", cell.decisive),
                Outcome::Missed => format!("{}, **missed**", cell.decisive),
            });
            text += &format!(" {shown} |");
        }
        text += "\n";
    }
    text
}

impl Verdict {
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// The number of the target and what it is about.
    pub(crate) fn what(&self) -> String {
        format!("{} ({})", self.id, self.what)
    }
}

struct Judge<'a>(&'a [Results]);

fn row(case: &str, x: f64) -> Row {
    Row {
        case: case.to_owned(),
        x,
    }
}

/// A ratio to somebody, and who that is.
#[derive(Clone, Debug)]
struct Against {
    ratio: Estimate,
    whom: &'static str,
}

impl<'a> Judge<'a> {
    /// All numbers of one metric; none where the part was not run.
    fn series(&self, part: Part, metric: &str) -> Series<'a> {
        let results = self.0.iter().find(|results| results.part == part);
        Series::new(results.map_or(&[], |results| &results.samples), metric)
    }

    /// One number of the runtime under test, or another contestant, where nothing varies.
    fn median(&self, part: Part, metric: &str, case: &str, who: &str) -> Option<f64> {
        self.series(part, metric).median(&row(case, 0.0), who)
    }

    fn instructions(&self) -> Verdict {
        let series = self.series(Part::Instructions, "instructions");
        let row = row("per message, 50 clients", 0.0);
        let ours = series.median(&row, ECHO_SERVER.name);
        let rivals = EPOLL_RIVALS
            .iter()
            .filter_map(|name| Some((series.median(&row, name)?, *name)));
        let best = rivals.min_by(|one, other| one.0.total_cmp(&other.0));
        let compared = ours.zip(best).map(|(ours, (theirs, name))| {
            format!("; {name} needs {:.2} times as many", theirs / ours)
        });
        verdict(
            "P1",
            "user-space instructions per echoed message, 50 clients",
            "at most 300",
            ours.map(|ours| {
                let compared = compared.unwrap_or_default();
                (
                    format!("{}{compared}", number(ours)),
                    Outcome::of(ours <= 300.0),
                )
            }),
        )
    }

    fn echo(&self) -> Vec<Verdict> {
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

    fn large_reads(&self, rate: &Series<'_>) -> Verdict {
        let rows = rate.rows().into_iter();
        let rows = rows.filter(|row| row.case == "16384 B, 16 at once");
        let ratios = rows
            .filter_map(|row| Some((row.x, rate.estimate(&row, ECHO_SERVER.name, FLOOR)?)))
            .collect::<Vec<_>>();
        verdict(
            "P2",
            "throughput at 16 KiB, 16 at once, against raw epoll",
            "more than 1 (fewer, larger reads)",
            all_of(&ratios, |ratio| Outcome::at_least(ratio, 1.0)),
        )
    }

    fn system_calls(&self) -> Vec<Verdict> {
        let calls = |case, who| self.median(Part::Syscalls, "calls", case, who);
        let message = "per message, 50 clients";
        let both = calls(message, ECHO_SERVER.name).zip(calls(message, FLOOR));
        let connection = calls("per connection, 50 at once", ECHO_SERVER.name);
        vec![
            verdict(
                "P3",
                "system calls per message, 50 clients",
                "as raw epoll",
                both.map(|(ours, floor)| {
                    let shown = format!("{}; raw epoll {}", number(ours), number(floor));
                    (shown, Outcome::of(ours <= floor * 1.02))
                }),
            ),
            verdict(
                "P3",
                "system calls per connection",
                "at most 7.8",
                connection.map(|ours| (number(ours), Outcome::of(ours <= 7.8))),
            ),
        ]
    }

    /// How many times as fast as `whom` Wakeful is at some work.
    fn times_as_fast(&self, work: &str, whom: &str) -> Option<Estimate> {
        let series = self.series(Part::Micro, "ns");
        series.estimate(&row(work, 0.0), whom, RUNTIMES[0].name)
    }

    /// The rival that Wakeful is ahead of least, or behind most.
    fn best_rival(&self, work: &str) -> Option<Against> {
        let rivals = RUNTIMES[1..].iter();
        let all = rivals.filter_map(|rival| {
            Some(Against {
                ratio: self.times_as_fast(work, rival.name)?,
                whom: rival.name,
            })
        });
        all.min_by(|one, other| one.ratio.median.total_cmp(&other.ratio.median))
    }

    fn executor(&self) -> Vec<Verdict> {
        const WORKS: [(&str, &str); 6] = [
            ("spawn and finish", "spawn and finish, one by one"),
            (
                "spawn and finish, in bulk",
                "spawn and finish, 1,000 at once",
            ),
            ("spawn and await", "spawn and await"),
            ("yield, one task", "wake oneself, one task"),
            ("yield, among 1,000", "wake oneself, among 1,000"),
            ("ping-pong", "ping-pong between two tasks"),
        ];
        let lines = WORKS.iter().map(|(what, work)| {
            let ours = self.median(Part::Micro, "ns", work, RUNTIMES[0].name);
            let tokio = self.times_as_fast(work, TOKIO);
            let measured = ours.zip(tokio).zip(self.best_rival(work));
            verdict(
                "P4",
                what,
                "3 times as fast as tokio; not behind the best rival",
                measured.map(|((ours, tokio), best)| {
                    let shown = format!(
                        "{} ns; {tokio} times as fast as tokio, {} times {}",
                        number(ours),
                        best.ratio,
                        best.whom
                    );
                    let outcome = Outcome::at_least(tokio, 3.0);
                    (shown, outcome.max(Outcome::at_least(best.ratio, NOISE)))
                }),
            )
        });
        lines.collect()
    }

    fn timers(&self) -> Vec<Verdict> {
        let against = |what, work, target, whom| {
            let ours = self.median(Part::Micro, "ns", work, RUNTIMES[0].name);
            let measured = ours.zip(self.times_as_fast(work, whom));
            verdict(
                "P5",
                what,
                target,
                measured.map(|(ours, ratio)| {
                    let shown = format!("{} ns; {ratio} times as fast", number(ours));
                    (shown, Outcome::at_least(ratio, 2.0))
                }),
            )
        };
        let monoio = "2 times as fast as monoio";
        vec![
            against(
                "arm and drop a timer",
                "arm and drop a timer",
                monoio,
                "monoio epoll",
            ),
            against(
                "the same beside 100,000 timers",
                "arm and drop a timer, beside 100,000",
                monoio,
                "monoio epoll",
            ),
            against(
                "fire 100,000 timers",
                "fire 100,000 timers, each",
                "2 times as fast as tokio",
                TOKIO,
            ),
            self.flat(
                "P5",
                "arm and drop, beside more and more timers",
                "arm and drop a timer, beside timers",
            ),
            self.flat("P5", "fire more and more timers", "fire timers, each"),
        ]
    }

    /// How the cost of one operation grows.
    fn flat(&self, id: &'static str, what: &'static str, case: &str) -> Verdict {
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
        verdict(id, what, "flat but for caches: n to at most 0.2", measured)
    }

    fn allocations(&self) -> Vec<Verdict> {
        let count = |case| self.median(Part::Allocations, "count", case, RUNTIMES[0].name);
        let counts = [
            "allocations, spawn and finish",
            "allocations, spawn and await",
            "allocations, wake and poll",
            "allocations, arm and drop a timer",
        ]
        .map(count);
        let per_message = self.median(
            Part::Instructions,
            "allocations",
            "per message, 50 clients",
            ECHO_SERVER.name,
        );
        let measured = match (counts, per_message) {
            ([Some(spawn), Some(joined), Some(wake), Some(timer)], Some(message)) => {
                // Tables that double show up in the third digit.
                let is = |value: f64, wanted: f64| (value - wanted).abs() < 0.01;
                let met = is(spawn, 1.0) && is(joined, 1.0);
                let met = met && is(wake, 0.0) && is(timer, 0.0) && is(message, 0.0);
                let shown = [spawn, joined, wake, timer, message];
                let shown = shown.map(|count| format!("{count:.2}")).join(", ");
                Some((shown, Outcome::of(met)))
            }
            _ => None,
        };
        vec![
            verdict(
                "P6",
                "bytes per waiting task",
                "at most 200",
                count("bytes, waiting task")
                    .map(|bytes| (number(bytes), Outcome::of(bytes <= 200.0))),
            ),
            verdict(
                "P6",
                "allocations per spawn, spawn and await, wake, timer, echoed message",
                "1, 1, 0, 0, 0",
                measured,
            ),
        ]
    }

    fn memory(&self) -> Verdict {
        let series = self.series(Part::Memory, "bytes");
        let row = series.rows().into_iter().next();
        let bytes = row.and_then(|row| series.median(&row, ECHO_SERVER.name));
        verdict(
            "P7",
            "resident bytes per idle connection",
            "at most 512",
            bytes.map(|bytes| (number(bytes), Outcome::of(bytes <= 512.0))),
        )
    }

    fn thread(&self) -> Verdict {
        let work = "wake from another thread, there and back";
        let ratio = self.times_as_fast(work, TOKIO);
        verdict(
            "P8",
            "wake from another thread, there and back",
            "not behind tokio (0.97)",
            ratio.map(|ratio| {
                let shown = format!("{ratio} times as fast");
                (shown, Outcome::at_least(ratio, NOISE))
            }),
        )
    }

    fn growth(&self) -> Vec<Verdict> {
        let series = self.series(Part::Growth, "beside");
        let ratios: Vec<(f64, Estimate)> = series
            .rows()
            .iter()
            .filter_map(|row| Some((row.x, series.estimate_own(row, ECHO_SERVER.name)?)))
            .collect();
        vec![
            verdict(
                "P9",
                "server CPU per message with idle connections beside, against none",
                "at most 1.05",
                all_of(&ratios, |ratio| Outcome::at_most(ratio, 1.05)),
            ),
            self.flat(
                "P9",
                "spawn and finish, beside more and more tasks",
                "spawn and finish, beside waiting tasks",
            ),
            self.flat(
                "P9",
                "wake oneself, among more and more tasks",
                "wake oneself, among tasks",
            ),
        ]
    }

    fn idle(&self, id: &'static str, what: &'static str, who: &str) -> Verdict {
        let median = |metric| {
            let series = self.series(Part::Memory, metric);
            let row = series.rows().into_iter().next()?;
            series.median(&row, who)
        };
        verdict(
            id,
            what,
            "no wake-up, no CPU",
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

    fn busy_poll(&self) -> Vec<Verdict> {
        let series = self.series(Part::Latency, "rate");
        let against = |what, case| {
            let ratio = series.estimate(&row(case, 0.0), BUSY.name, TOKIO);
            verdict(
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
            self.idle("P11", "the same server at rest", BUSY.name),
        ]
    }
}

fn verdict(
    id: &'static str,
    what: &'static str,
    target: &'static str,
    measured: Option<(String, Outcome)>,
) -> Verdict {
    let (measured, outcome) = measured.unzip();
    Verdict {
        id,
        what,
        target,
        measured: measured.unwrap_or_default(),
        outcome,
        cells: Vec::new(),
    }
}

/// All ratios of a row, each with how many clients there were; the worst of them decides.
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

/// Every cell of the grid against everybody of a list. `judge` turns a ratio into one of which more is
/// better, and says whether it will do.
fn cells(
    what: &'static str,
    target: &'static str,
    series: &Series<'_>,
    whom: &[&str],
    judge: impl Fn(Estimate) -> (Estimate, Outcome),
) -> Verdict {
    let mut cells: Vec<Cell> = Vec::new();
    // Who is most surely behind: whose interval ends lowest.
    let mut worst: Option<(Estimate, String)> = None;
    for row in series.rows() {
        let ratios = whom.iter().filter_map(|name| {
            let ratio = series.estimate(&row, ECHO_SERVER.name, name)?;
            let (goodness, outcome) = judge(ratio);
            Some((goodness, outcome, format!("{ratio} {name}")))
        });
        let ratios: Vec<(Estimate, Outcome, String)> = ratios.collect();
        let Some(outcome) = ratios.iter().map(|(_, outcome, _)| *outcome).max() else {
            continue;
        };
        let decisive = ratios.into_iter().filter(|one| one.1 == outcome);
        let lowest = decisive.min_by(|one, other| {
            let ends = one.0.high.total_cmp(&other.0.high);
            ends.then(one.0.median.total_cmp(&other.0.median))
        });
        let Some((goodness, _, decisive)) = lowest else {
            continue;
        };
        let name = format!("{}, {} clients", row.case, number(row.x));
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
    let outcomes: Vec<Outcome> = cells.iter().map(|cell| cell.outcome).collect();
    let count = |outcome| outcomes.iter().filter(|one| **one == outcome).count();
    let overall = outcomes.iter().max().copied();
    let measured = worst.zip(overall).map(|((_, worst), overall)| {
        let undecided = match count(Outcome::Undecided) {
            0 => String::new(),
            some => format!(", {some} undecided"),
        };
        let (met, all) = (count(Outcome::Met), outcomes.len());
        let shown = format!("met in {met} of {all} cells{undecided}; worst {worst}");
        (shown, overall)
    });
    Verdict {
        cells,
        ..verdict("P2", what, target, measured)
    }
}

/// By what factor the last value is above the first, and to which power of n that amounts.
fn growth(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let [(n_first, first), .., (n_last, last)] = *points else {
        return None;
    };
    let factor = last / first;
    Some((factor, factor.ln() / (n_last / n_first).ln()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use crate::record::Sample;

    fn results(part: Part, samples: &[(&str, f64, &str, &str, f64)]) -> Results {
        let samples = samples
            .iter()
            .map(|&(case, x, contestant, metric, value)| Sample {
                case: case.to_owned(),
                x,
                contestant: contestant.to_owned(),
                metric: metric.to_owned(),
                round: 0,
                value,
            });
        Results {
            part,
            quick: true,
            rounds: 1,
            took_seconds: 0,
            machine: Machine::default(),
            notes: Vec::new(),
            failures: Vec::new(),
            samples: samples.collect(),
        }
    }

    fn of<'a>(verdicts: &'a [Verdict], id: &str) -> &'a Verdict {
        verdicts.iter().find(|one| one.id == id).unwrap()
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let verdicts = judge(&[]);
        assert!(verdicts.iter().all(|one| one.outcome.is_none()));
        for number in 1..=11 {
            of(&verdicts, &format!("P{number}"));
        }
        assert!(table(&verdicts).contains("not measured"));
    }

    #[test]
    fn a_target_is_held_against_the_number() {
        let case = "per message, 50 clients";
        let with = |count| {
            results(
                Part::Instructions,
                &[
                    (case, 0.0, ECHO_SERVER.name, "instructions", count),
                    (case, 0.0, "smol", "instructions", 1200.0),
                    (case, 0.0, "monoio epoll", "instructions", 800.0),
                ],
            )
        };
        let met = judge(&[with(250.0)]);
        assert_eq!(of(&met, "P1").outcome, Some(Outcome::Met));
        assert_eq!(
            of(&met, "P1").measured,
            "250; monoio epoll needs 3.20 times as many"
        );
        let above = judge(&[with(301.0)]);
        assert_eq!(of(&above, "P1").outcome, Some(Outcome::Missed));
    }

    /// Ten rounds of one cell, in which the ratio to the floor goes from `least` on in steps.
    fn cell(clients: f64, least: f64, step: f64) -> Vec<Sample> {
        let sample = |contestant: &str, round: u32, value: f64| Sample {
            case: "64 B, 1 at once".to_owned(),
            x: clients,
            contestant: contestant.to_owned(),
            metric: "rate".to_owned(),
            round,
            value,
        };
        let rounds = 0..10_u32;
        rounds
            .flat_map(|round| {
                let ours = 100.0 * (least + step * f64::from(round));
                [
                    sample(FLOOR, round, 100.0),
                    sample(ECHO_SERVER.name, round, ours),
                ]
            })
            .collect()
    }

    #[test]
    fn cells_that_are_behind_or_cannot_be_told_are_named() {
        let mut results = results(Part::Echo, &[]);
        results.samples = [
            cell(1.0, 0.975, 0.002),
            cell(50.0, 0.90, 0.002),
            cell(500.0, 0.90, 0.02),
        ]
        .concat();
        let verdicts = judge(&[results]);
        let verdict = of(&verdicts, "P2");
        assert_eq!(verdict.outcome, Some(Outcome::Missed));
        assert_eq!(
            verdict.measured,
            "met in 1 of 3 cells, 1 undecided; \
             worst 0.91 [0.90, 0.92] raw epoll, 64 B, 1 at once, 50 clients"
        );
        let table = cells_table(&verdicts);
        let row = |name: &str| table.lines().find(|line| line.contains(name)).unwrap();
        assert!(row(" 50 clients").contains("0.91 [0.90, 0.92] raw epoll, **missed**"));
        assert!(row(" 500 clients").contains("0.99 [0.90, 1.08] raw epoll, undecided"));
        assert!(row(" 1 clients").ends_with("raw epoll |"));
    }

    #[test]
    fn an_interval_decides_when_it_lies_on_one_side() {
        let between = |low, median, high| Estimate { median, low, high };
        for (estimate, outcome) in [
            (between(0.99, 1.0, 1.01), Outcome::Met),
            (between(0.975, 0.99, 1.0), Outcome::Met),
            (between(0.96, 0.99, 1.0), Outcome::Undecided),
            (between(0.975, 0.979, 1.0), Outcome::Undecided),
            (between(0.9, 0.95, 0.979), Outcome::Missed),
            (
                between(f64::NEG_INFINITY, 2.0, f64::INFINITY),
                Outcome::Undecided,
            ),
        ] {
            assert_eq!(Outcome::at_least(estimate, 0.98), outcome, "{estimate}");
            let inverse = estimate.inverse();
            assert_eq!(Outcome::at_most(inverse, 1.0 / 0.98), outcome, "{inverse}");
        }
    }

    #[test]
    fn growth_is_a_power_of_n() {
        let (factor, exponent) = growth(&[(10.0, 5.0), (100.0, 7.0), (1000.0, 500.0)]).unwrap();
        assert_eq!(factor, 100.0);
        assert!((exponent - 1.0).abs() < 1e-9);
        assert!(growth(&[(10.0, 5.0)]).is_none());
    }
}
