//! Many tasks, joined in the order in which they end.
//!
//! Called by users; calls `spawn` and the tasks' handles. The set never asks its tasks whether they
//! have ended: each leaves a notice when its future is dropped, which happens however a task ends
//! (return, panic, abort, the runtime's end). Joining the next costs the same with three tasks and
//! with a hundred thousand:
//!
//! ```text
//!   JoinSet                                 the runtime
//!     members  [ 0: handle ][ 1: handle ]     task { Member { future, notice: 0 } }
//!     shared --> ready: 1, 0, ...  <--------- the future is dropped: its number goes to the end
//!                waker             ---------> and the first one wakes whoever joins
//! ```
//!
//! The notice is part of the task's one allocation. Rejected: a waker of its own for each task, which
//! needs nothing of the future but costs an allocation per task, as `FuturesUnordered` has it.
//!
//! The list is behind a lock, so a set is `Send` as its handles are: it may be held in values that
//! have to be, and dropped anywhere.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use super::spawn_blocking::run_on_pool;
use super::{AbortHandle, Id, JoinError, JoinHandle, spawn_named, yield_after_turn};
use crate::context;
use crate::slab::{Key, Slab};
use crate::sync::{Mutex, MutexGuard};
use crate::wait_list::{note_wait, wake_all};

/// Holds tasks of one output type and gives their outputs in the order in which they end.
///
/// Dropping the set aborts its tasks; [`detach_all`](Self::detach_all) before that lets them go on.
/// A task's output waits in the set until it is taken: in a set that only grows, for ever.
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
    /// `None` only for the length of `insert`.
    members: Slab<Option<JoinHandle<T>>>,
    shared: Arc<Shared>,
}

/// Where the tasks leave their notices.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

/// No foreign code runs while this is locked.
#[derive(Default)]
struct State {
    /// The members that have ended and were not joined, in that order.
    ready: VecDeque<Key>,
    /// Whoever joins.
    waker: Option<Waker>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says to the set that a task has ended.
struct Notice {
    shared: Arc<Shared>,
    key: Key,
}

impl Drop for Notice {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ready.push_back(self.key);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            // The task is at its end, and a waker that panics is not to become its panic.
            match context::get() {
                Some(core) => core.executor.contain("a waker", || waker.wake()),
                None => wake_all([waker]),
            }
        }
    }
}

pin_project! {
    /// A task's future with its notice.
    struct Member<F> {
        // Dropped before the notice is left: fields are dropped in this order.
        #[pin]
        future: F,
        notice: Notice,
    }
}

impl<F: Future> Future for Member<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

impl<T> JoinSet<T> {
    /// Makes a set without tasks.
    pub fn new() -> Self {
        JoinSet {
            members: Slab::new(),
            shared: Arc::default(),
        }
    }

    /// How many tasks are in the set: those that run, and those that have ended and were not joined.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Says whether there is no task in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Aborts every task. They stay in the set and are joined as cancelled, or with their output when
    /// they had ended.
    pub fn abort_all(&mut self) {
        self.members().for_each(JoinHandle::abort);
    }

    /// Lets every task go on by itself; the set is empty then.
    pub fn detach_all(&mut self) {
        // What the detached leave finds a list that nobody reads any more.
        self.shared = Arc::default();
        let detached = std::mem::replace(&mut self.members, Slab::new());
        // An output is dropped by this: foreign code, for which the set is empty already.
        drop(detached);
    }

    fn members(&self) -> impl Iterator<Item = &JoinHandle<T>> {
        self.members.values().flatten()
    }
}

impl<T: 'static> JoinSet<T> {
    /// Spawns a task into the set, as [`spawn`](super::spawn) does.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(future, None, Location::caller())
    }

    /// The same as [`spawn`](Self::spawn), under the name that it has in tokio: no task here has to
    /// be `Send`.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn spawn_local<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(future, None, Location::caller())
    }

    /// Runs a closure that blocks on a thread of its own, as
    /// [`spawn_blocking`](super::spawn_blocking()) does, and joins it in this set.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, closure: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        let future = run_on_pool(closure, "JoinSet::spawn_blocking");
        self.insert(future, Some("spawn_blocking"), Location::caller())
    }

    /// Configures a task before it is spawned into the set.
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
        if context::with(|_| ()).is_none() {
            context::expect("JoinSet::spawn");
        }
        let key = self.members.insert(None);
        let shared = Arc::clone(&self.shared);
        let notice = Notice { shared, key };
        let handle = spawn_named(Member { future, notice }, name, location);
        let abort = handle.abort_handle();
        if let Some(member) = self.members.get_mut(key) {
            *member = Some(handle);
        }
        abort
    }

    /// Waits until a task of the set has ended and takes its output; `None` when the set is empty.
    ///
    /// # Errors
    ///
    /// [`JoinError`], inside, when the task panicked or was aborted.
    ///
    /// # Panics
    ///
    /// Polling panics on a thread that is not running the tasks' runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe: an output stays in the set until it is returned.
    #[track_caller]
    pub fn join_next(&mut self) -> JoinNext<'_, T> {
        JoinNext {
            next: Next::new(self, "JoinSet::join_next"),
        }
    }

    /// As [`join_next`](Self::join_next), with the number of the task. That of one that panicked or
    /// was aborted is in the error.
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

    /// Takes the output of a task that has ended; `None` when there is none now.
    ///
    /// # Panics
    ///
    /// On a thread that is not running the tasks' runtime, when one has ended.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.take_next().map(|(_, joined)| joined)
    }

    /// As [`try_join_next`](Self::try_join_next), with the number of the task.
    ///
    /// # Panics
    ///
    /// On a thread that is not running the tasks' runtime, when one has ended.
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        self.take_next()
            .map(|(id, joined)| joined.map(|output| (id, output)))
    }

    /// As [`join_next`](Self::join_next), from inside a `poll` function. Only the task of the last
    /// call is woken.
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
    ///     // None is left, so this is ready at once.
    ///     assert!(poll_fn(|cx| set.poll_join_next(cx)).await.is_none());
    /// });
    /// ```
    #[track_caller]
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        let wait = ("JoinSet::poll_join_next", Location::caller());
        self.poll_next(cx, wait)
            .map(|next| next.map(|(_, joined)| joined))
    }

    /// As [`poll_join_next`](Self::poll_join_next), with the number of the task.
    #[track_caller]
    pub fn poll_join_next_with_id(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Id, T), JoinError>>> {
        let wait = ("JoinSet::poll_join_next_with_id", Location::caller());
        let next = self.poll_next(cx, wait);
        next.map(|next| next.map(|(id, joined)| joined.map(|output| (id, output))))
    }

    /// Aborts every task and waits until all have ended; the set is empty then.
    ///
    /// # Cancel safety
    ///
    /// The abort takes place in the first poll; waiting can be taken up again.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    /// Waits until all tasks have ended; returns their outputs in that order.
    ///
    /// # Panics
    ///
    /// With a task's panic, and when one was aborted; the others are aborted then. To look at each
    /// result, call [`join_next`](Self::join_next).
    ///
    /// # Cancel safety
    ///
    /// Not safe: the set and the outputs so far are dropped, and with that the tasks are aborted.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(joined) = self.join_next().await {
            match joined.map_err(JoinError::try_into_panic) {
                Ok(output) => outputs.push(output),
                Err(Ok(payload)) => resume_unwind(payload),
                Err(Err(error)) => panic!("JoinSet::join_all: {error}"),
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
            if let Some(key) = state.ready.front().copied() {
                drop(state);
                let Some(Some(handle)) = self.members.get_mut(key) else {
                    self.forget_first();
                    continue;
                };
                let id = handle.id();
                let charged = context::with(|core| core.executor.charge()).unwrap_or(true);
                // `None`: the notice came, but the poll that ended the task is not over, and
                // somebody's waker polls us from inside of it.
                let Some(joined) = charged.then(|| handle.try_join()).flatten() else {
                    yield_after_turn(cx);
                    return Poll::Pending;
                };
                self.forget_first();
                self.members.remove(key);
                return Poll::Ready(Some((id, joined)));
            }
            if self.members.len() == 0 {
                return Poll::Ready(None);
            }
            let known = state.waker.as_ref();
            if !known.is_some_and(|known| known.will_wake(cx.waker())) {
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
            note_wait(operation, location);
            return Poll::Pending;
        }
    }

    fn take_next(&mut self) -> Option<(Id, Result<T, JoinError>)> {
        loop {
            let key = self.shared.lock().ready.front().copied()?;
            let Some(Some(handle)) = self.members.get_mut(key) else {
                self.forget_first();
                continue;
            };
            let id = handle.id();
            let joined = handle.try_join()?;
            self.forget_first();
            self.members.remove(key);
            return Some((id, joined));
        }
    }

    /// Takes the notice that was just answered off the list.
    fn forget_first(&self) {
        self.shared.lock().ready.pop_front();
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        // Dropping the handles, which comes next, detaches: nobody waits for the outputs.
        self.members().for_each(JoinHandle::abort);
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

/// Spawns each future, in order.
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

/// Spawns each future, in order.
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

/// Configures a task of a set; made by [`JoinSet::build_task`].
#[derive(Debug)]
#[must_use = "a builder spawns nothing by itself"]
pub struct Builder<'a, T> {
    set: &'a mut JoinSet<T>,
    name: Option<&'a str>,
}

impl<'a, T: 'static> Builder<'a, T> {
    /// Names the task in records, reports and warnings.
    pub fn name(mut self, name: &'a str) -> Self {
        self.name = Some(name);
        self
    }

    /// Spawns the task into the set, as [`JoinSet::spawn`] does.
    ///
    /// # Errors
    ///
    /// None today; the signature is that of tokio.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> io::Result<AbortHandle>
    where
        F: Future<Output = T> + 'static,
    {
        Ok(self.set.insert(future, self.name, Location::caller()))
    }
}

/// What the two futures are made of.
struct Next<'a, T> {
    set: &'a mut JoinSet<T>,
    wait: (&'static str, &'static Location<'static>),
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
            // Nobody joins now, and the next task may end in a year.
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
