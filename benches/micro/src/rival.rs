//! What a runtime has to offer to take part.

use std::future::Future;
use std::time::Duration;

use crate::shared::wake_self;

/// A single-threaded runtime, seen from a task that runs on it.
///
/// Every work runs inside a spawned task, as nearly all code of a real program does; the root
/// future only waits for it.
pub trait Rival: Clone + 'static {
    /// What a spawned task is awaited by.
    type Handle<T: 'static>: 'static;

    /// Makes a runtime with timers, and runs on it the task that `main` makes.
    fn run<T, F>(main: impl FnOnce(Self) -> F) -> T
    where
        T: 'static,
        F: Future<Output = T> + 'static;

    /// Spawns a task.
    fn spawn<F>(&self, future: F) -> Self::Handle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static;

    /// Waits for the end of a task.
    fn join<T: 'static>(handle: Self::Handle<T>) -> impl Future<Output = T>;

    /// Lets a task run without waiting for it.
    fn detach<T: 'static>(handle: Self::Handle<T>);

    /// A timer.
    fn sleep(&self, duration: Duration) -> impl Future + 'static;

    /// Lets the other tasks run. Where the runtime has no such thing, its users write this.
    fn yield_now(&self) -> impl Future<Output = ()> {
        wake_self()
    }
}
