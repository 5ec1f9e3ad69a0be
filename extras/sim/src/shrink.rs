//! Shrinking: leaving choices of a failing run out, as long as it fails in the same way.
//!
//! ```text
//!   the tape of the run --> kinds of streams --> whole streams --> halves, quarters, .. single choices --> lower values
//! ```
//!
//! What is left out becomes the plain choice, so a run may take another way and make fewer choices. The
//! tape of the run that failed is what is tried next, so choices that are not made any more are gone.
//!
//! Source: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE Transactions on
//! Software Engineering 28, 2002.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::world::tape::Tape;

/// Most runs, and the longest time, of the machine's clock.
const MAX_RUNS: u32 = 500;
const MAX_TIME: Duration = Duration::from_secs(10);

/// The tape that is left, and how many runs that took.
#[derive(Debug)]
pub(crate) struct Shrunk {
    pub(crate) tape: Tape,
    pub(crate) runs: u32,
    /// Whether nothing more can be left out. Otherwise a limit was reached.
    pub(crate) complete: bool,
}

/// Leaves choices out, and lowers others. `fails` runs a tape; if it fails in the same way, it returns the
/// tape of that run.
pub(crate) fn shrink(tape: Tape, fails: impl FnMut(Tape) -> Option<Tape>) -> Shrunk {
    let mut shrinker = Shrinker {
        tape,
        fails,
        runs: 0,
        start: Instant::now(),
    };
    shrinker.kinds();
    shrinker.streams();
    loop {
        let before = shrinker.tape.clone();
        shrinker.choices();
        shrinker.values();
        // A lower value can make another choice needless.
        if shrinker.is_over() || shrinker.tape == before {
            break;
        }
    }
    Shrunk {
        complete: !shrinker.is_over(),
        tape: shrinker.tape,
        runs: shrinker.runs,
    }
}

/// Returns the name of a stream without its socket or host.
fn kind(stream: &str) -> &str {
    stream.rsplit_once(' ').map_or(stream, |(kind, _)| kind)
}

struct Shrinker<F> {
    tape: Tape,
    fails: F,
    runs: u32,
    start: Instant,
}

impl<F: FnMut(Tape) -> Option<Tape>> Shrinker<F> {
    fn is_over(&self) -> bool {
        self.runs >= MAX_RUNS || self.start.elapsed() >= MAX_TIME
    }

    /// Continues with this tape if it fails in the same way and is simpler.
    fn try_tape(&mut self, tape: Tape) -> bool {
        if self.is_over() || tape == self.tape {
            return false;
        }
        self.runs += 1;
        let failed = (self.fails)(tape).filter(|made| made.weight() < self.tape.weight());
        failed.map(|made| self.tape = made).is_some()
    }

    /// Leaves out all streams of a kind, such as the delays of all sockets. Otherwise the limit is reached before the
    /// streams of a test with many sockets have been tried.
    fn kinds(&mut self) {
        let streams = self.tape.streams();
        let kinds: BTreeSet<_> = streams.iter().map(|stream| kind(stream)).collect();
        for of_kind in kinds {
            let without = self.tape.filtered(|(name, _)| kind(name) != of_kind);
            self.try_tape(without);
        }
    }

    fn streams(&mut self) {
        for stream in self.tape.streams() {
            let without = self.tape.filtered(|(name, _)| *name != stream);
            self.try_tape(without);
        }
    }

    /// Leaves out ever smaller portions.
    fn choices(&mut self) {
        let mut portion = self.tape.len().div_ceil(2);
        while portion > 0 && !self.is_over() {
            let mut from = 0;
            while from < self.tape.len() && !self.is_over() {
                let places = self.tape.places();
                let left_out = &places[from..places.len().min(from + portion)];
                let without = self.tape.filtered(|place| !left_out.contains(place));
                // After a success the next portion has come to the same place.
                if !self.try_tape(without) {
                    from += portion;
                }
            }
            portion = match portion {
                1 => 0,
                _ => portion.div_ceil(2),
            };
        }
    }

    /// Lowers each value: to 1, or to the lowest that a search by halves finds.
    fn values(&mut self) {
        for place in self.tape.places() {
            let value = |tape: &Tape| tape.get(&place.0, place.1);
            // With it the run does not fail in the same way.
            let mut too_low = 0;
            let mut lower = 1;
            while value(&self.tape) > too_low + 1 && !self.is_over() {
                let tape = self.tape.with(&place, lower);
                if !self.try_tape(tape) {
                    too_low = lower;
                }
                lower = too_low + (value(&self.tape).saturating_sub(too_low)) / 2;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tape(choices: &[(&str, u64, u32)]) -> Tape {
        let mut tape = Tape::new("test", None);
        for (stream, index, value) in choices {
            tape.push(stream, *index, *value, 100);
        }
        tape
    }

    #[test]
    fn what_does_not_matter_is_left_out_and_values_become_low() {
        let many: Vec<_> = (1..200)
            .flat_map(|n| [("a", n, 50), ("b", n, 7), ("c", n, 1)])
            .collect();
        let shrunk = shrink(tape(&many), |tape| {
            (tape.get("a", 31) >= 9 && tape.get("b", 190) >= 3).then_some(tape)
        });
        assert_eq!(shrunk.tape, tape(&[("a", 31, 9), ("b", 190, 3)]));
        assert!(shrunk.complete && shrunk.runs < 100, "{}", shrunk.runs);
    }

    #[test]
    fn all_streams_of_a_kind_are_left_out_at_once() {
        let sockets = 1..300;
        let streams = sockets.flat_map(|n| [format!("delay {n}"), format!("errno recv {n}")]);
        let streams: Vec<_> = streams
            .chain(["order client".to_owned(), "test".to_owned()])
            .collect();
        let many: Vec<_> = streams.iter().map(|stream| (&**stream, 1, 1)).collect();
        let matters = |tape: Tape| (tape.get("test", 1) > 0).then_some(tape);
        let shrunk = shrink(tape(&many), matters);
        assert_eq!(shrunk.tape, tape(&[("test", 1, 1)]));
        assert!(shrunk.complete && shrunk.runs < 10, "{}", shrunk.runs);
    }

    #[test]
    fn a_failure_without_choices_shrinks_to_none() {
        let shrunk = shrink(tape(&[("a", 1, 5), ("b", 2, 6)]), Some);
        assert!(shrunk.tape.is_empty() && shrunk.complete);
        let kept = shrink(tape(&[("a", 1, 1), ("b", 2, 1)]), |_| None);
        assert_eq!(kept.tape.len(), 2);
    }

    #[test]
    fn the_number_of_runs_has_a_limit() {
        let many: Vec<_> = (1..2_000).map(|n| ("a", n, 1)).collect();
        let mut runs = 0;
        let shrunk = shrink(tape(&many), |_| {
            runs += 1;
            None
        });
        assert_eq!((shrunk.runs, runs), (MAX_RUNS, MAX_RUNS));
        assert!(!shrunk.complete && shrunk.tape.len() == 1_999);
    }
}
