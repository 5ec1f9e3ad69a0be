//! B45. Last in, first out
//!
//! From: Packt. Stage: 4.
//! Model: a task is a number, and a poll is that number in the output.
//! Input: task 0 always wakes itself; task 1 waits in the queue.
//! Bug: polled: 0 0 0 0 0 0
//! Fix: polled: 1 0 1 0 1 0
//!
//! `pop` takes the newest entry, and that is the task which has just woken itself. The other one is never polled. A
//! run queue is first in, first out. The original also calls a waker under a lock (stage 4), and has one waker per
//! descriptor for both directions (stage 7).

use std::collections::VecDeque;
use std::fmt::Write as _;

mod bug {
    #[derive(Default)]
    pub struct RunQueue {
        ready: Vec<usize>,
    }

    impl RunQueue {
        pub fn wake(&mut self, task: usize) {
            self.ready.push(task);
        }

        pub fn next(&mut self) -> Option<usize> {
            self.ready.pop()
        }
    }
}

mod fix {
    use super::*;

    #[derive(Default)]
    pub struct RunQueue {
        ready: VecDeque<usize>,
    }

    impl RunQueue {
        pub fn wake(&mut self, task: usize) {
            self.ready.push_back(task);
        }

        pub fn next(&mut self) -> Option<usize> {
            self.ready.pop_front()
        }
    }
}

/// What both queues can do.
trait Queue {
    fn wake(&mut self, task: usize);
    fn next(&mut self) -> Option<usize>;
}

impl Queue for bug::RunQueue {
    fn wake(&mut self, task: usize) {
        self.wake(task);
    }

    fn next(&mut self) -> Option<usize> {
        self.next()
    }
}

impl Queue for fix::RunQueue {
    fn wake(&mut self, task: usize) {
        self.wake(task);
    }

    fn next(&mut self) -> Option<usize> {
        self.next()
    }
}

fn input(mut queue: impl Queue) -> String {
    queue.wake(1);
    queue.wake(0);
    let mut polled = String::from("polled:");
    for _ in 0..6 {
        let task = queue.next().unwrap();
        write!(polled, " {task}").unwrap();
        queue.wake(task);
    }
    polled
}

fn main() {
    card::run(&|| input(bug::RunQueue::default()), &|| input(fix::RunQueue::default()));
}
