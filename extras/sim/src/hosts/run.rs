//! Runs of a test with several hosts, and the thread of a host.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use wakeful::kernel::{self, Kernel, Verdict};

use super::Hosts;
use super::pin::Pinned;
use crate::panics;
use crate::run::{self, Options, Report, Run};
use crate::world::choices::Choices;
use crate::world::gate::{Crashed, Ended, Gate};
use crate::world::tape::Tape;
use crate::world::{SharedNet, World, lock};

/// The time of the machine for which a host can run without a wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// As [`run_seed`](crate::run_seed), for several hosts. `setup` makes them. A panic of the test or of a host is in the
/// result.
pub fn run_seed(test: &str, seed: u64, options: Options, setup: impl Fn(&Hosts)) -> Run {
    run::with_seed(test, seed, &|choices, report| {
        run_once(choices, options, report, &setup)
    })
}

/// As [`run_tape`](crate::run_tape), for several hosts.
pub fn run_tape(tape: Tape, options: Options, setup: impl Fn(&Hosts)) -> Run {
    run::with_tape(tape, &|choices, report| {
        run_once(choices, options, report, &setup)
    })
}

/// As [`shrink_tape`](crate::shrink_tape), for several hosts.
pub fn shrink_tape(tape: Tape, options: Options, setup: impl Fn(&Hosts)) -> Tape {
    let once = |choices, report| run_once(choices, options, report, &setup);
    run::shrink(tape, &once).tape
}

/// As [`check`](crate::check), for several hosts. `setup` is called once for each run, and makes the hosts.
/// [`test!`](crate::test) calls it for a function that is not `async`.
///
/// # Panics
///
/// As [`check`](crate::check). For a host that panics the message begins with its name.
pub fn check(test: &str, options: Options, setup: impl Fn(&Hosts)) {
    run::check(test, options, &|choices, report| {
        run_once(choices, options, report, &setup)
    });
}

/// The kernel of the test's own thread: its actions and checks can wake tasks.
struct Outside(SharedNet);

impl Kernel for Outside {
    fn wake(&self, eventfd: BorrowedFd<'_>) -> Verdict<()> {
        lock(&self.0).wake(eventfd.as_raw_fd());
        Verdict::Real
    }
}

fn run_once(choices: Choices, options: Options, report: Report, setup: &impl Fn(&Hosts)) -> Run {
    let pinned = Pinned::new();
    let net = run::new_net(choices, report, options.faults);
    let installed = kernel::install(Arc::new(Outside(Arc::clone(&net))));
    let hosts = Hosts::new(Arc::clone(&net), report, PATIENCE);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        setup(&hosts);
        hosts.run_to_end()
    }));
    hosts.tear_down();
    drop((pinned, installed));
    let (panic, place, is_from_outside) = match outcome {
        Ok(Ok(())) => (None, None, false),
        Ok(Err(failure)) => {
            let from_outside = failure.is_from_outside;
            (Some(failure.payload), failure.place, from_outside)
        }
        Err(panic) => (Some(panic), None, false),
    };
    let mut run = Run::of(&net, panic);
    run.place = place;
    run.is_from_outside = is_from_outside;
    run
}

/// Runs the program of a host on the thread that is made for it.
pub(super) fn run_program(
    world: World,
    gate: &Gate,
    is_quiet: bool,
    program: &(dyn Fn() + Send + Sync),
) {
    gate.begin();
    if gate.is_dead() {
        return gate.end(Ended::Unwound);
    }
    let installed = kernel::install(Arc::new(world));
    let (outcome, place) = panics::observed(is_quiet, || catch_unwind(AssertUnwindSafe(program)));
    drop(installed);
    gate.end(match outcome {
        Ok(()) => Ended::Returned,
        Err(payload) if payload.is::<Crashed>() => Ended::Unwound,
        Err(payload) => Ended::Panicked { payload, place },
    });
}
