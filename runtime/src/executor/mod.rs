//! The executor: runs tasks.
//!
//! Called by the loop in `Runtime::block_on` (`tick`), by wakers (`wake`) and by handles (`spawn`,
//! `poll_join`, `abort`, `detach`). Calls nothing but the futures themselves, and wakers that are
//! not ours. All tasks live in one slab; a slot's life, with the function that makes each step:
//!
//! ```text
//!              spawn                     take_next              put_back
//!   vacant ----------> scheduled ----------------> running -----------------> waiting
//!     ^                   ^  ^                       |  |                        |
//!     |                   |  +--- wake (while it runs)  |                        |
//!     |                   +---------------- wake, abort |------------------------+
//!     |                                                 v
//!     |<-------------------------------- end: nobody holds the JoinHandle
//!     |                                                 |
//!     |        poll_join, detach                        v
//!     +<-------------------------------- finished: the output waits in the slot
//! ```
//!
//! The table itself, with all that happens under its borrow, is in [`tasks`]. What stands here runs
//! foreign code (polls, drops, wakes) and therefore holds no borrow while it does.
//!
//! Keeps I1 (the cell never leaves this thread), I3 (a cell is *taken out* of its slot to be polled
//! or dropped, so that user code never runs under the borrow) and its half of I8 (`tick` polls at
//! most as often as it is told).
//!
//! Rejected: a pointer to the task in the waker, as most executors have it. It saves a look-up per
//! wake and costs a reference count, its atomic instructions, and every proof in this file.

use std::any::Any;
use std::cell::{Cell, RefCell, RefMut};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::coop;
use crate::executor::cell::{AnyCell, BoxedCell, Ending, drop_quietly};
use crate::executor::join_error::Payload;
use crate::id::{Dress, Id, RuntimeId, WakeWord};
use crate::news;
use crate::reactor::WakeOwn;
use crate::slab::Key;
use crate::task_info::{Cause, TaskInfo, Wait};

pub(crate) mod cell;
pub(crate) mod join_error;
pub(crate) mod panics;
pub(crate) mod poll_times;
mod run_queue;
mod task_table;

use panics::{Panics, Unhandled};
use poll_times::PollTimes;
pub(crate) use task_table::Counters;
use task_table::{Detached, Ended, Last, Output, Tasks};

/// Wakes this runtime's own tasks and root; made by [`Executor::waking`].
///
/// The reactor's events come in batches, and so do the wakes: without a vector in between, a borrow
/// per task and a look for panics, which none of ours can raise.
pub(crate) struct Waking<'a, D> {
    tasks: RefMut<'a, Tasks>,
    dress: D,
}

impl<D: Dress> WakeOwn for Waking<'_, D> {
    #[inline(always)]
    fn wake(&mut self, waker: Waker, cause: Cause) -> Option<Waker> {
        match self.dress.word(&waker) {
            Some(word) if self.tasks.wake(word, cause) => {
                let _dropping_ours_does_nothing = ManuallyDrop::new(waker);
                None
            }
            _ => Some(waker),
        }
    }
}

pub(crate) struct Executor {
    runtime: RuntimeId,
    tasks: RefCell<Tasks>,
    /// Which word is being polled now; [`WakeWord::NOBODY`] between polls.
    running: Cell<WakeWord>,
    /// What a wake that happens now is put down to.
    cause: Cell<Cause>,
    io_budget: u32,
    /// Wakers that are not ours, of futures that yielded inside another executor's combinator.
    yielded_wakers: RefCell<Vec<Waker>>,
    /// `discard` is at work.
    discarding: Cell<bool>,
    /// What the drops of an output have detached, to be dropped after it.
    discarded: RefCell<Vec<BoxedCell>>,
    /// How many turns ago the oldest in the run queue may have been woken; as many as there can be
    /// when its cause does not count any more.
    queued_turns: Cell<u32>,
    pub(crate) panics: Panics,
    pub(crate) poll_times: Option<PollTimes>,
}

/// What `poll_join` found.
#[must_use]
pub(crate) enum Join {
    /// The task has ended; the output is in the cell, and the slot is free.
    Finished(BoxedCell),
    /// The waker is stored (it was already, or has just been).
    Waiting,
    /// The waker is to be stored, by [`Executor::store_joiner`].
    Store,
    /// The task and its output are gone: its runtime has ended.
    Gone,
    /// It has ended, but the poll's budget is used up.
    Yield,
    /// A task waits for itself.
    Itself,
}

impl Executor {
    pub(crate) fn new(
        runtime: RuntimeId,
        io_budget: u32,
        seed: Option<u64>,
        panics: Panics,
        poll_times: Option<PollTimes>,
    ) -> Self {
        Executor {
            runtime,
            tasks: RefCell::new(Tasks::new(runtime, seed)),
            running: Cell::new(WakeWord::NOBODY),
            cause: Cell::new(Cause::THREAD),
            io_budget,
            yielded_wakers: RefCell::new(Vec::new()),
            discarding: Cell::new(false),
            discarded: RefCell::new(Vec::new()),
            queued_turns: Cell::new(0),
            panics,
            poll_times,
        }
    }

    /// Gives a future a slot and a place in the run queue.
    ///
    /// The cell stays where it is when there is no slot: see [`make_room`](Self::make_room).
    #[inline(always)]
    pub(crate) fn spawn(
        &self,
        cell: &mut Option<BoxedCell>,
        spawned_at: &'static Location<'static>,
    ) -> Option<Id> {
        let key = self.tasks.borrow_mut().insert(cell, spawned_at)?;
        Some(self.id_of(key))
    }

    /// Sees to it that the next [`spawn`](Self::spawn) finds a slot; `false` on a runtime that is ending.
    pub(crate) fn make_room(&self) -> bool {
        self.tasks.borrow_mut().make_room()
    }

    /// Names a task that was just spawned.
    pub(crate) fn name(&self, key: Key, name: &str) {
        self.tasks.borrow_mut().name(key, name);
    }

    /// Wakes a task or the root, see [`Tasks::wake`]; `false`: the word is one of another runtime.
    #[inline]
    pub(crate) fn wake(&self, word: WakeWord) -> bool {
        let cause = match self.cause.get() {
            Cause::WHOEVER_RUNS => Cause::task(self.running.get().index()),
            cause => cause,
        };
        self.tasks.borrow_mut().wake(word, cause)
    }

    /// Wakes a task; `false`: the word is no task's of this runtime.
    #[inline(always)]
    pub(crate) fn wake_task(&self, word: WakeWord) -> bool {
        let mut tasks = self.tasks.borrow_mut();
        // Two calls, so that the usual one is compiled for its kind of cause.
        match self.cause.get() {
            Cause::WHOEVER_RUNS => tasks.wake_task(word, Cause::task(self.running.get().index())),
            cause => tasks.wake_task(word, cause),
        }
    }

    /// Begins to wake many at once, under one borrow: until the value is dropped, nothing else can
    /// be done with the executor.
    #[inline]
    pub(crate) fn waking<D: Dress>(&self, dress: D) -> Waking<'_, D> {
        Waking {
            tasks: self.tasks.borrow_mut(),
            dress,
        }
    }

    /// Asks for the running future to be polled again, but not before the reactor has had its turn.
    /// `false`: the word is not that of the running future, and nothing was done.
    #[inline]
    pub(crate) fn yield_after_turn(&self, word: Option<WakeWord>) -> bool {
        let Some(word) = word.filter(|word| *word == self.running.get()) else {
            return false;
        };
        self.tasks.borrow_mut().wake_after_turn(word);
        true
    }

    /// Keeps the waker of a combinator, to be woken after the turn.
    pub(crate) fn wake_after_turn(&self, waker: Waker) {
        self.yielded_wakers.borrow_mut().push(waker);
    }

    /// Lets what yielded queue up again. The loop calls it after each turn.
    #[inline]
    pub(crate) fn admit_yielded(&self, dress: impl Dress) {
        self.tasks.borrow_mut().admit_yielded();
        if !self.yielded_wakers.borrow().is_empty() {
            let wakers = self.yielded_wakers.take();
            self.wake_all(wakers.into_iter().map(|waker| (waker, Cause::YIELD)), dress);
        }
    }

    /// Whether a poll is due before anything else happens.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        self.tasks.borrow().any_scheduled() || !self.yielded_wakers.borrow().is_empty()
    }

    /// Polls tasks from the run queue, at most `limit` of them (I8).
    #[inline]
    pub(crate) fn tick(&self, limit: u32, dress: impl Dress) {
        match &self.poll_times {
            None => self.run(limit, dress, |_, poll| poll()),
            Some(times) => self.run(limit, dress, |word, poll| self.measure(times, word, poll)),
        }
        self.leave_poll();
        let queued_turns = match self.tasks.borrow().any_ready() {
            true => self.queued_turns.get().saturating_add(1),
            false => 0,
        };
        self.queued_turns.set(queued_turns);
    }

    /// A tick, each poll of which is made through `poll`.
    // Not inlined: the loop around it would leave it no registers.
    #[inline(never)]
    fn run(
        &self,
        limit: u32,
        dress: impl Dress,
        poll: impl Fn(WakeWord, &mut dyn FnMut() -> Poll<Ending>) -> Poll<Ending>,
    ) {
        let (mut left, mut polled) = (limit, None);
        // Around all polls of a tick instead of each.
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| {
            self.cause.set(Cause::WHOEVER_RUNS);
            let mut tasks = self.tasks.borrow_mut();
            while left > 0
                && let Some(next) = tasks.take_next()
            {
                drop(tasks);
                left -= 1;
                // Any of these polls may end what the rest of the queue was told.
                let woken_by = match self.queued_turns.get() > news::TURNS_AT_MOST {
                    true => Cause::THREAD,
                    false => next.woken_by,
                };
                self.enter_poll(next.word, woken_by);
                let cell = polled.insert(next.cell);
                let poll = if next.aborted {
                    self.cancel(next.word, cell.as_mut())
                } else {
                    // Dropping one of our wakers does nothing, so the call that would do it is spared.
                    let waker = ManuallyDrop::new(dress.waker(next.word));
                    let mut cx = Context::from_waker(&waker);
                    poll(next.word, &mut || cell.as_mut().poll(&mut cx))
                };
                let Some(cell) = polled.take() else {
                    unreachable!("it was put there before the poll");
                };
                let index = next.word.index();
                // One borrow puts a task back, or ends it, and takes the next one.
                tasks = self.tasks.borrow_mut();
                match poll {
                    Poll::Pending => tasks.put_back(index, cell),
                    Poll::Ready(ending) => {
                        let ended = tasks.end(index, cell, ending);
                        if ended != Ended::Done {
                            drop(tasks);
                            self.settle(index, ended, dress);
                            tasks = self.tasks.borrow_mut();
                        }
                    }
                }
            }
        })) {
            self.fail(polled.take(), payload, dress);
        }
    }

    /// Drops the future of an aborted task, which never unwinds.
    #[cold]
    fn cancel(&self, word: WakeWord, cell: Pin<&mut dyn AnyCell>) -> Poll<Ending> {
        Poll::Ready(cell.cancel(self.id_at(word.index())))
    }

    /// Ends the task whose poll has unwound.
    #[cold]
    fn fail(&self, polled: Option<BoxedCell>, payload: Payload, dress: impl Dress) {
        let Some(mut cell) = polled else {
            unreachable!("nothing but a poll may panic here");
        };
        let index = self.running.get().index();
        cell.as_mut().fail(self.id_at(index), payload);
        let ended = self.tasks.borrow_mut().end(index, cell, Ending::Panicked);
        self.settle(index, ended, dress);
    }

    /// The number of the task in a slot.
    fn id_at(&self, index: u32) -> Id {
        match self.tasks.borrow().key_of(index) {
            Some(key) => self.id_of(key),
            None => unreachable!("a task keeps its slot while it is polled"),
        }
    }

    #[inline]
    fn id_of(&self, key: Key) -> Id {
        Id {
            runtime: self.runtime,
            key,
        }
    }

    #[inline]
    fn enter_poll(&self, word: WakeWord, woken_by: Cause) {
        self.running.set(word);
        news::set(woken_by);
        coop::refill(self.io_budget);
    }

    /// What has woken the poll in progress, and whoever is in the run queue, is no
    /// [news](crate::news) from now on: a descriptor's number has come to mean another one.
    pub(crate) fn forget_news(&self) {
        news::forget();
        self.queued_turns.set(u32::MAX);
    }

    #[inline]
    fn leave_poll(&self) {
        self.running.set(WakeWord::NOBODY);
        self.cause.set(Cause::THREAD);
    }

    /// Reports a poll that took long, when somebody asked to hear of it.
    #[cold]
    fn measure(
        &self,
        times: &PollTimes,
        word: WakeWord,
        poll: &mut dyn FnMut() -> Poll<Ending>,
    ) -> Poll<Ending> {
        let started = times.start();
        let polled = poll();
        let took = times.stop(started);
        let who = || self.tasks.borrow().who(word.index());
        // The hook is the user's: should it panic, the task that is out of its slot must come back.
        self.contain("the hook for slow polls", || times.record(took, who));
        polled
    }

    /// Does what is left to do once a task has ended.
    #[inline(never)]
    fn settle(&self, index: u32, ended: Ended, dress: impl Dress) {
        match ended {
            Ended::Done => {}
            Ended::Awaited => {
                let joiner = self.tasks.borrow_mut().take_stranger(index);
                self.wake_all(joiner.map(|joiner| (joiner, Cause::task(index))), dress);
            }
            Ended::Detached => {
                let key = self.id_at(index).key;
                // When the output is dropped, the slot may have its next tenant, who does not run.
                self.running.set(WakeWord::NOBODY);
                self.cause.set(Cause::task(index));
                self.detach(key);
                self.cause.set(Cause::WHOEVER_RUNS);
            }
        }
    }

    /// Reports a panic that nobody will hear of.
    #[cold]
    fn report(&self, cell: BoxedCell, unhandled: Unhandled) {
        self.panics.report(unhandled, cell.panic_text());
        self.discard(cell);
    }

    /// Drops a cell that nobody will ask for any more.
    ///
    /// An output may hold the handle of another task whose output holds another, and so on: those
    /// are laid aside and dropped one after the other, so that no chain is too long for the stack.
    fn discard(&self, cell: BoxedCell) {
        if self.discarding.replace(true) {
            self.discarded.borrow_mut().push(cell);
            return;
        }
        let mut next = Some(cell);
        while let Some(cell) = next {
            self.drop_foreign(cell, "the drop of a task's output");
            next = self.discarded.borrow_mut().pop();
        }
        self.discarding.set(false);
    }

    /// Drops a user's value; a panic while doing so is reported, not passed on.
    pub(crate) fn drop_foreign<T>(&self, value: T, what: &'static str) {
        self.contain(what, || drop(value));
    }

    /// Runs a user's code; a panic is reported, not passed on.
    pub(crate) fn contain(&self, what: &'static str, foreign: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(foreign)) {
            self.count_panic();
            self.panics.report_payload(what, payload.as_ref());
            drop_quietly(payload);
        }
    }

    fn count_panic(&self) {
        let counters = &mut self.tasks.borrow_mut().counters;
        counters.panics += 1;
        counters.panics_unhandled += 1;
    }

    /// Wakes each waker, putting its wake down to its cause. A waker is foreign code: should one
    /// panic, that is reported and the others are woken all the same.
    #[inline(never)]
    pub(crate) fn wake_all(
        &self,
        wakers: impl IntoIterator<Item = (Waker, Cause)>,
        dress: impl Dress,
    ) {
        let before = self.cause.get();
        let mut wakers = wakers.into_iter();
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| {
            for (waker, cause) in wakers.by_ref() {
                self.cause.set(cause);
                self.wake_one(waker, dress);
            }
        })) {
            self.count_panic();
            self.panics.report_payload("a waker", payload.as_ref());
            drop_quietly(payload);
        }
        self.cause.set(before);
    }

    /// Wakes one of this runtime's tasks without the way through the waker's table and the thread's
    /// runtime, which lead back here.
    #[inline]
    fn wake_one(&self, waker: Waker, dress: impl Dress) {
        match dress.word(&waker) {
            Some(word) if self.wake(word) => {
                let _dropping_ours_does_nothing = ManuallyDrop::new(waker);
            }
            _ => {
                // It may poll on the spot, and that is no answer to what woke the last poll.
                news::forget();
                waker.wake();
            }
        }
    }

    /// The word of a waker that stands for one of this runtime's tasks or its root.
    #[inline]
    fn own_word(&self, waker: &Waker, dress: impl Dress) -> Option<WakeWord> {
        dress
            .word(waker)
            .filter(|word| word.place() == self.runtime.place())
    }

    /// Looks for the output of a task on behalf of its `JoinHandle`; `wait` says what is noted when there
    /// is none yet. Runs no foreign code.
    #[inline]
    pub(crate) fn poll_join(
        &self,
        id: Id,
        waker: &Waker,
        dress: impl Dress,
        wait: impl Fn() -> Wait,
    ) -> Join {
        let word = self.own_word(waker, dress);
        let mut tasks = self.tasks.borrow_mut();
        let join = match tasks.look_for_output(id.key, waker, word, || self.charge()) {
            Output::Ready(cell) => return Join::Finished(cell),
            Output::NotNow => return Join::Yield,
            Output::Gone => return Join::Gone,
            Output::Awaited => Join::Waiting,
            Output::Later => Join::Store,
        };
        let running = self.running.get().index();
        // The key is that of the slot's tenant, so the index is enough to tell.
        if running == id.key.index() {
            return Join::Itself;
        }
        tasks.note_wait(running, wait);
        join
    }

    /// As [`poll_join`](Self::poll_join), for one who does not wait and is not charged.
    pub(crate) fn try_join(&self, key: Key) -> Join {
        let noop = Waker::noop();
        let mut tasks = self.tasks.borrow_mut();
        match tasks.look_for_output(key, noop, None, || true) {
            Output::Ready(cell) => Join::Finished(cell),
            Output::Gone => Join::Gone,
            Output::NotNow | Output::Awaited | Output::Later => Join::Waiting,
        }
    }

    /// Stores whom the end of a task wakes; or wakes it, when the task has ended meanwhile: a clone is
    /// foreign code (I3), and outside of `block_on` it may let the loop run.
    #[cold]
    pub(crate) fn store_joiner(&self, key: Key, waker: &Waker, dress: impl Dress) {
        let (waker, word) = (waker.clone(), self.own_word(waker, dress));
        if self.is_finished(key) {
            waker.wake();
            return;
        }
        let replaced = self.tasks.borrow_mut().set_joiner(key, waker, word);
        drop(replaced);
    }

    /// The `JoinHandle` is gone. `false`: there is more to do than to remember that, and
    /// [`detach`](Self::detach) does it. Runs no foreign code.
    #[inline]
    pub(crate) fn detach_unfinished(&self, key: Key) -> bool {
        self.tasks.borrow_mut().detach_unfinished(key)
    }

    /// The `JoinHandle` is gone: the output, when there is one, is dropped here and now.
    pub(crate) fn detach(&self, key: Key) {
        let detached = self.tasks.borrow_mut().detach(key);
        match detached {
            Detached::Done => {}
            // Foreign code, and perhaps on behalf of another thread: nobody here waits for its panic.
            Detached::Joiner(joiner) => self.drop_foreign(joiner, "the drop of a waker"),
            Detached::Output(cell) => self.discard(cell),
            Detached::Panicked(cell, unhandled) => self.report(cell, unhandled),
        }
    }

    /// Marks a task for cancellation and schedules it: the next time its turn comes its future is
    /// dropped instead of polled.
    pub(crate) fn abort(&self, key: Key) {
        self.tasks.borrow_mut().abort(key);
    }

    /// Whether a task has ended; true as well when it has left its slot.
    pub(crate) fn is_finished(&self, key: Key) -> bool {
        self.tasks.borrow().is_finished(key)
    }

    /// Starts a new root future: it is woken, and wakers of the previous one are stale.
    pub(crate) fn begin_root(&self) -> WakeWord {
        self.tasks.borrow_mut().begin_root()
    }

    /// Whether the root was woken since it was last asked.
    #[inline]
    pub(crate) fn take_root_woken(&self) -> bool {
        self.tasks.borrow_mut().take_root_woken()
    }

    /// Polls the root future through `poll`, with a task's budget and bookkeeping. The bookkeeping
    /// ends also when the future panics: then the panic is the caller's.
    pub(crate) fn run_root<T>(&self, word: WakeWord, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        struct Leave<'a>(&'a Executor);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.leave_poll();
            }
        }
        self.enter_poll(word, Cause::ROOT);
        self.cause.set(Cause::ROOT);
        self.tasks.borrow_mut().counters.root_polls += 1;
        let _leave = Leave(self);
        poll()
    }

    /// The task that is being polled now; `None` in the root future and between polls.
    #[inline]
    pub(crate) fn running(&self) -> Option<Id> {
        let key = self.running_key()?;
        Some(Id {
            runtime: self.runtime,
            key,
        })
    }

    fn running_key(&self) -> Option<Key> {
        let index = self.running.get().index();
        self.tasks.borrow().key_of(index)
    }

    /// Whether a task or the root future is being polled now.
    pub(crate) fn is_polling(&self) -> bool {
        self.running.get() != WakeWord::NOBODY
    }

    /// Takes one I/O operation off the budget of the current poll. `false`: the budget is used up,
    /// and the caller has to yield.
    #[inline]
    pub(crate) fn charge(&self) -> bool {
        // Between polls there is nobody to be fair to.
        coop::spend() || !self.is_polling()
    }

    /// Notes on what the current poll is about to wait.
    #[inline(always)]
    pub(crate) fn note_wait(&self, wait: impl Fn() -> Wait) {
        let index = self.running.get().index();
        self.tasks.borrow_mut().note_wait(index, wait);
    }

    /// As [`note_wait`](Self::note_wait), but `false` when there is no room yet, which happens once
    /// per slot: for those who do the rest in a function of its own.
    #[inline(always)]
    pub(crate) fn try_note_wait(&self, wait: impl FnOnce() -> Wait) -> bool {
        let index = self.running.get().index();
        // The root has no record, and between polls there is nobody to have one.
        index >= WakeWord::NOBODY.index() || self.tasks.borrow_mut().try_note_wait(index, wait)
    }

    /// Sets what the following wakes are put down to.
    pub(crate) fn set_cause(&self, cause: Cause) {
        self.cause.set(cause);
    }

    pub(crate) fn counters(&self) -> Counters {
        self.tasks.borrow().counters
    }

    /// Every task as it is now; `now_ns` is what waits are measured against.
    pub(crate) fn records(&self, now_ns: u64) -> Vec<TaskInfo> {
        self.tasks.borrow().records(self.runtime, now_ns)
    }

    /// Ends every task: each future is dropped here, whatever its drop does.
    ///
    /// First step of the runtime's end. Spawning is refused from the first line on, so this ends.
    pub(crate) fn shut_down(&self, dress: impl Dress) {
        self.tasks.borrow_mut().close();
        loop {
            let Some(Last {
                cell,
                joiner,
                unhandled,
            }) = self.tasks.borrow_mut().take_last()
            else {
                break;
            };
            if let Some(cell) = cell {
                if let Some(unhandled) = unhandled {
                    // Its handle outlives the runtime and will find nothing any more.
                    self.panics.report(unhandled, cell.panic_text());
                }
                self.drop_foreign(cell, "the drop of a task at the end of its runtime");
            }
            // Whoever waits learns from a poll that the task is gone.
            self.wake_all(joiner.map(|joiner| (joiner, Cause::ABORT)), dress);
        }
        self.tasks.borrow_mut().clear();
        self.drop_foreign(self.yielded_wakers.take(), "the drop of a waker");
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor")
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

/// Takes a finished task's output out of its cell.
#[inline]
pub(crate) fn output_of<T: 'static>(cell: BoxedCell) -> Option<T> {
    let mut place: Option<T> = None;
    cell.give_output(&mut place as &mut dyn Any);
    place
}
