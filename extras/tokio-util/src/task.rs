//! [`TaskTracker`], which waits for tasks to end.

use std::future::Future;
use std::ops::Deref;

use tokio::runtime::Handle;
use tokio::task::{self, JoinHandle, LocalSet};

/// The tokens and futures of a [`TaskTracker`].
pub mod task_tracker {
    pub use super::TaskTracker;
    pub use real_tokio_util::task::task_tracker::{
        TaskTrackerToken, TaskTrackerWaitFuture, TrackedFuture,
    };
}

/// Waits for tasks to end; tokio-util's, with functions that spawn on Wakeful. Its other methods are called
/// through `Deref`.
///
/// # Examples
///
/// ```
/// use tokio_util::task::TaskTracker;
///
/// # #[tokio::main]
/// # async fn main() {
/// let tracker = TaskTracker::new();
/// let task = tracker.spawn(async { 42 });
/// tracker.close();
/// tracker.wait().await;
/// assert_eq!(task.await.unwrap(), 42);
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct TaskTracker(real_tokio_util::task::TaskTracker);

impl TaskTracker {
    /// Creates a tracker of no tasks, which is open.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a task on this thread's runtime and tracks it.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        task::spawn(self.track_future(future))
    }

    /// Spawns a task on the runtime of a handle and tracks it.
    #[track_caller]
    pub fn spawn_on<F>(&self, future: F, handle: &Handle) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        handle.spawn(self.track_future(future))
    }

    /// Spawns a task on the current [`LocalSet`], or else on this thread's runtime, and tracks it.
    ///
    /// # Panics
    ///
    /// When there is neither on this thread.
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        task::spawn_local(self.track_future(future))
    }

    /// Spawns a task on a [`LocalSet`] and tracks it.
    #[track_caller]
    pub fn spawn_local_on<F>(&self, future: F, set: &LocalSet) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        set.spawn_local(self.track_future(future))
    }

    /// Calls a closure on a thread of the blocking pool and tracks it.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, closure: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let token = self.token();
        task::spawn_blocking(move || {
            let _tracked = token;
            closure()
        })
    }

    /// Calls a closure on a thread of the blocking pool of a handle's runtime and tracks it.
    #[track_caller]
    pub fn spawn_blocking_on<F, R>(&self, closure: F, handle: &Handle) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let token = self.token();
        handle.spawn_blocking(move || {
            let _tracked = token;
            closure()
        })
    }

    /// Returns whether two trackers are clones of each other.
    #[must_use]
    pub fn ptr_eq(left: &TaskTracker, right: &TaskTracker) -> bool {
        real_tokio_util::task::TaskTracker::ptr_eq(&left.0, &right.0)
    }
}

impl Deref for TaskTracker {
    type Target = real_tokio_util::task::TaskTracker;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
