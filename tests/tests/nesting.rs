//! Runtimes inside runtimes, beside one another and in thread-locals, and calls without a runtime:
//! what works, and which panic explains what does not.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::async_yields_async,
    reason = "futures and handles are handed out of `block_on` on purpose"
)]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::Command;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;

use wakeful::io::{AsyncFd, Interest};
use wakeful::runtime::{Handle, Runtime};
use wakeful::signal::unix::{SignalKind, signal};
use wakeful::task::{JoinHandle, spawn_blocking, yield_now};
use wakeful::time::{Instant, Sleep, interval, interval_at, sleep, sleep_until, timeout};
use wakeful::{spawn, task};
use wakeful_tests::trace::{
    OnDrop, Trace, alone, my_waker, on_drop, pair, panic_of, paused, poll_with, runtime, secs,
    settle, stderr, text_of,
};

// --- block_on in block_on ---------------------------------------------------------------------------

/// Returns the part of a nested `block_on`'s message that names the outer one, which began in the
/// given line.
fn nested(outer: u32) -> String {
    let file = file!();
    format!("the one at {file}:{outer}:")
}

#[test]
fn block_on_inside_block_on_panics_and_names_the_outer_one() {
    let runtime = runtime();
    let outer = line!() + 1;
    runtime.block_on(async {
        let same = panic_of(|| runtime.block_on(async {}));
        let other = panic_of(|| wakeful_tests::trace::runtime().block_on(async {}));
        let fresh = panic_of(|| wakeful::block_on(async {}));
        for text in [same, other, fresh] {
            assert!(text.starts_with("`block_on` inside `block_on`"), "{text}");
            assert!(text.contains(&nested(outer)), "{text}");
            assert!(text.contains("await the inner future instead"), "{text}");
        }
        // The outer `block_on` continues.
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
        yield_now().await;
    });
    runtime.block_on(async {});
}

#[test]
fn a_nested_block_on_is_located_where_the_user_wrote_it() {
    let output = alone(|| {
        wakeful::block_on(async {
            let inner = || {
                eprintln!("the next line is {}:", line!() + 1);
                wakeful::block_on(async {});
            };
            drop(panic_of(inner));
        });
    });
    let Some(output) = output else { return };
    let stderr = stderr(&output);
    let (_, line) = stderr
        .split_once("the next line is ")
        .expect("a line number on stderr");
    let (line, _) = line.split_once(':').expect("the end of the line number");
    let location = format!("panicked at {}:{line}:", file!());
    assert!(
        stderr.contains(&location),
        "{location} is not in:\n{stderr}"
    );
}

#[test]
fn block_on_inside_a_task_is_a_panicked_task() {
    runtime().block_on(async {
        let error = spawn(async { wakeful::block_on(async {}) })
            .await
            .unwrap_err();
        let text = text_of(error.into_panic().as_ref());
        assert!(text.starts_with("`block_on` inside `block_on`"), "{text}");
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
    });
}

#[test]
fn block_on_in_the_drop_of_a_task_panics_and_the_runtime_continues() {
    let text = Rc::new(RefCell::new(String::new()));
    runtime().block_on(async {
        let task = spawn({
            let text = Rc::clone(&text);
            async move {
                let _blocks_on = on_drop(move || {
                    *text.borrow_mut() = panic_of(|| wakeful::block_on(async {}));
                });
                pending::<()>().await;
            }
        });
        settle().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
    });
    assert!(
        text.borrow().starts_with("`block_on` inside `block_on`"),
        "{text:?}"
    );
}

#[test]
fn block_on_works_again_after_one_that_panicked() {
    let runtime = runtime();
    for _ in 0..3 {
        assert_eq!(
            panic_of(|| runtime.block_on(async { panic!("root") })),
            "root"
        );
        assert_eq!(runtime.block_on(async { 1 }), 1);
    }
    assert_eq!(wakeful::block_on(async { 2 }), 2);
}

#[test]
fn block_on_can_run_on_another_thread_at_the_same_time() {
    runtime().block_on(async {
        let inner = spawn_blocking(|| wakeful::block_on(async { spawn(async { 7 }).await }));
        assert_eq!(inner.await.unwrap().unwrap(), 7);
    });
}

// --- several runtimes on one thread -----------------------------------------------------------------

#[test]
fn two_runtimes_on_one_thread_run_in_turn_and_only_their_own_tasks() {
    let trace = Trace::new();
    let (first, second) = (runtime(), runtime());
    let steps = |name: &'static str| {
        let trace = trace.clone();
        async move {
            for step in 1..=2 {
                trace.push(format!("{name} {step}"));
                pending_once().await;
            }
        }
    };
    first.spawn(steps("first"));
    second.spawn(steps("second"));
    for _ in 0..2 {
        first.block_on(settle());
        second.block_on(settle());
    }
    trace.expect(&["first 1", "second 1", "first 2", "second 2"]);
    assert_eq!(first.metrics().num_alive_tasks, 1);
    drop(first);
    assert_eq!(second.metrics().num_alive_tasks, 1);
}

/// Waits until the next `block_on`, which begins after five polls of the root.
async fn pending_once() {
    let started = wakeful::metrics().root_polls;
    loop {
        // One `settle` is five polls of the root.
        if wakeful::metrics().root_polls >= started + 5 {
            return;
        }
        yield_now().await;
    }
}

#[test]
fn a_task_can_spawn_on_another_runtime_whose_block_on_joins_it_later() {
    let trace = Trace::new();
    let (outer, inner) = (runtime(), Rc::new(runtime()));
    let remote = inner.handle().clone();
    let task = outer.block_on(async {
        let task = inner.spawn({
            let trace = trace.clone();
            async move { trace.push("inner task") }
        });
        // It cannot be awaited here, because its runtime does not run.
        let waker = my_waker().await;
        let mut task = Some(task);
        let text = panic_of(|| {
            let mut cx = Context::from_waker(&waker);
            Pin::new(task.as_mut().unwrap()).poll(&mut cx)
        });
        assert!(text.contains("not running on this thread"), "{text}");
        let remote_task = remote.spawn(|| async { "remote output" });
        trace.push("outer ends");
        (task.unwrap(), remote_task)
    });
    let (task, remote_task) = task;
    inner.block_on(async move {
        task.await.unwrap();
        assert_eq!(remote_task.await.unwrap(), "remote output");
    });
    trace.expect(&["outer ends", "inner task"]);
}

#[test]
fn a_runtime_can_be_built_and_dropped_in_a_task_of_another() {
    let trace = Trace::new();
    let outer = runtime();
    outer.block_on(async {
        let task = spawn({
            let trace = trace.clone();
            async move {
                let inner = runtime();
                let dropped = trace.on_drop("inner task");
                inner.spawn(async move {
                    let _held = dropped;
                    pending::<()>().await;
                });
                yield_now().await;
                drop(inner);
                // The current runtime is the outer one again.
                spawn(async { 1 }).await.unwrap()
            }
        });
        assert_eq!(task.await.unwrap(), 1);
    });
    trace.expect(&["inner task"]);
    assert_eq!(outer.metrics().spawned_tasks_count, 2);
}

#[test]
fn a_wake_of_a_task_from_inside_another_runtime_is_delivered() {
    let (first, second) = (runtime(), runtime());
    let polls = Rc::new(Cell::new(0));
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    first.spawn({
        let (polls, waker) = (Rc::clone(&polls), Rc::clone(&waker));
        poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            *waker.borrow_mut() = Some(cx.waker().clone());
            Poll::<()>::Pending
        })
    });
    first.block_on(settle());
    second.block_on(async { waker.take().unwrap().wake() });
    assert_eq!(polls.get(), 1);
    first.block_on(settle());
    assert_eq!(polls.get(), 2);
}

// --- guards -----------------------------------------------------------------------------------------

/// Spawns a task, and returns the index of the runtime whose counter of spawned tasks went up.
fn lands_on(runtimes: &[&Runtime]) -> Option<usize> {
    let before: Vec<u64> = runtimes
        .iter()
        .map(|r| r.metrics().spawned_tasks_count)
        .collect();
    let spawned = catch_unwind(AssertUnwindSafe(|| drop(spawn(async {}))));
    let landed = runtimes
        .iter()
        .zip(before)
        .position(|(runtime, before)| runtime.metrics().spawned_tasks_count > before);
    assert_eq!(landed.is_some(), spawned.is_ok());
    landed
}

#[test]
fn nested_guards_restore_the_previous_runtime() {
    let (first, second) = (runtime(), runtime());
    let both = [&first, &second];
    assert_eq!(lands_on(&both), None);
    {
        let _one = first.enter();
        assert_eq!(lands_on(&both), Some(0));
        {
            let _two = second.enter();
            assert_eq!(lands_on(&both), Some(1));
            {
                let _again = first.enter();
                assert_eq!(lands_on(&both), Some(0));
            }
            assert_eq!(lands_on(&both), Some(1));
        }
        assert_eq!(lands_on(&both), Some(0));
        // So does a `block_on` of another runtime.
        second.block_on(async { assert_eq!(lands_on(&both), Some(1)) });
        assert_eq!(lands_on(&both), Some(0));
    }
    assert_eq!(lands_on(&both), None);
}

#[test]
fn guards_dropped_out_of_order_panic_and_the_right_runtime_stays_current() {
    let (first, second, third) = (runtime(), runtime(), runtime());
    let all = [&first, &second, &third];
    let one = first.enter();
    let two = second.enter();
    let three = third.enter();
    let text = panic_of(|| drop(one));
    assert!(text.contains("dropped out of order"), "{text}");
    assert!(text.contains("drop the last one first"), "{text}");
    assert_eq!(
        lands_on(&all),
        Some(2),
        "the last one entered stays current"
    );
    drop(three);
    assert_eq!(lands_on(&all), Some(1));
    drop(two);
    assert_eq!(lands_on(&all), None, "no runtime is current");
    // Guards and `block_on` work as before.
    let again = first.enter();
    assert_eq!(lands_on(&all), Some(0));
    drop(again);
    assert_eq!(first.block_on(async { 1 }), 1);
    drop((first, second, third));
    assert!(Handle::try_current().is_err());
}

#[test]
fn guards_dropped_out_of_order_during_unwinding_leave_no_runtime_current() {
    let (first, second) = (runtime(), runtime());
    let text = panic_of(|| {
        // An array drops its first element first.
        let _guards = [first.enter(), second.enter()];
        panic!("the first panic");
    });
    assert_eq!(text, "the first panic");
    assert_eq!(lands_on(&[&first, &second]), None);
    assert_eq!(first.block_on(async { 1 }), 1);
}

#[test]
fn a_guard_that_outlives_the_block_on_that_created_it_has_no_effect_any_more() {
    let (first, second, third) = (runtime(), runtime(), runtime());
    let all = [&first, &second, &third];
    let kept = RefCell::new(None);
    first.block_on(async {
        *kept.borrow_mut() = Some(second.enter());
    });
    assert_eq!(lands_on(&all), None);
    let _current = third.enter();
    drop(kept);
    assert_eq!(lands_on(&all), Some(2));
    assert_eq!(first.block_on(async { 1 }), 1);
    assert_eq!(second.block_on(async { 2 }), 2);
    assert_eq!(lands_on(&all), Some(2));
}

/// Runs a root future with a timer beside a task that enters another runtime and leaves it entered
/// in the way of `leave`. Returns whether that task panicked.
fn beside_a_task_that_leaves_a_runtime_entered(
    leave: impl FnOnce(wakeful::runtime::EnterGuard<'static>) + 'static,
) -> Option<String> {
    let entered: &'static Runtime = Box::leak(Box::new(runtime()));
    let runs = paused();
    let handle = runs.handle().clone();
    let text = runs.block_on(async {
        let culprit = spawn(async move {
            let guard = entered.enter();
            thread::spawn(move || drop(handle.spawn(|| async {})))
                .join()
                .unwrap();
            leave(guard);
            yield_now().await;
        });
        for _ in 0..20 {
            sleep(secs(1)).await;
        }
        spawn(async {}).await.unwrap();
        let ended = culprit.await;
        ended
            .err()
            .map(|error| text_of(error.into_panic().as_ref()))
    });
    // The culprit, the task of the handle, and the last one.
    assert_eq!(runs.metrics().spawned_tasks_count, 3);
    assert_eq!(entered.metrics().spawned_tasks_count, 0);
    text
}

#[test]
fn a_task_that_holds_a_guard_across_an_await_panics_and_harms_no_other() {
    let (runs, entered) = (paused(), Rc::new(runtime()));
    let in_task = Rc::clone(&entered);
    let handle = runs.handle().clone();
    let text = runs.block_on(async {
        let culprit = spawn(async move {
            let _guard = in_task.enter();
            thread::spawn(move || drop(handle.spawn(|| async {})))
                .join()
                .unwrap();
            yield_now().await;
        });
        for _ in 0..20 {
            sleep(secs(1)).await;
        }
        text_of(culprit.await.unwrap_err().into_panic().as_ref())
    });
    assert!(
        text.contains("do not hold a guard of `Runtime::enter`"),
        "{text}"
    );
    assert_eq!(runs.metrics().spawned_tasks_count, 2);
    assert_eq!(entered.metrics().spawned_tasks_count, 0);
}

#[test]
fn a_task_that_gives_its_guard_away_panics_and_harms_no_other() {
    let kept = Rc::new(RefCell::new(None));
    let keep = Rc::clone(&kept);
    let text = beside_a_task_that_leaves_a_runtime_entered(move |guard| {
        *keep.borrow_mut() = Some(guard);
    });
    assert!(text.unwrap().contains("another runtime was entered"));
    // The guard has outlived `block_on`.
    drop(kept);
    assert!(Handle::try_current().is_err());
}

#[test]
fn a_root_future_that_holds_a_guard_across_an_await_panics() {
    let (runs, entered) = (runtime(), runtime());
    let text = panic_of(|| {
        runs.block_on(async {
            let _guard = entered.enter();
            yield_now().await;
        });
    });
    assert!(
        text.contains("do not hold a guard of `Runtime::enter`"),
        "{text}"
    );
    assert_eq!(lands_on(&[&runs, &entered]), None);
    assert_eq!(runs.block_on(async { 1 }), 1);
}

#[test]
fn objects_created_under_a_guard_work_in_block_on() {
    let runtime = paused();
    let (here, mut there) = pair();
    let (task, fd, hour) = {
        let _entered = runtime.enter();
        let fd = AsyncFd::new(here).unwrap();
        (spawn(async { "task" }), fd, sleep(secs(3600)))
    };
    there.write_all(b"x").unwrap();
    runtime.block_on(async {
        assert_eq!(task.await.unwrap(), "task");
        assert!(fd.readable().await.unwrap().ready().is_readable());
        hour.await;
    });
}

// --- block_on again ---------------------------------------------------------------------------------

#[test]
fn tasks_are_not_polled_between_two_block_ons_and_then_continue() {
    let trace = Trace::new();
    let runtime = runtime();
    let task = runtime.spawn({
        let trace = trace.clone();
        async move {
            for step in 0..200 {
                trace.push(step.to_string());
                yield_now().await;
            }
            "output"
        }
    });
    runtime.block_on(async {});
    let mut steps = trace.take();
    assert!(
        steps.is_empty(),
        "a root that is ready at once leaves no poll for tasks"
    );
    runtime.block_on(settle());
    steps.extend(trace.take());
    assert!((1..200).contains(&steps.len()));
    assert_eq!(runtime.block_on(task).unwrap(), "output");
    steps.extend(trace.take());
    let all: Vec<String> = (0..200).map(|step| step.to_string()).collect();
    assert_eq!(steps, all, "no step is lost or repeated");
}

#[test]
fn timers_and_events_that_become_due_between_two_block_ons_are_handled_in_the_next() {
    let trace = Trace::new();
    let runtime = paused();
    let (here, mut there) = pair();
    runtime.block_on(async {
        let fd = AsyncFd::new(here).unwrap();
        for seconds in [2, 1, 60] {
            let trace = trace.clone();
            spawn(async move {
                sleep(secs(seconds)).await;
                trace.push(format!("{seconds} s"));
            });
        }
        spawn({
            let trace = trace.clone();
            async move {
                drop(fd.readable().await.unwrap());
                trace.push("socket");
            }
        });
        settle().await;
    });
    {
        let _entered = runtime.enter();
        drop(wakeful::time::advance(secs(2)));
    }
    there.write_all(b"x").unwrap();
    trace.expect(&[]);
    runtime.block_on(settle());
    trace.expect(&["socket", "1 s", "2 s"]);
}

#[test]
fn a_waker_of_an_earlier_root_future_wakes_no_task() {
    let runtime = runtime();
    let stale = runtime.block_on(my_waker());
    let mut polls = 0;
    let done = runtime.spawn(settle());
    let mut done = Some(done);
    runtime.block_on(poll_fn(|cx| {
        polls += 1;
        stale.wake_by_ref();
        let polled = Pin::new(done.as_mut().unwrap()).poll(cx);
        polled.map(Result::unwrap)
    }));
    assert_eq!(polls, 2, "one pending and one ready");
    assert_eq!(runtime.metrics().wakes_stale, 2);
}

#[test]
fn a_hundred_block_ons_on_one_runtime_run_all_tasks() {
    let runtime = runtime();
    let total = Rc::new(Cell::new(0));
    for number in 0..100 {
        let total = Rc::clone(&total);
        let task = runtime.spawn(async move {
            settle().await;
            total.set(total.get() + number);
        });
        if number % 2 == 0 {
            runtime.block_on(task).unwrap();
        } else {
            drop(task);
            runtime.block_on(yield_now());
        }
    }
    runtime.block_on(async {
        settle().await;
        settle().await;
    });
    assert_eq!(total.get(), 99 * 100 / 2);
    assert_eq!(runtime.metrics().num_alive_tasks, 0);
}

// --- no runtime, or not this one --------------------------------------------------------------------

/// Asserts the panic of a call outside of a runtime.
#[track_caller]
fn no_runtime<R>(operation: &str, call: impl FnOnce() -> R) {
    let text = panic_of(call);
    let cause = "no Wakeful runtime on this thread";
    let expected = format!("{operation}: {cause}");
    assert!(text.starts_with(&expected), "{operation}: {text}");
    assert!(
        text.contains("`block_on` or `spawn`"),
        "it suggests what to do: {text}"
    );
}

/// Calls every function that needs a runtime.
fn call_everything_without_a_runtime() {
    let poll_now = |mut sleep: Sleep| poll_with(&mut sleep, Waker::noop());
    no_runtime("spawn", || spawn(async {}));
    no_runtime("spawn", || task::Builder::new().name("x").spawn(async {}));
    no_runtime("spawn_blocking", || spawn_blocking(|| ()));
    no_runtime("time::sleep", || sleep(secs(1)));
    no_runtime("time::sleep_until", || sleep_until(Instant::now()));
    no_runtime("time::timeout", || timeout(secs(1), async {}));
    no_runtime("time::interval", || interval(secs(1)));
    no_runtime("Sleep::poll", || poll_now(interval_sleep()));
    no_runtime("time::pause", wakeful::time::pause);
    no_runtime("time::resume", wakeful::time::resume);
    no_runtime("time::advance", || wakeful::time::advance(secs(1)));
    no_runtime("registering a descriptor", || AsyncFd::new(pair().0));
    no_runtime("signal", || signal(SignalKind::user_defined1()));
    no_runtime("signal", wakeful::signal::ctrl_c);
    no_runtime("metrics", wakeful::metrics);
    no_runtime("task::dump", task::dump);
    no_runtime("Handle::current", Handle::current);
    let error = Handle::try_current().unwrap_err();
    assert_eq!(error.to_string(), "no Wakeful runtime on this thread");
    assert!(task::try_id().is_none());
    assert!(Instant::now().elapsed() < secs(60));
    // These need no runtime until they are polled.
    drop(interval_at(Instant::now(), secs(1)));
    drop(yield_now());
}

/// Returns a sleep whose runtime has ended.
fn interval_sleep() -> Sleep {
    runtime().block_on(async { sleep(secs(1)) })
}

#[test]
fn without_a_runtime_every_call_that_needs_one_panics_with_a_reason() {
    call_everything_without_a_runtime();
}

#[test]
fn on_a_thread_without_a_runtime_every_call_that_needs_one_panics_with_a_reason() {
    runtime().block_on(async {
        let other_thread = thread::spawn(call_everything_without_a_runtime);
        other_thread.join().unwrap();
    });
}

#[test]
fn spawn_without_a_runtime_drops_the_future() {
    let trace = Trace::new();
    let dropped = trace.on_drop("dropped");
    let text = panic_of(|| {
        spawn(async move {
            let _held = dropped;
        })
    });
    assert!(text.starts_with("spawn:"), "{text}");
    trace.expect(&["dropped"]);
}

/// Asserts the panic of a call on an object whose runtime does not run on this thread.
#[track_caller]
fn not_here<R>(operation: &str, call: impl FnOnce() -> R) {
    let text = panic_of(call);
    assert!(
        text.starts_with(&format!("{operation} at ")),
        "{operation}: {text}"
    );
    let cause = "belongs to a Wakeful runtime that is not running on this thread";
    assert!(text.contains(cause), "{operation}: {text}");
    assert!(
        text.contains("`Handle::spawn`"),
        "it suggests what to do: {text}"
    );
}

/// Uses objects of a runtime that does not run on this thread.
fn use_outside_its_runtime(
    mut task: JoinHandle<()>,
    fd: AsyncFd<UnixStream>,
    mut armed: Sleep,
    mut listener: wakeful::signal::unix::Signal,
) {
    let mut cx = Context::from_waker(Waker::noop());
    not_here("JoinHandle::poll", || Pin::new(&mut task).poll(&mut cx));
    not_here("JoinHandle::is_finished", || task.is_finished());
    let abort = task.abort_handle();
    not_here("AbortHandle::is_finished", || abort.is_finished());
    let line = line!() + 1;
    let mut readable = fd.readable();
    let text = panic_of(|| poll_with(&mut readable, Waker::noop()));
    let place = format!("AsyncFd::readable at {}:{line}:", file!());
    assert!(text.starts_with(&place), "{text}");
    not_here("AsyncFd::readable", || {
        poll_with(&mut readable, Waker::noop())
    });
    not_here("AsyncFd::writable", || {
        poll_with(&mut fd.writable(), Waker::noop())
    });
    not_here("AsyncFd::poll_read_ready", || {
        fd.poll_read_ready(&mut cx).is_ready()
    });
    not_here("AsyncFd::try_ready", || fd.try_ready(Interest::READABLE));
    not_here("AsyncFd::try_ready", || {
        fd.try_io(Interest::READABLE, |_| Ok(()))
    });
    not_here("AsyncFd::async_io", || {
        poll_with(
            &mut fd.async_io(Interest::READABLE, |_| Ok(())),
            Waker::noop(),
        )
    });
    not_here("Signal::recv", || {
        poll_with(&mut listener.recv(), Waker::noop())
    });
    let polled = panic_of(|| poll_with(&mut armed, Waker::noop()));
    assert!(!polled.is_empty());
    // These calls are allowed everywhere.
    abort.abort();
    task.abort();
    drop(readable);
    drop((task, fd, armed, listener));
}

#[test]
fn objects_used_outside_their_runtime_panic_with_a_reason() {
    let runtime = runtime();
    let make = || {
        let _entered = runtime.enter();
        let mut armed = sleep(secs(3600));
        assert!(poll_with(&mut armed, Waker::noop()).is_pending());
        let listener = signal(SignalKind::window_change()).unwrap();
        let fd = AsyncFd::new(pair().0).unwrap();
        (runtime.spawn(async {}), fd, armed, listener)
    };
    // Without a current runtime, on the runtime's thread and on another.
    let (task, fd, armed, listener) = make();
    use_outside_its_runtime(task, fd, armed, listener);
    let (task, fd, armed, listener) = make();
    let other_thread = thread::spawn(move || use_outside_its_runtime(task, fd, armed, listener));
    other_thread.join().unwrap();
    // Inside another runtime.
    let (task, fd, armed, listener) = make();
    wakeful::block_on(async { use_outside_its_runtime(task, fd, armed, listener) });
    runtime.block_on(settle());
    let metrics = runtime.metrics();
    assert_eq!((metrics.num_alive_tasks, metrics.timers_armed), (0, 0));
    // Only the source of the signals is left.
    assert_eq!(metrics.sources, 1);
}

// --- thread-locals ----------------------------------------------------------------------------------

/// Runs `f` on a new thread and joins it, so that its thread-locals are dropped. A panic in one of
/// their drops would abort the process.
fn on_a_thread_that_ends(f: impl FnOnce() + Send + 'static) {
    thread::spawn(f).join().unwrap();
}

/// Runs a closure when its thread ends.
type AtExit = OnDrop<Box<dyn FnOnce()>>;

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
    static AT_EXIT: RefCell<Option<AtExit>> = const { RefCell::new(None) };
}

/// Stores a runtime in a thread-local. The drop of one of its tasks uses every part of the runtime.
fn leave_a_runtime_to_the_thread(trace: &Trace) {
    let runtime = runtime();
    let (here, mut there) = pair();
    runtime.block_on(async {
        let fd = AsyncFd::new(here).unwrap();
        let waker = my_waker().await;
        let mut hour = sleep(secs(3600));
        assert!(poll_with(&mut hour, Waker::noop()).is_pending());
        let task = spawn(pending::<()>());
        let dropped = trace.on_drop("task");
        spawn(async move {
            let _held = dropped;
            let _uses = on_drop(move || {
                // Each call can fail or succeed, but never aborts the process.
                drop(catch_unwind(|| drop(spawn(async {}))));
                drop(catch_unwind(|| drop(sleep(secs(1)))));
                waker.wake();
                there.write_all(b"x").unwrap();
                task.abort();
                drop((fd, hour, task));
            });
            pending::<()>().await;
        });
        settle().await;
    });
    RUNTIME.set(Some(runtime));
}

#[test]
fn a_runtime_in_a_thread_local_is_dropped_with_its_tasks_at_the_end_of_the_thread() {
    alone(|| {
        // The order in which thread-locals are dropped depends on the order of their first use. Both
        // orders are tested.
        for test_first in [true, false] {
            let trace = Trace::new();
            let result = trace.clone();
            on_a_thread_that_ends(move || {
                if test_first {
                    RUNTIME.set(None);
                }
                leave_a_runtime_to_the_thread(&trace);
            });
            result.expect(&["task"]);
        }
    });
}

#[test]
fn objects_that_outlive_their_runtime_in_a_thread_local_can_be_used_and_dropped() {
    alone(|| {
        let trace = Trace::new();
        let result = trace.clone();
        on_a_thread_that_ends(move || {
            let at_exit = |f: Box<dyn FnOnce()>| AT_EXIT.set(Some(on_drop(f)));
            // Used before the library's thread-locals, so it is dropped after them.
            at_exit(Box::new(|| ()));
            let runtime = runtime();
            let (task, hour, fd, waker) = runtime.block_on(async {
                let mut hour = sleep(secs(3600));
                assert!(poll_with(&mut hour, Waker::noop()).is_pending());
                let fd = AsyncFd::new(pair().0).unwrap();
                (spawn(pending::<()>()), hour, fd, my_waker().await)
            });
            let handle = runtime.handle().clone();
            drop(runtime);
            at_exit(Box::new(move || {
                waker.wake_by_ref();
                task.abort();
                assert!(Handle::try_current().is_err());
                let text = panic_of(|| spawn(async {}));
                assert!(text.starts_with("spawn: no Wakeful runtime"), "{text}");
                assert!(handle.spawn(|| async {}).wait().unwrap_err().is_cancelled());
                drop((task, hour, fd, waker));
                assert!(Instant::now().elapsed() < secs(60));
                trace.push("used and dropped");
            }));
        });
        result.expect(&["used and dropped"]);
    });
}

#[test]
fn a_runtime_can_be_built_and_run_in_the_drop_of_a_thread_local() {
    alone(|| {
        for test_first in [true, false] {
            let trace = Trace::new();
            let result = trace.clone();
            on_a_thread_that_ends(move || {
                if !test_first {
                    wakeful::block_on(async {});
                }
                AT_EXIT.set(Some(on_drop(Box::new(move || {
                    // The library's thread-locals can be gone already. Then building a runtime
                    // works, and calls that need the current one panic with a reason.
                    let ran =
                        catch_unwind(|| wakeful::block_on(async { spawn(async { 1 }).await }));
                    trace.push(match ran {
                        Ok(output) => format!("ran: {}", output.unwrap()),
                        Err(payload) => text_of(payload.as_ref())[..23].to_owned(),
                    });
                }))));
                wakeful::block_on(async {});
            });
            let result = result.take();
            let allowed = ["ran: 1", "spawn: no Wakeful runti"];
            assert!(
                result.len() == 1 && allowed.contains(&&*result[0]),
                "{result:?}"
            );
        }
    });
}

// --- children ---------------------------------------------------------------------------------------

#[test]
fn a_child_process_inherits_no_descriptor_of_the_runtime() {
    alone(|| {
        runtime().block_on(async {
            // Everything that opens a descriptor: epoll and eventfd, the signals' eventfd, threads.
            let _signal = signal(SignalKind::user_defined1()).unwrap();
            spawn_blocking(|| ()).await.unwrap();
            let list = spawn_blocking(|| {
                Command::new("sh")
                    .args(["-c", "ls -l /proc/self/fd"])
                    .output()
                    .unwrap()
            });
            let list = list.await.unwrap();
            assert!(list.status.success());
            let list = String::from_utf8(list.stdout).unwrap();
            assert!(list.contains(" 0 -> "), "{list}");
            for kind in ["eventpoll", "eventfd", "socket"] {
                assert!(!list.contains(kind), "{list}");
            }
        });
    });
}
