//! Every interleaving of the inbox's owner with its senders (I5).
//!
//! The owner of the model does what the loop does around `epoll_wait`, in the same order. Each
//! function names the one that it stands for. A lost wake leaves the owner waiting with no sender
//! left, which loom reports as a deadlock.

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, AtomicUsize};
use loom::sync::{Condvar, Mutex};
use loom::thread;

use super::*;
use crate::std_or_loom::model;

/// The edge-triggered eventfd, registered with epoll. A write is reported to the current wait, or to
/// the next one. Several writes before a wait are reported once.
struct Event {
    written: Mutex<bool>,
    wake: Condvar,
}

impl Event {
    fn new() -> Self {
        Event {
            written: Mutex::new(false),
            wake: Condvar::new(),
        }
    }

    fn write(&self) {
        *self.written.lock().unwrap() = true;
        self.wake.notify_one();
    }

    fn wait(&self) {
        let mut written = self.written.lock().unwrap();
        while !*written {
            written = self.wake.wait(written).unwrap();
        }
        *written = false;
    }
}

/// The parts of a runtime that the inbox needs.
struct Model<M> {
    inbox: Inbox<M>,
    event: Event,
}

impl<M> Model<M> {
    fn new() -> Arc<Self> {
        Arc::new(Model {
            inbox: Inbox::new(),
            event: Event::new(),
        })
    }

    /// Stands for [`Shared::send`].
    fn send(&self, message: M, same: impl FnOnce(&M, &M) -> bool) -> Result<(), M> {
        match self.inbox.push(message, same, |_| ()) {
            PushOutcome::Queued => Ok(()),
            PushOutcome::Unpark => {
                self.event.write();
                Ok(())
            }
            PushOutcome::Closed(message) => Err(message),
        }
    }

    /// Stands for one iteration of the loop with nothing else to do: `Core::park_timeout`,
    /// `Core::turn` and `Core::drain_inbox`.
    fn turn(&self) -> Vec<M> {
        self.turn_with(|event| event.wait())
    }

    fn turn_with(&self, wait: impl FnOnce(&Event)) -> Vec<M> {
        let park = self.inbox.prepare_park();
        if park == ParkOutcome::Block {
            wait(&self.event);
            self.inbox.set_awake();
        }
        if !self.inbox.is_pending() {
            assert_eq!(
                park,
                ParkOutcome::Block,
                "aborted the park without a message"
            );
            return Vec::new();
        }
        let messages = Vec::from(self.inbox.drain(1));
        assert!(!messages.is_empty(), "pending without a message");
        messages
    }
}

fn never_same<M>(_: &M, _: &M) -> bool {
    false
}

/// Runs the loop until `count` messages have arrived.
fn receive<M>(model: &Model<M>, count: usize) -> Vec<M> {
    let mut received = Vec::new();
    while received.len() < count {
        received.extend(model.turn());
    }
    received
}

/// Sends the messages in order from another thread.
fn send_all<M: Send + 'static>(
    model: &Arc<Model<M>>,
    messages: impl IntoIterator<Item = M> + Send + 'static,
) -> thread::JoinHandle<()> {
    let model = Arc::clone(model);
    thread::spawn(move || {
        for message in messages {
            assert!(model.send(message, never_same).is_ok(), "the inbox is open");
        }
    })
}

#[test]
fn an_owner_never_parks_with_a_message_in_its_inbox() {
    model(3, || {
        let model = Model::new();
        let sender = send_all(&model, [()]);
        receive(&model, 1);
        sender.join().unwrap();
    });
}

#[test]
fn messages_of_one_sender_keep_their_order_and_each_ends_a_park() {
    model(3, || {
        let model = Model::new();
        let sender = send_all(&model, [0, 1, 2]);
        assert_eq!(receive(&model, 3), [0, 1, 2]);
        sender.join().unwrap();
    });
}

#[test]
fn either_of_two_senders_ends_the_park() {
    model(3, || {
        let model = Model::new();
        let senders = [send_all(&model, ["a"]), send_all(&model, ["b"])];
        let mut received = receive(&model, 2);
        received.sort_unstable();
        assert_eq!(received, ["a", "b"]);
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

#[test]
fn a_park_that_a_deadline_ends_loses_no_message() {
    model(3, || {
        let model = Model::new();
        let senders = [send_all(&model, ["a"]), send_all(&model, ["b"])];
        let early = model.turn_with(|_| {}).len();
        receive(&model, 2 - early);
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

/// Busy polling: iterations without publishing and without blocking, and then a park.
#[test]
fn an_owner_that_spins_before_it_parks_loses_no_message() {
    model(3, || {
        let model = Model::new();
        let senders = [send_all(&model, ["a"]), send_all(&model, ["b"])];
        let spinning = model.inbox.drain(1).len() + model.inbox.drain(1).len();
        receive(&model, 2 - spinning);
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

#[test]
fn a_park_costs_at_most_one_write_for_any_number_of_senders() {
    model(3, || {
        let model = Model::new();
        assert_eq!(model.inbox.prepare_park(), ParkOutcome::Block);
        let push = |model: &Model<()>| match model.inbox.push((), never_same, |_| ()) {
            PushOutcome::Unpark => 1,
            PushOutcome::Queued => 0,
            PushOutcome::Closed(()) => panic!("the inbox is open"),
        };
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || push(&model))
        };
        let written = push(&model) + other.join().unwrap();
        assert_eq!(written, 1);
    });
}

/// Two threads wake one task, whose poll reads what both have stored. When the second wake is left
/// out as redundant, the first must not be drained before the second thread has stored its part.
#[test]
fn a_redundant_wake_is_left_out_only_while_an_equal_one_is_queued() {
    model(3, || {
        let model = Model::new();
        let done = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let wakers = [0, 1].map(|which| {
            let (model, done) = (Arc::clone(&model), Arc::clone(&done));
            thread::spawn(move || {
                done[which].store(true, Ordering::Relaxed);
                model.send("wake", |last, new| last == new).unwrap();
            })
        });
        let mut wakes = 0;
        loop {
            wakes += model.turn().len();
            // The poll. Relaxed, because the inbox has to make the stores visible.
            if wakes > 0 && done.iter().all(|done| done.load(Ordering::Relaxed)) {
                break;
            }
        }
        assert!(wakes <= 2);
        for waker in wakers {
            waker.join().unwrap();
        }
    });
}

#[test]
fn a_message_sent_during_the_end_is_drained_or_returned() {
    model(3, || {
        let model = Model::new();
        let returned = Arc::new(AtomicUsize::new(0));
        let senders = [[0, 1], [2, 3]].map(|messages| {
            let (model, returned) = (Arc::clone(&model), Arc::clone(&returned));
            thread::spawn(move || {
                for message in messages {
                    if let Err(message) = model.send(message, never_same) {
                        returned.fetch_add(1 << (8 * message), Ordering::Relaxed);
                    }
                }
            })
        });
        let mut drained = model.inbox.drain(1);
        drained.extend(model.inbox.close());
        for sender in senders {
            sender.join().unwrap();
        }
        let left = model.inbox.lock().messages.len();
        assert_eq!(left, 0, "queued after the end");
        let mut seen = returned.load(Ordering::Relaxed);
        for message in drained {
            seen += 1 << (8 * message);
        }
        assert_eq!(seen, 0x01_01_01_01, "each exactly once");
    });
}
