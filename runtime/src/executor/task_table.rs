//! The table of all tasks: the bookkeeping that runs no user code.
//!
//! Called by the executor, which polls, drops and wakes. Waking an external joiner and dropping an
//! output are user code, so the methods of this file return them as values (I3). A row is in at most
//! one of two lists, which share its link:
//!
//! ```text
//!  vacant list   rows without a task, see `Table`
//!  run queue     rows of scheduled tasks, and of tasks that ended while queued, because they woke
//!                themselves in their last poll: such a row is freed when it is popped
//! ```
//!
//! The root future of `block_on` has row 0, so that it is woken, deferred and queued like a task. The
//! future itself stays on the stack of `block_on`.
//!
//! Keeps I2: the flag `SCHEDULED` is set where a row is queued and cleared where it is popped. There are
//! two exceptions: [`TaskTable::end_root`] takes the root's row out of the queue, and
//! [`TaskTable::close`] empties the queue and sets the flag in every row.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::os::fd::RawFd;
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;

use super::cell::{BoxedCell, Outcome};
use super::panics::Unhandled;
use super::run_queue::RunQueue;
use super::task::{State, Task};
use crate::id::{Id, RuntimeId, WakerData};
use crate::recorder::Recorder;
use crate::table::{Key, Row, Table};
use crate::task_info::{WaitInfo, WakeCause};
use crate::watch::progress::Progress;

/// The tasks of one runtime, and its run queue.
pub(super) struct TaskTable {
    runtime: RuntimeId,
    pub(super) rows: Table<Task>,
    pub(super) queue: RunQueue,
    /// The generation in the root future's wakers. Each `block_on` increments it, so that the wakers of
    /// an earlier one are stale.
    root_generation: Cell<u32>,
    /// The names of tasks. Not in the rows, because most tasks have none.
    names: RefCell<HashMap<Key, Box<str>>>,
    /// The external wakers that await a task, by the row of the task.
    pub(super) external_joiners: RefCell<HashMap<u32, Waker>>,
    /// Set when the runtime ends. From then on nothing is spawned.
    closed: Cell<bool>,
    pub(super) counters: Counters,
    pub(super) recorder: Recorder,
    /// What the watch thread sees; `None` if the runtime is not watched.
    pub(super) progress: Option<Arc<Progress>>,
}

/// The row of the root future.
pub(super) const ROOT: u32 = 0;

/// The executor's counters; see `RuntimeMetrics`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) spawned: Cell<u64>,
    pub(crate) ended: Cell<u64>,
    pub(crate) polls: Cell<u64>,
    pub(crate) root_polls: Cell<u64>,
    /// By [`WakeCause::kind`].
    pub(crate) wakes: [Cell<u64>; WakeCause::KINDS],
    pub(crate) wakes_coalesced: Cell<u64>,
    pub(crate) wakes_stale: Cell<u64>,
    pub(crate) panics: Cell<u64>,
    pub(crate) panics_unhandled: Cell<u64>,
}

impl Counters {
    /// Returns the number of polls, of tasks and of root futures.
    pub(crate) fn all_polls(&self) -> u64 {
        self.polls.get() + self.root_polls.get()
    }

    /// Counts a wake. There is a counter for each kind, but the compiler would add a panic to an index.
    #[inline]
    fn count_wake(&self, cause: WakeCause) {
        if let Some(counter) = self.wakes.get(cause.kind()) {
            count(counter);
        }
    }
}

/// Adds one.
#[inline]
pub(super) fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

/// A row that was popped from the run queue.
pub(super) enum Next<'a> {
    Task {
        index: u32,
        task: &'a Row<Task>,
        cell: BoxedCell,
        /// Whether the task is canceled instead of polled.
        aborted: bool,
    },
    /// The root future.
    Root,
}

/// The step that is left to the executor after a task has ended.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFinish {
    Nothing,
    /// Wake the external joiner: see [`TaskTable::take_external_joiner`].
    WakeJoiner,
    /// Drop the output, because there is no handle: see [`TaskTable::detach`].
    Detach,
}

/// What is left of a task when the runtime ends.
pub(super) struct Remaining {
    pub(super) cell: Option<BoxedCell>,
    pub(super) joiner: Option<Waker>,
    /// Set when the task had panicked and the panic was not reported.
    pub(super) unhandled: Option<Unhandled>,
}

impl TaskTable {
    pub(super) fn new(
        runtime: RuntimeId,
        rng_seed: Option<u64>,
        progress: Option<Arc<Progress>>,
    ) -> Self {
        let rows = Table::<Task>::new();
        let (key, root) = rows.take();
        debug_assert_eq!(key.index(), ROOT);
        // No future yet.
        root.state.set(State(State::FINISHED));
        TaskTable {
            runtime,
            rows,
            queue: RunQueue::new(rng_seed),
            root_generation: Cell::new(0),
            names: RefCell::new(HashMap::new()),
            external_joiners: RefCell::new(HashMap::new()),
            closed: Cell::new(false),
            counters: Counters::default(),
            recorder: Recorder::default(),
            progress,
        }
    }

    /// Gives a cell a row and a place in the run queue. Returns the cell when the runtime is ending.
    #[inline]
    pub(super) fn insert(
        &self,
        cell: BoxedCell,
        spawned_at: &'static Location<'static>,
    ) -> Result<Key, BoxedCell> {
        if self.closed.get() {
            return Err(cell);
        }
        let (key, row) = self.rows.take();
        row.waker_data.set(WakerData::new(self.runtime, key));
        row.state.set(State(State::SCHEDULED | State::JOINABLE));
        row.last_wake.set(WakeCause::Spawn);
        row.joiner.set(WakerData::NONE);
        row.polls.set(0);
        row.wait.set(None);
        row.spawned_at.set(spawned_at);
        row.put_back(cell);
        self.queue.push(&self.rows, key.index());
        count(&self.counters.spawned);
        Ok(key)
    }

    /// Schedules a new root future at the head of the run queue. Returns its waker data.
    pub(super) fn begin_root(&self) -> WakerData {
        let generation = self.root_generation.get().wrapping_add(1);
        self.root_generation.set(generation);
        let data = WakerData::new(self.runtime, Key::new(ROOT, generation));
        if let Some(root) = self.rows.row(ROOT) {
            root.waker_data.set(data);
            root.polls.set(0);
            root.last_wake.set(WakeCause::Spawn);
            root.state.set(State(State::SCHEDULED));
            self.queue.push_front(&self.rows, ROOT);
        }
        data
    }

    /// Ends the root future. Its wakers are stale from now on.
    pub(super) fn end_root(&self) {
        if let Some(root) = self.rows.row(ROOT) {
            // Otherwise the next root future would begin at this one's place in the queue.
            if root.has(State::SCHEDULED) {
                self.queue.remove(&self.rows, ROOT);
            }
            root.waker_data.set(WakerData::NONE);
            root.wait.set(None);
            root.state.set(State(State::FINISHED));
        }
    }

    /// Returns a task by its row.
    #[inline]
    pub(super) fn task(&self, index: u32) -> Option<&Task> {
        self.rows.row(index).map(|row| &**row)
    }

    /// Names a task.
    pub(super) fn set_name(&self, key: Key, name: &str) {
        if let Some(row) = self.rows.find(key) {
            row.set(State::NAMED);
            self.names.borrow_mut().insert(key, name.into());
            if let Some(progress) = &self.progress {
                progress.set_name(key, name);
            }
        }
    }

    /// Puts a task into the run queue, unless it is there already or has ended (I2). Returns `false`
    /// if the data belongs to another runtime.
    ///
    /// The data can be stale in every part. At worst another task is polled once more than necessary.
    #[inline]
    pub(super) fn wake(&self, data: WakerData, cause: WakeCause) -> bool {
        let index = data.row();
        match self.rows.row(index) {
            Some(row) if row.waker_data.get() == data => {
                if !row.has(State::SCHEDULED | State::FINISHED | State::WATCHED) {
                    self.schedule(index, row, cause);
                } else if row.has(State::WATCHED) {
                    self.schedule_watched(index, row, cause);
                } else {
                    count(&self.counters.wakes_coalesced);
                }
                true
            }
            _ => self.count_stale_wake(data),
        }
    }

    /// As [`wake`](Self::wake), for a wake by the loop. It is not recorded, because the next poll has its cause.
    #[inline]
    pub(super) fn wake_by_loop(&self, data: WakerData, cause: WakeCause) -> bool {
        let index = data.row();
        match self.rows.row(index) {
            Some(row) if row.waker_data.get() == data => {
                if row.has(State::SCHEDULED | State::FINISHED) {
                    count(&self.counters.wakes_coalesced);
                } else {
                    self.schedule(index, row, cause);
                }
                true
            }
            _ => self.count_stale_wake(data),
        }
    }

    #[cold]
    fn count_stale_wake(&self, data: WakerData) -> bool {
        let own = data.runtime_index() == self.runtime.index();
        if own {
            count(&self.counters.wakes_stale);
        }
        own
    }

    #[inline]
    pub(super) fn schedule(&self, index: u32, row: &Row<Task>, cause: WakeCause) {
        row.set(State::SCHEDULED);
        row.last_wake.set(cause);
        self.queue.push(&self.rows, index);
        self.counters.count_wake(cause);
    }

    /// Schedules the task in a row, to be polled after the next turn.
    #[inline]
    pub(super) fn defer(&self, index: u32) {
        if let Some(row) = self.rows.row(index)
            && !row.has(State::SCHEDULED | State::FINISHED)
        {
            row.set(State::SCHEDULED);
            row.last_wake.set(WakeCause::Yield);
            self.queue.push_deferred(&self.rows, index);
            self.counters.count_wake(WakeCause::Yield);
        }
    }

    #[inline]
    pub(super) fn requeue_deferred(&self) {
        self.queue.requeue_deferred(&self.rows);
    }

    /// Returns whether a task is scheduled, deferred ones included.
    #[inline]
    pub(super) fn any_scheduled(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Pops the next row from the run queue and takes out its cell.
    #[inline]
    pub(super) fn pop(&self) -> Option<Next<'_>> {
        loop {
            let (index, row) = self.queue.pop(&self.rows)?;
            let state = row.state.get();
            row.clear(State::SCHEDULED);
            row.wait.set(None);
            if state.has(State::FINISHED) {
                self.free_queued_row(index, row);
                continue;
            }
            row.polls.set(row.polls.get() + 1);
            // The others in the queue have a cell: those without one have ended, or are being polled.
            let Some(cell) = row.cell.take() else {
                return Some(Next::Root);
            };
            count(&self.counters.polls);
            return Some(Next::Task {
                index,
                task: row,
                cell,
                aborted: state.has(State::ABORTED),
            });
        }
    }

    /// Frees the row of a task that ended while it was queued, unless a handle exists.
    #[cold]
    fn free_queued_row(&self, index: u32, row: &Row<Task>) {
        if !row.has(State::JOINABLE) {
            self.free_row(index, row);
        }
    }

    #[inline]
    fn free_row(&self, index: u32, row: &Row<Task>) {
        row.state.set(State(State::VACANT));
        row.waker_data.set(WakerData::NONE);
        self.rows.release(index, row);
    }

    /// Frees a task that has ended and whose output was taken.
    #[inline]
    pub(super) fn free(&self, index: u32, row: &Row<Task>) {
        let state = row.state.get();
        if state.has(State::NAMED) {
            self.remove_name(Key::new(index, row.generation()));
        }
        if state.has(State::SCHEDULED) {
            row.clear(State::JOINABLE | State::NAMED);
        } else {
            self.free_row(index, row);
        }
    }

    #[cold]
    fn remove_name(&self, key: Key) {
        self.names.borrow_mut().remove(&key);
        if let Some(progress) = &self.progress {
            progress.remove_name(key);
        }
    }

    /// Records that a task has ended. Its output stays in the row if a handle exists; otherwise the
    /// row is free.
    #[inline]
    pub(super) fn finish(&self, index: u32, cell: BoxedCell, outcome: Outcome) -> OnFinish {
        count(&self.counters.ended);
        let Some(row) = self.rows.row(index) else {
            unreachable!("a task keeps its row while it is polled");
        };
        row.set(State::FINISHED);
        let joinable = row.has(State::JOINABLE);
        if !joinable && outcome == Outcome::ReturnedPlain {
            self.free(index, row);
            return OnFinish::Nothing;
        }
        row.put_back(cell);
        if outcome == Outcome::Panicked {
            row.set(State::PANICKED);
            count(&self.counters.panics);
        }
        if !joinable {
            return OnFinish::Detach;
        }
        let joiner = row.joiner.replace(WakerData::NONE);
        if joiner != WakerData::NONE {
            self.wake(joiner, row.as_cause(index));
        } else if row.has(State::EXTERNAL_JOINER) {
            return OnFinish::WakeJoiner;
        }
        OnFinish::Nothing
    }

    pub(super) fn unhandled(&self, key: Key, row: &Row<Task>) -> Unhandled {
        Unhandled {
            name: self.name(key),
            spawned_at: row.spawned_at.get(),
        }
    }

    pub(super) fn name(&self, key: Key) -> Option<String> {
        self.names.borrow().get(&key).map(ToString::to_string)
    }

    /// Marks a task as aborted and schedules it.
    pub(super) fn abort(&self, key: Key) {
        let Some(row) = self.rows.find(key) else {
            return;
        };
        if row.has(State::FINISHED | State::ABORTED) {
            return;
        }
        row.set(State::ABORTED);
        if row.has(State::SCHEDULED) {
            row.last_wake.set(WakeCause::Abort);
            self.counters.count_wake(WakeCause::Abort);
        } else if row.has(State::WATCHED) {
            self.schedule_watched(key.index(), row, WakeCause::Abort);
        } else {
            self.schedule(key.index(), row, WakeCause::Abort);
        }
    }

    pub(super) fn is_finished(&self, key: Key) -> bool {
        let row = self.rows.find(key);
        row.is_none_or(|row| row.has(State::FINISHED))
    }

    /// Returns the id of the task in a row.
    pub(super) fn id(&self, index: u32) -> Option<Id> {
        self.rows.key(index).map(|key| self.id_of(key))
    }

    pub(super) fn id_of(&self, key: Key) -> Id {
        let runtime = self.runtime;
        Id { runtime, key }
    }

    /// Returns the name and the spawn location of the task in a row.
    pub(super) fn describe(
        &self,
        index: u32,
    ) -> (Option<String>, Option<&'static Location<'static>>) {
        match (self.rows.key(index), self.rows.row(index)) {
            (Some(key), Some(row)) => (self.name(key), Some(row.spawned_at.get())),
            _ => (None, None),
        }
    }

    /// Refuses new tasks. No task is polled any more.
    pub(super) fn close(&self) {
        self.closed.set(true);
        // A wake has no effect on a task that has the flag. I2 ends here: not all are in the queue.
        for (_, row) in self.rows.rows() {
            row.set(State::SCHEDULED);
        }
    }

    /// Takes out the task of a row; `None` if there is none. Called after [`close`](Self::close).
    pub(super) fn take_remaining(&self, index: u32) -> Option<Remaining> {
        let row = self.rows.row(index).filter(|row| !row.has(State::VACANT))?;
        let key = Key::new(index, row.generation());
        let panicked = row.has(State::PANICKED);
        let unhandled = panicked.then(|| self.unhandled(key, row));
        let remaining = Remaining {
            cell: row.cell.take(),
            joiner: self.take_external_joiner(index),
            unhandled,
        };
        self.remove_name(key);
        self.free_row(index, row);
        Some(remaining)
    }

    /// Returns the indices of all rows but the root's, last first.
    pub(super) fn indices(&self) -> impl Iterator<Item = u32> {
        let rows = self.rows.rows().rev();
        rows.map(|(index, _)| index).filter(|index| *index != ROOT)
    }

    /// Returns the text of the wait of the task in a row for a descriptor. The last recorded wait can be
    /// another one of the same poll, such as that of a timeout.
    pub(super) fn describe_wait(&self, index: u32, fd: RawFd) -> String {
        let who = match self.id(index) {
            Some(id) if index != ROOT => format!("task {id}"),
            _ => "the root future".to_owned(),
        };
        match self.task(index).and_then(|task| task.wait.get()) {
            Some(WaitInfo {
                operation,
                location,
                ..
            }) => format!("{who} waits for fd {fd}, in {operation} at {location}"),
            None => format!("{who} waits for fd {fd}"),
        }
    }

    /// Returns the rows of the tasks and of the root future that wait for a descriptor, as far as it was
    /// recorded.
    pub(super) fn waits_for_io(&self) -> impl Iterator<Item = (u32, WaitInfo)> {
        let waiting = self
            .rows
            .rows()
            .filter(|(_, row)| !row.has(State::SCHEDULED | State::FINISHED | State::VACANT));
        let waits = waiting.filter_map(|(index, row)| Some((index, row.wait.get()?)));
        waits.filter(|(_, wait)| wait.on.is_descriptor())
    }
}
