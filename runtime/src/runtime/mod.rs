//! The runtime: built, blocked on, and dropped by user code.
//!
//! [`Runtime::block_on`] is the loop that everything else serves. Reading the source starts there.
//! Called by users; calls the parts of `Core` in a fixed order: tick, turn, timers, inbox, tasks that
//! yielded, external wakers. `park` decides how long the turn can block.

use std::fmt;
use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::context::{self, Core};
use crate::dump::{self, Detail, Dump};
use crate::executor::Tick;
use crate::hooks;
use crate::task::{JoinHandle, spawn};
use crate::timer::auto_advance::AutoAdvance;

mod builder;
mod deadlock;
mod handle;
mod metrics;
mod park;

pub use crate::deadlock_watch::OnDeadlock;
pub use crate::executor::panics::UnhandledPanic;
pub use crate::executor::poll_times::SlowPoll;
pub use crate::watch::stall::Stall;
pub use builder::Builder;
pub use handle::{Handle, RemoteJoinHandle, TryCurrentError};
pub use metrics::RuntimeMetrics;

/// Owns tasks, I/O sources and timers, and runs them on the thread that calls
/// [`block_on`](Self::block_on).
///
/// A runtime stays on the thread on which it was built. Tasks are not polled between calls to
/// `block_on`. Wakes that arrive in the meantime are delivered by the next call. Several runtimes can
/// exist on one thread, but only one runs at a time; for many cores, build one per thread.
///
/// Dropping a runtime drops, on this thread and in this order: every task's future, every timer, every
/// source, and the blocking closures that have not begun. It does not wait for closures that run. I/O
/// objects that outlive it return errors; wakers and abort handles do nothing.
///
/// A child process that was forked without `exec` must not use its parent's runtimes, because both
/// processes would share one epoll.
///
/// # Examples
///
/// ```
/// let runtime = wakeful::runtime::Runtime::new()?;
/// let text = String::from("the root future may borrow");
/// let length = runtime.block_on(async { text.len() });
/// assert_eq!(length, 26);
/// # std::io::Result::Ok(())
/// ```
pub struct Runtime {
    core: Rc<Core>,
    handle: Handle,
    /// The number of polls between two turns.
    event_interval: u32,
}

impl Runtime {
    /// Builds a runtime with the defaults of [`Builder`].
    ///
    /// # Errors
    ///
    /// When its two descriptors, an epoll and an eventfd, cannot be opened.
    pub fn new() -> io::Result<Self> {
        Builder::new().build()
    }

    fn from_core(core: Core, event_interval: u32) -> Self {
        let handle = Handle::new(std::sync::Arc::clone(&core.remote));
        Runtime {
            core: Rc::new(core),
            handle,
            event_interval,
        }
    }

    /// Runs a future to its end, together with all spawned tasks.
    ///
    /// The future need be neither `'static` nor `Send`. It is polled first, and from then on queued like
    /// a task. With [`Builder::rng_seed`] even its first poll can come after tasks. Tasks that have not
    /// finished when it has are polled again in the next `block_on`, or dropped with the runtime.
    ///
    /// # Panics
    ///
    /// - When the future panics.
    /// - When a `block_on` is running on this thread already.
    /// - Under [`UnhandledPanic::ShutdownRuntime`], when a detached task panicked.
    /// - When other code has closed the epoll descriptor.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _blocking_on = context::begin_block_on(self.core.id);
        let _entered = context::enter(&self.core);
        let mut future = pin!(future);
        let core = &*self.core;
        let root = core.begin_root();
        let mut cx = Context::from_waker(&root.waker);
        // What happened since the last `block_on`: waits are measured from now on, and wakes that came
        // take part in the first tick.
        core.timers.refresh();
        core.drain_inbox(self.event_interval);
        loop {
            core.executor.begin_tick(self.event_interval);
            loop {
                match core.executor.tick() {
                    Tick::Done => break,
                    Tick::Root => {
                        let poll = || future.as_mut().poll(&mut cx);
                        if let Poll::Ready(output) = core.executor.poll_root(poll) {
                            return output;
                        }
                    }
                    Tick::OtherRuntime => context::reinstate(),
                }
            }
            // Before the turn, which can park.
            core.stop_on_unhandled_panic();
            core.turn();
            core.expire_timers();
            core.drain_inbox(self.event_interval);
            core.executor.requeue_deferred();
            core.executor.wake_due(self.event_interval);
            // A waker or a destructor can have entered another runtime.
            core.stay_current();
            core.record_wakeup();
        }
    }

    /// Spawns a task from outside of `block_on`; it runs in the next one.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = wakeful::runtime::Runtime::new()?;
    /// let task = runtime.spawn(async { 42 });
    /// assert_eq!(runtime.block_on(task).unwrap(), 42);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let _entered = context::enter(&self.core);
        spawn(future)
    }

    /// Returns a handle with which other threads reach this runtime.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Makes this the thread's runtime until the guard is dropped, so that tasks can be spawned,
    /// sockets opened and timers made outside of `block_on`.
    ///
    /// # Panics
    ///
    /// Dropping guards panics if the order is not the reverse of the order in which they were made. A guard that
    /// was made inside a `block_on`, a hook or a destructor and outlives it has no effect any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use wakeful::io::AsyncFd;
    ///
    /// let runtime = wakeful::runtime::Runtime::new()?;
    /// let entered = runtime.enter();
    /// let (here, _there) = UnixStream::pair()?;
    /// here.set_nonblocking(true)?;
    /// let here = AsyncFd::new(here)?; // would panic without a runtime
    /// drop(entered);
    /// runtime.block_on(async { here.writable().await.map(drop) })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn enter(&self) -> EnterGuard<'_> {
        EnterGuard {
            _entered: context::enter_for_user(&self.core),
            _runtime: self,
        }
    }

    /// Returns what the runtime has counted so far.
    #[must_use]
    pub fn metrics(&self) -> RuntimeMetrics {
        RuntimeMetrics::of(&self.core)
    }

    /// Returns what the runtime does now; see [`mod@crate::dump`].
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = wakeful::runtime::Runtime::new()?;
    /// runtime.spawn(std::future::pending::<()>());
    /// runtime.block_on(wakeful::task::yield_now());
    /// for task in runtime.dump().tasks {
    ///     println!("{} {:?} waits: {:?}", task.id, task.state, task.waiting);
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn dump(&self) -> Dump {
        dump::collect(&self.core, Detail::Limited)
    }
}

// A panic of the root future leaves the runtime between two polls, like the panic of a task.
impl UnwindSafe for Runtime {}
impl RefUnwindSafe for Runtime {}

impl Core {
    /// Schedules a root future until the guard is dropped.
    fn begin_root(&self) -> RootGuard<'_> {
        self.executor.publish_start(context::blocking_on());
        let data = self.executor.begin_root();
        RootGuard {
            core: self,
            waker: ManuallyDrop::new(data.to_waker(self.executor.poll_vtable())),
        }
    }

    /// Asks the kernel for events and wakes the tasks that they concern. Blocks only if there is no
    /// work.
    #[inline]
    fn turn(&self) {
        self.report_lost_wakers();
        let mut timeout = self.park_timeout();
        if timeout.is_none() {
            timeout = self.before_endless_wait();
        }
        if timeout == Some(Duration::ZERO)
            && self.reactor.sources() == 0
            && !(hooks::any() && self.timers.clock.moves_in_waits())
        {
            self.reactor.skip_turn();
            // Without timers the clock is not read: that would cost more than this turn.
            if !self.timers.is_empty() {
                self.timers.refresh();
            }
            if hooks::any() {
                self.record_skipped_turn();
            }
            return;
        }
        if hooks::any() {
            self.record_turn_begin(timeout);
        }
        let wake = |waker, cause| self.executor.wake_or_queue(waker, cause);
        let parked_at = (timeout == Some(AutoAdvance::REPORT_AFTER)).then(Instant::now);
        let turned = self.reactor.turn(timeout, wake);
        if timeout != Some(Duration::ZERO) {
            self.remote.inbox().set_awake();
        }
        if let Err(error) = turned {
            panic!("the Wakeful runtime cannot wait for events any more: epoll_wait: {error}");
        }
        // An event or a signal can have ended the wait early.
        if parked_at.is_some_and(|at| at.elapsed() >= AutoAdvance::REPORT_AFTER) {
            self.report_if_stuck();
        }
        self.timers.refresh();
        if hooks::any() {
            self.record_turn_end();
        }
    }

    /// Wakes the tasks whose timers are due.
    #[inline]
    fn expire_timers(&self) {
        if !self.timers.is_empty() || self.timers.has_expired() {
            let wake = |waker, cause| {
                if hooks::any() {
                    self.record_timer_fired(&waker);
                }
                self.executor.wake_or_queue(waker, cause);
            };
            self.timers.expire(wake);
        }
    }

    #[inline]
    fn stop_on_unhandled_panic(&self) {
        if let Some(report) = self.executor.panics.take_fatal() {
            panic!("{report}");
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Entered, so that destructors that use the runtime find it.
        let _entered = context::enter(&self.core);
        self.core.shut_down();
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("core", &self.core)
            .finish_non_exhaustive()
    }
}

/// Keeps the root future's row occupied, and contains its waker.
struct RootGuard<'a> {
    core: &'a Core,
    /// Not dropped: that would do nothing, or count the end of a clone.
    waker: ManuallyDrop<Waker>,
}

impl Drop for RootGuard<'_> {
    fn drop(&mut self) {
        self.core.executor.end_root();
    }
}

/// Keeps a runtime entered; made by [`Runtime::enter`].
#[must_use = "dropping the guard ends the entry"]
#[derive(Debug)]
pub struct EnterGuard<'a> {
    _entered: context::ContextGuard,
    _runtime: &'a Runtime,
}

/// Runs a future on a new runtime until it is ready, together with the tasks that it spawns.
///
/// # Panics
///
/// When the runtime cannot be built ([`Runtime::new`] returns an error instead), and where
/// [`Runtime::block_on`] does.
///
/// # Examples
///
/// ```
/// assert_eq!(wakeful::block_on(async { 6 * 7 }), 42);
/// ```
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    match Runtime::new() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("block_on: building the runtime: {error}"),
    }
}

/// Returns what this thread's runtime has counted so far.
///
/// # Panics
///
/// When there is no runtime on this thread.
///
/// # Examples
///
/// ```
/// wakeful::block_on(async {
///     wakeful::spawn(async {}).await.unwrap();
///     let metrics = wakeful::metrics();
///     assert_eq!(metrics.spawned_tasks_count, 1);
/// });
/// ```
#[must_use]
#[track_caller]
pub fn metrics() -> RuntimeMetrics {
    RuntimeMetrics::of(&context::require("metrics"))
}
