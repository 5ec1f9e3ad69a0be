//! Tests with one host: it runs on the thread of the test, and starts with the test's future.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use wakeful::kernel;
use wakeful::runtime::{Builder, OnDeadlock, Runtime};
use wakeful::trace::{self, Recording};
use wakeful_trace::Trace;

use crate::exits;
use crate::leaks::{self, Leaks, Left};
use crate::panics::end_run;
use crate::run::{self, Options, Report, Run};
use crate::world::World;
use crate::world::choices::Choices;
use crate::world::tape::Tape;

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

    /// Chooses one of `of` possibilities, from 0: for what a test sends, and for the seed of a generator of random
    /// numbers. The choice is on the tape, in the stream `test`, and 0 is the plain one.
    ///
    /// # Panics
    ///
    /// When `of` is 0.
    #[must_use]
    #[track_caller]
    pub fn choose(&self, of: u32) -> u32 {
        self.world.net().choose_for_test(of)
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
    run::with_seed(test, seed, &|choices, report| {
        run_once(choices, options, report, &body)
    })
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
    run::with_tape(tape, &|choices, report| {
        run_once(choices, options, report, &body)
    })
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
    let once = |choices, report| run_once(choices, options, report, &body);
    run::shrink(tape, &once).tape
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
    run::check(test, options, &|choices, report| {
        run_once(choices, options, report, &body)
    });
}

fn run_once<F: Future<Output = ()>>(
    choices: Choices,
    options: Options,
    report: Report,
    body: &impl Fn(Sim) -> F,
) -> Run {
    let net = run::new_net(choices, report, options);
    let mut world = World::new(Arc::clone(&net));
    if options.allow_outside {
        world.allow_outside();
    }
    let world = Arc::new(world);
    let installed = kernel::install(Arc::clone(&world) as Arc<dyn kernel::Kernel>);
    let runtime = build(report, options);
    let sim = Sim {
        world: Arc::clone(&world),
    };
    let mut left = Left::default();
    let whole = AssertUnwindSafe(|| {
        runtime.block_on(body(sim));
        left = Left::of(&runtime, &world);
        if options.leaks == Leaks::Deny {
            leaks::deny(&runtime, &world);
        }
        if let Some(text) = world.outside_text(|| runtime.dump()) {
            end_run(text);
        }
    });
    let outcome = exits::named(exits::of_test, || catch_unwind(whole));
    let recording = (report == Report::Record).then(|| {
        let _entered = runtime.enter();
        trace::snapshot()
    });
    // Destructors can panic, too.
    let outcome = outcome.and(catch_unwind(AssertUnwindSafe(|| drop(runtime))));
    drop(installed);
    let mut run = Run::of(&net, outcome.err());
    run.timeline = recording.flatten().map(|bytes| Trace::from_bytes(&bytes));
    run.left = left;
    run.is_from_outside = world.is_reached_from_outside();
    run
}

/// Builds the runtime of a run. The simulation finds deadlocks itself, because it sees those of sockets, too.
fn build(report: Report, options: Options) -> Runtime {
    let builder = Builder::new()
        .count_wakers(true)
        .unhandled_panic(options.unhandled_panic)
        .on_deadlock(OnDeadlock::Ignore);
    let recorded = match report {
        Report::Record => builder.record(Recording::new()),
        _ => builder,
    };
    recorded.build().expect("building the runtime")
}
