//! The table of all tasks: everything that is done under the executor's one borrow.
//!
//! Called by the executor, which does everything else: between two calls of a method of this file
//! no borrow is held, and inside of one no foreign code runs (I3). So this is plain bookkeeping, and
//! what it cannot do itself (wake a joiner, drop an output) it hands out as a value.
//!
//! The table is a slab, with the rules of [`Slab`](crate::slab::Slab): whoever has a [`Key`] finds its
//! own task or nothing. It is one of its own because its slots fill a line of the cache each, and
//! because one link serves both lists that a slot can be in:
//!
//! ```text
//!  free list    vacant slots, last in, first out
//!  run queue    slots whose task is scheduled; also that of a task which has ended there (woken in
//!               its own last poll): nothing is left of it but the slot, which is vacated when popped
//! ```
//!
//! Keeps I2: the flag `SCHEDULED` is set where a slot is queued and cleared where it is popped, and
//! nowhere else.

use std::collections::HashMap;
use std::mem::{self, ManuallyDrop};
use std::panic::Location;
use std::task::Waker;
use std::time::Duration;

use super::panics::Unhandled;
use super::run_queue::{self, Linked, RunQueue};
use crate::executor::cell::{BoxedCell, Ending};
use crate::id::{Id, RuntimeId, WakeWord};
use crate::slab::Key;
use crate::task_info::{Cause, TaskInfo, TaskState, Wait, Waiting};

/// A task's slot. The executor writes every field; nobody else sees one.
struct Slot {
    /// The future or its output; `None` for the length of a poll, and in a vacant slot.
    cell: Option<BoxedCell>,
    /// Who awaits the handle, when that is one of ours, else [`WakeWord::NOBODY`]. Who else may stands
    /// in [`Tasks::strangers`].
    joiner: WakeWord,
    /// What wakes the task. One comparison with the word of a waker says whether it is of this runtime,
    /// of this slot and of its tenant.
    word: WakeWord,
    /// Where the task was spawned. For the record, as what follows.
    spawned_at: &'static Location<'static>,
    polls: u64,
    state: State,
    /// Raised when the slot is vacated, so that old keys find nothing.
    generation: u32,
    /// The next slot in the list in which this one is, or [`run_queue::NONE`].
    next: u32,
}

const _: () = assert!(size_of::<Slot>() == 64);

impl Slot {
    /// Puts a cell into its empty slot.
    #[inline(always)]
    fn put_back(&mut self, cell: BoxedCell) {
        let empty = self.cell.replace(cell);
        debug_assert!(empty.is_none(), "one task in a slot");
        // Not looked at, which an assignment would do.
        let _there_is_nothing_to_drop = ManuallyDrop::new(empty);
    }

    /// Makes a slot free that is in no list, and puts it into that of the `free` ones.
    #[inline(always)]
    fn vacate(&mut self, index: u32, free: &mut u32) {
        self.state = State(u64::from(State::VACANT));
        self.word = self.word.next_generation();
        self.generation += 1;
        // The last generation is never handed out: a slot that has reached it is retired.
        if self.generation < u32::MAX {
            self.next = mem::replace(free, index);
        }
    }
}

impl Linked for Slot {
    #[inline(always)]
    fn next(&mut self) -> &mut u32 {
        &mut self.next
    }
}

/// The state bits of a slot, in the low byte of what woke the task last.
#[derive(Clone, Copy)]
struct State(u64);

impl State {
    /// It is in the run queue or its waiting room (I2).
    const SCHEDULED: u8 = 1;
    /// A `JoinHandle` exists that may ask for the output.
    const JOINABLE: u8 = 2;
    /// The cell holds the output, or is gone; no wake has any effect from here on.
    const FINISHED: u8 = 4;
    /// To be cancelled instead of polled, next time its turn comes.
    const ABORTED: u8 = 8;
    /// It has a name, in [`Tasks::names`].
    const NAMED: u8 = 16;
    /// It has ended with a panic.
    const PANICKED: u8 = 32;
    /// On what it waits stands in [`Tasks::waits`].
    const NOTED: u8 = 64;
    /// There is no task; the slot is in the free list, or retired.
    const VACANT: u8 = 128;

    /// Just spawned.
    const NEW: State = State(Cause::SPAWN.to_bits() | (Self::SCHEDULED | Self::JOINABLE) as u64);

    #[inline(always)]
    fn has(self, any: u8) -> bool {
        self.0 as u8 & any != 0
    }

    #[inline(always)]
    fn set(&mut self, flags: u8) {
        self.0 |= u64::from(flags);
    }

    #[inline(always)]
    fn clear(&mut self, flags: u8) {
        self.0 &= !u64::from(flags);
    }

    #[inline(always)]
    fn woken_by(&mut self, cause: Cause) {
        self.0 = u64::from(self.0 as u8) | cause.to_bits();
    }

    #[inline(always)]
    fn last_wake(self) -> Cause {
        Cause::from_bits(self.0)
    }
}

/// The root future's share of what a slot has.
struct Root {
    /// Of its wakers; another in each `block_on`, so that a waker of an earlier one wakes nobody.
    word: WakeWord,
    woken: bool,
    /// Woken after the next turn.
    yielded: bool,
}

/// All that is borrowed together: one look-up and one borrow per operation.
pub(super) struct Tasks {
    runtime: RuntimeId,
    slots: Vec<Slot>,
    root: Root,
    /// The slot vacated last, or [`run_queue::NONE`].
    free: u32,
    queue: RunQueue,
    /// On what each task waits, by index. Beside the slots, because a task may wait without us
    /// knowing on what; and not in the task's allocation, which is with whoever polls.
    waits: Vec<Option<Wait>>,
    /// Names are rare, so a task without one pays nothing for them.
    names: HashMap<Key, Box<str>>,
    /// Joiners that are not ours, by the index of the task they wait for; empty as long as there are none.
    strangers: Vec<Option<Waker>>,
    /// Set when the runtime ends: nothing can be spawned any more.
    closed: bool,
    pub(super) counters: Counters,
}

/// What the executor counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) spawned: u64,
    pub(crate) ended: u64,
    pub(crate) polls: u64,
    pub(crate) root_polls: u64,
    pub(crate) wakes: [u64; Cause::KINDS],
    pub(crate) wakes_coalesced: u64,
    pub(crate) wakes_stale: u64,
    pub(crate) panics: u64,
    pub(crate) panics_unhandled: u64,
}

/// A task that has left its slot to be polled.
pub(super) struct Next {
    pub(super) word: WakeWord,
    pub(super) cell: BoxedCell,
    pub(super) woken_by: Cause,
    /// To be cancelled instead.
    pub(super) aborted: bool,
}

/// What is left to do, outside the borrow, once a task has ended.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nothing.
    Done,
    /// Somebody who is not ours awaited it and is to be woken: see [`Tasks::take_stranger`].
    Awaited,
    /// Nobody will join; what is left in the slot is to be let go: see [`Tasks::detach`].
    Detached,
}

/// What is left to do, outside the borrow, once a handle is gone.
#[must_use]
pub(super) enum Detached {
    /// Nothing.
    Done,
    /// Whoever awaited the task has let go.
    Joiner(Waker),
    /// Nobody will join.
    Output(BoxedCell),
    /// Nor will anybody hear of its panic.
    Panicked(BoxedCell, Unhandled),
}

/// What [`Tasks::look_for_output`] found.
#[must_use]
pub(super) enum Output {
    /// The task has ended, and its slot is free.
    Ready(BoxedCell),
    /// It has ended, but was not charged for.
    NotNow,
    /// It has not ended, and will wake this waker.
    Awaited,
    /// It has not ended, and would wake somebody else or nobody.
    Later,
    /// There is no such task any more.
    Gone,
}

/// What is left of a task when the runtime ends.
pub(super) struct Last {
    pub(super) cell: Option<BoxedCell>,
    pub(super) joiner: Option<Waker>,
    /// It had panicked, and nobody has heard of it.
    pub(super) unhandled: Option<Unhandled>,
}

impl Tasks {
    pub(super) fn new(runtime: RuntimeId, seed: Option<u64>) -> Self {
        Tasks {
            runtime,
            slots: Vec::new(),
            root: Root {
                word: WakeWord::new(runtime, 0, WakeWord::ROOT),
                woken: false,
                yielded: false,
            },
            free: run_queue::NONE,
            queue: RunQueue::new(seed),
            waits: Vec::new(),
            names: HashMap::new(),
            strangers: Vec::new(),
            closed: false,
            counters: Counters::default(),
        }
    }

    #[inline(always)]
    fn get(&self, key: Key) -> Option<&Slot> {
        let slot = self.slots.get(key.index() as usize)?;
        (slot.generation == key.generation()).then_some(slot)
    }

    #[inline(always)]
    fn get_mut(&mut self, key: Key) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(key.index() as usize)?;
        (slot.generation == key.generation()).then_some(slot)
    }

    /// Gives a cell a slot and a place in the run queue. Leaves it where it is when no slot is free,
    /// see [`make_room`](Self::make_room).
    #[inline(always)]
    pub(super) fn insert(
        &mut self,
        cell: &mut Option<BoxedCell>,
        spawned_at: &'static Location<'static>,
    ) -> Option<Key> {
        let index = self.free;
        let slot = self.slots.get_mut(index as usize)?;
        if self.closed {
            return None;
        }
        self.free = mem::replace(&mut slot.next, run_queue::NONE);
        slot.put_back(cell.take()?);
        slot.spawned_at = spawned_at;
        slot.polls = 0;
        slot.state = State::NEW;
        let key = Key::new(index, slot.generation);
        self.queue.push(&mut self.slots, index);
        self.counters.spawned += 1;
        Some(key)
    }

    /// Makes a slot, so that one is free; `false` once the table is closed.
    pub(super) fn make_room(&mut self) -> bool {
        if self.closed {
            return false;
        }
        let index = u32::try_from(self.slots.len())
            .ok()
            .filter(|index| *index < WakeWord::NOBODY.index());
        let index = index.expect("a runtime holds at most 2^32 - 2 tasks");
        self.slots.push(Slot {
            cell: None,
            joiner: WakeWord::NOBODY,
            word: WakeWord::new(self.runtime, 0, index),
            // Said anew by whoever is spawned here.
            spawned_at: Location::caller(),
            polls: 0,
            state: State(u64::from(State::VACANT)),
            generation: 0,
            next: mem::replace(&mut self.free, index),
        });
        true
    }

    /// Names a task.
    pub(super) fn name(&mut self, key: Key, name: &str) {
        if let Some(slot) = self.get_mut(key) {
            slot.state.set(State::NAMED);
            self.names.insert(key, name.into());
        }
    }

    /// Wakes a task or the root. `false`: the word is one of another runtime.
    ///
    /// The word may be stale in every part: then nobody, or somebody else, is polled once more than
    /// necessary.
    #[inline(always)]
    pub(super) fn wake(&mut self, word: WakeWord, cause: Cause) -> bool {
        self.wake_task(word, cause) || self.wake_no_task(word, cause)
    }

    /// Puts a task into the run queue unless it is there already or has ended (I2). `false`: there is
    /// no such task.
    #[inline(always)]
    pub(super) fn wake_task(&mut self, word: WakeWord, cause: Cause) -> bool {
        let index = word.index();
        let slot = match self.slots.get_mut(index as usize) {
            Some(slot) if slot.word == word => slot,
            _ => return false,
        };
        if slot
            .state
            .has(State::SCHEDULED | State::FINISHED | State::VACANT)
        {
            self.counters.wakes_coalesced += 1;
            return true;
        }
        slot.state.set(State::SCHEDULED);
        slot.state.woken_by(cause);
        self.queue.push(&mut self.slots, index);
        self.counters.wakes[cause.kind()] += 1;
        true
    }

    /// As [`wake`](Self::wake), for a word that is no task's: marks the root woken when it is its own.
    #[cold]
    pub(super) fn wake_no_task(&mut self, word: WakeWord, cause: Cause) -> bool {
        if word == self.root.word {
            if mem::replace(&mut self.root.woken, true) {
                self.counters.wakes_coalesced += 1;
            } else {
                self.counters.wakes[cause.kind()] += 1;
            }
            return true;
        }
        let own = word.place() == self.runtime.place();
        self.counters.wakes_stale += u64::from(own);
        own
    }

    /// Begins a new root future: it is woken, and wakers of the one before it are stale.
    pub(super) fn begin_root(&mut self) -> WakeWord {
        self.root = Root {
            word: self.root.word.next_generation(),
            woken: true,
            yielded: false,
        };
        self.root.word
    }

    /// Whether the root was woken since it was last asked.
    #[inline]
    pub(super) fn take_root_woken(&mut self) -> bool {
        mem::take(&mut self.root.woken)
    }

    /// As [`wake`](Self::wake), into the queue's waiting room: until the next turn is over.
    #[inline]
    pub(super) fn wake_after_turn(&mut self, word: WakeWord) {
        let index = word.index();
        if index == WakeWord::ROOT {
            self.root.yielded = true;
        } else if let Some(slot) = self.slots.get_mut(index as usize)
            && slot.word == word
            && !slot
                .state
                .has(State::SCHEDULED | State::FINISHED | State::VACANT)
        {
            slot.state.set(State::SCHEDULED);
            slot.state.woken_by(Cause::YIELD);
            self.queue.push_yielded(&mut self.slots, index);
            self.counters.wakes[Cause::YIELD.kind()] += 1;
        }
    }

    #[inline]
    pub(super) fn admit_yielded(&mut self) {
        self.queue.admit_yielded(&mut self.slots);
        self.root.woken |= mem::take(&mut self.root.yielded);
    }

    /// Whether anybody is in the run queue or its waiting room, or the root would be.
    #[inline]
    pub(super) fn any_scheduled(&self) -> bool {
        !self.queue.is_empty() || self.root.woken || self.root.yielded
    }

    /// Whether anybody is in the run queue and has not yielded.
    #[inline]
    pub(super) fn any_ready(&self) -> bool {
        self.queue.any_ready()
    }

    /// Takes the next task in the queue out of its slot.
    #[inline(always)]
    pub(super) fn take_next(&mut self) -> Option<Next> {
        loop {
            let (index, slot) = self.queue.pop(&mut self.slots)?;
            let state = slot.state;
            slot.state.clear(State::SCHEDULED | State::NOTED);
            let mut aborted = false;
            // Both in one look, because both are rare.
            if state.has(State::FINISHED | State::ABORTED) {
                if state.has(State::FINISHED) {
                    self.leave_behind(index);
                    continue;
                }
                aborted = true;
            }
            let Some(cell) = slot.cell.take() else {
                unreachable!("a scheduled task is in its slot");
            };
            slot.polls += 1;
            self.counters.polls += 1;
            let word = slot.word;
            return Some(Next {
                word,
                cell,
                woken_by: state.last_wake(),
                aborted,
            });
        }
    }

    /// A task that woke itself in its last poll was in the queue: nothing to poll, and when nobody
    /// will join it, nothing left of it but its slot.
    #[cold]
    fn leave_behind(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index as usize)
            && !slot.state.has(State::JOINABLE)
        {
            slot.vacate(index, &mut self.free);
        }
    }

    /// Puts a cell back into its slot after a poll that did not end the task.
    #[inline(always)]
    pub(super) fn put_back(&mut self, index: u32, cell: BoxedCell) {
        // A task keeps its slot while it is polled, so its index is enough.
        self.slots[index as usize].put_back(cell);
    }

    /// Notes on what a task that is being polled is about to wait; the root has no record.
    #[inline(always)]
    pub(super) fn note_wait(&mut self, index: u32, wait: impl Fn() -> Wait) {
        if !self.try_note_wait(index, &wait) {
            self.make_room_for_waits();
            self.try_note_wait(index, wait);
        }
    }

    /// As [`note_wait`](Self::note_wait), but `false` when there is no room yet.
    #[inline(always)]
    pub(super) fn try_note_wait(&mut self, index: u32, wait: impl FnOnce() -> Wait) -> bool {
        let index = index as usize;
        let Some(place) = self.waits.get_mut(index) else {
            return false;
        };
        // Made only now, in its place.
        *place = Some(wait());
        if let Some(slot) = self.slots.get_mut(index) {
            slot.state.set(State::NOTED);
        }
        true
    }

    /// Makes room for every task's note.
    #[cold]
    fn make_room_for_waits(&mut self) {
        self.waits.resize(self.slots.len(), None);
    }

    /// Forgets a task that has ended and for which nobody will ask again.
    #[inline(always)]
    fn forget(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        let (state, generation) = (slot.state, slot.generation);
        if state.has(State::SCHEDULED) {
            slot.state.clear(State::JOINABLE);
        } else {
            slot.vacate(index, &mut self.free);
        }
        if state.has(State::NAMED) {
            self.forget_name(Key::new(index, generation));
        }
    }

    #[cold]
    fn forget_name(&mut self, key: Key) {
        self.names.remove(&key);
    }

    /// A task has ended: its output stays in the slot when a handle exists, else the slot is free.
    #[inline(always)]
    pub(super) fn end(&mut self, index: u32, cell: BoxedCell, ending: Ending) -> Ended {
        self.counters.ended += 1;
        let slot = &mut self.slots[index as usize];
        let joinable = slot.state.has(State::JOINABLE);
        slot.state.set(State::FINISHED);
        if !joinable && ending == Ending::ReturnedPlain {
            self.forget(index);
            // Nothing foreign is in it, so it may be dropped under the borrow.
            drop(cell);
            return Ended::Done;
        }
        slot.put_back(cell);
        if ending == Ending::Panicked {
            slot.state.set(State::PANICKED);
            self.counters.panics += 1;
        }
        if !joinable {
            return Ended::Detached;
        }
        let joiner = mem::replace(&mut slot.joiner, WakeWord::NOBODY);
        if joiner != WakeWord::NOBODY {
            // Nearly always: another task of ours, which can be woken in this very borrow.
            self.wake(joiner, Cause::task(index));
        } else if self.has_stranger(index) {
            return Ended::Awaited;
        }
        Ended::Done
    }

    /// Forgets a task that has ended and that nobody will join.
    fn leave(&mut self, index: u32, cell: BoxedCell) -> Detached {
        if self.slots[index as usize].state.has(State::PANICKED) {
            return self.leave_panicked(index, cell);
        }
        self.forget(index);
        Detached::Output(cell)
    }

    #[cold]
    fn leave_panicked(&mut self, index: u32, cell: BoxedCell) -> Detached {
        self.counters.panics_unhandled += 1;
        let slot = &self.slots[index as usize];
        let key = Key::new(index, slot.generation);
        let unhandled = Unhandled {
            name: self.names.get(&key).map(ToString::to_string),
            spawned_at: slot.spawned_at,
        };
        self.forget(index);
        Detached::Panicked(cell, unhandled)
    }

    /// Looks for a task's output, on behalf of one who asks through `waker`; `word` is the number in
    /// it, when it is one of ours. `charge` is asked before an output is taken.
    #[inline]
    pub(super) fn look_for_output(
        &mut self,
        key: Key,
        waker: &Waker,
        word: Option<WakeWord>,
        charge: impl FnOnce() -> bool,
    ) -> Output {
        let Some(slot) = self.get_mut(key) else {
            return Output::Gone;
        };
        if slot.state.has(State::FINISHED) {
            if !charge() {
                return Output::NotNow;
            }
            let cell = slot.cell.take();
            self.forget(key.index());
            return cell.map_or(Output::Gone, Output::Ready);
        }
        match word {
            // One of ours is stored at once, unless it takes the place of somebody else's.
            Some(word) if !self.has_stranger(key.index()) => {
                self.slots[key.index() as usize].joiner = word;
                Output::Awaited
            }
            _ => self.look_among_strangers(key.index(), waker),
        }
    }

    /// Whether this very waker waits for the end of a task already.
    #[cold]
    fn look_among_strangers(&self, index: u32, waker: &Waker) -> Output {
        match self.strangers.get(index as usize) {
            Some(Some(stranger)) if stranger.will_wake(waker) => Output::Awaited,
            _ => Output::Later,
        }
    }

    /// Whether somebody who is not ours awaits the task in a slot.
    #[inline]
    fn has_stranger(&self, index: u32) -> bool {
        matches!(self.strangers.get(index as usize), Some(Some(_)))
    }

    /// Takes out who awaits a task and is not ours.
    pub(super) fn take_stranger(&mut self, index: u32) -> Option<Waker> {
        self.strangers.get_mut(index as usize)?.take()
    }

    /// Sets whom the end of a task wakes, `word` being the number in the waker when it is one of ours;
    /// gives back the waker that is left over.
    pub(super) fn set_joiner(
        &mut self,
        key: Key,
        waker: Waker,
        word: Option<WakeWord>,
    ) -> Option<Waker> {
        let Some(slot) = self.get_mut(key) else {
            return Some(waker);
        };
        slot.joiner = word.unwrap_or(WakeWord::NOBODY);
        if word.is_some() {
            return self.take_stranger(key.index());
        }
        let index = key.index() as usize;
        if index >= self.strangers.len() {
            self.strangers.resize_with(self.slots.len(), || None);
        }
        self.strangers[index].replace(waker)
    }

    /// Nobody will ask for the output any more. `false`: there is more to do than to remember that,
    /// and [`detach`](Self::detach) does it.
    #[inline]
    pub(super) fn detach_unfinished(&mut self, key: Key) -> bool {
        let stranger = self.has_stranger(key.index());
        match self.get_mut(key) {
            Some(slot) if !stranger && !slot.state.has(State::FINISHED) => {
                slot.state.clear(State::JOINABLE);
                slot.joiner = WakeWord::NOBODY;
                true
            }
            _ => false,
        }
    }

    /// Nobody will ask for the output any more.
    pub(super) fn detach(&mut self, key: Key) -> Detached {
        let Some(slot) = self.get_mut(key) else {
            return Detached::Done;
        };
        slot.state.clear(State::JOINABLE);
        slot.joiner = WakeWord::NOBODY;
        if slot.state.has(State::FINISHED) {
            return match slot.cell.take() {
                Some(cell) => self.leave(key.index(), cell),
                None => Detached::Done,
            };
        }
        match self.take_stranger(key.index()) {
            // Who awaited a task that goes on alone is not kept, nor woken.
            Some(stranger) => Detached::Joiner(stranger),
            None => Detached::Done,
        }
    }

    /// Schedules a task to be cancelled when its turn comes.
    pub(super) fn abort(&mut self, key: Key) {
        let Some(slot) = self.get_mut(key) else {
            return;
        };
        if slot.state.has(State::FINISHED | State::ABORTED) {
            return;
        }
        slot.state.set(State::ABORTED);
        slot.state.woken_by(Cause::ABORT);
        if !slot.state.has(State::SCHEDULED) {
            slot.state.set(State::SCHEDULED);
            self.queue.push(&mut self.slots, key.index());
        }
        self.counters.wakes[Cause::ABORT.kind()] += 1;
    }

    pub(super) fn is_finished(&self, key: Key) -> bool {
        self.get(key)
            .is_none_or(|slot| slot.state.has(State::FINISHED))
    }

    /// The full key of the task in a slot.
    pub(super) fn key_of(&self, index: u32) -> Option<Key> {
        let generation = self.slots.get(index as usize)?.generation;
        Some(Key::new(index, generation))
    }

    /// A task's name and where it was spawned, for a warning. It is asked about while it is polled, and
    /// so it is in its slot still.
    pub(super) fn who(&self, index: u32) -> (Option<String>, Option<&'static Location<'static>>) {
        let Some(slot) = self.slots.get(index as usize) else {
            return (None, None);
        };
        let name = self.names.get(&Key::new(index, slot.generation));
        (name.map(ToString::to_string), Some(slot.spawned_at))
    }

    /// Takes no more tasks from now on.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Takes out one task after the other until none is left.
    pub(super) fn take_last(&mut self) -> Option<Last> {
        let slot = loop {
            match self.slots.pop()? {
                vacant if vacant.state.has(State::VACANT) => {}
                slot => break slot,
            }
        };
        let index = self.slots.len() as u32;
        let name = self.names.remove(&Key::new(index, slot.generation));
        let unhandled = slot.state.has(State::PANICKED).then_some(Unhandled {
            name: name.map(String::from),
            spawned_at: slot.spawned_at,
        });
        // One of ours who waited is among those that end.
        let joiner = self.take_stranger(index);
        Some(Last {
            cell: slot.cell,
            joiner,
            unhandled,
        })
    }

    /// Forgets what is left once every task was taken out.
    pub(super) fn clear(&mut self) {
        self.counters.ended = self.counters.spawned;
        self.free = run_queue::NONE;
        self.queue.clear();
        self.names.clear();
        self.waits = Vec::new();
        self.strangers = Vec::new();
    }

    /// Every task as it is now.
    pub(super) fn records(&self, runtime: RuntimeId, now_ns: u64) -> Vec<TaskInfo> {
        let slots = self.slots.iter().zip(0..);
        let tasks = slots.filter(|(slot, _)| {
            // Of one that has ended without a handle only the slot is left.
            !slot.state.has(State::VACANT)
                && (slot.state.has(State::JOINABLE) || !slot.state.has(State::FINISHED))
        });
        tasks
            .map(|(slot, index)| {
                let generation = slot.generation;
                self.record(runtime, Key::new(index, generation), slot, now_ns)
            })
            .collect()
    }

    fn record(&self, runtime: RuntimeId, key: Key, slot: &Slot, now_ns: u64) -> TaskInfo {
        let state = match slot.state {
            state if state.has(State::FINISHED) => TaskState::Finished,
            _ if slot.cell.is_none() => TaskState::Running,
            state if state.has(State::SCHEDULED) => TaskState::Scheduled,
            _ => TaskState::Waiting,
        };
        let waits = slot.state.has(State::NOTED) && !slot.state.has(State::FINISHED);
        let wait = match waits {
            true => self.waits.get(key.index() as usize).copied().flatten(),
            false => None,
        };
        let waiting = wait.map(|wait| Waiting {
            operation: wait.operation,
            location: wait.location,
            fd: (wait.fd >= 0).then_some(wait.fd),
            elapsed: Duration::from_nanos(now_ns.saturating_sub(wait.since_ns)),
        });
        TaskInfo {
            id: Id { runtime, key },
            name: self.names.get(&key).map(ToString::to_string),
            spawned_at: slot.spawned_at,
            state,
            polls: slot.polls,
            waiting,
            last_wake: slot.state.last_wake().unpack(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::cell::Cell;

    #[test]
    fn a_slot_whose_generations_are_used_up_is_retired() {
        let mut tasks = Tasks::new(RuntimeId::new(1, 0), None);
        let (here, mut cell) = (Location::caller(), Some(Cell::boxed(async {})));
        assert!(tasks.make_room());
        tasks.slots[0].generation = u32::MAX - 1;
        let last = tasks.insert(&mut cell, here).unwrap();
        assert!(tasks.detach_unfinished(last));
        let next = tasks.take_next().unwrap();
        assert!(tasks.end(0, next.cell, Ending::ReturnedPlain) == Ended::Done);
        assert!(tasks.is_finished(last), "the key is nobody's any more");
        cell = Some(Cell::boxed(async {}));
        assert!(tasks.insert(&mut cell, here).is_none(), "no slot is free");
        assert!(tasks.make_room());
        assert_eq!(tasks.insert(&mut cell, here), Some(Key::new(1, 0)));
    }
}
