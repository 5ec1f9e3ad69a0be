//! `spawn_blocking`: results, panics and aborts of closures on other threads, and how many threads.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::panic::panic_any;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use wakeful::runtime::{Builder, Runtime};
use wakeful::spawn;
use wakeful::task::{JoinHandle, spawn_blocking, yield_now};
use wakeful_tests::trace::{Trace, on_drop, runtime, settle, text_of};

/// A runtime with at most so many blocking threads.
fn with_threads(threads: usize) -> Runtime {
    Builder::new()
        .max_blocking_threads(threads)
        .build()
        .unwrap()
}

/// A closure that has begun and ends when it is released.
struct Held {
    task: JoinHandle<()>,
    release: mpsc::Sender<()>,
}

/// Has to be called inside a runtime that has a thread to spare.
fn hold() -> Held {
    let (release, released) = mpsc::channel();
    let (tell, begun) = mpsc::channel();
    let task = spawn_blocking(move || {
        tell.send(()).unwrap();
        released.recv().ok();
    });
    begun.recv().unwrap();
    Held { task, release }
}

#[test]
fn a_closure_runs_on_another_thread_and_gives_its_value() {
    runtime().block_on(async {
        let here = thread::current().id();
        let (there, name, value) = spawn_blocking(|| {
            let thread = thread::current();
            (thread.id(), thread.name().map(ToOwned::to_owned), 42)
        })
        .await
        .unwrap();
        assert_ne!(here, there);
        assert_eq!(name.as_deref(), Some("wakeful-blocking"));
        assert_eq!(value, 42);
    });
}

#[test]
fn there_is_no_thread_before_the_first_closure_and_an_idle_one_is_used_again() {
    runtime().block_on(async {
        assert_eq!(wakeful::metrics().num_blocking_threads, 0);
        let mut threads = Vec::new();
        for _ in 0..10 {
            threads.push(spawn_blocking(|| thread::current().id()).await.unwrap());
            // The result arrives a moment before its thread is idle.
            while wakeful::metrics().num_blocking_threads > 0 && !is_idle().await {}
        }
        let count = wakeful::metrics().num_blocking_threads;
        assert!(count <= 2, "{count} threads for one closure at a time");
        threads.dedup();
        assert!(threads.len() < 10, "none was used again");
    });
}

/// Gives the pool's thread time to become idle.
async fn is_idle() -> bool {
    thread::yield_now();
    yield_now().await;
    true
}

#[test]
fn tasks_go_on_while_closures_block() {
    let trace = Trace::new();
    runtime().block_on(async {
        let held = hold();
        spawn({
            let trace = trace.clone();
            async move {
                for step in 0..3 {
                    trace.say(step.to_string());
                    yield_now().await;
                }
            }
        });
        settle().await;
        trace.expect(&["0", "1", "2"]);
        assert!(!held.task.is_finished());
        held.release.send(()).unwrap();
        held.task.await.unwrap();
    });
}

#[test]
fn a_panic_of_a_closure_reaches_the_joiner_and_the_thread_lives_on() {
    let runtime = with_threads(1);
    runtime.block_on(async {
        let task = spawn_blocking(|| panic!("in the closure"));
        let id = task.id();
        let error: wakeful::task::JoinError = task.await.unwrap_err();
        assert!(error.is_panic());
        assert_eq!(error.id(), Some(id));
        assert_eq!(text_of(error.into_panic().as_ref()), "in the closure");
        let error = spawn_blocking(|| panic_any(7_u32)).await.unwrap_err();
        assert_eq!(error.into_panic().downcast_ref(), Some(&7_u32));
        assert_eq!(spawn_blocking(|| 1).await.unwrap(), 1);
    });
    let metrics = runtime.metrics();
    assert_eq!((metrics.panics, metrics.num_blocking_threads), (2, 1));
}

#[test]
fn a_closure_that_was_aborted_before_it_began_does_not_run() {
    let trace = Trace::new();
    with_threads(1).block_on(async {
        let held = hold();
        let queued = spawn_blocking({
            let (trace, captured) = (trace.clone(), trace.on_drop("captured dropped"));
            move || {
                drop(captured);
                trace.say("ran");
            }
        });
        settle().await;
        queued.abort();
        assert!(queued.await.unwrap_err().is_cancelled());
        trace.expect(&[]);
        held.release.send(()).unwrap();
        held.task.await.unwrap();
        // The thread comes to it before this one.
        spawn_blocking(|| ()).await.unwrap();
        trace.expect(&["captured dropped"]);
    });
}

#[test]
fn a_closure_that_has_begun_runs_to_its_end_although_it_was_aborted() {
    let (tell, ended) = mpsc::channel();
    let trace = Trace::new();
    with_threads(1).block_on(async {
        let (release, released) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let value = trace.on_drop("its value dropped");
        let task = spawn_blocking(move || {
            begin.send(()).unwrap();
            released.recv().ok();
            tell.send("ended").unwrap();
            value
        });
        begun.recv().unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        trace.expect(&[]);
        release.send(()).unwrap();
        assert_eq!(ended.recv().unwrap(), "ended");
        spawn_blocking(|| ()).await.unwrap();
        trace.expect(&["its value dropped"]);
    });
}

#[test]
fn a_handle_that_is_dropped_lets_its_closure_run() {
    let (tell, ran) = mpsc::channel();
    runtime().block_on(async {
        drop(spawn_blocking(move || tell.send("ran").unwrap()));
        settle().await;
        assert_eq!(ran.recv().unwrap(), "ran");
    });
}

#[test]
fn values_that_panic_while_they_are_dropped_do_not_end_the_thread() {
    let runtime = with_threads(1);
    runtime.block_on(async {
        // A closure that never began, and a value that nobody takes.
        let held = hold();
        let bomb = on_drop(|| panic!("a captured value"));
        let queued = spawn_blocking(move || drop(bomb));
        settle().await;
        queued.abort();
        assert!(queued.await.unwrap_err().is_cancelled());
        held.release.send(()).unwrap();
        held.task.await.unwrap();

        let (release, released) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let unwanted = spawn_blocking(move || {
            begin.send(()).unwrap();
            released.recv().ok();
            on_drop(|| panic!("an unwanted value"))
        });
        begun.recv().unwrap();
        unwanted.abort();
        assert!(unwanted.await.is_err_and(|error| error.is_cancelled()));
        release.send(()).unwrap();

        assert_eq!(spawn_blocking(|| 1).await.unwrap(), 1);
    });
    assert_eq!(runtime.metrics().num_blocking_threads, 1);
}

#[test]
fn never_more_closures_run_than_there_may_be_threads() {
    const CAP: usize = 3;
    let runtime = with_threads(CAP);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    runtime.block_on(async {
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                spawn_blocking(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    number
                })
            })
            .collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap();
        }
        assert_eq!(sum, 99 * 100 / 2);
    });
    assert!(most.load(Ordering::SeqCst) <= CAP);
    assert!(runtime.metrics().num_blocking_threads <= CAP as u64);
}

#[test]
fn as_many_closures_run_at_once_as_there_may_be_threads() {
    with_threads(4).block_on(async {
        // Each waits for the three others: fewer threads would never come to an end.
        let barrier = Arc::new(Barrier::new(4));
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                spawn_blocking(move || {
                    barrier.wait();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(wakeful::metrics().num_blocking_threads, 4);
    });
}

#[test]
fn a_limit_of_no_threads_is_a_limit_of_one() {
    with_threads(0).block_on(async {
        assert_eq!(spawn_blocking(|| 1).await.unwrap(), 1);
        assert_eq!(wakeful::metrics().num_blocking_threads, 1);
    });
}

#[test]
fn closures_are_begun_in_the_order_in_which_they_came() {
    let trace = Trace::new();
    with_threads(1).block_on(async {
        let held = hold();
        let tasks: Vec<_> = (0..10)
            .map(|number| {
                let trace = trace.clone();
                spawn_blocking(move || trace.say(number.to_string()))
            })
            .collect();
        held.release.send(()).unwrap();
        for task in tasks {
            task.await.unwrap();
        }
    });
    trace.expect(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

#[test]
fn a_thousand_closures_deliver_a_thousand_results() {
    let runtime = with_threads(8);
    runtime.block_on(async {
        let tasks: Vec<_> = (0..1_000_u64)
            .map(|n| spawn_blocking(move || n * n))
            .collect();
        for (n, task) in (0..1_000_u64).zip(tasks) {
            assert_eq!(task.await.unwrap(), n * n);
        }
    });
    assert_eq!(runtime.metrics().num_alive_tasks, 0);
}

#[test]
fn a_closure_may_run_a_runtime_of_its_own_and_spawn_on_it() {
    runtime().block_on(async {
        let inner = spawn_blocking(|| {
            wakeful::block_on(async {
                let local = Rc::new(Cell::new(1));
                let task = spawn({
                    let local = Rc::clone(&local);
                    async move { local.set(local.get() + 1) }
                });
                task.await.unwrap();
                spawn_blocking(|| ()).await.unwrap();
                local.get()
            })
        });
        assert_eq!(inner.await.unwrap(), 2);
    });
}
