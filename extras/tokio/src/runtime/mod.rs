//! The runtime under the names of tokio's builder: one thread, whatever the flavor.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Deref;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::AccessError;
use std::time::Duration;

mod builder;
mod handle;

pub use builder::{Builder, LocalOptions};
pub use handle::Handle;
pub use wakeful::runtime::{RuntimeMetrics, TryCurrentError, UnhandledPanic};

use crate::task::JoinHandle;

/// Kind of scheduler; a runtime of this package has always the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuntimeFlavor {
    /// One thread.
    CurrentThread,
    /// Several threads. No runtime of this package has this flavor.
    MultiThread,
}

/// Number of a runtime, unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id(u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a runtime and its handles share.
#[derive(Debug)]
struct Identity {
    id: Id,
    name: Option<String>,
}

impl Identity {
    fn new(name: Option<String>) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = Id(NEXT.fetch_add(1, Ordering::Relaxed));
        Arc::new(Identity { id, name })
    }
}

/// A runtime that is entered on this thread.
struct Entered {
    identity: Arc<Identity>,
    /// Position from the bottom, because guards can be dropped out of order.
    depth: u64,
}

thread_local! {
    /// The runtimes that are entered on this thread; the last one is the current one.
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
    /// The runtimes that were built on this thread and are alive.
    static BUILT: RefCell<Vec<(Id, Weak<wakeful::runtime::Runtime>)>> =
        const { RefCell::new(Vec::new()) };
}

/// Removes an entry from [`ENTERED`].
#[derive(Debug)]
struct Leave(u64);

impl Leave {
    /// Adds an entry for as long as the guard lives. Has no effect at the end of the thread, when the
    /// list is destroyed.
    fn enter(identity: &Arc<Identity>) -> Self {
        let depth = with_entered(|entered| {
            let depth = entered.last().map_or(0, |it| it.depth + 1);
            let identity = Arc::clone(identity);
            entered.push(Entered { identity, depth });
            depth
        });
        Leave(depth.unwrap_or_default())
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        with_entered(|entered| entered.retain(|it| it.depth != self.0));
    }
}

/// Calls a closure with the list of entered runtimes, unless it is destroyed.
fn with_entered<R>(call: impl FnOnce(&mut Vec<Entered>) -> R) -> Option<R> {
    ENTERED
        .try_with(|entered| call(&mut entered.borrow_mut()))
        .ok()
}

/// Returns the identity of the runtime that was entered last on this thread.
fn current() -> Option<Arc<Identity>> {
    with_entered(|entered| entered.last().map(|it| Arc::clone(&it.identity))).flatten()
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
        // Has no effect at the end of the thread, when the list is destroyed.
        let _ended: Result<(), AccessError> = BUILT.try_with(|built| {
            let mut built = built.borrow_mut();
            built.retain(|(_, runtime)| runtime.strong_count() > 0);
            built.push((identity.id, Rc::downgrade(&inner)));
        });
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
        let _entered = self.inner.enter();
        crate::task::spawn_blocking(closure)
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
