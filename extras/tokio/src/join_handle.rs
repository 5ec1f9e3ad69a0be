//! [`JoinHandle`] and [`AbortHandle`]: one type each for what are several in Wakeful.
//!
//! A task that is spawned from another thread has a `RemoteJoinHandle` in Wakeful, and one that waits in
//! a [`LocalSet`](crate::task::LocalSet) for a runtime has no handle yet.

use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use wakeful::runtime::RemoteJoinHandle;
use wakeful::task::{Id, JoinError};

/// Handle to a spawned task; a future that returns the task's output. Dropping it detaches the task.
///
/// # Cancel safety
///
/// Cancel safe: the output is kept until it is returned.
pub struct JoinHandle<T>(Source<T>);

enum Source<T> {
    Local(wakeful::task::JoinHandle<T>),
    /// The handle, and the same handle for aborting.
    Remote(Arc<Mutex<RemoteJoinHandle<T>>>, Arc<dyn Abort>),
    Later(Arc<Later<T>>),
}

impl<T> JoinHandle<T> {
    pub(crate) fn local(handle: wakeful::task::JoinHandle<T>) -> Self {
        JoinHandle(Source::Local(handle))
    }

    pub(crate) fn remote(handle: RemoteJoinHandle<T>) -> Self
    where
        T: Send + 'static,
    {
        let handle = Arc::new(Mutex::new(handle));
        let abort: Arc<dyn Abort> = Arc::<Mutex<_>>::clone(&handle);
        JoinHandle(Source::Remote(handle, abort))
    }

    pub(crate) fn later(later: Arc<Later<T>>) -> Self {
        JoinHandle(Source::Later(later))
    }

    /// Aborts the task: its future is dropped when the runtime next runs it.
    pub fn abort(&self) {
        match &self.0 {
            Source::Local(handle) => handle.abort(),
            Source::Remote(_, abort) => abort.abort(),
            Source::Later(later) => later.abort(),
        }
    }

    /// Returns whether the task has finished.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            Source::Local(handle) => handle.is_finished(),
            Source::Remote(_, abort) => abort.is_finished(),
            Source::Later(later) => later.is_finished(),
        }
    }

    /// Returns the id of the task.
    ///
    /// # Panics
    ///
    /// When the task does not exist yet, because it was spawned from another thread, or on a `LocalSet`
    /// outside of a runtime.
    #[must_use]
    #[track_caller]
    pub fn id(&self) -> Id {
        let id = match &self.0 {
            Source::Local(handle) => Some(handle.id()),
            Source::Remote(..) => None,
            Source::Later(later) => later.id(),
        };
        id.expect("JoinHandle::id: the task was not spawned on this thread's runtime")
    }
}

impl<T: 'static> JoinHandle<T> {
    /// Returns a handle that can only abort the task.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle(match &self.0 {
            Source::Local(handle) => Aborts::Local(handle.abort_handle()),
            Source::Remote(_, abort) => Aborts::Other(Arc::clone(abort)),
            Source::Later(later) => Aborts::Other(Arc::clone(later) as Arc<dyn Abort>),
        })
    }
}

impl<T: 'static> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Source::Local(handle) => Pin::new(handle).poll(cx),
            Source::Remote(handle, _) => Pin::new(&mut *lock(handle)).poll(cx),
            Source::Later(later) => later.poll(cx),
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

// As tokio's: a handle has no state that a panic could leave half changed.
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}
impl UnwindSafe for AbortHandle {}
impl RefUnwindSafe for AbortHandle {}

/// Handle that aborts a task.
#[derive(Clone)]
pub struct AbortHandle(Aborts);

#[derive(Clone)]
enum Aborts {
    Local(wakeful::task::AbortHandle),
    Other(Arc<dyn Abort>),
}

impl AbortHandle {
    pub(crate) fn local(handle: wakeful::task::AbortHandle) -> Self {
        AbortHandle(Aborts::Local(handle))
    }

    /// Aborts the task: its future is dropped when the runtime next runs it.
    pub fn abort(&self) {
        match &self.0 {
            Aborts::Local(handle) => handle.abort(),
            Aborts::Other(handle) => handle.abort(),
        }
    }

    /// Returns whether the task has finished.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            Aborts::Local(handle) => handle.is_finished(),
            Aborts::Other(handle) => handle.is_finished(),
        }
    }

    /// Returns the id of the task.
    ///
    /// # Panics
    ///
    /// As [`JoinHandle::id`].
    #[must_use]
    #[track_caller]
    pub fn id(&self) -> Id {
        let id = match &self.0 {
            Aborts::Local(handle) => Some(handle.id()),
            Aborts::Other(handle) => handle.id(),
        };
        id.expect("AbortHandle::id: the task was not spawned on this thread's runtime")
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle").finish_non_exhaustive()
    }
}

/// What an [`AbortHandle`] does.
trait Abort: Send + Sync {
    fn abort(&self);
    fn is_finished(&self) -> bool;
    fn id(&self) -> Option<Id>;
}

impl<T: Send> Abort for Mutex<RemoteJoinHandle<T>> {
    fn abort(&self) {
        lock(self).abort();
    }

    fn is_finished(&self) -> bool {
        lock(self).is_finished()
    }

    fn id(&self) -> Option<Id> {
        None
    }
}

/// A task that will be spawned when there is a runtime.
pub(crate) struct Later<T>(Mutex<State<T>>);

enum State<T> {
    /// Not spawned yet, with the waker of the handle.
    Waiting(Option<Waker>),
    Spawned(wakeful::task::JoinHandle<T>),
    /// Aborted or dropped before it was spawned.
    Cancelled,
}

impl<T> Later<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Later(Mutex::new(State::Waiting(None))))
    }

    /// Stores the handle of the spawned task.
    pub(crate) fn spawned(&self, handle: wakeful::task::JoinHandle<T>) {
        self.replace(State::Spawned(handle));
    }

    /// Records that the task will never be spawned.
    pub(crate) fn cancel(&self) {
        if matches!(*lock(&self.0), State::Waiting(_)) {
            self.replace(State::Cancelled);
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(*lock(&self.0), State::Cancelled)
    }

    fn replace(&self, state: State<T>) {
        let replaced = std::mem::replace(&mut *lock(&self.0), state);
        if let State::Waiting(Some(waker)) = replaced {
            waker.wake();
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>>
    where
        T: 'static,
    {
        match &mut *lock(&self.0) {
            State::Spawned(handle) => Pin::new(handle).poll(cx),
            State::Waiting(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            State::Cancelled => Poll::Ready(Err(cancelled())),
        }
    }
}

impl<T> Abort for Later<T> {
    fn abort(&self) {
        self.cancel();
        if let State::Spawned(handle) = &*lock(&self.0) {
            handle.abort();
        }
    }

    fn is_finished(&self) -> bool {
        match &*lock(&self.0) {
            State::Waiting(_) => false,
            State::Spawned(handle) => handle.is_finished(),
            State::Cancelled => true,
        }
    }

    fn id(&self) -> Option<Id> {
        match &*lock(&self.0) {
            State::Spawned(handle) => Some(handle.id()),
            State::Waiting(_) | State::Cancelled => None,
        }
    }
}

/// Returns the error of a task that was canceled. Only a runtime can create it.
fn cancelled() -> JoinError {
    let runtime = wakeful::runtime::Runtime::new().expect("a runtime can be built");
    let mut handle = runtime.spawn(std::future::pending::<()>());
    drop(runtime);
    match Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(error)) => error,
        Poll::Ready(Ok(())) | Poll::Pending => unreachable!("the task's runtime has ended"),
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
