//! The I/O budget: how many operations the poll in progress may still make before it has to yield.
//!
//! Refilled by the executor before each poll, spent by every operation that need not wait: its
//! descriptor was ready, its timer due, the task it joins at its end. An always ready peer would
//! otherwise keep one task running for ever, and all others waiting.
//!
//! One number per thread, because a thread polls one task at a time. It stands beside the runtime,
//! not in it, so that an operation that can run at once pays with one load and one store and need
//! not find its runtime first (docs/TRIED.md has what that gains).

use std::cell::Cell;

thread_local! {
    static LEFT: Cell<u32> = const { Cell::new(0) };
}

/// Begins a poll that may make so many operations.
#[inline]
pub(crate) fn refill(operations: u32) {
    LEFT.set(operations);
}

/// Takes one operation off the budget; declines when nothing is left.
#[inline]
#[must_use = "an operation that was declined has to wait for its task's next poll"]
pub(crate) fn spend() -> bool {
    match LEFT.get().checked_sub(1) {
        Some(left) => {
            LEFT.set(left);
            true
        }
        None => false,
    }
}
