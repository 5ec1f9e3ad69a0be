//! [`Handle`]: spawns on a runtime from any thread.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use wakeful::runtime::TryCurrentError;

use super::RuntimeFlavor;
use crate::entered::{self, Id, Identity, Leave};
use crate::join_handle::JoinHandle;

/// Handle to a runtime that works on any thread; cheap to clone.
///
/// A handle does not keep the runtime alive. Tasks that are spawned on a runtime that has ended are
/// canceled.
#[derive(Clone, Debug)]
pub struct Handle {
    inner: wakeful::runtime::Handle,
    pub(super) identity: Arc<Identity>,
}

impl Handle {
    pub(super) fn new(inner: wakeful::runtime::Handle, identity: Arc<Identity>) -> Self {
        Handle { inner, identity }
    }

    /// Returns the handle of this thread's runtime; in a blocking closure, that of the runtime that started
    /// it.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[must_use]
    #[track_caller]
    pub fn current() -> Self {
        match entered::origin().or_else(entered::blocking_for) {
            Some((inner, identity)) => Handle { inner, identity },
            // Panics with Wakeful's message.
            None => Handle::new(wakeful::runtime::Handle::current(), Identity::new(None)),
        }
    }

    /// Returns the handle of this thread's runtime; in a blocking closure, that of the runtime that started
    /// it.
    ///
    /// # Errors
    ///
    /// When there is no runtime on this thread.
    pub fn try_current() -> Result<Self, TryCurrentError> {
        match entered::origin().or_else(entered::blocking_for) {
            Some((inner, identity)) => Ok(Handle { inner, identity }),
            None => wakeful::runtime::Handle::try_current()
                .map(|inner| Handle::new(inner, Identity::new(None))),
        }
    }

    /// Returns whether the runtime is the current one of this thread.
    fn is_current(&self) -> bool {
        entered::current().is_some_and(|current| current.id == self.identity.id)
    }

    /// Spawns a task. On another thread than the runtime's, the future is sent there.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if self.is_current() {
            return crate::spawn::spawn(future);
        }
        JoinHandle::remote(self.inner.spawn(|| future))
    }

    /// Calls a closure on a thread of the runtime's blocking pool.
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, closure: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        if self.is_current() {
            return crate::spawn::spawn_blocking(closure);
        }
        JoinHandle::remote(self.inner.spawn(|| async {
            match wakeful::task::spawn_blocking(closure).await {
                Ok(output) => output,
                Err(error) => resume_unwind(error.into_panic()),
            }
        }))
    }

    /// Runs a future to its end on this thread.
    ///
    /// On the thread that built the runtime it does what
    /// [`Runtime::block_on`](super::Runtime::block_on) does. On another thread, only this future is
    /// polled there: it can await channels, join handles and whatever else any executor can poll, but
    /// sockets and timers panic, because they belong to the runtime's thread.
    ///
    /// # Panics
    ///
    /// When the future panics, or when a `block_on` is running on this thread already.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match entered::built(self.identity.id) {
            Some(runtime) => {
                let _leave = Leave::enter(&self.identity);
                runtime.block_on(future)
            }
            None => poll_on_this_thread(future),
        }
    }

    /// Returns [`RuntimeFlavor::CurrentThread`].
    #[must_use]
    pub fn runtime_flavor(&self) -> RuntimeFlavor {
        RuntimeFlavor::CurrentThread
    }

    /// Returns the number of the runtime.
    #[must_use]
    pub fn id(&self) -> Id {
        self.identity.id
    }

    /// Returns the name that the builder was given.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.identity.name.as_deref()
    }
}

/// Unparks the thread that polls a future.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls a future to its end. The thread is parked while the future waits.
fn poll_on_this_thread<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
