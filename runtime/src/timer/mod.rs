//! A runtime's timers: the wheel, the clock that drives it, and the time as of the last turn.
//!
//! Called by [`Sleep`](crate::time::Sleep) (`insert`, `poll`, `remove`) and by the loop
//! (`next_deadline_ns`, `expire`). Keeps I7: a timer expires when the clock has reached its exact
//! deadline, and the loop's wait is rounded up.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

pub(crate) mod auto_advance;
pub(crate) mod clock;
mod wheel;

use crate::table::Key;
use crate::task_info::WakeCause;
use auto_advance::AutoAdvance;
use clock::Clock;
use wheel::Wheel;

/// The number of wakers of expired timers that are woken between two turns, at most. All timers of a
/// burst leave the wheel at once, but waking their tasks takes longer than an event may wait.
const WAKES_PER_TURN: usize = 4096;

pub(crate) struct Timers {
    pub(crate) clock: Clock,
    pub(crate) auto_advance: AutoAdvance,
    wheel: Wheel,
    /// The time of the loop's last reading of the clock; never ahead of the clock.
    loop_now: Cell<Instant>,
    /// The same in nanoseconds since the runtime's start.
    loop_now_ns: Cell<u64>,
    /// The time up to which every timer has expired, except for those armed since then.
    expired_until: Cell<Instant>,
    /// The number of timers that have expired.
    fired: Cell<u64>,
    /// The wakers of expired timers, in the order in which they are woken.
    expired: RefCell<VecDeque<Waker>>,
    /// Empty between calls; kept for its capacity.
    batch: Cell<Vec<Waker>>,
    /// Set when the runtime ends. From then on no timer is armed.
    closed: Cell<bool>,
}

/// The result of [`Timers::poll`].
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PollTimer {
    /// The timer has expired.
    Fired,
    /// The timer is armed and will wake the waker.
    Pending,
    /// The timer is armed with another waker: see [`Timers::update_waker`].
    OtherWaker,
    /// The runtime has ended, so the timer will never expire.
    Gone,
}

impl Timers {
    pub(crate) fn new(clock: Clock, auto_advance: AutoAdvance) -> Self {
        let zero = clock.instant_at(0);
        Timers {
            clock,
            auto_advance,
            wheel: Wheel::new(),
            loop_now: Cell::new(zero),
            loop_now_ns: Cell::new(0),
            expired_until: Cell::new(zero),
            fired: Cell::new(0),
            expired: RefCell::new(VecDeque::new()),
            batch: Cell::new(Vec::new()),
            closed: Cell::new(false),
        }
    }

    /// Returns the time of the last turn. It is at most the real time, so a deadline before it has passed.
    #[inline]
    pub(crate) fn loop_now(&self) -> Instant {
        self.loop_now.get()
    }

    /// Returns the time of the last turn in nanoseconds, for task info.
    #[inline]
    pub(crate) fn loop_now_ns(&self) -> u64 {
        self.loop_now_ns.get()
    }

    /// Reads the clock, for all uses until the next turn.
    #[inline]
    pub(crate) fn refresh(&self) {
        let now = self.clock.now();
        self.loop_now.set(now);
        self.loop_now_ns.set(self.clock.ns_of(now));
    }

    /// Arms a timer. Returns `None` if the runtime is ending.
    #[inline]
    pub(crate) fn insert(&self, deadline: Instant, waker: Waker) -> Option<Key> {
        if self.closed.get() {
            return None;
        }
        Some(self.wheel.insert(self.clock.ns_of(deadline), waker))
    }

    /// Returns the state of a timer. Runs no user code.
    #[inline]
    pub(crate) fn poll(&self, key: Key, waker: &Waker) -> PollTimer {
        match self.wheel.will_wake(key, waker) {
            // Until the end, only the timer's owner removes it without firing it.
            None if self.closed.get() => PollTimer::Gone,
            None => PollTimer::Fired,
            Some(true) => PollTimer::Pending,
            Some(false) => PollTimer::OtherWaker,
        }
    }

    /// Replaces the waker of an armed timer. Returns the waker that is not stored, for the caller to
    /// drop: the old one, or the new one when the timer has expired in the meantime.
    pub(crate) fn update_waker(&self, key: Key, waker: Waker) -> Option<Waker> {
        self.wheel.replace_waker(key, waker)
    }

    /// Moves an armed timer to another deadline, with its waker. Returns `None` if it has expired.
    pub(crate) fn reset(&self, key: Key, deadline: Instant) -> Option<Key> {
        let waker = self.wheel.remove(key)?;
        self.insert(deadline, waker)
    }

    /// Cancels a timer and returns its waker for the caller to drop.
    #[inline]
    pub(crate) fn remove(&self, key: Key) -> Option<Waker> {
        self.wheel.remove(key)
    }

    /// Returns when the loop has to expire timers; possibly earlier than the next deadline.
    #[inline]
    pub(crate) fn next_deadline_ns(&self) -> Option<u64> {
        self.wheel.next_deadline()
    }

    /// Returns the earliest deadline exactly, for the jump of a paused clock.
    pub(crate) fn earliest_ns(&self) -> Option<u64> {
        self.wheel.earliest()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.wheel.is_empty()
    }

    /// Passes the wakers of the timers that are due to `wake`, which must not run user code: at most
    /// [`WAKES_PER_TURN`], and the others in the next calls.
    pub(crate) fn expire(&self, mut wake: impl FnMut(Waker, WakeCause)) {
        let mut batch = self.batch.take();
        let now = self.loop_now.get();
        self.wheel.expire(self.clock.ns_of(now), &mut batch);
        self.expired_until.set(now);
        self.fired.set(self.fired.get() + batch.len() as u64);
        let mut expired = self.expired.borrow_mut();
        expired.extend(batch.drain(..));
        self.batch.set(batch);
        let count = expired.len().min(WAKES_PER_TURN);
        for waker in expired.drain(..count) {
            wake(waker, WakeCause::Timer);
        }
    }

    /// Returns whether timers have expired whose wakers were not woken yet.
    #[inline]
    pub(crate) fn has_expired(&self) -> bool {
        !self.expired.borrow().is_empty()
    }

    /// Returns the time up to which every timer has expired, except for those armed since then.
    #[inline]
    pub(crate) fn expired_until(&self) -> Instant {
        self.expired_until.get()
    }

    /// Passes each armed timer to `look`: its key, its deadline and its waker. `look` must not run user
    /// code.
    pub(crate) fn for_each(&self, look: impl FnMut(Key, u64, &Waker)) {
        self.wheel.for_each(look);
    }

    /// Passes the waker of each timer that has expired and was not woken yet to `look`, which must not
    /// run user code.
    pub(crate) fn for_each_expired(&self, look: impl FnMut(&Waker)) {
        self.expired.borrow().iter().for_each(look);
    }

    pub(crate) fn armed(&self) -> usize {
        self.wheel.len()
    }

    pub(crate) fn fired(&self) -> u64 {
        self.fired.get()
    }

    /// Disarms every timer and refuses new ones. Returns the wakers, to be woken.
    pub(crate) fn shut_down(&self) -> Vec<Waker> {
        self.closed.set(true);
        let mut wakers = Vec::from(self.expired.take());
        self.wheel.take_all(&mut wakers);
        wakers
    }
}

impl std::fmt::Debug for Timers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timers")
            .field("armed", &self.armed())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A waker that equals its clones, which the no-op waker need not.
    struct Nothing;

    impl std::task::Wake for Nothing {
        fn wake(self: std::sync::Arc<Self>) {}
    }

    #[test]
    fn a_timer_that_became_due_after_the_last_turn_has_not_expired() {
        let timers = Timers::new(Clock::new(true), AutoAdvance::new(false));
        let deadline = timers.clock.instant_at(7);
        let waker = Waker::from(std::sync::Arc::new(Nothing));
        let key = timers.insert(deadline, waker.clone()).unwrap();
        let fired = Cell::new(0);
        let expire = || timers.expire(|_, _| fired.set(fired.get() + 1));
        assert!(timers.clock.advance_to(9));
        expire();
        assert!(timers.expired_until() < deadline);
        assert_eq!(timers.poll(key, &waker), PollTimer::Pending);
        timers.refresh();
        expire();
        assert_eq!(timers.expired_until(), timers.clock.instant_at(9));
        assert_eq!(timers.poll(key, &waker), PollTimer::Fired);
        assert_eq!(fired.get(), 1);
    }

    #[test]
    fn after_the_end_no_timer_is_armed() {
        let timers = Timers::new(Clock::new(true), AutoAdvance::new(false));
        let deadline = timers.loop_now();
        let insert = || timers.insert(deadline, Waker::noop().clone());
        let removed = insert().unwrap();
        assert!(timers.remove(removed).is_some());
        let (key, _other) = (insert().unwrap(), insert().unwrap());
        assert_eq!(timers.shut_down().len(), 2);
        assert_eq!(timers.poll(key, Waker::noop()), PollTimer::Gone);
        assert!(insert().is_none());
    }
}
