//! Set of tasks that are joined in the order in which they finish.
//!
//! Called by users; calls `spawn` and the tasks' handles. The set never polls its tasks for their
//! end. Each task notifies it when its future is dropped, which happens at every end: return, panic,
//! abort, the end of the runtime. Joining the next task costs the same with three tasks and with a
//! hundred thousand:
//!
//! ```text
//!   JoinSet                                 the runtime
//!     handles  [ 0: handle ][ 1: handle ]     task { TrackedFuture { future, notifier: 0 } }
//!     shared --> finished: 1, 0, ...  <------ drop of the future pushes its key
//!                waker             ---------> and wakes the task that joins
//! ```
//!
//! The notifier is part of the task's one allocation. Rejected: a waker of its own for each task, as
//! in `FuturesUnordered`. It needs no wrapper of the future, but costs an allocation per task.
//!
//! The list is behind a lock, so a set is `Send`, as its handles are. It can be a field of `Send`
//! values and can be dropped on any thread.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use super::spawn_blocking::run_on_pool;
use super::{AbortHandle, Id, JoinError, JoinHandle, spawn_named};
use crate::context;
use crate::defer::{defer_current, poll_proceed, try_consume};
use crate::std_or_loom::{Mutex, MutexGuard};
use crate::wait_list::{set_wait, wake_all};

/// Set of tasks with one output type; returns their outputs in the order in which they finish.
///
/// Dropping the set aborts its tasks. To keep them running, call [`detach_all`](Self::detach_all)
/// first. The set keeps the output of a task until it is joined, so a set that is never joined grows
/// without a limit.
///
/// # Panics
///
/// Polling panics on a thread that is not running the tasks' runtime.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wakeful::task::JoinSet;
///
/// wakeful::block_on(async {
///     let mut set = JoinSet::new();
///     for n in [3, 1, 2] {
///         set.spawn(async move {
///             wakeful::time::sleep(Duration::from_millis(n)).await;
///             n
///         });
///     }
///     let mut order = Vec::new();
///     while let Some(joined) = set.join_next().await {
///         order.push(joined.unwrap());
///     }
///     assert_eq!(order, [1, 2, 3]);
/// });
/// ```
#[must_use = "dropping a set aborts its tasks"]
pub struct JoinSet<T> {
    /// Handles of the tasks that were not joined yet, by number.
    handles: BTreeMap<u64, JoinHandle<T>>,
    /// The number of the next task.
    next: u64,
    shared: Arc<Shared>,
}

/// What the set shares with its tasks.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

/// No user code runs while this is locked.
#[derive(Default)]
struct State {
    /// Numbers of the tasks that have finished and were not joined, in that order.
    finished: VecDeque<u64>,
    /// Waker of the last poll that found no finished task.
    waker: Option<Waker>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notifies the set that a task has finished, when it is dropped.
struct FinishNotifier {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for FinishNotifier {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.finished.push_back(self.number);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            // Catches a panic of the waker. Otherwise it would become the panic of this task.
            match context::current() {
                Some(core) => core.executor.catch_panic("a waker", || waker.wake()),
                None => wake_all([waker]),
            }
        }
    }
}

pin_project! {
    /// The future of a task, with the notifier of its end.
    struct TrackedFuture<F> {
        // Dropped before the set is notified, by the order of the fields.
        #[pin]
        future: F,
        notifier: FinishNotifier,
    }
}

impl<F: Future> Future for TrackedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

impl<T> JoinSet<T> {
    /// Creates an empty set.
    pub fn new() -> Self {
        JoinSet {
            handles: BTreeMap::new(),
            next: 0,
            shared: Arc::default(),
        }
    }

    /// Returns the number of tasks in the set, both running and finished but not joined.
    #[must_use]
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    /// Returns whether the set holds no task.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Aborts every task.
    ///
    /// The tasks stay in the set. They are joined as canceled, or with their output if they had
    /// finished before.
    pub fn abort_all(&mut self) {
        self.all_handles().for_each(JoinHandle::abort);
    }

    /// Detaches every task, which leaves the set empty.
    pub fn detach_all(&mut self) {
        // The detached tasks notify the old list, which no set reads any more.
        self.shared = Arc::default();
        let detached = std::mem::take(&mut self.handles);
        // Drops outputs, which is user code. The set is already empty for it.
        drop(detached);
    }

    fn all_handles(&self) -> impl Iterator<Item = &JoinHandle<T>> {
        self.handles.values()
    }
}

impl<T: 'static> JoinSet<T> {
    /// Spawns a task into the set, as [`spawn`](super::spawn) does.
    ///
    /// # Panics
    ///
    /// Panics when there is no runtime on this thread.
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(future, None, Location::caller())
    }

    /// Same as [`spawn`](Self::spawn), under its name in tokio: no task of this runtime has to be
    /// `Send`.
    ///
    /// # Panics
    ///
    /// Panics when there is no runtime on this thread.
    #[track_caller]
    pub fn spawn_local<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(future, None, Location::caller())
    }

    /// Runs a blocking closure on a thread of the pool, as
    /// [`spawn_blocking`](super::spawn_blocking()) does, and adds it to the set.
    ///
    /// # Panics
    ///
    /// Panics when there is no runtime on this thread.
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, closure: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        let future = run_on_pool(closure, "JoinSet::spawn_blocking");
        self.insert(future, Some("spawn_blocking"), Location::caller())
    }

    /// Returns a builder that configures a task before it is spawned into the set.
    ///
    /// # Examples
    ///
    /// ```
    /// wakeful::block_on(async {
    ///     let mut set = wakeful::task::JoinSet::new();
    ///     set.build_task().name("answer").spawn(async { 42 })?;
    ///     assert_eq!(set.join_all().await, [42]);
    ///     std::io::Result::Ok(())
    /// }).unwrap();
    /// ```
    pub fn build_task(&mut self) -> Builder<'_, T> {
        Builder {
            set: self,
            name: None,
        }
    }

    #[track_caller]
    fn insert<F>(
        &mut self,
        future: F,
        name: Option<&str>,
        location: &'static Location<'static>,
    ) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        if context::with_current(|_| ()).is_none() {
            context::require("JoinSet::spawn");
        }
        let number = self.next;
        self.next += 1;
        let shared = Arc::clone(&self.shared);
        let notifier = FinishNotifier { shared, number };
        let handle = spawn_named(TrackedFuture { future, notifier }, name, location);
        let abort = handle.abort_handle();
        self.handles.insert(number, handle);
        abort
    }

    /// Waits until a task of the set has finished, removes it and returns its output. Returns `None`
    /// when the set is empty.
    ///
    /// # Errors
    ///
    /// The inner result is a [`JoinError`] when the task panicked or was aborted.
    ///
    /// # Panics
    ///
    /// Polling panics on a thread that is not running the tasks' runtime.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an output stays in the set until it is returned.
    #[track_caller]
    pub fn join_next(&mut self) -> JoinNext<'_, T> {
        JoinNext {
            next: Next::new(self, "JoinSet::join_next"),
        }
    }

    /// Same as [`join_next`](Self::join_next), with the id of the task. The error of a task that
    /// panicked or was aborted holds the id.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use wakeful::task::JoinSet;
    ///
    /// wakeful::block_on(async {
    ///     let (mut set, mut names) = (JoinSet::new(), HashMap::new());
    ///     for name in ["good", "bad"] {
    ///         let task = set.spawn(async move { assert_eq!(name, "good") });
    ///         names.insert(task.id(), name);
    ///     }
    ///     while let Some(joined) = set.join_next_with_id().await {
    ///         match joined {
    ///             Ok((id, ())) => assert_eq!(names[&id], "good"),
    ///             Err(error) => assert_eq!(names[&error.id().unwrap()], "bad"),
    ///         }
    ///     }
    /// });
    /// ```
    #[track_caller]
    pub fn join_next_with_id(&mut self) -> JoinNextWithId<'_, T> {
        JoinNextWithId {
            next: Next::new(self, "JoinSet::join_next_with_id"),
        }
    }

    /// Removes a task that has finished and returns its output. Returns `None` if no task has
    /// finished yet.
    ///
    /// # Panics
    ///
    /// Panics on a thread that is not running the tasks' runtime, if a task has finished.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.take_next().map(|(_, joined)| joined)
    }

    /// Same as [`try_join_next`](Self::try_join_next), with the id of the task.
    ///
    /// # Panics
    ///
    /// Panics on a thread that is not running the tasks' runtime, if a task has finished.
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        self.take_next()
            .map(|(id, joined)| joined.map(|output| (id, output)))
    }

    /// Same as [`join_next`](Self::join_next), for use in a `poll` function. Only the waker of the
    /// last call is woken.
    ///
    /// # Panics
    ///
    /// Panics on a thread that is not running the tasks' runtime, if a task has finished.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use wakeful::task::JoinSet;
    ///
    /// wakeful::block_on(async {
    ///     let mut set = JoinSet::new();
    ///     set.spawn(async { 42 });
    ///     let joined = poll_fn(|cx| set.poll_join_next(cx)).await;
    ///     assert_eq!(joined.unwrap().unwrap(), 42);
    ///     // The set is empty, so this is ready at once.
    ///     assert!(poll_fn(|cx| set.poll_join_next(cx)).await.is_none());
    /// });
    /// ```
    #[track_caller]
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        let wait = ("JoinSet::poll_join_next", Location::caller());
        self.poll_next(cx, wait)
            .map(|next| next.map(|(_, joined)| joined))
    }

    /// Same as [`poll_join_next`](Self::poll_join_next), with the id of the task.
    ///
    /// # Panics
    ///
    /// Panics on a thread that is not running the tasks' runtime, if a task has finished.
    #[track_caller]
    pub fn poll_join_next_with_id(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Id, T), JoinError>>> {
        let wait = ("JoinSet::poll_join_next_with_id", Location::caller());
        let next = self.poll_next(cx, wait);
        next.map(|next| next.map(|(id, joined)| joined.map(|output| (id, output))))
    }

    /// Aborts every task and waits until all have finished, which leaves the set empty.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the first poll aborts the tasks, and a new call resumes the wait.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    /// Waits until all tasks have finished, and returns their outputs in that order.
    ///
    /// # Panics
    ///
    /// Resumes the panic of a task, and panics if a task was aborted. Both abort the other tasks. To
    /// handle each result, call [`join_next`](Self::join_next).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future drops the outputs so far and the set, which aborts the
    /// tasks.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(joined) = self.join_next().await {
            match joined.map_err(JoinError::try_into_panic) {
                Ok(output) => outputs.push(output),
                Err(Ok(payload)) => resume_unwind(payload),
                Err(Err(error)) => panic!(
                    "JoinSet::join_all: no output: {error}; call `join_next` to handle each result"
                ),
            }
        }
        outputs
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        (operation, location): (&'static str, &'static Location<'static>),
    ) -> Poll<Option<(Id, Result<T, JoinError>)>> {
        let mut waker = None;
        loop {
            let mut state = self.shared.lock();
            if let Some(number) = state.finished.front().copied() {
                drop(state);
                let Some(handle) = self.handles.get_mut(&number) else {
                    self.pop_notified();
                    continue;
                };
                let id = handle.id();
                let has_budget = try_consume();
                // `None`: the future was dropped, but the poll that did it is not over. Its drop
                // wakes this waker, which polls the set from inside of that poll.
                let Some(joined) = has_budget.then(|| handle.try_join()).flatten() else {
                    defer_current(cx);
                    return Poll::Pending;
                };
                self.pop_notified();
                self.handles.remove(&number);
                return Poll::Ready(Some((id, joined)));
            }
            if self.handles.is_empty() {
                drop(state);
                return poll_proceed(cx).map(|()| None);
            }
            let stored = state.waker.as_ref();
            if !stored.is_some_and(|stored| stored.will_wake(cx.waker())) {
                // Cloned and dropped outside of the lock (I3).
                let Some(waker) = waker.take() else {
                    drop(state);
                    waker = Some(cx.waker().clone());
                    continue;
                };
                let replaced = state.waker.replace(waker);
                drop(state);
                drop(replaced);
            }
            set_wait(operation, location);
            return Poll::Pending;
        }
    }

    fn take_next(&mut self) -> Option<(Id, Result<T, JoinError>)> {
        loop {
            let number = self.shared.lock().finished.front().copied()?;
            let Some(handle) = self.handles.get_mut(&number) else {
                self.pop_notified();
                continue;
            };
            let id = handle.id();
            let joined = handle.try_join()?;
            self.pop_notified();
            self.handles.remove(&number);
            return Some((id, joined));
        }
    }

    /// Removes the first number from the list of finished tasks.
    fn pop_notified(&self) {
        self.shared.lock().finished.pop_front();
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        // The fields are dropped next, which detaches the tasks and drops their outputs.
        self.all_handles().for_each(JoinHandle::abort);
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len()).finish()
    }
}

/// Spawns each future in order.
impl<F> FromIterator<F> for JoinSet<F::Output>
where
    F: Future<Output: 'static> + 'static,
{
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> Self {
        let mut set = JoinSet::new();
        set.extend(futures);
        set
    }
}

/// Spawns each future in order.
impl<F> Extend<F> for JoinSet<F::Output>
where
    F: Future<Output: 'static> + 'static,
{
    #[track_caller]
    fn extend<I: IntoIterator<Item = F>>(&mut self, futures: I) {
        let location = Location::caller();
        for future in futures {
            self.insert(future, None, location);
        }
    }
}

/// Builder of a task in a set; created by [`JoinSet::build_task`].
#[derive(Debug)]
#[must_use = "a builder spawns nothing by itself"]
pub struct Builder<'a, T> {
    set: &'a mut JoinSet<T>,
    name: Option<&'a str>,
}

impl<'a, T: 'static> Builder<'a, T> {
    /// Sets the name of the task in task dumps, panic reports and warnings.
    pub fn name(mut self, name: &'a str) -> Self {
        self.name = Some(name);
        self
    }

    /// Spawns the task into the set, as [`JoinSet::spawn`] does.
    ///
    /// # Errors
    ///
    /// Never fails today; the signature is that of tokio.
    ///
    /// # Panics
    ///
    /// Panics when there is no runtime on this thread.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> io::Result<AbortHandle>
    where
        F: Future<Output = T> + 'static,
    {
        Ok(self.set.insert(future, self.name, Location::caller()))
    }
}

/// The common part of the two futures.
struct Next<'a, T> {
    set: &'a mut JoinSet<T>,
    /// Operation and location for the task info.
    wait: (&'static str, &'static Location<'static>),
    /// Whether the last poll stored a waker in the set.
    waiting: bool,
}

impl<'a, T: 'static> Next<'a, T> {
    #[track_caller]
    fn new(set: &'a mut JoinSet<T>, operation: &'static str) -> Self {
        Next {
            set,
            wait: (operation, Location::caller()),
            waiting: false,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Id, Result<T, JoinError>)>> {
        let polled = self.set.poll_next(cx, self.wait);
        self.waiting = polled.is_pending();
        polled
    }
}

impl<T> Drop for Next<'_, T> {
    fn drop(&mut self) {
        if self.waiting {
            // Otherwise the waker would stay in memory until the next task finishes.
            let waker = self.set.shared.lock().waker.take();
            drop(waker);
        }
    }
}

/// The future of [`JoinSet::join_next`].
#[must_use = "futures do nothing unless awaited"]
pub struct JoinNext<'a, T> {
    next: Next<'a, T>,
}

impl<T: 'static> Future for JoinNext<'_, T> {
    type Output = Option<Result<T, JoinError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.next.poll(cx);
        polled.map(|next| next.map(|(_, joined)| joined))
    }
}

impl<T> fmt::Debug for JoinNext<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinNext")
            .field("set", &self.next.set)
            .finish()
    }
}

/// The future of [`JoinSet::join_next_with_id`].
#[must_use = "futures do nothing unless awaited"]
pub struct JoinNextWithId<'a, T> {
    next: Next<'a, T>,
}

impl<T: 'static> Future for JoinNextWithId<'_, T> {
    type Output = Option<Result<(Id, T), JoinError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.next.poll(cx);
        polled.map(|next| next.map(|(id, joined)| joined.map(|output| (id, output))))
    }
}

impl<T> fmt::Debug for JoinNextWithId<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinNextWithId")
            .field("set", &self.next.set)
            .finish()
    }
}
