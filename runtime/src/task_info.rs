//! Task info: what the runtime records about every task.
//!
//! The executor writes polls and wakes; the leaf operations of this crate write what their task waits
//! for. [`Runtime::dump`](crate::runtime::Runtime::dump) reads it. Recording is always on: it costs a
//! few stores per poll and no clock reading of its own, because times are those of the last turn.

use std::fmt;
use std::os::fd::RawFd;
use std::panic::Location;
use std::time::Duration;

use crate::id::Id;
use crate::ready::Ready;

/// What put a task into the run queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WakeCause {
    /// It was spawned.
    Spawn,
    /// A descriptor it waited for became ready.
    Io {
        /// The descriptor.
        fd: RawFd,
        /// What the kernel reported.
        ready: Ready,
    },
    /// A timer expired.
    Timer,
    /// Another task, in the given slot of the same runtime, or this one itself.
    Task {
        /// The slot: the first half of the waking task's [`Id`] as it is shown.
        slot: u32,
    },
    /// The root future of `block_on`.
    Root,
    /// Another thread, or code outside `block_on`.
    Thread,
    /// It yielded, or had used up its I/O budget.
    Yield,
    /// It was aborted.
    Abort,
}

impl WakeCause {
    /// The number of kinds, for counters.
    pub(crate) const KINDS: usize = 8;

    /// Any cause of the kind [`Io`](Self::Io).
    pub(crate) const ANY_IO: WakeCause = WakeCause::Io {
        fd: -1,
        ready: Ready::EMPTY,
    };

    /// Any cause of the kind [`Task`](Self::Task).
    pub(crate) const ANY_TASK: WakeCause = WakeCause::Task { slot: 0 };

    /// Index of the kind for counters, below [`KINDS`](Self::KINDS).
    #[inline]
    pub(crate) fn kind(self) -> usize {
        match self {
            WakeCause::Spawn => 0,
            WakeCause::Io { .. } => 1,
            WakeCause::Timer => 2,
            WakeCause::Task { .. } => 3,
            WakeCause::Root => 4,
            WakeCause::Thread => 5,
            WakeCause::Yield => 6,
            WakeCause::Abort => 7,
        }
    }
}

// Copied with every wake.
const _: () = assert!(size_of::<WakeCause>() == 8);

impl fmt::Display for WakeCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WakeCause::Spawn => write!(f, "spawned"),
            WakeCause::Io { fd, ready } => write!(f, "fd {fd} {ready:?}"),
            WakeCause::Timer => write!(f, "timer"),
            WakeCause::Task { slot } => write!(f, "task in slot {slot}"),
            WakeCause::Root => write!(f, "root future"),
            WakeCause::Thread => write!(f, "another thread"),
            WakeCause::Yield => write!(f, "yielded"),
            WakeCause::Abort => write!(f, "aborted"),
        }
    }
}

/// On what a task waits, as the leaf operation that returned `Pending` last has noted it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitInfo {
    /// The operation: `TcpStream::read`.
    pub(crate) operation: &'static str,
    /// Where the user called it.
    pub(crate) location: &'static Location<'static>,
    /// When, in nanoseconds since the runtime's start, as of the last turn.
    pub(crate) since_ns: u64,
    /// The descriptor; negative when it waits on none.
    pub(crate) fd: RawFd,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState {
    /// It is being polled at this moment.
    Running,
    /// It is in the run queue.
    Scheduled,
    /// It waits to be woken.
    Waiting,
    /// It has ended; its output waits to be joined.
    Finished,
}

/// One task, as it is now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskInfo {
    /// Its number.
    pub id: Id,
    /// The name given to [`task::Builder`](super::Builder).
    pub name: Option<String>,
    /// Where it was spawned.
    pub spawned_at: &'static Location<'static>,
    /// Where it stands.
    pub state: TaskState,
    /// How often it has been polled.
    pub polls: u64,
    /// What it waits on; `None` when that is no operation of this crate or of `wakeful-net`.
    pub waiting: Option<Waiting>,
    /// What woke it last.
    pub last_wake: WakeCause,
}

/// On what a task waits, where in the source, and for how long by now.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Waiting {
    /// The operation: `TcpStream::read`.
    pub operation: &'static str,
    /// Where the user called it.
    pub location: &'static Location<'static>,
    /// The descriptor, when it waits on one.
    pub fd: Option<RawFd>,
    /// How long, to the precision of one turn of the loop.
    pub elapsed: Duration,
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        write!(f, " spawned at {}, {} polls, ", self.spawned_at, self.polls)?;
        match (self.state, &self.waiting) {
            (TaskState::Waiting, Some(waiting)) => {
                write!(f, "waits on {} at {}", waiting.operation, waiting.location)?;
                if let Some(fd) = waiting.fd {
                    write!(f, " (fd {fd})")?;
                }
                write!(f, " for {:?}", waiting.elapsed)?;
            }
            (TaskState::Waiting, None) => write!(f, "waits")?,
            (TaskState::Running, _) => write!(f, "running")?,
            (TaskState::Scheduled, _) => write!(f, "in the run queue")?,
            (TaskState::Finished, _) => write!(f, "finished, not joined")?,
        }
        write!(f, ", last woken by: {}", self.last_wake)
    }
}
