//! The one allocation of a task: its future, and later its output, behind a small trait.
//!
//! Called by the executor, which does not know the types of the future and the output. The cell has
//! three stages, in this order:
//!
//! ```text
//!            poll: Pending
//!              +-----+
//!              v     |          take_output
//!  spawn --> Running ------> Finished(Ok | Err) -----------> Finished(None)
//!                    poll: Ready, fail, cancel
//! ```
//!
//! Leaving `Running` drops the future in place, at once, on the runtime's thread. The allocation has the
//! size of the larger of future and output, and stays until the output is taken or dropped. There is no
//! unsafe code: `pin-project-lite` projects the pinned field, and the output is returned through
//! `dyn Any`, which checks its type.

use std::any::Any;
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::join_error::{JoinError, Payload};
use crate::drops::drop_ignoring_panic;
use crate::id::Id;

/// The cell of a task, owned by its row or by the poll in progress.
pub(crate) type BoxedCell = Pin<Box<dyn AnyTask>>;

/// How a task ended.
#[must_use = "a panic has to reach a joiner or stderr"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With an output whose destructor can run user code.
    Returned,
    /// With an output that has no destructor.
    ReturnedPlain,
    Cancelled,
    Panicked,
}

/// A task with its types erased.
pub(crate) trait AnyTask {
    /// Polls the future once. If that panics, [`fail`](Self::fail) has to be called.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome>;

    /// Records that a panic ended the task, and drops the future, or an output that was just stored. If
    /// that drop panics as well, the first panic is reported.
    fn fail(self: Pin<&mut Self>, id: Id, payload: Payload);

    /// Drops the future before it has finished. Never unwinds.
    fn cancel(self: Pin<&mut Self>, id: Id) -> Outcome;

    /// Moves the output into `place`, which has to be an `Option<Result<T, JoinError>>`, and frees the
    /// cell.
    fn take_output(self: Pin<Box<Self>>, place: &mut dyn Any);

    /// Returns the text of the error that ended the task, if it has one.
    fn panic_text(&self) -> Option<String>;
}

pin_project! {
    #[project = StageProjection]
    pub(crate) enum TaskCell<F: Future> {
        Running { #[pin] future: F },
        // `None` after it was taken.
        Finished { output: Option<Result<F::Output, JoinError>> },
    }
}

impl<F: Future + 'static> TaskCell<F> {
    #[inline]
    pub(crate) fn boxed(future: F) -> BoxedCell {
        // Allocated first and then written. Otherwise the future is built on the stack and copied
        // (docs/TRIED.md, "boxed future first").
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
        // The new value is stored even if the drop of the old one panics.
        let stored = catch_unwind(AssertUnwindSafe(|| {
            if let Some(failed) = failed.take() {
                self.set(failed);
            }
        }));
        if let Err(second) = stored {
            drop_ignoring_panic(second);
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
        // The output is not pinned, so it can be moved.
        if let StageProjection::Finished { output } = self.as_mut().project() {
            *place = output.take();
        }
    }

    fn panic_text(&self) -> Option<String> {
        match self {
            TaskCell::Finished {
                output: Some(Err(error)),
            } => Some(error.to_string()),
            _ => None,
        }
    }
}
