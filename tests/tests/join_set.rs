//! `JoinSet`: many tasks, joined in the order in which they finish.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};
use std::thread;

use wakeful::block_on;
use wakeful::task::{JoinSet, yield_now};
use wakeful::time::sleep;
use wakeful_tests::trace::{
    Hooks, Trace, Wakes, my_waker, on_drop, panic_of, paused, poll_once, poll_with, runtime, secs,
    settle,
};

#[test]
fn outputs_are_joined_in_the_order_in_which_tasks_finish() {
    paused().block_on(async {
        let mut set = JoinSet::new();
        for seconds in [3, 1, 2] {
            set.spawn(async move {
                sleep(secs(seconds)).await;
                seconds
            });
        }
        assert_eq!(set.len(), 3);
        let mut order = Vec::new();
        while let Some(joined) = set.join_next().await {
            order.push(joined.unwrap());
        }
        assert_eq!(order, [1, 2, 3]);
        assert!(set.is_empty());
        assert!(set.join_next().await.is_none(), "called again");
    });
}

#[test]
fn joining_an_empty_set_returns_none() {
    block_on(async {
        let mut set = JoinSet::<()>::new();
        assert!(set.is_empty());
        assert!(set.join_next().await.is_none());
        assert!(set.join_next_with_id().await.is_none());
        assert!(set.try_join_next().is_none());
        let next = poll_fn(|cx| set.poll_join_next(cx)).await;
        assert!(next.is_none());
        set.shutdown().await;
        assert_eq!(set.join_all().await, []);
    });
}

#[test]
fn panicked_and_aborted_tasks_are_joined_with_their_errors() {
    block_on(async {
        let mut set = JoinSet::new();
        set.spawn(async { panic!("deliberate") });
        let aborted = set.spawn(pending::<()>());
        set.spawn(async {});
        aborted.abort();
        let panicked = set.join_next().await.unwrap().unwrap_err();
        assert!(panicked.is_panic(), "{panicked}");
        let cancelled = set.join_next_with_id().await.unwrap().unwrap_err();
        assert!(cancelled.is_cancelled());
        assert_eq!(cancelled.id(), Some(aborted.id()));
        set.join_next().await.unwrap().unwrap();
        assert!(set.join_next().await.is_none());
    });
}

#[test]
fn dropping_the_set_aborts_its_tasks() {
    let trace = Trace::new();
    block_on(async {
        let mut set = JoinSet::new();
        for word in ["one", "two"] {
            let held = trace.on_drop(word);
            set.spawn(async move {
                let _held = held;
                pending::<()>().await;
            });
        }
        settle().await;
        trace.push("drop");
        drop(set);
        settle().await;
        trace.push("end");
    });
    trace.expect(&["drop", "one", "two", "end"]);
}

#[test]
fn detached_tasks_keep_running_and_are_not_joined() {
    let trace = Trace::new();
    paused().block_on(async {
        let mut set = JoinSet::new();
        let words = trace.clone();
        set.spawn(async move {
            sleep(secs(1)).await;
            words.push("detached");
            "detached"
        });
        settle().await;
        set.detach_all();
        assert!(set.is_empty());
        assert!(set.join_next().await.is_none());
        // Reuses the entry of the detached task.
        set.spawn(async {
            sleep(secs(2)).await;
            "member"
        });
        assert_eq!(set.join_next().await.unwrap().unwrap(), "member");
        trace.push("joined");
        drop(set);
    });
    trace.expect(&["detached", "joined"]);
}

#[test]
fn detaching_drops_outputs_that_were_not_taken() {
    let trace = Trace::new();
    block_on(async {
        let mut set = JoinSet::new();
        let held = trace.on_drop("output");
        set.spawn(async { held });
        settle().await;
        set.detach_all();
        trace.push("detached");
        assert!(set.try_join_next().is_none());
    });
    trace.expect(&["output", "detached"]);
}

#[test]
fn shutdown_waits_until_all_tasks_are_dropped() {
    let trace = Trace::new();
    block_on(async {
        let mut set = JoinSet::new();
        for word in ["one", "two"] {
            let held = trace.on_drop(word);
            set.spawn(async move {
                let _held = held;
                pending::<()>().await;
            });
        }
        set.spawn(async {});
        settle().await;
        set.shutdown().await;
        trace.push("shut down");
        assert!(set.is_empty());
    });
    trace.expect(&["one", "two", "shut down"]);
}

#[test]
fn abort_all_keeps_the_outputs_of_finished_tasks() {
    block_on(async {
        let mut set = JoinSet::new();
        set.spawn(async { "done" });
        settle().await;
        set.spawn(pending());
        set.abort_all();
        assert_eq!(set.len(), 2);
        assert_eq!(set.join_next().await.unwrap().unwrap(), "done");
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
    });
}

#[test]
fn join_all_returns_every_output_or_resumes_the_panic() {
    block_on(async {
        let mut set: JoinSet<_> = (0..2).map(|n| async move { n }).collect();
        set.extend((2..3).map(|n| async move { n }));
        assert_eq!(set.join_all().await, [0, 1, 2]);
    });
    let text = panic_of(|| {
        block_on(async {
            let mut set = JoinSet::new();
            set.spawn(async { panic!("the first panic") });
            set.spawn(pending::<()>());
            set.join_all().await;
        });
    });
    assert_eq!(text, "the first panic");
    let text = panic_of(|| {
        block_on(async {
            let mut set = JoinSet::<()>::new();
            set.spawn(pending()).abort();
            set.join_all().await;
        });
    });
    assert!(text.contains("was cancelled"), "{text}");
}

#[test]
fn try_join_next_never_waits_and_spends_no_budget() {
    block_on(async {
        let mut set: JoinSet<_> = (0..1_000).map(|n| async move { n }).collect();
        assert!(set.try_join_next().is_none(), "no task has run yet");
        while set.try_join_next_with_id().is_none() {
            yield_now().await;
        }
        for _ in 0..100 {
            yield_now().await;
        }
        // Joins all in one poll, far more than the budget of a poll.
        let mut rest = 0;
        while let Some(joined) = set.try_join_next() {
            rest += joined.map(|_| 1).unwrap();
        }
        assert_eq!(rest, 999);
        assert!(set.is_empty());
    });
}

#[test]
fn joining_finished_tasks_spends_the_budget() {
    let trace = Trace::new();
    runtime().block_on(async {
        let words = trace.clone();
        wakeful::spawn(async move {
            let mut set: JoinSet<_> = (0..200).map(|_| async {}).collect();
            for _ in 0..20 {
                yield_now().await;
            }
            let other = words.clone();
            wakeful::spawn(async move { other.push("other task") });
            while let Some(joined) = set.join_next().await {
                joined.unwrap();
            }
            words.push("all joined");
        })
        .await
        .unwrap();
    });
    trace.expect(&["other task", "all joined"]);
}

#[test]
fn many_finished_tasks_cause_one_wake() {
    let runtime = runtime();
    let wakes = Wakes::new();
    let mut set = runtime.block_on(async {
        (0..100)
            .map(|n| async move {
                yield_now().await;
                n
            })
            .collect::<JoinSet<_>>()
    });
    runtime.block_on(async {
        assert!(poll_with(&mut set.join_next(), &wakes.waker()).is_pending());
        let mut next = poll_fn(|cx| set.poll_join_next(cx));
        assert!(poll_with(&mut next, &wakes.waker()).is_pending());
        for _ in 0..10 {
            yield_now().await;
        }
    });
    assert_eq!(wakes.count(), 1);
    assert_eq!(set.len(), 100);
    runtime.block_on(async { assert_eq!(set.join_all().await.len(), 100) });
}

#[test]
fn a_dropped_join_next_leaves_no_waker_behind() {
    block_on(async {
        let wakes = Wakes::new();
        let mut set = JoinSet::new();
        set.spawn(pending::<()>());
        let waker = wakes.waker();
        let mut next = set.join_next();
        assert!(poll_with(&mut next, &waker).is_pending());
        assert!(poll_with(&mut next, &waker).is_pending());
        assert_eq!(wakes.alive(), 2);
        drop(next);
        assert_eq!(wakes.alive(), 1, "only the test's waker is left");
    });
}

#[test]
fn only_the_last_stored_waker_is_woken() {
    block_on(async {
        let (first, last) = (Wakes::new(), Wakes::new());
        let mut set = JoinSet::new();
        set.spawn(async {});
        for wakes in [&first, &last] {
            let mut next = poll_fn(|cx| set.poll_join_next(cx));
            assert!(poll_with(&mut next, &wakes.waker()).is_pending());
        }
        settle().await;
        assert_eq!((first.count(), last.count()), (0, 1));
    });
}

#[test]
fn blocking_closures_and_local_tasks_are_joined_in_the_same_set() {
    block_on(async {
        let (send, receive) = mpsc::channel();
        let mut set = JoinSet::new();
        set.spawn_blocking(move || receive.recv().unwrap());
        set.spawn_local(async { "from a task" });
        assert_eq!(set.join_next().await.unwrap().unwrap(), "from a task");
        assert!(set.try_join_next().is_none());
        send.send("from a thread").unwrap();
        assert_eq!(set.join_next().await.unwrap().unwrap(), "from a thread");
    });
}

#[test]
fn a_task_built_in_a_set_has_its_name_and_location() {
    let runtime = runtime();
    runtime.block_on(async {
        let mut set = JoinSet::new();
        let task = set.build_task().name("worker").spawn(pending::<()>());
        let tasks = wakeful::task::dump();
        let info = tasks
            .iter()
            .find(|info| info.id == task.as_ref().unwrap().id());
        let info = info.unwrap();
        assert_eq!(info.name.as_deref(), Some("worker"));
        assert!(info.spawned_at.file().ends_with("join_set.rs"));
        assert!(info.spawned_at.file().contains("tests"));
    });
}

#[test]
fn the_task_info_of_a_joining_task_has_operation_and_location() {
    let runtime = runtime();
    let joiner = runtime.spawn(async {
        let mut set = JoinSet::new();
        set.spawn(pending::<()>());
        set.join_next().await.unwrap().unwrap();
    });
    runtime.block_on(settle());
    let tasks = runtime.dump().tasks;
    let info = tasks.iter().find(|info| info.id == joiner.id());
    let waiting = info.unwrap().waiting.as_ref().unwrap();
    assert_eq!(waiting.operation, "JoinSet::join_next");
    assert!(waiting.location.file().ends_with("tests/join_set.rs"));
}

#[test]
fn a_set_that_outlives_its_runtime_returns_cancelled() {
    let runtime = runtime();
    let mut set = JoinSet::new();
    runtime.block_on(async {
        set.spawn(pending::<()>());
        set.spawn(pending::<()>());
    });
    drop(runtime);
    block_on(async {
        assert!(set.try_join_next().unwrap().unwrap_err().is_cancelled());
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert!(set.join_next().await.is_none());
    });
}

#[test]
fn a_spawn_without_a_runtime_panics_and_leaves_the_set_unchanged() {
    let mut set = JoinSet::new();
    let text = panic_of(|| set.spawn(async {}));
    assert!(text.contains("JoinSet::spawn"), "{text}");
    assert!(text.contains("no Wakeful runtime"), "{text}");
    assert!(set.is_empty());
}

#[test]
fn a_task_spawned_during_shutdown_is_joined_as_cancelled() {
    let joined = Rc::new(Cell::new(None));
    let seen = Rc::clone(&joined);
    let runtime = runtime();
    runtime.spawn(async move {
        let _at_the_end = on_drop(move || {
            let mut set = JoinSet::new();
            set.spawn(async {});
            seen.set(set.try_join_next().map(|joined| joined.is_err()));
        });
        pending::<()>().await;
    });
    runtime.block_on(settle());
    drop(runtime);
    assert_eq!(joined.get(), Some(true));
}

#[test]
fn a_set_can_be_dropped_on_another_thread() {
    let trace = Trace::new();
    let runtime = runtime();
    let held = trace.on_drop("dropped");
    let mut set = JoinSet::new();
    runtime.block_on(async {
        set.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        settle().await;
    });
    thread::spawn(move || drop(set)).join().unwrap();
    trace.push("set dropped");
    runtime.block_on(settle());
    trace.expect(&["set dropped", "dropped"]);
}

#[test]
fn joining_on_another_thread_panics_and_loses_no_output() {
    let runtime = runtime();
    let mut set = JoinSet::new();
    runtime.block_on(async {
        set.spawn(async { 42 });
        settle().await;
    });
    let mut set = thread::spawn(move || {
        let text = panic_of(|| set.try_join_next());
        assert!(text.contains("not running on this thread"), "{text}");
        let text = panic_of(|| block_on(set.join_next()));
        assert!(text.contains("not running on this thread"), "{text}");
        set
    })
    .join()
    .unwrap();
    runtime.block_on(async { assert_eq!(set.join_next().await.unwrap().unwrap(), 42) });
}

#[test]
fn joining_inside_a_wake_waits_until_the_task_has_finished() {
    let runtime = runtime();
    runtime.block_on(async {
        let set = Arc::new(Mutex::new(JoinSet::new()));
        let task = my_waker().await;
        let joined = Arc::new(Mutex::new(Vec::new()));
        let waker = {
            let (set, joined) = (Arc::clone(&set), Arc::clone(&joined));
            let task = task.clone();
            Hooks::new()
                .on_wake(move || {
                    // Runs inside the last poll of the task.
                    let mut cx = Context::from_waker(&task);
                    let polled = set.lock().unwrap().poll_join_next(&mut cx);
                    joined.lock().unwrap().push(polled.is_ready());
                })
                .waker()
        };
        set.lock().unwrap().spawn(async { 7 });
        {
            let mut cx = Context::from_waker(&waker);
            assert!(set.lock().unwrap().poll_join_next(&mut cx).is_pending());
        }
        let mut next = poll_fn(|cx| set.lock().unwrap().poll_join_next(cx));
        // The waker of this task is stored only by the poll inside `on_wake`.
        let mut polls = 0;
        let output = poll_fn(|cx| {
            polls += 1;
            if polls == 1 {
                return Poll::Pending;
            }
            Pin::new(&mut next).poll(cx)
        })
        .await;
        assert_eq!(output.unwrap().unwrap(), 7);
        assert_eq!(*joined.lock().unwrap(), [false]);
    });
}

#[test]
fn a_panicking_waker_does_not_lose_the_output() {
    block_on(async {
        let mut set = JoinSet::new();
        set.spawn(async { "output" });
        let bad_waker = Hooks::new().on_wake(|| panic!("a bad waker")).waker();
        let mut cx = Context::from_waker(&bad_waker);
        assert!(set.poll_join_next(&mut cx).is_pending());
        settle().await;
        assert_eq!(set.join_next().await.unwrap().unwrap(), "output");
        assert_eq!(wakeful::metrics().panics_unhandled, 1);
    });
}

#[test]
fn entries_are_reused_and_old_notifications_match_no_task() {
    paused().block_on(async {
        let mut set = JoinSet::new();
        for round in 0..100 {
            set.spawn(async move { round });
            let mut next = set.join_next();
            assert!(poll_once(&mut next).await.is_pending());
            assert_eq!(next.await.unwrap().unwrap(), round);
        }
        assert!(set.is_empty());
    });
}

#[test]
fn a_set_of_tasks_that_are_not_send_is_send() {
    fn is_send<T: Send>(_: &T) {}
    block_on(async {
        let mut set = JoinSet::new();
        let not_send = Rc::new(1);
        set.spawn(async move { *not_send });
        is_send(&set);
        assert!(format!("{set:?}").contains("len: 1"));
        assert_eq!(set.join_next().await.unwrap().unwrap(), 1);
    });
}
