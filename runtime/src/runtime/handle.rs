//! How another thread gives work to a runtime, and waits for it.
//!
//! A [`Handle`] sends a closure; the closure makes the future *there*, which is why the future need
//! not be `Send`. The result comes back through a place that the two threads share, behind a mutex.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;
use waker_fn::waker_fn;

use super::poll_once;
use crate::context;
use crate::executor::cell::drop_quietly;
use crate::inbox::{Message, Remote};
use crate::sync::{Mutex, MutexGuard, thread};
use crate::task::{Id, JoinError, spawn};

/// Reaches a runtime from any thread; cheap to clone.
///
/// It does not keep the runtime alive: on one that has ended, what is spawned is cancelled.
#[derive(Clone)]
pub struct Handle {
    remote: Arc<Remote>,
}

impl Handle {
    pub(super) fn new(remote: Arc<Remote>) -> Self {
        Handle { remote }
    }

    /// The handle of this thread's runtime.
    ///
    /// # Panics
    ///
    /// When there is none; [`try_current`](Self::try_current) does not.
    ///
    /// # Examples
    ///
    /// ```
    /// use wakeful::runtime::Handle;
    /// use wakeful::task::spawn_blocking;
    ///
    /// wakeful::block_on(async {
    ///     let here = Handle::current();
    ///     let there = spawn_blocking(move || here.spawn(|| async { 42 }).wait().unwrap());
    ///     assert_eq!(there.await.unwrap(), 42);
    /// });
    /// ```
    #[must_use]
    #[track_caller]
    pub fn current() -> Self {
        Handle::new(Arc::clone(&context::expect("Handle::current").remote))
    }

    /// The handle of this thread's runtime.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn try_current() -> Result<Self, TryCurrentError> {
        context::with(|core| Handle::new(Arc::clone(&core.remote))).ok_or(TryCurrentError(()))
    }

    /// Calls a closure on the runtime's thread and spawns the future it makes there.
    ///
    /// Only the closure and the output have to be `Send`. The handle may be awaited on any thread
    /// and under any executor, or waited for by a plain thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::rc::Rc;
    /// use wakeful::{runtime::Runtime, task::spawn_blocking};
    ///
    /// let runtime = Runtime::new()?;
    /// let handle = runtime.handle().clone();
    /// let elsewhere = move || {
    ///     let make = || {
    ///         let not_send = Rc::new(42);
    ///         async move { *not_send }
    ///     };
    ///     handle.spawn(make).wait()
    /// };
    /// let answer = runtime.block_on(async { spawn_blocking(elsewhere).await });
    /// assert_eq!(answer.unwrap().unwrap(), 42);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn<C, F>(&self, closure: C) -> RemoteJoinHandle<F::Output>
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let shared = Arc::new(Shared::default());
        // Whoever drops it, here or there, without a result, has cancelled the task.
        let sender = Sender {
            shared: Arc::clone(&shared),
        };
        let run = Box::new(move || begin(closure, sender));
        if let Err(refused) = self.remote.send(Message::Run(run)) {
            drop(refused);
        }
        RemoteJoinHandle { shared }
    }
}

/// Runs on the runtime's thread: makes the future and spawns it, unless it was aborted on the way.
fn begin<C, F>(closure: C, sender: Sender<F::Output>)
where
    C: FnOnce() -> F,
    F: Future + 'static,
    F::Output: Send + 'static,
{
    if sender.shared.lock().aborted {
        drop_quietly(closure);
        return;
    }
    match catch_unwind(AssertUnwindSafe(closure)) {
        Ok(future) => {
            let shared = Arc::clone(&sender.shared);
            let id = spawn(Report {
                future: Some(future),
                sender: Some(sender),
            })
            .id();
            if let Some(task) = shared.started(id) {
                context::abort(task);
            }
        }
        Err(payload) => sender.send(Err(JoinError::panicked(None, payload))),
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("runtime", &self.remote.id())
            .finish()
    }
}

/// There is no runtime on this thread; see [`Handle::try_current`].
#[derive(Debug)]
pub struct TryCurrentError(());

impl fmt::Display for TryCurrentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no Wakeful runtime on this thread")
    }
}

impl std::error::Error for TryCurrentError {}

/// Where the result changes threads.
struct Shared<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    result: Option<Result<T, JoinError>>,
    /// Whoever waits on the other thread.
    waker: Option<Waker>,
    /// Known once the closure has run.
    task: Option<Id>,
    aborted: bool,
    /// The result was sent, and perhaps taken.
    done: bool,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        let state = State {
            result: None,
            waker: None,
            task: None,
            aborted: false,
            done: false,
        };
        Shared {
            state: Mutex::new(state),
        }
    }
}

impl<T> Shared<T> {
    /// No foreign code runs under it.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task exists. It comes back when it has to be aborted: the handle was asked for that
    /// while the closure made the future.
    #[must_use = "the abort has not reached the task yet"]
    fn started(&self, task: Id) -> Option<Id> {
        let mut state = self.lock();
        state.task = Some(task);
        state.aborted.then_some(task)
    }

    /// The handle asks for the end of the task, which comes back when it exists already.
    #[must_use = "the abort has not reached the task yet"]
    fn abort(&self) -> Option<Id> {
        let mut state = self.lock();
        state.aborted = true;
        state.task
    }
}

/// The runtime's side. The first result counts; dropped without one, it means "cancelled".
struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    fn send(self, result: Result<T, JoinError>) {
        self.put(result);
    }

    fn put(&self, result: Result<T, JoinError>) {
        let mut state = self.shared.lock();
        if state.done {
            return;
        }
        state.done = true;
        state.result = Some(result);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let id = self.shared.lock().task;
        self.put(Err(JoinError::cancelled(id)));
    }
}

pin_project! {
    /// Runs a future and reports its output, its panic, or that it was dropped before its end.
    struct Report<F: Future> {
        // Its values are dropped before the other side hears of the end: in `poll`, and when it is
        // cancelled, by standing before the sender.
        #[pin]
        future: Option<F>,
        sender: Option<Sender<F::Output>>,
    }
}

impl<F: Future> Future for Report<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let Some(future) = this.future.as_mut().as_pin_mut() else {
                unreachable!("a task is not polled after its end");
            };
            let output = ready!(future.poll(cx));
            this.future.set(None);
            Poll::Ready(output)
        }));
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(payload) => {
                // Should its drop panic as well, the first panic is the one reported.
                let dropped = catch_unwind(AssertUnwindSafe(|| this.future.set(None)));
                dropped.unwrap_or_else(drop_quietly);
                Err(JoinError::panicked(crate::task::try_id(), payload))
            }
        };
        if let Some(sender) = this.sender.take() {
            sender.send(result);
        }
        Poll::Ready(())
    }
}

/// Gives the output of a task that runs on another thread's runtime.
///
/// A future for any executor; [`wait`](Self::wait) is for threads without one. Dropping it detaches
/// the task.
///
/// # Cancel safety
///
/// Safe: the output stays until it is taken.
#[must_use = "dropping the handle detaches the task"]
pub struct RemoteJoinHandle<T> {
    shared: Arc<Shared<T>>,
}

impl<T: Send + 'static> RemoteJoinHandle<T> {
    /// Blocks this thread until the task has ended.
    ///
    /// # Errors
    ///
    /// [`JoinError`] when the task panicked, was aborted, or its runtime ended.
    ///
    /// # Panics
    ///
    /// When a `block_on` is running on this thread: it would block the runtime, for which awaiting
    /// the handle is meant.
    #[track_caller]
    pub fn wait(self) -> Result<T, JoinError> {
        if let Some(location) = context::blocking_on() {
            panic!(
                "RemoteJoinHandle::wait inside the `block_on` at {location} would block its \
                 runtime; await the handle instead"
            );
        }
        let thread = thread::current();
        let waker = waker_fn(move || thread.unpark());
        let mut handle = pin!(self);
        loop {
            if let Poll::Ready(result) = poll_once(handle.as_mut(), &waker) {
                return result;
            }
            // May return for no reason; then the poll finds nothing new.
            thread::park();
        }
    }
}

impl<T> RemoteJoinHandle<T> {
    /// Cancels the task, as [`JoinHandle::abort`](crate::task::JoinHandle::abort) does.
    pub fn abort(&self) {
        if let Some(task) = self.shared.abort() {
            context::abort(task);
        }
    }

    /// Says whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.shared.lock().done
    }
}

impl<T> Future for RemoteJoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let mut state = self.shared.lock();
        if let Some(result) = state.result.take() {
            return Poll::Ready(result);
        }
        assert!(
            !state.done,
            "a RemoteJoinHandle was polled after it had given its output"
        );
        let replaced = state.waker.replace(waker);
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl<T> Drop for RemoteJoinHandle<T> {
    fn drop(&mut self) {
        // The task may live long; whoever awaited it need not stay in memory until its end.
        let waker = self.shared.lock().waker.take();
        // Foreign code, and not under the lock.
        drop(waker);
    }
}

impl<T> fmt::Debug for RemoteJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJoinHandle")
            .field("finished", &self.is_finished())
            .finish()
    }
}

#[cfg(test)]
#[cfg(loom)]
mod loom_models;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use crate::runtime::Runtime;
    use crate::task::spawn_blocking;

    #[test]
    fn an_abort_while_the_closure_runs_ends_the_task() {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle().clone();
        let elsewhere = move || {
            let (tell_begun, begun) = mpsc::channel();
            let (tell_aborted, aborted) = mpsc::channel();
            let task = handle.spawn(move || {
                tell_begun.send(()).unwrap();
                aborted.recv().unwrap();
                std::future::pending::<()>()
            });
            begun.recv().unwrap();
            task.abort();
            tell_aborted.send(()).unwrap();
            task.wait()
        };
        let ended = runtime
            .block_on(async { spawn_blocking(elsewhere).await })
            .unwrap();
        assert!(ended.unwrap_err().is_cancelled());
    }
}
