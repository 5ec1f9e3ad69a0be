//! Targets of the executor and the timers: P4, P5, P6 and P8.

use super::figures::{Figures, NOISE};
use super::verdict::{Outcome, Verdict};
use crate::contestants::{ECHO_SERVER, RUNTIMES, TOKIO};
use crate::format::number;
use crate::part::Part;

impl Figures<'_> {
    pub(super) fn executor(&self) -> Vec<Verdict> {
        const WORKS: [(&str, &str); 6] = [
            ("spawn and finish", "spawn and finish, one by one"),
            (
                "spawn and finish, in bulk",
                "spawn and finish, 1,000 at once",
            ),
            ("spawn and await", "spawn and await"),
            ("self-wake, one task", "self-wake, one task"),
            ("self-wake, 1,000 tasks", "self-wake, 1,000 tasks"),
            ("ping-pong", "ping-pong between two tasks"),
        ];
        let lines = WORKS.iter().map(|(what, work)| {
            let own = self.median(Part::Micro, "ns", work, RUNTIMES[0].name);
            let tokio = self.times_as_fast(work, TOKIO);
            let measured = own.zip(tokio).zip(self.best_rival(work));
            Verdict::new(
                "P4",
                what,
                "3 times as fast as tokio; not slower than the best rival",
                measured.map(|((own, tokio), best)| {
                    let shown = format!(
                        "{} ns; {tokio} times as fast as tokio, {} times {}",
                        number(own),
                        best.ratio,
                        best.name
                    );
                    let outcome = Outcome::at_least(tokio, 3.0);
                    (shown, outcome.max(Outcome::at_least(best.ratio, NOISE)))
                }),
            )
        });
        lines.collect()
    }

    pub(super) fn timers(&self) -> Vec<Verdict> {
        let against = |what, work, target, other| {
            let own = self.median(Part::Micro, "ns", work, RUNTIMES[0].name);
            let measured = own.zip(self.times_as_fast(work, other));
            Verdict::new(
                "P5",
                what,
                target,
                measured.map(|(own, ratio)| {
                    let shown = format!("{} ns; {ratio} times as fast", number(own));
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
                "arm and drop a timer, 100,000 pending",
                "arm and drop a timer, 100,000 pending",
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
                "arm and drop a timer, by number of timers",
                "arm and drop a timer, with pending timers",
            ),
            self.flat(
                "P5",
                "fire timers, by number of timers",
                "fire timers, each",
            ),
        ]
    }

    pub(super) fn allocations(&self) -> Vec<Verdict> {
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
                // Growth of the runtime's tables shows up in the third digit.
                let is = |value: f64, wanted: f64| (value - wanted).abs() < 0.01;
                let met = is(spawn, 1.0) && is(joined, 1.0);
                let met = met && is(wake, 0.0) && is(timer, 0.0) && is(message, 0.0);
                let shown = [spawn, joined, wake, timer, message];
                // Adding zero turns -0 into 0.
                let hundredths = |count: f64| (count * 100.0).round() / 100.0 + 0.0;
                let shown = shown.map(|count| format!("{:.2}", hundredths(count)));
                let shown = shown.join(", ");
                Some((shown, Outcome::of(met)))
            }
            _ => None,
        };
        vec![
            Verdict::new(
                "P6",
                "bytes per waiting task",
                "at most 200",
                count("bytes, waiting task")
                    .map(|bytes| (number(bytes), Outcome::of(bytes <= 200.0))),
            ),
            Verdict::new(
                "P6",
                "allocations per spawn, spawn and await, wake, timer, echoed message",
                "1, 1, 0, 0, 0",
                measured,
            ),
        ]
    }

    pub(super) fn thread(&self) -> Verdict {
        let work = "wake from another thread, round trip";
        let ratio = self.times_as_fast(work, TOKIO);
        Verdict::new(
            "P8",
            "wake from another thread, round trip",
            "not slower than tokio (0.97)",
            ratio.map(|ratio| {
                let shown = format!("{ratio} times as fast");
                (shown, Outcome::at_least(ratio, NOISE))
            }),
        )
    }
}
