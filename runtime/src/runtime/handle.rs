//! Spawning tasks on a runtime from another thread, and waiting for them.
//!
//! Called by users; calls the runtime's inbox.
//!
//! ```text
//!  another thread                           the runtime's thread
//!  Handle::spawn(closure)  --- inbox --->   make_task: calls the closure, spawns a RemoteTask
//!  RemoteJoinHandle        <-- oneshot ---  RemoteTask: output, panic, or dropped
//!         abort()          ---- Abort --->  by the task's id, or before the task exists
//! ```
//!
//! A [`Handle`] sends a closure, and the closure makes the future on the runtime's thread (I1).
//! That is why the future need not be `Send`.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread;

use pin_project_lite::pin_project;

use crate::context;
use crate::defer::poll_proceed;
use crate::drops::drop_ignoring_panic;
use crate::dump::{self, Dump};
use crate::inbox::{Message, Shared};
use crate::oneshot::{Closed, Receiver, Sender, channel};
use crate::std_or_loom::{Mutex, MutexGuard};
use crate::task::{Id, JoinError, spawn};

/// Handle to a runtime that works on any thread; cheap to clone.
///
/// A handle does not keep the runtime alive. Tasks that are spawned on a runtime that has ended are
/// canceled.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Handle { shared }
    }

    /// Returns the handle of this thread's runtime.
    ///
    /// # Panics
    ///
    /// Panics when there is no runtime on this thread. [`try_current`](Self::try_current) returns
    /// an error instead.
    ///
    /// # Examples
    ///
    /// ```
    /// use wakeful::runtime::Handle;
    /// use wakeful::task::spawn_blocking;
    ///
    /// wakeful::block_on(async {
    ///     let runtime = Handle::current();
    ///     let blocking = spawn_blocking(move || runtime.spawn(|| async { 42 }).wait().unwrap());
    ///     assert_eq!(blocking.await.unwrap(), 42);
    /// });
    /// ```
    #[must_use]
    #[track_caller]
    pub fn current() -> Self {
        Handle::new(Arc::clone(&context::require("Handle::current").remote))
    }

    /// Returns the handle of this thread's runtime.
    ///
    /// # Errors
    ///
    /// [`TryCurrentError`] when there is no runtime on this thread.
    pub fn try_current() -> Result<Self, TryCurrentError> {
        context::with_current(|core| Handle::new(Arc::clone(&core.remote)))
            .ok_or(TryCurrentError(()))
    }

    /// Calls a closure on the runtime's thread and spawns the future that it returns.
    ///
    /// Only the closure and the output have to be `Send`. The returned handle can be awaited on any
    /// thread and by any executor, or [waited for](RemoteJoinHandle::wait) by a thread without one.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::rc::Rc;
    /// use wakeful::{runtime::Runtime, task::spawn_blocking};
    ///
    /// let runtime = Runtime::new()?;
    /// let handle = runtime.handle().clone();
    /// let on_another_thread = move || {
    ///     let make = || {
    ///         let not_send = Rc::new(42);
    ///         async move { *not_send }
    ///     };
    ///     handle.spawn(make).wait()
    /// };
    /// let answer = runtime.block_on(async { spawn_blocking(on_another_thread).await });
    /// assert_eq!(answer.unwrap().unwrap(), 42);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn<C, F>(&self, closure: C) -> RemoteJoinHandle<F::Output>
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let make = |sender, abort: &_| make_task(closure, sender, abort);
        self.send(Message::Run, make)
    }

    /// Sends a closure, which gets the sender of the result.
    fn send<T: Send + 'static>(
        &self,
        message: fn(Box<dyn FnOnce() + Send>) -> Message,
        closure: impl FnOnce(Sender<TaskResult<T>>, &AbortRequest) + Send + 'static,
    ) -> RemoteJoinHandle<T> {
        let (sender, receiver) = channel();
        let abort = Arc::new(AbortRequest::default());
        let remote_abort = Arc::clone(&abort);
        let run = Box::new(move || closure(sender, &remote_abort));
        if let Err(refused) = self.shared.send(message(run)) {
            // Drops the sender as well, so the handle reports a canceled task.
            drop(refused);
        }
        RemoteJoinHandle {
            receiver: Some(receiver),
            abort,
        }
    }
}

impl Handle {
    /// Returns what the runtime does; see [`mod@crate::dump`].
    ///
    /// The runtime makes the dump between two polls, when its loop has handled the messages of other threads.
    /// So a poll that never ends is not shown, and without a `block_on` the dump waits for the next one.
    /// The handle can be awaited on any thread, or [waited for](RemoteJoinHandle::wait); it returns an error
    /// when the runtime has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use wakeful::{runtime::Handle, task::spawn_blocking};
    ///
    /// wakeful::block_on(async {
    ///     let runtime = Handle::current();
    ///     let watch = spawn_blocking(move || runtime.dump().wait().unwrap().to_string());
    ///     let text = watch.await.unwrap();
    ///     assert!(text.contains("\"spawn_blocking\""), "{text}");
    /// });
    /// ```
    pub fn dump(&self) -> RemoteJoinHandle<Dump> {
        let make = |sender: Sender<TaskResult<Dump>>, abort: &AbortRequest| {
            if !abort.is_requested() {
                let core = context::require("Handle::dump");
                drop(sender.send(Ok(dump::collect_at_rest(&core))));
            }
        };
        self.send(Message::RunAfterBatch, make)
    }
}

/// What the receiver of a remote task gets.
type TaskResult<T> = Result<T, JoinError>;

/// Calls the closure on the runtime's thread and spawns its future, unless an abort came first.
fn make_task<C, F>(closure: C, sender: Sender<TaskResult<F::Output>>, abort: &AbortRequest)
where
    C: FnOnce() -> F,
    F: Future + 'static,
    F::Output: Send + 'static,
{
    if abort.is_requested() {
        drop_ignoring_panic(closure);
        return;
    }
    match call(closure) {
        Ok(future) => {
            let task = spawn(RemoteTask {
                future: Some(future),
                sender: Some(sender),
            });
            if let Some(id) = abort.set_task(task.id()) {
                context::abort(id);
            }
        }
        Err(payload) => {
            let panicked = JoinError::panicked(None, payload);
            drop(sender.send(Err(panicked)));
        }
    }
}

/// Calls the closure, and treats a runtime that it leaves entered as a panic. Otherwise the task would be
/// spawned there.
fn call<F>(closure: impl FnOnce() -> F) -> thread::Result<F> {
    let core = context::require("Handle::spawn");
    let called = catch_unwind(AssertUnwindSafe(closure));
    if core.id.is_current() {
        return called;
    }
    context::reinstate();
    drop_ignoring_panic(called);
    Err(Box::new(
        "another runtime was entered at the end of the closure: do not keep a guard of \
         `Runtime::enter`",
    ))
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("runtime", &self.shared.id())
            .finish()
    }
}

/// The error of [`Handle::try_current`]: there is no runtime on this thread.
#[derive(Debug)]
pub struct TryCurrentError(());

impl fmt::Display for TryCurrentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no Wakeful runtime on this thread")
    }
}

impl std::error::Error for TryCurrentError {}

/// An abort that can be requested before the task exists.
#[derive(Default)]
struct AbortRequest {
    state: Mutex<AbortState>,
}

#[derive(Default)]
struct AbortState {
    /// Id of the task, once the closure has returned its future.
    task: Option<Id>,
    /// Whether [`RemoteJoinHandle::abort`] was called.
    requested: bool,
}

impl AbortRequest {
    fn lock(&self) -> MutexGuard<'_, AbortState> {
        // No user code runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the id of the new task. Returns it when the abort was requested while the closure
    /// made the future.
    #[must_use = "the caller has to abort the task"]
    fn set_task(&self, task: Id) -> Option<Id> {
        let mut state = self.lock();
        state.task = Some(task);
        state.requested.then_some(task)
    }

    /// Requests the abort. Returns the task when it exists already.
    #[must_use = "the caller has to abort the task"]
    fn request(&self) -> Option<Id> {
        let mut state = self.lock();
        state.requested = true;
        state.task
    }

    fn is_requested(&self) -> bool {
        self.lock().requested
    }

    fn task(&self) -> Option<Id> {
        self.lock().task
    }
}

pin_project! {
    /// Runs a future and sends its output or its panic. Dropping it early closes the channel, which
    /// the handle reports as canceled.
    struct RemoteTask<F: Future> {
        // Dropped before the result is sent (in `poll`) and before the channel closes (by the order
        // of the fields). So the values of the future are gone when the handle is ready.
        #[pin]
        future: Option<F>,
        sender: Option<Sender<TaskResult<F::Output>>>,
    }
}

impl<F: Future> Future for RemoteTask<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let Some(future) = this.future.as_mut().as_pin_mut() else {
                unreachable!("a task is not polled after it has returned");
            };
            let output = ready!(future.poll(cx));
            this.future.set(None);
            Poll::Ready(output)
        }));
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(payload) => {
                // If dropping the future panics as well, the first panic is the one reported.
                let dropped = catch_unwind(AssertUnwindSafe(|| this.future.set(None)));
                dropped.unwrap_or_else(drop_ignoring_panic);
                Err(JoinError::panicked(crate::task::try_id(), payload))
            }
        };
        if let Some(sender) = this.sender.take() {
            // Without a handle, the output is dropped here, as that of any detached task.
            drop(sender.send(result));
        }
        Poll::Ready(())
    }
}

/// Handle to a task on another thread's runtime; returns its output.
///
/// It is a future for any executor. [`wait`](Self::wait) is for threads without one. Dropping the
/// handle detaches the task.
///
/// # Panics
///
/// Polling panics after the handle has returned the output.
///
/// # Cancel safety
///
/// Cancel safe: the output is kept until it is returned.
#[must_use = "dropping the handle detaches the task"]
pub struct RemoteJoinHandle<T> {
    /// `None` after the output was returned.
    receiver: Option<Receiver<TaskResult<T>>>,
    abort: Arc<AbortRequest>,
}

impl<T: Send + 'static> RemoteJoinHandle<T> {
    /// Blocks this thread until the task has finished, and returns its output.
    ///
    /// # Errors
    ///
    /// [`JoinError`] when the task panicked, was aborted, or its runtime ended.
    ///
    /// # Panics
    ///
    /// Panics when a `block_on` is running on this thread, because waiting would block its runtime.
    /// Await the handle there instead.
    #[track_caller]
    pub fn wait(mut self) -> Result<T, JoinError> {
        if let Some(location) = context::blocking_on() {
            panic!(
                "RemoteJoinHandle::wait: cannot block this thread inside the `block_on` at \
                 {location}, whose runtime would stop; await the handle instead"
            );
        }
        let Some(receiver) = self.receiver.take() else {
            panic_output_returned();
        };
        let received = receiver.wait();
        self.to_result(received)
    }
}

impl<T> RemoteJoinHandle<T> {
    /// Aborts the task, as [`JoinHandle::abort`](crate::task::JoinHandle::abort) does.
    pub fn abort(&self) {
        if let Some(task) = self.abort.request() {
            context::abort(task);
        }
    }

    /// Returns whether the task has finished.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.receiver.as_ref().is_none_or(Receiver::is_finished)
    }

    /// Returns the task's result, where a closed channel means that the task was canceled.
    fn to_result(&self, received: Result<TaskResult<T>, Closed>) -> TaskResult<T> {
        received.unwrap_or_else(|Closed| Err(JoinError::cancelled(self.abort.task())))
    }
}

impl<T> Future for RemoteJoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(receiver) = &mut self.receiver else {
            panic_output_returned();
        };
        if receiver.is_finished() {
            ready!(poll_proceed(cx));
        }
        let received = ready!(Pin::new(receiver).poll(cx));
        self.receiver = None;
        Poll::Ready(self.to_result(received))
    }
}

#[cold]
#[track_caller]
fn panic_output_returned() -> ! {
    panic!("RemoteJoinHandle: polled after it returned its output; await a handle only once");
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
    fn an_abort_while_the_closure_runs_cancels_the_task() {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle().clone();
        let on_another_thread = move || {
            let (send_started, started) = mpsc::channel();
            let (send_aborted, aborted) = mpsc::channel();
            let task = handle.spawn(move || {
                send_started.send(()).unwrap();
                aborted.recv().unwrap();
                std::future::pending::<()>()
            });
            started.recv().unwrap();
            task.abort();
            send_aborted.send(()).unwrap();
            task.wait()
        };
        let result = runtime
            .block_on(async { spawn_blocking(on_another_thread).await })
            .unwrap();
        assert!(result.unwrap_err().is_cancelled());
    }
}
