//! Counters of a runtime, which are always on.
//!
//! Read by users; the executor, the reactor, the timers and the pool count.

use std::time::Duration;

use crate::context::Core;
use crate::executor::poll_times::PollTimes;
use crate::task_info::WakeCause;

/// Snapshot of the counters and gauges of a runtime.
///
/// A counter covers the whole life of the runtime; a gauge (marked "now") is the current value.
/// Counting is always on, because it costs one addition to memory that is in the cache already.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RuntimeMetrics {
    /// Tasks that have not finished now.
    pub num_alive_tasks: u64,
    /// Tasks that were spawned.
    pub spawned_tasks_count: u64,
    /// Polls of tasks.
    pub polls: u64,
    /// Polls of root futures.
    pub root_polls: u64,
    /// Wakes of new tasks.
    pub wakes_by_spawn: u64,
    /// Wakes by an event of a descriptor.
    pub wakes_by_io: u64,
    /// Wakes by a timer.
    pub wakes_by_timer: u64,
    /// Wakes by a task of the same runtime.
    pub wakes_by_task: u64,
    /// Wakes by the root future.
    pub wakes_by_root: u64,
    /// Wakes by another thread, or outside of `block_on`.
    pub wakes_by_thread: u64,
    /// Wakes by a yield, explicit or because the I/O budget was used up.
    pub wakes_by_yield: u64,
    /// Wakes by an abort.
    pub wakes_by_abort: u64,
    /// Wakes without effect, because the task was in the run queue or had finished.
    pub wakes_coalesced: u64,
    /// Wakes of a task that no longer exists.
    pub wakes_stale: u64,
    /// Panics that were caught in tasks and wakers.
    pub panics: u64,
    /// The part of `panics` that was not joined.
    pub panics_unhandled: u64,
    /// Turns of the reactor.
    pub turns: u64,
    /// Calls of `epoll_wait`. A turn skips it if it must not block and no descriptor is registered.
    pub epoll_waits: u64,
    /// Turns that could block.
    pub parks: u64,
    /// Turns that [`Builder::busy_poll`](super::Builder::busy_poll) made without blocking, in place of
    /// a park.
    pub busy_polls: u64,
    /// Events of descriptors.
    pub io_ready_count: u64,
    /// The part of `io_ready_count` for a source that no longer exists.
    pub events_stale: u64,
    /// Descriptors that are registered now.
    pub sources: u64,
    /// Operations that wait for a descriptor now.
    pub waiting: u64,
    /// Timers that are armed now.
    pub timers_armed: u64,
    /// Timers that have fired.
    pub timers_fired: u64,
    /// Messages received from other threads.
    pub remote_messages: u64,
    /// Threads of the blocking pool now, including idle ones.
    pub num_blocking_threads: u64,
    poll_p50: Option<Duration>,
    poll_p99: Option<Duration>,
}

impl RuntimeMetrics {
    /// Returns the median duration of all polls, at most 25 % too long.
    ///
    /// Returns `None` before the first poll, and unless polls are measured; see
    /// [`Builder::enable_metrics_poll_time_histogram`](super::Builder::enable_metrics_poll_time_histogram).
    #[must_use]
    pub fn poll_p50(&self) -> Option<Duration> {
        self.poll_p50
    }

    /// Returns the duration that 99 % of all polls did not exceed; otherwise as
    /// [`poll_p50`](Self::poll_p50).
    #[must_use]
    pub fn poll_p99(&self) -> Option<Duration> {
        self.poll_p99
    }

    /// Returns the sum of the wakes that put a task into the run queue, for all causes.
    #[must_use]
    pub fn wakes(&self) -> u64 {
        self.wakes_by_spawn
            + self.wakes_by_io
            + self.wakes_by_timer
            + self.wakes_by_task
            + self.wakes_by_root
            + self.wakes_by_thread
            + self.wakes_by_yield
            + self.wakes_by_abort
    }

    pub(super) fn of(core: &Core) -> Self {
        let tasks = core.executor.counters();
        let reactor = core.reactor.counters();
        let wakes = |cause: WakeCause| tasks.wakes[cause.kind()].get();
        let quantile = |share| {
            let times: Option<&PollTimes> = core.executor.poll_times.as_ref();
            times.and_then(|times| times.quantile(share))
        };
        RuntimeMetrics {
            num_alive_tasks: tasks.spawned.get() - tasks.ended.get(),
            spawned_tasks_count: tasks.spawned.get(),
            polls: tasks.polls.get(),
            root_polls: tasks.root_polls.get(),
            wakes_by_spawn: tasks.spawned.get(),
            wakes_by_io: wakes(WakeCause::ANY_IO),
            wakes_by_timer: wakes(WakeCause::Timer),
            wakes_by_task: wakes(WakeCause::ANY_TASK),
            wakes_by_root: wakes(WakeCause::Root),
            wakes_by_thread: wakes(WakeCause::Thread),
            wakes_by_yield: wakes(WakeCause::Yield),
            wakes_by_abort: wakes(WakeCause::Abort),
            wakes_coalesced: tasks.wakes_coalesced.get(),
            wakes_stale: tasks.wakes_stale.get(),
            panics: tasks.panics.get(),
            panics_unhandled: tasks.panics_unhandled.get(),
            turns: reactor.turns,
            epoll_waits: reactor.waits,
            parks: reactor.parks,
            busy_polls: core.busy_poll.turns(),
            io_ready_count: reactor.events,
            events_stale: reactor.events_stale,
            sources: core.reactor.sources() as u64,
            waiting: core.reactor.waiting() as u64,
            timers_armed: core.timers.armed() as u64,
            timers_fired: core.timers.fired(),
            remote_messages: core.messages.get(),
            num_blocking_threads: core.blocking.threads() as u64,
            poll_p50: quantile(0.5),
            poll_p99: quantile(0.99),
        }
    }
}
