//! What a runtime does at one moment: its tasks and what each waits for, its descriptors and timers.
//!
//! [`dump()`](crate::dump()) answers "why is it stuck?" without a debugger and without another build:
//!
//! ```
//! use std::time::Duration;
//!
//! wakeful::block_on(async {
//!     let sleeper = wakeful::task::Builder::new().name("sleeper").spawn(async {
//!         wakeful::time::sleep(Duration::from_secs(60)).await;
//!     })?;
//!     wakeful::task::yield_now().await;
//!
//!     let dump = wakeful::dump();
//!     println!("{dump}"); // tasks that are alike are one line
//!     println!("{dump:#}"); // one line per task, source and timer
//!     println!("{}", dump.to_json());
//!
//!     let task = dump.tasks.iter().find(|task| task.id == sleeper.id()).expect("it has not ended");
//!     assert_eq!(task.waiting.as_ref().expect("it waits").operation, "sleep");
//!     std::io::Result::Ok(())
//! }).unwrap();
//! ```
//!
//! [`Runtime::dump`](crate::runtime::Runtime::dump) is for code outside of `block_on`, and
//! [`Handle::dump`](crate::runtime::Handle::dump) for other threads. [`on_signal`] makes one at each signal.
//!
//! A dump polls nothing, wakes nothing and runs no user code. It costs time in proportion to the
//! number of tasks, sources and timers, and four system calls per socket. Names and addresses of
//! peers have all but printable ASCII escaped.

use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

use crate::context;
use crate::ready::Ready;
use crate::task_info::{TaskInfo, WakeCause};

mod collect;
mod groups;
mod json;
mod on_signal;
mod text;
mod verdicts;

pub use crate::id::Id;
pub use crate::sys::inspect::SourceKind;
pub use crate::task_info::{TaskState, WaitTarget, Waiting};
pub use crate::watch::stall::LoopState;
pub(crate) use collect::{collect, collect_at_rest, lost_wakers, tasks};
pub use groups::TaskGroup;
pub use on_signal::on_signal;
pub(crate) use verdicts::Outcome;
pub use verdicts::Verdict;

/// A runtime at one moment. Displayed as text, where tasks that are alike are one line; `{:#}` has one
/// line per task, source and timer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Dump {
    /// The version of this form: 1. It changes when a field of the JSON form loses its meaning.
    pub format: u32,
    /// The number of the runtime: 1 for the first one of the process.
    pub runtime: u64,
    /// The time since the runtime was built, on its own clock.
    pub at: Duration,
    /// What the loop does.
    pub loop_state: LoopState,
    /// The root future; `None` if no `block_on` runs. Its id is that of row 0, which no task has, and
    /// `spawned_at` is the call of `block_on`.
    pub root: Option<TaskInfo>,
    /// The tasks, by row.
    pub tasks: Vec<TaskInfo>,
    /// The registered descriptors, by row.
    pub sources: Vec<SourceInfo>,
    /// The armed timers, by deadline.
    pub timers: Vec<TimerInfo>,
    /// The blocking pool.
    pub closures: ClosureInfo,
    /// The number of messages of other threads that were not handled yet.
    pub messages: usize,
    /// The threads of the process, the first 1,000 of them. Empty if /proc is not mounted.
    pub threads: Vec<ThreadInfo>,
    /// What follows about tasks that nothing will wake.
    pub verdicts: Vec<Verdict>,
}

/// A registered descriptor.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SourceInfo {
    /// The descriptor.
    pub fd: RawFd,
    /// The kind; `None` if the kernel was not asked, because of [`Detail::Limited`], or the descriptor is
    /// closed.
    pub kind: Option<SourceKind>,
    /// The own address of a socket; the name in /proc of another descriptor: `pipe:[4711]`.
    pub local: Option<String>,
    /// The address of a socket's peer.
    pub peer: Option<String>,
    /// The readiness that the kernel has reported and no operation has disproved.
    pub ready: Ready,
    /// The tasks that wait to read, or to accept.
    pub readers: Vec<Id>,
    /// The tasks that wait to write.
    pub writers: Vec<Id>,
    /// The number of waiting operations with an external waker, such as that of a combinator.
    pub external: usize,
}

/// An armed timer.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TimerInfo {
    /// The time until it is due; `None` if it never is.
    pub due: Option<Duration>,
    /// The task that it wakes; `None` for an external waker.
    pub task: Option<Id>,
}

/// The blocking pool.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ClosureInfo {
    /// The number of tasks that wait for a closure.
    pub waiting: usize,
    /// The number of closures that have not started.
    pub queued: usize,
    /// The number of threads, idle ones included.
    pub threads: usize,
    /// The number of idle threads.
    pub idle_threads: usize,
}

/// A thread of the process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ThreadInfo {
    /// The number that the kernel gave it.
    pub id: i32,
    /// The name, at most 15 bytes long.
    pub name: String,
    /// Whether it is the thread that made the dump.
    pub is_current: bool,
}

/// For how many descriptors a dump asks the kernel. All of them are listed in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detail {
    /// The first 1,000.
    #[default]
    Limited,
    /// All of them.
    All,
}

/// Returns what this thread's runtime does now.
///
/// # Panics
///
/// When there is no runtime on this thread.
///
/// # Examples
///
/// ```
/// wakeful::block_on(async {
///     let task = wakeful::spawn(std::future::pending::<()>());
///     wakeful::task::yield_now().await;
///     let dump = wakeful::dump();
///     assert!(dump.tasks[0].waits_for.is_empty(), "nothing in the runtime will wake it");
///     eprintln!("{dump}");
///     task.abort();
/// });
/// ```
#[must_use]
#[track_caller]
pub fn dump() -> Dump {
    collect(&context::require("dump"), Detail::Limited)
}

/// As [`dump()`], with a choice of the detail.
///
/// # Panics
///
/// When there is no runtime on this thread.
#[must_use]
#[track_caller]
pub fn dump_with(detail: Detail) -> Dump {
    collect(&context::require("dump_with"), detail)
}

impl Dump {
    /// Returns the dump in JSON: one line, whose schema is `docs/dump.schema.json` in the repository. Times
    /// are integers of nanoseconds.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::write(self)
    }

    /// Returns the tasks in groups: those that were spawned at the same place and wait in the same way.
    /// The largest group is the first one.
    #[must_use]
    pub fn groups(&self) -> Vec<TaskGroup<'_>> {
        groups::of(&self.tasks)
    }

    /// Returns the source of a descriptor.
    #[must_use]
    pub fn source(&self, fd: RawFd) -> Option<&SourceInfo> {
        self.sources.iter().find(|source| source.fd == fd)
    }

    /// Returns the task with this id.
    #[must_use]
    pub fn task(&self, id: Id) -> Option<&TaskInfo> {
        let index = self.tasks.binary_search_by_key(&id, |task| task.id).ok()?;
        self.tasks.get(index)
    }

    /// Returns the task that woke another one, if `cause` is a task that has not ended.
    fn waking_task(&self, cause: WakeCause) -> Option<&TaskInfo> {
        let WakeCause::Task { row, generation } = cause else {
            return None;
        };
        let by_row = |task: &TaskInfo| task.id.key.index();
        let index = self.tasks.binary_search_by_key(&row, by_row).ok()?;
        let task = self.tasks.get(index)?;
        (task.id.key.generation() as u16 == generation).then_some(task)
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(self, f)
    }
}
