//! The run queue: who is polled next.
//!
//! Used by the table of tasks alone, whose slots it links by their indices: a task is in it at most
//! once (I2), so one link in its slot is room enough, nothing is ever allocated, and who is next is
//! found where the look-up leads anyway. First in, first out, so that no task waits behind one that
//! was woken after it; tasks that yielded stand aside until the reactor has had its turn, so that
//! yielding goes behind I/O that is already pending. With a seed, the next task is drawn instead, by
//! a generator that gives the same draws for the same seed: tests use it to try many orders and to
//! repeat the one that failed.
//!
//! Rejected: a vector of keys (more instructions per push and pop, see docs/TRIED.md; memory that
//! grows with the longest queue there ever was; and keys in it of tasks that have ended).

use std::hint::black_box;
use std::mem;

/// Ends a list. Never the index of a slot.
pub(super) const NONE: u32 = u32::MAX;

/// What has room for a link.
pub(super) trait Linked {
    fn next(&mut self) -> &mut u32;
}

/// A list through slots, by index.
#[derive(Clone, Copy, Debug)]
struct List {
    /// The first, or [`NONE`].
    head: u32,
    /// The last; means nothing when there is no first.
    tail: u32,
}

impl List {
    const EMPTY: List = List {
        head: NONE,
        tail: NONE,
    };

    /// Puts `rest`, which may be of one, behind this list.
    #[inline(always)]
    fn append(&mut self, slots: &mut [impl Linked], rest: List) {
        if self.head == NONE {
            self.head = rest.head;
        } else if let Some(last) = slots.get_mut(self.tail as usize) {
            *last.next() = rest.head;
        }
        self.tail = rest.tail;
    }
}

#[derive(Debug)]
pub(super) struct RunQueue {
    ready: List,
    /// Yielded: behind `ready` after the next turn.
    yielded: List,
    /// With a seed: those to draw from, who are on no list any more.
    drawn: Vec<u32>,
    draw: Option<SplitMix64>,
}

impl RunQueue {
    pub(super) fn new(seed: Option<u64>) -> Self {
        RunQueue {
            ready: List::EMPTY,
            yielded: List::EMPTY,
            drawn: Vec::new(),
            draw: seed.map(SplitMix64),
        }
    }

    /// Puts a slot that is in no list, and whose link is [`NONE`], at the end.
    #[inline(always)]
    pub(super) fn push(&mut self, slots: &mut [impl Linked], index: u32) {
        let (head, tail) = (index, index);
        self.ready.append(slots, List { head, tail });
    }

    /// As [`push`](Self::push), but not before the next turn is over.
    #[inline(always)]
    pub(super) fn push_yielded(&mut self, slots: &mut [impl Linked], index: u32) {
        let (head, tail) = (index, index);
        self.yielded.append(slots, List { head, tail });
    }

    /// The next one, which is on no list any more and whose link is [`NONE`] again.
    #[inline(always)]
    pub(super) fn pop<'a, S: Linked>(&mut self, slots: &'a mut [S]) -> Option<(u32, &'a mut S)> {
        if self.draw.is_some() {
            self.draw(slots);
        }
        let index = self.ready.head;
        // Nobody has the index `NONE`, so an empty list ends here.
        let next = mem::replace(slots.get_mut(index as usize)?.next(), NONE);
        self.ready.head = next;
        // A look ahead, for nothing but that the next slot comes into the cache while this one's task
        // is polled: 100,000 timers that fire together take a fifth less (docs/TRIED.md).
        if let Some(ahead) = slots.get_mut(next as usize) {
            black_box(*ahead.next());
        }
        Some((index, slots.get_mut(index as usize)?))
    }

    /// Draws one among all that are ready, and leaves it alone in the list.
    #[cold]
    fn draw(&mut self, slots: &mut [impl Linked]) {
        let mut ready = mem::replace(&mut self.ready, List::EMPTY).head;
        while let Some(slot) = slots.get_mut(ready as usize) {
            self.drawn.push(ready);
            ready = mem::replace(slot.next(), NONE);
        }
        if let Some(draw) = &mut self.draw
            && !self.drawn.is_empty()
        {
            let drawn = draw.next() % self.drawn.len() as u64;
            let index = self.drawn.swap_remove(drawn as usize);
            self.push(slots, index);
        }
    }

    /// Lets those that yielded queue up again; called after each turn.
    #[inline]
    pub(super) fn admit_yielded(&mut self, slots: &mut [impl Linked]) {
        if self.yielded.head != NONE {
            self.ready.append(slots, self.yielded);
            self.yielded = List::EMPTY;
        }
    }

    /// Whether anybody wants to be polled, at once or after the next turn.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        !self.any_ready() && self.yielded.head == NONE
    }

    /// Whether anybody wants to be polled before the next turn.
    #[inline]
    pub(super) fn any_ready(&self) -> bool {
        self.ready.head != NONE || !self.drawn.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.ready = List::EMPTY;
        self.yielded = List::EMPTY;
        self.drawn.clear();
    }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
#[derive(Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Linked for u32 {
        fn next(&mut self) -> &mut u32 {
            self
        }
    }

    fn order(seed: Option<u64>) -> Vec<u32> {
        let (mut queue, mut slots) = (RunQueue::new(seed), [NONE; 20]);
        for index in 0..20 {
            queue.push(&mut slots, index);
        }
        let order = std::iter::from_fn(|| queue.pop(&mut slots).map(|(index, _)| index)).collect();
        assert!(queue.is_empty());
        assert_eq!(slots, [NONE; 20], "who is in no list has no link");
        order
    }

    #[test]
    fn without_a_seed_the_order_is_first_in_first_out() {
        assert_eq!(order(None), (0..20).collect::<Vec<u32>>());
    }

    #[test]
    fn a_seed_shuffles_and_the_same_seed_shuffles_alike() {
        assert_ne!(order(Some(1)), order(None));
        assert_ne!(order(Some(1)), order(Some(2)));
        assert_eq!(order(Some(1)), order(Some(1)));
        let mut sorted = order(Some(1));
        sorted.sort_unstable();
        assert_eq!(sorted, order(None), "nobody is lost and nobody is doubled");
    }

    #[test]
    fn who_yielded_waits_for_the_turn() {
        let (mut queue, mut slots) = (RunQueue::new(None), [NONE; 4]);
        let pop =
            |queue: &mut RunQueue, slots: &mut [u32; 4]| queue.pop(slots).map(|(index, _)| index);
        queue.push_yielded(&mut slots, 1);
        queue.push_yielded(&mut slots, 3);
        queue.push(&mut slots, 2);
        assert_eq!(pop(&mut queue, &mut slots), Some(2));
        assert_eq!(pop(&mut queue, &mut slots), None);
        assert!(!queue.is_empty());
        queue.push(&mut slots, 0);
        queue.admit_yielded(&mut slots);
        assert_eq!(pop(&mut queue, &mut slots), Some(0));
        queue.push(&mut slots, 2);
        assert_eq!(pop(&mut queue, &mut slots), Some(1));
        assert_eq!(pop(&mut queue, &mut slots), Some(3));
        assert_eq!(pop(&mut queue, &mut slots), Some(2));
        assert!(queue.is_empty());
    }
}
