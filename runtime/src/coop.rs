//! Cooperative scheduling: the number of operations that the current poll can still make before it has
//! to yield.
//!
//! The executor resets it before each poll. Every operation that does not wait consumes one: its
//! descriptor was ready, its timer due, the task that it joins finished. Otherwise a peer that is
//! always ready would keep one task running indefinitely, and all others waiting.
//!
//! One number per thread, because a thread polls one task at a time. It is a thread-local of its own
//! and not a field of the runtime, because an operation that runs at once would otherwise have to find
//! its runtime first (docs/TRIED.md, "budget").

use std::cell::Cell;

thread_local! {
    static LEFT: Cell<u32> = const { Cell::new(0) };
}

/// Sets the budget of the poll that begins.
#[inline]
pub(crate) fn reset(operations: u32) {
    LEFT.set(operations);
}

/// Takes one operation off the budget. Returns `false` if none is left.
#[inline]
#[must_use = "without budget the operation has to wait for its task's next poll"]
pub(crate) fn try_consume() -> bool {
    match LEFT.get().checked_sub(1) {
        Some(left) => {
            LEFT.set(left);
            true
        }
        None => false,
    }
}
