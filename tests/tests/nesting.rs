//! Runtimes inside runtimes, beside one another, in thread-locals and nowhere: what works, and what
//! the panic says where it cannot work.

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

/// What a nested `block_on` has to say about the outer one, which began in the given line.
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
        // The outer one works on.
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
        yield_now().await;
    });
    runtime.block_on(async {});
}

#[test]
fn a_nested_block_on_is_located_where_the_user_wrote_it() {
    let test = "a_nested_block_on_is_located_where_the_user_wrote_it";
    let output = alone(test, || {
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
    let (_, line) = stderr.split_once("the next line is ").expect("it said so");
    let (line, _) = line.split_once(':').expect("and nothing else");
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
fn block_on_inside_a_drop_of_a_task_is_caught_and_the_runtime_works_on() {
    let text = Rc::new(RefCell::new(String::new()));
    runtime().block_on(async {
        let task = spawn({
            let text = Rc::clone(&text);
            async move {
                let _blocks = on_drop(move || {
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
fn another_thread_may_block_while_this_one_does() {
    runtime().block_on(async {
        let inner = spawn_blocking(|| wakeful::block_on(async { spawn(async { 7 }).await }));
        assert_eq!(inner.await.unwrap().unwrap(), 7);
    });
}

// --- several runtimes on one thread -----------------------------------------------------------------

#[test]
fn two_runtimes_on_one_thread_take_turns_and_keep_their_tasks_apart() {
    let trace = Trace::new();
    let (first, second) = (runtime(), runtime());
    let tells = |name: &'static str| {
        let trace = trace.clone();
        async move {
            for step in 1..=2 {
                trace.say(format!("{name} {step}"));
                pending_once().await;
            }
        }
    };
    first.spawn(tells("first"));
    second.spawn(tells("second"));
    for _ in 0..2 {
        first.block_on(settle());
        second.block_on(settle());
    }
    trace.expect(&["first 1", "second 1", "first 2", "second 2"]);
    assert_eq!(first.metrics().num_alive_tasks, 1);
    drop(first);
    assert_eq!(second.metrics().num_alive_tasks, 1);
}

/// Pending until the next `block_on`: woken at the beginning of no turn of this one.
async fn pending_once() {
    let started = wakeful::metrics().root_polls;
    loop {
        // Five polls of the root are one `settle`.
        if wakeful::metrics().root_polls >= started + 5 {
            return;
        }
        yield_now().await;
    }
}

#[test]
fn a_task_may_spawn_on_another_runtime_and_await_what_it_did_there() {
    let trace = Trace::new();
    let (outer, inner) = (runtime(), Rc::new(runtime()));
    let remote = inner.handle().clone();
    let task = outer.block_on(async {
        let task = inner.spawn({
            let trace = trace.clone();
            async move { trace.say("runs there") }
        });
        // Awaiting it here cannot work: its runtime does not run.
        let waker = my_waker().await;
        let mut task = Some(task);
        let text = panic_of(|| {
            let mut cx = Context::from_waker(&waker);
            Pin::new(task.as_mut().unwrap()).poll(&mut cx)
        });
        assert!(text.contains("not running on this thread"), "{text}");
        let from_there = remote.spawn(|| async { "from there" });
        trace.say("the outer one ends");
        (task.unwrap(), from_there)
    });
    let (task, from_there) = task;
    inner.block_on(async move {
        task.await.unwrap();
        assert_eq!(from_there.await.unwrap(), "from there");
    });
    trace.expect(&["the outer one ends", "runs there"]);
}

#[test]
fn a_runtime_may_be_built_and_dropped_in_a_task_of_another() {
    let trace = Trace::new();
    let outer = runtime();
    outer.block_on(async {
        let task = spawn({
            let trace = trace.clone();
            async move {
                let inner = runtime();
                let dropped = trace.on_drop("the inner task");
                inner.spawn(async move {
                    let _held = dropped;
                    pending::<()>().await;
                });
                yield_now().await;
                drop(inner);
                // This thread's runtime is the outer one again.
                spawn(async { 1 }).await.unwrap()
            }
        });
        assert_eq!(task.await.unwrap(), 1);
    });
    trace.expect(&["the inner task"]);
    assert_eq!(outer.metrics().spawned_tasks_count, 2);
}

#[test]
fn waking_a_task_of_a_runtime_from_inside_another_one_arrives() {
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

/// The runtime on which a spawn lands now, told by its counters.
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
fn guards_nest_and_give_back_what_was_there_before() {
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
        // `block_on` of another one, too.
        second.block_on(async { assert_eq!(lands_on(&both), Some(1)) });
        assert_eq!(lands_on(&both), Some(0));
    }
    assert_eq!(lands_on(&both), None);
}

#[test]
fn guards_dropped_out_of_order_panic_and_leave_the_thread_as_it_should_be() {
    let (first, second, third) = (runtime(), runtime(), runtime());
    let all = [&first, &second, &third];
    let one = first.enter();
    let two = second.enter();
    let three = third.enter();
    let text = panic_of(|| drop(one));
    assert!(text.contains("dropped out of order"), "{text}");
    assert!(text.contains("drop the last one first"), "{text}");
    assert_eq!(lands_on(&all), Some(2), "the last one entered still counts");
    drop(three);
    assert_eq!(lands_on(&all), Some(1));
    drop(two);
    assert_eq!(lands_on(&all), None, "nothing is left behind");
    // And everything works as before.
    let again = first.enter();
    assert_eq!(lands_on(&all), Some(0));
    drop(again);
    assert_eq!(first.block_on(async { 1 }), 1);
    drop((first, second, third));
    assert!(Handle::try_current().is_err());
}

#[test]
fn guards_dropped_out_of_order_while_unwinding_leave_the_thread_as_it_should_be() {
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
fn a_guard_that_outlives_the_block_on_it_was_made_in_is_an_error() {
    let (first, second) = (runtime(), runtime());
    let kept = RefCell::new(None);
    let text = panic_of(|| {
        first.block_on(async {
            *kept.borrow_mut() = Some(second.enter());
        });
    });
    assert!(text.contains("dropped out of order"), "{text}");
    drop(kept);
    assert_eq!(lands_on(&[&first, &second]), None);
    assert_eq!(first.block_on(async { 1 }), 1);
    assert_eq!(second.block_on(async { 2 }), 2);
}

#[test]
fn a_guard_held_across_an_await_loses_no_wake_of_the_runtime_that_runs() {
    let (runs, entered) = (paused(), runtime());
    runs.block_on(async {
        let _guard = entered.enter();
        for _ in 0..10 {
            yield_now().await;
        }
        let both = [&runs, &entered];
        assert_eq!(lands_on(&both), Some(1), "the guard says where spawns go");
    });
}

#[test]
fn things_can_be_made_under_a_guard_and_used_in_block_on() {
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
fn tasks_rest_between_two_block_ons_and_then_go_on() {
    let trace = Trace::new();
    let runtime = runtime();
    let task = runtime.spawn({
        let trace = trace.clone();
        async move {
            for step in 0..200 {
                trace.say(step.to_string());
                yield_now().await;
            }
            "output"
        }
    });
    runtime.block_on(async {});
    let mut steps = trace.take();
    assert!(
        steps.is_empty(),
        "a root that is ready at once leaves no time for others"
    );
    runtime.block_on(settle());
    steps.extend(trace.take());
    assert!((1..200).contains(&steps.len()));
    assert_eq!(runtime.block_on(task).unwrap(), "output");
    steps.extend(trace.take());
    let all: Vec<String> = (0..200).map(|step| step.to_string()).collect();
    assert_eq!(steps, all, "no step is lost or done twice");
}

#[test]
fn timers_and_sockets_that_became_due_between_two_block_ons_are_served_in_the_next() {
    let trace = Trace::new();
    let runtime = paused();
    let (here, mut there) = pair();
    runtime.block_on(async {
        let fd = AsyncFd::new(here).unwrap();
        for seconds in [2, 1, 60] {
            let trace = trace.clone();
            spawn(async move {
                sleep(secs(seconds)).await;
                trace.say(format!("{seconds} s"));
            });
        }
        spawn({
            let trace = trace.clone();
            async move {
                drop(fd.readable().await.unwrap());
                trace.say("socket");
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
fn a_waker_of_an_earlier_root_future_wakes_nobody() {
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
    assert_eq!(polls, 2, "one to wait and one to be ready");
    assert_eq!(runtime.metrics().wakes_stale, 2);
}

#[test]
fn a_hundred_block_ons_on_one_runtime() {
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

/// What a call outside of a runtime has to say.
#[track_caller]
fn no_runtime<R>(operation: &str, call: impl FnOnce() -> R) {
    let text = panic_of(call);
    let cause = "no Wakeful runtime on this thread";
    let expected = format!("{operation}: {cause}");
    assert!(text.starts_with(&expected), "{operation}: {text}");
    assert!(
        text.contains("`block_on` or `spawn`"),
        "it says what to do: {text}"
    );
}

/// Every function that needs a runtime, called without one.
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
    // Nothing to do with a runtime until it is polled.
    drop(interval_at(Instant::now(), secs(1)));
    drop(yield_now());
}

/// A sleep that was made inside a runtime, which needs none to exist.
fn interval_sleep() -> Sleep {
    runtime().block_on(async { sleep(secs(1)) })
}

#[test]
fn outside_of_a_runtime_everything_that_needs_one_says_so() {
    call_everything_without_a_runtime();
}

#[test]
fn on_a_foreign_thread_everything_that_needs_a_runtime_says_so() {
    runtime().block_on(async {
        let elsewhere = thread::spawn(call_everything_without_a_runtime);
        elsewhere.join().unwrap();
    });
}

#[test]
fn what_was_spawned_is_dropped_when_there_is_no_runtime_to_spawn_it_on() {
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

/// What using a handle beside its runtime has to say.
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
        "it says what to do: {text}"
    );
}

/// Uses things of a runtime that lives elsewhere.
fn use_beside_its_runtime(
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
    // These are allowed everywhere.
    abort.abort();
    task.abort();
    drop(readable);
    drop((task, fd, armed, listener));
}

#[test]
fn things_used_beside_their_runtime_say_where_they_belong() {
    let runtime = runtime();
    let make = || {
        let _entered = runtime.enter();
        let mut armed = sleep(secs(3600));
        assert!(poll_with(&mut armed, Waker::noop()).is_pending());
        let listener = signal(SignalKind::window_change()).unwrap();
        let fd = AsyncFd::new(pair().0).unwrap();
        (runtime.spawn(async {}), fd, armed, listener)
    };
    // Outside of every runtime, on its thread and on another one.
    let (task, fd, armed, listener) = make();
    use_beside_its_runtime(task, fd, armed, listener);
    let (task, fd, armed, listener) = make();
    let elsewhere = thread::spawn(move || use_beside_its_runtime(task, fd, armed, listener));
    elsewhere.join().unwrap();
    // Inside another one.
    let (task, fd, armed, listener) = make();
    wakeful::block_on(async { use_beside_its_runtime(task, fd, armed, listener) });
    runtime.block_on(settle());
    let metrics = runtime.metrics();
    assert_eq!((metrics.num_alive_tasks, metrics.timers_armed), (0, 0));
    // The signal's own source is all that is left.
    assert_eq!(metrics.sources, 1);
}

// --- thread-locals ----------------------------------------------------------------------------------

/// Runs `f` on a thread that ends with it, thread-locals and all; a panic in one of their drops would
/// abort the process.
fn on_a_thread_that_ends(f: impl FnOnce() + Send + 'static) {
    thread::spawn(f).join().unwrap();
}

/// Runs when its thread ends.
type AtExit = OnDrop<Box<dyn FnOnce()>>;

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
    static AT_EXIT: RefCell<Option<AtExit>> = const { RefCell::new(None) };
}

/// Leaves a runtime in a thread-local, with a task whose drop uses everything of it.
fn leave_a_runtime_to_the_thread(trace: &Trace) {
    let runtime = runtime();
    let (here, mut there) = pair();
    runtime.block_on(async {
        let fd = AsyncFd::new(here).unwrap();
        let waker = my_waker().await;
        let mut hour = sleep(secs(3600));
        assert!(poll_with(&mut hour, Waker::noop()).is_pending());
        let task = spawn(pending::<()>());
        let dropped = trace.on_drop("the task");
        spawn(async move {
            let _held = dropped;
            let _uses = on_drop(move || {
                // Refused or done, but never an abort.
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
    let test = "a_runtime_in_a_thread_local_is_dropped_with_its_tasks_at_the_end_of_the_thread";
    alone(test, || {
        // The order in which thread-locals are dropped hangs on that of their first use, so both.
        for ours_first in [true, false] {
            let trace = Trace::new();
            let heard = trace.clone();
            on_a_thread_that_ends(move || {
                if ours_first {
                    RUNTIME.set(None);
                }
                leave_a_runtime_to_the_thread(&trace);
            });
            heard.expect(&["the task"]);
        }
    });
}

#[test]
fn what_outlives_its_runtime_in_a_thread_local_may_be_dropped_and_used_there() {
    let test = "what_outlives_its_runtime_in_a_thread_local_may_be_dropped_and_used_there";
    alone(test, || {
        let trace = Trace::new();
        let heard = trace.clone();
        on_a_thread_that_ends(move || {
            let at_exit = |f: Box<dyn FnOnce()>| AT_EXIT.set(Some(on_drop(f)));
            // First used before anything of the library's, so it is dropped after that.
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
                trace.say("used and dropped");
            }));
        });
        heard.expect(&["used and dropped"]);
    });
}

#[test]
fn a_whole_runtime_may_be_run_in_the_drop_of_a_thread_local() {
    let test = "a_whole_runtime_may_be_run_in_the_drop_of_a_thread_local";
    alone(test, || {
        for ours_first in [true, false] {
            let trace = Trace::new();
            let heard = trace.clone();
            on_a_thread_that_ends(move || {
                if !ours_first {
                    wakeful::block_on(async {});
                }
                AT_EXIT.set(Some(on_drop(Box::new(move || {
                    // With the library's thread-locals the way to find a runtime may be gone: then
                    // building one works, and what has to find it says so.
                    let ran =
                        catch_unwind(|| wakeful::block_on(async { spawn(async { 1 }).await }));
                    trace.say(match ran {
                        Ok(output) => format!("ran: {}", output.unwrap()),
                        Err(payload) => text_of(payload.as_ref())[..23].to_owned(),
                    });
                }))));
                wakeful::block_on(async {});
            });
            let heard = heard.take();
            let fine = ["ran: 1", "spawn: no Wakeful runti"];
            assert!(heard.len() == 1 && fine.contains(&&*heard[0]), "{heard:?}");
        }
    });
}

// --- children ---------------------------------------------------------------------------------------

#[test]
fn a_child_process_inherits_no_descriptor_of_the_runtime() {
    let test = "a_child_process_inherits_no_descriptor_of_the_runtime";
    alone(test, || {
        runtime().block_on(async {
            // Everything that opens one: epoll and eventfd, the signals' eventfd, threads.
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
