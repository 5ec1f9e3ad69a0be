//! The `unsafe` code of the micro-benchmarks: an allocator that counts, and a promise to
//! `tokio::spawn`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static LIVE_BYTES: AtomicU64 = AtomicU64::new(0);

/// How much has been allocated so far, if [`Counting`] is the program's allocator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocated {
    /// How many times memory was asked for; a change of size counts as one.
    pub allocations: u64,
    /// How many bytes are in use now, as they were asked for.
    pub live_bytes: u64,
}

impl Allocated {
    /// What is so now.
    #[must_use]
    pub fn now() -> Allocated {
        Allocated {
            allocations: ALLOCATIONS.load(Ordering::Relaxed),
            live_bytes: LIVE_BYTES.load(Ordering::Relaxed),
        }
    }
}

/// The system's allocator, with counters.
#[derive(Debug)]
pub struct Counting;

// SAFETY: every request goes to the system's allocator unchanged; counting touches no memory of it
// and cannot unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        LIVE_BYTES.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as above, and `memory` came from `System` because everything does.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        LIVE_BYTES.fetch_add(size as u64, Ordering::Relaxed);
        LIVE_BYTES.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// A future that claims to be `Send`.
///
/// `tokio::spawn` asks for `Send` also on a current-thread runtime. The works share cells between
/// tasks, on every runtime alike, and must not pay for atomics here only.
pub struct OnThisThread<F>(F);

impl<F> OnThisThread<F> {
    /// Wraps a future (or what a future returns).
    ///
    /// Only `rivals::tokio` may call it, for what stays on a current-thread runtime.
    pub(crate) fn new(inner: F) -> OnThisThread<F> {
        OnThisThread(inner)
    }

    /// What was wrapped.
    pub(crate) fn into_inner(self) -> F {
        self.0
    }
}

// SAFETY: a current-thread runtime polls and drops its tasks, and their results, on the thread that
// is in `block_on` or drops the runtime. Here that is always the one thread of `Rival::run`, which
// makes the runtime, blocks on it and drops it; no handle of a task leaves it.
unsafe impl<F> Send for OnThisThread<F> {}

impl<F: Future> Future for OnThisThread<F> {
    type Output = OnThisThread<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the field is pinned as its owner is: it is never moved out of a pinned `self`, and
        // there is no `Drop`.
        let inner = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
        inner.poll(cx).map(OnThisThread)
    }
}

impl<F> fmt::Debug for OnThisThread<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnThisThread")
    }
}
