//! The runtime under the names of tokio's builder: one thread, whatever the flavor.

use std::future::Future;
use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

mod builder;
mod handle;

pub use crate::entered::Id;
pub use builder::{Builder, LocalOptions};
pub use handle::Handle;
pub use wakeful::runtime::{RuntimeMetrics, TryCurrentError, UnhandledPanic};

use crate::entered::{self, Identity, Leave};
use crate::join_handle::JoinHandle;

/// Kind of scheduler; a runtime of this package has always the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuntimeFlavor {
    /// One thread.
    CurrentThread,
    /// Several threads. No runtime of this package has this flavor.
    MultiThread,
}

/// Wakeful's [`Runtime`](wakeful::runtime::Runtime) with tokio's functions. Its other methods are
/// called through `Deref`.
///
/// It stays on the thread that built it. Dropping it never waits for blocking closures.
///
/// # Examples
///
/// ```
/// let runtime = tokio::runtime::Runtime::new()?;
/// let task = runtime.spawn(async { 42 });
/// assert_eq!(runtime.block_on(task)?, 42);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Runtime {
    /// Shared with nothing but [`Handle::block_on`] while that runs.
    inner: Rc<wakeful::runtime::Runtime>,
    handle: Handle,
}

impl Runtime {
    fn from_wakeful(runtime: wakeful::runtime::Runtime, name: Option<String>) -> Self {
        let identity = Identity::new(name);
        let handle = Handle::new(runtime.handle().clone(), Arc::clone(&identity));
        let inner = Rc::new(runtime);
        entered::add_built(identity.id, Rc::downgrade(&inner));
        Runtime { inner, handle }
    }

    /// Builds a runtime with the defaults.
    ///
    /// # Errors
    ///
    /// When its descriptors cannot be opened.
    pub fn new() -> io::Result<Self> {
        Builder::new_multi_thread().enable_all().build()
    }

    /// Runs a future to its end, together with all spawned tasks.
    ///
    /// # Panics
    ///
    /// When the future panics, or when a `block_on` is running on this thread already.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _leave = Leave::enter(&self.handle.identity);
        self.inner.block_on(future)
    }

    /// Spawns a task from outside of `block_on`; it runs in the next one.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        JoinHandle::local(self.inner.spawn(future))
    }

    /// Does the same as [`spawn`](Self::spawn): every task of Wakeful is local.
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.spawn(future)
    }

    /// Calls a closure on a thread of the blocking pool.
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, closure: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let _entered = self.enter();
        crate::spawn::spawn_blocking(closure)
    }

    /// Returns a handle with which other threads reach this runtime.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Makes this the thread's runtime until the guard is dropped.
    pub fn enter(&self) -> EnterGuard<'_> {
        EnterGuard {
            _entered: self.inner.enter(),
            _leave: Leave::enter(&self.handle.identity),
        }
    }

    /// Drops the runtime, which never waits for blocking closures.
    pub fn shutdown_timeout(self, _: Duration) {}

    /// Drops the runtime, which never waits for blocking closures.
    pub fn shutdown_background(self) {}
}

impl Deref for Runtime {
    type Target = wakeful::runtime::Runtime;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

/// Returns whether an operation failed because its runtime has ended.
#[must_use]
pub fn is_rt_shutdown_err(error: &io::Error) -> bool {
    // Wakeful's error has no code, only this text.
    error.kind() == io::ErrorKind::Other && error.to_string().ends_with("has ended")
}

/// A runtime whose tasks need not be `Send`, as in every runtime of Wakeful.
pub type LocalRuntime = Runtime;

/// Keeps a runtime entered; made by [`Runtime::enter`].
#[must_use = "dropping the guard ends the entry"]
#[derive(Debug)]
pub struct EnterGuard<'a> {
    _entered: wakeful::runtime::EnterGuard<'a>,
    _leave: Leave,
}
