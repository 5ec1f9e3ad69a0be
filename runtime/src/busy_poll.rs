//! Busy polling: decides whether the loop polls again at once or parks.
//!
//! Called by the loop when it has nothing to do (`Core::park_timeout`) and when it has work again
//! (`Core::record_wakeup`). Off unless `Builder::busy_poll` sets a window.
//!
//! With one or two clients, most of a round trip is spent on putting the core to sleep and waking it.
//! A loop that polls again instead of parking saves both, but uses the processor while no event
//! arrives. So it spins only where that is likely to pay off: after a wait that was short, and for at
//! most the window.
//!
//! ```text
//!              no work             window is over              work
//!   running ------------> spinning ---------------> parked ------------> running
//!      ^       (a wait      |                                     |
//!      |        starts)     | work                                | the next wait starts spinning
//!      +--------------------+                                     | if this one was within the
//!              no work, and the last wait was long                | window, and parked otherwise
//!   running -------------------------------------------> parked --+
//! ```
//!
//! Two guarantees follow. The loop is parked at most one window after traffic has stopped. Waits that
//! are longer than the window use no processor time, however regular they are.
//!
//! Spinning is a turn that does not block: the loop runs as it does with work to do. Each iteration
//! expires timers, drains the inbox and polls the descriptors, so nothing is delayed. "Parked" is not
//! published meanwhile, so other threads leave messages without a system call. The last iteration is
//! followed by an ordinary park, so I5 holds.
//!
//! Rejected: a separate loop around `epoll_wait`, because it would have to know everything that can
//! end a wait. Also rejected: an average over many waits, because it adapts slowly when traffic
//! stops and is harder to explain.

use std::cell::Cell;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct BusyPoll {
    /// Longest time to spin during a wait, in nanoseconds. Zero turns spinning off.
    window_ns: u64,
    /// Start of the current wait, in nanoseconds.
    since_ns: Cell<Option<u64>>,
    /// Whether the last wait ended within the window.
    last_was_short: Cell<bool>,
    /// Number of turns that spun instead of parking.
    turns: Cell<u64>,
}

impl BusyPoll {
    pub(crate) fn new(window: Duration) -> Self {
        BusyPoll {
            window_ns: window.as_nanos().try_into().unwrap_or(u64::MAX),
            since_ns: Cell::new(None),
            last_was_short: Cell::new(false),
            turns: Cell::new(0),
        }
    }

    /// Returns whether a window is set. The loop reads the clock only then.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.window_ns > 0
    }

    /// Returns whether the loop polls again instead of parking. Called when there is no work.
    pub(crate) fn should_spin(&self, now_ns: u64) -> bool {
        let since_ns = self.since_ns.get().unwrap_or(now_ns);
        self.since_ns.set(Some(since_ns));
        let spin = self.last_was_short.get() && self.is_within(since_ns, now_ns);
        if spin {
            self.turns.set(self.turns.get() + 1);
        }
        spin
    }

    /// Ends the current wait, if there is one. Called when there is work.
    pub(crate) fn wait_ended(&self, now_ns: u64) {
        if let Some(since_ns) = self.since_ns.take() {
            self.last_was_short.set(self.is_within(since_ns, now_ns));
        }
    }

    fn is_within(&self, since_ns: u64, now_ns: u64) -> bool {
        now_ns.saturating_sub(since_ns) < self.window_ns
    }

    pub(crate) fn turns(&self) -> u64 {
        self.turns.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_window_of_50_ns() -> BusyPoll {
        BusyPoll::new(Duration::from_nanos(50))
    }

    #[test]
    fn the_first_wait_parks_and_one_after_a_short_wait_spins_for_the_window() {
        let busy = with_window_of_50_ns();
        assert!(!busy.should_spin(1_000));
        busy.wait_ended(1_049);
        assert!(busy.should_spin(1_100));
        assert!(busy.should_spin(1_149));
        assert!(!busy.should_spin(1_150), "the window is over");
        assert_eq!(busy.turns(), 2);
    }

    #[test]
    fn a_wait_as_long_as_the_window_makes_the_next_one_park_at_once() {
        let busy = with_window_of_50_ns();
        assert!(!busy.should_spin(0));
        busy.wait_ended(10);
        assert!(busy.should_spin(20));
        busy.wait_ended(70);
        assert!(!busy.should_spin(71));
        busy.wait_ended(75);
        assert!(busy.should_spin(80), "the wait that parked was short");
    }

    #[test]
    fn iterations_with_work_are_not_waits() {
        let busy = with_window_of_50_ns();
        assert!(!busy.should_spin(0));
        busy.wait_ended(10);
        for now_ns in [500, 1_000] {
            busy.wait_ended(now_ns);
        }
        assert!(busy.should_spin(1_001), "the last wait was the short one");
    }

    #[test]
    fn without_a_window_the_loop_never_spins() {
        let busy = BusyPoll::new(Duration::ZERO);
        assert!(!busy.is_on());
        assert!(!busy.should_spin(1));
        busy.wait_ended(1);
        assert!(!busy.should_spin(1));
        assert!(BusyPoll::new(Duration::MAX).is_on());
    }
}
