//! [`LocalSet`]: a group of tasks. In Wakeful every task is local, so the set only keeps count of them.
//!
//! ```text
//!  spawn_local, no runtime --> queued ----+  the set is polled, or tasks are spawned inside a runtime
//!                                         v
//!  spawn_local -------------------> Member: a task of the runtime --> finished, or the set is dropped
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::join_handle::{JoinHandle, Later};
use crate::runtime::Runtime;

thread_local! {
    /// The set whose task, future or guard is active on this thread.
    static CURRENT: RefCell<Option<Rc<Shared>>> = const { RefCell::new(None) };
}

/// Spawns a task on the current [`LocalSet`], or else on the runtime of this thread.
///
/// # Panics
///
/// When there is neither on this thread.
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    match CURRENT.with_borrow(Option::clone) {
        Some(set) => set.spawn(future),
        None => JoinHandle::local(wakeful::task::spawn_local(future)),
    }
}

/// Returns whether there is a current set on this thread.
pub(super) fn is_current() -> bool {
    CURRENT.with_borrow(Option::is_some)
}

/// A group of tasks that need not be `Send`, as no task of Wakeful must be.
///
/// Its tasks run as tasks of the runtime. Unlike tokio's, they also run while nothing awaits the set.
/// As a future, the set is ready when all of its tasks have finished. Dropping it drops the futures of the
/// tasks that have not.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use tokio::task::{LocalSet, spawn_local};
///
/// # #[tokio::main]
/// # async fn main() {
/// let local = LocalSet::new();
/// let shared = Rc::new(42);
/// let answer = local.run_until(async move { spawn_local(async move { *shared }).await });
/// assert_eq!(answer.await.unwrap(), 42);
/// # }
/// ```
#[derive(Default)]
pub struct LocalSet {
    shared: Rc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The tasks that wait for a runtime.
    queued: RefCell<Vec<Box<dyn Spawn>>>,
    /// Drop the futures of the tasks that have not finished.
    members: RefCell<BTreeMap<u64, Rc<dyn DropFuture>>>,
    next: Cell<u64>,
    /// The waker of the set's future.
    waker: RefCell<Option<Waker>>,
    /// Whether the set was dropped.
    dropped: Cell<bool>,
}

impl LocalSet {
    /// Creates an empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a task on the set. Outside of a runtime, the task begins when the set is first awaited.
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.shared.spawn(future)
    }

    /// Runs a future to its end on a runtime, with the tasks of the set.
    ///
    /// # Panics
    ///
    /// As [`Runtime::block_on`].
    #[track_caller]
    pub fn block_on<F: Future>(&self, runtime: &Runtime, future: F) -> F::Output {
        runtime.block_on(self.run_until(future))
    }

    /// Runs a future. Tasks that it spawns with [`spawn_local`] belong to the set.
    pub async fn run_until<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            self.shared.start();
            self.shared.within(|| future.as_mut().poll(cx))
        })
        .await
    }

    /// Makes this the current set of the thread until the guard is dropped.
    pub fn enter(&self) -> LocalEnterGuard {
        LocalEnterGuard::new(&self.shared)
    }
}

impl Future for LocalSet {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.start();
        if self.shared.members.borrow().is_empty() {
            return Poll::Ready(());
        }
        self.shared.waker.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for LocalSet {
    fn drop(&mut self) {
        self.shared.dropped.set(true);
        // Dropping a future runs user code, which can use the set.
        drop(self.shared.queued.take());
        let members = self.shared.members.take();
        self.shared
            .within(|| members.values().for_each(|member| member.drop_future()));
    }
}

impl fmt::Debug for LocalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSet")
            .field("tasks", &self.shared.members.borrow().len())
            .finish_non_exhaustive()
    }
}

/// Keeps a set current; made by [`LocalSet::enter`].
#[must_use = "dropping the guard ends the entry"]
pub struct LocalEnterGuard {
    previous: Option<Rc<Shared>>,
}

impl LocalEnterGuard {
    fn new(set: &Rc<Shared>) -> Self {
        LocalEnterGuard {
            previous: replace_current(Some(Rc::clone(set))),
        }
    }
}

impl Drop for LocalEnterGuard {
    fn drop(&mut self) {
        let left = replace_current(self.previous.take());
        drop(left);
    }
}

/// Replaces the current set. At the end of the thread, when a set in a thread-local variable is dropped
/// after the variable here, there is none any more.
fn replace_current(set: Option<Rc<Shared>>) -> Option<Rc<Shared>> {
    CURRENT
        .try_with(|current| current.replace(set))
        .ok()
        .flatten()
}

impl fmt::Debug for LocalEnterGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalEnterGuard").finish_non_exhaustive()
    }
}

impl Shared {
    /// Calls a closure with this set as the current one.
    fn within<R>(self: &Rc<Self>, call: impl FnOnce() -> R) -> R {
        let _guard = LocalEnterGuard::new(self);
        call()
    }

    #[track_caller]
    fn spawn<F>(self: &Rc<Self>, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let slot = Rc::new(Slot(RefCell::new(Some(Box::pin(future)))));
        if self.dropped.get() {
            slot.drop_future();
        } else if wakeful::runtime::Handle::try_current().is_err() {
            let later = Later::new();
            let queued = Queued {
                slot,
                later: Arc::clone(&later),
            };
            self.queued.borrow_mut().push(Box::new(queued));
            return JoinHandle::later(later);
        }
        JoinHandle::local(self.start_member(slot))
    }

    /// Spawns a task on the runtime.
    #[track_caller]
    fn start_member<F>(self: &Rc<Self>, slot: Rc<Slot<F>>) -> wakeful::task::JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let number = self.next.replace(self.next.get() + 1);
        let member = Rc::clone(&slot) as Rc<dyn DropFuture>;
        self.members.borrow_mut().insert(number, member);
        let member = Member {
            slot,
            set: Rc::clone(self),
            number,
        };
        let handle = wakeful::task::spawn_local(member);
        if self.dropped.get() {
            handle.abort();
        }
        handle
    }

    /// Spawns the tasks that wait for a runtime.
    fn start(self: &Rc<Self>) {
        let queued = self.queued.take();
        for task in queued {
            task.spawn(self);
        }
    }

    fn finished(&self, number: u64) {
        let finished = self.members.borrow_mut().remove(&number);
        let waker = self.members.borrow().is_empty().then(|| self.waker.take());
        drop(finished);
        if let Some(waker) = waker.flatten() {
            waker.wake();
        }
    }
}

/// The future of a task, which the set can drop.
struct Slot<F>(RefCell<Option<Pin<Box<F>>>>);

trait DropFuture {
    fn drop_future(&self);
}

impl<F> DropFuture for Slot<F> {
    fn drop_future(&self) {
        let future = self.0.take();
        drop(future);
    }
}

/// A task that waits for a runtime.
struct Queued<F: Future> {
    slot: Rc<Slot<F>>,
    later: Arc<Later<F::Output>>,
}

trait Spawn {
    fn spawn(&self, set: &Rc<Shared>);
}

impl<F> Spawn for Queued<F>
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn spawn(&self, set: &Rc<Shared>) {
        if !self.later.is_cancelled() {
            let handle = set.start_member(Rc::clone(&self.slot));
            self.later.spawned(handle);
        }
    }
}

impl<F: Future> Drop for Queued<F> {
    fn drop(&mut self) {
        self.later.cancel();
    }
}

/// A task of the set, as the runtime polls it.
struct Member<F: Future> {
    slot: Rc<Slot<F>>,
    set: Rc<Shared>,
    number: u64,
}

impl<F: Future> Future for Member<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out, because the future can drop the set, which drops what is in the slot.
        let Some(mut future) = self.slot.0.take() else {
            // The set was dropped; the task is aborted next.
            return Poll::Pending;
        };
        let polled = self.set.within(|| future.as_mut().poll(cx));
        if polled.is_pending() && !self.set.dropped.get() {
            self.slot.0.replace(Some(future));
        } else {
            self.set.within(|| drop(future));
        }
        polled
    }
}

impl<F: Future> Drop for Member<F> {
    fn drop(&mut self) {
        self.set.within(|| self.slot.drop_future());
        self.set.finished(self.number);
    }
}
