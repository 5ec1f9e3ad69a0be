//! An event that happens once: one thread sets it, a task waits for it.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use kernel::model::Shared;

/// An event that happens once.
#[derive(Default)]
pub struct Event {
    state: Shared<State>,
}

#[derive(Default)]
struct State {
    set: bool,
    /// The waker of the task that waits.
    waker: Option<Waker>,
}

impl Event {
    /// Returns an event that has not happened.
    pub fn new() -> Event {
        Event::default()
    }

    /// Lets the event happen, and wakes the task that waits. Called on any thread.
    pub fn set(&self) {
        todo!("3.1: note the event, take the waker, and call it after the lock")
    }

    /// Waits until the event has happened.
    pub fn wait(&self) -> Wait<'_> {
        Wait { event: self }
    }
}

/// A future that is ready when the event has happened.
pub struct Wait<'e> {
    event: &'e Event,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        todo!("3.2: ready if the event has happened; otherwise store the newest waker")
    }
}
