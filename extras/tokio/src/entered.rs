//! Which runtimes this thread has entered, which ones were built on it, and for which one it runs a
//! blocking closure.
//!
//! Wakeful's own list has no identities that could be compared with a handle's, and its blocking threads
//! do not know their runtime, as tokio's do.

use std::cell::RefCell;
use std::fmt;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::AccessError;

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
pub(crate) struct Identity {
    pub(crate) id: Id,
    pub(crate) name: Option<String>,
}

impl Identity {
    pub(crate) fn new(name: Option<String>) -> Arc<Self> {
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
    /// The runtime for which this thread runs a blocking closure.
    static BLOCKING_FOR: RefCell<Option<Origin>> = const { RefCell::new(None) };
    /// The runtimes that were built on this thread and are alive.
    static BUILT: RefCell<Vec<(Id, Weak<wakeful::runtime::Runtime>)>> =
        const { RefCell::new(Vec::new()) };
}

/// Removes an entry from [`ENTERED`].
#[derive(Debug)]
pub(crate) struct Leave(u64);

impl Leave {
    /// Adds an entry for as long as the guard lives. Has no effect at the end of the thread, when the
    /// list is destroyed.
    pub(crate) fn enter(identity: &Arc<Identity>) -> Self {
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
pub(crate) fn current() -> Option<Arc<Identity>> {
    with_entered(|entered| entered.last().map(|it| Arc::clone(&it.identity))).flatten()
}

/// A runtime, as its blocking threads know it.
pub(crate) type Origin = (wakeful::runtime::Handle, Arc<Identity>);

/// Returns the current runtime of this thread, for a blocking closure that it starts.
pub(crate) fn origin() -> Option<Origin> {
    let handle = wakeful::runtime::Handle::try_current().ok()?;
    // Without an entry the runtime was built with Wakeful's names.
    Some((handle, current().unwrap_or_else(|| Identity::new(None))))
}

/// Returns the runtime for which this thread runs a blocking closure.
pub(crate) fn blocking_for() -> Option<Origin> {
    BLOCKING_FOR
        .try_with(|origin| origin.borrow().clone())
        .ok()
        .flatten()
}

/// Calls a blocking closure for a runtime.
pub(crate) fn call_for<R>(origin: Option<Origin>, closure: impl FnOnce() -> R) -> R {
    /// Also clears the origin when the closure panics, because the thread is used again.
    struct Clear;

    impl Drop for Clear {
        fn drop(&mut self) {
            BLOCKING_FOR.set(None);
        }
    }

    BLOCKING_FOR.set(origin);
    let _clear = Clear;
    closure()
}

/// Records a runtime that was built on this thread. Has no effect at the end of the thread, when the list
/// is destroyed.
pub(crate) fn add_built(id: Id, runtime: Weak<wakeful::runtime::Runtime>) {
    let _destroyed: Result<(), AccessError> = BUILT.try_with(|built| {
        let mut built = built.borrow_mut();
        built.retain(|(_, runtime)| runtime.strong_count() > 0);
        built.push((id, runtime));
    });
}

/// Returns a runtime that was built on this thread and is alive.
pub(crate) fn built(id: Id) -> Option<Rc<wakeful::runtime::Runtime>> {
    let found = BUILT.try_with(|built| {
        let built = built.borrow();
        let runtime = built.iter().find(|(built, _)| *built == id);
        runtime.and_then(|(_, runtime)| runtime.upgrade())
    });
    found.ok().flatten()
}
