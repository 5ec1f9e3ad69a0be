//! Runs of a test: one with a seed or a tape, and many of them.
//!
//! Called by `sim` for tests with one host and by `hosts` for those with several; each of them passes a function
//! that runs the test once.

use std::any::Any;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, fs, io::Write};

use wakeful::runtime::UnhandledPanic;
use wakeful::seeds;
use wakeful_trace::Trace;

use crate::faults::Faults;
use crate::leaks::{Leaks, Left};
use crate::net::Net;
use crate::panics;
use crate::report::{self, End, Source};
use crate::shrink::{self, Shrunk};
use crate::world::choices::Choices;
use crate::world::events::{self, Event, Events};
use crate::world::tape::Tape;
use crate::world::{SharedNet, lock};

/// How a test runs. [`test!`](crate::test) has a line for each field.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Number of seeds. `WAKEFUL_SEEDS` replaces it.
    pub seeds: u32,
    /// What can go wrong.
    pub faults: Faults,
    /// What happens about tasks and sockets that are left.
    pub leaks: Leaks,
    /// What the panic of a task does that nothing joins.
    pub unhandled_panic: UnhandledPanic,
    /// Most turns of all runtimes in a run.
    pub max_turns: u64,
    /// Whether the test can use real descriptors, and threads.
    pub allow_outside: bool,
}

impl Options {
    /// Creates the defaults: 100 seeds, [`Faults::delays_only`], [`Leaks::Report`], a million turns, and nothing from
    /// outside.
    #[must_use]
    pub fn new() -> Self {
        Self {
            seeds: 100,
            faults: Faults::default(),
            leaks: Leaks::default(),
            unhandled_panic: UnhandledPanic::default(),
            max_turns: 1_000_000,
            allow_outside: false,
        }
    }

    /// Sets the number of seeds.
    #[must_use]
    pub fn seeds(mut self, seeds: u32) -> Self {
        self.seeds = seeds;
        self
    }

    /// Sets what can go wrong.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Sets what happens about tasks and sockets that are left when the future of the test has ended. It has no effect
    /// on a test with several hosts.
    #[must_use]
    pub fn leaks(mut self, leaks: Leaks) -> Self {
        self.leaks = leaks;
        self
    }

    /// Sets what the panic of a task does that nothing joins, in the runtimes that the simulation builds: that of a test
    /// with one host, and those of [clients](crate::Hosts::client).
    #[must_use]
    pub fn unhandled_panic(mut self, policy: UnhandledPanic) -> Self {
        self.unhandled_panic = policy;
        self
    }

    /// Sets the number of turns after which a run fails, because it seems to have no end. In a turn a runtime polls its
    /// ready tasks, and then waits. A test that needs more has a larger limit.
    ///
    /// [`enter`](crate::enter) has no limit.
    #[must_use]
    pub fn max_turns(mut self, turns: u64) -> Self {
        self.max_turns = turns;
        self
    }

    /// Lets the test use real descriptors beside simulated sockets, and lets other threads take part.
    ///
    /// A descriptor is real if the simulation has not made it: a socket of std, also in a `TcpStream` (`from_std`), and
    /// whatever is in an [`AsyncFd`](wakeful::io::AsyncFd), such as a pipe. No fault concerns it. Simulated sockets
    /// and std's are in two networks: they cannot connect to each other.
    ///
    /// While a real descriptor is registered, time does not jump: it passes as that of the machine does while the
    /// runtime waits. If nothing is in flight and no timer is armed, the runtime waits for a real descriptor or a
    /// thread, and that is no deadlock.
    ///
    /// When a real event comes follows from no seed, so a run with one is not compared with another, and has no tape. It
    /// has no effect on a test with several hosts.
    #[must_use]
    pub fn allow_outside(mut self, allow_outside: bool) -> Self {
        self.allow_outside = allow_outside;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// The result of one run.
#[derive(Debug)]
pub struct Run {
    /// The payload of the panic that ended it.
    pub panic: Option<Box<dyn Any + Send>>,
    /// File, line and column of that panic. For a deadlock it is a place of the simulation.
    pub place: Option<String>,
    /// Hash of all events. Equal seeds have equal hashes.
    pub hash: u64,
    /// Number of choices.
    pub choices: u64,
    /// The choices that were not plain.
    pub tape: Tape,
    /// The time of the simulation at its end.
    pub elapsed: Duration,
    events: Vec<Event>,
    /// A recording of all its runtimes, if it was recorded.
    pub(crate) timeline: Option<Result<Trace, wakeful_trace::Error>>,
    /// What was left when the future of the test had ended.
    pub(crate) left: Left,
    /// Whether a thread or a descriptor took part that is no part of the simulation.
    pub(crate) is_from_outside: bool,
}

impl Run {
    /// Creates the result of a run that is over.
    pub(crate) fn of(net: &SharedNet, panic: Option<Box<dyn Any + Send>>) -> Self {
        let mut net = lock(net);
        Self {
            panic,
            place: None,
            hash: net.events.hash(),
            choices: net.choices.count(),
            tape: net.choices.tape(),
            elapsed: Duration::from_nanos(net.now_ns),
            events: net.events.take_list(),
            timeline: None,
            left: Left::default(),
            is_from_outside: false,
        }
    }
}

/// What a run reports.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// Its panics.
    Print,
    /// Nothing, because it repeats another run.
    Quiet,
    /// Nothing, but it keeps its events, to be compared.
    Events,
    /// Nothing, but it keeps a recording of its runtimes.
    Record,
}

/// Creates what the hosts of a run share.
pub(crate) fn new_net(choices: Choices, report: Report, options: Options) -> SharedNet {
    let events = Events::new(report == Report::Events);
    let mut net = Net::new(choices, events, options.faults);
    net.lan.max_turns = Some(options.max_turns);
    Arc::new(Mutex::new(net))
}

/// Runs a test once.
pub(crate) type Once<'a> = &'a dyn Fn(Choices, Report) -> Run;

pub(crate) fn with_seed(test: &str, seed: u64, once: Once<'_>) -> Run {
    run(Choices::from_seed(test, seed), Report::Print, once)
}

pub(crate) fn with_tape(tape: Tape, once: Once<'_>) -> Run {
    run(Choices::from_tape(tape), Report::Print, once)
}

/// Shrinks a tape as long as its run ends with a panic at the same place.
pub(crate) fn shrink(tape: Tape, once: Once<'_>) -> Shrunk {
    let quietly = |tape| run(Choices::from_tape(tape), Report::Quiet, once);
    let place = quietly(tape.clone()).place;
    shrink::shrink(tape, |tape| {
        let run = quietly(tape);
        let same = run.panic.is_some() && run.place == place;
        same.then_some(run.tape)
    })
}

fn run(choices: Choices, report: Report, once: Once<'_>) -> Run {
    let quiet = report != Report::Print;
    let (mut run, place) = panics::observed(quiet, || once(choices, report));
    // That of another thread is known already.
    let place = run.place.take().or(place);
    run.place = place.filter(|_| run.panic.is_some());
    run
}

/// Runs a test with many seeds, or with the tape in the file that `WAKEFUL_TAPE` names.
pub(crate) fn check(test: &str, options: Options, once: Once<'_>) {
    if let Some(file) = env::var_os("WAKEFUL_TAPE") {
        return check_tape(test, Path::new(&file), once);
    }
    let seeds = seeds::of(test, options.seeds);
    let count = seeds.len();
    for (number, seed) in (1..).zip(seeds) {
        let source = Source::Seed {
            seed,
            number,
            count,
        };
        let first = with_seed(test, seed, once);
        if number == 1 && !first.left.is_none() {
            let left = first.left;
            eprintln!("{test}: {left} were left when the test had ended, see `Options::leaks`");
        }
        // What comes from outside follows from no seed, so two runs can differ.
        let is_compared = first.panic.is_some() || number % 16 == 1;
        if is_compared
            && !first.is_from_outside
            && let Some(difference) = difference(test, seed, once, &first)
        {
            report::Report::new(test, &source, "two runs differ").write();
            panic!("{test}: two runs of the seed {seed:#x} differ: {difference}. {CAUSES}");
        }
        fail_if_panicked(test, &source, first, once);
    }
}

/// Causes of a difference between two runs of a seed.
const CAUSES: &str = "Usual causes: the order of a `HashMap`, `std::time::Instant::now`, other threads, random \
     numbers, `select!` in random order instead of `biased`, addresses as keys, and what an earlier run has left in a static";

/// Writes the report of a run and panics, if the run has.
fn fail_if_panicked(test: &str, source: &Source<'_>, run: Run, once: Once<'_>) {
    let Some(panic) = run.panic else { return };
    let end = End {
        panic: &*panic,
        place: run.place.as_deref(),
        after: run.elapsed,
    };
    let mut report = report::Report::of_panic(test, source, &end);
    // No tape repeats what comes from outside.
    if !run.is_from_outside {
        let mut tape = run.tape;
        if matches!(source, Source::Seed { .. }) {
            let all = tape.len();
            let shrunk = shrink(tape, once);
            report.tape(&shrunk, all, run.choices);
            tape = shrunk.tape;
        }
        let recorded = self::run(Choices::from_tape(tape), Report::Record, once);
        report.timeline(recorded.timeline);
    }
    report.write();
    resume_unwind(panic);
}

fn check_tape(test: &str, file: &Path, once: Once<'_>) {
    let name = file.display();
    let text = fs::read_to_string(file).unwrap_or_else(|error| {
        let here = env::current_dir().unwrap_or_default();
        panic!(
            "WAKEFUL_TAPE={name}: {error}. The test runs in {}",
            here.display()
        )
    });
    let tape: Tape = match text.parse() {
        Ok(tape) => tape,
        Err(message) => panic!("WAKEFUL_TAPE={name}: {message}"),
    };
    assert!(
        tape.test() == test,
        "WAKEFUL_TAPE={name}: it is a tape of the test `{}`, not of `{test}`",
        tape.test()
    );
    let run = with_tape(tape.clone(), once);
    if run.panic.is_none() {
        // A failure to write is ignored, because there is no other place for the line.
        writeln!(
            std::io::stderr(),
            "wakeful: {test}: the run of the tape {name} did not fail; it made {} of the {} choices on the tape",
            run.tape.len(),
            tape.len()
        )
        .ok();
    }
    fail_if_panicked(test, &Source::Tape(file), run, once);
}

/// Runs a seed once more, and returns how the events or the choices differ.
fn difference(test: &str, seed: u64, once: Once<'_>, first: &Run) -> Option<String> {
    let again = || run(Choices::from_seed(test, seed), Report::Events, once);
    let second = again();
    // The order of tasks need not show in events.
    let same_choices = second.choices == first.choices && second.tape == first.tape;
    if second.hash == first.hash && same_choices {
        return None;
    }
    let third = again();
    let difference = events::difference(&second.events, &third.events);
    Some(difference.unwrap_or_else(|| {
        match same_choices {
            true => "two later runs were equal".to_owned(),
            false => first
                .tape
                .difference(&second.tape)
                .unwrap_or_else(|| format!("{} choices, then {}", first.choices, second.choices)),
        }
    }))
}
