//! Runs of a test: one with a seed or a tape, and many of them.
//!
//! Called by `sim` for tests with one host and by `hosts` for those with several; each of them passes a function
//! that runs the test once.

use std::any::Any;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::{env, fs, io::Write};

use wakeful::seeds;

use crate::faults::Faults;
use crate::net::Net;
use crate::panics;
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

impl Run {
    /// Creates the result of a run that is over.
    pub(crate) fn of(net: &SharedNet, panic: Option<Box<dyn Any + Send>>) -> Self {
        let mut net = lock(net);
        Self {
            panic,
            place: None,
            hash: net.events.hash(),
            choices: net.choices.count(),
            tape: net.choices.tape().clone(),
            events: net.events.take_list(),
        }
    }
}

/// What a run reports.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// Its panics, and the tasks of a deadlock.
    Print,
    /// Nothing, because it repeats another run.
    Quiet,
    /// Nothing, but it keeps its events, to be compared.
    Events,
}

/// Creates what the hosts of a run share.
pub(crate) fn new_net(choices: Choices, report: Report, faults: Faults) -> SharedNet {
    let events = Events::new(report == Report::Events);
    Arc::new(Mutex::new(Net::new(choices, events, faults)))
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
        return check_tape(test, &file, once);
    }
    let mut number = 0_u32;
    seeds::run(test, options.seeds, |seed| {
        let first = with_seed(test, seed, once);
        number += 1;
        if first.panic.is_some() || number % 16 == 1 {
            compare(test, seed, once, &first);
        }
        if let Some(panic) = first.panic {
            let all = first.tape.len();
            write_tape(&shrink(first.tape, once), all, first.choices);
            resume_unwind(panic);
        }
    });
}

fn check_tape(test: &str, file: &std::ffi::OsStr, once: Once<'_>) {
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
    if let Some(panic) = with_tape(tape, once).panic {
        resume_unwind(panic);
    }
}

/// Runs a seed once more, and panics if the events or the choices differ.
fn compare(test: &str, seed: u64, once: Once<'_>, first: &Run) {
    let again = || run(Choices::from_seed(test, seed), Report::Events, once);
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
