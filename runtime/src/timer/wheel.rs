//! Keeps every armed timer and says which is due: a hierarchical timing wheel.
//!
//! Called by the [`Lobby`](super::lobby::Lobby) that stands in front of it, where new timers wait
//! until they are filed here; through that by the rest of `time` (cancel, change the waker) and by
//! the runtime's loop ([`Wheel::next_deadline`] before the turn, [`Wheel::expire`] after it). Calls
//! the slab and nothing else: no clock, no system call, no task. Time is a `u64` of nanoseconds
//! since the runtime's start, and it is the caller who says what time it is.
//!
//! # Layout
//!
//! The 64 bits of a deadline are the digits of a number: 4 low bits inside one tick, then ten
//! digits of six bits, one per level. A level is a row of 64 slots, a slot is a list of timers.
//!
//! ```text
//! bit 63   58   52   46   40   34   28   22   16   10    4    0
//!    +----+----+----+----+----+----+----+----+----+----+------+
//!    | L9 | L8 | L7 | L6 | L5 | L4 | L3 | L2 | L1 | L0 | tick |
//!    +----+----+----+----+----+----+----+----+----+----+------+
//!  a slot: 9 y 52 d 19 h 18 m 17 s .3 s 4 ms 66us  1us 16 ns
//!
//!   level 1   [ . . . . . h . . . . X . . . . . . ]     . free   X occupied   h holds `now`
//!                         |
//!             +-----------+   the 64 slots of a level are one slot of the level above
//!             v
//!   level 0   [ . . . h X . . X . . . . . . . . . ]     occupied[0] = 0b..010010000
//!                       |
//!                       +-- Slot { head, count, floor } --> timer <-> timer <-> timer
//!                                                          (slab indices, newest first)
//! ```
//!
//! A timer lies on the level of the highest digit in which its deadline differs from `now`, in
//! the slot which that digit names. So lower levels are earlier than higher ones, and within a
//! level the slot further left is the earlier one: the first set bit is the next slot due.
//!
//! When time moves, let `top` be the highest digit that changed. All of the levels below `top`
//! have passed, and so have the slots of `top` left of the new digit. The one slot at the new
//! digit is opened: what is due in it expires, the rest moves to lower levels (it *cascades*).
//! A jump over a million slots costs no more than a jump over one, and a timer moves at most
//! once per level in its life.
//!
//! # Exactness
//!
//! Slots only sort timers roughly. Each timer keeps its deadline to the nanosecond, and a timer
//! expires when that has come (I7), however coarse the slot in which it waited. One call of
//! `expire` yields its timers by deadline, then by creation.
//!
//! A slot's `floor` is the earliest deadline it has held since it was last empty. It is exact
//! unless that very timer was cancelled while the slot held more than [`HANDFUL`] others; then
//! it is too early, because finding the second earliest would mean walking the list on every
//! cancel. `next_deadline` answers with the floor of the first slot: in O(1), never later than
//! the first timer, and in the rare case too early. The loop then wakes once for nothing, which
//! opens the slot and makes all of its floors exact again. A cascade alone needs no wake-up; a
//! single timer fifty days away costs exactly one. [`Wheel::earliest`] is always exact, and may
//! walk the first slot's list; it is meant for the paused clock.
//!
//! # Invariants
//!
//! - W1 A timer that is filed is linked in the slot that [`Wheel::place`] computes from its deadline
//!   and `now`, at any time between two calls. (Hence no timer stores where it is.)
//! - W2 A bit of `occupied` is set if and only if the slot's list is not empty.
//! - W3 `floor` is at most the earliest deadline in the slot, and equal to it when the slot holds
//!   no more than `HANDFUL` timers.
//! - I3 The wheel never clones, wakes or drops a waker: every one that leaves is handed to the
//!   caller, who lets it go when no borrow is held. (Before the wheel itself is dropped, `take_all`
//!   empties it.)
//!
//! # Cost, and what was rejected
//!
//! Filing and cancelling are O(1) and touch a slot and two neighbours. Rejected: a binary heap and a
//! `BTreeMap`, because nearly every timer of a server is a timeout that gets cancelled, and there
//! a cancel is O(log n) (and a cache miss per step); one timerfd per timer, because it costs a
//! descriptor and several system calls; a wheel without cascades (Linux since 4.8), because it
//! fires late by up to an eighth of the delay; a fifo per distinct duration, because user code
//! is free to use any. The price of the wheel: entering a coarse slot moves all of its timers in
//! one call, and while time passes through one tick, each expiry in it walks the tick's list.
//!
//! Sources: G. Varghese, T. Lauck, "Hashed and hierarchical timing wheels", SOSP 1987 (schemes 6
//! and 7); J. Corbet, "Reinventing the timer wheel", LWN 2015.

use std::mem;
use std::task::Waker;

use crate::slab::Slab;
use crate::table::Key;

/// Bits of a deadline inside one tick, the width of a slot of level 0: 16 ns. A coarse
/// tick would save two levels and make each expiry walk all the timers of its tick.
const TICK_BITS: u32 = 4;
/// Bits of a deadline that name the slot in one level.
const SLOT_BITS: u32 = 6;
/// Slots in one level: as many as a `u64` has bits, so that one word says which are occupied.
const SLOTS: usize = 1 << SLOT_BITS;
/// Levels; together with the tick they cover every `u64`, so no deadline is out of range.
const LEVELS: usize = 10;
/// Up to this many timers in a slot its floor is kept exact by looking at each of them.
pub(super) const HANDFUL: u32 = 4;
/// Room for expired timers that is kept from one call to the next; a larger burst gives its
/// memory back.
const BATCH_KEPT: usize = 1024;
/// Ends a list. Never the index of a timer: the slab would have to hold 160 GB of them.
const NONE: u32 = u32::MAX;
/// In place of a link: the timer is in no list yet, but on the seat that its other link names.
const UNFILED: u32 = u32::MAX - 1;

const _: () = assert!(TICK_BITS + SLOT_BITS * LEVELS as u32 == u64::BITS);
const _: () = assert!(mem::size_of::<Timer>() <= 40);

/// An armed timer. It leaves the slab when it expires or is cancelled.
struct Timer {
    /// When it is due, exactly: nanoseconds since the runtime's start.
    deadline: u64,
    /// Its place in the order of creation; decides between equal deadlines.
    sequence: u64,
    /// Whom to wake.
    waker: Waker,
    /// Neighbours in the slot's list, or `NONE`. Written by `link` and `remove`.
    prev: u32,
    next: u32,
}

/// A timer that was cancelled.
#[must_use]
pub(super) struct Removed {
    pub(super) waker: Waker,
    /// The seat that is to be given up, when it was not filed yet.
    pub(super) seat: Option<u32>,
}

/// The list of the timers of one slot.
#[derive(Clone, Copy)]
struct Slot {
    /// No deadline in the list is earlier (W3).
    floor: u64,
    /// The newest timer, or `NONE`.
    head: u32,
    /// Length of the list.
    count: u32,
}

impl Slot {
    const EMPTY: Slot = Slot {
        floor: u64::MAX,
        head: NONE,
        count: 0,
    };
}

impl std::fmt::Debug for Wheel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wheel")
            .field("armed", &self.len())
            .finish_non_exhaustive()
    }
}

/// All armed timers of one runtime. The file's header explains the layout.
pub(crate) struct Wheel {
    /// The timers, linked into lists by their indices here.
    timers: Slab<Timer>,
    /// The slots of all levels, level 0 first.
    slots: Box<[Slot]>,
    /// One word per level, one bit per slot (W2).
    occupied: [u64; LEVELS],
    /// The latest time that `expire` was told. Places are relative to it (W1).
    now: u64,
    /// The `sequence` of the next timer.
    sequence: u64,
    /// Empty between calls: where `expire` puts one slot's due timers in order.
    batch: Vec<Timer>,
}

impl Wheel {
    /// Creates an empty wheel at time 0.
    pub(crate) fn new() -> Wheel {
        Wheel {
            timers: Slab::new(),
            slots: vec![Slot::EMPTY; LEVELS * SLOTS].into_boxed_slice(),
            occupied: [0; LEVELS],
            now: 0,
            sequence: 0,
            batch: Vec::new(),
        }
    }

    /// Number of armed timers.
    pub(crate) fn len(&self) -> usize {
        self.timers.len()
    }

    /// Whether no timer is armed.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a timer in, without saying yet when it is due: until it is filed it waits on a seat of
    /// the lobby.
    #[inline]
    pub(super) fn admit(&mut self, seat: u32, waker: Waker) -> Key {
        let timer = self.unfiled(seat, waker);
        self.timers.insert(timer)
    }

    /// As [`admit`](Self::admit), when that takes no memory; gives the waker back otherwise.
    #[inline]
    pub(super) fn admit_quickly(&mut self, seat: u32, waker: Waker) -> Option<Key> {
        let timer = self.unfiled(seat, waker);
        self.timers.reuse(timer).ok()
    }

    #[inline]
    fn unfiled(&mut self, seat: u32, waker: Waker) -> Timer {
        let sequence = self.sequence;
        self.sequence += 1;
        Timer {
            deadline: u64::MAX,
            sequence,
            waker,
            prev: seat,
            next: UNFILED,
        }
    }

    /// Puts a timer that was taken in into its slot. A deadline in the past is due at the next
    /// [`expire`](Wheel::expire).
    pub(super) fn file(&mut self, index: u32, deadline: u64) {
        self.timer_mut(index).deadline = deadline;
        self.link(index, deadline);
    }

    /// Cancels a timer and gives its waker back. `None`: it has expired or was removed before.
    #[inline]
    pub(super) fn remove(&mut self, key: Key) -> Option<Removed> {
        let Timer {
            deadline,
            waker,
            prev,
            next,
            ..
        } = self.timers.remove(key)?;
        let seat = (next == UNFILED).then_some(prev);
        if seat.is_none() {
            self.unlink(deadline, prev, next);
        }
        Some(Removed { waker, seat })
    }

    /// Cancels a timer that is not filed yet and gives up its seat. `None`: it is filed, or gone.
    #[inline]
    pub(super) fn remove_unfiled(&mut self, key: Key) -> Option<(Waker, u32)> {
        match self.timers.get(key) {
            Some(timer) if timer.next == UNFILED => {}
            _ => return None,
        }
        let timer = self.timers.remove_index(key.index())?;
        Some((timer.waker, timer.prev))
    }

    /// Takes a timer out of its slot's list.
    fn unlink(&mut self, deadline: u64, prev: u32, next: u32) {
        let place = self.place(deadline);
        if prev != NONE {
            self.timer_mut(prev).next = next;
        }
        if next != NONE {
            self.timer_mut(next).prev = prev;
        }
        let slot = &mut self.slots[place];
        if prev == NONE {
            slot.head = next;
        }
        slot.count -= 1;
        if slot.count <= HANDFUL {
            self.look_again(place, deadline);
        }
    }

    /// Puts a slot right from which a timer has gone and which holds no more than a handful.
    #[inline]
    fn look_again(&mut self, place: usize, gone: u64) {
        let Slot { floor, count, .. } = self.slots[place];
        if count == 0 {
            self.clear(place);
        } else if count == HANDFUL || floor == gone {
            // The list has just become short enough to look, or its earliest is gone (W3).
            self.slots[place].floor = self.least(place);
        }
    }

    /// Whether the timer would wake the same task as `waker`. `None`: it is not armed.
    pub(crate) fn will_wake(&self, key: Key, waker: &Waker) -> Option<bool> {
        self.timers
            .get(key)
            .map(|timer| timer.waker.will_wake(waker))
    }

    /// Sets whom the timer wakes; its deadline and its place in the order stay.
    ///
    /// The waker that is left over always comes back, because to drop it is the caller's duty
    /// (I3): the old one, or `waker` itself if the timer is not armed.
    pub(crate) fn replace_waker(&mut self, key: Key, waker: Waker) -> Waker {
        match self.timers.get_mut(key) {
            Some(timer) => mem::replace(&mut timer.waker, waker),
            None => waker,
        }
    }

    /// When the loop should look again: the earliest deadline, or (rarely, see the file's header)
    /// a moment before it. Never later than the earliest deadline; in O(1).
    ///
    /// Right after `expire(now)` the answer is later than `now`, so nobody spins on it.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        Some(self.slots[self.first()?].floor)
    }

    /// The earliest deadline, exactly. May walk the list of one slot.
    pub(crate) fn earliest(&self) -> Option<u64> {
        let place = self.first()?;
        let Slot { floor, count, .. } = self.slots[place];
        Some(if count <= HANDFUL {
            floor
        } else {
            self.least(place)
        })
    }

    /// Removes every timer whose deadline is at most `now` and appends their wakers to `out`, by
    /// deadline, then by creation.
    ///
    /// Time does not go back: a `now` before that of an earlier call counts as equal to it. Says
    /// whether the floor of a slot has been reached; when that expired nobody, the floor was wrong.
    pub(crate) fn expire(&mut self, now: u64, out: &mut Vec<Waker>) -> bool {
        let now = now.max(self.now);
        let top = level_of(self.now, now);
        self.now = now;
        let mut reached = false;
        for level in 0..=top {
            let last = if level < top {
                SLOTS - 1
            } else {
                slot_of(now, level)
            };
            // A copy of the word: what `open` links again is not to be opened twice.
            let mut passed = self.occupied[level] & (u64::MAX >> (SLOTS - 1 - last));
            while passed != 0 {
                let place = level * SLOTS + passed.trailing_zeros() as usize;
                passed &= passed - 1;
                // Only in the tick of `now` may nothing be due. It is then left as it is; on a
                // higher level W1 demands that the slot be opened all the same.
                let due = self.slots[place].floor <= now;
                if level > 0 || due {
                    reached |= due;
                    self.open(place, out);
                }
            }
        }
        if self.batch.capacity() > BATCH_KEPT {
            self.batch = Vec::new();
        }
        reached
    }

    /// Makes the floor of the first slot exact, so that [`next_deadline`](Wheel::next_deadline) is.
    pub(super) fn sharpen(&mut self) {
        if let Some(place) = self.first() {
            self.slots[place].floor = self.least(place);
        }
    }

    /// Disarms every timer and appends their wakers to `out`: the runtime's end.
    pub(crate) fn take_all(&mut self, out: &mut Vec<Waker>) {
        let now = self.now;
        self.expire(u64::MAX, out);
        // An empty wheel fits any time, and timers armed from now on must not be early either.
        self.now = now;
    }

    /// Empties a slot that time has reached: what is due goes to `out` in order, the rest is
    /// linked again, relative to the new `now`.
    fn open(&mut self, place: usize, out: &mut Vec<Waker>) {
        let mut next = self.slots[place].head;
        self.clear(place);
        while next != NONE {
            let index = next;
            let Timer {
                deadline,
                next: after,
                ..
            } = *self.timer(index);
            next = after;
            if deadline > self.now {
                self.link(index, deadline);
            } else {
                let timer = self
                    .timers
                    .remove_index(index)
                    .expect("a linked timer is in the slab");
                self.batch.push(timer);
            }
        }
        self.batch
            .sort_unstable_by_key(|timer| (timer.deadline, timer.sequence));
        out.extend(self.batch.drain(..).map(|timer| timer.waker));
    }

    /// Puts a timer at the head of its slot's list.
    fn link(&mut self, index: u32, deadline: u64) {
        debug_assert_ne!(index, NONE);
        let place = self.place(deadline);
        let next = self.slots[place].head;
        self.lead(place, index, deadline);
        if next != NONE {
            self.timer_mut(next).prev = index;
        }
        let timer = self.timer_mut(index);
        timer.prev = NONE;
        timer.next = next;
    }

    /// Makes a timer the first of its slot.
    #[inline]
    fn lead(&mut self, place: usize, index: u32, deadline: u64) {
        let slot = &mut self.slots[place];
        slot.head = index;
        slot.floor = slot.floor.min(deadline);
        slot.count += 1;
        self.occupied[place / SLOTS] |= 1 << (place % SLOTS);
    }

    /// Makes a slot empty; its timers are somebody else's business.
    fn clear(&mut self, place: usize) {
        self.slots[place] = Slot::EMPTY;
        self.occupied[place / SLOTS] &= !(1 << (place % SLOTS));
    }

    /// Index in `slots` of the slot for a deadline. What is past belongs into the tick of `now`.
    #[inline]
    fn place(&self, deadline: u64) -> usize {
        let deadline = deadline.max(self.now);
        let level = level_of(self.now, deadline);
        level * SLOTS + slot_of(deadline, level)
    }

    /// The occupied slot with the earliest timers.
    fn first(&self) -> Option<usize> {
        let level = self.occupied.iter().position(|&word| word != 0)?;
        Some(level * SLOTS + self.occupied[level].trailing_zeros() as usize)
    }

    /// The earliest deadline in a slot that is not empty.
    fn least(&self, place: usize) -> u64 {
        let Slot { floor, head, .. } = self.slots[place];
        let mut least = u64::MAX;
        let mut next = head;
        // Nothing in the list is below the floor (W3), so a timer on the floor ends the search.
        while next != NONE && least > floor {
            let timer = self.timer(next);
            least = least.min(timer.deadline);
            next = timer.next;
        }
        least
    }

    fn timer(&self, index: u32) -> &Timer {
        self.timers
            .get_index(index)
            .expect("a linked timer is in the slab")
    }

    fn timer_mut(&mut self, index: u32) -> &mut Timer {
        self.timers
            .get_index_mut(index)
            .expect("a linked timer is in the slab")
    }
}

/// The level of the highest digit in which two times differ; 0 when they share a tick.
fn level_of(a: u64, b: u64) -> usize {
    let ticks = (a ^ b) >> TICK_BITS;
    ((u64::BITS - 1 - (ticks | 1).leading_zeros()) / SLOT_BITS) as usize
}

/// The digit of `time` on a level: its slot there.
fn slot_of(time: u64, level: usize) -> usize {
    (time >> (TICK_BITS + SLOT_BITS * level as u32)) as usize % SLOTS
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::iter;
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    use proptest::prelude::*;

    use super::*;

    /// Wakers with names; what is woken is written down in order.
    #[derive(Clone, Default)]
    pub(in super::super) struct Trace(Arc<Mutex<Vec<u64>>>);

    struct Named(u64, Trace);

    impl Wake for Named {
        fn wake(self: Arc<Self>) {
            self.1.0.lock().unwrap().push(self.0);
        }
    }

    impl Trace {
        pub(in super::super) fn waker(&self, name: u64) -> Waker {
            Waker::from(Arc::new(Named(name, self.clone())))
        }

        /// Tells the time and says who was woken.
        pub(in super::super) fn expire(&self, timers: &mut impl Keeper, now: u64) -> Vec<u64> {
            let mut out = Vec::new();
            timers.expire(now, &mut out);
            self.names(out)
        }

        pub(in super::super) fn names(&self, wakers: impl IntoIterator<Item = Waker>) -> Vec<u64> {
            wakers.into_iter().for_each(Waker::wake);
            mem::take(&mut self.0.lock().unwrap())
        }
    }

    /// The invariants of the header, checked by walking everything.
    pub(in super::super) fn check(wheel: &Wheel, unfiled: usize) {
        let mut linked = 0;
        for (place, slot) in wheel.slots.iter().enumerate() {
            let (mut count, mut least, mut prev, mut next) = (0, u64::MAX, NONE, slot.head);
            while next != NONE {
                let timer = wheel.timer(next);
                assert_eq!(wheel.place(timer.deadline), place, "W1");
                assert_eq!(timer.prev, prev, "the list's links agree");
                (count, least) = (count + 1, least.min(timer.deadline));
                (prev, next) = (next, timer.next);
            }
            assert_eq!(slot.count, count, "the slot knows the length of its list");
            let bit = wheel.occupied[place / SLOTS] >> (place % SLOTS) & 1;
            assert_eq!(bit == 1, count > 0, "W2");
            assert!(slot.floor <= least, "W3: {} after {least}", slot.floor);
            assert!(
                count > HANDFUL || slot.floor == least,
                "W3: {} not {least}",
                slot.floor
            );
            linked += count as usize;
        }
        assert_eq!(
            linked + unfiled,
            wheel.len(),
            "every timer is linked once or waits to be filed"
        );
    }

    /// What keeps timers and agrees with a sorted map: the wheel alone, and behind the lobby.
    pub(in super::super) trait Keeper {
        fn new() -> Self;
        fn insert(&mut self, deadline: u64, waker: Waker) -> Key;
        fn remove(&mut self, key: Key) -> Option<Waker>;
        fn will_wake(&self, key: Key, waker: &Waker) -> Option<bool>;
        fn replace_waker(&mut self, key: Key, waker: Waker) -> Waker;
        fn next_deadline(&self) -> Option<u64>;
        fn earliest(&self) -> Option<u64>;
        fn expire(&mut self, now: u64, out: &mut Vec<Waker>);
        fn take_all(&mut self, out: &mut Vec<Waker>);
        fn len(&self) -> usize;
        fn is_empty(&self) -> bool;
        fn check(&self);

        fn is_armed(&self, key: Key) -> bool {
            self.will_wake(key, Waker::noop()).is_some()
        }
    }

    impl Keeper for Wheel {
        fn new() -> Self {
            Wheel::new()
        }

        fn insert(&mut self, deadline: u64, waker: Waker) -> Key {
            let key = self.admit(0, waker);
            self.file(key.index(), deadline);
            key
        }

        fn remove(&mut self, key: Key) -> Option<Waker> {
            self.remove(key).map(|removed| removed.waker)
        }

        fn will_wake(&self, key: Key, waker: &Waker) -> Option<bool> {
            self.will_wake(key, waker)
        }

        fn replace_waker(&mut self, key: Key, waker: Waker) -> Waker {
            self.replace_waker(key, waker)
        }

        fn next_deadline(&self) -> Option<u64> {
            self.next_deadline()
        }

        fn earliest(&self) -> Option<u64> {
            self.earliest()
        }

        fn expire(&mut self, now: u64, out: &mut Vec<Waker>) {
            self.expire(now, out);
        }

        fn take_all(&mut self, out: &mut Vec<Waker>) {
            self.take_all(out);
        }

        fn len(&self) -> usize {
            self.len()
        }

        fn is_empty(&self) -> bool {
            self.is_empty()
        }

        fn check(&self) {
            check(self, 0);
        }
    }

    /// Times near and far alike: the shift makes every length of delay as likely as any other.
    pub(in super::super) fn span() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..=64u32).prop_map(|(bits, shift)| bits.checked_shr(shift).unwrap_or(0))
    }

    #[derive(Clone, Debug)]
    pub(in super::super) enum Step {
        /// Arms this far ahead of now.
        Arm(u64),
        /// Arms this far behind now.
        ArmPast(u64),
        /// Arms at that very time, or at that of another timer.
        ArmAt(u64),
        ArmLike(prop::sample::Index),
        /// Arms many, from here, this far apart: fills a slot beyond a handful.
        ArmRow(u64, u64, u64),
        /// Cancels one of all the timers that ever were.
        Cancel(prop::sample::Index),
        CancelEarliest,
        SetWaker(prop::sample::Index),
        /// Time passes; it stands still or (against the rules) goes back.
        Advance(u64),
        Back(u64),
        /// The loop wakes when the wheel says; just before the first deadline; at it.
        AdvanceAsTold,
        AdvanceBefore,
        AdvanceTo,
    }

    pub(in super::super) fn step() -> impl Strategy<Value = Step> {
        let one = any::<prop::sample::Index>;
        prop_oneof![
            6 => span().prop_map(Step::Arm),
            1 => span().prop_map(Step::ArmPast),
            1 => prop_oneof![any::<u64>(), Just(u64::MAX), Just(0)].prop_map(Step::ArmAt),
            2 => one().prop_map(Step::ArmLike),
            2 => (span(), 0..100_000u64, 1..20u64).prop_map(|(a, b, c)| Step::ArmRow(a, b, c)),
            4 => one().prop_map(Step::Cancel),
            3 => Just(Step::CancelEarliest),
            1 => one().prop_map(Step::SetWaker),
            2 => span().prop_map(Step::Advance),
            1 => span().prop_map(Step::Back),
            2 => Just(Step::AdvanceAsTold),
            1 => Just(Step::AdvanceBefore),
            2 => Just(Step::AdvanceTo),
        ]
    }

    /// A wheel and the sorted map that it has to agree with.
    pub(in super::super) struct Pair<W> {
        wheel: W,
        trace: Trace,
        /// (deadline, order of creation) -> name
        model: BTreeMap<(u64, usize), u64>,
        /// All timers that ever were, in the order of creation.
        keys: Vec<(Key, u64)>,
        now: u64,
    }

    impl<W: Keeper> Pair<W> {
        pub(in super::super) fn new() -> Pair<W> {
            let (model, keys) = (BTreeMap::new(), Vec::new());
            Pair {
                wheel: W::new(),
                trace: Trace::default(),
                model,
                keys,
                now: 0,
            }
        }

        fn arm(&mut self, deadline: u64) {
            let name = self.keys.len() as u64;
            let key = self.wheel.insert(deadline, self.trace.waker(name));
            self.model.insert((deadline, self.keys.len()), name);
            self.keys.push((key, deadline));
        }

        fn cancel(&mut self, nth: usize) {
            let (key, deadline) = self.keys[nth];
            let there = self.model.remove(&(deadline, nth));
            assert_eq!(self.wheel.is_armed(key), there.is_some());
            let removed = self.wheel.remove(key);
            assert_eq!(self.trace.names(removed), Vec::from_iter(there));
            assert!(!self.wheel.is_armed(key));
        }

        fn set_waker(&mut self, nth: usize) {
            let (key, deadline) = self.keys[nth];
            let name = nth as u64 + 1_000_000;
            let new = self.trace.waker(name);
            let there = self.model.get_mut(&(deadline, nth));
            assert_eq!(
                self.wheel.will_wake(key, &new),
                there.as_ref().map(|_| false)
            );
            let back = Some(self.wheel.replace_waker(key, new.clone()));
            assert_eq!(
                self.wheel.will_wake(key, &new),
                there.as_ref().map(|_| true)
            );
            let expected = there.map_or(name, |there| mem::replace(there, name));
            assert_eq!(self.trace.names(back), [expected]);
        }

        fn expire(&mut self, now: u64) {
            self.now = self.now.max(now);
            let left = match self.now.checked_add(1) {
                Some(after) => self.model.split_off(&(after, 0)),
                None => BTreeMap::new(),
            };
            let due = Vec::from_iter(mem::replace(&mut self.model, left).into_values());
            assert_eq!(self.trace.expire(&mut self.wheel, now), due);
            assert!(
                self.wheel
                    .next_deadline()
                    .is_none_or(|next| next > self.now),
                "a spin"
            );
        }

        pub(in super::super) fn run(&mut self, step: Step) {
            let earliest = self.model.keys().next().copied();
            let pick = |nth: prop::sample::Index, len: usize| (len > 0).then(|| nth.index(len));
            let len = self.keys.len();
            match step {
                Step::Arm(ahead) => self.arm(self.now.saturating_add(ahead)),
                Step::ArmPast(behind) => self.arm(self.now.saturating_sub(behind)),
                Step::ArmAt(deadline) => self.arm(deadline),
                Step::ArmLike(nth) => pick(nth, len)
                    .into_iter()
                    .for_each(|n| self.arm(self.keys[n].1)),
                Step::ArmRow(ahead, apart, many) => {
                    let start = self.now.saturating_add(ahead);
                    (0..many).for_each(|nth| self.arm(start.saturating_add(nth * apart)));
                }
                Step::Cancel(nth) => pick(nth, len).into_iter().for_each(|n| self.cancel(n)),
                Step::CancelEarliest => earliest.into_iter().for_each(|(_, n)| self.cancel(n)),
                Step::SetWaker(nth) => pick(nth, len).into_iter().for_each(|n| self.set_waker(n)),
                Step::Advance(by) => self.expire(self.now.saturating_add(by)),
                Step::Back(by) => self.expire(self.now.saturating_sub(by)),
                Step::AdvanceAsTold => {
                    self.wheel
                        .next_deadline()
                        .into_iter()
                        .for_each(|told| self.expire(told));
                }
                Step::AdvanceBefore => {
                    earliest
                        .into_iter()
                        .for_each(|(at, _)| self.expire(at.saturating_sub(1)));
                }
                Step::AdvanceTo => earliest.into_iter().for_each(|(at, _)| self.expire(at)),
            }
            let earliest = self.model.keys().next().map(|&(deadline, _)| deadline);
            assert_eq!(self.wheel.earliest(), earliest);
            assert_eq!(self.wheel.next_deadline().is_some(), earliest.is_some());
            assert!(
                self.wheel.next_deadline() <= earliest,
                "the loop would oversleep"
            );
            assert_eq!(self.wheel.len(), self.model.len());
            assert_eq!(self.wheel.is_empty(), self.model.is_empty());
            self.wheel.check();
        }

        /// The end: all that are left come out in order.
        pub(in super::super) fn end(mut self) {
            let rest = Vec::from_iter(self.model.values().copied());
            let mut out = Vec::new();
            self.wheel.take_all(&mut out);
            assert_eq!(self.trace.names(out), rest);
            assert!(self.wheel.is_empty());
            self.wheel.check();
        }
    }

    /// A hundred timers in a row, armed in any order, of which the first are cancelled again.
    #[derive(Clone, Debug)]
    pub(in super::super) struct Hundred {
        now: u64,
        ahead: u64,
        apart: u64,
        order: Vec<u64>,
        cancelled: usize,
    }

    pub(in super::super) fn hundred() -> impl Strategy<Value = Hundred> {
        let order = Just(Vec::from_iter(0..100)).prop_shuffle();
        (span(), span(), 0..1_000_000_000u64, order, 0..99usize).prop_map(
            |(now, ahead, apart, order, cancelled)| Hundred {
                now,
                ahead,
                apart,
                order,
                cancelled,
            },
        )
    }

    impl Hundred {
        /// How often a loop that wakes when it is told to finds nothing due, before the first
        /// timer that is left expires.
        pub(in super::super) fn wake_ups_in_vain<K: Keeper>(&self) -> usize {
            let (trace, mut timers) = (Trace::default(), K::new());
            assert_eq!(trace.expire(&mut timers, self.now), []);
            let first = self.now.saturating_add(self.ahead);
            let deadline = |nth| first.saturating_add(1 + nth * self.apart);
            let arm = |&nth| (nth, timers.insert(deadline(nth), trace.waker(1)));
            let keys = BTreeMap::from_iter(self.order.iter().map(arm));
            for key in keys.into_values().take(self.cancelled) {
                assert!(timers.remove(key).is_some());
            }
            let woken = || {
                let told = timers.next_deadline().expect("one is left at least");
                trace.expire(&mut timers, told)
            };
            iter::repeat_with(woken)
                .take(100)
                .take_while(Vec::is_empty)
                .count()
        }
    }

    proptest! {
        #[test]
        fn the_wheel_agrees_with_a_sorted_map(steps in prop::collection::vec(step(), 1..120)) {
            let mut pair = Pair::<Wheel>::new();
            for step in steps {
                pair.run(step);
            }
            pair.end();
        }

        #[test]
        fn a_timer_never_expires_early_nor_late(start in span(), ahead in span(), by in span()) {
            let (trace, mut wheel) = (Trace::default(), Wheel::new());
            prop_assert_eq!(trace.expire(&mut wheel, start), []);
            let deadline = start.saturating_add(ahead.max(1));
            prop_assume!(deadline > start);
            wheel.insert(deadline, trace.waker(1));
            let before = start.saturating_add(by).min(deadline - 1);
            prop_assert_eq!(trace.expire(&mut wheel, before), []);
            prop_assert_eq!(trace.expire(&mut wheel, deadline - 1), []);
            prop_assert_eq!(trace.expire(&mut wheel, deadline), [1]);
        }

        #[test]
        fn a_lone_timer_costs_one_wake_up(start in span(), deadline in span()) {
            let (trace, mut wheel) = (Trace::default(), Wheel::new());
            prop_assert_eq!(trace.expire(&mut wheel, start), []);
            wheel.insert(deadline, trace.waker(1));
            prop_assert_eq!(wheel.next_deadline(), Some(deadline));
        }

        #[test]
        fn at_most_one_wake_up_in_vain_precedes_the_first_expiry(hundred in hundred()) {
            prop_assert!(hundred.wake_ups_in_vain::<Wheel>() <= 1);
        }
    }

    #[test]
    fn timers_expire_by_deadline_then_by_creation() {
        let (trace, mut wheel) = (Trace::default(), Wheel::new());
        let second = 1_000_000_000;
        let deadlines = [
            5 * second,
            7,
            5 * second,
            3 * second,
            7,
            3 * second + 1,
            0,
            5 * second,
        ];
        for (name, deadline) in (0..).zip(deadlines) {
            wheel.insert(deadline, trace.waker(name));
        }
        assert_eq!(trace.expire(&mut wheel, 3 * second), [6, 1, 4, 3]);
        assert_eq!(trace.expire(&mut wheel, 3 * second), []);
        assert_eq!(trace.expire(&mut wheel, 9 * second), [5, 0, 2, 7]);
    }

    #[test]
    fn a_late_call_yields_the_timers_of_all_levels_in_order() {
        let (trace, mut wheel) = (Trace::default(), Wheel::new());
        for name in (0..64).rev() {
            wheel.insert(1 << name, trace.waker(name));
        }
        assert_eq!(trace.expire(&mut wheel, u64::MAX), Vec::from_iter(0..64));
    }

    #[test]
    fn equal_deadlines_expire_together_in_order_of_creation() {
        let (trace, mut wheel) = (Trace::default(), Wheel::new());
        for name in 0..10_000 {
            wheel.insert(77_000_000_000, trace.waker(name));
            // Time moves in between, so that they are armed on different levels.
            if name % 1_000 == 0 {
                assert_eq!(trace.expire(&mut wheel, name * 7_600_000), []);
            }
        }
        assert_eq!(wheel.next_deadline(), Some(77_000_000_000));
        assert_eq!(
            trace.expire(&mut wheel, 77_000_000_000),
            Vec::from_iter(0..10_000)
        );
    }

    #[test]
    fn a_deadline_in_the_past_is_due_at_once() {
        let (trace, mut wheel) = (Trace::default(), Wheel::new());
        assert_eq!(trace.expire(&mut wheel, 1 << 40), []);
        wheel.insert(1 << 40, trace.waker(2));
        wheel.insert(5, trace.waker(1));
        assert_eq!(wheel.next_deadline(), Some(5));
        assert_eq!(trace.expire(&mut wheel, 1 << 40), [1, 2]);
    }

    #[test]
    fn the_last_instant_of_time_is_a_deadline_like_any_other() {
        let (trace, mut wheel) = (Trace::default(), Wheel::new());
        wheel.insert(u64::MAX, trace.waker(1));
        wheel.insert(u64::MAX - 1, trace.waker(0));
        assert_eq!(wheel.next_deadline(), Some(u64::MAX - 1));
        assert_eq!(trace.expire(&mut wheel, u64::MAX - 1), [0]);
        assert_eq!(wheel.next_deadline(), Some(u64::MAX));
        assert_eq!(trace.expire(&mut wheel, u64::MAX), [1]);
        wheel.insert(u64::MAX, trace.waker(2));
        assert_eq!(trace.expire(&mut wheel, u64::MAX), [2]);
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn time_that_goes_back_counts_as_standing_still() {
        let (trace, mut wheel) = (Trace::default(), Wheel::new());
        assert_eq!(trace.expire(&mut wheel, 1_000_000), []);
        wheel.insert(1_000_001, trace.waker(1));
        wheel.insert(900_000, trace.waker(0));
        assert_eq!(trace.expire(&mut wheel, 3), [0]);
        assert_eq!(wheel.next_deadline(), Some(1_000_001));
    }

    #[test]
    fn cancelled_and_expired_timers_give_their_memory_back() {
        let mut wheel = Wheel::new();
        let many = 100_000u64;
        let mut out = Vec::new();
        for round in 0..3 {
            let start = round * many * 1_000;
            let keys = Vec::from_iter((0..many).map(|nth| {
                let key = wheel.insert(start + nth * 1_000, Waker::noop().clone());
                assert!(u64::from(key.index()) < many, "a freed slot is used again");
                key
            }));
            for key in keys.iter().step_by(2) {
                assert!(wheel.remove(*key).is_some());
            }
            assert_eq!(wheel.len() as u64, many / 2);
            wheel.expire(start + many * 1_000, &mut out);
            assert_eq!(out.drain(..).len() as u64, many / 2);
            assert!(wheel.is_empty());
            assert!(wheel.batch.capacity() <= BATCH_KEPT);
            assert!(keys.iter().all(|key| wheel.remove(*key).is_none()));
        }
    }

    #[test]
    fn a_timer_armed_after_the_end_is_not_early() {
        let (trace, mut wheel) = (Trace::default(), Wheel::new());
        wheel.insert(20, trace.waker(1));
        let mut out = Vec::new();
        wheel.take_all(&mut out);
        assert_eq!(trace.names(out), [1]);
        wheel.insert(10, trace.waker(2));
        assert_eq!(trace.expire(&mut wheel, 9), []);
        assert_eq!(trace.expire(&mut wheel, 10), [2]);
    }

    #[test]
    fn the_wheel_lets_go_of_no_waker_itself() {
        let waker = Arc::new(Named(0, Trace::default()));
        let mut wheel = Wheel::new();
        let keys = Vec::from_iter((0..4).map(|at| wheel.insert(at, Waker::from(waker.clone()))));
        let mut out = Vec::new();
        out.extend(Keeper::remove(&mut wheel, keys[0]));
        out.push(wheel.replace_waker(keys[1], Waker::from(waker.clone())));
        out.push(wheel.replace_waker(keys[0], Waker::from(waker.clone())));
        wheel.expire(2, &mut out);
        wheel.take_all(&mut out);
        // Four armed and two passed in, all of them come out; and the one we hold.
        assert_eq!((out.len(), Arc::strong_count(&waker)), (6, 7));
    }
}
