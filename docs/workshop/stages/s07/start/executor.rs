//! Tasks, as in stages 4 and 5: a number, a future, a waker, and a handle for the output.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::inbox::Inbox;
use crate::join::{Join, JoinHandle, run_to_end};

/// The number of the future that was passed to `block_on`.
pub(crate) const ROOT: usize = usize::MAX;

pub(crate) struct TaskWaker {
    number: usize,
    /// The number is in the run queue.
    scheduled: AtomicBool,
    inbox: Arc<Inbox>,
}

impl TaskWaker {
    pub(crate) fn new(number: usize, inbox: &Arc<Inbox>) -> Arc<TaskWaker> {
        let inbox = Arc::clone(inbox);
        Arc::new(TaskWaker { number, scheduled: AtomicBool::new(false), inbox })
    }

    pub(crate) fn schedule(&self) {
        if !self.scheduled.swap(true, Ordering::AcqRel) {
            self.inbox.push(self.number);
        }
    }

    /// Called before a poll.
    pub(crate) fn unschedule(&self) {
        self.scheduled.store(false, Ordering::Release);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.schedule();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.schedule();
    }
}

struct Task {
    /// `None` while the future is being polled.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    waker: Arc<TaskWaker>,
}

pub(crate) struct Executor {
    tasks: RefCell<Vec<Option<Task>>>,
    inbox: Arc<Inbox>,
}

impl Executor {
    pub(crate) fn new(inbox: Arc<Inbox>) -> Executor {
        Executor { tasks: RefCell::default(), inbox }
    }

    pub(crate) fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let join = Join::new();
        let future = run_to_end(future, Rc::clone(&join));
        let mut tasks = self.tasks.borrow_mut();
        let number = tasks.iter().position(Option::is_none).unwrap_or(tasks.len());
        let waker = TaskWaker::new(number, &self.inbox);
        waker.schedule();
        let handle = JoinHandle::new(join, Waker::from(Arc::clone(&waker)));
        let task = Task { future: Some(Box::pin(future)), waker };
        if number == tasks.len() {
            tasks.push(Some(task));
        } else {
            tasks[number] = Some(task);
        }
        handle
    }

    /// Polls one task. Nothing is borrowed during the poll.
    pub(crate) fn poll(&self, number: usize) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(Some(task)) = tasks.get_mut(number) else { return };
        let Some(mut future) = task.future.take() else { return };
        let task_waker = Arc::clone(&task.waker);
        drop(tasks);

        task_waker.unschedule();
        let waker = Waker::from(task_waker);
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_pending() {
            if let Some(Some(task)) = self.tasks.borrow_mut().get_mut(number) {
                task.future = Some(future);
            }
        } else {
            drop(future);
            let task = self.tasks.borrow_mut()[number].take();
            drop(task);
        }
    }

    /// Drops all tasks, one after the other.
    pub(crate) fn clear(&self) {
        loop {
            let task = self.tasks.borrow_mut().pop();
            if task.is_none() {
                return;
            }
        }
    }
}
