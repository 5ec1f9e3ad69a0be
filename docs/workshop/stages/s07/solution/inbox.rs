//! The run queue. Wakers push into it on any thread.

use std::collections::VecDeque;
use std::io;

use kernel::model::Shared;

pub struct Inbox {
    queue: Shared<VecDeque<usize>>,
}

impl Inbox {
    pub fn new() -> io::Result<Inbox> {
        Ok(Inbox { queue: Shared::new(VecDeque::new()) })
    }

    /// Schedules a task. Called on any thread.
    pub fn push(&self, number: usize) {
        self.queue.with("push", |queue| queue.push_back(number));
    }

    pub fn pop(&self) -> Option<usize> {
        self.queue.with("pop", VecDeque::pop_front)
    }

    pub fn is_empty(&self) -> bool {
        self.queue.with("look", |queue| queue.is_empty())
    }
}
