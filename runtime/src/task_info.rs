//! Task info: what the runtime records about every task.
//!
//! The executor writes polls and wakes, and the leaf operations of this crate write what their task
//! waits for. [`mod@crate::dump`] reads it. Recording is always on. It costs a few stores per poll and
//! no reading of the clock, because times are those of the last turn.

use std::fmt;
use std::os::fd::RawFd;
use std::panic::Location;
use std::time::Duration;

use crate::id::Id;
use crate::ready::Ready;
use crate::table::Key;

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
        /// The low 16 bits of the second half, by which the next task in the row is told apart.
        generation: u16,
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
    pub(crate) const ANY_TASK: WakeCause = WakeCause::Task {
        row: 0,
        generation: 0,
    };

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
            WakeCause::Task { row, .. } => write!(f, "task in row {row}"),
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
    /// What it waits on.
    pub(crate) on: WaitOn,
}

/// What a wait is on, in one word, because it is stored with every wait:
///
/// ```text
///  kind : 8 | generation : 24 | value : 32     value: descriptor, signal, or row of a timer or task
/// ```
///
/// The generation distinguishes the next occupant of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitOn(u64);

/// The kind of a [`WaitOn`], with its value.
pub(crate) enum WaitKind {
    Descriptor(RawFd),
    Timer,
    Task,
    List,
    Closure,
    Signal(i32),
}

impl WaitOn {
    /// A timer that is not armed yet.
    pub(crate) const TIMER: WaitOn = WaitOn::new(Self::OF_TIMER, GENERATION, u32::MAX);
    /// A list of wakers in this process: of a `Shutdown`, a `JoinSet`, a `duplex`.
    pub(crate) const LIST: WaitOn = WaitOn::new(Self::ON_LIST, 0, 0);
    /// A closure of the blocking pool.
    pub(crate) const CLOSURE: WaitOn = WaitOn::new(Self::ON_CLOSURE, 0, 0);

    const OF_DESCRIPTOR: u8 = 1;
    const OF_TIMER: u8 = 2;
    const OF_TASK: u8 = 3;
    const ON_LIST: u8 = 4;
    const ON_CLOSURE: u8 = 5;
    const OF_SIGNAL: u8 = 6;

    const fn new(kind: u8, generation: u32, value: u32) -> Self {
        let generation = (generation & GENERATION) as u64;
        WaitOn((kind as u64) << 56 | generation << 32 | value as u64)
    }

    #[inline]
    pub(crate) fn descriptor(fd: RawFd) -> Self {
        WaitOn::new(Self::OF_DESCRIPTOR, 0, fd.cast_unsigned())
    }

    #[inline]
    pub(crate) fn timer(key: Key) -> Self {
        WaitOn::new(Self::OF_TIMER, key.generation(), key.index())
    }

    #[inline]
    pub(crate) fn task(key: Key) -> Self {
        WaitOn::new(Self::OF_TASK, key.generation(), key.index())
    }

    pub(crate) fn signal(number: i32) -> Self {
        WaitOn::new(Self::OF_SIGNAL, 0, number.cast_unsigned())
    }

    #[inline]
    pub(crate) fn is_descriptor(self) -> bool {
        self.0 >> 56 == u64::from(Self::OF_DESCRIPTOR)
    }

    pub(crate) fn kind(self) -> WaitKind {
        let value = (self.0 as u32).cast_signed();
        match (self.0 >> 56) as u8 {
            Self::OF_DESCRIPTOR => WaitKind::Descriptor(value),
            Self::OF_TIMER => WaitKind::Timer,
            Self::OF_TASK => WaitKind::Task,
            Self::OF_SIGNAL => WaitKind::Signal(value),
            Self::ON_CLOSURE => WaitKind::Closure,
            _ => WaitKind::List,
        }
    }

    /// Returns the row of the timer or task.
    pub(crate) fn row(self) -> u32 {
        self.0 as u32
    }

    /// Returns whether `key` identifies the timer or task, as far as 24 bits of its generation show.
    pub(crate) fn is_of(self, key: Key) -> bool {
        let generation = (self.0 >> 32) as u32 & GENERATION;
        self.row() == key.index() && generation == key.generation() & GENERATION
    }
}

/// The bits of a generation that are stored in a [`WaitOn`].
const GENERATION: u32 = 0xff_ffff;

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
    /// The wait that was recorded last; `None` if it is for no operation of this crate or of
    /// `wakeful-net`.
    pub waiting: Option<Waiting>,
    /// Everything in the runtime that can wake the task now, the target of `waiting` first. It is empty
    /// for a task that can only be woken by a waker that user code holds.
    pub waits_for: Vec<WaitTarget>,
    /// The number of clones of the task's waker outside of the runtime's own tables; `None` unless
    /// [`Builder::count_wakers`](crate::runtime::Builder::count_wakers) is on. It can be too high, when a
    /// waker was leaked, and is never too low.
    pub waker_clones: Option<usize>,
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
    /// What the operation waits for.
    pub on: WaitTarget,
    /// The length of the wait so far, to the precision of one turn of the loop.
    pub elapsed: Duration,
}

impl Waiting {
    /// Returns the descriptor, if it waits for one.
    #[must_use]
    pub fn fd(&self) -> Option<RawFd> {
        match self.on {
            WaitTarget::Descriptor(fd) => Some(fd),
            _ => None,
        }
    }
}

/// What a wait is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitTarget {
    /// An event of a descriptor.
    Descriptor(RawFd),
    /// A timer, and the time until it is due; `None` if it never is.
    Timer(Option<Duration>),
    /// The end of a task.
    Task(Id),
    /// A list of wakers in this process: of a `Shutdown`, a `JoinSet`, a `duplex` or a standard stream.
    List,
    /// A closure on a thread of the blocking pool.
    Closure,
    /// A signal, by its number; `None` if the number is not known.
    Signal(Option<i32>),
    /// Something that cannot wake the task any more: a timer that was dropped or has fired, a task that has
    /// ended, a descriptor for which it does not wait any more.
    Gone,
}

impl fmt::Display for WaitTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitTarget::Descriptor(fd) => write!(f, "fd {fd}"),
            WaitTarget::Timer(None) => write!(f, "timer that is never due"),
            WaitTarget::Timer(Some(due)) => write!(f, "timer due in {}", Short(*due)),
            WaitTarget::Task(id) => write!(f, "task {id}"),
            WaitTarget::List => write!(f, "a list of wakers"),
            WaitTarget::Closure => write!(f, "a blocking closure"),
            WaitTarget::Signal(Some(number)) => write!(f, "signal {number}"),
            WaitTarget::Signal(None) => write!(f, "a signal"),
            WaitTarget::Gone => write!(f, "gone"),
        }
    }
}

/// A duration for people: `61.0 s`, `340 ms`, `12 us`.
#[derive(Clone, Copy)]
pub(crate) struct Short(pub(crate) Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            time if time >= Duration::from_secs(1) => write!(f, "{:.1} s", time.as_secs_f64()),
            time if time >= Duration::from_millis(1) => write!(f, "{} ms", time.as_millis()),
            time if time.is_zero() => write!(f, "0 s"),
            time => write!(f, "{} us", time.as_micros()),
        }
    }
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        let s = if self.polls == 1 { "" } else { "s" };
        write!(
            f,
            " spawned at {}, {} poll{s}, ",
            self.spawned_at, self.polls
        )?;
        match (self.state, &self.waiting) {
            (TaskState::Waiting, Some(waiting)) => {
                write!(f, "waits on {} at {}", waiting.operation, waiting.location)?;
                if let Some(fd) = waiting.fd() {
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
