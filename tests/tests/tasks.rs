//! Tasks: wakes and polls, panics, handles in every state, aborting, and large numbers of them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::waker_clone_wake,
    reason = "waking a clone by value is what is tested"
)]
#![allow(
    clippy::async_yields_async,
    reason = "futures and handles are handed out of `block_on` on purpose"
)]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::panic::panic_any;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;

use wakeful::runtime::{Builder, UnhandledPanic};
use wakeful::spawn;
use wakeful::task::{self, JoinHandle, yield_now};
use wakeful_tests::trace::{
    Trace, alone, my_waker, on_drop, panic_of, poll_once, poll_with, runtime, settle, stderr,
    text_of,
};

// --- wakes and polls ------------------------------------------------------------------------------

/// Waits for ever and counts its polls; `at_first` runs in the first one.
fn counting_polls<F>(polls: &Rc<Cell<u32>>, at_first: F) -> impl Future<Output = ()> + use<F>
where
    F: Fn(&Waker) + 'static,
{
    let polls = Rc::clone(polls);
    poll_fn(move |cx| {
        polls.set(polls.get() + 1);
        if polls.get() == 1 {
            at_first(cx.waker());
        }
        Poll::Pending
    })
}

#[test]
fn a_task_that_wakes_itself_while_it_runs_is_polled_exactly_once_more() {
    let runtime = runtime();
    let polls = Rc::new(Cell::new(0));
    let future = counting_polls(&polls, |waker| {
        waker.wake_by_ref();
        waker.clone().wake();
        waker.wake_by_ref();
    });
    runtime.spawn(future);
    runtime.block_on(settle());
    assert_eq!(polls.get(), 2);
    let metrics = runtime.metrics();
    assert_eq!((metrics.wakes_by_task, metrics.wakes_coalesced), (1, 2));
}

#[test]
fn a_local_spawn_is_a_spawn_and_knows_its_caller() {
    let runtime = runtime();
    runtime.block_on(async {
        let task = task::spawn_local(async { Rc::new(42) });
        let record = task::dump().pop().unwrap();
        assert_eq!(record.id, task.id());
        assert_eq!(record.spawned_at.line(), line!() - 3);
        assert_eq!(*task.await.unwrap(), 42);
    });
}

#[test]
fn a_woken_task_runs_once_however_often_it_was_woken() {
    let runtime = runtime();
    let polls = Rc::new(Cell::new(0));
    let waker = Rc::new(RefCell::new(None));
    runtime.spawn(counting_polls(&polls, {
        let waker = Rc::clone(&waker);
        move |mine| *waker.borrow_mut() = Some(mine.clone())
    }));
    runtime.block_on(async {
        settle().await;
        let waker = waker.take().expect("the task was polled");
        for _ in 0..5 {
            waker.wake_by_ref();
        }
        waker.clone().wake();
        waker.wake();
        settle().await;
    });
    assert_eq!(polls.get(), 2);
    let metrics = runtime.metrics();
    assert_eq!((metrics.wakes_by_root, metrics.wakes_coalesced), (1, 6));
}

#[test]
fn the_root_future_is_polled_once_however_often_it_was_woken() {
    let runtime = runtime();
    let mut polls = 0;
    runtime.block_on(poll_fn(|cx| {
        polls += 1;
        if polls == 1 {
            cx.waker().wake_by_ref();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }));
    assert_eq!(polls, 2);
    let metrics = runtime.metrics();
    assert_eq!((metrics.root_polls, metrics.wakes_coalesced), (2, 1));
}

#[test]
fn a_waker_of_an_earlier_root_future_does_not_poll_the_next() {
    let runtime = runtime();
    let earlier = runtime.block_on(my_waker());
    let mut polls = 0;
    runtime.block_on(async {
        let mut task = spawn(async move {
            earlier.wake();
            settle().await;
        });
        let joined = poll_fn(|cx| {
            polls += 1;
            Pin::new(&mut task).poll(cx)
        });
        joined.await.unwrap();
    });
    assert_eq!(polls, 2, "at first, and when the task had ended");
    assert_eq!(runtime.metrics().wakes_stale, 1);
}

#[test]
fn a_spawned_task_is_polled_only_after_the_current_poll_has_ended() {
    let trace = Trace::new();
    runtime().block_on(async {
        let inner = spawn({
            let trace = trace.clone();
            async move { trace.say("the task") }
        });
        trace.say("after spawn");
        inner.await.unwrap();
        trace.say("joined");
    });
    trace.expect(&["after spawn", "the task", "joined"]);
}

#[test]
fn tasks_run_in_the_order_in_which_they_were_woken() {
    let trace = Trace::new();
    runtime().block_on(async {
        let wakers: Rc<RefCell<Vec<Waker>>> = Rc::default();
        for name in ["a", "b", "c"] {
            let (trace, wakers) = (trace.clone(), Rc::clone(&wakers));
            let mut polls = 0;
            spawn(poll_fn(move |cx| {
                polls += 1;
                trace.say(format!("{name}{polls}"));
                wakers.borrow_mut().push(cx.waker().clone());
                Poll::<()>::Pending
            }));
        }
        settle().await;
        trace.expect(&["a1", "b1", "c1"]);
        let [a, b, c] = <[Waker; 3]>::try_from(wakers.take()).unwrap();
        c.wake();
        a.wake_by_ref();
        b.wake();
        a.wake();
        settle().await;
    });
    trace.expect(&["c2", "a2", "b2"]);
}

#[test]
fn a_seed_gives_another_order_and_the_same_seed_the_same_one() {
    let order = |seed: Option<u64>| {
        let mut builder = Builder::new();
        if let Some(seed) = seed {
            builder = builder.rng_seed(seed);
        }
        let trace = Trace::new();
        let runtime = builder.build().unwrap();
        for number in 0..20 {
            let trace = trace.clone();
            runtime.spawn(async move { trace.say(number.to_string()) });
        }
        runtime.block_on(settle());
        trace.take()
    };
    let spawned: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(order(None), spawned);
    assert_ne!(order(Some(7)), spawned);
    assert_eq!(order(Some(7)), order(Some(7)));
    assert_ne!(order(Some(7)), order(Some(8)));
}

#[test]
fn a_task_need_not_be_send_and_neither_need_its_output() {
    let output = runtime().block_on(async {
        let shared = Rc::new(Cell::new(1));
        let task = spawn({
            let shared = Rc::clone(&shared);
            async move {
                yield_now().await;
                shared.set(2);
                shared
            }
        });
        Rc::ptr_eq(&task.await.unwrap(), &shared)
    });
    assert!(output);
}

#[test]
fn the_root_future_may_borrow() {
    let text = String::from("borrowed");
    let mut count = 0;
    runtime().block_on(async {
        for _ in text.chars() {
            yield_now().await;
            count += 1;
        }
    });
    assert_eq!(count, text.len());
}

#[test]
fn a_task_knows_its_own_id_and_nobody_else_has_one() {
    runtime().block_on(async {
        assert!(task::try_id().is_none(), "the root future is no task");
        let tasks = [spawn(async { task::id() }), spawn(async { task::id() })];
        for task in tasks {
            let id = task.id();
            assert_eq!(task.await.unwrap(), id);
        }
        let text = panic_of(task::id);
        assert!(
            text.contains("task::id: called outside of a task"),
            "{text}"
        );
    });
    assert!(task::try_id().is_none(), "there is no runtime");
}

#[test]
fn an_output_that_is_dropped_after_its_task_takes_nobody_else_for_that_task() {
    let runtime = runtime();
    let (seen, done) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(false)));
    let output = on_drop({
        let (seen, done) = (Rc::clone(&seen), Rc::clone(&done));
        move || {
            // It gets the slot that has just become free.
            let mut next = spawn(async move { done.set(true) });
            assert!(poll_with(&mut next, Waker::noop()).is_pending());
            seen.set(Some((task::try_id(), next.id())));
        }
    });
    let ended = runtime.block_on(async {
        let task = spawn(async move { output });
        let id = task.id();
        drop(task);
        settle().await;
        id
    });
    let (named, next) = seen.get().expect("it was dropped, and without a panic");
    assert_eq!(next.to_string(), "1.1", "the slot of {ended}");
    assert_eq!(named, None, "no task is polled any more");
    assert!(done.get());
    assert_eq!(runtime.metrics().panics, 0);
}

#[test]
fn ids_are_shown_with_slot_and_generation_and_are_never_used_again() {
    runtime().block_on(async {
        let mut ids = Vec::new();
        for _ in 0..3 {
            let task = spawn(async {});
            ids.push(task.id());
            task.await.unwrap();
        }
        let shown: Vec<String> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["1.0", "1.1", "1.2"], "one slot, used three times");
        assert_ne!(ids[0], ids[1]);
    });
    let other = runtime();
    let first = runtime();
    let ids = [&other, &first].map(|runtime| runtime.spawn(async {}).id());
    assert_eq!(ids[0].to_string(), ids[1].to_string());
    assert_ne!(ids[0], ids[1], "of two runtimes");
}

// --- panics ---------------------------------------------------------------------------------------

#[test]
fn a_panic_reaches_the_joiner_with_its_payload_and_the_others_go_on() {
    let trace = Trace::new();
    let runtime = runtime();
    runtime.block_on(async {
        let other = spawn({
            let trace = trace.clone();
            async move {
                for step in 0..3 {
                    trace.say(format!("other {step}"));
                    yield_now().await;
                }
            }
        });
        let text = spawn(async { panic!("a text") });
        let formatted = spawn(async { panic!("number {}", 7) });
        let value = spawn(async { panic_any(42_u8) });

        let id = text.id();
        let error = text.await.unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled());
        assert_eq!(error.id(), Some(id));
        let shown = format!("task {id} panicked with message \"a text\"");
        assert_eq!(error.to_string(), shown);
        assert_eq!(text_of(error.into_panic().as_ref()), "a text");

        let error = formatted.await.unwrap_err();
        assert_eq!(text_of(error.into_panic().as_ref()), "number 7");
        let error = value.await.unwrap_err();
        assert_eq!(error.into_panic().downcast_ref(), Some(&42_u8));
        other.await.unwrap();
    });
    trace.expect(&["other 0", "other 1", "other 2"]);
    let metrics = runtime.metrics();
    assert_eq!((metrics.panics, metrics.panics_unhandled), (3, 0));
    assert_eq!(metrics.num_alive_tasks, 0);
}

#[test]
fn the_slot_of_a_task_that_panicked_is_used_again() {
    runtime().block_on(async {
        let first = spawn(async { panic!("first") });
        let first_id = first.id().to_string();
        assert!(first.await.unwrap_err().is_panic());
        let second = spawn(async { 2 });
        let second_id = second.id().to_string();
        assert_eq!(second.await.unwrap(), 2);
        assert_eq!((&*first_id, &*second_id), ("1.0", "1.1"));
    });
}

#[test]
fn a_join_error_that_is_no_panic_gives_no_payload() {
    runtime().block_on(async {
        let task = spawn(pending::<()>());
        task.abort();
        let error = task.await.unwrap_err();
        assert!(error.is_cancelled() && !error.is_panic());
        let error = error.try_into_panic().unwrap_err();
        assert!(error.is_cancelled(), "it comes back unchanged");
        assert!(error.to_string().ends_with("was cancelled"), "{error}");
        let text = panic_of(|| error.into_panic());
        assert!(text.contains("is no panic"), "{text}");
    });
}

#[test]
fn a_panic_that_nobody_joins_is_counted_and_reported_once() {
    let here = file!();
    let output = alone(
        "a_panic_that_nobody_joins_is_counted_and_reported_once",
        || {
            let runtime = runtime();
            let task = task::Builder::new().name("worker");
            runtime.block_on(async {
                // The handle goes first.
                drop(task.spawn(async { panic!("nobody hears") }));
                settle().await;
                // The task goes first.
                let late = spawn(async { panic!("too late") });
                settle().await;
                assert!(late.is_finished());
                drop(late);
                // Somebody hears.
                assert!(spawn(async { panic!("heard") }).await.is_err());
            });
            // The runtime goes first.
            let rest = runtime.block_on(async {
                let rest = task.spawn(async { panic!("left behind") });
                settle().await;
                rest
            });
            let metrics = runtime.metrics();
            assert_eq!((metrics.panics, metrics.panics_unhandled), (4, 2));
            drop(runtime);
            drop(rest);
        },
    );
    let Some(output) = output else { return };
    let stderr = stderr(&output);
    let reports: Vec<&str> = stderr
        .lines()
        .filter(|line| line.starts_with("wakeful:"))
        .collect();
    assert_eq!(reports.len(), 3, "{stderr}");
    let [first, second, third] = [reports[0], reports[1], reports[2]];
    let named = format!("wakeful: unhandled panic of task \"worker\" spawned at {here}:");
    assert!(first.starts_with(&named), "{first}");
    assert!(
        first.ends_with("panicked with message \"nobody hears\""),
        "{first}"
    );
    let unnamed = format!("wakeful: unhandled panic of a task spawned at {here}:");
    assert!(second.starts_with(&unnamed), "{second}");
    assert!(
        second.ends_with("panicked with message \"too late\""),
        "{second}"
    );
    assert!(third.starts_with(&named), "{third}");
    assert!(
        third.ends_with("panicked with message \"left behind\""),
        "{third}"
    );
}

#[test]
fn under_shutdown_a_panic_that_nobody_joins_ends_block_on_and_nothing_else() {
    let runtime = Builder::new()
        .unhandled_panic(UnhandledPanic::ShutdownRuntime)
        .build()
        .unwrap();
    let trace = Trace::new();
    let rest = runtime.spawn({
        let trace = trace.clone();
        async move {
            loop {
                trace.say("polled");
                yield_now().await;
            }
        }
    });
    // One that is joined is heard, so it ends nothing.
    runtime.block_on(async {
        assert!(spawn(async { panic!("heard") }).await.is_err());
    });
    drop(runtime.spawn(async { panic!("unheard") }));
    let text = panic_of(|| runtime.block_on(pending::<()>()));
    assert!(
        text.contains("unhandled panic of a task spawned at"),
        "{text}"
    );
    assert!(text.contains("unheard"), "{text}");
    // The runtime lives on, and so do its tasks.
    drop(trace.take());
    runtime.block_on(settle());
    assert!(!trace.take().is_empty());
    assert!(!{
        let _entered = runtime.enter();
        rest.is_finished()
    });
}

#[test]
fn a_panic_of_the_root_future_is_the_callers_and_the_runtime_works_on() {
    let runtime = runtime();
    let task = runtime.spawn(async {
        yield_now().await;
        "finished"
    });
    let text = panic_of(|| {
        runtime.block_on(async {
            yield_now().await;
            panic!("the root's own");
        });
    });
    assert_eq!(text, "the root's own");
    assert_eq!(runtime.block_on(task).unwrap(), "finished");
    assert!(task::try_id().is_none());
}

/// A future that is ready at once and whose drop panics.
struct PanicsWhenDropped(Option<&'static str>);

impl Future for PanicsWhenDropped {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        if let Some(text) = self.0.take() {
            panic!("{text}");
        }
    }
}

#[test]
fn a_future_that_panics_while_being_dropped_at_its_end_is_a_panicked_task() {
    runtime().block_on(async {
        let error = spawn(PanicsWhenDropped(Some("at its end")))
            .await
            .unwrap_err();
        assert_eq!(text_of(error.into_panic().as_ref()), "at its end");
        spawn(async {}).await.unwrap();
    });
}

#[test]
fn a_future_that_panics_while_being_aborted_is_a_panicked_task() {
    runtime().block_on(async {
        let task = spawn(async {
            let _bomb = on_drop(|| panic!("while aborted"));
            pending::<()>().await;
        });
        settle().await;
        task.abort();
        let error = task.await.unwrap_err();
        assert_eq!(text_of(error.into_panic().as_ref()), "while aborted");
    });
}

#[test]
fn a_future_that_panics_when_polled_and_when_dropped_reports_the_first() {
    /// Panics in its poll and, not by the same unwinding, in its drop.
    struct Both(PanicsWhenDropped);
    impl Future for Both {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
            panic!("when polled");
        }
    }
    runtime().block_on(async {
        let both = Both(PanicsWhenDropped(Some("when dropped")));
        assert!(both.0.0.is_some());
        let error = spawn(both).await.unwrap_err();
        assert_eq!(text_of(error.into_panic().as_ref()), "when polled");
    });
}

#[test]
fn an_output_that_panics_while_being_dropped_harms_nobody() {
    let runtime = runtime();
    let bomb = || PanicsWhenDropped(Some("an output"));
    runtime.block_on(async {
        // Nobody will ask: dropped by the executor.
        drop(spawn(async move { bomb() }));
        settle().await;
        // Nobody asks any more: dropped with the handle.
        let late = spawn(async move { bomb() });
        settle().await;
        drop(late);
        // The joiner's own.
        let output = spawn(async move { bomb() }).await.unwrap();
        assert_eq!(panic_of(move || drop(output)), "an output");
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
    });
    let metrics = runtime.metrics();
    assert_eq!((metrics.panics, metrics.panics_unhandled), (2, 2));
    assert_eq!(metrics.num_alive_tasks, 0);
    assert!(runtime.dump().is_empty());
}

// --- handles --------------------------------------------------------------------------------------

#[test]
fn a_handle_gives_the_output_awaited_before_after_and_during_the_end() {
    runtime().block_on(async {
        // Before: the joiner waits when the task ends.
        let task = spawn(async {
            settle().await;
            "before"
        });
        assert_eq!(task.await.unwrap(), "before");

        // After: the output waits.
        let task = spawn(async { "after" });
        settle().await;
        assert!(task.is_finished());
        assert_eq!(task.await.unwrap(), "after");

        // During: the handle is asked by the task's own locals while they are dropped.
        let place: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
        let asked = Rc::new(Cell::new(None));
        let task = spawn({
            let (place, asked) = (Rc::clone(&place), Rc::clone(&asked));
            async move {
                let _asks = on_drop(move || {
                    asked.set(place.borrow().as_ref().map(JoinHandle::is_finished));
                });
                yield_now().await;
            }
        });
        *place.borrow_mut() = Some(task);
        settle().await;
        assert_eq!(
            asked.get(),
            Some(false),
            "its locals go before it has ended"
        );
        let task = place.take().unwrap();
        assert!(task.is_finished());
        task.await.unwrap();
    });
}

#[test]
fn a_handle_dropped_in_any_state_detaches_the_task() {
    let trace = Trace::new();
    let runtime = runtime();
    runtime.block_on(async {
        let task = |name: &'static str| {
            let trace = trace.clone();
            async move {
                yield_now().await;
                trace.say(format!("{name} ran"));
                trace.on_drop(format!("{name}'s output dropped"))
            }
        };
        drop(spawn(task("scheduled")));
        settle().await;
        trace.expect(&["scheduled ran", "scheduled's output dropped"]);

        let waiting = spawn(task("polled"));
        yield_now().await;
        drop(waiting);
        settle().await;
        trace.expect(&["polled ran", "polled's output dropped"]);

        let mut awaited = spawn(task("awaited"));
        assert!(poll_once(&mut awaited).await.is_pending());
        drop(awaited);
        settle().await;
        trace.expect(&["awaited ran", "awaited's output dropped"]);

        let finished = spawn(task("finished"));
        settle().await;
        trace.expect(&["finished ran"]);
        drop(finished);
        trace.expect(&["finished's output dropped"]);

        let joined = spawn(task("joined"));
        drop(joined.await.unwrap());
        trace.expect(&["joined ran", "joined's output dropped"]);
    });
    assert!(runtime.dump().is_empty());
}

#[test]
fn a_handle_that_was_awaited_here_and_dropped_elsewhere_leaves_no_joiner_in_the_slot() {
    runtime().block_on(async {
        let task = spawn(pending::<()>());
        let (abort, polls) = (task.abort_handle(), Rc::new(Cell::new(0)));
        spawn({
            let (polls, mut task) = (Rc::clone(&polls), Some(task));
            poll_fn(move |cx| {
                polls.set(polls.get() + 1);
                if let Some(mut task) = task.take() {
                    assert!(Pin::new(&mut task).poll(cx).is_pending());
                    thread::spawn(move || drop(task)).join().unwrap();
                }
                Poll::<()>::Pending
            })
        });
        settle().await;
        abort.abort();
        settle().await;
        assert!(abort.is_finished());
        // The next tenant of the slot, which ends before anybody awaits it.
        let next = spawn(async {});
        assert_eq!(next.id().to_string(), "1.1");
        settle().await;
        assert_eq!(polls.get(), 1);
        next.await.unwrap();
    });
}

#[test]
fn a_task_may_drop_its_own_handle() {
    let trace = Trace::new();
    runtime().block_on(async {
        let place: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
        let task = spawn({
            let (place, trace) = (Rc::clone(&place), trace.clone());
            async move {
                drop(place.take());
                yield_now().await;
                trace.say("to the end");
            }
        });
        *place.borrow_mut() = Some(task);
        settle().await;
    });
    trace.expect(&["to the end"]);
}

#[test]
fn a_handle_wakes_whoever_polled_it_last() {
    let trace = Trace::new();
    runtime().block_on(async {
        let wait = Rc::new(Cell::new(true));
        let task = spawn({
            let wait = Rc::clone(&wait);
            poll_fn(move |cx| {
                if wait.get() {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready("output")
            })
        });
        let handle = Rc::new(RefCell::new(task));
        for name in ["first", "second"] {
            let (handle, trace) = (Rc::clone(&handle), trace.clone());
            spawn(poll_fn(move |cx| {
                trace.say(format!("{name} polls"));
                let polled = Pin::new(&mut *handle.borrow_mut()).poll(cx);
                polled.map(|output| trace.say(format!("{name} has the {}", output.unwrap())))
            }));
        }
        settle().await;
        trace.expect(&["first polls", "second polls"]);
        wait.set(false);
        settle().await;
    });
    trace.expect(&["second polls", "second has the output"]);
}

#[test]
fn awaiting_ones_own_handle_is_an_error_with_a_reason() {
    runtime().block_on(async {
        let place: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
        let heard = Rc::new(RefCell::new(String::new()));
        let task = spawn({
            let (place, heard) = (Rc::clone(&place), Rc::clone(&heard));
            async move {
                yield_now().await;
                let mut own = place.take().expect("it was put there");
                let waker = my_waker().await;
                *heard.borrow_mut() =
                    panic_of(|| Pin::new(&mut own).poll(&mut Context::from_waker(&waker)));
            }
        });
        let id = task.id();
        *place.borrow_mut() = Some(task);
        settle().await;
        let text = format!("task {id} awaits its own JoinHandle");
        assert!(heard.borrow().starts_with(&text), "{heard:?}");
    });
}

#[test]
fn a_handle_polled_after_its_output_says_so() {
    runtime().block_on(async {
        let mut task = spawn(ready(1));
        assert_eq!((&mut task).await.unwrap(), 1);
        assert!(task.is_finished());
        let waker = my_waker().await;
        let mut cx = Context::from_waker(&waker);
        let text = panic_of(|| Pin::new(&mut task).poll(&mut cx));
        assert!(text.contains("after it had returned its output"), "{text}");
    });
}

#[test]
fn is_finished_tells_running_from_ended_for_both_kinds_of_handle() {
    runtime().block_on(async {
        let task = spawn(async { yield_now().await });
        let abort = task.abort_handle();
        assert_eq!(abort.id(), task.id());
        let both = |expected| {
            assert_eq!(task.is_finished(), expected);
            assert_eq!(abort.is_finished(), expected);
        };
        both(false);
        yield_now().await;
        both(false);
        settle().await;
        both(true);
        task.await.unwrap();
        assert!(abort.is_finished(), "gone is finished");
    });
}

#[test]
fn waiting_for_many_handles_at_once_costs_nothing_until_one_is_ready() {
    let runtime = runtime();
    let mut handles: Vec<JoinHandle<()>> = (0..500).map(|_| runtime.spawn(pending())).collect();
    // One poll asks all of them: far more than the budget of a poll has operations.
    runtime.spawn(poll_fn(move |cx| {
        for handle in &mut handles {
            assert!(Pin::new(handle).poll(cx).is_pending());
        }
        Poll::<()>::Pending
    }));
    runtime.block_on(async {
        while runtime.metrics().polls < 501 {
            yield_now().await;
        }
        settle().await;
    });
    let metrics = runtime.metrics();
    assert_eq!(
        metrics.polls, 501,
        "no task was deferred for want of budget"
    );
}

// --- abort ----------------------------------------------------------------------------------------

/// A task that says what becomes of its locals.
fn tells(trace: &Trace) -> impl Future<Output = &'static str> + use<> {
    let trace = trace.clone();
    async move {
        let _local = trace.on_drop("local dropped");
        trace.say("polled");
        yield_now().await;
        trace.say("polled again");
        pending().await
    }
}

#[test]
fn a_task_aborted_before_its_first_poll_is_never_polled() {
    let trace = Trace::new();
    runtime().block_on(async {
        let captured = trace.on_drop("captured dropped");
        let trace = trace.clone();
        let task = spawn(async move {
            trace.say("polled");
            drop(captured);
        });
        task.abort();
        assert!(
            !task.is_finished(),
            "it is cancelled in its turn, not in place"
        );
        assert!(task.await.unwrap_err().is_cancelled());
    });
    trace.expect(&["captured dropped"]);
}

#[test]
fn a_task_aborted_in_the_run_queue_is_not_polled_again() {
    let trace = Trace::new();
    runtime().block_on(async {
        let task = spawn(tells(&trace));
        yield_now().await;
        trace.expect(&["polled"]);
        // It has yielded, so it is in the queue.
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    trace.expect(&["local dropped"]);
}

#[test]
fn a_waiting_task_that_is_aborted_drops_its_locals_before_the_handle_is_ready() {
    let trace = Trace::new();
    runtime().block_on(async {
        let task = spawn(tells(&trace));
        settle().await;
        trace.expect(&["polled", "polled again"]);
        task.abort();
        trace.say("abort returned");
        assert!(task.await.unwrap_err().is_cancelled());
        trace.say("joined");
    });
    trace.expect(&["abort returned", "local dropped", "joined"]);
}

#[test]
fn a_task_that_aborts_itself_ends_when_it_next_waits() {
    let trace = Trace::new();
    runtime().block_on(async {
        let place: Rc<RefCell<Option<task::AbortHandle>>> = Rc::default();
        let task = spawn({
            let (place, trace) = (Rc::clone(&place), trace.clone());
            async move {
                let _local = trace.on_drop("local dropped");
                place.take().unwrap().abort();
                trace.say("goes on to its next wait");
                yield_now().await;
                trace.say("never");
            }
        });
        *place.borrow_mut() = Some(task.abort_handle());
        assert!(task.await.unwrap_err().is_cancelled());
    });
    trace.expect(&["goes on to its next wait", "local dropped"]);
}

#[test]
fn a_task_that_ends_in_the_poll_in_which_it_is_aborted_ends_normally() {
    runtime().block_on(async {
        let place: Rc<RefCell<Option<task::AbortHandle>>> = Rc::default();
        let task = spawn({
            let place = Rc::clone(&place);
            async move {
                place.take().unwrap().abort();
                "output"
            }
        });
        *place.borrow_mut() = Some(task.abort_handle());
        assert_eq!(task.await.unwrap(), "output");
    });
}

#[test]
fn aborting_a_task_that_has_ended_leaves_its_output_alone() {
    runtime().block_on(async {
        let task = spawn(ready("output"));
        let abort = task.abort_handle();
        settle().await;
        task.abort();
        abort.abort();
        settle().await;
        assert_eq!(task.await.unwrap(), "output");
        abort.abort();
    });
}

#[test]
fn aborting_twice_is_aborting_once() {
    let trace = Trace::new();
    let runtime = runtime();
    runtime.block_on(async {
        let task = spawn(tells(&trace));
        settle().await;
        task.abort();
        task.abort();
        task.abort_handle().abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    trace.expect(&["polled", "polled again", "local dropped"]);
    assert_eq!(runtime.metrics().wakes_by_abort, 1);
}

#[test]
fn an_abort_handle_outlives_the_handle_and_still_aborts() {
    let trace = Trace::new();
    runtime().block_on(async {
        let abort = spawn(tells(&trace)).abort_handle();
        settle().await;
        assert!(!abort.is_finished());
        abort.abort();
        settle().await;
        assert!(abort.is_finished());
    });
    trace.expect(&["polled", "polled again", "local dropped"]);
}

// --- numbers that are out of date -----------------------------------------------------------------

#[test]
fn a_waker_of_an_ended_task_does_not_poll_the_next_tenant_of_its_slot() {
    let runtime = runtime();
    let polls = Rc::new(Cell::new(0));
    runtime.block_on(async {
        let first = spawn(my_waker());
        let slot = first.id().to_string();
        let stale = first.await.unwrap();
        let second = spawn(counting_polls(&polls, |_| ()));
        assert_eq!((&*slot, &*second.id().to_string()), ("1.0", "1.1"));
        settle().await;
        assert_eq!(polls.get(), 1);
        stale.wake_by_ref();
        stale.wake();
        settle().await;
        assert_eq!(polls.get(), 1);
    });
    assert_eq!(runtime.metrics().wakes_stale, 2);
}

#[test]
fn a_waker_of_a_finished_task_that_waits_to_be_joined_does_nothing() {
    let runtime = runtime();
    runtime.block_on(async {
        let (give, take) = (Rc::new(RefCell::new(None)), Rc::new(Cell::new(0)));
        let task = spawn({
            let (give, take) = (Rc::clone(&give), Rc::clone(&take));
            async move {
                *give.borrow_mut() = Some(my_waker().await);
                take.set(take.get() + 1);
            }
        });
        settle().await;
        give.take().unwrap().wake();
        settle().await;
        assert_eq!(take.get(), 1);
        task.await.unwrap();
    });
    let metrics = runtime.metrics();
    assert_eq!((metrics.polls, metrics.wakes_coalesced), (1, 1));
}

#[test]
fn an_abort_handle_of_an_ended_task_does_not_abort_the_next_tenant_of_its_slot() {
    runtime().block_on(async {
        let first = spawn(async {});
        let stale = first.abort_handle();
        first.await.unwrap();
        let second = spawn(async {
            settle().await;
            "unharmed"
        });
        assert_eq!(second.id().to_string(), "1.1", "it has the slot");
        yield_now().await;
        stale.abort();
        assert!(stale.is_finished());
        assert_eq!(second.await.unwrap(), "unharmed");
    });
}

#[test]
fn a_task_that_woke_itself_in_its_last_poll_leaves_nothing_behind() {
    let runtime = runtime();
    let polls = Rc::new(Cell::new(0));
    runtime.block_on(async {
        let first = spawn(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Ready(())
        }));
        first.await.unwrap();
        // Takes the slot before the key that the wake has left in the queue comes up.
        spawn(counting_polls(&polls, |_| ()));
        settle().await;
    });
    assert_eq!(polls.get(), 1);
}

// --- large numbers --------------------------------------------------------------------------------

#[test]
fn a_hundred_thousand_tasks_are_spawned_woken_and_joined() {
    // Ten times as many in a release build.
    const TASKS: usize = if cfg!(debug_assertions) {
        100_000
    } else {
        1_000_000
    };
    let runtime = runtime();
    let sum = runtime.block_on(async {
        let wakers = Rc::new(RefCell::new(Vec::with_capacity(TASKS)));
        let handles: Vec<JoinHandle<usize>> = (0..TASKS)
            .map(|number| {
                let wakers = Rc::clone(&wakers);
                let mut waited = false;
                spawn(poll_fn(move |cx| {
                    if std::mem::replace(&mut waited, true) {
                        return Poll::Ready(number);
                    }
                    wakers.borrow_mut().push(cx.waker().clone());
                    Poll::Pending
                }))
            })
            .collect();
        while wakers.borrow().len() < TASKS {
            yield_now().await;
        }
        wakers.take().into_iter().for_each(Waker::wake);
        let mut sum = 0;
        for handle in handles {
            sum += handle.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, TASKS * (TASKS - 1) / 2);
    let metrics = runtime.metrics();
    let spawned = TASKS as u64;
    assert_eq!(metrics.polls, 2 * spawned, "no poll that nobody asked for");
    assert_eq!(
        metrics.wakes_by_root,
        spawned + metrics.root_polls - metrics.root_polls
    );
    assert_eq!(metrics.num_alive_tasks, 0);
    assert!(runtime.dump().is_empty());
}

/// A thread with a small stack, on which a recursion over 100,000 steps cannot go unnoticed.
fn on_a_small_stack(f: impl FnOnce() + Send + 'static) {
    let small = thread::Builder::new().stack_size(256 * 1024);
    small.spawn(f).unwrap().join().unwrap();
}

#[test]
fn a_chain_of_wakes_does_not_recurse() {
    let test = "a_chain_of_wakes_does_not_recurse";
    alone(test, || {
        on_a_small_stack(|| {
            runtime().block_on(async {
                let mut next = spawn(async {});
                for _ in 0..100_000 {
                    let last = next;
                    next = spawn(async move { last.await.unwrap() });
                }
                next.await.unwrap();
            });
        });
    });
}

#[test]
fn a_chain_of_outputs_that_hold_one_another_is_dropped_without_recursion() {
    /// Holds the handle of a task whose output holds the handle of a task, and so on.
    struct Link(#[expect(dead_code, reason = "only dropped")] Option<JoinHandle<Link>>);

    let test = "a_chain_of_outputs_that_hold_one_another_is_dropped_without_recursion";
    alone(test, || {
        on_a_small_stack(|| {
            let runtime = runtime();
            let chain = || {
                let mut link = Link(None);
                for _ in 0..100_000 {
                    link = Link(Some(spawn(ready(link))));
                }
                link
            };
            runtime.block_on(async {
                let link = chain();
                while runtime.metrics().polls < 100_000 {
                    yield_now().await;
                }
                drop(link);
                assert_eq!(runtime.dump().len(), 0);
            });
            // And at the end of the runtime.
            let link = runtime.block_on(async { chain() });
            runtime.block_on(async {
                while runtime.metrics().polls < 200_000 {
                    yield_now().await;
                }
            });
            drop(runtime);
            drop(link);
        });
    });
}

#[test]
fn a_chain_of_tasks_that_hold_one_another_ends_with_the_runtime_without_recursion() {
    let test = "a_chain_of_tasks_that_hold_one_another_ends_with_the_runtime_without_recursion";
    alone(test, || {
        on_a_small_stack(|| {
            let runtime = runtime();
            runtime.block_on(async {
                let mut next = spawn(pending::<()>());
                for _ in 0..100_000 {
                    let last = next;
                    next = spawn(async move { last.await.unwrap() });
                }
                settle().await;
            });
            drop(runtime);
        });
    });
}

#[test]
fn a_future_that_is_large_and_pinned_moves_neither_while_it_waits_nor_when_it_ends() {
    runtime().block_on(async {
        let task = spawn(async {
            let large = [7_u8; 64 * 1024];
            let place = &raw const large as usize;
            let held = pin!(large);
            yield_now().await;
            let unmoved = held.as_ptr() as usize == place || held.iter().all(|byte| *byte == 7);
            yield_now().await;
            unmoved && held.iter().map(|byte| usize::from(*byte)).sum::<usize>() == 7 * 65_536
        });
        assert!(task.await.unwrap());
    });
}
