//! Calls that block, moved to a thread where they may.
//!
//! The closure goes to the pool ([`crate::blocking`]); a task of the runtime waits for its result.
//! Between the two stands one mutex-guarded place, [`Transfer`], which is all they share.

use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{JoinHandle, spawn_named};
use crate::blocking::Awaited;
use crate::context;
use crate::executor::cell::drop_quietly;
use crate::executor::join_error::{NotStarted, Payload};
use crate::sync::{Mutex, MutexGuard};

/// Runs a closure that blocks on a thread of its own and returns a handle to await its result.
///
/// Nothing that blocks belongs into a task: it would hold up every other task of the runtime. The
/// first call starts a thread; later ones reuse it when it is idle, and start more up to
/// [`Builder::max_blocking_threads`](crate::runtime::Builder::max_blocking_threads). Neither
/// the end of the runtime nor that of the program waits for a closure that has begun; one that has
/// not is dropped.
///
/// Awaiting the handle gives the closure's value, its panic, or an error that says that the system
/// refused the thread. Aborting it keeps a closure that has not begun from running.
///
/// # Panics
///
/// When there is no runtime on this thread.
///
/// # Examples
///
/// ```
/// wakeful::block_on(async {
///     let text = wakeful::task::spawn_blocking(|| std::fs::read_to_string("/proc/self/comm"));
///     assert!(!text.await.unwrap().unwrap().is_empty());
/// });
/// ```
#[track_caller]
pub fn spawn_blocking<F, R>(closure: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let future = collect(closure, "spawn_blocking");
    spawn_named(future, Some("spawn_blocking"), Location::caller())
}

/// Hands a closure to the pool; the future gives its result.
#[track_caller]
pub(super) fn collect<F, R>(closure: F, operation: &str) -> Collect<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let core = context::expect(operation);
    let transfer = Arc::new(Transfer::default());
    let delivery = Arc::clone(&transfer);
    let submitted = core.blocking.submit(Box::new(move || {
        if delivery.lock().abandoned {
            // Its values are the user's, and their drop may panic: that must not end the thread.
            drop_quietly(closure);
        } else {
            delivery.put(catch_unwind(AssertUnwindSafe(closure)));
        }
    }));
    if let Err(error) = submitted {
        transfer.put(Err(Box::new(NotStarted(error))));
    }
    Collect {
        transfer,
        _awaited: core.blocking.await_one(),
    }
}

/// Where the result changes threads.
struct Transfer<R> {
    state: Mutex<State<R>>,
}

struct State<R> {
    result: Option<Result<R, Payload>>,
    /// The waiting task's, woken by the thread that delivers.
    waker: Option<Waker>,
    /// Nobody waits any more.
    abandoned: bool,
}

impl<R> Default for Transfer<R> {
    fn default() -> Self {
        let state = State {
            result: None,
            waker: None,
            abandoned: false,
        };
        Transfer {
            state: Mutex::new(state),
        }
    }
}

impl<R> Transfer<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, result: Result<R, Payload>) {
        let mut state = self.lock();
        if state.abandoned {
            drop(state);
            drop_quietly(result);
            return;
        }
        state.result = Some(result);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The waiting task's future.
pub(super) struct Collect<R> {
    transfer: Arc<Transfer<R>>,
    /// For as long as the task has not ended.
    _awaited: Awaited,
}

impl<R> Future for Collect<R> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let waker = cx.waker().clone();
        let mut state = self.transfer.lock();
        let result = match state.result.take() {
            Some(result) => result,
            // Only a runtime that is ending drops closures, and it drops this future as well.
            None => {
                let replaced = state.waker.replace(waker);
                drop(state);
                drop(replaced);
                return Poll::Pending;
            }
        };
        drop(state);
        match result {
            Ok(value) => Poll::Ready(value),
            // Caught again by the task's cell, which makes a `JoinError` of it.
            Err(payload) => resume_unwind(payload),
        }
    }
}

impl<R> Drop for Collect<R> {
    fn drop(&mut self) {
        let mut state = self.transfer.lock();
        state.abandoned = true;
        let (result, waker) = (state.result.take(), state.waker.take());
        drop(state);
        drop((result, waker));
    }
}

#[cfg(test)]
#[cfg(loom)]
mod loom_models;
