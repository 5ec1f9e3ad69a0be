//! Configuration of a runtime.
//!
//! Called by users; [`Builder::build`] creates every part of a runtime and connects them.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Runtime, SlowPoll, UnhandledPanic};
use crate::blocking::Pool;
use crate::busy_poll::BusyPoll;
use crate::context::{self, Core};
use crate::deadlock_watch::{DeadlockWatch, OnDeadlock};
use crate::executor::Executor;
use crate::executor::observed::Observers;
use crate::executor::panics::Panics;
use crate::executor::poll_times::{Hook, PollTimes};
use crate::kernel;
use crate::reactor::Reactor;
use crate::registry;
use crate::task::TaskInfo;
use crate::timer::Timers;
use crate::timer::auto_advance::AutoAdvance;
use crate::timer::clock::Clock;
use crate::trace::{self, Recording};
use crate::watch::stall::Stall;
use crate::watch::{self, StallHook, Watch};

/// Polls between two turns of the reactor; the default of tokio.
const EVENT_INTERVAL: u32 = 61;
/// Operations per poll; the default of tokio.
const IO_BUDGET: u32 = 128;
/// Events per `epoll_wait`: a buffer of 3 KiB, and enough events to spread the cost of the call.
const IO_EVENTS_PER_TICK: usize = 256;
/// Threads of the blocking pool; the default of tokio.
const BLOCKING_THREADS: usize = 512;

/// Builder of a [`Runtime`].
///
/// Three settings determine the fairness of the runtime:
///
/// - `event_interval`: the number of polls after which the runtime checks sockets, timers and the
///   wakes of other threads.
/// - `io_budget`: the number of operations that are ready at once after which a task has to yield.
/// - `max_io_events_per_tick`: the number of events that one check receives. The kernel reports the
///   rest in the next ones.
///
/// # Examples
///
/// ```
/// use wakeful::runtime::Builder;
///
/// let runtime = Builder::new().start_paused(true).rng_seed(7).build()?;
/// runtime.block_on(async {});
/// # std::io::Result::Ok(())
/// ```
pub struct Builder {
    event_interval: u32,
    io_budget: u32,
    max_io_events_per_tick: usize,
    start_paused: bool,
    auto_advance_despite_io: bool,
    rng_seed: Option<u64>,
    unhandled_panic: UnhandledPanic,
    max_blocking_threads: usize,
    enable_metrics_poll_time_histogram: bool,
    on_slow_poll: Option<(Duration, Hook)>,
    busy_poll: Duration,
    count_wakers: bool,
    deadlocks: DeadlockWatch,
    recording: Option<Recording>,
    watch: Option<Duration>,
    on_stall: Option<StallHook>,
}

impl Builder {
    /// Creates a builder with the defaults.
    #[must_use]
    pub fn new() -> Self {
        Builder {
            event_interval: EVENT_INTERVAL,
            io_budget: IO_BUDGET,
            max_io_events_per_tick: IO_EVENTS_PER_TICK,
            start_paused: false,
            auto_advance_despite_io: false,
            rng_seed: None,
            unhandled_panic: UnhandledPanic::default(),
            max_blocking_threads: BLOCKING_THREADS,
            enable_metrics_poll_time_histogram: false,
            on_slow_poll: None,
            busy_poll: Duration::ZERO,
            count_wakers: false,
            deadlocks: DeadlockWatch::default(),
            recording: None,
            watch: None,
            on_stall: None,
        }
    }

    /// Sets the maximum number of polls between two turns of the reactor.
    ///
    /// # Units
    ///
    /// Polls of tasks and of the root future. The default is 61, the minimum is 1.
    #[must_use]
    pub fn event_interval(mut self, polls: u32) -> Self {
        self.event_interval = polls.max(1);
        self
    }

    /// Sets the number of I/O operations, timers and joins that can be ready at once within one poll
    /// of a task. The next one makes the task yield.
    ///
    /// # Units
    ///
    /// Operations. The default is 128, the minimum is 1.
    #[must_use]
    pub fn io_budget(mut self, operations: u32) -> Self {
        self.io_budget = operations.max(1);
        self
    }

    /// Sets the maximum number of events that one `epoll_wait` returns.
    ///
    /// # Units
    ///
    /// Events of descriptors. The default is 256; the range is 1 to 65,536.
    #[must_use]
    pub fn max_io_events_per_tick(mut self, events: usize) -> Self {
        self.max_io_events_per_tick = events;
        self
    }

    /// Sets whether the runtime starts with a paused clock; see [`time`](crate::time). Off by
    /// default.
    #[must_use]
    pub fn start_paused(mut self, paused: bool) -> Self {
        self.start_paused = paused;
        self
    }

    /// Sets whether a paused clock jumps to the next deadline although an operation waits for a
    /// descriptor or a signal, as tokio's does. Off by default.
    ///
    /// Off, such a wait keeps the clock from moving, because the event comes in real time and a
    /// timeout beside it would otherwise always be first. After one second of real time the runtime
    /// then writes to stderr which task waits for what. On, the clock jumps after one turn that found
    /// no event. A closure of [`spawn_blocking`](crate::task::spawn_blocking) keeps it from moving
    /// in both cases.
    #[must_use]
    pub fn auto_advance_despite_io(mut self, advance: bool) -> Self {
        self.auto_advance_despite_io = advance;
        self
    }

    /// Polls tasks in a random order instead of first in, first out, and looks at events and timers
    /// after a random number of polls. Off by default.
    ///
    /// This is for tests: equal seeds give equal orders, so a seed reproduces an order that failed. An
    /// installed [kernel](crate::kernel) that chooses replaces the seed.
    #[must_use]
    pub fn rng_seed(mut self, seed: u64) -> Self {
        self.rng_seed = Some(seed);
        self
    }

    /// Sets the reaction to a panic of a task that is not joined. The default is
    /// [`UnhandledPanic::Ignore`].
    #[must_use]
    pub fn unhandled_panic(mut self, policy: UnhandledPanic) -> Self {
        self.unhandled_panic = policy;
        self
    }

    /// Sets the maximum number of threads of the blocking pool. The default is 512, the minimum is 1.
    #[must_use]
    pub fn max_blocking_threads(mut self, threads: usize) -> Self {
        self.max_blocking_threads = threads;
        self
    }

    /// Sets whether the durations of polls are measured, for
    /// [`RuntimeMetrics::poll_p50`](super::RuntimeMetrics::poll_p50) and
    /// [`poll_p99`](super::RuntimeMetrics::poll_p99). Off by default.
    ///
    /// Costs two clock readings per poll.
    #[must_use]
    pub fn enable_metrics_poll_time_histogram(mut self, measure: bool) -> Self {
        self.enable_metrics_poll_time_histogram = measure;
        self
    }

    /// Calls `hook` after each poll of a task that took longer than `limit`. Off by default.
    ///
    /// No other task of the thread runs during a poll, so a long one delays all of them. The hook
    /// runs on the runtime's thread, between two polls. Turns on
    /// [`enable_metrics_poll_time_histogram`](Self::enable_metrics_poll_time_histogram).
    #[must_use]
    pub fn on_slow_poll(mut self, limit: Duration, hook: impl Fn(&SlowPoll) + 'static) -> Self {
        // Otherwise the task would be taken for the one that has entered another runtime.
        let hook = move |slow: &SlowPoll| context::run_hook(|| hook(slow));
        self.on_slow_poll = Some((limit, Box::new(hook)));
        self
    }

    /// Polls for events for up to `window` before each wait, instead of parking the thread at once.
    /// Off by default; a window of zero turns it off.
    ///
    /// Trades processor time for latency with few clients that answer quickly, because parking and
    /// waking a thread takes longer than a small message. Busy polling adapts: a wait starts with it
    /// only if the last one ended within the window. So the processor is idle at most one window
    /// after traffic has stopped, and traffic that is slower than the window costs nothing. Each
    /// iteration checks sockets, timers, signals and other threads, so nothing is delayed. A paused
    /// clock turns it off.
    ///
    /// The runtime needs a core of its own. Otherwise busy polling takes processor time from the
    /// threads or processes that the runtime waits for.
    ///
    /// # Units
    ///
    /// A useful window is some tens of microseconds.
    /// [`RuntimeMetrics::busy_polls`](super::RuntimeMetrics::busy_polls) and
    /// [`RuntimeMetrics::parks`](super::RuntimeMetrics::parks) show its effect.
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

    /// Sets whether the clones of wakers are counted. Off by default, and on in `#[wakeful::test]`.
    ///
    /// With the count a dump knows that nothing can wake a task, because no clone of its waker exists:
    /// see [`Verdict::LostWaker`](crate::dump::Verdict::LostWaker). It costs a lock for each clone and drop of a waker by
    /// other code than the runtime.
    #[must_use]
    pub fn count_wakers(mut self, count: bool) -> Self {
        self.count_wakers = count;
        self
    }

    /// Sets the reaction to a deadlock. The default is [`OnDeadlock::Panic`].
    ///
    /// A deadlock is certain when no task can run, none waits for a descriptor, a signal, a timer or a
    /// closure, and the process has no other thread but idle ones of this runtime's blocking pool and those of
    /// [`watch`](Self::watch). The runtime looks for it when it has waited for 20 ms and would wait without a limit. A waker that a signal
    /// handler, another process or a thread-local of an idle thread could wake is not known.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wakeful::runtime::Builder;
    ///
    /// let runtime = Builder::new().build()?;
    /// runtime.block_on(async {
    ///     // Panics: "a deadlock of the Wakeful runtime", with the line of this `await`.
    ///     wakeful::spawn(std::future::pending::<()>()).await
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn on_deadlock(mut self, policy: OnDeadlock) -> Self {
        self.deadlocks.policy = policy;
        self
    }

    /// Treats a probable deadlock as one when it has lasted for `limit`. Off by default, and 10 seconds in
    /// `#[wakeful::test]`.
    ///
    /// A deadlock is only probable while the process has other threads, because any of them can hold a
    /// waker, a [`Handle`](super::Handle) or an [`AbortHandle`](crate::task::AbortHandle). A program whose tasks
    /// wait for its own threads for that long is reported without need.
    ///
    /// # Units
    ///
    /// Real time, also with a paused clock.
    #[must_use]
    pub fn deadlock_after(mut self, limit: Duration) -> Self {
        self.deadlocks.after = Some(limit);
        self
    }

    /// Calls `hook` with each task that nothing can wake, once. Off by default. Turns on
    /// [`count_wakers`](Self::count_wakers).
    ///
    /// Such a task waits, is registered nowhere, and no clone of its waker exists. A task that waits on
    /// [`std::future::pending`] is one, too. The hook runs on the runtime's thread, between two polls. It
    /// costs a search through all tasks before each turn that has nothing to poll.
    #[must_use]
    pub fn on_lost_waker(mut self, hook: impl Fn(&TaskInfo) + 'static) -> Self {
        self.deadlocks.on_lost_waker = Some(Box::new(hook));
        self.count_wakers = true;
        self
    }

    /// Reports a loop that does not go on for `limit`, while it does not. Off by default.
    ///
    /// [`on_slow_poll`](Self::on_slow_poll) and a dump need the loop, so they say nothing about a poll that never ends.
    /// This starts a thread, `wakeful-watch`, that looks at the loop at least twice per limit. If the loop has polled
    /// nothing and is not parked, the thread writes one line to stderr, once per stall, with the task that is polled
    /// and what its thread does:
    ///
    /// ```text
    /// wakeful: stuck: runtime 1 has been polling task 5.0 "import" (spawned at import.rs:14:9) for at least 12.3 s;
    /// its thread sleeps in futex; at least 31 tasks wait behind it
    /// ```
    ///
    /// The thread also answers for [`dump::on_signal`](crate::dump::on_signal()), if the loop has not received the
    /// signal within a second. It ends with the runtime. A dump does not count it among the threads that could wake a
    /// task, so a deadlock of a process with one thread stays certain. Only while it calls or drops the hook of
    /// [`on_stall`](Self::on_stall), it counts.
    ///
    /// Nothing is reported while no `block_on` runs: neither between two of them, nor while the runtime is dropped.
    ///
    /// It costs two to four nanoseconds per poll, and a thread that runs for some microseconds at each look.
    ///
    /// # Units
    ///
    /// Looks happen each half of the limit, in real time, but at least each half of a second and at most each
    /// millisecond. So a stall is reported after one limit to one and a half, and not before two milliseconds. Time in
    /// which the process is stopped, as by SIGSTOP, does not count.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use wakeful::runtime::Builder;
    ///
    /// let runtime = Builder::new().watch(Duration::from_secs(10)).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn watch(mut self, limit: Duration) -> Self {
        self.watch = Some(limit);
        self
    }

    /// Calls `hook` with each stall that [`watch`](Self::watch) finds, instead of writing it to stderr. Without
    /// `watch` it has no effect.
    ///
    /// The hook runs on the watch thread, because the runtime's thread does not go on. A panic in it is not
    /// propagated.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use wakeful::runtime::Builder;
    ///
    /// let builder = Builder::new().watch(Duration::from_secs(10));
    /// let runtime = builder.on_stall(|stall| eprintln!("stuck: {stall}")).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn on_stall(mut self, hook: impl Fn(&Stall) + Send + 'static) -> Self {
        self.on_stall = Some(Box::new(hook));
        self
    }

    /// Records what the runtime does from the start; see [`trace`](crate::trace). Off by default.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wakeful::runtime::Builder;
    /// use wakeful::trace::Recording;
    ///
    /// let recording = Recording::new().events(1 << 20).file("program.wtr");
    /// let runtime = Builder::new().record(recording).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn record(mut self, recording: Recording) -> Self {
        self.recording = Some(recording);
        self
    }

    /// Builds the runtime. It stays on this thread.
    ///
    /// # Errors
    ///
    /// The error of opening its two descriptors, an epoll and an eventfd: `EMFILE` or `ENFILE` at a
    /// limit of open descriptors, `ENOMEM` without memory. Also an error when 65,536 runtimes are
    /// alive in the process. With [`record`](Self::record), the errors of
    /// [`trace::start`](crate::trace::start). With [`watch`](Self::watch), `WouldBlock` if its thread
    /// cannot be started, at a limit of threads or without memory.
    pub fn build(self) -> io::Result<Runtime> {
        let remote = registry::register()?;
        let id = remote.id();
        let measure = self.enable_metrics_poll_time_histogram || self.on_slow_poll.is_some();
        let poll_times = measure.then(|| PollTimes::new(self.on_slow_poll));
        let panics = Panics::new(self.unhandled_panic);
        let watch = self.watch.map(|limit| Watch::new(limit, self.on_stall));
        let by_kernel = watch::is_by_kernel();
        let progress = match &watch {
            Some(watch) => Some(Arc::clone(&watch.progress)),
            None => by_kernel.then(Arc::default),
        };
        let watched = progress.clone().filter(|_| by_kernel);
        let core = Core {
            id,
            executor: Executor::new(
                id,
                &context::VTABLES,
                self.count_wakers,
                self.io_budget,
                self.rng_seed,
                panics,
                Observers {
                    poll_times,
                    progress,
                },
            ),
            reactor: Reactor::new(Arc::clone(&remote), self.max_io_events_per_tick),
            timers: Timers::new(
                Clock::new(self.start_paused),
                AutoAdvance::new(self.auto_advance_despite_io),
            ),
            blocking: Pool::new(self.max_blocking_threads),
            remote,
            busy_poll: BusyPoll::new(self.busy_poll),
            deadlocks: self.deadlocks,
            watch,
            awaits_shared_thread: crate::io::awaits_thread,
            signals: Default::default(),
            messages: Default::default(),
            messages_left: Default::default(),
        };
        // Its drop undoes the registration if the recording cannot be made, or the watch thread cannot start.
        let runtime = Runtime::from_core(core, self.event_interval);
        if let Some(watch) = &runtime.core.watch {
            watch.start(&runtime.core.remote)?;
        }
        if let Some(progress) = watched {
            watch::tell_kernel(id, progress);
        }
        let recording = self.recording.or_else(recording_of_kernel);
        if let Some(recording) = &recording {
            trace::begin(&runtime.core, recording)?;
        }
        Ok(runtime)
    }
}

/// Returns the recording that an installed kernel makes of the runtimes that are built.
fn recording_of_kernel() -> Option<Recording> {
    let path = kernel::current()?.recording()?;
    Some(Recording::new().file(path))
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
            .field("auto_advance_despite_io", &self.auto_advance_despite_io)
            .field("rng_seed", &self.rng_seed)
            .field("unhandled_panic", &self.unhandled_panic)
            .field("max_blocking_threads", &self.max_blocking_threads)
            .field("busy_poll", &self.busy_poll)
            .field("count_wakers", &self.count_wakers)
            .field("on_deadlock", &self.deadlocks.policy)
            .field("deadlock_after", &self.deadlocks.after)
            .field("recording", &self.recording)
            .field("watch", &self.watch)
            .finish_non_exhaustive()
    }
}
