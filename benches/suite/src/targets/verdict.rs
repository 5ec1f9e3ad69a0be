//! The outcome of a target, and the tables of outcomes.
//!
//! Counts are compared directly. A ratio of times is known only within an interval, so there is a
//! third outcome besides met and missed: undecided ([`Outcome`]).

use std::fmt::Write as _;

use crate::record::Estimate;

/// A target and its result: one line of the table.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(super) id: &'static str,
    pub(super) what: &'static str,
    pub(super) target: &'static str,
    pub(super) measured: String,
    /// `None` if the part was not run.
    pub(super) outcome: Option<Outcome>,
    /// Decisive ratio of each cell, for targets about many cells.
    pub(super) cells: Vec<Cell>,
}

/// A cell of a target about many cells.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) name: String,
    pub(super) outcome: Outcome,
    /// The ratio and the other contestant.
    pub(super) decisive: String,
}

/// Outcome of a target, in ascending order of weight: the worst cell decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The interval is on the right side of the limit; or the median is, and at most [`NARROW`] of
    /// the interval is beyond.
    Met,
    /// The interval contains the limit.
    Undecided,
    /// The interval is on the wrong side of the limit.
    Missed,
}

/// Fraction of a limit by which the interval of a met target can exceed it.
const NARROW: f64 = 0.01;

impl Outcome {
    /// Returns the outcome of a count, which has no interval.
    pub(super) fn of(met: bool) -> Outcome {
        if met { Outcome::Met } else { Outcome::Missed }
    }

    pub(super) fn at_least(estimate: Estimate, limit: f64) -> Outcome {
        if estimate.high < limit {
            Outcome::Missed
        } else if estimate.median >= limit && estimate.low >= limit * (1.0 - NARROW) {
            Outcome::Met
        } else {
            Outcome::Undecided
        }
    }

    pub(super) fn at_most(estimate: Estimate, limit: f64) -> Outcome {
        Outcome::at_least(estimate.inverse(), 1.0 / limit)
    }

    /// Returns the outcome of a value that is no ratio, and can be zero or less.
    pub(super) fn below(estimate: Estimate, limit: f64) -> Outcome {
        if estimate.low > limit {
            Outcome::Missed
        } else if estimate.median <= limit && estimate.high <= limit * (1.0 + NARROW) {
            Outcome::Met
        } else {
            Outcome::Undecided
        }
    }
}

impl Verdict {
    /// Makes a verdict without cells; `measured` is `None` if the part was not run.
    pub(super) fn new(
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

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// Returns the outcome as a word.
    fn word(&self) -> &'static str {
        match self.outcome {
            Some(Outcome::Met) => "met",
            Some(Outcome::Undecided) => "undecided",
            Some(Outcome::Missed) => "**missed**",
            None => "not measured",
        }
    }

    /// Returns the number of the target and its subject.
    pub(crate) fn title(&self) -> String {
        format!("{} ({})", self.id, self.what)
    }
}

/// Formats the verdicts of numbered targets as a table.
pub(crate) fn table(verdicts: &[Verdict]) -> String {
    let mut text = String::from("| | what | target | measured | |\n|---|---|---|---|---|\n");
    for verdict in verdicts {
        let met = verdict.word();
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

/// Formats verdicts without numbers as a table.
pub(crate) fn bounds_table(verdicts: &[Verdict]) -> String {
    let mut text = String::from("| what | bound | measured | |\n|---|---|---|---|\n");
    for verdict in verdicts {
        let (what, target, measured) = (verdict.what, verdict.target, &verdict.measured);
        let met = verdict.word();
        writeln!(text, "| {what} | {target} | {measured} | {met} |").unwrap_or_default();
    }
    text
}

/// Formats the targets about many cells: a row per cell, a column per target. Returns an empty
/// string if none was measured.
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
