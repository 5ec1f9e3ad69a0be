//! Tasks: wakes and polls, handles in every state, outdated wakers, and large numbers of tasks.

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
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;

use wakeful::runtime::Builder;
use wakeful::spawn;
use wakeful::task::{self, JoinHandle, yield_now};
use wakeful_tests::trace::{
    Trace, alone, my_waker, on_drop, panic_of, poll_once, poll_with, runtime, settle,
};

// --- wakes and polls ------------------------------------------------------------------------------

/// Never ends, and counts its polls. `at_first` runs in the first one.
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
fn a_task_that_wakes_itself_during_its_poll_is_polled_once_more() {
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
fn spawn_local_spawns_a_task_and_records_its_caller() {
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
fn a_task_woken_several_times_runs_once() {
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
fn the_root_future_woken_several_times_is_polled_once() {
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
            async move { trace.push("task") }
        });
        trace.push("after spawn");
        inner.await.unwrap();
        trace.push("joined");
    });
    trace.expect(&["after spawn", "task", "joined"]);
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
                trace.push(format!("{name}{polls}"));
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
fn a_seed_changes_the_order_and_the_same_seed_repeats_it() {
    let order = |seed: Option<u64>| {
        let mut builder = Builder::new();
        if let Some(seed) = seed {
            builder = builder.rng_seed(seed);
        }
        let trace = Trace::new();
        let runtime = builder.build().unwrap();
        for number in 0..20 {
            let trace = trace.clone();
            runtime.spawn(async move { trace.push(number.to_string()) });
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
fn a_task_and_its_output_need_not_be_send() {
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
fn the_root_future_can_borrow() {
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
fn a_task_can_read_its_id_and_other_code_has_none() {
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
fn an_output_dropped_after_its_task_has_ended_sees_no_task_id() {
    let runtime = runtime();
    let (seen, done) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(false)));
    let output = on_drop({
        let (seen, done) = (Rc::clone(&seen), Rc::clone(&done));
        move || {
            // Gets the row that has just become free.
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
    let (named, next) = seen.get().expect("the output was dropped without a panic");
    assert_eq!(next.to_string(), "1.1", "the row of {ended}");
    assert_eq!(named, None, "no task is being polled");
    assert!(done.get());
    assert_eq!(runtime.metrics().panics, 0);
}

#[test]
fn ids_show_row_and_generation_and_are_never_reused() {
    runtime().block_on(async {
        let mut ids = Vec::new();
        for _ in 0..3 {
            let task = spawn(async {});
            ids.push(task.id());
            task.await.unwrap();
        }
        let shown: Vec<String> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["1.0", "1.1", "1.2"], "one row, used three times");
        assert_ne!(ids[0], ids[1]);
    });
    let other = runtime();
    let first = runtime();
    let ids = [&other, &first].map(|runtime| runtime.spawn(async {}).id());
    assert_eq!(ids[0].to_string(), ids[1].to_string());
    assert_ne!(ids[0], ids[1], "of two runtimes");
}

// --- handles --------------------------------------------------------------------------------------

#[test]
fn a_handle_returns_the_output_before_during_and_after_the_tasks_end() {
    runtime().block_on(async {
        // Before: the joiner waits when the task ends.
        let task = spawn(async {
            settle().await;
            "before"
        });
        assert_eq!(task.await.unwrap(), "before");

        // After: the output is stored until it is joined.
        let task = spawn(async { "after" });
        settle().await;
        assert!(task.is_finished());
        assert_eq!(task.await.unwrap(), "after");

        // During: a local of the task asks the handle while it is dropped.
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
            "its locals are dropped before it has ended"
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
                trace.push(format!("{name} ran"));
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
    assert!(runtime.dump().tasks.is_empty());
}

#[test]
fn a_handle_awaited_and_then_dropped_on_another_thread_leaves_no_joiner() {
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
        // The next occupant of the row, which ends before it is awaited.
        let next = spawn(async {});
        assert_eq!(next.id().to_string(), "1.1");
        settle().await;
        assert_eq!(polls.get(), 1);
        next.await.unwrap();
    });
}

#[test]
fn a_task_can_drop_its_own_handle() {
    let trace = Trace::new();
    runtime().block_on(async {
        let place: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
        let task = spawn({
            let (place, trace) = (Rc::clone(&place), trace.clone());
            async move {
                drop(place.take());
                yield_now().await;
                trace.push("ended");
            }
        });
        *place.borrow_mut() = Some(task);
        settle().await;
    });
    trace.expect(&["ended"]);
}

#[test]
fn a_handle_wakes_the_last_task_that_polled_it() {
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
                trace.push(format!("{name} polls"));
                let polled = Pin::new(&mut *handle.borrow_mut()).poll(cx);
                polled.map(|output| trace.push(format!("{name} has the {}", output.unwrap())))
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
fn a_task_that_awaits_its_own_handle_panics_with_a_reason() {
    runtime().block_on(async {
        let place: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
        let message = Rc::new(RefCell::new(String::new()));
        let task = spawn({
            let (place, message) = (Rc::clone(&place), Rc::clone(&message));
            async move {
                yield_now().await;
                let mut own = place.take().expect("the task's own handle");
                let waker = my_waker().await;
                *message.borrow_mut() =
                    panic_of(|| Pin::new(&mut own).poll(&mut Context::from_waker(&waker)));
            }
        });
        let id = task.id();
        *place.borrow_mut() = Some(task);
        settle().await;
        let text = format!("task {id} awaits its own JoinHandle");
        assert!(message.borrow().starts_with(&text), "{message:?}");
    });
}

#[test]
fn a_handle_polled_after_its_output_panics_with_a_reason() {
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
fn is_finished_agrees_for_both_kinds_of_handle() {
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
        assert!(abort.is_finished(), "a joined task is finished");
    });
}

#[test]
fn polling_many_pending_handles_takes_nothing_off_the_budget() {
    let runtime = runtime();
    let mut handles: Vec<JoinHandle<()>> = (0..500).map(|_| runtime.spawn(pending())).collect();
    // One poll checks all of them, which is far more than the budget of a poll.
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

// --- outdated wakers and handles ------------------------------------------------------------------

#[test]
fn a_waker_of_an_ended_task_does_not_poll_the_next_occupant_of_its_row() {
    let runtime = runtime();
    let polls = Rc::new(Cell::new(0));
    runtime.block_on(async {
        let first = spawn(my_waker());
        let row = first.id().to_string();
        let stale = first.await.unwrap();
        let second = spawn(counting_polls(&polls, |_| ()));
        assert_eq!((&*row, &*second.id().to_string()), ("1.0", "1.1"));
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
fn a_waker_of_a_finished_task_that_is_not_joined_does_nothing() {
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
fn an_abort_handle_of_an_ended_task_does_not_abort_the_next_occupant_of_its_row() {
    runtime().block_on(async {
        let first = spawn(async {});
        let stale = first.abort_handle();
        first.await.unwrap();
        let second = spawn(async {
            settle().await;
            "not aborted"
        });
        assert_eq!(second.id().to_string(), "1.1", "the same row");
        yield_now().await;
        stale.abort();
        assert!(stale.is_finished());
        assert_eq!(second.await.unwrap(), "not aborted");
    });
}

#[test]
fn a_task_that_wakes_itself_in_its_last_poll_does_not_wake_the_next_occupant() {
    let runtime = runtime();
    let polls = Rc::new(Cell::new(0));
    runtime.block_on(async {
        let first = spawn(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Ready(())
        }));
        first.await.unwrap();
        // Takes the row before the executor pops the key that the wake has queued.
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
    assert_eq!(metrics.polls, 2 * spawned, "no poll without a wake");
    assert_eq!(
        metrics.wakes_by_root,
        spawned + metrics.root_polls - metrics.root_polls
    );
    assert_eq!(metrics.num_alive_tasks, 0);
    assert!(runtime.dump().tasks.is_empty());
}

/// Runs `f` on a thread whose stack is too small for a recursion over 100,000 steps.
fn on_a_small_stack(f: impl FnOnce() + Send + 'static) {
    let small = thread::Builder::new().stack_size(256 * 1024);
    small.spawn(f).unwrap().join().unwrap();
}

#[test]
fn a_chain_of_wakes_does_not_recurse() {
    alone(|| {
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
fn a_chain_of_outputs_that_own_one_another_is_dropped_without_recursion() {
    /// Owns the handle of a task whose output owns the handle of a task, and so on.
    struct Link(#[expect(dead_code, reason = "only dropped")] Option<JoinHandle<Link>>);

    alone(|| {
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
                assert_eq!(runtime.dump().tasks.len(), 0);
            });
            // The same when the runtime is dropped first.
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
fn a_chain_of_tasks_that_await_one_another_is_dropped_without_recursion() {
    alone(|| {
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
fn a_large_pinned_future_is_not_moved() {
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
