//! Wakers that record.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Wake, Waker};

/// Counts wakes.
#[derive(Default)]
pub struct WakeCount(AtomicUsize);

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl WakeCount {
    /// Returns a counter and its waker.
    #[must_use]
    pub fn new() -> (Arc<WakeCount>, Waker) {
        let count = Arc::new(WakeCount::default());
        (Arc::clone(&count), count.into())
    }

    /// Returns the number of wakes.
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Whether a clone of its waker is still there.
    #[must_use]
    pub fn is_kept(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }
}

/// Wakes the task whose waker is in a slot. The check can ask whether a clone of it is still there.
pub struct Forward {
    slot: Slot,
    woken: AtomicBool,
}

impl Wake for Forward {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.slot.wake();
    }
}

impl Forward {
    /// Returns it with its waker.
    #[must_use]
    pub fn new() -> (Arc<Forward>, Waker) {
        let forward = Arc::new(Forward { slot: Slot::new(), woken: AtomicBool::new(false) });
        (Arc::clone(&forward), forward.into())
    }

    /// Waits until its waker has been called.
    pub async fn woken(&self) {
        poll_fn(|cx| {
            self.slot.set(cx.waker());
            match self.woken.load(Ordering::SeqCst) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Whether a clone of its waker is still there.
    #[must_use]
    pub fn is_kept(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }
}

/// A place for a waker.
#[derive(Clone, Default)]
pub struct Slot(Arc<Mutex<Option<Waker>>>);

impl Slot {
    /// Returns an empty place.
    #[must_use]
    pub fn new() -> Slot {
        Slot::default()
    }

    /// Stores a clone of a waker.
    pub fn set(&self, waker: &Waker) {
        let old = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(waker.clone());
        drop(old);
    }

    /// Returns a clone of the waker.
    #[must_use]
    pub fn get(&self) -> Option<Waker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wakes, if there is a waker.
    pub fn wake(&self) {
        if let Some(waker) = self.get() {
            waker.wake();
        }
    }
}

/// Returns a waker that runs a function of its own thread, once.
#[must_use]
pub fn on_wake(f: impl FnOnce() + 'static) -> Waker {
    thread_local! {
        static ACTION: std::cell::RefCell<Option<Box<dyn FnOnce()>>> =
            const { std::cell::RefCell::new(None) };
    }
    struct OnWake;
    impl Wake for OnWake {
        fn wake(self: Arc<Self>) {
            if let Some(action) = ACTION.take() {
                action();
            }
        }
    }
    ACTION.set(Some(Box::new(f)));
    Arc::new(OnWake).into()
}

/// Returns a waker that runs a function of its own thread when its last clone is dropped, and not when it is
/// called. There is one such waker at a time.
#[must_use]
pub fn on_drop(f: impl FnOnce() + 'static) -> Waker {
    thread_local! {
        static ACTION: std::cell::RefCell<Option<Box<dyn FnOnce()>>> =
            const { std::cell::RefCell::new(None) };
    }
    struct OnDrop;
    impl Wake for OnDrop {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for OnDrop {
        fn drop(&mut self) {
            if let Some(action) = ACTION.take() {
                action();
            }
        }
    }
    ACTION.set(Some(Box::new(f)));
    Arc::new(OnDrop).into()
}
