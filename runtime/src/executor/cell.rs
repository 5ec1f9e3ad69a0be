//! The one allocation of a task: its future, and later its output, behind a small trait.
//!
//! Called by the executor, which neither knows the future's type nor its output's. The cell goes
//! through three stages and never back:
//!
//! ```text
//!            poll: Pending
//!              +-----+
//!              v     |          take_output
//!  spawn --> Running ------> Finished(Ok | Err) -----------> Finished(None)
//!                    poll: Ready, fail, cancel
//! ```
//!
//! Leaving `Running` drops the future in place, at once, on the runtime's thread: a task that has
//! ended holds no more memory than its output, whoever still holds wakers or handles. Nothing here
//! is unsafe: the pinned place is managed by `pin-project-lite`, and the output leaves through
//! `dyn Any`, which checks its type.

use std::any::Any;
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::join_error::{JoinError, Payload};
use crate::id::Id;

/// A task's cell with its types erased.
pub(crate) type BoxedCell = Pin<Box<dyn AnyTask>>;

/// How a task ended.
#[must_use = "a panic has to reach a joiner or stderr"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its output may need to be dropped.
    Returned,
    /// Dropping its output does nothing, and so runs nothing foreign.
    ReturnedPlain,
    Cancelled,
    Panicked,
}

/// What the executor can do with a task.
pub(crate) trait AnyTask {
    /// Polls the future once. When that unwinds, [`fail`](Self::fail) has to follow.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome>;

    /// Records that a panic ended the task. The future, or an output that was just stored, is
    /// dropped by this; should that panic as well, the first panic is the one reported.
    fn fail(self: Pin<&mut Self>, id: Id, payload: Payload);

    /// Drops the future before it has finished. Never unwinds.
    fn cancel(self: Pin<&mut Self>, id: Id) -> Outcome;

    /// Moves the output into `place`, which has to be an `Option<Result<T, JoinError>>`, and frees the
    /// cell: in one call, which knows its type.
    fn take_output(self: Pin<Box<Self>>, place: &mut dyn Any);

    /// The text of the panic with which the task ended, when it did and it has one.
    fn panic_text(&self) -> Option<String>;
}

pin_project! {
    #[project = StageProjection]
    pub(crate) enum TaskCell<F: Future> {
        Running { #[pin] future: F },
        // `None` once it was taken.
        Finished { output: Option<Result<F::Output, JoinError>> },
    }
}

impl<F: Future + 'static> TaskCell<F> {
    #[inline]
    pub(crate) fn boxed(future: F) -> BoxedCell {
        // Allocated first and then written: else the future is made on the stack and copied, in
        // pieces that wait for each other.
        let boxed: Box<TaskCell<F>> = Box::write(Box::new_uninit(), TaskCell::Running { future });
        Box::into_pin(boxed)
    }

    #[inline]
    fn finished(output: Result<F::Output, JoinError>) -> Self {
        TaskCell::Finished {
            output: Some(output),
        }
    }
}

impl<F: Future + 'static> AnyTask for TaskCell<F>
where
    F::Output: 'static,
{
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let StageProjection::Running { future } = self.as_mut().project() else {
            unreachable!("a finished task was polled");
        };
        match future.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(output) => {
                self.set(TaskCell::finished(Ok(output)));
                Poll::Ready(if needs_drop::<F::Output>() {
                    Outcome::Returned
                } else {
                    Outcome::ReturnedPlain
                })
            }
        }
    }

    fn fail(mut self: Pin<&mut Self>, id: Id, payload: Payload) {
        let mut failed = Some(TaskCell::finished(Err(JoinError::panicked(id, payload))));
        // An assignment whose drop of the old value unwinds has nevertheless stored the new one.
        let stored = catch_unwind(AssertUnwindSafe(|| {
            if let Some(failed) = failed.take() {
                self.set(failed);
            }
        }));
        if let Err(second) = stored {
            drop_quietly(second);
        }
    }

    fn cancel(mut self: Pin<&mut Self>, id: Id) -> Outcome {
        let cancelled = catch_unwind(AssertUnwindSafe(|| {
            self.set(TaskCell::finished(Err(JoinError::cancelled(id))));
        }));
        match cancelled {
            Ok(()) => Outcome::Cancelled,
            Err(payload) => {
                self.fail(id, payload);
                Outcome::Panicked
            }
        }
    }

    fn take_output(mut self: Pin<Box<Self>>, place: &mut dyn Any) {
        let Some(place) = place.downcast_mut::<Option<Result<F::Output, JoinError>>>() else {
            unreachable!("a handle asks for the output type of its own task");
        };
        // The output is not pinned, so it may move.
        if let StageProjection::Finished { output } = self.as_mut().project() {
            *place = output.take();
        }
    }

    fn panic_text(&self) -> Option<String> {
        match self {
            TaskCell::Finished {
                output: Some(Err(error)),
            } if error.is_panic() => Some(error.to_string()),
            _ => None,
        }
    }
}

/// Drops what may panic while being dropped; a second panic has nobody left to hear it.
pub(crate) fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // The payload's own drop is foreign code too. Its panic, the third in a row, is caught and
        // its payload leaked rather than dropped: this has to end somewhere.
        if let Err(third) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Box::leak(third);
        }
    }
}
