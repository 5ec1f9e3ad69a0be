//! Counts the clones of wakers, so that a task that no waker can wake is known as such. Off by default.
//!
//! With [`Builder::count_wakers`](crate::runtime::Builder::count_wakers) a task is polled with a waker of a
//! second function table, whose clone, wake and drop count. The runtime's own tables store wakers of the
//! first one, so the count is that of the clones that other code has.
//!
//! The counts are those of the process, by the data of the waker. A number that was used before can have
//! clones left that belong to an ended task or runtime. So a count can be too high and is never too low.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::WakerData;

/// Written by every clone and drop of a counted waker, on any thread. No user code runs under this lock.
static COUNTS: Mutex<BTreeMap<WakerData, usize>> = Mutex::new(BTreeMap::new());

fn lock() -> MutexGuard<'static, BTreeMap<WakerData, usize>> {
    COUNTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a clone.
pub(crate) fn add(data: WakerData) {
    *lock().entry(data).or_insert(0) += 1;
}

/// Counts the end of a clone.
pub(crate) fn remove(data: WakerData) {
    let mut counts = lock();
    if let Some(count) = counts.get_mut(&data) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&data);
        }
    }
}

/// Returns the number of clones.
pub(crate) fn of(data: WakerData) -> usize {
    lock().get(&data).copied().unwrap_or(0)
}
