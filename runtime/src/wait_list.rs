//! Wakers that wait for events inside the process: a shutdown, the other end of a pipe, the end of a
//! task.
//!
//! Called by the public modules, never by the loop. The lists are behind the callers' locks, so
//! nothing here wakes, clones or drops a waker (I3): the methods return them to the caller.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::task::Waker;

use crate::context;
use crate::executor::cell::drop_quietly;
use crate::task_info::WaitInfo;

/// Wakers in the order in which the waits began. Each wait has its own number.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl WaitList {
    /// Stores a waker; returns the one that the same waiter had stored before.
    #[must_use = "dropping a waker runs user code"]
    pub(crate) fn store(&mut self, place: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        let place = *place.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.wakers.insert(place, waker)
    }

    /// Removes a waiter and returns its waker.
    #[must_use = "dropping a waker runs user code"]
    pub(crate) fn remove(&mut self, place: u64) -> Option<Waker> {
        self.wakers.remove(&place)
    }

    /// Removes and returns all wakers.
    #[must_use = "the caller must wake them"]
    pub(crate) fn take(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers).into_values().collect()
    }
}

/// Wakes each waker. If one panics, the others are still woken, and the first panic is resumed
/// afterwards.
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

/// Stores the operation that the running task is about to wait for in its task info.
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
