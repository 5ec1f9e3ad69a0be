//! Runs again what the fuzzers of `tests/fuzz` have kept: programs that reach different code. `.ci/fuzz`
//! begins with the same files.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use wakeful_tests::programs::{datagrams, descriptors, tasks, timers};
use wakeful_tests::trace::alone;

/// Runs each program in the corpus of a target.
fn replay(target: &str, run: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let folder = corpus.join(target);
    let mut files = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        // Shown if the program fails.
        println!("{}", path.display());
        run(&fs::read(path).unwrap());
        files += 1;
    }
    assert!(files > 0, "{} is empty", folder.display());
}

#[test]
fn the_kept_programs_of_datagrams_pass() {
    replay("datagrams", datagrams::run);
}

#[test]
fn the_kept_programs_of_descriptors_pass() {
    replay("descriptors", descriptors::run);
}

#[test]
fn the_kept_programs_of_tasks_pass() {
    // In a process of its own, because panics without a joiner are reported on stderr.
    alone(|| {
        replay("tasks", |bytes| tasks::run(bytes, None));
        replay("tasks", |bytes| tasks::run(bytes, Some(bytes.len() as u64)));
    });
}

#[test]
fn the_kept_programs_of_timers_pass() {
    replay("timers", timers::run);
}
