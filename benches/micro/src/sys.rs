//! The `unsafe` code of the micro-benchmarks: a counting allocator, and `Send` for `tokio::spawn`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static LIVE_BYTES: AtomicU64 = AtomicU64::new(0);

/// Allocations so far, if [`Counting`] is the allocator of the program.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocated {
    /// Number of allocations; a reallocation counts as one.
    pub allocations: u64,
    /// Number of bytes in use, as requested.
    pub live_bytes: u64,
}

impl Allocated {
    /// Reads the counters.
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

// SAFETY: every request is passed to the system's allocator unchanged; counting does not touch the
// allocated memory and cannot unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        LIVE_BYTES.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller fulfills the contract of this function, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as above, and `memory` came from `System`, like all memory of this allocator.
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

/// A future that is declared `Send`.
///
/// `tokio::spawn` requires `Send` even on a current-thread runtime. The work items share cells between
/// tasks on every runtime; atomics for this runtime alone would distort the comparison.
pub struct OnThisThread<F>(F);

impl<F> OnThisThread<F> {
    /// Wraps a future, or the output of one.
    ///
    /// Only `rivals::tokio` may call it, for values that stay on a current-thread runtime.
    pub(crate) fn new(inner: F) -> OnThisThread<F> {
        OnThisThread(inner)
    }

    /// Returns the wrapped value.
    pub(crate) fn into_inner(self) -> F {
        self.0
    }
}

// SAFETY: a current-thread runtime polls and drops its tasks, and their outputs, on the thread that
// is in `block_on` or drops the runtime. Here this is always the thread of `Rival::run`, which makes
// the runtime, blocks on it and drops it; no handle of a task leaves that thread.
unsafe impl<F> Send for OnThisThread<F> {}

impl<F: Future> Future for OnThisThread<F> {
    type Output = OnThisThread<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the field is structurally pinned: it is never moved out of a pinned `self`, and the
        // type has no `Drop`.
        let inner = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
        inner.poll(cx).map(OnThisThread)
    }
}

impl<F> fmt::Debug for OnThisThread<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnThisThread")
    }
}
