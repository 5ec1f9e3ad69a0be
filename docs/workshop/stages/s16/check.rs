//! The check of stage 16: runs the learner's check on runtimes. `cargo workshop` makes them from `runtime.rs`
//! and the changes in `runtimes`.

use std::rc::Rc;

use probe::{Case, Diagnosis, Outcome, Picture, Stage, Trace, fail};
use stage::check;
use stage::subject::{Runtime, Task};

// Defines `RUNTIMES`.
include!(env!("WORKSHOP_RUNTIMES"));

/// A runtime.
struct Subject {
    name: &'static str,
    is_right: bool,
    /// What is wrong.
    why: &'static str,
    /// The difference to the one that is right.
    difference: &'static str,
    new: fn() -> Rc<dyn Runtime>,
}

/// The seeds that are tried.
const SEEDS: std::ops::Range<u64> = 0..20;

static STAGE: Stage = Stage {
    number: 16,
    diagnoses: &[
        Diagnosis {
            id: "16.1",
            what: "a wrong runtime got past your check",
            why: "no script of a seed makes the difference, or the check does not compare what differs",
            section: "What must hold",
            function: "check",
        },
        Diagnosis {
            id: "16.2",
            what: "your check refuses a runtime that is right",
            why: "what it expects is more than what `Runtime` promises",
            section: "What must hold",
            function: "check",
        },
        Diagnosis {
            id: "16.3",
            what: "your check refuses a runtime that is right, on a slow machine",
            why: "it measures real time, which is different in each run; the runtime's time is `now()`",
            section: "No clock",
            function: "check",
        },
        Diagnosis {
            id: "16.4",
            what: "the same seed gives another result the second time",
            why: "something else than the seed decides what the script does",
            section: "A script from a seed",
            function: "check",
        },
        Diagnosis {
            id: "16.5",
            what: "the error does not name the seed",
            why: "without it nobody can run the script again",
            section: "A script from a seed",
            function: "check",
        },
        Diagnosis {
            id: "16.6",
            what: "all seeds have the same script",
            why: "a script that does not use the random numbers finds what it finds with its first seed",
            section: "A script from a seed",
            function: "check",
        },
    ],
    cases: &[
        Case { name: "the runtime passes", run: the_reference_passes },
        Case { name: "it passes on a slow machine", run: a_slow_one_passes },
        Case { name: "an error can be repeated", run: errors_can_be_repeated },
        Case { name: "wrong runtimes fail", run: wrong_ones_fail },
    ],
    panics: &[],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

/// Runs the learner's check.
fn run(subject: &Subject, seed: u64) -> Result<(), String> {
    let new = subject.new;
    check(seed, &move || new())
}

fn passes(subject: &Subject, seeds: std::ops::Range<u64>, id: &'static str) -> Outcome {
    for seed in seeds {
        if let Err(error) = run(subject, seed) {
            return fail(id, Vec::new(), format!("Ok with seed {seed}"), error);
        }
    }
    Ok(())
}

fn the_reference_passes() -> Outcome {
    let right = RUNTIMES.iter().find(|subject| subject.name == "reference");
    passes(right.expect("the reference"), SEEDS, "16.2")
}

fn a_slow_one_passes() -> Outcome {
    let others = RUNTIMES.iter().filter(|subject| subject.is_right && subject.name != "reference");
    others.into_iter().try_for_each(|subject| passes(subject, 0..3, "16.3"))
}

fn errors_can_be_repeated() -> Outcome {
    let mut errors = Vec::new();
    for subject in RUNTIMES.iter().filter(|subject| !subject.is_right) {
        for seed in SEEDS {
            let (first, second) = (run(subject, seed), run(subject, seed));
            if first != second {
                let seen = format!("{first:?}, then {second:?}");
                return fail("16.4", Vec::new(), format!("the same twice with seed {seed}"), seen);
            }
            let Err(error) = first else { continue };
            let numbers = error.split(|c: char| !c.is_ascii_digit());
            if !numbers.into_iter().any(|number| number.parse() == Ok(seed)) {
                let expected = format!("seed {seed} in the error");
                return fail("16.5", Vec::new(), expected, error);
            }
            errors.push(error.replacen(&seed.to_string(), "", 1));
        }
    }
    let count = errors.len();
    errors.sort_unstable();
    errors.dedup();
    // One error each, however many seeds.
    if count > 2 * SEEDS.end as usize && errors.len() <= 5 {
        let seen = format!("{count} errors, {} different ones", errors.len());
        return fail("16.6", Vec::new(), "different errors with different seeds", seen);
    }
    Ok(())
}

fn wrong_ones_fail() -> Outcome {
    let wrong: Vec<&Subject> = RUNTIMES.iter().filter(|subject| !subject.is_right).collect();
    let passed: Vec<&&Subject> = wrong
        .iter()
        .filter(|subject| SEEDS.clone().all(|seed| run(subject, seed).is_ok()))
        .collect();
    let Some(first) = passed.first() else { return Ok(()) };
    let lines = first.difference.lines().filter(|line| line.starts_with(['+', '-']));
    let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let steps = lines.map(squeeze).collect();
    let seen =
        format!("{} of {} got past; the first one: {}", passed.len(), wrong.len(), first.why);
    fail("16.1", steps, format!("each of {} fails with a seed", wrong.len()), seen)
}

/// A runtime whose sleeps are written down.
struct Recorded {
    runtime: Rc<dyn Runtime>,
    trace: Trace,
}

impl Runtime for Recorded {
    fn spawn(&self, task: Task) {
        self.runtime.spawn(task);
    }

    fn sleep(&self, us: u64) -> Task {
        self.trace.note(format!("sleeps {us} us"));
        self.runtime.sleep(us)
    }

    fn now(&self) -> u64 {
        self.runtime.now()
    }

    fn run(&self) -> usize {
        self.runtime.run()
    }
}

/// Returns the sleeps of a script.
fn sleeps(seed: u64) -> Vec<String> {
    let trace = Trace::new();
    let inside = trace.clone();
    let right = RUNTIMES.iter().find(|subject| subject.name == "reference").expect("the reference");
    let _ =
        check(seed, &move || Rc::new(Recorded { runtime: (right.new)(), trace: inside.clone() }));
    trace.steps()
}

const PICTURE: Picture = Picture {
    title: "One seed twice, and another seed",
    description: "The first sleeps of a script. The same seed gives the same script each time, and another \
                  seed gives another script.",
    lanes: &["seed 7", "seed 7 again", "seed 9"],
    run: || {
        let scripts = [sleeps(7), sleeps(7), sleeps(9)];
        let row = |n: usize| {
            let lane = |(lane, steps): (usize, &Vec<String>)| Some((lane, steps.get(n)?.clone()));
            scripts.iter().enumerate().filter_map(lane).collect::<Vec<_>>()
        };
        (0..6).flat_map(row).collect()
    },
};
