//! The check of stage 5: each end of a task, joined before it, after it and never.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use probe::{
    Case, Diagnosis, DropNote, Outcome, Picture, Stage, Trace, WakeCount, expect, fail, on_drop,
    on_wake, yield_once,
};
use stage::{Executor, JoinError, JoinHandle};

static STAGE: Stage = Stage {
    number: 5,
    diagnoses: &[
        Diagnosis {
            id: "5.1",
            what: "the joiner is not woken",
            why: "the end of the task has to wake the task that awaits the handle",
            section: "Output and joiner",
            function: "finish",
        },
        Diagnosis {
            id: "5.2",
            what: "the output of a task that ended before the join is lost",
            why: "the output has to wait in the shared place until the handle is polled",
            section: "Output and joiner",
            function: "poll",
        },
        Diagnosis {
            id: "5.3",
            what: "the panic of one task ends the executor",
            why: "a panic has to be caught around the poll, and become the end of this task only",
            section: "A panic ends one task",
            function: "poll_task",
        },
        Diagnosis {
            id: "5.4",
            what: "a task was polled after its abort",
            why: "the poll has to look for the abort before it polls the future",
            section: "An abort is a request",
            function: "poll_task",
        },
        Diagnosis {
            id: "5.5",
            what: "an aborted task keeps its future",
            why: "the task waits for something else, so `abort` has to let it be polled",
            section: "An abort is a request",
            function: "abort",
        },
        Diagnosis {
            id: "5.6",
            what: "an abort after the end replaces the output",
            why: "the task has ended: its output is there and stays",
            section: "An abort is a request",
            function: "abort",
        },
        Diagnosis {
            id: "5.7",
            what: "the shared place is borrowed while a waker is called or dropped",
            why: "both can run any code that needs the shared place: end your borrow before",
            section: "Output and joiner",
            function: "finish",
        },
        Diagnosis {
            id: "5.8",
            what: "the first waker was kept, and the task that joins now is not woken",
            why: "the handle has moved to another task, and only its newest waker wakes that task",
            section: "Output and joiner",
            function: "poll",
        },
        Diagnosis {
            id: "5.9",
            what: "the joiner is woken before the output is there",
            why: "a waker can run the joiner at once: what it waits for is stored first",
            section: "Output and joiner",
            function: "finish",
        },
        Diagnosis {
            id: "5.10",
            what: "the handle answers for a task that has not ended",
            why: "an abort is a request: the handle waits until the task's poll has carried it out",
            section: "An abort is a request",
            function: "poll",
        },
        Diagnosis {
            id: "5.11",
            what: "the shared place keeps a joiner that was woken",
            why: "`finish` calls a clone: a waker can keep its task in memory, as long as the handle is there",
            section: "Output and joiner",
            function: "finish",
        },
    ],
    cases: &[
        Case { name: "a joiner that waits gets the output", run: joined_before_the_end },
        Case { name: "a joiner that comes later gets the output", run: joined_after_the_end },
        Case { name: "a panic ends one task", run: a_panic_ends_one_task },
        Case { name: "an aborted task is not polled again", run: an_aborted_task_is_not_polled },
        Case { name: "an aborted task that waits is dropped", run: an_aborted_task_is_dropped },
        Case {
            name: "the joiner of an aborted task comes after its drop",
            run: dropped_then_joined,
        },
        Case { name: "an abort after the end changes nothing", run: a_late_abort_changes_nothing },
        Case { name: "a task without a handle runs to its end", run: a_detached_task_runs },
        Case { name: "the newest joiner is woken", run: the_newest_joiner_is_woken },
        Case { name: "a waker can poll the handle", run: a_waker_can_poll_the_handle },
        Case { name: "the drop of a waker can poll the handle", run: a_drop_can_poll_the_handle },
        Case { name: "a joiner that was woken is gone", run: a_woken_joiner_is_gone },
    ],
    panics: &[
        ("already borrowed", "5.7"),
        ("already mutably borrowed", "5.7"),
        ("a task of the check panics", "5.3"),
    ],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

/// Describes what a handle returned.
fn text(result: Result<u32, JoinError>) -> String {
    match result {
        Ok(output) => format!("Ok({output})"),
        Err(JoinError::Aborted) => "Aborted".to_owned(),
        Err(JoinError::Panicked(_)) => "Panicked".to_owned(),
    }
}

/// Polls a handle from outside of any task.
fn poll(handle: &mut JoinHandle<u32>) -> Poll<String> {
    let (_count, waker) = WakeCount::new();
    Pin::new(handle).poll(&mut Context::from_waker(&waker)).map(text)
}

/// Spawns a task that awaits a handle and writes down what it gets.
fn spawn_joiner(executor: &Executor, trace: &Trace, handle: JoinHandle<u32>) {
    let trace = trace.clone();
    drop(executor.spawn(async move {
        trace.note("the joiner waits");
        let result = handle.await;
        trace.note(format!("joined {}", text(result)));
    }));
}

fn joined_before_the_end() -> Outcome {
    let (trace, executor) = (Trace::new(), Executor::new());
    let inside = trace.clone();
    let handle = executor.spawn(async move {
        yield_once().await;
        inside.note("the task ends");
        7
    });
    spawn_joiner(&executor, &trace, handle);
    executor.run();
    if trace.only("joined").is_empty() {
        return fail("5.1", trace.steps(), "joined Ok(7)", "the joiner is asleep forever");
    }
    expect(trace.steps(), "joined Ok(7)", &trace.only("joined"))
}

fn joined_after_the_end() -> Outcome {
    let (trace, executor) = (Trace::new(), Executor::new());
    let mut handle = executor.spawn(async { 7 });
    executor.run();
    trace.note("the task has ended");
    let seen = match poll(&mut handle) {
        Poll::Ready(seen) => seen,
        Poll::Pending => return fail("5.2", trace.steps(), "Ok(7)", "Pending"),
    };
    expect(trace.steps(), "Ok(7)", &seen)
}

fn a_panic_ends_one_task() -> Outcome {
    let (trace, executor) = (Trace::new(), Executor::new());
    let note = DropNote::new(&trace, "the future is dropped");
    let handle = executor.spawn(async move {
        let _note = note;
        yield_once().await;
        panic!("a task of the check panics")
    });
    spawn_joiner(&executor, &trace, handle);
    let other = trace.clone();
    drop(executor.spawn(async move {
        yield_once().await;
        yield_once().await;
        other.note("another task ends");
    }));
    executor.run();
    let seen = trace.steps()[1..].join(", ");
    let expected = "the future is dropped, joined Panicked, another task ends";
    expect(trace.steps(), expected, &seen)
}

fn an_aborted_task_is_not_polled() -> Outcome {
    let (trace, executor) = (Trace::new(), Executor::new());
    let inside = trace.clone();
    let mut handle = executor.spawn(poll_fn(move |cx| {
        inside.note("poll the task");
        // Scheduled at any time, so also when it is aborted.
        cx.waker().wake_by_ref();
        if inside.poll_count() > 8 { Poll::Ready(7) } else { Poll::Pending }
    }));
    handle.abort();
    trace.note("abort");
    // The joiner takes the output before the task is polled, if it is there already.
    let early = poll(&mut handle);
    executor.run();
    if trace.poll_count() > 0 {
        return fail("5.4", trace.steps(), "no poll after the abort", trace.polls());
    }
    let seen = match early {
        Poll::Ready(seen) => seen,
        Poll::Pending => match poll(&mut handle) {
            Poll::Ready(seen) => seen,
            Poll::Pending => "Pending".to_owned(),
        },
    };
    expect(trace.steps(), "Aborted", &seen)
}

fn an_aborted_task_is_dropped() -> Outcome {
    let (trace, executor) = (Trace::new(), Executor::new());
    let note = DropNote::new(&trace, "the future is dropped");
    let mut handle = executor.spawn(async move {
        let _note = note;
        pending::<u32>().await
    });
    executor.run();
    handle.abort();
    trace.note("abort");
    executor.run();
    trace.note("run ends");
    if !trace.steps().contains(&"the future is dropped".to_owned()) {
        return fail("5.5", trace.steps(), "the future is dropped", trace.steps().join(", "));
    }
    match poll(&mut handle) {
        Poll::Ready(seen) => expect(trace.steps(), "Aborted", &seen),
        Poll::Pending => expect(trace.steps(), "Aborted", "Pending"),
    }
}

fn dropped_then_joined() -> Outcome {
    let (trace, executor) = (Trace::new(), Executor::new());
    let note = DropNote::new(&trace, "the future is dropped");
    let mut handle = executor.spawn(async move {
        let _note = note;
        pending::<u32>().await
    });
    executor.run();
    handle.abort();
    trace.note("abort");
    if let Poll::Ready(seen) = poll(&mut handle) {
        return fail("5.10", trace.steps(), "Pending until the future is dropped", seen);
    }
    executor.run();
    match poll(&mut handle) {
        Poll::Ready(seen) => expect(trace.steps(), "Aborted", &seen),
        Poll::Pending => fail("5.1", trace.steps(), "Aborted", "Pending"),
    }
}

fn a_late_abort_changes_nothing() -> Outcome {
    let (trace, executor) = (Trace::new(), Executor::new());
    let mut handle = executor.spawn(async { 7 });
    executor.run();
    handle.abort();
    executor.run();
    trace.note("the task ends");
    trace.note("abort");
    match poll(&mut handle) {
        Poll::Ready(seen) if seen == "Ok(7)" => Ok(()),
        Poll::Ready(seen) => fail("5.6", trace.steps(), "Ok(7)", seen),
        Poll::Pending => fail("5.6", trace.steps(), "Ok(7)", "Pending"),
    }
}

fn a_detached_task_runs() -> Outcome {
    let (trace, executor) = (Trace::new(), Executor::new());
    let inside = trace.clone();
    drop(executor.spawn(async move {
        yield_once().await;
        inside.note("the task ends");
    }));
    let left = executor.run();
    let seen = format!("{}, {left} left", trace.steps().join(", "));
    expect(trace.steps(), "the task ends, 0 left", &seen)
}

fn the_newest_joiner_is_woken() -> Outcome {
    let executor = Executor::new();
    let mut handle = executor.spawn(async {
        yield_once().await;
        7
    });
    let ((a, waker_a), (b, waker_b)) = (WakeCount::new(), WakeCount::new());
    for waker in [&waker_a, &waker_b] {
        let polled = Pin::new(&mut handle).poll(&mut Context::from_waker(waker));
        assert!(polled.is_pending());
    }
    executor.run();
    let seen = format!("A woken {} times, B woken {} times", a.get(), b.get());
    if b.get() == 1 {
        return Ok(());
    }
    let steps = ["A polls the handle", "B polls the handle", "the task ends"];
    fail("5.8", steps.map(str::to_owned).into(), "B woken 1 times", seen)
}

fn a_waker_can_poll_the_handle() -> Outcome {
    let (trace, executor) = (Trace::new(), Executor::new());
    let handle = executor.spawn(async {
        yield_once().await;
        7
    });
    let handle = Rc::new(RefCell::new(handle));
    let (inside, notes) = (Rc::clone(&handle), trace.clone());
    let waker = on_wake(move || {
        if let Poll::Ready(seen) = poll(&mut inside.borrow_mut()) {
            notes.note(seen);
        }
    });
    let polled = Pin::new(&mut *handle.borrow_mut()).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    executor.run();
    let seen = trace.steps().join(", ");
    match seen.is_empty() {
        true => fail("5.9", Vec::new(), "Ok(7)", "Pending, when the joiner is called"),
        false => expect(trace.steps(), "Ok(7)", &seen),
    }
}

fn a_drop_can_poll_the_handle() -> Outcome {
    let executor = Rc::new(Executor::new());
    let mut handle = executor.spawn(pending::<u32>());
    let inside = Rc::clone(&executor);
    // The task is polled in the drop, and looks into the shared place.
    let first = on_drop(move || {
        inside.run();
    });
    assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&first)).is_pending());
    drop(first);
    match poll(&mut handle) {
        Poll::Pending => Ok(()),
        Poll::Ready(seen) => expect(Vec::new(), "Pending", &seen),
    }
}

fn a_woken_joiner_is_gone() -> Outcome {
    let executor = Executor::new();
    let mut handle = executor.spawn(async {
        yield_once().await;
        7
    });
    let (count, waker) = WakeCount::new();
    assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    executor.run();
    let after_the_end = count.is_kept();
    let seen = poll(&mut handle);
    if after_the_end && count.is_kept() {
        let steps = ["the joiner polls the handle", "the task ends", "the joiner polls again"];
        let seen = "a clone is left, while the handle is there";
        return fail(
            "5.11",
            steps.map(str::to_owned).into(),
            "no clone of the waker is left",
            seen,
        );
    }
    expect(Vec::new(), "Ready(\"Ok(7)\")", &format!("{seen:?}"))
}

const PICTURE: Picture = Picture {
    title: "Three ends of a task",
    description: "Task a returns 7, task b panics, and task c waits until it is aborted. The joiner gets an \
                  output, a panic and an abort. Task c is dropped before the joiner gets the abort.",
    lanes: &["a", "b", "c", "joiner"],
    run: || {
        let (trace, executor) = (Trace::new(), Executor::new());
        let (a, b, c, joiner) = (trace.clone(), trace.clone(), trace.clone(), trace.clone());
        let note = DropNote::new(&trace, "c dropped");
        let first = executor.spawn(async move {
            a.note("a poll");
            a.note("a Ready(7)");
            7
        });
        let second = executor.spawn(async move {
            b.note("b poll");
            b.note("b panics");
            panic!("a task of the check panics")
        });
        let third = executor.spawn(async move {
            let _note = note;
            c.note("c poll");
            c.note("c Pending");
            pending::<u32>().await
        });
        drop(executor.spawn(async move {
            joiner.note(format!("joiner gets {}", text(first.await)));
            joiner.note(format!("joiner gets {}", text(second.await)));
            joiner.note("joiner aborts c");
            third.abort();
            joiner.note(format!("joiner gets {}", text(third.await)));
        }));
        executor.run();
        probe::lanes(&trace.steps(), &["a", "b", "c", "joiner"])
    },
};
