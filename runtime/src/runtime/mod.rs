//! The runtime: what one builds, blocks on, and drops.
//!
//! The loop that everything else serves is [`Runtime::block_on`], on one screen; reading starts
//! there.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::context::{self, Core, Wait};
use crate::inbox::ParkOutcome;
use crate::reactor::Turned;
use crate::task::{JoinHandle, TaskInfo, spawn};
use crate::waker::{Ours, waker_for};

mod builder;
mod handle;
mod metrics;

pub use crate::executor::panics::UnhandledPanic;
pub use crate::executor::poll_times::SlowPoll;
pub use builder::Builder;
pub use handle::{Handle, RemoteJoinHandle, TryCurrentError};
pub use metrics::RuntimeMetrics;

/// Owns tasks, I/O sources and timers, and runs them on the thread that calls
/// [`block_on`](Self::block_on).
///
/// A runtime stays on the thread on which it was built. Between two calls of `block_on` its tasks
/// rest and nothing is lost. Several runtimes may exist on one thread, but only one runs at a time;
/// for many cores, build one per thread.
///
/// Dropping it drops, on this thread and in this order, every task's future, every timer, every
/// source, and what the blocking pool has not begun; it does not wait for blocking closures that
/// run. I/O objects that outlive it give errors, wakers and abort handles do nothing. A child
/// process that was forked without `exec` must not use its parent's runtimes: they share one epoll.
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
    /// How many tasks are polled between two turns.
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

    /// Runs a future to its end, and every spawned task beside it.
    ///
    /// The future need be neither `'static` nor `Send`. Tasks that are not finished when it is rest
    /// until the next `block_on`, or are dropped with the runtime.
    ///
    /// # Panics
    ///
    /// When the future does; when a `block_on` is running on this thread already; when a guard of
    /// another runtime's [`enter`](Self::enter) that was made inside the future outlives it; under
    /// [`UnhandledPanic::ShutdownRuntime`], when a task's panic was joined by nobody; and when the kernel
    /// closes epoll under us.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _blocking_on = context::begin_block_on();
        let _entered = context::enter(&self.core);
        let mut future = pin!(future);
        let core = &*self.core;
        let root = core.executor.begin_root();
        let waker = waker_for(root);
        // What was woken while nobody ran comes before what the future begins.
        core.drain_inbox();
        loop {
            if core.executor.take_root_woken() {
                let poll = || future.as_mut().poll(&mut Context::from_waker(&waker));
                if let Poll::Ready(output) = core.executor.run_root(root, poll) {
                    return output;
                }
            }
            core.executor.tick(self.event_interval, Ours);
            core.turn();
            core.expire_timers();
            core.drain_inbox();
            core.executor.admit_yielded(Ours);
            core.note_the_end_of_a_wait();
            core.stop_on_unhandled_panic();
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

    /// A handle by which other threads reach this runtime.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Makes this the thread's runtime until the guard is dropped, so that tasks can be spawned,
    /// sockets opened and timers made outside of `block_on`.
    ///
    /// # Panics
    ///
    /// Dropping guards in another order than the reverse of their making panics.
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
            _entered: context::enter(&self.core),
            _runtime: self,
        }
    }

    /// What the runtime has counted so far.
    #[must_use]
    pub fn metrics(&self) -> RuntimeMetrics {
        RuntimeMetrics::of(&self.core)
    }

    /// Every task as it is now.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = wakeful::runtime::Runtime::new()?;
    /// runtime.spawn(std::future::pending::<()>());
    /// runtime.block_on(wakeful::task::yield_now());
    /// for task in runtime.tasks() {
    ///     println!("{} {:?} waits: {:?}", task.id, task.state, task.waiting);
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn dump(&self) -> Vec<TaskInfo> {
        self.core.executor.records(self.core.timers.clock.now_ns())
    }
}

// A panic leaves the runtime between two polls, as tasks that panic do all the time.
impl UnwindSafe for Runtime {}
impl RefUnwindSafe for Runtime {}

impl Core {
    /// Looks at the kernel: for no time while there is work, else until something happens.
    #[inline]
    fn turn(&self) {
        let wait = self.how_long();
        let turned = self
            .reactor
            .turn(wait, self.executor.waking(Ours), |strangers| {
                self.executor.wake_all(strangers, Ours)
            });
        if wait != Wait::Poll {
            self.remote.inbox().unpark();
        }
        match turned {
            // Reading the clock costs more than a turn that had nothing to ask the kernel.
            Ok(Turned::Idle) if self.timers.is_idle() => {}
            Ok(_) => self.timers.refresh(),
            Err(error) => panic!("{}", context::wait_failed(&error)),
        }
    }

    /// How long the next turn may block. When it may, "parked" has been published (I5).
    #[inline]
    fn how_long(&self) -> Wait {
        if self.executor.has_work() {
            return Wait::Poll;
        }
        let wait = if self.timers.is_idle() {
            Wait::Forever
        } else {
            self.until_next_deadline()
        };
        if wait == Wait::Poll || self.stay_awake() {
            return Wait::Poll;
        }
        match self.remote.inbox().prepare_park() {
            ParkOutcome::Block => wait,
            ParkOutcome::Abort => Wait::Poll,
        }
    }

    /// Busy polling: whether to look again instead of parking. With a paused clock there is no time
    /// to measure, and who waits for the world outside waits parked.
    #[inline]
    fn stay_awake(&self) -> bool {
        let clock = &self.timers.clock;
        self.busy_poll.is_on() && !clock.is_paused() && self.busy_poll.should_spin(clock.now_ns())
    }

    /// Tells busy polling when this round has found something to do.
    #[inline]
    fn note_the_end_of_a_wait(&self) {
        if self.busy_poll.is_on() && self.executor.has_work() {
            self.busy_poll.wait_ended(self.timers.clock.now_ns());
        }
    }

    fn until_next_deadline(&self) -> Wait {
        if self.timers.clock.is_paused() {
            return self.jump_to_next_deadline();
        }
        let Some(deadline_ns) = self.timers.next_deadline_ns() else {
            return Wait::Forever;
        };
        match deadline_ns.saturating_sub(self.timers.clock.now_ns()) {
            0 => Wait::Poll,
            ns => Wait::AtMost(Duration::from_nanos(ns)),
        }
    }

    /// With a paused clock: the time comes to the timers, unless somebody waits for the world
    /// outside, which has no part in our time.
    #[cold]
    fn jump_to_next_deadline(&self) -> Wait {
        // The end of the clock's range stands for "never" (I7).
        let earliest_ns = self.timers.earliest_ns().filter(|ns| *ns != u64::MAX);
        let Some(deadline_ns) = earliest_ns else {
            return Wait::Forever;
        };
        // What is due already, by `advance` or before the clock was paused, needs no jump.
        if deadline_ns > self.timers.clock.now_ns() {
            let outside = self.reactor.waiting() > 0 || self.blocking.pending() > 0;
            if outside || self.remote.inbox().is_pending() {
                return Wait::Forever;
            }
            self.timers.clock.advance_to(deadline_ns);
        }
        Wait::Poll
    }

    /// Wakes whoever's time has come.
    #[inline]
    fn expire_timers(&self) {
        if !self.timers.is_idle() {
            self.timers.expire(|due| self.executor.wake_all(due, Ours));
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
        // Entered, so that drops which use the runtime find it; every step runs on this thread.
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

/// Keeps a runtime entered; made by [`Runtime::enter`].
#[must_use = "the runtime is left when the guard is dropped"]
#[derive(Debug)]
pub struct EnterGuard<'a> {
    _entered: context::Entered,
    _runtime: &'a Runtime,
}

/// Runs a future on a new runtime, and that runtime's tasks beside it, until the future is ready.
///
/// # Panics
///
/// When the runtime cannot be built ([`Runtime::new`] gives an error instead), and where
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

/// What this thread's runtime has counted so far.
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
    RuntimeMetrics::of(&context::expect("metrics"))
}
