//! Wakes from another thread.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::thread;

/// A thread that wakes a task on request.
pub(super) struct WakeThread {
    shared: Arc<Request>,
    thread: thread::JoinHandle<()>,
}

/// State that both threads share.
#[derive(Default)]
struct Request {
    waker: Mutex<Option<Waker>>,
    requested: AtomicBool,
    answered: AtomicBool,
    stop: AtomicBool,
}

impl Request {
    fn take(&self) -> Option<Waker> {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        waker.take()
    }
}

impl WakeThread {
    pub(super) fn start(core: Option<usize>) -> WakeThread {
        let shared = Arc::new(Request::default());
        let request = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            if let Some(core) = core {
                bench_common::pin_to(&[core]).expect("the core existed at the start");
            }
            while !request.stop.load(Ordering::Acquire) {
                if request.requested.swap(false, Ordering::AcqRel) {
                    let waker = request.take();
                    request.answered.store(true, Ordering::Release);
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                } else {
                    thread::park();
                }
            }
        });
        WakeThread { shared, thread }
    }

    /// Requests `n` wakes, one after the other, and waits for each.
    pub(super) async fn request(&self, n: u64) {
        for _ in 0..n {
            let mut requested = false;
            poll_fn(|cx| {
                if !requested {
                    requested = true;
                    let own = Some(cx.waker().clone());
                    *self
                        .shared
                        .waker
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner) = own;
                    self.shared.requested.store(true, Ordering::Release);
                    self.thread.thread().unpark();
                    return Poll::Pending;
                }
                // A poll without an answer is spurious; the other thread still has the waker.
                match self.shared.answered.swap(false, Ordering::AcqRel) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
        }
    }

    pub(super) fn stop(self) {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().expect("the thread does not panic");
    }
}
