//! Shutdown of a runtime: what is dropped, in which order, on which thread, and what handles and I/O
//! objects return afterwards.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::waker_clone_wake,
    reason = "waking a clone by value is what is tested"
)]
#![allow(
    clippy::async_yields_async,
    reason = "`block_on` returns futures and handles on purpose"
)]

use std::cell::{Cell, RefCell};
use std::fs;
use std::future::{Future, pending};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;

use wakeful::io::{AsyncFd, Interest, Ready};
use wakeful::runtime::{Builder, Handle, RemoteJoinHandle};
use wakeful::signal::unix::{SignalKind, signal};
use wakeful::task::{JoinHandle, spawn_blocking, yield_now};
use wakeful::time::{Sleep, sleep};
use wakeful::{spawn, task};
use wakeful_tests::trace::{
    Hooks, Trace, Wakes, alone, my_waker, on_drop, pair, panic_of, poll_with, runtime, secs,
    settle, stderr,
};

/// Returns a future that never completes and records `word` when it is dropped.
fn holds(trace: &Trace, word: &str) -> impl Future<Output = ()> + use<> {
    let held = trace.on_drop(word);
    async move {
        let _held = held;
        pending().await
    }
}

// --- what is dropped, and in which order ------------------------------------------------------------

#[test]
fn the_drop_order_is_tasks_timers_sources_pool_inbox() {
    let trace = Trace::new();
    let runtime = Builder::new().max_blocking_threads(1).build().unwrap();
    let recording_waker = |word: &'static str| {
        let trace = trace.clone();
        Hooks::new().on_wake(move || trace.push(word)).waker()
    };
    let (here, _there) = pair();
    let (release, blocked) = mpsc::channel::<()>();
    let (started, wait) = mpsc::channel();
    let (fd, mut hour) = runtime.block_on(async {
        drop(spawn(holds(&trace, "task")));
        let running = spawn_blocking(move || {
            started.send(()).unwrap();
            blocked.recv().ok();
        });
        let held = trace.on_drop("blocking closure");
        let queued = spawn_blocking(move || drop(held));
        drop((running, queued));
        settle().await;
        (AsyncFd::new(here).unwrap(), sleep(secs(3600)))
    });
    wait.recv().unwrap();
    let mut readable = fd.readable();
    {
        let _entered = runtime.enter();
        assert!(poll_with(&mut readable, &recording_waker("source")).is_pending());
        assert!(poll_with(&mut hour, &recording_waker("timer")).is_pending());
    }
    let held = trace.on_drop("remote closure");
    let remote = runtime.handle().spawn(move || {
        drop(held);
        async {}
    });
    drop(runtime);
    trace.expect(&[
        "task",
        "timer",
        "source",
        "blocking closure",
        "remote closure",
    ]);
    assert!(remote.wait().unwrap_err().is_cancelled());
    drop(release);
}

#[test]
fn tasks_in_every_state_are_dropped() {
    let trace = Trace::new();
    let runtime = runtime();
    let kept = runtime.block_on(async {
        // Finished, with an output that was not taken.
        let output = trace.on_drop("output");
        let finished = spawn(async move { output });
        // Waiting; yielding; aborted but not yet dropped; never polled.
        spawn(holds(&trace, "waiting"));
        settle().await;
        let held = trace.on_drop("yielding");
        spawn(async move {
            let _held = held;
            loop {
                yield_now().await;
            }
        });
        yield_now().await;
        let aborted = spawn(holds(&trace, "aborted"));
        aborted.abort();
        spawn(holds(&trace, "never polled"));
        finished
    });
    assert_eq!(runtime.metrics().num_alive_tasks, 4);
    trace.expect(&[]);
    drop(runtime);
    trace.expect(&["never polled", "aborted", "yielding", "waiting", "output"]);
    drop(kept);
}

#[test]
fn every_future_is_dropped_on_the_runtimes_own_thread() {
    let dropped_on = Rc::new(RefCell::new(Vec::new()));
    let runtime = runtime();
    let handle = runtime.handle().clone();
    let abort = {
        let dropped_on = Rc::clone(&dropped_on);
        let task = runtime.spawn(async move {
            let _records = on_drop(move || dropped_on.borrow_mut().push(thread::current().id()));
            pending::<()>().await;
        });
        task.abort_handle()
    };
    runtime.block_on(settle());
    // The abort is requested on another thread and carried out on this one.
    thread::spawn(move || {
        abort.abort();
        drop(handle);
    })
    .join()
    .unwrap();
    assert!(dropped_on.borrow().is_empty());
    drop(runtime);
    assert_eq!(*dropped_on.borrow(), [thread::current().id()]);
}

#[test]
fn a_runtime_that_never_ran_drops_its_spawned_tasks() {
    let trace = Trace::new();
    let runtime = runtime();
    runtime.spawn(holds(&trace, "never polled"));
    drop(runtime);
    trace.expect(&["never polled"]);
}

#[test]
fn the_root_future_is_dropped_before_block_on_returns_and_inside_its_runtime() {
    let trace = Trace::new();
    let runtime = runtime();
    let root = {
        let trace = trace.clone();
        async move {
            let _local = on_drop(|| {
                drop(spawn(async {}));
                trace.push("root dropped");
            });
            yield_now().await;
            panic!("root");
        }
    };
    assert_eq!(panic_of(|| runtime.block_on(root)), "root");
    trace.expect(&["root dropped"]);
    assert_eq!(runtime.metrics().spawned_tasks_count, 1);
}

// --- drops with side effects ------------------------------------------------------------------------

#[test]
fn tasks_spawned_by_a_drop_at_shutdown_are_dropped_at_once() {
    let trace = Trace::new();
    let refused: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
    let runtime = runtime();
    {
        let (trace, refused) = (trace.clone(), Rc::clone(&refused));
        runtime.spawn(async move {
            let _spawns = on_drop(|| {
                trace.push("drop begins");
                *refused.borrow_mut() = Some(spawn(holds(&trace, "refused")));
                let named = task::Builder::new().name("x");
                drop(named.spawn(holds(&trace, "refused, too")));
                trace.push("drop ends");
            });
            pending::<()>().await;
        });
    }
    runtime.block_on(settle());
    let spawned = runtime.metrics().spawned_tasks_count;
    drop(runtime);
    trace.expect(&["drop begins", "refused", "refused, too", "drop ends"]);
    assert_eq!(spawned, 1);
    // The handle of the refused task reports the cancellation.
    let mut refused = refused.take().unwrap();
    match poll_with(&mut refused, Waker::noop()) {
        Poll::Ready(Err(error)) => assert!(error.is_cancelled()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_chain_of_drops_that_spawn_tasks_ends() {
    /// Spawns a task whose drop spawns the next one, `depth` times.
    fn spawn_next(depth: u32, dropped: Rc<Cell<u32>>) {
        let next = on_drop(move || {
            dropped.set(dropped.get() + 1);
            if depth > 0 {
                spawn_next(depth - 1, dropped);
            }
        });
        drop(spawn(async move {
            let _next = next;
            pending::<()>().await;
        }));
    }
    let dropped = Rc::new(Cell::new(0));
    let runtime = runtime();
    runtime.block_on(async {
        spawn_next(100, Rc::clone(&dropped));
        settle().await;
    });
    assert_eq!(dropped.get(), 0);
    drop(runtime);
    assert_eq!(dropped.get(), 101);
}

#[test]
fn a_drop_at_shutdown_can_use_every_operation() {
    let trace = Trace::new();
    let runtime = runtime();
    let (here, mut there) = pair();
    runtime.block_on(async {
        let first = spawn(holds(&trace, "first"));
        let wakers: Rc<RefCell<Vec<Waker>>> = Rc::default();
        for _ in 0..3 {
            let wakers = Rc::clone(&wakers);
            spawn(async move {
                let waker = my_waker().await;
                wakers.borrow_mut().push(waker);
                pending::<()>().await;
            });
        }
        settle().await;
        let fd = AsyncFd::new(here).unwrap();
        let mut hour = sleep(secs(3600));
        assert!(poll_with(&mut hour, Waker::noop()).is_pending());
        let trace = trace.clone();
        spawn(async move {
            let _effects = on_drop(move || {
                for waker in wakers.take() {
                    waker.wake_by_ref();
                    waker.clone().wake();
                }
                first.abort();
                let mut first = first;
                assert!(poll_with(&mut first, Waker::noop()).is_pending());
                drop(first);
                there.write_all(b"x").unwrap();
                assert!(poll_with(&mut fd.readable(), Waker::noop()).is_pending());
                drop(fd.into_inner());
                drop(hour);
                drop(wakeful::metrics());
                drop(task::dump());
                drop(spawn_blocking(|| ()));
                drop(Handle::current().spawn(|| async {}));
                drop(signal(SignalKind::user_defined2()));
                trace.push("done");
            });
            pending::<()>().await;
        });
        settle().await;
    });
    drop(runtime);
    trace.expect(&["done", "first"]);
}

#[test]
fn registering_a_source_after_the_sources_are_dropped_is_an_error() {
    // The pool is dropped after the sources, so the drop of a queued closure is late enough.
    let runtime = Builder::new().max_blocking_threads(1).build().unwrap();
    let trace = Trace::new();
    let (release, blocked) = mpsc::channel::<()>();
    let (here, _there) = pair();
    runtime.block_on(async {
        let running = spawn_blocking(move || blocked.recv().ok());
        let late = {
            let trace = trace.clone();
            on_drop(move || match AsyncFd::new(here) {
                Ok(_) => trace.push("registered"),
                Err(error) => trace.push(error.to_string()),
            })
        };
        let queued = spawn_blocking(move || drop(late));
        drop((running, queued));
        settle().await;
    });
    drop(runtime);
    let words = trace.take();
    assert!(
        words.len() == 1 && words[0].contains("has ended"),
        "{words:?}"
    );
    drop(release);
}

#[test]
fn panicking_drops_at_shutdown_do_not_stop_the_other_drops() {
    let output = alone(|| {
        let trace = Trace::new();
        let runtime = runtime();
        runtime.block_on(async {
            for number in 0..6 {
                let trace = trace.clone();
                spawn(async move {
                    let _local = on_drop(|| {
                        trace.push(number.to_string());
                        assert!(number % 2 == 0, "drop number {number}");
                    });
                    pending::<()>().await;
                });
            }
            settle().await;
        });
        drop(runtime);
        trace.expect(&["5", "4", "3", "2", "1", "0"]);
    });
    let Some(output) = output else { return };
    let stderr = stderr(&output);
    for number in [1, 3, 5] {
        let report = format!("panicked: \"drop number {number}\"");
        assert_eq!(stderr.matches(&report).count(), 1, "{stderr}");
    }
}

#[test]
fn a_runtime_dropped_while_unwinding_survives_panicking_drops() {
    alone(|| {
        let trace = Trace::new();
        let text = panic_of(|| {
            let runtime = runtime();
            for _ in 0..2 {
                let trace = trace.clone();
                runtime.spawn(async move {
                    let _local = on_drop(|| {
                        trace.push("dropped");
                        panic!("the second panic");
                    });
                    pending::<()>().await;
                });
            }
            runtime.block_on(settle());
            panic!("the first panic");
        });
        assert_eq!(text, "the first panic");
        trace.expect(&["dropped", "dropped"]);
        assert!(Handle::try_current().is_err());
        wakeful::block_on(settle());
    });
}

// --- what outlives the runtime ----------------------------------------------------------------------

#[test]
fn futures_polled_by_another_executor_are_woken_at_shutdown_and_fail() {
    // Another executor polls with the runtime entered; then the runtime is dropped.
    let runtime = runtime();
    let (here, _there) = pair();
    let (fd, mut task, mut hour, mut listener) = {
        let _entered = runtime.enter();
        let listener = signal(SignalKind::user_defined2()).unwrap();
        let task = runtime.spawn(pending::<()>());
        (
            AsyncFd::new(here).unwrap(),
            task,
            sleep(secs(3600)),
            listener,
        )
    };
    let mut readable = fd.readable();
    let mut recv = listener.recv();
    let mut remote = runtime.handle().spawn(pending::<()>);
    let wakes: [Wakes; 5] = Default::default();
    {
        let _entered = runtime.enter();
        assert!(poll_with(&mut readable, &wakes[0].waker()).is_pending());
        assert!(poll_with(&mut task, &wakes[1].waker()).is_pending());
        assert!(poll_with(&mut recv, &wakes[2].waker()).is_pending());
        assert!(poll_with(&mut remote, &wakes[3].waker()).is_pending());
        assert!(poll_with(&mut hour, &wakes[4].waker()).is_pending());
    }
    drop(runtime);
    assert_eq!(wakes.each_ref().map(Wakes::count), [1; 5]);
    assert_eq!(wakes.each_ref().map(Wakes::alive), [0; 5]);
    let noop = Waker::noop();
    let Poll::Ready(Err(error)) = poll_with(&mut readable, noop) else {
        panic!("the read is not an error")
    };
    assert!(error.to_string().contains("has ended"), "{error}");
    assert!(matches!(poll_with(&mut task, noop), Poll::Ready(Err(error)) if error.is_cancelled()));
    assert!(matches!(poll_with(&mut recv, noop), Poll::Ready(None)));
    assert!(
        matches!(poll_with(&mut remote, noop), Poll::Ready(Err(error)) if error.is_cancelled())
    );
}

#[test]
fn polling_a_sleep_that_outlived_its_runtime_panics() {
    let ended = runtime();
    let mut hour = {
        let _entered = ended.enter();
        let mut hour = sleep(secs(3600));
        assert!(poll_with(&mut hour, Waker::noop()).is_pending());
        hour
    };
    drop(ended);
    wakeful::block_on(async {
        let text = panic_of(|| poll_with(&mut hour, Waker::noop()));
        assert!(text.contains("timer") && text.contains("ended"), "{text}");
        drop(hour);
    });
}

#[test]
fn a_sleep_polled_during_shutdown_panics_instead_of_ending_early() {
    thread_local! {
        static HOUR: RefCell<Option<Pin<Box<Sleep>>>> = const { RefCell::new(None) };
        static TEXT: RefCell<Option<String>> = const { RefCell::new(None) };
    }
    // Acts like an executor that polls inside `wake`.
    let polling = Hooks::new().on_wake(|| {
        if let Some(mut hour) = HOUR.take() {
            let text = panic_of(|| hour.as_mut().poll(&mut Context::from_waker(Waker::noop())));
            TEXT.set(Some(text));
        }
    });
    let runtime = runtime();
    {
        let _entered = runtime.enter();
        let mut hour = Box::pin(sleep(secs(3600)));
        assert!(poll_with(&mut hour, &polling.waker()).is_pending());
        HOUR.set(Some(hour));
    }
    drop(runtime);
    let text = TEXT.take().expect("shutdown woke the sleep");
    assert!(text.contains("timer") && text.contains("ended"), "{text}");
}

#[test]
fn io_objects_that_outlive_their_runtime_return_errors_and_never_hang() {
    let ended = runtime();
    let (here, mut there) = pair();
    let fd = ended.block_on(async { AsyncFd::new(here).unwrap() });
    there.write_all(b"x").unwrap();
    drop(ended);
    let use_it = |fd: &AsyncFd<_>| {
        let mut cx = Context::from_waker(Waker::noop());
        for poll in [
            Pin::new(&mut fd.readable()).poll(&mut cx),
            Pin::new(&mut fd.writable()).poll(&mut cx),
            fd.poll_read_ready(&mut cx),
            fd.poll_write_ready(&mut cx),
        ] {
            assert!(matches!(poll, Poll::Ready(Err(_))), "{poll:?}");
        }
        assert!(fd.try_ready(Interest::READABLE).is_none());
        let tried = fd.try_io(Interest::READABLE, |_| Ok(()));
        assert_eq!(tried.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        let mut io = fd.async_io(Interest::READABLE, |_| Ok(()));
        assert!(matches!(
            poll_with(&mut io, Waker::noop()),
            Poll::Ready(Err(_))
        ));
        fd.assume_ready(Ready::READABLE);
        fd.mark_duplicated();
    };
    // Outside of every runtime, inside another one, and on another thread.
    use_it(&fd);
    wakeful::block_on(async { use_it(&fd) });
    let fd = thread::spawn(move || {
        use_it(&fd);
        fd
    })
    .join()
    .unwrap();
    // The value itself is unharmed.
    let mut byte = [0];
    assert_eq!(
        std::io::Read::read(&mut fd.into_inner(), &mut byte).unwrap(),
        1
    );
}

#[test]
fn handles_that_outlive_their_runtime_return_cancelled() {
    let ended = runtime();
    let (waiting, finished) = ended.block_on(async {
        let tasks = (spawn(pending::<()>()), spawn(async { "never taken" }));
        settle().await;
        tasks
    });
    let remote: RemoteJoinHandle<()> = ended.handle().spawn(pending::<()>);
    let handle = ended.handle().clone();
    let abort = waiting.abort_handle();
    drop(ended);
    abort.abort();
    waiting.abort();
    remote.abort();
    assert!(waiting.is_finished() && finished.is_finished() && abort.is_finished());
    assert!(remote.is_finished());
    assert!(remote.wait().unwrap_err().is_cancelled());
    wakeful::block_on(async {
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert!(finished.await.unwrap_err().is_cancelled());
    });
    let late = handle.spawn(|| async { panic!("the task ran") });
    assert!(late.is_finished());
    assert!(late.wait().unwrap_err().is_cancelled());
}

#[test]
fn handles_do_not_keep_a_runtime_alive_and_do_not_match_its_successor() {
    let trace = Trace::new();
    let runtime = runtime();
    let handle = runtime.handle().clone();
    runtime.spawn(holds(&trace, "task"));
    runtime.block_on(settle());
    drop(runtime);
    trace.expect(&["task"]);
    // A runtime created later reuses the registry index, but has another id.
    let next = wakeful_tests::trace::runtime();
    assert!(handle.spawn(|| async {}).wait().unwrap_err().is_cancelled());
    assert_eq!(next.metrics().remote_messages, 0);
    next.block_on(settle());
    assert_eq!(next.metrics().spawned_tasks_count, 0);
}

#[test]
fn shutdown_does_not_wait_for_a_blocking_closure() {
    let (release, blocked) = mpsc::channel::<()>();
    let (progress, wait) = mpsc::channel();
    let runtime = runtime();
    runtime.block_on(async {
        drop(spawn_blocking(move || {
            progress.send("started").unwrap();
            blocked.recv().ok();
            progress.send("finished").unwrap();
        }));
        settle().await;
    });
    assert_eq!(wait.recv().unwrap(), "started");
    drop(runtime);
    assert!(wait.try_recv().is_err(), "the closure still blocks");
    release.send(()).unwrap();
    assert_eq!(wait.recv().unwrap(), "finished");
}

#[test]
fn a_panic_in_the_drop_of_a_blocking_closure_does_not_stop_shutdown() {
    let trace = Trace::new();
    let runtime = Builder::new().max_blocking_threads(1).build().unwrap();
    let (release, blocked) = mpsc::channel::<()>();
    let (started, wait) = mpsc::channel();
    runtime.block_on(async {
        drop(spawn_blocking(move || {
            started.send(()).unwrap();
            blocked.recv().ok();
        }));
        for number in 0..2 {
            let trace = trace.clone();
            let bomb = on_drop(move || {
                trace.push(number.to_string());
                panic!("in the drop of a blocking closure");
            });
            drop(spawn_blocking(move || drop(bomb)));
        }
    });
    wait.recv().unwrap();
    let remote = runtime.handle().spawn(|| async {});
    drop(runtime);
    trace.expect(&["0", "1"]);
    assert!(
        remote.wait().unwrap_err().is_cancelled(),
        "shutdown stopped before the inbox"
    );
    drop(release);
}

#[test]
fn a_panic_in_the_drop_of_a_remote_closure_does_not_stop_shutdown() {
    let runtime = runtime();
    let trace = Trace::new();
    for number in 0..3 {
        let trace = trace.clone();
        let bomb = on_drop(move || {
            trace.push(number.to_string());
            panic!("in the drop of a remote closure");
        });
        drop(runtime.handle().spawn(move || {
            drop(bomb);
            async {}
        }));
    }
    drop(runtime);
    trace.expect(&["0", "1", "2"]);
}

// --- no leaks ---------------------------------------------------------------------------------------

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn no_descriptor_is_left_after_any_kind_of_shutdown() {
    alone(|| {
        // Opens the process's signal descriptor, which is opened once and kept.
        wakeful::block_on(async { drop(signal(SignalKind::user_defined1())) });
        let before = open_descriptors();
        for _ in 0..10 {
            let runtime = runtime();
            let kept = runtime.block_on(async {
                let (here, there) = pair();
                let fd = AsyncFd::new(here).unwrap();
                spawn(async move {
                    drop(fd.readable().await);
                });
                let exclusive = AsyncFd::new_exclusive(pair().0).unwrap();
                spawn(async move {
                    pending::<()>().await;
                    drop(exclusive);
                });
                drop(signal(SignalKind::user_defined1()).unwrap());
                settle().await;
                (there, AsyncFd::new(pair().0).unwrap())
            });
            assert!(open_descriptors() > before);
            drop(runtime);
            drop(kept);
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                wakeful::block_on(async {
                    let _fd = AsyncFd::new(pair().0).unwrap();
                    panic!("while a socket is registered");
                })
            }));
            assert!(unwound.is_err());
        }
        assert_eq!(open_descriptors(), before);
        // A handle keeps the shared state, with two descriptors, until it is dropped.
        let runtime = runtime();
        let handle = runtime.handle().clone();
        drop(runtime);
        assert!(open_descriptors() <= before + 2);
        drop(handle);
        assert_eq!(open_descriptors(), before);
    });
}

#[test]
fn a_failed_registration_leaves_no_descriptor_and_no_source() {
    alone(|| {
        let runtime = runtime();
        let _entered = runtime.enter();
        let before = open_descriptors();
        for _ in 0..10 {
            let file = fs::File::open("/proc/self/status").unwrap();
            assert!(open_descriptors() > before);
            // The result depends on the kernel; in both cases nothing stays open.
            drop(AsyncFd::new(file));
            let file = fs::File::open("Cargo.toml").unwrap();
            assert!(AsyncFd::new(file).is_err());
        }
        assert_eq!(open_descriptors(), before);
        assert_eq!(runtime.metrics().sources, 0);
    });
}

#[test]
fn a_descriptor_number_is_free_when_the_drop_returns() {
    alone(|| {
        runtime().block_on(async {
            let fd = AsyncFd::new(pair().0).unwrap();
            let number = fd.as_fd().as_raw_fd();
            drop(fd);
            let next = fs::File::open("/dev/null").unwrap();
            assert_eq!(next.as_raw_fd(), number);
        });
    });
}

#[test]
fn all_counters_are_zero_after_the_last_task() {
    let runtime = runtime();
    let live = Rc::new(Cell::new(0_i32));
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for number in 0..50_u64 {
            live.set(live.get() + 1);
            let live = Rc::clone(&live);
            tasks.push(spawn(async move {
                let _counted = on_drop(|| live.set(live.get() - 1));
                let fd = AsyncFd::new(pair().0).unwrap();
                let mut hour = sleep(secs(3600));
                assert!(poll_with(&mut hour, &my_waker().await).is_pending());
                match number % 3 {
                    0 => drop(fd.readable().await),
                    1 => panic!("number {number}"),
                    _ => {}
                }
            }));
        }
        settle().await;
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            drop(task.await);
        }
    });
    let metrics = runtime.metrics();
    assert_eq!(live.get(), 0);
    assert_eq!(
        [
            metrics.num_alive_tasks,
            metrics.sources,
            metrics.waiting,
            metrics.timers_armed
        ],
        [0; 4]
    );
}
