//! Many futures on one thread: a task has a number, and a wake puts the number into the run queue.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// The numbers of the scheduled tasks, first in, first out. Other threads push, so it has a lock.
type RunQueue = Mutex<VecDeque<usize>>;

/// The waker of a task.
struct TaskWaker {
    number: usize,
    /// The number is in the run queue.
    scheduled: AtomicBool,
    queue: Arc<RunQueue>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        todo!("4.1: put the number into the queue, unless it is there")
    }
}

struct Task {
    /// `None` while the future is being polled.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    waker: Arc<TaskWaker>,
}

/// Runs tasks. The number of a task is its place in `tasks`; `None` is a vacant place.
#[derive(Default)]
pub struct Executor {
    tasks: RefCell<Vec<Option<Task>>>,
    queue: Arc<RunQueue>,
}

impl Executor {
    /// Returns an executor without tasks.
    pub fn new() -> Executor {
        Executor::default()
    }

    /// Stores a future as a task and schedules it.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let mut tasks = self.tasks.borrow_mut();
        let number = tasks.iter().position(Option::is_none).unwrap_or(tasks.len());
        let waker = Arc::new(TaskWaker {
            number,
            scheduled: AtomicBool::new(false),
            queue: Arc::clone(&self.queue),
        });
        waker.wake_by_ref();
        let task = Task { future: Some(Box::pin(future)), waker };
        if number == tasks.len() {
            tasks.push(Some(task));
        } else {
            tasks[number] = Some(task);
        }
    }

    /// Polls scheduled tasks until the queue is empty. Returns the number of unfinished tasks.
    pub fn run(&self) -> usize {
        todo!("4.2: poll the tasks whose numbers are in the queue, until it is empty")
    }

    /// Polls one task. A number without a task is ignored.
    fn poll(&self, number: usize) {
        todo!("4.3: take the future out of the table, poll it, put it back or end the task")
    }
}
