//! The targets that Wakeful set itself, P1 to P11, held against the numbers: what was aimed at, what
//! was measured, and whether that is met.
//!
//! Everything is computed from the raw numbers by name, so a part that was not run shows up as "not
//! measured", and nobody types a figure.

use std::fmt::Write as _;

use crate::contest::{BUSY, ECHO_SERVER, FLOOR, RUNTIMES, TOKIO};
use crate::markdown::number;
use crate::parts::Part;
use crate::record::{Row, Series};
use crate::results::Results;

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Verdict {
    id: &'static str,
    what: &'static str,
    target: &'static str,
    measured: String,
    /// `None` where nothing was measured.
    met: Option<bool>,
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
        let met = match verdict.met {
            Some(true) => "met",
            Some(false) => "**missed**",
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

impl Verdict {
    pub(crate) fn met(&self) -> Option<bool> {
        self.met
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
    ratio: f64,
    whom: String,
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
                (format!("{}{compared}", number(ours)), ours <= 300.0)
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
                |ratio| (ratio, ratio >= FLOOR_RATIO),
            ),
            cells(
                "server CPU per message against raw epoll, every cell",
                "at most 1.02",
                &cpu,
                &floor,
                |ratio| (1.0 / ratio, ratio <= 1.0 / FLOOR_RATIO),
            ),
            cells(
                "throughput against every epoll rival, every cell",
                "at least 0.97 (noise)",
                &rate,
                &EPOLL_RIVALS,
                |ratio| (ratio, ratio >= NOISE),
            ),
            cells(
                "server CPU per message against every epoll rival, every cell",
                "at most 1.03 (noise)",
                &cpu,
                &EPOLL_RIVALS,
                |ratio| (1.0 / ratio, ratio <= 1.0 / NOISE),
            ),
            self.large_reads(&rate),
        ]
    }

    fn large_reads(&self, rate: &Series<'_>) -> Verdict {
        let rows = rate.rows().into_iter();
        let rows = rows.filter(|row| row.case == "16384 B, 16 at once");
        let ratios = rows
            .filter_map(|row| Some((row.x, rate.ratio(&row, ECHO_SERVER.name, FLOOR)?)))
            .collect::<Vec<_>>();
        let shown = ratios
            .iter()
            .map(|(clients, ratio)| format!("{ratio:.2} at {}", number(*clients)));
        let shown = shown.collect::<Vec<_>>().join(", ");
        let met = ratios.iter().all(|(_, ratio)| *ratio > 1.0);
        verdict(
            "P2",
            "throughput at 16 KiB, 16 at once, against raw epoll",
            "more than 1 (fewer, larger reads)",
            (!ratios.is_empty()).then_some((shown, met)),
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
                    (shown, ours <= floor * 1.02)
                }),
            ),
            verdict(
                "P3",
                "system calls per connection",
                "at most 7.8",
                connection.map(|ours| (number(ours), ours <= 7.8)),
            ),
        ]
    }

    /// How many times as fast as `whom` Wakeful is at some work.
    fn times_as_fast(&self, work: &str, whom: &str) -> Option<f64> {
        let series = self.series(Part::Micro, "ns");
        series.ratio(&row(work, 0.0), whom, RUNTIMES[0].name)
    }

    /// The rival that Wakeful is ahead of least, or behind most.
    fn best_rival(&self, work: &str) -> Option<Against> {
        let rivals = RUNTIMES[1..].iter();
        let all = rivals.filter_map(|rival| {
            Some(Against {
                ratio: self.times_as_fast(work, rival.name)?,
                whom: rival.name.to_owned(),
            })
        });
        all.min_by(|one, other| one.ratio.total_cmp(&other.ratio))
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
                        "{} ns; {tokio:.2} times as fast as tokio, {:.2} times {}",
                        number(ours),
                        best.ratio,
                        best.whom
                    );
                    (shown, tokio >= 3.0 && best.ratio >= NOISE)
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
                    let shown = format!("{} ns; {ratio:.2} times as fast", number(ours));
                    (shown, ratio >= 2.0)
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
            (shown, exponent <= FLAT)
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
                Some((shown, met))
            }
            _ => None,
        };
        vec![
            verdict(
                "P6",
                "bytes per waiting task",
                "at most 200",
                count("bytes, waiting task").map(|bytes| (number(bytes), bytes <= 200.0)),
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
            bytes.map(|bytes| (number(bytes), bytes <= 512.0)),
        )
    }

    fn thread(&self) -> Verdict {
        let work = "wake from another thread, there and back";
        let ratio = self.times_as_fast(work, TOKIO);
        verdict(
            "P8",
            "wake from another thread, there and back",
            "not behind tokio (0.97)",
            ratio.map(|ratio| (format!("{ratio:.2} times as fast"), ratio >= NOISE)),
        )
    }

    fn growth(&self) -> Vec<Verdict> {
        let series = self.series(Part::Growth, "beside");
        let ratios: Vec<(f64, f64)> = series
            .rows()
            .iter()
            .filter_map(|row| Some((row.x, series.median(row, ECHO_SERVER.name)?)))
            .collect();
        let shown = ratios
            .iter()
            .map(|(clients, ratio)| format!("{ratio:.2} at {}", number(*clients)));
        let shown = shown.collect::<Vec<_>>().join(", ");
        let met = ratios.iter().all(|(_, ratio)| *ratio <= 1.05);
        vec![
            verdict(
                "P9",
                "server CPU per message with idle connections beside, against none",
                "at most 1.05",
                (!ratios.is_empty()).then_some((shown, met)),
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
                    (shown, switches < 0.5 && cpu < 10.0)
                }),
        )
    }

    fn busy_poll(&self) -> Vec<Verdict> {
        let series = self.series(Part::Latency, "rate");
        let against = |what, case| {
            let ratio = series.ratio(&row(case, 0.0), BUSY.name, TOKIO);
            verdict(
                "P11",
                what,
                "at least 2.5 times tokio's",
                ratio.map(|ratio| (format!("{ratio:.2} times"), ratio >= 2.5)),
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
    measured: Option<(String, bool)>,
) -> Verdict {
    let (measured, met) = measured.unzip();
    Verdict {
        id,
        what,
        target,
        measured: measured.unwrap_or_default(),
        met,
    }
}

/// Every cell of the grid against everybody of a list. `judge` turns a ratio into a figure of which
/// more is better, and says whether it will do.
fn cells(
    what: &'static str,
    target: &'static str,
    series: &Series<'_>,
    whom: &[&str],
    judge: impl Fn(f64) -> (f64, bool),
) -> Verdict {
    let (mut all, mut met) = (0, 0);
    let mut worst: Option<(f64, f64, String)> = None;
    for row in series.rows() {
        let ratios = whom
            .iter()
            .filter_map(|name| Some((series.ratio(&row, ECHO_SERVER.name, name)?, *name)));
        let ratios: Vec<(f64, &str)> = ratios.collect();
        let Some(&(ratio, name)) = ratios
            .iter()
            .min_by(|one, other| judge(one.0).0.total_cmp(&judge(other.0).0))
        else {
            continue;
        };
        all += 1;
        let (goodness, good_enough) = judge(ratio);
        met += usize::from(good_enough);
        if worst.as_ref().is_none_or(|(least, ..)| goodness < *least) {
            let place = format!("{}, {} clients, {name}", row.case, number(row.x));
            worst = Some((goodness, ratio, place));
        }
    }
    let measured = worst.map(|(_, ratio, place)| {
        let shown = format!("{met} of {all} cells; worst {ratio:.2} ({place})");
        (shown, met == all)
    });
    verdict("P2", what, target, measured)
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
        assert!(verdicts.iter().all(|one| one.met.is_none()));
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
        assert_eq!(of(&met, "P1").met, Some(true));
        assert_eq!(
            of(&met, "P1").measured,
            "250; monoio epoll needs 3.20 times as many"
        );
        assert_eq!(of(&judge(&[with(301.0)]), "P1").met, Some(false));
    }

    #[test]
    fn one_cell_that_is_behind_is_named() {
        let cell = |clients, ours| {
            [
                ("64 B, 1 at once", clients, FLOOR, "rate", 100.0),
                ("64 B, 1 at once", clients, ECHO_SERVER.name, "rate", ours),
            ]
        };
        let samples = [cell(1.0, 99.0), cell(50.0, 90.0)].concat();
        let verdicts = judge(&[results(Part::Echo, &samples)]);
        let verdict = of(&verdicts, "P2");
        assert_eq!(verdict.met, Some(false));
        assert_eq!(
            verdict.measured,
            "1 of 2 cells; worst 0.90 (64 B, 1 at once, 50 clients, raw epoll)"
        );
    }

    #[test]
    fn growth_is_a_power_of_n() {
        let (factor, exponent) = growth(&[(10.0, 5.0), (100.0, 7.0), (1000.0, 500.0)]).unwrap();
        assert_eq!(factor, 100.0);
        assert!((exponent - 1.0).abs() < 1e-9);
        assert!(growth(&[(10.0, 5.0)]).is_none());
    }
}
