//! The numbers by which tasks and runtimes are known.
//!
//! Three sizes, each as exact as its use demands:
//!
//! ```text
//!  RuntimeId  64 bits  serial : 48 | place in the registry : 16      never reused
//!  Id        128 bits  RuntimeId | slot : 32 | generation : 32       never reused
//!  WakeWord   64 bits  generation : 16 | place : 16 | slot : 32      may be reused
//! ```
//!
//! A stale `WakeWord` is at worst a spurious poll, and futures must bear those, so it may be short
//! enough to fit into the data pointer of a `Waker`. Aborting or joining a stranger would do harm,
//! so handles carry the full `Id`.

use std::fmt;
use std::num::NonZeroU64;
use std::task::Waker;

use crate::slab::Key;

/// Names one runtime, for ever; the low 16 bits are its place in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RuntimeId(NonZeroU64);

impl RuntimeId {
    /// Serial numbers begin with one, so that `None` needs no room of its own.
    pub(crate) fn new(serial: u64, place: u16) -> Self {
        let bits = NonZeroU64::new(serial << 16 | u64::from(place));
        RuntimeId(bits.expect("serial numbers begin with one"))
    }

    /// Where the registry keeps this runtime's inbox.
    #[inline]
    pub(crate) fn place(self) -> u16 {
        self.0.get() as u16
    }
}

/// A task's number: no other task of this process has had it or will have it.
///
/// Shown as `slot.generation`: `3.0` is the first task that lived in slot 3 of its runtime.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub(crate) runtime: RuntimeId,
    pub(crate) key: Key,
}

impl Id {
    /// That of a task which could not be spawned because its runtime is ending: it finds nothing, since
    /// no table hands out the last index.
    pub(crate) fn of_nobody(runtime: RuntimeId) -> Self {
        let key = Key::new(u32::MAX, u32::MAX);
        Id { runtime, key }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.key.index(), self.key.generation())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

/// What a `Waker` of ours is: an integer that says whom to poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WakeWord(u64);

impl WakeWord {
    /// The slot number that stands for the root future of `block_on`, which lives in no slot.
    pub(crate) const ROOT: u32 = u32::MAX;

    /// Nobody's: no slot has its number.
    pub(crate) const NOBODY: WakeWord = WakeWord(WakeWord::ROOT as u64 - 1);

    #[inline]
    pub(crate) fn new(runtime: RuntimeId, generation: u16, index: u32) -> Self {
        WakeWord(u64::from(generation) << 48 | u64::from(runtime.place()) << 32 | u64::from(index))
    }

    /// The word of the same slot in the next generation; after the last comes the first.
    #[inline]
    pub(crate) fn next_generation(self) -> Self {
        WakeWord(self.0.wrapping_add(1 << 48))
    }

    #[inline]
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        WakeWord(bits)
    }

    /// The registry place of the runtime that owns the task.
    #[inline]
    pub(crate) fn place(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// The low half of the slot's generation.
    #[cfg(test)]
    pub(crate) fn generation(self) -> u16 {
        (self.0 >> 48) as u16
    }

    #[inline]
    pub(crate) fn index(self) -> u32 {
        self.0 as u32
    }
}

/// Turns words into wakers and back. Implemented in `waker.rs`, above the executor, which is not to
/// know how a wake finds its runtime.
pub(crate) trait Dress: Copy {
    /// A waker that wakes the word's task.
    fn waker(self, word: WakeWord) -> Waker;

    /// The word in a waker of ours; `None` when it is somebody else's.
    fn word(self, waker: &Waker) -> Option<WakeWord>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_word_gives_back_what_was_packed() {
        let runtime = RuntimeId::new(9, 0xfedc);
        let word = WakeWord::from_bits(WakeWord::new(runtime, 0xffff, 0x9abc_def0).to_bits());
        assert_eq!(word.place(), 0xfedc);
        assert_eq!(word.generation(), 0xffff);
        assert_eq!(word.index(), 0x9abc_def0);
        let first = WakeWord::new(runtime, 0, 0x9abc_def0);
        assert_eq!(word.next_generation(), first);
    }
}
