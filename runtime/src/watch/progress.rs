//! What the loop publishes for the watch thread, or for a kernel that watches: whether it goes on, and what it polls.
//!
//! Written by the executor, on the runtime's thread alone, if the runtime is watched. Read on another thread.
//! Each change of the state is one number higher, and its two lowest bits say what the loop does:
//!
//! ```text
//!  steps          begin_poll               end_poll                tick
//!    ... between ------------> polling ------------> between ------------> between ...
//! ```
//!
//! The words that describe a poll are stored while the state is *between*, and `steps` after them. A reader that finds
//! the same `steps`, *polling*, before and after it reads the words has those of this poll: had one been stored by a
//! later poll, the end of this one would have been stored before it, and the fences would make that visible.
//!
//! Rejected: a clock reading per poll, which costs more than everything else here. The reader measures time by what
//! it saw at its looks.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Mutex, PoisonError};

use crate::sys::place::AtomicPlace;
use crate::table::Key;

/// The state of the loop, in the two lowest bits of a step.
const STOPPED: u64 = 0;
const BETWEEN: u64 = 1;
const POLLING: u64 = 2;
const STATE: u64 = 3;

/// The row of the root future in the table of tasks.
const ROOT: u32 = 0;

/// The bits of [`Progress::tick`] that have the length of the run queue.
const QUEUED: u64 = 0xff;
/// The run queue is counted up to this length, because its list is walked at each tick.
pub(crate) const MOST_QUEUED: u32 = 64;

/// What one runtime publishes.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The number of changes, and the state.
    steps: AtomicU64,
    /// The key of the task that is polled last.
    polled: AtomicU64,
    /// The place where that task was spawned.
    spawned_at: AtomicPlace,
    /// The call of `block_on`.
    blocking_on: AtomicPlace,
    /// The step at the beginning of the tick, and the length of the run queue then.
    tick: AtomicU64,
    /// The names of the tasks that have one.
    names: Mutex<HashMap<Key, Box<str>>>,
}

/// What the loop does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoopPhase {
    /// No `block_on` runs.
    Stopped,
    BetweenPolls,
    Root,
    Task(Key),
}

/// What the loop does in one step.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) phase: LoopPhase,
    pub(crate) name: Option<String>,
    /// The place of the task's spawn, or the call of `block_on`.
    pub(crate) place: Option<&'static Location<'static>>,
    /// The number of tasks that wait for a poll, at least.
    pub(crate) waiting: u32,
}

impl Progress {
    /// Publishes that a `block_on` begins.
    pub(crate) fn start(&self, blocking_on: Option<&'static Location<'static>>) {
        self.blocking_on.set(blocking_on);
        self.change(BETWEEN);
    }

    /// Publishes that `block_on` has ended.
    pub(crate) fn stop(&self) {
        self.change(STOPPED);
    }

    /// Publishes that a tick begins, with the length of the run queue, which is counted up to [`MOST_QUEUED`]. Also
    /// ends a poll.
    #[inline]
    pub(crate) fn begin_tick(&self, queued: u32) {
        self.change(BETWEEN);
        // As in `begin_poll`.
        fence(Ordering::Release);
        let step = self.steps.load(Ordering::Relaxed) / (STATE + 1);
        let tick = step << QUEUED.count_ones() | u64::from(queued) & QUEUED;
        self.tick.store(tick, Ordering::Relaxed);
    }

    /// Publishes that a task, or the root future, is polled.
    #[inline]
    pub(crate) fn begin_poll(&self, key: Key, spawned_at: &'static Location<'static>) {
        // Pairs with the fence in `read`: see the header.
        fence(Ordering::Release);
        self.polled.store(key.to_bits(), Ordering::Relaxed);
        self.spawned_at.set(Some(spawned_at));
        self.change(POLLING);
    }

    /// Publishes that the poll has ended.
    #[inline]
    pub(crate) fn end_poll(&self) {
        self.change(BETWEEN);
    }

    #[inline]
    fn change(&self, state: u64) {
        // Only this thread writes it.
        let steps = self.steps.load(Ordering::Relaxed) & !STATE;
        // Pairs with the Acquire in `steps`.
        self.steps
            .store(steps + STATE + 1 + state, Ordering::Release);
    }

    pub(crate) fn set_name(&self, key: Key, name: &str) {
        self.names().insert(key, name.into());
    }

    pub(crate) fn remove_name(&self, key: Key) {
        self.names().remove(&key);
    }

    fn names(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Box<str>>> {
        // No user code runs under this lock, so a poisoned one is consistent.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of the step in which the loop is.
    pub(crate) fn steps(&self) -> u64 {
        // Pairs with the Release in `change`.
        self.steps.load(Ordering::Acquire)
    }

    /// Returns whether no `block_on` runs in a step.
    pub(crate) fn is_stopped(steps: u64) -> bool {
        steps & STATE == STOPPED
    }

    /// Returns what the loop does in the step `steps`. `None` if it has gone on.
    pub(crate) fn read(&self, steps: u64) -> Option<Step> {
        let before = self.steps();
        let key = Key::from_bits(self.polled.load(Ordering::Relaxed));
        let spawned_at = self.spawned_at.get();
        let tick = self.tick.load(Ordering::Relaxed);
        let phase = match steps & STATE {
            POLLING if key.index() == ROOT => LoopPhase::Root,
            POLLING => LoopPhase::Task(key),
            BETWEEN => LoopPhase::BetweenPolls,
            _ => LoopPhase::Stopped,
        };
        let (name, place) = match phase {
            LoopPhase::Task(key) => {
                let name = self.names().get(&key).map(ToString::to_string);
                (name, spawned_at)
            }
            LoopPhase::Root => (None, self.blocking_on.get()),
            LoopPhase::BetweenPolls | LoopPhase::Stopped => (None, None),
        };
        // A poll is two steps, its begin and its end. The one in progress has left the queue as well.
        let since_tick =
            steps / (STATE + 1) - (tick >> QUEUED.count_ones()).min(steps / (STATE + 1));
        let polls = since_tick.div_ceil(2);
        let waiting = (tick & QUEUED).saturating_sub(polls) as u32;
        // Pairs with the fences of the writer: see the header.
        fence(Ordering::Acquire);
        let after = self.steps.load(Ordering::Relaxed);
        let is_current = before == steps && after == steps;
        is_current.then_some(Step {
            phase,
            name,
            place,
            waiting,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn now(progress: &Progress) -> Step {
        progress.read(progress.steps()).expect("one thread")
    }

    #[test]
    fn a_step_says_what_is_polled_and_how_many_tasks_wait() {
        let (progress, here) = (Progress::default(), Location::caller());
        assert_eq!(now(&progress).phase, LoopPhase::Stopped);
        progress.start(Some(here));
        assert_eq!(now(&progress).phase, LoopPhase::BetweenPolls);
        progress.begin_tick(3);
        assert_eq!(now(&progress).waiting, 3);
        progress.begin_poll(Key::new(ROOT, 0), here);
        let root = now(&progress);
        assert_eq!((root.phase, root.place), (LoopPhase::Root, Some(here)));
        assert_eq!(root.waiting, 2);
        progress.begin_tick(2);
        let key = Key::new(5, 70_000);
        progress.set_name(key, "import");
        let spawned_at = Location::caller();
        progress.begin_poll(key, spawned_at);
        let task = now(&progress);
        assert_eq!(task.phase, LoopPhase::Task(key));
        assert_eq!(task.name.as_deref(), Some("import"));
        assert_eq!((task.place, task.waiting), (Some(spawned_at), 1));
        progress.end_poll();
        progress.begin_poll(Key::new(6, 0), spawned_at);
        assert_eq!(now(&progress).waiting, 0);
        progress.end_poll();
        progress.begin_poll(key, spawned_at);
        progress.remove_name(key);
        assert_eq!((now(&progress).name, now(&progress).waiting), (None, 0));
        progress.stop();
        assert!(Progress::is_stopped(progress.steps()));
    }

    #[test]
    fn a_step_that_is_over_is_not_read() {
        let (progress, here) = (Progress::default(), Location::caller());
        progress.start(None);
        progress.begin_poll(Key::new(1, 0), here);
        let steps = progress.steps();
        assert!(progress.read(steps).is_some());
        progress.end_poll();
        progress.begin_poll(Key::new(2, 0), here);
        assert!(progress.read(steps).is_none());
    }

    /// Each poll has a key and a place that belong together.
    #[test]
    fn what_is_read_of_a_poll_belongs_together() {
        let progress = Progress::default();
        let places = [Location::caller(), another_place()];
        let writes = || {
            progress.start(None);
            for n in 0..200_000 {
                let key = Key::new(1 + n % 2, n);
                progress.begin_poll(key, places[n as usize % 2]);
                progress.end_poll();
            }
            progress.stop();
        };
        let mut reads = 0;
        std::thread::scope(|scope| {
            let writer = scope.spawn(writes);
            while !writer.is_finished() || reads == 0 {
                let Some(step) = progress.read(progress.steps()) else {
                    continue;
                };
                if let LoopPhase::Task(key) = step.phase {
                    assert_eq!(step.place, Some(places[key.index() as usize - 1]));
                    assert_eq!(key.generation() % 2 + 1, key.index());
                }
                reads += 1;
            }
        });
    }

    #[track_caller]
    fn another_place() -> &'static Location<'static> {
        Location::caller()
    }
}
