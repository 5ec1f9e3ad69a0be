//! One future on one thread: poll it, sleep until it is woken, poll it again.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Wakes the thread that is in `block_on`.
struct Unpark {
    thread: Thread,
    /// A poll is requested. Another thread writes it; `block_on` takes it.
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        todo!("2.1: request a poll, then end the sleep of the thread")
    }
}

/// Runs a future on this thread and returns its output.
pub fn block_on<F: Future>(future: F) -> F::Output {
    todo!("2.2: make a waker; poll; sleep until the waker was called; poll again")
}
