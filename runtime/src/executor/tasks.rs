//! The table of all tasks: everything that is done under the executor's one borrow.
//!
//! Called by the executor, which does everything else: between two calls of a method of this file
//! no borrow is held, and inside of one no foreign code runs (I3). So this is plain bookkeeping, and
//! what it cannot do itself (wake a joiner, drop an output) it hands out as a value.
//!
//! Keeps I2: the flag `SCHEDULED` is set where a key is queued and cleared where it is popped, and
//! nowhere else.

use std::collections::HashMap;
use std::panic::Location;
use std::task::Waker;
use std::time::Duration;

use super::panics::Unhandled;
use super::queue::RunQueue;
use crate::slab::{Key, Slab};
use crate::task::cell::{BoxedCell, Ending};
use crate::task::id::{Id, RuntimeId, WakeWord};
use crate::task::record::{Cause, TaskRecord, TaskState, Wait, Waiting};

/// A task's slot. The executor writes every field; nobody else sees one.
struct Slot {
    /// The future or its output; `None` for the length of a poll.
    cell: Option<BoxedCell>,
    /// Who awaits the handle.
    joiner: Option<Waker>,
    // From here on: the record.
    spawned_at: &'static Location<'static>,
    polls: u64,
    /// Noted by the leaf operation that made the last poll return `Pending`.
    wait: Option<Wait>,
    last_wake: Cause,
    flags: Flags,
}

/// The state bits of a slot.
#[derive(Clone, Copy)]
struct Flags(u8);

impl Flags {
    /// Its key is in the run queue (I2).
    const SCHEDULED: u8 = 1;
    /// Its cell is out being polled.
    const RUNNING: u8 = 2;
    /// A `JoinHandle` exists that may ask for the output.
    const JOINABLE: u8 = 4;
    /// The cell holds the output; no wake has any effect from here on.
    const FINISHED: u8 = 8;
    /// To be cancelled instead of polled, next time its turn comes.
    const ABORTED: u8 = 16;
    /// It has a name, in [`Tasks::names`].
    const NAMED: u8 = 32;

    #[inline]
    fn has(self, any: u8) -> bool {
        self.0 & any != 0
    }

    #[inline]
    fn set(&mut self, flags: u8) {
        self.0 |= flags;
    }

    #[inline]
    fn clear(&mut self, flags: u8) {
        self.0 &= !flags;
    }
}

/// All that is borrowed together: one look-up and one borrow per operation.
pub(super) struct Tasks {
    slots: Slab<Slot>,
    queue: RunQueue,
    /// Names are rare, so a task without one pays nothing for them.
    names: HashMap<Key, Box<str>>,
    /// Set when the runtime ends: nothing can be spawned any more.
    closed: bool,
    pub(super) counters: Counters,
}

/// What the executor counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) spawned: u64,
    pub(crate) alive: u64,
    pub(crate) polls: u64,
    pub(crate) root_polls: u64,
    pub(crate) wakes: [u64; Cause::KINDS],
    pub(crate) wakes_coalesced: u64,
    pub(crate) wakes_stale: u64,
    pub(crate) panics: u64,
    pub(crate) panics_unhandled: u64,
}

/// What `take_next` hands out.
pub(super) struct Next {
    pub(super) key: Key,
    pub(super) cell: BoxedCell,
    pub(super) aborted: bool,
}

/// What is left to do, outside the borrow, once a task has ended.
#[must_use]
pub(super) enum Ended {
    /// Whoever awaited the task, to be woken, or dropped when it only let go.
    Wake(Option<Waker>),
    /// Nobody will join.
    Drop(BoxedCell, Option<Unhandled>),
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
    pub(super) fn new(seed: Option<u64>) -> Self {
        Tasks {
            slots: Slab::new(),
            queue: RunQueue::new(seed),
            names: HashMap::new(),
            closed: false,
            counters: Counters::default(),
        }
    }

    /// Gives a cell a slot and a place in the run queue; gives it back once the table is closed.
    pub(super) fn insert(
        &mut self,
        cell: BoxedCell,
        name: Option<&str>,
        spawned_at: &'static Location<'static>,
    ) -> Result<Key, BoxedCell> {
        if self.closed {
            return Err(cell);
        }
        let named = if name.is_some() { Flags::NAMED } else { 0 };
        let key = self.slots.insert(Slot {
            cell: Some(cell),
            joiner: None,
            spawned_at,
            polls: 0,
            wait: None,
            last_wake: Cause::SPAWN,
            flags: Flags(Flags::SCHEDULED | Flags::JOINABLE | named),
        });
        self.queue.push(key);
        if let Some(name) = name {
            self.names.insert(key, name.into());
        }
        self.counters.spawned += 1;
        self.counters.alive += 1;
        self.counters.wakes[Cause::SPAWN.kind()] += 1;
        Ok(key)
    }

    /// Puts a task into the run queue unless it is there already or has ended (I2).
    #[inline]
    pub(super) fn wake(&mut self, word: WakeWord, cause: Cause) {
        let Some((key, slot)) = self.slots.get_short_mut(word.index(), word.generation()) else {
            self.counters.wakes_stale += 1;
            return;
        };
        if slot.flags.has(Flags::SCHEDULED | Flags::FINISHED) {
            self.counters.wakes_coalesced += 1;
            return;
        }
        slot.flags.set(Flags::SCHEDULED);
        slot.last_wake = cause;
        self.queue.push(key);
        self.counters.wakes[cause.kind()] += 1;
    }

    /// As [`wake`](Self::wake), into the queue's waiting room: until the next turn is over.
    #[inline]
    pub(super) fn wake_after_turn(&mut self, word: WakeWord) {
        if let Some((key, slot)) = self.slots.get_short_mut(word.index(), word.generation())
            && !slot.flags.has(Flags::SCHEDULED)
        {
            slot.flags.set(Flags::SCHEDULED);
            slot.last_wake = Cause::YIELD;
            self.queue.push_yielded(key);
            self.counters.wakes[Cause::YIELD.kind()] += 1;
        }
    }

    #[inline]
    pub(super) fn admit_yielded(&mut self) {
        self.queue.admit_yielded();
    }

    /// Whether anybody is in the run queue or its waiting room.
    #[inline]
    pub(super) fn any_scheduled(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes the cell of the next task in the queue out of its slot.
    #[inline(always)]
    pub(super) fn take_next(&mut self) -> Option<Next> {
        loop {
            let key = self.queue.pop()?;
            // A task that woke itself in its last poll left its key behind.
            let Some(slot) = self.slots.get_mut(key) else {
                continue;
            };
            slot.flags.clear(Flags::SCHEDULED);
            if let Some(cell) = slot.cell.take_if(|_| !slot.flags.has(Flags::FINISHED)) {
                slot.flags.set(Flags::RUNNING);
                slot.polls += 1;
                self.counters.polls += 1;
                let aborted = slot.flags.has(Flags::ABORTED);
                return Some(Next { key, cell, aborted });
            }
        }
    }

    /// Puts a cell back into its slot after a poll that returned `Pending`.
    #[inline(always)]
    pub(super) fn put_back(&mut self, key: Key, cell: BoxedCell, wait: Option<Wait>) {
        let slot = self
            .slots
            .get_mut(key)
            .expect("a running task keeps its slot");
        slot.flags.clear(Flags::RUNNING);
        slot.wait = wait;
        slot.cell = Some(cell);
    }

    /// Frees a slot.
    fn remove(&mut self, key: Key) -> Option<Slot> {
        let slot = self.slots.remove(key)?;
        if slot.flags.has(Flags::NAMED) {
            self.names.remove(&key);
        }
        Some(slot)
    }

    /// A task has ended: its output stays in the slot when a handle exists, else the slot is free.
    pub(super) fn end(&mut self, key: Key, cell: BoxedCell, ending: Ending) -> Ended {
        self.counters.alive -= 1;
        if ending == Ending::Panicked {
            self.counters.panics += 1;
        }
        let slot = self
            .slots
            .get_mut(key)
            .expect("a running task keeps its slot");
        slot.flags.clear(Flags::RUNNING);
        slot.flags.set(Flags::FINISHED);
        slot.wait = None;
        slot.cell = Some(cell);
        if slot.flags.has(Flags::JOINABLE) {
            return Ended::Wake(slot.joiner.take());
        }
        match self.remove_finished(key) {
            Some((cell, unhandled)) => Ended::Drop(cell, unhandled),
            None => Ended::Wake(None),
        }
    }

    /// Frees the slot of a task that has ended and that nobody will join.
    fn remove_finished(&mut self, key: Key) -> Option<(BoxedCell, Option<Unhandled>)> {
        let name = self.names.get(&key).map(ToString::to_string);
        let slot = self.remove(key)?;
        let cell = slot.cell?;
        let unhandled = cell.panic_text().map(|_| Unhandled {
            name,
            spawned_at: slot.spawned_at,
        });
        if unhandled.is_some() {
            self.counters.panics_unhandled += 1;
        }
        Some((cell, unhandled))
    }

    /// Looks for a task's output. `charge` is asked before one is taken.
    pub(super) fn look_for_output(
        &mut self,
        key: Key,
        waker: &Waker,
        charge: impl FnOnce() -> bool,
    ) -> Output {
        let Some(slot) = self.slots.get(key) else {
            return Output::Gone;
        };
        if slot.flags.has(Flags::FINISHED) {
            if !charge() {
                return Output::NotNow;
            }
            return match self.remove(key).and_then(|slot| slot.cell) {
                Some(cell) => Output::Ready(cell),
                None => Output::Gone,
            };
        }
        match &slot.joiner {
            Some(joiner) if joiner.will_wake(waker) => Output::Awaited,
            _ => Output::Later,
        }
    }

    /// Sets whom the end of a task wakes; gives back the waker that is left over.
    pub(super) fn set_joiner(&mut self, key: Key, waker: Waker) -> Option<Waker> {
        match self.slots.get_mut(key) {
            Some(slot) => slot.joiner.replace(waker),
            None => Some(waker),
        }
    }

    /// Nobody will ask for the output any more.
    pub(super) fn detach(&mut self, key: Key) -> Ended {
        let Some(slot) = self.slots.get_mut(key) else {
            return Ended::Wake(None);
        };
        slot.flags.clear(Flags::JOINABLE);
        let joiner = slot.joiner.take();
        let finished = slot.flags.has(Flags::FINISHED);
        match finished.then(|| self.remove_finished(key)).flatten() {
            Some((cell, unhandled)) => Ended::Drop(cell, unhandled),
            None => Ended::Wake(joiner),
        }
    }

    /// Schedules a task to be cancelled when its turn comes.
    pub(super) fn abort(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if slot.flags.has(Flags::FINISHED | Flags::ABORTED) {
            return;
        }
        slot.flags.set(Flags::ABORTED);
        if !slot.flags.has(Flags::SCHEDULED) {
            slot.flags.set(Flags::SCHEDULED);
            self.queue.push(key);
        }
        slot.last_wake = Cause::ABORT;
        self.counters.wakes[Cause::ABORT.kind()] += 1;
    }

    pub(super) fn is_finished(&self, key: Key) -> bool {
        self.slots
            .get(key)
            .is_none_or(|slot| slot.flags.has(Flags::FINISHED))
    }

    /// The full key of the task in a slot.
    pub(super) fn key_of(&self, index: u32) -> Option<Key> {
        self.slots.key_of(index)
    }

    /// A task's name and where it was spawned, for a warning.
    pub(super) fn who(&self, key: Key) -> (Option<String>, Option<&'static Location<'static>>) {
        let spawned_at = self.slots.get(key).map(|slot| slot.spawned_at);
        (self.names.get(&key).map(ToString::to_string), spawned_at)
    }

    /// Takes no more tasks from now on.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Takes out one task after the other until none is left.
    pub(super) fn take_last(&mut self) -> Option<Last> {
        let slot = self.slots.drain_one()?;
        let panicked = slot
            .cell
            .as_ref()
            .is_some_and(|cell| cell.panic_text().is_some());
        let unhandled = panicked.then_some(Unhandled {
            name: None,
            spawned_at: slot.spawned_at,
        });
        Some(Last {
            cell: slot.cell,
            joiner: slot.joiner,
            unhandled,
        })
    }

    /// Forgets what is left once every task was taken out.
    pub(super) fn clear(&mut self) {
        self.counters.alive = 0;
        self.queue.clear();
        self.names.clear();
    }

    /// Every task as it is now.
    pub(super) fn records(&self, runtime: RuntimeId, now_ns: u64) -> Vec<TaskRecord> {
        let records = self.slots.iter();
        records
            .map(|(key, slot)| self.record(runtime, key, slot, now_ns))
            .collect()
    }

    fn record(&self, runtime: RuntimeId, key: Key, slot: &Slot, now_ns: u64) -> TaskRecord {
        let state = match slot.flags {
            flags if flags.has(Flags::FINISHED) => TaskState::Finished,
            flags if flags.has(Flags::RUNNING) => TaskState::Running,
            flags if flags.has(Flags::SCHEDULED) => TaskState::Scheduled,
            _ => TaskState::Waiting,
        };
        let waiting = slot.wait.map(|wait| Waiting {
            operation: wait.operation,
            location: wait.location,
            fd: (wait.fd >= 0).then_some(wait.fd),
            elapsed: Duration::from_nanos(now_ns.saturating_sub(wait.since_ns)),
        });
        TaskRecord {
            id: Id { runtime, key },
            name: self.names.get(&key).map(ToString::to_string),
            spawned_at: slot.spawned_at,
            state,
            polls: slot.polls,
            waiting,
            last_wake: slot.last_wake.unpack(),
        }
    }
}
