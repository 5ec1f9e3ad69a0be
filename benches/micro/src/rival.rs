//! The interface between a runtime and the work items.

use std::future::Future;
use std::time::Duration;

use crate::shared::wake_self;

/// A single-threaded runtime, as used by a task that runs on it.
///
/// Every work item runs inside a spawned task, like most code of a real program. The root future only
/// waits for this task.
pub trait Rival: Clone + 'static {
    /// Handle of a spawned task.
    type Handle<T: 'static>: 'static;

    /// Makes a runtime with timers, and runs the future of `main` on it as a task.
    fn run<T, F>(main: impl FnOnce(Self) -> F) -> T
    where
        T: 'static,
        F: Future<Output = T> + 'static;

    /// Spawns a task.
    fn spawn<F>(&self, future: F) -> Self::Handle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static;

    /// Waits for the output of a task.
    fn join<T: 'static>(handle: Self::Handle<T>) -> impl Future<Output = T>;

    /// Detaches a task, which continues to run.
    fn detach<T: 'static>(handle: Self::Handle<T>);

    /// Returns a timer.
    fn sleep(&self, duration: Duration) -> impl Future + 'static;

    /// Yields to the other tasks. The default is the usual code for a runtime without `yield_now`.
    fn yield_now(&self) -> impl Future<Output = ()> {
        wake_self()
    }
}
