//! Every interleaving of the two halves of a channel.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::{Closed, Receiver, Sender, channel};
use crate::std_or_loom::model;

/// Sends from another thread. Drops the value when the receiver is gone.
fn send<T: Send + 'static>(sender: Sender<T>, value: T) -> thread::JoinHandle<()> {
    thread::spawn(move || drop(sender.send(value)))
}

/// Polls once with a waker that does nothing, then returns the receiver if there is no value yet.
fn poll_with_noop<T>(mut receiver: Receiver<T>) -> Result<T, Receiver<T>> {
    let cx = &mut Context::from_waker(Waker::noop());
    match pin!(&mut receiver).poll(cx) {
        Poll::Ready(value) => Ok(value.expect("it is sent")),
        Poll::Pending => Err(receiver),
    }
}

#[test]
fn the_value_wakes_a_waiting_receiver() {
    model(3, || {
        let (sender, receiver) = channel();
        let sending = send(sender, 42);
        assert_eq!(receiver.wait(), Ok(42));
        sending.join().unwrap();
    });
}

#[test]
fn dropping_the_sender_wakes_a_waiting_receiver() {
    model(3, || {
        let (sender, receiver) = channel::<()>();
        let dropping = thread::spawn(move || drop(sender));
        assert_eq!(receiver.wait(), Err(Closed));
        dropping.join().unwrap();
    });
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    model(3, || {
        let (sender, receiver) = channel();
        let sending = send(sender, 42);
        let received = poll_with_noop(receiver).or_else(|receiver| receiver.wait());
        assert_eq!(received, Ok(42));
        sending.join().unwrap();
    });
}

#[test]
fn a_value_without_a_receiver_is_dropped_once() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    model(3, || {
        let dropped = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = channel();
        // Keeps the channel alive: a value left in it would not be dropped by the end of the model.
        let shared = Arc::clone(&sender.shared);
        let sending = send(sender, Counted(Arc::clone(&dropped)));
        drop(receiver);
        sending.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        drop(shared);
    });
}
