//! What a dump reads from the task table. Runs no user code.
//!
//! Called by [`crate::dump`], which adds what only the reactor and the timers know.

use std::panic::Location;
use std::task::{RawWakerVTable, Waker};

use super::Executor;
use super::task::{State, Task};
use super::task_table::{ROOT, TaskTable};
use crate::id::{Id, WakerData};
use crate::table::{Key, Row};
use crate::task_info::{TaskState, WaitInfo, WaitOn, WakeCause};

/// One task, or the root future, at one moment.
pub(crate) struct TaskRow {
    pub(crate) id: Id,
    pub(crate) name: Option<String>,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) state: TaskState,
    pub(crate) polls: u64,
    pub(crate) wait: Option<WaitInfo>,
    pub(crate) last_wake: WakeCause,
    /// What the wakers of the task contain.
    pub(crate) waker_data: WakerData,
    /// The task or root future that awaits the `JoinHandle` with a waker of this runtime.
    pub(crate) joiner: Option<Id>,
}

/// What a waker wakes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WakeTarget {
    /// A task of this runtime, or the root future.
    Task(Id),
    /// A task that has ended: the waker is stale.
    Nothing,
    /// Something that this runtime does not know.
    External,
}

impl TaskTable {
    fn task_rows(&self) -> impl Iterator<Item = TaskRow> {
        let tasks = self.rows.rows().filter(|(index, row)| {
            // Only the row is left of a task that has ended without a handle.
            let ended = row.has(State::FINISHED) && !row.has(State::JOINABLE);
            *index != ROOT && !ended && !row.has(State::VACANT)
        });
        tasks.map(|(index, row)| {
            let cell = row.cell.take();
            let is_running = cell.is_none();
            row.cell.set(cell);
            self.task_row(index, row, is_running)
        })
    }

    fn task_row(&self, index: u32, row: &Row<Task>, is_running: bool) -> TaskRow {
        let state = if row.has(State::FINISHED) {
            TaskState::Finished
        } else if is_running {
            TaskState::Running
        } else if row.has(State::SCHEDULED) {
            TaskState::Scheduled
        } else {
            TaskState::Waiting
        };
        let key = Key::new(index, row.generation());
        TaskRow {
            id: self.id_of(key),
            name: self.name(key),
            spawned_at: row.spawned_at.get(),
            state,
            polls: row.polls.get(),
            wait: row.wait.get().filter(|_| state != TaskState::Finished),
            last_wake: row.last_wake.get(),
            waker_data: row.waker_data(),
            joiner: self.id_of_waker(row.joiner.get()),
        }
    }

    /// Returns the task or root future that a waker wakes; `None` for a stale one.
    fn id_of_waker(&self, data: WakerData) -> Option<Id> {
        let row = self.rows.row(data.row())?;
        let is_current = data != WakerData::NONE && row.waker_data() == data;
        is_current.then(|| self.id_of(Key::new(data.row(), row.generation())))
    }
}

impl Executor {
    /// Returns every task as it is now.
    pub(crate) fn task_rows(&self) -> impl Iterator<Item = TaskRow> {
        self.tasks.task_rows()
    }

    /// Returns the root future, if a `block_on` runs. Its id is that of row 0, which no task has.
    pub(crate) fn root_row(&self) -> Option<TaskRow> {
        let row = self.tasks.rows.row(ROOT)?;
        let is_running = self.running.get() == ROOT;
        let exists = !row.has(State::FINISHED);
        exists.then(|| self.tasks.task_row(ROOT, row, is_running))
    }

    /// Returns whether the root future is being polled.
    pub(crate) fn is_polling_root(&self) -> bool {
        self.running.get() == ROOT
    }

    /// Returns what a waker wakes.
    pub(crate) fn target_of(&self, waker: &Waker) -> WakeTarget {
        match WakerData::of(waker, self.vtables) {
            Some(data) if data.runtime_index() == self.runtime.index() => {
                let id = self.tasks.id_of_waker(data);
                id.map_or(WakeTarget::Nothing, WakeTarget::Task)
            }
            _ => WakeTarget::External,
        }
    }

    /// Returns whether the clones of wakers are counted.
    pub(crate) fn counts_wakers(&self) -> bool {
        std::ptr::eq(self.poll_vtable, &self.vtables.counted)
    }

    /// Returns the function table of the wakers with which the root future and tasks are polled.
    pub(crate) fn poll_vtable(&self) -> &'static RawWakerVTable {
        self.poll_vtable
    }

    /// Returns the task that a recorded wait is for, unless it has ended.
    pub(crate) fn id_of_wait(&self, on: WaitOn) -> Option<Id> {
        let id = self.tasks.id(on.row())?;
        let found = on.is_of(id.key) && !self.is_finished(id.key);
        found.then_some(id)
    }
}
