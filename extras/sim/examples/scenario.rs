//! Runs one of the scenarios in `tests/scenarios`, with many seeds or with a tape.
//!
//! ```text
//! scenario search NAME COUNT    `failed NUMBER SEED` for the first seed that fails, or `passed`
//! scenario shrink NAME SEED     the tape of that seed, shrunk
//! scenario replay NAME FILE     `failed` or `passed`
//! ```
//!
//! The package `planted` calls it, in a build in which one of the libraries is broken.

#![allow(clippy::unwrap_used, reason = "its caller reports a panic")]

#[path = "../tests/scenarios/mod.rs"]
mod scenarios;

use std::{env, fs};

use scenarios::Scenario;
use wakeful_sim::{Tape, run_seed, run_tape, shrink_tape};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [command, name, what] = arguments.as_slice() else {
        panic!("expected: COMMAND NAME WHAT");
    };
    let scenario = Scenario::find(name).expect("there is a scenario with this name");
    match command.as_str() {
        "search" => search(&scenario, what.parse().unwrap()),
        "shrink" => shrink(&scenario, what.parse().unwrap()),
        "replay" => replay(&scenario, &fs::read_to_string(what).unwrap()),
        _ => panic!("`{command}`: expected `search`, `shrink` or `replay`"),
    }
}

/// The seeds are those of the test.
fn search(scenario: &Scenario, count: u32) {
    let (mut number, mut found) = (0, None);
    wakeful::seeds::run(scenario.name, count, |seed| {
        number += 1;
        if found.is_none() && fails(scenario, seed) {
            found = Some((number, seed));
        }
    });
    match found {
        Some((number, seed)) => println!("failed {number} {seed}"),
        None => println!("passed"),
    }
}

fn fails(scenario: &Scenario, seed: u64) -> bool {
    let run = run_seed(scenario.name, seed, scenario.options, scenario.body);
    run.panic.is_some()
}

fn shrink(scenario: &Scenario, seed: u64) {
    let run = run_seed(scenario.name, seed, scenario.options, scenario.body);
    assert!(run.panic.is_some(), "seed {seed} fails");
    let tape = shrink_tape(run.tape, scenario.options, scenario.body);
    print!("{tape}");
}

fn replay(scenario: &Scenario, text: &str) {
    let tape: Tape = text.parse().unwrap();
    assert_eq!(tape.test(), scenario.name, "it is a tape of this scenario");
    let run = run_tape(tape, scenario.options, scenario.body);
    let result = if run.panic.is_some() {
        "failed"
    } else {
        "passed"
    };
    println!("{result}");
}
