//! Where armed timers wait until their place in the wheel is asked for: mostly, it never is.
//!
//! Called by the runtime's timers; calls the wheel, which it stands in front of. Nearly every timer
//! of a server is a time limit that is cancelled long before it is due. So a new timer only takes
//! a seat here: one bit, and its deadline as the clock gave it, neither converted into nanoseconds
//! nor sorted. Cancelling it clears the bit. (Its waker goes into the wheel's slab at once, so that
//! its key means the same on a seat and in the wheel; only the place in there is left open.)
//!
//! ```text
//!   arm ------> lobby: 64 seats --------------------> wheel -----> due
//!                 |      all move on together,          |
//!                 v      when a 65th timer is armed,    v
//!             cancelled  or the first of them is due  cancelled
//! ```
//!
//! A timer moves on at most once, so the lobby costs one that lives long what one more level of the
//! wheel would. It saves the others two searches for a slot, each with a deadline that had only just
//! been computed from a clock that had only just been read: a chain in which every step waited for
//! the one before. docs/TRIED.md has what that gains.
//!
//! # Exactness
//!
//! `floor` is the earliest deadline that was taken in since the lobby was last empty, so it is too
//! early when that timer has been cancelled. With no more than a [`HANDFUL`] of timers,
//! [`Lobby::next_deadline`] looks at each of them; with more, the loop may wake once for nothing.
//! That makes everything exact here and in the wheel, so it does not happen again before the next
//! timer expires. It is the wheel's own rule for its slots.
//!
//! Rejected: to move the newcomers on after every turn (a time limit around an answer that comes a
//! turn later would pay for both), and to keep those in the lobby that are not due yet when the
//! first one is (sixty who wait long would be looked at again and again).

use std::task::Waker;
use std::time::Instant;

use super::clock::Clock;
use super::wheel::{HANDFUL, Removed, Wheel};
use crate::table::Key;

/// As many as a `u64` has bits, so that one word says which are taken.
const SEATS: usize = u64::BITS as usize;

/// All armed timers of one runtime: those that came lately, and before them the wheel's.
pub(crate) struct Lobby {
    /// One bit per seat.
    taken: u64,
    /// No timer in here is due earlier. Without meaning while the lobby is empty.
    floor: Instant,
    /// Of each seat that is taken: when its timer is due, and which it is.
    deadlines: [Instant; SEATS],
    timers: [u32; SEATS],
    /// The latest time that `expire` was told.
    now: Instant,
    wheel: Wheel,
}

impl Lobby {
    pub(crate) fn new(now: Instant) -> Self {
        Lobby {
            taken: 0,
            floor: now,
            deadlines: [now; SEATS],
            timers: [0; SEATS],
            now,
            wheel: Wheel::new(),
        }
    }

    /// Number of armed timers.
    pub(crate) fn len(&self) -> usize {
        self.wheel.len()
    }

    /// Whether no timer is armed.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.wheel.is_empty()
    }

    /// Arms a timer. A deadline in the past is due at the next [`expire`](Self::expire).
    pub(crate) fn insert(&mut self, deadline: Instant, waker: Waker, clock: &Clock) -> Key {
        if self.taken == u64::MAX {
            self.move_on(clock);
        }
        let key = self.wheel.admit(self.free_seat(), waker);
        self.seat(key, deadline);
        key
    }

    /// As [`insert`](Self::insert), when a seat and a slot are free: nearly always. It makes no
    /// call, so no register has to be saved around one.
    #[inline]
    pub(crate) fn insert_quickly(&mut self, deadline: Instant, waker: Waker) -> Option<Key> {
        if self.taken == u64::MAX {
            return None;
        }
        let key = self.wheel.admit_quickly(self.free_seat(), waker)?;
        self.seat(key, deadline);
        Some(key)
    }

    #[inline]
    fn free_seat(&self) -> u32 {
        (!self.taken).trailing_zeros()
    }

    #[inline]
    fn seat(&mut self, key: Key, deadline: Instant) {
        if self.taken == 0 || deadline < self.floor {
            self.floor = deadline;
        }
        let seat = self.free_seat() as usize % SEATS;
        self.taken |= 1 << seat;
        self.deadlines[seat] = deadline;
        self.timers[seat] = key.index();
    }

    /// Cancels a timer and gives its waker back. `None`: it has expired or was removed before.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Waker> {
        let Removed { waker, seat } = self.wheel.remove(key)?;
        if let Some(seat) = seat {
            self.give_up(seat);
        }
        Some(waker)
    }

    /// As [`remove`](Self::remove), for a timer that is still in the lobby. `None`: it is not.
    #[inline]
    pub(crate) fn remove_quickly(&mut self, key: Key) -> Option<Waker> {
        let (waker, seat) = self.wheel.remove_unfiled(key)?;
        self.give_up(seat);
        Some(waker)
    }

    #[inline]
    fn give_up(&mut self, seat: u32) {
        self.taken &= !(1 << (seat % u64::BITS));
    }

    /// As [`Wheel::will_wake`].
    pub(crate) fn will_wake(&self, key: Key, waker: &Waker) -> Option<bool> {
        self.wheel.will_wake(key, waker)
    }

    /// As [`Wheel::replace_waker`].
    pub(crate) fn replace_waker(&mut self, key: Key, waker: Waker) -> Waker {
        self.wheel.replace_waker(key, waker)
    }

    /// When the loop should look again: the earliest deadline, or (rarely) a moment before it.
    pub(crate) fn next_deadline(&self, clock: &Clock) -> Option<u64> {
        let few = self.taken.count_ones() <= HANDFUL;
        let first = if few { self.least() } else { Some(self.floor) };
        earlier(
            first.map(|first| clock.ns_of(first)),
            self.wheel.next_deadline(),
        )
    }

    /// The earliest deadline, exactly.
    pub(crate) fn earliest(&self, clock: &Clock) -> Option<u64> {
        earlier(
            self.least().map(|least| clock.ns_of(least)),
            self.wheel.earliest(),
        )
    }

    /// Removes every timer whose deadline is at most `now` and appends their wakers to `out`, by
    /// deadline, then by creation.
    ///
    /// Time does not go back: a `now` before that of an earlier call counts as equal to it.
    pub(crate) fn expire(&mut self, now: Instant, clock: &Clock, out: &mut Vec<Waker>) {
        self.now = self.now.max(now);
        let before = out.len();
        let mut reached = self.taken != 0 && self.floor <= self.now;
        if reached {
            self.move_on(clock);
        }
        reached |= self.wheel.expire(clock.ns_of(self.now), out);
        if reached && out.len() == before {
            self.sharpen();
        }
    }

    /// The loop has woken for nothing. It is not to happen again before a timer expires.
    #[cold]
    fn sharpen(&mut self) {
        if let Some(least) = self.least() {
            self.floor = least;
        }
        self.wheel.sharpen();
    }

    /// Disarms every timer and appends their wakers to `out`: the runtime's end.
    pub(crate) fn take_all(&mut self, clock: &Clock, out: &mut Vec<Waker>) {
        self.move_on(clock);
        self.wheel.take_all(out);
    }

    /// Empties the lobby into the wheel.
    #[cold]
    fn move_on(&mut self, clock: &Clock) {
        for seat in seats(self.taken) {
            let deadline = clock.ns_of(self.deadlines[seat]);
            self.wheel.file(self.timers[seat], deadline);
        }
        self.taken = 0;
    }

    /// The earliest deadline in the lobby.
    fn least(&self) -> Option<Instant> {
        seats(self.taken).map(|seat| self.deadlines[seat]).min()
    }
}

/// The seats that are taken.
fn seats(mut taken: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let seat = taken.trailing_zeros() as usize;
        taken &= taken.wrapping_sub(1);
        (seat < SEATS).then_some(seat)
    })
}

fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        _ => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::wheel::tests::{Keeper, Pair, Trace, check, hundred, span, step};
    use super::*;

    /// A lobby and the clock by which it tells the wheel the time.
    struct Timed(Lobby, Clock);

    impl Keeper for Timed {
        fn new() -> Self {
            let clock = Clock::new(true);
            Timed(Lobby::new(clock.instant_at(0)), clock)
        }

        fn insert(&mut self, deadline: u64, waker: Waker) -> Key {
            let Timed(lobby, clock) = self;
            let deadline = clock.instant_at(deadline);
            match lobby.insert_quickly(deadline, waker.clone()) {
                Some(key) => key,
                None => lobby.insert(deadline, waker, clock),
            }
        }

        fn remove(&mut self, key: Key) -> Option<Waker> {
            let quickly = self.0.remove_quickly(key);
            quickly.or_else(|| self.0.remove(key))
        }

        fn will_wake(&self, key: Key, waker: &Waker) -> Option<bool> {
            self.0.will_wake(key, waker)
        }

        fn replace_waker(&mut self, key: Key, waker: Waker) -> Waker {
            self.0.replace_waker(key, waker)
        }

        fn next_deadline(&self) -> Option<u64> {
            self.0.next_deadline(&self.1)
        }

        fn earliest(&self) -> Option<u64> {
            self.0.earliest(&self.1)
        }

        fn expire(&mut self, now: u64, out: &mut Vec<Waker>) {
            self.0.expire(self.1.instant_at(now), &self.1, out);
        }

        fn take_all(&mut self, out: &mut Vec<Waker>) {
            self.0.take_all(&self.1, out);
        }

        fn len(&self) -> usize {
            self.0.len()
        }

        fn is_empty(&self) -> bool {
            self.0.is_empty()
        }

        fn check(&self) {
            let Timed(lobby, _) = self;
            let least = lobby.least();
            assert!(least.is_none_or(|least| lobby.floor <= least), "the floor");
            check(&lobby.wheel, lobby.taken.count_ones() as usize);
        }
    }

    proptest! {
        #[test]
        fn the_lobby_and_its_wheel_agree_with_a_sorted_map(
            steps in prop::collection::vec(step(), 1..120),
        ) {
            let mut pair = Pair::<Timed>::new();
            for step in steps {
                pair.run(step);
            }
            pair.end();
        }

        #[test]
        fn a_lone_timer_costs_one_wake_up(start in span(), deadline in span()) {
            let (trace, mut timers) = (Trace::default(), Timed::new());
            prop_assert_eq!(trace.expire(&mut timers, start), []);
            timers.insert(deadline, trace.waker(1));
            prop_assert_eq!(timers.next_deadline(), Some(deadline));
        }

        /// Some of a hundred have moved on into the wheel, and some are still in the lobby.
        #[test]
        fn at_most_one_wake_up_in_vain_precedes_the_first_expiry(hundred in hundred()) {
            prop_assert!(hundred.wake_ups_in_vain::<Timed>() <= 1);
        }
    }

    #[test]
    fn the_sixty_fifth_timer_sends_the_others_on_and_takes_a_seat() {
        let (trace, mut timers) = (Trace::default(), Timed::new());
        let keys = Vec::from_iter((0..65).map(|nth| timers.insert(1_000 + nth, trace.waker(nth))));
        assert_eq!(timers.0.taken.count_ones(), 1);
        assert!(timers.0.remove_quickly(keys[63]).is_none(), "it has left");
        assert!(timers.remove(keys[63]).is_some());
        assert!(timers.0.remove_quickly(keys[64]).is_some());
        assert_eq!(trace.expire(&mut timers, 2_000), Vec::from_iter(0..63));
    }

    #[test]
    fn a_timer_that_is_cancelled_in_time_never_sees_the_wheel() {
        let (trace, mut timers) = (Trace::default(), Timed::new());
        timers.insert(1_000_000, trace.waker(0));
        for nth in 1..1_000 {
            let key = timers.insert(2_000_000, trace.waker(nth));
            assert_eq!(trace.expire(&mut timers, nth), []);
            assert!(timers.remove(key).is_some());
            assert_eq!(timers.0.taken.count_ones(), 1, "it gave its seat up");
        }
        assert_eq!(trace.expire(&mut timers, 1_000_000), [0]);
        assert!(timers.is_empty());
    }
}
