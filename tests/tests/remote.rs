//! Other threads: wakes at any moment, spawns through a `Handle`, and aborts and drops on another
//! thread than the runtime's.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::waker_clone_wake,
    reason = "waking a clone by value is what is tested"
)]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::io::Write;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Wake, Waker};
use std::thread;

use wakeful::io::{AsyncFd, AsyncFdReadyGuard, Interest, Readiness, Ready};
use wakeful::runtime::{Handle, RemoteJoinHandle, Runtime, RuntimeMetrics};
use wakeful::signal::unix::Signal;
use wakeful::spawn;
use wakeful::task::{AbortHandle, Id, JoinError, JoinHandle, TaskInfo, spawn_blocking, yield_now};
use wakeful::time::{Instant, Interval, Sleep, Timeout, sleep};
use wakeful_tests::trace::{
    OnDrop, Trace, Wakes, my_waker, on_drop, pair, panic_of, paused, poll_with, runtime, secs,
    settle, text_of,
};

// --- wakes ------------------------------------------------------------------------------------------

/// A flag that another thread raises and a task waits for.
#[derive(Default)]
struct Flag {
    raised: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

impl Flag {
    /// Waits until the flag was raised for the given round.
    fn wait(&self, round: u64) -> impl Future<Output = ()> + '_ {
        poll_fn(move |cx| {
            // Stores the waker before it reads the flag. `raise` does the same in the other order.
            *self.waker.lock().unwrap() = Some(cx.waker().clone());
            if self.raised.load(Ordering::SeqCst) >= round {
                return Poll::Ready(());
            }
            Poll::Pending
        })
    }

    fn raise(&self, round: u64) {
        self.raised.store(round, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// In each round one side raises the flag of the other, so a wake meets the other thread before its
/// park, in it, or after it. A lost wake hangs the test.
#[test]
fn no_wake_from_another_thread_is_lost_in_30_000_ping_pong_rounds() {
    const ROUNDS: u64 = 30_000;
    let (ping, pong) = (Arc::new(Flag::default()), Arc::new(Flag::default()));
    let other = thread::spawn({
        let (ping, pong) = (Arc::clone(&ping), Arc::clone(&pong));
        move || {
            runtime().block_on(async {
                for round in 1..=ROUNDS {
                    ping.wait(round).await;
                    pong.raise(round);
                }
            });
        }
    });
    runtime().block_on(async {
        for round in 1..=ROUNDS {
            ping.raise(round);
            pong.wait(round).await;
        }
    });
    other.join().unwrap();
}

/// As above, but the waking side does not wait for a request: it keeps one round ahead, with a
/// pause of a different length before each wake.
#[test]
fn no_wake_from_another_thread_is_lost_before_during_or_after_a_park() {
    const ROUNDS: u64 = if cfg!(debug_assertions) {
        100_000
    } else {
        300_000
    };
    let flag = Arc::new(Flag::default());
    let done = Arc::new(AtomicU64::new(0));
    let other = thread::spawn({
        let (flag, done) = (Arc::clone(&flag), Arc::clone(&done));
        move || {
            for round in 1..=ROUNDS {
                while done.load(Ordering::SeqCst) + 1 < round {
                    std::hint::spin_loop();
                }
                for _ in 0..round * 7 % 200 {
                    std::hint::spin_loop();
                }
                flag.raise(round);
            }
        }
    });
    let runtime = runtime();
    runtime.block_on(async {
        // A yield in every third round, so that the loop is not always parked.
        for round in 1..=ROUNDS {
            if round % 3 == 0 {
                yield_now().await;
            }
            flag.wait(round).await;
            done.store(round, Ordering::SeqCst);
        }
    });
    other.join().unwrap();
}

#[test]
fn wakes_from_many_threads_at_once_are_all_delivered() {
    const THREADS: usize = 4;
    const TASKS: usize = 50;
    let runtime = runtime();
    let woken: Arc<Vec<AtomicUsize>> = Arc::new((0..TASKS).map(|_| AtomicUsize::new(0)).collect());
    runtime.block_on(async {
        let wakers = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let (wakers, woken) = (Rc::clone(&wakers), Arc::clone(&woken));
                let mut stored = false;
                spawn(poll_fn(move |cx| {
                    if !std::mem::replace(&mut stored, true) {
                        wakers.borrow_mut().push(cx.waker().clone());
                    }
                    if woken[task].load(Ordering::SeqCst) == THREADS {
                        return Poll::Ready(());
                    }
                    Poll::Pending
                }))
            })
            .collect();
        settle().await;
        let wakers = wakers.take();
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (wakers, woken) = (wakers.clone(), Arc::clone(&woken));
                thread::spawn(move || {
                    for (task, waker) in wakers.iter().enumerate() {
                        woken[task].fetch_add(1, Ordering::SeqCst);
                        waker.wake_by_ref();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
    assert!(runtime.metrics().wakes_by_thread >= TASKS as u64);
}

#[test]
fn a_task_woken_repeatedly_from_another_thread_is_polled_once() {
    let runtime = runtime();
    runtime.block_on(async {
        let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
        spawn({
            let waker = Rc::clone(&waker);
            poll_fn(move |cx| {
                *waker.borrow_mut() = Some(cx.waker().clone());
                Poll::<()>::Pending
            })
        });
        settle().await;
        let waker = waker.take().unwrap();
        let polls = wakeful::metrics().polls;
        thread::spawn(move || {
            for _ in 0..1_000 {
                waker.wake_by_ref();
            }
        })
        .join()
        .unwrap();
        settle().await;
        let metrics = wakeful::metrics();
        assert_eq!(metrics.polls - polls, 1);
        assert_eq!(
            metrics.remote_messages, 1,
            "equal messages in a row are merged"
        );
        assert_eq!(metrics.wakes_by_thread, 1);
    });
}

#[test]
fn a_task_woken_between_two_block_ons_runs_in_the_first_round_of_the_next() {
    let runtime = runtime();
    let polls = Rc::new(Cell::new(0));
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    runtime.spawn({
        let (polls, waker) = (Rc::clone(&polls), Rc::clone(&waker));
        poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            *waker.borrow_mut() = Some(cx.waker().clone());
            Poll::<()>::Pending
        })
    });
    runtime.block_on(yield_now());
    assert_eq!(polls.get(), 1);
    waker.take().unwrap().wake();
    runtime.block_on(yield_now());
    assert_eq!(polls.get(), 2);
}

#[test]
fn a_wake_between_two_block_ons_is_kept_for_the_next() {
    let runtime = runtime();
    let polls = Rc::new(Cell::new(0));
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    runtime.spawn({
        let (polls, waker) = (Rc::clone(&polls), Rc::clone(&waker));
        poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            *waker.borrow_mut() = Some(cx.waker().clone());
            Poll::<()>::Pending
        })
    });
    runtime.block_on(settle());
    let waker = waker.take().unwrap();
    thread::spawn(move || waker.wake()).join().unwrap();
    assert_eq!(polls.get(), 1);
    runtime.block_on(settle());
    assert_eq!(polls.get(), 2);
}

#[test]
fn the_root_future_can_be_woken_from_another_thread() {
    runtime().block_on(async {
        let flag = Arc::new(Flag::default());
        for round in 1..=100 {
            let raises = {
                let flag = Arc::clone(&flag);
                thread::spawn(move || flag.raise(round))
            };
            flag.wait(round).await;
            raises.join().unwrap();
        }
    });
}

// --- Handle::spawn ----------------------------------------------------------------------------------

#[test]
fn a_remote_spawn_builds_a_future_that_is_not_send_on_the_runtimes_thread() {
    let runtime = runtime();
    let owner = thread::current().id();
    let handle = runtime.handle().clone();
    let other = thread::spawn(move || {
        handle
            .spawn(move || {
                assert_eq!(thread::current().id(), owner);
                let local = Rc::new(Cell::new(1));
                async move {
                    for _ in 0..10 {
                        yield_now().await;
                        local.set(local.get() + 1);
                    }
                    // A task like any other: it can spawn and sleep.
                    let inner = Rc::clone(&local);
                    spawn(async move { inner.set(inner.get() * 2) })
                        .await
                        .unwrap();
                    sleep(std::time::Duration::from_millis(1)).await;
                    (local.get(), thread::current().id())
                }
            })
            .wait()
    });
    let (value, thread) = runtime.block_on(async {
        while !other.is_finished() {
            yield_now().await;
        }
        other.join().unwrap().unwrap()
    });
    assert_eq!((value, thread), (22, owner));
}

/// Runs a runtime on another thread until the returned value is dropped. Its root future only
/// waits.
fn serving() -> (Handle, OnDrop<impl FnOnce()>) {
    let (give, take) = mpsc::channel();
    let (stop, stopped) = (Arc::new(Flag::default()), Arc::new(Flag::default()));
    let thread = thread::spawn({
        let (stop, stopped) = (Arc::clone(&stop), Arc::clone(&stopped));
        move || {
            let runtime = runtime();
            give.send(runtime.handle().clone()).unwrap();
            runtime.block_on(stop.wait(1));
            drop(runtime);
            stopped.raise(1);
        }
    });
    let handle = take.recv().unwrap();
    let stops = on_drop(move || {
        stop.raise(1);
        thread.join().unwrap();
    });
    (handle, stops)
}

#[test]
fn a_thread_without_a_runtime_can_wait_for_values_panics_and_cancellations() {
    let (handle, _serving) = serving();
    assert_eq!(handle.spawn(|| ready("value")).wait().unwrap(), "value");

    let error = handle.spawn(|| async { panic!("in the future") }).wait();
    let error: JoinError = error.unwrap_err();
    assert!(error.is_panic() && error.id().is_some());
    assert_eq!(text_of(error.into_panic().as_ref()), "in the future");

    let in_closure = || -> std::future::Ready<()> { panic!("in the closure") };
    let error = handle.spawn(in_closure).wait().unwrap_err();
    assert_eq!(text_of(error.into_panic().as_ref()), "in the closure");

    let waits = handle.spawn(pending::<()>);
    assert!(!waits.is_finished());
    waits.abort();
    assert!(waits.wait().unwrap_err().is_cancelled());

    // The runtime continues.
    assert_eq!(handle.spawn(|| ready(1)).wait().unwrap(), 1);
}

#[test]
fn a_remote_handle_can_be_awaited_under_any_executor() {
    let (handle, _serving) = serving();
    let there = handle.spawn(|| async {
        yield_now().await;
        "for another executor"
    });
    assert_eq!(
        futures_lite::future::block_on(there).unwrap(),
        "for another executor"
    );
    // In another runtime, with that runtime's own waker.
    wakeful::block_on(async {
        let there = handle.spawn(|| async {
            settle().await;
            "for another runtime"
        });
        assert_eq!(there.await.unwrap(), "for another runtime");
    });
    // In its own runtime.
    let nested = handle.spawn(|| async {
        let own = Handle::current().spawn(|| ready("for its own runtime"));
        own.await.unwrap()
    });
    assert_eq!(nested.wait().unwrap(), "for its own runtime");
}

#[test]
fn a_remote_handle_wakes_the_last_waker_and_keeps_none_after_the_tasks_end() {
    let runtime = runtime();
    let mut there = runtime.handle().spawn(|| ready(1));
    let (first, second) = (Wakes::new(), Wakes::new());
    assert!(poll_with(&mut there, &first.waker()).is_pending());
    assert!(poll_with(&mut there, &second.waker()).is_pending());
    assert_eq!((first.alive(), second.alive()), (0, 1));
    runtime.block_on(settle());
    assert_eq!((first.count(), second.count(), second.alive()), (0, 1, 0));
    assert!(there.is_finished());
    assert!(matches!(
        poll_with(&mut there, &second.waker()),
        Poll::Ready(Ok(1))
    ));
    let text = panic_of(|| poll_with(&mut there, &second.waker()));
    assert!(text.contains("after it returned its output"), "{text}");
}

#[test]
fn a_remote_handle_that_is_dropped_detaches_its_task() {
    let (handle, _serving) = serving();
    let (send, ran) = mpsc::channel();
    drop(handle.spawn(move || async move {
        settle().await;
        send.send("ended").unwrap();
    }));
    assert_eq!(ran.recv().unwrap(), "ended");
}

#[test]
fn a_remote_spawn_aborted_before_its_closure_runs_never_starts() {
    let trace = Trace::new();
    let runtime = runtime();
    let captured = trace.on_drop("captured dropped");
    let there = runtime.handle().spawn({
        let trace = trace.clone();
        move || {
            trace.push("ran");
            drop(captured);
            async {}
        }
    });
    there.abort();
    there.abort();
    runtime.block_on(settle());
    trace.expect(&["captured dropped"]);
    assert!(there.is_finished());
    assert!(there.wait().unwrap_err().is_cancelled());
    assert_eq!(runtime.metrics().spawned_tasks_count, 0);
}

#[test]
fn an_abort_during_the_closure_of_a_remote_spawn_is_not_lost() {
    let (handle, _serving) = serving();
    let (begin, begun) = mpsc::channel();
    let (go_on, wait) = mpsc::channel();
    let there = handle.spawn(move || {
        begin.send(()).unwrap();
        wait.recv().unwrap();
        pending::<()>()
    });
    begun.recv().unwrap();
    there.abort();
    go_on.send(()).unwrap();
    assert!(there.wait().unwrap_err().is_cancelled());
}

#[test]
fn the_locals_of_an_aborted_task_are_dropped_before_its_remote_joiner_is_woken() {
    let (handle, _serving) = serving();
    let trace = Trace::new();
    let there = handle.spawn({
        let trace = trace.clone();
        move || async move {
            let _local = trace.on_drop("local dropped");
            pending::<()>().await;
        }
    });
    // It has started once a task that was spawned later has ended.
    handle.spawn(|| async {}).wait().unwrap();
    there.abort();
    assert!(there.wait().unwrap_err().is_cancelled());
    trace.expect(&["local dropped"]);
}

#[test]
fn the_fields_of_a_finished_future_are_dropped_before_its_remote_joiner_is_woken() {
    /// Ready at once. Its drop, which takes place before its task has ended, pushes an entry.
    struct PushesOnDrop(Trace);
    impl Future for PushesOnDrop {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _cx: &mut std::task::Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }
    impl Drop for PushesOnDrop {
        fn drop(&mut self) {
            // Long enough to expose a joiner that was woken too early.
            thread::sleep(std::time::Duration::from_millis(5));
            self.0.push("future dropped");
        }
    }
    let (handle, _serving) = serving();
    let trace = Trace::new();
    let future = PushesOnDrop(trace.clone());
    handle.spawn(move || future).wait().unwrap();
    trace.expect(&["future dropped"]);
}

#[test]
fn a_blocking_wait_inside_block_on_panics_with_a_reason() {
    let (handle, _serving) = serving();
    let line = line!() + 1;
    wakeful::block_on(async {
        let there = handle.spawn(|| ready(1));
        let text = panic_of(|| there.wait());
        let place = format!("inside the `block_on` at {}:{line}:", file!());
        assert!(text.contains(&place), "{text}");
        assert!(text.contains("await the handle instead"), "{text}");
    });
}

#[test]
fn a_blocking_wait_ends_with_the_runtime() {
    let (handle, serving) = serving();
    let waits = handle.spawn(pending::<()>);
    let waiter = thread::spawn(move || waits.wait());
    handle.spawn(|| async {}).wait().unwrap();
    drop(serving);
    assert!(waiter.join().unwrap().unwrap_err().is_cancelled());
    assert!(handle.spawn(|| async {}).wait().unwrap_err().is_cancelled());
}

#[test]
fn a_detached_output_whose_drop_panics_does_not_stop_the_runtime() {
    let (handle, _serving) = serving();
    let (send, dropped) = mpsc::channel();
    let (go_on, wait) = mpsc::channel();
    drop(handle.spawn(move || {
        // Waits until the handle is dropped, so that the runtime has to drop the output.
        wait.recv().unwrap();
        ready(on_drop(move || {
            send.send(()).unwrap();
            panic!("a detached output");
        }))
    }));
    go_on.send(()).unwrap();
    dropped.recv().unwrap();
    assert_eq!(handle.spawn(|| ready(1)).wait().unwrap(), 1);
}

#[test]
fn ten_thousand_spawns_from_four_threads_all_return_their_output() {
    let (handle, _serving) = serving();
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let handle = handle.clone();
            thread::spawn(move || {
                let tasks: Vec<RemoteJoinHandle<u64>> = (0..2_500)
                    .map(|number| handle.spawn(move || ready(thread * 10_000 + number)))
                    .collect();
                for (number, task) in (0..2_500).zip(tasks) {
                    assert_eq!(task.wait().unwrap(), thread * 10_000 + number);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

// --- drops and aborts on another thread -------------------------------------------------------------

#[test]
fn objects_dropped_on_another_thread_are_removed_from_their_runtime() {
    let runtime = paused();
    let trace = Trace::new();
    runtime.block_on(async {
        let (here, _there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let wakes = Wakes::new();
        let mut hour = sleep(secs(3600));
        assert!(poll_with(&mut hour, &wakes.waker()).is_pending());
        let mut detached = spawn({
            let trace = trace.clone();
            async move {
                settle().await;
                trace.push("continues");
                trace.on_drop("output dropped")
            }
        });
        assert!(poll_with(&mut detached, &wakes.waker()).is_pending());
        let finished = spawn(ready(trace.on_drop("finished output dropped")));
        settle().await;
        let before = wakeful::metrics();
        assert_eq!((before.sources, before.timers_armed), (1, 1));
        thread::spawn(move || drop((fd, hour, detached, finished)))
            .join()
            .unwrap();
        settle().await;
        settle().await;
        let after = wakeful::metrics();
        assert_eq!(
            (after.sources, after.timers_armed, after.num_alive_tasks),
            (0, 0, 0)
        );
        assert_eq!(after.remote_messages, 4);
        assert_eq!(wakes.alive(), 0);
        assert!(wakeful::task::dump().is_empty());
    });
    trace.expect(&["continues", "output dropped", "finished output dropped"]);
}

#[test]
fn a_task_aborted_on_another_thread_is_dropped_on_the_runtimes_thread() {
    let runtime = runtime();
    let owner = thread::current().id();
    let dropped_on = Rc::new(Cell::new(None));
    runtime.block_on(async {
        let task = spawn({
            let dropped_on = Rc::clone(&dropped_on);
            async move {
                let _dropped = on_drop(|| dropped_on.set(Some(thread::current().id())));
                pending::<()>().await;
            }
        });
        settle().await;
        let abort = task.abort_handle();
        thread::spawn(move || {
            abort.abort();
            abort.abort();
        })
        .join()
        .unwrap();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!(dropped_on.get(), Some(owner));
    assert_eq!(runtime.metrics().wakes_by_abort, 1);
}

#[test]
fn an_output_that_is_not_send_stays_on_its_thread_when_the_handle_is_moved() {
    let runtime = runtime();
    let owner = thread::current().id();
    let dropped_on = Rc::new(Cell::new(None));
    let task: JoinHandle<Rc<dyn Any>> = runtime.spawn({
        let dropped_on = Rc::clone(&dropped_on);
        async move {
            let output = on_drop(move || dropped_on.set(Some(thread::current().id())));
            Rc::new(output) as Rc<dyn Any>
        }
    });
    runtime.block_on(settle());
    thread::spawn(move || drop(task)).join().unwrap();
    assert_eq!(dropped_on.get(), None);
    runtime.block_on(settle());
    assert_eq!(dropped_on.get(), Some(owner));
}

#[test]
fn wakers_can_be_used_on_any_thread_during_and_after_the_life_of_their_task() {
    let runtime = runtime();
    let stop = Arc::new(AtomicBool::new(false));
    let latest: Arc<Mutex<Option<Waker>>> = Arc::default();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (stop, latest) = (Arc::clone(&stop), Arc::clone(&latest));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let waker = latest.lock().unwrap().clone();
                    if let Some(waker) = waker {
                        waker.clone().wake();
                        waker.wake_by_ref();
                    }
                    thread::yield_now();
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for _ in 0..2_000 {
            let latest = Arc::clone(&latest);
            let task = spawn(async move {
                let waker = my_waker().await;
                *latest.lock().unwrap() = Some(waker);
                yield_now().await;
            });
            task.await.unwrap();
        }
    });
    drop(runtime);
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_socket_written_by_another_thread_wakes_a_parked_loop_among_remote_wakes() {
    let runtime = runtime();
    let (here, mut there) = pair();
    let flag = Arc::new(Flag::default());
    let other = thread::spawn({
        let flag = Arc::clone(&flag);
        move || {
            for round in 1..=2_000 {
                flag.raise(round);
                there.write_all(&[1]).unwrap();
            }
        }
    });
    runtime.block_on(async {
        let fd = AsyncFd::new(here).unwrap();
        let bytes = spawn(async move {
            let mut seen = 0;
            while seen < 2_000 {
                let mut buffer = [0; 64];
                let read = |mut here: &std::os::unix::net::UnixStream| {
                    std::io::Read::read(&mut here, &mut buffer)
                };
                seen += fd.async_io(Interest::READABLE, read).await.unwrap();
            }
            seen
        });
        flag.wait(2_000).await;
        assert_eq!(bytes.await.unwrap(), 2_000);
    });
    other.join().unwrap();
}

// --- which types are Send and Sync ------------------------------------------------------------------

/// Evaluates at compile time whether a type is `Send` or `Sync`. The compiler prefers the inherent
/// constant, which exists only under the bound, to the trait's.
macro_rules! is {
    ($marker:ident: $type:ty) => {{
        #[allow(dead_code, reason = "shadowed when the bound holds")]
        trait Otherwise {
            const ANSWER: bool = false;
        }
        impl<T: ?Sized> Otherwise for T {}
        struct Ask<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "not chosen when the bound does not hold")]
        impl<T: ?Sized + $marker> Ask<T> {
            const ANSWER: bool = true;
        }
        <Ask<$type>>::ANSWER
    }};
}

#[test]
fn handles_and_plain_data_are_send_and_sync_and_a_runtime_is_neither() {
    type NotSend = Rc<()>;
    // Independent of the type of the task's output.
    assert!(is!(Send: JoinHandle<NotSend>) && is!(Sync: JoinHandle<NotSend>));
    assert!(is!(Send: AbortHandle) && is!(Sync: AbortHandle));
    assert!(is!(Send: Handle) && is!(Sync: Handle));
    assert!(is!(Send: Id) && is!(Sync: Id));
    assert!(is!(Send: Sleep) && is!(Sync: Sleep));
    assert!(is!(Send: Interval) && is!(Sync: Interval));
    assert!(is!(Send: Instant) && is!(Sync: Instant));
    assert!(is!(Send: Signal) && is!(Sync: Signal));
    assert!(is!(Send: JoinError) && is!(Sync: JoinError));
    assert!(is!(Send: TaskInfo) && is!(Send: RuntimeMetrics) && is!(Send: Ready));
    // As the types that they contain.
    assert!(is!(Send: Timeout<Sleep>) && !is!(Send: Timeout<NotSend>));
    type Fd = std::os::fd::OwnedFd;
    assert!(is!(Send: AsyncFd<Fd>) && is!(Sync: AsyncFd<Fd>));
    assert!(is!(Send: Readiness<'static, Fd>));
    assert!(is!(Send: AsyncFdReadyGuard<'static, Fd>));
    assert!(!is!(Send: AsyncFd<Rc<Fd>>) && !is!(Sync: AsyncFd<Rc<Fd>>));
    assert!(is!(Send: RemoteJoinHandle<u8>) && is!(Sync: RemoteJoinHandle<u8>));
    assert!(!is!(Send: RemoteJoinHandle<NotSend>));
    // Never.
    assert!(!is!(Send: Runtime) && !is!(Sync: Runtime));
    assert!(!is!(Send: wakeful::runtime::EnterGuard<'static>));
}

#[test]
fn a_remote_handle_wakes_the_external_waker_that_polled_it() {
    struct Counts(AtomicUsize);
    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (handle, _serving) = serving();
    let counts = Arc::new(Counts(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&counts));
    let (go_on, wait) = mpsc::channel::<()>();
    let mut there = handle.spawn(move || async move {
        spawn_blocking(move || wait.recv().ok()).await.unwrap();
    });
    assert!(poll_with(&mut there, &waker).is_pending());
    go_on.send(()).unwrap();
    while counts.0.load(Ordering::SeqCst) == 0 {
        thread::yield_now();
    }
    assert!(poll_with(&mut there, &waker).is_ready());
}

/// A handle that is dropped drops its waker, even while the task still runs.
#[test]
fn a_dropped_handle_keeps_no_waker() {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};

    struct Counted;
    impl Wake for Counted {
        fn wake(self: Arc<Self>) {}
    }

    let runtime = wakeful::runtime::Runtime::new().unwrap();
    let counted = Arc::new(Counted);
    {
        let mut handle = pin!(runtime.handle().spawn(std::future::pending::<()>));
        let waker = Waker::from(Arc::clone(&counted));
        let polled = handle.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(matches!(polled, Poll::Pending));
        assert_eq!(
            Arc::strong_count(&counted),
            3,
            "the test's, the waker's and the handle's"
        );
    }
    assert_eq!(Arc::strong_count(&counted), 1);
}
