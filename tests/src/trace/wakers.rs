//! External wakers: one that counts its wakes, and one that runs hooks.
//!
//! To the runtime they are user code, like the wakers of a combinator or of another executor. The
//! runtime may clone, wake and drop them only while it holds no borrow (I3).

use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{RawWaker, RawWakerVTable, Wake, Waker};

/// Counts wakes and live wakers.
#[derive(Clone, Debug, Default)]
pub struct Wakes(Arc<Count>);

#[derive(Debug, Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Wakes {
    /// Creates a counter at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a waker that counts here.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }

    /// Returns how often one of its wakers was woken.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    /// Returns the number of its live wakers.
    #[must_use]
    pub fn alive(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

type Hook = Option<Box<dyn Fn() + Send + Sync>>;

/// Hooks that a waker runs when it is cloned, woken or dropped.
#[derive(Default)]
pub struct Hooks {
    on_clone: Hook,
    on_wake: Hook,
    on_drop: Hook,
}

impl Hooks {
    /// Creates a set without hooks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `hook` whenever one of its wakers is cloned.
    #[must_use]
    pub fn on_clone(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_clone = Some(Box::new(hook));
        self
    }

    /// Calls `hook` whenever one of its wakers is woken.
    #[must_use]
    pub fn on_wake(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_wake = Some(Box::new(hook));
        self
    }

    /// Calls `hook` whenever one of its wakers is dropped. A wake by value is not a drop.
    #[must_use]
    pub fn on_drop(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_drop = Some(Box::new(hook));
        self
    }

    /// Returns the first waker. Its clones share the hooks.
    #[must_use]
    pub fn waker(self) -> Waker {
        let data = Arc::into_raw(Arc::new(self)).cast::<()>();
        // SAFETY: `data` is an `Arc<Hooks>` turned into a pointer, which is what the functions of
        // the table expect; `Hooks` is `Send` and `Sync`, so they may run on any thread.
        unsafe { Waker::from_raw(RawWaker::new(data, &TABLE)) }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// Borrows the hooks of a waker.
fn hooks(data: *const ()) -> ManuallyDrop<Arc<Hooks>> {
    // SAFETY: `data` came from `Arc::into_raw` in `waker` or `clone`, and the waker that was called
    // still holds that count; `ManuallyDrop` keeps it.
    ManuallyDrop::new(unsafe { Arc::from_raw(data.cast::<Hooks>()) })
}

fn call(hook: &Hook) {
    if let Some(hook) = hook {
        hook();
    }
}

fn clone(data: *const ()) -> RawWaker {
    let hooks = hooks(data);
    call(&hooks.on_clone);
    RawWaker::new(Arc::into_raw(Arc::clone(&hooks)).cast(), &TABLE)
}

fn wake(data: *const ()) {
    // Takes over the caller's reference count, and releases it even when the hook panics.
    let hooks = ManuallyDrop::into_inner(hooks(data));
    call(&hooks.on_wake);
}

fn wake_by_ref(data: *const ()) {
    call(&hooks(data).on_wake);
}

fn drop_waker(data: *const ()) {
    let hooks = ManuallyDrop::into_inner(hooks(data));
    call(&hooks.on_drop);
}
