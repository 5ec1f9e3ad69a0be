//! The run queue: who is polled next.
//!
//! Used by the executor alone. First in, first out, so that no task waits behind one that was woken
//! after it; tasks that yielded stand aside until the reactor has had its turn, so that yielding
//! goes behind I/O that is already pending. With a seed, the next task is drawn instead, by a
//! generator that gives the same draws for the same seed: tests use it to try many orders and to
//! repeat the one that failed.

use crate::slab::Key;

#[derive(Debug)]
pub(crate) struct RunQueue {
    /// Being polled in order, from `next` on. Full keys: a task may end while it is in here.
    ready: Vec<Key>,
    next: usize,
    /// Woken since; becomes `ready` when that is used up. Two vectors that change places make a
    /// queue whose push and pop are shorter than those of a ring.
    woken: Vec<Key>,
    /// Yielded: in `woken` after the next turn.
    yielded: Vec<Key>,
    draw: Option<SplitMix64>,
}

impl RunQueue {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        RunQueue {
            ready: Vec::new(),
            next: 0,
            woken: Vec::new(),
            yielded: Vec::new(),
            draw: seed.map(SplitMix64),
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, key: Key) {
        self.woken.push(key);
    }

    #[inline]
    pub(crate) fn push_yielded(&mut self, key: Key) {
        self.yielded.push(key);
    }

    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<Key> {
        if self.draw.is_some() {
            return self.pop_drawn();
        }
        if self.next == self.ready.len() {
            if self.woken.is_empty() {
                return None;
            }
            self.ready.clear();
            self.next = 0;
            std::mem::swap(&mut self.ready, &mut self.woken);
        }
        let key = *self.ready.get(self.next)?;
        self.next += 1;
        Some(key)
    }

    /// Draws among all that are ready. `next` stays 0: what is drawn leaves the vector.
    #[cold]
    fn pop_drawn(&mut self) -> Option<Key> {
        let draw = self.draw.as_mut()?;
        self.ready.append(&mut self.woken);
        if self.ready.is_empty() {
            return None;
        }
        let drawn = draw.next() % self.ready.len() as u64;
        Some(self.ready.swap_remove(drawn as usize))
    }

    /// Lets those that yielded queue up again; called after each turn.
    #[inline]
    pub(crate) fn admit_yielded(&mut self) {
        self.woken.append(&mut self.yielded);
    }

    /// Whether anybody wants to be polled, at once or after the next turn.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.ready.len() && self.woken.is_empty() && self.yielded.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.next = 0;
        self.ready.clear();
        self.woken.clear();
        self.yielded.clear();
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

    fn order(seed: Option<u64>) -> Vec<u32> {
        let mut queue = RunQueue::new(seed);
        for index in 0..20 {
            queue.push(Key {
                index,
                generation: 0,
            });
        }
        std::iter::from_fn(|| queue.pop())
            .map(|key| key.index)
            .collect()
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
        let mut queue = RunQueue::new(None);
        queue.push_yielded(Key {
            index: 1,
            generation: 0,
        });
        queue.push(Key {
            index: 2,
            generation: 0,
        });
        assert_eq!(queue.pop().map(|key| key.index), Some(2));
        assert_eq!(queue.pop(), None);
        assert!(!queue.is_empty());
        queue.admit_yielded();
        assert_eq!(queue.pop().map(|key| key.index), Some(1));
    }
}
