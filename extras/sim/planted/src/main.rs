//! Plants bugs in a copy of the libraries, and checks that the simulation finds each of them.
//!
//! ```text
//! cargo run -p planted                  checks all bugs in `bugs/`
//! cargo run -p planted -- NAME..        only these
//! cargo run -p planted -- --keep NAME.. writes the tapes of these, or of all bugs that have none
//! ```
//!
//! Checks that
//!
//! - without a bug, the scenario passes with 1,000 seeds (or with as many as `WAKEFUL_SEEDS` says);
//! - with the bug, one of these seeds fails;
//! - the tape that is kept beside the bug fails with it, and passes without it.
//!
//! `bug` reads the bugs, `copy` builds the libraries that have them, `program` runs scenarios there.

mod bug;
mod copy;
mod program;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use bug::Bug;
use program::Program;

/// What is wrong, for the reader.
type Problem = String;

/// A bug is found within so many seeds.
const SEEDS: u32 = 1_000;

/// Returns the root of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(3).unwrap_or(here).to_owned()
}

fn main() -> ExitCode {
    let mut names: BTreeSet<String> = env::args().skip(1).collect();
    let keep = names.remove("--keep");
    match run(&names, keep) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all bugs were found.
fn run(names: &BTreeSet<String>, keep: bool) -> Result<bool, Problem> {
    let bugs = bug::all()?;
    if let Some(unknown) = names
        .iter()
        .find(|name| !bugs.iter().any(|bug| bug.name == **name))
    {
        return Err(format!(
            "there is no bug `{unknown}` in {}",
            bug::folder().display()
        ));
    }
    let program = Program(copy::build(&bugs)?);
    let is_chosen = |bug: &&Bug| names.is_empty() || names.contains(&bug.name);
    let chosen: Vec<_> = bugs.iter().filter(is_chosen).collect();
    if keep {
        for bug in &chosen {
            let is_wanted = !names.is_empty() || !bug.tape().exists();
            if is_wanted && let Err(problem) = keep_tape(&program, bug) {
                println!("{}: no tape: {problem}", bug.name);
            }
        }
    }
    let healthy = check_scenarios(&program, &chosen)?;
    let (mut found, mut plain) = (0, 0);
    for bug in &chosen {
        let choices = report(bug, check(&program, bug));
        found += usize::from(choices.is_some());
        plain += usize::from(choices == Some(0));
    }
    println!(
        "{plain} fail with plain choices already, {} with others only",
        found - plain
    );
    println!("planted bugs found: {found} of {}", chosen.len());
    Ok(healthy && found == chosen.len())
}

fn seeds() -> Result<u32, Problem> {
    match env::var("WAKEFUL_SEEDS") {
        Ok(text) => text
            .parse()
            .map_err(|_| format!("WAKEFUL_SEEDS={text}: expected a number")),
        Err(_) => Ok(SEEDS),
    }
}

/// Runs the scenarios without a bug. Returns whether all pass.
fn check_scenarios(program: &Program, bugs: &[&Bug]) -> Result<bool, Problem> {
    let (seeds, mut passed) = (seeds()?, true);
    let scenarios: BTreeSet<&str> = bugs.iter().map(|bug| bug.scenario.as_str()).collect();
    for scenario in &scenarios {
        if let Some(failure) = program.search(None, scenario, seeds)? {
            passed = false;
            let seed = failure.seed;
            println!("{scenario} FAILED without a bug: WAKEFUL_SEED={seed:#x}");
        }
    }
    if passed {
        println!(
            "without a bug: {} scenarios pass with {seeds} seeds",
            scenarios.len()
        );
    }
    Ok(passed)
}

/// How a bug was found.
struct Found {
    /// The place of the seed.
    number: u32,
    /// The number of choices on its tape.
    choices: usize,
}

/// Checks a bug, and returns how it was found.
fn check(program: &Program, bug: &Bug) -> Result<Found, Problem> {
    let (name, scenario) = (bug.name.as_str(), bug.scenario.as_str());
    let Some(failure) = program.search(Some(name), scenario, SEEDS)? else {
        return Err(format!("not found with {SEEDS} seeds of {scenario}"));
    };
    let tape = bug.tape();
    let text = fs::read_to_string(&tape).map_err(|error| format!("{}: {error}", tape.display()))?;
    if !program.fails(Some(name), scenario, &tape)? {
        return Err(format!(
            "{} passes with the bug: `--keep {name}` makes another",
            tape.display()
        ));
    }
    if program.fails(None, scenario, &tape)? {
        return Err(format!("{} fails without the bug", tape.display()));
    }
    Ok(Found {
        number: failure.number,
        choices: text.lines().filter(|line| line.contains(" = ")).count(),
    })
}

/// Prints the result of a bug. Returns the number of choices on its tape if it was found.
fn report(bug: &Bug, checked: Result<Found, Problem>) -> Option<usize> {
    match checked {
        Ok(Found { number, choices }) => {
            println!("{}: seed {number}, {choices} choices on its tape", bug.name);
            Some(choices)
        }
        Err(problem) => {
            println!("{} FAILED ({}): {problem}", bug.name, bug.what);
            None
        }
    }
}

/// Writes the tape of the first seed that fails.
fn keep_tape(program: &Program, bug: &Bug) -> Result<(), Problem> {
    let (name, scenario) = (bug.name.as_str(), bug.scenario.as_str());
    let Some(failure) = program.search(Some(name), scenario, SEEDS)? else {
        return Err(format!("not found with {SEEDS} seeds of {scenario}"));
    };
    let text = program.shrink(name, scenario, failure.seed)?;
    fs::write(bug.tape(), text).map_err(|error| format!("{}: {error}", bug.tape().display()))
}
