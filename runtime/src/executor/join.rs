//! Joining and detaching: what a `JoinHandle` does with its task.
//!
//! Called by [`JoinHandle`](crate::task::JoinHandle), `JoinSet` and the inbox. There are two parts, as in
//! the rest of the executor. The table's part runs no user code and returns the step that is left (I3).
//! The executor's part runs that step.
//!
//! ```text
//!                poll_join: joiner = waker        finish: wake the joiner
//!   JoinHandle ---------------------------> task ------------------------> poll_join: the output
//!        |
//!        +-- dropped: detach_unfinished, or detach for a task that has ended
//! ```

use std::any::Any;
use std::task::Waker;

use super::Executor;
use super::cell::BoxedCell;
use super::panics::Unhandled;
use super::task::State;
use super::task_table::{TaskTable, count};
use crate::id::{Id, WakerData};
use crate::table::{Key, NONE};
use crate::task_info::WaitInfo;

/// The step that is left to the executor after a handle was dropped.
#[must_use]
pub(super) enum OnDetach {
    Nothing,
    /// Drop the joiner's waker.
    DropJoiner(Waker),
    /// Drop the output.
    DropOutput(BoxedCell),
    /// Report the panic and drop the output.
    ReportPanic(BoxedCell, Unhandled),
}

/// The result of polling a `JoinHandle`.
#[must_use]
pub(crate) enum PollJoin {
    /// The task has ended. The cell contains the output, and the row is free.
    Ready(BoxedCell),
    /// The task has ended, but the budget of the poll is used up.
    OverBudget,
    /// The task has not ended and will wake the waker.
    Pending,
    /// The task has not ended. The caller stores the waker, or removes an external one before it, by
    /// [`Executor::store_joiner`](super::Executor::store_joiner).
    StoreWaker,
    /// The task and its output are gone.
    Gone,
    /// The task awaits itself.
    SelfJoin,
}

impl TaskTable {
    /// Takes the output of a finished task, or makes `own`, the data of this runtime's waker, the
    /// joiner. `try_consume` is called before an output is taken.
    /// `running` is the row that is being polled.
    #[inline]
    pub(super) fn poll_join(
        &self,
        key: Key,
        own: Option<WakerData>,
        running: u32,
        try_consume: impl FnOnce() -> bool,
    ) -> PollJoin {
        let Some(row) = self.rows.find(key) else {
            return PollJoin::Gone;
        };
        if row.has(State::FINISHED) {
            if !try_consume() {
                return PollJoin::OverBudget;
            }
            let cell = row.cell.take();
            self.free(key.index(), row);
            return cell.map_or(PollJoin::Gone, PollJoin::Ready);
        }
        if running == key.index() {
            return PollJoin::SelfJoin;
        }
        match own {
            Some(data) if !row.has(State::EXTERNAL_JOINER) => {
                row.joiner.set(data);
                PollJoin::Pending
            }
            _ => PollJoin::StoreWaker,
        }
    }

    /// Makes a waker the joiner of a task; `own` is its data if it is this runtime's. Returns the
    /// waker that is no longer stored.
    pub(super) fn set_joiner(
        &self,
        key: Key,
        waker: Waker,
        own: Option<WakerData>,
    ) -> Option<Waker> {
        let Some(row) = self.rows.find(key) else {
            return Some(waker);
        };
        row.joiner.set(own.unwrap_or(WakerData::NONE));
        if own.is_some() {
            return self.take_external_joiner(key.index());
        }
        row.set(State::EXTERNAL_JOINER);
        self.external_joiners
            .borrow_mut()
            .insert(key.index(), waker)
    }

    /// Returns whether `waker` is the external joiner of a task.
    pub(super) fn is_external_joiner(&self, key: Key, waker: &Waker) -> bool {
        let joiners = self.external_joiners.borrow();
        self.rows
            .find(key)
            .is_some_and(|row| row.has(State::EXTERNAL_JOINER))
            && joiners
                .get(&key.index())
                .is_some_and(|joiner| joiner.will_wake(waker))
    }

    /// Takes the external joiner of the task in a row.
    pub(super) fn take_external_joiner(&self, index: u32) -> Option<Waker> {
        if let Some(row) = self.rows.row(index) {
            row.clear(State::EXTERNAL_JOINER);
        }
        self.external_joiners.borrow_mut().remove(&index)
    }

    /// Records that a handle was dropped, if that is all there is to do. Returns `false`, without
    /// effect, if [`detach`](Self::detach) has to be called.
    #[inline]
    pub(super) fn detach_unfinished(&self, key: Key) -> bool {
        match self.rows.find(key) {
            Some(row) if !row.has(State::FINISHED | State::EXTERNAL_JOINER) => {
                row.clear(State::JOINABLE);
                row.joiner.set(WakerData::NONE);
                true
            }
            _ => false,
        }
    }

    /// Records that a handle was dropped.
    pub(super) fn detach(&self, key: Key) -> OnDetach {
        let Some(row) = self.rows.find(key) else {
            return OnDetach::Nothing;
        };
        row.clear(State::JOINABLE);
        row.joiner.set(WakerData::NONE);
        let index = key.index();
        if !row.has(State::FINISHED) {
            let joiner = self.take_external_joiner(index);
            return joiner.map_or(OnDetach::Nothing, OnDetach::DropJoiner);
        }
        let Some(cell) = row.cell.take() else {
            return OnDetach::Nothing;
        };
        if !row.has(State::PANICKED) {
            self.free(index, row);
            return OnDetach::DropOutput(cell);
        }
        count(&self.counters.panics_unhandled);
        let unhandled = self.unhandled(key, row);
        self.free(index, row);
        OnDetach::ReportPanic(cell, unhandled)
    }
}

impl Executor {
    /// Returns the data of this runtime's waker; `None` for an external one.
    #[inline]
    fn own_data(&self, waker: &Waker) -> Option<WakerData> {
        WakerData::of(waker, self.vtables)
            .filter(|data| data.runtime_index() == self.runtime.index())
    }

    /// Polls for the output of a task on behalf of its `JoinHandle`. `wait` describes the wait, if
    /// there is no output yet. Runs no user code.
    #[inline]
    pub(crate) fn poll_join(
        &self,
        id: Id,
        waker: &Waker,
        wait: impl FnOnce() -> WaitInfo,
    ) -> PollJoin {
        let (own, running) = (self.own_data(waker), self.running.get());
        let join = self
            .tasks
            .poll_join(id.key, own, running, || self.try_consume());
        if matches!(join, PollJoin::Pending | PollJoin::StoreWaker) {
            self.set_wait(wait);
        }
        join
    }

    /// As [`poll_join`](Self::poll_join), without waiting and without taking budget.
    pub(crate) fn try_join(&self, key: Key) -> PollJoin {
        if self.tasks.is_finished(key) {
            self.tasks.poll_join(key, None, NONE, || true)
        } else {
            PollJoin::Pending
        }
    }

    /// Makes a waker the joiner of a task, in place of an external one, or wakes it if the task has
    /// ended in the meantime. Cloning is user code (I3), and outside of `block_on` it can run the loop.
    #[cold]
    pub(crate) fn store_joiner(&self, key: Key, waker: &Waker) {
        if self.tasks.is_external_joiner(key, waker) {
            return;
        }
        let (waker, own) = (waker.clone(), self.own_data(waker));
        if self.is_finished(key) {
            waker.wake();
            return;
        }
        let replaced = self.tasks.set_joiner(key, waker, own);
        drop(replaced);
    }

    /// Records that a `JoinHandle` was dropped. Returns `false` if [`detach`](Self::detach) has to be
    /// called. Runs no user code.
    #[inline]
    pub(crate) fn detach_unfinished(&self, key: Key) -> bool {
        self.tasks.detach_unfinished(key)
    }

    /// Records that a `JoinHandle` was dropped, and drops the output if there is one.
    pub(crate) fn detach(&self, key: Key) {
        match self.tasks.detach(key) {
            OnDetach::Nothing => {}
            // Another thread can have dropped the handle, so no caller receives the panic.
            OnDetach::DropJoiner(joiner) => self.drop_user_value(joiner, "the drop of a waker"),
            OnDetach::DropOutput(cell) => self.drop_output(cell),
            OnDetach::ReportPanic(cell, unhandled) => self.report(cell, unhandled),
        }
    }

    /// Reports a panic that no handle receives.
    #[cold]
    fn report(&self, cell: BoxedCell, unhandled: Unhandled) {
        self.panics.report(unhandled, cell.panic_text());
        self.drop_output(cell);
    }

    /// Drops the cell of a detached task.
    ///
    /// An output can contain the handle of another task whose output contains another, and so on. The
    /// outputs are dropped one after the other, so that no chain overflows the stack.
    fn drop_output(&self, cell: BoxedCell) {
        if self.dropping_output.replace(true) {
            self.outputs_to_drop.borrow_mut().push(cell);
            return;
        }
        let mut next = Some(cell);
        while let Some(cell) = next {
            self.drop_user_value(cell, "the drop of a task's output");
            next = self.outputs_to_drop.borrow_mut().pop();
        }
        self.dropping_output.set(false);
    }
}

/// Takes a finished task's output out of its cell.
#[inline]
pub(crate) fn output_of<T: 'static>(cell: BoxedCell) -> Option<T> {
    let mut output: Option<T> = None;
    cell.take_output(&mut output as &mut dyn Any);
    output
}
