//! The executor: runs tasks.
//!
//! Called by the loop in `Runtime::block_on` (`tick`), by wakers (`wake`) and by handles (`spawn`,
//! `poll_join`, `abort`, `detach`). Calls the futures, and wakers that are not this runtime's. The
//! life of a task, with the function that makes each step:
//!
//! ```text
//!              spawn                       pop                   put_back
//!   vacant ----------> scheduled ----------------> running -----------------> waiting
//!     ^                   ^  ^                       |  |                        |
//!     |                   |  +--- wake (while it runs)  |                        |
//!     |                   +---------------- wake, abort |------------------------+
//!     |                                                 v
//!     |<-------------------------------- finish: no JoinHandle exists
//!     |                                                 |
//!     |        poll_join, detach                        v
//!     +<-------------------------------- finished: the output is stored in the row
//! ```
//!
//! The bookkeeping is in [`task_table`] and runs no user code. This file runs user code: polls, drops
//! and wakes. A cell is *taken out* of its row to be polled or dropped, and no borrow is held. So user
//! code can call everything again (I3).
//!
//! Keeps I1 (a cell never leaves this thread), I3, and its part of I8 (a tick makes at most as
//! many polls as `begin_tick` was given).
//!
//! Rejected: a pointer to the task in the waker, as most executors have it. It saves a lookup per wake,
//! but needs a reference count, atomic instructions and unsafe code.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::task::{Context, Poll, RawWakerVTable, Waker};

use crate::coop;
use crate::hooks;
use crate::id::{Id, RuntimeId, VTables, WakerData};
use crate::recorder::Recorder;
use crate::table::{Key, NONE};
use crate::task_info::{WaitInfo, WaitKind, WakeCause};

pub(crate) mod cell;
mod external;
pub(crate) mod join;
pub(crate) mod join_error;
pub(crate) mod observed;
pub(crate) mod panics;
pub(crate) mod poll_times;
mod run_queue;
mod task;
pub(crate) mod task_rows;
mod task_table;

use cell::{BoxedCell, Outcome};
use join_error::Payload;
use observed::Observers;
use panics::Panics;
use poll_times::PollTimes;
use task::Task;
pub(crate) use task_table::Counters;
use task_table::{Next, OnFinish, ROOT, Remaining, TaskTable, count};

pub(crate) struct Executor {
    runtime: RuntimeId,
    tasks: TaskTable,
    /// The function tables of this crate's wakers; see [`WakerData::to_waker`].
    vtables: &'static VTables,
    /// The one of the wakers with which tasks are polled.
    poll_vtable: &'static RawWakerVTable,
    /// The row that is being polled; [`NONE`] between polls.
    running: Cell<u32>,
    /// The number of polls that are left to this tick.
    polls_left: Cell<u32>,
    /// The cause to record for wakes that happen now.
    wake_cause: Cell<WakeCause>,
    io_budget: u32,
    /// The reactor's count of waits when no task waited for a descriptor.
    io_waits_over: Cell<u64>,
    /// External wakers of futures that yielded inside another executor's combinator.
    deferred_wakers: RefCell<Vec<Waker>>,
    /// External wakers whose event has come, oldest first.
    due_wakers: RefCell<VecDeque<(Waker, WakeCause)>>,
    /// Set while [`drop_output`](Self::drop_output) runs.
    dropping_output: Cell<bool>,
    /// Outputs that were detached by the drop of another output, to be dropped after it.
    outputs_to_drop: RefCell<Vec<BoxedCell>>,
    pub(crate) panics: Panics,
    pub(crate) poll_times: Option<PollTimes>,
    /// Whether polls are measured, recorded or watched.
    observed: Cell<bool>,
}

/// Why [`Executor::tick`] returned.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    /// No task is ready, or the polls are used up.
    Done,
    /// The root future is next. The caller polls it by [`Executor::poll_root`] and continues the tick.
    Root,
    /// A task has left another runtime entered, by a guard of `Runtime::enter` that it kept over an
    /// `.await`. It was made to panic ([`left_entered`]), but the guard still exists. The caller makes
    /// this runtime the current one again and continues the tick.
    OtherRuntime,
}

/// Panics because a poll has left another runtime entered. Other tasks would find that one.
#[cold]
#[inline(never)]
fn left_entered() -> ! {
    panic!(
        "another runtime was entered at the end of a poll: do not hold a guard of `Runtime::enter` \
         across an `.await`"
    )
}

impl Executor {
    pub(crate) fn new(
        runtime: RuntimeId,
        vtables: &'static VTables,
        count_wakers: bool,
        io_budget: u32,
        rng_seed: Option<u64>,
        panics: Panics,
        Observers {
            poll_times,
            progress,
        }: Observers,
    ) -> Self {
        let observed = poll_times.is_some() || progress.is_some();
        Executor {
            runtime,
            tasks: TaskTable::new(runtime, rng_seed, progress),
            vtables,
            poll_vtable: if count_wakers {
                &vtables.counted
            } else {
                &vtables.plain
            },
            running: Cell::new(NONE),
            polls_left: Cell::new(0),
            wake_cause: Cell::new(WakeCause::Thread),
            io_budget,
            io_waits_over: Cell::new(0),
            deferred_wakers: RefCell::new(Vec::new()),
            due_wakers: RefCell::new(VecDeque::new()),
            dropping_output: Cell::new(false),
            outputs_to_drop: RefCell::new(Vec::new()),
            panics,
            poll_times,
            observed: Cell::new(observed),
        }
    }

    /// Gives a future a row and a place in the run queue. Returns the cell when the runtime is ending.
    #[inline]
    pub(crate) fn spawn(
        &self,
        cell: BoxedCell,
        spawned_at: &'static Location<'static>,
    ) -> Result<Id, BoxedCell> {
        let key = self.tasks.insert(cell, spawned_at)?;
        if hooks::any() {
            self.record_spawn(key);
        }
        Ok(self.id_of(key))
    }

    /// Names a task.
    pub(crate) fn set_name(&self, key: Key, name: &str) {
        self.tasks.set_name(key, name);
        self.record_name(key, name);
    }

    /// Wakes a task or the root, see [`TaskTable::wake`]. Returns `false` if the data belongs to
    /// another runtime.
    #[inline]
    pub(crate) fn wake(&self, data: WakerData) -> bool {
        self.tasks.wake(data, self.wake_cause.get())
    }

    /// Defers the running task until after the next turn. Returns `false`, without effect, if `data`
    /// is not the running task's.
    #[inline]
    pub(crate) fn defer_current(&self, data: Option<WakerData>) -> bool {
        let running = self.running.get();
        let task = self.tasks.task(running);
        let is_current = data.is_some() && task.map(Task::waker_data) == data;
        if is_current {
            self.tasks.defer(running);
        }
        is_current
    }

    /// Puts deferred tasks back into the run queue, and deferred wakers behind those that are due. The
    /// loop calls it after each turn.
    #[inline]
    pub(crate) fn requeue_deferred(&self) {
        self.tasks.requeue_deferred();
        let mut deferred = self.deferred_wakers.borrow_mut();
        if !deferred.is_empty() {
            let wakers = deferred.drain(..).map(|waker| (waker, WakeCause::Yield));
            self.due_wakers.borrow_mut().extend(wakers);
        }
    }

    /// Returns whether the loop must not block: a task is scheduled or deferred, or an external waker
    /// has to be woken.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        self.tasks.any_scheduled() || self.has_wakers()
    }

    /// Begins a tick of at most `polls` polls (I8).
    #[inline]
    pub(crate) fn begin_tick(&self, polls: u32) {
        self.polls_left.set(polls);
    }

    /// Polls tasks from the run queue, until the root future is next.
    #[inline]
    pub(crate) fn tick(&self) -> Tick {
        if self.observed.get() {
            self.observe_tick();
        }
        let mut polled = None;
        // `catch_unwind` is around the whole tick, because that is cheaper than around each poll.
        loop {
            let polls = AssertUnwindSafe(|| self.poll_tasks(&mut polled));
            match catch_unwind(polls) {
                Ok(tick) => return tick,
                Err(payload) => self.fail(polled.take(), payload),
            }
            if !self.runtime.is_current() {
                return Tick::OtherRuntime;
            }
        }
    }

    /// Makes the polls of a tick. `polled` contains the cell during its poll, so that the cell survives
    /// a panic.
    // Not inlined, because the loop around it would leave it no registers.
    #[inline(never)]
    fn poll_tasks(&self, polled: &mut Option<BoxedCell>) -> Tick {
        while self.polls_left.get() > 0
            && let Some(next) = self.tasks.pop()
        {
            self.polls_left.set(self.polls_left.get() - 1);
            let Next::Task {
                index,
                task,
                cell,
                aborted,
            } = next
            else {
                if self.observed.get() {
                    self.observe_root_poll();
                }
                return Tick::Root;
            };
            self.enter_poll(index, task.as_cause(index));
            let cell = polled.insert(cell);
            let poll = if aborted {
                self.cancel(index, task, cell)
            } else {
                // Not dropped: that would do nothing, or count the end of a clone.
                let waker = ManuallyDrop::new(task.waker_data().to_waker(self.poll_vtable));
                let mut cx = Context::from_waker(&waker);
                if self.observed.get() {
                    self.poll_observed(index, task, || cell.as_mut().poll(&mut cx))
                } else {
                    cell.as_mut().poll(&mut cx)
                }
            };
            if !self.runtime.is_current() {
                left_entered();
            }
            let Some(cell) = polled.take() else {
                unreachable!("the cell was put into `polled` before the poll");
            };
            match poll {
                Poll::Pending => task.put_back(cell),
                Poll::Ready(outcome) => {
                    let on_finish = self.tasks.finish(index, cell, outcome);
                    if on_finish != OnFinish::Nothing {
                        self.finish(index, on_finish);
                        // Otherwise the next task would be taken for the one that has entered it.
                        if !self.runtime.is_current() {
                            return Tick::OtherRuntime;
                        }
                    }
                }
            }
        }
        self.leave_poll();
        Tick::Done
    }

    /// Ends a task whose poll panicked.
    #[cold]
    fn fail(&self, polled: Option<BoxedCell>, payload: Payload) {
        let Some(mut cell) = polled else {
            unreachable!("what panics in `poll_tasks` does so while `polled` has the cell");
        };
        let index = self.running.get();
        cell.as_mut().fail(self.id(index), payload);
        self.observe_panic();
        let on_finish = self.tasks.finish(index, cell, Outcome::Panicked);
        self.finish(index, on_finish);
    }

    /// Returns the id of the task in a row.
    fn id(&self, index: u32) -> Id {
        let id = self.tasks.id(index);
        id.expect("a task keeps its row while it is polled")
    }

    #[inline]
    fn id_of(&self, key: Key) -> Id {
        Id {
            runtime: self.runtime,
            key,
        }
    }

    #[inline]
    fn enter_poll(&self, index: u32, wake_cause: WakeCause) {
        self.running.set(index);
        self.wake_cause.set(wake_cause);
        coop::reset(self.io_budget);
    }

    #[inline]
    fn leave_poll(&self) {
        self.running.set(NONE);
        self.wake_cause.set(WakeCause::Thread);
    }

    /// Completes the end of a task: wakes the external joiner or drops the output.
    #[inline(never)]
    fn finish(&self, index: u32, on_finish: OnFinish) {
        let id = self.id(index);
        // What follows is user code, which can free the row and spawn the next task into it.
        self.running.set(NONE);
        match on_finish {
            OnFinish::Nothing => {}
            OnFinish::WakeJoiner => {
                let joiner = self.tasks.take_external_joiner(index);
                let cause = WakeCause::Task {
                    row: index,
                    generation: id.key.generation() as u16,
                };
                self.wake_all(joiner.map(|joiner| (joiner, cause)));
            }
            OnFinish::Detach => {
                self.detach(id.key);
            }
        }
    }

    /// Drops a user's value. A panic is reported and not propagated.
    pub(crate) fn drop_user_value<T>(&self, value: T, what: &'static str) {
        self.catch_panic(what, || drop(value));
    }

    /// Runs user code. A panic is reported and not propagated.
    pub(crate) fn catch_panic(&self, what: &'static str, user_code: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(user_code)) {
            self.report_panic(what, payload);
        }
    }

    fn report_panic(&self, what: &'static str, payload: Payload) {
        count(&self.tasks.counters.panics);
        count(&self.tasks.counters.panics_unhandled);
        self.panics.report_payload(what, payload);
    }

    /// Marks a task as aborted and schedules it: when it is next in the queue, its future is dropped
    /// instead of polled.
    pub(crate) fn abort(&self, key: Key) {
        self.tasks.abort(key);
    }

    /// Returns whether a task has ended. Also `true` when its row is free.
    pub(crate) fn is_finished(&self, key: Key) -> bool {
        self.tasks.is_finished(key)
    }

    /// Schedules a new root future. Returns the data of its wakers.
    pub(crate) fn begin_root(&self) -> WakerData {
        self.tasks.begin_root()
    }

    /// Ends the root future. Its wakers have no effect from now on.
    pub(crate) fn end_root(&self) {
        self.observe_root_end();
        self.tasks.end_root();
    }

    /// Polls the root future through `poll`, with the budget and the bookkeeping of a task. A panic
    /// is propagated to the caller of `block_on`.
    pub(crate) fn poll_root<T>(&self, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        struct LeavePoll<'a>(&'a Executor);
        impl Drop for LeavePoll<'_> {
            fn drop(&mut self) {
                self.0.leave_poll();
            }
        }
        self.enter_poll(ROOT, WakeCause::Root);
        count(&self.tasks.counters.root_polls);
        let _leave = LeavePoll(self);
        let polled = poll();
        if polled.is_pending() && !self.runtime.is_current() {
            left_entered();
        }
        polled
    }

    /// Returns the task that is being polled; `None` in the root future and between polls.
    #[inline]
    pub(crate) fn running(&self) -> Option<Id> {
        let running = self.running.get();
        if running == ROOT {
            return None;
        }
        self.tasks.id(running)
    }

    /// Returns whether a task or the root future is being polled.
    #[inline]
    pub(crate) fn is_polling(&self) -> bool {
        self.running.get() != NONE
    }

    /// Takes one operation off the budget of the current poll. Returns `false` if none is left: then
    /// the caller has to yield.
    #[inline]
    pub(crate) fn try_consume(&self) -> bool {
        // Between polls no task can be starved, unless another runtime polls, in a poll of which this one
        // was entered.
        coop::try_consume() || !self.is_polling() && !self.runtime.is_another_looping()
    }

    /// Records what the running task waits for.
    #[inline]
    pub(crate) fn set_wait(&self, wait: impl FnOnce() -> WaitInfo) {
        if let Some(task) = self.tasks.task(self.running.get()) {
            task.set_wait(wait());
        }
    }

    /// Returns the cause of wakes that happen now.
    pub(crate) fn wake_cause(&self) -> WakeCause {
        self.wake_cause.get()
    }

    /// Returns the recorder of the runtime.
    #[inline]
    pub(crate) fn recorder(&self) -> &Recorder {
        &self.tasks.recorder
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.tasks.counters
    }

    /// Returns whether a task or the root future waits for a descriptor, as far as it was recorded.
    /// Called when nothing is scheduled: a recorded wait ends with the next poll of its task. The reactor
    /// has counted `waits_begun`.
    pub(crate) fn any_waits_for_io(&self, waits_begun: u64) -> bool {
        // Otherwise each jump of a paused clock would search all tasks.
        if self.io_waits_over.get() == waits_begun {
            return false;
        }
        let any = self.tasks.waits_for_io().next().is_some();
        if !any {
            self.io_waits_over.set(waits_begun);
        }
        any
    }

    /// Returns the text of a recorded wait for a descriptor.
    pub(crate) fn first_wait_for_io(&self) -> Option<String> {
        let (index, wait) = self.tasks.waits_for_io().next()?;
        let WaitKind::Descriptor(fd) = wait.on.kind() else {
            return None;
        };
        Some(self.tasks.describe_wait(index, fd))
    }

    /// Returns the text of the wait of a waker's task for a descriptor.
    pub(crate) fn describe_wait(&self, fd: RawFd, waker: &Waker) -> String {
        match WakerData::of(waker, self.vtables) {
            Some(data) => self.tasks.describe_wait(data.row(), fd),
            None => format!("an external waker waits for fd {fd}"),
        }
    }

    /// Ends every task and drops its future. A panic in a destructor is reported, and the next task
    /// follows.
    ///
    /// The first step of the runtime's end. Spawning is refused from the first line on, so that the loop
    /// terminates.
    pub(crate) fn shut_down(&self) {
        self.tasks.close();
        for index in self.tasks.indices() {
            let Some(Remaining {
                cell,
                joiner,
                unhandled,
            }) = self.tasks.take_remaining(index)
            else {
                continue;
            };
            if let Some(cell) = cell {
                if let Some(unhandled) = unhandled {
                    // The handle outlives the runtime and will not receive the panic.
                    self.panics.report(unhandled, cell.panic_text());
                }
                self.drop_user_value(cell, "the drop of a task at the end of its runtime");
            }
            // The joiner's next poll returns an error.
            self.wake_all(joiner.map(|joiner| (joiner, WakeCause::Abort)));
        }
        let counters = &self.tasks.counters;
        counters.ended.set(counters.spawned.get());
        // Their futures are ready when polled again (I6).
        self.requeue_deferred();
        self.wake_some(usize::MAX);
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor")
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}
