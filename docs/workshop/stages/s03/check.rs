//! The check of stage 3: a model for the orders, wakers that record for the rest.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use kernel::EventFd;
use kernel::model::{self, Threads, Verdict};
use probe::{
    Case, Diagnosis, Outcome, Picture, Stage, WakeCount, Watched, expect, fail, is_asleep_forever,
    on_drop, on_wake, poll_once,
};
use stage::Event;

static STAGE: Stage = Stage {
    number: 3,
    diagnoses: &[
        Diagnosis {
            id: "3.1",
            what: "in one order of the steps the wake is lost",
            why: "`set` falls between two steps that have to be one: look at the event, store the waker",
            section: "Look and store in one step",
            function: "poll",
        },
        Diagnosis {
            id: "3.2",
            what: "the first waker was kept, and the task that waits now is not woken",
            why: "the future has moved to another task, and only its newest waker wakes that task",
            section: "The newest waker",
            function: "poll",
        },
        Diagnosis {
            id: "3.3",
            what: "a poll without the event is ready",
            why: "a second poll is no proof that the event has happened: any task can be polled at any time",
            section: "A poll proves nothing",
            function: "poll",
        },
        Diagnosis {
            id: "3.4",
            what: "a waker is called or dropped under the lock",
            why: "both can run any code; code that needs the lock waits for itself",
            section: "Wake after the lock",
            function: "set",
        },
        Diagnosis {
            id: "3.5",
            what: "an event that came before the poll is lost",
            why: "`set` only calls a waker, and does not remember that it was called",
            section: "Look and store in one step",
            function: "set",
        },
        Diagnosis {
            id: "3.6",
            what: "the event wakes no task",
            why: "`poll` returned `Pending` and stored no waker, or `set` does not call it",
            section: "The newest waker",
            function: "poll",
        },
        Diagnosis {
            id: "3.7",
            what: "the event keeps a waker that it has called",
            why: "`set` calls a clone: a waker can keep its task in memory, long after the task has ended",
            section: "Wake after the lock",
            function: "set",
        },
    ],
    cases: &[
        Case { name: "an event before the poll is seen", run: an_event_before_the_poll },
        Case { name: "a poll before the event is pending", run: a_poll_before_the_event },
        Case { name: "the event wakes the task", run: the_event_wakes_the_task },
        Case { name: "the newest waker is woken", run: the_newest_waker_is_woken },
        Case { name: "a waker can use the event", run: a_waker_can_use_the_event },
        Case { name: "the drop of a waker can use the event", run: a_drop_can_use_the_event },
        Case { name: "a waker that was called is gone", run: a_called_waker_is_gone },
        Case { name: "no order of the steps loses the wake", run: no_order_loses_the_wake },
    ],
    panics: &[],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

fn steps(steps: &[&str]) -> Vec<String> {
    steps.iter().map(|step| (*step).to_owned()).collect()
}

fn an_event_before_the_poll() -> Outcome {
    let (_count, waker) = WakeCount::new();
    let event = Event::new();
    event.set();
    match poll_once(event.wait(), &waker) {
        Poll::Ready(()) => Ok(()),
        Poll::Pending => fail("3.5", steps(&["set", "poll"]), "Ready", "Pending"),
    }
}

fn a_poll_before_the_event() -> Outcome {
    let (_count, waker) = WakeCount::new();
    let mut cx = Context::from_waker(&waker);
    let event = Event::new();
    let mut wait = pin!(event.wait());
    for poll in ["first poll", "second poll"] {
        if wait.as_mut().poll(&mut cx).is_ready() {
            return fail("3.3", steps(&["poll", "poll"]), "Pending", format!("{poll}: Ready"));
        }
    }
    event.set();
    let seen = if wait.poll(&mut cx).is_ready() { "Ready" } else { "Pending" };
    expect(steps(&["poll", "poll", "set", "poll"]), "Ready", seen)
}

fn the_event_wakes_the_task() -> Outcome {
    let (count, waker) = WakeCount::new();
    let event = Event::new();
    let mut wait = pin!(event.wait());
    let _ = wait.as_mut().poll(&mut Context::from_waker(&waker));
    event.set();
    match count.get() {
        0 => fail("3.6", steps(&["poll", "set"]), "1 wake", "0 wakes"),
        n => expect(steps(&["poll", "set"]), "1 wake", &format!("{n} wake")),
    }
}

fn the_newest_waker_is_woken() -> Outcome {
    let ((a, waker_a), (b, waker_b)) = (WakeCount::new(), WakeCount::new());
    let event = Event::new();
    let mut wait = pin!(event.wait());
    for waker in [&waker_a, &waker_b] {
        let _ = wait.as_mut().poll(&mut Context::from_waker(waker));
    }
    event.set();
    let seen = format!("A woken {} times, B woken {} times", a.get(), b.get());
    if b.get() == 1 {
        return Ok(());
    }
    let steps = steps(&["poll by task A", "the future moves", "poll by task B", "set"]);
    fail("3.2", steps, "B woken 1 times", seen)
}

fn a_drop_can_use_the_event() -> Outcome {
    let thread = Watched::spawn(|| {
        let event = Arc::new(Event::new());
        let inside = Arc::clone(&event);
        let first = on_drop(move || {
            let _ = poll_once(inside.wait(), Waker::noop());
        });
        let mut wait = pin!(event.wait());
        let _ = wait.as_mut().poll(&mut Context::from_waker(&first));
        drop(first);
        let _ = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    });
    if is_asleep_forever(&thread) {
        let steps = steps(&["poll", "poll with another waker", "  the drop of the first polls"]);
        return fail("3.4", steps, "the drop returns", "asleep forever");
    }
    Ok(())
}

fn a_waker_can_use_the_event() -> Outcome {
    let thread = Watched::spawn(|| {
        let event = Arc::new(Event::new());
        let inside = Arc::clone(&event);
        let waker = on_wake(move || {
            let _ = poll_once(inside.wait(), Waker::noop());
        });
        let mut wait = pin!(event.wait());
        let _ = wait.as_mut().poll(&mut Context::from_waker(&waker));
        event.set();
    });
    if is_asleep_forever(&thread) {
        let steps = steps(&["poll", "set", "  the waker polls a second wait"]);
        return fail("3.4", steps, "the waker returns", "asleep forever");
    }
    Ok(())
}

fn a_called_waker_is_gone() -> Outcome {
    let (count, waker) = WakeCount::new();
    let event = Event::new();
    let mut wait = pin!(event.wait());
    let _ = wait.as_mut().poll(&mut Context::from_waker(&waker));
    drop(waker);
    event.set();
    let after_set = count.is_kept();
    let _ = wait.poll(&mut Context::from_waker(Waker::noop()));
    if after_set && count.is_kept() {
        let steps = steps(&["poll", "set", "poll: Ready"]);
        return fail("3.7", steps, "no clone of the waker is left", "a clone is left in the event");
    }
    Ok(())
}

/// Signals the sleeper of the model.
struct Signal(EventFd);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.0.signal();
    }
}

/// A task waits for an event that another thread sets.
fn threads() -> Threads {
    let event = Arc::new(Event::new());
    let remote = Arc::clone(&event);
    let waker: Waker = Arc::new(Signal(EventFd::new().unwrap())).into();
    let task = move || {
        let mut wait = pin!(event.wait());
        let mut poll = || {
            model::note("poll");
            let polled = wait.as_mut().poll(&mut Context::from_waker(&waker));
            model::note(if polled.is_ready() { "Ready" } else { "Pending" });
            polled.is_pending()
        };
        while poll() {
            model::sleep();
        }
    };
    vec![Box::new(task), Box::new(move || remote.set())]
}

fn no_order_loses_the_wake() -> Outcome {
    let (order, steps, seen) = match model::explore(threads) {
        Verdict::AllEnd { .. } => return Ok(()),
        Verdict::Panicked(message) => panic!("{message}"),
        Verdict::Asleep { order, steps } => (order, steps, "asleep forever"),
        Verdict::NeverEnds { order, steps } => (order, steps, "polled without an end"),
    };
    let name = |(thread, step): &(usize, &str)| format!("{}: {step}", ["task", "thread"][*thread]);
    let steps = steps.iter().map(name).collect();
    fail("3.1", steps, "the task ends", format!("order {order}: the task is {seen}"))
}

const PICTURE: Picture = Picture {
    title: "An event, a task that waits, and a thread that sets it",
    description: "The task finds that the event is not set, and stores its waker, in one step. So the thread \
                  that sets the event finds the waker. The task is polled again, and is ready.",
    lanes: &["task", "event", "thread"],
    run: || {
        let place = |(thread, step): (usize, &str)| match (thread, step) {
            (0, "poll" | "Pending" | "Ready" | "wakes up") => (0, step.to_owned()),
            (1, "signals") => (2, "wakes the task".to_owned()),
            (0, _) => (1, format!("task: {step}")),
            _ => (1, format!("thread: {step}")),
        };
        model::one_order(threads).into_iter().map(place).collect()
    },
};
