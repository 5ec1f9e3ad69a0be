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

/// What the tasks of one combination share with the test.
struct Stage {
    panics: Panics,
    action: Handle,
    when: When,
    alive: Alive,
    place: Place,
    waker: Rc<Cell<Option<Waker>>>,
    polls: Rc<Cell<u32>>,
    others_steps: Rc<Cell<u32>>,
}

impl Stage {
    fn new(panics: Panics, action: Handle, when: When) -> Self {
        Stage {
            panics,
            action,
            when,
            alive: Alive::default(),
            place: Rc::default(),
            waker: Rc::default(),
            polls: Rc::default(),
            others_steps: Rc::default(),
        }
    }

    /// Runs the task and another one. Returns the result if the handle was awaited.
    async fn play(&self) -> Option<Outcome> {
        let other = self.spawn_other();
        let task = spawn(Task {
            panics: self.panics,
            polls: Rc::clone(&self.polls),
            waker: Rc::clone(&self.waker),
            inside: (self.when == When::Inside).then(|| (Rc::clone(&self.place), self.action)),
            alive: self.alive.clone(),
            _counted: self.alive.count_one(),
        });
        self.bring_into_state(&task).await;
        let joined = self.use_handle(task).await;
        let outcome = self.end(joined).await;
        other.await.unwrap();
        outcome
    }

    fn spawn_other(&self) -> JoinHandle<()> {
        let (steps, counted) = (Rc::clone(&self.others_steps), self.alive.count_one());
        spawn(async move {
            let _held = counted;
            for _ in 0..20 {
                steps.set(steps.get() + 1);
                yield_now().await;
            }
        })
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    async fn bring_into_state(&self, task: &JoinHandle<Output>) {
        let state = || {
            let mut tasks = wakeful::task::dump().into_iter();
            let task = tasks.find(|info| info.id == task.id());
            task.map(|task| task.state)
        };
        match self.when {
            When::Before => assert_eq!(state(), Some(TaskState::Scheduled)),
            When::Waiting => {
                settle().await;
                assert_eq!(state(), Some(TaskState::Waiting));
            }
            When::Queued => {
                settle().await;
                self.wake();
                assert_eq!(state(), Some(TaskState::Scheduled));
            }
            When::Inside => {
                settle().await;
                self.wake();
            }
            When::After => {
                settle().await;
                self.wake();
                settle().await;
                assert_eq!(state(), Some(TaskState::Finished));
            }
        }
    }

    /// Uses the handle, or lets the task do it. Returns the handle if it is left.
    async fn use_handle(&self, task: JoinHandle<Output>) -> Option<JoinHandle<Output>> {
        if self.when == When::Inside {
            self.place.set(Some(task));
            settle().await;
            return self.place.take();
        }
        match self.action {
            Handle::Dropped => drop(task),
            Handle::AbortedAndDropped => {
                task.abort();
                drop(task);
            }
            Handle::Aborted => {
                task.abort();
                return Some(task);
            }
            Handle::Awaited | Handle::Outlived => return Some(task),
        }
        None
    }

    /// Lets the task end and awaits it, unless its handle outlives the runtime.
    async fn end(&self, joined: Option<JoinHandle<Output>>) -> Option<Outcome> {
        if self.action == Handle::Outlived {
            self.place.set(joined);
            return None;
        }
        settle().await;
        // The task can still be waiting.
        self.wake();
        settle().await;
        Some(Outcome::of(joined?.await))
    }

    /// Checks what is left after the runtime has ended before the task.
    fn check_outlived(&self) {
        let handle = self.place.take();
        let finished = wakeful::block_on(async { handle.unwrap().await });
        assert!(finished.unwrap_err().is_cancelled(), "{self}");
        self.check_drops();
    }

    fn check_drops(&self) {
        let alive = self.alive.0.get();
        assert_eq!(alive, 0, "{self}: a value was not dropped exactly once");
    }

    /// Checks the result, the number of polls, and what the runtime has recorded.
    fn check_ended(&self, runtime: &Runtime, outcome: Option<Outcome>) {
        let Stage {
            panics,
            action,
            when,
            ..
        } = *self;
        let aborts = matches!(action, Handle::Aborted | Handle::AbortedAndDropped);
        let in_time = aborts && matches!(when, When::Before | When::Waiting | When::Queued);
        if let Some(outcome) = outcome {
            assert_eq!(outcome, Outcome::promised(panics, in_time), "{self}");
        }
        self.check_drops();
        let expected_polls = match when {
            When::Before if aborts => 0,
            When::Waiting | When::Queued if aborts => 1,
            _ => 2,
        };
        assert_eq!(self.polls.get(), expected_polls, "{self}");
        let metrics = runtime.metrics();
        assert_eq!(metrics.num_alive_tasks, 0, "{self}");
        assert!(
            runtime.dump().tasks.is_empty(),
            "{self}: a row is still occupied"
        );
        // A joiner receives the panic. Otherwise it is counted as unhandled, once.
        let joined = matches!(action, Handle::Awaited | Handle::Aborted);
        let panicked = matches!(Outcome::promised(panics, in_time), Outcome::Panicked(_));
        let output_panicked = matches!(panics, Panics::OutputOnDrop) && !in_time && !joined;
        let unhandled = u64::from((panicked && !joined) || output_panicked);
        assert_eq!(metrics.panics_unhandled, unhandled, "{self}");
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}, {:?}", self.panics, self.action, self.when)
    }
}

/// Runs one combination and checks all results.
fn run(panics: Panics, action: Handle, when: When) {
    let runtime: Runtime = Builder::new().build().unwrap();
    let stage = Stage::new(panics, action, when);
    let outcome = runtime.block_on(stage.play());
    let steps = stage.others_steps.get();
    assert_eq!(steps, 20, "{stage}: the other task missed a poll");
    if action == Handle::Outlived {
        drop(runtime);
        stage.check_outlived();
        return;
    }
    stage.check_ended(&runtime, outcome);
    // The runtime continues, in the same row.
    let next = runtime.block_on(async { spawn(async { 1 }).await });
    assert_eq!(next.unwrap(), 1, "{stage}");
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
