//! Programs that end the process, such as with `std::process::exit`: without a word, all tests of the process would
//! end, and with status 0 they would count as passed.
//!
//! `exit` runs the destructors of the thread's locals. If one finds that a program runs, the program has not returned.

use std::cell::RefCell;
use std::io::{self, Write};
use std::{process, thread};

thread_local! {
    static RUNS: Runs = const { Runs(RefCell::new(None)) };
}

/// What runs on this thread.
struct Runs(RefCell<Option<String>>);

impl Drop for Runs {
    fn drop(&mut self) {
        let Some(what) = self.0.take() else { return };
        // A failure to write is ignored, because there is no other place for the line.
        writeln!(
            io::stderr(),
            "wakeful: {what} has ended the process, with `std::process::exit` or a call like it. In a simulation a \
             program returns from its function in place of that"
        )
        .ok();
        process::abort();
    }
}

fn name_of_thread() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

/// Names the test that this thread runs.
pub(crate) fn of_test() -> String {
    format!("the test on the thread {:?}", name_of_thread())
}

/// Names the program of the host whose thread this is.
pub(crate) fn of_host() -> String {
    format!("the program of the host {:?}", name_of_thread())
}

/// Runs a program, which does not unwind. Aborts the process with a line on stderr if the program ends it.
pub(crate) fn named<R>(what: impl FnOnce() -> String, run: impl FnOnce() -> R) -> R {
    let before = RUNS.with(|runs| runs.0.replace(Some(what())));
    let result = run();
    RUNS.with(|runs| *runs.0.borrow_mut() = before);
    result
}
