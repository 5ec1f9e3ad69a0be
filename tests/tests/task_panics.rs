//! Panics of tasks, of their futures' and outputs' drops, and of the root future.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::waker_clone_wake,
    reason = "waking a clone by value is what is tested"
)]
#![allow(
    clippy::async_yields_async,
    reason = "futures and handles are handed out of `block_on` on purpose"
)]

use std::future::{Future, pending};
use std::panic::panic_any;
use std::pin::Pin;
use std::task::{Context, Poll};

use wakeful::runtime::{Builder, UnhandledPanic};
use wakeful::spawn;
use wakeful::task::{self, yield_now};
use wakeful_tests::trace::{Trace, alone, on_drop, panic_of, runtime, settle, stderr, text_of};

#[test]
fn a_panic_reaches_the_joiner_with_its_payload_and_other_tasks_continue() {
    let trace = Trace::new();
    let runtime = runtime();
    runtime.block_on(async {
        let other = spawn({
            let trace = trace.clone();
            async move {
                for step in 0..3 {
                    trace.push(format!("other {step}"));
                    yield_now().await;
                }
            }
        });
        let text = spawn(async { panic!("a text") });
        let formatted = spawn(async { panic!("number {}", 7) });
        let value = spawn(async { panic_any(42_u8) });

        let id = text.id();
        let error = text.await.unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled());
        assert_eq!(error.id(), Some(id));
        let shown = format!("task {id} panicked with message \"a text\"");
        assert_eq!(error.to_string(), shown);
        assert_eq!(text_of(error.into_panic().as_ref()), "a text");

        let error = formatted.await.unwrap_err();
        assert_eq!(text_of(error.into_panic().as_ref()), "number 7");
        let error = value.await.unwrap_err();
        assert_eq!(error.into_panic().downcast_ref(), Some(&42_u8));
        other.await.unwrap();
    });
    trace.expect(&["other 0", "other 1", "other 2"]);
    let metrics = runtime.metrics();
    assert_eq!((metrics.panics, metrics.panics_unhandled), (3, 0));
    assert_eq!(metrics.num_alive_tasks, 0);
}

#[test]
fn the_row_of_a_task_that_panicked_is_reused() {
    runtime().block_on(async {
        let first = spawn(async { panic!("first") });
        let first_id = first.id().to_string();
        assert!(first.await.unwrap_err().is_panic());
        let second = spawn(async { 2 });
        let second_id = second.id().to_string();
        assert_eq!(second.await.unwrap(), 2);
        assert_eq!((&*first_id, &*second_id), ("1.0", "1.1"));
    });
}

#[test]
fn a_join_error_without_a_panic_has_no_payload() {
    runtime().block_on(async {
        let task = spawn(pending::<()>());
        task.abort();
        let error = task.await.unwrap_err();
        assert!(error.is_cancelled() && !error.is_panic());
        let error = error.try_into_panic().unwrap_err();
        assert!(error.is_cancelled(), "the error is returned unchanged");
        assert!(error.to_string().ends_with("was cancelled"), "{error}");
        let text = panic_of(|| error.into_panic());
        assert!(text.contains("is no panic"), "{text}");
    });
}

#[test]
fn a_panic_without_a_joiner_is_counted_and_reported_once() {
    let here = file!();
    let output = alone(|| {
        let runtime = runtime();
        let task = task::Builder::new().name("worker");
        runtime.block_on(async {
            // The handle is dropped first.
            drop(task.spawn(async { panic!("no joiner") }));
            settle().await;
            // The task ends first.
            let late = spawn(async { panic!("too late") });
            settle().await;
            assert!(late.is_finished());
            drop(late);
            // This one is joined.
            assert!(spawn(async { panic!("joined") }).await.is_err());
        });
        // The runtime is dropped first.
        let rest = runtime.block_on(async {
            let rest = task.spawn(async { panic!("left behind") });
            settle().await;
            rest
        });
        let metrics = runtime.metrics();
        assert_eq!((metrics.panics, metrics.panics_unhandled), (4, 2));
        drop(runtime);
        drop(rest);
    });
    let Some(output) = output else { return };
    let stderr = stderr(&output);
    let reports: Vec<&str> = stderr
        .lines()
        .filter(|line| line.starts_with("wakeful:"))
        .collect();
    assert_eq!(reports.len(), 3, "{stderr}");
    let [first, second, third] = [reports[0], reports[1], reports[2]];
    let named = format!("wakeful: unhandled panic of task \"worker\" spawned at {here}:");
    assert!(first.starts_with(&named), "{first}");
    assert!(
        first.ends_with("panicked with message \"no joiner\""),
        "{first}"
    );
    let unnamed = format!("wakeful: unhandled panic of a task spawned at {here}:");
    assert!(second.starts_with(&unnamed), "{second}");
    assert!(
        second.ends_with("panicked with message \"too late\""),
        "{second}"
    );
    assert!(third.starts_with(&named), "{third}");
    assert!(
        third.ends_with("panicked with message \"left behind\""),
        "{third}"
    );
}

#[test]
fn under_shutdown_runtime_a_panic_without_a_joiner_ends_only_block_on() {
    let runtime = Builder::new()
        .unhandled_panic(UnhandledPanic::ShutdownRuntime)
        .build()
        .unwrap();
    let trace = Trace::new();
    let rest = runtime.spawn({
        let trace = trace.clone();
        async move {
            loop {
                trace.push("polled");
                yield_now().await;
            }
        }
    });
    // A panic that is joined ends nothing.
    runtime.block_on(async {
        assert!(spawn(async { panic!("joined") }).await.is_err());
    });
    drop(runtime.spawn(async { panic!("not joined") }));
    let text = panic_of(|| runtime.block_on(pending::<()>()));
    assert!(
        text.contains("unhandled panic of a task spawned at"),
        "{text}"
    );
    assert!(text.contains("not joined"), "{text}");
    // The runtime and its tasks continue.
    drop(trace.take());
    runtime.block_on(settle());
    assert!(!trace.take().is_empty());
    assert!(!{
        let _entered = runtime.enter();
        rest.is_finished()
    });
}

/// Nothing else is scheduled, so the runtime would park.
#[test]
fn under_shutdown_runtime_a_panic_ends_block_on_although_nothing_else_happens() {
    let builder = Builder::new().unhandled_panic(UnhandledPanic::ShutdownRuntime);
    let runtime = builder.build().unwrap();
    drop(runtime.spawn(async { panic!("not joined") }));
    let text = panic_of(|| runtime.block_on(pending::<()>()));
    assert!(text.contains("not joined"), "{text}");
    assert_eq!(runtime.metrics().parks, 0);
}

#[test]
fn a_panic_of_the_root_future_reaches_the_caller_and_the_runtime_continues() {
    let runtime = runtime();
    let task = runtime.spawn(async {
        yield_now().await;
        "finished"
    });
    let text = panic_of(|| {
        runtime.block_on(async {
            yield_now().await;
            panic!("the root future");
        });
    });
    assert_eq!(text, "the root future");
    assert_eq!(runtime.block_on(task).unwrap(), "finished");
    assert!(task::try_id().is_none());
}

/// A future that is ready at once and whose drop panics.
struct PanicsWhenDropped(Option<&'static str>);

impl Future for PanicsWhenDropped {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        if let Some(text) = self.0.take() {
            panic!("{text}");
        }
    }
}

#[test]
fn a_future_whose_drop_panics_at_its_end_is_a_panicked_task() {
    runtime().block_on(async {
        let error = spawn(PanicsWhenDropped(Some("at its end")))
            .await
            .unwrap_err();
        assert_eq!(text_of(error.into_panic().as_ref()), "at its end");
        spawn(async {}).await.unwrap();
    });
}

#[test]
fn a_future_whose_drop_panics_when_aborted_is_a_panicked_task() {
    runtime().block_on(async {
        let task = spawn(async {
            let _bomb = on_drop(|| panic!("while aborted"));
            pending::<()>().await;
        });
        settle().await;
        task.abort();
        let error = task.await.unwrap_err();
        assert_eq!(text_of(error.into_panic().as_ref()), "while aborted");
    });
}

#[test]
fn of_a_panic_in_poll_and_one_in_drop_the_first_is_reported() {
    /// Panics in its poll and again in its drop, which is not part of the same unwinding.
    struct Both(PanicsWhenDropped);
    impl Future for Both {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
            panic!("when polled");
        }
    }
    runtime().block_on(async {
        let both = Both(PanicsWhenDropped(Some("when dropped")));
        assert!(both.0.0.is_some());
        let error = spawn(both).await.unwrap_err();
        assert_eq!(text_of(error.into_panic().as_ref()), "when polled");
    });
}

#[test]
fn an_output_whose_drop_panics_affects_no_other_task() {
    let runtime = runtime();
    let bomb = || PanicsWhenDropped(Some("an output"));
    runtime.block_on(async {
        // Detached: the executor drops the output.
        drop(spawn(async move { bomb() }));
        settle().await;
        // Detached after its end: the output is dropped with the handle.
        let late = spawn(async move { bomb() });
        settle().await;
        drop(late);
        // Joined: the joiner drops the output.
        let output = spawn(async move { bomb() }).await.unwrap();
        assert_eq!(panic_of(move || drop(output)), "an output");
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
    });
    let metrics = runtime.metrics();
    assert_eq!((metrics.panics, metrics.panics_unhandled), (2, 2));
    assert_eq!(metrics.num_alive_tasks, 0);
    assert!(runtime.dump().tasks.is_empty());
}
