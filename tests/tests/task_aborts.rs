//! Aborted tasks: what runs no more, and what their handles return.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::waker_clone_wake,
    reason = "waking a clone by value is what is tested"
)]
#![allow(
    clippy::async_yields_async,
    reason = "futures and handles are handed out of `block_on` on purpose"
)]

use std::cell::RefCell;
use std::future::{Future, pending, ready};
use std::rc::Rc;

use wakeful::spawn;
use wakeful::task::{self, yield_now};
use wakeful_tests::trace::{Trace, runtime, settle};

// --- abort ----------------------------------------------------------------------------------------

/// Pushes its polls and the drop of its local.
fn traced(trace: &Trace) -> impl Future<Output = &'static str> + use<> {
    let trace = trace.clone();
    async move {
        let _local = trace.on_drop("local dropped");
        trace.push("polled");
        yield_now().await;
        trace.push("polled again");
        pending().await
    }
}

#[test]
fn a_task_aborted_before_its_first_poll_is_never_polled() {
    let trace = Trace::new();
    runtime().block_on(async {
        let captured = trace.on_drop("captured dropped");
        let trace = trace.clone();
        let task = spawn(async move {
            trace.push("polled");
            drop(captured);
        });
        task.abort();
        assert!(
            !task.is_finished(),
            "the executor cancels it later, not in place"
        );
        assert!(task.await.unwrap_err().is_cancelled());
    });
    trace.expect(&["captured dropped"]);
}

#[test]
fn a_task_aborted_in_the_run_queue_is_not_polled_again() {
    let trace = Trace::new();
    runtime().block_on(async {
        let task = spawn(traced(&trace));
        yield_now().await;
        trace.expect(&["polled"]);
        // It has yielded, so it is in the run queue.
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    trace.expect(&["local dropped"]);
}

#[test]
fn an_aborted_task_drops_its_locals_before_its_handle_is_ready() {
    let trace = Trace::new();
    runtime().block_on(async {
        let task = spawn(traced(&trace));
        settle().await;
        trace.expect(&["polled", "polled again"]);
        task.abort();
        trace.push("abort returned");
        assert!(task.await.unwrap_err().is_cancelled());
        trace.push("joined");
    });
    trace.expect(&["abort returned", "local dropped", "joined"]);
}

#[test]
fn a_task_that_aborts_itself_ends_at_its_next_wait() {
    let trace = Trace::new();
    runtime().block_on(async {
        let place: Rc<RefCell<Option<task::AbortHandle>>> = Rc::default();
        let task = spawn({
            let (place, trace) = (Rc::clone(&place), trace.clone());
            async move {
                let _local = trace.on_drop("local dropped");
                place.take().unwrap().abort();
                trace.push("continues to its next wait");
                yield_now().await;
                trace.push("never");
            }
        });
        *place.borrow_mut() = Some(task.abort_handle());
        assert!(task.await.unwrap_err().is_cancelled());
    });
    trace.expect(&["continues to its next wait", "local dropped"]);
}

#[test]
fn a_task_that_ends_in_the_poll_in_which_it_is_aborted_ends_normally() {
    runtime().block_on(async {
        let place: Rc<RefCell<Option<task::AbortHandle>>> = Rc::default();
        let task = spawn({
            let place = Rc::clone(&place);
            async move {
                place.take().unwrap().abort();
                "output"
            }
        });
        *place.borrow_mut() = Some(task.abort_handle());
        assert_eq!(task.await.unwrap(), "output");
    });
}

#[test]
fn aborting_a_finished_task_keeps_its_output() {
    runtime().block_on(async {
        let task = spawn(ready("output"));
        let abort = task.abort_handle();
        settle().await;
        task.abort();
        abort.abort();
        settle().await;
        assert_eq!(task.await.unwrap(), "output");
        abort.abort();
    });
}

#[test]
fn repeated_aborts_count_once() {
    let trace = Trace::new();
    let runtime = runtime();
    runtime.block_on(async {
        let task = spawn(traced(&trace));
        settle().await;
        task.abort();
        task.abort();
        task.abort_handle().abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    trace.expect(&["polled", "polled again", "local dropped"]);
    assert_eq!(runtime.metrics().wakes_by_abort, 1);
}

#[test]
fn an_abort_handle_works_after_the_join_handle_is_dropped() {
    let trace = Trace::new();
    runtime().block_on(async {
        let abort = spawn(traced(&trace)).abort_handle();
        settle().await;
        assert!(!abort.is_finished());
        abort.abort();
        settle().await;
        assert!(abort.is_finished());
    });
    trace.expect(&["polled", "polled again", "local dropped"]);
}
