//! Keeps the threads of a run on one core, because only one of them runs.
//!
//! A turn that goes to a thread on another core takes many times as long. Threads inherit the set of cores, so it
//! is set before the hosts start.

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// Restricts this thread to the core on which it runs, until it is dropped.
pub(super) struct Pinned {
    /// The cores before. `None` if the kernel has refused; then the run only takes longer.
    before: Option<CpuSet>,
}

impl Pinned {
    pub(super) fn new() -> Self {
        let before = sched_getaffinity(None).ok();
        let mut one = CpuSet::new();
        one.set(sched_getcpu());
        let before = before.filter(|_| sched_setaffinity(None, &one).is_ok());
        Self { before }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // What was allowed before is allowed now, unless the machine has changed meanwhile.
            sched_setaffinity(None, before).ok();
        }
    }
}
