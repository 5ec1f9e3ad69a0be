//! The few knobs of a runtime.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Runtime, SlowPoll, UnhandledPanic};
use crate::blocking::Pool;
use crate::busy_poll::BusyPoll;
use crate::context::{self, Core};
use crate::executor::Executor;
use crate::executor::panics::Panics;
use crate::executor::poll_times::{Hook, PollTimes};
use crate::reactor::Reactor;
use crate::registry;
use crate::timer::Timers;
use crate::timer::clock::Clock;

/// Polls between two looks at the kernel: as many as tokio makes.
const EVENT_INTERVAL: u32 = 61;
/// Operations per poll: as many as tokio grants.
const IO_BUDGET: u32 = 128;
/// Events per `epoll_wait`: 3 KiB, and a batch that keeps the cost of the call small.
const EVENTS_PER_TURN: usize = 256;
/// As many as tokio allows.
const BLOCKING_THREADS: usize = 512;

/// Configures a [`Runtime`].
///
/// The first three knobs are the fairness of the runtime in numbers. Between two looks at sockets,
/// timers and other threads' wakes lie at most `event_interval` polls; within one poll a task makes
/// at most `io_budget` operations that were ready at once before it has to yield; and one look takes
/// in at most `max_io_events_per_tick` events, the kernel serving the rest in turn.
///
/// # Examples
///
/// ```
/// use wakeful::runtime::Builder;
///
/// let runtime = Builder::new().start_paused(true).seed(7).build()?;
/// runtime.block_on(async {});
/// # std::io::Result::Ok(())
/// ```
pub struct Builder {
    event_interval: u32,
    io_budget: u32,
    max_io_events_per_tick: usize,
    start_paused: bool,
    seed: Option<u64>,
    unhandled_panic: UnhandledPanic,
    max_blocking_threads: usize,
    enable_metrics_poll_time_histogram: bool,
    on_slow_poll: Option<(Duration, Hook)>,
    busy_poll: Duration,
}

impl Builder {
    /// Starts with the defaults.
    #[must_use]
    pub fn new() -> Self {
        Builder {
            event_interval: EVENT_INTERVAL,
            io_budget: IO_BUDGET,
            max_io_events_per_tick: EVENTS_PER_TURN,
            start_paused: false,
            seed: None,
            unhandled_panic: UnhandledPanic::default(),
            max_blocking_threads: BLOCKING_THREADS,
            enable_metrics_poll_time_histogram: false,
            on_slow_poll: None,
            busy_poll: Duration::ZERO,
        }
    }

    /// Sets how many tasks are polled between two turns of the reactor (61; at least 1).
    #[must_use]
    pub fn event_interval(mut self, polls: u32) -> Self {
        self.event_interval = polls.max(1);
        self
    }

    /// Sets how many I/O operations, timers and joins that are ready at once one poll may use
    /// before it yields (128; at least 1).
    #[must_use]
    pub fn io_budget(mut self, operations: u32) -> Self {
        self.io_budget = operations.max(1);
        self
    }

    /// Sets how many events one `epoll_wait` takes in (256; from 1 to 65,536).
    #[must_use]
    pub fn max_io_events_per_tick(mut self, events: usize) -> Self {
        self.max_io_events_per_tick = events;
        self
    }

    /// Starts with the clock paused; see [`time`](crate::time) (off).
    #[must_use]
    pub fn start_paused(mut self, paused: bool) -> Self {
        self.start_paused = paused;
        self
    }

    /// Draws the next task at random, alike for like seeds, instead of first in, first out (off).
    ///
    /// For tests: an order that breaks something can be repeated by its seed.
    #[must_use]
    pub fn rng_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets what happens after a task's panic that nobody joins ([`UnhandledPanic::Ignore`]).
    #[must_use]
    pub fn unhandled_panic(mut self, policy: UnhandledPanic) -> Self {
        self.unhandled_panic = policy;
        self
    }

    /// Sets how many threads may run blocking closures at a time (512; at least 1).
    #[must_use]
    pub fn max_blocking_threads(mut self, threads: usize) -> Self {
        self.max_blocking_threads = threads;
        self
    }

    /// Measures how long polls take, for [`RuntimeMetrics::poll_p50`](super::RuntimeMetrics::poll_p50) and its
    /// sibling, at two clock readings per poll (off).
    #[must_use]
    pub fn enable_metrics_poll_time_histogram(mut self, measure: bool) -> Self {
        self.enable_metrics_poll_time_histogram = measure;
        self
    }

    /// Calls `hook` after each poll of a task that took longer than `limit`; measures polls as
    /// [`enable_metrics_poll_time_histogram`](Self::enable_metrics_poll_time_histogram) does (off).
    ///
    /// A poll of a millisecond is one in which nobody else was served. The hook runs on the
    /// runtime's thread, between two polls.
    #[must_use]
    pub fn on_slow_poll(mut self, limit: Duration, hook: impl Fn(&SlowPoll) + 'static) -> Self {
        self.on_slow_poll = Some((limit, Box::new(hook)));
        self
    }

    /// Looks for work for up to `window` before each wait, instead of putting the processor to sleep
    /// at once (off; a window of zero turns it off again).
    ///
    /// Trades processor time for latency where few clients answer quickly: falling asleep and being
    /// woken takes longer than a small message takes. It adapts: only after a wait that ended within
    /// the window does the next one begin awake. So when traffic stops, the processor is at rest
    /// within the window, and traffic that is slower than the window costs nothing. Nothing is late
    /// for it: sockets, timers, signals and other threads are looked at in every round. With a
    /// paused clock it does nothing.
    ///
    /// It needs a processor of its own: on one that is shared with those who are waited for, it
    /// takes from them what it hopes to gain.
    ///
    /// # Units
    ///
    /// Some tens of microseconds; [`RuntimeMetrics::busy_polls`](super::RuntimeMetrics::busy_polls) and
    /// [`RuntimeMetrics::parks`](super::RuntimeMetrics::parks) tell what became of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use wakeful::runtime::Builder;
    ///
    /// let runtime = Builder::new().busy_poll(Duration::from_micros(50)).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn busy_poll(mut self, window: Duration) -> Self {
        self.busy_poll = window;
        self
    }

    /// Builds the runtime, on the thread on which it is going to run.
    ///
    /// # Errors
    ///
    /// When its two descriptors, an epoll and an eventfd, cannot be opened: the limit of open
    /// descriptors, or of memory.
    pub fn build(self) -> io::Result<Runtime> {
        let remote = registry::register()?;
        let id = remote.id();
        let measure = self.enable_metrics_poll_time_histogram || self.on_slow_poll.is_some();
        let poll_times = measure.then(|| PollTimes::new(self.on_slow_poll));
        let panics = Panics::new(self.unhandled_panic);
        let core = Core {
            id,
            executor: Executor::new(
                id,
                &context::VTABLE,
                self.io_budget,
                self.seed,
                panics,
                poll_times,
            ),
            reactor: Reactor::new(Arc::clone(&remote), self.max_io_events_per_tick),
            timers: Timers::new(Clock::new(self.start_paused)),
            blocking: Pool::new(self.max_blocking_threads),
            remote,
            busy_poll: BusyPoll::new(self.busy_poll),
            signals: Default::default(),
            messages: Default::default(),
        };
        Ok(Runtime::from_core(core, self.event_interval))
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("event_interval", &self.event_interval)
            .field("io_budget", &self.io_budget)
            .field("max_io_events_per_tick", &self.max_io_events_per_tick)
            .field("start_paused", &self.start_paused)
            .field("seed", &self.seed)
            .field("unhandled_panic", &self.unhandled_panic)
            .field("max_blocking_threads", &self.max_blocking_threads)
            .field("busy_poll", &self.busy_poll)
            .finish_non_exhaustive()
    }
}
