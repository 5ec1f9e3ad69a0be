//! One run of a test in a world, and many of them.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, io::Write};

use wakeful::runtime::{Builder, OnDeadlock, Runtime};
use wakeful::trace::{self, Recording};
use wakeful::{kernel, seeds};

use crate::faults::Faults;
use crate::leaks::{self, Leaks, Left};
use crate::net::Net;
use crate::panics::{self, end_run};
use crate::report::{self, End, Source};
use crate::shrink::{self, Shrunk};
use crate::world::World;
use crate::world::choices::Choices;
use crate::world::events::{self, Event, Events};
use crate::world::tape::Tape;

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
}

impl Options {
    /// Creates the defaults: 100 seeds, [`Faults::delays_only`], [`Leaks::Report`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            seeds: 100,
            faults: Faults::default(),
            leaks: Leaks::default(),
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

    /// Sets what happens about tasks and sockets that are left when the future of the test has ended.
    #[must_use]
    pub fn leaks(mut self, leaks: Leaks) -> Self {
        self.leaks = leaks;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// The simulation, for the code of a test.
#[derive(Clone)]
pub struct Sim {
    world: Arc<World>,
}

impl Sim {
    /// Returns the time since the simulation began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.world.net().now_ns)
    }

    /// Returns the number of sockets that have a descriptor.
    #[must_use]
    pub fn open_sockets(&self) -> usize {
        self.world.net().fds.len()
    }
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim")
            .field("elapsed", &self.elapsed())
            .finish_non_exhaustive()
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
    recording: Option<Vec<u8>>,
    /// What was left when the future of the test had ended.
    left: Left,
    /// Whether a thread took part that is no part of the simulation.
    is_from_outside: bool,
}

/// Runs a test once, with the choices of a seed.
///
/// # Panics
///
/// When no runtime can be built, because descriptors have run out. A panic of the test is in the result.
pub fn run_seed<F: Future<Output = ()>>(
    test: &str,
    seed: u64,
    options: Options,
    body: impl Fn(Sim) -> F,
) -> Run {
    run(
        Choices::from_seed(test, seed),
        options,
        Report::Print,
        &body,
    )
}

/// Runs a test once, with the choices of a tape.
///
/// # Panics
///
/// As [`run_seed`].
pub fn run_tape<F: Future<Output = ()>>(
    tape: Tape,
    options: Options,
    body: impl Fn(Sim) -> F,
) -> Run {
    run(Choices::from_tape(tape), options, Report::Print, &body)
}

/// Shrinks the tape of a run that fails to the choices that matter: leaves out others, and lowers values, as
/// long as the run ends with a panic at the same place. Takes at most 500 runs or 10 seconds.
///
/// Returns the tape as it is if its run does not fail.
///
/// # Panics
///
/// As [`run_seed`].
pub fn shrink_tape<F: Future<Output = ()>>(
    tape: Tape,
    options: Options,
    body: impl Fn(Sim) -> F,
) -> Tape {
    shrink(tape, options, &body).tape
}

fn shrink<F: Future<Output = ()>>(
    tape: Tape,
    options: Options,
    body: &impl Fn(Sim) -> F,
) -> Shrunk {
    let quietly = |tape| run(Choices::from_tape(tape), options, Report::Quiet, body);
    let place = quietly(tape.clone()).place;
    shrink::shrink(tape, |tape| {
        let run = quietly(tape);
        let same = run.panic.is_some() && run.place == place;
        same.then_some(run.tape)
    })
}

/// What a run reports.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Report {
    /// Its panics.
    Print,
    /// Nothing, because it repeats another run.
    Quiet,
    /// Nothing, but it keeps its events, to be compared.
    Events,
    /// Nothing, but it keeps a recording of its runtime.
    Record,
}

fn run<F: Future<Output = ()>>(
    choices: Choices,
    options: Options,
    report: Report,
    body: &impl Fn(Sim) -> F,
) -> Run {
    let quiet = report != Report::Print;
    let (mut run, place) = panics::observed(quiet, || run_once(choices, options, report, body));
    run.place = place.filter(|_| run.panic.is_some());
    run
}

fn run_once<F: Future<Output = ()>>(
    choices: Choices,
    options: Options,
    report: Report,
    body: &impl Fn(Sim) -> F,
) -> Run {
    let net = Net::new(
        choices,
        Events::new(report == Report::Events),
        options.faults,
    );
    let world = Arc::new(World::new(net));
    let installed = kernel::install(Arc::clone(&world) as Arc<dyn kernel::Kernel>);
    let runtime = build(report);
    let sim = Sim {
        world: Arc::clone(&world),
    };
    let mut left = Left::default();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(body(sim));
        left = Left::of(&runtime, &world);
        if options.leaks == Leaks::Deny {
            leaks::deny(&runtime, &world);
        }
        if let Some(text) = world.outside.text(|| runtime.dump()) {
            end_run(text);
        }
    }));
    let recording = (report == Report::Record).then(|| {
        let _entered = runtime.enter();
        trace::snapshot()
    });
    let elapsed = Duration::from_nanos(world.net().now_ns);
    // Destructors can panic, too.
    let outcome = outcome.and(catch_unwind(AssertUnwindSafe(|| drop(runtime))));
    drop(installed);
    let is_from_outside = outcome.is_err() && world.outside.is_noted();
    let mut net = world.net();
    Run {
        panic: outcome.err(),
        place: None,
        hash: net.events.hash(),
        choices: net.choices.count(),
        tape: net.choices.tape(),
        elapsed,
        events: net.events.take_list(),
        recording: recording.flatten(),
        left,
        is_from_outside,
    }
}

/// Builds the runtime of a run. The simulation finds deadlocks itself, because it sees those of sockets, too.
fn build(report: Report) -> Runtime {
    let builder = Builder::new()
        .count_wakers(true)
        .on_deadlock(OnDeadlock::Ignore);
    let recorded = match report {
        Report::Record => builder.record(Recording::new()),
        _ => builder,
    };
    recorded.build().expect("building the runtime")
}

/// Runs a test with many seeds, or with the tape in the file that `WAKEFUL_TAPE` names. A seed that
/// fails runs once more, to compare the events. Then its tape is shrunk, and a report is written to stderr.
///
/// A tape whose run does not fail any more is no failure, but a line on stderr says so.
///
/// # Panics
///
/// When a run panics, or when two runs of a seed differ. When the number of seeds is 0, or an environment
/// variable has a value that it cannot have.
pub fn check<F: Future<Output = ()>>(test: &str, options: Options, body: impl Fn(Sim) -> F) {
    if let Some(file) = env::var_os("WAKEFUL_TAPE") {
        return check_tape(test, Path::new(&file), options, body);
    }
    let seeds = seeds::of(test, options.seeds);
    let count = seeds.len();
    for (number, seed) in (1..).zip(seeds) {
        let source = Source::Seed {
            seed,
            number,
            count,
        };
        let first = run_seed(test, seed, options, &body);
        if number == 1 && !first.left.is_none() {
            let left = first.left;
            eprintln!("{test}: {left} were left when the test had ended, see `Options::leaks`");
        }
        // The message about a thread names the cause of the difference.
        let is_compared = first.panic.is_some() || number % 16 == 1;
        if is_compared
            && !first.is_from_outside
            && let Some(difference) = difference(test, seed, options, &body, &first)
        {
            report::Report::new(test, &source, "two runs differ").write();
            panic!("{test}: two runs of the seed {seed:#x} differ: {difference}. {CAUSES}");
        }
        fail_if_panicked(test, &source, first, options, &body);
    }
}

/// Causes of a difference between two runs of a seed.
const CAUSES: &str = "Usual causes: the order of a `HashMap`, `std::time::Instant::now`, other threads, random \
     numbers, `tokio::select!` without `biased`, addresses as keys, and what an earlier run has left in a static";

/// Writes the report of a run and panics, if the run has.
fn fail_if_panicked<F: Future<Output = ()>>(
    test: &str,
    source: &Source<'_>,
    run: Run,
    options: Options,
    body: &impl Fn(Sim) -> F,
) {
    let Some(panic) = run.panic else { return };
    let end = End {
        panic: &*panic,
        place: run.place.as_deref(),
        after: run.elapsed,
    };
    let mut report = report::Report::of_panic(test, source, &end);
    // No tape repeats what a thread does.
    if !run.is_from_outside {
        let mut tape = run.tape;
        if matches!(source, Source::Seed { .. }) {
            let all = tape.len();
            let shrunk = shrink(tape, options, body);
            report.tape(&shrunk, all, run.choices);
            tape = shrunk.tape;
        }
        let recorded = self::run(Choices::from_tape(tape), options, Report::Record, body);
        report.timeline(recorded.recording.as_deref());
    }
    report.write();
    resume_unwind(panic);
}

fn check_tape<F: Future<Output = ()>>(
    test: &str,
    file: &Path,
    options: Options,
    body: impl Fn(Sim) -> F,
) {
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
    let run = run_tape(tape.clone(), options, &body);
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
    fail_if_panicked(test, &Source::Tape(file), run, options, &body);
}

/// Runs a seed once more, and returns how the events or the choices differ.
fn difference<F: Future<Output = ()>>(
    test: &str,
    seed: u64,
    options: Options,
    body: &impl Fn(Sim) -> F,
    first: &Run,
) -> Option<String> {
    let again = || {
        run(
            Choices::from_seed(test, seed),
            options,
            Report::Events,
            body,
        )
    };
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
