//! What a runtime counts about itself, all the time.

use std::time::Duration;

use crate::context::Core;
use crate::executor::poll_times::PollTimes;
use crate::task_info::WakeCause;

/// Counters and gauges of one runtime at one moment.
///
/// Counters go up for the life of the runtime. Counting costs one addition in memory that is at
/// hand anyway, so it is always on.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RuntimeMetrics {
    /// Tasks that have not ended.
    pub num_alive_tasks: u64,
    /// Tasks ever spawned.
    pub spawned_tasks_count: u64,
    /// Polls of tasks.
    pub polls: u64,
    /// Polls of root futures.
    pub root_polls: u64,
    /// Wakes by being spawned.
    pub wakes_by_spawn: u64,
    /// Wakes by a descriptor.
    pub wakes_by_io: u64,
    /// Wakes by a timer.
    pub wakes_by_timer: u64,
    /// Wakes by a task of the same runtime.
    pub wakes_by_task: u64,
    /// Wakes by the root future.
    pub wakes_by_root: u64,
    /// Wakes by another thread, or from outside of `block_on`.
    pub wakes_by_thread: u64,
    /// Wakes by yielding, of one's own will or for want of budget.
    pub wakes_by_yield: u64,
    /// Wakes by being aborted.
    pub wakes_by_abort: u64,
    /// Wakes that found the task in the run queue, or finished.
    pub wakes_coalesced: u64,
    /// Wakes for a task that is gone.
    pub wakes_stale: u64,
    /// Panics caught in tasks and wakers.
    pub panics: u64,
    /// Panics of them that nobody joined.
    pub panics_unhandled: u64,
    /// Turns of the reactor.
    pub turns: u64,
    /// Calls of `epoll_wait`: turns that had something to ask.
    pub epoll_waits: u64,
    /// Turns that were allowed to sleep until something happens.
    pub parks: u64,
    /// Turns made awake in place of such a one ([`Builder::busy_poll`](super::Builder::busy_poll)).
    pub busy_polls: u64,
    /// Events of descriptors.
    pub io_ready_count: u64,
    /// Events of them for a source that was gone.
    pub events_stale: u64,
    /// Descriptors registered now.
    pub sources: u64,
    /// Operations that wait for a descriptor now.
    pub waiting: u64,
    /// Timers armed now.
    pub timers_armed: u64,
    /// Timers that have fired.
    pub timers_fired: u64,
    /// Messages that came from other threads.
    pub remote_messages: u64,
    /// Threads of the blocking pool now, idle ones included.
    pub num_blocking_threads: u64,
    poll_p50: Option<Duration>,
    poll_p99: Option<Duration>,
}

impl RuntimeMetrics {
    /// The time within which half of all polls ended, to 25 %; `None` unless polls are measured
    /// ([`Builder::enable_metrics_poll_time_histogram`](super::Builder::enable_metrics_poll_time_histogram)) and there was one.
    #[must_use]
    pub fn poll_p50(&self) -> Option<Duration> {
        self.poll_p50
    }

    /// The time within which 99 of 100 polls ended; otherwise as [`poll_p50`](Self::poll_p50).
    #[must_use]
    pub fn poll_p99(&self) -> Option<Duration> {
        self.poll_p99
    }

    /// Wakes of all causes that put a task into the run queue.
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
            waiting: core.reactor.waiting().0 as u64,
            timers_armed: core.timers.armed() as u64,
            timers_fired: core.timers.fired(),
            remote_messages: core.messages.get(),
            num_blocking_threads: core.blocking.threads() as u64,
            poll_p50: quantile(0.5),
            poll_p99: quantile(0.99),
        }
    }
}
