//! Task info: what the runtime records about every task.
//!
//! The executor writes polls and wakes, and the leaf operations of this crate write what their task
//! waits for. [`Runtime::dump`](crate::runtime::Runtime::dump) reads it. Recording is always on. It
//! costs a few stores per poll and no reading of the clock, because times are those of the last turn.

use std::fmt;
use std::os::fd::RawFd;
use std::panic::Location;
use std::time::Duration;

use crate::id::Id;
use crate::ready::Ready;

/// The reason why a task was put into the run queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WakeCause {
    /// The task was spawned.
    Spawn,
    /// A descriptor became ready.
    Io {
        /// The descriptor.
        fd: RawFd,
        /// The readiness that the kernel reported.
        ready: Ready,
    },
    /// A timer expired.
    Timer,
    /// A task of the same runtime, possibly the woken task itself.
    Task {
        /// The row of that task: the first half of its [`Id`] as it is displayed.
        row: u32,
    },
    /// The root future of `block_on`.
    Root,
    /// Another thread, or code outside `block_on`.
    Thread,
    /// The task yielded, or its I/O budget was used up.
    Yield,
    /// The task was aborted.
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
    pub(crate) const ANY_TASK: WakeCause = WakeCause::Task { row: 0 };

    /// Returns the index of the kind for counters, below [`KINDS`](Self::KINDS).
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
            WakeCause::Task { row } => write!(f, "task in row {row}"),
            WakeCause::Root => write!(f, "root future"),
            WakeCause::Thread => write!(f, "another thread"),
            WakeCause::Yield => write!(f, "yielded"),
            WakeCause::Abort => write!(f, "aborted"),
        }
    }
}

/// The wait of a task, as recorded by the leaf operation that returned `Pending` last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitInfo {
    /// The operation: `TcpStream::read`.
    pub(crate) operation: &'static str,
    /// The source location of the user's call.
    pub(crate) location: &'static Location<'static>,
    /// The start of the wait, in nanoseconds since the runtime's start, as of the last turn.
    pub(crate) since_ns: u64,
    /// The descriptor; negative if it waits for none.
    pub(crate) fd: RawFd,
}

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState {
    /// Being polled now.
    Running,
    /// In the run queue.
    Scheduled,
    /// Waiting to be woken.
    Waiting,
    /// Ended, with an output that was not joined yet.
    Finished,
}

/// One task at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskInfo {
    /// The task's id.
    pub id: Id,
    /// The name given to [`task::Builder`](crate::task::Builder).
    pub name: Option<String>,
    /// The source location of the spawn.
    pub spawned_at: &'static Location<'static>,
    /// The task's state.
    pub state: TaskState,
    /// The number of polls so far.
    pub polls: u64,
    /// The wait; `None` if it is for no operation of this crate or of `wakeful-net`.
    pub waiting: Option<Waiting>,
    /// The cause of the last wake.
    pub last_wake: WakeCause,
}

/// The operation that a task waits for, its source location, and the length of the wait so far.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Waiting {
    /// The operation: `TcpStream::read`.
    pub operation: &'static str,
    /// The source location of the user's call. For an operation of a trait, such as `AsyncRead`, that of the
    /// call in the library that reads: `BufReader`, [`io::copy`](crate::io::copy()).
    pub location: &'static Location<'static>,
    /// The descriptor, if it waits for one.
    pub fd: Option<RawFd>,
    /// The length of the wait so far, to the precision of one turn of the loop.
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
