//! The task's I/O budget, for operations that complete without waiting for readiness.
//!
//! An operation that waits for a socket takes one off the budget in `Readiness`. The others have to
//! do it themselves, or a task that repeats them would keep all other tasks, timers and sockets from
//! running: connecting, binding, a lookup without a resolver, `shutdown`, a transfer of no bytes, and
//! an operation whose arguments are invalid.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use wakeful::task::consume_budget;

/// Takes one operation off the task's budget. If none is left, defers the task until after the next
/// turn and returns `Pending`.
///
/// Keeps no state, so the caller calls it again in its next poll, before it does anything else.
pub(crate) fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    Pin::new(&mut consume_budget()).poll(cx)
}
