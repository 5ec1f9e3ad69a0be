//! Tasks: spawning, joining, aborting, yielding, and looking at them.
//!
//! A *future* is a value of user code. A *task* is a spawned future in a row of its runtime's task table.
//! The functions here find the thread's runtime and call its executor.

use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::context;
use crate::defer::{defer_current, poll_proceed};
use crate::executor::cell::{BoxedCell, TaskCell};

mod join_handle;
pub mod join_set;
mod spawn_blocking;

pub use crate::executor::join_error::JoinError;
pub use crate::id::Id;
pub use crate::task_info::{TaskInfo, TaskState, WaitTarget, Waiting, WakeCause};
pub use join_handle::{AbortHandle, JoinHandle};
pub use join_set::JoinSet;
pub use spawn_blocking::spawn_blocking;
pub(crate) use spawn_blocking::submit_detached;

/// Spawns a task on the runtime of this thread and returns a handle to await its output.
///
/// The future need not be `Send`: it is created, polled and dropped on this thread. Its first poll
/// comes after the current poll, when it is next in the run queue. Dropping the handle detaches the
/// task, which continues on its own.
///
/// # Panics
///
/// When there is no runtime on this thread.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
///
/// wakeful::block_on(async {
///     let shared = Rc::new(20);
///     let task = wakeful::spawn({
///         let shared = Rc::clone(&shared);
///         async move { *shared + 1 }
///     });
///     assert_eq!(task.await.unwrap() + 21, 42);
/// });
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    spawn_at(future, Location::caller())
}

/// The same as [`spawn`], under tokio's name. No task of this crate has to be `Send`, and there is no
/// `LocalSet`.
///
/// # Panics
///
/// When there is no runtime on this thread.
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    spawn_at(future, Location::caller())
}

#[track_caller]
#[inline]
fn spawn_at<F>(future: F, location: &'static Location<'static>) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    match spawn_cell(TaskCell::boxed(future), location) {
        Some(id) => JoinHandle::new(id),
        None => {
            context::require("spawn");
            unreachable!("`require` has panicked")
        }
    }
}

/// The part of spawning that does not depend on the future's type. Returns `None` without a runtime
/// on this thread.
#[inline(never)]
fn spawn_cell(cell: BoxedCell, location: &'static Location<'static>) -> Option<Id> {
    let mut refused = None;
    let id = context::with_current(|core| match core.executor.spawn(cell, location) {
        Ok(id) => id,
        Err(cell) => {
            refused = Some(cell);
            // The runtime is ending. Awaiting the task returns "canceled".
            Id::of_no_task(core.id)
        }
    });
    // Dropping a future is user code, so it happens outside of `with`.
    drop(refused);
    id
}

#[track_caller]
fn spawn_named<F>(
    future: F,
    name: Option<&str>,
    location: &'static Location<'static>,
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let task = spawn_at(future, location);
    if let Some(name) = name {
        context::with_current(|core| core.executor.set_name(task.id().key, name));
    }
    task
}

/// Configures a task before it is spawned.
///
/// # Examples
///
/// ```
/// wakeful::block_on(async {
///     let task = wakeful::task::Builder::new().name("answer").spawn(async { 42 })?;
///     assert_eq!(task.await?, 42);
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Builder<'a> {
    name: Option<&'a str>,
    /// `None` means the location of the call to `spawn`.
    spawned_at: Option<&'static Location<'static>>,
}

impl<'a> Builder<'a> {
    /// Starts with no name.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the task in dumps, reports and warnings.
    #[must_use]
    pub fn name(mut self, name: &'a str) -> Self {
        self.name = Some(name);
        self
    }

    /// Sets the source location of the spawn in dumps, for functions that spawn on behalf of their
    /// callers, and later than the call.
    #[must_use]
    pub fn spawned_at(mut self, location: &'static Location<'static>) -> Self {
        self.spawned_at = Some(location);
        self
    }

    /// Spawns the task, as [`spawn`] does.
    ///
    /// # Errors
    ///
    /// None at present; the signature is tokio's.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        // Not inside a closure, which would be its own caller.
        let here = Location::caller();
        let location = self.spawned_at.unwrap_or(here);
        Ok(spawn_named(future, self.name, location))
    }
}

/// Returns the id of the task that is being polled.
///
/// # Panics
///
/// Outside of a task; [`try_id`] does not.
///
/// # Examples
///
/// ```
/// wakeful::block_on(async {
///     let task = wakeful::spawn(async { wakeful::task::id() });
///     let id = task.id();
///     assert_eq!(task.await.unwrap(), id);
/// });
/// ```
#[must_use]
#[track_caller]
pub fn id() -> Id {
    match try_id() {
        Some(id) => id,
        None => {
            panic!("task::id: called outside of a task; the root future of `block_on` is no task")
        }
    }
}

/// Returns the id of the task that is being polled; `None` outside of a task.
#[must_use]
pub fn try_id() -> Option<Id> {
    context::with_current(|core| core.executor.running()).flatten()
}

/// Returns every task of this thread's runtime as it is now. [`wakeful::dump`](crate::dump()) returns the
/// root future, descriptors, timers and threads as well.
///
/// The root future, which `block_on` or an attribute runs, is not a task. Code whose waits are to be listed
/// has to be spawned.
///
/// # Panics
///
/// When there is no runtime on this thread.
///
/// # Examples
///
/// ```
/// use wakeful::task;
///
/// wakeful::block_on(async {
///     let sleeper = task::Builder::new().name("sleeper").spawn(async {
///         wakeful::time::sleep(std::time::Duration::from_secs(60)).await;
///     })?;
///     task::yield_now().await;
///     let tasks = task::dump();
///     let info = tasks.iter().find(|info| info.id == sleeper.id());
///     let info = info.expect("it has not ended");
///     assert_eq!(info.name.as_deref(), Some("sleeper"));
///     let waiting = info.waiting.as_ref().expect("it waits");
///     assert_eq!(waiting.operation, "sleep");
///     println!("{} since {:?}", waiting.location, waiting.elapsed);
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn dump() -> Vec<TaskInfo> {
    crate::dump::tasks(&context::require("task::dump"))
}

/// Yields to tasks that are ready, and to I/O and timers that are due.
///
/// The task, or the root future, is polled again after the reactor's next turn, behind every task that
/// the turn woke. If something else has woken the task already, it is polled again at its place in the
/// run queue. Under another executor's `block_on` inside a task, that turn cannot come, so this
/// waits forever: await in the task itself, or block on another thread.
///
/// # Cancel safety
///
/// Safe: there is nothing to lose.
///
/// # Examples
///
/// ```
/// wakeful::block_on(async {
///     for _ in 0..1_000 {
///         // a step of a long computation, then:
///         wakeful::task::yield_now().await;
///     }
/// });
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[must_use = "futures do nothing unless awaited"]
#[derive(Debug)]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.yielded, true) {
            return Poll::Ready(());
        }
        defer_current(cx);
        Poll::Pending
    }
}

/// Takes one operation off the task's I/O budget; yields if the budget is used up.
///
/// For a loop whose calls never wait: it then yields as often as a loop that does I/O. See
/// [`Builder::io_budget`](crate::runtime::Builder::io_budget).
///
/// # Cancel safety
///
/// Safe: there is nothing to lose.
///
/// # Examples
///
/// ```
/// wakeful::block_on(async {
///     let mut sum = 0u64;
///     for n in 0..10_000 {
///         sum += n; // a step that takes about as long as a read or a write
///         wakeful::task::consume_budget().await;
///     }
///     assert_eq!(sum, 49_995_000);
/// });
/// ```
pub fn consume_budget() -> ConsumeBudget {
    ConsumeBudget(())
}

/// The future of [`consume_budget`].
#[must_use = "futures do nothing unless awaited"]
#[derive(Debug)]
pub struct ConsumeBudget(());

impl Future for ConsumeBudget {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        poll_proceed(cx)
    }
}
