//! A row of the task table: what the executor stores of one task.
//!
//! Written by the task table, and by the executor while the task is polled. Every field is a cell, so
//! a reference to the row can be held while user code runs.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::panic::Location;

use super::cell::BoxedCell;
use crate::id::WakerData;
use crate::task_info::{WaitInfo, WakeCause};

/// A task.
pub(super) struct Task {
    /// The future or its output; `None` during a poll, in a vacant row and for the root.
    pub(super) cell: Cell<Option<BoxedCell>>,
    /// The data of the task's wakers, so that one comparison identifies runtime, row and occupant.
    pub(super) waker_data: Cell<WakerData>,
    pub(super) state: Cell<State>,
    /// What woke the task last.
    pub(super) last_wake: Cell<WakeCause>,
    /// The task that awaits the `JoinHandle`, or `NONE`. A joiner with an external waker is stored in
    /// [`TaskTable::external_joiners`].
    pub(super) joiner: Cell<WakerData>,
    pub(super) polls: Cell<u64>,
    /// What the task waits for, written by the operation that returned `Pending` last.
    pub(super) wait: Cell<Option<WaitInfo>>,
    pub(super) spawned_at: Cell<&'static Location<'static>>,
}

impl Default for Task {
    fn default() -> Self {
        Task {
            cell: Cell::new(None),
            waker_data: Cell::new(WakerData::NONE),
            state: Cell::new(State(State::VACANT)),
            last_wake: Cell::new(WakeCause::Spawn),
            joiner: Cell::new(WakerData::NONE),
            polls: Cell::new(0),
            wait: Cell::new(None),
            spawned_at: Cell::new(Location::caller()),
        }
    }
}

/// The state bits of a task.
#[derive(Clone, Copy)]
pub(super) struct State(pub(super) u16);

impl State {
    /// Set while the task is in the run queue or deferred (I2).
    pub(super) const SCHEDULED: u16 = 1;
    /// Set while a `JoinHandle` exists.
    pub(super) const JOINABLE: u16 = 2;
    /// Set when the cell contains the output, or the output is gone. Wakes have no effect then.
    pub(super) const FINISHED: u16 = 4;
    /// Set by `abort`: the task is canceled instead of polled.
    pub(super) const ABORTED: u16 = 8;
    /// Set when the task has a name in [`TaskTable::names`].
    pub(super) const NAMED: u16 = 16;
    /// Set when the task ended with a panic.
    pub(super) const PANICKED: u16 = 32;
    /// Set while [`TaskTable::external_joiners`] has a waker for the task.
    pub(super) const EXTERNAL_JOINER: u16 = 64;
    /// Set while the row has no task.
    pub(super) const VACANT: u16 = 128;
    /// Set while the runtime records: wakes of the task are recorded. Beside the flags that a wake tests, so
    /// that wakes cost nothing more without a recording.
    pub(super) const WATCHED: u16 = 256;

    #[inline]
    pub(super) fn has(self, any: u16) -> bool {
        self.0 & any != 0
    }
}

impl Task {
    #[inline]
    pub(super) fn has(&self, any: u16) -> bool {
        self.state.get().has(any)
    }

    #[inline]
    pub(super) fn set(&self, flags: u16) {
        self.state.set(State(self.state.get().0 | flags));
    }

    #[inline]
    pub(super) fn clear(&self, flags: u16) {
        self.state.set(State(self.state.get().0 & !flags));
    }

    #[inline]
    pub(super) fn waker_data(&self) -> WakerData {
        self.waker_data.get()
    }

    /// Returns the cause of wakes during a poll of this task, which is in the row `index`.
    #[inline]
    pub(super) fn as_cause(&self, index: u32) -> WakeCause {
        WakeCause::Task {
            row: index,
            generation: self.waker_data().generation(),
        }
    }

    /// Puts the cell back after a poll that did not end the task.
    #[inline]
    pub(super) fn put_back(&self, cell: BoxedCell) {
        // `set` would check whether there is a value to drop.
        let _nothing_to_drop = ManuallyDrop::new(self.cell.replace(Some(cell)));
    }

    #[inline]
    pub(super) fn set_wait(&self, wait: WaitInfo) {
        self.wait.set(Some(wait));
    }
}
