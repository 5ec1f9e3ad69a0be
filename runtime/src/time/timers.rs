//! A runtime's timers: the wheel, the clock that drives it, and the time as of the last turn.
//!
//! Called by [`Sleep`](super::Sleep) (`arm`, `poll`, `disarm`) and by the loop (`park_limit`,
//! `expire`). Keeps I7: a timer expires when the clock has reached its exact deadline, and the wait
//! that leads there is rounded up.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use super::clock::Clock;
use super::wheel::Wheel;
use crate::slab::Key;
use crate::task::record::Cause;

pub(crate) struct Timers {
    pub(crate) clock: Clock,
    wheel: RefCell<Wheel>,
    /// The clock as the loop read it last: free to ask, and never ahead of the real one.
    loop_now_ns: Cell<u64>,
    /// The time up to which every timer has been expired that was armed by then.
    expired_ns: Cell<u64>,
    fired: Cell<u64>,
    /// Wakers on their way from the wheel to being woken; kept for its capacity.
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
}

impl Timers {
    pub(crate) fn new(clock: Clock) -> Self {
        Timers {
            clock,
            wheel: RefCell::new(Wheel::new()),
            loop_now_ns: Cell::new(0),
            expired_ns: Cell::new(0),
            fired: Cell::new(0),
            expired: Cell::new(Vec::new()),
            closed: Cell::new(false),
        }
    }

    /// The time of the last turn: at most the real time, so a deadline before it has passed.
    #[inline]
    pub(crate) fn loop_now_ns(&self) -> u64 {
        self.loop_now_ns.get()
    }

    /// Reads the clock for everybody until the next turn.
    #[inline]
    pub(crate) fn refresh(&self) {
        self.loop_now_ns.set(self.clock.now_ns());
    }

    /// Arms a timer. `None`: the runtime is ending, and no timer will expire any more.
    #[inline]
    pub(crate) fn arm(&self, deadline_ns: u64, waker: Waker) -> Option<Key> {
        if self.closed.get() {
            return None;
        }
        Some(self.wheel.borrow_mut().insert(deadline_ns, waker))
    }

    /// Runs no foreign code.
    #[inline]
    pub(crate) fn poll(&self, key: Key, waker: &Waker) -> Armed {
        match self.wheel.borrow().will_wake(key, waker) {
            None => Armed::Fired,
            Some(true) => Armed::Waiting,
            Some(false) => Armed::Replace,
        }
    }

    /// Gives an armed timer another waker. What comes back is to be dropped: the old waker, or the
    /// new one when the timer has expired in the meantime.
    pub(crate) fn rearm(&self, key: Key, waker: Waker) -> Waker {
        self.wheel.borrow_mut().replace_waker(key, waker)
    }

    /// Cancels a timer; its waker comes back to be dropped.
    #[inline]
    pub(crate) fn disarm(&self, key: Key) -> Option<Waker> {
        self.wheel.borrow_mut().remove(key)
    }

    /// When the loop has to look at its timers again; perhaps earlier than the next deadline.
    #[inline]
    pub(crate) fn next_deadline_ns(&self) -> Option<u64> {
        self.wheel.borrow().next_deadline()
    }

    /// The earliest deadline exactly: where a paused clock jumps to.
    pub(crate) fn earliest_ns(&self) -> Option<u64> {
        self.wheel.borrow().earliest()
    }

    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.wheel.borrow().is_empty()
    }

    /// Hands the wakers of all timers that are due to `wake`, outside of every borrow.
    pub(crate) fn expire(&self, wake: impl FnOnce(&mut dyn Iterator<Item = (Waker, Cause)>)) {
        let mut expired = self.expired.take();
        let now_ns = self.loop_now_ns.get();
        self.wheel.borrow_mut().expire(now_ns, &mut expired);
        self.expired_ns.set(now_ns);
        self.fired.set(self.fired.get() + expired.len() as u64);
        if !expired.is_empty() {
            wake(&mut expired.drain(..).map(|waker| (waker, Cause::TIMER)));
        }
        self.expired.set(expired);
    }

    /// Every timer with a deadline up to this time has expired, unless it was armed since.
    #[inline]
    pub(crate) fn expired_ns(&self) -> u64 {
        self.expired_ns.get()
    }

    pub(crate) fn armed(&self) -> usize {
        self.wheel.borrow().len()
    }

    pub(crate) fn fired(&self) -> u64 {
        self.fired.get()
    }

    /// Forgets every timer and arms no new ones; the wakers come back to be woken.
    pub(crate) fn shut_down(&self) -> Vec<Waker> {
        self.closed.set(true);
        let mut wakers = Vec::new();
        self.wheel.borrow_mut().take_all(&mut wakers);
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
