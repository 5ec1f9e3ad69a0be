//! What follows from a dump about tasks that nothing will wake.
//!
//! Everything that can wake a task is in the dump, but for three things: clones of its waker, which are
//! counted only with [`Builder::count_wakers`](crate::runtime::Builder::count_wakers); another thread, which can have
//! a waker, a `Handle` or an `AbortHandle`; and other processes, by way of a descriptor.

use std::collections::{HashMap, HashSet};

use super::{Dump, LoopState, SourceInfo};
use crate::id::Id;
use crate::task_info::{TaskInfo, TaskState, WaitTarget};

/// A conclusion about tasks that nothing will wake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Certain: no task can run, none waits for a descriptor, a timer or a closure, and no other thread
    /// exists that could wake one. A waker in a thread-local of an idle thread of the pool is not known.
    Deadlock,
    /// As [`Deadlock`](Self::Deadlock), but other threads exist. Any of them can have a waker, a `Handle`
    /// or an `AbortHandle`.
    ProbableDeadlock {
        /// The number of other threads, without idle ones of the blocking pool and those that watch a loop; 0 if it is
        /// not known.
        threads: usize,
        /// The number of clones of wakers, if they are counted.
        wakers: Option<usize>,
        /// The number of `Handle`s, those on the runtime's own thread included.
        handles: usize,
    },
    /// No deadlock: every task waits for descriptors or signals, or for tasks that do.
    OnlyFromOutside,
    /// Certain: the task is registered nowhere, and no clone of its waker exists. A waker that was copied by
    /// `unsafe` code is not known. It is lawful for a task that is to wait forever.
    LostWaker(Id),
    /// The tasks await one another, and no waker can wake them. Certain, unless an `AbortHandle` ends one.
    Cycle(Vec<Id>),
}

/// What the state of the loop allows to conclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Something will happen, or can come from outside.
    Fine,
    Deadlock,
    Probable,
}

impl Dump {
    /// Returns whether the tasks are in a deadlock.
    pub(crate) fn outcome(&self) -> Outcome {
        let is = |wanted: fn(&Verdict) -> bool| self.verdicts.iter().any(wanted);
        if is(|verdict| *verdict == Verdict::Deadlock) {
            Outcome::Deadlock
        } else if is(|verdict| matches!(verdict, Verdict::ProbableDeadlock { .. })) {
            Outcome::Probable
        } else {
            Outcome::Fine
        }
    }

    fn all_tasks(&self) -> impl Iterator<Item = &TaskInfo> {
        self.root.iter().chain(&self.tasks)
    }
}

/// Returns whether nothing can wake a task, as far as is known.
pub(super) fn is_lost(task: &TaskInfo) -> bool {
    task.state == TaskState::Waiting && task.waits_for.is_empty() && task.waker_clones == Some(0)
}

/// What the conclusions need that is not in a dump.
pub(super) struct Around {
    /// Whether no user code runs between two polls, no external waker has to be woken, and no timer has fired just
    /// now.
    pub(super) idle: bool,
    /// Whether a task waits for a closure on a thread.
    pub(super) waits_for_thread: bool,
    /// The number of `Handle`s.
    pub(super) handles: usize,
    /// The number of other threads that could wake a task; `None` if it is not known.
    pub(super) other_threads: Option<usize>,
}

/// Returns the conclusions.
pub(super) fn of(dump: &Dump, around: Around) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    verdicts.extend(of_loop(dump, &around));
    // A waker that was woken and dropped can be a message.
    if around.idle && dump.messages == 0 {
        let lost = dump.all_tasks().filter(|task| is_lost(task));
        verdicts.extend(lost.map(|task| Verdict::LostWaker(task.id)));
        verdicts.extend(cycles(dump));
    }
    verdicts
}

/// Returns the conclusion about all tasks together.
fn of_loop(dump: &Dump, around: &Around) -> Option<Verdict> {
    let can_run = |task: &TaskInfo| matches!(task.state, TaskState::Running | TaskState::Scheduled);
    let waits = |source: &SourceInfo| {
        !source.readers.is_empty() || !source.writers.is_empty() || source.external > 0
    };
    let will_go_on = !around.idle
        || dump.loop_state != LoopState::BetweenPolls
        || dump.messages > 0
        || around.waits_for_thread
        || dump.closures.queued > 0
        || !dump.timers.is_empty()
        || dump.all_tasks().any(can_run);
    if will_go_on {
        return None;
    }
    if dump.sources.iter().any(waits) {
        return Some(Verdict::OnlyFromOutside);
    }
    match around.other_threads {
        Some(0) => Some(Verdict::Deadlock),
        threads => Some(Verdict::ProbableDeadlock {
            threads: threads.unwrap_or_default(),
            wakers: dump.all_tasks().map(|task| task.waker_clones).sum(),
            handles: around.handles,
        }),
    }
}

/// Returns the groups of tasks that await one another and that nothing else can wake.
fn cycles(dump: &Dump) -> Vec<Verdict> {
    let only_joins = |task: &&TaskInfo| {
        let is_join = |target: &WaitTarget| matches!(target, WaitTarget::Task(_));
        task.state == TaskState::Waiting
            && task.waker_clones == Some(0)
            && !task.waits_for.is_empty()
            && task.waits_for.iter().all(is_join)
    };
    let mut stuck: HashMap<Id, Vec<Id>> = HashMap::new();
    let mut joiners: HashMap<Id, Vec<Id>> = HashMap::new();
    for task in dump.all_tasks().filter(only_joins) {
        let joins = task.waits_for.iter().filter_map(|target| match target {
            WaitTarget::Task(id) => Some(*id),
            _ => None,
        });
        let joins: Vec<Id> = joins.collect();
        for joined in &joins {
            joiners.entry(*joined).or_default().push(task.id);
        }
        stuck.insert(task.id, joins);
    }
    // A task that awaits one outside of the group can be woken, and so can those that await it.
    let is_outside = |id: &&Id| !stuck.contains_key(id);
    let mut outside: Vec<Id> = joiners.keys().filter(is_outside).copied().collect();
    while let Some(id) = outside.pop() {
        let freed = joiners.remove(&id).into_iter().flatten();
        outside.extend(freed.filter(|joiner| stuck.remove(joiner).is_some()));
    }
    let mut begins: Vec<Id> = stuck.keys().copied().collect();
    begins.sort();
    let mut seen = HashSet::new();
    let mut cycles = Vec::new();
    for begin in begins {
        let (mut path, mut next) = (Vec::new(), begin);
        while seen.insert(next) {
            path.push(next);
            let Some(first) = stuck.get(&next).and_then(|joins| joins.first()) else {
                break;
            };
            next = *first;
        }
        // The walk has come back to its own path, or to one of a walk before it.
        if let Some(at) = path.iter().position(|id| *id == next) {
            cycles.push(Verdict::Cycle(path.split_off(at)));
        }
    }
    cycles
}
