//! One byte whose bits are set while something watches what runtimes do. If nothing does, the cost is one test.
//!
//! Tested before a system call, a spawn and an armed timer. If it is set, a cold path looks for what is watched. The
//! byte belongs to the process, because a thread-local would cost more than the test. So a runtime beside one
//! that is watched takes the cold path without effect.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

/// Set while a runtime writes a recording; see [`crate::trace`].
pub(crate) const RECORD: u8 = 1;
/// Set while a kernel is installed on some thread; see [`crate::kernel`].
pub(crate) const KERNEL: u8 = 2;

/// The bits that are set. Relaxed, because a bit is set and tested on the same thread. On other threads it is a
/// hint.
pub(crate) static HOOKS: AtomicU8 = AtomicU8::new(0);

/// How many have set each bit.
static USERS: Mutex<[usize; 8]> = Mutex::new([0; 8]);

/// Returns whether any bit is set.
#[inline]
pub(crate) fn any() -> bool {
    HOOKS.load(Ordering::Relaxed) != 0
}

/// Keeps a bit set until it is dropped.
#[derive(Debug)]
pub(crate) struct HookGuard(u8);

/// Sets a bit, which is one of the constants above.
pub(crate) fn set(bit: u8) -> HookGuard {
    change(bit, |users| users + 1);
    HookGuard(bit)
}

impl Drop for HookGuard {
    fn drop(&mut self) {
        change(self.0, |users| users - 1);
    }
}

fn change(bit: u8, change: impl FnOnce(usize) -> usize) {
    let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
    let count = &mut users[bit.trailing_zeros() as usize];
    *count = change(*count);
    if *count > 0 {
        HOOKS.fetch_or(bit, Ordering::Relaxed);
    } else {
        HOOKS.fetch_and(!bit, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_is_set_until_the_last_guard_is_dropped() {
        const UNUSED: u8 = 1 << 7;
        let is_set = || HOOKS.load(Ordering::Relaxed) & UNUSED != 0;
        let (first, second) = (set(UNUSED), set(UNUSED));
        drop(first);
        assert!(is_set() && any());
        drop(second);
        assert!(!is_set());
    }
}
