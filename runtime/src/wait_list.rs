//! Wakers of those who wait for something that no kernel reports: a shutdown, the other end of a
//! pipe, the end of a task.
//!
//! Used by what users call, never by the loop. The lists are kept behind the user's locks, so nothing
//! here wakes, clones or drops a waker under one (I3): what has to be woken or dropped is handed out.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::task::Waker;

use crate::context;
use crate::executor::cell::drop_quietly;
use crate::task_info::WaitInfo;

/// Wakers in the order in which their owners began to wait, each under a number of its own.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl WaitList {
    /// Stores a waker; gives back the one that the same waiter had stored before.
    #[must_use = "dropping a waker is foreign code"]
    pub(crate) fn store(&mut self, place: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        let place = *place.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.wakers.insert(place, waker)
    }

    /// Forgets a waiter.
    #[must_use = "dropping a waker is foreign code"]
    pub(crate) fn remove(&mut self, place: u64) -> Option<Waker> {
        self.wakers.remove(&place)
    }

    /// Takes everybody out, to be woken.
    #[must_use = "they wait to be woken"]
    pub(crate) fn take(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers).into_values().collect()
    }
}

/// Wakes each waker. Should one panic, the others are woken all the same, and then it goes on.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let mut first = None;
    for waker in wakers {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            match first {
                None => first = Some(payload),
                Some(_) => drop_quietly(payload),
            }
        }
    }
    if let Some(payload) = first {
        if std::thread::panicking() {
            drop_quietly(payload);
        } else {
            resume_unwind(payload);
        }
    }
}

/// Notes in the record of the running task on what it is about to wait.
pub(crate) fn note_wait(operation: &'static str, location: &'static Location<'static>) {
    context::with(|core| {
        core.executor.set_wait(|| WaitInfo {
            operation,
            location,
            since_ns: core.timers.loop_now_ns(),
            fd: -1,
        });
    });
}
