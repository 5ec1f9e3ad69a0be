//! What the executor measures, records and publishes, if it does: see [`super::poll_times`], [`crate::recorder`] and
//! [`crate::watch`].
//!
//! Called on cold paths. The functions read the rows. Only [`poll_observed`](Executor::poll_observed) runs user
//! code (I3).

use std::panic::Location;
use std::sync::Arc;
use std::task::Poll;

use super::Executor;
use super::cell::{BoxedCell, Outcome};
use super::poll_times::PollTimes;
use super::task::{State, Task};
use super::task_table::{ROOT, TaskTable, count};
use crate::id::WakerData;
use crate::recorder::event::{Kind, PollEnd};
use crate::recorder::{KeyframeTask, PolledTask};
use crate::table::{Key, Row};
use crate::task_info::{TaskState, WakeCause};
use crate::watch::progress::{self, Progress};

/// A recording counts the queue up to this length.
const MOST_QUEUED: u32 = 256;

/// What observes all polls from the start.
pub(crate) struct Observers {
    pub(crate) poll_times: Option<PollTimes>,
    pub(crate) progress: Option<Arc<Progress>>,
}

impl Executor {
    /// Begins to observe polls, or ends it.
    pub(crate) fn update_observed(&self) {
        let records = self.recorder().is_on();
        let from_the_start = self.poll_times.is_some() || self.tasks.progress.is_some();
        self.observed.set(records || from_the_start);
        self.tasks.set_watched(records);
    }

    /// Polls a task, and measures, records or publishes the poll.
    #[cold]
    pub(super) fn poll_observed(
        &self,
        index: u32,
        task: &Row<Task>,
        poll: impl FnOnce() -> Poll<Outcome>,
    ) -> Poll<Outcome> {
        if self.recorder().is_on() {
            self.record_poll_begin(index, task);
        }
        self.publish_poll(index, task);
        let polled = match &self.poll_times {
            None => poll(),
            Some(times) => self.measure(times, index, poll),
        };
        if let Some(progress) = &self.tasks.progress {
            progress.end_poll();
        }
        // The poll can have begun or ended the recording.
        if self.recorder().is_on() {
            match polled {
                Poll::Pending => self.record_poll_end(index, PollEnd::Pending),
                Poll::Ready(_) => self.record_poll_end(index, PollEnd::Ready),
            }
        }
        polled
    }

    /// Publishes for the watch thread that a task, or the root future, is polled.
    #[inline]
    fn publish_poll(&self, index: u32, task: &Row<Task>) {
        if let Some(progress) = &self.tasks.progress {
            let key = Key::new(index, task.generation());
            progress.begin_poll(key, task.spawned_at.get());
        }
    }

    /// Records the end of the root future's last poll, if it was polled: the tick begins or continues. Publishes the
    /// length of the run queue.
    #[cold]
    pub(super) fn observe_tick(&self) {
        self.record_poll_end(ROOT, PollEnd::Pending);
        if let Some(progress) = &self.tasks.progress {
            progress.begin_tick(self.tasks.queued(progress::MOST_QUEUED));
        }
    }

    /// Records and publishes that the root future is polled next.
    #[cold]
    pub(super) fn observe_root_poll(&self) {
        if let Some(root) = self.tasks.rows.row(ROOT) {
            self.record_poll_begin(ROOT, root);
            self.publish_poll(ROOT, root);
        }
    }

    /// Publishes that a `block_on` begins.
    pub(crate) fn publish_start(&self, blocking_on: Option<&'static Location<'static>>) {
        if let Some(progress) = &self.tasks.progress {
            progress.start(blocking_on);
        }
    }

    /// Records and publishes the end of the root future.
    pub(super) fn observe_root_end(&self) {
        let end = if std::thread::panicking() {
            PollEnd::Panicked
        } else {
            PollEnd::Ready
        };
        self.recorder().poll_ended(end, None);
        if let Some(progress) = &self.tasks.progress {
            progress.stop();
        }
    }

    /// Records and publishes that the poll in progress has panicked.
    #[cold]
    pub(super) fn observe_panic(&self) {
        self.recorder().poll_ended(PollEnd::Panicked, None);
        if let Some(progress) = &self.tasks.progress {
            progress.end_poll();
        }
    }

    /// Measures a poll and reports a slow one to the user's hook.
    #[inline(never)]
    fn measure(
        &self,
        times: &PollTimes,
        index: u32,
        poll: impl FnOnce() -> Poll<Outcome>,
    ) -> Poll<Outcome> {
        let started = times.start();
        let polled = poll();
        let took = times.stop(started);
        let task = || self.tasks.describe(index);
        // The hook is user code. Its panic must not end the task.
        self.catch_panic("the hook for slow polls", || times.record(took, task));
        polled
    }

    /// Returns the length of the run queue, up to a limit.
    #[cold]
    pub(crate) fn queued(&self) -> u32 {
        self.tasks.queued(MOST_QUEUED)
    }

    fn polled(&self, index: u32, task: &Task) -> PolledTask {
        let data = task.waker_data();
        let generation = match self.tasks.rows.key(index) {
            Some(key) if index != ROOT => key.generation(),
            _ => data.generation().into(),
        };
        PolledTask {
            data,
            generation,
            spawned_at: task.spawned_at.get(),
        }
    }

    #[cold]
    pub(super) fn record_spawn(&self, key: Key) {
        if self.recorder().is_on()
            && let Some(task) = self.tasks.task(key.index())
        {
            task.set(State::WATCHED);
            let task = self.polled(key.index(), task);
            self.recorder().spawned(task);
        }
    }

    pub(super) fn record_name(&self, key: Key, name: &str) {
        if self.recorder().is_on()
            && let Some(row) = self.tasks.rows.find(key)
        {
            self.recorder().named(row.waker_data(), name);
        }
    }

    pub(super) fn record_poll_begin(&self, index: u32, task: &Task) {
        if self.recorder().is_on() {
            // The root future has no spawn that sets it.
            task.set(State::WATCHED);
            let cause = task.last_wake.get();
            self.recorder().poll_began(self.polled(index, task), cause);
        }
    }

    /// Records the end of the poll in progress. The task is still in its row.
    fn record_poll_end(&self, index: u32, end: PollEnd) {
        if self.recorder().is_on() {
            let wait = match end {
                PollEnd::Pending => self.tasks.task(index).and_then(|task| task.wait.get()),
                _ => None,
            };
            self.recorder().poll_ended(end, wait.as_ref());
        }
    }

    /// Drops the future of an aborted task.
    #[cold]
    pub(super) fn cancel(
        &self,
        index: u32,
        task: &Row<Task>,
        cell: &mut BoxedCell,
    ) -> Poll<Outcome> {
        self.record_poll_begin(index, task);
        self.publish_poll(index, task);
        let outcome = cell.as_mut().cancel(self.id(index));
        if let Some(progress) = &self.tasks.progress {
            progress.end_poll();
        }
        self.recorder().poll_ended(PollEnd::Aborted, None);
        Poll::Ready(outcome)
    }

    /// Returns the data of the wakers of the task that is polled, or of the root future. `NONE` between polls.
    pub(crate) fn current_data(&self) -> WakerData {
        let task = self.tasks.task(self.running.get());
        task.map_or(WakerData::NONE, Task::waker_data)
    }

    /// Records an event of the task that is polled, with a text.
    pub(crate) fn record_text(&self, kind: Kind, text: &'static str) {
        self.recorder().text_event(kind, self.current_data(), text);
    }

    /// Records what exists when a recording begins.
    #[cold]
    pub(crate) fn record_start(&self) {
        if self.root_row().is_some() || self.task_rows().next().is_some() {
            self.record_keyframe(0);
        }
        let running = self.running.get();
        if let Some(task) = self.tasks.task(running) {
            self.record_poll_begin(running, task);
        }
    }

    /// Records all tasks before the recording is copied or ends, if their spawns can be overwritten.
    #[cold]
    pub(crate) fn record_last_keyframe(&self) {
        if let Some(request) = self.recorder().needs_list_of(self.task_rows()) {
            self.record_keyframe(request);
        }
    }

    /// Records all tasks as they are now.
    #[cold]
    pub(crate) fn record_keyframe(&self, request: u32) {
        let mut rows: Vec<_> = self.root_row().into_iter().collect();
        rows.extend(self.task_rows());
        rows.retain(|row| row.state != TaskState::Finished);
        let tasks = rows.iter().map(|row| KeyframeTask {
            task: PolledTask {
                data: row.waker_data,
                generation: row.id.key.generation(),
                spawned_at: row.spawned_at,
            },
            name: row.name.as_deref(),
            polls: row.polls,
            wait: row
                .wait
                .as_ref()
                .filter(|_| row.state == TaskState::Waiting),
        });
        self.recorder().keyframe(request, rows.len(), tasks);
    }
}

impl TaskTable {
    /// As [`schedule`](Self::schedule), and records the wake. Not if the task is scheduled or has ended.
    #[cold]
    pub(super) fn schedule_watched(&self, index: u32, row: &Row<Task>, cause: WakeCause) {
        if row.has(State::SCHEDULED | State::FINISHED) {
            count(&self.counters.wakes_coalesced);
        } else {
            self.schedule(index, row, cause);
            self.recorder.woken(row.waker_data(), cause);
        }
    }

    /// Sets whether the wakes of the tasks that exist are recorded.
    pub(super) fn set_watched(&self, watched: bool) {
        for (_, row) in self.rows.rows() {
            if watched && !row.has(State::VACANT) {
                row.set(State::WATCHED);
            } else {
                row.clear(State::WATCHED);
            }
        }
    }

    /// Returns the length of the run queue, counted up to `limit`. Tasks that have ended do not count.
    pub(super) fn queued(&self, limit: u32) -> u32 {
        let can_run = |task: &Task| !task.has(State::FINISHED);
        self.queue.len(&self.rows, limit, can_run)
    }
}
