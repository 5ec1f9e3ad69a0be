//! Wakers: the runtime's own, also after their task and their runtime have ended, and external
//! ones, whose clone, wake and drop can run any user code.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::waker_clone_wake,
    reason = "waking a clone by value is what is tested"
)]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use wakeful::io::AsyncFd;
use wakeful::runtime::{Handle, Runtime};
use wakeful::task::{AbortHandle, yield_now};
use wakeful::time::{Sleep, sleep};
use wakeful::{spawn, task};
use wakeful_tests::trace::{
    Hooks, Trace, Wakes, my_waker, on_drop, pair, paused, poll_once, poll_with, runtime, secs,
    settle,
};

// --- the runtime's own ----------------------------------------------------------------------------

#[test]
fn a_waker_and_its_clones_will_wake_each_other_and_no_other_task() {
    runtime().block_on(async {
        let root = my_waker().await;
        assert!(root.will_wake(&root.clone()));
        assert!(root.will_wake(&my_waker().await));
        let [one, two] = [spawn(my_waker()), spawn(my_waker())];
        let (one, two) = (one.await.unwrap(), two.await.unwrap());
        assert!(!one.will_wake(&two) && !one.will_wake(&root));
    });
}

#[test]
fn wakers_outlive_their_runtime_and_then_do_nothing_on_any_thread() {
    let trace = Trace::new();
    let (give, take) = mpsc::channel::<Waker>();
    let other_thread = thread::spawn(move || {
        let wakers: Vec<Waker> = take.iter().collect();
        for waker in &wakers {
            waker.clone().wake();
            waker.wake_by_ref();
        }
        drop(wakers);
    });
    let owner = thread::current().id();
    let runtime = runtime();
    for number in 0..3 {
        let (trace, give) = (trace.clone(), give.clone());
        runtime.spawn(async move {
            let _local = on_drop(|| {
                assert_eq!(
                    thread::current().id(),
                    owner,
                    "dropped on the runtime's thread"
                );
                trace.push(format!("dropped {number}"));
            });
            give.send(my_waker().await).unwrap();
            pending::<()>().await;
        });
    }
    let root = runtime.block_on(async {
        settle().await;
        my_waker().await
    });
    drop(runtime);
    trace.expect(&["dropped 2", "dropped 1", "dropped 0"]);
    give.send(root).unwrap();
    // The other thread starts to wake them only now.
    drop(give);
    other_thread.join().unwrap();
    trace.expect(&[]);
}

#[test]
fn a_waker_of_an_ended_runtime_does_not_disturb_a_later_runtime() {
    let stale: Vec<Waker> = (0..20)
        .map(|_| {
            let ended = runtime();
            let waker = ended.block_on(async { spawn(my_waker()).await.unwrap() });
            drop(ended);
            waker
        })
        .collect();
    let runtimes: Vec<Runtime> = (0..20).map(|_| runtime()).collect();
    for runtime in &runtimes {
        let finished = runtime.block_on(async {
            let task = spawn(async {
                settle().await;
                "finished"
            });
            for waker in &stale {
                // At worst this causes a spurious poll.
                waker.wake_by_ref();
                yield_now().await;
            }
            task.await.unwrap()
        });
        assert_eq!(finished, "finished");
    }
}

#[test]
fn waking_never_polls_in_place() {
    let trace = Trace::new();
    runtime().block_on(async {
        let task = spawn({
            let trace = trace.clone();
            poll_fn(move |cx| {
                trace.push("polled");
                let _ = cx;
                Poll::<()>::Pending
            })
        });
        settle().await;
        drop(trace.take());
        let waker = Rc::new(RefCell::new(None));
        let other = spawn({
            let (waker, trace) = (Rc::clone(&waker), trace.clone());
            poll_fn(move |cx| {
                trace.push("other polled");
                *waker.borrow_mut() = Some(cx.waker().clone());
                Poll::<()>::Pending
            })
        });
        settle().await;
        drop(trace.take());
        waker.borrow().as_ref().unwrap().wake_by_ref();
        trace.push("wake returned");
        settle().await;
        trace.expect(&["wake returned", "other polled"]);
        drop((task, other));
    });
}

#[test]
fn a_task_that_stores_its_own_waker_is_freed_with_its_runtime() {
    let trace = Trace::new();
    let runtime = runtime();
    let (here, there) = pair();
    runtime.block_on(async {
        // The waker is stored in a cell that the task owns, in a timer, and in a source. Each would
        // be a reference cycle if wakers owned their tasks.
        let cell: Rc<RefCell<Option<Waker>>> = Rc::default();
        spawn({
            let (cell, _dropped) = (Rc::clone(&cell), trace.on_drop("cell"));
            async move {
                let _held = _dropped;
                *cell.borrow_mut() = Some(my_waker().await);
                pending::<()>().await;
            }
        });
        let dropped = trace.on_drop("timer");
        spawn(async move {
            let _held = dropped;
            sleep(secs(3600)).await;
        });
        let dropped = trace.on_drop("source");
        let fd = AsyncFd::new(here).unwrap();
        spawn(async move {
            let _held = dropped;
            drop(fd.readable().await);
        });
        settle().await;
    });
    drop(runtime);
    trace.expect(&["source", "timer", "cell"]);
    drop(there);
}

// --- external wakers: how often they are cloned, and which one is woken -----------------------------

/// Returns a waker and the count of its clones.
fn counting_clones() -> (Waker, Arc<AtomicUsize>) {
    let clones = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&clones);
    let waker = Hooks::new()
        .on_clone(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        })
        .waker();
    (waker, clones)
}

#[test]
fn a_read_polled_again_with_the_same_waker_clones_nothing() {
    runtime().block_on(async {
        let (here, _there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let (waker, clones) = counting_clones();
        let mut readable = fd.readable();
        for _ in 0..5 {
            assert!(poll_with(&mut readable, &waker).is_pending());
        }
        assert_eq!(clones.load(Ordering::SeqCst), 1);
        for _ in 0..5 {
            assert!(
                fd.poll_read_ready(&mut Context::from_waker(&waker))
                    .is_pending()
            );
        }
        assert_eq!(clones.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn a_timer_and_a_handle_polled_again_with_the_same_waker_clone_nothing() {
    runtime().block_on(async {
        let (waker, clones) = counting_clones();
        let mut hour = sleep(secs(3600));
        let mut task = spawn(pending::<()>());
        for _ in 0..5 {
            assert!(poll_with(&mut hour, &waker).is_pending());
        }
        assert_eq!(clones.load(Ordering::SeqCst), 1);
        for _ in 0..5 {
            assert!(poll_with(&mut task, &waker).is_pending());
        }
        assert_eq!(clones.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn a_read_polled_with_another_waker_wakes_only_that_one_and_drops_the_first() {
    runtime().block_on(async {
        let (here, mut there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let (a, b) = (Wakes::new(), Wakes::new());
        let (waker_a, waker_b) = (a.waker(), b.waker());
        let mut readable = fd.readable();
        assert!(poll_with(&mut readable, &waker_a).is_pending());
        assert_eq!(a.alive(), 2, "the test's and the stored clone");
        assert!(poll_with(&mut readable, &waker_b).is_pending());
        assert_eq!((a.alive(), b.alive()), (1, 2));
        there.write_all(b"x").unwrap();
        settle().await;
        assert_eq!((a.count(), b.count()), (0, 1));
        assert_eq!(b.alive(), 1, "a woken waker is not kept");
    });
}

#[test]
fn a_timer_polled_with_another_waker_wakes_only_that_one_and_drops_the_first() {
    paused().block_on(async {
        let (a, b) = (Wakes::new(), Wakes::new());
        let (waker_a, waker_b) = (a.waker(), b.waker());
        let mut second = sleep(secs(1));
        assert!(poll_with(&mut second, &waker_a).is_pending());
        assert!(poll_with(&mut second, &waker_b).is_pending());
        assert_eq!((a.alive(), b.alive()), (1, 2));
        sleep(secs(2)).await;
        assert_eq!((a.count(), b.count()), (0, 1));
        assert_eq!(b.alive(), 1);
        assert!(poll_with(&mut second, &waker_a).is_ready());
    });
}

#[test]
fn a_handle_polled_with_another_waker_wakes_only_that_one_and_drops_the_first() {
    runtime().block_on(async {
        let (a, b) = (Wakes::new(), Wakes::new());
        let (waker_a, waker_b) = (a.waker(), b.waker());
        let mut task = spawn(settle());
        assert!(poll_with(&mut task, &waker_a).is_pending());
        assert!(poll_with(&mut task, &waker_b).is_pending());
        assert_eq!((a.alive(), b.alive()), (1, 2));
        settle().await;
        settle().await;
        assert_eq!((a.count(), b.count()), (0, 1));
        assert_eq!(b.alive(), 1);
    });
}

#[test]
fn rejoining_with_an_external_waker_or_the_runtimes_own_wakes_only_the_last() {
    runtime().block_on(async {
        let wakes = Wakes::new();
        let (external, own) = (wakes.waker(), my_waker().await);
        let mut task = spawn(settle());
        assert!(poll_with(&mut task, &external).is_pending());
        assert_eq!(wakes.alive(), 2, "the test's and the stored clone");
        assert!(poll_with(&mut task, &own).is_pending());
        assert_eq!(wakes.alive(), 1);
        settle().await;
        settle().await;
        assert_eq!(wakes.count(), 0);
        assert!(poll_with(&mut task, &own).is_ready());

        let mut task = spawn(settle());
        assert!(poll_with(&mut task, &own).is_pending());
        assert!(poll_with(&mut task, &external).is_pending());
        settle().await;
        settle().await;
        assert_eq!((wakes.count(), wakes.alive()), (1, 1));
        assert!(poll_with(&mut task, &own).is_ready());

        let next = spawn(async { 7 });
        assert_eq!(
            next.await.unwrap(),
            7,
            "the row's next occupant has no joiner"
        );
        let mut task = spawn(pending::<()>());
        assert!(poll_with(&mut task, &external).is_pending());
        drop(task);
        assert_eq!((wakes.count(), wakes.alive()), (1, 1));
    });
}

#[test]
fn a_wait_that_is_dropped_drops_its_waker() {
    let runtime = runtime();
    runtime.block_on(async {
        let (here, _there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let wakes = Wakes::new();
        let waker = wakes.waker();
        let mut readable = fd.readable();
        let mut hour = sleep(secs(3600));
        let mut task = spawn(pending::<()>());
        assert!(poll_with(&mut readable, &waker).is_pending());
        assert!(poll_with(&mut hour, &waker).is_pending());
        assert!(poll_with(&mut task, &waker).is_pending());
        assert_eq!(wakes.alive(), 4);
        drop((readable, hour, task));
        assert_eq!(wakes.alive(), 1);
        let metrics = wakeful::metrics();
        assert_eq!((metrics.waiting, metrics.timers_armed), (0, 0));
    });
}

// --- external wakers that run user code -------------------------------------------------------------

/// State that the hooks use. They find it in a thread-local, because a waker has to be `Send`.
struct Stage {
    source: Rc<AsyncFd<UnixStream>>,
    peer: UnixStream,
    other_task: RefCell<Option<Waker>>,
    victim: RefCell<Option<AbortHandle>>,
    calls: Cell<u32>,
    ran: Rc<Cell<u32>>,
}

thread_local! {
    static STAGE: RefCell<Option<Rc<Stage>>> = const { RefCell::new(None) };
}

impl Stage {
    /// Creates the state. Has to be called inside the runtime.
    fn set() -> Rc<Stage> {
        let (here, peer) = pair();
        let stage = Rc::new(Stage {
            source: Rc::new(AsyncFd::new(here).unwrap()),
            peer,
            other_task: RefCell::default(),
            victim: RefCell::default(),
            calls: Cell::default(),
            ran: Rc::default(),
        });
        STAGE.set(Some(Rc::clone(&stage)));
        stage
    }
}

/// Calls everything that user code can call, from inside an operation of the runtime.
fn act() {
    let Some(stage) = STAGE.with_borrow(Clone::clone) else {
        return;
    };
    stage.calls.set(stage.calls.get() + 1);
    if Handle::try_current().is_err() {
        return;
    }
    let ran = Rc::clone(&stage.ran);
    drop(spawn(async move { ran.set(ran.get() + 1) }));
    if let Some(waker) = &*stage.other_task.borrow() {
        waker.wake_by_ref();
    }
    if let Some(victim) = stage.victim.take() {
        victim.abort();
    }
    // Another source, and the one in use.
    let (here, _there) = pair();
    if let Ok(other) = AsyncFd::new(here) {
        assert!(poll_with(&mut other.readable(), Waker::noop()).is_pending());
    }
    let polled = stage
        .source
        .poll_read_ready(&mut Context::from_waker(Waker::noop()));
    drop(polled);
    let mut timer = sleep(secs(60));
    let polled = poll_with(&mut timer, Waker::noop());
    assert!(polled.is_pending());
    drop(timer);
    drop(wakeful::metrics());
    drop(task::dump());
}

/// Returns a waker that calls `act` when it is cloned, woken or dropped.
fn acting() -> Waker {
    Hooks::new().on_clone(act).on_wake(act).on_drop(act).waker()
}

/// Runs a test in which wakers of `acting` are stored, replaced, woken and dropped. Returns the
/// number of calls of their hooks.
fn with_stage<F: Future>(play: impl FnOnce(Rc<Stage>) -> F) -> u32 {
    let runtime = runtime();
    let calls = runtime.block_on(async {
        let stage = Stage::set();
        let waker = Rc::new(RefCell::new(None));
        spawn({
            let waker = Rc::clone(&waker);
            poll_fn(move |cx| {
                *waker.borrow_mut() = Some(cx.waker().clone());
                Poll::<()>::Pending
            })
        });
        let victim = spawn(pending::<()>());
        settle().await;
        *stage.other_task.borrow_mut() = waker.take();
        *stage.victim.borrow_mut() = Some(victim.abort_handle());
        play(Rc::clone(&stage)).await;
        settle().await;
        assert!(victim.is_finished(), "the hooks aborted it");
        assert_eq!(
            stage.ran.get(),
            stage.calls.get(),
            "what the hooks spawned has run"
        );
        stage.calls.get()
    });
    STAGE.set(None);
    let metrics = runtime.metrics();
    assert_eq!(metrics.panics, 0);
    assert_eq!(metrics.num_alive_tasks, 1, "the other task");
    drop(runtime);
    calls
}

#[test]
fn a_waker_can_run_any_code_while_a_read_stores_replaces_wakes_or_drops_it() {
    let calls = with_stage(|stage| async move {
        let source = Rc::clone(&stage.source);
        let mut readable = source.readable();
        // Stored, replaced, woken.
        assert!(poll_with(&mut readable, &acting()).is_pending());
        assert!(poll_with(&mut readable, &acting()).is_pending());
        (&stage.peer).write_all(b"x").unwrap();
        settle().await;
        // Stored again, and dropped.
        drop(readable);
        source
            .try_ready(wakeful::io::Interest::READABLE)
            .unwrap()
            .clear_ready();
        let mut readable = source.readable();
        assert!(poll_with(&mut readable, &acting()).is_pending());
        drop(readable);
        // Stored by a `poll_*` function, and woken by the close.
        let (here, _there) = pair();
        let other = AsyncFd::new(here).unwrap();
        let waker = acting();
        assert!(
            other
                .poll_read_ready(&mut Context::from_waker(&waker))
                .is_pending()
        );
        drop(other);
    });
    // For each waker: a clone, the drop of the original, and the drop or wake of the clone.
    assert_eq!(calls, 4 * 3);
}

#[test]
fn a_waker_can_run_any_code_while_a_timer_stores_replaces_wakes_or_drops_it() {
    let calls = with_stage(|_| async move {
        let mut hour = sleep(secs(3600));
        assert!(poll_with(&mut hour, &acting()).is_pending());
        assert!(poll_with(&mut hour, &acting()).is_pending());
        // Disarmed by the reset.
        Pin::new(&mut hour).reset(wakeful::time::Instant::now());
        // Armed with a deadline that has passed, and woken.
        assert!(poll_with(&mut hour, &acting()).is_pending());
        settle().await;
        assert!(poll_with(&mut hour, Waker::noop()).is_ready());
        let mut dropped = sleep(secs(3600));
        assert!(poll_with(&mut dropped, &acting()).is_pending());
        drop(dropped);
    });
    assert_eq!(calls, 4 * 3);
}

#[test]
fn a_waker_can_run_any_code_while_a_handle_stores_replaces_wakes_or_drops_it() {
    let calls = with_stage(|_| async move {
        let mut task = spawn(settle());
        assert!(poll_with(&mut task, &acting()).is_pending());
        assert!(poll_with(&mut task, &acting()).is_pending());
        settle().await;
        settle().await;
        assert!(poll_with(&mut task, Waker::noop()).is_ready());
        let mut dropped = spawn(pending::<()>());
        let abort = dropped.abort_handle();
        assert!(poll_with(&mut dropped, &acting()).is_pending());
        drop(dropped);
        abort.abort();
    });
    assert_eq!(calls, 3 * 3);
}

#[test]
fn an_event_while_a_waker_is_cloned_wakes_a_join_and_a_timer() {
    thread_local! {
        static LENT: RefCell<Option<Rc<Runtime>>> = const { RefCell::new(None) };
    }
    let runtime = Rc::new(paused());
    // Outside of `block_on`, where a clone can run the runtime.
    let _entered = runtime.enter();
    let running = |wakes: &Wakes| {
        LENT.set(Some(Rc::clone(&runtime)));
        let waker = wakes.waker();
        let hooks = Hooks::new().on_wake(move || waker.wake_by_ref());
        let run = || {
            if let Some(runtime) = LENT.take() {
                runtime.block_on(sleep(secs(2)));
            }
        };
        hooks.on_clone(run).waker()
    };

    let (mut task, joins) = (spawn(async { 42 }), Wakes::new());
    assert!(poll_with(&mut task, &running(&joins)).is_pending());
    assert_eq!(joins.count(), 1, "the task has ended");
    assert!(matches!(
        poll_with(&mut task, Waker::noop()),
        Poll::Ready(Ok(42))
    ));

    let (mut second, before, after) = (sleep(secs(1)), Wakes::new(), Wakes::new());
    assert!(poll_with(&mut second, &before.waker()).is_pending());
    assert!(poll_with(&mut second, &running(&after)).is_pending());
    assert_eq!(
        (before.count(), after.count()),
        (1, 1),
        "the timer has fired"
    );
    assert!(poll_with(&mut second, Waker::noop()).is_ready());
    drop(LENT.take());
}

#[test]
fn a_waker_can_run_any_code_while_a_yield_stores_or_wakes_it() {
    let calls = with_stage(|_| async move {
        let mut yielding = yield_now();
        assert!(poll_with(&mut yielding, &acting()).is_pending());
        settle().await;
        assert!(poll_with(&mut yielding, Waker::noop()).is_ready());
    });
    assert_eq!(calls, 3);
}

#[test]
fn a_waker_can_run_any_code_while_its_runtime_is_dropped() {
    let runtime = runtime();
    let (mut hour, source, mut task) = {
        let _entered = runtime.enter();
        let stage = Stage::set();
        let source = Rc::clone(&stage.source);
        (sleep(secs(3600)), source, runtime.spawn(pending::<()>()))
    };
    let mut readable = source.readable();
    {
        let _entered = runtime.enter();
        assert!(poll_with(&mut hour, &acting()).is_pending());
        assert!(poll_with(&mut readable, &acting()).is_pending());
        assert!(poll_with(&mut task, &acting()).is_pending());
    }
    let stage = STAGE.with_borrow(Clone::clone).unwrap();
    stage.calls.set(0);
    drop(runtime);
    assert_eq!(
        stage.calls.get(),
        3,
        "each stored waker was woken or dropped"
    );
    assert_eq!(stage.ran.get(), 0, "no spawned task has run");
    STAGE.set(None);
}

// --- external wakers that panic ---------------------------------------------------------------------

fn panicking() -> Waker {
    Hooks::new().on_wake(|| panic!("a waker's wake")).waker()
}

#[test]
fn a_waker_that_panics_does_not_affect_the_other_events_of_its_batch() {
    let trace = Trace::new();
    let runtime = runtime();
    runtime.block_on(async {
        let pairs: Vec<_> = (0..4).map(|_| pair()).collect();
        let (sources, mut peers): (Vec<_>, Vec<_>) = pairs
            .into_iter()
            .map(|(here, there)| (AsyncFd::new(here).unwrap(), there))
            .unzip();
        let sources = Rc::new(sources);
        let mut waits: Vec<_> = sources.iter().map(AsyncFd::readable).collect();
        for place in [0, 2] {
            assert!(poll_with(&mut waits[place], &panicking()).is_pending());
        }
        for place in [1, 3] {
            let (sources, trace) = (Rc::clone(&sources), trace.clone());
            spawn(async move {
                drop(sources[place].readable().await.unwrap());
                trace.push(format!("source {place}"));
            });
        }
        settle().await;
        for peer in &mut peers {
            peer.write_all(b"x").unwrap();
        }
        settle().await;
    });
    trace.expect(&["source 1", "source 3"]);
    let metrics = runtime.metrics();
    assert_eq!((metrics.panics, metrics.panics_unhandled), (2, 2));
}

#[test]
fn a_waker_that_panics_does_not_affect_other_timers() {
    let trace = Trace::new();
    let runtime = paused();
    runtime.block_on(async {
        let mut first = sleep(secs(1));
        assert!(poll_with(&mut first, &panicking()).is_pending());
        let second = spawn({
            let trace = trace.clone();
            async move {
                sleep(secs(1)).await;
                trace.push("second timer");
            }
        });
        second.await.unwrap();
        assert!(poll_once(&mut first).await.is_ready());
    });
    trace.expect(&["second timer"]);
    assert_eq!(runtime.metrics().panics, 1);
}

#[test]
fn a_waker_that_panics_does_not_affect_other_yields_and_joins() {
    let runtime = runtime();
    runtime.block_on(async {
        let (mut bad, mut good) = (yield_now(), yield_now());
        let wakes = Wakes::new();
        assert!(poll_with(&mut bad, &panicking()).is_pending());
        assert!(poll_with(&mut good, &wakes.waker()).is_pending());
        settle().await;
        assert_eq!(wakes.count(), 1);
        let mut task = spawn(async { "output" });
        assert!(poll_with(&mut task, &panicking()).is_pending());
        settle().await;
        assert_eq!(task.await.unwrap(), "output");
    });
    assert_eq!(runtime.metrics().panics, 2);
}

#[test]
fn a_waker_that_panics_in_a_remote_message_does_not_affect_other_messages() {
    let runtime = runtime();
    runtime.block_on(async {
        // The drops of two wakers panic, each while a message of another thread is handled.
        let panics = || Hooks::new().on_drop(|| panic!("a waker's drop")).waker();
        let (handle_waker, timer_waker) = (panics(), panics());
        let mut task = spawn(pending::<()>());
        let mut hour = sleep(secs(3600));
        assert!(poll_with(&mut task, &handle_waker).is_pending());
        assert!(poll_with(&mut hour, &timer_waker).is_pending());
        let last = Rc::new(Cell::new(false));
        let woken = spawn({
            let last = Rc::clone(&last);
            poll_fn(move |cx| {
                if last.get() {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
        });
        let handle = Handle::current();
        thread::spawn(move || {
            drop(task);
            drop(hour);
            drop(handle.spawn(|| async {}));
        })
        .join()
        .unwrap();
        settle().await;
        last.set(true);
        woken.await.unwrap();
        // The test's own wakers panic as well when they are dropped.
        for waker in [handle_waker, timer_waker] {
            assert!(catch_unwind(AssertUnwindSafe(|| drop(waker))).is_err());
        }
    });
    let metrics = runtime.metrics();
    assert_eq!(metrics.remote_messages, 3);
    assert_eq!(
        metrics.spawned_tasks_count, 3,
        "the last message was handled, too"
    );
    assert_eq!(metrics.timers_armed, 0);
}

// --- combinators and other executors ----------------------------------------------------------------

/// A waker of a combinator. It wakes the task that polls the combinator, and records that it did.
struct Relay {
    outer: Waker,
    woken: AtomicBool,
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.outer.wake_by_ref();
    }
}

#[test]
fn a_combinator_with_its_own_wakers_is_woken_by_timers_sockets_joins_and_yields() {
    let runtime = paused();
    let (here, mut there) = pair();
    runtime.block_on(async {
        let fd = AsyncFd::new(here).unwrap();
        there.write_all(b"x").unwrap();
        let task = spawn(settle());
        let futures: Vec<Pin<Box<dyn Future<Output = &str>>>> = vec![
            Box::pin(async {
                sleep(secs(1)).await;
                "timer"
            }),
            Box::pin(async {
                drop(fd.readable().await.unwrap());
                "socket"
            }),
            Box::pin(async {
                task.await.unwrap();
                "join"
            }),
            Box::pin(async {
                yield_now().await;
                "yield"
            }),
        ];
        // Polls a child only when its own waker was woken, as `FuturesUnordered` does.
        let mut children: Vec<_> = futures.into_iter().map(|future| (future, None)).collect();
        let mut done = Vec::new();
        poll_fn(|cx| {
            children.retain_mut(|(future, relay): &mut (_, Option<Arc<Relay>>)| {
                let relay = relay.get_or_insert_with(|| {
                    Arc::new(Relay {
                        outer: cx.waker().clone(),
                        woken: AtomicBool::new(true),
                    })
                });
                if !relay.woken.swap(false, Ordering::SeqCst) {
                    return true;
                }
                let waker = Waker::from(Arc::clone(relay));
                match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Ready(name) => done.push(name),
                    Poll::Pending => return true,
                }
                false
            });
            if children.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        done.sort_unstable();
        assert_eq!(done, ["join", "socket", "timer", "yield"]);
    });
}

#[test]
fn a_yield_under_another_executor_wakes_at_once_and_is_ready_at_the_next_poll() {
    // No runtime runs here, so nothing but the yield itself can wake its waker.
    futures_lite::future::block_on(yield_now());
    let runtime = runtime();
    let _entered = runtime.enter();
    let wakes = Wakes::new();
    let mut yielding = yield_now();
    assert!(poll_with(&mut yielding, &wakes.waker()).is_pending());
    assert_eq!(wakes.count(), 1);
    futures_lite::future::block_on(yielding);
}

#[test]
fn a_sleep_polled_by_two_tasks_wakes_only_the_last() {
    // Two tasks of one runtime poll one sleep in turn; only the last one to poll is woken.
    let trace = Trace::new();
    paused().block_on(async {
        let shared: Rc<RefCell<Sleep>> = Rc::new(RefCell::new(sleep(secs(5))));
        let watch = |name: &'static str, first: u64| {
            let (shared, trace) = (Rc::clone(&shared), trace.clone());
            spawn(async move {
                sleep(secs(first)).await;
                poll_fn(|cx| Pin::new(&mut *shared.borrow_mut()).poll(cx)).await;
                trace.push(name);
            })
        };
        let (early, late) = (watch("early", 1), watch("late", 2));
        late.await.unwrap();
        assert!(!early.is_finished());
        early.abort();
        let mut pinned = pin!(early);
        assert!(pinned.as_mut().await.unwrap_err().is_cancelled());
    });
    trace.expect(&["late"]);
}
