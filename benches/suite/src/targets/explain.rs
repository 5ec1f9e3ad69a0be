//! Bounds on what it costs that a runtime shows what it does: recordings, watched loops, dumps, pages.

use super::figures::{Figures, row};
use super::verdict::{Outcome, Verdict};
use crate::contestants::{ECHO_SERVER, RECORDED, RECORDED_SERVER, RUNTIMES, WATCHED};
use crate::part::Part;
use crate::parts::explain;

impl Figures<'_> {
    pub(super) fn explain(&self) -> Vec<Verdict> {
        const WAKEFUL: &str = RUNTIMES[0].name;
        let rate = self.series(Part::Explain, "rate");
        let rate = rate.estimate(&row(explain::ECHO, 0.0), RECORDED_SERVER, ECHO_SERVER.name);
        let mut verdicts = vec![Verdict::new(
            "",
            "messages/s of a server that records, 50 clients",
            "at least 0.95 of those without",
            rate.map(|ratio| (ratio.to_string(), Outcome::at_least(ratio, 0.95))),
        )];
        for (metric, case, contestant, most, target) in [
            ("added", explain::EVENT, RECORDED, 40.0, "at most 40 ns"),
            ("added", explain::WATCHED_POLL, WATCHED, 2.0, "at most 2 ns"),
            (
                "added",
                explain::WATCHED_POLL_OF_MANY,
                WATCHED,
                2.0,
                "at most 2 ns",
            ),
            ("time", explain::JOINS, WAKEFUL, 20.0, "at most 20 ms"),
            ("time", explain::SLEEPS, WAKEFUL, 20.0, "at most 20 ms"),
            ("time", explain::PAGE, WAKEFUL, 1000.0, "at most 1,000 ms"),
        ] {
            let series = self.series(Part::Explain, metric);
            let value = series.estimate_own(&row(case, 0.0), contestant);
            let measured = value.map(|value| {
                let unit = target.rsplit(' ').next().unwrap_or_default();
                (format!("{value} {unit}"), Outcome::below(value, most))
            });
            verdicts.push(Verdict::new("", case, target, measured));
        }
        verdicts
    }
}
