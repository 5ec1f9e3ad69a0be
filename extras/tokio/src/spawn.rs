//! Tasks and blocking closures of this thread's runtime. Public through `task`.

use std::cell::Cell;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use wakeful::task::Id;

use crate::entered;
use crate::join_handle::JoinHandle;

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

/// Makes an id the one of this thread until it is dropped, also by a panic of the closure.
struct BlockingId;

impl BlockingId {
    fn set(id: Id) -> Self {
        BLOCKING.set(Some(id));
        BlockingId
    }
}

impl Drop for BlockingId {
    fn drop(&mut self) {
        BLOCKING.set(None);
    }
}

/// Calls a closure on a thread of the blocking pool. `Handle::current` returns this runtime's handle there.
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
    let origin = entered::origin();
    let handle = wakeful::task::spawn_blocking(move || {
        // Blocks for as long as the other thread needs to store the id.
        let _id = BlockingId::set(*known.wait());
        entered::call_for(origin, closure)
    });
    id.get_or_init(|| handle.id());
    JoinHandle::local(handle)
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
