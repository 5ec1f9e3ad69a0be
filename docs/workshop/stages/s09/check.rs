//! The check of stage 9: real threads for the counts, a model for the orders.

use std::future::poll_fn;
use std::io::Write;
use std::net::{TcpListener as StdListener, TcpStream as Peer};
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use kernel::Script;
use kernel::model::{self, Threads, Verdict};
use probe::{
    Case, Diagnosis, Failure, Outcome, Picture, Slot, Stage, expect, fail, run_scripted, yield_once,
};
use stage::inbox::Inbox;
use stage::{TcpStream, block_on, sleep};

const EINTR: i32 = 4;

static STAGE: Stage = Stage {
    number: 9,
    diagnoses: &[
        Diagnosis {
            id: "9.1",
            what: "a wake of another thread does not end the sleep",
            why: "`push` does not signal, or the owner does not announce its sleep",
            section: "End a sleep",
            function: "push",
        },
        Diagnosis {
            id: "9.2",
            what: "after the first signal the loop never sleeps again",
            why: "the eventfd is not cleared, so it stays readable",
            section: "End a sleep",
            function: "turn",
        },
        Diagnosis {
            id: "9.3",
            what: "one sleep is ended by several signals",
            why: "the first push has to take the announcement, so that the second finds none",
            section: "One signal per sleep",
            function: "push",
        },
        Diagnosis {
            id: "9.4",
            what: "the owner signals itself while it is awake",
            why: "the announcement still stands when the owner's own tasks are woken",
            section: "One signal per sleep",
            function: "turn",
        },
        Diagnosis {
            id: "9.5",
            what: "in one order of the steps a wake is lost",
            why: "a push falls between two steps that have to be one: look and announce, or push and take",
            section: "Look and announce in one step",
            function: "prepare_park",
        },
        Diagnosis {
            id: "9.6",
            what: "the owner sleeps although a task is scheduled",
            why: "`prepare_park` must return false if the queue is not empty",
            section: "Look and announce in one step",
            function: "prepare_park",
        },
        Diagnosis {
            id: "9.7",
            what: "EINTR ends the loop",
            why: "a signal can interrupt `epoll_wait`: that is a turn without events",
            section: "Write",
            function: "turn",
        },
        Diagnosis {
            id: "9.8",
            what: "the eventfd is read although no thread has signaled",
            why: "it is cleared in each turn: a system call for nothing, where its own event says when",
            section: "End a sleep",
            function: "turn",
        },
    ],
    cases: &[
        Case { name: "with a task scheduled the owner does not park", run: no_park_with_work },
        Case { name: "a wake of another thread ends the sleep", run: a_remote_wake_ends_the_sleep },
        Case { name: "two wakes of one sleep are one signal", run: two_wakes_are_one_signal },
        Case { name: "the owner's own wakes need no signal", run: own_wakes_need_no_signal },
        Case { name: "the wakes of events need no signal", run: event_wakes_need_no_signal },
        Case { name: "an interrupted wait is no error", run: an_interrupted_wait },
        Case { name: "no order of the steps loses a wake", run: no_order_loses_a_wake },
    ],
    panics: &[("Interrupted", "9.7")],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

/// Runs a case of this stage.
fn run<T>(f: impl FnOnce() -> T) -> Result<T, Failure> {
    run_scripted(f, "9.1", "9.2", "")
}

fn no_park_with_work() -> Outcome {
    let inbox = Inbox::new().unwrap();
    inbox.push(1);
    if inbox.prepare_park() {
        let steps = vec!["push 1".into(), "prepare_park".into()];
        return fail("9.6", steps, "false", "true");
    }
    inbox.pop();
    let seen = if inbox.prepare_park() { "true" } else { "false" };
    expect(vec!["pop".into(), "prepare_park".into()], "true", seen)
}

/// Waits until the slot's waker has been called from other threads.
async fn woken(slot: Slot) {
    let mut first = true;
    std::future::poll_fn(move |cx| {
        slot.set(cx.waker());
        if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
}

fn a_remote_wake_ends_the_sleep() -> Outcome {
    let slot = Slot::new();
    let remote = slot.clone();
    Script::new()
        .then("another thread wakes the task", move || {
            thread::spawn(move || remote.wake()).join().unwrap();
        })
        .begin();
    run(|| {
        block_on(async {
            woken(slot).await;
            sleep(Duration::from_millis(5)).await;
        })
    })?;
    let signals = kernel::count("eventfd_write");
    if signals > 1 {
        return fail("9.4", kernel::steps(), "1 signal", format!("{signals} signals"));
    }
    expect(kernel::steps(), "1 signal", &format!("{signals} signal"))
}

fn two_wakes_are_one_signal() -> Outcome {
    let slots = [Slot::new(), Slot::new()];
    let remote = slots.clone();
    Script::new()
        .then("another thread wakes two tasks", move || {
            thread::spawn(move || remote.iter().for_each(Slot::wake)).join().unwrap();
        })
        .begin();
    let [a, b] = slots;
    run(|| {
        block_on(async {
            let a = stage::spawn(woken(a));
            let b = stage::spawn(woken(b));
            a.await.unwrap();
            b.await.unwrap();
        })
    })?;
    match kernel::count("eventfd_write") {
        1 => Ok(()),
        n => {
            fail("9.3", kernel::steps(), "1 signal for 2 wakes", format!("{n} signals for 2 wakes"))
        }
    }
}

fn own_wakes_need_no_signal() -> Outcome {
    Script::new().begin();
    run(|| {
        block_on(async {
            for _ in 0..10 {
                yield_once().await;
            }
        })
    })?;
    no_signals()
}

fn an_interrupted_wait() -> Outcome {
    Script::new().begin();
    kernel::inject("epoll_wait", EINTR, 1);
    run(|| block_on(sleep(Duration::from_millis(1))))?;
    // The deadline passes before the wait, so the interrupted turn wakes a task itself.
    Script::new().begin();
    kernel::inject("epoll_wait", EINTR, 1);
    let mut sleep = Box::pin(sleep(Duration::from_millis(1)));
    let late = poll_fn(move |cx| {
        let polled = sleep.as_mut().poll(cx);
        kernel::advance(Duration::from_millis(2));
        polled
    });
    run(|| block_on(late))?;
    no_signals()
}

fn event_wakes_need_no_signal() -> Outcome {
    let listener = StdListener::bind(("127.0.0.1", 0)).unwrap();
    let peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
    let stream = kernel::Stream::new(listener.accept().unwrap().0);
    Script::new()
        .then("the peer writes 1 byte", move || {
            (&peer).write_all(b"x").unwrap();
            std::mem::forget(peer);
        })
        .begin();
    run(|| block_on(async { TcpStream::new(stream).unwrap().read(&mut [0; 1]).await.unwrap() }))?;
    no_signals()
}

fn no_signals() -> Outcome {
    match kernel::count("eventfd_write") {
        0 => no_clears(),
        n => fail("9.4", kernel::steps(), "no signal", format!("{n} signals while awake")),
    }
}

fn no_clears() -> Outcome {
    match kernel::count("eventfd_read") {
        0 => Ok(()),
        n => fail("9.8", kernel::steps(), "no read of the eventfd", format!("{n} reads of it")),
    }
}

/// The owner handles two tasks that two other threads push.
fn threads() -> Threads {
    let inbox = Arc::new(Inbox::new().unwrap());
    let (a, b) = (Arc::clone(&inbox), Arc::clone(&inbox));
    let owner = move || {
        let mut handled = 0;
        while handled < 2 {
            if inbox.pop().is_some() {
                handled += 1;
            } else if inbox.prepare_park() {
                model::note("sleeps");
                model::sleep();
                inbox.unpark();
            }
        }
    };
    vec![Box::new(owner), Box::new(move || a.push(1)), Box::new(move || b.push(2))]
}

fn no_order_loses_a_wake() -> Outcome {
    let (order, steps, seen) = match model::explore(threads) {
        Verdict::AllEnd { .. } => return Ok(()),
        Verdict::Panicked(message) => panic!("{message}"),
        Verdict::Asleep { order, steps } => (order, steps, "asleep forever"),
        Verdict::NeverEnds { order, steps } => (order, steps, "never ends"),
    };
    let name = |(thread, step): &(usize, &str)| format!("{}: {step}", ["owner", "A", "B"][*thread]);
    let steps = steps.iter().map(name).collect();
    fail("9.5", steps, "the owner handles 2 tasks", format!("order {order}: the owner is {seen}"))
}

const PICTURE: Picture = Picture {
    title: "Two threads push, and the owner sleeps between",
    description: "The owner finds no task, and announces its sleep in the same step. The push of A finds the \
                  announcement and signals. The owner takes the task and sleeps again, until the push of B \
                  signals.",
    lanes: &["owner", "A", "B"],
    run: || {
        let named = |(thread, step): (usize, &str)| (thread, step.to_owned());
        model::one_order(threads).into_iter().map(named).collect()
    },
};
