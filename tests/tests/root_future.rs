//! The root future: `yield_now` and `advance` poll it after all tasks that the turn has woken.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;

use wakeful::io::AsyncFd;
use wakeful::spawn;
use wakeful::task::yield_now;
use wakeful::time::{advance, sleep};
use wakeful_tests::trace::{Trace, pair, paused, runtime, secs, settle};

/// Pushes an entry from a task that receives input, and another one after one yield.
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
fn a_task_that_yields_is_polled_after_the_tasks_that_the_turn_woke() {
    let trace = Trace::new();
    runtime().block_on(async { spawn(yields_once(trace.clone())).await.unwrap() });
    trace.expect(&["input", "yielded"]);
}

#[test]
fn a_root_future_that_yields_is_polled_after_the_tasks_that_the_turn_woke() {
    let trace = Trace::new();
    runtime().block_on(yields_once(trace.clone()));
    trace.expect(&["input", "yielded"]);
}

/// Pushes an entry from each task whose timer fires, and another one after the advance of the
/// clock.
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
fn a_task_that_advances_the_clock_is_polled_after_the_tasks_of_fired_timers() {
    let trace = Trace::new();
    paused().block_on(async { spawn(advances(trace.clone())).await.unwrap() });
    trace.expect(&["timer 1", "timer 2", "advanced"]);
}

#[test]
fn a_root_future_that_advances_the_clock_is_polled_after_the_tasks_of_fired_timers() {
    let trace = Trace::new();
    paused().block_on(advances(trace.clone()));
    trace.expect(&["timer 1", "timer 2", "advanced"]);
}
