//! List of wakers for events that the kernel does not report: a shutdown, the other end of a pipe,
//! the end of a task.
//!
//! Used by public types, never by the loop. The lists are kept behind locks of their users, so no
//! function of [`WaitList`] wakes, clones or drops a waker (I3): it returns them to the caller.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use crate::context;
use crate::drops::drop_ignoring_panic;
use crate::id::WaiterId;
use crate::task_info::{WaitInfo, WaitOn};

/// Wakers in the order of their first poll, each under a number of its own.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl WaitList {
    /// Stores the waker of a waiter and returns the one that it replaces. Numbers the waiter at its
    /// first call.
    #[must_use = "dropping a waker runs user code"]
    pub(crate) fn store(&mut self, waiter: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        let waiter = *waiter.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.wakers.insert(waiter, waker)
    }

    /// Removes a waiter and returns its waker.
    #[must_use = "dropping a waker runs user code"]
    pub(crate) fn remove(&mut self, waiter: u64) -> Option<Waker> {
        self.wakers.remove(&waiter)
    }

    /// Removes all waiters and returns their wakers.
    #[must_use = "the caller has to wake them"]
    pub(crate) fn take(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers).into_values().collect()
    }
}

/// Returns the id of an operation that waits in a list of no runtime. None is given twice.
pub(crate) fn next_operation() -> WaiterId {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let last = LAST.fetch_add(1, Ordering::Relaxed);
    WaiterId::operation(NonZeroU64::MIN.saturating_add(last))
}

/// Wakes every waker, and resumes the first panic afterwards if one of them panicked.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let mut first = None;
    for waker in wakers {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            match first {
                None => first = Some(payload),
                Some(_) => drop_ignoring_panic(payload),
            }
        }
    }
    if let Some(payload) = first {
        if std::thread::panicking() {
            drop_ignoring_panic(payload);
        } else {
            resume_unwind(payload);
        }
    }
}

/// Records in the running task's info what it is about to wait for.
pub(crate) fn set_wait(operation: &'static str, location: &'static Location<'static>) {
    set_wait_on(WaitOn::LIST, operation, location);
}

/// As [`set_wait`], for a wait that is on no list.
pub(crate) fn set_wait_on(
    on: WaitOn,
    operation: &'static str,
    location: &'static Location<'static>,
) {
    context::with_current(|core| {
        core.executor.set_wait(|| WaitInfo {
            operation,
            location,
            since_ns: core.timers.loop_now_ns(),
            on,
        });
    });
}
