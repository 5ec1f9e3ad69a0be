//! Cooperative scheduling: the number of operations that are left to the current poll before it has to
//! yield.
//!
//! The executor resets it before each poll. Every operation that does not wait consumes one: its
//! descriptor was ready, its timer due, the task that it joins finished. Otherwise a peer that is
//! always ready would keep one task running indefinitely, and all others waiting.
//!
//! There is one number per thread, because a thread polls one task at a time. It is a thread-local and
//! not a field of the runtime. Otherwise an operation that runs at once would have to find its runtime
//! first (docs/TRIED.md, "budget").

use std::cell::Cell;

thread_local! {
    /// The operations that are left.
    static REMAINING: Cell<u32> = const { Cell::new(0) };
}

/// Sets the budget, at the beginning of a poll.
#[inline]
pub(crate) fn reset(operations: u32) {
    REMAINING.set(operations);
}

/// Takes one operation off the budget. Returns `false` if none is left.
#[inline]
#[must_use = "without budget the operation has to wait for its task's next poll"]
pub(crate) fn try_consume() -> bool {
    match REMAINING.get().checked_sub(1) {
        Some(left) => {
            REMAINING.set(left);
            true
        }
        None => false,
    }
}
