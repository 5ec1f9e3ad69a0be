//! Deferring the task that polls an operation: the way in which it yields.
//!
//! Called by the operations of this crate that can be ready at once, and by `task::yield_now`; calls the executor of
//! this thread's runtime. The budget itself is in [`crate::coop`].

use std::task::{Context, Poll};

use crate::context;

/// Takes one operation off the budget of the current poll. Returns `false` if none is left; the caller
/// then has to yield.
#[inline]
pub(crate) fn try_consume() -> bool {
    context::with_current(|core| core.executor.try_consume()).unwrap_or(true)
}

/// Takes one operation off the budget of the current poll. `Pending` if none is left: the task of `cx`
/// is deferred then.
pub(crate) fn poll_proceed(cx: &Context<'_>) -> Poll<()> {
    if try_consume() {
        return Poll::Ready(());
    }
    defer_current(cx);
    Poll::Pending
}

/// Defers the task of `cx` until after the next turn.
#[inline]
pub(crate) fn defer_current(cx: &Context<'_>) {
    let data = context::local_data(cx.waker());
    if context::with_current(|core| core.executor.defer_current(data)) != Some(true) {
        defer_external(cx);
    }
}

/// As [`defer_current`], with a waker that is not the running task's.
#[cold]
fn defer_external(cx: &Context<'_>) {
    match context::current() {
        Some(core) if core.executor.is_polling() => core.executor.defer(cx.waker().clone()),
        // Another executor polls, with this thread's runtime entered or not. A turn may never come,
        // so the waker is woken at once.
        _ => cx.waker().wake_by_ref(),
    }
}
