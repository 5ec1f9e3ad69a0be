//! Tasks of Wakeful with tokio's signatures, task-local values of tokio.

use std::cell::Cell;
use std::future::Future;
use std::sync::{Arc, OnceLock};

mod join_handle;
pub mod join_set;
mod local_set;

pub use join_handle::{AbortHandle, JoinHandle};
pub use join_set::JoinSet;
pub use local_set::{LocalEnterGuard, LocalSet, spawn_local};
#[cfg(feature = "rt")]
pub use real_tokio::task::{LocalKey, futures, unconstrained};
pub use wakeful::task::{
    ConsumeBudget, Id, JoinError, TaskInfo, YieldNow, consume_budget, dump, yield_now,
};

/// The functions of tokio's budget that have a counterpart.
///
/// Wakeful counts operations on descriptors, timers and join handles. tokio's channels and utilities
/// are not counted, so [`unconstrained`] has nothing to lift for them, and does not lift Wakeful's
/// budget.
pub mod coop {
    #[cfg(feature = "rt")]
    pub use real_tokio::task::Unconstrained;
    #[cfg(feature = "rt")]
    pub use real_tokio::task::unconstrained;
    pub use wakeful::task::consume_budget;
}

/// Spawns a task. Unlike tokio's, it does not require `Send`, because a task never leaves its thread.
///
/// # Panics
///
/// When there is no runtime on this thread.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    JoinHandle::local(wakeful::spawn(future))
}

thread_local! {
    /// The id of the blocking closure that runs on this thread.
    static BLOCKING: Cell<Option<Id>> = const { Cell::new(None) };
}

/// Calls a closure on a thread of the blocking pool.
///
/// # Panics
///
/// When there is no runtime on this thread.
#[track_caller]
pub fn spawn_blocking<F, R>(closure: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let id = Arc::new(OnceLock::new());
    let known = Arc::clone(&id);
    let handle = wakeful::task::spawn_blocking(move || {
        // Blocks for as long as the other thread needs to store the id.
        BLOCKING.set(Some(*known.wait()));
        let output = closure();
        BLOCKING.set(None);
        output
    });
    id.get_or_init(|| handle.id());
    JoinHandle::local(handle)
}

/// Implemented by no type; see [`block_in_place`].
#[diagnostic::on_unimplemented(
    message = "Wakeful has no `block_in_place`, because it has one thread",
    label = "not available in wakeful-tokio",
    note = "use `tokio::task::spawn_blocking(closure).await`"
)]
pub trait BlocksInPlace {}

/// Absent: a closure that blocks would stop the only thread.
///
/// It is declared so that the compiler can say what to use instead, and cannot be called.
pub fn block_in_place<F: BlocksInPlace, R>(_: F) -> R {
    unreachable!("no type implements BlocksInPlace")
}

/// Returns the id of the task, or of the blocking closure, that is running.
///
/// # Panics
///
/// When called outside of a task.
#[must_use]
#[track_caller]
pub fn id() -> Id {
    match BLOCKING.get() {
        Some(id) => id,
        None => wakeful::task::id(),
    }
}

/// Returns the id of the task, or of the blocking closure, that is running, if there is one.
#[must_use]
pub fn try_id() -> Option<Id> {
    BLOCKING.get().or_else(wakeful::task::try_id)
}
