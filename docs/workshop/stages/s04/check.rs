//! The check of stage 4.

use std::rc::Rc;

use probe::{
    Case, Diagnosis, DropNote, Outcome, Picture, Scripted, Slot, Stage, Trace, Watched, expect,
    fail, is_asleep_forever,
};
use stage::Executor;

static STAGE: Stage = Stage {
    number: 4,
    diagnoses: &[
        Diagnosis {
            id: "4.1",
            what: "the task that was woken last is polled first",
            why: "the queue is emptied from the end at which it is filled",
            section: "The run queue",
            function: "run",
        },
        Diagnosis {
            id: "4.2",
            what: "a task is polled once for each wake",
            why: "each wake puts the number into the queue, although it is there already",
            section: "One place in the queue",
            function: "wake_by_ref",
        },
        Diagnosis {
            id: "4.3",
            what: "a task is polled although it was not woken",
            why: "the executor polls its tasks, and not the numbers in the queue",
            section: "The run queue",
            function: "run",
        },
        Diagnosis {
            id: "4.4",
            what: "a wake that came while the task was polled is lost",
            why: "`scheduled` was cleared after the poll, and took the wake with it",
            section: "Before, not after",
            function: "poll",
        },
        Diagnosis {
            id: "4.5",
            what: "a task is never scheduled again after its first poll",
            why: "`scheduled` stays set, so every later wake does nothing",
            section: "Before, not after",
            function: "poll",
        },
        Diagnosis {
            id: "4.6",
            what: "a finished task keeps its future",
            why: "the future has to be dropped when it is ready, whatever still holds its waker",
            section: "The end of a task",
            function: "poll",
        },
        Diagnosis {
            id: "4.7",
            what: "a task is polled once only",
            why: "the future was taken out to be polled, and not put back after `Pending`",
            section: "Take it out",
            function: "poll",
        },
        Diagnosis {
            id: "4.8",
            what: "the table is borrowed while a task is polled or dropped",
            why: "both can run any code, such as a spawn: the borrow in `poll` has to end before",
            section: "Take it out",
            function: "poll",
        },
        Diagnosis {
            id: "4.9",
            what: "the queue is locked while a task is polled",
            why: "a task that wakes itself needs the lock: take the number in a statement of its own",
            section: "Take it out",
            function: "run",
        },
    ],
    cases: &[
        Case { name: "tasks run in the order of their wakes", run: tasks_run_in_order },
        Case { name: "several wakes are one poll", run: several_wakes_are_one_poll },
        Case { name: "a wake during the poll is not lost", run: a_wake_during_the_poll_is_kept },
        Case { name: "a task can spawn", run: a_task_can_spawn },
        Case { name: "a finished future is dropped at once", run: a_finished_future_is_dropped },
        Case { name: "a task can spawn when it is dropped", run: a_task_can_spawn_in_its_drop },
        Case { name: "a task that was not woken is not polled", run: no_poll_without_a_wake },
        Case { name: "a wake after the end does nothing", run: a_late_wake_does_nothing },
    ],
    panics: &[("already borrowed", "4.8"), ("already mutably borrowed", "4.8")],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

fn tasks_run_in_order() -> Outcome {
    let trace = Trace::new();
    let executor = Executor::new();
    let slots = [Slot::new(), Slot::new(), Slot::new()];
    for (name, slot) in ["a", "b", "c"].into_iter().zip(&slots) {
        trace.note(format!("spawn {name}"));
        executor.spawn(Scripted::new(name, &trace).stores_waker(slot).ready());
    }
    executor.run();
    let first = trace.polls();
    if trace.poll_count() > 3 {
        return fail("4.3", trace.steps(), "poll a, poll b, poll c", first);
    }
    if first == "poll c, poll b, poll a" {
        return fail("4.1", trace.steps(), "poll a, poll b, poll c", first);
    }
    for (name, slot) in [("b", &slots[1]), ("c", &slots[2]), ("a", &slots[0])] {
        trace.note(format!("wake {name}"));
        slot.wake();
    }
    executor.run();
    let expected = "poll a, poll b, poll c, poll b, poll c, poll a";
    let seen = trace.polls();
    if seen == "poll a, poll b, poll c" {
        return fail(never_polled_again(&executor), trace.steps(), expected, seen);
    }
    expect(trace.steps(), expected, &seen)
}

/// Looks why a task is not polled again. A future that was
/// not put back is dropped after its first poll.
fn never_polled_again(executor: &Executor) -> &'static str {
    let trace = Trace::new();
    let slot = Slot::new();
    let note = DropNote::new(&trace, "dropped");
    let inside = slot.clone();
    executor.spawn(async move {
        let _note = note;
        std::future::poll_fn(|cx| {
            inside.set(cx.waker());
            std::task::Poll::<()>::Pending
        })
        .await;
    });
    executor.run();
    if trace.steps().is_empty() { "4.5" } else { "4.7" }
}

fn several_wakes_are_one_poll() -> Outcome {
    let trace = Trace::new();
    let executor = Executor::new();
    let slot = Slot::new();
    executor.spawn(Scripted::new("a", &trace).stores_waker(&slot));
    executor.run();
    for _ in 0..3 {
        trace.note("wake a");
        slot.wake();
    }
    executor.run();
    match trace.poll_count() {
        3.. => fail("4.2", trace.steps(), "poll a, poll a", trace.polls()),
        _ => expect(trace.steps(), "poll a, poll a", &trace.polls()),
    }
}

fn no_poll_without_a_wake() -> Outcome {
    let trace = Trace::new();
    let executor = Executor::new();
    executor.spawn(Scripted::new("a", &trace));
    executor.spawn(Scripted::new("b", &trace).ready());
    let left = executor.run();
    trace.note(format!("run returns {left}"));
    if trace.poll_count() > 2 {
        return fail("4.3", trace.steps(), "poll a, poll b", trace.polls());
    }
    expect(trace.steps(), "poll a, poll b; 1 left", &format!("{}; {left} left", trace.polls()))
}

fn a_wake_during_the_poll_is_kept() -> Outcome {
    let trace = Trace::new();
    let inside = trace.clone();
    let thread = Watched::spawn(move || {
        let executor = Executor::new();
        inside.note("spawn a");
        executor.spawn(Scripted::new("a", &inside).wakes_itself().ready());
        executor.run();
        inside.note("run ends");
    });
    if is_asleep_forever(&thread) {
        return fail("4.9", trace.steps(), "run ends", "asleep forever in the wake");
    }
    if trace.poll_count() == 1 {
        return fail("4.4", trace.steps(), "poll a, poll a", trace.polls());
    }
    expect(trace.steps(), "poll a, poll a", &trace.polls())
}

/// Spawns a task when it is dropped.
struct SpawnsInDrop(Rc<Executor>, Trace);

impl Drop for SpawnsInDrop {
    fn drop(&mut self) {
        self.1.note("the drop of a spawns b");
        self.0.spawn(Scripted::new("b", &self.1).ready());
    }
}

fn a_task_can_spawn_in_its_drop() -> Outcome {
    let trace = Trace::new();
    let executor = Rc::new(Executor::new());
    let spawns = SpawnsInDrop(Rc::clone(&executor), trace.clone());
    executor.spawn(std::future::poll_fn(move |_| {
        let _ = &spawns;
        std::task::Poll::Ready(())
    }));
    executor.run();
    expect(trace.steps(), "poll b", &trace.polls())
}

fn a_task_can_spawn() -> Outcome {
    let trace = Trace::new();
    let executor = Rc::new(Executor::new());
    let inside = (Rc::clone(&executor), trace.clone());
    executor.spawn(async move {
        let (executor, trace) = inside;
        trace.note("a spawns b");
        executor.spawn(Scripted::new("b", &trace).ready());
    });
    executor.run();
    expect(trace.steps(), "poll b", &trace.polls())
}

fn a_finished_future_is_dropped() -> Outcome {
    let trace = Trace::new();
    let executor = Executor::new();
    let slot = Slot::new();
    let inside = (DropNote::new(&trace, "the future is dropped"), slot.clone());
    executor.spawn(std::future::poll_fn(move |cx| {
        // The future owns the note, and its waker is stored outside of it.
        let (_note, slot) = &inside;
        slot.set(cx.waker());
        std::task::Poll::Ready(())
    }));
    executor.run();
    trace.note("run ends");
    let steps = trace.steps();
    if steps.first().is_some_and(|step| step == "the future is dropped") {
        return Ok(());
    }
    fail("4.6", steps.clone(), "the future is dropped, run ends", steps.join(", "))
}

fn a_late_wake_does_nothing() -> Outcome {
    let trace = Trace::new();
    let executor = Executor::new();
    let slot = Slot::new();
    let inside = slot.clone();
    executor.spawn(Scripted::new("a", &trace).act(move |_, cx| {
        inside.set(cx.waker());
        std::task::Poll::Ready(())
    }));
    executor.run();
    trace.note("wake a");
    slot.wake();
    executor.run();
    if trace.poll_count() > 1 {
        return fail("4.6", trace.steps(), "poll a", trace.polls());
    }
    expect(trace.steps(), "poll a", &trace.polls())
}

const PICTURE: Picture = Picture {
    title: "Two tasks, one queue",
    description: "Task a wakes itself in its first poll, so it is polled again, after task b. Task b waits \
                  until it is woken from outside, and three wakes are one poll.",
    lanes: &["caller", "task a", "task b"],
    run: || {
        let (trace, executor, slot) = (Trace::new(), Executor::new(), Slot::new());
        trace.note("spawn a");
        executor.spawn(Scripted::new("a", &trace).wakes_itself().ready());
        trace.note("spawn b");
        executor.spawn(Scripted::new("b", &trace).stores_waker(&slot).ready());
        executor.run();
        trace.note("run ends");
        for _ in 0..3 {
            trace.note("wake b");
            slot.wake();
        }
        executor.run();
        trace.note("run ends");
        let mut lane = 0;
        let place = |step: String| {
            // `Pending` and `Ready` belong to the poll before.
            lane = match &*step {
                "poll a" => 1,
                "poll b" => 2,
                _ if step.starts_with(' ') => lane,
                _ => 0,
            };
            (lane, step.replace("  a wakes itself", "wakes itself"))
        };
        trace.steps().into_iter().map(place).collect()
    },
};
