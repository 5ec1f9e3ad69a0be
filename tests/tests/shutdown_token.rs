//! `Shutdown`: which waits `cancel` wakes, what `drain` waits for, and for how long.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::sync::Mutex;
use std::thread;

use wakeful::task::{TaskState, consume_budget, yield_now};
use wakeful::time::{Duration, Instant, sleep};
use wakeful::{Shutdown, block_on, spawn};
use wakeful_tests::trace::{
    Hooks, Trace, Wakes, panic_of, paused, poll_once, poll_with, runtime, secs, settle,
};

#[test]
fn cancel_wakes_all_waiters_in_the_order_of_waiting() {
    let trace = Trace::new();
    block_on(async {
        let shutdown = Shutdown::new();
        for name in ["first", "second", "third"] {
            let (trace, shutdown) = (trace.clone(), shutdown.clone());
            spawn(async move {
                shutdown.cancelled().await;
                trace.push(name);
            });
        }
        settle().await;
        assert!(!shutdown.is_cancelled());
        trace.push("cancel");
        shutdown.cancel();
        assert!(shutdown.is_cancelled());
        settle().await;
        trace.push("later");
        shutdown.cancelled().await;
        shutdown.cancel();
        trace.push("still cancelled");
    });
    trace.expect(&[
        "cancel",
        "first",
        "second",
        "third",
        "later",
        "still cancelled",
    ]);
}

#[test]
fn cancel_reaches_runtimes_on_other_threads() {
    let shutdown = Shutdown::new();
    let (waiting, ready) = std::sync::mpsc::channel();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (shutdown, waiting) = (shutdown.clone(), waiting.clone());
            thread::spawn(move || {
                block_on(async {
                    let token = shutdown.token();
                    let mut cancelled = token.cancelled();
                    assert!(poll_once(&mut cancelled).await.is_pending());
                    waiting.send(()).unwrap();
                    cancelled.await;
                });
            })
        })
        .collect();
    ready.recv().unwrap();
    ready.recv().unwrap();
    let left = block_on(async { shutdown.drain(Duration::MAX).await });
    assert_eq!(left, 0);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn drain_waits_until_the_last_token_is_dropped() {
    let trace = Trace::new();
    paused().block_on(async {
        let shutdown = Shutdown::new();
        for seconds in [1, 3, 2] {
            let (trace, token) = (trace.clone(), shutdown.token());
            spawn(async move {
                token.cancelled().await;
                sleep(secs(seconds)).await;
                trace.push(format!("done after {seconds}"));
            });
        }
        assert_eq!(shutdown.len(), 3);
        assert!(!shutdown.is_empty());
        let start = Instant::now();
        assert_eq!(shutdown.drain(secs(60)).await, 0);
        trace.push(format!("drained after {}", start.elapsed().as_secs()));
        assert_eq!(shutdown.len(), 0);
        assert!(shutdown.is_empty());
    });
    trace.expect(&[
        "done after 1",
        "done after 2",
        "done after 3",
        "drained after 3",
    ]);
}

#[test]
fn drain_returns_the_number_of_tokens_left_after_its_timeout() {
    paused().block_on(async {
        let shutdown = Shutdown::new();
        let _kept = [shutdown.token(), shutdown.token()];
        let dropped = shutdown.token();
        spawn(async move {
            sleep(secs(1)).await;
            drop(dropped);
        });
        let start = Instant::now();
        assert_eq!(shutdown.drain(secs(5)).await, 2);
        assert_eq!(start.elapsed(), secs(5));
        assert_eq!(shutdown.drain(Duration::ZERO).await, 2, "called again");
    });
}

#[test]
fn calling_drain_cancels_even_if_its_future_is_dropped() {
    block_on(async {
        let shutdown = Shutdown::new();
        drop(shutdown.drain(secs(1)));
        assert!(shutdown.is_cancelled());
    });
}

#[test]
fn a_drain_timeout_of_duration_max_never_elapses() {
    paused().block_on(async {
        let shutdown = Shutdown::new();
        let token = shutdown.token();
        spawn(async move {
            sleep(secs(100 * 365 * 86_400)).await;
            drop(token);
        });
        assert_eq!(shutdown.drain(Duration::MAX).await, 0);
    });
}

#[test]
fn wait_and_drain_return_at_once_without_tokens() {
    paused().block_on(async {
        let shutdown = Shutdown::new();
        let start = Instant::now();
        shutdown.wait().await;
        assert!(!shutdown.is_cancelled(), "wait does not cancel");
        assert_eq!(shutdown.drain(secs(1)).await, 0);
        assert_eq!(start.elapsed(), Duration::ZERO);
    });
}

#[test]
fn a_task_that_panics_or_is_aborted_drops_its_token() {
    block_on(async {
        let shutdown = Shutdown::new();
        let (token, other) = (shutdown.token(), shutdown.token());
        let panics = spawn(async move {
            let _token = token;
            panic!("deliberate");
        });
        let aborted = spawn(async move {
            let _other = other;
            pending::<()>().await;
        });
        settle().await;
        aborted.abort();
        assert_eq!(shutdown.drain(Duration::MAX).await, 0);
        assert!(panics.await.unwrap_err().is_panic());
        assert!(aborted.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn run_until_cancelled_stops_between_two_steps() {
    let trace = Trace::new();
    paused().block_on(async {
        let shutdown = Shutdown::new();
        let token = shutdown.token();
        let steps = trace.clone();
        spawn(async move {
            while token.run_until_cancelled(sleep(secs(2))).await.is_some() {
                steps.push("step");
                sleep(secs(1)).await;
                steps.push("done");
            }
            steps.push("stop");
        });
        sleep(Duration::from_millis(5_500)).await;
        trace.push("drain");
        assert_eq!(shutdown.drain(secs(60)).await, 0);
    });
    trace.expect(&["step", "done", "step", "drain", "done", "stop"]);
}

#[test]
fn run_until_cancelled_does_not_poll_the_future_after_cancel() {
    block_on(async {
        let shutdown = Shutdown::new();
        assert_eq!(shutdown.run_until_cancelled(async { 1 }).await, Some(1));
        shutdown.cancel();
        let unpolled = async { unreachable!("the future was polled") };
        assert_eq!(shutdown.run_until_cancelled(unpolled).await, None::<()>);
    });
}

#[test]
fn run_until_cancelled_does_not_poll_the_future_after_cancel_without_budget() {
    block_on(async {
        let task = spawn(async {
            let shutdown = Shutdown::new();
            for _ in 0..128 {
                consume_budget().await;
            }
            shutdown.cancel();
            let unpolled = async { unreachable!("the future was polled") };
            shutdown.run_until_cancelled(unpolled).await
        });
        assert_eq!(task.await.unwrap(), None::<()>);
    });
}

#[test]
fn run_until_cancelled_drops_the_future_before_it_returns() {
    let trace = Trace::new();
    block_on(async {
        let shutdown = Shutdown::new();
        let held = trace.on_drop("dropped");
        let task = spawn(shutdown.run_until_cancelled(async move {
            let _held = held;
            pending::<()>().await;
        }));
        settle().await;
        shutdown.cancel();
        assert_eq!(task.await.unwrap(), None);
        trace.push("joined");
    });
    trace.expect(&["dropped", "joined"]);
}

#[test]
fn a_shutdown_while_a_waker_is_cloned_is_not_missed() {
    let shutdown = Shutdown::new();
    let last = Mutex::new(Some(shutdown.token()));
    let cancels = shutdown.clone();
    let cancels = Hooks::new().on_clone(move || cancels.cancel()).waker();
    assert!(poll_with(&mut shutdown.cancelled(), &cancels).is_ready());
    let drops = Hooks::new().on_clone(move || drop(last.lock().unwrap().take()));
    assert!(poll_with(&mut shutdown.wait(), &drops.waker()).is_ready());
}

#[test]
fn dropped_waits_leave_no_waker_behind() {
    let shutdown = Shutdown::new();
    let _token = shutdown.token();
    let wakes = Wakes::new();
    let waker = wakes.waker();
    let (mut cancelled, mut wait) = (shutdown.cancelled(), shutdown.wait());
    for _ in 0..3 {
        assert!(poll_with(&mut cancelled, &waker).is_pending());
        assert!(poll_with(&mut wait, &waker).is_pending());
    }
    assert!(wakes.alive() > 1);
    drop((cancelled, wait));
    assert_eq!(wakes.alive(), 1, "only the test's waker is left");
}

#[test]
fn the_task_info_of_a_task_in_cancelled_has_operation_and_location() {
    let runtime = runtime();
    let shutdown = Shutdown::new();
    let task = shutdown.clone();
    runtime.spawn(async move { task.cancelled().await });
    runtime.block_on(yield_now());
    let info = runtime.dump().tasks.pop().unwrap();
    assert_eq!(info.state, TaskState::Waiting);
    let waiting = info.waiting.unwrap();
    assert_eq!(waiting.operation, "Shutdown::cancelled");
    assert!(waiting.location.file().ends_with("shutdown_token.rs"));
}

#[test]
fn a_panicking_waker_does_not_stop_the_other_wakes() {
    let shutdown = Shutdown::new();
    let bad_waker = Hooks::new().on_wake(|| panic!("a bad waker")).waker();
    let mut bad = shutdown.cancelled();
    assert!(poll_with(&mut bad, &bad_waker).is_pending());
    let runtime = runtime();
    let cancelled = shutdown.cancelled();
    let good = runtime.spawn(cancelled);
    runtime.block_on(settle());
    assert!(panic_of(|| shutdown.cancel()).contains("a bad waker"));
    runtime.block_on(async { good.await.unwrap() });
}

#[test]
fn drain_outside_of_a_runtime_panics() {
    let text = panic_of(|| drop(Shutdown::new().drain(secs(1))));
    assert!(text.contains("no Wakeful runtime"), "{text}");
}

#[test]
fn clones_share_one_state_on_every_thread() {
    fn is_send_and_sync<T: Send + Sync + Clone + 'static>() {}
    fn is_send<T: Send + 'static>() {}
    is_send_and_sync::<Shutdown>();
    is_send::<wakeful::shutdown::Token>();
    is_send::<wakeful::shutdown::Cancelled>();
    let shutdown = Shutdown::new();
    let clone = shutdown.clone();
    clone.cancel();
    assert!(format!("{shutdown:?}").contains("cancelled: true"));
}
