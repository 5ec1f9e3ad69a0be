//! External wakers: those of combinators and of other executors. To wake one runs user code.
//!
//! Called by the loop, which wakes them in portions ([`Executor::wake_due`]), and wherever the runtime
//! has a waker of unknown origin ([`Executor::wake_all`]).

use std::mem::ManuallyDrop;
use std::task::Waker;

use super::Executor;
use crate::id::WakerData;
use crate::task_info::WakeCause;

impl Executor {
    /// Stores an external waker, to be woken after the next turn.
    pub(crate) fn defer(&self, waker: Waker) {
        self.deferred_wakers.borrow_mut().push(waker);
    }

    #[inline]
    pub(super) fn has_wakers(&self) -> bool {
        !self.deferred_wakers.borrow().is_empty() || !self.due_wakers.borrow().is_empty()
    }

    /// Wakes the external wakers that are due, at most `limit` of them, because each is user code (I8).
    #[inline]
    pub(crate) fn wake_due(&self, limit: u32) {
        if !self.due_wakers.borrow().is_empty() {
            self.wake_portion(limit);
        }
    }

    /// Ends early when a waker has left another runtime entered: the loop makes this one the current one before
    /// the user code of the next.
    #[cold]
    fn wake_portion(&self, limit: u32) {
        for _ in 0..limit {
            self.wake_some(1);
            if self.due_wakers.borrow().is_empty() || !self.runtime.is_current() {
                break;
            }
        }
    }

    #[cold]
    pub(super) fn wake_some(&self, limit: usize) {
        for _ in 0..limit {
            let next = self.due_wakers.borrow_mut().pop_front();
            let Some((waker, cause)) = next else { break };
            self.wake_external(waker, cause);
        }
    }

    /// Wakes each waker with its cause, those of this runtime first. Otherwise a dump that an external waker
    /// makes would not find what wakes the others.
    pub(crate) fn wake_all(&self, wakers: impl IntoIterator<Item = (Waker, WakeCause)>) {
        let wakers = wakers.into_iter();
        let external = wakers.filter_map(|(waker, cause)| {
            let wake = |data| self.tasks.wake(data, cause);
            Some((self.wake_own(waker, wake)?, cause))
        });
        for (waker, cause) in external.collect::<Vec<_>>() {
            self.wake_external(waker, cause);
        }
    }

    /// Wakes this runtime's tasks directly, and leaves external wakers to [`wake_due`](Self::wake_due). So it runs
    /// no user code.
    #[inline]
    pub(crate) fn wake_or_queue(&self, waker: Waker, cause: WakeCause) {
        let wake = |data| self.tasks.wake_by_loop(data, cause);
        if let Some(external) = self.wake_own(waker, wake) {
            self.queue_external(external, cause);
        }
    }

    /// Wakes a task of this runtime by `wake`. Returns any other waker.
    #[inline]
    fn wake_own(&self, waker: Waker, wake: impl FnOnce(WakerData) -> bool) -> Option<Waker> {
        match WakerData::from_waker(&waker, &self.vtables.plain) {
            Some(data) if wake(data) => {
                let _dropping_it_does_nothing = ManuallyDrop::new(waker);
                None
            }
            _ => Some(waker),
        }
    }

    #[cold]
    fn queue_external(&self, waker: Waker, cause: WakeCause) {
        self.due_wakers.borrow_mut().push_back((waker, cause));
    }

    /// Wakes an external waker, which is user code.
    #[cold]
    fn wake_external(&self, waker: Waker, cause: WakeCause) {
        let before = self.wake_cause.replace(cause);
        self.catch_panic("a waker", || waker.wake());
        self.wake_cause.set(before);
    }
}
