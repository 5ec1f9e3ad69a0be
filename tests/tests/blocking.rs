//! `spawn_blocking`: results, panics and aborts of closures on other threads, and the number of
//! threads.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::panic::panic_any;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use wakeful::runtime::{Builder, Runtime};
use wakeful::spawn;
use wakeful::task::{JoinHandle, spawn_blocking, yield_now};
use wakeful_tests::trace::{Trace, alone, on_drop, runtime, settle, text_of};

/// Builds a runtime with at most `threads` blocking threads.
fn with_threads(threads: usize) -> Runtime {
    Builder::new()
        .max_blocking_threads(threads)
        .build()
        .unwrap()
}

/// A closure that has started, and that ends when it is released.
struct Held {
    task: JoinHandle<()>,
    release: mpsc::Sender<()>,
}

/// Starts such a closure. Has to be called inside a runtime with a free blocking thread.
fn hold() -> Held {
    let (release, released) = mpsc::channel();
    let (begin, begun) = mpsc::channel();
    let task = spawn_blocking(move || {
        begin.send(()).unwrap();
        released.recv().ok();
    });
    begun.recv().unwrap();
    Held { task, release }
}

#[test]
fn a_closure_runs_on_another_thread_and_returns_its_value() {
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
fn threads_start_with_the_first_closure_and_idle_ones_are_reused() {
    runtime().block_on(async {
        assert_eq!(wakeful::metrics().num_blocking_threads, 0);
        let mut threads = Vec::new();
        for _ in 0..10 {
            threads.push(spawn_blocking(|| thread::current().id()).await.unwrap());
            // The result arrives shortly before its thread is idle.
            while wakeful::metrics().num_blocking_threads > 0 && !is_idle().await {}
        }
        let count = wakeful::metrics().num_blocking_threads;
        assert!(count <= 2, "{count} threads for one closure at a time");
        threads.dedup();
        assert!(threads.len() < 10, "no thread was reused");
    });
}

/// Yields, so that the pool's thread can become idle.
async fn is_idle() -> bool {
    thread::yield_now();
    yield_now().await;
    true
}

#[test]
fn tasks_are_polled_while_closures_block() {
    let trace = Trace::new();
    runtime().block_on(async {
        let held = hold();
        spawn({
            let trace = trace.clone();
            async move {
                for step in 0..3 {
                    trace.push(step.to_string());
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
fn a_panic_of_a_closure_reaches_the_joiner_and_does_not_end_the_thread() {
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
fn a_closure_aborted_before_its_start_does_not_run() {
    let trace = Trace::new();
    with_threads(1).block_on(async {
        let held = hold();
        let queued = spawn_blocking({
            let (trace, captured) = (trace.clone(), trace.on_drop("captured dropped"));
            move || {
                drop(captured);
                trace.push("ran");
            }
        });
        settle().await;
        queued.abort();
        assert!(queued.await.unwrap_err().is_cancelled());
        trace.expect(&[]);
        held.release.send(()).unwrap();
        held.task.await.unwrap();
        // The thread takes the aborted closure before this one.
        spawn_blocking(|| ()).await.unwrap();
        trace.expect(&["captured dropped"]);
    });
}

#[test]
fn a_closure_aborted_after_its_start_runs_to_its_end() {
    let (end, ended) = mpsc::channel();
    let trace = Trace::new();
    with_threads(1).block_on(async {
        let (release, released) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let value = trace.on_drop("value dropped");
        let task = spawn_blocking(move || {
            begin.send(()).unwrap();
            released.recv().ok();
            end.send("ended").unwrap();
            value
        });
        begun.recv().unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        trace.expect(&[]);
        release.send(()).unwrap();
        assert_eq!(ended.recv().unwrap(), "ended");
        spawn_blocking(|| ()).await.unwrap();
        trace.expect(&["value dropped"]);
    });
}

#[test]
fn dropping_a_handle_does_not_stop_its_closure() {
    let (send, ran) = mpsc::channel();
    runtime().block_on(async {
        drop(spawn_blocking(move || send.send("ran").unwrap()));
        settle().await;
        assert_eq!(ran.recv().unwrap(), "ran");
    });
}

#[test]
fn values_whose_drop_panics_do_not_end_the_thread() {
    let runtime = with_threads(1);
    runtime.block_on(async {
        // A closure that never starts, and below a value without a joiner.
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
        let aborted = spawn_blocking(move || {
            begin.send(()).unwrap();
            released.recv().ok();
            on_drop(|| panic!("a value without a joiner"))
        });
        begun.recv().unwrap();
        aborted.abort();
        assert!(aborted.await.is_err_and(|error| error.is_cancelled()));
        release.send(()).unwrap();

        assert_eq!(spawn_blocking(|| 1).await.unwrap(), 1);
    });
    assert_eq!(runtime.metrics().num_blocking_threads, 1);
}

#[test]
fn no_more_closures_run_at_once_than_the_limit_of_threads() {
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
fn as_many_closures_run_at_once_as_the_limit_of_threads() {
    with_threads(4).block_on(async {
        // Each closure waits for the three others, so fewer threads would never finish.
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
fn closures_start_in_the_order_of_their_spawns() {
    let trace = Trace::new();
    with_threads(1).block_on(async {
        let held = hold();
        let tasks: Vec<_> = (0..10)
            .map(|number| {
                let trace = trace.clone();
                spawn_blocking(move || trace.push(number.to_string()))
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
fn a_thousand_closures_return_a_thousand_results() {
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
fn a_closure_can_run_a_runtime_of_its_own_and_spawn_on_it() {
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

/// Runs `f` while no thread can start, because there is no memory for its stack.
fn without_new_threads<T>(f: impl FnOnce() -> T) -> T {
    let set = |current| {
        let maximum = None;
        setrlimit(Resource::As, Rlimit { current, maximum }).unwrap();
    };
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    set(Some(pages * 4096 + 1024 * 1024));
    let result = f();
    set(None);
    result
}

#[test]
fn a_watch_thread_that_cannot_start_is_an_error_of_build_that_names_it() {
    alone(|| {
        let watched = Builder::new().watch(Duration::from_secs(1));
        let error = without_new_threads(|| watched.build().unwrap_err());
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        let start = "start the watch thread: ";
        assert!(error.to_string().starts_with(start), "{error}");
    });
}

#[test]
fn a_closure_waits_for_a_running_thread_if_none_can_start() {
    alone(|| {
        runtime().block_on(async {
            let none = without_new_threads(|| spawn_blocking(|| ()));
            let error = none.await.unwrap_err().to_string();
            assert!(error.contains("could not be started: "), "{error}");
            let first = hold();
            let second = without_new_threads(|| spawn_blocking(|| 7));
            drop(first.release);
            first.task.await.unwrap();
            assert_eq!(second.await.unwrap(), 7);
        });
    });
}
