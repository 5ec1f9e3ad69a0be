//! The executor: runs tasks.
//!
//! Called by the loop in `Runtime::block_on` (`tick`), by wakers (`wake`) and by handles (`spawn`,
//! `poll_join`, `abort`, `detach`). Calls nothing but the futures themselves. All tasks live in one
//! slab; a slot's life, with the function that makes each step:
//!
//! ```text
//!              spawn                     take_next              put_back
//!   vacant ----------> scheduled ----------------> running -----------------> waiting
//!     ^                   ^  ^                       |  |                        |
//!     |                   |  +--- wake (while it runs)  |                        |
//!     |                   +---------------- wake, abort |------------------------+
//!     |                                                 v
//!     |<-------------------------------- finish: nobody holds the JoinHandle
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
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::budget;
use crate::news;
use crate::slab::Key;
use crate::task::cell::{BoxedCell, Ending, drop_quietly};
use crate::task::id::{Dress, Id, RuntimeId, WakeWord};
use crate::task::record::{Cause, TaskRecord, Wait};

pub(crate) mod panics;
pub(crate) mod poll_times;
mod queue;
mod tasks;

use panics::{Panics, Unhandled};
use poll_times::PollTimes;
pub(crate) use tasks::Counters;
use tasks::{Ended, Last, Output, Running, Tasks};

/// The root future's share of what a slot has.
#[derive(Debug)]
struct Root {
    woken: Cell<bool>,
    /// Woken after the next turn.
    yielded: Cell<bool>,
    /// Raised by each `block_on`, so that a waker of an earlier one wakes nobody.
    generation: Cell<u32>,
}

impl Root {
    fn wake(&self, generation: u16, cause: Cause, counters: &mut Counters) {
        if generation != self.generation.get() as u16 {
            counters.wakes_stale += 1;
        } else if self.woken.replace(true) {
            counters.wakes_coalesced += 1;
        } else {
            counters.wakes[cause.kind()] += 1;
        }
    }
}

/// Wakes this runtime's own tasks and root; made by [`Executor::waking`].
///
/// The reactor's events come in batches, and so do the wakes: without a vector in between, a borrow
/// per task and a look for panics, which none of ours can raise.
pub(crate) struct Waking<'a, D> {
    tasks: RefMut<'a, Tasks>,
    root: &'a Root,
    place: u16,
    dress: D,
}

impl<D: Dress> Waking<'_, D> {
    /// Wakes one of ours; gives somebody else's waker back.
    #[inline]
    pub(crate) fn wake(&mut self, waker: Waker, cause: Cause) -> Option<Waker> {
        let word = match self.dress.word(&waker) {
            Some(word) if word.place() == self.place => word,
            _ => return Some(waker),
        };
        let _dropping_ours_does_nothing = ManuallyDrop::new(waker);
        if word.index() == WakeWord::ROOT {
            let counters = &mut self.tasks.counters;
            self.root.wake(word.generation(), cause, counters);
        } else {
            self.tasks.wake(word, cause);
        }
        None
    }
}

pub(crate) struct Executor {
    runtime: RuntimeId,
    tasks: RefCell<Tasks>,
    root: Root,
    /// Which word is being polled now; `None` between polls.
    running: Cell<Option<WakeWord>>,
    /// What a wake that happens now is put down to.
    cause: Cell<Cause>,
    io_budget: u32,
    /// Wakers that are not ours, of futures that yielded inside another executor's combinator.
    yielded_wakers: RefCell<Vec<Waker>>,
    /// `discard` is at work.
    discarding: Cell<bool>,
    /// What the drops of an output have detached, to be dropped after it.
    discarded: RefCell<Vec<BoxedCell>>,
    /// How many turns ago the oldest in the run queue may have been woken.
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
            tasks: RefCell::new(Tasks::new(seed)),
            root: Root {
                woken: Cell::new(false),
                yielded: Cell::new(false),
                generation: Cell::new(0),
            },
            running: Cell::new(None),
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
    /// On a runtime that is ending the cell comes back, to be dropped by the caller.
    pub(crate) fn spawn(
        &self,
        cell: BoxedCell,
        spawned_at: &'static Location<'static>,
    ) -> Result<Id, BoxedCell> {
        let key = self.tasks.borrow_mut().insert(cell, spawned_at)?;
        Ok(self.id_of(key))
    }

    /// Names a task that was just spawned.
    pub(crate) fn name(&self, key: Key, name: &str) {
        self.tasks.borrow_mut().name(key, name);
    }

    /// Puts a task into the run queue unless it is there already; or marks the root woken.
    ///
    /// The word may be stale in every part: then nobody, or somebody else, is polled once more than
    /// necessary.
    #[inline(always)]
    pub(crate) fn wake(&self, word: WakeWord) {
        if word.index() == WakeWord::ROOT {
            self.wake_root(word.generation());
            return;
        }
        self.tasks.borrow_mut().wake(word, self.cause.get());
    }

    #[cold]
    fn wake_root(&self, generation: u16) {
        let counters = &mut self.tasks.borrow_mut().counters;
        self.root.wake(generation, self.cause.get(), counters);
    }

    /// Begins to wake many at once, under one borrow: until the value is dropped, nothing else can
    /// be done with the executor.
    #[inline]
    pub(crate) fn waking<D: Dress>(&self, dress: D) -> Waking<'_, D> {
        Waking {
            tasks: self.tasks.borrow_mut(),
            root: &self.root,
            place: self.runtime.place(),
            dress,
        }
    }

    /// Asks for the running future to be polled again, but not before the reactor has had its turn.
    /// `false`: the word is not that of the running future, and nothing was done.
    #[inline]
    pub(crate) fn yield_after_turn(&self, word: Option<WakeWord>) -> bool {
        let Some(word) = word.filter(|word| Some(*word) == self.running.get()) else {
            return false;
        };
        if word.index() == WakeWord::ROOT {
            self.root.yielded.set(true);
        } else {
            self.tasks.borrow_mut().wake_after_turn(word);
        }
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
        if self.root.yielded.take() {
            self.root.woken.set(true);
        }
        if !self.yielded_wakers.borrow().is_empty() {
            let wakers = self.yielded_wakers.take();
            self.wake_all(wakers.into_iter().map(|waker| (waker, Cause::YIELD)), dress);
        }
    }

    /// Whether a poll is due before anything else happens.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        self.root.woken.get()
            || self.root.yielded.get()
            || self.tasks.borrow().any_scheduled()
            || !self.yielded_wakers.borrow().is_empty()
    }

    /// Polls tasks from the run queue, at most `limit` of them (I8).
    #[inline]
    pub(crate) fn tick(&self, limit: u32, dress: impl Dress) {
        let (mut left, mut running) = (limit, Running::NOBODY);
        running.long_queued = self.queued_turns.get() > news::TURNS_AT_MOST;
        // Around all polls of a tick instead of each.
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| {
            self.run(&mut left, &mut running, dress);
        })) {
            // The one whose poll has panicked is still out of its slot.
            let Some(mut cell) = running.cell.take() else {
                unreachable!("nothing but a poll may panic here");
            };
            cell.as_mut().fail(self.id_of(running.key), payload);
            self.finish(running.key, cell, Ending::Panicked, dress);
        }
        self.leave_poll();
        let queued_turns = match self.tasks.borrow().any_ready() {
            true => self.queued_turns.get().saturating_add(1),
            false => 0,
        };
        self.queued_turns.set(queued_turns);
    }

    /// Polls until `left` is zero or nobody is scheduled. Unwinds when a poll does; whose it was is
    /// in `running` then.
    fn run(&self, left: &mut u32, running: &mut Running, dress: impl Dress) {
        let mut more = *left > 0 && self.tasks.borrow_mut().take_next(running);
        while more {
            *left -= 1;
            more = match self.poll(running, dress) {
                // One borrow puts a task back and takes the next one.
                Poll::Pending => {
                    let mut tasks = self.tasks.borrow_mut();
                    tasks.put_back(running);
                    *left > 0 && tasks.take_next(running)
                }
                Poll::Ready(ending) => {
                    if let Some(cell) = running.cell.take() {
                        self.finish(running.key, cell, ending, dress);
                    }
                    *left > 0 && self.tasks.borrow_mut().take_next(running)
                }
            };
        }
    }

    #[inline]
    fn poll(&self, running: &mut Running, dress: impl Dress) -> Poll<Ending> {
        let key = running.key;
        let word = WakeWord::new(self.runtime, key.generation, key.index);
        let woken_by = match running.long_queued {
            true => Cause::THREAD,
            false => running.woken_by,
        };
        self.enter_poll(word, Cause::task(key.index), woken_by);
        let Some(cell) = &mut running.cell else {
            unreachable!("a scheduled task is in its slot");
        };
        let cell = cell.as_mut();
        if running.aborted {
            return Poll::Ready(cell.cancel(self.id_of(key)));
        }
        // Dropping one of our wakers does nothing, so the call that would do it is spared.
        let waker = ManuallyDrop::new(dress.waker(word));
        let mut cx = Context::from_waker(&waker);
        match &self.poll_times {
            None => cell.poll(&mut cx),
            Some(times) => {
                let started = times.start();
                let polled = cell.poll(&mut cx);
                self.measure(times, times.stop(started), key);
                polled
            }
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
    fn enter_poll(&self, word: WakeWord, cause: Cause, woken_by: Cause) {
        self.running.set(Some(word));
        self.cause.set(cause);
        news::set(woken_by);
        budget::refill(self.io_budget);
    }

    #[inline]
    fn leave_poll(&self) {
        self.running.set(None);
        self.cause.set(Cause::THREAD);
    }

    /// Reports a poll that took long, when somebody asked to hear of it.
    fn measure(&self, times: &PollTimes, took: Duration, key: Key) {
        let who = || self.tasks.borrow().who(key);
        // The hook is the user's: should it panic, the task that is out of its slot must come back.
        self.contain("the hook for slow polls", || times.record(took, who));
    }

    #[inline]
    fn finish(&self, key: Key, cell: BoxedCell, ending: Ending, dress: impl Dress) {
        let word = |joiner: &Waker| self.own_word(joiner, dress);
        // Not in the head of the `match`, which would hold the borrow while joiners are woken.
        let ended = self.tasks.borrow_mut().end(key, cell, ending, word);
        match ended {
            Ended::Done => {}
            Ended::Drop(cell) if ending == Ending::ReturnedPlain => drop(cell),
            Ended::Wake(joiner) => self.wake_all([(joiner, Cause::task(key.index))], dress),
            Ended::Drop(cell) => self.discard(cell),
            Ended::Report(cell, unhandled) => self.report(cell, unhandled),
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
        match self.own_word(&waker, dress) {
            Some(word) => {
                let _dropping_ours_does_nothing = ManuallyDrop::new(waker);
                self.wake(word);
            }
            None => waker.wake(),
        }
    }

    /// The word of a waker that stands for one of this runtime's tasks or its root.
    #[inline]
    fn own_word(&self, waker: &Waker, dress: impl Dress) -> Option<WakeWord> {
        dress
            .word(waker)
            .filter(|word| word.place() == self.runtime.place())
    }

    /// Looks for the output of a task on behalf of its `JoinHandle`. Runs no foreign code.
    #[inline]
    pub(crate) fn poll_join(&self, id: Id, waker: &Waker, dress: impl Dress) -> Join {
        // The key is that of the slot's tenant, so the index is enough to tell who runs.
        let running = self.running.get().map(WakeWord::index);
        let clone = |waker: &Waker| dress.word(waker).map(|word| dress.waker(word));
        let looked =
            self.tasks
                .borrow_mut()
                .look_for_output(id.key, waker, || self.charge(), clone);
        match looked {
            Output::Ready(cell) => Join::Finished(cell),
            Output::NotNow => Join::Yield,
            Output::Gone => Join::Gone,
            Output::Awaited | Output::Later if running == Some(id.key.index) => Join::Itself,
            Output::Awaited => Join::Waiting,
            Output::Later => Join::Store,
        }
    }

    /// As [`poll_join`](Self::poll_join), for one who does not wait and is not charged.
    pub(crate) fn try_join(&self, key: Key) -> Join {
        let noop = Waker::noop();
        let mut tasks = self.tasks.borrow_mut();
        match tasks.look_for_output(key, noop, || true, |_| None) {
            Output::Ready(cell) => Join::Finished(cell),
            Output::Gone => Join::Gone,
            Output::NotNow | Output::Awaited | Output::Later => Join::Waiting,
        }
    }

    /// Stores whom the end of a task wakes. Cloning and dropping wakers is foreign code (I3), which
    /// may even have finished the task; but only `tick` finishes tasks, and we are inside a poll.
    #[cold]
    pub(crate) fn store_joiner(&self, key: Key, waker: &Waker) {
        let waker = waker.clone();
        let replaced = self.tasks.borrow_mut().set_joiner(key, waker);
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
            Ended::Done => {}
            // Foreign code, and perhaps on behalf of another thread: nobody here waits for its panic.
            Ended::Wake(joiner) => self.drop_foreign(joiner, "the drop of a waker"),
            Ended::Drop(cell) => self.discard(cell),
            Ended::Report(cell, unhandled) => self.report(cell, unhandled),
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
        let generation = self.root.generation.get().wrapping_add(1);
        self.root.generation.set(generation);
        self.root.woken.set(true);
        self.root.yielded.set(false);
        WakeWord::new(self.runtime, generation, WakeWord::ROOT)
    }

    /// Whether the root was woken since it was last asked.
    #[inline]
    pub(crate) fn take_root_woken(&self) -> bool {
        self.root.woken.take()
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
        self.enter_poll(word, Cause::ROOT, Cause::ROOT);
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
        let word = self.running.get()?;
        self.tasks.borrow().key_of(word.index())
    }

    /// Whether a task or the root future is being polled now.
    pub(crate) fn is_polling(&self) -> bool {
        self.running.get().is_some()
    }

    /// Takes one I/O operation off the budget of the current poll. `false`: the budget is used up,
    /// and the caller has to yield.
    #[inline]
    pub(crate) fn charge(&self) -> bool {
        // Between polls there is nobody to be fair to.
        budget::spend() || self.running.get().is_none()
    }

    /// Notes on what the current poll is about to wait.
    #[inline(always)]
    pub(crate) fn note_wait(&self, wait: impl FnOnce() -> Wait) {
        if let Some(word) = self.running.get() {
            self.tasks.borrow_mut().note_wait(word.index(), wait);
        }
    }

    /// Sets what the following wakes are put down to.
    pub(crate) fn set_cause(&self, cause: Cause) {
        self.cause.set(cause);
    }

    pub(crate) fn counters(&self) -> Counters {
        self.tasks.borrow().counters
    }

    /// Every task as it is now; `now_ns` is what waits are measured against.
    pub(crate) fn records(&self, now_ns: u64) -> Vec<TaskRecord> {
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
pub(crate) fn output_of<T: 'static>(mut cell: BoxedCell) -> Option<T> {
    let mut place: Option<T> = None;
    cell.as_mut().take_output(&mut place as &mut dyn Any);
    place
}
