//! How a runtime looks for deadlocks: the settings, and what was found last.
//!
//! Written and read by the loop, in `runtime/deadlock.rs`.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::id::Id;
use crate::task_info::TaskInfo;

/// Reaction of the runtime to a deadlock; see
/// [`Builder::on_deadlock`](crate::runtime::Builder::on_deadlock).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnDeadlock {
    /// `block_on` panics with the dump of the runtime. The default.
    #[default]
    Panic,
    /// The dump is written to stderr, once per deadlock, and the runtime waits.
    Report,
    /// None: the runtime waits, and does not look for deadlocks.
    Ignore,
}

/// Hook that is called with each task that nothing can wake.
pub(crate) type LostWakerHook = Box<dyn Fn(&TaskInfo)>;

/// The settings for deadlocks, and what was found last.
#[derive(Default)]
pub(crate) struct DeadlockWatch {
    pub(crate) policy: OnDeadlock,
    /// The time after which a probable deadlock is treated as one.
    pub(crate) after: Option<Duration>,
    pub(crate) on_lost_waker: Option<LostWakerHook>,
    /// The tasks with which the hook was called, until the look after their end.
    pub(crate) lost: RefCell<HashSet<Id>>,
    /// The number of polls at the last look for lost wakers.
    pub(crate) lost_after: Cell<Option<u64>>,
    /// What was found without a poll since then.
    pub(crate) found: Cell<Option<Found>>,
}

/// A state without anything that the runtime itself could do.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    /// The number of polls so far, which identifies the state.
    pub(crate) polls: u64,
    pub(crate) since: Instant,
    /// The number of looks at it.
    pub(crate) looks: u32,
    /// Whether it was treated as a deadlock.
    pub(crate) reported: bool,
}
