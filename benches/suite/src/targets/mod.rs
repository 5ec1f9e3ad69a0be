//! Judges the measurements by Wakeful's own targets, P1 to P17.
//!
//! ```text
//! mod          the list of all targets
//! servers      targets of the echo server      executor  targets of executor and timers
//! kinds        targets of other kinds of servers
//! explain      bounds on recordings, watched loops, dumps and pages
//! figures      figures by name, from the samples
//! verdict      met, missed or undecided; tables
//! ```

use figures::Figures;

use crate::contestants::ECHO_SERVER;
use crate::results::Results;

mod executor;
mod explain;
mod figures;
mod kinds;
mod servers;
mod verdict;

pub(crate) use verdict::{Outcome, Verdict, bounds_table, cells_table, table};

/// Judges all targets.
pub(crate) fn judge(all: &[Results]) -> Vec<Verdict> {
    let figures = Figures(all);
    let mut verdicts = Vec::new();
    verdicts.push(figures.instructions());
    verdicts.extend(figures.echo());
    verdicts.extend(figures.system_calls());
    verdicts.extend(figures.executor());
    verdicts.extend(figures.timers());
    verdicts.extend(figures.allocations());
    verdicts.push(figures.memory());
    verdicts.push(figures.thread());
    verdicts.extend(figures.growth());
    verdicts.push(figures.idle("P10", "idle server", ECHO_SERVER.name));
    verdicts.extend(figures.busy_poll());
    verdicts.extend(figures.datagrams());
    verdicts.extend(figures.relays());
    verdicts.extend(figures.http());
    verdicts.extend(figures.tails());
    verdicts.push(figures.connections());
    verdicts
}

/// Judges the bounds of the part `explain`, which have no numbers.
pub(crate) fn bounds(all: &[Results]) -> Vec<Verdict> {
    Figures(all).explain()
}

#[cfg(test)]
mod tests {
    use super::figures::growth;
    use super::*;
    use crate::contestants::{ECHO_SERVER, FLOOR};
    use crate::machine::Machine;
    use crate::part::Part;
    use crate::record::{Estimate, Sample};

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

    fn between(low: f64, median: f64, high: f64) -> Estimate {
        Estimate {
            median,
            low,
            high,
            range: (low, high),
        }
    }

    #[test]
    fn a_part_that_was_not_run_is_neither_met_nor_missed() {
        let verdicts = judge(&[]);
        assert!(verdicts.iter().all(|one| one.outcome.is_none()));
        // P13 is not measured by the suite.
        for number in (1..=12).chain(14..=17) {
            of(&verdicts, &format!("P{number}"));
        }
        assert!(table(&verdicts).contains("not measured"));
    }

    #[test]
    fn a_count_is_compared_with_its_target() {
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

    #[test]
    fn a_bound_on_a_difference_can_be_met_by_less_than_nothing() {
        for (estimate, outcome) in [
            (between(-1.0, -0.5, 0.5), Outcome::Met),
            (between(1.9, 2.0, 2.02), Outcome::Met),
            (between(1.9, 2.0, 2.1), Outcome::Undecided),
            (between(-3.0, 1.0, 7.0), Outcome::Undecided),
            (between(2.1, 2.2, 2.3), Outcome::Missed),
            (
                between(f64::NEG_INFINITY, 1.0, f64::INFINITY),
                Outcome::Undecided,
            ),
        ] {
            assert_eq!(Outcome::below(estimate, 2.0), outcome, "{estimate}");
        }
    }

    #[test]
    fn each_bound_of_the_part_explain_is_judged_by_the_samples_of_its_name() {
        use crate::contestants::{RECORDED, RUNTIMES, WATCHED};
        use crate::parts::explain;
        let own = RUNTIMES[0].name;
        let of = |values: [f64; 6]| {
            let named = [
                (explain::EVENT, RECORDED, "added"),
                (explain::WATCHED_POLL, WATCHED, "added"),
                (explain::WATCHED_POLL_OF_MANY, WATCHED, "added"),
                (explain::JOINS, own, "time"),
                (explain::SLEEPS, own, "time"),
                (explain::PAGE, own, "time"),
            ];
            let mut results = results(Part::Explain, &[]);
            for round in 0..8 {
                for ((case, contestant, metric), value) in named.iter().zip(values) {
                    results.samples.push(Sample {
                        case: (*case).to_owned(),
                        x: 0.0,
                        contestant: (*contestant).to_owned(),
                        metric: (*metric).to_owned(),
                        round,
                        value,
                    });
                }
            }
            let verdicts = bounds(&[results]);
            let outcomes = verdicts.iter().skip(1).map(|one| one.outcome);
            outcomes.collect::<Vec<_>>()
        };
        assert_eq!(
            of([40.0, 2.0, 2.0, 20.0, 20.0, 1000.0]),
            [Some(Outcome::Met); 6]
        );
        assert_eq!(
            of([41.0, 2.1, 2.1, 21.0, 21.0, 1100.0]),
            [Some(Outcome::Missed); 6]
        );
        assert!(bounds(&[]).iter().all(|one| one.outcome.is_none()));
        assert!(bounds_table(&bounds(&[])).contains("not measured"));
    }

    /// Ten rounds of one cell; the ratio to the floor starts at `least` and grows by `step`.
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
                let own = 100.0 * (least + step * f64::from(round));
                [
                    sample(FLOOR, round, 100.0),
                    sample(ECHO_SERVER.name, round, own),
                ]
            })
            .collect()
    }

    #[test]
    fn missed_and_undecided_cells_are_named() {
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
        assert!(row(" 1 client ").ends_with("raw epoll |"));
    }

    #[test]
    fn an_interval_decides_if_the_limit_is_outside() {
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
