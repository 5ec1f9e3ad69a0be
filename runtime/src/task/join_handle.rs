//! The handles of a task: ids that can be sent to any thread.
//!
//! A handle contains the task's [`Id`] and no pointer, so it is `Send` and `Sync` without `unsafe`, even
//! if the output is not: the output never leaves the runtime's thread. A handle can be awaited on that
//! thread only. It can be aborted and dropped on any thread; on another one that sends the id to the
//! runtime's inbox.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Id, JoinError};
use crate::context;
use crate::defer::defer_current;
use crate::executor::join::{PollJoin, output_of};
use crate::inbox::Message;
use crate::task_info::{WaitInfo, WaitOn};

/// A future of the output of a task.
///
/// Dropping it detaches the task, which continues on its own. An output that was not taken is dropped
/// on the runtime's thread.
///
/// # Panics
///
/// Polling panics on a thread that is not running the task's runtime and after the output was taken. It
/// panics inside the task itself, too, because the task would wait forever.
///
/// # Cancel safety
///
/// Safe: the output stays with the task until it is taken.
///
/// # Examples
///
/// ```
/// use std::future::pending;
///
/// wakeful::block_on(async {
///     let task = wakeful::spawn(async { 6 * 7 });
///     assert_eq!(task.await.unwrap(), 42);
///
///     let task = wakeful::spawn(pending::<()>());
///     task.abort();
///     assert!(task.await.unwrap_err().is_cancelled());
/// });
/// ```
pub struct JoinHandle<T> {
    id: Id,
    stage: Stage,
    // A handle contains no `T`, so it is `Send` for every `T`. Invariant in `T`, because the output is
    // found by the type id of `T`, which is not that of a supertype.
    output: PhantomData<fn(T) -> T>,
}

/// A handle cannot be turned into one of a supertype of its output.
///
/// ```compile_fail,E0308
/// # use wakeful::task::JoinHandle;
/// type General = for<'a> fn(&'a str) -> usize;
/// fn convert(task: JoinHandle<General>) -> JoinHandle<fn(&'static str) -> usize> {
///     task
/// }
/// ```
#[cfg(doctest)]
struct HandlesAreInvariant;

/// Whether a handle can still return an output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Joinable,
    /// The output was taken, or there never was a task.
    Done,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(id: Id) -> Self {
        JoinHandle {
            id,
            stage: Stage::Joinable,
            output: PhantomData,
        }
    }

    /// Cancels the task: the next time it would be polled, its future is dropped instead.
    ///
    /// The future's values are dropped before the handle returns its error. On a task that has ended this
    /// has no effect, and a task that ends in the current poll ends normally. It can be called from any
    /// thread, any number of times.
    pub fn abort(&self) {
        context::abort(self.id);
    }

    /// Returns whether the task has ended.
    ///
    /// # Panics
    ///
    /// On a thread that is not running the task's runtime.
    #[must_use]
    #[track_caller]
    pub fn is_finished(&self) -> bool {
        self.stage == Stage::Done || is_finished(self.id, "JoinHandle::is_finished")
    }

    /// Returns a handle that can abort the task and do nothing else.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle { id: self.id }
    }

    /// Returns the task's id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// Takes the output if the task has ended. Never waits, and takes nothing off the budget.
    #[track_caller]
    pub(super) fn try_join(&mut self) -> Option<Result<T, JoinError>>
    where
        T: 'static,
    {
        let id = self.id;
        let polled = context::with_current(|core| {
            let owns = core.owns(id.runtime);
            owns.then(|| core.executor.try_join(id.key))
        });
        let joined = polled.flatten().unwrap_or_else(|| {
            context::panic_if_wrong_thread(id.runtime, "joining", Location::caller());
            PollJoin::Gone
        });
        let output = match joined {
            PollJoin::Ready(cell) => output_of::<Result<T, JoinError>>(cell),
            PollJoin::Gone => None,
            _ => return None,
        };
        self.stage = Stage::Done;
        Some(output.unwrap_or_else(|| Err(JoinError::cancelled(id))))
    }
}

#[track_caller]
fn is_finished(id: Id, operation: &str) -> bool {
    match context::current_if(id.runtime) {
        Some(core) => core.executor.is_finished(id.key),
        None => {
            context::panic_if_wrong_thread(id.runtime, operation, Location::caller());
            true
        }
    }
}

impl<T: 'static> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    // The caller is the `.await`, unless a combinator polls the handle.
    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(
            self.stage != Stage::Done,
            "a JoinHandle was polled after it had returned its output"
        );
        let (id, location) = (self.id, Location::caller());
        let polled = context::with_current(|core| {
            let owns = core.owns(id.runtime);
            owns.then(|| {
                core.executor.poll_join(id, cx.waker(), || WaitInfo {
                    operation: "JoinHandle",
                    location,
                    since_ns: core.timers.loop_now_ns(),
                    on: WaitOn::task(id.key),
                })
            })
        });
        let joined = polled.flatten().unwrap_or_else(|| {
            context::panic_if_wrong_thread(id.runtime, "JoinHandle::poll", location);
            PollJoin::Gone
        });
        match joined {
            PollJoin::Pending => Poll::Pending,
            PollJoin::StoreWaker => {
                if let Some(core) = context::current() {
                    core.executor.store_joiner(id.key, cx.waker());
                }
                Poll::Pending
            }
            PollJoin::OverBudget => {
                defer_current(cx);
                Poll::Pending
            }
            PollJoin::Ready(cell) => {
                self.stage = Stage::Done;
                let output = output_of::<Result<T, JoinError>>(cell);
                Poll::Ready(output.unwrap_or_else(|| Err(JoinError::cancelled(id))))
            }
            PollJoin::Gone => {
                self.stage = Stage::Done;
                Poll::Ready(Err(JoinError::cancelled(id)))
            }
            PollJoin::SelfJoin => {
                panic!("task {id} awaits its own JoinHandle, which would wait forever")
            }
        }
    }
}

impl<T> Unpin for JoinHandle<T> {}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if self.stage == Stage::Done {
            return;
        }
        let id = self.id;
        let detached = context::with_current(|core| {
            core.owns(id.runtime) && core.executor.detach_unfinished(id.key)
        });
        if detached != Some(true) {
            detach(id);
        }
    }
}

/// Slow path of dropping a handle: the task has ended, has an external joiner, or belongs to a runtime
/// that is not on this thread.
#[cold]
fn detach(id: Id) {
    match context::current_if(id.runtime) {
        Some(core) => core.executor.detach(id.key),
        None => context::send(id.runtime, Message::Detach(id.key)),
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("id", &self.id).finish()
    }
}

/// A handle that can abort a task, without being able to wait for it.
#[derive(Clone, Debug)]
pub struct AbortHandle {
    id: Id,
}

impl AbortHandle {
    /// Cancels the task, as [`JoinHandle::abort`] does.
    pub fn abort(&self) {
        context::abort(self.id);
    }

    /// Returns whether the task has ended.
    ///
    /// # Panics
    ///
    /// On a thread that is not running the task's runtime.
    #[must_use]
    #[track_caller]
    pub fn is_finished(&self) -> bool {
        is_finished(self.id, "AbortHandle::is_finished")
    }

    /// Returns the task's id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }
}
