//! Wakers: the runtime's own after their task and after their runtime, and foreign ones, whose clone,
//! wake and drop may do anything at all.

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

// --- our own --------------------------------------------------------------------------------------

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
    let elsewhere = thread::spawn(move || {
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
                assert_eq!(thread::current().id(), owner, "dropped on its own thread");
                trace.say(format!("dropped {number}"));
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
    // Only now does the other thread begin.
    drop(give);
    elsewhere.join().unwrap();
    trace.expect(&[]);
}

#[test]
fn a_waker_from_an_ended_runtime_harms_no_runtime_that_has_come_after_it() {
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
                // At worst a poll that nobody had asked for.
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
                trace.say("polled");
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
                trace.say("other polled");
                *waker.borrow_mut() = Some(cx.waker().clone());
                Poll::<()>::Pending
            })
        });
        settle().await;
        drop(trace.take());
        waker.borrow().as_ref().unwrap().wake_by_ref();
        trace.say("wake returned");
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
        // In a cell that the task owns, in a timer, in a source: each would be a cycle if wakers
        // owned their tasks.
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

// --- foreign ones: how often they are cloned, and which one is woken --------------------------------

/// Counts the clones of a waker.
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
fn a_read_that_moved_to_another_waker_wakes_that_one_and_lets_the_first_go() {
    runtime().block_on(async {
        let (here, mut there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let (a, b) = (Wakes::new(), Wakes::new());
        let (waker_a, waker_b) = (a.waker(), b.waker());
        let mut readable = fd.readable();
        assert!(poll_with(&mut readable, &waker_a).is_pending());
        assert_eq!(a.alive(), 2, "its own and the stored clone");
        assert!(poll_with(&mut readable, &waker_b).is_pending());
        assert_eq!((a.alive(), b.alive()), (1, 2));
        there.write_all(b"x").unwrap();
        settle().await;
        assert_eq!((a.count(), b.count()), (0, 1));
        assert_eq!(b.alive(), 1, "what was woken is not kept");
    });
}

#[test]
fn a_timer_that_moved_to_another_waker_wakes_that_one_and_lets_the_first_go() {
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
fn a_handle_that_moved_to_another_waker_wakes_that_one_and_lets_the_first_go() {
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
fn a_handle_that_moves_between_a_stranger_and_our_own_wakes_the_last_and_lets_the_first_go() {
    runtime().block_on(async {
        let stranger = Wakes::new();
        let (strangers, own) = (stranger.waker(), my_waker().await);
        let mut task = spawn(settle());
        assert!(poll_with(&mut task, &strangers).is_pending());
        assert_eq!(stranger.alive(), 2, "its own and the stored clone");
        assert!(poll_with(&mut task, &own).is_pending());
        assert_eq!(stranger.alive(), 1);
        settle().await;
        settle().await;
        assert_eq!(stranger.count(), 0);
        assert!(poll_with(&mut task, &own).is_ready());

        let mut task = spawn(settle());
        assert!(poll_with(&mut task, &own).is_pending());
        assert!(poll_with(&mut task, &strangers).is_pending());
        settle().await;
        settle().await;
        assert_eq!((stranger.count(), stranger.alive()), (1, 1));
        assert!(poll_with(&mut task, &own).is_ready());

        let next = spawn(async { 7 });
        assert_eq!(
            next.await.unwrap(),
            7,
            "the slot's next tenant has no part in it"
        );
        let mut task = spawn(pending::<()>());
        assert!(poll_with(&mut task, &strangers).is_pending());
        drop(task);
        assert_eq!((stranger.count(), stranger.alive()), (1, 1));
    });
}

#[test]
fn what_is_dropped_while_it_waits_lets_its_waker_go() {
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

// --- foreign ones: what they do when they are called ------------------------------------------------

/// What the hooks play with. A waker has to be `Send`, so they find it by the thread.
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
    /// Has to be called inside the runtime.
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

/// Does everything that user code can do, in the middle of whatever the runtime was doing.
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
    // Another source, and the one that is in use.
    let (here, _there) = pair();
    if let Ok(other) = AsyncFd::new(here) {
        assert!(poll_with(&mut other.readable(), Waker::noop()).is_pending());
    }
    let asked = stage
        .source
        .poll_read_ready(&mut Context::from_waker(Waker::noop()));
    drop(asked);
    let mut timer = sleep(secs(60));
    let polled = poll_with(&mut timer, Waker::noop());
    assert!(polled.is_pending());
    drop(timer);
    drop(wakeful::metrics());
    drop(task::dump());
}

/// A waker that acts on each of its occasions.
fn acting() -> Waker {
    Hooks::new().on_clone(act).on_wake(act).on_drop(act).waker()
}

/// Runs a scene in which the wakers of `acting` are stored, replaced, woken and dropped, and says how
/// often they were called.
fn scene<F: Future>(play: impl FnOnce(Rc<Stage>) -> F) -> u32 {
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
fn a_waker_may_do_anything_while_a_read_stores_replaces_wakes_and_forgets_it() {
    let calls = scene(|stage| async move {
        let source = Rc::clone(&stage.source);
        let mut readable = source.readable();
        // Stored, replaced, woken.
        assert!(poll_with(&mut readable, &acting()).is_pending());
        assert!(poll_with(&mut readable, &acting()).is_pending());
        (&stage.peer).write_all(b"x").unwrap();
        settle().await;
        // Stored in both directions, forgotten.
        drop(readable);
        source
            .try_ready(wakeful::io::Interest::READABLE)
            .unwrap()
            .clear_ready();
        let mut readable = source.readable();
        assert!(poll_with(&mut readable, &acting()).is_pending());
        drop(readable);
        // Anonymous, and closed.
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
    // Per waker a clone and its own drop; the stored clone is dropped or woken.
    assert_eq!(calls, 4 * 3);
}

#[test]
fn a_waker_may_do_anything_while_a_timer_stores_replaces_wakes_and_forgets_it() {
    let calls = scene(|_| async move {
        let mut hour = sleep(secs(3600));
        assert!(poll_with(&mut hour, &acting()).is_pending());
        assert!(poll_with(&mut hour, &acting()).is_pending());
        // Disarmed by the reset.
        Pin::new(&mut hour).reset(wakeful::time::Instant::now());
        // Armed for at once, and woken.
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
fn a_waker_may_do_anything_while_a_handle_stores_replaces_wakes_and_forgets_it() {
    let calls = scene(|_| async move {
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
fn what_comes_while_a_waker_is_cloned_to_wait_for_it_wakes_that_one() {
    thread_local! {
        static LENT: RefCell<Option<Rc<Runtime>>> = const { RefCell::new(None) };
    }
    let runtime = Rc::new(paused());
    // Outside of `block_on`, where a clone may let the loop run.
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
    assert_eq!(joins.count(), 1, "it has ended");
    assert!(matches!(
        poll_with(&mut task, Waker::noop()),
        Poll::Ready(Ok(42))
    ));

    let (mut second, before, after) = (sleep(secs(1)), Wakes::new(), Wakes::new());
    assert!(poll_with(&mut second, &before.waker()).is_pending());
    assert!(poll_with(&mut second, &running(&after)).is_pending());
    assert_eq!((before.count(), after.count()), (1, 1), "it has fired");
    assert!(poll_with(&mut second, Waker::noop()).is_ready());
    drop(LENT.take());
}

#[test]
fn a_waker_may_do_anything_while_a_yield_stores_and_wakes_it() {
    let calls = scene(|_| async move {
        let mut yielding = yield_now();
        assert!(poll_with(&mut yielding, &acting()).is_pending());
        settle().await;
        assert!(poll_with(&mut yielding, Waker::noop()).is_ready());
    });
    assert_eq!(calls, 3);
}

#[test]
fn a_waker_may_do_anything_while_its_runtime_ends() {
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
    assert_eq!(stage.ran.get(), 0, "nothing that they spawned has run");
    STAGE.set(None);
}

// --- foreign ones that panic ------------------------------------------------------------------------

fn panicking() -> Waker {
    Hooks::new().on_wake(|| panic!("a waker's own")).waker()
}

#[test]
fn a_waker_that_panics_takes_nothing_from_the_rest_of_its_batch_of_events() {
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
                trace.say(format!("source {place}"));
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
fn a_waker_that_panics_takes_nothing_from_the_other_timers() {
    let trace = Trace::new();
    let runtime = paused();
    runtime.block_on(async {
        let mut first = sleep(secs(1));
        assert!(poll_with(&mut first, &panicking()).is_pending());
        let second = spawn({
            let trace = trace.clone();
            async move {
                sleep(secs(1)).await;
                trace.say("the second timer");
            }
        });
        second.await.unwrap();
        assert!(poll_once(&mut first).await.is_ready());
    });
    trace.expect(&["the second timer"]);
    assert_eq!(runtime.metrics().panics, 1);
}

#[test]
fn a_waker_that_panics_takes_nothing_from_the_other_yields_and_joins() {
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
fn a_waker_that_panics_in_a_message_from_elsewhere_takes_nothing_from_the_other_messages() {
    let runtime = runtime();
    runtime.block_on(async {
        // The drops of two wakers panic, each when another thread's message is answered.
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
        // Ours panic as well when they go.
        for waker in [handle_waker, timer_waker] {
            assert!(catch_unwind(AssertUnwindSafe(|| drop(waker))).is_err());
        }
    });
    let metrics = runtime.metrics();
    assert_eq!(metrics.remote_messages, 3);
    assert_eq!(
        metrics.spawned_tasks_count, 3,
        "the last message was answered, too"
    );
    assert_eq!(metrics.timers_armed, 0);
}

// --- other executors inside and around ours ---------------------------------------------------------

/// A waker of a combinator: it wakes the task that polls the combinator, and remembers that it did.
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
fn a_combinator_with_wakers_of_its_own_is_woken_by_timers_sockets_joins_and_yields() {
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
fn a_yield_under_another_executor_is_ready_at_its_next_poll_with_or_without_a_runtime() {
    // Nobody runs the runtime, so nobody else could wake it.
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
fn a_sleep_may_be_polled_first_here_and_then_there() {
    // Two tasks of one runtime take turns at one sleep; only the last one to poll is woken.
    let trace = Trace::new();
    paused().block_on(async {
        let shared: Rc<RefCell<Sleep>> = Rc::new(RefCell::new(sleep(secs(5))));
        let watch = |name: &'static str, first: u64| {
            let (shared, trace) = (Rc::clone(&shared), trace.clone());
            spawn(async move {
                sleep(secs(first)).await;
                poll_fn(|cx| Pin::new(&mut *shared.borrow_mut()).poll(cx)).await;
                trace.say(name);
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
