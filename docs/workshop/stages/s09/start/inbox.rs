//! The run queue, and how another thread ends the owner's sleep.

use std::collections::VecDeque;
use std::io;

use kernel::EventFd;
use kernel::model::Shared;

pub struct Inbox {
    queue: Shared<Queue>,
    pub(crate) eventfd: EventFd,
}

struct Queue {
    scheduled: VecDeque<usize>,
    /// The owner blocks in `epoll_wait`, or is about to. The next push has to signal.
    parked: bool,
}

impl Inbox {
    pub fn new() -> io::Result<Inbox> {
        let queue = Queue { scheduled: VecDeque::new(), parked: false };
        Ok(Inbox { queue: Shared::new(queue), eventfd: EventFd::new()? })
    }

    /// Schedules a task, and ends the owner's sleep. Called on any thread.
    pub fn push(&self, number: usize) {
        todo!("9.1: push the number; signal if the owner has announced a sleep")
    }

    /// Removes the next task. Called by the owner.
    pub fn pop(&self) -> Option<usize> {
        self.queue.with("pop", |queue| queue.scheduled.pop_front())
    }

    /// Announces a sleep. Returns false if a task is scheduled: then the owner must not sleep.
    pub fn prepare_park(&self) -> bool {
        todo!("9.2: announce a sleep if no task is scheduled")
    }

    /// Ends the announcement. Called by the owner when it is awake.
    pub fn unpark(&self) {
        self.queue.with("unpark", |queue| queue.parked = false);
    }
}
