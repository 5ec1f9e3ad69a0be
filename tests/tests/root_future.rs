//! The root future: yields and advances as a task does, behind everything that a turn has woken.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;

use wakeful::io::AsyncFd;
use wakeful::spawn;
use wakeful::task::yield_now;
use wakeful::time::{advance, sleep};
use wakeful_tests::trace::{Trace, pair, paused, runtime, secs, settle};

/// Says a word when input has come, another after one yield.
async fn yields_once(trace: Trace) {
    let (here, mut there) = pair();
    let fd = AsyncFd::new(here).unwrap();
    let reader = spawn({
        let trace = trace.clone();
        async move {
            drop(fd.readable().await.unwrap());
            trace.push("input");
        }
    });
    settle().await;
    there.write_all(b"x").unwrap();
    yield_now().await;
    trace.push("yielded");
    reader.await.unwrap();
}

#[test]
fn a_task_that_yields_is_polled_behind_what_the_turn_has_woken() {
    let trace = Trace::new();
    runtime().block_on(async { spawn(yields_once(trace.clone())).await.unwrap() });
    trace.expect(&["input", "yielded"]);
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn a_root_future_that_yields_is_polled_behind_what_the_turn_has_woken() {
    let trace = Trace::new();
    runtime().block_on(yields_once(trace.clone()));
    trace.expect(&["input", "yielded"]);
}

/// Says a word when a timer has fired, and another after the clock was advanced beyond it.
async fn advances(trace: Trace) {
    for seconds in [1, 2, 3] {
        let trace = trace.clone();
        spawn(async move {
            sleep(secs(seconds)).await;
            trace.push(format!("timer {seconds}"));
        });
    }
    settle().await;
    advance(secs(2)).await;
    trace.push("advanced");
}

#[test]
fn a_task_that_advances_the_clock_is_polled_behind_the_timers_that_fired() {
    let trace = Trace::new();
    paused().block_on(async { spawn(advances(trace.clone())).await.unwrap() });
    trace.expect(&["timer 1", "timer 2", "advanced"]);
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn a_root_future_that_advances_the_clock_is_polled_behind_the_timers_that_fired() {
    let trace = Trace::new();
    paused().block_on(advances(trace.clone()));
    trace.expect(&["timer 1", "timer 2", "advanced"]);
}
