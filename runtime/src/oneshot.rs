//! One value from one thread to another: `channel`, `Sender`, `Receiver`.
//!
//! Used where a result changes threads: by `Handle::spawn` (runtime to caller) and by
//! `spawn_blocking` (pool to task). The two halves share one mutex-guarded [`State`] and nothing
//! else.
//!
//! ```text
//!                 send(value)              poll, wait
//!   waiting ----------------------> sent ------------> received
//!      |                              |
//!      | the Sender is dropped        | the Receiver is dropped: it drops the value
//!      v                              v
//!   Err(Closed)                    send returns the value as an error
//! ```
//!
//! User code never runs under the lock (I3): wakers are cloned before it, and wakers and values are
//! woken and dropped after it. The models in `loom_models` run every interleaving with at most three
//! preemptions.
//!
//! Rejected: a lock-free cell. A result crosses threads once per task, so a lock costs nothing that
//! a program can measure.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use waker_fn::waker_fn;

use crate::std_or_loom::{Mutex, MutexGuard, thread};

/// Sends the value. Dropping it without [`send`](Self::send) closes the channel.
pub(crate) struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Future of the value, for any executor.
///
/// Cancel safe: the value stays in the channel until it is received.
pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

/// The error of a [`Receiver`] when no value will arrive: the sender was dropped without sending,
/// or the value was received already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// What the two halves share.
struct Shared<T>(Mutex<State<T>>);

struct State<T> {
    /// The value between `send` and its receipt.
    value: Option<T>,
    /// Waker of the receiver's last poll.
    waker: Option<Waker>,
    /// Whether the sender has sent or was dropped.
    sender_done: bool,
    /// Whether the receiver was dropped.
    receiver_gone: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A poisoned lock is consistent, because no user code runs under it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the two halves of a new channel.
pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let state = State {
        value: None,
        waker: None,
        sender_done: false,
        receiver_gone: false,
    };
    let shared = Arc::new(Shared(Mutex::new(state)));
    let sender = Sender {
        shared: Arc::clone(&shared),
    };
    (sender, Receiver { shared })
}

impl<T> Sender<T> {
    /// Stores the value and wakes the receiver.
    ///
    /// # Errors
    ///
    /// Returns the value when the receiver was dropped.
    pub(crate) fn send(self, value: T) -> Result<(), T> {
        let mut state = self.shared.lock();
        if state.receiver_gone {
            return Err(value);
        }
        state.value = Some(value);
        finish(state);
        Ok(())
    }

    /// Returns whether the receiver was dropped.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared.lock().receiver_gone
    }
}

/// Marks the sender as done and wakes the receiver. Without effect the second time.
fn finish<T>(mut state: MutexGuard<'_, State<T>>) {
    state.sender_done = true;
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        finish(self.shared.lock());
    }
}

impl<T> Receiver<T> {
    /// Returns whether the sender has sent or was dropped.
    pub(crate) fn is_finished(&self) -> bool {
        self.shared.lock().sender_done
    }

    /// Blocks this thread until the value arrives.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the sender was dropped without sending.
    pub(crate) fn wait(self) -> Result<T, Closed> {
        let thread = thread::current();
        let waker = waker_fn(move || thread.unpark());
        let mut receiver = pin!(self);
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(received) = receiver.as_mut().poll(&mut cx) {
                return received;
            }
            // Can return without a wake; the next poll is `Pending` then.
            thread::park();
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let mut state = self.shared.lock();
        if let Some(value) = state.value.take() {
            return Poll::Ready(Ok(value));
        }
        if state.sender_done {
            return Poll::Ready(Err(Closed));
        }
        let replaced = state.waker.replace(waker);
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.receiver_gone = true;
        // Dropped now, because the sender can keep the channel alive for long.
        let (value, waker) = (state.value.take(), state.waker.take());
        drop(state);
        drop((value, waker));
    }
}

#[cfg(test)]
#[cfg(loom)]
mod loom_models;
