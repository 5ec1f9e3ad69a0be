//! The check of stage 2. A thread runs `block_on`; this one looks whether it sleeps.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::Poll;
use std::thread;

use probe::{
    Case, Diagnosis, Outcome, Picture, Scripted, Slot, Stage, Trace, Watched, expect, fail,
    has_slept, is_asleep_forever, until,
};
use stage::block_on;

static STAGE: Stage = Stage {
    number: 2,
    diagnoses: &[
        Diagnosis {
            id: "2.1",
            what: "the thread sleeps before the first poll",
            why: "a future does nothing until its first poll, so it cannot wake the thread before",
            section: "Poll, sleep, poll again",
            function: "block_on",
        },
        Diagnosis {
            id: "2.2",
            what: "the thread polls again and again, and never sleeps",
            why: "the loop polls after `Pending` without a wake, so it uses a whole core",
            section: "Poll, sleep, poll again",
            function: "block_on",
        },
        Diagnosis {
            id: "2.3",
            what: "the thread looks at the flag again and again, and never sleeps",
            why: "the inner loop does not call `thread::park`, so it uses a whole core",
            section: "Poll, sleep, poll again",
            function: "block_on",
        },
        Diagnosis {
            id: "2.4",
            what: "the future is polled although it was not woken",
            why: "the loop polls when the sleep ends, and does not ask whether the waker was called",
            section: "A token is not a wake",
            function: "block_on",
        },
        Diagnosis {
            id: "2.5",
            what: "a wake that came during the poll is lost",
            why: "the flag is cleared between the poll and the sleep, and took the wake with it",
            section: "Clear it when you see it",
            function: "block_on",
        },
        Diagnosis {
            id: "2.6",
            what: "a wake is lost when the future itself parks the thread",
            why: "only the token of `unpark` remembers the wake, and the future's own `park` took it",
            section: "A token is not a wake",
            function: "block_on",
        },
        Diagnosis {
            id: "2.7",
            what: "the waker does not wake the thread",
            why: "the context has another waker, or `wake_by_ref` does not set the flag and then call `unpark`",
            section: "Who calls wake",
            function: "wake_by_ref",
        },
    ],
    cases: &[
        Case { name: "a ready future is polled once", run: a_ready_future_is_polled_once },
        Case { name: "between two polls the thread sleeps", run: between_polls_the_thread_sleeps },
        Case { name: "a wake during the poll is not lost", run: a_wake_during_the_poll_is_kept },
        Case { name: "a park of the future's own takes no wake", run: a_park_takes_no_wake },
        Case { name: "an unpark that is no wake polls nothing", run: an_unpark_polls_nothing },
    ],
    panics: &[],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

fn a_ready_future_is_polled_once() -> Outcome {
    let trace = Trace::new();
    let future = Scripted::new("f", &trace).ready();
    let thread = Watched::spawn(move || block_on(future));
    if is_asleep_forever(&thread) {
        return fail("2.1", trace.steps(), "poll f", "no poll; asleep forever");
    }
    expect(trace.steps(), "poll f", &trace.polls())
}

/// A future that is pending until `ready` is set.
#[derive(Clone, Default)]
struct Waiting {
    polls: Arc<AtomicU64>,
    ready: Arc<AtomicBool>,
    waker: Slot,
}

impl Waiting {
    /// Runs the future on a thread, until its first poll.
    fn start(&self) -> Watched {
        let inside = self.clone();
        let thread = Watched::spawn(move || {
            block_on(poll_fn(|cx| {
                if inside.polls.fetch_add(1, SeqCst) == 0 {
                    inside.waker.set(cx.waker());
                }
                if inside.ready.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
            }));
        });
        until(|| self.waker.get().is_some() || has_slept(&thread));
        thread
    }

    /// Wakes the future and looks what happened.
    fn end(&self, thread: &Watched, slept: bool) -> Outcome {
        self.ready.store(true, SeqCst);
        self.waker.wake();
        if is_asleep_forever(thread) {
            let steps = vec!["poll f".into(), "wake".into()];
            return fail("2.7", steps, "2 polls", "1 poll; asleep forever after the wake");
        }
        let polls = self.polls.load(SeqCst);
        let steps = vec!["poll f".into(), "  Pending".into(), "the thread is observed".into()];
        if !slept {
            let id = if polls > 2 { "2.2" } else { "2.3" };
            let seen = format!("{polls} polls, never asleep");
            return fail(id, steps, "the thread sleeps until the wake", seen);
        }
        if polls == 2 {
            return Ok(());
        }
        fail("2.4", steps, "1 poll for one wake", format!("{} polls for one wake", polls - 1))
    }
}

fn between_polls_the_thread_sleeps() -> Outcome {
    let future = Waiting::default();
    let thread = future.start();
    let slept = has_slept(&thread);
    future.end(&thread, slept)
}

fn an_unpark_polls_nothing() -> Outcome {
    let future = Waiting::default();
    let outside: Arc<std::sync::Mutex<Option<thread::Thread>>> = Arc::default();
    let inside = (future.clone(), Arc::clone(&outside));
    let thread = Watched::spawn(move || {
        *inside.1.lock().unwrap() = Some(thread::current());
        let future = inside.0;
        block_on(poll_fn(|cx| {
            future.polls.fetch_add(1, SeqCst);
            future.waker.set(cx.waker());
            if future.ready.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        }));
    });
    until(|| future.waker.get().is_some());
    let slept = has_slept(&thread);
    if let Some(thread) = &*outside.lock().unwrap() {
        thread.unpark();
    }
    let slept = has_slept(&thread) && slept;
    future.end(&thread, slept)
}

fn a_wake_during_the_poll_is_kept() -> Outcome {
    let trace = Trace::new();
    let future = Scripted::new("f", &trace).wakes_itself().ready();
    let thread = Watched::spawn(move || block_on(future));
    if is_asleep_forever(&thread) {
        return fail("2.5", trace.steps(), "poll f, poll f", trace.polls() + "; asleep forever");
    }
    expect(trace.steps(), "poll f, poll f", &trace.polls())
}

fn a_park_takes_no_wake() -> Outcome {
    let trace = Trace::new();
    let future = Scripted::new("f", &trace).act(|trace, cx| {
        trace.note("  f wakes itself");
        cx.waker().wake_by_ref();
        trace.note("  f calls thread::park");
        thread::current().unpark();
        thread::park();
        Poll::Pending
    });
    let thread = Watched::spawn(move || block_on(future.ready()));
    if is_asleep_forever(&thread) {
        return fail("2.6", trace.steps(), "poll f, poll f", trace.polls() + "; asleep forever");
    }
    expect(trace.steps(), "poll f, poll f", &trace.polls())
}

const PICTURE: Picture = Picture {
    title: "A thread that sleeps until it is woken",
    description: "The future is pending, so the thread of block_on sleeps. Another thread calls the waker. Then \
                  the future is polled a second time, and is ready.",
    lanes: &["block_on", "future", "other thread"],
    run: || {
        let (trace, slot) = (Trace::new(), Slot::new());
        let future = Scripted::new("f", &trace).stores_waker(&slot).ready();
        let inside = trace.clone();
        let thread = Watched::spawn(move || {
            inside.note("block_on is called");
            block_on(future);
            inside.note("block_on returns");
        });
        until(|| slot.get().is_some() || has_slept(&thread));
        // A thread that has ended does not count as one that sleeps.
        if has_slept(&thread) && trace.only("block_on returns").is_empty() {
            trace.note("block_on sleeps");
        }
        trace.note("other wakes block_on");
        slot.wake();
        probe::rests(&thread);
        let named = |step: String| match step.starts_with("poll") || step.starts_with(' ') {
            true => format!("future {}", step.trim()),
            false => step,
        };
        let steps: Vec<String> = trace.steps().into_iter().map(named).collect();
        probe::lanes(&steps, &["block_on", "future", "other"])
    },
};
