//! A test of a runtime, without a clock: a script from a seed, and what must come of it.

pub mod subject;

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::rc::Rc;

use subject::{New, Random, wakes_itself};

/// Tasks of a script.
const TASKS: u64 = 5;

/// Runs the script of a seed on a new runtime. An error names the seed, and what was wrong.
pub fn check(seed: u64, new: &New) -> Result<(), String> {
    todo!("16.1: a script from the seed, on a new runtime; compare starts, ends of sleeps and polls")
}

/// Compares what was seen with what must be seen.
fn compare<T: Debug + PartialEq>(
    seed: u64,
    what: &str,
    seen: &T,
    expected: &T,
) -> Result<(), String> {
    match seen == expected {
        true => Ok(()),
        false => Err(format!("seed {seed}: {what}: {seen:?}, not {expected:?}")),
    }
}
