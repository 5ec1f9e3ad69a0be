//! A runtime's timers: lobby, wheel, the clock that drives them, and the time as of the last turn.
//!
//! Called by [`Sleep`](super::Sleep) (`arm`, `poll`, `disarm`) and by the loop (`next_deadline_ns`,
//! `expire`). Keeps I7: a timer expires when the clock has reached its exact deadline, and the wait
//! that leads there is rounded up.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::Instant;

pub(crate) mod clock;
mod lobby;
mod wheel;

use crate::table::Key;
use crate::task_info::WakeCause;
use clock::Clock;
use lobby::Lobby;

pub(crate) struct Timers {
    pub(crate) clock: Clock,
    lobby: RefCell<Lobby>,
    /// The clock as the loop read it last: free to ask, and never ahead of the real one.
    loop_now: Cell<Instant>,
    loop_now_ns: Cell<u64>,
    /// The time up to which every timer has been expired that was armed by then.
    expired_to: Cell<Instant>,
    fired: Cell<u64>,
    /// Wakers on their way out of lobby and wheel to being woken; kept for its capacity.
    expired: Cell<Vec<Waker>>,
    closed: Cell<bool>,
}

/// What [`Timers::poll`] found.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Armed {
    /// It has expired.
    Fired,
    /// It is armed and will wake this waker.
    Waiting,
    /// It is armed for another waker: call [`Timers::rearm`].
    Replace,
    /// It was armed, but the runtime has ended: it will never expire.
    Gone,
}

impl Timers {
    pub(crate) fn new(clock: Clock) -> Self {
        let zero = clock.instant_at(0);
        Timers {
            clock,
            lobby: RefCell::new(Lobby::new(zero)),
            loop_now: Cell::new(zero),
            loop_now_ns: Cell::new(0),
            expired_to: Cell::new(zero),
            fired: Cell::new(0),
            expired: Cell::new(Vec::new()),
            closed: Cell::new(false),
        }
    }

    /// The time of the last turn: at most the real time, so a deadline before it has passed.
    #[inline]
    pub(crate) fn loop_now(&self) -> Instant {
        self.loop_now.get()
    }

    /// The same, for records.
    #[inline]
    pub(crate) fn loop_now_ns(&self) -> u64 {
        self.loop_now_ns.get()
    }

    /// Reads the clock for everybody until the next turn.
    #[inline]
    pub(crate) fn refresh(&self) {
        let now = self.clock.now();
        self.loop_now.set(now);
        self.loop_now_ns.set(self.clock.ns_of(now));
    }

    /// Arms a timer. `None`: the runtime is ending, and no timer will expire any more.
    #[inline]
    pub(crate) fn arm(&self, deadline: Instant, waker: Waker) -> Option<Key> {
        if self.closed.get() {
            return None;
        }
        let mut lobby = self.lobby.borrow_mut();
        Some(lobby.insert(deadline, waker, &self.clock))
    }

    /// As [`arm`](Self::arm), when that is quickly done, which is nearly always.
    #[inline]
    pub(crate) fn arm_quickly(&self, deadline: Instant, waker: Waker) -> Option<Key> {
        if self.closed.get() {
            return None;
        }
        self.lobby.borrow_mut().insert_quickly(deadline, waker)
    }

    /// Runs no foreign code.
    #[inline]
    pub(crate) fn poll(&self, key: Key, waker: &Waker) -> Armed {
        match self.lobby.borrow().will_wake(key, waker) {
            // Before the end nobody but its owner takes a timer out without firing it.
            None if self.closed.get() => Armed::Gone,
            None => Armed::Fired,
            Some(true) => Armed::Waiting,
            Some(false) => Armed::Replace,
        }
    }

    /// Gives an armed timer another waker. What comes back is to be dropped: the old waker, or the
    /// new one when the timer has expired in the meantime.
    pub(crate) fn rearm(&self, key: Key, waker: Waker) -> Waker {
        self.lobby.borrow_mut().replace_waker(key, waker)
    }

    /// Cancels a timer; its waker comes back to be dropped.
    pub(crate) fn disarm(&self, key: Key) -> Option<Waker> {
        self.lobby.borrow_mut().remove(key)
    }

    /// As [`disarm`](Self::disarm), when that is quickly done.
    #[inline]
    pub(crate) fn disarm_quickly(&self, key: Key) -> Option<Waker> {
        self.lobby.borrow_mut().remove_quickly(key)
    }

    /// When the loop has to look at its timers again; perhaps earlier than the next deadline.
    #[inline]
    pub(crate) fn next_deadline_ns(&self) -> Option<u64> {
        self.lobby.borrow().next_deadline(&self.clock)
    }

    /// The earliest deadline exactly: where a paused clock jumps to.
    pub(crate) fn earliest_ns(&self) -> Option<u64> {
        self.lobby.borrow().earliest(&self.clock)
    }

    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.lobby.borrow().is_empty()
    }

    /// Hands the wakers of all timers that are due to `wake`, outside of every borrow.
    pub(crate) fn expire(&self, wake: impl FnOnce(&mut dyn Iterator<Item = (Waker, WakeCause)>)) {
        let mut expired = self.expired.take();
        let now = self.loop_now.get();
        let mut lobby = self.lobby.borrow_mut();
        lobby.expire(now, &self.clock, &mut expired);
        drop(lobby);
        self.expired_to.set(now);
        self.fired.set(self.fired.get() + expired.len() as u64);
        if !expired.is_empty() {
            wake(&mut expired.drain(..).map(|waker| (waker, WakeCause::Timer)));
        }
        self.expired.set(expired);
    }

    /// Every timer with a deadline up to this time has expired, unless it was armed since.
    #[inline]
    pub(crate) fn expired_to(&self) -> Instant {
        self.expired_to.get()
    }

    pub(crate) fn armed(&self) -> usize {
        self.lobby.borrow().len()
    }

    pub(crate) fn fired(&self) -> u64 {
        self.fired.get()
    }

    /// Forgets every timer and arms no new ones; the wakers come back to be woken.
    pub(crate) fn shut_down(&self) -> Vec<Waker> {
        self.closed.set(true);
        let mut wakers = Vec::new();
        self.lobby.borrow_mut().take_all(&self.clock, &mut wakers);
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

    /// A waker that is the same everywhere, which the no-op one need not be.
    struct Nothing;

    impl std::task::Wake for Nothing {
        fn wake(self: std::sync::Arc<Self>) {}
    }

    #[test]
    fn what_has_become_due_since_the_last_turn_is_not_taken_for_expired() {
        let timers = Timers::new(Clock::new(true));
        let deadline = timers.clock.instant_at(7);
        let waker = Waker::from(std::sync::Arc::new(Nothing));
        let key = timers.arm(deadline, waker.clone()).unwrap();
        let expire = || timers.expire(|due| assert_eq!(due.count(), 1));
        assert!(timers.clock.advance_to(9));
        expire();
        assert!(timers.expired_to() < deadline);
        assert_eq!(timers.poll(key, &waker), Armed::Waiting);
        timers.refresh();
        expire();
        assert_eq!(timers.expired_to(), timers.clock.instant_at(9));
        assert_eq!(timers.poll(key, &waker), Armed::Fired);
    }

    #[test]
    fn after_the_end_no_timer_is_armed() {
        let timers = Timers::new(Clock::new(true));
        let deadline = timers.loop_now();
        let noop = || Waker::noop().clone();
        // The first has to make room; what has room is quickly done.
        assert!(timers.arm_quickly(deadline, noop()).is_none());
        let key = timers.arm(deadline, noop()).unwrap();
        assert!(timers.disarm_quickly(key).is_some());
        assert!(timers.arm_quickly(deadline, noop()).is_some());
        let key = timers.arm(deadline, noop()).unwrap();
        assert_eq!(timers.shut_down().len(), 2);
        assert_eq!(timers.poll(key, Waker::noop()), Armed::Gone);
        assert!(timers.arm_quickly(deadline, noop()).is_none());
        assert!(timers.arm(deadline, noop()).is_none());
        assert_eq!(timers.armed(), 0);
    }
}
