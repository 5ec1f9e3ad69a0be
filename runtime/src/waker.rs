//! The waker: an integer dressed as a [`std::task::Waker`].
//!
//! Made for each poll by the loop; called by whatever the task waits on. A `Waker` is a data pointer
//! and a table of four functions. Our data pointer points nowhere: its bits are a
//! [`WakeWord`], the runtime's place, the task's slot and 16 bits of its generation. Cloning copies
//! the word, dropping does nothing, waking looks the task up. There is no reference count, no
//! atomic instruction, and nothing whose lifetime one could get wrong: that is why this crate needs
//! exactly one `unsafe` expression outside of its system calls, and it stands in [`waker_for`].
//!
//! Sources: `std::task::RawWaker`, whose contract asks that the functions be callable from any
//! thread and at any time.

use std::mem::ManuallyDrop;
use std::ptr;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::context;
use crate::id::{Dress, WakeWord};

// A word has 64 bits, and so has to have a pointer.
const _: () = assert!(size_of::<*const ()>() == size_of::<u64>());

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, ignore);

/// Dresses a word as a waker.
#[inline]
#[expect(
    unsafe_code,
    reason = "the one line that builds a Waker from its table"
)]
pub(crate) fn waker_for(word: WakeWord) -> Waker {
    // SAFETY: the table's functions never follow the pointer. They only read its bits, which are a
    // plain integer, so they are sound on every thread, at any time, in any order and number.
    unsafe { Waker::new(to_pointer(word), &VTABLE) }
}

/// The word in a waker of ours; `None` when it is somebody else's.
#[inline]
pub(crate) fn word_of(waker: &Waker) -> Option<WakeWord> {
    ptr::eq(waker.vtable(), &raw const VTABLE).then(|| from_pointer(waker.data()))
}

/// The two functions above for those who stand below them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ours;

impl Dress for Ours {
    #[inline]
    fn waker(self, word: WakeWord) -> Waker {
        waker_for(word)
    }

    #[inline]
    fn word(self, waker: &Waker) -> Option<WakeWord> {
        word_of(waker)
    }
}

/// Clones a waker without running foreign code: `None` when it is somebody else's.
#[inline]
pub(crate) fn clone_own(waker: &Waker) -> Option<Waker> {
    word_of(waker).map(waker_for)
}

/// Drops a waker, without the call through its table when it is one of ours: that does nothing.
#[inline]
pub(crate) fn let_go(waker: Waker) {
    if word_of(&waker).is_some() {
        let _nothing_to_drop = ManuallyDrop::new(waker);
    } else {
        drop_foreign(waker);
    }
}

#[cold]
#[inline(never)]
fn drop_foreign(waker: Waker) {
    drop(waker);
}

#[inline]
fn to_pointer(word: WakeWord) -> *const () {
    ptr::without_provenance(word.to_bits() as usize)
}

#[inline]
fn from_pointer(data: *const ()) -> WakeWord {
    WakeWord::from_bits(data.addr() as u64)
}

fn clone(data: *const ()) -> RawWaker {
    RawWaker::new(data, &VTABLE)
}

fn wake(data: *const ()) {
    context::wake(from_pointer(data));
}

fn ignore(_data: *const ()) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waker_is_its_word() {
        let word = WakeWord::from_bits(0x0123_4567_89ab_cdef);
        let waker = waker_for(word);
        assert_eq!(word_of(&waker), Some(word));
        assert!(waker.will_wake(&waker.clone()));
        assert_eq!(word_of(Waker::noop()), None);
    }
}
