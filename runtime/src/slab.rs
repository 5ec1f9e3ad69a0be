//! Stores values under numbers that are never mistaken for one another: the generational slab.
//!
//! I/O sources and timers each live in one of these, and tasks in a table of the same rules
//! (`executor/tasks.rs`). Everybody else holds a [`Key`]: the index of a slot and the generation the
//! slot had when the value went in. Taking a value out raises the slot's generation, so an old key
//! finds nothing instead of a stranger.
//!
//! ```text
//!  insert            remove
//!    |                 |
//!    v                 v
//!  Occupied{gen 7} -> Vacant{gen 8, next} -> Occupied{gen 8} -> ...
//!                        |
//!                        +-- gen would wrap: retired, never used again
//! ```
//!
//! The free list is last in, first out: the slot that was just freed is still in the cache, so it
//! is the next one handed out. A slot whose 32-bit generation is used up is retired rather than
//! wrapped, which makes the key exact for the life of the process at the price of one lost slot
//! per four billion reuses. Rejected: a pointer as the number (what a stale one does is undefined
//! behaviour, see RUSTSEC-2024-0019), and the `slab` crate (its keys carry no generation).

use crate::table::Key;

/// End of the free list.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
enum Slot<T> {
    Occupied { generation: u32, value: T },
    Vacant { generation: u32, next: u32 },
}

/// A vector of slots that are reused, each with a generation.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    /// The most recently freed slot, or [`NONE`].
    free: u32,
    len: usize,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Slab {
            slots: Vec::new(),
            free: NONE,
            len: 0,
        }
    }

    /// How many values are in the slab.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Stores a value and returns the key under which it is found from now on.
    ///
    /// # Panics
    ///
    /// When 2^32 - 1 slots are in use.
    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> Key {
        match self.reuse(value) {
            Ok(key) => key,
            Err(value) => self.insert_new(value),
        }
    }

    /// As [`insert`](Self::insert), into a slot that was freed; gives the value back when there is
    /// none.
    #[inline]
    pub(crate) fn reuse(&mut self, value: T) -> Result<Key, T> {
        let index = self.free;
        if index == NONE {
            return Err(value);
        }
        let slot = &mut self.slots[index as usize];
        let Slot::Vacant { generation, next } = *slot else {
            unreachable!("slot {index} is on the free list but occupied");
        };
        self.len += 1;
        self.free = next;
        *slot = Slot::Occupied { generation, value };
        Ok(Key::new(index, generation))
    }

    fn insert_new(&mut self, value: T) -> Key {
        let index = u32::try_from(self.slots.len())
            .ok()
            .filter(|index| *index != NONE);
        let index = index.expect("a slab holds at most 2^32 - 1 values");
        self.slots.push(Slot::Occupied {
            generation: 0,
            value,
        });
        self.len += 1;
        Key::new(index, 0)
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        match self.slots.get(key.index() as usize) {
            Some(Slot::Occupied { generation, value }) if *generation == key.generation() => {
                Some(value)
            }
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.index() as usize) {
            Some(Slot::Occupied { generation, value }) if *generation == key.generation() => {
                Some(value)
            }
            _ => None,
        }
    }

    /// Takes the value out; the key finds nothing from now on.
    #[inline]
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        match self.slots.get_mut(key.index() as usize) {
            Some(Slot::Occupied { generation, .. }) if *generation == key.generation() => {
                self.remove_index(key.index())
            }
            _ => None,
        }
    }

    #[inline]
    fn remove_index(&mut self, index: u32) -> Option<T> {
        let slot = self.slots.get_mut(index as usize)?;
        let Slot::Occupied { generation, .. } = *slot else {
            return None;
        };
        let vacant = match generation.checked_add(1) {
            Some(generation) => {
                let next = self.free;
                self.free = index;
                Slot::Vacant { generation, next }
            }
            // Retired: on no list, so no key with a wrapped generation can ever be made.
            None => Slot::Vacant {
                generation,
                next: NONE,
            },
        };
        self.len -= 1;
        match std::mem::replace(slot, vacant) {
            Slot::Occupied { value, .. } => Some(value),
            Slot::Vacant { .. } => None,
        }
    }

    /// Every value, by index.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Occupied { value, .. } => Some(value),
            Slot::Vacant { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_survives_packing() {
        let key = Key::new(0xdead_beef, 0x0123_4567);
        assert_eq!(Key::from_bits(key.to_bits()), key);
    }

    #[test]
    fn the_slot_freed_last_is_the_next_one_used() {
        let mut slab = Slab::new();
        let first = slab.insert("first");
        let second = slab.insert("second");
        slab.remove(first);
        slab.remove(second);
        assert_eq!(slab.insert("third").index(), second.index());
        assert_eq!(slab.insert("fourth").index(), first.index());
    }

    #[test]
    fn a_slot_whose_generations_are_used_up_is_retired() {
        let mut slab = Slab {
            slots: Vec::new(),
            free: NONE,
            len: 1,
        };
        slab.slots.push(Slot::Occupied {
            generation: u32::MAX,
            value: "last",
        });
        let last = Key::new(0, u32::MAX);
        assert_eq!(slab.remove(last), Some("last"));
        assert_eq!(slab.insert("next"), Key::new(1, 0));
        assert_eq!(slab.get(last), None);
    }

    proptest! {
        /// Against a map that never forgets: every key ever handed out finds its own value or none.
        #[test]
        fn a_stale_key_is_never_honoured(steps in prop::collection::vec((0u8..3, any::<u16>()), 0..400)) {
            let mut slab = Slab::new();
            let mut model: HashMap<Key, u16> = HashMap::new();
            let mut ever: Vec<Key> = Vec::new();
            for (step, value) in steps {
                match step {
                    0 | 1 => {
                        let key = slab.insert(value);
                        prop_assert!(!ever.contains(&key), "a key came back");
                        ever.push(key);
                        model.insert(key, value);
                    }
                    _ if ever.is_empty() => {}
                    _ => {
                        let key = ever[usize::from(value) % ever.len()];
                        prop_assert_eq!(slab.remove(key), model.remove(&key));
                    }
                }
                prop_assert_eq!(slab.len(), model.len());
                for key in &ever {
                    prop_assert_eq!(slab.get(*key), model.get(key));
                }
            }
        }
    }
}
