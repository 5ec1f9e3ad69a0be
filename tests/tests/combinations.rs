//! Every way in which a task can panic, combined with every use of its handle at every time. Each
//! value is dropped exactly once, other tasks are not disturbed, and the result is the documented
//! one.

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

/// Place in which the task panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panics {
    Never,
    /// Its last poll.
    OnPoll,
    /// The drop of its future.
    OnDrop,
    /// Its last poll and the drop of its future.
    OnPollAndDrop,
    /// The drop of its output.
    OutputOnDrop,
    /// The drop of its future, and then the drop of its output.
    OnDropAndOutput,
}

/// Use of the handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handle {
    Dropped,
    Awaited,
    Aborted,
    /// Aborted, then dropped.
    AbortedAndDropped,
    /// None: the runtime ends first.
    Outlived,
}

/// Time of the use.
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

/// Count of live values.
#[derive(Clone, Default)]
struct Alive(Rc<Cell<i32>>);

impl Alive {
    fn count_one(&self) -> Counted {
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

/// Place in which the task finds its own handle.
type Place = Rc<Cell<Option<JoinHandle<Output>>>>;

/// Pending in its first poll, and at its end in its second.
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
            _counted: self.alive.count_one(),
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

/// Result of awaiting the handle.
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
                // The joiner drops the output and catches its panic.
                drop(catch_unwind(AssertUnwindSafe(|| drop(output))));
                Outcome::Output
            }
            Err(error) if error.is_cancelled() => Outcome::Cancelled,
            Err(error) => Outcome::Panicked(text_of(error.into_panic().as_ref())),
        }
    }

    /// Returns the documented result for a handle that is awaited in the end.
    fn promised(panics: Panics, aborted_in_time: bool) -> Self {
        let drop_panics = matches!(
            panics,
            Panics::OnDrop | Panics::OnDropAndOutput | Panics::OnPollAndDrop
        );
        match panics {
            // The first panic is reported.
            Panics::OnPoll | Panics::OnPollAndDrop if !aborted_in_time => {
                Outcome::Panicked("polled".to_owned())
            }
            _ if drop_panics => Outcome::Panicked("future dropped".to_owned()),
            _ if aborted_in_time => Outcome::Cancelled,
            _ => Outcome::Output,
        }
    }
}

/// Runs one combination and checks all results.
fn run(panics: Panics, action: Handle, when: When) {
    let runtime: Runtime = Builder::new().build().unwrap();
    let alive = Alive::default();
    let place: Place = Rc::default();
    let waker: Rc<Cell<Option<Waker>>> = Rc::default();
    let polls = Rc::new(Cell::new(0));
    let others_steps = Rc::new(Cell::new(0));
    let outcome = runtime.block_on(async {
        let other = spawn({
            let (steps, _counted) = (Rc::clone(&others_steps), alive.count_one());
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
            _counted: alive.count_one(),
        });
        let id = task.id();
        let state = || {
            let tasks = wakeful::task::dump();
            let task = tasks.into_iter().find(|task| task.id == id);
            task.map(|task| task.state)
        };
        let wake = || {
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        };

        // Bring the task into the state.
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

        // Use the handle.
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
            // The task can still be waiting.
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
        "{what}: the other task missed a poll"
    );
    if action == Handle::Outlived {
        drop(runtime);
        let handle = place.take();
        let finished = wakeful::block_on(async { handle.unwrap().await });
        assert!(finished.unwrap_err().is_cancelled(), "{what}");
        assert_eq!(
            alive.0.get(),
            0,
            "{what}: a value was not dropped exactly once"
        );
        return;
    }

    let aborts = matches!(action, Handle::Aborted | Handle::AbortedAndDropped);
    let in_time = aborts && matches!(when, When::Before | When::Waiting | When::Queued);
    if let Some(outcome) = outcome {
        assert_eq!(outcome, Outcome::promised(panics, in_time), "{what}");
    }
    assert_eq!(
        alive.0.get(),
        0,
        "{what}: a value was not dropped exactly once"
    );
    let expected_polls = match when {
        When::Before if aborts => 0,
        When::Waiting | When::Queued if aborts => 1,
        _ => 2,
    };
    assert_eq!(polls.get(), expected_polls, "{what}");
    let metrics = runtime.metrics();
    assert_eq!(metrics.num_alive_tasks, 0, "{what}");
    assert!(runtime.dump().is_empty(), "{what}: a row is still occupied");
    // A joiner receives the panic. Otherwise it is counted as unhandled, once.
    let joined = matches!(action, Handle::Awaited | Handle::Aborted);
    let panicked = matches!(Outcome::promised(panics, in_time), Outcome::Panicked(_));
    let output_panicked = matches!(panics, Panics::OutputOnDrop) && !in_time && !joined;
    let unhandled = u64::from((panicked && !joined) || output_panicked);
    assert_eq!(metrics.panics_unhandled, unhandled, "{what}");

    // The runtime continues, in the same row.
    assert_eq!(
        runtime
            .block_on(async { spawn(async { 1 }).await })
            .unwrap(),
        1,
        "{what}"
    );
}

#[test]
fn every_panic_of_a_task_is_handled_for_every_use_of_its_handle() {
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
                run(panics, action, when);
            }
        }
    }
}
