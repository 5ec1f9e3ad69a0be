//! The number of watch threads that can wake no task.
//!
//! Read by a dump, which leaves them out of the threads that could wake one. A watch thread that looks holds no waker. Its
//! hook is user code, so the thread is not counted while it calls the hook or drops it:
//!
//! ```text
//!  watch thread:  Harmless::begin ... looks ... drop | hook | begin ... looks ... drop | drop of the hook
//!                 <------- counted -------------->          <------- counted --->
//! ```

use std::process;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// How often a watch thread has become harmless, and has ceased to be.
static BEGUN: Count = Count::new();
static ENDED: Count = Count::new();

/// How often a watch thread has begun to call or drop its hook, and has ended it.
static HOOKS_BEGUN: Count = Count::new();
static HOOKS_ENDED: Count = Count::new();

/// A count of this process: its number is in the upper half, because a child process that was forked has a copy of the
/// count, and none of the threads.
struct Count(AtomicU64);

impl Count {
    const fn new() -> Self {
        Count(AtomicU64::new(0))
    }

    fn add_one(&self, process: u32) {
        let added = |word| Some(pack(process, count_in(word, process).wrapping_add(1)));
        // It never returns `None`, so this never fails.
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, added)
            .ok();
    }

    fn get(&self, process: u32) -> u32 {
        count_in(self.0.load(Ordering::Acquire), process)
    }
}

fn pack(process: u32, count: u32) -> u64 {
    u64::from(process) << u32::BITS | u64::from(count)
}

/// Returns the count in a word; 0 if it is that of another process.
fn count_in(word: u64, process: u32) -> u32 {
    let is_of_process = word >> u32::BITS == u64::from(process);
    if is_of_process { word as u32 } else { 0 }
}

/// Returns how often a watch thread has become harmless so far.
pub(crate) fn begun() -> u32 {
    BEGUN.get(process::id())
}

/// Returns how many watch threads of the process have been harmless all the time since `begun` was read, at least.
pub(crate) fn harmless_since(begun: u32) -> usize {
    // Pairs with the fence in `drop`.
    fence(Ordering::SeqCst);
    at_least(begun, ENDED.get(process::id()))
}

fn at_least(begun: u32, ended: u32) -> usize {
    // Negative if some have begun later, and have ended.
    let alive = begun.wrapping_sub(ended).cast_signed();
    usize::try_from(alive).unwrap_or(0)
}

/// Returns whether a watch thread calls or drops its hook. It is harmless again soon, or ends.
pub(crate) fn any_in_hook() -> bool {
    let ended = HOOKS_ENDED.get(process::id());
    at_least(HOOKS_BEGUN.get(process::id()), ended) > 0
}

/// Counts a watch thread that calls or drops its hook. Begun before the thread ceases to be harmless, and dropped when it
/// is again.
pub(super) struct InHook(());

impl InHook {
    pub(super) fn begin() -> Self {
        HOOKS_BEGUN.add_one(process::id());
        InHook(())
    }
}

impl Drop for InHook {
    fn drop(&mut self) {
        HOOKS_ENDED.add_one(process::id());
    }
}

/// Counts a watch thread as harmless.
pub(super) struct Harmless(());

impl Harmless {
    pub(super) fn begin() -> Self {
        BEGUN.add_one(process::id());
        Harmless(())
    }
}

impl Drop for Harmless {
    fn drop(&mut self) {
        ENDED.add_one(process::id());
        // Pairs with the fence in `harmless_since`: if this thread reads after it that the loop has not gone on, then
        // the loop does not count this thread when it has.
        fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_have_ended_or_begun_since_are_not_counted() {
        // Other tests of this process do not watch.
        let before = begun();
        let first = Harmless::begin();
        assert_eq!(harmless_since(before), 0);
        let with_first = begun();
        let second = Harmless::begin();
        assert_eq!(harmless_since(with_first), 1);
        drop(first);
        assert_eq!(
            harmless_since(with_first),
            0,
            "the other one has begun later"
        );
        drop(second);
        assert_eq!(harmless_since(begun()), 0);
    }

    #[test]
    fn a_child_that_was_forked_does_not_count_the_threads_of_its_parent() {
        let (parent, child) = (7, 8);
        let (begun, ended) = (Count::new(), Count::new());
        let alive = |process| at_least(begun.get(process), ended.get(process));
        begun.add_one(parent);
        begun.add_one(parent);
        ended.add_one(parent);
        assert_eq!((alive(parent), alive(child)), (1, 0));
        begun.add_one(child);
        assert_eq!(alive(child), 1);
        ended.add_one(child);
        assert_eq!(alive(child), 0);
    }

    #[test]
    fn a_count_that_starts_again_at_zero_is_right() {
        let count = Count(AtomicU64::new(pack(7, u32::MAX)));
        let ended = count.get(7);
        count.add_one(7);
        assert_eq!((count.get(7), at_least(count.get(7), ended)), (0, 1));
    }
}
