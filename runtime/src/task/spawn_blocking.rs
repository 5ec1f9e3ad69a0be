//! Blocking calls, moved to a thread of the pool.
//!
//! The closure goes to the pool ([`crate::blocking`]), and a task of the runtime waits for its
//! result. They share a [`oneshot`](crate::oneshot) channel and nothing else.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{JoinHandle, spawn_named};
use crate::context::{self, Core};
use crate::drops::drop_ignoring_panic;
use crate::executor::join_error::NotStarted;
use crate::hooks;
use crate::oneshot::{Closed, Receiver, channel};
use crate::recorder::time::TraceTime;
use crate::task_info::WaitOn;
use crate::wait_list::set_wait_on;

/// Runs a blocking closure on a thread of the pool and returns a handle to await its result.
///
/// A task must not block, because it would hold up every other task of the runtime. The first call
/// starts a thread. Later calls reuse it when it is idle, and start more threads up to
/// [`Builder::max_blocking_threads`](crate::runtime::Builder::max_blocking_threads). Neither the
/// end of the runtime nor that of the program waits for a closure that has started. A closure that
/// has not started is dropped then.
///
/// The handle returns the closure's value, its panic, or an error when the system refused to start
/// a thread. Aborting the handle prevents a closure from running if it has not started.
///
/// The closure runs outside of the runtime: [`spawn`](crate::spawn()), sockets, timers and
/// [`Handle::current`] panic in it. Move a [`Handle`] into the closure, whose
/// [`spawn`](crate::runtime::Handle::spawn) runs a future on the runtime.
///
/// [`Handle`]: crate::runtime::Handle
/// [`Handle::current`]: crate::runtime::Handle::current
///
/// # Panics
///
/// Panics when there is no runtime on this thread.
///
/// # Examples
///
/// ```
/// wakeful::block_on(async {
///     let text = wakeful::task::spawn_blocking(|| std::fs::read_to_string("/proc/self/comm"));
///     assert!(!text.await.unwrap().unwrap().is_empty());
/// });
/// ```
#[track_caller]
pub fn spawn_blocking<F, R>(closure: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let future = run_on_pool(closure, "spawn_blocking");
    spawn_named(future, Some("spawn_blocking"), Location::caller())
}

/// Submits a closure to the pool and returns the future of its result. The future panics with the
/// closure's panic; the task's cell catches it and makes a `JoinError` of it.
#[track_caller]
pub(super) fn run_on_pool<F, R>(
    closure: F,
    operation: &'static str,
) -> impl Future<Output = R> + 'static + use<F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let core = context::require(operation);
    let (sender, receiver) = channel();
    let measured = hooks::any().then(|| Measured::new(&core)).flatten();
    let on_thread = measured.clone();
    let submitted = core.blocking.submit(Box::new(move || {
        // Dropping user values can panic, which must not end the thread.
        if sender.is_closed() {
            drop_ignoring_panic(closure);
            return;
        }
        let result = match on_thread {
            None => catch_unwind(AssertUnwindSafe(closure)),
            Some(measured) => measured.run(closure),
        };
        if let Err(unsent) = sender.send(result) {
            drop_ignoring_panic(unsent);
        }
    }));
    let pending_guard = core.blocking.track_pending();
    let location = Location::caller();
    async move {
        let _pending_guard = pending_guard;
        if let Err(error) = submitted {
            resume_unwind(Box::new(NotStarted(error)));
        }
        let received = receive(receiver, operation, location).await;
        if let (Ok(_), Some(measured)) = (&received, measured) {
            measured.record();
        }
        match received {
            Ok(Ok(value)) => value,
            Ok(Err(payload)) => resume_unwind(payload),
            // A runtime that is ending drops closures and this future as well. An installed kernel can drop a
            // closure that it took.
            Err(Closed) => {
                let error = io::Error::other("the installed kernel dropped the closure");
                resume_unwind(Box::new(NotStarted(error)))
            }
        }
    }
}

/// When a closure ran, measured on its thread for the recording of the runtime.
#[derive(Clone)]
struct Measured(Arc<Times>);

struct Times {
    number: u32,
    clock: TraceTime,
    /// Written before the result is sent, and read after it was received.
    began: AtomicU64,
    ended: AtomicU64,
}

impl Measured {
    /// Numbers a closure, if the runtime records.
    fn new(core: &Core) -> Option<Self> {
        let (number, clock) = core.executor.recorder().closure()?;
        Some(Measured(Arc::new(Times {
            number,
            clock,
            began: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        })))
    }

    fn run<R>(&self, closure: impl FnOnce() -> R) -> std::thread::Result<R> {
        let Times { clock, .. } = &*self.0;
        self.0.began.store(clock.now(), Ordering::Relaxed);
        let result = catch_unwind(AssertUnwindSafe(closure));
        self.0.ended.store(clock.now(), Ordering::Relaxed);
        result
    }

    /// Records the closure with the task that has received its result.
    fn record(&self) {
        let times = &*self.0;
        let began = times.began.load(Ordering::Relaxed);
        let ended = times.ended.load(Ordering::Relaxed);
        context::with_current(|core| {
            let (recorder, data) = (core.executor.recorder(), core.executor.current_data());
            recorder.closure_ended(data, times.clock, times.number, [began, ended]);
        });
    }
}

/// Receives the result of a closure, and records meanwhile that the task waits for it.
async fn receive<T>(
    mut receiver: Receiver<T>,
    operation: &'static str,
    location: &'static Location<'static>,
) -> Result<T, Closed> {
    poll_fn(|cx| {
        let polled = Pin::new(&mut receiver).poll(cx);
        if polled.is_pending() {
            set_wait_on(WaitOn::CLOSURE, operation, location);
        }
        polled
    })
    .await
}

/// Submits a closure to the pool that stores its result itself. A task named `name` waits for it, so
/// that a paused clock does not jump meanwhile.
///
/// # Errors
///
/// The error of starting a thread. The closure is dropped.
pub(crate) fn submit_detached(
    core: &Core,
    name: &str,
    location: &'static Location<'static>,
    closure: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let (sender, receiver) = channel();
    core.blocking.submit(Box::new(move || {
        // An external waker can panic, which must not end the thread.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(closure)) {
            drop_ignoring_panic(payload);
        }
        sender.send(()).ok();
    }))?;
    let pending_guard = core.blocking.track_pending();
    let finished = async move {
        let _pending_guard = pending_guard;
        // `Closed`: the runtime is ending, and has dropped the closure.
        receive(receiver, "spawn_blocking", location).await.ok();
    };
    spawn_named(finished, Some(name), location);
    Ok(())
}
