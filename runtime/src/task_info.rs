//! What is known about every task at every moment: the always-on record.
//!
//! Written by the executor (polls, wakes) and by the leaf operations of this crate when they make a
//! task wait; read by [`Runtime::dump`](crate::runtime::Runtime::dump) for lists and reports. It
//! costs a few stores per poll and no clock reading of its own: times are those of the last turn.

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

/// A [`WakeCause`] in one word, which is how it is kept and copied on every wake:
///
/// ```text
///  kind : 8 | ready : 8 | event : 8 | descriptor or slot : 32 | (0) : 8
/// ```
///
/// `event` is the low part of the source's count of events with this one; see [`crate::news`]. The
/// zeros are where a task's slot keeps its flags, so that both are loaded and stored as one.
///
/// As an enum it is copied in overlapping pieces, and a load that spans two recent stores waits for
/// both to reach the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cause(u64);

impl Cause {
    /// How many kinds there are; for counting.
    pub(crate) const KINDS: usize = 8;

    pub(crate) const SPAWN: Cause = Cause::new(0, 0, 0);
    pub(crate) const TIMER: Cause = Cause::new(1, 0, 0);
    pub(crate) const ROOT: Cause = Cause::new(2, 0, 0);
    pub(crate) const THREAD: Cause = Cause::new(3, 0, 0);
    pub(crate) const YIELD: Cause = Cause::new(4, 0, 0);
    pub(crate) const ABORT: Cause = Cause::new(5, 0, 0);
    /// The kind of [`Cause::io`].
    pub(crate) const IO: Cause = Cause::new(6, 0, 0);
    /// The kind of [`Cause::task`].
    pub(crate) const TASK: Cause = Cause::new(7, 0, 0);

    /// Stands for [`Cause::task`] of whoever is being polled: no cause by itself.
    pub(crate) const WHOEVER_RUNS: Cause = Cause(u64::MAX);

    #[inline]
    const fn new(kind: u8, ready: u8, value: u32) -> Self {
        Cause((kind as u64) << 56 | (ready as u64) << 48 | (value as u64) << 8)
    }

    #[inline]
    pub(crate) fn io(fd: RawFd, ready: Ready, event: u32) -> Self {
        let Cause(bits) = Cause::new(6, ready.to_bits(), fd as u32);
        Cause(bits | u64::from(event as u8) << 40)
    }

    /// What was ready, when this is the event of `fd` that came after the one with this count, as far
    /// as the low part of the count tells.
    #[inline]
    pub(crate) fn event_after(self, fd: RawFd, event: u32) -> Option<Ready> {
        let next = event.wrapping_add(1) as u8;
        let is = self.0 >> 56 == Cause::IO.0 >> 56
            && self.value() == fd as u32
            && (self.0 >> 40) as u8 == next;
        is.then_some(self.ready())
    }

    fn ready(self) -> Ready {
        Ready::from_bits((self.0 >> 48) as u8)
    }

    fn value(self) -> u32 {
        (self.0 >> 8) as u32
    }

    #[inline]
    pub(crate) fn task(slot: u32) -> Self {
        Cause::new(7, 0, slot)
    }

    /// Below [`KINDS`](Self::KINDS).
    #[inline]
    pub(crate) fn kind(self) -> usize {
        (self.0 >> 56) as usize & (Self::KINDS - 1)
    }

    /// The word; its low eight bits are zero.
    #[inline]
    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    /// The inverse of [`to_bits`](Self::to_bits); the low eight bits do not count.
    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Cause(bits & !0xff)
    }

    /// The cause in words.
    pub(crate) fn unpack(self) -> WakeCause {
        match self {
            Cause::SPAWN => WakeCause::Spawn,
            Cause::TIMER => WakeCause::Timer,
            Cause::ROOT => WakeCause::Root,
            Cause::YIELD => WakeCause::Yield,
            Cause::ABORT => WakeCause::Abort,
            _ if self.kind() == Cause::IO.kind() => WakeCause::Io {
                fd: self.value() as RawFd,
                ready: self.ready().shown(),
            },
            _ if self.kind() == Cause::TASK.kind() => WakeCause::Task { slot: self.value() },
            _ => WakeCause::Thread,
        }
    }
}

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
pub(crate) struct Wait {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_shows_what_the_kernel_has_said_and_no_notes_of_ours() {
        let said = Ready::from_epoll((libc::EPOLLERR | libc::EPOLLPRI) as u32);
        let ready = Ready::ERROR | Ready::PRIORITY;
        assert_ne!(said, ready);
        assert_eq!(
            Cause::io(7, said, 1).unpack(),
            WakeCause::Io { fd: 7, ready }
        );
    }
}
