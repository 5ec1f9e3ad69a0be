//! The corners between executor, reactor and user code: a root future that ends while it is queued, an
//! external waker that reuses the row of the task it was woken by, and destructors at unusual moments.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

use wakeful::io::{AsyncFd, Interest};
use wakeful::runtime::{Builder, EnterGuard, Handle, Runtime, SlowPoll};
use wakeful::spawn;
use wakeful::task::{JoinHandle, yield_now};
use wakeful::time::{Duration, Instant, sleep, sleep_until, timeout};
use wakeful_tests::trace::{
    Hooks, Trace, Wakes, on_drop, pair, panic_of, poll_once, poll_with, runtime, settle, text_of,
};

/// Ends the root future in the poll in which it was woken, so that its row is still queued.
fn end_while_queued(runtime: &Runtime, trace: &Trace, name: &'static str) {
    let trace = trace.clone();
    runtime.block_on(poll_fn(move |cx| {
        let trace = trace.clone();
        drop(spawn(async move { trace.push(name) }));
        cx.waker().wake_by_ref();
        Poll::Ready(())
    }));
}

#[test]
fn the_root_future_is_polled_first_even_if_the_one_before_it_ended_while_queued() {
    let (runtime, trace) = (runtime(), Trace::new());
    end_while_queued(&runtime, &trace, "first task");
    end_while_queued(&runtime, &trace, "second task");
    runtime.block_on(async {
        trace.push("root");
        yield_now().await;
        trace.push("root again");
    });
    trace.expect(&["root", "first task", "second task", "root again"]);
}

#[test]
fn the_root_future_is_polled_first_even_if_the_one_before_it_ended_while_deferred() {
    let (runtime, trace) = (runtime(), Trace::new());
    for _ in 0..2 {
        let task = trace.clone();
        runtime.block_on(async {
            drop(spawn(async move { task.push("task") }));
            let mut yielded = yield_now();
            assert!(poll_once(&mut yielded).await.is_pending());
        });
    }
    let turns = runtime.metrics().turns;
    runtime.block_on(async {
        trace.push("root");
        assert_eq!(wakeful::metrics().turns, turns);
        yield_now().await;
    });
    trace.expect(&["root", "task", "task"]);
}

#[test]
fn with_a_seed_every_root_future_ends_whatever_the_one_before_it_left_in_the_queue() {
    for seed in 0..32 {
        let runtime = Builder::new().rng_seed(seed).build().unwrap();
        let trace = Trace::new();
        for _ in 0..8 {
            end_while_queued(&runtime, &trace, "task");
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(poll_fn(|cx| -> Poll<()> {
                    cx.waker().wake_by_ref();
                    panic!("a panic of the root future");
                }));
            }));
            assert!(panicked.is_err());
            runtime.block_on(settle());
        }
        assert_eq!(trace.take().len(), 8);
        assert_eq!(runtime.metrics().num_alive_tasks, 0);
    }
}

thread_local! {
    static HANDLE: RefCell<Option<JoinHandle<u32>>> = const { RefCell::new(None) };
    static REUSED: Cell<Option<bool>> = const { Cell::new(None) };
}

#[test]
fn a_task_spawned_by_the_waker_of_a_joiner_is_not_taken_for_the_task_that_ended() {
    let runtime = runtime();
    let waker = Hooks::new()
        .on_wake(|| {
            // Frees the row, which the next task takes.
            let ended = HANDLE.take().map(|handle| handle.id().to_string());
            let mut next = spawn(async {});
            let row = |id: &str| id.split('.').next().map(str::to_owned);
            let (ended, id) = (ended.unwrap(), next.id().to_string());
            assert_eq!(row(&ended), row(&id));
            let pending = poll_with(&mut next, Waker::noop()).is_pending();
            REUSED.set(Some(pending && wakeful::task::try_id().is_none()));
        })
        .waker();
    runtime.block_on(async {
        let mut task = spawn(async { 1 });
        assert!(poll_with(&mut task, &waker).is_pending());
        HANDLE.set(Some(task));
        settle().await;
    });
    assert_eq!(runtime.metrics().panics, 0);
    assert_eq!(REUSED.take(), Some(true));
}

#[test]
fn a_yield_under_another_executor_is_woken_when_the_runtime_ends_before_its_turn() {
    let runtime = runtime();
    let wakes = [Wakes::new(), Wakes::new()];
    let mut yields = [yield_now(), yield_now()];
    runtime.block_on(async {
        for (wakes, yielded) in wakes.iter().zip(&mut yields) {
            assert!(poll_with(yielded, &wakes.waker()).is_pending());
        }
    });
    drop(runtime);
    assert_eq!(wakes.map(|wakes| wakes.count()), [1, 1]);
}

#[test]
fn a_waker_whose_drop_panics_takes_nothing_from_the_other_messages() {
    let runtime = runtime();
    let waker = Hooks::new().on_drop(|| panic!("a waker's drop")).waker();
    let ran = runtime.block_on(async {
        let (here, _there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let mut wait: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(async move { drop(fd.ready(Interest::READABLE).await) });
        assert!(poll_with(&mut wait, &waker).is_pending());
        let handle = Handle::current();
        let task = thread::spawn(move || {
            drop(wait);
            handle.spawn(|| async { 5 })
        });
        let task = task.join().unwrap();
        settle().await;
        task.await.unwrap()
    });
    assert_eq!(ran, 5);
    assert_eq!(runtime.metrics().panics, 1);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(waker))).is_err());
}

#[test]
fn a_future_refused_for_want_of_a_runtime_can_run_one_in_its_drop() {
    let ran = Rc::new(Cell::new(0));
    let refused = on_drop({
        let ran = Rc::clone(&ran);
        move || {
            ran.set(wakeful::block_on(async {
                spawn(async { 7 }).await.unwrap()
            }))
        }
    });
    let text = panic_of(|| {
        spawn(async move {
            let _refused = refused;
            pending::<()>().await;
        })
    });
    assert!(text.starts_with("spawn: no Wakeful runtime"), "{text}");
    assert_eq!(ran.get(), 7);
}

thread_local! {
    /// The guard that `leave_entered` keeps.
    static KEPT: RefCell<Option<EnterGuard<'static>>> = const { RefCell::new(None) };
}

fn leave_entered() {
    let entered: &'static Runtime = Box::leak(Box::new(runtime()));
    KEPT.set(Some(entered.enter()));
}

/// Asserts that tasks and timers work, although user code that ran between two polls has left another
/// runtime entered.
async fn nothing_is_harmed() {
    for _ in 0..3 {
        spawn(yield_now()).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    assert!(KEPT.take().is_some());
}

#[test]
fn an_output_whose_drop_leaves_a_runtime_entered_harms_no_task() {
    runtime().block_on(async {
        drop(spawn(async { on_drop(leave_entered) }));
        nothing_is_harmed().await;
    });
}

#[test]
fn a_waker_that_leaves_a_runtime_entered_harms_no_task() {
    runtime().block_on(async {
        let mut waiting = Box::pin(sleep(Duration::from_millis(1)));
        let waker = Hooks::new().on_wake(leave_entered).waker();
        assert!(poll_with(&mut waiting, &waker).is_pending());
        nothing_is_harmed().await;
    });
}

#[test]
fn a_waker_of_a_panicked_task_that_leaves_a_runtime_entered_harms_no_task() {
    runtime().block_on(async {
        let mut panicking = spawn(async { panic!("on purpose") });
        let next = spawn(async {});
        let waker = Hooks::new().on_wake(leave_entered).waker();
        let polled: Poll<Result<(), _>> = poll_with(&mut panicking, &waker);
        assert!(polled.is_pending());
        next.await.unwrap();
        nothing_is_harmed().await;
    });
}

#[test]
fn a_remote_closure_that_leaves_a_runtime_entered_panics_and_harms_no_task() {
    runtime().block_on(async {
        let task = Handle::current().spawn(|| {
            leave_entered();
            async {}
        });
        let ended = timeout(Duration::from_secs(10), task).await;
        let error = ended.expect("the handle is woken").unwrap_err();
        let text = text_of(error.into_panic().as_ref());
        assert!(text.contains("another runtime was entered"), "{text}");
        nothing_is_harmed().await;
    });
}

#[test]
fn a_hook_that_leaves_a_runtime_entered_harms_no_task() {
    let hook = |_: &SlowPoll| leave_entered();
    let builder = Builder::new().on_slow_poll(Duration::ZERO, hook);
    builder.build().unwrap().block_on(nothing_is_harmed());
    // The second lost task is reported although the hook for the first one has left a runtime entered.
    let found = Rc::new(RefCell::new(Vec::new()));
    let finds = Rc::clone(&found);
    let builder = Builder::new().on_lost_waker(move |_| {
        finds.borrow_mut().push(RuntimeOfThread::current());
        leave_entered();
    });
    builder.build().unwrap().block_on(async {
        let here = RuntimeOfThread::current();
        let lost = [spawn(pending::<()>()), spawn(pending::<()>())];
        nothing_is_harmed().await;
        assert_eq!(*found.borrow(), [here.clone(), here]);
        drop(lost);
    });
}

#[test]
fn a_guard_that_was_forgotten_harms_no_code_around_it() {
    let (runs, ends) = (runtime(), runtime());
    let entered: &'static Runtime = Box::leak(Box::new(runtime()));
    let forget = move || {
        let _forgotten = ManuallyDrop::new(entered.enter());
    };
    let is_outside = || Handle::try_current().is_err();
    // In the root future, in its destructor, in a destructor at the end of a runtime, and in a task.
    runs.block_on(async { forget() });
    assert!(is_outside());
    runs.block_on(async {
        let _last = on_drop(forget);
    });
    assert!(is_outside());
    let task = ends.spawn(async move {
        let _last = on_drop(forget);
        pending::<()>().await;
    });
    ends.block_on(yield_now());
    drop(ends);
    assert!(is_outside());
    drop(task);
    let culprit = runs.spawn(async move { forget() });
    let text = runs.block_on(async {
        let error = culprit.await.unwrap_err();
        spawn(async {}).await.unwrap();
        text_of(error.into_panic().as_ref())
    });
    assert!(text.contains("another runtime was entered"), "{text}");
    assert!(is_outside());
}

/// The runtime of this thread, by the text of its handle.
#[derive(Clone, Debug, PartialEq)]
struct RuntimeOfThread(String);

impl RuntimeOfThread {
    fn current() -> Self {
        RuntimeOfThread(format!("{:?}", Handle::current()))
    }
}

#[test]
fn user_code_between_two_polls_does_not_find_the_runtime_that_other_code_has_left_entered() {
    let found = Arc::new(Mutex::new(Vec::new()));
    let find = {
        let found = Arc::clone(&found);
        move || found.lock().unwrap().push(RuntimeOfThread::current())
    };
    runtime().block_on(async {
        let here = RuntimeOfThread::current();
        // Two external wakers that are due in one turn.
        let at = Instant::now() + Duration::from_millis(1);
        let (mut first, mut second) = (Box::pin(sleep_until(at)), Box::pin(sleep_until(at)));
        let leaves = Hooks::new().on_wake(leave_entered).waker();
        let finds = Hooks::new().on_wake(find.clone()).waker();
        assert!(poll_with(&mut first, &leaves).is_pending());
        assert!(poll_with(&mut second, &finds).is_pending());
        nothing_is_harmed().await;
        // Two messages: the drop of a wait on another thread, and a closure.
        let (end, _there) = pair();
        let fd = AsyncFd::new(end).unwrap();
        let leaves = Hooks::new().on_drop(leave_entered).waker();
        let mut wait: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(async move { drop(fd.ready(Interest::READABLE).await) });
        assert!(poll_with(&mut wait, &leaves).is_pending());
        // Only the clone in the reactor is left.
        let _forgotten = ManuallyDrop::new(leaves);
        let handle = Handle::current();
        let closure = move || async move { find() };
        let sends = thread::spawn(move || {
            drop(wait);
            handle.spawn(closure)
        });
        let ended = timeout(Duration::from_secs(10), sends.join().unwrap()).await;
        ended.expect("the task runs").unwrap();
        assert_eq!(*found.lock().unwrap(), [here.clone(), here]);
    });
}

#[test]
fn a_source_registered_by_a_waker_in_the_row_of_the_one_it_dropped_is_not_ready() {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    thread_local! {
        static SOURCES: RefCell<Vec<AsyncFd<UnixStream>>> = const { RefCell::new(Vec::new()) };
    }
    let runtime = runtime();
    runtime.block_on(async {
        let (here, mut there) = pair();
        SOURCES.with_borrow_mut(|sources| sources.push(AsyncFd::new(here).unwrap()));
        let waker = Hooks::new()
            .on_wake(|| {
                drop(SOURCES.take());
                let new = AsyncFd::new(pair().0).unwrap();
                assert!(new.try_ready(Interest::READABLE).is_none());
                SOURCES.with_borrow_mut(|sources| sources.push(new));
            })
            .waker();
        SOURCES.with_borrow(|sources| {
            let mut cx = std::task::Context::from_waker(&waker);
            assert!(sources[0].poll_read_ready(&mut cx).is_pending());
        });
        there.write_all(b"x").unwrap();
        settle().await;
        SOURCES.with_borrow(|sources| {
            // Its own event: the other end is closed.
            let ready = sources[0].try_ready(Interest::READABLE);
            assert!(ready.is_none_or(|guard| guard.ready().is_read_closed()));
        });
        drop(SOURCES.take());
    });
    assert_eq!(runtime.metrics().panics, 0);
}
