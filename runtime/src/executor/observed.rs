//! What the executor records, if anything records: see [`crate::recorder`].
//!
//! Called on cold paths, and by the observed instance of `poll_tasks`. A tick is observed as a whole, so a
//! recording begins and ends between two ticks. The functions read the rows and run no user code (I3).

use super::Executor;
use super::cell::Outcome;
use super::task::Task;
use super::task_table::ROOT;
use crate::id::WakerData;
use crate::recorder::event::{Kind, PollEnd};
use crate::recorder::{KeyframeTask, Polled};
use crate::table::Key;
use crate::task_info::TaskState;

/// The queue is counted up to this length.
const MOST_QUEUED: u32 = 256;

impl Executor {
    /// Returns whether the polls of the tick that begins are measured or recorded.
    #[inline]
    pub(super) fn observe_tick(&self) -> bool {
        let records = self.recorder().is_on();
        if records {
            self.recorder().tick_began(self.queued());
        }
        records || self.poll_times.is_some()
    }

    /// Returns the length of the run queue, up to a limit.
    #[cold]
    pub(crate) fn queued(&self) -> u32 {
        self.tasks.queued(MOST_QUEUED)
    }

    fn polled(&self, index: u32, task: &Task) -> Polled {
        let data = task.waker_data();
        let generation = match self.tasks.rows.key(index) {
            Some(key) if index != ROOT => key.generation(),
            _ => data.generation().into(),
        };
        Polled {
            data,
            generation,
            spawned_at: task.spawned_at.get(),
        }
    }

    #[cold]
    pub(super) fn record_spawn(&self, key: Key) {
        if let Some(task) = self.tasks.task(key.index()) {
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

    #[cold]
    pub(super) fn record_poll_begin(&self, index: u32, task: &Task) {
        if self.recorder().is_on() {
            let cause = task.last_wake.get();
            self.recorder().poll_began(self.polled(index, task), cause);
        }
    }

    #[cold]
    pub(super) fn record_root_poll_begin(&self) {
        if let Some(root) = self.tasks.task(ROOT) {
            self.record_poll_begin(ROOT, root);
        }
    }

    /// Records the end of a poll after which the task is still in its row.
    #[cold]
    pub(super) fn record_poll_end(&self, index: u32, end: PollEnd) {
        if self.recorder().is_on()
            && let Some(task) = self.tasks.task(index)
        {
            let wait = task.wait.get().filter(|_| end == PollEnd::Pending);
            self.recorder()
                .poll_ended(task.waker_data(), end, wait.as_ref());
        }
    }

    /// Records the last poll of a task, which has left its row.
    #[cold]
    pub(super) fn record_task_end(&self, data: WakerData, outcome: Outcome) {
        let end = match outcome {
            Outcome::Returned | Outcome::ReturnedPlain => PollEnd::Ready,
            Outcome::Cancelled => PollEnd::Aborted,
            Outcome::Panicked => PollEnd::Panicked,
        };
        self.recorder().poll_ended(data, end, None);
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

    /// Records what exists when a recording begins. The polls of the tick in progress are not observed, but
    /// those of the root future are.
    #[cold]
    pub(crate) fn record_start(&self) {
        if self.root_row().is_some() || self.task_rows().next().is_some() {
            self.record_keyframe(0);
        }
        if self.is_polling_root() {
            self.record_root_poll_begin();
        }
    }

    /// Records all tasks as they are now.
    #[cold]
    pub(crate) fn record_keyframe(&self, request: u32) {
        let mut rows: Vec<_> = self.root_row().into_iter().collect();
        rows.extend(self.task_rows());
        rows.retain(|row| row.state != TaskState::Finished);
        let tasks = rows.iter().map(|row| KeyframeTask {
            task: Polled {
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
