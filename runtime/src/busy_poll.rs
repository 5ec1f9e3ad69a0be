//! Busy polling: whether the loop looks again at once, or parks.
//!
//! Asked by the loop when it has nothing to do (`Core::how_long`), and told when it has something
//! again (`Core::note_the_end_of_a_wait`). Off unless `Builder::busy_poll` sets a window.
//!
//! With one or two clients, most of a round trip goes into putting the core to sleep and waking it
//! again. A loop that looks once more instead of parking saves both, and burns the processor for as
//! long as nothing comes. So it does that only where it is likely to pay off: after a wait that was
//! short, and for no longer than the window.
//!
//! ```text
//!              no work             window is over              work
//!   running ------------> awake ------------------> parked ------------> running
//!      ^       (a wait      |                                     |
//!      |        begins)     | work                                | the next wait begins awake when
//!      +--------------------+                                     | this one was within the window,
//!              no work, and the last wait was long                | and parked when it was longer
//!   running -------------------------------------------> parked --+
//! ```
//!
//! Two promises follow. When traffic stops, one window later at most the loop is parked, and waits
//! that are longer than the window cost no processor time at all, however regular they are.
//!
//! "Awake" is nothing but turns that do not wait: the loop goes round as it does with work to do.
//! Timers are expired, the inbox is drained and descriptors are asked in every round, so nothing is
//! late for it; and "parked" is not published, so other threads leave their messages without a
//! system call (I5 is as it was: what follows the last round is an ordinary park).
//!
//! Rejected: a loop of its own around `epoll_wait` (it would have to know all that can end a wait),
//! and an average over many waits (it takes long to learn that traffic has stopped, and explaining
//! what it does takes longer than this).

use std::cell::Cell;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct BusyPoll {
    /// How long a wait may be spent awake; zero: not at all.
    window_ns: u64,
    /// When the wait that is going on began.
    since_ns: Cell<Option<u64>>,
    /// Whether the last wait was over within the window.
    last_was_short: Cell<bool>,
    /// Rounds spent awake.
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

    /// The time is read only where this is so.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.window_ns > 0
    }

    /// There is nothing to do: whether to look again instead of parking.
    pub(crate) fn stay_awake(&self, now_ns: u64) -> bool {
        let since_ns = self.since_ns.get().unwrap_or(now_ns);
        self.since_ns.set(Some(since_ns));
        let stay = self.last_was_short.get() && self.is_within(since_ns, now_ns);
        if stay {
            self.turns.set(self.turns.get() + 1);
        }
        stay
    }

    /// There is something to do.
    pub(crate) fn end_wait(&self, now_ns: u64) {
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

    fn of_50_ns() -> BusyPoll {
        BusyPoll::new(Duration::from_nanos(50))
    }

    #[test]
    fn the_first_wait_parks_and_one_after_a_short_one_stays_awake_for_the_window() {
        let busy = of_50_ns();
        assert!(!busy.stay_awake(1_000));
        busy.end_wait(1_049);
        assert!(busy.stay_awake(1_100));
        assert!(busy.stay_awake(1_149));
        assert!(!busy.stay_awake(1_150), "the window is over");
        assert_eq!(busy.turns(), 2);
    }

    #[test]
    fn a_wait_as_long_as_the_window_makes_the_next_one_park_at_once() {
        let busy = of_50_ns();
        assert!(!busy.stay_awake(0));
        busy.end_wait(10);
        assert!(busy.stay_awake(20));
        busy.end_wait(70);
        assert!(!busy.stay_awake(71));
        busy.end_wait(75);
        assert!(busy.stay_awake(80), "the one that parked was short");
    }

    #[test]
    fn rounds_with_work_in_them_are_no_waits() {
        let busy = of_50_ns();
        assert!(!busy.stay_awake(0));
        busy.end_wait(10);
        for now_ns in [500, 1_000] {
            busy.end_wait(now_ns);
        }
        assert!(busy.stay_awake(1_001), "the last wait was the short one");
    }

    #[test]
    fn without_a_window_nobody_stays_awake() {
        let busy = BusyPoll::new(Duration::ZERO);
        assert!(!busy.is_on());
        assert!(!busy.stay_awake(1));
        busy.end_wait(1);
        assert!(!busy.stay_awake(1));
        assert!(BusyPoll::new(Duration::MAX).is_on());
    }
}
