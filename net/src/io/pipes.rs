//! The pipes of a thread's relays: opened when one has many bytes to move, and shared afterwards.
//!
//! Called by `super::direction`; calls `sys::splice`.
//!
//! ```text
//!   take --------> an idle pipe, or a new one while fewer than MAX_OPEN are open
//!   give_back ---> idle again, while fewer than MAX_IDLE are; otherwise closed
//!   drop --------> closed: a pipe that is not given back has bytes of one connection
//! ```
//!
//! A direction keeps a pipe only during one poll, or while its writer is slow. So a few pipes serve any
//! number of relays. The relays of a thread own them together, and the last one to end closes them.
//!
//! There is a lock because a relay can be dropped on another thread. Otherwise no thread waits for it.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::sys::splice::Pipe;

/// Pipes that the relays of one thread have open at once. Each has two descriptors.
pub(super) const MAX_OPEN: usize = 64;

/// Pipes that are kept for the next use.
const MAX_IDLE: usize = 8;

thread_local! {
    static CURRENT: RefCell<Weak<Pipes>> = const { RefCell::new(Weak::new()) };
}

/// The pipes of one thread.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    idle: Mutex<Vec<LentPipe>>,
    /// Cloned by each open pipe, idle or lent, which counts them.
    open: Arc<()>,
}

/// A pipe of [`Pipes`].
#[derive(Debug)]
pub(super) struct LentPipe {
    pub(super) pipe: Pipe,
    _open: Arc<()>,
}

impl Pipes {
    /// Returns the pipes of this thread.
    pub(super) fn of_thread() -> Arc<Self> {
        let find = |current: &RefCell<Weak<Pipes>>| {
            let mut current = current.borrow_mut();
            current.upgrade().unwrap_or_else(|| {
                let pipes = Arc::default();
                *current = Arc::downgrade(&pipes);
                pipes
            })
        };
        // A thread that is ending has destroyed its thread-local.
        CURRENT.try_with(find).unwrap_or_default()
    }

    /// Returns an empty pipe. `None` if too many are open, or no descriptor is left.
    pub(super) fn take(&self) -> Option<LentPipe> {
        if let Some(idle) = self.lock().pop() {
            return Some(idle);
        }
        if Arc::strong_count(&self.open) > MAX_OPEN {
            return None;
        }
        Some(LentPipe {
            pipe: Pipe::new().ok()?,
            _open: Arc::clone(&self.open),
        })
    }

    /// Keeps an empty pipe for the next use.
    pub(super) fn give_back(&self, lent: LentPipe) {
        debug_assert_eq!(
            lent.pipe.len(),
            0,
            "bytes of one connection would reach another"
        );
        let mut idle = self.lock();
        if idle.len() < MAX_IDLE {
            idle.push(lent);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<LentPipe>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_of_a_thread_share_their_pipes_and_the_last_one_frees_them() {
        let (first, second) = (Pipes::of_thread(), Pipes::of_thread());
        assert!(Arc::ptr_eq(&first, &second));
        let freed = Arc::downgrade(&first);
        drop((first, second));
        assert_eq!(freed.strong_count(), 0);
    }

    #[test]
    fn the_number_of_pipes_is_limited_and_those_of_dropped_relays_do_not_count() {
        let pipes = Pipes::default();
        let mut lent: Vec<_> = (0..MAX_OPEN).filter_map(|_| pipes.take()).collect();
        assert_eq!(lent.len(), MAX_OPEN);
        assert!(pipes.take().is_none());
        drop(lent.pop());
        lent.extend(pipes.take());
        assert_eq!(lent.len(), MAX_OPEN);
        lent.into_iter().for_each(|one| pipes.give_back(one));
        assert_eq!(Arc::strong_count(&pipes.open), MAX_IDLE + 1);
    }
}
