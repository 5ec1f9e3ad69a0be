//! Tests with one host: it runs on the thread of the test, and starts with the test's future.

use std::future::Future;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use wakeful::kernel;
use wakeful::runtime::Builder;

use crate::run::{self, Options, Report, Run};
use crate::world::choices::Choices;
use crate::world::tape::Tape;
use crate::world::{DEADLOCK, World};

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
/// fails runs once more, to compare the events. Then its tape is shrunk, and written to stderr.
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
    let net = run::new_net(choices, report, options.faults);
    let world = Arc::new(World::new(Arc::clone(&net)));
    let installed = kernel::install(Arc::clone(&world) as Arc<dyn kernel::Kernel>);
    let runtime = Builder::new()
        .count_wakers(true)
        .deadlock_after(Duration::from_secs(10))
        .build()
        .expect("building the runtime");
    let sim = Sim { world };
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
    Run::of(&net, outcome.err())
}
