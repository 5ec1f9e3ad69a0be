//! Every way in which a task can end badly, times everything that can be done with its handle, times
//! when: nothing is dropped twice or not at all, nobody else is disturbed, and the result is the one
//! that the documentation promises.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use wakeful::runtime::{Builder, Runtime};
use wakeful::spawn;
use wakeful::task::{JoinError, JoinHandle, TaskState, yield_now};
use wakeful_tests::trace::{settle, text_of};

/// Where the task panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panics {
    Never,
    /// In its last poll.
    OnPoll,
    /// When its future is dropped.
    OnDrop,
    /// In both.
    OnPollAndDrop,
    /// When its output is dropped.
    OutputOnDrop,
    /// When its future is dropped, and then when its output is.
    OnDropAndOutput,
}

/// What is done with the handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handle {
    Dropped,
    Awaited,
    Aborted,
    /// Aborted, then dropped.
    AbortedAndDropped,
    /// Nothing: the runtime ends first.
    Outlived,
}

/// When it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// Before the first poll.
    Before,
    /// Between two polls, while it waits.
    Waiting,
    /// Between two polls, while it is in the run queue.
    Queued,
    /// By the task itself, in its last poll.
    Inside,
    /// After its end.
    After,
}

/// Counts what is alive.
#[derive(Clone, Default)]
struct Alive(Rc<Cell<i32>>);

impl Alive {
    fn one_more(&self) -> Counted {
        self.0.set(self.0.get() + 1);
        Counted(self.clone())
    }
}

struct Counted(Alive);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() - 1);
    }
}

struct Output {
    panics: bool,
    _counted: Counted,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.panics {
            panic!("output dropped");
        }
    }
}

/// The handle, where the task itself finds it, and its waker, where the test does.
type Place = Rc<Cell<Option<JoinHandle<Output>>>>;

/// Pending in its first poll, at its end in its second.
struct Task {
    panics: Panics,
    polls: Rc<Cell<u32>>,
    waker: Rc<Cell<Option<Waker>>>,
    inside: Option<(Place, Handle)>,
    alive: Alive,
    _counted: Counted,
}

impl Future for Task {
    type Output = Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        self.polls.set(self.polls.get() + 1);
        if self.polls.get() == 1 {
            self.waker.set(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        if let Some((place, action)) = self.inside.take()
            && let Some(handle) = place.take()
        {
            if matches!(action, Handle::Aborted | Handle::AbortedAndDropped) {
                handle.abort();
            }
            if !matches!(action, Handle::Dropped | Handle::AbortedAndDropped) {
                place.set(Some(handle));
            }
        }
        if matches!(self.panics, Panics::OnPoll | Panics::OnPollAndDrop) {
            panic!("polled");
        }
        let panics = matches!(self.panics, Panics::OutputOnDrop | Panics::OnDropAndOutput);
        Poll::Ready(Output {
            panics,
            _counted: self.alive.one_more(),
        })
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if matches!(
            self.panics,
            Panics::OnDrop | Panics::OnPollAndDrop | Panics::OnDropAndOutput
        ) {
            panic!("future dropped");
        }
    }
}

/// What awaiting the handle gives.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Output,
    Cancelled,
    Panicked(String),
}

impl Outcome {
    fn of(result: Result<Output, JoinError>) -> Self {
        match result {
            Ok(output) => {
                // To drop it is the joiner's own business.
                drop(catch_unwind(AssertUnwindSafe(|| drop(output))));
                Outcome::Output
            }
            Err(error) if error.is_cancelled() => Outcome::Cancelled,
            Err(error) => Outcome::Panicked(text_of(error.into_panic().as_ref())),
        }
    }

    /// What the documentation promises, for a handle that is awaited after all.
    fn promised(panics: Panics, aborted_in_time: bool) -> Self {
        let drops_badly = matches!(
            panics,
            Panics::OnDrop | Panics::OnDropAndOutput | Panics::OnPollAndDrop
        );
        match panics {
            // The first panic is the one that is reported.
            Panics::OnPoll | Panics::OnPollAndDrop if !aborted_in_time => {
                Outcome::Panicked("polled".to_owned())
            }
            _ if drops_badly => Outcome::Panicked("future dropped".to_owned()),
            _ if aborted_in_time => Outcome::Cancelled,
            _ => Outcome::Output,
        }
    }
}

/// Plays one combination and checks everything.
fn play(panics: Panics, action: Handle, when: When) {
    let runtime: Runtime = Builder::new().build().unwrap();
    let alive = Alive::default();
    let place: Place = Rc::default();
    let waker: Rc<Cell<Option<Waker>>> = Rc::default();
    let polls = Rc::new(Cell::new(0));
    let others_steps = Rc::new(Cell::new(0));
    let outcome = runtime.block_on(async {
        let other = spawn({
            let (steps, _counted) = (Rc::clone(&others_steps), alive.one_more());
            async move {
                let _held = _counted;
                for _ in 0..20 {
                    steps.set(steps.get() + 1);
                    yield_now().await;
                }
            }
        });
        let task = spawn(Task {
            panics,
            polls: Rc::clone(&polls),
            waker: Rc::clone(&waker),
            inside: (when == When::Inside).then(|| (Rc::clone(&place), action)),
            alive: alive.clone(),
            _counted: alive.one_more(),
        });
        let id = task.id();
        let state = || {
            let records = wakeful::task::dump();
            let record = records.into_iter().find(|record| record.id == id);
            record.map(|record| record.state)
        };
        let wake = || {
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        };

        // Bring it to where it is to be.
        match when {
            When::Before => assert_eq!(state(), Some(TaskState::Scheduled)),
            When::Waiting => {
                settle().await;
                assert_eq!(state(), Some(TaskState::Waiting));
            }
            When::Queued => {
                settle().await;
                wake();
                assert_eq!(state(), Some(TaskState::Scheduled));
            }
            When::Inside => {
                settle().await;
                wake();
            }
            When::After => {
                settle().await;
                wake();
                settle().await;
                assert_eq!(state(), Some(TaskState::Finished));
            }
        }

        // Do what is to be done.
        let mut joined = None;
        if when == When::Inside {
            place.set(Some(task));
            settle().await;
            joined = place.take();
        } else {
            match action {
                Handle::Dropped => drop(task),
                Handle::AbortedAndDropped => {
                    task.abort();
                    drop(task);
                }
                Handle::Aborted => {
                    task.abort();
                    joined = Some(task);
                }
                Handle::Awaited => joined = Some(task),
                Handle::Outlived => place.set(Some(task)),
            }
        }
        let mut outcome = None;
        if action != Handle::Outlived {
            settle().await;
            // It may still wait for its wake.
            wake();
            settle().await;
            if let Some(task) = joined {
                outcome = Some(Outcome::of(task.await));
            }
        } else if let Some(task) = joined {
            place.set(Some(task));
        }
        other.await.unwrap();
        outcome
    });

    let what = format!("{panics:?}, {action:?}, {when:?}");
    assert_eq!(
        others_steps.get(),
        20,
        "{what}: the other task was disturbed"
    );
    if action == Handle::Outlived {
        drop(runtime);
        let handle = place.take();
        let finished = wakeful::block_on(async { handle.unwrap().await });
        assert!(finished.unwrap_err().is_cancelled(), "{what}");
        assert_eq!(alive.0.get(), 0, "{what}: dropped twice or not at all");
        return;
    }

    let aborts = matches!(action, Handle::Aborted | Handle::AbortedAndDropped);
    let in_time = aborts && matches!(when, When::Before | When::Waiting | When::Queued);
    if let Some(outcome) = outcome {
        assert_eq!(outcome, Outcome::promised(panics, in_time), "{what}");
    }
    assert_eq!(alive.0.get(), 0, "{what}: dropped twice or not at all");
    let expected_polls = match when {
        When::Before if aborts => 0,
        When::Waiting | When::Queued if aborts => 1,
        _ => 2,
    };
    assert_eq!(polls.get(), expected_polls, "{what}");
    let metrics = runtime.metrics();
    assert_eq!(metrics.num_alive_tasks, 0, "{what}");
    assert!(runtime.dump().is_empty(), "{what}: a slot is not free");
    // Who joins hears of the panic; otherwise it is counted as unheard, once.
    let heard = matches!(action, Handle::Awaited | Handle::Aborted);
    let ended_badly = matches!(Outcome::promised(panics, in_time), Outcome::Panicked(_));
    let output_was_bad = matches!(panics, Panics::OutputOnDrop) && !in_time && !heard;
    let unheard = u64::from((ended_badly && !heard) || output_was_bad);
    assert_eq!(metrics.panics_unhandled, unheard, "{what}");

    // And the runtime works on, in the same slot.
    assert_eq!(
        runtime
            .block_on(async { spawn(async { 1 }).await })
            .unwrap(),
        1,
        "{what}"
    );
}

#[test]
fn every_bad_end_of_a_task_goes_with_everything_that_is_done_to_its_handle() {
    let ways = [
        Panics::Never,
        Panics::OnPoll,
        Panics::OnDrop,
        Panics::OnPollAndDrop,
        Panics::OutputOnDrop,
        Panics::OnDropAndOutput,
    ];
    let actions = [
        Handle::Dropped,
        Handle::Awaited,
        Handle::Aborted,
        Handle::AbortedAndDropped,
        Handle::Outlived,
    ];
    let moments = [
        When::Before,
        When::Waiting,
        When::Queued,
        When::Inside,
        When::After,
    ];
    for panics in ways {
        for action in actions {
            for when in moments {
                play(panics, action, when);
            }
        }
    }
}
