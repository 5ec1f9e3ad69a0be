//! The end of a task: its output, the task that waits for it, and how it is ended early.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Why a task has no output.
#[derive(Debug)]
pub enum JoinError {
    Aborted,
    Panicked(Box<dyn Any + Send>),
}

/// What a task and its handle share.
pub(crate) struct Join<T> {
    output: Option<Result<T, JoinError>>,
    /// The waker of the task that awaits the handle.
    joiner: Option<Waker>,
    /// `abort` was called.
    aborted: bool,
}

impl<T> Join<T> {
    pub(crate) fn new() -> Rc<RefCell<Join<T>>> {
        Rc::new(RefCell::new(Join { output: None, joiner: None, aborted: false }))
    }
}

/// Runs the future of a task to its end, and stores what came of it.
pub(crate) async fn run_to_end<F: Future>(future: F, join: Rc<RefCell<Join<F::Output>>>) {
    let mut future = Box::pin(future);
    let output = std::future::poll_fn(|cx| poll_task(future.as_mut(), &join, cx)).await;
    // The future is dropped before the joiner runs.
    drop(future);
    finish(&join, output);
}

/// Polls the future of a task once. The end is an output, a panic, or an abort.
fn poll_task<F: Future>(
    future: Pin<&mut F>,
    join: &RefCell<Join<F::Output>>,
    cx: &mut Context<'_>,
) -> Poll<Result<F::Output, JoinError>> {
    if join.borrow().aborted {
        return Poll::Ready(Err(JoinError::Aborted));
    }
    match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(JoinError::Panicked(panic))),
    }
}

/// Stores the end of a task and wakes the joiner.
fn finish<T>(join: &RefCell<Join<T>>, output: Result<T, JoinError>) {
    let mut join = join.borrow_mut();
    join.output = Some(output);
    let joiner = join.joiner.take();
    drop(join);
    if let Some(joiner) = joiner {
        joiner.wake();
    }
}

/// Awaits the output of a task.
pub struct JoinHandle<T> {
    join: Rc<RefCell<Join<T>>>,
    /// The waker of the task itself.
    task: Waker,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(join: Rc<RefCell<Join<T>>>, task: Waker) -> JoinHandle<T> {
        JoinHandle { join, task }
    }

    /// Ends the task at its next poll, which comes soon. A task that has ended keeps its output.
    pub fn abort(&self) {
        self.join.borrow_mut().aborted = true;
        self.task.wake_by_ref();
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let mut join = self.join.borrow_mut();
        if let Some(output) = join.output.take() {
            return Poll::Ready(output);
        }
        let old = join.joiner.replace(waker);
        drop(join);
        drop(old);
        Poll::Pending
    }
}
