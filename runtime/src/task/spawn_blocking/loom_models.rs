//! Every interleaving of the thread that delivers a result with the task that waits for it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use waker_fn::waker_fn;

use super::{Collect, Transfer};
use crate::blocking::Pool;
use crate::sync::model;

fn waiting<R>(transfer: &Arc<Transfer<R>>) -> Collect<R> {
    Collect {
        transfer: Arc::clone(transfer),
        _awaited: Pool::new(1).await_one(),
    }
}

/// Delivers from another thread.
fn deliver<R: Send + 'static>(transfer: &Arc<Transfer<R>>, value: R) -> thread::JoinHandle<()> {
    let transfer = Arc::clone(transfer);
    thread::spawn(move || transfer.put(Ok(value)))
}

/// Polls with a new waker each time, as a future that moves between tasks does, and sleeps until
/// the last of them is woken.
fn collect<R>(mut collect: Pin<&mut Collect<R>>) -> R {
    loop {
        let thread = thread::current();
        let waker = waker_fn(move || thread.unpark());
        if let Poll::Ready(value) = collect.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        thread::park();
    }
}

#[test]
fn whoever_waits_is_woken_for_the_result() {
    model(3, || {
        let transfer = Arc::new(Transfer::default());
        let delivery = deliver(&transfer, 42);
        assert_eq!(collect(pin!(waiting(&transfer))), 42);
        delivery.join().unwrap();
    });
}

#[test]
fn the_waker_of_the_last_poll_is_the_one_that_counts() {
    model(3, || {
        let transfer = Arc::new(Transfer::default());
        let delivery = deliver(&transfer, 42);
        let mut waiting = pin!(waiting(&transfer));
        let nobody = &mut Context::from_waker(Waker::noop());
        if waiting.as_mut().poll(nobody).is_pending() {
            assert_eq!(collect(waiting), 42);
        }
        delivery.join().unwrap();
    });
}

#[test]
fn a_result_that_nobody_awaits_any_more_is_dropped_once() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    model(3, || {
        let dropped = Arc::new(AtomicUsize::new(0));
        let transfer = Arc::new(Transfer::default());
        let delivery = deliver(&transfer, Counted(Arc::clone(&dropped)));
        drop(waiting(&transfer));
        delivery.join().unwrap();
        // The place itself is still there: a result left in it would outlive both sides.
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}
