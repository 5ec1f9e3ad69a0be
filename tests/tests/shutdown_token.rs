//! `Shutdown`: who hears of the beginning, what the end waits for, and for how long.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::thread;

use wakeful::task::{TaskState, yield_now};
use wakeful::time::{Duration, Instant, sleep};
use wakeful::{Shutdown, block_on, spawn};
use wakeful_tests::trace::{
    Hooks, Trace, Wakes, panic_of, paused, poll_once, poll_with, runtime, secs, settle,
};

#[test]
fn everybody_who_waits_hears_of_the_beginning_in_the_order_of_waiting() {
    let trace = Trace::new();
    block_on(async {
        let shutdown = Shutdown::new();
        for name in ["first", "second", "third"] {
            let (trace, shutdown) = (trace.clone(), shutdown.clone());
            spawn(async move {
                shutdown.cancelled().await;
                trace.say(name);
            });
        }
        settle().await;
        assert!(!shutdown.is_cancelled());
        trace.say("begin");
        shutdown.cancel();
        assert!(shutdown.is_cancelled());
        settle().await;
        trace.say("later");
        shutdown.cancelled().await;
        shutdown.cancel();
        trace.say("still begun");
    });
    trace.expect(&["begin", "first", "second", "third", "later", "still begun"]);
}

#[test]
fn the_beginning_reaches_runtimes_on_other_threads() {
    let shutdown = Shutdown::new();
    let (tell_ready, ready) = std::sync::mpsc::channel();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (shutdown, tell_ready) = (shutdown.clone(), tell_ready.clone());
            thread::spawn(move || {
                block_on(async {
                    let guard = shutdown.token();
                    let mut begun = guard.cancelled();
                    assert!(poll_once(&mut begun).await.is_pending());
                    tell_ready.send(()).unwrap();
                    begun.await;
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
fn the_end_waits_for_the_last_guard_and_for_no_longer() {
    let trace = Trace::new();
    paused().block_on(async {
        let shutdown = Shutdown::new();
        for seconds in [1, 3, 2] {
            let (trace, guard) = (trace.clone(), shutdown.token());
            spawn(async move {
                guard.cancelled().await;
                sleep(secs(seconds)).await;
                trace.say(format!("done after {seconds}"));
            });
        }
        assert_eq!(shutdown.len(), 3);
        assert!(!shutdown.is_empty());
        let start = Instant::now();
        assert_eq!(shutdown.drain(secs(60)).await, 0);
        trace.say(format!("drained after {}", start.elapsed().as_secs()));
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
fn when_the_grace_is_over_it_says_how_many_are_left() {
    paused().block_on(async {
        let shutdown = Shutdown::new();
        let _stays = [shutdown.token(), shutdown.token()];
        let goes = shutdown.token();
        spawn(async move {
            sleep(secs(1)).await;
            drop(goes);
        });
        let start = Instant::now();
        assert_eq!(shutdown.drain(secs(5)).await, 2);
        assert_eq!(start.elapsed(), secs(5));
        assert_eq!(shutdown.drain(Duration::ZERO).await, 2, "and again");
    });
}

#[test]
fn the_end_begins_with_the_call_of_drain_and_stays_begun_when_that_is_dropped() {
    block_on(async {
        let shutdown = Shutdown::new();
        drop(shutdown.drain(secs(1)));
        assert!(shutdown.is_cancelled());
    });
}

#[test]
fn a_grace_without_end_waits_for_ever() {
    paused().block_on(async {
        let shutdown = Shutdown::new();
        let guard = shutdown.token();
        spawn(async move {
            sleep(secs(100 * 365 * 86_400)).await;
            drop(guard);
        });
        assert_eq!(shutdown.drain(Duration::MAX).await, 0);
    });
}

#[test]
fn without_guards_there_is_nothing_to_wait_for() {
    paused().block_on(async {
        let shutdown = Shutdown::new();
        let start = Instant::now();
        shutdown.wait().await;
        assert!(!shutdown.is_cancelled(), "being drained is not the end");
        assert_eq!(shutdown.drain(secs(1)).await, 0);
        assert_eq!(start.elapsed(), Duration::ZERO);
    });
}

#[test]
fn a_task_that_panics_or_is_aborted_gives_its_guard_back() {
    block_on(async {
        let shutdown = Shutdown::new();
        let (guard, other) = (shutdown.token(), shutdown.token());
        let panics = spawn(async move {
            let _guard = guard;
            panic!("on purpose");
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
fn work_that_was_begun_before_the_end_can_be_cut_off_between_two_steps() {
    let trace = Trace::new();
    paused().block_on(async {
        let shutdown = Shutdown::new();
        let guard = shutdown.token();
        let steps = trace.clone();
        spawn(async move {
            while guard.run_until_cancelled(sleep(secs(2))).await.is_some() {
                steps.say("step");
                sleep(secs(1)).await;
                steps.say("done");
            }
            steps.say("stop");
        });
        sleep(Duration::from_millis(5_500)).await;
        trace.say("drain");
        assert_eq!(shutdown.drain(secs(60)).await, 0);
    });
    trace.expect(&["step", "done", "step", "drain", "done", "stop"]);
}

#[test]
fn the_beginning_wins_over_a_future_that_is_always_ready() {
    block_on(async {
        let shutdown = Shutdown::new();
        assert_eq!(shutdown.run_until_cancelled(async { 1 }).await, Some(1));
        shutdown.cancel();
        let untouched = async { unreachable!("it is not even polled") };
        assert_eq!(shutdown.run_until_cancelled(untouched).await, None::<()>);
    });
}

#[test]
fn a_future_that_loses_is_dropped_with_the_result() {
    let trace = Trace::new();
    block_on(async {
        let shutdown = Shutdown::new();
        let said = trace.on_drop("dropped");
        let task = spawn(shutdown.run_until_cancelled(async move {
            let _said = said;
            pending::<()>().await;
        }));
        settle().await;
        shutdown.cancel();
        assert_eq!(task.await.unwrap(), None);
        trace.say("joined");
    });
    trace.expect(&["dropped", "joined"]);
}

#[test]
fn waits_that_were_dropped_leave_no_waker_behind() {
    let shutdown = Shutdown::new();
    let _guard = shutdown.token();
    let wakes = Wakes::new();
    let waker = wakes.waker();
    let (mut begun, mut drained) = (shutdown.cancelled(), shutdown.wait());
    for _ in 0..3 {
        assert!(poll_with(&mut begun, &waker).is_pending());
        assert!(poll_with(&mut drained, &waker).is_pending());
    }
    assert!(wakes.alive() > 1);
    drop((begun, drained));
    assert_eq!(wakes.alive(), 1, "the test's own");
}

#[test]
fn a_waiting_task_says_where_it_waits() {
    let runtime = runtime();
    let shutdown = Shutdown::new();
    let task = shutdown.clone();
    runtime.spawn(async move { task.cancelled().await });
    runtime.block_on(yield_now());
    let record = runtime.dump().pop().unwrap();
    assert_eq!(record.state, TaskState::Waiting);
    let waiting = record.waiting.unwrap();
    assert_eq!(waiting.operation, "Shutdown::cancelled");
    assert!(waiting.location.file().ends_with("shutdown_token.rs"));
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_from_hearing() {
    let shutdown = Shutdown::new();
    let bad_waker = Hooks::new().on_wake(|| panic!("a bad waker")).waker();
    let mut bad = shutdown.cancelled();
    assert!(poll_with(&mut bad, &bad_waker).is_pending());
    let runtime = runtime();
    let begun = shutdown.cancelled();
    let good = runtime.spawn(begun);
    runtime.block_on(settle());
    assert!(panic_of(|| shutdown.cancel()).contains("a bad waker"));
    runtime.block_on(async { good.await.unwrap() });
}

#[test]
fn a_drain_outside_of_a_runtime_says_so() {
    let text = panic_of(|| drop(Shutdown::new().drain(secs(1))));
    assert!(text.contains("no Wakeful runtime on this thread"), "{text}");
}

#[test]
fn it_is_one_and_the_same_on_every_thread() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<Shutdown>();
    sent::<wakeful::shutdown::Token>();
    sent::<wakeful::shutdown::Cancelled>();
    let shutdown = Shutdown::new();
    let clone = shutdown.clone();
    clone.cancel();
    assert!(format!("{shutdown:?}").contains("cancelled: true"));
}
