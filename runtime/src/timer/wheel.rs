//! Stores every armed timer and reports which are due: a hierarchical timing wheel.
//!
//! Called by [`Timers`](super::Timers): to arm, cancel and change the waker, and by the runtime's loop
//! ([`Wheel::next_deadline`] before the turn, [`Wheel::expire`] after it). Calls the table and nothing
//! else: no clock, no system call, no task. Time is a `u64` of nanoseconds since the runtime's start,
//! and the caller supplies it.
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
//!   level 1   [ . . . . . h . . . . X . . . . . . ]     . free   X occupied   h contains `now`
//!                         |
//!             +-----------+   the 64 slots of a level are one slot of the level above
//!             v
//!   level 0   [ . . . h X . . X . . . . . . . . . ]     occupied[0] = 0b..010010000
//!                       |
//!                       +-- Slot { head, count, floor } --> timer <-> timer <-> timer
//!                                                          (row indices, newest first)
//! ```
//!
//! A timer is on the level of the highest digit in which its deadline differs from `now`, in the
//! slot which that digit names. So lower levels are earlier than higher ones, and within a level the
//! slot further left is the earlier one: the first set bit is the next slot due.
//!
//! When time moves, let `top` be the highest digit that changed. All levels below `top` have passed,
//! and so have the slots of `top` left of the new digit. The one slot at the new digit is opened: what
//! is due in it expires, the rest moves to lower levels (it *cascades*). A jump over a million slots
//! costs no more than a jump over one. A timer moves at most once per level in its life.
//!
//! # Exactness
//!
//! Slots only sort timers roughly. Each timer has its deadline to the nanosecond, and a timer
//! expires when that has come (I7), however coarse the slot that contained it. One call of `expire`
//! returns its timers by deadline, then by creation.
//!
//! A slot's `floor` is the earliest deadline that it contained since it was last empty. It is exact
//! unless that very timer was canceled while the slot contained more than [`EXACT_UP_TO`] others.
//! Then it is too early, because finding the second earliest would mean walking the list on every
//! cancel. `next_deadline` returns the floor of the first slot: in O(1), never later than the first
//! timer, and in the rare case too early. The loop then wakes once without a timer that is due, and the
//! slot is opened: its timers are linked again, with exact floors. A cascade alone needs no wake-up: a single timer
//! fifty days away costs exactly one. [`Wheel::earliest`] is always exact, and can walk the first
//! slot's list; it is for the paused clock.
//!
//! # Invariants
//!
//! - W1 A timer is linked in the slot that [`Wheel::slot_index`] computes from its deadline and `now`,
//!   at any time between two calls. (Hence no timer stores its slot.)
//! - W2 A bit of `occupied` is set if and only if the slot's list is not empty.
//! - W3 `floor` is at most the earliest deadline in the slot, and equal to it when the slot contains
//!   no more than `EXACT_UP_TO` timers.
//! - I3 The wheel never clones, wakes or drops a waker: each one that leaves is returned to the
//!   caller. (Before the wheel itself is dropped, `take_all` empties it.)
//!
//! # Cost, and what was rejected
//!
//! Arming and canceling are O(1) and touch a slot and two neighbors. Rejected: a binary heap and a
//! `BTreeMap`, where a cancel is O(log n) with a cache miss per step, and most timers of a server are
//! timeouts that are canceled; one timerfd per timer, because it costs a
//! descriptor and several system calls; a wheel without cascades (Linux since 4.8), because it fires
//! late by up to an eighth of the delay; a FIFO per distinct duration, because user code can use any;
//! an unsorted list of recent timers in front of the wheel (docs/TRIED.md, timers). The wheel has two
//! costs. Opening a coarse slot moves all of its timers in one call. While time passes through one
//! tick, each expiry in it walks the tick's list.
//!
//! Sources: G. Varghese, T. Lauck, "Hashed and hierarchical timing wheels", SOSP 1987 (schemes 6
//! and 7); J. Corbet, "Reinventing the timer wheel", LWN 2015.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::task::Waker;

use crate::table::{Key, NONE, Row, Table};

/// Bits of a deadline inside one tick, the width of a slot of level 0: 16 ns. A coarse
/// tick would save two levels and make each expiry walk all the timers of its tick.
const TICK_BITS: u32 = 4;
/// Bits of a deadline that name the slot in one level.
const SLOT_BITS: u32 = 6;
/// Slots in one level: as many as a `u64` has bits, so that one word says which are occupied.
const SLOTS: usize = 1 << SLOT_BITS;
/// Levels; together with the tick they cover every `u64`, so no deadline is out of range.
const LEVELS: usize = 10;
/// The number of timers in a slot up to which its floor is kept exact by looking at each of them.
const EXACT_UP_TO: u32 = 4;
/// Capacity for expired timers that is kept from one call to the next. A larger burst gives its
/// memory back.
const BATCH_KEPT: usize = 1024;

const _: () = assert!(TICK_BITS + SLOT_BITS * LEVELS as u32 == u64::BITS);

/// An armed timer: a row of the wheel's table, whose link is the next timer of the slot.
#[derive(Default)]
struct Timer {
    /// Nanoseconds since the runtime's start.
    deadline: Cell<u64>,
    /// The position in the order of creation; decides between equal deadlines.
    sequence: Cell<u64>,
    /// `None` in a vacant row.
    waker: Cell<Option<Waker>>,
    /// The previous timer of the slot, or [`NONE`].
    prev: Cell<u32>,
}

/// The list of the timers of one slot.
#[derive(Clone, Copy)]
struct Slot {
    /// No deadline in the list is earlier (W3).
    floor: u64,
    /// The newest timer, or [`NONE`].
    head: u32,
    /// The length of the list.
    count: u32,
}

impl Slot {
    const EMPTY: Slot = Slot {
        floor: u64::MAX,
        head: NONE,
        count: 0,
    };
}

/// A timer that has expired, on its way out.
struct Expired {
    deadline: u64,
    sequence: u64,
    waker: Waker,
}

/// All armed timers of one runtime. The file's header explains the layout.
pub(crate) struct Wheel {
    timers: Table<Timer>,
    /// The slots of all levels, level 0 first.
    slots: Box<[Cell<Slot>]>,
    /// One word per level, one bit per slot (W2).
    occupied: [Cell<u64>; LEVELS],
    /// The latest time that `expire` was given. Slot indices are relative to it (W1).
    now: Cell<u64>,
    /// The `sequence` of the next timer.
    sequence: Cell<u64>,
    /// Empty between calls: where `expire` sorts the due timers of one slot.
    batch: Cell<Vec<Expired>>,
}

impl Wheel {
    /// Creates an empty wheel at time 0.
    pub(crate) fn new() -> Wheel {
        Wheel {
            timers: Table::new(),
            slots: vec![Cell::new(Slot::EMPTY); LEVELS * SLOTS].into_boxed_slice(),
            occupied: [const { Cell::new(0) }; LEVELS],
            now: Cell::new(0),
            sequence: Cell::new(0),
            batch: Cell::new(Vec::new()),
        }
    }

    /// The number of armed timers.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.timers.len()
    }

    /// Whether no timer is armed.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Arms a timer. A deadline in the past is due at the next [`expire`](Wheel::expire).
    #[inline]
    pub(crate) fn insert(&self, deadline: u64, waker: Waker) -> Key {
        let (key, timer) = self.timers.take();
        timer.deadline.set(deadline);
        timer.sequence.set(self.sequence.get());
        self.sequence.set(self.sequence.get() + 1);
        // `set` would check whether there is a value to drop.
        let _nothing_to_drop = ManuallyDrop::new(timer.waker.replace(Some(waker)));
        self.link(key.index(), timer);
        key
    }

    /// Cancels a timer and returns its waker. Returns `None` if it has expired or was removed before.
    #[inline]
    pub(crate) fn remove(&self, key: Key) -> Option<Waker> {
        let timer = self.timers.find(key)?;
        self.unlink(timer);
        let waker = timer.waker.take();
        self.timers.release(key.index(), timer);
        waker
    }

    /// Takes a timer out of its slot's list. Keeps W2 and W3.
    #[inline]
    fn unlink(&self, timer: &Row<Timer>) {
        let deadline = timer.deadline.get();
        let index = self.slot_index(deadline);
        let (prev, next) = (timer.prev.get(), timer.next().replace(NONE));
        let place = &self.slots[index];
        let mut slot = place.get();
        match self.timers.row(prev) {
            Some(prev) => prev.next().set(next),
            None => slot.head = next,
        }
        if let Some(next) = self.timers.row(next) {
            next.prev.set(prev);
        }
        slot.count -= 1;
        if slot.count == 0 {
            self.clear(index);
            return;
        }
        place.set(slot);
        // The list has just become short enough to look, or its earliest timer was removed.
        let is_short = slot.count <= EXACT_UP_TO;
        if is_short && (slot.count == EXACT_UP_TO || slot.floor == deadline) {
            self.recompute_floor(index);
        }
    }

    /// Whether the timer would wake the same task as `waker`. `None`: it is not armed.
    #[inline]
    pub(crate) fn will_wake(&self, key: Key, waker: &Waker) -> Option<bool> {
        let timer = self.timers.find(key)?;
        let stored = timer.waker.take();
        let same = stored
            .as_ref()
            .is_some_and(|stored| stored.will_wake(waker));
        timer.waker.set(stored);
        Some(same)
    }

    /// Replaces the waker of a timer; its deadline and its position in the order stay.
    ///
    /// Returns the waker that is not stored, for the caller to drop (I3): the old one, or `waker`
    /// itself if the timer is not armed.
    pub(crate) fn replace_waker(&self, key: Key, waker: Waker) -> Option<Waker> {
        match self.timers.find(key) {
            Some(timer) => timer.waker.replace(Some(waker)),
            None => Some(waker),
        }
    }

    /// Passes each armed timer to `look`: its key, its deadline and its waker (I3: `look` runs no user
    /// code).
    pub(crate) fn for_each(&self, mut look: impl FnMut(Key, u64, &Waker)) {
        for (index, timer) in self.timers.rows() {
            let waker = timer.waker.take();
            if let Some(waker) = &waker {
                let key = Key::new(index, timer.generation());
                look(key, timer.deadline.get(), waker);
            }
            timer.waker.set(waker);
        }
    }

    /// Returns when the loop should look again: the earliest deadline, or (rarely, see the file's
    /// header) a moment before it. Never later than the earliest deadline; in O(1).
    ///
    /// Right after `expire(now)` the result is later than `now`, so the loop does not spin.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        Some(self.slots[self.first()?].get().floor)
    }

    /// Returns the earliest deadline, exactly. Can walk the list of one slot.
    pub(crate) fn earliest(&self) -> Option<u64> {
        self.first().map(|index| self.min_deadline(index))
    }

    /// Removes every timer whose deadline is at most `now` and appends their wakers to `out`, by
    /// deadline, then by creation.
    ///
    /// Time does not go back: a `now` before that of an earlier call counts as equal to it.
    pub(crate) fn expire(&self, now: u64, out: &mut Vec<Waker>) {
        let before = self.now.get();
        let now = now.max(before);
        let top = level_of(before, now);
        self.now.set(now);
        let mut batch = self.batch.take();
        for level in 0..=top {
            let last = if level < top {
                SLOTS - 1
            } else {
                slot_of(now, level)
            };
            // A copy of the word, because a slot that `open` links again is not opened twice.
            let mut passed = self.occupied[level].get() & (u64::MAX >> (SLOTS - 1 - last));
            while passed != 0 {
                let index = level * SLOTS + passed.trailing_zeros() as usize;
                passed &= passed - 1;
                // Only in the tick of `now` can a slot have nothing due. It is then left as it is; on
                // a higher level W1 demands that the slot be opened all the same.
                if level > 0 || self.slots[index].get().floor <= now {
                    self.open(index, &mut batch, out);
                }
            }
        }
        if batch.capacity() <= BATCH_KEPT {
            self.batch.set(batch);
        }
    }

    /// Disarms every timer and appends their wakers to `out`: the runtime's end.
    pub(crate) fn take_all(&self, out: &mut Vec<Waker>) {
        let now = self.now.get();
        self.expire(u64::MAX, out);
        // An empty wheel fits any time, and timers armed from now on must not be early either.
        self.now.set(now);
    }

    /// Empties a slot that time has reached: what is due goes to `out` in order, the rest is
    /// linked again, relative to the new `now`.
    fn open(&self, index: usize, batch: &mut Vec<Expired>, out: &mut Vec<Waker>) {
        let mut next = self.slots[index].get().head;
        self.clear(index);
        while let Some(timer) = self.timers.row(next) {
            let index = next;
            next = timer.next().replace(NONE);
            let deadline = timer.deadline.get();
            if deadline > self.now.get() {
                self.link(index, timer);
                continue;
            }
            batch.extend(timer.waker.take().map(|waker| Expired {
                deadline,
                sequence: timer.sequence.get(),
                waker,
            }));
            self.timers.release(index, timer);
        }
        batch.sort_unstable_by_key(|timer| (timer.deadline, timer.sequence));
        out.extend(batch.drain(..).map(|timer| timer.waker));
    }

    /// Puts a timer at the head of its slot's list.
    #[inline]
    fn link(&self, row: u32, timer: &Row<Timer>) {
        let deadline = timer.deadline.get();
        let index = self.slot_index(deadline);
        let place = &self.slots[index];
        let mut slot = place.get();
        if let Some(next) = self.timers.row(slot.head) {
            next.prev.set(row);
        }
        timer.prev.set(NONE);
        timer.next().set(slot.head);
        slot.head = row;
        slot.floor = slot.floor.min(deadline);
        slot.count += 1;
        place.set(slot);
        let occupied = &self.occupied[index / SLOTS];
        occupied.set(occupied.get() | 1 << (index % SLOTS));
    }

    /// Makes a slot empty, whatever it contained.
    fn clear(&self, index: usize) {
        self.slots[index].set(Slot::EMPTY);
        let occupied = &self.occupied[index / SLOTS];
        occupied.set(occupied.get() & !(1 << (index % SLOTS)));
    }

    /// The index in `slots` for a deadline. A deadline in the past belongs into the tick of `now`.
    #[inline]
    fn slot_index(&self, deadline: u64) -> usize {
        let now = self.now.get();
        let deadline = deadline.max(now);
        let level = level_of(now, deadline);
        level * SLOTS + slot_of(deadline, level)
    }

    /// The occupied slot with the earliest timers.
    fn first(&self) -> Option<usize> {
        let level = self.occupied.iter().position(|word| word.get() != 0)?;
        let slot = self.occupied[level].get().trailing_zeros() as usize;
        Some(level * SLOTS + slot)
    }

    fn recompute_floor(&self, index: usize) {
        let floor = self.min_deadline(index);
        let slot = self.slots[index].get();
        self.slots[index].set(Slot { floor, ..slot });
    }

    /// The earliest deadline in a slot that is not empty.
    fn min_deadline(&self, index: usize) -> u64 {
        let Slot { floor, head, count } = self.slots[index].get();
        let mut least = u64::MAX;
        let mut next = self.timers.row(head);
        debug_assert_ne!(count, 0);
        // Nothing in the list is below the floor (W3), so a timer on the floor ends the search.
        while let Some(timer) = next
            && least > floor
        {
            least = least.min(timer.deadline.get());
            next = self.timers.row(timer.next().get());
        }
        least
    }
}

impl std::fmt::Debug for Wheel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wheel")
            .field("armed", &self.len())
            .finish_non_exhaustive()
    }
}

/// The level of the highest digit in which two times differ; 0 when they share a tick.
#[inline]
fn level_of(a: u64, b: u64) -> usize {
    let ticks = (a ^ b) >> TICK_BITS;
    ((u64::BITS - 1 - (ticks | 1).leading_zeros()) / SLOT_BITS) as usize
}

/// The digit of `time` on a level: its slot there.
#[inline]
fn slot_of(time: u64, level: usize) -> usize {
    (time >> (TICK_BITS + SLOT_BITS * level as u32)) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};
    use std::task::Wake;
    use std::{iter, mem};

    use proptest::prelude::*;

    use super::*;

    /// Wakers with names, and the names that were woken, in order.
    #[derive(Clone, Default)]
    struct Trace(Arc<Mutex<Vec<u64>>>);

    struct Named(u64, Trace);

    impl Wake for Named {
        fn wake(self: Arc<Self>) {
            self.1.0.lock().unwrap().push(self.0);
        }
    }

    impl Trace {
        fn waker(&self, name: u64) -> Waker {
            Waker::from(Arc::new(Named(name, self.clone())))
        }

        /// Expires the timers up to `now` and returns the names that were woken.
        fn expire(&self, timers: &Wheel, now: u64) -> Vec<u64> {
            let mut out = Vec::new();
            timers.expire(now, &mut out);
            self.names(out)
        }

        fn names(&self, wakers: impl IntoIterator<Item = Waker>) -> Vec<u64> {
            wakers.into_iter().for_each(Waker::wake);
            mem::take(&mut self.0.lock().unwrap())
        }
    }

    /// The invariants of the header, checked by walking everything.
    fn check(wheel: &Wheel) {
        let mut linked = 0;
        for (index, slot) in wheel.slots.iter().enumerate() {
            let slot = slot.get();
            let (mut count, mut least, mut prev, mut next) = (0, u64::MAX, NONE, slot.head);
            while let Some(timer) = wheel.timers.row(next) {
                assert_eq!(wheel.slot_index(timer.deadline.get()), index, "W1");
                assert_eq!(timer.prev.get(), prev, "the list's links agree");
                (count, least) = (count + 1, least.min(timer.deadline.get()));
                (prev, next) = (next, timer.next().get());
            }
            assert_eq!(slot.count, count, "the slot counts its list");
            let bit = wheel.occupied[index / SLOTS].get() >> (index % SLOTS) & 1;
            assert_eq!(bit == 1, count > 0, "W2");
            assert!(slot.floor <= least, "W3: {} after {least}", slot.floor);
            assert!(
                count > EXACT_UP_TO || slot.floor == least,
                "W3: {} not {least}",
                slot.floor
            );
            linked += count as usize;
        }
        assert_eq!(linked, wheel.len(), "every timer is linked once");
    }

    fn is_armed(wheel: &Wheel, key: Key) -> bool {
        wheel.will_wake(key, Waker::noop()).is_some()
    }

    /// Times near and far alike: the shift makes every length of delay as likely as any other.
    fn span() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..=64u32).prop_map(|(bits, shift)| bits.checked_shr(shift).unwrap_or(0))
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// Arms this far ahead of now.
        Arm(u64),
        /// Arms this far behind now.
        ArmPast(u64),
        /// Arms at exactly this time, or at that of another timer.
        ArmAt(u64),
        ArmLike(prop::sample::Index),
        /// Arms many, beginning at this time, this far apart: more than `EXACT_UP_TO` in a slot.
        ArmRow(u64, u64, u64),
        /// Cancels one of all timers that were ever armed.
        Cancel(prop::sample::Index),
        CancelEarliest,
        SetWaker(prop::sample::Index),
        /// Moves the time forward, or back.
        Advance(u64),
        Back(u64),
        /// Expires at `next_deadline`; just before the earliest deadline; at it.
        AdvanceToNext,
        AdvanceBefore,
        AdvanceTo,
    }

    fn step() -> impl Strategy<Value = Step> {
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
            2 => Just(Step::AdvanceToNext),
            1 => Just(Step::AdvanceBefore),
            2 => Just(Step::AdvanceTo),
        ]
    }

    /// A wheel and the sorted map with which it is compared.
    struct Pair {
        wheel: Wheel,
        trace: Trace,
        /// (deadline, order of creation) -> name
        model: BTreeMap<(u64, usize), u64>,
        /// All timers that were ever armed, in the order of creation.
        keys: Vec<(Key, u64)>,
        now: u64,
    }

    impl Pair {
        fn new() -> Pair {
            let (model, keys) = (BTreeMap::new(), Vec::new());
            Pair {
                wheel: Wheel::new(),
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
            assert_eq!(is_armed(&self.wheel, key), there.is_some());
            let removed = self.wheel.remove(key);
            assert_eq!(self.trace.names(removed), Vec::from_iter(there));
            assert!(!is_armed(&self.wheel, key));
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
            let back = self.wheel.replace_waker(key, new.clone());
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
            assert_eq!(self.trace.expire(&self.wheel, now), due);
            assert!(
                self.wheel
                    .next_deadline()
                    .is_none_or(|next| next > self.now),
                "a spin"
            );
        }

        fn run(&mut self, step: Step) {
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
                Step::AdvanceToNext => {
                    self.wheel
                        .next_deadline()
                        .into_iter()
                        .for_each(|next| self.expire(next));
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
                "the loop would wait too long"
            );
            assert_eq!(self.wheel.len(), self.model.len());
            assert_eq!(self.wheel.is_empty(), self.model.is_empty());
            check(&self.wheel);
        }

        /// Takes out all timers that are left, in order.
        fn end(self) {
            let rest = Vec::from_iter(self.model.values().copied());
            let mut out = Vec::new();
            self.wheel.take_all(&mut out);
            assert_eq!(self.trace.names(out), rest);
            assert!(self.wheel.is_empty());
            check(&self.wheel);
        }
    }

    /// A hundred timers at equal distances, armed in any order. The first `cancelled` are removed again.
    #[derive(Clone, Debug)]
    struct Hundred {
        now: u64,
        ahead: u64,
        apart: u64,
        order: Vec<u64>,
        cancelled: usize,
    }

    fn hundred() -> impl Strategy<Value = Hundred> {
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
        /// Counts how often a loop that waits until `next_deadline` finds no timer due, before the
        /// first timer that is left expires.
        fn needless_wake_ups(&self) -> usize {
            let (trace, timers) = (Trace::default(), Wheel::new());
            assert_eq!(trace.expire(&timers, self.now), []);
            let first = self.now.saturating_add(self.ahead);
            let deadline = |nth| first.saturating_add(1 + nth * self.apart);
            let arm = |&nth| (nth, timers.insert(deadline(nth), trace.waker(1)));
            let keys = BTreeMap::from_iter(self.order.iter().map(arm));
            for key in keys.into_values().take(self.cancelled) {
                assert!(timers.remove(key).is_some());
            }
            let woken = || {
                let next = timers.next_deadline().expect("at least one is left");
                trace.expire(&timers, next)
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
            let mut pair = Pair::new();
            for step in steps {
                pair.run(step);
            }
            pair.end();
        }

        #[test]
        fn a_timer_never_expires_early_nor_late(start in span(), ahead in span(), by in span()) {
            let (trace, wheel) = (Trace::default(), Wheel::new());
            prop_assert_eq!(trace.expire(&wheel, start), []);
            let deadline = start.saturating_add(ahead.max(1));
            prop_assume!(deadline > start);
            wheel.insert(deadline, trace.waker(1));
            let before = start.saturating_add(by).min(deadline - 1);
            prop_assert_eq!(trace.expire(&wheel, before), []);
            prop_assert_eq!(trace.expire(&wheel, deadline - 1), []);
            prop_assert_eq!(trace.expire(&wheel, deadline), [1]);
        }

        #[test]
        fn a_lone_timer_costs_one_wake_up(start in span(), deadline in span()) {
            let (trace, wheel) = (Trace::default(), Wheel::new());
            prop_assert_eq!(trace.expire(&wheel, start), []);
            wheel.insert(deadline, trace.waker(1));
            prop_assert_eq!(wheel.next_deadline(), Some(deadline));
        }

        #[test]
        fn at_most_one_needless_wake_up_precedes_the_first_expiry(hundred in hundred()) {
            prop_assert!(hundred.needless_wake_ups() <= 1);
        }
    }

    #[test]
    fn timers_with_different_digits_are_in_different_slots() {
        let (trace, wheel) = (Trace::default(), Wheel::new());
        for digit in 1..SLOTS as u64 {
            wheel.insert(digit << (TICK_BITS + SLOT_BITS), trace.waker(digit));
        }
        assert_eq!(wheel.occupied[1].get(), !1);
    }

    #[test]
    fn timers_expire_by_deadline_then_by_creation() {
        let (trace, wheel) = (Trace::default(), Wheel::new());
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
        assert_eq!(trace.expire(&wheel, 3 * second), [6, 1, 4, 3]);
        assert_eq!(trace.expire(&wheel, 3 * second), []);
        assert_eq!(trace.expire(&wheel, 9 * second), [5, 0, 2, 7]);
    }

    #[test]
    fn a_late_call_returns_the_timers_of_all_levels_in_order() {
        let (trace, wheel) = (Trace::default(), Wheel::new());
        for name in (0..64).rev() {
            wheel.insert(1 << name, trace.waker(name));
        }
        assert_eq!(trace.expire(&wheel, u64::MAX), Vec::from_iter(0..64));
    }

    #[test]
    fn equal_deadlines_expire_together_in_order_of_creation() {
        let (trace, wheel) = (Trace::default(), Wheel::new());
        for name in 0..10_000 {
            wheel.insert(77_000_000_000, trace.waker(name));
            // Time moves in between, so that they are armed on different levels.
            if name % 1_000 == 0 {
                assert_eq!(trace.expire(&wheel, name * 7_600_000), []);
            }
        }
        assert_eq!(wheel.next_deadline(), Some(77_000_000_000));
        assert_eq!(
            trace.expire(&wheel, 77_000_000_000),
            Vec::from_iter(0..10_000)
        );
    }

    #[test]
    fn a_deadline_in_the_past_is_due_at_once() {
        let (trace, wheel) = (Trace::default(), Wheel::new());
        assert_eq!(trace.expire(&wheel, 1 << 40), []);
        wheel.insert(1 << 40, trace.waker(2));
        wheel.insert(5, trace.waker(1));
        assert_eq!(wheel.next_deadline(), Some(5));
        assert_eq!(trace.expire(&wheel, 1 << 40), [1, 2]);
    }

    #[test]
    fn the_last_instant_of_time_is_a_deadline_like_any_other() {
        let (trace, wheel) = (Trace::default(), Wheel::new());
        wheel.insert(u64::MAX, trace.waker(1));
        wheel.insert(u64::MAX - 1, trace.waker(0));
        assert_eq!(wheel.next_deadline(), Some(u64::MAX - 1));
        assert_eq!(trace.expire(&wheel, u64::MAX - 1), [0]);
        assert_eq!(wheel.next_deadline(), Some(u64::MAX));
        assert_eq!(trace.expire(&wheel, u64::MAX), [1]);
        wheel.insert(u64::MAX, trace.waker(2));
        assert_eq!(trace.expire(&wheel, u64::MAX), [2]);
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn time_that_goes_back_counts_as_unchanged() {
        let (trace, wheel) = (Trace::default(), Wheel::new());
        assert_eq!(trace.expire(&wheel, 1_000_000), []);
        wheel.insert(1_000_001, trace.waker(1));
        wheel.insert(900_000, trace.waker(0));
        assert_eq!(trace.expire(&wheel, 3), [0]);
        assert_eq!(wheel.next_deadline(), Some(1_000_001));
    }

    #[test]
    fn rows_of_cancelled_and_expired_timers_are_used_again() {
        let wheel = Wheel::new();
        let many = 100_000u64;
        let mut out = Vec::new();
        for round in 0..3 {
            let start = round * many * 1_000;
            let keys = Vec::from_iter((0..many).map(|nth| {
                let key = wheel.insert(start + nth * 1_000, Waker::noop().clone());
                assert!(u64::from(key.index()) < many, "a freed row is used again");
                key
            }));
            for key in keys.iter().step_by(2) {
                assert!(wheel.remove(*key).is_some());
            }
            assert_eq!(wheel.len() as u64, many / 2);
            wheel.expire(start + many * 1_000, &mut out);
            assert_eq!(out.drain(..).len() as u64, many / 2);
            assert!(wheel.is_empty());
            let batch = wheel.batch.take();
            assert!(batch.capacity() <= BATCH_KEPT);
            wheel.batch.set(batch);
            assert!(keys.iter().all(|key| wheel.remove(*key).is_none()));
        }
    }

    #[test]
    fn a_timer_armed_after_the_end_is_not_early() {
        let (trace, wheel) = (Trace::default(), Wheel::new());
        wheel.insert(20, trace.waker(1));
        let mut out = Vec::new();
        wheel.take_all(&mut out);
        assert_eq!(trace.names(out), [1]);
        wheel.insert(10, trace.waker(2));
        assert_eq!(trace.expire(&wheel, 9), []);
        assert_eq!(trace.expire(&wheel, 10), [2]);
    }

    #[test]
    fn the_wheel_returns_every_waker_and_drops_none() {
        let waker = Arc::new(Named(0, Trace::default()));
        let wheel = Wheel::new();
        let keys = Vec::from_iter((0..4).map(|at| wheel.insert(at, Waker::from(waker.clone()))));
        let mut out = Vec::new();
        out.extend(wheel.remove(keys[0]));
        out.extend(wheel.replace_waker(keys[1], Waker::from(waker.clone())));
        out.extend(wheel.replace_waker(keys[0], Waker::from(waker.clone())));
        wheel.expire(2, &mut out);
        wheel.take_all(&mut out);
        // Four were armed and two passed in, and all six were returned; the seventh is `waker`.
        assert_eq!((out.len(), Arc::strong_count(&waker)), (6, 7));
    }
}
