//! The executor of stage 4, with a handle for each task.

mod join;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use join::{Join, run_to_end};
pub use join::{JoinError, JoinHandle};

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
        if !self.scheduled.swap(true, Ordering::AcqRel) {
            self.queue.lock().unwrap().push_back(self.number);
        }
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

    /// Stores a future as a task and schedules it. The task continues when its handle is dropped.
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let join = Join::new();
        let future = run_to_end(future, Rc::clone(&join));
        let mut tasks = self.tasks.borrow_mut();
        let number = tasks.iter().position(Option::is_none).unwrap_or(tasks.len());
        let waker = Arc::new(TaskWaker {
            number,
            scheduled: AtomicBool::new(false),
            queue: Arc::clone(&self.queue),
        });
        waker.wake_by_ref();
        let handle = JoinHandle::new(join, Waker::from(Arc::clone(&waker)));
        let task = Task { future: Some(Box::pin(future)), waker };
        if number == tasks.len() {
            tasks.push(Some(task));
        } else {
            tasks[number] = Some(task);
        }
        handle
    }

    /// Polls scheduled tasks until the queue is empty. Returns the number of unfinished tasks.
    pub fn run(&self) -> usize {
        loop {
            let next = self.queue.lock().unwrap().pop_front();
            let Some(number) = next else { break };
            self.poll(number);
        }
        self.tasks.borrow().iter().flatten().count()
    }

    /// Polls one task. A number without a task is ignored.
    fn poll(&self, number: usize) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(Some(task)) = tasks.get_mut(number) else { return };
        let Some(mut future) = task.future.take() else { return };
        let task_waker = Arc::clone(&task.waker);
        // A future can spawn, so nothing is borrowed during its poll.
        drop(tasks);

        // Before the poll: a wake during the poll has to schedule the task again.
        task_waker.scheduled.store(false, Ordering::Release);
        let waker = Waker::from(task_waker);
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => {
                if let Some(task) = &mut self.tasks.borrow_mut()[number] {
                    task.future = Some(future);
                }
            }
            Poll::Ready(()) => {
                drop(future);
                let task = self.tasks.borrow_mut()[number].take();
                drop(task);
            }
        }
    }
}
