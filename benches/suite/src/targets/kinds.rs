//! Targets of the servers of datagrams, of HTTP and of mixed work, and of relays: P12 to P16.

use super::figures::{Figures, NOISE, row};
use super::verdict::{Outcome, Verdict};
use crate::contestants::{ECHO_SERVER, MONOIO, RUNTIMES, TOKIO};
use crate::format::number;
use crate::part::Part;
use crate::record::Estimate;

impl Figures<'_> {
    pub(super) fn datagrams(&self) -> Vec<Verdict> {
        const ONE: [&str; 2] = ["64 B, 1 at once", "1200 B, 1 at once"];
        const MANY: [&str; 4] = [
            "64 B, 32 at once",
            "1200 B, 32 at once",
            "64 B, 32 at once in segments",
            "1200 B, 32 at once in segments",
        ];
        let ratios = |metric, cases: &[&'static str]| {
            self.ratios(Part::Udp, metric, cases, ECHO_SERVER.name, &[TOKIO])
        };
        vec![
            Verdict::new(
                "P12",
                "datagrams/s, 32 at once",
                "at least 2 times tokio's",
                worst(ratios("rate", &MANY), |ratio| Outcome::at_least(ratio, 2.0)),
            ),
            Verdict::new(
                "P12",
                "server CPU per datagram, 32 at once",
                "at most a third of tokio's",
                worst(ratios("cpu", &MANY), |ratio| {
                    Outcome::at_most(ratio, 1.0 / 3.0)
                }),
            ),
            Verdict::new(
                "P12",
                "datagrams/s, 1 at once",
                "not behind tokio (0.97)",
                worst(ratios("rate", &ONE), |ratio| {
                    Outcome::at_least(ratio, NOISE)
                }),
            ),
        ]
    }

    pub(super) fn relays(&self) -> Vec<Verdict> {
        const BULK: [&str; 4] = [
            "65536 B, 1 at once",
            "65536 B, 32 at once",
            "262144 B, 1 at once",
            "262144 B, 32 at once",
        ];
        const SMALL: [&str; 4] = [
            "64 B, 1 at once",
            "64 B, 32 at once",
            "1024 B, 1 at once",
            "1024 B, 32 at once",
        ];
        let of = |what, wanted, cases: &[&'static str], most| {
            let cpu = self.ratios(Part::Relay, "cpu", cases, RUNTIMES[0].name, &[TOKIO]);
            let outcome = worst(cpu, |ratio| Outcome::at_most(ratio, most));
            Verdict::new("P13", what, wanted, outcome)
        };
        vec![
            of(
                "relay CPU per GiB, bulk",
                "at most 0.9 of tokio's",
                &BULK,
                0.9,
            ),
            of(
                "relay CPU per GiB, small pieces",
                "not behind tokio (1.03)",
                &SMALL,
                1.0 / NOISE,
            ),
        ]
    }

    pub(super) fn http(&self) -> Vec<Verdict> {
        let own = RUNTIMES[0].name;
        let series = self.series(Part::Http, "cpu");
        let cases = series.cases();
        let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
        let cpu = self.ratios(Part::Http, "cpu", &cases, own, &[TOKIO]);
        let bytes = self.series(Part::Http, "bytes");
        let pairs: Vec<(f64, f64)> = bytes
            .rows()
            .iter()
            .filter_map(|row| Some((bytes.median(row, own)?, bytes.median(row, TOKIO)?)))
            .collect();
        let shown: Vec<String> = pairs
            .iter()
            .map(|&(own, tokio)| format!("{}; tokio {}", number(own), number(tokio)))
            .collect();
        let fewer = pairs.iter().all(|(own, tokio)| own < tokio);
        vec![
            Verdict::new(
                "P14",
                "server CPU per HTTP request",
                "at most 0.95 of tokio's",
                worst(cpu, |ratio| Outcome::at_most(ratio, 0.95)),
            ),
            Verdict::new(
                "P15",
                "resident bytes per idle connection of HTTP/1.1, HTTP/2",
                "fewer than tokio",
                (!pairs.is_empty()).then(|| (shown.join(", "), Outcome::of(fewer))),
            ),
        ]
    }

    pub(super) fn tails(&self) -> Vec<Verdict> {
        let of = |what, case: &'static str| {
            let rivals = [TOKIO, MONOIO];
            let ratios = self.ratios(Part::Tails, "time", &[case], RUNTIMES[0].name, &rivals);
            Verdict::new(
                "P16",
                what,
                "not behind tokio and monoio (1.03)",
                worst(ratios, |ratio| Outcome::at_most(ratio, 1.0 / NOISE)),
            )
        };
        vec![
            of("99 % of small messages beside other work", "99 %"),
            of("99.9 % of small messages beside other work", "99.9 %"),
        ]
    }

    /// Returns the ratios of a contestant to these rivals, each with what it is about.
    fn ratios(
        &self,
        part: Part,
        metric: &str,
        cases: &[&str],
        own: &str,
        rivals: &[&str],
    ) -> Vec<(String, Estimate)> {
        let series = self.series(part, metric);
        let pairs = cases
            .iter()
            .flat_map(|case| rivals.iter().map(move |rival| (*case, *rival)));
        pairs
            .filter_map(|(case, rival)| {
                let ratio = series.estimate(&row(case, 0.0), own, rival)?;
                let about = if rivals.len() == 1 { case } else { rival };
                Some((about.to_owned(), ratio))
            })
            .collect()
    }
}

/// Formats ratios, each with what it is about. The worst outcome decides.
fn worst(
    ratios: Vec<(String, Estimate)>,
    judge: impl Fn(Estimate) -> Outcome,
) -> Option<(String, Outcome)> {
    let outcome = ratios.iter().map(|(_, ratio)| judge(*ratio)).max()?;
    let shown: Vec<String> = ratios
        .iter()
        .map(|(about, ratio)| format!("{ratio} ({about})"))
        .collect();
    Some((shown.join(", "), outcome))
}
