//! One run of a test in a world, and many of them.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, io::Write};

use wakeful::kernel;
use wakeful::runtime::Builder;
use wakeful::seeds;

use crate::faults::Faults;
use crate::net::Net;
use crate::panics;
use crate::shrink::{self, Shrunk};
use crate::world::choices::Choices;
use crate::world::events::{self, Event, Events};
use crate::world::tape::Tape;
use crate::world::{DEADLOCK, World};

/// How a test runs. [`test!`](crate::test) has a line for each field.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Number of seeds. `WAKEFUL_SEEDS` replaces it.
    pub seeds: u32,
    /// What can go wrong.
    pub faults: Faults,
}

impl Options {
    /// Creates the defaults: 100 seeds, [`Faults::delays_only`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            seeds: 100,
            faults: Faults::default(),
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
    events: Vec<Event>,
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
    /// Its panics, and the tasks of a deadlock.
    Print,
    /// Nothing, because it repeats another run.
    Quiet,
    /// Nothing, but it keeps its events, to be compared.
    Events,
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
    let runtime = Builder::new()
        .count_wakers(true)
        .deadlock_after(Duration::from_secs(10))
        .build()
        .expect("building the runtime");
    let sim = Sim {
        world: Arc::clone(&world),
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(body(sim))));
    let is_deadlock = outcome.as_ref().is_err_and(|payload| {
        let text = payload.downcast_ref::<String>();
        text.is_some_and(|text| text.starts_with(DEADLOCK))
    });
    if is_deadlock && report == Report::Print {
        // A failure to write is ignored, because there is no other place for the report.
        writeln!(std::io::stderr(), "{}", runtime.dump()).ok();
    }
    // Destructors can panic, too.
    let outcome = outcome.and(catch_unwind(AssertUnwindSafe(|| drop(runtime))));
    drop(installed);
    let mut net = world.net();
    Run {
        panic: outcome.err(),
        place: None,
        hash: net.events.hash(),
        choices: net.choices.count(),
        tape: net.choices.tape().clone(),
        events: net.events.take_list(),
    }
}

/// Runs a test with many seeds, or with the tape in the file that `WAKEFUL_TAPE` names. A seed that
/// fails runs once more, to compare the events. Then its tape is shrunk, and written to stderr.
///
/// # Panics
///
/// When a run panics, or when two runs of a seed differ. When the number of seeds is 0, or an environment
/// variable has a value that it cannot have.
pub fn check<F: Future<Output = ()>>(test: &str, options: Options, body: impl Fn(Sim) -> F) {
    if let Some(file) = env::var_os("WAKEFUL_TAPE") {
        return check_tape(test, &file, options, body);
    }
    let mut number = 0_u32;
    seeds::run(test, options.seeds, |seed| {
        let first = run_seed(test, seed, options, &body);
        number += 1;
        if first.panic.is_some() || number % 16 == 1 {
            compare(test, seed, options, &body, &first);
        }
        if let Some(panic) = first.panic {
            let all = first.tape.len();
            write_tape(&shrink(first.tape, options, &body), all, first.choices);
            resume_unwind(panic);
        }
    });
}

fn check_tape<F: Future<Output = ()>>(
    test: &str,
    file: &std::ffi::OsStr,
    options: Options,
    body: impl Fn(Sim) -> F,
) {
    let name = file.display();
    let text = fs::read_to_string(file);
    let text = text.unwrap_or_else(|error| panic!("WAKEFUL_TAPE={name}: {error}"));
    let tape: Tape = match text.parse() {
        Ok(tape) => tape,
        Err(message) => panic!("WAKEFUL_TAPE={name}: {message}"),
    };
    assert!(
        tape.test() == test,
        "WAKEFUL_TAPE={name}: it is a tape of the test `{}`, not of `{test}`",
        tape.test()
    );
    if let Some(panic) = run_tape(tape, options, body).panic {
        resume_unwind(panic);
    }
}

/// Runs a seed once more, and panics if the events or the choices differ.
fn compare<F: Future<Output = ()>>(
    test: &str,
    seed: u64,
    options: Options,
    body: &impl Fn(Sim) -> F,
    first: &Run,
) {
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
        return;
    }
    let third = again();
    let difference = events::difference(&second.events, &third.events);
    let difference = difference.unwrap_or_else(|| match same_choices {
        true => "two later runs were equal".to_owned(),
        false => first
            .tape
            .difference(&second.tape)
            .unwrap_or_else(|| format!("{} choices, then {}", first.choices, second.choices)),
    });
    panic!(
        "{test}: two runs of the seed {seed:#x} differ: {difference}. Usual causes: the order of a \
         `HashMap`, `std::time::Instant::now`, other threads, random numbers, addresses as keys, and \
         what an earlier run has left in a static"
    );
}

/// Writes a shrunk tape to stderr. The run had `choices` choices, and `all` of them were not plain.
fn write_tape(shrunk: &Shrunk, all: usize, choices: u64) {
    let Shrunk { tape, runs, .. } = shrunk;
    let plural = if tape.len() == 1 { "matters" } else { "matter" };
    let limit = match shrunk.complete {
        true => "",
        false => ", where shrinking ended at its limit",
    };
    // A failure to write is ignored, because there is no other place for the report.
    writeln!(
        std::io::stderr(),
        "{tape}# {} of {choices} choices {plural}; {all} were not plain ({runs} runs to shrink{limit})",
        tape.len()
    )
    .ok();
}
