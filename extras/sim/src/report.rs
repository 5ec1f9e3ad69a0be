//! The report of a run that has failed: what, when and where, the choices that matter, and how to run it again.
//!
//! ```text
//!   bank::transfers_never_hang: seed 0xa3 (164 of 500): deadlock after 0ns: nothing is in flight, and ...
//!     task 1.0 "transfer": spawned at bank.rs:40:5, waits on something outside of the runtime; ...
//!   again:    WAKEFUL_SEED=0xa3 cargo test transfers_never_hang
//!   shrunk:   2 of 31 choices matter, of 14 that were not plain (23 runs): hold 4 = 1 of 2, order 7 = 1 of 2
//!   tape:     target/wakeful-sim/bank-transfers_never_hang.tape
//!   timeline: target/wakeful-sim/bank-transfers_never_hang.html
//! ```
//!
//! It is written with `eprint!`, so that it is among the output of its test.

use std::any::Any;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use wakeful_trace::{Format, Runtime, Trace};

use crate::files;
use crate::shrink::Shrunk;
use crate::world::tape::Tape;

/// The choices that one line names.
const CHOICES: usize = 8;

/// The time between two events of a timeline, at least.
const STEP_NS: u64 = 100;

/// How a run was chosen.
pub(crate) enum Source<'a> {
    Seed {
        seed: u64,
        /// 1 for the first one.
        number: usize,
        count: usize,
    },
    Tape(&'a Path),
}

/// How a run has ended.
pub(crate) struct End<'a> {
    pub(crate) panic: &'a (dyn Any + Send),
    pub(crate) place: Option<&'a str>,
    /// In the time of the simulation.
    pub(crate) after: Duration,
}

impl End<'_> {
    /// Returns the text of the panic.
    fn text(&self) -> &str {
        let text = self.panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| self.panic.downcast_ref::<String>().map(String::as_str));
        text.unwrap_or("a payload that is no text")
    }
}

/// A report, line by line.
pub(crate) struct Report<'a> {
    test: &'a str,
    text: String,
}

impl<'a> Report<'a> {
    /// Begins with the lines that say what has failed. `what` can have many lines.
    pub(crate) fn new(test: &'a str, source: &Source<'_>, what: &str) -> Self {
        let mut report = Report {
            test,
            text: String::new(),
        };
        let run = match source {
            Source::Seed {
                seed,
                number,
                count,
            } => format!("seed {seed:#x} ({number} of {count})"),
            Source::Tape(file) => format!("tape {}", file.display()),
        };
        report.line(&format!("{test}: {run}: "), what);
        if let Source::Seed { seed, .. } = source {
            // The name of the test is its last part, so that the command works in any shell.
            let short = test.rsplit("::").next().unwrap_or(test);
            let command = format!("WAKEFUL_SEED={seed:#x} cargo test {short}");
            report.line("again:    ", &command);
        }
        report
    }

    /// As [`new`](Self::new), for a run that ended with a panic.
    pub(crate) fn of_panic(test: &'a str, source: &Source<'_>, end: &End<'_>) -> Self {
        let text = end.text();
        // The simulation ends a run with the time and what nothing can wake; the place is its own.
        let what = match end.place {
            Some(place) if !crate::world::ends::is_own(text) => {
                format!("panicked after {:?} at {place}\n{text}", end.after)
            }
            _ => text.to_owned(),
        };
        Self::new(test, source, &what)
    }

    /// Adds a tape and its file. The run that was shrunk had `choices` choices, and `all` of them were not plain.
    pub(crate) fn tape(&mut self, shrunk: &Shrunk, all: usize, choices: u64) {
        let Shrunk { tape, runs, .. } = shrunk;
        let verb = if tape.len() == 1 { "matters" } else { "matter" };
        let limit = match shrunk.complete {
            true => "",
            false => ", where shrinking ended at its limit",
        };
        let summary = format!(
            "{} of {choices} choices {verb}, of {all} that were not plain ({runs} runs{limit})",
            tape.len()
        );
        let listed = listed(tape);
        self.line("shrunk:   ", &format!("{summary}{listed}"));
        let text = format!("{tape}# {summary}\n");
        match files::write(self.test, "tape", text.as_bytes()) {
            Ok(path) => self.line("tape:     ", &path),
            Err(error) => self.line("tape:     ", &format!("not written, {error}\n{text}")),
        }
    }

    /// Adds the page that shows a recording.
    pub(crate) fn timeline(&mut self, recorded: Option<Result<Trace, wakeful_trace::Error>>) {
        let path = match recorded {
            None => Err("no runtime was recorded".to_owned()),
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(trace)) => {
                files::write(self.test, "html", &Format::Html.render(&spread(trace)))
                    .map_err(|error| error.to_string())
            }
        };
        match path {
            Ok(path) => self.line("timeline: ", &path),
            Err(error) => self.line("timeline: ", &format!("not written, {error}")),
        }
    }

    /// Adds a line. The further lines of `text` are indented.
    fn line(&mut self, head: &str, text: &str) {
        let text = text.trim_end().replace('\n', "\n  ");
        writeln!(self.text, "{head}{text}").ok();
    }

    /// Writes the report to stderr.
    pub(crate) fn write(&self) {
        eprint!("{}", self.text);
    }
}

/// Lets each event come at least [`STEP_NS`] after the one before. In a simulation polls take no time, and their order
/// would not be seen.
fn spread(mut trace: Trace) -> Trace {
    // The times before and after.
    let mut moved: Vec<(u64, u64)> = Vec::new();
    let mut begins = vec![None; trace.runtimes.len()];
    for event in &mut trace.events {
        let (last, last_moved) = moved.last().copied().unwrap_or_default();
        let before = event.time.max(last);
        let least_ns = last_moved + STEP_NS * u64::from(!moved.is_empty());
        event.time = event.time.max(least_ns);
        moved.push((before, event.time));
        if let Some(begin) = begins.get_mut(event.runtime as usize) {
            begin.get_or_insert(event.time);
        }
    }
    // What is no event comes after the events of its moment.
    let place = |ns: u64| {
        let until = moved.partition_point(|(before, _)| *before <= ns);
        let last = until.checked_sub(1).map_or(0, |last| moved[last].1);
        ns.max(last)
    };
    for note in &mut trace.notes {
        (note.begin, note.end) = (place(note.begin), place(note.end));
    }
    let mut next: Option<(Runtime, u64)> = None;
    for (runtime, begin) in trace.runtimes.iter_mut().zip(begins).rev() {
        let before = runtime.clone();
        runtime.begin = begin.unwrap_or_else(|| place(runtime.begin));
        runtime.end = place(runtime.end);
        // A program that was started again in the moment of its end is over before.
        if let Some((next, begin)) = next
            && next.name == before.name
            && next.begin >= before.end
        {
            runtime.end = runtime.end.min(begin.max(runtime.begin));
        }
        next = Some((before, runtime.begin));
    }
    trace
}

/// Returns the first choices of a tape.
fn listed(tape: &Tape) -> String {
    let choices = tape.lines();
    let mut text = String::new();
    for (number, choice) in choices.iter().take(CHOICES).enumerate() {
        let separator = if number == 0 { ": " } else { ", " };
        write!(text, "{separator}{choice}").ok();
    }
    match choices.len().saturating_sub(CHOICES) {
        0 => text,
        more => format!("{text}, and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: Source<'_> = Source::Seed {
        seed: 0xa3,
        number: 164,
        count: 500,
    };

    fn report(text: &'static str) -> String {
        let end = End {
            panic: &text,
            place: Some("bank.rs:7:5"),
            after: Duration::from_millis(20),
        };
        Report::of_panic("bank::never_hangs", &SEED, &end).text
    }

    #[test]
    fn a_panic_has_its_time_and_place_and_all_of_its_lines() {
        let expected = "bank::never_hangs: seed 0xa3 (164 of 500): panicked after 20ms at bank.rs:7:5\n  \
             one\n  two\nagain:    WAKEFUL_SEED=0xa3 cargo test never_hangs\n";
        assert_eq!(report("one\ntwo\n"), expected);
    }

    #[test]
    fn a_deadlock_has_no_place_of_its_own() {
        let expected = "bank::never_hangs: seed 0xa3 (164 of 500): deadlock after 0ns: why\n  \
             task 1.0\nagain:    WAKEFUL_SEED=0xa3 cargo test never_hangs\n";
        assert_eq!(report("deadlock after 0ns: why\ntask 1.0"), expected);
    }

    #[test]
    fn events_of_one_moment_are_apart_on_the_timeline_and_later_ones_stay() {
        let recorded = wakeful::runtime::Builder::new().record(wakeful::trace::Recording::new());
        let bytes = recorded.build().unwrap().block_on(async {
            wakeful::task::yield_now().await;
            wakeful::trace::snapshot().unwrap()
        });
        let mut trace = Trace::from_bytes(&bytes).unwrap();
        assert!(trace.events.len() > 4);
        trace.events.iter_mut().for_each(|event| event.time = 7);
        trace.events[3].time = 5_000;
        trace.events[4].time = 9_000;
        let times: Vec<_> = spread(trace)
            .events
            .iter()
            .map(|event| event.time)
            .collect();
        assert_eq!(times[..5], [7, 107, 207, 5_000, 9_000]);
        assert!(times[4..].windows(2).all(|two| two[1] == two[0] + 100));
    }

    #[test]
    fn events_of_several_hosts_are_apart_and_notes_stay_between_the_same_ones() {
        let recorded = wakeful::runtime::Builder::new().record(wakeful::trace::Recording::new());
        let bytes = recorded.build().unwrap().block_on(async {
            wakeful::task::yield_now().await;
            wakeful::trace::snapshot().unwrap()
        });
        // All events of a part come at one moment.
        let part = |ns: u64| {
            let mut trace = Trace::from_bytes(&bytes).unwrap();
            trace.map_times(|_| ns);
            ("host".to_owned(), trace)
        };
        let mut trace = Trace::merge([part(7), part(7), part(50)]).unwrap();
        let mut note = wakeful_trace::Note::default();
        (note.begin, note.end) = (7, 60);
        trace.notes.push(note);
        let trace = spread(trace);
        let times: Vec<_> = trace.events.iter().map(|event| event.time).collect();
        assert!(times.windows(2).all(|two| two[1] == two[0] + 100));
        let count = times.len() / 3;
        assert_eq!(trace.notes[0].begin, times[2 * count - 1]);
        assert_eq!(trace.notes[0].end, times[3 * count - 1]);
        let begins: Vec<_> = trace.runtimes.iter().map(|runtime| runtime.begin).collect();
        assert_eq!(begins, [times[0], times[count], times[2 * count]]);
        let ends: Vec<_> = trace.runtimes.iter().map(|runtime| runtime.end).collect();
        assert_eq!(
            ends,
            [times[count], times[2 * count - 1], times[3 * count - 1]]
        );
    }

    #[test]
    fn a_timeline_without_a_runtime_says_so() {
        let mut report = Report::new("test", &SEED, "why");
        report.timeline(None);
        let end = "timeline: not written, no runtime was recorded\n";
        assert!(report.text.ends_with(end), "{}", report.text);
    }

    #[test]
    fn a_long_tape_is_listed_as_far_as_a_line_goes() {
        let mut tape = Tape::new("test", None);
        assert_eq!(listed(&tape), "");
        for index in 1..=10 {
            tape.push("order", index, 1, 2);
        }
        let text = listed(&tape);
        assert!(
            text.starts_with(": order 1 = 1 of 2, order 2 = 1 of 2, "),
            "{text}"
        );
        assert!(text.ends_with("order 8 = 1 of 2, and 2 more"), "{text}");
    }
}
