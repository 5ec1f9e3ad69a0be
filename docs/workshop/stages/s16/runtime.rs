//! The runtime that is tested: tasks, a run queue, timers and a clock that is virtual.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use stage::subject::{Runtime, Task};

type Queue = Arc<Mutex<VecDeque<usize>>>;

struct TaskWaker {
    number: usize,
    scheduled: AtomicBool,
    queue: Queue,
}

impl TaskWaker {
    fn schedule(&self) {
        if !self.scheduled.swap(true, Ordering::AcqRel) {
            self.queue.lock().unwrap().push_back(self.number);
        }
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

#[derive(Default)]
struct Timers {
    now: Cell<u64>,
    armed: RefCell<BTreeMap<(u64, u64), Waker>>,
    next: Cell<u64>,
}

impl Timers {
    fn has_passed(&self, deadline: u64) -> bool {
        deadline <= self.now.get()
    }

    /// Moves the clock to the first deadline, and wakes what waits for it. Returns false if there is none.
    fn advance(&self) -> bool {
        let Some(first) = self.armed.borrow().keys().next().copied() else { return false };
        self.now.set(self.now.get().max(first.0));
        let due: Vec<_> =
            self.armed.borrow().keys().copied().filter(|key| self.has_passed(key.0)).collect();
        let wakers: Vec<_> =
            due.iter().filter_map(|key| self.armed.borrow_mut().remove(key)).collect();
        wakers.into_iter().for_each(Waker::wake);
        true
    }
}

struct Sleep {
    timers: Rc<Timers>,
    deadline: u64,
    number: u64,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.timers.has_passed(self.deadline) {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        self.timers.armed.borrow_mut().insert((self.deadline, self.number), waker);
        Poll::Pending
    }
}

#[derive(Default)]
pub(crate) struct Pocket {
    tasks: RefCell<Vec<(Option<Task>, Arc<TaskWaker>)>>,
    queue: Queue,
    timers: Rc<Timers>,
}

impl Pocket {
    fn poll(&self, number: usize) {
        let (future, task_waker) = {
            let (future, waker) = &mut self.tasks.borrow_mut()[number];
            (future.take(), Arc::clone(waker))
        };
        let Some(mut future) = future else { return };
        let waker = Waker::from(Arc::clone(&task_waker));
        task_waker.scheduled.store(false, Ordering::Release);
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_pending() {
            self.tasks.borrow_mut()[number].0 = Some(future);
        }
    }
}

impl Runtime for Pocket {
    fn spawn(&self, task: Task) {
        let mut tasks = self.tasks.borrow_mut();
        let (number, queue) = (tasks.len(), Arc::clone(&self.queue));
        let waker = Arc::new(TaskWaker { number, scheduled: AtomicBool::new(false), queue });
        waker.schedule();
        tasks.push((Some(task), waker));
    }

    fn sleep(&self, us: u64) -> Task {
        let number = self.timers.next.replace(self.timers.next.get() + 1);
        let deadline = self.timers.now.get() + us;
        Box::pin(Sleep { timers: Rc::clone(&self.timers), deadline, number })
    }

    fn now(&self) -> u64 {
        self.timers.now.get()
    }

    fn run(&self) -> usize {
        loop {
            loop {
                let next = self.queue.lock().unwrap().pop_front();
                let Some(number) = next else { break };
                self.poll(number);
            }
            if !self.timers.advance() {
                break;
            }
        }
        self.tasks.borrow().iter().filter(|(future, _)| future.is_some()).count()
    }
}
